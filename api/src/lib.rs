//! The admin protocol of wgnet: what a running daemon tells and takes over its unix socket (HTTP/1.1 and JSON).
//!
//! | route | takes | answers |
//! |---|---|---|
//! | `GET /v1/status` | | [`Status`] |
//! | `GET /v1/journal` | | [`Journal`] |
//! | `GET /v1/why?from=NODE&to=NODE` | [`WhyQuery`] | [`Why`] |
//! | `POST /v1/plan` | [`PlanRequest`] | [`Plan`] |
//! | `POST /v1/link-cost` | [`LinkCost`] | [`Done`] |
//! | `POST /v1/forget` | [`Forget`] | [`Done`] |
//!
//! What is refused is answered with a status of 400 and above and a [`Refusal`]. No route returns a private or shared
//! key.
//!
//! Types here carry serde and nothing of the daemon; the client is small and blocking. The command line, the dashboard,
//! scripts and tests all use the same routes.

mod client;
mod command;
mod find;
mod http;
mod journal;
mod plan;
mod status;
mod why;

pub use client::{Client, Error};
pub use command::{Done, Forget, LinkCost, Refusal};
pub use find::{SOCKET_DIRECTORY, find_socket};
pub use journal::{Journal, JournalEntry};
pub use plan::{Change, Load, Moved, Pair, Plan, PlanRequest};
pub use status::{Health, Node, PathKind, Peer, Severity, Status};
pub use why::{Candidate, Hop, Missing, Rule, Why, WhyQuery};
