//! From a configuration to a running node, step by step; a step that fails undoes the ones before it and says what to
//! do.

use std::io;

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
use crate::config::Config;
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
    system: impl System,
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
