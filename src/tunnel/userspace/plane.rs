//! The data plane: what happens to a packet from the TUN ([`super::outbound`]), a datagram from the network
//! ([`super::inbound`]), and here, on the control thread: a handshake, a control datagram, another desired state, and
//! when time passes. None of it has descriptors or clocks, so tests drive it in memory; threads feed it.
//!
//! ```text
//!        TUN ──► outbound ──► UDP          one lock per peer, held for 16 packets
//!        TUN ◄── inbound  ◄── UDP          one snapshot of peers and prefixes for all
//!                  │ handshakes                    ▲
//!                  ▼                               │ published whole
//!        commands, timers ──► DataPlane ───────────┘
//! ```

use std::collections::HashMap;
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use ipnet::IpNet;
use zeroize::Zeroizing;

use super::load::{HandshakeLoad, LIMITER_COUNT};
use super::mac::FirstMac;
use super::outbox::Outbox;
use super::packet::{IPV6_HEADER, UDP_HEADER, UdpEnd, write_udp};
use super::peer::Traffic;
use super::peers::PeerSlot;
use super::table::{Own, Shared, Table};
use super::{Endpoint, SPARE, padded};
use crate::mesh::ids::WgPublicKey;

/// Longest control datagram with its headers, in bytes: the largest packet of a tunnel, to measure what a link carries.
const LONGEST_CONTROL: usize = 9_000;

/// Everything that decides about peers: the control thread's.
pub(super) struct DataPlane {
    pub(super) secret: StaticSecret,
    pub(super) public: PublicKey,
    /// What is published to the data threads.
    pub(super) table: Table,
    pub(super) shared: Arc<Shared>,
    /// Prefixes that the mesh gave to peers by its last desired state: they win over what a person says.
    pub(super) mesh_prefixes: HashMap<IpNet, WgPublicKey>,
    pub(super) limiter: Arc<RateLimiter>,
    load: HandshakeLoad,
    built: Box<[u8]>,
    next_tick: Option<Instant>,
}

impl DataPlane {
    pub(super) fn new(private_key: &Zeroizing<[u8; 32]>, own: Own, now: Instant) -> Self {
        let secret = StaticSecret::from(**private_key);
        let public = PublicKey::from(&secret);
        let table = Table::new(own, FirstMac::new(public.as_bytes()));
        Self {
            limiter: Arc::new(RateLimiter::new(&public, LIMITER_COUNT)),
            secret,
            public,
            shared: Arc::new(Shared::new(table.clone(), now)),
            table,
            mesh_prefixes: HashMap::new(),
            load: HandshakeLoad::new(now),
            built: vec![0; LONGEST_CONTROL + SPARE].into_boxed_slice(),
            next_tick: None,
        }
    }

    /// What the data threads share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Shows the data threads the table as it is now.
    pub(super) fn publish(&self) {
        self.shared.table.store(Arc::new(self.table.clone()));
    }

    /// When [`Self::tick`] is to be called; `None` while no peer has state that needs it.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.next_tick
    }

    /// Lets time pass: keepalives, retries, new keys, forgotten keys.
    pub(super) fn tick(&mut self, now: Instant, outbox: &mut Outbox) {
        self.next_tick = None;
        for (_, peer) in self.table.peers.iter() {
            let mut peer = peer.lock();
            peer.tick(now, outbox);
            self.next_tick = earlier(self.next_tick, peer.next_tick(now));
        }
    }

    /// Looks at the peer's timers when they need it.
    pub(super) fn schedule(&mut self, slot: PeerSlot, now: Instant) {
        let next = self.table.peers.lock(slot).and_then(|peer| peer.next_tick(now));
        self.next_tick = earlier(self.next_tick, next);
    }

    /// Looks after the peers for which a data thread asked for it.
    pub(super) fn attend(&mut self, now: Instant, outbox: &mut Outbox) {
        for (_, peer) in self.table.peers.iter() {
            let mut peer = peer.lock();
            if peer.needs_care() {
                peer.take_care(now, outbox);
                self.next_tick = earlier(self.next_tick, peer.next_tick(now));
            }
        }
    }

    /// Handles an initiation, a response or a cookie reply.
    pub(super) fn handle_handshake(&mut self, from: Endpoint, message: &[u8], now: Instant, outbox: &mut Outbox) {
        let Some(slot) = self.addressee(from, message, now, outbox) else {
            return self.shared.drops.junk.add(1);
        };
        if let Some(mut peer) = self.table.peers.lock(slot) {
            peer.handle_handshake(from, message, now, outbox);
        }
        self.schedule(slot, now);
    }

    /// The peer that a message is for. Initiations are weighed before their Diffie-Hellman is done.
    fn addressee(&mut self, from: Endpoint, message: &[u8], now: Instant, outbox: &mut Outbox) -> Option<PeerSlot> {
        match Tunn::parse_incoming_packet(message).ok()? {
            Packet::HandshakeInit(_) => {
                self.limiter.reset_count();
                let mut reply = [0; 256];
                let initiation = match self.limiter.verify_packet(Some(from.remote.ip()), message, &mut reply) {
                    Ok(Packet::HandshakeInit(initiation)) => initiation,
                    Err(TunnResult::WriteToNetwork(cookie)) => {
                        outbox.push(from, 0, cookie);
                        return None;
                    }
                    _ => return None,
                };
                if !self.load.admit(from.remote.ip(), now) {
                    return None;
                }
                let half = parse_handshake_anon(&self.secret, &self.public, &initiation).ok()?;
                self.table.peers.by_key(&WgPublicKey(half.peer_static_public))
            }
            Packet::HandshakeResponse(response) => {
                self.limiter.reset_count();
                self.table.peers.by_receiver(response.receiver_idx)
            }
            Packet::PacketCookieReply(reply) => self.table.peers.by_receiver(reply.receiver_idx),
            Packet::PacketData(_) => None,
        }
    }

    /// Sends a control datagram to the peer that owns the link address `to`. One that is too long for a packet, or for
    /// a peer that is unknown or nowhere, is dropped: the sender's protocol repeats what matters.
    pub(super) fn send_control(&mut self, to: SocketAddrV6, payload: &[u8], now: Instant, outbox: &mut Outbox) {
        let Some(slot) = self.table.peers.by_link(*to.ip()) else { return };
        let Some(peer) = self.table.peers.get(slot) else { return };
        if payload.len() > LONGEST_CONTROL - IPV6_HEADER - UDP_HEADER {
            return;
        }
        let own = &self.table.own;
        let from = UdpEnd { address: own.link, port: own.control_port };
        let to = UdpEnd { address: *to.ip(), port: to.port() };
        let Ok(length) = write_udp(&mut self.built, from, to, payload) else { return };
        let mut peer = peer.lock();
        if peer.endpoint.is_none() {
            return;
        }
        padded(&mut self.built, 0..length, own.mtu, |packet| peer.send(packet, Traffic::Control, now, outbox));
        peer.take_care(now, outbox);
        let next = peer.next_tick(now);
        drop(peer);
        self.next_tick = earlier(self.next_tick, next);
    }

    /// Fresh noise state for a peer.
    pub(super) fn new_tunn(&self, key: &WgPublicKey, preshared: Option<&Zeroizing<[u8; 32]>>, index: u32) -> Tunn {
        let preshared = preshared.map(|key| **key);
        let limiter = Some(Arc::clone(&self.limiter));
        // No keepalive: boringtun cannot change it later, so the peer sees to it.
        Tunn::new(self.secret.clone(), PublicKey::from(key.0), preshared, None, index, limiter)
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// A deadline as the time that is left until it.
pub(super) fn left_until(deadline: Instant, now: Instant) -> Duration {
    deadline.saturating_duration_since(now)
}
