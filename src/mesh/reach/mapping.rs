//! Port mapping: what the router before this node says that it leads to WireGuard's port, and whether that can be so.
//!
//! Everyone can begin to speak with a node whose port is mapped, whatever stands before themselves. But a router tells
//! what it knows, or what it likes: behind a carrier's NAT its outside is another private network, and nobody reaches
//! anything there. So its word goes into this node's record only where it is a public address, and none but the one that
//! gateways see this node at, as far as they see it.

use std::net::{IpAddr, SocketAddr};

use super::super::engine::Engine;
use super::super::event::Severity;
use super::super::io::PortMapping;
use super::super::view::HealthLine;
use super::candidates::is_public;

/// Whether anyone asks routers. Where not, as in a router's own program, the compiler leaves away what follows from it.
const IS_BUILT_IN: bool = cfg!(feature = "port-mapping");

/// The router's word, and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Mapped {
    pub(in super::super) mapping: PortMapping,
    pub(in super::super) worth: Worth,
}

/// Whether others can reach what a router mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Worth {
    /// As far as anyone knows.
    Reachable,
    /// Not: the router's outside is itself behind a NAT.
    Private,
    /// Not: gateways see this node at that address.
    Elsewhere(IpAddr),
    /// Not: the router has no outside of its own, and maps nothing.
    NoOutside,
    /// Not: no router's outside has such an address.
    Nonsense,
}

impl Mapped {
    /// The endpoint that others may try.
    pub(in super::super) fn endpoint(&self) -> Option<SocketAddr> {
        (self.worth == Worth::Reachable).then_some(self.mapping.external)
    }
}

impl Engine {
    /// Whether a router is worth asking for a port: this node is behind a NAT, or may be, and is not listed in the network
    /// file with a public address, at which everyone reaches it.
    pub fn wants_port_mapping(&self) -> bool {
        let v4 = || self.local.addresses.iter().map(|local| local.address).filter(IpAddr::is_ipv4);
        let listed = self.config.own_static().and_then(|peer| peer.endpoint.host.parse().ok());
        v4().any(|address| !is_public(&address) && !self.config.in_subnet(address))
            && !v4().any(|address| is_public(&address))
            && !listed.is_some_and(|address| is_public(&address))
    }

    /// What a mapping is worth, for a node that gateways see at these addresses.
    pub(super) fn judge_mapping(&self, seen: &[IpAddr]) -> Option<Mapped> {
        let mapping = self.mapping.filter(|_| IS_BUILT_IN)?;
        let (address, port) = (mapping.external.ip(), mapping.external.port());
        let own = self.config.in_subnet(address) || self.local.addresses.iter().any(|local| local.address == address);
        let nonsense = address.is_loopback() || address.is_multicast();
        let broadcast =
            matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0 || v4.is_link_local());
        let mut seen = seen.iter().filter(|seen| seen.is_ipv4() == address.is_ipv4());
        let worth = if address.is_unspecified() {
            Worth::NoOutside
        } else if own || nonsense || broadcast || port == 0 {
            Worth::Nonsense
        } else if !is_public(&address) {
            Worth::Private
        } else if let Some(other) = seen.clone().next().filter(|_| !seen.any(|seen| *seen == address)) {
            Worth::Elsewhere(*other)
        } else {
            Worth::Reachable
        };
        Some(Mapped { mapping, worth })
    }

    /// Says so where a mapping is of no use.
    pub(in super::super) fn useless_mapping(&self) -> Option<HealthLine> {
        let Mapped { mapping: PortMapping { protocol, external }, worth } =
            self.outside.mapped.filter(|_| IS_BUILT_IN)?;
        let carrier = "ask the provider for a public IPv4 address or for IPv6; if a router of your own is the outer one, \
                       let one of the two be a bridge. Until then direct links work where NATs let them pass";
        let (code, text, remedy) = match worth {
            Worth::Reachable => return None,
            Worth::Private => {
                let text = format!(
                    "the router mapped the port ({protocol}) to {external}, but is behind another NAT itself (the \
                     provider's, or a second router): nobody reaches this node there"
                );
                ("double-nat", text, carrier)
            }
            Worth::NoOutside => {
                let text = format!(
                    "the router maps no port, as it has no public address ({protocol}): it is behind another NAT, or its \
                     line is down"
                );
                ("double-nat", text, carrier)
            }
            Worth::Elsewhere(seen) => {
                let text = format!(
                    "the router mapped the port ({protocol}) to {external}, but gateways see this node at {seen}: there \
                     is another NAT between, or a second way out, and the mapped endpoint is told to nobody"
                );
                ("double-nat", text, carrier)
            }
            Worth::Nonsense => {
                let text = format!(
                    "the router says by {protocol} that it mapped the port to {external}, which no router can have: \
                     refused"
                );
                let remedy = "restart the router or renew its software, or set `portMapping: false` in node.yaml";
                ("port-mapping-refused", text, remedy)
            }
        };
        Some(HealthLine { severity: Severity::Info, code, text, remedy: remedy.to_owned() })
    }
}
