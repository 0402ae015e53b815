//! What the engine must know before it starts: the checked content of the network file and the command line.

use std::fmt;
use std::net::IpAddr;

use hkdf::Hkdf;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::ids::{Name, NetworkId, WgPublicKey};

/// The network's shared key: proves membership and no more (DESIGN: whatever acts is signed besides).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NetworkKey([u8; 32]);

impl NetworkKey {
    /// Takes the 32 bytes of the network file's `sharedKey`.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The public name of the network, derived one way from the key.
    pub fn network_id(&self) -> NetworkId {
        let mut id = [0; 16];
        self.expand(b"wgnet network id", &mut id);
        NetworkId(id)
    }

    /// Derives `out.len()` bytes for the purpose and party named by `info` (HKDF-SHA256).
    pub(crate) fn expand(&self, info: &[u8], out: &mut [u8]) {
        let hkdf = Hkdf::<Sha256>::new(Some(b"wgnet v1"), &self.0);
        hkdf.expand(info, out).expect("at most 8160 bytes are asked for");
    }
}

impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkKey(..)")
    }
}

/// A host name or address and a port, as `endPoint` of the network file gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// An IP address, or a name to resolve again each time it is needed.
    pub host: String,
    /// The UDP port of WireGuard there.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A node that the network file lists: known by address and endpoint before anything was heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticPeer {
    /// `wgIp`: its overlay addresses, one or two (IPv4, IPv6). The first one names the peer in messages.
    pub addresses: Vec<IpAddr>,
    /// `endPoint`: where its WireGuard listens.
    pub endpoint: HostPort,
    /// `adminPort`: where its control port listens on the underlay.
    pub admin_port: u16,
    /// `name`, if the file gives one.
    pub name: Option<Name>,
    /// `publicKey`: if given, only the holder of this WireGuard key is this peer.
    pub public_key: Option<WgPublicKey>,
    /// `gateway`: whether it may forward for others. `None`: yes under the `static` policy.
    pub gateway: Option<bool>,
    /// `cost`: the cost of the link from this node to that peer, in place of the measured one.
    pub cost: Option<u32>,
    /// `weight`: its share of the leaves among gateways of about equal cost. `None`: 1.
    pub weight: Option<u32>,
}

/// Who may forward for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatewayPolicy {
    /// The static peers of the network file, unless one says `gateway: false`.
    #[default]
    Static,
    /// Any node that offers it.
    Any,
}

/// When a pair of nodes that are no neighbours in the graph gets a link of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectMode {
    /// Every pair while the mesh has at most 16 nodes, on demand above (on demand above 16, every pair again below 12).
    #[default]
    Auto,
    /// Every pair that can.
    Always,

    /// Never: leaves speak through gateways.
    Never,
    /// Pairs that exchange traffic, as long as they do.
    OnDemand,
}

impl fmt::Display for DirectMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
            Self::OnDemand => "on-demand",
        })
    }
}

/// How much a node moves and what its traffic costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Stays where it is.
    #[default]
    Server,
    /// Changes its underlay address now and then.
    Roaming,
    /// Roaming, and its traffic is paid for by volume: one uplink, links on demand only.
    Mobile,
}

/// Everything that configures one engine. Checked by `config/`; the engine trusts it.
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// The network's shared key.
    pub key: NetworkKey,
    /// Overlay subnets, host bits cleared; an address outside all of them is never accepted.
    pub subnets: Vec<IpNet>,
    /// The static peers of the network file, this node among them if it is one.
    pub static_peers: Vec<StaticPeer>,
    /// Who may forward for others.
    pub gateways: GatewayPolicy,
    /// When pairs go direct.
    pub direct: DirectMode,
    /// MTU of the tunnel in bytes (default 1420: 1500 less 80 of IPv6, UDP and WireGuard).
    pub mtu: u16,
    /// This node's name.
    pub name: Name,
    /// This node's overlay addresses: one IPv4, one IPv6, or one of each.
    pub addresses: Vec<IpAddr>,
    /// This node's class.
    pub class: Class,
    /// Whether this node offers to forward for others (under the `any` policy; a static peer needs no offer).
    pub offer_gateway: bool,
    /// Whether it announces itself on its LANs and listens to others there.
    pub lan: bool,
    /// UDP port where this node's WireGuard listens.
    pub wg_port: u16,
    /// UDP port of control traffic, on the underlay and inside the tunnel.
    pub admin_port: u16,
}

impl MeshConfig {
    /// The entry of the network file that describes this very node, if any.
    pub fn own_static(&self) -> Option<&StaticPeer> {
        self.static_peers.iter().find(|peer| peer.addresses.iter().any(|a| self.addresses.contains(a)))
    }

    /// Whether `address` lies in a subnet of the overlay.
    pub fn in_subnet(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|net| net.contains(&address))
    }
}
