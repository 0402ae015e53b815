//! A sliding window over one sender's datagram counters: each counts once (RFC 6479's idea).

/// Counters of the last 2048 datagrams of one start of one sender.
#[derive(Clone, Debug, Default)]
pub struct ReplayWindow {
    next: u64,
    seen: [u64; Self::WORDS],
}

impl ReplayWindow {
    const WORDS: usize = 32;
    const BITS: u64 = 64 * Self::WORDS as u64;

    /// Whether `counter` is new; marks it.
    pub fn accept(&mut self, counter: u64) -> bool {
        if counter >= self.next {
            // Clear the words that the window moves over.
            let (from, to) = (self.next.div_ceil(64), counter / 64);
            let moved = (to + 1).saturating_sub(from).min(Self::WORDS as u64);
            (0..moved).for_each(|step| self.seen[((to - step) % Self::WORDS as u64) as usize] = 0);
            self.next = counter + 1;
        } else if self.next - counter > Self::BITS - 64 {
            return false;
        }
        let word = &mut self.seen[((counter / 64) % Self::WORDS as u64) as usize];
        let bit = 1 << (counter % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_counter_is_accepted_once_in_any_order() {
        let mut window = ReplayWindow::default();
        for counter in [5, 3, 4, 0, 100, 64, 63, 2000, 1999] {
            assert!(window.accept(counter), "{counter} is new");
            assert!(!window.accept(counter), "{counter} was seen");
        }
    }

    #[test]
    fn what_lies_far_behind_is_refused() {
        let mut window = ReplayWindow::default();
        assert!(window.accept(10_000));
        assert!(!window.accept(10_000 - 2_048));
        assert!(window.accept(10_000 - 1_900));
    }

    proptest! {
        #[test]
        fn never_accepts_twice(counters in prop::collection::vec(0_u64..5_000, 0..400)) {
            let mut window = ReplayWindow::default();
            let mut accepted = BTreeSet::new();
            for counter in counters {
                if window.accept(counter) {
                    prop_assert!(accepted.insert(counter));
                }
            }
        }
    }
}
