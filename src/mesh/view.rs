//! What the engine shows of itself: a snapshot for `status`, the dashboard and the tests.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::event::Severity;
use super::ids::{Name, NodeId, WgPublicKey};

/// How packets for a node travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathKind {
    /// Over a tunnel to the node itself.
    Direct,
    /// Through one or more gateways.
    Gateway,
    /// Not at all.
    Unreachable,
}

/// Everything worth showing, at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// This node's identity.
    pub id: NodeId,
    /// Every other node that the LSDB or the network file knows, sorted by first address.
    pub nodes: Vec<NodeView>,
    /// What is wrong, worst first.
    pub health: Vec<HealthLine>,
    /// A hash of the effective LSDB: equal on two nodes when they must have equal tables (invariant I1).
    pub effective_hash: u64,
    /// Whether this node forwards for others.
    pub gateway: bool,
    /// Keys of the peers that the mesh put into the tunnel, those of nodes that just left among them.
    pub tunnel_keys: Vec<WgPublicKey>,
    /// Counters since the start, by name (`wgnet_` is prefixed in metrics).
    pub counters: Vec<(&'static str, u64)>,
}

/// One other node.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// `None` for a static peer that never answered.
    pub id: Option<NodeId>,
    /// Its name, or the file's, or its first address.
    pub name: String,
    /// Its overlay addresses.
    pub addresses: Vec<IpAddr>,
    /// Its WireGuard key.
    pub public_key: Option<WgPublicKey>,
    /// How packets for it travel.
    pub path: PathKind,
    /// Name of the next hop when `path` is `Gateway`.
    pub via: Option<String>,
    /// Number of tunnels on the way; 0 when unreachable.
    pub hops: u32,
    /// Sum of the costs on the way.
    pub cost: Option<u64>,
    /// Where WireGuard sends to, for a direct peer.
    pub endpoint: Option<SocketAddr>,
    /// Time since the last handshake, for a direct peer.
    pub handshake_age: Option<Duration>,
    /// Smoothed round trip of the link, for a direct peer.
    pub rtt: Option<Duration>,
    /// Smoothed share of lost probes, 0 to 1, for a direct peer.
    pub loss: Option<f32>,
    /// Bytes received and sent, for a direct peer.
    pub rx_bytes: u64,
    /// See `rx_bytes`.
    pub tx_bytes: u64,
    /// Whether it forwards for others.
    pub gateway: bool,
    /// Whether its claims are refused.
    pub refused: bool,
    /// Prefixes it may be reached by.
    pub prefixes: Vec<IpNet>,
    /// One sentence: why this path.
    pub why: String,
}

/// One thing that is wrong, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthLine {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for scripts, such as `name-conflict`.
    pub code: &'static str,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
}

/// A node's name or, without one, the first digits of its identity.
pub fn display_name(name: Option<&Name>, id: &NodeId) -> String {
    name.map_or_else(|| id.short(), ToString::to_string)
}
