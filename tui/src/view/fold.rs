//! What happened, in few lines: when a gateway dies, dozens of peers move to another one at once, which is one thing to
//! tell and not dozens.

use wgnet_api::{JournalEntry, Severity};

use super::journal::told;

/// Events are one when they are no further apart than this, in milliseconds.
const TOGETHER_MS: u64 = 1_000;

/// Events of one kind, with one text, about different nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fold<'a> {
    /// The newest of them.
    pub(super) newest: &'a JournalEntry,
    /// How many there are besides.
    pub(super) more: usize,
    /// The worst severity of all.
    pub(super) severity: Severity,
    oldest_ms: u64,
}

/// Folds events, the newest first, into at most so many. Others may have happened in between: two peers that went to
/// one gateway and two that went to another, by turns, are two folds.
pub(super) fn folded<'a>(newest_first: impl Iterator<Item = &'a JournalEntry>, most: usize) -> Vec<Fold<'a>> {
    let mut folds: Vec<Fold<'a>> = Vec::new();
    for entry in newest_first {
        let is_near = |fold: &Fold<'_>| fold.oldest_ms.saturating_sub(entry.time_ms) <= TOGETHER_MS;
        let is_same = |fold: &Fold<'_>| fold.newest.kind == entry.kind && told(fold.newest) == told(entry);
        if let Some(at) = folds.iter().rposition(|fold| is_near(fold) && is_same(fold)) {
            let fold = &mut folds[at];
            fold.more += 1;
            fold.severity = fold.severity.max(entry.severity);
            fold.oldest_ms = fold.oldest_ms.min(entry.time_ms);
        } else if folds.len() < most {
            folds.push(Fold { newest: entry, more: 0, severity: entry.severity, oldest_ms: entry.time_ms });
        } else if !folds.iter().any(is_near) {
            break;
        }
    }
    folds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time_ms: u64, subject: &str, text: &str) -> JournalEntry {
        let text = format!("{subject}: {text}");
        JournalEntry {
            number: 0,
            time_ms,
            severity: Severity::Info,
            kind: "path".into(),
            subject: subject.into(),
            text,
        }
    }

    fn told_in(entries: &[JournalEntry], most: usize) -> Vec<(&str, usize)> {
        let folds = folded(entries.iter(), most);
        folds.iter().map(|fold| (fold.newest.subject.as_str(), fold.more)).collect()
    }

    #[test]
    fn what_happens_to_many_at_once_is_told_once() {
        let mut entries = vec![
            entry(9_000, "a", "through lon"),
            entry(8_500, "b", "through fra"),
            entry(8_400, "c", "through lon"),
            entry(8_400, "d", "through fra"),
            entry(7_400, "e", "through lon"),
            entry(6_000, "f", "through lon"),
        ];
        assert_eq!(told_in(&entries, 9), [("a", 2), ("b", 1), ("f", 0)], "a second later it is another event");
        assert_eq!(told_in(&entries, 1), [("a", 2)], "all are counted where there is room for few");
        assert!(told_in(&entries, 0).is_empty());
        entries[2].kind = "link".to_owned();
        assert_eq!(told_in(&entries, 9), [("a", 0), ("b", 1), ("c", 0), ("e", 0), ("f", 0)]);
    }

    #[test]
    fn the_worst_of_them_tells_how_bad_it_is() {
        let mut entries = [entry(9_000, "a", "is gone"), entry(9_000, "b", "is gone")];
        entries[1].severity = Severity::Error;
        let folds = folded(entries.iter(), 5);
        assert_eq!((folds.len(), folds[0].severity), (1, Severity::Error));
    }
}
