//! What a daemon takes, and how it answers.

use serde::{Deserialize, Serialize};

/// `POST /v1/link-cost`: the cost of this node's link to a neighbour, in place of the measured one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LinkCost {
    /// The neighbour's name.
    pub peer: String,
    /// The cost; `null` goes back to the measured one.
    pub cost: Option<u32>,
}

/// `POST /v1/gateway-cost`: the least cost of every link of this gateway, so that traffic of others prefers another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GatewayCost {
    /// The cost, 1 to 1,000,000; `null` goes back to the measured ones.
    pub cost: Option<u32>,
}

/// `POST /v1/drain`: leads the traffic of others around this gateway, as far as there is another way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Drain {
    /// Whether to; `false` takes the traffic back.
    pub drain: bool,
}

/// `POST /v1/probe`: probes one peer's link, or every link and static peer, now instead of when it is due.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Probe {
    /// The peer's name or overlay address; all of them when it is missing.
    #[serde(default)]
    pub peer: Option<String>,
}

/// `POST /v1/log-level`: how much the daemon logs, until it is restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetLogLevel {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
}

/// What a daemon logs now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogFilter {
    /// The filter in force, as in RUST_LOG: `info,boringtun=off`.
    pub filter: String,
}

/// How much a daemon logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LogLevel {
    /// What does not work.
    Error,
    /// Also what someone should look at.
    Warn,
    /// Also what happens in the normal course of things.
    Info,
    /// Also what the daemon thinks.
    Debug,
    /// Also every packet of control traffic.
    Trace,
}

/// `POST /v1/forget`: let a name and its addresses go to another identity. Only at a gateway of the network file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// The name of the node that was reinstalled or is gone.
    pub name: String,
}

/// A command was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Done {}

/// A request was refused; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refusal {
    /// What is wrong.
    pub error: String,
    /// What to do about it; empty when there is nothing to say.
    pub remedy: String,
}
