//! The last events in memory, for `GET /v1/journal`; every one also goes to the log.

use std::collections::VecDeque;
use std::time::Duration;

use crate::mesh::event::{Event, Severity};

/// How many events are kept: about 200 KB at worst, weeks of a quiet mesh.
const KEPT: usize = 1_000;

/// An event and when it happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Rises by one per event; a gap means that events were dropped.
    pub number: u64,
    /// Wall clock, time since 1970.
    pub at: Duration,
    /// What happened.
    pub event: Event,
}

/// A ring of the last events.
#[derive(Debug, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    next: u64,
}

impl Journal {
    /// Logs and keeps an event.
    pub fn add(&mut self, at: Duration, event: Event) {
        let Event { severity, kind, subject, text } = &event;
        match severity {
            Severity::Info => tracing::info!(?kind, subject, "{text}"),
            Severity::Warning => tracing::warn!(?kind, subject, "{text}"),
            Severity::Error => tracing::error!(?kind, subject, "{text}"),
        }
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { number: self.next, at, event });
        self.next += 1;
    }

    /// The events kept, oldest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> + DoubleEndedIterator {
        self.entries.iter()
    }

    /// The number that the next event will have.
    pub fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::event::EventKind;

    #[test]
    fn keeps_the_last_thousand_and_counts_all() {
        let mut journal = Journal::default();
        for i in 0..1_500 {
            let event =
                Event { severity: Severity::Info, kind: EventKind::Node, subject: "bob".into(), text: format!("{i}") };
            journal.add(Duration::ZERO, event);
        }
        let entries: Vec<_> = journal.entries().collect();
        assert_eq!(entries.len(), 1_000);
        assert_eq!((entries[0].number, entries[0].event.text.as_str()), (500, "500"));
        assert_eq!(entries[999].number, 1_499);
    }
}
