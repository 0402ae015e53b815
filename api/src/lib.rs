//! The admin protocol of wgnet: what a running daemon tells and takes over its unix socket (HTTP/1.1 and JSON).
//!
//! | route | takes | answers |
//! |---|---|---|
//! | `GET /v1/status` | | [`Status`] |
//! | `GET /v1/mesh` | | [`Mesh`] |
//! | `GET /v1/snapshot` | | [`Snapshot`] |
//! | `GET /v1/stream` | header `Last-Event-ID` | [`Event`]s, as they happen |
//! | `GET /v1/journal` | | [`Journal`] |
//! | `GET /v1/why?from=NODE&to=NODE` | [`WhyQuery`] | [`Why`] |
//! | `POST /v1/plan` | [`PlanRequest`] | [`Plan`] |
//! | `POST /v1/link-cost` | [`LinkCost`] | [`Done`] |
//! | `POST /v1/gateway-cost` | [`GatewayCost`] | [`Done`] |
//! | `POST /v1/drain` | [`Drain`] | [`Done`] |
//! | `POST /v1/drill` | [`DrillRequest`] | [`Done`] |
//! | `POST /v1/drill-end` | | [`Done`] |
//! | `GET /v1/drill-report` | | [`DrillReport`] |
//! | `POST /v1/probe` | [`Probe`] | [`Done`] |
//! | `POST /v1/forget` | [`Forget`] | [`Done`] |
//! | `POST /v1/reload` | [`ReloadRequest`] | [`Reload`] |
//! | `POST /v1/confirm` | | [`Done`] |
//! | `POST /v1/log-level` | [`SetLogLevel`] | [`LogFilter`] |
//! | `GET /v1/openapi.json` | | the description of all this, for generators of clients |
//! | `GET /metrics` | | figures for Prometheus, as OpenMetrics text |
//!
//! What is refused is answered with a status of 400 and above and a [`Refusal`]. No route returns a private or shared
//! key.
//!
//! Types here carry serde and nothing of the daemon; the client is small and blocking. The command line, the dashboard,
//! scripts and tests all use the same routes.

mod client;
mod command;
mod drill;
mod find;
mod http;
mod journal;
mod mesh;
#[cfg(feature = "openapi")]
pub mod openapi;
mod plan;
mod recording;
pub mod redact;
mod reload;
mod snapshot;
mod sse;
mod status;
mod stream;
mod why;

/// Version of the protocol: the first number rises when something is taken away or changes its meaning.
pub const PROTOCOL_VERSION: &str = "1.0.0";
/// The protocol's description, for generators of clients.
pub const OPENAPI: &str = include_str!("../openapi.json");

pub use client::{Address, Client, Closer, Error, Stream, Token};
pub use command::{Done, Drain, Forget, GatewayCost, LinkCost, LogFilter, LogLevel, Probe, Refusal, SetLogLevel};
pub use drill::{DrillNode, DrillReport, DrillRequest, DrillState};
pub use find::{SOCKET_DIRECTORY, find_socket};
pub use journal::{Journal, JournalEntry};
pub use mesh::{Mesh, MeshLink, MeshNode, NodeState};
pub use plan::{Change, FileChange, FilePeer, Load, Moved, Pair, Plan, PlanRequest};
pub use recording::{Header, Item, Line, RECORDING_VERSION, Recorder, Recording, RecordingError, Tape};
pub use reload::{ConfigDifference, Reload, ReloadRequest};
pub use snapshot::{Difference, Snapshot};
pub use status::{Gateway, Health, Nat, Node, PathKind, Peer, PortMapping, Probes, RunnerUp, Severity, Status};
pub use stream::{Event, Place};
pub use why::{Candidate, Hop, Missing, Rule, Why, WhyQuery};
