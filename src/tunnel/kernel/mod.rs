//! The kernel's WireGuard, driven by netlink.
//!
//! The interface is made where there is none. One with this node's own key is what a former run left, on purpose or because
//! it was killed: it is taken over as it stands, and not a packet is lost. Any other interface of that name is refused:
//! `existing` is for those.

mod link;
mod netlink;
mod wireguard;

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use ipnet::Ipv6Net;
use nix::libc;
use zeroize::Zeroizing;

use self::wireguard::KernelDevice;
use super::device::{ControlSocket, Device, Driven, Ending, Own};
use super::{Tunnel, TunnelError};
use crate::mesh::ids::WgPublicKey;

/// What a kernel tunnel needs to know.
pub struct KernelConfig {
    /// Name of the interface.
    pub interface: String,
    /// Own private key.
    pub private_key: Zeroizing<[u8; 32]>,
    /// Its public half.
    pub public_key: WgPublicKey,
    /// UDP port.
    pub port: u16,
    /// The network of all link addresses.
    pub links: Ipv6Net,
}

/// Why there is no kernel tunnel.
#[derive(Debug)]
pub enum Refusal {
    /// The kernel cannot do it here; another tunnel may. Says why.
    Unavailable(String),
    /// Another tunnel would meet the same.
    Failed(TunnelError),
}

/// An interface of the kernel's that stands, and is this node's.
pub struct Kernel {
    config: KernelConfig,
    device: KernelDevice,
    made: bool,
}

impl Kernel {
    /// Makes the interface, or takes over what a former run left.
    ///
    /// # Errors
    /// Nothing is left behind.
    pub fn open(config: KernelConfig) -> Result<Self, Refusal> {
        let unavailable = |why: &str, e: &io::Error| Refusal::Unavailable(format!("{why}: {e}"));
        if !std::path::Path::new("/proc/net/if_inet6").exists() {
            return Err(Refusal::Unavailable(
                "this machine has no IPv6, which the mesh's own traffic needs in the kernel's tunnel".to_owned(),
            ));
        }
        let made = match link::add(&config.interface) {
            Ok(()) => true,
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => false,
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                return Err(Refusal::Unavailable("this kernel has no WireGuard".to_owned()));
            }
            Err(e) => return Err(unavailable("the kernel makes no WireGuard interface", &e)),
        };
        let interface = config.interface.clone();
        let opened = if made { Self::set_up(config) } else { Self::take_over(config) };
        if made && opened.is_err() {
            let _ = link::remove(&interface);
        }
        opened.map_err(Refusal::Failed)
    }

    /// Gives a new interface its key and port.
    fn set_up(config: KernelConfig) -> Result<Self, TunnelError> {
        let mut device = KernelDevice::open(&config.interface).map_err(|e| failed(&config.interface, e))?;
        // The kernel opens the port when the interface goes up, and whether it is free is to be known now.
        let free = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, config.port)).map(drop);
        let set = free.and_then(|()| device.set_own(Some(&config.private_key), Some(config.port)));
        set.map_err(|e| port_or(e, &config))?;
        Ok(Self { config, device, made: true })
    }

    fn take_over(config: KernelConfig) -> Result<Self, TunnelError> {
        let interface = &config.interface;
        let state = KernelDevice::open(interface).and_then(|mut device| Ok((device.read()?, device)));
        let device = match state {
            Ok((state, device)) if state.public_key == Some(config.public_key) => device,
            Ok(_) => return Err(taken(interface)),
            // An interface of another kind, or a kernel without WireGuard.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(taken(interface)),
            Err(e) => return Err(failed(interface, e)),
        };
        tracing::info!("{interface} stands from before, with this node's key: taking it over as it is");
        Ok(Self { config, device, made: false })
    }

    /// Carries the mesh from now on.
    ///
    /// # Errors
    /// The control port is taken. An interface that was made is removed again.
    pub fn start(self, control: io::Result<ControlSocket>) -> Result<Box<dyn Tunnel>, TunnelError> {
        let Self { config, device, made } = self;
        let control = match control {
            Ok(control) => control,
            Err(source) => {
                if made {
                    let _ = link::remove(&config.interface);
                }
                let what = format!("cannot open the mesh's own socket on {}", config.interface);
                return Err(TunnelError::System { what, source, remedy: String::new() });
            }
        };
        let ending = Box::new(Removal { interface: config.interface.clone() });
        let own = Own {
            name: config.interface,
            kind: "kernel",
            private_key: Some(config.private_key),
            public_key: config.public_key,
            port: config.port,
            links: config.links,
        };
        Ok(Box::new(Driven::new(own, device, control, ending)))
    }
}

/// Speaks with a WireGuard interface of the kernel's that someone else made.
///
/// # Errors
/// `NotFound` when there is none of that name.
pub(super) fn device(interface: &str) -> io::Result<Box<dyn Device>> {
    let mut device = KernelDevice::open(interface)?;
    device.read()?;
    Ok(Box::new(device))
}

/// Removes the interface.
struct Removal {
    interface: String,
}

impl Ending for Removal {
    fn close(self: Box<Self>, _: &mut dyn Device, _: &[WgPublicKey]) {
        if let Err(e) = link::remove(&self.interface)
            && e.raw_os_error() != Some(libc::ENODEV)
        {
            tracing::warn!("cannot remove {}: {e}", self.interface);
        }
    }
}

fn failed(interface: &str, source: io::Error) -> TunnelError {
    TunnelError::System { what: format!("cannot set up {interface}"), source, remedy: String::new() }
}

fn taken(interface: &str) -> TunnelError {
    TunnelError::System {
        what: format!("cannot make interface {interface}"),
        source: io::Error::new(io::ErrorKind::AlreadyExists, "it exists, and has not this node's key"),
        remedy: format!(
            "choose another name, remove it with `ip link del {interface}`, or adopt it with --tunnel existing"
        ),
    }
}

fn port_or(source: io::Error, config: &KernelConfig) -> TunnelError {
    let remedy = if source.kind() == io::ErrorKind::AddrInUse { "choose another with -w" } else { "" };
    let what = format!("cannot give {} its key and UDP port {}", config.interface, config.port);
    TunnelError::System { what, source, remedy: remedy.to_owned() }
}
