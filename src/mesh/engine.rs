//! The engine: every input goes in here, every output comes out here.
//!
//! After each input the engine **settles**: who holds what (`trust/`), then this node's own record (`origin`), then the
//! graph and its shortest paths (`path/`), then the plan for tunnel and system (`plan`). Each step runs only when
//! something it depends on changed.

mod command;
#[cfg(feature = "drill")]
mod drill;
mod health;
mod links;
mod mesh;
mod neighbour;
mod news;
mod origin;
mod paths;
mod plan;
mod receive;
mod reload;
mod saved;
mod settle;
mod sizes;
mod sought;
mod uplinks;
mod view;
mod what_if;
mod why;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::config::{DirectMode, MeshConfig};
use super::event::{Event, EventKind, Severity};
use super::ids::{NetworkId, NodeId, WgPublicKey};
use super::io::{
    Command, CommandError, DesiredSystem, DesiredTunnel, Destination, LocalNetwork, Output, PortMapping, TunnelReport,
    Via,
};
use super::path::{Crossings, Graph, Paths};
use super::reach::{Demand, Nearby, Outside, Sightings, StaticState, is_link_local};
use super::record::{CheckSignature, Lsdb, REFRESH, ShortId, Signer, Strict, Verifier};
use super::time::Time;
use super::timer::{Timer, Timers};
use super::trust::Standing;
use super::view::View;
use super::wire::{Message, ReplayWindow, Sealer};

pub(super) use neighbour::{Neighbour, Neighbours};
use origin::OwnRecord;
use uplinks::Choice;

/// What makes this node this node, from its state directory.
pub struct Identity {
    /// Ed25519 seed of the identity.
    pub seed: [u8; 32],
    /// Public half of the WireGuard key (the private half never enters the engine).
    pub wg_public: WgPublicKey,
    /// Number of this start: persisted, +1 per start, durable before the engine is made.
    pub epoch: u64,
}

/// Most gateways that a leaf keeps as uplinks.
const MAX_UPLINKS: usize = 3;
/// From so many of its uplinks a leaf gets all news at once.
const FLOOD_FROM: usize = 2;
/// How long a leaving node waits for its neighbours' acknowledgement.
const LEAVE_WAIT: Duration = Duration::from_millis(300);
/// How long the tunnel keeps the peer of a node that left.
const PARTING: Duration = Duration::from_secs(1);
/// How long a neighbour that started anew has to show inside the tunnel, at least; four round trips where that is more.
const CONFIRM_WAIT: Duration = Duration::from_millis(300);
/// A static peer's votes are firm only after so long: first it must hear whom the others saw first.
const LISTEN: Duration = Duration::from_secs(5);
/// Interval of the review of costs, damped links and uplinks.
const REVIEW: Duration = Duration::from_secs(1);
/// A mesh of more nodes than this is large: news wait a little for each other.
const LARGE: usize = 32;
/// Paths of a large mesh are computed at most once in so long for each of its nodes: with 1,000 nodes each 300 ms.
const PACE: Duration = Duration::from_micros(300);
/// With `direct: auto`, pairs are direct while the mesh has at most so many nodes ...
const DIRECT_ON: usize = 12;
/// ... and no longer when it has more than this.
const DIRECT_OFF: usize = 16;

/// One node's part of the mesh: pure, deterministic, without clock, sockets, files or threads.
///
/// The caller's loop: hand an input to a `handle_*` method, drain [`Engine::poll_output`] until `None` (doing what each
/// output says, in order), sleep until [`Engine::next_timeout`] or the next input.
pub struct Engine {
    pub(super) config: MeshConfig,
    pub(super) network: NetworkId,
    pub(super) verifier: Verifier,
    pub(super) signer: Signer,
    id: NodeId,
    wg_public: WgPublicKey,
    pub(super) epoch: u64,
    pub(super) rng: ChaCha8Rng,
    sealer: Sealer,
    pub(super) lsdb: Lsdb,
    pub(super) standing: Standing,
    pub(super) pins: BTreeMap<usize, NodeId>,
    pub(super) neighbours: Neighbours,
    pub(super) statics: Vec<StaticState>,
    pub(super) timers: Timers,
    own: OwnRecord,
    pub(super) graph: Graph,
    effective_hash: u64,
    pub(super) paths: Paths,
    /// What acted lately, the last first, and until when packets may still come by it.
    past: VecDeque<(Time, Graph, Paths)>,
    /// What will act when holds run out, in order.
    coming: Vec<(Graph, Paths)>,
    /// What links carry, of which that was told: see [`Self::narrow_links`].
    narrow: BTreeMap<(ShortId, ShortId), u16>,
    crossings: Option<Arc<Crossings>>,
    /// What other ways there are from here, once someone looked.
    alternatives: OnceCell<view::Alternatives>,
    uplinks: BTreeSet<NodeId>,
    /// How a leaf chose them.
    choice: Choice,
    /// What gateways were told of that.
    uplinks_told: BTreeSet<NodeId>,
    /// Whether pairs outside the graph get direct links.
    pub(super) direct_on: bool,
    pub(super) local: LocalNetwork,
    /// Replay windows of the senders the LSDB knows, each for one epoch.
    windows: BTreeMap<NodeId, (u64, ReplayWindow)>,
    /// Last statement of each author: epoch and number.
    pub(super) statements: BTreeMap<NodeId, (u64, u64)>,
    /// Number of this node's last statement.
    pub(super) statement_number: u64,
    /// Endpoints under which nodes were last reached, from disk until seen again.
    pub(super) endpoints: BTreeMap<NodeId, SocketAddr>,
    pub(super) hint_serial: u64,
    /// Where gateways see this node.
    pub(super) sightings: Sightings,
    /// What that means.
    pub(super) outside: Outside,
    /// What the router before this machine says that it leads here.
    pub(super) mapping: Option<PortMapping>,
    /// Who is worth a direct link, by what is sent.
    pub(super) demand: Demand,
    /// Who announced itself on this machine's LANs.
    pub(super) nearby: Nearby,
    /// Secret of the tokens that prove underlay addresses.
    pub(super) token_secret: [u8; 32],
    tunnel: Option<DesiredTunnel>,
    system: Option<DesiredSystem>,
    outputs: VecDeque<Output>,
    counters: BTreeMap<&'static str, u64>,
    dirty: Dirty,
    /// The neighbour that this leaf learns the database from, and when something new came last.
    pub(super) learns_from: Option<(NodeId, Time)>,
    /// When who holds what and the paths were computed last.
    computed_at: Option<Time>,
    save_token: u64,
    save_failed: bool,
    /// Votes that wait for the disk before they are told.
    unsaved_votes: Vec<(u64, u64)>,
    clone_alarms: VecDeque<Time>,
    complained_at: Option<Time>,
    pub(super) answers: super::reach::Answers,
    /// The least cost that a person set for every link of this gateway.
    pub(super) gateway_cost: Option<u32>,
    /// Whether traffic of others is being led around this gateway.
    pub(super) draining: bool,
    /// Drills that this node takes part in.
    #[cfg(feature = "drill")]
    drills: drill::Drills,
    /// What static peers refuse of this node's claims.
    pub(super) refusals: BTreeMap<NodeId, super::reach::Refused>,
    firm_from: Time,
    votes_firmly: bool,
    ready: bool,
    leaving: bool,
    left: bool,
}

/// What changed since the engine last settled.
#[derive(Clone, Copy, Debug, Default)]
struct Dirty {
    standing: bool,
    /// What nodes say of themselves, which the plan depends on beside who holds what.
    abouts: bool,
    own: bool,
    graph: bool,
    crossings: bool,
    plan: bool,
}

impl Engine {
    /// Makes an engine. `saved` is the last state written by `Output::Save` (a damaged one is ignored with an event);
    /// `seed` feeds all randomness.
    pub fn new(config: MeshConfig, identity: Identity, saved: Option<&[u8]>, seed: [u8; 32], now: Time) -> Self {
        let network = config.key.network_id();
        let signer = Signer::new(&identity.seed, network);
        let id = signer.id();
        let mut rng = ChaCha8Rng::from_seed(seed);
        let mut token_secret = [0; 32];
        rng.fill_bytes(&mut token_secret);
        let statics = config.static_peers.iter().map(StaticState::new).collect();
        let mut engine = Self {
            sealer: Sealer::new(config.key.clone(), id, identity.epoch),
            network,
            verifier: Verifier::new(network, Arc::new(Strict)),
            signer,
            id,
            wg_public: identity.wg_public,
            epoch: identity.epoch,
            rng,
            lsdb: Lsdb::new(),
            standing: Standing::default(),
            pins: BTreeMap::new(),
            neighbours: Neighbours::default(),
            statics,
            timers: Timers::default(),
            own: OwnRecord::default(),
            graph: Graph::default(),
            effective_hash: 0,
            paths: Paths::new(),
            past: VecDeque::new(),
            coming: Vec::new(),
            narrow: BTreeMap::new(),
            crossings: None,
            alternatives: OnceCell::new(),
            uplinks: BTreeSet::new(),
            choice: Choice::default(),
            uplinks_told: BTreeSet::new(),
            direct_on: match config.direct {
                DirectMode::Auto => sought::begins_small(&config),
                DirectMode::Always => true,
                DirectMode::Never | DirectMode::OnDemand => false,
            },
            local: LocalNetwork::default(),
            windows: BTreeMap::new(),
            statements: BTreeMap::new(),
            statement_number: 0,
            endpoints: BTreeMap::new(),
            hint_serial: 0,
            sightings: Sightings::default(),
            outside: Outside::default(),
            mapping: None,
            demand: Demand::default(),
            nearby: Nearby::new(&config.key),
            token_secret,
            tunnel: None,
            system: None,
            outputs: VecDeque::new(),
            counters: BTreeMap::new(),
            dirty: Dirty { standing: true, abouts: true, own: true, graph: true, crossings: true, plan: true },
            learns_from: None,
            computed_at: None,
            save_token: 0,
            save_failed: false,
            unsaved_votes: Vec::new(),
            clone_alarms: VecDeque::new(),
            complained_at: None,
            answers: super::reach::Answers::default(),
            gateway_cost: None,
            draining: false,
            #[cfg(feature = "drill")]
            drills: drill::Drills::default(),
            refusals: BTreeMap::new(),
            firm_from: now + LISTEN,
            votes_firmly: false,
            ready: false,
            leaving: false,
            left: false,
            config,
        };
        let restored = saved.map_or_else(Vec::new, |bytes| engine.restore(now, bytes));
        engine.timers.set(Timer::Refresh, now + REFRESH);
        engine.timers.set(Timer::Expire, now + Duration::from_secs(60));
        engine.timers.set(Timer::Review, now + REVIEW);
        for index in 0..engine.statics.len() {
            engine.timers.set(Timer::Join(index), now + engine.turn_of_static(index));
        }
        engine.settle(now);
        engine.seek_again(now, &restored);
        if engine.config.own_static().is_some() || engine.config.static_peers.is_empty() {
            engine.announce_ready("static peers need nobody to be reachable");
        }
        engine.settle(now);
        engine
    }

    /// Lets another check signatures: one that remembers what it checked, where many engines of one process hear the same.
    pub fn checking_by(mut self, check: Arc<dyn CheckSignature>) -> Self {
        self.verifier = Verifier::new(self.network, check);
        self
    }

    /// This node's identity.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// What it runs with.
    pub fn config(&self) -> &MeshConfig {
        &self.config
    }

    /// The network this node belongs to.
    pub fn network_id(&self) -> NetworkId {
        self.network
    }

    /// This node's link address.
    pub fn link_address(&self) -> Ipv6Addr {
        self.id.link_address(&self.network)
    }

    /// A datagram arrived. Junk is counted and dropped.
    pub fn handle_datagram(&mut self, now: Time, via: Via, bytes: &[u8]) {
        if self.left {
            return;
        }
        self.receive(now, via, bytes);
        self.settle(now);
    }

    /// Somebody's announcement arrived on a LAN, from this address. Junk is counted and dropped.
    pub fn handle_announcement(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        if self.left {
            return;
        }
        self.hear_announcement(now, from, bytes);
        self.settle(now);
    }

    /// The deadline of `next_timeout` has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.take_due(now) {
            self.ring(now, timer);
        }
        self.settle(now);
    }

    /// What the tunnel knows of its peers; about once a second and after each handshake.
    pub fn handle_tunnel(&mut self, now: Time, report: TunnelReport) {
        let keys = self.neighbours.iter().filter_map(|n| Some((self.lsdb.about(&n.id)?.wg_key, n.id)));
        let mut keys: Vec<(WgPublicKey, NodeId)> = keys.collect();
        keys.sort_unstable();
        for peer in report.peers {
            let Ok(at) = keys.binary_search_by_key(&peer.public_key, |(key, _)| *key) else { continue };
            let id = &keys[at].1;
            if let Some(endpoint) = peer.endpoint
                && self.neighbours.get(id).is_some_and(|n| n.link.is_up())
                && !is_link_local(&endpoint.ip())
                && self.endpoints.insert(*id, endpoint) != Some(endpoint)
            {
                self.save_within(now, Duration::from_secs(1));
            }
            let Some(neighbour) = self.neighbours.get_mut(id) else { continue };
            let before = neighbour.report.as_ref().map_or(0, |report| report.data_packets);
            if peer.data_packets > before {
                neighbour.data_at = Some(now);
            }
            let known = neighbour.report.as_ref().and_then(|report| report.endpoint);
            let changed = known != peer.endpoint;
            let moved = known.is_some() && changed;
            neighbour.report = Some(peer);
            self.set_interval(now, *id);
            if changed {
                // Over a LAN nothing needs to be kept open.
                self.dirty.plan = true;
            }
            if moved {
                // Another way may carry other packets.
                self.measure_size(now, *id);
            }
        }
        self.hear_sent(now, &report.sent);
        self.settle(now);
    }

    /// The machine's addresses, at start and whenever they change.
    pub fn handle_network(&mut self, now: Time, network: LocalNetwork) {
        let first = self.local == LocalNetwork::default();
        if self.local == network {
            return;
        }
        self.local = network;
        self.sightings.clear();
        self.look_outside(now);
        self.own.describe_again();
        self.dirty.own = true;
        if !first {
            // Endpoints may have moved: ask every neighbour at once instead of waiting for a link to die.
            for id in self.neighbours.ids() {
                if let Some(neighbour) = self.neighbours.get_mut(&id) {
                    neighbour.link.hurry(now);
                }
                self.arm_probe(now, id);
            }
            for index in 0..self.statics.len() {
                self.statics[index].start_over();
                self.timers.set_no_later(Timer::Join(index), now);
            }
        }
        self.look_around(now);
        self.seek_direct(now);
        self.settle(now);
    }

    /// What the router before this machine leads to WireGuard's port; `None`: nothing, or nothing any more.
    pub fn handle_mapped(&mut self, now: Time, mapping: Option<PortMapping>) {
        self.mapping = mapping;
        self.look_outside(now);
        self.settle(now);
    }

    /// A host name was resolved (empty: it could not be).
    pub fn handle_resolved(&mut self, now: Time, host: &str, addresses: &[IpAddr]) {
        for index in 0..self.statics.len() {
            if self.config.static_peers[index].endpoint.host == host && self.statics[index].resolved(addresses) {
                self.timers.set_no_later(Timer::Join(index), now);
            }
        }
        self.settle(now);
    }

    /// A `Save` ended. `durable` is false when the disk refused.
    pub fn handle_saved(&mut self, now: Time, token: u64, durable: bool) {
        if !durable && !self.save_failed {
            let text = "the mesh's state cannot be kept on disk: after a restart this node must discover it anew";
            self.event(Severity::Warning, EventKind::Storage, "state", text.to_owned());
        }
        self.save_failed = !durable;
        if token == self.save_token {
            // Without a disk the votes are told all the same: a mesh that cannot settle names is worse than a voter that
            // may contradict itself after a crash.
            for summary in std::mem::take(&mut self.unsaved_votes) {
                self.flood(now, summary, None);
            }
        }
        self.settle(now);
    }

    /// A person or a program wants something.
    pub fn handle_command(&mut self, now: Time, command: Command) -> Result<(), CommandError> {
        let result = self.obey(now, command);
        self.settle(now);
        result
    }

    /// The next thing to do; `None` when all is drained.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `handle_timeout` wants to be called next.
    pub fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// A hash of the effective LSDB: equal on two nodes when they must have equal tables (invariant I1).
    pub fn effective_hash(&self) -> u64 {
        // A gateway that a drill withdrew has no tables at all.
        if self.is_withdrawn() { !self.effective_hash } else { self.effective_hash }
    }

    /// A snapshot for people.
    pub fn view(&self) -> View {
        self.look()
    }

    /// The identity that goes by `name`: the admitted one, else the one with votes, else any claimant.
    fn find_name(&self, name: &str) -> Result<NodeId, CommandError> {
        let named = |id: &&NodeId| self.lsdb.about(id).is_some_and(|about| about.name.as_str() == name);
        let admitted = self.standing.admitted.iter().find(named).copied();
        let voted = || {
            let is_name = |subject: &super::record::Subject| subject.to_string() == format!("name {name}");
            self.lsdb.votes().find(|(_, vote)| vote.subjects.iter().any(is_name)).map(|(_, vote)| vote.claimant)
        };
        let claimed = || self.lsdb.abouts().find(|(_, about)| about.name.as_str() == name).map(|(id, _)| id);
        admitted.or_else(voted).or_else(claimed).ok_or_else(|| CommandError::UnknownName(name.to_owned()))
    }

    fn leave(&mut self, now: Time) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        self.own.describe_again();
        self.dirty.own = true;
        self.settle(now);
        self.save(now);
        let alone = self.neighbours.iter().all(|neighbour| neighbour.outbox.is_empty());
        self.timers.set(Timer::Leave, if alone { now } else { now + LEAVE_WAIT });
        self.end_leave_early();
    }

    /// Every neighbour acknowledged: no need to wait longer.
    fn end_leave_early(&mut self) {
        if self.leaving && !self.left && self.neighbours.iter().all(|neighbour| neighbour.outbox.is_empty()) {
            self.left = true;
            self.timers.stop(Timer::Leave);
            self.outputs.push_back(Output::Left);
        }
    }

    fn ring(&mut self, now: Time, timer: Timer) {
        match timer {
            Timer::Join(index) => self.join(now, index),
            Timer::Probe(id) => self.probe(now, id),
            Timer::Size(id) => self.ask_size(now, id),
            Timer::Retransmit(id) => self.retransmit(now, id),
            Timer::Direct(id) => self.step_direct(now, id),
            Timer::Parted(id) => {
                if let Some(neighbour) = self.neighbours.get_mut(&id) {
                    neighbour.parting = false;
                    self.dirty.plan = true;
                }
            }
            Timer::Confirm(id) => self.make_peer_anew(now, id),
            Timer::Release(id) => self.release(id),
            Timer::Announce => self.announce(now),
            Timer::Sightings => self.ask_sightings(now),
            Timer::Hold => self.dirty.graph = true,
            // What waited is settled after this.
            Timer::Settle => {}
            Timer::Past => self.forget_past(now),
            #[cfg(feature = "drill")]
            Timer::Withdrawal => self.step_withdrawal(now),
            #[cfg(feature = "drill")]
            Timer::Drill => self.step_drill(now),
            Timer::Review => {
                self.dirty.own = true;
                self.review_demand(now);
                self.look_at_other_gateways(now);
                self.release_spare_gateways(now);
                if now >= self.firm_from && !std::mem::replace(&mut self.votes_firmly, true) {
                    self.dirty.standing = true;
                    self.decide_direct(now);
                    self.seek_direct(now);
                }
                self.timers.set(Timer::Review, now + REVIEW);
            }
            Timer::Refresh => {
                self.own.refresh();
                self.dirty.own = true;
                self.timers.set(Timer::Refresh, now + REFRESH);
            }
            Timer::Expire => {
                self.expire(now);
                self.timers.set(Timer::Expire, now + Duration::from_secs(60));
            }
            Timer::Save => self.save(now),
            Timer::Leave => {
                if !self.left {
                    self.left = true;
                    self.outputs.push_back(Output::Left);
                }
            }
        }
    }

    fn expire(&mut self, now: Time) {
        for id in self.lsdb.expire(now) {
            self.drop_neighbour(&id);
            self.windows.remove(&id);
            self.statements.remove(&id);
            self.sealer.forget(&id);
            self.event(
                Severity::Info,
                EventKind::Node,
                &id.short(),
                format!("{} was not heard of for 24 h", id.short()),
            );
            self.dirty.standing = true;
        }
    }

    /// Forgets all that concerns exchanging datagrams with a node.
    pub(super) fn drop_neighbour(&mut self, id: &NodeId) {
        if self.neighbours.remove(id).is_some() {
            let timers = [
                Timer::Probe,
                Timer::Size,
                Timer::Retransmit,
                Timer::Direct,
                Timer::Confirm,
                Timer::Parted,
                Timer::Release,
            ];
            timers.into_iter().for_each(|timer| self.timers.stop(timer(*id)));
            self.dirty.plan = true;
        }
    }

    // Sending.

    /// Where datagrams for a neighbour go inside the tunnel.
    pub(super) fn tunnel_address(&self, id: &NodeId) -> Option<Destination> {
        let port = self.lsdb.about(id)?.admin_port;
        let address = self.neighbours.get(id)?.link_address;
        Some(Destination::Tunnel(SocketAddrV6::new(address, port, 0, 0)))
    }

    /// Where control datagrams for a neighbour go now: inside the tunnel where it stands, else to the underlay address
    /// that echoed a challenge.
    pub(super) fn transport(&self, now: Time, id: &NodeId) -> Option<Destination> {
        let neighbour = self.neighbours.get(id)?;
        if neighbour.hears_tunnel(now) {
            return self.tunnel_address(id);
        }
        neighbour.underlay.map(Destination::Underlay)
    }

    pub(super) fn send(&mut self, message: &Message, to: &NodeId, destination: Destination) {
        if self.is_mute(message) {
            return;
        }
        let epoch = self.lsdb.version(to).map_or(0, |version| version.epoch);
        let bytes = self.sealer.seal(message, Some((to, epoch)), &mut self.rng);
        self.push_datagram(destination, bytes);
    }

    /// Sends to whoever sits at an address.
    pub(super) fn send_to_anyone(&mut self, message: &Message, destination: Destination) {
        if self.is_mute(message) {
            return;
        }
        let bytes = self.sealer.seal(message, None, &mut self.rng);
        self.push_datagram(destination, bytes);
    }

    /// Whether a drill withdrew this gateway, and the message is not about that.
    #[cfg(feature = "drill")]
    fn is_mute(&self, message: &Message) -> bool {
        self.is_withdrawn() && !Self::is_of_drill(message)
    }

    /// Without drills nothing is ever withdrawn.
    #[cfg(not(feature = "drill"))]
    fn is_mute(&self, _: &Message) -> bool {
        false
    }

    /// See [`Self::is_mute`].
    #[cfg(not(feature = "drill"))]
    fn is_withdrawn(&self) -> bool {
        false
    }

    fn push_datagram(&mut self, to: Destination, bytes: Vec<u8>) {
        self.count("datagrams_sent");
        self.outputs.push_back(Output::Send { to, bytes });
    }

    // Small things that every part needs.

    pub(super) fn push_output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn count(&mut self, name: &'static str) {
        *self.counters.entry(name).or_default() += 1;
    }

    pub(super) fn event(&mut self, severity: Severity, kind: EventKind, subject: &str, text: String) {
        self.outputs.push_back(Output::Event(Event { severity, kind, subject: subject.to_owned(), text }));
    }

    /// A number in 0..1.
    pub(super) fn jitter(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }

    /// Tells of an attack, at most once in ten seconds: an attacker must not fill the journal.
    pub(super) fn complain(&mut self, now: Time, subject: &str, text: String) {
        if self.complained_at.is_none_or(|at| now.since(at).as_secs() >= 10) {
            self.complained_at = Some(now);
            self.event(Severity::Warning, EventKind::Refused, subject, text);
        }
    }

    /// What people call a node.
    pub(super) fn name_of(&self, id: &NodeId) -> String {
        super::view::display_name(self.lsdb.about(id).map(|about| &about.name), id)
    }

    fn announce_ready(&mut self, why: &str) {
        if !self.ready {
            self.ready = true;
            let name = self.config.name.to_string();
            self.event(Severity::Info, EventKind::Ready, &name, format!("{name} takes part: {why}"));
        }
    }

    /// Whether a path leads there.
    pub(super) fn reaches(&self, id: &NodeId) -> bool {
        self.paths.contains_key(id)
    }

    pub(super) fn leaving(&self) -> bool {
        self.leaving
    }

    /// What the own record says of this node changed.
    pub(super) fn describe_self_again(&mut self) {
        self.own.describe_again();
        self.dirty.own = true;
    }

    #[cfg(feature = "drill")]
    fn mark_plan_and_crossings(&mut self) {
        self.dirty.plan = true;
        self.dirty.crossings = true;
    }

    pub(super) fn mark_plan(&mut self) {
        self.dirty.plan = true;
    }

    pub(super) fn mark_standing(&mut self) {
        self.dirty.standing = true;
    }
}
