//! The mesh engine: pure. No clock, no sockets, no tokio, no files, no threads, no unseeded randomness.
//!
//! Each node says of itself what it is in a signed **record** (`record/`): name, addresses, key, endpoints, links.
//! Records flood to everyone (`flood/`), so every node holds the same **link-state database** (LSDB). A link's cost is
//! measured by its two ends (`link/`). From the LSDB every node computes the same shortest paths (`path/`) and from
//! those its own **plan**: who is a direct peer, and who is reached through which gateway. Who may claim what is
//! decided in `trust/`; how nodes find and prove each other's endpoints in `reach/`; bytes on the wire in `wire/`.
//!
//! The contract is stated in [`engine::Engine`]: inputs go in by `handle_*`, then the caller drains `poll_output`,
//! then sleeps until `next_timeout`. Same seed and same inputs give the same outputs, to the byte.

pub mod config;
pub mod engine;
pub mod event;
mod flood;
pub mod ids;
pub mod io;
pub mod link;
pub mod path;
mod reach;
pub mod record;
pub mod time;
mod timer;
pub mod trust;
pub mod view;
pub mod wire;
