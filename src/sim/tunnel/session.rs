//! Sessions: the keys that two peers share for some minutes.

use std::time::Duration;

use crate::mesh::time::Time;

/// The initiator of a session makes a new one after this time (WireGuard's REKEY_AFTER_TIME).
pub(super) const REKEY_AFTER: Duration = Duration::from_secs(120);
/// A session is of no use after this time (REJECT_AFTER_TIME).
const REJECT_AFTER: Duration = Duration::from_secs(180);

/// One session as one side sees it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The index by which the other side addresses it here.
    pub(super) local: u32,
    /// The index by which this side addresses it there.
    pub(super) remote: u32,
    /// When it was made.
    pub(super) born: Time,
    /// Whether this side began it, and so renews it.
    pub(super) initiator: bool,
    sent: u64,
    window: ReplayWindow,
}

impl Session {
    pub(super) fn new(local: u32, remote: u32, born: Time, initiator: bool) -> Self {
        Self { local, remote, born, initiator, sent: 0, window: ReplayWindow::default() }
    }

    /// Whether it may still carry packets.
    pub(super) fn usable(&self, now: Time) -> bool {
        now.since(self.born) < REJECT_AFTER
    }

    /// The counter of the next packet.
    pub(super) fn next_counter(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// Whether a packet of this counter is new; notes it.
    pub(super) fn is_new(&mut self, counter: u64) -> bool {
        self.window.accept(counter)
    }
}

/// Which of the last 128 counters came already.
#[derive(Clone, Debug, Default)]
struct ReplayWindow {
    newest: u64,
    /// Bit i: `newest - i` came.
    seen: u128,
}

impl ReplayWindow {
    fn accept(&mut self, counter: u64) -> bool {
        if counter > self.newest {
            let ahead = counter - self.newest;
            self.seen = if ahead < 128 { self.seen << ahead } else { 0 };
            self.seen |= 1;
            self.newest = counter;
            return true;
        }
        let behind = self.newest - counter;
        let fresh = behind < 128 && self.seen & (1 << behind) == 0;
        if fresh {
            self.seen |= 1 << behind;
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_accepted_once_in_any_order() {
        let mut window = ReplayWindow::default();
        for counter in [1, 3, 2, 200, 100, 199] {
            assert!(window.accept(counter), "{counter}");
            assert!(!window.accept(counter), "{counter} again");
        }
        assert!(!window.accept(4), "too old to know");
    }
}
