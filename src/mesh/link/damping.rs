//! Route-flap damping in the spirit of RFC 2439, on the origin's own links only.

use std::time::Duration;

use super::super::time::Time;

/// Penalty of one fall.
const PER_FLAP: f64 = 1_000.0;
/// The penalty halves in so many seconds.
const HALF_LIFE: f64 = 300.0;
/// Above it the link is advertised as a last resort ...
const SUPPRESS: f64 = 4_000.0;
/// ... until the penalty is below this ...
const REUSE: f64 = 1_500.0;
/// ... or so long has passed since the last fall.
const LONGEST: Duration = Duration::from_secs(600);

/// How much a link flapped lately.
#[derive(Clone, Debug, Default)]
pub struct Damping {
    penalty: f64,
    at: Time,
    suppressed: bool,
}

impl Damping {
    /// The link fell.
    pub fn fell(&mut self, now: Time) {
        self.penalty = self.decayed(now) + PER_FLAP;
        self.at = now;
        self.suppressed |= self.penalty >= SUPPRESS;
    }

    /// Whether the link shall be a last resort though it is up.
    pub fn is_suppressed(&mut self, now: Time) -> bool {
        if self.decayed(now) < REUSE || now.since(self.at) >= LONGEST {
            self.suppressed = false;
        }
        self.suppressed
    }

    fn decayed(&self, now: Time) -> f64 {
        self.penalty * 0.5_f64.powf(now.since(self.at).as_secs_f64() / HALF_LIFE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_falls_are_forgiven_and_many_are_not() {
        let mut damping = Damping::default();
        for minute in 0..3 {
            damping.fell(Time::from_secs(60 * minute));
        }
        assert!(!damping.is_suppressed(Time::from_secs(180)));
        for second in 0..5 {
            damping.fell(Time::from_secs(200 + second));
        }
        assert!(damping.is_suppressed(Time::from_secs(210)));
        assert!(!damping.is_suppressed(Time::from_secs(205 + 600)), "reused after ten minutes at the latest");
    }
}
