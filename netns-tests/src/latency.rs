//! Round trips of single packets.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::echo::Echo;
use crate::machine::Machine;

/// Pings `count` times from `source` on `machine`, one after the other, `interval` apart; an answer counts for a second.
/// Gives back the round trips, the shortest first, and how many pings were lost.
pub fn round_trips(
    machine: &Machine,
    (source, target): (IpAddr, IpAddr),
    count: u16,
    interval: Duration,
) -> (Vec<Duration>, usize) {
    let probing = move || {
        let echo = Echo::open(source, 0x7767).expect("a raw socket");
        let probe = |sequence| {
            let sent = Instant::now();
            echo.send(target, sequence, 56).ok()?;
            let answer = loop {
                let answer = echo.answer(sent + Duration::from_secs(1))?;
                if answer.from == target && answer.sequence == sequence {
                    break sent.elapsed();
                }
            };
            std::thread::sleep(interval.saturating_sub(sent.elapsed()));
            Some(answer)
        };
        (0..count).filter_map(probe).collect::<Vec<_>>()
    };
    let mut times = machine.namespace().spawn("latency", probing).join().expect("probes");
    times.sort_unstable();
    let lost = usize::from(count) - times.len();
    (times, lost)
}
