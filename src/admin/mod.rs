//! The admin protocol's server: HTTP/1.1 and JSON (types of [`wgnet_api`]) over a unix socket and, where it
//! is asked for, a TCP port.
//!
//! [`socket`] binds it, 0600, and replaces one that a killed daemon left; [`server`] takes connections of root and of
//! the daemon's own user, a few at a time and each for a few seconds; [`tcp`] asks for a token; [`routes`] turns a request into a [`Request`]
//! for the daemon's loop and its answer into JSON; [`status`], [`mesh`], [`why`] and [`plan`] turn the
//! engine's view, explanations and forecasts into what people see; [`stream`] follows what the loop publishes;
//! [`metrics`] counts for Prometheus.
//!
//! The loop answers between two inputs of the engine, so that every answer is one moment's truth. A client that is
//! slow, stuck or greedy costs the loop nothing: it only ever holds its own connection.

#[cfg(feature = "drill")]
pub mod drill;
pub mod log_level;
pub mod mesh;
pub mod metrics;
mod patience;
pub mod plan;
mod refused;
pub mod routes;
pub mod server;
pub mod socket;
pub mod status;
pub mod stream;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod why;

use tokio::sync::{mpsc, oneshot};

use crate::daemon::reload::ReloadRefused;
use crate::mesh::io::{Command, CommandError};
use crate::mesh::view::WhatIf;

/// Requests that wait for the loop; more are told to come again.
const WAITING: usize = 16;

/// What a client wants of the daemon's loop, with the place for the answer. A client that went away is no error.
#[derive(Debug)]
pub enum Request {
    /// The present status.
    Status(oneshot::Sender<wgnet_api::Status>),
    /// The whole mesh.
    Mesh(oneshot::Sender<wgnet_api::Mesh>),
    /// Everything a dashboard shows.
    Snapshot(oneshot::Sender<wgnet_api::Snapshot>),
    /// All of that and what follows; the journal from a place on, or all that is kept.
    Subscribe(Option<wgnet_api::Place>, oneshot::Sender<stream::Subscription>),
    /// What metrics are made of.
    Metrics(oneshot::Sender<metrics::Figures>),
    /// The last events.
    Journal(oneshot::Sender<wgnet_api::Journal>),
    /// Why packets travel from one node (this one when it is not given) to another as they do.
    Why(Option<String>, String, oneshot::Sender<Result<wgnet_api::Why, CommandError>>),
    /// What changes would bring; nothing is touched.
    Plan(Vec<WhatIf>, oneshot::Sender<Result<wgnet_api::Plan, CommandError>>),
    /// Read the network file again.
    Reload(wgnet_api::ReloadRequest, oneshot::Sender<Result<wgnet_api::Reload, ReloadRefused>>),
    /// Keep what a reload brought.
    Confirm(oneshot::Sender<Result<(), ReloadRefused>>),
    /// The drill that goes on, or the last one.
    #[cfg(feature = "drill")]
    DrillReport(oneshot::Sender<Option<wgnet_api::DrillReport>>),
    /// Something that changes the mesh.
    Command(Command, oneshot::Sender<Result<(), CommandError>>),
}

/// The two ends between the server and the loop.
pub fn channel() -> (mpsc::Sender<Request>, mpsc::Receiver<Request>) {
    mpsc::channel(WAITING)
}
