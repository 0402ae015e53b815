//! One moment as JSON for scripts and reports.

use serde::Serialize;
use wgnet_api::{JournalEntry, Snapshot};

/// A moment and the journal up to it, for people to read: `{"snapshot": {..}, "journal": [..]}`, as the admin protocol
/// has them.
pub fn json(snapshot: &Snapshot, journal: &[JournalEntry]) -> String {
    #[derive(Serialize)]
    struct Moment<'a> {
        snapshot: &'a Snapshot,
        journal: &'a [JournalEntry],
    }
    let mut text =
        serde_json::to_string_pretty(&Moment { snapshot, journal }).expect("no maps with keys other than text");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_moment_is_read_again_as_it_was() {
        let snapshot = fixture::snapshot(3);
        let text = json(&snapshot, &[]);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(serde_json::from_value::<Snapshot>(value["snapshot"].clone()).expect("a snapshot"), snapshot);
        assert_eq!(value["journal"], serde_json::json!([]));
        assert!(text.ends_with("}\n") && text.lines().count() > 20, "pretty");
    }
}
