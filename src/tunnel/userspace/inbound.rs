//! Datagrams from the network to the TUN, to other peers, or to the engine.
//!
//! ```text
//!   recvmmsg(2) ─► a train of datagrams ─► peer by receiver index, locked for 16 datagrams at a time: opened
//!                                                       │
//!                     longest prefix of the source: is it this peer's? (or a path while paths change)
//!                                                       │
//!                     own address: control callback, or merged with its flow ─► TUN
//!                     another peer's: hop limit, then sealed again ─► outbox
//!                     nobody's: TUN, the kernel decides
//! ```

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use boringtun::noise::{Packet, Tunn};
use parking_lot::MutexGuard;

use super::answers::{Answers, Sender};
use super::icmp::Reason;
use super::mss;
use super::offload::coalesce::Coalescer;
use super::packet::{Header, congestion, mark, take_hop, udp6_payload, udp6_port};
use super::peer::Traffic;
use super::peers::{PeerSlot, SharedPeer};
use super::standing::StandingQueue;
use super::table::{Shared, Table};
use super::{BATCH, Endpoint, Ports, SPARE, padded};
use crate::tunnel::ControlDatagram;

/// Longest train of datagrams that the kernel hands over as one.
const TRAIN: usize = 65_536;

/// The two bits of a TOS or traffic class that tell of congestion.
const CONGESTION: u8 = 3;

/// One message from a socket: a datagram, or a train of datagrams of one sender and one length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    pub(super) from: Endpoint,
    /// TOS or traffic class of the outer packets.
    pub(super) tos: u8,
    /// Length of each datagram; the last may be shorter.
    pub(super) segment: usize,
    /// It waited in the socket for longer than a path may add: see [`super::standing`].
    pub(super) late: bool,
    pub(super) bytes: &'a [u8],
}

/// The way of datagrams from the network.
pub(super) struct Inbound {
    shared: Arc<Shared>,
    answers: Answers,
    /// Opened packets: what is in it is written to the TUN before more is opened than fits.
    arena: Vec<u8>,
    used: usize,
    /// Packets that were opened under one lock and are not looked at yet.
    opened: Vec<Range<usize>>,
    /// Packets for one other peer.
    passing: Vec<Range<usize>>,
    merged: Coalescer,
    queue: StandingQueue,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To an address of this node.
    Own,
    /// To the TUN, for the kernel to decide.
    Tun,
    /// To another peer.
    Peer(PeerSlot),
    WrongSource,
    NotForwarded,
}

/// Whom a datagram is for.
enum Addressee {
    Peer(PeerSlot, u32),
    Handshake,
    Nobody,
}

impl Inbound {
    /// Merges packets for the TUN where it takes superpackets of TCP, of UDP. Writes them when half of
    /// so many `trains` at their longest are opened.
    pub(super) fn new(shared: &Arc<Shared>, (tcp, udp): (bool, bool), trains: usize) -> Self {
        Self {
            shared: Arc::clone(shared),
            answers: Answers::default(),
            arena: vec![0; trains.div_ceil(2) * TRAIN + SPARE],
            used: 0,
            opened: Vec::with_capacity(BATCH),
            passing: Vec::with_capacity(BATCH),
            merged: Coalescer::new(tcp, udp),
            queue: StandingQueue::default(),
        }
    }

    /// The TUN takes these superpackets from now on. Nothing waits to be written.
    pub(super) fn set_merging(&mut self, (tcp, udp): (bool, bool)) {
        self.merged.set(tcp, udp);
    }

    /// Handles a message from the network. [`Self::finish`] writes what it brought for the TUN.
    pub(super) fn handle(&mut self, table: &Table, received: &Received<'_>, now: Instant, ports: &mut impl Ports) {
        if self.used + received.bytes.len() + SPARE > self.arena.len() {
            self.finish(ports);
        }
        if self.arena.len() < received.bytes.len() + SPARE {
            return self.shared.drops.junk.add(1);
        }
        let asks = self.queue.asks(received.late, now);
        let mut datagrams = received.bytes.chunks(received.segment.max(1)).peekable();
        while let Some(first) = datagrams.peek() {
            let (slot, index) = match addressee(table, first) {
                Addressee::Peer(slot, index) => (slot, index),
                Addressee::Handshake => {
                    ports.handshake(received.from, first);
                    datagrams.next();
                    continue;
                }
                Addressee::Nobody => {
                    self.shared.drops.junk.add(1);
                    datagrams.next();
                    continue;
                }
            };
            let Some(peer) = table.peers.get(slot) else { break };
            let mut locked = peer.lock();
            for _ in 0..BATCH {
                let Some(datagram) = datagrams.next_if(|datagram| data_receiver(datagram) == Some(index)) else {
                    break;
                };
                let place = &mut self.arena[self.used..];
                match locked.open(received.from, datagram, now, place, ports.outbox()) {
                    Some(0) => {}
                    Some(length) => {
                        self.opened.push(self.used..self.used + length);
                        // A datagram is longer than its packet by more than the padding it may need to be passed on.
                        self.used += datagram.len();
                    }
                    None => self.shared.drops.junk.add(1),
                }
            }
            let needs_care = locked.needs_care();
            // Whoever waits for the other direction has its turn.
            MutexGuard::unlock_fair(locked);
            if needs_care {
                ports.attend();
            }
            self.route(table, (slot, peer), (received.tos, asks), now, ports);
        }
    }

    /// Writes everything for the TUN.
    pub(super) fn finish(&mut self, ports: &mut impl Ports) {
        if !self.merged.is_empty() {
            ports.write(&self.merged, &self.arena);
            self.merged.clear();
        }
        self.used = 0;
    }

    /// Finds the way of every packet that was opened.
    fn route(
        &mut self,
        table: &Table,
        (slot, peer): (PeerSlot, &SharedPeer),
        (tos, asks): (u8, bool),
        now: Instant,
        ports: &mut impl Ports,
    ) {
        let shared = Arc::clone(&self.shared);
        let drops = &shared.drops;
        let mut known: Option<(IpAddr, IpAddr, Way)> = None;
        let (mut delivered, mut passing_to) = (0, None);
        let opened = std::mem::take(&mut self.opened);
        for range in &opened {
            let packet = &mut self.arena[range.clone()];
            let Some(header) = Header::parse(packet) else {
                drops.undeliverable.add(1);
                continue;
            };
            let range = range.start..range.start + header.length;
            let packet = &mut packet[..header.length];
            if !mark(packet, tos & CONGESTION) {
                drops.congestion.add(1);
                continue;
            }
            if asks {
                // Only who offered to be told by marks is told; nothing is lost.
                let _ = mark(packet, CONGESTION);
            }
            let way = match known {
                Some((source, destination, way)) if (source, destination) == (header.source, header.destination) => way,
                _ => way(table, slot, &header, now),
            };
            known = Some((header.source, header.destination, way));
            match way {
                Way::Own if is_control(table, packet, &header) => self.control(table, slot, range, &header, ports),
                Way::Own | Way::Tun => {
                    delivered += 1;
                    self.merged.push(&self.arena, range);
                }
                Way::Peer(to) => {
                    if passing_to.is_some_and(|other| other != to) {
                        delivered += self.pass_on(table, passing_to, now, ports);
                    }
                    passing_to = Some(to);
                    if self.may_pass(table, peer, to, range.clone(), &header, now, ports) {
                        self.passing.push(range);
                    }
                }
                Way::WrongSource => drops.source.add(1),
                Way::NotForwarded => drops.not_forwarded.add(1),
            }
        }
        delivered += self.pass_on(table, passing_to, now, ports);
        peer.count(delivered);
        self.opened = opened;
        self.opened.clear();
    }

    /// A packet to the control port: only what the peer says from its own link address counts, and none of it ever
    /// reaches the kernel, where it could pass for a datagram of the underlay.
    fn control(&self, table: &Table, from: PeerSlot, range: Range<usize>, header: &Header, ports: &mut impl Ports) {
        let link = match header.source {
            IpAddr::V6(source) => Some(source).filter(|source| table.peers.by_link(*source) == Some(from)),
            IpAddr::V4(_) => None,
        };
        match (link, udp6_payload(&self.arena[range], header)) {
            (Some(link), Some(payload)) => ports.control(ControlDatagram { from: link, payload: payload.to_vec() }),
            _ => self.shared.drops.control.add(1),
        }
    }

    /// Whether a packet goes on to another peer. Its sender is told if not; else a hop is taken.
    #[expect(clippy::too_many_arguments, reason = "the packet, its sender and where it goes; and the world")]
    fn may_pass(
        &mut self,
        table: &Table,
        from: &SharedPeer,
        to: PeerSlot,
        range: Range<usize>,
        header: &Header,
        now: Instant,
        ports: &mut impl Ports,
    ) -> bool {
        // IPv4 without "don't fragment" goes on whole: the underlay fragments what carries it.
        let mtu = table.mtu_to(header.destination);
        let too_big = header.length > usize::from(mtu) && header.dont_fragment;
        let why = if header.hop_limit <= 1 {
            Reason::TimeExceeded
        } else if too_big {
            Reason::TooBig(mtu)
        } else if table.peers.lock(to).is_none_or(|peer| peer.endpoint.is_none()) {
            Reason::Unreachable
        } else {
            let packet = &mut self.arena[range];
            // Either end of a connection is told what passes both ways.
            let both_ways = mtu.min(table.mtu_to(header.source));
            if both_ways < table.own.mtu {
                mss::clamp(packet, header, both_ways);
            }
            return take_hop(packet);
        };
        let packet = &self.arena[range];
        self.answers.answer(&self.shared, table, (packet, header), why, Sender::Peer(from), now, ports);
        false
    }

    /// Seals the packets that go on to a peer; returns how many.
    fn pass_on(&mut self, table: &Table, to: Option<PeerSlot>, now: Instant, ports: &mut impl Ports) -> usize {
        let Some(peer) = to.and_then(|to| table.peers.get(to)).filter(|_| !self.passing.is_empty()) else {
            self.passing.clear();
            return 0;
        };
        let bytes: usize = self.passing.iter().map(|range| range.len() + SPARE).sum();
        if !ports.outbox().has_room(bytes) {
            ports.flush();
        }
        let mut locked = peer.lock();
        let ready = locked.is_ready();
        for range in &self.passing {
            let tos = congestion(&self.arena[range.clone()]);
            padded(&mut self.arena, range.clone(), table.own.mtu, |packet| {
                if ready {
                    locked.seal(packet, tos, now, ports.outbox());
                } else {
                    locked.stage(packet, Traffic::Data);
                }
            });
        }
        let needs_care = locked.needs_care();
        MutexGuard::unlock_fair(locked);
        if needs_care {
            ports.attend();
        }
        let count = self.passing.len();
        self.passing.clear();
        peer.count(count);
        count
    }
}

/// Whom a datagram is for. Handshakes are looked at by the control thread.
fn addressee(table: &Table, datagram: &[u8]) -> Addressee {
    match Tunn::parse_incoming_packet(datagram) {
        Ok(Packet::PacketData(data)) => {
            let slot = table.peers.by_receiver(data.receiver_idx);
            slot.map_or(Addressee::Nobody, |slot| Addressee::Peer(slot, data.receiver_idx))
        }
        // These answer a message of ours, by its index, which strangers do not know.
        Ok(Packet::HandshakeResponse(response)) if table.peers.by_receiver(response.receiver_idx).is_none() => {
            Addressee::Nobody
        }
        Ok(Packet::PacketCookieReply(reply)) if table.peers.by_receiver(reply.receiver_idx).is_some() => {
            Addressee::Handshake
        }
        Ok(Packet::HandshakeInit(_) | Packet::HandshakeResponse(_)) if table.mac.is_right(datagram) => {
            Addressee::Handshake
        }
        Ok(_) | Err(_) => Addressee::Nobody,
    }
}

/// The receiver's index in a data message.
fn data_receiver(datagram: &[u8]) -> Option<u32> {
    match Tunn::parse_incoming_packet(datagram) {
        Ok(Packet::PacketData(data)) => Some(data.receiver_idx),
        _ => None,
    }
}

/// What becomes of a packet of `from`.
fn way(table: &Table, from: PeerSlot, header: &Header, now: Instant) -> Way {
    let is_own = table.own.addresses.contains(&header.destination);
    if !is_own && let Some(to) = table.crossing(from, header) {
        return Way::Peer(to);
    }
    let to = table.allowed.lookup(header.destination).map(|owner| owner.slot);
    let ends_here = is_own || to.is_none();
    // A packet on its way through that no path leads here could go round and round: no tolerance for it.
    if !is_source_of(table, from, header.source, ends_here.then_some(now)) {
        return Way::WrongSource;
    }
    match to {
        _ if is_own => Way::Own,
        None => Way::Tun,
        Some(to) if to != from && table.forward => Way::Peer(to),
        Some(_) => Way::NotForwarded,
    }
}

/// Whether WireGuard's source check lets `source` come from this peer: the longest prefix over the whole device is its
/// own, or at `now` it may use that prefix for the time of a move.
fn is_source_of(table: &Table, slot: PeerSlot, source: IpAddr, now: Option<Instant>) -> bool {
    let owner = table.allowed.lookup(source);
    if owner.is_some_and(|owner| owner.slot == slot) {
        return true;
    }
    let Some(now) = now else { return false };
    let length = owner.map_or(0, |owner| owner.length);
    table.peers.lock(slot).is_some_and(|peer| peer.accepts(source, length, now))
}

fn is_control(table: &Table, packet: &[u8], header: &Header) -> bool {
    header.destination == IpAddr::V6(table.own.link) && udp6_port(packet, header) == Some(table.own.control_port)
}
