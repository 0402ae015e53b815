//! The data plane: what happens to a packet from the TUN, a datagram from the network, a control datagram, and when
//! time passes. It has no descriptors and no clock, so tests drive it in memory; the device loop feeds it.
//!
//! ```text
//!            TUN                                    UDP
//!             |  handle_tun       handle_datagram    |
//!             v                                      v
//!     longest prefix of the             peer by receiver index, opened
//!     destination: which peer?                       |
//!             |                          longest prefix of the source: is it this
//!             |                          peer's? (or a path while paths change)
//!             |                                      |
//!             |                 own address: control callback or TUN
//!             |                 another peer's: hop limit, then sealed again
//!             |                 nobody's: TUN, the kernel decides
//!             v                                      v
//!     padded, sealed -> UDP                    TUN / UDP / control
//! ```

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use ipnet::IpNet;
use zeroize::Zeroizing;

use super::allowed_ips::AllowedIps;
use super::icmp::{self, Budget, Reason};
use super::load::{HandshakeLoad, LIMITER_COUNT};
use super::packet::{Header, UdpEnd, take_hop, udp6_payload, udp6_port, write_udp};
use super::peer::{SCRATCH, Traffic};
use super::peers::{PeerSlot, Peers};
use super::{Endpoint, Ports};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::path::Crossings;
use crate::tunnel::ControlDatagram;

/// Who this node is in the tunnel.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Overlay addresses and the link address: packets to them go to the TUN.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) link: Ipv6Addr,
    pub(super) control_port: u16,
    /// Longest packet in bytes.
    pub(super) mtu: u16,
}

/// Packets that went nowhere, and why: for the debug log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Drops {
    /// Datagrams that are no WireGuard message for a peer of ours, or not authentic.
    pub(super) junk: u64,
    /// Packets whose source belongs to another peer.
    pub(super) source: u64,
    /// Packets for another peer, though this node does not forward or they came from there.
    pub(super) not_forwarded: u64,
    /// Packets to the control port that are no control datagram of the peer that sent them.
    pub(super) control: u64,
    /// Packets that are no IP, have no hop left, are too long, or lead nowhere.
    pub(super) undeliverable: u64,
}

/// Everything that decides about packets.
pub(super) struct DataPlane {
    pub(super) secret: StaticSecret,
    pub(super) public: PublicKey,
    pub(super) own: Own,
    pub(super) peers: Peers,
    pub(super) allowed: AllowedIps,
    /// Prefixes that the mesh gave to peers by its last desired state: they win over what a person says.
    pub(super) mesh_prefixes: HashMap<IpNet, WgPublicKey>,
    pub(super) forward: bool,
    pub(super) crossings: Option<Arc<Crossings>>,
    pub(super) limiter: Arc<RateLimiter>,
    load: HandshakeLoad,
    errors: Budget,
    drops: Drops,
    pub(super) sealed: Box<[u8]>,
    opened: Box<[u8]>,
    built: Box<[u8]>,
    next_tick: Option<Instant>,
}

/// Where an ICMP error goes.
#[derive(Clone, Copy)]
enum Sender {
    /// A local program, through the TUN.
    Local,
    Peer(PeerSlot),
}

impl DataPlane {
    pub(super) fn new(private_key: &Zeroizing<[u8; 32]>, own: Own, now: Instant) -> Self {
        let secret = StaticSecret::from(**private_key);
        let public = PublicKey::from(&secret);
        Self {
            limiter: Arc::new(RateLimiter::new(&public, LIMITER_COUNT)),
            secret,
            public,
            own,
            peers: Peers::default(),
            allowed: AllowedIps::default(),
            mesh_prefixes: HashMap::new(),
            forward: false,
            crossings: None,
            load: HandshakeLoad::new(now),
            errors: Budget::new(now),
            drops: Drops::default(),
            sealed: vec![0; SCRATCH].into_boxed_slice(),
            opened: vec![0; SCRATCH].into_boxed_slice(),
            built: vec![0; icmp::LONGEST.max(2048)].into_boxed_slice(),
            next_tick: None,
        }
    }

    /// When [`Self::tick`] is to be called; `None` while no peer has state that needs it.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.next_tick
    }

    /// Packets that went nowhere so far.
    pub(super) fn drops(&self) -> Drops {
        self.drops
    }

    /// Lets time pass: keepalives, retries, new keys, forgotten keys.
    pub(super) fn tick(&mut self, now: Instant, ports: &mut dyn Ports) {
        self.next_tick = None;
        for peer in self.peers.iter_mut() {
            peer.tick(now, &mut self.sealed, ports);
            let next = peer.next_tick(now);
            self.next_tick = earlier(self.next_tick, next);
        }
    }

    /// Looks at the peer's timers when they need it.
    pub(super) fn schedule(&mut self, slot: PeerSlot, now: Instant) {
        let next = self.peers.get(slot).and_then(|peer| peer.next_tick(now));
        self.next_tick = earlier(self.next_tick, next);
    }

    /// Handles the packet of `length` bytes at the front of `buffer`, read from the TUN. Behind it there is room for
    /// 15 bytes of padding.
    pub(super) fn handle_tun(&mut self, buffer: &mut [u8], length: usize, now: Instant, ports: &mut dyn Ports) {
        let Some(header) = Header::parse(&buffer[..length]) else {
            self.drops.undeliverable += 1;
            return;
        };
        let owner = self.allowed.lookup(header.destination);
        let Some((slot, peer)) = owner.and_then(|owner| Some((owner.slot, self.peers.get_mut(owner.slot)?))) else {
            return self.answer(&buffer[..length], &header, Reason::Unreachable, Sender::Local, now, ports);
        };
        if peer.endpoint.is_none() {
            return self.answer(&buffer[..length], &header, Reason::Unreachable, Sender::Local, now, ports);
        }
        peer.data_packets += 1;
        let padded = pad(buffer, header.length, self.own.mtu);
        peer.send(padded, Traffic::Data, now, &mut self.sealed, ports);
        self.schedule(slot, now);
    }

    /// Handles a datagram from the network.
    pub(super) fn handle_datagram(&mut self, from: Endpoint, datagram: &[u8], now: Instant, ports: &mut dyn Ports) {
        let Some(slot) = self.addressee(from, datagram, now, ports) else {
            self.drops.junk += 1;
            return;
        };
        // Taken out for the time, since what is opened lies in it while the peers are used.
        let mut opened = std::mem::take(&mut self.opened);
        let packet = self
            .peers
            .get_mut(slot)
            .and_then(|peer| peer.open(from, datagram, now, (&mut opened, &mut self.sealed), ports))
            .map(|packet| packet.len());
        if let Some(length) = packet {
            self.receive(slot, &mut opened, length, now, ports);
        }
        self.opened = opened;
        self.schedule(slot, now);
    }

    /// The peer that a datagram is for. Initiations are weighed before their Diffie-Hellman is done.
    fn addressee(&mut self, from: Endpoint, datagram: &[u8], now: Instant, ports: &mut dyn Ports) -> Option<PeerSlot> {
        match Tunn::parse_incoming_packet(datagram).ok()? {
            Packet::HandshakeInit(_) => {
                self.limiter.reset_count();
                let initiation = match self.limiter.verify_packet(Some(from.remote.ip()), datagram, &mut self.sealed) {
                    Ok(Packet::HandshakeInit(initiation)) => initiation,
                    Err(TunnResult::WriteToNetwork(cookie)) => {
                        ports.send(from, cookie);
                        return None;
                    }
                    _ => return None,
                };
                if !self.load.admit(from.remote.ip(), now) {
                    return None;
                }
                let half = parse_handshake_anon(&self.secret, &self.public, &initiation).ok()?;
                self.peers.by_key(&WgPublicKey(half.peer_static_public))
            }
            Packet::HandshakeResponse(response) => {
                self.limiter.reset_count();
                self.peers.by_receiver(response.receiver_idx)
            }
            Packet::PacketCookieReply(reply) => self.peers.by_receiver(reply.receiver_idx),
            Packet::PacketData(data) => self.peers.by_receiver(data.receiver_idx),
        }
    }

    /// Handles a packet that came out of a peer's session.
    fn receive(&mut self, from: PeerSlot, buffer: &mut [u8], length: usize, now: Instant, ports: &mut dyn Ports) {
        let Some(header) = Header::parse(&buffer[..length]) else {
            self.drops.undeliverable += 1;
            return;
        };
        let packet = &buffer[..header.length];
        let is_own = self.own.addresses.contains(&header.destination);
        if !is_own && let Some(to) = self.crossing(from, &header) {
            return self.pass_on(from, to, buffer, &header, now, ports);
        }
        let to = self.allowed.lookup(header.destination).map(|owner| owner.slot);
        let ends_here = is_own || to.is_none();
        // A packet on its way through that no path leads here could go round and round: no tolerance for it.
        if !self.is_source_of(from, header.source, ends_here.then_some(now)) {
            self.drops.source += 1;
            return;
        }
        if is_own {
            let to_control = header.destination == IpAddr::V6(self.own.link)
                && udp6_port(packet, &header) == Some(self.own.control_port);
            if to_control {
                self.receive_control(from, packet, &header, ports);
            } else {
                self.deliver(from, packet, ports);
            }
            return;
        }
        match to {
            None => self.deliver(from, packet, ports),
            Some(to) if to != from && self.forward => self.pass_on(from, to, buffer, &header, now, ports),
            Some(_) => self.drops.not_forwarded += 1,
        }
    }

    /// The peer that a packet goes on to by the mesh's paths, while they change.
    fn crossing(&self, from: PeerSlot, header: &Header) -> Option<PeerSlot> {
        let crossings = self.crossings.as_ref().filter(|_| self.forward)?;
        let from = self.peers.get(from).filter(|peer| peer.by_mesh)?;
        self.peers.by_key(&crossings.way(&from.key, header.source, header.destination)?)
    }

    /// Whether WireGuard's source check lets `source` come from this peer: the longest prefix over the whole device
    /// is its own, or at `now` it may use that prefix for the time of a move.
    fn is_source_of(&self, slot: PeerSlot, source: IpAddr, now: Option<Instant>) -> bool {
        let owner = self.allowed.lookup(source);
        if owner.is_some_and(|owner| owner.slot == slot) {
            return true;
        }
        let Some(now) = now else { return false };
        let length = owner.map_or(0, |owner| owner.length);
        self.peers.get(slot).is_some_and(|peer| peer.accepts(source, length, now))
    }

    fn deliver(&mut self, from: PeerSlot, packet: &[u8], ports: &mut dyn Ports) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.data_packets += 1;
        }
        ports.deliver(packet);
    }

    /// A packet to the control port: only what the peer says from its own link address counts, and none of it ever
    /// reaches the kernel, where it could pass for a datagram of the underlay.
    fn receive_control(&mut self, from: PeerSlot, packet: &[u8], header: &Header, ports: &mut dyn Ports) {
        let link = self.peers.get(from).and_then(|peer| peer.link).filter(|link| header.source == IpAddr::V6(*link));
        match (link, udp6_payload(packet, header)) {
            (Some(link), Some(payload)) => ports.control(ControlDatagram { from: link, payload: payload.to_vec() }),
            _ => self.drops.control += 1,
        }
    }

    /// Forwards a packet from one peer to another.
    fn pass_on(
        &mut self,
        from: PeerSlot,
        to: PeerSlot,
        buffer: &mut [u8],
        header: &Header,
        now: Instant,
        ports: &mut dyn Ports,
    ) {
        let packet = &mut buffer[..header.length];
        if header.hop_limit <= 1 {
            return self.answer(packet, header, Reason::TimeExceeded, Sender::Peer(from), now, ports);
        }
        // IPv4 without "don't fragment" goes on whole: the underlay fragments what carries it.
        if header.length > usize::from(self.own.mtu) && header.dont_fragment {
            let reason = Reason::TooBig(self.own.mtu);
            return self.answer(packet, header, reason, Sender::Peer(from), now, ports);
        }
        if self.peers.get(to).is_none_or(|peer| peer.endpoint.is_none()) {
            return self.answer(packet, header, Reason::Unreachable, Sender::Peer(from), now, ports);
        }
        take_hop(packet);
        if let Some(peer) = self.peers.get_mut(from) {
            peer.data_packets += 1;
        }
        if let Some(peer) = self.peers.get_mut(to) {
            peer.data_packets += 1;
            let padded = pad(buffer, header.length, self.own.mtu);
            peer.send(padded, Traffic::Data, now, &mut self.sealed, ports);
            self.schedule(to, now);
        }
    }

    /// Drops a packet and tells its sender why, if it may be told.
    fn answer(
        &mut self,
        packet: &[u8],
        header: &Header,
        reason: Reason,
        to: Sender,
        now: Instant,
        ports: &mut dyn Ports,
    ) {
        self.drops.undeliverable += 1;
        let source = match to {
            // The kernel drops what claims to come from one of its own addresses ("martian"), so to a local program
            // the destination itself says that it is not there.
            Sender::Local => Some(header.destination),
            Sender::Peer(_) => self.own_address_like(header.source),
        };
        let Some(source) = source.filter(|_| icmp::may_answer(packet, header)) else { return };
        if !self.errors.take(now) {
            return;
        }
        let Some(length) = icmp::write_error(&mut self.built, reason, source, packet, header) else { return };
        match to {
            Sender::Local => ports.deliver(&self.built[..length]),
            Sender::Peer(slot) => {
                if let Some(peer) = self.peers.get_mut(slot).filter(|peer| peer.endpoint.is_some()) {
                    let padded = pad(&mut self.built, length, self.own.mtu);
                    peer.send(padded, Traffic::Data, now, &mut self.sealed, ports);
                }
            }
        }
    }

    /// The own overlay address of the family of `other`; over IPv6 the link address serves where there is no other.
    fn own_address_like(&self, other: IpAddr) -> Option<IpAddr> {
        let link = IpAddr::V6(self.own.link);
        let overlay = self.own.addresses.iter().find(|own| **own != link && own.is_ipv6() == other.is_ipv6());
        overlay.copied().or_else(|| other.is_ipv6().then_some(link))
    }

    /// Sends a control datagram to the peer that owns the link address `to`. One that is too long for a packet, or for
    /// a peer that is unknown or nowhere, is dropped: the sender's protocol repeats what matters.
    pub(super) fn send_control(&mut self, to: SocketAddrV6, payload: &[u8], now: Instant, ports: &mut dyn Ports) {
        let Some(slot) = self.peers.by_link(*to.ip()) else { return };
        let Some(peer) = self.peers.get_mut(slot).filter(|peer| peer.endpoint.is_some()) else { return };
        let from = UdpEnd { address: self.own.link, port: self.own.control_port };
        let to = UdpEnd { address: *to.ip(), port: to.port() };
        // 16 bytes less, so that the padding fits as well.
        let room = self.built.len() - 16;
        let Ok(length) = write_udp(&mut self.built[..room], from, to, payload) else { return };
        let padded = pad(&mut self.built, length, self.own.mtu);
        peer.send(padded, Traffic::Control, now, &mut self.sealed, ports);
        self.schedule(slot, now);
    }

    /// Fresh noise state for a peer.
    pub(super) fn new_tunn(&self, key: &WgPublicKey, preshared: Option<&Zeroizing<[u8; 32]>>, index: u32) -> Tunn {
        let preshared = preshared.map(|key| **key);
        let limiter = Some(Arc::clone(&self.limiter));
        // No keepalive: boringtun cannot change it later, so the peer sees to it.
        Tunn::new(self.secret.clone(), PublicKey::from(key.0), preshared, None, index, limiter)
    }
}

/// Pads the packet at the front of `buffer` with zeros to a multiple of 16 bytes, never above the MTU, as the WireGuard
/// paper demands (section 5.4.6): lengths tell an observer less.
fn pad(buffer: &mut [u8], length: usize, mtu: u16) -> &[u8] {
    let padded = length.next_multiple_of(16).min(usize::from(mtu)).max(length);
    buffer[length..padded].fill(0);
    &buffer[..padded]
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
