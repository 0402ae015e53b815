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

/// Items on their way to one neighbour, by key hash.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Outbox {
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    content: u64,
    attempts: u32,
    due: Time,
}

impl Outbox {
    /// Queues an item; it is due at once.
    pub(in super::super) fn push(&mut self, (key, content): Summary, now: Time) {
        if self.waiting.get(&key).is_none_or(|waiting| waiting.content != content) {
            self.waiting.insert(key, Waiting { content, attempts: 0, due: now });
        }
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
        due.map(take).collect()
    }

    /// When something is due.
    pub(in super::super) fn next(&self) -> Option<Time> {
        self.waiting.values().map(|waiting| waiting.due).min()
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
    }
}
