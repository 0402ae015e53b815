//! A WireGuard device that runs outside of this process: the kernel's, or another program's.
//!
//! Such a device is read and changed from outside, by netlink or by the userspace API, and others may do the same at the
//! same time. So every desired state is compared with what is there ([`difference`]), each change is read back, and each
//! look at the counters is also a look for what someone else changed: what the mesh needs is put back, all else is left.
//!
//! The mesh's own datagrams go through a socket at the link address ([`control`]), as any user's would.

mod control;
mod difference;
mod observation;
#[cfg(test)]
mod tests;
#[cfg(target_os = "linux")]
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use ipnet::{IpNet, Ipv6Net};
use rand_core::{OsRng, RngCore};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub use self::control::ControlSocket;
use self::difference::Wishes;
use self::observation::Observations;
pub use self::observation::Times;
use super::{Tunnel, TunnelError};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredTunnel, TunnelReport};

/// Least time between two complaints about other programs.
const COMPLAINTS: Duration = Duration::from_secs(60);

/// How to speak with a device.
pub trait Device: Send {
    /// What the device has now.
    ///
    /// # Errors
    /// `NotFound` when the device is gone.
    fn read(&mut self) -> io::Result<DeviceState>;

    /// Applies the changes in this order.
    ///
    /// # Errors
    /// `NotFound` when the device is gone. What stands before the change that failed is applied.
    fn change(&mut self, changes: &[PeerChange]) -> io::Result<()>;

    /// Sets the device's own key and UDP port, as far as they are given. A key of zeros takes the key away.
    ///
    /// # Errors
    /// The port is taken, or the device is gone.
    fn set_own(&mut self, private_key: Option<&[u8; 32]>, port: Option<u16>) -> io::Result<()>;
}

impl Device for Box<dyn Device> {
    fn read(&mut self) -> io::Result<DeviceState> {
        (**self).read()
    }

    fn change(&mut self, changes: &[PeerChange]) -> io::Result<()> {
        (**self).change(changes)
    }

    fn set_own(&mut self, private_key: Option<&[u8; 32]>, port: Option<u16>) -> io::Result<()> {
        (**self).set_own(private_key, port)
    }
}

/// What a device has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceState {
    /// The public half of its key; `None` while it has none.
    pub public_key: Option<WgPublicKey>,
    /// UDP port; 0 while none was chosen.
    pub port: u16,
    /// Every peer.
    pub peers: BTreeMap<WgPublicKey, PeerState>,
}

/// What a device has of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerState {
    /// Where it sends to.
    pub endpoint: Option<SocketAddr>,
    /// Seconds between keepalives; 0: none.
    pub keepalive: u16,
    /// A key that a person gave.
    pub preshared: Option<Preshared>,
    /// The last handshake, as time since 1970; zero: none yet.
    pub last_handshake: Duration,
    /// Bytes received, all traffic with its headers.
    pub rx_bytes: u64,
    /// Bytes sent, all traffic with its headers.
    pub tx_bytes: u64,
    /// Its prefixes.
    pub allowed: BTreeSet<IpNet>,
}

impl PeerState {
    /// Whether it has an address of this link network: then the mesh made it.
    pub(super) fn has_link_in(&self, links: &Ipv6Net) -> bool {
        self.allowed.iter().any(|prefix| matches!(prefix, IpNet::V6(v6) if links.contains(v6)))
    }
}

/// A preshared key; says nothing of itself.
#[derive(Clone)]
pub struct Preshared(pub Zeroizing<[u8; 32]>);

impl PartialEq for Preshared {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for Preshared {}

impl std::fmt::Debug for Preshared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Preshared(..)")
    }
}

/// What to do with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make it where it does not exist.
    Add,
    /// Change it where it exists.
    Update,
    /// Remove it.
    Remove,
}

/// One peer's change. What is not given stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerChange {
    /// Which peer.
    pub key: WgPublicKey,
    /// What to do.
    pub action: Action,
    /// Where to send to.
    pub endpoint: Option<SocketAddr>,
    /// Seconds between keepalives; 0: none.
    pub keepalive: Option<u16>,
    /// A preshared key.
    pub preshared: Option<Preshared>,
    /// Prefixes to add; the device takes each from whoever has it.
    pub allowed: Vec<IpNet>,
}

impl PeerChange {
    pub(super) fn new(key: WgPublicKey, action: Action) -> Self {
        Self { key, action, endpoint: None, keepalive: None, preshared: None, allowed: Vec::new() }
    }

    fn update(key: WgPublicKey) -> Self {
        Self::new(key, Action::Update)
    }

    fn does_something(&self) -> bool {
        self.endpoint.is_some() || self.keepalive.is_some() || self.preshared.is_some() || !self.allowed.is_empty()
    }
}

/// How a tunnel over a device ends.
pub trait Ending: Send {
    /// Takes down what was set up: the interface, or what the mesh did to it.
    fn close(self: Box<Self>, device: &mut dyn Device, made: &[WgPublicKey]);
}

/// A tunnel over a device that runs outside of this process.
pub struct Driven<D> {
    name: String,
    kind: &'static str,
    device: D,
    own_key: Option<Zeroizing<[u8; 32]>>,
    own_public: WgPublicKey,
    port: u16,
    wishes: Wishes,
    observations: Observations,
    control: ControlSocket,
    ending: Box<dyn Ending>,
    complained: Option<Duration>,
    #[cfg(target_os = "linux")]
    watch: watch::Watch,
}

/// What a device must have for itself.
pub struct Own {
    /// Name of the interface, for messages.
    pub name: String,
    /// `kernel` or `existing`.
    pub kind: &'static str,
    /// The private key, to be set again where another program changed it; `None` when the device brought its own.
    pub private_key: Option<Zeroizing<[u8; 32]>>,
    /// The public key.
    pub public_key: WgPublicKey,
    /// UDP port.
    pub port: u16,
    /// The network of all link addresses.
    pub links: Ipv6Net,
}

impl<D: Device> Driven<D> {
    /// Takes over a device that has its key and port.
    pub fn new(own: Own, device: D, control: ControlSocket, ending: Box<dyn Ending>) -> Self {
        Self {
            name: own.name,
            kind: own.kind,
            device,
            own_key: own.private_key,
            own_public: own.public_key,
            port: own.port,
            wishes: Wishes::new(own.links),
            observations: Observations::default(),
            control,
            ending,
            complained: None,
            #[cfg(target_os = "linux")]
            watch: watch::Watch::default(),
        }
    }

    fn failed(&self, what: &str, source: io::Error) -> TunnelError {
        if source.kind() == io::ErrorKind::NotFound {
            return TunnelError::Ended(format!("the interface {} was removed", self.name));
        }
        TunnelError::System { what: format!("cannot {what} {}", self.name), source, remedy: String::new() }
    }

    fn read(&mut self) -> Result<DeviceState, TunnelError> {
        self.device.read().map_err(|e| self.failed("read", e))
    }

    /// Makes the device what is wanted; says what was changed.
    fn settle(&mut self, state: &DeviceState) -> Result<usize, TunnelError> {
        let key = self.own_key.as_ref().filter(|_| state.public_key != Some(self.own_public));
        let port = (state.port != self.port).then_some(self.port);
        if key.is_some() || port.is_some() {
            self.device.set_own(key.map(|key| &**key), port).map_err(|e| self.failed("set key and port of", e))?;
        }
        let changes = self.wishes.changes(state, parking(), Times::now());
        if !changes.is_empty() {
            self.device.change(&changes).map_err(|e| self.failed("change the peers of", e))?;
        }
        Ok(changes.len() + usize::from(key.is_some()) + usize::from(port.is_some()))
    }

    /// Says that another program changes the device; not each second when it goes on doing so.
    fn complain(&mut self) {
        let now = Times::now().steady;
        if self.complained.is_none_or(|before| now.saturating_sub(before) > COMPLAINTS) {
            self.complained = Some(now);
            tracing::warn!("{} was changed by another program: what the mesh needs is put back", self.name);
        }
    }

    /// Peers that the mesh made, in this run or a former one.
    fn made(&mut self) -> Vec<WgPublicKey> {
        let state = self.device.read().unwrap_or_default();
        state.peers.iter().filter(|(key, peer)| self.wishes.is_ours(key, peer)).map(|(key, _)| *key).collect()
    }
}

impl<D: Device> Tunnel for Driven<D> {
    fn set(&mut self, desired: &DesiredTunnel) -> Result<(), TunnelError> {
        #[cfg(target_os = "linux")]
        self.watch.set(&self.name, &desired.watched);
        let state = self.read()?;
        self.wishes.want(desired, Some(self.own_public));
        if self.settle(&state)? == 0 {
            return Ok(());
        }
        let state = self.read()?;
        if self.wishes.changes(&state, parking(), Times::now()).is_empty() {
            return Ok(());
        }
        let what = format!("cannot set the peers of {}", self.name);
        let source = io::Error::other("the device has something else than it was told");
        Err(TunnelError::System { what, source, remedy: "see whether another program changes it, too".to_owned() })
    }

    fn report(&mut self) -> Result<TunnelReport, TunnelError> {
        let mut state = self.read()?;
        let lingering = self.wishes.lingering();
        if self.settle(&state)? > 0 {
            // What lingers goes when its time is over, and nobody else did that.
            if lingering == self.wishes.lingering() {
                self.complain();
            }
            state = self.read()?;
        }
        let peers = self.observations.look(&state, &self.control.traffic(), Times::now());
        #[cfg(target_os = "linux")]
        let sent = self.watch.look();
        #[cfg(not(target_os = "linux"))]
        let sent = Vec::new();
        Ok(TunnelReport { peers, sent })
    }

    fn send_control(&mut self, to: SocketAddrV6, payload: &[u8]) {
        self.control.send(to, payload);
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn detach(self: Box<Self>) {}

    fn close(mut self: Box<Self>) {
        let made = self.made();
        let Self { ending, mut device, .. } = *self;
        ending.close(&mut device, &made);
    }
}

/// The key of a peer that exists nowhere.
fn parking() -> WgPublicKey {
    let mut key = [0; 32];
    OsRng.fill_bytes(&mut key);
    // Never a point of small order.
    key[0] |= 2;
    WgPublicKey(key)
}
