//! `GET /v1/why`: why packets between two nodes travel as they do.

use serde::{Deserialize, Serialize};

/// Query of `GET /v1/why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// Name or overlay address of the first node; the node that answers when it is missing.
    #[serde(default)]
    pub from: Option<String>,
    /// Name or overlay address of the last one.
    pub to: String,
}

/// What `wgnet why --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Why {
    /// Name of the first node.
    pub from: String,
    /// Name of the last one.
    pub to: String,
    /// The path, tunnel by tunnel; empty when there is none.
    pub hops: Vec<Hop>,
    /// Sum of the costs on a path of the graph.
    pub cost: Option<u64>,
    /// The ways that lost, the best first.
    pub candidates: Vec<Candidate>,
    /// Why there is no path.
    pub missing: Option<Missing>,
    /// Bytes of a packet that passes whole.
    pub mtu: u16,
    /// Names of the gateways on the way: tunnels end at each of them, so they can read the traffic.
    pub readers: Vec<String>,
    /// What else there is to know.
    pub note: Option<String>,
}

/// One tunnel of a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hop {
    /// Name of its near end.
    pub from: String,
    /// Name of its far end.
    pub to: String,
    /// The cost of the link.
    pub cost: Option<u64>,
    /// Smoothed round trip in milliseconds: measured by the node that answers, or as an end of the link told it.
    pub rtt_ms: Option<f64>,
    /// Smoothed share of lost probes, 0 to 1, likewise.
    pub loss: Option<f64>,
}

/// A way that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Candidate {
    /// Name of the node it leads over first.
    pub via: String,
    /// Its cost in all.
    pub cost: Option<u64>,
    /// How much more that is.
    pub margin: Option<u64>,
    /// What decided.
    pub rule: Rule,
    /// The same in words.
    pub text: String,
}

/// What decides against a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// It costs more.
    Dearer,
    /// It costs the same, and the tie-break, the same on every node, is against it.
    Tied,
    /// It leads over a leaf, and leaves do not forward.
    Leaf,
    /// It leads back.
    NoWayOn,
    /// It lies beneath a direct link.
    Beneath,
}

/// Why there is no path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Missing {
    /// The reason.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}
