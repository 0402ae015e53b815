//! The service manager's watchdog (`WatchdogSec=` of systemd): fed by work that was done, never by a timer alone.

use std::time::Duration;

use crate::mesh::time::Time;

/// Tells the service manager that this daemon works, if it wants to know.
pub(super) struct Watchdog {
    interval: Option<Duration>,
    next: Time,
}

impl Watchdog {
    /// Asks the environment (`WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub(super) fn from_environment() -> Self {
        Self { interval: sd_notify::watchdog_enabled(), next: Time::ZERO }
    }

    /// The engine took a step with what the tunnel reported; three times per interval that is told.
    pub(super) fn feed(&mut self, now: Time) {
        let Some(interval) = self.interval.filter(|_| self.next <= now) else { return };
        self.next = now + interval / 3;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    }
}
