//! What one neighbour has not acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::record::Summary;
use super::super::time::Time;

/// Retransmission starts at this interval ...
const FIRST: Duration = Duration::from_secs(1);
/// ... doubles up to this one ...
const LONGEST: Duration = Duration::from_secs(8);
/// ... and is given up after so many attempts: the digests of the next hello will tell.
const ATTEMPTS: u32 = 10;

/// Items on their way to one neighbour, by key hash, and what it is owed.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Outbox {
    waiting: BTreeMap<u64, Waiting>,
    /// When something was sent last.
    sent_at: Option<Time>,
    /// Acknowledgements for what came from there.
    owed: Vec<Summary>,
    owed_due: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    content: u64,
    attempts: u32,
    due: Time,
}

impl Outbox {
    /// Queues an item, due then. One that replaces another that was not sent yet takes its place.
    pub(in super::super) fn push(&mut self, (key, content): Summary, due: Time) {
        match self.waiting.get_mut(&key) {
            Some(waiting) if waiting.content == content => {}
            Some(waiting) if waiting.attempts == 0 => {
                *waiting = Waiting { content, attempts: 0, due: waiting.due.min(due) };
            }
            _ => {
                self.waiting.insert(key, Waiting { content, attempts: 0, due });
            }
        }
    }

    /// The first time from `now` that lies so long after the last one at which something was sent.
    pub(in super::super) fn turn(&self, now: Time, gap: Duration) -> Time {
        self.sent_at.map_or(now, |at| (at + gap).max(now))
    }

    /// Owes acknowledgements, by then.
    pub(in super::super) fn owe(&mut self, held: &[Summary], due: Time) {
        self.owed.extend(held);
        self.owed_due = Some(self.owed_due.map_or(due, |owed| owed.min(due)));
    }

    /// Takes what is owed, if it is due.
    pub(in super::super) fn take_owed(&mut self, now: Time) -> Vec<Summary> {
        if self.owed_due.is_some_and(|due| due <= now) {
            self.owed_due = None;
            return std::mem::take(&mut self.owed);
        }
        Vec::new()
    }

    /// The neighbour holds something for this key: what was sent, or something newer that will come from there.
    pub(in super::super) fn acknowledge(&mut self, key: u64) {
        self.waiting.remove(&key);
    }

    /// Takes the keys that are due; their next retransmission is scheduled.
    pub(in super::super) fn take_due(&mut self, now: Time) -> Vec<u64> {
        self.waiting.retain(|_, waiting| waiting.due > now || waiting.attempts < ATTEMPTS);
        let due = self.waiting.iter_mut().filter(|(_, waiting)| waiting.due <= now);
        let take = |(key, waiting): (&u64, &mut Waiting)| {
            waiting.due = now + (FIRST * 2_u32.pow(waiting.attempts.min(8))).min(LONGEST);
            waiting.attempts += 1;
            *key
        };
        let due: Vec<u64> = due.map(take).collect();
        if !due.is_empty() {
            self.sent_at = Some(now);
        }
        due
    }

    /// When something is due.
    pub(in super::super) fn next(&self) -> Option<Time> {
        self.waiting.values().map(|waiting| waiting.due).chain(self.owed_due).min()
    }

    /// Whether something was sent twice and not acknowledged.
    pub(in super::super) fn is_late(&self) -> bool {
        self.waiting.values().any(|waiting| waiting.attempts > 2)
    }

    /// Whether everything is acknowledged.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets everything: the neighbour is gone, and reconciliation will follow when it is back.
    pub(in super::super) fn clear(&mut self) {
        self.waiting.clear();
        self.owed.clear();
        self.owed_due = None;
    }

    /// The neighbour holds all that is held here.
    pub(in super::super) fn acknowledge_all(&mut self) {
        self.waiting.clear();
    }
}
