//! `GET /v1/status`: this node, its peers, what is wrong.

use serde::{Deserialize, Serialize};

/// What `wgnet status --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// This node.
    pub node: Node,
    /// Every other node, sorted by address.
    pub peers: Vec<Peer>,
    /// What is wrong, worst first; empty when all is well.
    pub health: Vec<Health>,
    /// Every gateway with its weight and its share of the leaves, sorted by name. Absent from versions without weights.
    #[serde(default)]
    pub gateways: Vec<Gateway>,
}

/// What a gateway carries of the leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Gateway {
    /// Its name.
    pub name: String,
    /// Its weight by the network file of the node that answers.
    pub weight: u32,
    /// Number of leaves that use it first.
    pub leaves: usize,
    /// Whether the node that answers, a leaf, uses it first.
    pub first: bool,
    /// Whether it is one of the gateways that the node that answers, a leaf, counts on.
    pub uplink: bool,
}

/// The node that answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its first overlay address.
    pub address: String,
    /// All its overlay addresses.
    pub addresses: Vec<String>,
    /// Its interface.
    pub interface: String,
    /// Its WireGuard key, base64.
    pub public_key: String,
    /// Its identity, hexadecimal.
    pub identity: String,
    /// Its link address.
    pub link_address: String,
    /// `kernel`, `userspace` or `existing`.
    pub tunnel: String,
    /// Version of the daemon.
    pub version: String,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// Whether it forwards for others.
    pub gateway: bool,
    /// Bytes of the largest packet its interface takes.
    pub mtu: u16,
    /// The least cost of every link of this gateway, if a person set one.
    pub gateway_cost: Option<u32>,
    /// Whether traffic of others is being led around this gateway.
    pub draining: bool,
    /// Hash of the effective link-state database, hexadecimal: equal on nodes that must agree.
    pub effective_lsdb: String,
    /// The NAT between this node and the gateways, as they see it. Absent from versions that do not look.
    #[serde(default)]
    pub nat: Nat,
    /// Where others may reach this node through its NAT.
    #[serde(default)]
    pub outside: Vec<String>,
    /// The port that the router before this node leads to it, if it does.
    #[serde(default)]
    pub port_mapping: Option<PortMapping>,
}

impl Node {
    /// How it looks from outside, for people; `None` when nothing stands between it and the others, or nothing is known.
    pub fn seen_from_outside(&self) -> Option<String> {
        let outside = self.outside.join(" ");
        if let Some(mapped) = self.port_mapping.as_ref().filter(|mapping| mapping.reachable) {
            return Some(format!("{}, a port that the router maps ({})", mapped.external, mapped.protocol));
        }
        match self.nat {
            Nat::Unknown if outside.is_empty() => None,
            Nat::Unknown => Some(format!("{outside}, as one gateway sees it")),
            Nat::None => None,
            Nat::EndpointIndependent => Some(format!("{outside}, through a NAT that direct links can pass")),
            Nat::AddressDependent => {
                Some("another port for everyone: nobody can begin a direct link to here".to_owned())
            }
        }
    }
}

/// A port of the router before a node, which leads to the node's WireGuard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PortMapping {
    /// How the router was asked: `PCP`, `NAT-PMP` or `UPnP`.
    pub protocol: String,
    /// Address and port of the router's outside, as it says.
    pub external: String,
    /// Whether others are told to try there; if not, `health` says why.
    pub reachable: bool,
}

/// A NAT, in the words of RFC 4787.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// Too few gateways told where they see the node: it takes two, at different addresses.
    #[default]
    Unknown,
    /// There is none.
    None,
    /// It shows one endpoint to everyone: links through it can be made from both ends at once.
    EndpointIndependent,
    /// It shows everyone another port: nobody can begin to speak with the node.
    AddressDependent,
}

/// One other node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Peer {
    /// What tells it from all others, also where two claim one name: its identity in short, `static:` and the address of
    /// one that never answered, or `wg:` and the key of one that a person added.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its first overlay address.
    pub address: String,
    /// All its overlay addresses or, for a foreign peer, its allowed IPs.
    pub addresses: Vec<String>,
    /// How packets for it travel.
    pub path: PathKind,
    /// Name of the next hop when `path` is `gateway`.
    pub via: Option<String>,
    /// Number of tunnels on the way; 0 when unreachable.
    pub hops: u32,
    /// Sum of the costs on the way.
    pub cost: Option<u64>,
    /// Where WireGuard sends to, for a direct peer.
    pub endpoint: Option<String>,
    /// Whether that is on a LAN where the two found each other by announcement. Absent from versions that do not announce.
    #[serde(default)]
    pub lan: bool,
    /// Seconds since the last handshake, for a direct peer.
    pub handshake_age_s: Option<u64>,
    /// Smoothed round trip in milliseconds, for a direct peer.
    pub rtt_ms: Option<f64>,
    /// Smoothed share of lost probes, 0 to 1, for a direct peer.
    pub loss: Option<f64>,
    /// The probes behind them, for a peer with a tunnel of its own, in use or not.
    pub probes: Option<Probes>,
    /// The best of the other ways, if there is one.
    pub runner_up: Option<RunnerUp>,
    /// Bytes received from it.
    pub rx_bytes: u64,
    /// Bytes sent to it.
    pub tx_bytes: u64,
    /// Its WireGuard key, base64.
    pub public_key: Option<String>,
    /// Whether it forwards for others.
    pub gateway: bool,
    /// Whether its claims are refused.
    pub refused: bool,
    /// A peer that a person added by `wg set`: kept, not part of the mesh.
    pub foreign: bool,
    /// One sentence: why this path.
    pub why: String,
}

/// What probing a link brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Probes {
    /// Answered probes since the daemon started.
    pub answered: u64,
    /// Probes that were given up since then.
    pub missed: u64,
    /// Round trip of the last answered one in milliseconds, unsmoothed.
    pub last_ms: Option<f64>,
}

/// The way that would be taken if the present one were gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerUp {
    /// Name of its first node; the peer itself where it is the own link.
    pub via: String,
    /// Its cost in all.
    pub cost: u64,
}

/// How packets for a node travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// Over a tunnel to the node itself.
    Direct,
    /// Through gateways.
    Gateway,
    /// Not at all.
    Unreachable,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for scripts.
    pub code: String,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
}

/// How bad a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Works, but someone should look.
    Warning,
    /// Something does not work.
    Error,
}
