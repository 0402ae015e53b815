//! From round trip and loss to a cost, and from a measured cost to an advertised one.

use std::time::Duration;

use super::super::record::Quality;
use super::super::time::Time;
use super::super::view::Probes;

/// What a hop costs beside its latency. Latency counts 10 a millisecond: a detour through one more node must save 5 ms.
pub const BASE_COST: u32 = 50;
/// Highest cost of a link that is up.
const MAX_COST: u32 = 1_000_000;
/// The measured cost must stay outside these bounds around the advertised one ...
const LOWER: f64 = 0.67;
const UPPER: f64 = 1.5;
/// ... by at least this much (3 ms) ...
const LEAST_CHANGE: u32 = 30;
/// ... for so long before it is advertised. A simulation with 15 % jitter changes next hops eleven times less often
/// with sticky adverts than without, and loses nothing, while stickiness in path choice loses 4 to 10 % of the pairs.
const SUSTAINED: Duration = Duration::from_secs(3);

/// Smoothed round trip and loss of one link, and the cost advertised for it.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    rtt: Option<f64>,
    /// Whether the link came up a moment ago.
    settling: bool,
    loss: f64,
    advertised: Option<u32>,
    outside_since: Option<Time>,
    fixed: Option<u32>,
    probes: Probes,
}

impl Cost {
    /// A round trip was measured.
    pub fn sample_rtt(&mut self, rtt: Duration) {
        let sample = rtt.as_secs_f64();
        self.probes.answered += 1;
        self.probes.last = Some(rtt);
        self.rtt = Some(match self.rtt {
            // What waited for a handshake comes back all at once, and its round trips say how long that took.
            Some(rtt) if self.settling => rtt.min(sample),
            Some(rtt) => rtt + (sample - rtt) / 8.0,
            None => sample,
        });
        self.loss -= self.loss / 32.0;
    }

    /// A probe was not answered in time.
    pub fn sample_loss(&mut self) {
        self.probes.missed += 1;
        self.loss += (1.0 - self.loss) / 32.0;
    }

    /// The link came up anew: what was lost while it was down says nothing about it.
    pub fn restart(&mut self) {
        *self = Self { fixed: self.fixed, probes: self.probes, settling: true, ..Self::default() };
    }

    /// The link is up for long enough to believe every round trip.
    pub fn settle(&mut self) {
        self.settling = false;
    }

    /// Takes `cost` in place of the measured one, or (`None`) measures again.
    pub fn fix(&mut self, cost: Option<u32>) {
        if self.fixed != cost {
            self.fixed = cost;
            self.advertised = None;
        }
    }

    /// Whether a person set the cost.
    pub fn is_fixed(&self) -> bool {
        self.fixed.is_some()
    }

    /// What probing brought since the start.
    pub fn probes(&self) -> Probes {
        self.probes
    }

    /// Smoothed round trip.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.map(Duration::from_secs_f64)
    }

    /// Smoothed share of lost probes (there or back), 0 to 1.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// What was measured, for people.
    pub fn quality(&self) -> Quality {
        Quality {
            rtt_us: self.rtt.map_or(0, |rtt| (rtt * 1e6).clamp(1.0, f64::from(u32::MAX)) as u32),
            loss_percent: (self.loss * 100.0).round().clamp(0.0, 100.0) as u8,
            mtu: None,
        }
    }

    /// The cost as measured now.
    pub fn measured(&self) -> u32 {
        if let Some(fixed) = self.fixed {
            return fixed.clamp(1, MAX_COST);
        }
        cost(self.rtt.unwrap_or(0.0), self.loss)
    }

    /// The cost to advertise at `now`.
    pub fn advertise(&mut self, now: Time) -> u32 {
        let measured = self.measured();
        let Some(advertised) = self.advertised.filter(|_| self.fixed.is_none()) else {
            self.advertised = Some(measured);
            return measured;
        };
        if self.settling && measured < advertised {
            self.advertised = Some(measured);
            return measured;
        }
        let ratio = f64::from(measured) / f64::from(advertised);
        let outside = !(LOWER..=UPPER).contains(&ratio) && measured.abs_diff(advertised) >= LEAST_CHANGE;
        if !outside {
            self.outside_since = None;
            return advertised;
        }
        let since = *self.outside_since.get_or_insert(now);
        if now.since(since) < SUSTAINED {
            return advertised;
        }
        self.outside_since = None;
        self.advertised = Some(measured);
        measured
    }
}

/// The cost of a link of this round trip in seconds and this share of lost probes.
fn cost(rtt: f64, loss: f64) -> u32 {
    let millis = (rtt * 1_000.0).floor();
    // A lost probe costs a retransmission there and back; below 2 % it is noise.
    let delivered = if loss < 0.02 { 1.0 } else { 1.0 - loss.min(0.9) };
    let cost = (f64::from(BASE_COST) + 10.0 * millis) / (delivered * delivered);
    (cost as u32).clamp(1, MAX_COST)
}

/// The cost of a link by what its owner told of it.
pub fn cost_of(quality: Quality) -> u32 {
    cost(f64::from(quality.rtt_us) / 1e6, f64::from(quality.loss_percent) / 1e2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(millis: u64) -> Cost {
        let mut cost = Cost::default();
        (0..50).for_each(|_| cost.sample_rtt(Duration::from_millis(millis)));
        cost.advertise(Time::ZERO);
        cost
    }

    #[test]
    fn links_of_one_lan_cost_the_same() {
        let mut near = Cost::default();
        near.sample_rtt(Duration::from_micros(120));
        let mut far = Cost::default();
        far.sample_rtt(Duration::from_micros(900));
        assert_eq!(near.measured(), far.measured());
    }

    #[test]
    fn what_waited_for_the_handshake_is_forgotten_while_a_link_settles() {
        let mut cost = Cost::default();
        cost.restart();
        let waited = [495, 395, 295, 195, 95].map(Duration::from_millis);
        waited.into_iter().for_each(|rtt| cost.sample_rtt(rtt));
        assert!(cost.advertise(Time::ZERO) > 900);
        cost.sample_rtt(Duration::from_millis(2));
        assert_eq!(cost.advertise(Time::ZERO), BASE_COST + 20);
        cost.settle();
        cost.sample_rtt(Duration::from_millis(82));
        assert_eq!(cost.rtt(), Some(Duration::from_millis(12)));
    }

    #[test]
    fn jitter_does_not_change_the_advert() {
        let mut cost = settled(40);
        let before = cost.advertise(Time::ZERO);
        for second in 0..600 {
            cost.sample_rtt(Duration::from_millis(if second % 2 == 0 { 46 } else { 34 }));
            assert_eq!(cost.advertise(Time::from_secs(second)), before);
        }
    }

    #[test]
    fn a_lasting_change_is_advertised_after_three_seconds() {
        let mut cost = settled(20);
        let before = cost.advertise(Time::ZERO);
        (0..100).for_each(|_| cost.sample_rtt(Duration::from_millis(80)));
        assert_eq!(cost.advertise(Time::from_secs(1)), before);
        assert_eq!(cost.advertise(Time::from_secs(3)), before);
        assert!(cost.advertise(Time::from_secs(4)) > 2 * before);
    }

    #[test]
    fn a_lossy_short_link_loses_to_a_clean_longer_one() {
        let mut lossy = settled(10);
        (0..40).for_each(|_| lossy.sample_loss());
        assert!(lossy.measured() > settled(30).measured());
    }

    #[test]
    fn a_fixed_cost_acts_at_once_and_can_be_cleared() {
        let mut cost = settled(20);
        let measured = cost.advertise(Time::ZERO);
        cost.fix(Some(7));
        assert_eq!(cost.advertise(Time::ZERO), 7);
        cost.fix(None);
        assert_eq!(cost.advertise(Time::ZERO), measured);
    }
}
