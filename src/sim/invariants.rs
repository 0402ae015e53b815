//! The rules that hold in every run (DESIGN section 11), checked whenever a table changed.
//!
//! * I1, I2: among nodes whose effective LSDBs are equal, the way from a to b by their tables is the way from b to a
//!   reversed, so that WireGuard's source check drops nothing. A pair that is direct outside the LSDB is switched by
//!   two parties in turn, so it may disagree for [`SWITCH`].
//! * I3: no packet circulates. I4: nobody stays apart for a minute while the underlay would let them meet.
//! * I6: a refused claim draws nobody's traffic. I7: what is told has a cause.
//! * I5, traffic at rest, is measured by the scenario runner.
//!
//! Tables are compared at rest between two moments, and only after some table changed: a check of all pairs costs some
//! ten microseconds, but there are millions of moments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::network::Underlay;
use super::node::{Daemon, Machine};
use super::scenario::{Gateways, Scenario};
use super::tunnel::{Packet, TTL, VirtualTunnel};
use crate::mesh::event::Event;
use crate::mesh::time::Time;

/// How long the two ends of a direct pair outside the LSDB may disagree where all that the one end says is lost: the other
/// end asks again after its idle interval of 110 s (at once when there is traffic) and finds the link dead 1.8 s later; and a
/// round trip or two.
const SWITCH: Duration = Duration::from_secs(113);
/// How long nodes may stay apart that the underlay lets meet.
const APART: Duration = Duration::from_secs(60);
/// The longest life of a packet, waiting for handshakes aside.
const LIFE: Duration = Duration::from_secs(2);
/// A pair that loses more than this share of round trips is not expected to meet in time.
const HOPELESS: f64 = 0.5;
/// Ways between nodes are looked at this often, in seconds of virtual time.
const LOOK_EVERY: u64 = 5;
/// So many broken rules are enough to read.
const ENOUGH: usize = 8;
/// Of a mesh of more nodes than this, only some pairs are compared at each change, and all of them ...
const SMALL: usize = 200;
/// ... this often, in seconds of virtual time.
const COMPARE_ALL_EVERY: u64 = 20;
/// How many pairs are compared for each node whose tables changed.
const PAIRS: usize = 16;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `I1` to `I7`.
    pub invariant: &'static str,
    /// When.
    pub at: Time,
    /// The nodes concerned.
    pub nodes: Vec<String>,
    /// What was seen.
    pub cause: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.at.as_micros() as f64 / 1e6;
        write!(f, "{} broken at {secs:.6} s by {}: {}", self.invariant, self.nodes.join(", "), self.cause)
    }
}

/// Watches over the rules.
#[derive(Debug)]
pub(super) struct Watch {
    /// Nodes whose tables changed since the last check.
    changed: BTreeSet<usize>,
    /// Each running node's hash of its effective LSDB, as of its last change.
    hashes: Vec<Option<u64>>,
    /// Direct pairs that disagree, since when.
    switching: BTreeMap<(usize, usize), Time>,
    /// Pairs that are apart, since when.
    apart: BTreeMap<(usize, usize), Time>,
    tables: Tables,
    last_disturbance: Time,
    /// Whether `apart` was filled since then.
    looked: bool,
    /// Nodes that the scenario makes gateways, and static ones: others know their endpoint from the file.
    gateways: Vec<bool>,
    statics: Vec<bool>,
    adversaries: bool,
    /// Which pairs of a large mesh are compared next.
    drawn: u64,
    violations: Vec<Violation>,
    foreign: BTreeMap<(IpAddr, IpAddr), u64>,
}

/// Where the tables lead a packet: the nodes it visits, and why it goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    nodes: Vec<usize>,
    end: End,
}

/// Why a packet goes no further than the last node of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is there.
    Arrives,
    /// That node has no next hop.
    NoRoute,
    /// That node must forward but does not.
    NotForwarded,
    /// That node drops it: the source belongs to another peer than the one it came from.
    Foreign,
    /// It goes round and round.
    Circulates,
    /// The next node is not one of those that are looked at: nothing can be said.
    Leaves,
}

impl Watch {
    pub(super) fn new(scenario: &Scenario, machines: &[Machine]) -> Self {
        let any = scenario.network.gateways == Gateways::Any;
        let nodes = || scenario.nodes.values();
        Self {
            changed: BTreeSet::new(),
            hashes: vec![None; machines.len()],
            switching: BTreeMap::new(),
            apart: BTreeMap::new(),
            tables: Tables::new(machines.len()),
            last_disturbance: Time::ZERO,
            looked: false,
            gateways: nodes()
                .map(|n| {
                    n.claims.is_none() && (n.is_static && n.gateway != Some(false) || any && n.gateway == Some(true))
                })
                .collect(),
            statics: nodes().map(|n| n.is_static && n.claims.is_none()).collect(),
            adversaries: machines.iter().any(|machine| machine.adversary),
            drawn: 1,
            violations: Vec::new(),
            foreign: BTreeMap::new(),
        }
    }

    pub(super) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// A node's tables changed, or it started or ended.
    pub(super) fn changed(&mut self, node: usize) {
        self.changed.insert(node);
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Something happened that may keep nodes apart for a while.
    pub(super) fn disturbed(&mut self, now: Time) {
        self.last_disturbance = now;
        self.looked = false;
        self.apart.clear();
    }

    fn broken(&mut self, invariant: &'static str, at: Time, nodes: Vec<String>, cause: String) {
        let known = |old: &Violation| old.invariant == invariant && old.nodes == nodes;
        if self.violations.len() < ENOUGH && !self.violations.iter().any(known) {
            self.violations.push(Violation { invariant, at, nodes, cause });
        }
    }

    /// The clock stands still.
    pub(super) fn standstill(&mut self, now: Time, nodes: Vec<String>) {
        self.broken("I3", now, nodes, "BUG: so much happens at one moment that a deadline never moves on".to_owned());
    }

    /// I7, and names in events are printable.
    pub(super) fn check_event(&mut self, now: Time, node: &str, event: &Event) {
        if event.text.trim().is_empty() || event.subject.trim().is_empty() {
            let cause = format!("an event without subject or cause: {event:?}");
            self.broken("I7", now, vec![node.to_owned()], cause);
        }
    }

    /// I3 for one packet that came out of a tunnel.
    pub(super) fn check_packet(&mut self, now: Time, packet: &Packet, node: usize, peer: usize, nodes: usize) {
        let hops = usize::from(TTL - packet.ttl);
        let moving = now.since(packet.born).saturating_sub(Duration::from_micros(packet.waited));
        if hops > nodes || hops > 1 && moving > LIFE {
            let cause = format!(
                "a packet from {} to {} is at node {node} (from {peer}) after {hops} hops and {moving:?}",
                packet.src, packet.dst
            );
            self.broken("I3", now, Vec::new(), cause);
        }
    }

    /// A packet failed the source check.
    pub(super) fn foreign(&mut self, packet: &Packet) {
        if packet.is_data() {
            *self.foreign.entry((packet.src, packet.dst)).or_insert(0) += 1;
        }
    }

    /// Packets of users dropped by source checks, by source and destination.
    pub(super) fn foreign_packets(&self) -> &BTreeMap<(IpAddr, IpAddr), u64> {
        &self.foreign
    }

    /// What must hold of one node's desired tunnel by itself, and I6.
    pub(super) fn check_desired(&mut self, now: Time, node: usize, machines: &[Machine]) {
        let machine = &machines[node];
        let Some(daemon) = &machine.daemon else { return };
        let mut seen = BTreeSet::new();
        let mut wrong = Vec::new();
        for peer in &daemon.desired.peers {
            if !peer.allowed.contains(&crate::mesh::ids::host_prefix(IpAddr::V6(peer.link))) {
                wrong.push(("I1", format!("the peer {} lacks its link address", peer.public_key)));
            }
            for net in &peer.allowed {
                if !seen.insert(*net) {
                    wrong.push(("I1", format!("{net} stands at two peers")));
                }
            }
        }
        if self.adversaries && !machine.adversary {
            wrong.extend(drawn_by_adversaries(daemon, machines).map(|cause| ("I6", cause)));
        }
        for (invariant, cause) in wrong {
            self.broken(invariant, now, vec![machine.name.clone()], cause);
        }
    }

    /// I1 and I2 for all pairs of nodes with equal effective LSDBs; for some of them in a large mesh.
    pub(super) fn check_tables(&mut self, now: Time, machines: &[Machine]) {
        let changed = std::mem::take(&mut self.changed);
        for node in &changed {
            let daemon = machines[*node].daemon.as_ref().filter(|daemon| !daemon.leaving);
            self.hashes[*node] = daemon.map(|daemon| daemon.engine.effective_hash());
            self.tables.read(*node, machines);
        }
        let pairs = if machines.len() > SMALL && changed.len() < machines.len() {
            self.draw_pairs(&changed, machines.len())
        } else {
            (0..machines.len()).flat_map(|a| (a + 1..machines.len()).map(move |b| (a, b))).collect()
        };
        let mut disagreeing = BTreeMap::new();
        for (a, b) in pairs {
            let same = self.hashes[a].is_some() && self.hashes[a] == self.hashes[b];
            if !same || machines[a].adversary || machines[b].adversary {
                continue;
            }
            let Some((invariant, cause)) = self.disagreement(a, b, machines) else { continue };
            let names = vec![machines[a].name.clone(), machines[b].name.clone()];
            let overridden = self.tables.hops[a][b] == Some(b) || self.tables.hops[b][a] == Some(a);
            if overridden && !(self.gateways[a] && self.gateways[b]) {
                let since = *self.switching.get(&(a, b)).unwrap_or(&now);
                disagreeing.insert((a, b), since);
                if now.since(since) > SWITCH {
                    self.broken(invariant, now, names, format!("{cause}, for {:?} now", now.since(since)));
                }
            } else {
                self.broken(invariant, now, names, cause);
            }
        }
        self.switching = disagreeing;
    }

    /// Some pairs of each changed node, and those that disagreed when they were compared last.
    fn draw_pairs(&mut self, changed: &BTreeSet<usize>, nodes: usize) -> BTreeSet<(usize, usize)> {
        let mut pairs: BTreeSet<(usize, usize)> = self.switching.keys().copied().collect();
        for node in changed {
            for _ in 0..PAIRS {
                // Knuth's multiplier: any sequence that visits all will do.
                self.drawn = self.drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let other = usize::try_from(self.drawn >> 33).unwrap_or(0) % nodes;
                pairs.insert((*node.min(&other), *node.max(&other)));
            }
        }
        pairs.retain(|(a, b)| a != b);
        pairs
    }

    /// How two nodes with equal effective LSDBs disagree about the way between them.
    fn disagreement(&self, a: usize, b: usize, machines: &[Machine]) -> Option<(&'static str, String)> {
        let in_group = |node: usize| self.hashes[node] == self.hashes[a];
        let there = self.tables.way(a, b, in_group);
        let back = self.tables.way(b, a, in_group);
        let reversed = there.nodes.iter().eq(back.nodes.iter().rev());
        let invariant = match (there.end, back.end) {
            (End::Foreign, _) | (_, End::Foreign) => "I2",
            (End::Circulates, _) | (_, End::Circulates) => "I3",
            (End::NotForwarded, _) | (_, End::NotForwarded) => "I1",
            (End::Leaves, _) | (_, End::Leaves) => return None,
            (End::Arrives, End::Arrives) if reversed => return None,
            // Nobody has a way: fine, if both ends know that.
            (End::NoRoute, End::NoRoute) if there.nodes.len() == 1 && back.nodes.len() == 1 => return None,
            _ => "I1",
        };
        Some((invariant, format!("there {}; back {}", describe(&there, machines), describe(&back, machines))))
    }

    /// I4, and direct pairs that go on disagreeing.
    pub(super) fn check_over_time(&mut self, now: Time, machines: &[Machine], underlay: &Underlay) {
        let secs = now.as_micros() / 1_000_000;
        // A hash can change without a table; now and then all are read anew.
        let often = if machines.len() > SMALL { COMPARE_ALL_EVERY } else { LOOK_EVERY * 2 };
        if machines.len() <= SMALL && !self.switching.is_empty() || secs.is_multiple_of(often) {
            self.changed.extend(0..machines.len());
        }
        if !secs.is_multiple_of(LOOK_EVERY) {
            return;
        }
        // At the first look after a disturbance nobody knows since when a pair is apart: take the disturbance.
        let unknown = if self.looked { now } else { self.last_disturbance };
        let mut apart = BTreeMap::new();
        for (a, b) in self.hopeful(machines, underlay) {
            let seen = self.tables.way(a, b, |_| true);
            if seen.end == End::Arrives {
                continue;
            }
            let since = *self.apart.get(&(a, b)).unwrap_or(&unknown);
            if now.since(since) > APART {
                let names = vec![machines[a].name.clone(), machines[b].name.clone()];
                let calm = now.since(self.last_disturbance);
                let apart = now.since(since);
                self.broken(
                    "I4",
                    now,
                    names,
                    format!("apart for {apart:?} in {calm:?} of calm: {}", describe(&seen, machines)),
                );
            }
            apart.insert((a, b), since);
        }
        self.apart = apart;
        self.looked = true;
    }

    /// Ordered pairs of honest running nodes that the underlay lets meet: both can be in touch with gateways that can,
    /// over each other, be in touch. A link is hoped for where one end is a gateway, and one end can begin to speak
    /// with the other at an endpoint that the file gives.
    fn hopeful(&self, machines: &[Machine], underlay: &Underlay) -> Vec<(usize, usize)> {
        let runs = |node: &usize| machines[*node].daemon.as_ref().is_some_and(|daemon| !daemon.leaving);
        let nodes: Vec<usize> = (0..machines.len()).filter(|node| runs(node) && !machines[*node].adversary).collect();
        let opens = |from: usize, to: usize| self.statics[to] && underlay.can_open(from, to);
        let meets = |a: usize, b: usize| (opens(a, b) || opens(b, a)) && underlay.round_trip_loss(a, b) < HOPELESS;
        // Gateways that can be in touch over each other have the same group: the smallest number among them.
        let gateways: Vec<usize> = nodes.iter().copied().filter(|node| self.gateways[*node]).collect();
        let mut group: BTreeMap<usize, usize> = gateways.iter().map(|gateway| (*gateway, *gateway)).collect();
        for a in &gateways {
            for b in gateways.iter().filter(|b| *b < a && meets(*a, **b)) {
                let (of_a, of_b) = (group[a], group[b]);
                group.values_mut().filter(|of| **of == of_a).for_each(|of| *of = of_b);
            }
        }
        // Only gateways forward, so a leaf in touch with two groups belongs to both without joining them.
        let groups = |node: &usize| -> BTreeSet<usize> {
            let touched = gateways.iter().filter(|gateway| *gateway == node || meets(*node, **gateway));
            touched.map(|gateway| group[gateway]).collect()
        };
        let groups: Vec<BTreeSet<usize>> = nodes.iter().map(groups).collect();
        let mut pairs = Vec::new();
        for (i, a) in nodes.iter().enumerate() {
            for (j, b) in nodes.iter().enumerate() {
                if i != j && !groups[i].is_disjoint(&groups[j]) {
                    pairs.push((*a, *b));
                }
            }
        }
        pairs
    }
}

/// I6: a peer entry of an adversary holds nothing that belongs to an honest node or to nobody.
fn drawn_by_adversaries(daemon: &Daemon, machines: &[Machine]) -> impl Iterator<Item = String> {
    let key_of = |key| machines.iter().find(|machine| machine.adversary && machine.key == key);
    let honest: Vec<IpAddr> =
        machines.iter().filter(|m| !m.adversary).flat_map(|m| m.config.addresses.iter().copied()).collect();
    let subnets = machines.iter().find(|m| !m.adversary).map(|m| m.config.subnets.clone()).unwrap_or_default();
    let entries = daemon.desired.peers.iter().filter_map(move |peer| Some((key_of(peer.public_key)?, peer)));
    let mut drawn = Vec::new();
    for (adversary, peer) in entries {
        for net in &peer.allowed {
            let own = *net == crate::mesh::ids::host_prefix(IpAddr::V6(peer.link));
            let stolen = honest.iter().any(|address| net.contains(address));
            let outside = !subnets.iter().any(|subnet| subnet.contains(net));
            if !own && (stolen || outside) {
                drawn.push(format!("{net} goes to {}, who wrongly claims it", adversary.name));
            }
        }
    }
    drawn.into_iter()
}

/// The tables of all nodes, as far as they concern nodes: read once per change, looked at in many walks.
#[derive(Debug)]
struct Tables {
    /// `hops[node][to]`: the next hop for a packet to the first address of `to`.
    hops: Vec<Vec<Option<usize>>>,
    runs: Vec<bool>,
    forwards: Vec<bool>,
}

impl Tables {
    fn new(nodes: usize) -> Self {
        Self { hops: vec![vec![None; nodes]; nodes], runs: vec![false; nodes], forwards: vec![false; nodes] }
    }

    fn read(&mut self, node: usize, machines: &[Machine]) {
        let tunnel = machines[node].daemon.as_ref().map(|daemon| &daemon.tunnel);
        let hop = |to: &Machine| tunnel.and_then(|tunnel| tunnel.next_hop(to.config.addresses[0]));
        self.hops[node] = machines.iter().map(hop).collect();
        self.runs[node] = tunnel.is_some();
        self.forwards[node] = tunnel.is_some_and(VirtualTunnel::forwards);
    }

    /// Follows the tables from one node to another, within the nodes of `group`.
    fn way(&self, from: usize, to: usize, group: impl Fn(usize) -> bool) -> Way {
        let mut nodes = vec![from];
        let mut at = from;
        let end = loop {
            let Some(next) = self.hops[at][to] else { break End::NoRoute };
            if !self.runs[next] || !group(next) {
                break End::Leaves;
            }
            nodes.push(next);
            if nodes.len() > self.hops.len() {
                break End::Circulates;
            }
            if self.hops[next][from] != Some(at) {
                break End::Foreign;
            }
            if next == to {
                break End::Arrives;
            }
            if !self.forwards[next] {
                break End::NotForwarded;
            }
            at = next;
        };
        Way { nodes, end }
    }
}

fn describe(way: &Way, machines: &[Machine]) -> String {
    let names: Vec<&str> = way.nodes.iter().map(|node| machines[*node].name.as_str()).collect();
    let end = match way.end {
        End::Arrives => "",
        End::NoRoute => ", which has no route",
        End::NotForwarded => ", which does not forward",
        End::Foreign => ", which drops it: not from the owner of its source",
        End::Circulates => " and on and on",
        End::Leaves => " and on to one that does not run or knows another graph",
    };
    format!("{}{end}", names.join(" > "))
}
