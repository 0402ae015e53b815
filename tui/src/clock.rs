//! The shell's clock: milliseconds since the dashboard began. What is shown and decided is given the time.

use std::time::{Duration, Instant};

/// Counts milliseconds; every copy counts the same.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begin: Instant,
}

impl Clock {
    /// Begins to count.
    #[expect(clippy::disallowed_methods, reason = "the shell's one clock; the model and the views are given `now`")]
    pub fn start() -> Self {
        Self { begin: Instant::now() }
    }

    /// Milliseconds since the begin.
    pub fn now_ms(self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long it is until a time; zero when it is over.
    pub fn until(self, at_ms: u64) -> Duration {
        Duration::from_millis(at_ms.saturating_sub(self.now_ms()))
    }
}
