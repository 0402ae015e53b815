//! `GET /v1/mesh`: the whole mesh as the node that answers knows it: the graph behind every path.

use serde::{Deserialize, Serialize};

/// Nodes and links of the link-state database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Mesh {
    /// Every node, the one that answers among them, sorted by address.
    pub nodes: Vec<MeshNode>,
    /// Every link of the graph, and those of the node that answers that are down, sorted by `a` and `b`.
    pub links: Vec<MeshLink>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeshNode {
    /// As in [`Peer::id`](crate::Peer::id).
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its first overlay address.
    pub address: String,
    /// Whether it forwards for others.
    pub gateway: bool,
    /// How it stands to the mesh.
    pub state: NodeState,
    /// How much it moves and what its traffic costs: `server`, `roaming` or `mobile`.
    pub class: String,
}

/// How a node stands to the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// One link between two nodes of the graph. Direct links that two leaves agreed upon are known to them only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeshLink {
    /// Name of the end that comes first.
    pub a: String,
    /// Name of the other one.
    pub b: String,
    /// The cost by which paths are computed; `None` while the link does not count: an end does not advertise it (any
    /// more), or it is down.
    pub cost: Option<u32>,
    /// The cost that `a` advertises.
    pub cost_a: Option<u32>,
    /// The cost that `b` advertises.
    pub cost_b: Option<u32>,
    /// Smoothed round trip in milliseconds, as an end measured it.
    pub rtt_ms: Option<f64>,
    /// Smoothed share of lost probes, 0 to 1, likewise.
    pub loss: Option<f64>,
    /// Whether packets may take it now.
    pub up: bool,
}
