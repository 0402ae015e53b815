//! The one place where the daemon reads clocks: the machine's monotonic clock becomes the engine's [`Time`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::mesh::time::Time;
use crate::tunnel::device::Times;

/// Differences below this are how long two readings take on a busy machine, and what a time service corrects.
const NOTABLE: Duration = Duration::from_secs(5);

/// Counts the engine's time from the start of the daemon.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts counting.
    #[expect(clippy::disallowed_methods, reason = "the daemon is where clocks are read and handed to the engine")]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Now, as the engine counts.
    pub fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    /// Time since the daemon started.
    pub fn uptime(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The moment to sleep until.
    pub fn instant(&self, time: Time) -> tokio::time::Instant {
        (self.origin + Duration::from_micros(time.as_micros())).into()
    }
}

/// The wall clock in time since 1970: for people who read the journal, never for a rule of the mesh.
#[expect(clippy::disallowed_methods, reason = "shown to people; and the epoch of a node that lost count of its starts")]
pub fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Compares the clocks from look to look.
#[derive(Debug, Default)]
pub struct Jumps {
    last: Option<(Times, Time)>,
}

/// What happened between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The machine slept for so long.
    pub slept: Option<Duration>,
    /// The time of day was set back by so much.
    pub set_back: Option<Duration>,
}

impl Jumps {
    /// Looks at the clocks; `awake` counts while the machine is awake only.
    pub fn look(&mut self, times: Times, awake: Time) -> Seen {
        let Some((before, awake_before)) = self.last.replace((times, awake)) else { return Seen::default() };
        let passed = times.steady.saturating_sub(before.steady);
        let notable = |jump: Duration| Some(jump).filter(|jump| *jump >= NOTABLE);
        Seen {
            slept: notable(passed.saturating_sub(awake.since(awake_before))),
            set_back: notable((before.wall + passed).saturating_sub(times.wall)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_and_a_clock_that_is_set_back_are_noticed_and_nothing_else() {
        let mut jumps = Jumps::default();
        let mut look = |wall: u64, steady: u64, awake: u64| {
            let times = Times { wall: Duration::from_secs(wall), steady: Duration::from_secs(steady) };
            jumps.look(times, Time::ZERO + Duration::from_secs(awake))
        };
        let nothing = Seen::default();
        assert_eq!(look(1_000, 10, 10), nothing);
        assert_eq!(look(1_001, 11, 11), nothing);
        assert_eq!(look(1_600, 610, 12), Seen { slept: Some(Duration::from_secs(598)), ..nothing });
        assert_eq!(look(9_999, 611, 13), nothing, "set forward");
        assert_eq!(look(1_602, 612, 14), Seen { set_back: Some(Duration::from_secs(8_398)), ..nothing });
        assert_eq!(look(1_604, 613, 15), nothing);
    }
}
