//! Linux by rtnetlink: one interface gets its MTU, addresses and routes, and is brought up.
//!
//! What is there is read first, and only the difference is asked for: what is missing is added, what differs is
//! changed, then what is ours and no longer wanted is removed. Ours is what carries [`PROTOCOL`] on our interface, so
//! the leavings of a crashed run are recognised, and what a person added by hand stays.
//!
//! A machine without IPv6 gets the IPv4 half and one line in the log.

mod address;
mod confinement;
mod error;
mod forwarding;
mod local;
mod route;
#[cfg(test)]
mod tests;
mod underlay;
mod watch;

use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};
use rtnetlink::{Handle, LinkUnspec};
use rustix::io::Errno;
use tokio::task::AbortHandle;

use super::{First, System, SystemError};
use crate::mesh::io::{DesiredSystem, LocalNetwork};
use address::Addresses;
use confinement::Confinement;
use error::{errno, refused};
use forwarding::Forwarding;
use route::Wanted;
use watch::Watch;

/// The routing protocol number (`rtm_protocol`, `IFA_PROTO`) that marks routes and addresses as wgnet's.
///
/// Free in `/etc/iproute2/rt_protos` and in the kernel's rtnetlink.h, which give 186 to 189 and 192 to FRR's daemons.
pub const PROTOCOL: u8 = 217;

/// One interface of this machine, and the netlink socket to ask about it.
pub struct LinuxSystem {
    interface: String,
    netlink: Handle,
    connection: AbortHandle,
    watch: Watch,
    addresses: Addresses,
    forwarding: Forwarding,
    confinement: Confinement,
    /// MTU and whether it was up, of an interface that may stay when this ends.
    found: Option<(Option<u32>, bool)>,
    ipv6_reported: bool,
}

impl LinuxSystem {
    /// Opens netlink. The interface need not exist yet. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// Netlink sockets are not to be had.
    pub fn open(interface: &str) -> Result<Self, SystemError> {
        // With strict checking the kernel filters dumps itself; kernels before 4.20 lack it, so answers are filtered
        // here all the same.
        let (connection, netlink, _) = rtnetlink::new_connection_with_strict_check()
            .or_else(|_| rtnetlink::new_connection())
            .map_err(|e| SystemError {
                what: "cannot open a netlink socket".to_owned(),
                reason: e.to_string(),
                remedy: "allow AF_NETLINK sockets (RestrictAddressFamilies= of the unit)".to_owned(),
            })?;
        let connection = tokio::spawn(connection).abort_handle();
        Ok(Self {
            interface: interface.to_owned(),
            netlink,
            connection,
            watch: Watch::open(),
            addresses: Addresses::default(),
            forwarding: Forwarding::new(interface),
            confinement: Confinement::default(),
            found: None,
            ipv6_reported: false,
        })
    }

    async fn link(&self) -> Result<Link, SystemError> {
        let what = || format!("cannot find interface {}", self.interface);
        let mut links = self.netlink.link().get().match_name(self.interface.clone()).execute();
        let message = links.try_next().await.map_err(|e| refused(what(), &e))?.ok_or_else(|| SystemError {
            what: what(),
            reason: "netlink gave no answer".to_owned(),
            remedy: String::new(),
        })?;
        let mtu = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Mtu(mtu) => Some(*mtu),
            _ => None,
        });
        Ok(Link { index: message.header.index, up: message.header.flags.contains(LinkFlags::Up), mtu })
    }

    async fn change_link(&self, link: &Link, mtu: u16) -> Result<(), SystemError> {
        let mtu = u32::from(mtu);
        if link.mtu != Some(mtu) {
            let change = LinkUnspec::new_with_index(link.index).mtu(mtu).build();
            let what = || format!("cannot set the MTU of {} to {mtu}", self.interface);
            self.netlink.link().set(change).execute().await.map_err(|e| refused(what(), &e))?;
        }
        Ok(())
    }

    async fn bring_up(&self, link: &Link) -> Result<(), SystemError> {
        if link.up {
            return Ok(());
        }
        // Without a link-local address the kernel sends no router solicitations into the tunnel.
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{}/addr_gen_mode", self.interface), "1");
        let change = LinkUnspec::new_with_index(link.index).up().build();
        let what = || format!("cannot bring {} up", self.interface);
        self.netlink.link().set(change).execute().await.map_err(|e| refused(what(), &e))
    }

    /// Whether IPv6 can be had on the interface; says so once when not.
    fn has_ipv6(&mut self) -> bool {
        let why = if !std::path::Path::new("/proc/sys/net").exists() {
            // Without /proc nothing is known: try, and let the kernel refuse.
            return true;
        } else if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
            "this kernel has no IPv6"
        } else if std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", self.interface))
            .is_ok_and(|text| text.trim() == "1")
        {
            "IPv6 is switched off (sysctl disable_ipv6)"
        } else {
            return true;
        };
        if !std::mem::replace(&mut self.ipv6_reported, true) {
            tracing::warn!("{why}: {} gets its IPv4 addresses and routes only", self.interface);
        }
        false
    }
}

impl Drop for LinuxSystem {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

struct Link {
    index: u32,
    up: bool,
    mtu: Option<u32>,
}

impl System for LinuxSystem {
    async fn set(&mut self, desired: &DesiredSystem) -> Result<(), SystemError> {
        let link = self.link().await?;
        self.found.get_or_insert((link.mtu, link.up));
        let ipv6 = self.has_ipv6();
        let possible = |address: &IpAddr| ipv6 || address.is_ipv4();
        let addresses: Vec<_> = desired.addresses.iter().copied().filter(possible).collect();
        let routes: Vec<_> = desired.routes.iter().map(ipnet::IpNet::trunc).filter(|r| possible(&r.addr())).collect();

        // Each step is tried even when one before it failed: a part of the mesh is better than none.
        let mut outcome = First::default();
        outcome.note(self.change_link(&link, desired.mtu).await);
        outcome.note(self.addresses.add(&self.netlink, &self.interface, link.index, &addresses).await);
        outcome.note(self.bring_up(&link).await);
        let narrow = desired.path_mtus.iter().filter(|(prefix, _)| possible(&prefix.addr()));
        let ways: Vec<Wanted> = routes
            .iter()
            .map(|prefix| Wanted { prefix: *prefix, mtu: None })
            .chain(narrow.map(|(prefix, mtu)| Wanted { prefix: prefix.trunc(), mtu: Some(*mtu) }))
            .collect();
        outcome.note(route::set(&self.netlink, &self.interface, link.index, &ways, &addresses).await);
        outcome.note(self.addresses.remove_others(&self.netlink, &self.interface, link.index, &addresses).await);
        // The way is closed before it is opened.
        let overlay = if desired.forwarding { &ways[..] } else { &[] };
        let confined = self.confinement.set(&self.netlink, &self.interface, link.index, overlay).await;
        let may_open = confined.is_ok();
        outcome.note(confined);
        if may_open || !desired.forwarding {
            self.forwarding.set(desired.forwarding);
        }
        outcome.result()
    }

    async fn local_network(&mut self) -> Result<LocalNetwork, SystemError> {
        local::network(&self.netlink, &self.interface).await
    }

    async fn underlay_mtu(&mut self, peers: &[IpAddr]) -> Result<Option<(String, u32)>, SystemError> {
        underlay::smallest_mtu(&self.netlink, &self.interface, peers).await
    }

    async fn router(&mut self) -> Result<Option<Ipv4Addr>, SystemError> {
        underlay::router(&self.netlink).await
    }

    async fn network_changed(&mut self) {
        self.watch.changed().await;
    }

    async fn clean_up(&mut self) -> Result<(), SystemError> {
        self.forwarding.restore();
        let confinement = self.confinement.clean_up(&self.netlink, &self.interface).await;
        let mut links = self.netlink.link().get().match_name(self.interface.clone()).execute();
        let index = match links.try_next().await {
            Ok(Some(message)) => message.header.index,
            // The interface is gone, and its addresses and routes with it.
            Ok(None) => return confinement,
            Err(e) if errno(&e) == Some(Errno::NODEV) => return confinement,
            Err(e) => return Err(refused(format!("cannot find interface {}", self.interface), &e)),
        };
        let mut outcome = First::default();
        outcome.note(confinement);
        outcome.note(route::set(&self.netlink, &self.interface, index, &[], &[]).await);
        outcome.note(self.addresses.remove_others(&self.netlink, &self.interface, index, &[]).await);
        if let Some((mtu, was_up)) = self.found.take() {
            let change = LinkUnspec::new_with_index(index);
            let change = if let Some(mtu) = mtu { change.mtu(mtu) } else { change };
            let change = if was_up { change } else { change.down() };
            let what = || format!("cannot leave {} as it was", self.interface);
            let restored = self.netlink.link().set(change.build()).execute().await;
            outcome.note(restored.map_err(|e| refused(what(), &e)));
        }
        outcome.result()
    }
}
