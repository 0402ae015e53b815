//! The only place with clocks, sockets and tasks: a thin tokio loop around [`crate::mesh::engine::Engine`].

pub mod clock;
pub mod journal;
pub mod resolver;
pub mod saver;
pub mod store;
pub mod underlay;

use crate::config::Config;

/// Runs one node until it is told to leave.
pub fn run(config: Config) -> Result<(), DaemonError> {
    let _ = config;
    Ok(())
}

/// Why the daemon could not start or go on. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DaemonError(pub String);
