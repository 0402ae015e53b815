//! Port mapping: the router before this machine lets WireGuard's port through, so that anyone can begin to speak with it.
//!
//! [`PortMapper`] takes a whole desired state and never waits; what became of it comes as messages, each the whole truth
//! until the next. [`start`] gives the real one, which asks by PCP, NAT-PMP and UPnP (`protocols`) and renews what it got
//! (`keeper`) in a thread of its own: what a router answers is parsed there, so it can be as slow or as long as it likes.
//! Without the feature `port-mapping` there is none.

#[cfg(feature = "port-mapping")]
mod keeper;
#[cfg(feature = "port-mapping")]
mod protocols;

use std::net::Ipv4Addr;

#[cfg(feature = "port-mapping")]
pub use keeper::start;

/// A port that a router shall lead to this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The router: the next hop of the default route.
    pub router: Ipv4Addr,
    /// WireGuard's UDP port here. Outside it is the same where that is free.
    pub port: u16,
}

/// Keeps a port of a router mapped. What it achieved comes by a channel that its maker gave it: the mapping, or `None` when
/// there is none any more.
pub trait PortMapper: Send {
    /// What shall be mapped; `None`: nothing, and what is mapped is given back. Never waits. The same once more changes
    /// nothing.
    fn set(&mut self, wanted: Option<Wanted>);

    /// Asks the router now, instead of when it is due: something is different, or may be.
    fn ask_again(&mut self);
}
