//! wgnet: a WireGuard mesh from one YAML file, without a coordinator.
//!
//! This page is the map. Each folder opens with its own story.
//!
//! ```text
//!   main ── cli ──────────────► wgnet-api (types, client) ◄── wgnet-tui
//!             │                     ▲
//!             ▼                     │
//!           daemon ──────────────► admin      clocks, sockets, tasks: only here
//!          ┌──┼────────┐
//!          ▼  ▼        ▼
//!       config tunnel system        what is wanted; what carries packets; what the machine must do
//!          │   │        │
//!          ▼   ▼        ▼
//!          mesh  ◄──── sim          the engine: pure; and a world to run it in
//! ```
//!
//! Dependencies point down only; `architecture` tests it. The engine ([`mesh::engine::Engine`]) is sans-IO: the daemon
//! hands it datagrams, deadlines, what the tunnel saw and what people want; it answers with datagrams, with *whole*
//! desired states of tunnel and system, with events and with the next deadline. The simulator drives the very same
//! engine, with virtual time, lossy links, NAT boxes and crashes. Same seed and inputs, same outputs, to the byte.
//!
//! # Where is ...
//!
//! | what | room |
//! |---|---|
//! | the network file, flags, defaults, errors with line and column | [`config`] |
//! | a subcommand | [`cli`], one file each |
//! | who is who: identities, names, link addresses | [`mesh::ids`] |
//! | what nodes say of themselves, the link-state database, ages and holds | [`mesh::record`] |
//! | who holds a name, who is a gateway, votes | [`mesh::trust`] |
//! | acknowledgement, retransmission, digests | `mesh::flood` |
//! | is a link alive, what does it cost | [`mesh::link`] |
//! | shortest paths | [`mesh::path`]; from paths to peers and prefixes: `mesh::engine::plan` |
//! | which gateways a leaf tries, and which it counts on | `mesh::engine::sought`, `mesh::engine::uplinks` |
//! | a gateway that withdraws to see how the others do | `mesh::engine::drill` |
//! | joining, endpoints, announcements on LANs, direct links of leaves | `mesh::reach` |
//! | bytes on the wire | [`mesh::wire`] |
//! | the embedded WireGuard | [`tunnel::userspace`] |
//! | addresses, routes, ports of the router before this machine | [`system`] |
//! | keys and state on disk, the main loop, signals | [`daemon`] |
//! | HTTP over the unix socket and TCP, the stream, metrics | [`admin`], its types in the crate `wgnet-api` |
//! | virtual networks, scenario files, invariants | [`sim`] |
//! | the dashboard | the crate `wgnet-tui` |
//! | real daemons in network namespaces | the crate `netns-tests` |
//!
//! # Reading order
//!
//! [`mesh`] for the ideas, [`mesh::engine`] for how an input settles, [`mesh::io`] for the words between engine and
//! world; then `daemon::node` for the loop; then whatever brought you here.

pub mod admin;
#[cfg(test)]
mod architecture;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod mesh;
pub mod sim;
pub mod system;
pub mod tunnel;
