//! macOS: one utun interface gets its MTU, addresses and routes, and is brought up, by ioctl(2) and the routing socket.
//!
//! ```text
//!   MacSystem   what differs from what is wanted          tested anywhere, against a kernel of bytes
//!     message, request   the bytes of each system call    the same
//!       calls            the system calls                 macOS only
//! ```
//!
//! What is there is read first, and only the difference is asked for. Our routes carry a mark; our addresses are those
//! that this run added, for the interface goes with the process that made it, and everything on it too. So a crashed run
//! leaves nothing behind.
//!
//! Routes carry no MTU of their own: what is too large for a path, the embedded tunnel answers.
//!
//! Nothing is switched on for a gateway: the embedded tunnel, the only one here, forwards inside the process, and never
//! beyond the mesh. The switch of macOS (`net.inet.ip.forwarding`) is one of the whole machine, and with it on, peers would
//! reach whatever else this Mac routes to.

#[cfg(target_os = "macos")]
mod calls;
mod message;
mod request;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use rustix::io::Errno;

use self::message::{Change, Route};
use self::request::Request;
use super::{First, System, SystemError, reaches_beyond_the_link};
use crate::mesh::io::{DesiredSystem, LocalAddress, LocalNetwork};

/// `IFF_UP` of net/if.h.
const UP: u16 = 1;
/// `IFF_BROADCAST`, `IFF_POINTOPOINT` and `IFF_MULTICAST` of the same.
const BROADCAST: u16 = 2;
const POINTOPOINT: u16 = 0x10;
const MULTICAST: u16 = 0x8000;

/// The system calls, so that all else is tested without them.
trait Kernel: Send {
    /// The index of an interface; `NXIO` when there is none of that name.
    fn index(&self, interface: &str) -> Result<u16, Errno>;
    /// The name of an interface.
    fn name(&self, index: u32) -> Option<String>;
    /// Every usable address of every interface.
    fn addresses(&self) -> Result<Vec<Held>, Errno>;
    fn mtu(&self, interface: &str) -> Result<u32, Errno>;
    /// The flags `IFF_...`.
    fn flags(&self, interface: &str) -> Result<u16, Errno>;
    fn request(&self, request: &Request) -> Result<(), Errno>;
    /// Writes a message to the routing socket; what it asks for is done, or refused, when this returns.
    fn route(&self, message: &[u8]) -> Result<(), Errno>;
    /// The routing table of both families, as messages.
    fn table(&self) -> Result<Vec<u8>, Errno>;
    /// Waits for a change of addresses or interfaces. May be dropped and called again.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// An address and the interface that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    interface: String,
    local: LocalAddress,
    /// Whether the interface is up and not the loopback.
    underlay: bool,
}

/// One interface of this machine.
struct MacSystem<K> {
    interface: String,
    kernel: K,
    added: BTreeSet<IpAddr>,
    /// Our routes, with the source that each was added with: the kernel's table does not tell it.
    routed: BTreeMap<IpNet, Option<IpAddr>>,
    sequence: i32,
}

/// Opens the sockets. The interface need not exist yet. Needs a tokio runtime around it.
///
/// # Errors
/// The system gives no routing socket.
#[cfg(target_os = "macos")]
pub fn open(interface: &str) -> Result<impl System + use<>, SystemError> {
    let kernel =
        calls::Calls::open().map_err(|errno| refused("cannot open a routing socket (PF_ROUTE)".to_owned(), errno))?;
    Ok(MacSystem::new(interface, kernel))
}

impl<K: Kernel> MacSystem<K> {
    fn new(interface: &str, kernel: K) -> Self {
        Self { interface: interface.to_owned(), kernel, added: BTreeSet::new(), routed: BTreeMap::new(), sequence: 0 }
    }

    fn set_mtu(&self, mtu: u16) -> Result<(), SystemError> {
        let mtu = u32::from(mtu);
        let outcome = match self.kernel.mtu(&self.interface) {
            Ok(has) if has == mtu => Ok(()),
            _ => self.kernel.request(&request::set_mtu(&self.interface, mtu)),
        };
        outcome.map_err(|errno| refused(format!("cannot set the MTU of {} to {mtu}", self.interface), errno))
    }

    fn bring_up(&self) -> Result<(), SystemError> {
        let flags = self.kernel.flags(&self.interface);
        let outcome = match flags {
            Ok(flags) if flags & UP != 0 => Ok(()),
            Ok(flags) => self.kernel.request(&request::set_flags(&self.interface, flags | UP)),
            Err(errno) => Err(errno),
        };
        outcome.map_err(|errno| refused(format!("cannot bring {} up", self.interface), errno))
    }

    fn add_addresses(&mut self, wanted: &[IpAddr]) -> Result<(), SystemError> {
        let present = self
            .kernel
            .addresses()
            .map_err(|errno| refused(format!("cannot read the addresses of {}", self.interface), errno))?;
        for &address in wanted {
            if present.iter().any(|held| held.interface == self.interface && held.local.address == address) {
                continue;
            }
            match self.kernel.request(&request::add(&self.interface, address)) {
                Ok(()) => {
                    self.added.insert(address);
                }
                Err(Errno::EXIST) => {}
                Err(errno) => {
                    return Err(refused(format!("cannot add address {address} to {}", self.interface), errno));
                }
            }
        }
        Ok(())
    }

    /// Removes our addresses that are not wanted.
    fn remove_addresses(&mut self, wanted: &[IpAddr]) -> Result<(), SystemError> {
        let unwanted: Vec<_> = self.added.iter().copied().filter(|address| !wanted.contains(address)).collect();
        for address in unwanted {
            match self.kernel.request(&request::remove(&self.interface, address)) {
                Ok(()) | Err(Errno::ADDRNOTAVAIL | Errno::NXIO) => {}
                Err(errno) => {
                    return Err(refused(format!("cannot remove address {address} from {}", self.interface), errno));
                }
            }
            self.added.remove(&address);
        }
        Ok(())
    }

    /// Makes our routes of the interface exactly `wanted`, each with an own address of its family as source.
    fn set_routes(&mut self, index: u16, wanted: &[IpNet], own: &[IpAddr]) -> Result<(), SystemError> {
        let table = self.table()?;
        let wanted: BTreeMap<_, _> = wanted.iter().map(|prefix| (*prefix, source_for(*prefix, own))).collect();
        let mut outcome = First::default();
        for (change, prefix) in difference(&table, index, &self.routed, &wanted) {
            outcome.note(self.change_route(change, prefix, index, &table));
        }
        outcome.result()
    }

    fn change_route(&mut self, change: Change, prefix: IpNet, index: u16, table: &[Route]) -> Result<(), SystemError> {
        self.sequence = self.sequence.wrapping_add(1);
        let answer = self.kernel.route(&message::change(change, prefix, index, self.sequence));
        match (change, answer) {
            (Change::Add(source), Ok(())) => {
                self.routed.insert(prefix, source);
            }
            (Change::Add(_), Err(Errno::EXIST)) => {
                let holder = table.iter().find(|route| route.prefix == prefix);
                // A person's own route into this very interface does the same.
                if holder.is_none_or(|route| route.index != u32::from(index)) {
                    return Err(self.taken(prefix, holder));
                }
            }
            (Change::Add(_), Err(errno)) => {
                return Err(refused(format!("cannot add route {prefix} to {}", self.interface), errno));
            }
            (Change::Remove, Ok(()) | Err(Errno::SRCH | Errno::NXIO)) => {
                self.routed.remove(&prefix);
            }
            (Change::Remove, Err(errno)) => {
                return Err(refused(format!("cannot remove route {prefix} from {}", self.interface), errno));
            }
        }
        Ok(())
    }

    fn table(&self) -> Result<Vec<Route>, SystemError> {
        let dump = self.kernel.table();
        dump.map(|dump| message::routes(&dump))
            .map_err(|errno| refused("cannot read the routing table".to_owned(), errno))
    }

    /// The interfaces of wgnet.
    fn overlays(&self, table: &[Route]) -> BTreeSet<String> {
        let ours = table.iter().filter(|route| route.ours);
        ours.filter_map(|route| self.kernel.name(route.index)).chain([self.interface.clone()]).collect()
    }

    fn taken(&self, prefix: IpNet, holder: Option<&Route>) -> SystemError {
        let reason = match holder {
            None => format!("a route for {prefix} is there already"),
            Some(route) => {
                let name = self.kernel.name(route.index).unwrap_or_else(|| format!("interface {}", route.index));
                let by = if route.ours { " (by another wgnet)" } else { "" };
                format!("a route for {prefix} leads to {name} already{by}")
            }
        };
        SystemError {
            what: format!("cannot add route {prefix} to {}", self.interface),
            reason,
            remedy: "choose another subnet in the network file, or remove that route".to_owned(),
        }
    }
}

impl<K: Kernel> System for MacSystem<K> {
    async fn set(&mut self, desired: &DesiredSystem) -> Result<(), SystemError> {
        let index = self
            .kernel
            .index(&self.interface)
            .map_err(|errno| refused(format!("cannot find interface {}", self.interface), errno))?;
        let routes: Vec<_> = desired.routes.iter().map(IpNet::trunc).collect();

        // Each step is tried even when one before it failed: a part of the mesh is better than none.
        let mut outcome = First::default();
        outcome.note(self.set_mtu(desired.mtu));
        outcome.note(self.add_addresses(&desired.addresses));
        outcome.note(self.bring_up());
        outcome.note(self.set_routes(index, &routes, &desired.addresses));
        outcome.note(self.remove_addresses(&desired.addresses));
        outcome.result()
    }

    async fn local_network(&mut self) -> Result<LocalNetwork, SystemError> {
        let overlays = self.overlays(&self.table()?);
        let held = self.kernel.addresses();
        let mut addresses = Vec::new();
        let mut lans = Vec::new();
        let held = held.map_err(|errno| refused("cannot read the machine's addresses".to_owned(), errno))?;
        for held in held.into_iter().filter(|held| held.underlay && !overlays.contains(&held.interface)) {
            let index = self.kernel.index(&held.interface).map_or(0, u32::from);
            let flags = self.kernel.flags(&held.interface).unwrap_or(0);
            if index > 0 && flags & (BROADCAST | MULTICAST) != 0 && flags & POINTOPOINT == 0 {
                lans.push(index);
            }
            if reaches_beyond_the_link(held.local.address) {
                addresses.push((index, held.local));
            }
        }
        Ok(super::network_of(&addresses, lans))
    }

    async fn underlay_mtu(&mut self, peers: &[IpAddr]) -> Result<Option<(String, u32)>, SystemError> {
        let table = self.table()?;
        let overlays = self.overlays(&table);
        let ways_out = table.iter().filter(|route| route.prefix.prefix_len() == 0);
        let way_to = |peer: &IpAddr| {
            let ways = table.iter().filter(|route| route.prefix.contains(peer));
            ways.max_by_key(|route| route.prefix.prefix_len())
        };
        let ways: BTreeSet<u32> = ways_out.chain(peers.iter().filter_map(way_to)).map(|route| route.index).collect();
        let names = ways.into_iter().filter_map(|index| self.kernel.name(index));
        let underlay = names.filter(|name| !overlays.contains(name) && !name.starts_with("lo"));
        let known = underlay.filter_map(|name| Some((self.kernel.mtu(&name).ok()?, name)));
        Ok(known.min().map(|(mtu, name)| (name, mtu)))
    }

    async fn router(&mut self) -> Result<Option<Ipv4Addr>, SystemError> {
        let table = self.table()?;
        let overlays = self.overlays(&table);
        let underlay = |route: &&Route| self.kernel.name(route.index).is_some_and(|name| !overlays.contains(&name));
        // The kernel's order: the default route of the first service, as networksetup orders them.
        let mut defaults = table.iter().filter(|route| route.prefix.prefix_len() == 0).filter(underlay);
        Ok(defaults.find_map(|route| match route.next_hop {
            Some(IpAddr::V4(router)) if !router.is_unspecified() => Some(router),
            _ => None,
        }))
    }

    async fn network_changed(&mut self) {
        self.kernel.changed().await;
    }

    async fn clean_up(&mut self) -> Result<(), SystemError> {
        let Ok(index) = self.kernel.index(&self.interface) else {
            // The interface is gone, and its addresses and routes with it.
            self.added.clear();
            self.routed.clear();
            return Ok(());
        };
        let mut outcome = First::default();
        outcome.note(self.set_routes(index, &[], &[]));
        outcome.note(self.remove_addresses(&[]));
        outcome.result()
    }
}

/// What makes our routes in `table` those `wanted`: a route that is there with another source goes before it is added,
/// what is no longer wanted goes last.
fn difference(
    table: &[Route],
    index: u16,
    known: &BTreeMap<IpNet, Option<IpAddr>>,
    wanted: &BTreeMap<IpNet, Option<IpAddr>>,
) -> Vec<(Change, IpNet)> {
    let present: BTreeSet<_> =
        table.iter().filter(|route| route.ours && route.index == u32::from(index)).map(|route| route.prefix).collect();
    let mut changes = Vec::new();
    for (&prefix, source) in wanted {
        if present.contains(&prefix) {
            if known.get(&prefix) == Some(source) {
                continue;
            }
            changes.push((Change::Remove, prefix));
        }
        changes.push((Change::Add(*source), prefix));
    }
    let stale = present.iter().filter(|prefix| !wanted.contains_key(prefix));
    changes.extend(stale.map(|prefix| (Change::Remove, *prefix)));
    changes
}

/// The own address that packets into `prefix` shall carry: one inside it, else any of its family.
fn source_for(prefix: IpNet, own: &[IpAddr]) -> Option<IpAddr> {
    let family = || own.iter().copied().filter(|address| address.is_ipv4() == prefix.addr().is_ipv4());
    family().find(|address| prefix.contains(address)).or_else(|| family().next())
}

/// An error with the remedy that fits its number.
fn refused(what: String, errno: Errno) -> SystemError {
    let remedy = match errno {
        Errno::PERM | Errno::ACCESS => "run as root",
        Errno::NXIO => "the interface was removed by someone else: start wgnet again",
        _ => "",
    };
    SystemError { what, reason: errno.to_string(), remedy: remedy.to_owned() }
}
