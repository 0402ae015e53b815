//! What the operating system must do for the mesh: addresses, routes, MTU, forwarding. Whole desired states,
//! idempotent, cleaned up at exit and after a crash of a former run.

use crate::mesh::io::{DesiredSystem, LocalNetwork};

/// The system's side of one interface.
pub trait System: Send {
    /// Makes the interface look like `desired`: adds, changes, then removes what is ours and no longer wanted.
    fn set(&mut self, desired: &DesiredSystem) -> impl Future<Output = Result<(), SystemError>> + Send;

    /// Addresses of the machine's other interfaces, loopback left out.
    fn local_network(&mut self) -> impl Future<Output = Result<LocalNetwork, SystemError>> + Send;

    /// Removes everything that `set` made and restores what it changed.
    fn clean_up(&mut self) -> impl Future<Output = Result<(), SystemError>> + Send;
}

/// The system refused. Says what was tried and how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}{}", if remedy.is_empty() { String::new() } else { format!(" ({remedy})") })]
pub struct SystemError {
    /// What was tried, such as `cannot add route 10.0.0.0/8 dev wg0`.
    pub what: String,
    /// What the system said.
    pub reason: String,
    /// How to mend it; empty when there is nothing to say.
    pub remedy: String,
}
