//! A virtual WireGuard device: what the engine's desired tunnel state does to packets, without cryptography.
//!
//! Like the real one it knows peers by key, learns endpoints from authenticated packets, makes sessions by handshakes
//! that may be lost, refuses an initiation whose timestamp does not rise, and drops a packet whose source belongs to
//! another peer. It keeps the timers of WireGuard's paper (section 6) but for retries, which begin at 250 ms as in the
//! embedded tunnel. With `grace` it tolerates moving prefixes as the embedded tunnel does; without, it is the kernel's.

mod allowed;
mod packet;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredTunnel, PeerReport, Sent, TunnelReport};
use crate::mesh::path::Crossings;
use crate::mesh::time::Time;
use allowed::AllowedIps;
use session::{REKEY_AFTER, Session};

pub(super) use packet::{Message, Packet, Payload, TTL, bare_size};

/// Waits between the attempts of one handshake; the last one repeats.
const RETRIES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// A handshake is given up after this time (REKEY_ATTEMPT_TIME).
const GIVE_UP: Duration = Duration::from_secs(90);
/// A packet that is not answered this long starts a handshake (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT).
const UNANSWERED: Duration = Duration::from_secs(15);
/// A received packet is answered by a keepalive after this time, if by nothing else (KEEPALIVE_TIMEOUT).
const PASSIVE_KEEPALIVE: Duration = Duration::from_secs(10);
/// Packets that wait for a handshake, per peer. The oldest is dropped for the newest.
const QUEUE: usize = 8;

/// What the device does with an input.
#[derive(Debug)]
pub(super) enum Act {
    /// Send this on the underlay, from the WireGuard port.
    Transmit(SocketAddr, Message),
    /// A packet came out of the tunnel, from this peer. Its source is still to be checked.
    Receive(usize, Packet),
    /// A handshake is complete.
    Connected,
}

/// One device.
#[derive(Debug)]
pub(super) struct VirtualTunnel {
    own: usize,
    keys: Arc<[WgPublicKey]>,
    peers: BTreeMap<usize, Peer>,
    indexes: BTreeMap<u32, usize>,
    allowed: AllowedIps,
    /// What was sent to the watched addresses.
    watched: BTreeMap<IpAddr, Sent>,
    forward: bool,
    crossings: Option<Arc<Crossings>>,
    grace: bool,
    /// Offset of the wall clock that handshakes are stamped with, microseconds. Sampled when the device is made.
    wall_offset: i64,
    last_stamp: i64,
    rng: ChaCha8Rng,
    /// No deadline is earlier. It may be too early: deadlines move back with every packet, and finding the earliest one
    /// each time would cost more than a call in vain now and then.
    call: Option<Time>,
    /// Initiations refused because their timestamp did not rise.
    pub(super) stale_initiations: u64,
}

#[derive(Debug, Default)]
struct Peer {
    endpoint: Option<SocketAddr>,
    hint: u64,
    keepalive: Option<Duration>,
    generation: u32,
    current: Option<Session>,
    previous: Option<Session>,
    /// Made as responder, not confirmed by a packet yet.
    next: Option<Session>,
    pending: Option<Pending>,
    queue: VecDeque<(Time, Packet)>,
    greatest_stamp: i64,
    last_handshake: Option<Time>,
    last_sent: Option<Time>,
    /// The first packet sent that nothing came back for.
    unanswered: Option<Time>,
    /// The first packet received after the last one sent.
    to_answer: Option<Time>,
    rx_bytes: u64,
    tx_bytes: u64,
    data_packets: u64,
}

#[derive(Debug)]
struct Pending {
    index: u32,
    began: Time,
    attempts: usize,
    retry: Time,
}

impl VirtualTunnel {
    /// Makes the device of node `own`. `keys` holds every node's key by number.
    pub(super) fn new(own: usize, keys: Arc<[WgPublicKey]>, grace: bool, wall_offset: i64, rng: ChaCha8Rng) -> Self {
        Self {
            own,
            keys,
            peers: BTreeMap::new(),
            indexes: BTreeMap::new(),
            allowed: AllowedIps::default(),
            watched: BTreeMap::new(),
            forward: false,
            crossings: None,
            grace,
            wall_offset,
            last_stamp: 0,
            rng,
            call: None,
            stale_initiations: 0,
        }
    }

    /// The peer that packets for this address go to.
    pub(super) fn next_hop(&self, address: IpAddr) -> Option<usize> {
        self.allowed.owner(address)
    }

    /// Whether a packet that ends here and came from this peer passes the source check.
    pub(super) fn accepts(&self, now: Time, packet: &Packet, peer: usize) -> bool {
        self.allowed.accepts(now, packet.src, peer, self.grace)
    }

    /// The peer that a packet on its way through, which came from `peer`, goes on to; `None` when it fails the source
    /// check or leads nowhere.
    pub(super) fn way_on(&self, packet: &Packet, peer: usize) -> Option<usize> {
        let number = |key: WgPublicKey| self.keys.iter().position(|known| *known == key);
        let crossing = || {
            let crossings = self.crossings.as_ref().filter(|_| self.grace)?;
            number(crossings.way(&self.keys[peer], packet.src, packet.dst)?)
        };
        let owned = || self.allowed.owner(packet.dst).filter(|_| self.allowed.owner(packet.src) == Some(peer));
        crossing().or_else(owned).filter(|next| *next != peer)
    }

    /// Sends a packet on to that peer.
    pub(super) fn pass_on(&mut self, now: Time, packet: Packet, peer: usize, acts: &mut Vec<Act>) {
        self.send_to(now, peer, Some(packet), acts);
        self.note_deadline(peer);
    }

    /// Whether packets from one peer to another are passed on.
    pub(super) fn forwards(&self) -> bool {
        self.forward
    }

    /// Makes the device look as desired: what stays is not touched. A key that no node has is left out.
    pub(super) fn set(&mut self, now: Time, desired: &DesiredTunnel, acts: &mut Vec<Act>) {
        let number = |key: &WgPublicKey| self.keys.iter().position(|known| known == key);
        let wanted: Vec<_> = desired.peers.iter().filter_map(|p| Some((number(&p.public_key)?, p))).collect();
        let gone: Vec<usize> =
            self.peers.keys().copied().filter(|peer| wanted.iter().all(|(wanted, _)| wanted != peer)).collect();
        for peer in gone {
            self.peers.remove(&peer);
            self.indexes.retain(|_, owner| *owner != peer);
        }
        self.forward = desired.forward;
        self.crossings.clone_from(&desired.crossings);
        let known = std::mem::take(&mut self.watched);
        let sent = |to: &IpAddr| known.get(to).copied().unwrap_or(Sent { to: *to, packets: 0, bytes: 0 });
        self.watched = desired.watched.iter().map(|to| (*to, sent(to))).collect();
        let of = |nets: &[IpNet], peer: usize| nets.iter().map(|net| (*net, peer)).collect::<Vec<_>>();
        let prefixes = wanted.iter().flat_map(|(peer, want)| of(&want.allowed, *peer)).collect();
        let announced = wanted.iter().flat_map(|(peer, want)| of(&want.accept, *peer)).collect();
        self.allowed.replace(now, prefixes, announced);
        for (number, want) in wanted {
            let peer = self.peers.entry(number).or_default();
            if want.generation > peer.generation {
                let (endpoint, hint) = (peer.endpoint, peer.hint);
                *peer = Peer { endpoint, hint, generation: want.generation, ..Peer::default() };
                self.indexes.retain(|_, owner| *owner != number);
            }
            if let Some(hint) = want.endpoint.filter(|hint| hint.serial > peer.hint) {
                peer.hint = hint.serial;
                peer.endpoint = Some(hint.address);
                // A new place to try is tried at once, as the pending attempt may have gone to a dead one.
                let pending = peer.pending.take();
                if pending.is_some() || !peer.queue.is_empty() {
                    self.indexes.remove(&pending.map_or(0, |pending| pending.index));
                    self.begin_handshake(now, number, acts);
                }
            }
            let peer = self.peers.entry(number).or_default();
            let keepalive = want.keepalive.filter(|secs| *secs > 0).map(|secs| Duration::from_secs(u64::from(secs)));
            if peer.keepalive != keepalive {
                peer.keepalive = keepalive;
                if keepalive.is_some() {
                    self.send_to(now, number, None, acts);
                }
            }
        }
        self.find_call();
    }

    /// Sends a packet by the allowed IPs. Gives false when no peer owns its destination.
    pub(super) fn send(&mut self, now: Time, packet: Packet, acts: &mut Vec<Act>) -> bool {
        let Some(peer) = self.allowed.owner(packet.dst) else { return false };
        if let Some(sent) = self.watched.get_mut(&packet.dst) {
            sent.packets += 1;
            sent.bytes += packet.size() as u64;
        }
        self.send_to(now, peer, Some(packet), acts);
        self.note_deadline(peer);
        true
    }

    /// A message came to the WireGuard port.
    pub(super) fn receive(&mut self, now: Time, src: SocketAddr, message: Message, acts: &mut Vec<Act>) {
        let size = message.size() as u64;
        match message {
            Message::Initiation { sender, from, to, timestamp } => {
                if to == self.own && self.peers.contains_key(&from) {
                    self.respond(now, from, src, sender, timestamp, size, acts);
                    self.note_deadline(from);
                }
            }
            Message::Response { sender, receiver } => {
                let peer = self.indexes.get(&receiver).copied();
                self.complete(now, src, sender, receiver, size, acts);
                peer.into_iter().for_each(|peer| self.note_deadline(peer));
            }
            Message::Data { receiver, counter, packet } => {
                let Some(peer) = self.authenticate(now, src, receiver, counter, size, acts) else { return };
                if let Some(packet) = packet {
                    let state = self.peers.get_mut(&peer).expect("BUG: authenticated a peer that is gone");
                    state.to_answer.get_or_insert(now);
                    if packet.is_data() {
                        state.data_packets += 1;
                    }
                    acts.push(Act::Receive(peer, packet));
                }
                self.note_deadline(peer);
            }
        }
    }

    /// When [`Self::handle_timeout`] may have something to do.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.call
    }

    /// Retries handshakes, sends keepalives, notices silence.
    pub(super) fn handle_timeout(&mut self, now: Time, acts: &mut Vec<Act>) {
        let due = |peer: &Peer| peer.deadline().is_some_and(|at| at <= now);
        let numbers: Vec<usize> = self.peers.iter().filter(|(_, p)| due(p)).map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(peer) = self.peers.get_mut(&number) else { continue };
            if let Some(pending) = &peer.pending {
                if now.since(pending.began) >= GIVE_UP {
                    self.indexes.remove(&pending.index);
                    peer.pending = None;
                    peer.queue.clear();
                    peer.unanswered = None;
                } else if pending.retry <= now {
                    self.attempt(now, number, acts);
                }
            } else if peer.unanswered.is_some_and(|at| now.since(at) >= UNANSWERED) {
                peer.unanswered = None;
                self.begin_handshake(now, number, acts);
            }
            let Some(peer) = self.peers.get_mut(&number) else { continue };
            if peer.keepalive_due().is_some_and(|at| at <= now) {
                self.send_to(now, number, None, acts);
            }
        }
        self.find_call();
    }

    /// What the device knows of its peers.
    pub(super) fn report(&self, now: Time) -> TunnelReport {
        let report = |(number, peer): (&usize, &Peer)| PeerReport {
            public_key: self.keys[*number],
            endpoint: peer.endpoint,
            handshake_age: peer.last_handshake.map(|at| now.since(at)),
            rx_bytes: peer.rx_bytes,
            tx_bytes: peer.tx_bytes,
            data_packets: peer.data_packets,
            allowed: Vec::new(),
        };
        TunnelReport { peers: self.peers.iter().map(report).collect(), sent: self.watched.values().copied().collect() }
    }

    fn note_deadline(&mut self, number: usize) {
        let deadline = self.peers.get(&number).and_then(Peer::deadline);
        self.call = earliest(self.call, deadline);
    }

    fn find_call(&mut self) {
        self.call = self.peers.values().filter_map(Peer::deadline).min();
    }

    fn send_to(&mut self, now: Time, number: usize, packet: Option<Packet>, acts: &mut Vec<Act>) {
        let Some(peer) = self.peers.get_mut(&number) else { return };
        let usable = peer.current.as_ref().is_some_and(|session| session.usable(now));
        if usable && let (Some(endpoint), Some(session)) = (peer.endpoint, peer.current.as_mut()) {
            let renew = session.initiator && now.since(session.born) >= REKEY_AFTER;
            let message = Message::Data { receiver: session.remote, counter: session.next_counter(), packet };
            peer.note_sent(now, &message);
            acts.push(Act::Transmit(endpoint, message));
            if renew {
                self.begin_handshake(now, number, acts);
            }
            return;
        }
        if let Some(packet) = packet {
            if peer.queue.len() == QUEUE {
                peer.queue.pop_front();
            }
            peer.queue.push_back((now, packet));
        }
        self.begin_handshake(now, number, acts);
    }

    fn begin_handshake(&mut self, now: Time, number: usize, acts: &mut Vec<Act>) {
        let Some(peer) = self.peers.get_mut(&number) else { return };
        if peer.pending.is_none() && peer.endpoint.is_some() {
            peer.pending = Some(Pending { index: 0, began: now, attempts: 0, retry: now });
            self.attempt(now, number, acts);
        }
    }

    fn attempt(&mut self, now: Time, number: usize, acts: &mut Vec<Act>) {
        let index = self.new_index(number);
        // TAI64N never repeats within one device, whatever the wall clock does.
        let wall = i64::try_from(now.as_micros()).unwrap_or(i64::MAX).saturating_add(self.wall_offset);
        self.last_stamp = wall.max(self.last_stamp.saturating_add(1));
        let timestamp = self.last_stamp;
        let Some(peer) = self.peers.get_mut(&number) else { return };
        let (Some(pending), Some(endpoint)) = (peer.pending.as_mut(), peer.endpoint) else { return };
        self.indexes.remove(&pending.index);
        pending.index = index;
        pending.retry = now + RETRIES[pending.attempts.min(RETRIES.len() - 1)];
        pending.attempts += 1;
        let message = Message::Initiation { sender: index, from: self.own, to: number, timestamp };
        peer.note_sent(now, &message);
        acts.push(Act::Transmit(endpoint, message));
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    fn respond(
        &mut self,
        now: Time,
        from: usize,
        src: SocketAddr,
        sender: u32,
        timestamp: i64,
        size: u64,
        acts: &mut Vec<Act>,
    ) {
        let local = self.new_index(from);
        let Some(peer) = self.peers.get_mut(&from) else { return };
        // Wall clocks of the simulation start far from zero, so that zero means: none seen yet.
        if timestamp <= peer.greatest_stamp {
            self.indexes.remove(&local);
            self.stale_initiations += 1;
            return;
        }
        peer.greatest_stamp = timestamp;
        peer.endpoint = Some(src);
        peer.rx_bytes += size;
        if let Some(old) = peer.next.replace(Session::new(local, sender, now, false)) {
            self.indexes.remove(&old.local);
        }
        let message = Message::Response { sender: local, receiver: sender };
        peer.note_sent(now, &message);
        acts.push(Act::Transmit(src, message));
    }

    fn complete(&mut self, now: Time, src: SocketAddr, sender: u32, receiver: u32, size: u64, acts: &mut Vec<Act>) {
        let Some(number) = self.indexes.get(&receiver).copied() else { return };
        let Some(peer) = self.peers.get_mut(&number) else { return };
        if peer.pending.as_ref().is_none_or(|pending| pending.index != receiver) {
            return;
        }
        peer.pending = None;
        peer.endpoint = Some(src);
        peer.rx_bytes += size;
        let session = Session::new(receiver, sender, now, true);
        self.install(now, number, session, acts);
        // The responder may not send before it heard a packet: a keepalive if there is nothing else.
        if !self.flush(now, number, acts) {
            self.send_to(now, number, None, acts);
        }
    }

    fn install(&mut self, now: Time, number: usize, session: Session, acts: &mut Vec<Act>) {
        let Some(peer) = self.peers.get_mut(&number) else { return };
        let old = peer.current.replace(session);
        if let Some(dropped) = std::mem::replace(&mut peer.previous, old) {
            self.indexes.remove(&dropped.local);
        }
        peer.last_handshake = Some(now);
        peer.unanswered = None;
        acts.push(Act::Connected);
    }

    fn flush(&mut self, now: Time, number: usize, acts: &mut Vec<Act>) -> bool {
        let Some(peer) = self.peers.get_mut(&number) else { return false };
        let queue = std::mem::take(&mut peer.queue);
        let any = !queue.is_empty();
        for (since, mut packet) in queue {
            packet.waited += u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
            self.send_to(now, number, Some(packet), acts);
        }
        any
    }

    /// Finds the session of a data message and notes what the message proves. Gives the peer it came from.
    fn authenticate(
        &mut self,
        now: Time,
        src: SocketAddr,
        receiver: u32,
        counter: u64,
        size: u64,
        acts: &mut Vec<Act>,
    ) -> Option<usize> {
        let number = *self.indexes.get(&receiver)?;
        let peer = self.peers.get_mut(&number)?;
        let confirms = peer.next.as_ref().is_some_and(|session| session.local == receiver);
        let slots = [&mut peer.current, &mut peer.next, &mut peer.previous];
        let session = slots.into_iter().flatten().find(|session| session.local == receiver)?;
        if !session.usable(now) || !session.is_new(counter) {
            return None;
        }
        peer.endpoint = Some(src);
        peer.rx_bytes += size;
        peer.unanswered = None;
        if confirms && let Some(session) = peer.next.take() {
            self.install(now, number, session, acts);
            self.flush(now, number, acts);
        }
        Some(number)
    }

    fn new_index(&mut self, peer: usize) -> u32 {
        loop {
            let index = self.rng.next_u32();
            if index != 0 && !self.indexes.contains_key(&index) {
                self.indexes.insert(index, peer);
                return index;
            }
        }
    }
}

impl Peer {
    fn note_sent(&mut self, now: Time, message: &Message) {
        self.tx_bytes += message.size() as u64;
        if let Message::Data { packet, .. } = message {
            self.last_sent = Some(now);
            self.to_answer = None;
            if let Some(packet) = packet {
                self.unanswered.get_or_insert(now);
                if packet.is_data() {
                    self.data_packets += 1;
                }
            }
        } else {
            self.last_sent = Some(now);
        }
    }

    fn keepalive_due(&self) -> Option<Time> {
        let passive = self.to_answer.map(|at| at + PASSIVE_KEEPALIVE);
        let persistent = self.keepalive.map(|every| self.last_sent.map_or(Time::ZERO, |at| at + every));
        // Without a place to send to, or while a handshake runs anyway, there is nothing to keep alive.
        if self.endpoint.is_none() || self.pending.is_some() {
            return None;
        }
        earliest(passive, persistent)
    }

    fn deadline(&self) -> Option<Time> {
        let handshake = match &self.pending {
            Some(pending) => Some(pending.retry.min(pending.began + GIVE_UP)),
            None => self.unanswered.map(|at| at + UNANSWERED),
        };
        earliest(handshake, self.keepalive_due())
    }
}

fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    a.into_iter().chain(b).min()
}
