//! The world: all machines, the underlay between them, one virtual clock, one queue of things to come.
//!
//! Everything is drawn from one seed; the same scenario, seed and calls give the same run, to the byte
//! ([`World::trace_hash`]). After every input an engine's outputs are drained at once, as the daemon does.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::invariants::{Violation, Watch};
use super::journal::{Journal, Line};
use super::network::{Arrival, Step, Underlay};
use super::node::{Machine, Port};
use super::queue::Queue;
use super::scenario::Scenario;
use super::signatures::Signatures;
use super::traffic::{Ping, Pings};
use super::tunnel::{Act, Message, Packet, Payload, TTL, bare_size};
use crate::mesh::engine::Engine;
use crate::mesh::event::Event;
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{Destination, MappingProtocol, Output, PortMapping, Via};
use crate::mesh::time::Time;
use crate::mesh::view::View;

/// The daemon reads its tunnel's counters this often.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How often the rules that need time are checked.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// A daemon that is told to leave ends after this time at the latest.
pub(super) const LEAVE_WITHIN: Duration = Duration::from_secs(3);
/// Where announcements come from.
const ANNOUNCE_PORT: u16 = 50_490;
/// How long a name takes to resolve.
const RESOLVE_TIME: Duration = Duration::from_millis(20);
/// How long a router takes to map a port ...
const MAP_TIME: Duration = Duration::from_millis(100);
/// ... and how often it is asked to go on.
const MAP_EVERY: Duration = Duration::from_secs(120);
/// So many things at one moment mean that an engine's deadline never moves on.
const STANDSTILL: u32 = 100_000;

/// What the machines are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Tunnels without the embedded one's tolerance for moving prefixes.
    pub kernel: bool,
    /// A daemon gets to each of its datagrams and deadlines late, by up to so much: it shares its processor. Packets of
    /// users pass all the while.
    pub slow: Duration,
}

/// How long engines took over their inputs, by a clock of the caller's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Inputs so far.
    pub count: u64,
    /// Time over all of them.
    pub total: Duration,
    /// The longest.
    pub worst: Duration,
}

/// A simulated mesh.
pub struct World {
    pub(super) now: Time,
    pub(super) queue: Queue<Thing>,
    pub(super) machines: Vec<Machine>,
    pub(super) underlay: Underlay,
    pub(super) watch: Watch,
    pub(super) journal: Journal,
    pub(super) rng: ChaCha8Rng,
    pings: Pings,
    keys: Arc<[WgPublicKey]>,
    host_names: BTreeMap<String, usize>,
    hosts: Hosts,
    signatures: Arc<Signatures>,
    at_this_moment: u32,
    acts: Vec<Act>,
    listened: Option<usize>,
    heard: Vec<(Time, Event)>,
    stopwatch: Option<fn() -> Duration>,
    steps: Steps,
}

/// Something that will happen. The number beside a machine's is that of its start: it is void after another one.
pub(super) enum Thing {
    /// A packet arrives.
    Packet(Box<(usize, Step, Content)>),
    /// An engine's deadline.
    Engine(usize, u64),
    /// A slow daemon gets to a datagram.
    Datagram(Box<(usize, u64, Via, Vec<u8>)>),
    /// An announcement arrives.
    Announcement(Box<(usize, u64, SocketAddr, Vec<u8>)>),
    /// A slow daemon gets to its deadline.
    Deadline(usize, u64),
    /// A tunnel's deadline.
    Tunnel(usize, u64),
    /// Time to read the tunnel's counters.
    Report(usize, u64),
    /// The same, because a handshake ended.
    Handshake(usize, u64),
    /// The disk is done.
    Saved(usize, u64),
    /// The resolver is done.
    Resolved(usize, u64, String),
    /// A leaving daemon has had its time.
    LeaveEnds(usize, u64),
    /// A router answers whoever asks it for a port.
    Mapped(usize, u64),
    /// Check the rules that need time.
    Watch,
}

/// What an underlay packet carries.
#[derive(Clone, Debug)]
pub(super) enum Content {
    WireGuard(Message),
    Control(Vec<u8>),
}

impl World {
    /// Builds the world of a scenario; nothing runs yet.
    pub fn new(scenario: &Scenario, seed: u64, hosts: Hosts) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let underlay = Underlay::new(scenario, ChaCha8Rng::from_rng(&mut rng).expect("ChaCha does not fail"));
        let pinned = BTreeMap::new();
        let machine = |keys: &BTreeMap<String, WgPublicKey>| {
            let nodes = scenario.nodes.iter();
            let one = |(name, node): (&String, &super::scenario::Node)| {
                Machine::new(name, scenario.mesh_config(name, keys), node.claims.is_some(), node.clock, seed)
            };
            nodes.map(one).collect::<Vec<_>>()
        };
        // Keys depend on names and seed alone, so a first pass gives those that the network file pins.
        let keys: Arc<[WgPublicKey]> = machine(&pinned).iter().map(|m| m.key).collect();
        let pinned = scenario.nodes.keys().cloned().zip(keys.iter().copied()).collect();
        let host_names = scenario.nodes.values().enumerate();
        let host_names = host_names.filter_map(|(i, node)| Some((node.host_name.clone()?, i))).collect();
        let machines = machine(&pinned);
        let mut queue = Queue::new();
        queue.push(Time::ZERO + WATCH_EVERY, Thing::Watch);
        Self {
            now: Time::ZERO,
            queue,
            watch: Watch::new(scenario, &machines),
            machines,
            underlay,
            journal: Journal::new(),
            rng,
            pings: Pings::default(),
            keys,
            host_names,
            hosts,
            signatures: Arc::default(),
            at_this_moment: 0,
            acts: Vec::new(),
            listened: None,
            heard: Vec::new(),
            stopwatch: None,
            steps: Steps::default(),
        }
    }

    /// Measures engines with this clock from now on; nothing in the run depends on it.
    pub fn measure(&mut self, stopwatch: fn() -> Duration) {
        self.stopwatch = Some(stopwatch);
    }

    /// What was measured since this was asked last.
    pub fn steps(&mut self) -> Steps {
        std::mem::take(&mut self.steps)
    }

    /// Keeps the events of a node from now on, as its daemon's journal would, for [`Self::heard`].
    pub fn listen_to(&mut self, node: usize) {
        self.listened = Some(node);
    }

    /// The events of the node that is listened to, since this was asked last.
    pub fn heard(&mut self) -> Vec<(Time, Event)> {
        std::mem::take(&mut self.heard)
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// A number for everything that happened so far: equal runs have equal ones.
    pub fn trace_hash(&self) -> u64 {
        self.journal.hash()
    }

    /// The last lines of what happened.
    pub fn journal(&self) -> impl Iterator<Item = &Line> {
        self.journal.lines()
    }

    /// The rules that were broken so far.
    pub fn violations(&self) -> &[Violation] {
        self.watch.violations()
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.machines.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// The number of a node by its scenario name.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.machines.iter().position(|machine| machine.name == name)
    }

    /// The scenario name of a node.
    pub fn name(&self, node: usize) -> &str {
        &self.machines[node].name
    }

    /// A node's WireGuard key.
    pub fn key(&self, node: usize) -> WgPublicKey {
        self.keys[node]
    }

    /// Whether a node's daemon runs (and is not about to leave).
    pub fn runs(&self, node: usize) -> bool {
        self.machines[node].daemon.as_ref().is_some_and(|daemon| !daemon.leaving)
    }

    /// Whether a node has no wrong claims.
    pub fn is_honest(&self, node: usize) -> bool {
        !self.machines[node].adversary
    }

    /// A running node's engine, and its time now.
    pub fn engine(&self, node: usize) -> Option<(&Engine, Time)> {
        self.machines[node].daemon.as_ref().map(|daemon| (&daemon.engine, daemon.engine_time(self.now)))
    }

    /// What a running node shows of itself.
    pub fn view(&self, node: usize) -> Option<View> {
        self.machines[node].daemon.as_ref().map(|daemon| daemon.engine.view())
    }

    /// Bytes that a node sent and received on the underlay so far.
    pub fn underlay_bytes(&self, node: usize) -> u64 {
        self.machines[node].bytes
    }

    /// Packets that a node sent on the underlay so far; one to a whole LAN is one.
    pub fn underlay_packets(&self, node: usize) -> u64 {
        self.machines[node].packets
    }

    /// Packets of users dropped by source checks so far, by source and destination.
    pub fn foreign_packets(&self) -> &BTreeMap<(IpAddr, IpAddr), u64> {
        self.watch.foreign_packets()
    }

    /// Sends a ping from one node to another's first overlay address of a family both have; gives its number. It is lost
    /// at once when the sender does not run or has no route.
    pub fn ping(&mut self, from: usize, to: usize) -> usize {
        let number = self.pings.add(from, to, self.now);
        let targets = &self.machines[to].config.addresses;
        let pair = targets.iter().find_map(|dst| Some((self.machines[from].source_for(*dst)?, *dst)));
        if let Some((src, dst)) = pair {
            let packet = Packet { src, dst, ttl: TTL, born: self.now, waited: 0, payload: Payload::Ping(number) };
            self.hand_in(from, packet);
            self.arm(from);
        }
        number
    }

    /// What became of a ping; `None` once it is forgotten.
    pub fn ping_result(&self, number: usize) -> Option<&Ping> {
        self.pings.get(number)
    }

    /// Forgets pings sent before that time.
    pub fn forget_pings_before(&mut self, time: Time) {
        self.pings.forget_before(time);
    }

    /// Lets everything happen that is due until that time.
    pub fn run_until(&mut self, end: Time) {
        while let Some(at) = self.queue.next_time().filter(|at| *at <= end) {
            if at > self.now {
                self.settle();
                self.now = at;
                self.at_this_moment = 0;
            }
            self.at_this_moment += 1;
            if self.at_this_moment == STANDSTILL {
                let nodes = self.machines.iter().filter(|m| m.daemon.is_some()).map(|m| m.name.clone()).collect();
                self.watch.standstill(self.now, nodes);
                return;
            }
            if let Some((_, thing)) = self.queue.pop() {
                self.happen(thing);
            }
        }
        self.settle();
        self.now = self.now.max(end);
    }

    /// Everything of this moment has happened: now tables may be compared.
    fn settle(&mut self) {
        if self.watch.is_dirty() {
            self.watch.check_tables(self.now, &self.machines);
        }
    }

    fn happen(&mut self, thing: Thing) {
        match thing {
            Thing::Packet(packet) => {
                let (from, step, content) = *packet;
                self.arrive(from, &step, content);
            }
            Thing::Engine(node, start) => self.engine_deadline(node, start),
            Thing::Datagram(datagram) => {
                let (node, start, via, bytes) = *datagram;
                if self.is_start(node, start) {
                    self.handle(node, via, &bytes);
                }
            }
            Thing::Announcement(heard) => {
                let (node, start, from, bytes) = *heard;
                if self.is_start(node, start) {
                    self.hear(node, from, &bytes);
                }
            }
            Thing::Deadline(node, start) => {
                if self.is_start(node, start) {
                    self.deadline(node);
                }
            }
            Thing::Tunnel(node, start) => self.tunnel_deadline(node, start),
            Thing::Report(node, start) => {
                if self.is_start(node, start) {
                    self.queue.push(self.now + REPORT_EVERY, Thing::Report(node, start));
                    self.report(node);
                }
            }
            Thing::Handshake(node, start) => {
                if self.is_start(node, start) {
                    self.report(node);
                }
            }
            Thing::Saved(node, start) => self.saved(node, start),
            Thing::Resolved(node, start, host) => self.resolved(node, start, &host),
            Thing::LeaveEnds(node, start) => {
                if self.is_start(node, start) {
                    self.journal.write(self.now, &self.machines[node].name, "ends without an answer".to_owned());
                    self.end(node);
                }
            }
            Thing::Mapped(node, start) => self.map_port(node, start),
            Thing::Watch => {
                self.queue.push(self.now + WATCH_EVERY, Thing::Watch);
                self.watch.check_over_time(self.now, &self.machines, &self.underlay);
            }
        }
    }

    pub(super) fn is_start(&self, node: usize, start: u64) -> bool {
        self.machines[node].starts == start && self.machines[node].daemon.is_some()
    }

    /// Starts a daemon, as an event would; nothing happens when it runs.
    pub fn start_daemon(&mut self, node: usize) {
        self.watch.disturbed(self.now);
        self.start(node);
    }

    /// Starts a daemon that does not run.
    pub(super) fn start(&mut self, node: usize) {
        if self.machines[node].daemon.is_some() {
            return;
        }
        self.machines[node].start(
            self.now,
            node,
            Arc::clone(&self.keys),
            !self.hosts.kernel,
            Arc::clone(&self.signatures),
        );
        let machine = &self.machines[node];
        self.journal.write(self.now, &machine.name, format!("starts for the {}. time", machine.starts));
        let start = machine.starts;
        self.queue.push(self.now + REPORT_EVERY, Thing::Report(node, start));
        if self.underlay.has_mapping_router(node) {
            self.queue.push(self.now + MAP_TIME, Thing::Mapped(node, start));
        }
        self.network_changed(node);
    }

    /// A node asks its router for WireGuard's port, as the daemon does: again and again, as routers forget.
    fn map_port(&mut self, node: usize, start: u64) {
        if !self.is_start(node, start) {
            return;
        }
        self.queue.push(self.now + MAP_EVERY, Thing::Mapped(node, start));
        let port = self.machines[node].config.wg_port;
        if !self.machines[node].daemon.as_ref().is_some_and(|daemon| daemon.engine.wants_port_mapping()) {
            return;
        }
        let external = self.underlay.map_port(self.now, node, port);
        self.mapped(node, external);
    }

    /// A node's router says that it leads this to the node's WireGuard, or nothing any more.
    pub fn mapped(&mut self, node: usize, external: Option<SocketAddr>) {
        let Some(daemon) = &mut self.machines[node].daemon else { return };
        let now = daemon.engine_time(self.now);
        let mapping = external.map(|external| PortMapping { protocol: MappingProtocol::Pcp, external });
        daemon.engine.handle_mapped(now, mapping);
        self.drain(node);
    }

    /// A daemon's process is gone, its device with it.
    pub(super) fn end(&mut self, node: usize) {
        self.machines[node].disk.close();
        self.machines[node].daemon = None;
        self.watch.changed(node);
    }

    /// Tells an engine the machine's addresses.
    pub(super) fn network_changed(&mut self, node: usize) {
        let network = self.underlay.local_network(node);
        self.step(node, |engine, now| engine.handle_network(now, network));
    }

    /// One input of an engine, and all that it wants done then. Nothing happens where no daemon runs.
    fn step(&mut self, node: usize, input: impl FnOnce(&mut Engine, Time)) {
        let Some(daemon) = &mut self.machines[node].daemon else { return };
        let now = daemon.engine_time(self.now);
        let began = self.stopwatch.map(|clock| (clock, clock()));
        input(&mut daemon.engine, now);
        if let Some((clock, began)) = began {
            let took = clock().saturating_sub(began);
            self.steps.count += 1;
            self.steps.total += took;
            self.steps.worst = self.steps.worst.max(took);
        }
        self.drain(node);
    }

    fn engine_deadline(&mut self, node: usize, start: u64) {
        if !self.is_start(node, start) {
            return;
        }
        let Some(daemon) = &mut self.machines[node].daemon else { return };
        // An earlier call was scheduled after this one: this one is void.
        if daemon.engine_call != Some(self.now) {
            return;
        }
        if let Some(at) = self.lateness(node) {
            self.queue.push(at, Thing::Deadline(node, start));
        } else {
            self.deadline(node);
        }
    }

    fn deadline(&mut self, node: usize) {
        let Some(daemon) = &mut self.machines[node].daemon else { return };
        daemon.engine_call = None;
        let now = daemon.engine_time(self.now);
        if daemon.engine.next_timeout().is_some_and(|at| at <= now) {
            self.step(node, Engine::handle_timeout);
        } else {
            self.arm(node);
        }
    }

    /// A control datagram is there for a daemon.
    fn hand_over(&mut self, node: usize, via: Via, bytes: Vec<u8>) {
        match self.lateness(node) {
            Some(at) => {
                let start = self.machines[node].starts;
                self.queue.push(at, Thing::Datagram(Box::new((node, start, via, bytes))));
            }
            None => self.handle(node, via, &bytes),
        }
    }

    fn handle(&mut self, node: usize, via: Via, bytes: &[u8]) {
        self.step(node, |engine, now| engine.handle_datagram(now, via, bytes));
    }

    fn hear(&mut self, node: usize, from: SocketAddr, bytes: &[u8]) {
        let machine = &mut self.machines[node];
        let Some(daemon) = &mut machine.daemon else { return };
        machine.bytes += bare_size(bytes) as u64;
        self.journal.note(&[self.now.as_micros(), node as u64, bytes.len() as u64]);
        let now = daemon.engine_time(self.now);
        daemon.engine.handle_announcement(now, from, bytes);
        self.drain(node);
    }

    /// Puts an announcement on a node's LANs.
    fn announce(&mut self, node: usize, bytes: &[u8]) {
        let interfaces = self.underlay.local_network(node).lans.len();
        let machine = &mut self.machines[node];
        machine.bytes += (interfaces * bare_size(bytes)) as u64;
        machine.packets += interfaces as u64;
        for (to, from, delay) in self.underlay.announce(node, ANNOUNCE_PORT) {
            let start = self.machines[to].starts;
            self.queue.push(self.now + delay, Thing::Announcement(Box::new((to, start, from, bytes.to_vec()))));
        }
    }

    /// When a slow daemon gets to what is there now: in order, each a while after the one before.
    fn lateness(&mut self, node: usize) -> Option<Time> {
        let most = u64::try_from(self.hosts.slow.as_micros()).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        let daemon = self.machines[node].daemon.as_mut().filter(|_| most > 0)?;
        let late = Duration::from_micros(u64::from(self.rng.next_u32()) % most);
        daemon.busy_until = daemon.busy_until.max(self.now + late);
        Some(daemon.busy_until)
    }

    fn tunnel_deadline(&mut self, node: usize, start: u64) {
        if !self.is_start(node, start) {
            return;
        }
        let Some(daemon) = &mut self.machines[node].daemon else { return };
        if daemon.tunnel_call != Some(self.now) {
            return;
        }
        daemon.tunnel_call = None;
        daemon.tunnel.handle_timeout(self.now, &mut self.acts);
        self.act(node);
        self.arm(node);
    }

    fn report(&mut self, node: usize) {
        let Some(daemon) = self.machines[node].daemon.as_mut().filter(|daemon| daemon.news) else { return };
        daemon.news = false;
        let report = daemon.tunnel.report(self.now);
        self.step(node, |engine, now| engine.handle_tunnel(now, report));
    }

    fn saved(&mut self, node: usize, start: u64) {
        if !self.is_start(node, start) {
            return;
        }
        let machine = &mut self.machines[node];
        let Some((token, durable, next)) = machine.disk.written(&mut self.rng) else { return };
        if let Some(next) = next {
            self.queue.push(self.now + next, Thing::Saved(node, start));
        }
        self.step(node, |engine, now| engine.handle_saved(now, token, durable));
    }

    fn resolved(&mut self, node: usize, start: u64, host: &str) {
        if !self.is_start(node, start) {
            return;
        }
        let address = self.host_names.get(host).map(|target| self.underlay.first_address(*target));
        let address: Vec<IpAddr> = address.into_iter().collect();
        self.step(node, |engine, now| engine.handle_resolved(now, host, &address));
    }

    /// Does all that an engine wants done, and notes when it wants to be called next.
    pub(super) fn drain(&mut self, node: usize) {
        let start = self.machines[node].starts;
        loop {
            let machine = &mut self.machines[node];
            let Some(daemon) = &mut machine.daemon else { return };
            let Some(output) = daemon.engine.poll_output() else { break };
            match output {
                Output::Send { to: Destination::Underlay(to), bytes } if daemon.routes(to.ip()) => {
                    let Some(src) = machine.source_for(to.ip()) else { continue };
                    let payload = Payload::Datagram(bytes);
                    let packet = Packet { src, dst: to.ip(), ttl: TTL, born: self.now, waited: 0, payload };
                    self.hand_in(node, packet);
                }
                Output::Send { to: Destination::Underlay(to), bytes } => {
                    let port = machine.config.admin_port;
                    self.transmit(node, port, to, Content::Control(bytes));
                }
                Output::Send { to: Destination::Tunnel(to), bytes } => {
                    let src = IpAddr::V6(daemon.link_address);
                    let (dst, payload) = (IpAddr::V6(*to.ip()), Payload::Control(bytes));
                    let packet = Packet { src, dst, ttl: TTL, born: self.now, waited: 0, payload };
                    self.hand_in(node, packet);
                }
                Output::Tunnel(desired) => {
                    self.journal.note(&[self.now.as_micros(), node as u64, desired.peers.len() as u64]);
                    daemon.tunnel.set(self.now, &desired, &mut self.acts);
                    daemon.news = true;
                    self.act(node);
                    if let Some(daemon) = &mut self.machines[node].daemon {
                        daemon.desired = desired;
                    }
                    self.watch.changed(node);
                    self.watch.check_desired(self.now, node, &self.machines);
                }
                Output::System(desired) => {
                    daemon.system = desired;
                    self.watch.changed(node);
                }
                Output::Save { token, bytes } => {
                    if let Some(time) = machine.disk.write(token, bytes, &mut self.rng) {
                        self.queue.push(self.now + time, Thing::Saved(node, start));
                    }
                }
                Output::Announce(bytes) => self.announce(node, &bytes),
                Output::Resolve { host } => {
                    self.queue.push(self.now + RESOLVE_TIME, Thing::Resolved(node, start, host));
                }
                Output::Event(event) => {
                    self.watch.check_event(self.now, &machine.name, &event);
                    let text = format!("{:?} {}: {}", event.kind, event.subject, event.text);
                    self.journal.write(self.now, &machine.name, text);
                    if self.listened == Some(node) {
                        self.heard.push((self.now, event));
                    }
                }
                Output::Left => {
                    self.journal.write(self.now, &machine.name, "has left".to_owned());
                    self.end(node);
                    return;
                }
            }
        }
        self.arm(node);
    }

    /// Schedules the next calls of an engine and its tunnel, if they are wanted earlier than scheduled.
    fn arm(&mut self, node: usize) {
        let start = self.machines[node].starts;
        let Some(daemon) = &mut self.machines[node].daemon else { return };
        let engine = daemon.engine.next_timeout().map(|at| daemon.world_time(at).max(self.now));
        if let Some(at) = engine.filter(|at| daemon.engine_call.is_none_or(|call| *at < call)) {
            daemon.engine_call = Some(at);
            self.queue.push(at, Thing::Engine(node, start));
        }
        let tunnel = daemon.tunnel.next_timeout().map(|at| at.max(self.now));
        if let Some(at) = tunnel.filter(|at| daemon.tunnel_call.is_none_or(|call| *at < call)) {
            daemon.tunnel_call = Some(at);
            self.queue.push(at, Thing::Tunnel(node, start));
        }
    }

    /// The system hands a packet to the interface.
    fn hand_in(&mut self, node: usize, packet: Packet) {
        let Some(daemon) = &mut self.machines[node].daemon else { return };
        if daemon.routes(packet.dst) {
            daemon.news = true;
            daemon.tunnel.send(self.now, packet, &mut self.acts);
            self.act(node);
        }
    }

    /// Carries out what a tunnel decided.
    fn act(&mut self, node: usize) {
        let mut acts = std::mem::take(&mut self.acts);
        for act in acts.drain(..) {
            match act {
                Act::Transmit(to, message) => {
                    let port = self.machines[node].config.wg_port;
                    self.transmit(node, port, to, Content::WireGuard(message));
                }
                Act::Receive(peer, packet) => self.out_of_tunnel(node, peer, packet),
                Act::Connected => {
                    let start = self.machines[node].starts;
                    self.queue.push(self.now, Thing::Handshake(node, start));
                }
            }
        }
        // Keeps the buffer's memory; what nested calls put there was carried out by them.
        if self.acts.is_empty() {
            self.acts = acts;
        }
    }

    /// A packet came out of the tunnel: it is for this node, to be passed on, or fails the source check.
    fn out_of_tunnel(&mut self, node: usize, peer: usize, mut packet: Packet) {
        let Some(daemon) = &mut self.machines[node].daemon else { return };
        self.watch.check_packet(self.now, &packet, node, peer, self.keys.len());
        if !daemon.owns(packet.dst) {
            match daemon.tunnel.way_on(&packet, peer) {
                Some(next) if daemon.tunnel.forwards() && packet.ttl > 1 => {
                    packet.ttl -= 1;
                    daemon.news = true;
                    daemon.tunnel.pass_on(self.now, packet, next, &mut self.acts);
                    self.act(node);
                    self.arm(node);
                }
                None if !daemon.tunnel.accepts(self.now, &packet, peer) => self.watch.foreign(&packet),
                _ => {}
            }
            return;
        }
        if !daemon.tunnel.accepts(self.now, &packet, peer) {
            self.watch.foreign(&packet);
            return;
        }
        match packet.payload {
            Payload::Control(bytes) => {
                if let IpAddr::V6(from) = packet.src {
                    self.hand_over(node, Via::Tunnel(from), bytes);
                }
            }
            Payload::Datagram(bytes) => {
                // From the admin port of whoever has that address.
                let sender = self.machines.iter().find(|machine| machine.config.addresses.contains(&packet.src));
                if let Some(port) = sender.map(|sender| sender.config.admin_port) {
                    self.hand_over(node, Via::Underlay(SocketAddr::new(packet.src, port)), bytes);
                }
            }
            Payload::Ping(number) => {
                let (src, dst, payload) = (packet.dst, packet.src, Payload::Pong(number));
                let answer = Packet { src, dst, ttl: TTL, born: self.now, waited: 0, payload };
                self.hand_in(node, answer);
            }
            Payload::Pong(number) => self.pings.answered(number, self.now),
        }
    }

    /// Puts a packet on the underlay.
    fn transmit(&mut self, node: usize, port: u16, to: SocketAddr, content: Content) {
        self.machines[node].bytes += content.size() as u64;
        self.machines[node].packets += 1;
        if let Some(step) = self.underlay.send(self.now, node, port, to, content.size()) {
            self.travel(node, step, content);
        }
    }

    fn travel(&mut self, from: usize, step: Step, content: Content) {
        if let Some(delay) = step.twin {
            self.queue.push(self.now + delay, Thing::Packet(Box::new((from, step, content.clone()))));
        }
        if let Some(delay) = step.delay {
            self.queue.push(self.now + delay, Thing::Packet(Box::new((from, step, content))));
        }
    }

    /// A packet got to the end of a step of its way.
    fn arrive(&mut self, from: usize, step: &Step, content: Content) {
        let node = match step.arrival {
            Arrival::Router(router) => {
                if let Some(next) = self.underlay.through(self.now, from, router, step, content.size()) {
                    self.travel(from, next, content);
                }
                return;
            }
            Arrival::Node(node) => node,
        };
        if !self.underlay.admits(self.now, node, step) {
            return;
        }
        let size = content.size() as u64;
        self.journal.note(&[self.now.as_micros(), (from << 16 | node) as u64, size, content.sample()]);
        let machine = &mut self.machines[node];
        let port = machine.port(step.dst);
        let Some(daemon) = &mut machine.daemon else { return };
        machine.bytes += size;
        match (port, content) {
            (Some(Port::Tunnel), Content::WireGuard(message)) => {
                daemon.news = true;
                daemon.tunnel.receive(self.now, step.src, message, &mut self.acts);
                self.act(node);
                self.arm(node);
            }
            (Some(Port::Control), Content::Control(bytes)) => self.hand_over(node, Via::Underlay(step.src), bytes),
            // A datagram at the wrong port is noise to whoever listens there.
            _ => {}
        }
    }
}

impl Content {
    fn size(&self) -> usize {
        match self {
            Self::WireGuard(message) => message.size(),
            Self::Control(bytes) => bare_size(bytes),
        }
    }

    /// A few bits of what it says, for the trace.
    fn sample(&self) -> u64 {
        let last = |bytes: &[u8]| bytes.iter().rev().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        match self {
            Self::Control(bytes) => last(bytes),
            Self::WireGuard(Message::Data { receiver, packet: Some(packet), .. }) => match &packet.payload {
                Payload::Control(bytes) | Payload::Datagram(bytes) => last(bytes),
                Payload::Ping(number) | Payload::Pong(number) => u64::from(*receiver) << 32 ^ *number as u64,
            },
            Self::WireGuard(Message::Data { receiver, .. } | Message::Response { receiver, .. }) => {
                u64::from(*receiver)
            }
            Self::WireGuard(Message::Initiation { sender, .. }) => u64::from(*sender),
        }
    }
}
