//! When a handshake that got no answer is tried again.
//!
//! WireGuard retries each 5 s (REKEY_TIMEOUT). A mesh that loses its first datagram would stand for those 5 s, so while
//! there is no session the first retries come faster: after 250 ms, 500 ms, 1 s, 2 s, then each 5 s.

use std::time::{Duration, Instant};

/// Waits before the second, third, ... initiation.
const GAPS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// REKEY_TIMEOUT of the WireGuard paper (section 6.1): the wait of every later one.
const REKEY_TIMEOUT: Duration = Duration::from_secs(5);

/// REKEY_ATTEMPT_TIME of the WireGuard paper: how long it is tried for packets that wait.
const REKEY_ATTEMPT_TIME: Duration = Duration::from_secs(90);

/// The attempts to get a session, from the first initiation until there is one.
#[derive(Debug, Default)]
pub(super) struct Retry {
    running: Option<Attempts>,
}

#[derive(Debug)]
struct Attempts {
    started: Instant,
    last: Instant,
    next: Instant,
    count: usize,
}

impl Retry {
    /// Whether an initiation was sent that has no session yet.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Notes that an initiation was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        let attempts = self.running.get_or_insert(Attempts { started: now, last: now, next: now, count: 0 });
        attempts.last = now;
        attempts.next = now + GAPS.get(attempts.count).copied().unwrap_or(REKEY_TIMEOUT);
        attempts.count += 1;
    }

    /// There is a session, or nothing that needs one.
    pub(super) fn stop(&mut self) {
        self.running = None;
    }

    /// When the next initiation is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.running.as_ref().map(|attempts| attempts.next)
    }

    /// A cookie came: an initiation that shows it may go at once, though never sooner than the first retry would.
    pub(super) fn hasten(&mut self) {
        if let Some(attempts) = &mut self.running {
            attempts.next = attempts.next.min(attempts.last + GAPS[0]);
        }
    }

    /// What waited was given up; a peer with a keepalive is tried on at the slow pace.
    pub(super) fn go_on(&mut self, now: Instant) {
        if let Some(attempts) = &mut self.running {
            attempts.started = now;
        }
    }

    /// Whether it was tried for so long that waiting packets are given up.
    pub(super) fn is_hopeless(&self, now: Instant) -> bool {
        self.running.as_ref().is_some_and(|attempts| now.duration_since(attempts.started) >= REKEY_ATTEMPT_TIME)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as the start of a virtual clock")]
mod tests {
    use super::*;

    #[test]
    fn the_first_retries_come_fast_and_then_each_five_seconds() {
        let start = Instant::now();
        let mut retry = Retry::default();
        assert_eq!(retry.due(), None);
        retry.sent(start);
        let mut at = Vec::new();
        for _ in 0..6 {
            let due = retry.due().expect("it is running");
            at.push(due.duration_since(start).as_millis());
            retry.sent(due);
        }
        assert_eq!(at, [250, 750, 1750, 3750, 8750, 13_750]);
    }

    #[test]
    fn waiting_packets_are_given_up_after_ninety_seconds() {
        let start = Instant::now();
        let mut retry = Retry::default();
        retry.sent(start);
        retry.sent(start + Duration::from_secs(80));
        assert!(!retry.is_hopeless(start + Duration::from_secs(89)));
        assert!(retry.is_hopeless(start + Duration::from_secs(90)));
        retry.go_on(start + Duration::from_secs(90));
        assert!(!retry.is_hopeless(start + Duration::from_secs(91)));
        assert_eq!(retry.due(), Some(start + Duration::from_millis(80_500)));
    }

    #[test]
    fn a_cookie_brings_the_next_initiation_forward_but_never_makes_a_loop() {
        let start = Instant::now();
        let mut retry = Retry::default();
        for second in 0..5 {
            retry.sent(start + Duration::from_secs(second));
        }
        retry.hasten();
        assert_eq!(retry.due(), Some(start + Duration::from_millis(4250)));
        retry.hasten();
        assert_eq!(retry.due(), Some(start + Duration::from_millis(4250)));
    }
}
