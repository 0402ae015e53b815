//! Every deadline of the engine, in one place.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::ids::NodeId;
use super::time::Time;

/// What there is to wait for. Each timer runs at most once at a time; setting it again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Ask a static peer (by its index in the file) to let this node join, while no link to it is up.
    Join(usize),
    /// Ask a neighbour for an echo, or find its link dead.
    Probe(NodeId),
    /// Ask a neighbour how large a packet the link to it carries.
    Size(NodeId),
    /// Send a neighbour what it has not acknowledged.
    Retransmit(NodeId),
    /// A neighbour's new start should have shown inside the tunnel by now; else its clock went back, WireGuard refuses
    /// its handshakes, and the tunnel's peer must be made anew.
    Confirm(NodeId),
    /// A node that left has had time to hear the last acknowledgement.
    Parted(NodeId),
    /// Nothing needs the link with a node any more, and its last words have been heard.
    Release(NodeId),
    /// Take the next step towards (or away from) a direct link with a node that is no neighbour in the graph.
    Direct(NodeId),
    /// Announce this node on its LANs.
    Announce,
    /// Gateways contradicted each other about where they see this node: ask them again.
    Sightings,
    /// A link's change on hold acts now.
    Hold,
    /// News have waited for each other long enough.
    Settle,
    /// Nobody uses the paths that were any more.
    Past,
    /// A drill of this gateway begins or ends.
    #[cfg(feature = "drill")]
    Withdrawal,
    /// The next echoes of a drill that this node measures.
    #[cfg(feature = "drill")]
    Drill,
    /// Look at advertised costs, damped links and uplinks again.
    Review,
    /// Give the own items a fresh age.
    Refresh,
    /// Drop what is 24 h old.
    Expire,
    /// Keep the state on disk.
    Save,
    /// The neighbours had time enough to hear that this node leaves.
    Leave,
}

/// The deadlines that are set.
///
/// A timer that is moved or stopped leaves its old entry in the queue, to be passed over when it comes to the front:
/// timers are moved with nearly every datagram, and a heap takes that better than a sorted set.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    at: BTreeMap<Timer, Time>,
    queue: BinaryHeap<Reverse<(Time, Timer)>>,
}

impl Timers {
    /// Sets or moves a timer.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        if self.at.insert(timer, at) != Some(at) {
            self.queue.push(Reverse((at, timer)));
            self.tidy();
        }
    }

    /// Sets a timer unless it would ring earlier anyway.
    pub(super) fn set_no_later(&mut self, timer: Timer, at: Time) {
        if self.at.get(&timer).is_none_or(|set| *set > at) {
            self.set(timer, at);
        }
    }

    /// Stops a timer.
    pub(super) fn stop(&mut self, timer: Timer) {
        if self.at.remove(&timer).is_some() {
            self.tidy();
        }
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Time> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the next timer that is due.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Timer> {
        let Reverse((at, timer)) = *self.queue.peek()?;
        if at > now {
            return None;
        }
        self.stop(timer);
        Some(timer)
    }

    /// Drops void entries: those at the front, and all when they outnumber the others by far.
    fn tidy(&mut self) {
        while let Some(Reverse((at, timer))) = self.queue.peek()
            && self.at.get(timer) != Some(at)
        {
            self.queue.pop();
        }
        if self.queue.len() > 64 + 4 * self.at.len() {
            self.queue = self.at.iter().map(|(timer, at)| Reverse((*at, *timer))).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_rings_once_at_its_last_deadline() {
        let mut timers = Timers::default();
        timers.set(Timer::Hold, Time::from_secs(1));
        timers.set(Timer::Review, Time::from_secs(2));
        timers.set(Timer::Hold, Time::from_secs(3));
        assert_eq!(timers.next(), Some(Time::from_secs(2)));
        timers.stop(Timer::Review);
        assert_eq!(timers.take_due(Time::from_secs(2)), None);
        timers.set(Timer::Hold, Time::from_secs(1));
        timers.set(Timer::Hold, Time::from_secs(3));
        timers.set_no_later(Timer::Hold, Time::from_secs(4));
        assert_eq!(timers.take_due(Time::from_secs(9)), Some(Timer::Hold));
        assert_eq!((timers.take_due(Time::from_secs(9)), timers.next()), (None, None));
        // Back at the same deadline: it rings again, once.
        timers.set(Timer::Hold, Time::from_secs(3));
        assert_eq!(timers.take_due(Time::from_secs(9)), Some(Timer::Hold));
        assert_eq!(timers.take_due(Time::from_secs(9)), None);
    }

    #[test]
    fn moving_a_timer_again_and_again_takes_no_memory() {
        let mut timers = Timers::default();
        (0..10_000).for_each(|n| timers.set(Timer::Hold, Time::from_secs(n % 7 + n)));
        assert!(timers.queue.len() < 100, "{}", timers.queue.len());
    }
}
