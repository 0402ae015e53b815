//! net.yaml, node.yaml, flags and environment become one checked [`Config`], before anything is touched.
//! Every mistake is named with file:line:column and its remedy, and all mistakes of a file are named at once.
//!
//! ```text
//!   text of a file --document--> tree with positions --value--> checked values with positions
//!                                                                  |
//!   net.yaml   --network, peers, secret--> NetworkFile ------------+
//!   node.yaml, options, variables --node--> NodeValues ------------+--own--> Config --conflict--> runs, or not
//! ```
//!
//! Reading order: `diagnostic` (how mistakes are told), `document` (YAML), `value` (single values), `network`, `peers`
//! and `secret` (the shared file), `node` (this machine), `own` (the two together), `conflict` and `local` (the overlay
//! against the machine's networks), `source` (files), `difference` (of two configurations).
//!
//! Precedence: option > environment > node.yaml > default. No secret comes by option or environment, where every user of
//! the machine could read it.

mod conflict;
mod diagnostic;
mod difference;
mod document;
mod local;
mod network;
mod node;
mod own;
mod peers;
mod secret;
mod source;
mod value;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::mesh::config::MeshConfig;

pub use conflict::{LocalRoute, Overlay, conflicts};
pub use diagnostic::{Checked, Diagnostic, Located, Origin, Severity};
pub use difference::{Difference, differences};
pub use local::routes as local_routes;
pub use network::{COST_RANGE, DEFAULT_MTU, MTU_RANGE, NetworkFile, OVERHEAD, parse_network};
pub use node::Given;
pub use peers::ListedPeer;
pub use source::NetworkText;

use diagnostic::Findings;
use node::NodeValues;
use source::LoadedNetwork;

/// Where the network file is looked for without `-c`.
pub const DEFAULT_NETWORK_FILE: &str = "/etc/wgnet/net.yaml";
/// Where the node file is looked for without `-p`; it need not exist.
pub const DEFAULT_NODE_FILE: &str = "/etc/wgnet/node.yaml";
/// Parent of the state directories, one per interface.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/wgnet";
/// Directory of the admin sockets, one per interface.
pub const DEFAULT_SOCKET_DIR: &str = if cfg!(target_os = "linux") { "/run/wgnet" } else { "/var/run/wgnet" };

/// Everything that starts a daemon.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the engine needs.
    pub mesh: MeshConfig,
    /// Name of the WireGuard interface, at most 15 bytes.
    pub interface: String,
    /// Which tunnel carries the packets.
    pub tunnel: TunnelMode,
    /// Whether the WireGuard port was asked for, in place of the default one of this node's address.
    pub wg_port_given: bool,
    /// Whether the network file gives the MTU of the tunnel, in place of the one that the underlay suggests.
    pub mtu_given: bool,
    /// Where keys and state live (0700), one directory per interface inside it.
    pub state_dir: PathBuf,
    /// The admin socket.
    pub socket: PathBuf,
    /// A TCP port for the admin protocol, on a loopback address; none unless it is asked for.
    pub api_listen: Option<SocketAddr>,
    /// Whether the router before this machine is asked to let WireGuard's port through.
    pub port_mapping: bool,
    /// The network file, for messages.
    pub network_file: PathBuf,
    /// Count of `-v`: 0 info, 1 debug, 2 trace.
    pub verbosity: u8,
    /// What was written on the command line and in the environment: with it the files can be read again.
    pub given: Given,
    /// The network file, word for word.
    pub network_text: NetworkText,
    /// What the overlay takes and where that was written, for [`conflicts`]. Empty (the default) finds no conflict.
    pub overlay: Overlay,
}

impl Config {
    /// The state directory of this node: keys and what it has learned.
    pub fn interface_state_dir(&self) -> PathBuf {
        self.state_dir.join(&self.interface)
    }

    /// Compares the overlay with the routes of this machine; see [`conflicts`].
    pub fn conflicts(&self, local: &[LocalRoute]) -> Vec<Diagnostic> {
        conflicts(&self.overlay, local)
    }
}

/// What carries the packets: `--tunnel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl TunnelMode {
    /// Each mode as it is written.
    pub(crate) const WORDS: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("userspace", Self::Userspace), ("kernel", Self::Kernel), ("existing", Self::Existing)];

    /// The mode as it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Userspace => "userspace",
            Self::Kernel => "kernel",
            Self::Existing => "existing",
        }
    }
}

/// Reads everything that starts a daemon.
///
/// # Errors
///
/// Every mistake in the files, the options and the environment.
pub fn load(given: &Given) -> Checked<Config> {
    load_with(given, None)
}

/// The same with `text` in place of what the network file holds now.
///
/// # Errors
///
/// Every mistake in the text, the node file, the options and the environment.
pub fn load_text(given: &Given, text: &NetworkText) -> Checked<Config> {
    load_with(given, Some(text))
}

fn load_with(given: &Given, text: Option<&NetworkText>) -> Checked<Config> {
    let mut findings = Findings::default();
    let (network, values, node_file_is_known) = read(given, text, &mut findings);
    if node_file_is_known {
        node::check_complete(&values, &mut findings);
    }
    let config = network.and_then(|network| own::build(&network, &values, given));
    findings.conclude(config)
}

/// Checks the network file and as much of the node as is given, and compares both with `local`, the routes of this
/// machine. Names warnings, too; no error among them means that a daemon would start.
pub fn check(given: &Given, local: &[LocalRoute]) -> Vec<Diagnostic> {
    let mut findings = Findings::default();
    let (network, values, _) = read(given, None, &mut findings);
    if let Some(network) = network {
        let addresses = values.addresses.known().map_or(&[][..], |addresses| &addresses.value);
        let interface = values.interface.known().map(|interface| interface.value.as_str());
        findings.extend(conflicts(&Overlay::new(&network.file, interface, addresses), local));
    }
    findings.into_sorted()
}

/// Reads both files and the given values, and compares them. Also says whether the node file could be used, or there was
/// none: otherwise, what else is missing is not known.
fn read(
    given: &Given,
    text: Option<&NetworkText>,
    findings: &mut Findings,
) -> (Option<LoadedNetwork>, NodeValues, bool) {
    let (path, is_default) = network_file(given);
    let network = source::network(path, is_default, text, findings);
    let (path, is_default) = match &given.node_file {
        Some(path) => (path.as_path(), false),
        None => (Path::new(DEFAULT_NODE_FILE), true),
    };
    let from_file = source::node(path, is_default, findings);
    let is_known = from_file.is_some();
    let values = given.read(findings).or(from_file.unwrap_or_default());
    if let Some(network) = &network {
        own::check(&network.file, &values, findings);
    }
    (network, values, is_known)
}

fn network_file(given: &Given) -> (&Path, bool) {
    match &given.network_file {
        Some(path) => (path, false),
        None => (Path::new(DEFAULT_NETWORK_FILE), true),
    }
}
