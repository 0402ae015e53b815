//! A plain WireGuard interface: made by another program than ours, configured by `wg` and `ip` alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::machine::Machine;
use crate::process::{Process, Program};
use crate::wait::until;

/// Where every device listens.
pub const PORT: u16 = 51820;
/// What a packet may be long in the tunnel, in bytes: `wg-quick`'s choice for cables of 1,500.
pub const MTU: u16 = 1420;
/// How long a program may take to make its interface.
const SOON: Duration = Duration::from_secs(20);

/// Cloudflare's WireGuard.
///
/// # Panics
/// When it is not installed.
pub fn boringtun() -> PathBuf {
    installed("BORINGTUN_CLI", "boringtun-cli-0.7.1/bin/boringtun-cli")
}

/// Mullvad's WireGuard.
///
/// # Panics
/// When it is not installed.
pub fn gotatun() -> PathBuf {
    installed("GOTATUN_CLI", "gotatun-cli-0.10.2/bin/gotatun")
}

/// The program that `variable` names, or that lies where `netns-tests/run` and the benchmark install it.
fn installed(variable: &str, path: &str) -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers").join(path);
    let path = std::env::var_os(variable).map_or_else(beside, PathBuf::from);
    assert!(path.is_file(), "{} is missing: netns-tests/run installs it", path.display());
    path
}

/// Starts `program` with `options` and `-f INTERFACE`, and waits for the interface, which has no key and no port yet.
///
/// # Panics
/// When the interface does not appear; with what the program printed.
pub fn bare(machine: &Machine, interface: &str, program: &Path, options: &[&str]) -> Process {
    std::fs::create_dir_all(machine.path("/run/wireguard")).expect("a folder for sockets");
    let program = Program::new(program.display().to_string()).args(options).args(["-f", interface]);
    let process = machine.start(&program);
    let appears = until(SOON, || machine.namespace().attempt("wg", &["show", interface], "").ok());
    assert!(appears.is_some(), "{program:?} makes no interface:\n{}", process.log().text());
    process
}

/// A running program and its interface. Dropped, both are gone.
pub struct Device {
    machine: Machine,
    interface: String,
    public_key: String,
    process: Process,
}

impl Device {
    /// As [`bare`], with a new key and [`PORT`].
    ///
    /// # Panics
    /// When the interface does not appear; with what the program printed.
    pub fn start(machine: &Machine, interface: &str, program: &Path, options: &[&str]) -> Self {
        let process = bare(machine, interface, program, options);
        machine.write("/run/key", machine.command("wg", &["genkey"]).trim());
        machine.command("wg", &["set", interface, "listen-port", &PORT.to_string(), "private-key", "/run/key"]);
        // boringtun-cli does not tell its own public key.
        let public_key = machine.command("sh", &["-c", "wg pubkey < /run/key"]).trim().to_owned();
        Self { machine: machine.clone(), interface: interface.to_owned(), public_key, process }
    }

    /// Its public key.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The program.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Adds a peer at `endpoint` (host and port) for these prefixes; `more` are further words of `wg set`, such as
    /// `persistent-keepalive 1`.
    pub fn add_peer(&self, public_key: &str, endpoint: &str, allowed_ips: &str, more: &[&str]) {
        let peer = ["set", &self.interface, "peer", public_key, "endpoint", endpoint, "allowed-ips", allowed_ips];
        self.machine.command("wg", &[&peer, more].concat());
    }

    /// Gives the interface these addresses with prefix lengths, and [`MTU`], and sets it up.
    pub fn set_up(&self, addresses: &[&str]) {
        let interface = &self.interface;
        let add = |address: &&str| {
            format!("addr add {address} dev {interface}{}\n", if address.contains(':') { " nodad" } else { "" })
        };
        let addresses = addresses.iter().map(add).collect::<String>();
        self.machine.ip(&format!("{addresses}link set {interface} mtu {MTU}\nlink set {interface} up"));
    }
}
