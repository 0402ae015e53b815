//! net.yaml, node.yaml, flags and environment become one checked [`Config`], before anything is touched.
//! Every mistake is named with file:line:column and its remedy.

use std::path::PathBuf;

use crate::mesh::config::MeshConfig;

/// Everything that starts a daemon.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the engine needs.
    pub mesh: MeshConfig,
    /// Name of the WireGuard interface, at most 15 bytes.
    pub interface: String,
    /// Which tunnel carries the packets.
    pub tunnel: TunnelMode,
    /// Where keys and state live (0700), one directory per interface inside it.
    pub state_dir: PathBuf,
    /// The admin socket.
    pub socket: PathBuf,
    /// The network file, for messages.
    pub network_file: PathBuf,
    /// Count of `-v`: 0 info, 1 debug, 2 trace.
    pub verbosity: u8,
}

/// `--tunnel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TunnelMode {
    /// The kernel's WireGuard where it works, else the embedded tunnel.
    #[default]
    Auto,
    /// The embedded tunnel.
    Userspace,
    /// The kernel's WireGuard.
    Kernel,
    /// An interface that someone else made.
    Existing,
}
