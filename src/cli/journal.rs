//! `wgnet journal`: asks the running daemon what happened, and goes on asking with `--follow`.

mod follow;

use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use wgnet_api::{Error, JournalEntry, Severity};

use super::args::JournalArgs;
use super::terminal;

/// Prints the last events, oldest first, and with `--follow` those that come. Exit code 2: no daemon answers.
pub(super) fn run(args: &JournalArgs) -> ExitCode {
    let outcome = args.daemon.client().and_then(|client| {
        let journal = client.journal()?;
        let skipped = args.lines.map_or(0, |lines| journal.entries.len().saturating_sub(lines));
        if args.follow {
            // Numbers have no gap: the first one that is wanted says which to pass over.
            let first = journal.entries.get(skipped).or_else(|| journal.entries.last());
            return follow::run(args, &client, first.map_or(0, |entry| entry.number));
        }
        for entry in &journal.entries[skipped..] {
            terminal::say(text(entry, args.json));
        }
        Ok(ExitCode::SUCCESS)
    });
    outcome.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &Error) -> ExitCode {
    terminal::complain(format_args!("wgnet: {error}"));
    ExitCode::from(2)
}

fn text(entry: &JournalEntry, json: bool) -> String {
    if json { serde_json::to_string(entry).expect("plain data") } else { line(entry) }
}

/// `2026-11-20T17:40:12.345Z warning link beta: the link to beta is down: its echoes stopped`
pub(super) fn line(entry: &JournalEntry) -> String {
    let time = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(entry.time_ms));
    let severity = match entry.severity {
        Severity::Info => "info   ",
        Severity::Warning => "warning",
        Severity::Error => "error  ",
    };
    format!("{time} {severity} {} {}: {}", entry.kind, entry.subject, entry.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_how_bad_what_and_why() {
        let entry = JournalEntry {
            number: 3,
            time_ms: 1_780_000_000_345,
            severity: Severity::Warning,
            kind: "link".to_owned(),
            subject: "beta".to_owned(),
            text: "the link to beta is down: its echoes stopped".to_owned(),
        };
        let expected = "2026-05-28T20:26:40.345Z warning link beta: the link to beta is down: its echoes stopped";
        assert_eq!(line(&entry), expected);
    }
}
