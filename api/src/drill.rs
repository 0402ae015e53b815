//! `POST /v1/drill`, `POST /v1/drill-end`, `GET /v1/drill-report`: how the mesh does without a gateway, tried out.

use serde::{Deserialize, Serialize};

/// `POST /v1/drill`: have a gateway withdraw for a while, and measure from this node what the others notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrillRequest {
    /// The gateway's name or overlay address.
    pub gateway: String,
    /// Seconds, 1 to 300.
    pub for_s: u32,
    /// Although nodes are cut off meanwhile.
    #[serde(default)]
    pub force: bool,
}

/// How far a drill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DrillState {
    /// It is measured how the mesh does with the gateway.
    Before,
    /// The gateway is being asked to withdraw.
    Asked,
    /// The gateway is withdrawn.
    Away,
    /// The gateway returns.
    Returning,
    /// The drill is over.
    Over,
}

/// A drill, as far as it is, or the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrillReport {
    /// Name of the gateway.
    pub gateway: String,
    /// How far it is.
    pub state: DrillState,
    /// Why it did not go as it should.
    pub problem: Option<String>,
    /// Seconds that the gateway was asked to be away.
    pub for_s: u32,
    /// Seconds that it was away, its return included.
    pub away_s: Option<f64>,
    /// Seconds that no node should be out for longer than.
    pub goal_s: f64,
    /// The longest that any node was out, in seconds.
    pub outage_s: f64,
    /// Whether it went as it should, and no node was out for longer than the goal.
    pub met: bool,
    /// What was measured of each node, sorted by name; in a large mesh of some that chance picked.
    pub nodes: Vec<DrillNode>,
}

/// What a drill did to one node, as the node that measures sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrillNode {
    /// Its name.
    pub name: String,
    /// Whether it answers echoes at all; older versions do not, and are not measured.
    pub measured: bool,
    /// Echoes sent to it since the gateway fell silent.
    pub sent: u32,
    /// Those without an answer within a second.
    pub lost: u32,
    /// Seconds from a lost echo to the next that was answered, the longest time.
    pub outage_s: f64,
    /// Whether it had a link to the gateway.
    pub linked: bool,
    /// Seconds from the silence until it had let go of that link.
    pub let_go_s: Option<f64>,
}
