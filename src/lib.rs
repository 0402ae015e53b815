//! wgnet: a WireGuard mesh from one YAML file, without a coordinator.

pub mod admin;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod mesh;
pub mod sim;
pub mod system;
pub mod tunnel;
