//! Which tunnel carries the packets: the kernel's, the embedded one, or an interface that is there.

use std::io;
use std::net::Ipv6Addr;
use std::path::Path;

use ipnet::Ipv6Net;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::underlay::Underlay;
use crate::config::{Config, TunnelMode};
use crate::mesh::ids::WgPublicKey;
use crate::tunnel::device::ControlSocket;
use crate::tunnel::existing::Existing;
use crate::tunnel::lingering::Lingering;
use crate::tunnel::userspace::{Threads, UAPI_DIRECTORY, Userspace, UserspaceConfig};
use crate::tunnel::{ControlDatagram, Tunnel, TunnelError};

/// Control datagrams of the tunnel that wait for the loop: at 1200 bytes each, 300 KB; a few are as long as a packet.
const CONTROL: usize = 256;

/// What is this node's own on every tunnel.
pub(super) struct Own {
    pub(super) private_key: Zeroizing<[u8; 32]>,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has a kernel to tell it"))]
    pub(super) public_key: WgPublicKey,
    pub(super) link: Ipv6Addr,
    /// The network of all link addresses.
    pub(super) links: Ipv6Net,
}

type Opened = (Box<dyn Tunnel>, mpsc::Receiver<ControlDatagram>);

/// With `--tunnel existing`: finds the interface, and takes over the key and the port that it has.
///
/// # Errors
/// There is none, it is no WireGuard, or its port is not the one that was asked for.
pub(super) fn find(config: &mut Config, public_key: &mut WgPublicKey) -> Result<Option<Existing>, TunnelError> {
    if config.tunnel != TunnelMode::Existing {
        return Ok(None);
    }
    let found = Existing::find(&config.interface, Path::new(UAPI_DIRECTORY))?;
    if let Some(key) = found.public_key() {
        *public_key = key;
    }
    let wanted = config.mesh.wg_port;
    if let Some(has) = found.port().filter(|has| *has != wanted) {
        if config.wg_port_given {
            return Err(TunnelError::Unsupported(format!(
                "{} has UDP port {has}, but {wanted} is asked for: give the interface that port, or change -w or the \
                 network file's endPoint to {has}",
                config.interface
            )));
        }
        config.mesh.wg_port = has;
    }
    Ok(Some(found))
}

/// Opens the tunnel that the configuration asks for; its control datagrams come out of the queue.
///
/// # Errors
/// It cannot be had. Nothing is left behind.
pub(super) fn open(
    config: &Config,
    found: Option<Existing>,
    own: Own,
    underlay: &Underlay,
) -> Result<Opened, TunnelError> {
    let (tunnel, control) = choose(config, found, own, underlay)?;
    Ok((Box::new(Lingering::new(tunnel)), control))
}

fn choose(config: &Config, found: Option<Existing>, own: Own, underlay: &Underlay) -> Result<Opened, TunnelError> {
    let (send, receive) = mpsc::channel(CONTROL);
    let control = || {
        let handler = Box::new(move |datagram| drop(send.try_send(datagram)));
        underlay.sharing(|| ControlSocket::open(&config.interface, own.link, config.mesh.admin_port, handler))
    };
    if let Some(found) = found {
        let tunnel = found.start(own.private_key.clone(), config.mesh.wg_port, own.links, control())?;
        return Ok((tunnel, receive));
    }
    if config.tunnel == TunnelMode::Userspace {
        return embedded(config, &own);
    }
    match kernel(config, &own, control) {
        Ok(tunnel) => Ok((tunnel, receive)),
        Err(Refusal::Failed(error)) => Err(error),
        Err(Refusal::Unavailable(why)) if config.tunnel == TunnelMode::Auto => {
            tracing::info!("tunnel: embedded, since {why}");
            embedded(config, &own)
        }
        Err(Refusal::Unavailable(why)) => Err(TunnelError::Unsupported(format!(
            "no kernel tunnel: {why} (--tunnel userspace, the embedded tunnel, works without; --tunnel auto chooses)"
        ))),
    }
}

#[cfg(target_os = "linux")]
use crate::tunnel::kernel::Refusal;

#[cfg(target_os = "linux")]
fn kernel(
    config: &Config,
    own: &Own,
    control: impl FnOnce() -> io::Result<ControlSocket>,
) -> Result<Box<dyn Tunnel>, Refusal> {
    use crate::tunnel::kernel::{Kernel, KernelConfig};

    let kernel = Kernel::open(KernelConfig {
        interface: config.interface.clone(),
        private_key: own.private_key.clone(),
        public_key: own.public_key,
        port: config.mesh.wg_port,
        links: own.links,
    })?;
    kernel.start(control()).map_err(Refusal::Failed)
}

/// Why there is no kernel tunnel.
#[cfg(not(target_os = "linux"))]
enum Refusal {
    Unavailable(String),
    #[expect(dead_code, reason = "only Linux gets as far as to fail")]
    Failed(TunnelError),
}

#[cfg(not(target_os = "linux"))]
fn kernel(_: &Config, _: &Own, _: impl FnOnce() -> io::Result<ControlSocket>) -> Result<Box<dyn Tunnel>, Refusal> {
    Err(Refusal::Unavailable("only Linux has WireGuard in its kernel".to_owned()))
}

/// What the environment says of the embedded tunnel: `WGNET_OFFLOAD=off` for kernels whose offloads are broken,
/// `WGNET_THREADS=1|2|3` for machines that know better than their number of cores.
fn tunnel_settings() -> Result<(bool, Threads), TunnelError> {
    let value = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let wrong =
        |name: &str, value: &str, words: &str| TunnelError::Unsupported(format!("{name}={value}: expected {words}"));
    let offload = match value("WGNET_OFFLOAD").as_deref() {
        None | Some("on") => true,
        Some("off") => false,
        Some(other) => return Err(wrong("WGNET_OFFLOAD", other, "on or off")),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = match value("WGNET_THREADS").as_deref() {
        None | Some("auto") => Threads::for_cores(cores),
        Some(text) => Threads::parse(text).ok_or_else(|| wrong("WGNET_THREADS", text, "1, 2, 3 or auto"))?,
    };
    Ok((offload, threads))
}

/// Opens the embedded tunnel.
fn embedded(config: &Config, own: &Own) -> Result<Opened, TunnelError> {
    let (send, receive) = mpsc::channel(CONTROL);
    let mut addresses = config.mesh.addresses.clone();
    addresses.push(own.link.into());
    let (offload, threads) = tunnel_settings()?;
    let tunnel = Userspace::open(UserspaceConfig {
        interface: config.interface.clone(),
        private_key: own.private_key.clone(),
        listen_port: config.mesh.wg_port,
        mtu: config.mesh.mtu,
        addresses,
        link_address: own.link,
        control_port: config.mesh.admin_port,
        fwmark: None,
        // A full queue drops the datagram, as a full socket would: the engine sends again what matters.
        control: Box::new(move |datagram| drop(send.try_send(datagram))),
        offload,
        threads,
        uapi_dir: UAPI_DIRECTORY.into(),
    })?;
    Ok((Box::new(tunnel), receive))
}
