//! The simulator: the same engine that the daemon runs, in a world without clocks, sockets, threads or files.

pub mod scenario;
