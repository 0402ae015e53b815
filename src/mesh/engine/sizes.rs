//! How large a packet each link carries: asking, answering, and telling people of black holes.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;

use super::super::event::{EventKind, Severity};
use super::super::ids::{NodeId, host_prefix};
use super::super::link::{Passing, SizeProbe};
use super::super::record::ShortId;
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::view::HealthLine;
use super::super::wire::{Message, TUNNEL_HEADERS};
use super::{Engine, Neighbour};

impl Engine {
    /// Sets the timer of the next question of a link's size.
    pub(super) fn arm_size(&mut self, now: Time, id: NodeId) {
        // Of an idle link without a black hole it is enough to know what it carried when it was last in use.
        let settled = |n: &Neighbour| n.path_mtu.rests() && n.path_mtu.black_hole().is_none();
        let asks = |n: &&Neighbour| n.link.is_up() && (n.is_active(now) || !settled(n));
        let next = self.neighbours.get(&id).filter(asks).and_then(|n| n.path_mtu.next());
        match next.filter(|_| !self.left) {
            Some(next) => self.timers.set(Timer::Size(id), next.max(now)),
            None => self.timers.stop(Timer::Size(id)),
        }
    }

    /// Measures a link soon.
    pub(super) fn measure_size(&mut self, now: Time, id: NodeId) {
        if let Some(neighbour) = self.neighbours.get_mut(&id).filter(|neighbour| neighbour.link.is_up()) {
            neighbour.path_mtu.measure(now);
            self.arm_size(now, id);
        }
    }

    /// Asks what a link carries, or finds that it does not.
    pub(super) fn ask_size(&mut self, now: Time, id: NodeId) {
        let jitter = self.jitter();
        let own = self.config.mtu;
        let Some(neighbour) = self.neighbours.get_mut(&id).filter(|neighbour| neighbour.link.is_up()) else { return };
        let cost = &neighbour.link.cost;
        let (round_trip, loss) = (cost.rtt().unwrap_or(Duration::ZERO), cost.loss());
        let before = neighbour.path_mtu.black_hole();
        let probes = neighbour.path_mtu.poll(now, own, round_trip, loss, jitter);
        self.tell_size(id, before);
        for probe in probes {
            self.send_size(id, probe);
        }
        self.arm_size(now, id);
    }

    /// A question or an answer came out of the neighbour's tunnel in a datagram of so many bytes.
    pub(super) fn receive_size(&mut self, now: Time, id: NodeId, probe: SizeProbe, datagram: usize) {
        let own = self.config.mtu;
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        // What it says of its size is what it has, else it proves nothing.
        if usize::from(probe.size) != datagram + TUNNEL_HEADERS {
            self.count("datagrams_malformed");
            return;
        }
        let before = neighbour.path_mtu.black_hole();
        let (answer, changed) = neighbour.path_mtu.heard(now, own, probe);
        self.dirty.plan |= changed;
        self.dirty.own |= changed;
        self.tell_size(id, before);
        if let Some(answer) = answer {
            self.send_size(id, answer);
        }
        self.arm_size(now, id);
    }

    fn send_size(&mut self, id: NodeId, probe: SizeProbe) {
        if let Some(to) = self.tunnel_address(&id) {
            self.count("size_probes_sent");
            self.send(&Message::Size(probe), &id, to);
        }
    }

    /// Tells of a black hole that was found, moved or mended.
    fn tell_size(&mut self, id: NodeId, before: Option<Passing>) {
        let Some(neighbour) = self.neighbours.get(&id) else { return };
        let now = neighbour.path_mtu.black_hole();
        if now == before {
            return;
        }
        self.dirty.plan = true;
        self.dirty.own = true;
        let name = self.name_of(&id);
        let (severity, text) = match now {
            Some(found) => (Severity::Warning, self.said_of(&name, found)),
            None => (Severity::Info, format!("the link to {name} carries packets of full size again")),
        };
        self.event(severity, EventKind::Link, &name, text);
    }

    fn said_of(&self, name: &str, found: Passing) -> String {
        let lost = found.lost.unwrap_or(self.config.mtu);
        format!(
            "the link to {name} carries packets of {} bytes and loses those of {lost}: something on the way drops what \
             is large, and tells nobody",
            found.passes
        )
    }

    /// Links of which an end tells that they carry less than its tunnel's MTU, lower identity first.
    pub(super) fn narrow_links(&self) -> BTreeMap<(ShortId, ShortId), u16> {
        let mut narrow = BTreeMap::new();
        for (from, _, record) in self.lsdb.records() {
            for (link, mtu) in record.links.iter().filter_map(|link| Some((link, link.quality.mtu?))) {
                let from = ShortId::from(&from);
                let least = narrow.entry((from.min(link.to), from.max(link.to))).or_insert(mtu);
                *least = mtu.min(*least);
            }
        }
        narrow
    }

    /// What the link of two nodes carries, as far as that is known here.
    pub(super) fn link_mtu(&self, a: &NodeId, b: &NodeId) -> u16 {
        let own = self.config.mtu;
        let (short_a, short_b) = (ShortId::from(a), ShortId::from(b));
        let told = self.narrow.get(&(short_a.min(short_b), short_a.max(short_b))).copied().unwrap_or(own);
        let other = [(a, b), (b, a)].into_iter().find(|(end, _)| **end == self.id).map(|(_, other)| other);
        let measured = other.and_then(|other| self.neighbours.get(other)).map_or(own, |n| n.path_mtu.limit(own));
        own.min(told).min(measured)
    }

    /// The addresses to which packets of full size do not pass, and what does: the least of what the links on the way
    /// there carry.
    pub(super) fn path_mtus(&self) -> Vec<(IpNet, u16)> {
        let own = self.config.mtu;
        if self.narrow.is_empty() && self.neighbours.iter().all(|neighbour| neighbour.path_mtu.limit(own) == own) {
            return Vec::new();
        }
        let tree = self.graph.tree(&self.id, &self.paths);
        let mtu_to = |id: &NodeId| {
            if self.neighbours.get(id).is_some_and(|neighbour| neighbour.direct.is_active()) {
                return Some(self.link_mtu(&self.id, id));
            }
            let way = tree.way(id)?;
            let from = std::iter::once(&self.id).chain(&way);
            from.zip(&way).map(|(from, to)| self.link_mtu(from, to)).min()
        };
        let others = self.standing.admitted.iter().filter(|id| **id != self.id);
        let narrow = others.filter_map(|id| Some((id, mtu_to(id).filter(|mtu| *mtu < own)?)));
        let addresses = |id: &NodeId| self.lsdb.about(id).map_or_else(Vec::new, |about| about.addresses.clone());
        let prefixes = narrow.flat_map(|(id, mtu)| addresses(id).into_iter().map(move |at| (host_prefix(at), mtu)));
        let mut prefixes: Vec<(IpNet, u16)> = prefixes.collect();
        prefixes.sort_unstable();
        prefixes
    }

    /// Links that lose large packets.
    pub(super) fn black_holes(&self) -> impl Iterator<Item = HealthLine> {
        let up = self.neighbours.iter().filter(|neighbour| neighbour.link.is_up());
        up.filter_map(|neighbour| Some((self.name_of(&neighbour.id), neighbour.path_mtu.black_hole()?))).map(
            |(name, found)| HealthLine {
                severity: Severity::Warning,
                code: "mtu-black-hole",
                text: self.said_of(&name, found),
                remedy: match found.passes {
                    passes @ 1280.. => format!(
                        "let ICMP and fragments through on the way, or write `mtu: {passes}` under `network:` in the \
                         network file of all nodes"
                    ),
                    _ => "let ICMP and fragments through on the way: a tunnel needs packets of 1280 bytes".to_owned(),
                },
            },
        )
    }
}
