//! Joining at static peers: "who are you?" to the file's endpoint, for ever.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand_core::RngCore;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::super::config::StaticPeer;
use super::super::engine::Engine;
use super::super::event::{EventKind, Severity};
use super::super::ids::NodeId;
use super::super::io::{Destination, Output};
use super::super::record::Key;
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::trust::Conflict;
use super::super::wire::{Join, JoinReply, Message, Refusal};

/// A name is resolved again with every so many attempts.
const RESOLVE_EVERY: u32 = 10;

/// A leaf that has its uplinks looks again after so long whether it needs a static peer that others reach.
const CONTENT: Duration = Duration::from_secs(60);

/// Where joining at one static peer stands.
#[derive(Clone, Debug)]
pub(in super::super) struct StaticState {
    addresses: Vec<IpAddr>,
    is_name: bool,
    resolving: bool,
    attempts: u32,
    /// The last challenges, newest last: an answer to an earlier one is as good.
    challenges: Vec<[u8; 16]>,
    token: Option<[u8; 16]>,
    /// Whether it ever answered.
    pub(in super::super) answered: bool,
}

impl StaticState {
    pub(in super::super) fn new(peer: &StaticPeer) -> Self {
        let literal: Option<IpAddr> = peer.endpoint.host.parse().ok();
        Self {
            addresses: literal.into_iter().collect(),
            is_name: literal.is_none(),
            resolving: false,
            attempts: 0,
            challenges: Vec::new(),
            token: None,
            answered: false,
        }
    }

    /// Tries at short intervals again.
    pub(in super::super) fn start_over(&mut self) {
        self.attempts = 0;
    }

    /// All addresses of its endpoint.
    pub(in super::super) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The address to try now.
    pub(in super::super) fn address(&self) -> Option<IpAddr> {
        let count = self.addresses.len().max(1);
        self.addresses.get(self.attempts as usize % count).copied()
    }

    /// Takes new addresses over. Returns whether they changed.
    pub(in super::super) fn resolved(&mut self, addresses: &[IpAddr]) -> bool {
        self.resolving = false;
        if addresses.is_empty() || self.addresses == addresses {
            return false;
        }
        self.addresses = addresses.to_vec();
        self.attempts = 0;
        true
    }

    /// Milliseconds to the next attempt: short at first, so that a static peer that starts is found at once.
    fn pause(&self) -> u64 {
        match self.attempts {
            0..=30 => 100,
            31..=150 => 500,
            151..=400 => 2_000,
            401..=1_000 => 8_000,
            _ => 25_000,
        }
    }
}

/// A refusal that lasts for so long is no matter of who started first.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// What a static peer refuses of this node's claims.
#[derive(Clone, Debug)]
pub(in super::super) struct Refused {
    pub(in super::super) what: Vec<Refusal>,
    since: Time,
    /// Whether people were told.
    pub(in super::super) told: bool,
}

/// What a refusal means to the node that hears it.
pub(in super::super) fn told(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Name => "its name belongs to another node",
        Refusal::Address => "one of its addresses belongs to another node",
        Refusal::Key => "its WireGuard key belongs to another node",
        Refusal::Outside => "its address lies outside the subnet of that node's network file",
        Refusal::Role => "that node's network file does not make it a gateway",
    }
}

/// How many join requests are answered: each costs a signature, and an outsider can send recorded ones again.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Answers {
    /// The last challenges that were answered.
    recent: VecDeque<[u8; 16]>,
    second: u64,
    count: u32,
}

impl Answers {
    /// Most answers in one second.
    const PER_SECOND: u32 = 500;
    /// So many challenges are remembered.
    const REMEMBERED: usize = 512;

    fn admits(&mut self, now: Time, challenge: &[u8; 16]) -> bool {
        let second = now.as_micros() / 1_000_000;
        if second != self.second {
            (self.second, self.count) = (second, 0);
        }
        if self.count >= Self::PER_SECOND || self.recent.contains(challenge) {
            return false;
        }
        self.count += 1;
        self.recent.push_back(*challenge);
        if self.recent.len() > Self::REMEMBERED {
            self.recent.pop_front();
        }
        true
    }
}

impl Engine {
    /// Asks static peer number `index`, unless a link to it is up.
    pub(in super::super) fn join(&mut self, now: Time, index: usize) {
        let known = self.standing.statics.get(&index).copied();
        if known == Some(self.id()) {
            return;
        }
        let pinned = self.pins.contains_key(&index);
        let linked = known.is_some_and(|id| self.neighbours.get(&id).is_some_and(|n| n.link.is_up()));
        if linked && pinned {
            return;
        }
        let enough_uplinks = !self.seeks_static(index);
        let jitter = self.jitter();
        if enough_uplinks && known.is_some_and(|id| self.reaches(&id)) {
            // It is there, and this leaf has others: nothing to ask.
            self.timers.set(Timer::Join(index), now + CONTENT + CONTENT.mul_f64(0.2 * jitter));
            return;
        }
        let state = &mut self.statics[index];
        let pause = if enough_uplinks { 25_000 } else { state.pause() };
        self.timers.set(Timer::Join(index), now + Duration::from_millis(pause + (pause as f64 * 0.2 * jitter) as u64));
        if state.is_name
            && (state.addresses.is_empty() || state.attempts % RESOLVE_EVERY == RESOLVE_EVERY - 1)
            && !state.resolving
        {
            state.resolving = true;
            let host = self.config.static_peers[index].endpoint.host.clone();
            self.push_output(Output::Resolve { host });
        }
        let state = &mut self.statics[index];
        let address = state.address();
        state.attempts = state.attempts.saturating_add(1);
        let Some(address) = address else { return };
        let mut challenge = [0; 16];
        self.rng.fill_bytes(&mut challenge);
        let state = &mut self.statics[index];
        state.challenges.push(challenge);
        if state.challenges.len() > 8 {
            state.challenges.remove(0);
        }
        let token = state.token;
        let port = self.config.static_peers[index].admin_port;
        self.send_join(now, challenge, token, SocketAddr::new(address, port));
    }

    /// Asks whoever sits at an address.
    pub(super) fn send_join(&mut self, now: Time, challenge: [u8; 16], token: Option<[u8; 16]>, to: SocketAddr) {
        let Some(own) = self.lsdb.get(&Key::Node(self.id(), 0)) else { return };
        let join = Join { challenge, token, digest: self.lsdb.digest(), item: self.lsdb.carried(own, now) };
        self.count("joins_sent");
        self.send_to_anyone(&Message::Join(join), Destination::Underlay(to));
    }

    /// Someone wants to join here.
    pub(in super::super) fn receive_join(&mut self, now: Time, from: NodeId, join: &Join, address: SocketAddr) {
        if !self.answers.admits(now, &join.challenge) {
            self.count("joins_unanswered");
            return;
        }
        self.receive_own_item_of(now, from, &join.item);
        if self.lsdb.about(&from).is_none() {
            return;
        }
        let expected = self.token(&from, &address);
        let proven = join.token.is_some_and(|token| bool::from(token.ct_eq(&expected)));
        self.settle_before_reply(now);
        self.ensure_neighbour(now, from);
        if let Some(neighbour) = self.neighbours.get_mut(&from)
            && proven
        {
            neighbour.underlay = Some(address);
        }
        let Some(own) = self.lsdb.get(&Key::Node(self.id(), 0)) else { return };
        let reply = JoinReply {
            challenge: join.challenge,
            signature: self.signer.sign(b"join", &[&join.challenge[..], &from.0].concat()),
            token: expected,
            digest: self.lsdb.digest(),
            refused: self
                .standing
                .conflicts
                .iter()
                .filter(|c| c.claimant == from)
                .map(Conflict::refusal)
                .take(5)
                .collect(),
            observed: address,
            item: self.lsdb.carried(own, now),
        };
        self.count("joins_answered");
        self.send(&Message::JoinReply(reply), &from, Destination::Underlay(address));
        if proven {
            self.prove_near(now, from, address);
            self.compare_digest(now, from, join.digest);
        }
    }

    /// A static peer answered.
    pub(in super::super) fn receive_join_reply(
        &mut self,
        now: Time,
        from: NodeId,
        reply: &JoinReply,
        address: SocketAddr,
    ) {
        let asked = |index: &usize| {
            let state = &self.statics[*index];
            let here = state.addresses.contains(&address.ip())
                && self.config.static_peers[*index].admin_port == address.port();
            here && state.challenges.iter().any(|challenge| bool::from(challenge.ct_eq(&reply.challenge)))
        };
        let Some(index) = (0..self.statics.len()).find(asked) else {
            return self.receive_near_reply(now, from, reply, address);
        };
        let signed = [&reply.challenge[..], &self.id().0].concat();
        if !self.verifier.is_signed(&from, b"join", &signed, &reply.signature) {
            self.count("join_replies_forged");
            return;
        }
        self.receive_own_item_of(now, from, &reply.item);
        let Some(about) = self.lsdb.about(&from) else { return };
        let peer = &self.config.static_peers[index];
        let (endpoint, listed) = (peer.endpoint.to_string(), peer.addresses[0]);
        let is_it = about.addresses.iter().any(|claimed| peer.addresses.contains(claimed));
        let has_key = peer.public_key.is_none_or(|key| key == about.wg_key);
        let name = about.name.to_string();
        if !is_it || !has_key {
            let what =
                if is_it { "another WireGuard key than the file's publicKey" } else { "other overlay addresses" };
            if !std::mem::replace(&mut self.statics[index].answered, true) {
                let text =
                    format!("refused: the node at {endpoint}, {name}, has {what}; the file lists {listed} there");
                self.event(Severity::Warning, EventKind::Refused, &name, text);
            }
            return;
        }
        self.hear_refusals(now, from, &reply.refused);
        let state = &mut self.statics[index];
        state.token = Some(reply.token);
        state.answered = true;
        if self.pins.insert(index, from) != Some(from) {
            self.mark_standing();
            self.save_within(now, Duration::from_secs(1));
            let text = format!("{name} answered a challenge at {endpoint}: it is the static peer {listed}");
            self.event(Severity::Info, EventKind::Identity, &name, text);
        }
        self.settle_before_reply(now);
        self.ensure_neighbour(now, from);
        if self.neighbours.get(&from).is_some_and(|n| !n.link.is_up()) {
            // It is alive at this very address: point the tunnel there, and ask inside it at once.
            let endpoint = SocketAddr::new(address.ip(), self.config.static_peers[index].endpoint.port);
            let neighbour = self.neighbours.get_mut(&from).expect("it was just looked up");
            neighbour.underlay = Some(address);
            let pointed = neighbour.hint.is_some_and(|hint| hint.address == endpoint);
            let quiet = neighbour.link.heard_at().is_none_or(|at| now.since(at) > Duration::from_secs(2));
            let stuck = pointed && quiet && now.since(neighbour.hinted_at) > Duration::from_secs(2);
            neighbour.link.hurry(now);
            if !pointed || stuck {
                self.hint(now, from, endpoint);
            }
            self.arm_probe(now, from);
        }
        self.compare_digest(now, from, reply.digest);
    }

    /// A static peer told which of this node's claims it refuses. That is believed, and told, once it lasts: two static
    /// peers that start at once refuse each other until each has answered the other's challenge.
    fn hear_refusals(&mut self, now: Time, from: NodeId, refused: &[Refusal]) {
        if refused.is_empty() {
            self.refusals.remove(&from);
            return;
        }
        let heard =
            self.refusals.entry(from).or_insert_with(|| Refused { what: refused.to_vec(), since: now, told: false });
        if heard.what != refused {
            *heard = Refused { what: refused.to_vec(), since: now, told: false };
        }
        if heard.told || now.since(heard.since) < REFUSED_FOR {
            return;
        }
        heard.told = true;
        let name = self.name_of(&from);
        for refusal in refused {
            let text = format!("{name} refuses this node: {}", told(*refusal));
            self.event(Severity::Error, EventKind::Refused, &name, text);
        }
    }

    /// The token that proves that whoever sends from `address` also receives there.
    fn token(&self, id: &NodeId, address: &SocketAddr) -> [u8; 16] {
        let hash = Sha256::new()
            .chain_update(self.token_secret)
            .chain_update(id.0)
            .chain_update(address.to_string())
            .finalize();
        hash[..16].try_into().expect("a SHA-256 has 32 bytes")
    }
}
