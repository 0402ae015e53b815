//! `wgnet journal`: asks the running daemon what happened.

use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use wgnet_api::{Client, JournalEntry, Severity, find_socket};

use super::args::JournalArgs;
use super::terminal;

/// Prints the last events, oldest first. Exit code 2: no daemon answers.
pub(super) fn run(args: &JournalArgs) -> ExitCode {
    let answer = find_socket(args.daemon.socket.as_deref()).and_then(|socket| Client::new(socket).journal());
    let journal = match answer {
        Ok(journal) => journal,
        Err(error) => {
            terminal::complain(format_args!("wgnet: {error}"));
            return ExitCode::from(2);
        }
    };
    let skipped = args.lines.map_or(0, |lines| journal.entries.len().saturating_sub(lines));
    for entry in &journal.entries[skipped..] {
        match args.json {
            true => terminal::say(serde_json::to_string(entry).unwrap_or_default()),
            false => terminal::say(line(entry)),
        }
    }
    ExitCode::SUCCESS
}

/// `2026-11-20T17:40:12.345Z warning link beta: the link to beta is down: its echoes stopped`
fn line(entry: &JournalEntry) -> String {
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
