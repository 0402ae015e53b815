//! Waiting for events: a condition polled with a deadline, never a fixed sleep.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// `WGNET_TEST_SLOWNESS`: how many times as long as on a real machine everything may take here.
static SLOWNESS: LazyLock<f64> = LazyLock::new(|| {
    let Ok(text) = std::env::var("WGNET_TEST_SLOWNESS") else { return 1.0 };
    let number = text.parse().ok().filter(|number| (1.0..=1000.0).contains(number));
    number.unwrap_or_else(|| panic!("WGNET_TEST_SLOWNESS={text}: give a number from 1 to 1000"))
});

/// How long something may take on this machine that may take `time` on a real one: longer where the processor is emulated,
/// as `WGNET_TEST_SLOWNESS` says. The daemons' own timers know nothing of it.
pub fn allowed(time: Duration) -> Duration {
    time.mul_f64(*SLOWNESS)
}

/// Asks `event` until it has happened, every 5 ms at first and every 50 ms later; `None` when it did not within the time that
/// is [`allowed`] for `within`.
pub fn until<T>(within: Duration, event: impl FnMut() -> Option<T>) -> Option<T> {
    until_exactly(allowed(within), event)
}

/// The same where `within` is meant as it stands: already the time that is allowed, or the time to look on.
pub fn until_exactly<T>(within: Duration, mut event: impl FnMut() -> Option<T>) -> Option<T> {
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
