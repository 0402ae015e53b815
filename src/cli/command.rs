//! `wgnet forget` and `wgnet cost`: commands to the running daemon.

use std::process::ExitCode;

use super::args::{CostArgs, ForgetArgs, SocketArgs, StatusArgs};
use super::status;

/// Lets go of a name.
pub fn forget(args: &ForgetArgs) -> ExitCode {
    unreachable_daemon(&args.daemon)
}

/// Shows or sets the cost of the link to a peer.
pub fn cost(args: &CostArgs) -> ExitCode {
    unreachable_daemon(&args.daemon)
}

fn unreachable_daemon(daemon: &SocketArgs) -> ExitCode {
    status::run(&StatusArgs { socket: daemon.socket.clone(), json: false })
}
