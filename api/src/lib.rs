//! The admin protocol of wgnet: what a running daemon tells and takes over its unix socket (HTTP/1.1 and JSON).
//!
//! Types here carry serde and nothing of the daemon; the client is small and blocking. The command line, the dashboard,
//! scripts and tests all use the same routes.

mod status;

pub use status::{Health, Node, PathKind, Peer, Severity, Status};
