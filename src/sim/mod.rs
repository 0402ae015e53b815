//! The simulator: the same engine that the daemon runs, in a world without clocks, sockets, threads or files.

mod disk;
mod nat;
mod network;
mod queue;
pub mod scenario;
mod tunnel;
