//! One machine: an engine when its daemon runs, its virtual device, its disk, its clocks.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

use super::disk::Disk;
use super::signatures::Signatures;
use super::tunnel::VirtualTunnel;
use crate::mesh::config::MeshConfig;
use crate::mesh::engine::{Engine, Identity};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredSystem, DesiredTunnel};
use crate::mesh::time::Time;

/// True time at the start of every simulation, microseconds since 1970: some day in 2026.
const WALL: i64 = 1_780_000_000_000_000;

/// One machine.
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) config: MeshConfig,
    pub(super) adversary: bool,
    pub(super) key: WgPublicKey,
    /// Offset of the wall clock in microseconds.
    pub(super) clock: i64,
    pub(super) disk: Disk,
    pub(super) daemon: Option<Daemon>,
    /// Number of starts: what was scheduled for an earlier daemon is void.
    pub(super) starts: u64,
    /// Bytes sent and received on the underlay.
    pub(super) bytes: u64,
    /// Packets sent there.
    pub(super) packets: u64,
    seed: [u8; 32],
}

/// What exists only while the daemon runs.
pub(super) struct Daemon {
    pub(super) engine: Engine,
    pub(super) tunnel: VirtualTunnel,
    /// The engine's own, which costs a hash to ask for.
    pub(super) link_address: Ipv6Addr,
    pub(super) system: DesiredSystem,
    pub(super) desired: DesiredTunnel,
    /// The engine's clock is ahead of the world's by this many microseconds: it starts anew at each start, so that
    /// nothing that outlives a start can depend on it.
    ahead: u64,
    /// When the engine is to be called next; `None` when nothing is scheduled.
    pub(super) engine_call: Option<Time>,
    /// A slow daemon gets to nothing new before.
    pub(super) busy_until: Time,
    /// The same as `engine_call` for the tunnel.
    pub(super) tunnel_call: Option<Time>,
    /// Whether something passed the tunnel since the last report.
    pub(super) news: bool,
    pub(super) leaving: bool,
}

impl Machine {
    pub(super) fn new(name: &str, config: MeshConfig, adversary: bool, clock: i64, seed: u64) -> Self {
        let seed = hash(&[b"node", name.as_bytes(), &seed.to_le_bytes()]);
        Self {
            name: name.to_owned(),
            config,
            adversary,
            key: WgPublicKey(hash(&[b"wireguard", &seed])),
            clock,
            disk: Disk::default(),
            daemon: None,
            starts: 0,
            bytes: 0,
            packets: 0,
            seed,
        }
    }

    /// Starts the daemon. `keys` holds every node's WireGuard key by number.
    pub(super) fn start(
        &mut self,
        now: Time,
        own: usize,
        keys: Arc<[WgPublicKey]>,
        grace: bool,
        check: Arc<Signatures>,
    ) {
        self.starts += 1;
        let start = self.starts.to_le_bytes();
        let draw = hash(&[b"clock", &self.seed, &start]);
        // Up to about a day and a half (2^37 microseconds) after the machine booted.
        let ahead = u64::from_le_bytes(draw[..8].try_into().expect("8 bytes")) >> 27;
        let identity =
            Identity { seed: hash(&[b"identity", &self.seed]), wg_public: self.key, epoch: self.disk.next_epoch() };
        let engine_seed = hash(&[b"engine", &self.seed, &start]);
        let engine_now = Time::from_micros(now.as_micros() + ahead);
        let engine =
            Engine::new(self.config.clone(), identity, self.disk.saved(), engine_seed, engine_now).checking_by(check);
        let rng = ChaCha8Rng::from_seed(hash(&[b"tunnel", &self.seed, &start]));
        let tunnel = VirtualTunnel::new(own, keys, grace, WALL + self.clock, rng);
        self.daemon = Some(Daemon {
            link_address: engine.link_address(),
            engine,
            tunnel,
            system: DesiredSystem::default(),
            desired: DesiredTunnel::default(),
            ahead,
            engine_call: None,
            busy_until: now,
            tunnel_call: None,
            news: false,
            leaving: false,
        });
    }
}

impl Daemon {
    /// The engine's time for a time of the world.
    pub(super) fn engine_time(&self, now: Time) -> Time {
        Time::from_micros(now.as_micros() + self.ahead)
    }

    /// The world's time for a time of the engine.
    pub(super) fn world_time(&self, engine: Time) -> Time {
        Time::from_micros(engine.as_micros().saturating_sub(self.ahead))
    }

    /// Whether the interface has this address.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.system.addresses.contains(&address)
    }

    /// Whether the system sends packets for this address into the interface.
    pub(super) fn routes(&self, address: IpAddr) -> bool {
        self.system.routes.iter().any(|net| net.contains(&address))
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

/// Which kind of port a datagram came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// WireGuard's.
    Tunnel,
    /// The engine's.
    Control,
}

impl Machine {
    /// The overlay address that the system takes as source of a packet to this address, once the interface has it.
    pub(super) fn source_for(&self, address: IpAddr) -> Option<IpAddr> {
        let daemon = self.daemon.as_ref()?;
        let mut same_family = self.config.addresses.iter().copied().filter(|own| own.is_ipv4() == address.is_ipv4());
        same_family.find(|own| daemon.owns(*own))
    }

    /// The daemon's port of that number.
    pub(super) fn port(&self, to: SocketAddr) -> Option<Port> {
        match to.port() {
            port if port == self.config.wg_port => Some(Port::Tunnel),
            port if port == self.config.admin_port => Some(Port::Control),
            _ => None,
        }
    }
}
