//! From a cost, a round trip or a loss to one of five steps between good and bad ([`Theme::heat`](crate::theme::Theme)).
//!
//! The thresholds are fixed, so that a colour means the same in every mesh and at every moment.

/// Number of steps.
pub const STEPS: usize = 5;

/// Round trips in milliseconds at which the second to fifth step begin: within a city, within a country, across a
/// continent, across an ocean, and what hurts in a conversation (ITU-T G.114 draws that line at 150 ms one way).
pub const RTT_MS: [f64; STEPS - 1] = [10.0, 40.0, 100.0, 200.0];

/// The same for costs: a clean link costs 50 and 10 for each millisecond.
pub const COST: [u64; STEPS - 1] = [150, 450, 1_050, 2_050];

/// The same for loss, as a share: below 0.5 % nobody notices, from 2 % on TCP slows down, from 5 % speech breaks, from
/// 15 % on nothing works well.
pub const LOSS: [f64; STEPS - 1] = [0.005, 0.02, 0.05, 0.15];

/// Step of a round trip in milliseconds, 0 to 4.
pub fn of_rtt(rtt_ms: f64) -> usize {
    step(rtt_ms, &RTT_MS)
}

/// Step of a cost, 0 to 4.
pub fn of_cost(cost: u64) -> usize {
    step(cost, &COST)
}

/// Step of a share of lost probes (0 to 1), 0 to 4.
pub fn of_loss(loss: f64) -> usize {
    step(loss, &LOSS)
}

fn step<T: PartialOrd>(value: T, thresholds: &[T; STEPS - 1]) -> usize {
    thresholds.iter().take_while(|threshold| value >= **threshold).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_link_has_one_colour_by_cost_and_by_round_trip() {
        for rtt_ms in [0.0, 3.0, 9.0, 10.0, 39.0, 40.0, 99.0, 100.0, 199.0, 200.0, 4_000.0] {
            assert_eq!(of_rtt(rtt_ms), of_cost(50 + 10 * rtt_ms as u64), "{rtt_ms} ms");
        }
    }

    #[test]
    fn the_ends_of_the_scale_are_the_first_and_the_last_step() {
        assert_eq!((of_cost(0), of_cost(u64::MAX)), (0, STEPS - 1));
        assert_eq!((of_loss(0.0), of_loss(1.0)), (0, STEPS - 1));
        assert_eq!((of_rtt(f64::NAN), of_rtt(f64::INFINITY)), (0, STEPS - 1));
    }
}
