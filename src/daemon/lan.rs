//! Announcements on the machine's LANs: one UDP port that all daemons of a machine share, whatever their other ports are.
//!
//! Each goes out to a multicast group of IPv4 and one of IPv6, and to IPv4's broadcast address, as some switches and
//! access points filter multicast. None is routed on: the groups are of the link, and packets to them have a TTL of 1.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use ipnet::IpNet;
use socket2::{Domain, InterfaceIndexOrAddress, SockRef};

use super::underlay::{Family, Received, Underlay, if_supported, open_shared};
use crate::mesh::io::LanInterface;

/// The port (free in the registry of IANA, and beside the default ports of nodes).
pub(super) const PORT: u16 = 50_490;
/// Of the IPv4 local scope (RFC 2365, section 6.1).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 119, 103);
/// Of the link (RFC 4291, section 2.7); it spells wgnet.
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0x77, 0x676e, 0x6574);
/// Interfaces that are served: machines with hundreds of virtual ones are no members of hundreds of LANs.
const MOST: usize = 16;

/// The sockets, once there is a LAN.
#[derive(Default)]
pub(super) struct Lan {
    sockets: Option<Underlay>,
    lans: Vec<LanInterface>,
}

impl Lan {
    /// Listens on these interfaces, besides those of before.
    ///
    /// # Errors
    /// Another program has the port.
    pub(super) fn set(&mut self, lans: &[LanInterface]) -> io::Result<()> {
        self.lans = lans.iter().take(MOST).cloned().collect();
        if self.sockets.is_none() && !lans.is_empty() {
            let v4 = if_supported(open_shared(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, PORT).into()))?;
            let v6 = if_supported(open_shared(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, PORT).into()))?;
            self.sockets = Some(Underlay::of(v4, v6));
        }
        let Some(sockets) = &self.sockets else { return Ok(()) };
        for lan in &self.lans {
            // Where it listens already, or cannot, there is nothing to do; broadcasts come all the same.
            if let Some(v4) = sockets.socket(Family::V4) {
                let _ = v4.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(lan.index));
            }
            if let Some(v6) = sockets.socket(Family::V6) {
                let _ = v6.join_multicast_v6(&GROUP_V6, lan.index);
            }
        }
        Ok(())
    }

    /// Sends a datagram to everyone on every LAN. What a LAN does not take is lost.
    pub(super) fn announce(&self, bytes: &[u8]) {
        let Some(sockets) = &self.sockets else { return };
        let send = |socket: &SockRef<'_>, to: SocketAddr| {
            if let Err(error) = socket.send_to(bytes, &to.into()) {
                tracing::debug!("cannot announce this node to {to}: {error}");
            }
        };
        for lan in &self.lans {
            if let Some(v6) = sockets.socket(Family::V6) {
                send(&v6, SocketAddrV6::new(GROUP_V6, PORT, 0, lan.index).into());
            }
            let Some(v4) = sockets.socket(Family::V4) else { continue };
            for local in &lan.addresses {
                let IpAddr::V4(own) = local.address else { continue };
                if v4.set_multicast_if_v4(&own).is_ok() {
                    send(&v4, (GROUP_V4, PORT).into());
                }
                if let Ok(IpNet::V4(net)) = IpNet::new(local.address, local.prefix)
                    && net.prefix_len() < 31
                {
                    send(&v4, (net.broadcast(), PORT).into());
                }
            }
        }
    }

    /// Waits for an announcement.
    pub(super) async fn readable(&self) -> Family {
        match &self.sockets {
            Some(sockets) => sockets.readable().await,
            None => std::future::pending().await,
        }
    }

    /// Takes one, if one is waiting.
    pub(super) fn receive(&mut self, family: Family) -> Received<'_> {
        self.sockets.as_mut().map_or(Received::Nothing, |sockets| sockets.receive(family))
    }
}
