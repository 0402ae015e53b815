//! The one place where the daemon reads clocks: the machine's monotonic clock becomes the engine's [`Time`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::mesh::time::Time;

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
