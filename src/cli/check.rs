//! `wgnet check`: names every mistake, touches nothing.

use std::path::Path;
use std::process::ExitCode;

use super::terminal;
use crate::config::{self, DEFAULT_SOCKET_DIR, Diagnostic, Given};

/// Prints the findings and their count to standard output. Fails if an error is among them.
pub(super) fn run(given: &Given) -> ExitCode {
    let mut routes = config::local_routes().unwrap_or_else(|error| {
        terminal::complain(format_args!(
            "wgnet: warning: this machine's routes cannot be read: {error} (a conflict with them goes unnoticed)"
        ));
        Vec::new()
    });
    // Without an interface nobody knows which running node the file belongs to: none of them is a conflict then.
    if given.interface.is_none() {
        routes.retain(|route| !has_node(&route.interface));
    }
    let diagnostics = config::check(given, &routes);
    for line in terminal::lines(&diagnostics) {
        terminal::say(line);
    }
    terminal::say(terminal::count(&diagnostics));
    if diagnostics.iter().any(Diagnostic::is_error) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether a node of this machine made `interface`.
fn has_node(interface: &str) -> bool {
    Path::new(DEFAULT_SOCKET_DIR).join(format!("{interface}.sock")).exists()
}
