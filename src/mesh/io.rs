//! The engine's inputs and outputs: plain data, so that the daemon, the simulator and the tests speak the same words.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::ids::WgPublicKey;
use super::path::Crossings;

/// How a datagram reached this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// On the underlay, at the admin port, from this address (which anyone may have forged).
    Underlay(SocketAddr),
    /// Inside the tunnel, from the peer that owns this link address: WireGuard's source check vouches for it.
    Tunnel(Ipv6Addr),
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An admin port on the underlay, sent from this node's own admin port.
    Underlay(SocketAddr),
    /// A link address and admin port inside the tunnel.
    Tunnel(SocketAddrV6),
}

/// One thing the engine wants done. After each input the caller drains all of them, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this datagram (at most 1200 bytes, but for those that measure how large a packet a link carries).
    Send {
        /// Where to.
        to: Destination,
        /// The sealed datagram.
        bytes: Vec<u8>,
    },
    /// The tunnel shall look like this (whole state; the backend applies the difference).
    Tunnel(DesiredTunnel),
    /// The operating system shall look like this (whole state).
    System(DesiredSystem),
    /// Make these bytes durable, then report with `handle_saved`. A newer one replaces an older one.
    Save {
        /// To be given back.
        token: u64,
        /// The engine's state: the LSDB, this node's votes, the last good endpoints. No secrets.
        bytes: Vec<u8>,
    },
    /// Send this datagram (1200 bytes) to everyone on every LAN of `handle_network`.
    Announce(Vec<u8>),
    /// Resolve this host name, then report with `handle_resolved`.
    Resolve {
        /// A name of the network file that is not an IP address.
        host: String,
    },
    /// Something a person may want to know.
    Event(Event),
    /// The neighbours know that this node leaves (or waited long enough): the process may end.
    Left,
}

/// What the tunnel shall be: every peer with its prefixes, and nothing else of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredTunnel {
    /// Sorted by public key.
    pub peers: Vec<DesiredPeer>,
    /// Whether packets from one peer to another are forwarded (gateways).
    pub forward: bool,
    /// How packets from one peer to another go while paths change: these come before the prefixes. Only the embedded
    /// tunnel can do that.
    pub crossings: Option<Arc<Crossings>>,
    /// Gateways: prefixes to which packets of full size do not pass, sorted, and the bytes that do. The embedded tunnel
    /// tells whoever sends more; the kernel has routes for that.
    pub path_mtus: Vec<(IpNet, u16)>,
    /// Whether prefixes that are wanted nowhere go at once: this node withdraws. Else they stay for a while where they were.
    pub at_once: bool,
    /// Leaves: addresses behind gateways, sorted, for which [`TunnelReport::sent`] is wanted.
    pub watched: Vec<IpAddr>,
}

/// One WireGuard peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredPeer {
    /// Its WireGuard key: the key of the difference.
    pub public_key: WgPublicKey,
    /// Its link address: always one of `allowed`.
    pub link: Ipv6Addr,
    /// Where to try. Applied once per `serial`: what WireGuard learns by roaming afterwards belongs to WireGuard.
    pub endpoint: Option<EndpointHint>,
    /// WireGuard's persistent keepalive in seconds.
    pub keepalive: Option<u16>,
    /// Prefixes sent to and accepted from this peer. No prefix stands at two peers.
    pub allowed: Vec<IpNet>,
    /// Prefixes also accepted from this peer though another owns them, for packets that end here: a move announced for
    /// the coming seconds. Only the embedded tunnel can do that; it also accepts a moved prefix from its old owner for
    /// 2 s by itself.
    pub accept: Vec<IpNet>,
    /// When it rises, the peer's cryptographic state is made anew (its endpoint kept): the peer's clock went back.
    pub generation: u32,
}

/// An endpoint to try, numbered so that it is applied once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointHint {
    /// Where to send.
    pub address: SocketAddr,
    /// Rises with each new hint for the same peer.
    pub serial: u64,
}

/// What the operating system shall have for this network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredSystem {
    /// Addresses of the interface: overlay /32 or /128, and the link address /128.
    pub addresses: Vec<IpAddr>,
    /// Routes that lead into the interface: the overlay subnets and the link network.
    pub routes: Vec<IpNet>,
    /// MTU of the interface in bytes.
    pub mtu: u16,
    /// Prefixes within `routes` to which packets of full size do not pass, sorted, and the bytes that do.
    pub path_mtus: Vec<(IpNet, u16)>,
    /// Whether the interface forwards packets (gateways).
    pub forwarding: bool,
}

/// What the tunnel knows of its peers, read about once a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TunnelReport {
    /// Every peer of the interface, foreign ones too.
    pub peers: Vec<PeerReport>,
    /// What this node sent to the watched addresses, as far as the tunnel can tell: those without traffic may be missing.
    pub sent: Vec<Sent>,
}

/// What this node sent to one address since its tunnel began to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The overlay address.
    pub to: IpAddr,
    /// Packets, or as many large ones as the system made of them.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What the tunnel knows of one peer.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerReport {
    /// Its WireGuard key.
    pub public_key: WgPublicKey,
    /// Where WireGuard sends to now.
    pub endpoint: Option<SocketAddr>,
    /// Time since the last completed handshake.
    pub handshake_age: Option<Duration>,
    /// Bytes received from it, all traffic.
    pub rx_bytes: u64,
    /// Bytes sent to it, all traffic.
    pub tx_bytes: u64,
    /// Packets of users received from and sent to it: everything but control datagrams and keepalives.
    pub data_packets: u64,
    /// Prefixes at this peer (shown for foreign peers).
    pub allowed: Vec<IpNet>,
}

/// The machine's own view of the underlay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalNetwork {
    /// Addresses of all interfaces that are up, loopback and this mesh's own interface left out.
    pub addresses: Vec<LocalAddress>,
    /// Interfaces that reach everyone on a LAN with one datagram, sorted by index.
    pub lans: Vec<LanInterface>,
}

/// An interface that is up and can broadcast or multicast: no tunnel, no line between two points, no loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LanInterface {
    /// Its number, which is the scope of IPv6 link-local addresses there.
    pub index: u32,
    /// Its addresses, link-local ones left out: it may have no other.
    pub addresses: Vec<LocalAddress>,
}

/// A port of the router before this machine, which leads to WireGuard's port here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// How the router was asked.
    pub protocol: MappingProtocol,
    /// What the router says others reach it by. Its word: nobody proved it. The unspecified address is that of a router
    /// which maps nothing as long as its own outside is no public one.
    pub external: SocketAddr,
}

/// A way to ask a router for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingProtocol {
    /// Port Control Protocol, RFC 6887.
    Pcp,
    /// NAT Port Mapping Protocol, RFC 6886.
    NatPmp,
    /// Universal Plug and Play, Internet Gateway Device.
    Upnp,
}

impl std::fmt::Display for MappingProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}

/// One address of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of its on-link prefix in bits.
    pub prefix: u8,
}

/// What a person or a program asks of a running engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Leave the mesh: tell the neighbours, then answer `Output::Left`.
    Leave,
    /// Set (`Some`) or clear (`None`) the cost of the link to the named peer.
    LinkCost {
        /// The peer's name.
        peer: String,
        /// The cost in place of the measured one.
        cost: Option<u32>,
    },
    /// Set (`Some`) or clear (`None`) the least cost of every link of this gateway.
    GatewayCost {
        /// The cost that no link of it goes below.
        cost: Option<u32>,
    },
    /// Lead the traffic of others around this gateway, as far as there is another way; or take it back.
    Drain {
        /// Whether to.
        drain: bool,
    },
    /// Have a gateway withdraw for a while, and measure from here how the mesh does without it.
    #[cfg(feature = "drill")]
    Drill {
        /// Name or overlay address.
        gateway: String,
        /// How long: 1 s to 5 min.
        lasts: Duration,
        /// Although nodes are cut off meanwhile.
        force: bool,
    },
    /// Call the gateway of the drill back.
    #[cfg(feature = "drill")]
    EndDrill,
    /// Probe a peer's link, or all links and static peers, at once instead of when it is due.
    Probe {
        /// Name or overlay address; `None`: all.
        peer: Option<String>,
    },
    /// Let the name and its addresses go to another identity: the present holder's votes are void from now on.
    Forget {
        /// The name of the node that was reinstalled or is gone.
        name: String,
    },
}

/// Why a command was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No node of that name is known.
    #[error("no node named {0:?} is known; `wgnet status` lists the names")]
    UnknownName(String),
    /// The node named is no neighbour of this one.
    #[error("{0:?} is no neighbour of this node: only the cost of an own link can be set")]
    NotNeighbour(String),
    /// Only a gateway that the network file lists can do that.
    #[error("only a gateway that the network file lists can forget a node; run this there")]
    NotGateway,
    /// Only a gateway can do that.
    #[error("this node is no gateway")]
    NoGateway,
    /// The node named is no gateway.
    #[error("{0:?} is no gateway")]
    NotAGateway(String),
    /// The two nodes named have no link with each other.
    #[error("there is no link between {0:?} and {1:?}")]
    NoLink(String, String),
    /// Two different nodes are needed.
    #[error("{0:?} and {0:?} are the same node")]
    SameNode(String),
    /// A gateway cannot measure its own absence.
    #[cfg(feature = "drill")]
    #[error("a gateway cannot measure how the others do without it")]
    DrillHere,
    /// Only a node that the network file lists may withdraw a gateway.
    #[cfg(feature = "drill")]
    #[error("only a node that the network file lists may withdraw a gateway")]
    NotListed,
    /// One drill at a time.
    #[cfg(feature = "drill")]
    #[error("a drill goes on")]
    DrillGoesOn,
    /// The word goes over the link of the two.
    #[cfg(feature = "drill")]
    #[error("this node has no link of its own to {0:?}")]
    NoLinkTo(String),
    /// There is nothing to end.
    #[cfg(feature = "drill")]
    #[error("no drill goes on")]
    NoDrill,
    /// These nodes would be cut off.
    #[cfg(feature = "drill")]
    #[error("without that gateway nobody could reach {0}")]
    CutsOff(String),
    /// This node itself was named.
    #[error("this node cannot forget itself")]
    Itself,
}
