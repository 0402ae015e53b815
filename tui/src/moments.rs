//! The last ten minutes, moment by moment, so that one can go back in them.
//!
//! A ring of segments: each begins with a whole snapshot and goes on with differences. Going to a moment applies at
//! most [`SEGMENT`] differences; forgetting drops the oldest segment. So 600 moments of 500 peers take some 10 MB
//! rather than 300.

use std::collections::VecDeque;

use wgnet_api::{Difference, Snapshot};

/// Moments of a segment.
const SEGMENT: usize = 30;
/// Segments kept.
const SEGMENTS: usize = 20;

/// What was.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    segments: VecDeque<Segment>,
    /// Number of the first moment that is kept, counted from the first one ever.
    first: usize,
}

#[derive(Clone, Debug)]
struct Segment {
    begin: Snapshot,
    later: Vec<Difference>,
}

impl Moments {
    /// Keeps a moment: the difference that led to it, and what it led to.
    pub fn push(&mut self, difference: Option<&Difference>, now: &Snapshot) {
        match (difference, self.segments.back_mut()) {
            (Some(difference), Some(segment)) if segment.later.len() + 1 < SEGMENT => {
                segment.later.push(difference.clone());
            }
            _ => {
                if self.segments.len() == SEGMENTS
                    && let Some(gone) = self.segments.pop_front()
                {
                    self.first += gone.later.len() + 1;
                }
                self.segments.push_back(Segment { begin: now.clone(), later: Vec::new() });
            }
        }
    }

    /// Numbers of the moments that are kept. A number stays with its moment.
    pub fn numbers(&self) -> std::ops::Range<usize> {
        let count: usize = self.segments.iter().map(|segment| segment.later.len() + 1).sum();
        self.first..self.first + count
    }

    /// The moment of a number; the nearest kept one if it is gone.
    pub fn at(&self, number: usize) -> Option<Snapshot> {
        let mut number = number.saturating_sub(self.first);
        for segment in &self.segments {
            if number <= segment.later.len() {
                let mut snapshot = segment.begin.clone();
                for difference in &segment.later[..number] {
                    snapshot.apply(difference.clone());
                }
                return Some(snapshot);
            }
            number -= segment.later.len() + 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_kept_moment_comes_back_as_it_was() {
        let mut moments = Moments::default();
        let mut all = vec![fixture::snapshot(8)];
        moments.push(None, &all[0]);
        for second in 1..100 {
            let before = &all[second - 1];
            let now = fixture::later(before, 1);
            moments.push(Some(&before.difference(&now)), &now);
            all.push(now);
        }
        assert_eq!(moments.numbers(), 0..100);
        for number in [0, 1, 29, 30, 31, 59, 60, 99] {
            let moment = moments.at(number).expect("kept");
            assert_eq!(moment.time_ms, all[number].time_ms, "{number}");
            assert_eq!(moment.status.peers[3].rx_bytes, all[number].status.peers[3].rx_bytes, "{number}");
        }
        assert!(moments.at(100).is_none());
    }

    #[test]
    fn old_moments_are_forgotten_and_the_others_keep_their_numbers() {
        let mut moments = Moments::default();
        let mut now = fixture::snapshot(1);
        moments.push(None, &now);
        for _ in 1..1_000 {
            let next = fixture::later(&now, 1);
            moments.push(Some(&now.difference(&next)), &next);
            now = next;
        }
        let numbers = moments.numbers();
        assert_eq!(numbers.end, 1_000);
        assert!(numbers.len() <= SEGMENT * SEGMENTS);
        assert_eq!(moments.at(999).map(|moment| moment.time_ms), Some(now.time_ms));
        let oldest = moments.at(0).expect("the nearest").time_ms;
        assert_eq!(oldest, fixture::TIME_MS + numbers.start as u64 * 1_000);
    }
}
