//! From a configuration to a running node, step by step; a step that fails undoes the ones before it and says what to
//! do.

use std::io;
use std::net::IpAddr;

use rand_core::{OsRng, RngCore};
use tokio::sync::mpsc;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::DaemonError;
use super::clock::{Clock, wall};
use super::node::{self, Node, Unconfirmed};
use super::reload;
use super::saver::Saver;
use super::signal::{self, Signal};
use super::store::{Loaded, Store};
use super::tunnel;
use super::underlay::Underlay;
use crate::admin;
use crate::admin::log_level::LogControl;
use crate::config::{Config, DEFAULT_MTU, MTU_RANGE, OVERHEAD};
use crate::mesh::engine::{Engine, Identity};
use crate::mesh::ids::WgPublicKey;
use crate::system::{System, SystemError};

/// Starts a node and runs it to its end.
pub(super) async fn start(config: Config, log: LogControl) -> Result<(), DaemonError> {
    let signals = signal::signals().map_err(|e| DaemonError(format!("cannot listen for signals: {e}")))?;
    let system = open_system(&config.interface).map_err(named)?;
    let store = Store::open(&config.state_dir, &config.interface).map_err(named)?;
    let outcome = start_with(config, log, &store, signals, system).await;
    match outcome {
        Err(Failure::Starting(error)) => {
            store.discard_if_new();
            Err(error)
        }
        Err(Failure::Running(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

enum Failure {
    /// Nothing was done yet in the name of this node.
    Starting(DaemonError),
    Running(DaemonError),
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        Self::Starting(error)
    }
}

async fn start_with(
    config: Config,
    log: LogControl,
    store: &Store,
    signals: mpsc::Receiver<Signal>,
    mut system: impl System,
) -> Result<(), Failure> {
    let clock = Clock::start();
    let Loaded { keys, epoch, mesh: saved, warnings } = store.load(wall().as_secs()).map_err(named)?;
    let reload::Found { mut config, unconfirmed, rolled_back } =
        reload::at_start(config, store, wall()).map_err(named)?;
    let underlay = Underlay::bind(config.mesh.admin_port).map_err(|e| port_error(config.mesh.admin_port, &e))?;
    let (listener, socket_file) = admin::socket::bind(&config.socket).map_err(named)?;
    let tcp = match config.api_listen {
        Some(address) => Some(admin::tcp::bind(address, &config.interface_state_dir()).await.map_err(named)?),
        None => None,
    };

    if !config.mtu_given {
        config.mesh.mtu = tunnel_mtu(&config, &mut system).await;
    }
    let mut public_key = WgPublicKey(PublicKey::from(&StaticSecret::from(keys.wg_private)).to_bytes());
    let found = tunnel::find(&mut config, &mut public_key).map_err(named)?;
    let identity = Identity { seed: keys.seed, wg_public: public_key, epoch };
    let mut seed = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut *seed);
    let engine = Engine::new(config.mesh.clone(), identity, saved.as_deref(), *seed, clock.now());

    let own = tunnel::Own {
        private_key: Zeroizing::new(keys.wg_private),
        public_key,
        link: engine.link_address(),
        links: config.mesh.key.network_id().link_network(),
    };
    let mapper = mapper(&config, &keys.seed);
    drop(keys);
    let (tunnel, control) = tunnel::open(&config, found, own, &underlay).map_err(named)?;
    let (requests, inbox) = admin::channel();
    let routes = admin::routes::router(requests, log);
    let tcp_server = tcp.map(|tcp| tokio::spawn(tcp.serve(routes.clone())));
    let server = tokio::spawn(admin::server::serve(listener, routes));
    let ready = ready_line(&config, tunnel.kind());
    let unconfirmed =
        unconfirmed.map(|found| Unconfirmed { previous: found.previous, until: clock.now() + found.left });
    let node = Node {
        unconfirmed,
        rolled_back,
        store: store.clone(),
        clock,
        engine,
        public_key,
        underlay,
        tunnel,
        control,
        system,
        mapper,
        saver: Saver::new(store.clone()),
        requests: inbox,
        signals,
        warnings,
        config,
    };
    let outcome = node::run(node, || {
        tracing::info!("{ready}");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    })
    .await;
    server.abort();
    if let Some(server) = tcp_server {
        server.abort();
    }
    drop(socket_file);
    outcome.map_err(Failure::Running)
}

/// Whoever asks the router before this machine for a port; nobody where that is switched off.
#[cfg(feature = "port-mapping")]
fn mapper(config: &Config, seed: &[u8; 32]) -> node::Mapper {
    let (achieved, answers) = mpsc::channel(4);
    let mut nonce = [0; 12];
    let expanded = hkdf::Hkdf::<sha2::Sha256>::new(Some(b"wgnet v1"), seed).expand(b"port mapping", &mut nonce);
    expanded.expect("12 bytes are few");
    let mapper = config.port_mapping.then(|| crate::system::port_mapping::start(nonce, achieved));
    node::Mapper { mapper, answers }
}

#[cfg(not(feature = "port-mapping"))]
fn mapper(_: &Config, _: &[u8; 32]) -> node::Mapper {
    node::Mapper { mapper: None, answers: mpsc::channel(1).1 }
}

/// The MTU of the tunnel where the file gives none: what the underlay carries, less what goes around a packet.
async fn tunnel_mtu(config: &Config, system: &mut impl System) -> u16 {
    let mesh = &config.mesh;
    let others = mesh.static_peers.iter().filter(|peer| mesh.own_static() != Some(peer));
    let peers: Vec<IpAddr> = others.filter_map(|peer| peer.endpoint.host.parse().ok()).collect();
    match system.underlay_mtu(&peers).await {
        Ok(Some((interface, underlay))) => {
            let mtu = mtu_for(underlay);
            tracing::info!("MTU {mtu}: {interface} carries packets of {underlay} bytes");
            mtu
        }
        Ok(None) => {
            tracing::info!("MTU {DEFAULT_MTU}: no interface leads to other machines yet");
            DEFAULT_MTU
        }
        Err(error) => {
            tracing::warn!("MTU {DEFAULT_MTU}: {error}");
            DEFAULT_MTU
        }
    }
}

/// The MTU of a tunnel over an underlay of this MTU. IPv6 needs its least one; more than what Ethernet leaves would be
/// too much for most others, so only the file can ask for that.
fn mtu_for(underlay: u32) -> u16 {
    let left = u16::try_from(underlay).unwrap_or(u16::MAX).saturating_sub(OVERHEAD);
    left.clamp(MTU_RANGE.0, DEFAULT_MTU)
}

#[cfg(target_os = "linux")]
fn open_system(interface: &str) -> Result<impl System + use<>, SystemError> {
    crate::system::linux::LinuxSystem::open(interface)
}

#[cfg(target_os = "macos")]
fn open_system(interface: &str) -> Result<impl System + use<>, SystemError> {
    crate::system::macos::open(interface)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn open_system(interface: &str) -> Result<crate::system::fake::FakeSystem, SystemError> {
    Err(SystemError {
        what: format!("cannot set up {interface}"),
        reason: "wgnet does not know this operating system yet".to_owned(),
        remedy: "run it on Linux or macOS".to_owned(),
    })
}

fn ready_line(config: &Config, tunnel: &str) -> String {
    let addresses: Vec<_> = config.mesh.addresses.iter().map(ToString::to_string).collect();
    format!(
        "ready: {} {} on {} ({tunnel} tunnel, WireGuard port {}, admin port {})",
        config.mesh.name,
        addresses.join(" "),
        config.interface,
        config.mesh.wg_port,
        config.mesh.admin_port
    )
}

pub(super) fn named(error: impl std::error::Error) -> DaemonError {
    DaemonError(error.to_string())
}

fn port_error(port: u16, error: &io::Error) -> DaemonError {
    DaemonError(match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("UDP port {port} (the admin port) is taken by another program: choose another with -u")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "not allowed to use UDP port {port} (the admin port): run as root, or choose one above 1023 with -u"
            )
        }
        _ => format!("cannot use UDP port {port} (the admin port): {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tunnel_takes_what_the_underlay_leaves() {
        assert_eq!([9_000, 1_500, 1_492, 1_400].map(mtu_for), [1_420, 1_420, 1_412, 1_320]);
        assert_eq!([1_280, 68, u32::MAX].map(mtu_for), [1_280, 1_280, 1_420]);
    }
}
