//! `wgnet check`: names every mistake, touches nothing.

use std::process::ExitCode;

use super::terminal;
use crate::config::{self, Diagnostic, Given};

/// Prints the findings and their count to standard output. Fails if an error is among them.
pub(super) fn run(given: &Given) -> ExitCode {
    let routes = config::local_routes().unwrap_or_else(|error| {
        terminal::complain(format_args!(
            "wgnet: warning: this machine's routes cannot be read: {error} (a conflict with them goes unnoticed)"
        ));
        Vec::new()
    });
    let diagnostics = config::check(given, &routes);
    for line in terminal::lines(&diagnostics) {
        terminal::say(line);
    }
    terminal::say(terminal::count(&diagnostics));
    if diagnostics.iter().any(Diagnostic::is_error) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
