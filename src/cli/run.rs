//! `wgnet -c net.yaml wg0 10.1.1.1 alice`: runs a node.

use std::process::ExitCode;

use super::{logging, terminal};
use crate::config::{self, Config, Diagnostic, Given};
use crate::daemon;

/// Reads the configuration, compares it with this machine's networks, and runs the daemon.
pub(super) fn run(given: &Given) -> ExitCode {
    let Some(config) = load(given) else {
        return ExitCode::FAILURE;
    };
    let log = logging::start(config.verbosity);
    match daemon::run(config, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(format_args!("wgnet: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The configuration, after everything that is wrong was printed. `None` if that keeps wgnet from starting.
fn load(given: &Given) -> Option<Config> {
    let (config, mut diagnostics) = match config::load(given) {
        Ok((config, warnings)) => (Some(config), warnings),
        Err(diagnostics) => (None, diagnostics),
    };
    if let Some(config) = &config {
        match config::local_routes() {
            Ok(routes) => diagnostics.extend(config.conflicts(&routes)),
            Err(error) => terminal::complain(format_args!(
                "wgnet: warning: this machine's routes cannot be read: {error} (a conflict with them goes unnoticed)"
            )),
        }
    }
    for line in terminal::lines(&diagnostics) {
        terminal::complain(line);
    }
    config.filter(|_| !diagnostics.iter().any(Diagnostic::is_error))
}
