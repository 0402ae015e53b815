//! The only place with clocks, sockets and tasks: a thin tokio loop around [`crate::mesh::engine::Engine`].
//!
//! [`run`] first takes what a node needs, and lets go of it again when something is not to be had (`start`): signals,
//! state directory and its lock, keys and epoch, admin port, admin socket, tunnel. Then the loop (`node`) gives the
//! engine what happens and does what it asks, until the engine has left the mesh, and everything is taken down again.
//!
//! ```text
//!   signals, admin requests, timers ----+            +---> underlay, tunnel.send_control
//!   underlay (bounded batches) ---------+            +---> tunnel.set, system.set
//!   control datagrams of the tunnel ----+--> Engine -+---> saver (one write at a time, the newest wins)
//!   tunnel report (about 1/s) ----------+            +---> resolver
//!   network changes, saved, resolved ---+            +---> journal and log, publisher
//! ```
//!
//! After each input all outputs are drained, in order. Nothing that may block is done in the loop: the disk has a
//! thread ([`saver`]), the system's resolver has threads ([`resolver`]), the admin server has tasks.

pub mod clock;
mod health;
pub mod journal;
mod lan;
mod node;
mod publisher;
pub mod reload;
pub mod resolver;
pub mod saver;
mod signal;
mod start;
pub mod store;
mod tunnel;
pub mod underlay;
mod watchdog;

use crate::admin::log_level::LogControl;
use crate::config::Config;

/// Threads for disk and resolver at most; they exist only while they are needed.
const BLOCKING_THREADS: usize = 8;

/// Runs one node until it is told to leave (SIGTERM, SIGINT). `log` sets how much is logged while it runs.
///
/// # Errors
/// It could not start, or its interface was taken away. Either way everything is cleaned up.
pub fn run(config: Config, log: LogControl) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|e| DaemonError(format!("cannot start the event loop: {e}")))?;
    let outcome = runtime.block_on(start::start(config, log));
    // A resolver that waits for a dead server is not waited for.
    runtime.shutdown_background();
    outcome
}

/// Why the daemon could not start or go on, with the remedy. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DaemonError(pub String);
