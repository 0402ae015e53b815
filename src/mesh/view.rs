//! What the engine shows of itself: a snapshot for `status`, the dashboard and the tests.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::config::{Class, GatewayPolicy};
use super::event::Severity;
use super::ids::{Name, NodeId, WgPublicKey};
use super::io::PortMapping;

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

/// The NAT between this node and the gateways, in the words of RFC 4787.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatKind {
    /// Too few gateways told where they see this node: it takes two, at different addresses.
    #[default]
    Unknown,
    /// There is none: gateways see this node's own address.
    None,
    /// It shows one endpoint to everyone: who sends there while this node sends to them gets through.
    EndpointIndependent,
    /// It shows each gateway another port: nobody can begin to speak with this node.
    AddressDependent,
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
    /// The least cost of every link of this gateway, if a person set one.
    pub gateway_cost: Option<u32>,
    /// Whether traffic of others is being led around this gateway.
    pub draining: bool,
    /// Every gateway's weight and share of the leaves, sorted by name.
    pub shares: Vec<GatewayShare>,
    /// The NAT between this node and the gateways.
    pub nat: NatKind,
    /// Where others may reach this node through its NAT.
    pub outside: Vec<SocketAddr>,
    /// What the router before this node says that it maps, and whether others are told of it.
    pub mapped: Option<(PortMapping, bool)>,
    /// Keys of the peers that the mesh put into the tunnel, those of nodes that just left among them.
    pub tunnel_keys: Vec<WgPublicKey>,
    /// Counters since the start, by name (`wgnet_` is prefixed in metrics).
    pub counters: Vec<(&'static str, u64)>,
}

/// What a gateway carries of the leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayShare {
    /// Its name.
    pub name: String,
    /// Its weight by this node's network file.
    pub weight: u32,
    /// Number of leaves whose first gateway it is.
    pub leaves: usize,
    /// Whether it is the first gateway of this node, a leaf.
    pub is_first: bool,
    /// Whether it is one of the gateways that this node, a leaf, counts on.
    pub is_uplink: bool,
}

/// How far a drill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrillState {
    /// It is measured how the mesh does with the gateway.
    Before,
    /// The gateway is being asked to withdraw.
    Asked,
    /// The gateway is withdrawn.
    Away,
    /// The gateway is called back, and returns.
    Returning,
    /// The drill is over.
    Over,
}

/// A drill, as far as it is, or as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillReport {
    /// Name of the gateway.
    pub gateway: String,
    /// How far it is.
    pub state: DrillState,
    /// Why it did not go as it should; `None`: it did.
    pub problem: Option<String>,
    /// How long the gateway was asked to be away.
    pub lasts: Duration,
    /// How long it was away; `None`: it never was.
    pub away: Option<Duration>,
    /// No node should be out for longer than this.
    pub goal: Duration,
    /// What was measured of each node, sorted by name.
    pub nodes: Vec<DrillNode>,
}

/// What a drill did to one node, as the node that measures sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillNode {
    /// Its name.
    pub name: String,
    /// Whether it answers echoes at all; older versions do not.
    pub answers: bool,
    /// Echoes sent to it since the gateway fell silent.
    pub sent: u32,
    /// Those without an answer within a second.
    pub lost: u32,
    /// The longest time from a lost echo to the next that was answered.
    pub outage: Duration,
    /// Whether it had a link to the gateway.
    pub linked: bool,
    /// How long after the silence that link was out of the link-state database.
    pub let_go: Option<Duration>,
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
    /// Whether that is on a LAN where the two found each other by announcement.
    pub lan: bool,
    /// Time since the last handshake, for a direct peer.
    pub handshake_age: Option<Duration>,
    /// Smoothed round trip of the link, for a direct peer.
    pub rtt: Option<Duration>,
    /// Smoothed share of lost probes, 0 to 1, for a direct peer.
    pub loss: Option<f32>,
    /// What probing its link brought, in use or not.
    pub probes: Option<Probes>,
    /// The first node of the best of the other ways, and its cost in all.
    pub runner_up: Option<(String, u64)>,
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

/// What probing a link brought since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Answered probes.
    pub answered: u64,
    /// Probes that were given up.
    pub missed: u64,
    /// Round trip of the last answered one, unsmoothed.
    pub last: Option<Duration>,
}

/// The graph behind every path, and the nodes outside it.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// Every node, this one among them, sorted by first address.
    pub nodes: Vec<MeshNode>,
    /// Every link of the graph, and those of this node that are down, sorted by `a` and `b`.
    pub links: Vec<MeshLink>,
}

/// One node of the mesh.
#[derive(Clone, Debug)]
pub struct MeshNode {
    /// `None` for a static peer that never answered.
    pub id: Option<NodeId>,
    /// Its name, or the file's, or its first address.
    pub name: String,
    /// Its overlay addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it forwards for others.
    pub gateway: bool,
    /// How it stands to the mesh.
    pub state: NodeState,
    /// Its class; `None` while nothing was heard of it.
    pub class: Option<Class>,
}

/// How a node stands to the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Part of it, with at least one link.
    Linked,
    /// Known, but without any link at present.
    Apart,
    /// Its claims are refused.
    Refused,
    /// In the network file, and never heard of.
    Silent,
}

/// One link of the mesh.
#[derive(Clone, Debug)]
pub struct MeshLink {
    /// Name of the end that comes first.
    pub a: String,
    /// Name of the other one.
    pub b: String,
    /// The cost by which paths are computed; `None` while the link does not count.
    pub cost: Option<u32>,
    /// The cost that `a` advertises.
    pub cost_a: Option<u32>,
    /// The cost that `b` advertises.
    pub cost_b: Option<u32>,
    /// Smoothed round trip in microseconds, as an end measured it.
    pub rtt_us: Option<u32>,
    /// Smoothed share of lost probes in percent, likewise.
    pub loss_percent: Option<u8>,
    /// Whether packets may take it now.
    pub up: bool,
}

/// Why packets between two nodes travel as they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Name of the first node.
    pub from: String,
    /// Name of the last one.
    pub to: String,
    /// The path, tunnel by tunnel; empty when there is none.
    pub hops: Vec<Hop>,
    /// Sum of the costs on a path of the graph.
    pub cost: Option<u64>,
    /// What lost, the best first.
    pub candidates: Vec<Candidate>,
    /// Why there is no path.
    pub missing: Option<Missing>,
    /// Bytes of a packet that passes whole.
    pub mtu: u16,
    /// Who decrypts the traffic on its way.
    pub readers: Vec<String>,
    /// What else there is to know.
    pub note: Option<String>,
}

/// One tunnel of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its end on the near side.
    pub from: String,
    /// Its end on the far side.
    pub to: String,
    /// The cost of the link.
    pub cost: Option<u64>,
    /// Smoothed round trip in microseconds: measured here, or as an end told it.
    pub rtt_us: Option<u32>,
    /// Smoothed share of lost probes in percent, likewise.
    pub loss_percent: Option<u8>,
}

/// A way that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node it leads over first.
    pub via: String,
    /// Its cost in all.
    pub cost: Option<u64>,
    /// How much more than the path taken.
    pub margin: Option<u64>,
    /// What decided.
    pub rule: Rule,
    /// The same in words.
    pub text: String,
}

/// What decides against a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It costs more.
    Dearer,
    /// It costs the same, and the tie-break is against it.
    Tied,
    /// It leads over a leaf.
    Leaf,
    /// It leads back.
    NoWayOn,
    /// It lies beneath a direct link.
    Beneath,
}

/// Why there is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The reason.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// A change that is only thought of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhatIf {
    /// The named node were not there.
    Without(String),
    /// The link between two nodes had this cost.
    Cost {
        /// Name of one end.
        a: String,
        /// Name of the other one.
        b: String,
        /// The cost.
        cost: u32,
    },
    /// The named gateway were drained.
    Drain(String),
    /// No link of the named gateway cost less.
    GatewayCost {
        /// Its name.
        name: String,
        /// The least cost.
        cost: u32,
    },
    /// All nodes had another network file.
    File {
        /// Who may forward for others.
        gateways: GatewayPolicy,
        /// Its static peers.
        peers: Vec<FilePeer>,
    },
}

/// A static peer as far as paths depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePeer {
    /// `wgIp`.
    pub addresses: Vec<IpAddr>,
    /// `gateway`, if it is written.
    pub gateway: Option<bool>,
    /// `cost`, if it is written.
    pub cost: Option<u32>,
}

/// What changes would bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Pairs whose path would move.
    pub moved: Vec<Move>,
    /// Pairs that would no longer reach each other.
    pub broken: Vec<(String, String)>,
    /// What each gateway carries for others.
    pub gateways: Vec<GatewayLoad>,
    /// Whether all pairs were compared; else only those of this node.
    pub all_pairs: bool,
    /// What cannot be known, in words.
    pub notes: Vec<String>,
}

/// A pair whose path would move. Both directions take the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Name of one end.
    pub from: String,
    /// Name of the other one.
    pub to: String,
    /// Names of the gateways between them now; empty: direct.
    pub before: Vec<String>,
    /// The same afterwards.
    pub after: Vec<String>,
}

/// What a gateway carries for others, in pairs of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayLoad {
    /// Its name.
    pub name: String,
    /// Pairs whose path leads through it now.
    pub before: u64,
    /// Pairs whose path would.
    pub after: u64,
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
