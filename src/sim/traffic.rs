//! Pings through the overlay: what users would notice.

use std::time::Duration;

use crate::mesh::time::Time;

/// A ping that is not answered within this time is lost.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// One echo request and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    /// Number of the node that sent it.
    pub from: usize,
    /// Number of the node it was for.
    pub to: usize,
    /// When it was sent.
    pub sent: Time,
    /// When its answer came.
    pub answered: Option<Time>,
}

impl Ping {
    /// Whether it was answered in time.
    pub fn passed(&self) -> bool {
        self.answered.is_some_and(|at| at.since(self.sent) <= ANSWER_WITHIN)
    }
}

/// All pings that may still be asked for. Numbers rise; old ones can be forgotten.
#[derive(Debug, Default)]
pub(super) struct Pings {
    list: Vec<Ping>,
    /// Number of the first one in the list.
    first: usize,
}

impl Pings {
    /// Notes a ping; gives its number.
    pub(super) fn add(&mut self, from: usize, to: usize, sent: Time) -> usize {
        self.list.push(Ping { from, to, sent, answered: None });
        self.first + self.list.len() - 1
    }

    /// An answer came.
    pub(super) fn answered(&mut self, number: usize, at: Time) {
        if let Some(ping) = number.checked_sub(self.first).and_then(|index| self.list.get_mut(index)) {
            ping.answered.get_or_insert(at);
        }
    }

    /// What became of a ping; `None` if it is forgotten.
    pub(super) fn get(&self, number: usize) -> Option<&Ping> {
        number.checked_sub(self.first).and_then(|index| self.list.get(index))
    }

    /// Forgets all pings sent before that time.
    pub(super) fn forget_before(&mut self, time: Time) {
        let old = self.list.partition_point(|ping| ping.sent < time);
        self.list.drain(..old);
        self.first += old;
    }
}

/// What the pings of one pair came to within a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Pings sent.
    pub sent: u32,
    /// Pings not answered in time.
    pub lost: u32,
    /// When the first lost one was sent.
    pub first_lost: Option<Time>,
    /// From the first of a run of lost pings to the next that was answered; of the longest such run.
    pub outage: Duration,
}

impl Losses {
    /// Counts over a pair's pings (time sent, whether it passed) in order of time. A run that lasts to the end of the
    /// window ends there.
    pub fn of(pings: impl Iterator<Item = (Time, bool)>, end: Time) -> Self {
        let mut losses = Self::default();
        let mut run: Option<Time> = None;
        for (sent, passed) in pings {
            losses.sent += 1;
            if passed {
                if let Some(began) = run.take() {
                    losses.outage = losses.outage.max(sent.since(began));
                }
            } else {
                losses.lost += 1;
                losses.first_lost.get_or_insert(sent);
                run.get_or_insert(sent);
            }
        }
        if let Some(began) = run {
            losses.outage = losses.outage.max(end.since(began));
        }
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_the_first_lost_to_the_next_answered_ping() {
        let at = Time::from_secs;
        let pings = [(at(1), true), (at(2), false), (at(3), false), (at(4), true), (at(5), false), (at(6), true)];
        let losses = Losses::of(pings.into_iter(), at(7));
        assert_eq!(losses, Losses { sent: 6, lost: 3, first_lost: Some(at(2)), outage: Duration::from_secs(2) });
        let open = Losses::of([(at(1), true), (at(2), false)].into_iter(), at(7));
        assert_eq!(open.outage, Duration::from_secs(5));
    }

    #[test]
    fn forgotten_pings_keep_the_numbers_of_the_others() {
        let mut pings = Pings::default();
        let (old, new) = (pings.add(0, 1, Time::ZERO), pings.add(1, 0, Time::from_secs(5)));
        pings.forget_before(Time::from_secs(1));
        pings.answered(old, Time::from_secs(6));
        pings.answered(new, Time::from_secs(6));
        assert!(pings.get(old).is_none());
        assert!(pings.get(new).is_some_and(Ping::passed));
    }
}
