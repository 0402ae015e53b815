//! Waiting for events: a condition polled with a deadline, never a fixed sleep.

use std::time::{Duration, Instant};

/// Asks `event` until it has happened, every 5 ms at first and every 50 ms later; `None` when it did not within `within`.
pub fn until<T>(within: Duration, mut event: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = event() {
            return Some(value);
        }
        let waited = start.elapsed();
        if waited >= within {
            return None;
        }
        let pause = if waited < Duration::from_secs(1) { Duration::from_millis(5) } else { Duration::from_millis(50) };
        std::thread::sleep(pause);
    }
}
