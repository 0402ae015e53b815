//! One peer: its noise state, its endpoint, what waits for a session, and its counters.
//!
//! boringtun keeps the keys and WireGuard's own timers. What it lacks is here: padding, roaming, persistent keepalive
//! (boringtun cannot change it later, and does not revive an expired peer by it), fast first retries, the packets that
//! wait for a session, and handshake times that count only sessions which both ends hold.
//!
//! boringtun's clock stands still between calls of `update_timers`, so a peer that slept is woken by one such call
//! before it is used.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::{Tunn, TunnResult};
use ipnet::IpNet;
use zeroize::Zeroizing;

use super::Endpoint;
use super::outbox::Outbox;
use super::packet::congestion;
use super::retry::Retry;
use crate::mesh::ids::WgPublicKey;

/// A prefix that moved to another peer is accepted from the old one for this long.
pub(super) const MOVE_GRACE: Duration = Duration::from_secs(2);

/// How often boringtun's timers are looked at while a peer has any state.
const TICK: Duration = Duration::from_millis(250);

/// Packets of users that wait for a session; the oldest is dropped first, as the kernel does.
const STAGED_DATA: usize = 128;

/// Control datagrams that wait for a session: only the newest matter.
const STAGED_CONTROL: usize = 8;

/// REKEY_AFTER_TIME of the WireGuard paper (section 6.1): who began the session renews it at this age.
const REKEY_AFTER_TIME: Duration = Duration::from_secs(120);

/// Who answered renews it at this age if the other has not, as when both began at once; it ends at 180 s.
const REKEY_AS_RESPONDER: Duration = Duration::from_secs(150);

/// A peer that was silent for so long while we renew its session may be so because the way from our address is gone.
const SILENCE: Duration = Duration::from_secs(10);

/// What sealing adds to a packet, in bytes: type, receiver, counter and tag.
pub(super) const OVERHEAD: usize = 32;

/// Traffic class of handshake messages, as the kernel's module has it: AF41. Data says nothing of what is inside but
/// congestion.
const HANDSHAKE_TOS: u8 = 0x88;

/// Room for any message of a handshake.
const MESSAGE: usize = 256;

/// Message types of WireGuard: the first byte of every datagram.
pub(super) mod message {
    pub(in crate::tunnel::userspace) const INITIATION: u8 = 1;
    pub(in crate::tunnel::userspace) const RESPONSE: u8 = 2;
    pub(in crate::tunnel::userspace) const COOKIE_REPLY: u8 = 3;
    pub(in crate::tunnel::userspace) const DATA: u8 = 4;
}

/// Whose packet it is: control datagrams wait in front, and only the newest few of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    Data,
    Control,
}

/// One WireGuard peer.
pub(super) struct Peer {
    pub(super) key: WgPublicKey,
    /// The mesh wants it. One that only a person added is foreign: the mesh never removes it.
    pub(super) by_mesh: bool,
    /// A person added it by `wg set`, with these prefixes.
    pub(super) by_person: bool,
    pub(super) wished: BTreeSet<IpNet>,
    pub(super) link: Option<Ipv6Addr>,
    /// Serial of the last endpoint hint that was applied.
    pub(super) hint: Option<u64>,
    pub(super) generation: u32,
    /// Prefixes of others that are accepted from it while they stand.
    pub(super) accept: Vec<IpNet>,
    /// Prefixes that moved away from it, accepted until then.
    grace: Vec<(IpNet, Instant)>,
    pub(super) preshared: Option<Zeroizing<[u8; 32]>>,
    /// Persistent keepalive in seconds.
    pub(super) keepalive: Option<u16>,
    pub(super) endpoint: Option<Endpoint>,
    /// Number of the peer in datagrams: the upper 24 bits of the receiver index.
    pub(super) index: u32,
    tunn: Box<Tunn>,
    /// Whether boringtun's timers are looked at.
    awake: bool,
    /// A data thread found that it needs the control thread: it woke, or packets wait for a session.
    needs_care: bool,
    retry: Retry,
    staged_control: VecDeque<Vec<u8>>,
    staged_data: VecDeque<Vec<u8>>,
    /// Sessions that we answered and that the other end has not used yet, by the low bits of their index.
    unconfirmed: [Option<u32>; 8],
    /// Whether the last session was begun by us.
    initiator: bool,
    pub(super) last_handshake: Option<Instant>,
    last_traffic: Option<Instant>,
    last_received: Option<Instant>,
    pub(super) rx_bytes: u64,
    pub(super) tx_bytes: u64,
}

impl Peer {
    pub(super) fn new(key: WgPublicKey, tunn: Tunn, index: u32) -> Self {
        Self {
            key,
            by_mesh: false,
            by_person: false,
            wished: BTreeSet::new(),
            link: None,
            hint: None,
            generation: 0,
            accept: Vec::new(),
            grace: Vec::new(),
            preshared: None,
            keepalive: None,
            endpoint: None,
            index,
            tunn: Box::new(tunn),
            awake: false,
            needs_care: false,
            retry: Retry::default(),
            staged_control: VecDeque::new(),
            staged_data: VecDeque::new(),
            unconfirmed: [None; 8],
            initiator: false,
            last_handshake: None,
            last_traffic: None,
            last_received: None,
            rx_bytes: 0,
            tx_bytes: 0,
        }
    }

    /// Starts anew with fresh noise state; endpoint, counters and waiting packets stay.
    pub(super) fn renew(&mut self, tunn: Tunn, index: u32) {
        *self.tunn = tunn;
        self.index = index;
        self.awake = false;
        self.retry.stop();
        self.unconfirmed = [None; 8];
        self.initiator = false;
    }

    pub(super) fn has_session(&self) -> bool {
        self.tunn.time_since_last_handshake().is_some()
    }

    /// Whether a handshake is being tried, or packets or a keepalive need one.
    fn wants_session(&self) -> bool {
        self.keepalive.is_some() || !self.staged_control.is_empty() || !self.staged_data.is_empty()
    }

    /// Accepts `prefix`, which moved to another peer, for [`MOVE_GRACE`] more.
    pub(super) fn grant(&mut self, prefix: IpNet, now: Instant) {
        self.grace.retain(|(other, until)| *other != prefix && *until > now);
        self.grace.push((prefix, now + MOVE_GRACE));
    }

    /// Whether `source`, which a prefix of `length` bits gives to another peer, is accepted from this one all the same:
    /// by a prefix that is at least as long.
    pub(super) fn accepts(&self, source: IpAddr, length: u8, now: Instant) -> bool {
        let holds = |prefix: &IpNet| prefix.prefix_len() >= length && prefix.contains(&source);
        self.accept.iter().any(holds) || self.grace.iter().any(|(prefix, until)| *until > now && holds(prefix))
    }

    /// Gets it ready for packets; whether there is a session to seal them with.
    pub(super) fn is_ready(&mut self) -> bool {
        self.wake();
        self.has_session()
    }

    /// Seals `packet` (padded already; empty for a keepalive) with the session that stands, into the outbox. `tos`
    /// is that of the outer packet.
    pub(super) fn seal(&mut self, packet: &[u8], tos: u8, now: Instant, outbox: &mut Outbox) {
        let slot = outbox.slot(packet.len() + OVERHEAD);
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.encapsulate(packet, slot) {
            let length = datagram.len();
            self.commit(tos, length, now, outbox);
        }
    }

    /// Lets `packet` (padded already) wait for a session. The control thread is to ask for one: [`Self::take_care`].
    pub(super) fn stage(&mut self, packet: &[u8], traffic: Traffic) {
        let (queue, most) = match traffic {
            Traffic::Control => (&mut self.staged_control, STAGED_CONTROL),
            Traffic::Data => (&mut self.staged_data, STAGED_DATA),
        };
        if queue.len() == most {
            queue.pop_front();
        }
        queue.push_back(packet.to_vec());
        self.needs_care |= !self.retry.is_running();
    }

    /// Seals `packet` (padded already) or lets it wait.
    pub(super) fn send(&mut self, packet: &[u8], traffic: Traffic, now: Instant, outbox: &mut Outbox) {
        if self.is_ready() {
            self.seal(packet, 0, now, outbox);
        } else {
            self.stage(packet, traffic);
        }
    }

    /// Whether the control thread is to look after this peer.
    pub(super) fn needs_care(&self) -> bool {
        self.needs_care
    }

    /// What a data thread asked for: a handshake for packets that wait. The timers are looked at from now on.
    pub(super) fn take_care(&mut self, now: Instant, outbox: &mut Outbox) {
        self.needs_care = false;
        let waiting = !self.staged_control.is_empty() || !self.staged_data.is_empty();
        if waiting && self.endpoint.is_some() && !self.has_session() && !self.retry.is_running() {
            self.initiate(now, outbox);
        }
    }

    /// Opens a data message into `opened`, which is at least as long; returns the length of the packet that was in it,
    /// 0 for a keepalive, `None` for what is not authentic or was seen before.
    pub(super) fn open(
        &mut self,
        from: Endpoint,
        datagram: &[u8],
        now: Instant,
        opened: &mut [u8],
        outbox: &mut Outbox,
    ) -> Option<usize> {
        let length = match self.tunn.decapsulate(Some(from.remote.ip()), datagram, opened) {
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => packet.len(),
            TunnResult::Done => 0,
            TunnResult::WriteToNetwork(_) | TunnResult::Err(_) => return None,
        };
        self.authenticated(from, datagram, now);
        // The first message of a session that we answered confirms it.
        let session = local_index(datagram);
        let slot = &mut self.unconfirmed[session as usize % 8];
        if *slot == Some(session) {
            *slot = None;
            self.initiator = false;
            self.established(now, outbox);
        }
        Some(length)
    }

    /// Handles an initiation, a response or a cookie reply that names this peer.
    pub(super) fn handle_handshake(&mut self, from: Endpoint, message: &[u8], now: Instant, outbox: &mut Outbox) {
        // An empty datagram would mean "flush the queue" to boringtun.
        let Some(kind) = message.first().copied().filter(|kind| *kind != message::DATA) else { return };
        self.wake();
        let mut reply = [0; MESSAGE];
        match self.tunn.decapsulate(Some(from.remote.ip()), message, &mut reply) {
            TunnResult::WriteToNetwork(reply) => match reply[0] {
                message::COOKIE_REPLY => outbox.push(from, HANDSHAKE_TOS, reply),
                message::RESPONSE => {
                    self.endpoint = Some(from);
                    self.authenticated(from, message, now);
                    let local = local_index(reply);
                    self.unconfirmed[local as usize % 8] = Some(local);
                    self.emit(reply, HANDSHAKE_TOS, now, outbox);
                }
                _ => {
                    self.authenticated(from, message, now);
                    self.emit(reply, 0, now, outbox);
                    self.initiator = true;
                    self.established(now, outbox);
                }
            },
            TunnResult::Done if kind == message::COOKIE_REPLY => self.retry.hasten(),
            _ => {}
        }
    }

    /// The datagram proved to be the peer's: it roamed to where it came from. The own address follows only while the
    /// peer is answered from the one it asked at.
    fn authenticated(&mut self, from: Endpoint, datagram: &[u8], now: Instant) {
        let bound = self.endpoint.is_some_and(|endpoint| endpoint.local.is_some());
        self.endpoint = Some(Endpoint { local: from.local.filter(|_| bound), ..from });
        self.rx_bytes += datagram.len() as u64;
        self.last_traffic = Some(now);
        self.last_received = Some(now);
    }

    /// Both ends hold a session: what waited is sent.
    fn established(&mut self, now: Instant, outbox: &mut Outbox) {
        self.last_handshake = Some(now);
        self.retry.stop();
        while self.has_session() {
            let Some(packet) = self.staged_control.pop_front().or_else(|| self.staged_data.pop_front()) else {
                break;
            };
            self.seal(&packet, congestion(&packet), now, outbox);
        }
        // A keepalive of boringtun's own timers may wait inside it.
        while self.has_session() {
            let slot = outbox.slot(MESSAGE);
            let TunnResult::WriteToNetwork(datagram) = self.tunn.decapsulate(None, &[], slot) else { break };
            let length = datagram.len();
            self.commit(0, length, now, outbox);
        }
    }

    /// Sends an initiation now, whatever was tried before.
    fn initiate(&mut self, now: Instant, outbox: &mut Outbox) {
        self.wake();
        if self.retry.is_running() {
            self.release_local_address();
        }
        let mut message = [0; MESSAGE];
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.format_handshake_initiation(&mut message, true) {
            self.retry.sent(now);
            self.emit(datagram, HANDSHAKE_TOS, now, outbox);
        }
    }

    /// Starts a handshake if the peer wants a session, has none and tries none. With `fresh`, a new endpoint to try,
    /// retries begin anew.
    pub(super) fn kick(&mut self, fresh: bool, now: Instant, outbox: &mut Outbox) {
        if self.endpoint.is_none() || !self.wants_session() || self.has_session() {
            return;
        }
        if fresh {
            self.retry.stop();
        }
        if !self.retry.is_running() {
            self.initiate(now, outbox);
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Instant, outbox: &mut Outbox) {
        if !self.awake {
            return;
        }
        let mut expired = false;
        let mut made = [0; MESSAGE];
        match self.tunn.update_timers(&mut made) {
            TunnResult::WriteToNetwork(datagram) => {
                let is_handshake = datagram[0] == message::INITIATION;
                if is_handshake {
                    if self.retry.is_running() {
                        self.retry.sent(now);
                    }
                    if self.last_received.is_none_or(|at| now.duration_since(at) >= SILENCE) {
                        self.release_local_address();
                    }
                }
                self.emit(datagram, if is_handshake { HANDSHAKE_TOS } else { 0 }, now, outbox);
            }
            TunnResult::Err(WireGuardError::ConnectionExpired) => expired = true,
            _ => {}
        }
        if self.has_session() {
            self.retry.stop();
            self.keep_alive(now, outbox);
        } else {
            self.seek_session(now, outbox);
        }
        self.grace.retain(|(_, until)| *until > now);
        if expired && !self.retry.is_running() {
            self.awake = false;
        }
    }

    /// No session: tries for one while anything needs it.
    fn seek_session(&mut self, now: Instant, outbox: &mut Outbox) {
        if self.retry.is_hopeless(now) {
            self.staged_control.clear();
            self.staged_data.clear();
            self.retry.go_on(now);
        }
        if !self.wants_session() || self.endpoint.is_none() {
            self.retry.stop();
        } else if self.retry.due().is_none_or(|due| due <= now) {
            self.initiate(now, outbox);
        }
    }

    /// Sends the persistent keepalive after a silence in both directions, as the kernel does.
    fn keep_alive(&mut self, now: Instant, outbox: &mut Outbox) {
        let Some(interval) = self.keepalive else { return };
        let silent = |last: Instant| now.duration_since(last) >= Duration::from_secs(interval.into());
        if !self.last_traffic.is_none_or(silent) {
            return;
        }
        self.seal(&[], 0, now, outbox);
        // boringtun renews an old session only for data; a link that carries nothing but keepalives would fall
        // without keys every three minutes.
        let age = if self.initiator { REKEY_AFTER_TIME } else { REKEY_AS_RESPONDER };
        let mut message = [0; MESSAGE];
        if self.last_handshake.is_some_and(|since| now.duration_since(since) >= age)
            && let TunnResult::WriteToNetwork(datagram) = self.tunn.format_handshake_initiation(&mut message, false)
        {
            self.emit(datagram, HANDSHAKE_TOS, now, outbox);
        }
    }

    /// When [`Self::tick`] is to be called next; `None` while the peer has no state that needs it.
    pub(super) fn next_tick(&self, now: Instant) -> Option<Instant> {
        self.awake.then(|| self.retry.due().map_or(now + TICK, |due| due.min(now + TICK)))
    }

    fn wake(&mut self) {
        if !self.awake {
            self.awake = true;
            self.needs_care = true;
            // A sleeper has no session: all this can answer is that it expired.
            let _ = self.tunn.update_timers(&mut [0; MESSAGE]);
        }
    }

    /// What was right when the peer asked may be wrong by now: the kernel chooses again.
    fn release_local_address(&mut self) {
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.local = None;
        }
    }

    /// Sends a message that was made outside the outbox.
    fn emit(&mut self, datagram: &[u8], tos: u8, now: Instant, outbox: &mut Outbox) {
        outbox.slot(datagram.len())[..datagram.len()].copy_from_slice(datagram);
        self.commit(tos, datagram.len(), now, outbox);
    }

    /// Sends the datagram of `length` bytes that was made in the outbox's slot.
    fn commit(&mut self, tos: u8, length: usize, now: Instant, outbox: &mut Outbox) {
        if let Some(endpoint) = self.endpoint {
            outbox.commit(endpoint, tos, length);
            self.tx_bytes += length as u64;
            self.last_traffic = Some(now);
        }
    }
}

/// The index in bytes 4 to 8: of our session in a response we made, of the receiver's session in a data message.
fn local_index(datagram: &[u8]) -> u32 {
    datagram[4..].first_chunk().map_or(0, |index| u32::from_le_bytes(*index))
}
