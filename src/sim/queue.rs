//! What will happen, in order of time; of two at one time the one that was put in first comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::mesh::time::Time;

/// A queue of things to come. The heap moves only small keys; the things themselves stay in their slots.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    sequence: u64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), sequence: 0 }
    }

    /// Puts in a thing that happens at that time.
    pub(super) fn push(&mut self, at: Time, thing: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(thing);
        self.heap.push(Reverse((at, self.sequence, slot)));
        self.sequence += 1;
    }

    /// When the next thing happens.
    pub(super) fn next_time(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes out the next thing.
    pub(super) fn pop(&mut self) -> Option<(Time, T)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot].take().map(|thing| (at, thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_by_time_and_then_in_the_order_they_were_put_in() {
        let mut queue = Queue::new();
        for (secs, thing) in [(2, 'c'), (1, 'a'), (2, 'd'), (1, 'b')] {
            queue.push(Time::from_secs(secs), thing);
        }
        assert_eq!(queue.next_time(), Some(Time::from_secs(1)));
        let order: String = std::iter::from_fn(|| queue.pop().map(|(_, thing)| thing)).collect();
        assert_eq!(order, "abcd");
    }
}
