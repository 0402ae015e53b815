//! The simulator: the same engine that the daemon runs, in a world without clocks, sockets, threads or files.
//!
//! A [`world::World`] holds machines (`node`): an engine when the daemon runs, a virtual WireGuard device (`tunnel`) that
//! keeps sessions and checks sources, a disk (`disk`) that a crash may leave torn, clocks that are wrong. Between them
//! lies the underlay (`network`): segments, lines that delay, lose, double and reorder, routers and firewalls (`nat`),
//! cuts. Everything to come stands in one queue (`queue`); everything random is drawn from one seed; so a run can be
//! repeated to the byte, and `journal` keeps what happened and a hash of it.
//!
//! ```text
//!   scenario file ---parse---> Scenario ---runner---> World ---> Outcome: expectations, limits, violations
//!   seed -----------random---> Scenario ----^          | watched by `invariants` (I1 to I7) at every change
//! ```
//!
//! Scenarios ([`scenario`]) say what is there, what happens and what must be true; the network-namespace tests read the
//! same files. Random ones ([`random`]) come from a seed. The program `examples/simulate.rs` runs either kind, and
//! prints the command that replays a failure. Meshes of thousands ([`large`]) are run by `examples/scale.rs`.

mod action;
mod disk;
pub mod invariants;
pub mod journal;
pub mod large;
mod nat;
mod network;
mod node;
mod queue;
pub mod random;
pub mod scenario;
pub mod signatures;
pub mod traffic;
mod tunnel;
pub mod world;

#[cfg(test)]
mod tests;
