//! Two ends of one link.

use std::time::Duration;

use super::*;
use crate::mesh::time::Time;

/// A datagram on its way: when it arrives, to which end, and what it says.
type Flying = (Time, usize, Probe);

struct Pair {
    ends: [Link; 2],
    flying: Vec<Flying>,
    sent: [usize; 2],
    delay: Duration,
    now: Time,
}

impl Pair {
    fn new(interval: Duration, delay: Duration) -> Self {
        let mut pair = Self {
            ends: [Link::new(Time::ZERO, false), Link::new(Time::ZERO, true)],
            flying: Vec::new(),
            sent: [0; 2],
            delay,
            now: Time::ZERO,
        };
        pair.ends.iter_mut().for_each(|end| end.set_interval(interval, Time::ZERO));
        pair
    }

    /// Lets time pass; `passes` says whether a datagram to that end arrives. Gives what became of the links.
    fn run(&mut self, end: Time, passes: impl Fn(usize) -> bool) -> Vec<(Time, usize, LinkChange)> {
        let mut changes = Vec::new();
        loop {
            let polls = self.ends.iter().enumerate().map(|(at, link)| (link.next(), at, None));
            let arrivals = self.flying.iter().enumerate().map(|(index, (at, to, _))| (*at, *to, Some(index)));
            let (at, who, arrival) = polls.chain(arrivals).min_by_key(|(at, ..)| *at).expect("two ends");
            if at > end {
                self.now = end;
                return changes;
            }
            self.now = self.now.max(at);
            let (change, probe) = match arrival {
                Some(index) => {
                    let (_, _, probe) = self.flying.remove(index);
                    self.ends[who].received(self.now, probe)
                }
                None => self.ends[who].poll(self.now, 0.5),
            };
            if change != LinkChange::None {
                changes.push((self.now, who, change));
            }
            if let Some(probe) = probe {
                self.sent[who] += 1;
                if passes(1 - who) {
                    self.flying.push((self.now + self.delay, 1 - who, probe));
                }
            }
        }
    }
}

#[test]
fn one_question_and_its_answer_an_interval_are_enough_for_both() {
    for (interval, delay) in
        [(IDLE_INTERVAL, 0), (IDLE_INTERVAL, 30_000), (ACTIVE_INTERVAL, 200), (ACTIVE_INTERVAL, 90_000)]
    {
        let mut pair = Pair::new(interval, Duration::from_micros(delay));
        let changes = pair.run(Time::from_secs(30), |_| true);
        assert_eq!(changes.len(), 2, "both come up once: {changes:?}");
        pair.sent = [0; 2];
        pair.run(Time::from_secs(30) + 100 * interval, |_| true);
        assert!(pair.sent.iter().all(|sent| (80..=101).contains(sent)), "{interval:?} {delay}: {:?}", pair.sent);
    }
}

#[test]
fn a_link_that_dies_in_one_direction_is_down_at_both_ends_within_five_seconds() {
    for dead in [0, 1] {
        let mut pair = Pair::new(ACTIVE_INTERVAL, Duration::from_millis(5));
        pair.run(Time::from_secs(30), |_| true);
        let changes = pair.run(Time::from_secs(35), |to| to != dead);
        let down: Vec<usize> =
            changes.iter().filter(|(.., change)| *change == LinkChange::Down).map(|(_, who, _)| *who).collect();
        assert!(down.contains(&0) && down.contains(&1), "{changes:?}");
        let changes = pair.run(Time::from_secs(60), |_| true);
        assert!(changes.iter().filter(|(.., change)| *change == LinkChange::Up).count() >= 2, "it heals: {changes:?}");
    }
}
