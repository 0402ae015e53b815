//! What the operating system must do for the mesh: addresses, routes, MTU, forwarding. Whole desired states,
//! idempotent, cleaned up at exit and after a crash of a former run.
//!
//! `linux/` does it by netlink, `macos/` by ioctls and the routing socket; [`fake`] records what it was told, for tests.
//! [`port_mapping`] is about another machine, the router before this one.

pub mod fake;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(any(test, target_os = "macos"))]
pub mod macos;
pub mod port_mapping;

use std::net::{IpAddr, Ipv4Addr};

use crate::mesh::io::{DesiredSystem, LocalNetwork};
#[cfg(any(test, target_os = "linux", target_os = "macos"))]
use crate::mesh::io::{LanInterface, LocalAddress};

/// The system's side of one interface.
pub trait System: Send {
    /// Makes the interface look like `desired`: adds, changes, then removes what is ours and no longer wanted.
    fn set(&mut self, desired: &DesiredSystem) -> impl Future<Output = Result<(), SystemError>> + Send;

    /// Addresses of the machine's other interfaces that are up; loopback, link-local addresses and the interfaces of
    /// wgnet are left out. Sorted, so that equal networks compare equal.
    fn local_network(&mut self) -> impl Future<Output = Result<LocalNetwork, SystemError>> + Send;

    /// The interface of the smallest MTU among those that lead to `peers` and to everywhere else, and that MTU in bytes.
    /// Loopback and the interfaces of wgnet are left out; `None` when nothing remains.
    fn underlay_mtu(
        &mut self,
        peers: &[IpAddr],
    ) -> impl Future<Output = Result<Option<(String, u32)>, SystemError>> + Send;

    /// The router that has what this machine sends by IPv4 to everywhere else; `None` when there is none, or when it is
    /// known by its interface alone.
    fn router(&mut self) -> impl Future<Output = Result<Option<Ipv4Addr>, SystemError>> + Send;

    /// Waits until `local_network` may answer differently. May be dropped and called again.
    fn network_changed(&mut self) -> impl Future<Output = ()> + Send;

    /// Removes everything that `set` made and restores what it changed.
    fn clean_up(&mut self) -> impl Future<Output = Result<(), SystemError>> + Send;
}

/// The system refused. Says what was tried and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}{}", if remedy.is_empty() { String::new() } else { format!(" ({remedy})") })]
pub struct SystemError {
    /// What was tried, such as `cannot add route 10.0.0.0/8 dev wg0`.
    pub what: String,
    /// What the system said.
    pub reason: String,
    /// How to mend it; empty when there is nothing to say.
    pub remedy: String,
}

/// Keeps the first error of several steps; the others go to the log.
#[cfg(any(test, target_os = "linux", target_os = "macos"))]
#[derive(Default)]
struct First(Option<SystemError>);

#[cfg(any(test, target_os = "linux", target_os = "macos"))]
impl First {
    fn note(&mut self, step: Result<(), SystemError>) {
        if let Err(e) = step {
            match &self.0 {
                None => self.0 = Some(e),
                Some(_) => tracing::warn!("{e}"),
            }
        }
    }

    fn result(self) -> Result<(), SystemError> {
        self.0.map_or(Ok(()), Err)
    }
}

/// The machine's network from its addresses, each with the number of its interface, and the interfaces that are on LANs.
#[cfg(any(test, target_os = "linux", target_os = "macos"))]
fn network_of(held: &[(u32, LocalAddress)], mut lans: Vec<u32>) -> LocalNetwork {
    let sorted = |index: Option<u32>| {
        let here = held.iter().filter(|(at, _)| index.is_none_or(|index| index == *at));
        let mut addresses: Vec<LocalAddress> = here.map(|(_, local)| *local).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    };
    lans.sort_unstable();
    lans.dedup();
    let lans = lans.into_iter().map(|index| LanInterface { index, addresses: sorted(Some(index)) }).collect();
    LocalNetwork { addresses: sorted(None), lans }
}

/// Whether an address can be told to others: neither link-local nor of the loopback.
#[cfg(any(test, target_os = "linux", target_os = "macos"))]
fn reaches_beyond_the_link(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !link_local && !address.is_loopback() && !address.is_multicast() && !address.is_unspecified()
}
