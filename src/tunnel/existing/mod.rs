//! An interface that someone else made: the kernel's, or one of wireguard-go, boringtun, gotatun with its socket.
//!
//! What is there stays: its key, its port, its peers and their prefixes. Where it has no key or no port, this node's are
//! set. At the end it is left as it was found: the mesh's peers go, and what was borrowed is given back.

mod uapi;

use std::io;
use std::path::Path;

use ipnet::Ipv6Net;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use self::uapi::UserspaceDevice;
use super::device::{Action, ControlSocket, Device, DeviceState, Driven, Ending, Own, PeerChange};
use super::{Tunnel, TunnelError};
use crate::mesh::ids::WgPublicKey;

/// An interface as it was found.
pub struct Existing {
    interface: String,
    device: Box<dyn Device>,
    found: DeviceState,
}

impl Existing {
    /// Looks at the interface; `directory` is where programs have their sockets. Changes nothing.
    ///
    /// # Errors
    /// There is no such interface, or it is no WireGuard.
    pub fn find(interface: &str, directory: &Path) -> Result<Self, TunnelError> {
        let failed = |source, remedy: &str| TunnelError::System {
            what: format!("cannot adopt {interface}"),
            source,
            remedy: remedy.to_owned(),
        };
        let mut device = match UserspaceDevice::find(directory, interface) {
            Some(device) => Box::new(device) as Box<dyn Device>,
            None => kernel_device(interface).map_err(|e| {
                let remedy = format!(
                    "--tunnel existing wants a WireGuard interface that is there: make it with `ip link add {interface} type \
                     wireguard`, or start wireguard-go, boringtun or gotatun; or leave --tunnel away"
                );
                failed(e, &remedy)
            })?,
        };
        let found = device.read().map_err(|e| failed(e, "is the program that serves it still running?"))?;
        Ok(Self { interface: interface.to_owned(), device, found })
    }

    /// The key it has, if it has one.
    pub fn public_key(&self) -> Option<WgPublicKey> {
        self.found.public_key
    }

    /// The UDP port that was chosen for it. One without a key may have a port by chance.
    pub fn port(&self) -> Option<u16> {
        self.found.public_key.map(|_| self.found.port).filter(|port| *port != 0)
    }

    /// Carries the mesh from now on, with this node's own key, which is set where the interface has none.
    ///
    /// # Errors
    /// The interface takes no key, or the mesh's own socket cannot be had.
    pub fn start(
        mut self,
        own_private: Zeroizing<[u8; 32]>,
        port: u16,
        links: Ipv6Net,
        control: io::Result<ControlSocket>,
    ) -> Result<Box<dyn Tunnel>, TunnelError> {
        let interface = self.interface.clone();
        let failed = |what: &str| {
            let what = format!("cannot {what} {interface}");
            move |source| TunnelError::System { what, source, remedy: String::new() }
        };
        let control = control.map_err(failed("open the mesh's own socket on"))?;
        // What a former run left behind, because it was killed or was to come back.
        self.found.peers.retain(|_, peer| !peer.has_link_in(&links));
        let own_public = WgPublicKey(PublicKey::from(&StaticSecret::from(*own_private)).to_bytes());
        let brings_key = self.found.public_key.filter(|key| *key != own_public);
        if self.found.public_key.is_none() || self.found.port != port {
            let key = self.found.public_key.is_none().then_some(&*own_private);
            let port = (self.found.port != port).then_some(port);
            self.device.set_own(key, port).map_err(failed("set key and port of"))?;
        }
        let ending =
            Restoration { interface: self.interface.clone(), found: self.found, unset_key: brings_key.is_none() };
        let own = Own {
            name: self.interface,
            kind: "existing",
            private_key: brings_key.is_none().then_some(own_private),
            public_key: brings_key.unwrap_or(own_public),
            port,
            links,
        };
        Ok(Box::new(Driven::new(own, self.device, control, Box::new(ending))))
    }
}

#[cfg(target_os = "linux")]
fn kernel_device(interface: &str) -> io::Result<Box<dyn Device>> {
    super::kernel::device(interface)
}

#[cfg(not(target_os = "linux"))]
fn kernel_device(_: &str) -> io::Result<Box<dyn Device>> {
    Err(io::ErrorKind::NotFound.into())
}

/// Leaves the interface as it was found.
struct Restoration {
    interface: String,
    found: DeviceState,
    /// It had no key.
    unset_key: bool,
}

impl Ending for Restoration {
    fn close(self: Box<Self>, device: &mut dyn Device, made: &[WgPublicKey]) {
        if let Err(e) = self.restore(device, made)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot leave {} as it was found: {e}", self.interface);
        }
    }
}

impl Restoration {
    fn restore(&self, device: &mut dyn Device, made: &[WgPublicKey]) -> io::Result<()> {
        let now = device.read()?;
        let mut changes = Vec::new();
        for (key, peer) in &self.found.peers {
            let Some(present) = now.peers.get(key) else { continue };
            let lost: Vec<_> = peer.allowed.difference(&present.allowed).copied().collect();
            let keepalive = (made.contains(key) && peer.keepalive != present.keepalive).then_some(peer.keepalive);
            if !lost.is_empty() || keepalive.is_some() {
                changes.push(PeerChange {
                    key: *key,
                    action: Action::Update,
                    endpoint: None,
                    keepalive,
                    preshared: None,
                    allowed: lost,
                });
            }
        }
        let ours = made.iter().filter(|key| now.peers.contains_key(key) && !self.found.peers.contains_key(key));
        changes.extend(ours.map(|key| PeerChange::new(*key, Action::Remove)));
        if !changes.is_empty() {
            device.change(&changes)?;
        }
        let key = self.unset_key.then_some(&[0; 32]);
        let port = (self.found.port != now.port).then_some(self.found.port);
        if key.is_some() || port.is_some() {
            device.set_own(key, port)?;
        }
        Ok(())
    }
}
