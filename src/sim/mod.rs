//! The simulator: the same engine that the daemon runs, in a world without clocks, sockets, threads or files.

mod action;
mod disk;
pub mod invariants;
pub mod journal;
mod nat;
mod network;
mod node;
mod queue;
pub mod random;
pub mod scenario;
pub mod traffic;
mod tunnel;
pub mod world;

#[cfg(test)]
mod tests;
