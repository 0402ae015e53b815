//! The queue in front of us: the receive buffer of the socket.
//!
//! A sender on a fast path fills whatever buffer there is: TCP asks for more until something is lost or its window ends,
//! and with megabytes standing in the buffer a ping beside it takes ten milliseconds. So when datagrams waited long, the
//! packets of one of them carry a mark of congestion on (ECN, RFC 3168) where their sender offered to heed it, as our
//! routes make it do: it halves its haste, and nothing is lost. How often is asked follows CoDel (RFC 8289): at first
//! now and then, more often the longer it does not help.

use std::time::{Duration, Instant};

/// What waits longer stands in a queue. CoDel's target is 5 ms; paths inside a mesh may be far shorter than those of the
/// Internet, and this is for queues before a processor, which takes up a millisecond's worth at once.
const TARGET: Duration = Duration::from_millis(2);

/// Between the first two times that is asked: about the time until a first one shows. (CoDel has 100 ms, for round trips
/// of the Internet.)
const INTERVAL: Duration = Duration::from_millis(20);

/// No datagram waits for so long: the clock was set.
const CLOCK_WAS_SET: Duration = Duration::from_secs(2);

/// Whether a datagram that the system received at `stamp` waited long, as it is `wall` now; both since the epoch.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "no other system tells"))]
pub(super) fn is_late(stamp: Option<Duration>, wall: Duration) -> bool {
    let waited = stamp.and_then(|stamp| wall.checked_sub(stamp));
    waited.is_some_and(|waited| waited >= TARGET && waited < CLOCK_WAS_SET)
}

/// When to ask senders for less.
#[derive(Debug, Default)]
pub(super) struct StandingQueue {
    /// How often was asked since the queue stands, and when is the next time; `None` while it does not stand.
    standing: Option<(u32, Instant)>,
}

impl StandingQueue {
    /// Looks at one more message from the socket; whether its packets are to ask for less.
    pub(super) fn asks(&mut self, late: bool, now: Instant) -> bool {
        if !late {
            self.standing = None;
            return false;
        }
        // One pause of this thread makes much late at once, and is no queue yet.
        let (asked, due) = *self.standing.get_or_insert((0, now + TARGET));
        let asks = now >= due;
        if asks {
            let asked = asked + 1;
            self.standing = Some((asked, now + INTERVAL.div_f64(f64::from(asked).sqrt())));
        }
        asks
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as the start of a virtual clock")]
mod tests {
    use super::*;

    #[test]
    fn what_waited_is_late_unless_the_clock_was_set() {
        let wall = Duration::from_secs(1_000_000);
        let late = |waited: u64| is_late(Some(wall - Duration::from_micros(waited)), wall);
        assert_eq!([0, 1_999, 2_000, 50_000, 5_000_000].map(late), [false, false, true, true, false]);
        assert!(!is_late(Some(wall + Duration::from_millis(3)), wall) && !is_late(None, wall));
    }

    #[test]
    fn who_fills_a_queue_that_stands_is_asked_ever_more_often_and_a_pause_is_no_queue() {
        let (mut queue, start) = (StandingQueue::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        let asked: Vec<u64> = (0..100).filter(|ms| queue.asks(true, at(*ms))).collect();
        assert_eq!(asked, [2, 22, 37, 49, 59, 68, 77, 85, 93]);
        assert!(!queue.asks(false, at(100)) && !queue.asks(false, at(200)));
        assert!(!queue.asks(true, at(201)) && !queue.asks(true, at(202)) && !queue.asks(false, at(203)), "a pause");
        assert!(!queue.asks(true, at(230)) && queue.asks(true, at(232)));
    }
}
