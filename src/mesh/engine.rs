//! The engine: every input goes in here, every output comes out here.

use std::net::IpAddr;

use super::config::MeshConfig;
use super::ids::{NetworkId, NodeId, WgPublicKey};
use super::io::{Command, CommandError, LocalNetwork, Output, TunnelReport, Via};
use super::time::Time;
use super::view::View;

/// What makes this node this node, from its state directory.
pub struct Identity {
    /// Ed25519 seed of the identity.
    pub seed: [u8; 32],
    /// Public half of the WireGuard key (the private half never enters the engine).
    pub wg_public: WgPublicKey,
    /// Number of this start: persisted, +1 per start, durable before the engine is made.
    pub epoch: u64,
}

/// One node's part of the mesh: pure, deterministic, without clock, sockets, files or threads.
pub struct Engine {
    config: MeshConfig,
}

impl Engine {
    /// Makes an engine. `saved` is the last state written by `Output::Save` (a damaged one is ignored with an event);
    /// `seed` feeds all randomness.
    pub fn new(config: MeshConfig, identity: Identity, saved: Option<&[u8]>, seed: [u8; 32], now: Time) -> Self {
        let _ = (identity, saved, seed, now);
        Self { config }
    }

    /// This node's identity.
    pub fn id(&self) -> NodeId {
        NodeId([0; 32])
    }

    /// The network this node belongs to.
    pub fn network_id(&self) -> NetworkId {
        self.config.key.network_id()
    }

    /// This node's link address.
    pub fn link_address(&self) -> std::net::Ipv6Addr {
        self.id().link_address(&self.network_id())
    }

    /// A datagram arrived. Junk is counted and dropped.
    pub fn handle_datagram(&mut self, now: Time, via: Via, bytes: &[u8]) {
        let _ = (now, via, bytes);
    }

    /// The deadline of `next_timeout` has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        let _ = now;
    }

    /// What the tunnel knows of its peers; about once a second and after each handshake.
    pub fn handle_tunnel(&mut self, now: Time, report: TunnelReport) {
        let _ = (now, report);
    }

    /// The machine's addresses, at start and whenever they change.
    pub fn handle_network(&mut self, now: Time, network: LocalNetwork) {
        let _ = (now, network);
    }

    /// A host name was resolved (empty: it could not be).
    pub fn handle_resolved(&mut self, now: Time, host: &str, addresses: &[IpAddr]) {
        let _ = (now, host, addresses);
    }

    /// A `Save` ended. `durable` is false when the disk refused.
    pub fn handle_saved(&mut self, now: Time, token: u64, durable: bool) {
        let _ = (now, token, durable);
    }

    /// A person or a program wants something.
    pub fn handle_command(&mut self, now: Time, command: Command) -> Result<(), CommandError> {
        let _ = (now, command);
        Ok(())
    }

    /// The next thing to do; `None` when all is drained.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When `handle_timeout` wants to be called next.
    pub fn next_timeout(&self) -> Option<Time> {
        None
    }

    /// A snapshot for people.
    pub fn view(&self, now: Time) -> View {
        let _ = now;
        View { id: self.id(), nodes: Vec::new(), health: Vec::new(), effective_hash: 0, counters: Vec::new() }
    }
}
