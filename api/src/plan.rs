//! `POST /v1/plan`: what changes would bring.

use serde::{Deserialize, Serialize};

/// What to think through. All changes come true at once; nothing is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The changes.
    pub changes: Vec<Change>,
}

/// A change that is only thought of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Change {
    /// The node of this name or overlay address were gone.
    Without(String),
    /// The link between two nodes had another cost.
    Cost {
        /// Name of one end.
        a: String,
        /// Name of the other one.
        b: String,
        /// The cost, 1 to 1,000,000.
        cost: u32,
    },
    /// The gateway of this name were drained: it carries the traffic of others only where there is no other way.
    Drain(String),
    /// No link of a gateway cost less than this.
    #[serde(rename = "gateway-cost")]
    GatewayCost {
        /// Its name.
        name: String,
        /// The least cost, 1 to 1,000,000.
        cost: u32,
    },
    /// All nodes had another network file.
    File(FileChange),
}

/// A network file, as far as paths depend on it. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileChange {
    /// `network.gateways`: whether any node may forward for others that offers it, not only static peers.
    pub any_gateways: bool,
    /// `peers`.
    pub peers: Vec<FilePeer>,
}

/// A static peer of a network file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FilePeer {
    /// `wgIp`: its overlay addresses.
    pub addresses: Vec<String>,
    /// `gateway`, if it is written.
    #[serde(default)]
    pub gateway: Option<bool>,
    /// `cost`, if it is written.
    #[serde(default)]
    pub cost: Option<u32>,
}

/// What `wgnet plan --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// Pairs whose path would move.
    pub moved: Vec<Moved>,
    /// Pairs that would no longer reach each other.
    pub broken: Vec<Pair>,
    /// What each gateway carries for others.
    pub gateways: Vec<Load>,
    /// Whether all pairs were compared; in a large mesh only those of the node that answers are.
    pub all_pairs: bool,
    /// What cannot be known, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Two nodes. Both directions take the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pair {
    /// Name of one.
    pub from: String,
    /// Name of the other.
    pub to: String,
}

/// A pair whose path would move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Moved {
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Load {
    /// Its name.
    pub name: String,
    /// Pairs whose path leads through it now.
    pub before: u64,
    /// Pairs whose path would.
    pub after: u64,
}
