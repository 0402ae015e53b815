//! The underlay: segments, routers, lines, cuts. A packet is routed when it is sent, up to the next box that decides by
//! its own state when the packet gets there (a NAT seen from outside); so most packets cost one event.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

use super::nat::{Firewall, Nat};
use super::scenario::{Link, Scenario};
use crate::mesh::io::{LanInterface, LocalAddress, LocalNetwork};
use crate::mesh::time::Time;

/// Delay of a clean line in microseconds: a switch in the same room. Never zero, so that no loop stops the clock.
const WIRE: u64 = 50;
/// How much later a reordered packet arrives, in microseconds.
const HELD_BACK: u64 = 10_000;
/// The most routers a packet crosses.
const MAX_ROUTERS: usize = 8;

/// Where a packet gets to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A node's interface, its firewall not yet asked.
    Node(usize),
    /// A router's outside.
    Router(usize),
}

/// A packet on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Where it arrives next.
    pub(super) arrival: Arrival,
    /// Its source, as rewritten on the way.
    pub(super) src: SocketAddr,
    /// Its destination, as rewritten on the way.
    pub(super) dst: SocketAddr,
    /// How long until then; `None` when it is lost.
    pub(super) delay: Option<Duration>,
    /// The same for its duplicate, if the line makes one.
    pub(super) twin: Option<Duration>,
}

/// All lines and boxes between the nodes.
#[derive(Debug)]
pub(super) struct Underlay {
    segments: Vec<Segment>,
    routers: Vec<Router>,
    router_names: Vec<String>,
    machines: Vec<Machine>,
    /// `blocked[from][to]`: cut by an event.
    blocked: Vec<Vec<bool>>,
    /// `closed[from][to]`: out of reach for good.
    closed: Vec<Vec<bool>>,
    /// Packets yet to be lost, by (from, to).
    to_lose: BTreeMap<(usize, usize), u32>,
    rng: ChaCha8Rng,
}

#[derive(Debug)]
struct Segment {
    name: String,
    prefix: IpNet,
    lan: bool,
    hosts: BTreeMap<IpAddr, Arrival>,
    /// The router that hosts here send everything else to.
    way_out: Option<usize>,
    /// Plain routers that lead from here to the prefix inside.
    inward: Vec<(IpNet, usize)>,
}

#[derive(Debug)]
struct Router {
    nat: Nat,
    inside: usize,
    outside: usize,
    outside_address: IpAddr,
    hairpin: bool,
    maps: bool,
    link: Link,
}

#[derive(Debug)]
struct Machine {
    interfaces: Vec<Interface>,
    firewall: Option<Firewall>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    segment: usize,
    address: IpAddr,
    link: Link,
    plugged: bool,
}

/// What the lines of a way do together.
#[derive(Clone, Copy)]
struct Line {
    latency: u64,
    jitter: u64,
    passes: f64,
    single: f64,
    in_order: f64,
    largest: usize,
}

impl Line {
    fn new() -> Self {
        Self { latency: WIRE, jitter: 0, passes: 1.0, single: 1.0, in_order: 1.0, largest: usize::MAX }
    }

    fn add(&mut self, link: &Link) {
        self.latency += micros(link.latency);
        self.jitter += micros(link.jitter);
        self.passes *= 1.0 - link.loss;
        self.single *= 1.0 - link.duplicate;
        self.in_order *= 1.0 - link.reorder;
        self.largest = link.largest.map_or(self.largest, |largest| self.largest.min(largest.into()));
    }

    fn delay(&self, rng: &mut ChaCha8Rng) -> Duration {
        let jitter = if self.jitter == 0 { 0 } else { rng.next_u64() % (self.jitter + 1) };
        let held = if happens(rng, 1.0 - self.in_order) { HELD_BACK } else { 0 };
        Duration::from_micros(self.latency + jitter + held)
    }
}

/// Draws once: true with this probability. Draws nothing when the answer is certain.
pub(super) fn happens(rng: &mut ChaCha8Rng, probability: f64) -> bool {
    probability > 0.0 && f64::from(rng.next_u32()) < probability * 4_294_967_296.0
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Underlay {
    /// Builds the underlay of a scenario. Nodes are numbered in the order of their names.
    pub(super) fn new(scenario: &Scenario, rng: ChaCha8Rng) -> Self {
        let segment_names: Vec<&String> = scenario.segments.keys().collect();
        let number = |name: &str| {
            segment_names.iter().position(|known| *known == name).expect("the parser checked the names of segments")
        };
        let mut segments: Vec<Segment> = scenario
            .segments
            .iter()
            .map(|(name, segment)| Segment {
                name: name.clone(),
                prefix: segment.prefix.trunc(),
                lan: segment.lan,
                hosts: BTreeMap::new(),
                way_out: None,
                inward: Vec::new(),
            })
            .collect();
        let mut routers = Vec::new();
        for router in scenario.routers.values() {
            let (inside, outside) = (number(&router.inside.segment), number(&router.outside.segment));
            let this = routers.len();
            let nat = Nat::new(router.mapping, router.filtering, router.timeout, router.outside.address);
            if nat.is_plain() {
                let prefix = segments[inside].prefix;
                segments[outside].inward.push((prefix, this));
            }
            segments[outside].hosts.insert(router.outside.address, Arrival::Router(this));
            segments[inside].way_out = Some(this);
            let (outside_address, hairpin, link) = (router.outside.address, router.hairpin, router.link);
            let maps = router.maps;
            routers.push(Router { nat, inside, outside, outside_address, hairpin, maps, link });
        }
        let mut machines = Vec::new();
        for node in scenario.nodes.values() {
            let mut interfaces = Vec::new();
            for attachment in &node.attach {
                let segment = number(&attachment.segment);
                segments[segment].hosts.insert(attachment.address, Arrival::Node(machines.len()));
                let (address, link) = (attachment.address, attachment.link);
                interfaces.push(Interface { segment, address, link, plugged: true });
            }
            machines.push(Machine { interfaces, firewall: node.firewall.then(Firewall::default) });
        }
        let names: Vec<&String> = scenario.nodes.keys().collect();
        let closed =
            names.iter().map(|a| names.iter().map(|b| !scenario.in_reach(a, b)).collect()).collect::<Vec<Vec<bool>>>();
        let blocked = vec![vec![false; names.len()]; names.len()];
        let router_names = scenario.routers.keys().cloned().collect();
        Self { segments, routers, router_names, machines, blocked, closed, to_lose: BTreeMap::new(), rng }
    }

    /// A node sends a packet of so many bytes from one of its ports. `None`: it has no route there.
    pub(super) fn send(&mut self, now: Time, from: usize, port: u16, dst: SocketAddr, size: usize) -> Option<Step> {
        let (segment, address, link) = self.interface_for(from, dst.ip())?;
        let src = SocketAddr::new(address, port);
        if let Some(firewall) = &mut self.machines[from].firewall {
            firewall.outbound(now, src, dst);
        }
        let mut line = Line::new();
        line.add(&link);
        self.forward(now, from, segment, (src, dst), size, line)
    }

    /// A packet reached a router's outside: on it goes, if the router lets it in.
    pub(super) fn through(&mut self, now: Time, from: usize, router: usize, step: &Step, size: usize) -> Option<Step> {
        let dst = self.routers[router].nat.inbound(now, step.src, step.dst)?;
        let segment = self.routers[router].inside;
        self.forward(now, from, segment, (step.src, dst), size, Line::new())
    }

    /// A packet reached a node: whether its firewall lets it in.
    pub(super) fn admits(&mut self, now: Time, node: usize, step: &Step) -> bool {
        self.machines[node].firewall.as_mut().is_none_or(|firewall| firewall.inbound(now, step.dst, step.src))
    }

    fn forward(
        &mut self,
        now: Time,
        from: usize,
        mut segment: usize,
        (mut src, dst): (SocketAddr, SocketAddr),
        size: usize,
        mut line: Line,
    ) -> Option<Step> {
        for _ in 0..MAX_ROUTERS {
            let here = &self.segments[segment];
            let arrival = if here.prefix.contains(&dst.ip()) {
                *here.hosts.get(&dst.ip())?
            } else if let Some((_, router)) = here.inward.iter().find(|(prefix, _)| prefix.contains(&dst.ip())) {
                Arrival::Router(*router)
            } else {
                let number = here.way_out?;
                let router = &mut self.routers[number];
                if router.outside_address == dst.ip() && !router.hairpin {
                    return None;
                }
                src = router.nat.outbound(now, src, dst, &mut self.rng);
                line.add(&router.link);
                segment = router.outside;
                continue;
            };
            match arrival {
                Arrival::Node(to) => {
                    if self.blocked[from][to] || self.closed[from][to] || self.loses(from, to) {
                        return None;
                    }
                    let machine = &self.machines[to];
                    let interface = machine.interfaces.iter().find(|i| i.segment == segment)?;
                    line.add(&interface.link);
                }
                Arrival::Router(router) => line.add(&self.routers[router].link),
            }
            if size > line.largest {
                return None;
            }
            let lost = happens(&mut self.rng, 1.0 - line.passes);
            let delay = (!lost).then(|| line.delay(&mut self.rng));
            let twin = happens(&mut self.rng, 1.0 - line.single).then(|| line.delay(&mut self.rng));
            return Some(Step { arrival, src, dst, delay, twin });
        }
        None
    }

    fn loses(&mut self, from: usize, to: usize) -> bool {
        if self.to_lose.is_empty() {
            return false;
        }
        let Some(left) = self.to_lose.get_mut(&(from, to)) else { return false };
        *left -= 1;
        if *left == 0 {
            self.to_lose.remove(&(from, to));
        }
        true
    }

    /// The interface by which a node reaches an address: on-link first, then a plain router, then the way out.
    fn interface_for(&self, node: usize, dst: IpAddr) -> Option<(usize, IpAddr, Link)> {
        let usable = |i: &&Interface| i.plugged && i.address.is_ipv4() == dst.is_ipv4();
        let interfaces = self.machines[node].interfaces.iter().filter(usable);
        let segment = |i: &Interface| &self.segments[i.segment];
        let on_link = interfaces.clone().find(|i| segment(i).prefix.contains(&dst));
        let inward = || interfaces.clone().find(|i| segment(i).inward.iter().any(|(prefix, _)| prefix.contains(&dst)));
        let way_out = || interfaces.clone().find(|i| segment(i).way_out.is_some());
        let chosen = on_link.or_else(inward).or_else(way_out)?;
        Some((chosen.segment, chosen.address, chosen.link))
    }

    /// Whether `from` can begin to speak with `to` at its first address and be answered, as long as nothing is lost.
    /// For invariant I4: what the mesh can be expected to achieve.
    pub(super) fn can_open(&self, from: usize, to: usize) -> bool {
        let closed = |a: usize, b: usize| self.blocked[a][b] || self.closed[a][b];
        if from == to || closed(from, to) || closed(to, from) || self.machines[to].firewall.is_some() {
            return false;
        }
        let target = self.machines[to].interfaces[0].address;
        let Some((mut segment, _, _)) = self.interface_for(from, target) else { return false };
        for _ in 0..MAX_ROUTERS {
            let here = &self.segments[segment];
            if here.prefix.contains(&target) {
                return here.hosts.get(&target) == Some(&Arrival::Node(to));
            }
            let open_door = here.inward.iter().find(|(prefix, _)| prefix.contains(&target));
            if let Some((_, router)) = open_door.filter(|(_, router)| self.routers[*router].nat.is_open()) {
                segment = self.routers[*router].inside;
            } else if let Some(router) = here.way_out {
                segment = self.routers[router].outside;
            } else {
                return false;
            }
        }
        false
    }

    /// The share of packets lost between two nodes' first interfaces, there and back.
    pub(super) fn round_trip_loss(&self, a: usize, b: usize) -> f64 {
        let passes = |node: usize| 1.0 - self.machines[node].interfaces.iter().map(|i| i.link.loss).fold(0.0, f64::max);
        1.0 - (passes(a) * passes(b)).powi(2)
    }

    /// A node's interfaces as its system shows them.
    pub(super) fn local_network(&self, node: usize) -> LocalNetwork {
        let interfaces = self.machines[node].interfaces.iter().filter(|i| i.plugged);
        let address =
            |i: &Interface| LocalAddress { address: i.address, prefix: self.segments[i.segment].prefix.prefix_len() };
        let on_lan = interfaces.clone().filter(|i| self.segments[i.segment].lan);
        let lans = on_lan.map(|i| LanInterface { index: i.segment as u32 + 1, addresses: vec![address(i)] });
        LocalNetwork { lans: lans.collect(), addresses: interfaces.map(address).collect() }
    }

    /// A node sends a datagram to everyone on its LANs: who gets it, from which address, and after how long.
    pub(super) fn announce(&mut self, from: usize, port: u16) -> Vec<(usize, SocketAddr, Duration)> {
        let mut heard = Vec::new();
        for interface in self.machines[from].interfaces.clone().into_iter().filter(|i| i.plugged) {
            let segment = &self.segments[interface.segment];
            let hosts = segment.hosts.values().filter(|_| segment.lan);
            let others = hosts.filter_map(|host| match host {
                Arrival::Node(node) if *node != from => Some(*node),
                _ => None,
            });
            for to in others {
                let machine = &self.machines[to];
                let there = machine.interfaces.iter().find(|i| i.segment == interface.segment);
                let Some(there) = there.filter(|_| machine.firewall.is_none()) else { continue };
                let mut line = Line::new();
                line.add(&interface.link);
                line.add(&there.link);
                let lost = happens(&mut self.rng, 1.0 - line.passes);
                if !lost && !self.blocked[from][to] && !self.closed[from][to] {
                    heard.push((to, SocketAddr::new(interface.address, port), line.delay(&mut self.rng)));
                }
            }
        }
        heard
    }

    /// Whether a node's router maps ports for those who ask.
    pub(super) fn has_mapping_router(&self, node: usize) -> bool {
        self.mapping_router(node).is_some()
    }

    /// A node asks its router for one of its ports; gives what leads there from outside.
    pub(super) fn map_port(&mut self, now: Time, node: usize, port: u16) -> Option<SocketAddr> {
        let (router, address) = self.mapping_router(node)?;
        Some(self.routers[router].nat.forward(now, SocketAddr::new(address, port), &mut self.rng))
    }

    fn mapping_router(&self, node: usize) -> Option<(usize, IpAddr)> {
        let mut interfaces = self.machines[node].interfaces.iter();
        interfaces
            .find_map(|i| Some((self.segments[i.segment].way_out?, i.address)))
            .filter(|(r, _)| self.routers[*r].maps)
    }

    /// The address that a node's host name resolves to.
    pub(super) fn first_address(&self, node: usize) -> IpAddr {
        self.machines[node].interfaces[0].address
    }

    /// Cuts or heals one direction.
    pub(super) fn set_blocked(&mut self, from: usize, to: usize, blocked: bool) {
        self.blocked[from][to] = blocked;
    }

    /// Loses the next packets of one direction.
    pub(super) fn lose(&mut self, from: usize, to: usize, packets: u32) {
        if packets > 0 {
            *self.to_lose.entry((from, to)).or_insert(0) += packets;
        }
    }

    /// Replaces the properties of all lines of a node.
    pub(super) fn impair(&mut self, node: usize, link: Link) {
        for interface in &mut self.machines[node].interfaces {
            interface.link = link;
        }
    }

    /// Gives a node another address on a segment.
    pub(super) fn renumber(&mut self, node: usize, segment: &str, address: IpAddr) {
        for interface in &mut self.machines[node].interfaces {
            let here = &mut self.segments[interface.segment];
            // An address that someone else has stays with them: two hosts with one address are another story.
            if here.name == segment && !here.hosts.contains_key(&address) {
                here.hosts.remove(&interface.address);
                here.hosts.insert(address, Arrival::Node(node));
                interface.address = address;
            }
        }
    }

    /// Pulls the plug of a node's interfaces on a segment, or puts it back.
    pub(super) fn plug(&mut self, node: usize, segment: &str, plugged: bool) {
        for interface in &mut self.machines[node].interfaces {
            let here = &mut self.segments[interface.segment];
            if here.name == segment {
                interface.plugged = plugged;
                if plugged {
                    here.hosts.insert(interface.address, Arrival::Node(node));
                } else {
                    here.hosts.remove(&interface.address);
                }
            }
        }
    }

    /// A router loses its state.
    pub(super) fn flush(&mut self, router: &str) {
        if let Some(number) = self.router_names.iter().position(|name| name == router) {
            self.routers[number].nat.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    /// a and b at home behind a router; c behind a router whose outside is the inside of another; hub and d public, d
    /// with a firewall.
    const TOPOLOGY: &str = "
name: boxes
about: boxes within boxes
network: { subnet: 10.1.1.0/24 }
segments:
  internet: { prefix: 198.51.100.0/24 }
  carrier: { prefix: 100.64.0.0/16 }
  home: { prefix: 192.168.1.0/24 }
  flat: { prefix: 192.168.2.0/24 }
routers:
  home: { inside: { segment: home, address: 192.168.1.254 }, outside: { segment: internet, address: 198.51.100.20 } }
  carrier: { inside: { segment: carrier, address: 100.64.0.1 }, outside: { segment: internet, address: 198.51.100.30 } }
  flat: { inside: { segment: flat, address: 192.168.2.254 }, outside: { segment: carrier, address: 100.64.0.9 } }
nodes:
  a: { address: 10.1.1.1, attach: { home: 192.168.1.1 } }
  b: { address: 10.1.1.2, attach: { home: 192.168.1.2 } }
  c: { address: 10.1.1.3, attach: { flat: 192.168.2.3 } }
  d: { address: 10.1.1.4, attach: { internet: 198.51.100.4 }, firewall: true }
  hub: { address: 10.1.1.5, attach: { internet: { address: 198.51.100.5, link: { latency: 7ms } } }, static: true }
";
    const A: usize = 0;
    const B: usize = 1;
    const C: usize = 2;
    const D: usize = 3;
    const HUB: usize = 4;

    fn underlay() -> Underlay {
        let scenario = Scenario::parse(TOPOLOGY).expect("a topology");
        Underlay::new(&scenario, ChaCha8Rng::seed_from_u64(1))
    }

    /// Sends a packet; gives the node it gets to, and the source seen there.
    fn carry(underlay: &mut Underlay, from: usize, to: &str) -> Option<(usize, SocketAddr)> {
        let mut step = underlay.send(Time::ZERO, from, 500, to.parse().expect("an address"), 100)?;
        while let Arrival::Router(router) = step.arrival {
            step = underlay.through(Time::ZERO, from, router, &step, 100)?;
        }
        let Arrival::Node(node) = step.arrival else { return None };
        (step.delay.is_some() && underlay.admits(Time::ZERO, node, &step)).then_some((node, step.src))
    }

    #[test]
    fn neighbours_meet_and_the_internet_sees_routers() {
        let mut net = underlay();
        assert_eq!(carry(&mut net, A, "192.168.1.2:500"), Some((B, "192.168.1.1:500".parse().expect("an address"))));
        let (node, seen) = carry(&mut net, A, "198.51.100.5:500").expect("passes");
        assert_eq!((node, seen), (HUB, "198.51.100.20:500".parse().expect("an address")));
        assert_eq!(carry(&mut net, HUB, &seen.to_string()).map(|(node, _)| node), Some(A), "a reply");
        assert_eq!(carry(&mut net, HUB, "198.51.100.20:501"), None, "nobody opened that port");
        assert_eq!(carry(&mut net, HUB, "192.168.1.1:500"), None, "private addresses are not routed");
    }

    #[test]
    fn nested_routers_translate_twice() {
        let mut net = underlay();
        let (_, seen) = carry(&mut net, C, "198.51.100.5:500").expect("passes");
        assert_eq!(seen.ip(), "198.51.100.30".parse::<IpAddr>().expect("an address"));
        assert_eq!(carry(&mut net, HUB, &seen.to_string()).map(|(node, _)| node), Some(C));
    }

    #[test]
    fn cuts_firewalls_and_lost_packets() {
        let mut net = underlay();
        assert_eq!(carry(&mut net, HUB, "198.51.100.4:500"), None, "the firewall");
        assert!(carry(&mut net, D, "198.51.100.5:500").is_some());
        assert!(carry(&mut net, HUB, "198.51.100.4:500").is_some(), "a reply");
        net.set_blocked(HUB, D, true);
        assert_eq!(carry(&mut net, HUB, "198.51.100.4:500"), None);
        assert!(carry(&mut net, D, "198.51.100.5:500").is_some(), "the other direction");
        net.lose(D, HUB, 1);
        assert_eq!(carry(&mut net, D, "198.51.100.5:500"), None);
        assert!(carry(&mut net, D, "198.51.100.5:500").is_some(), "only one was to be lost");
    }

    #[test]
    fn who_can_begin_to_speak_with_whom() {
        let mut net = underlay();
        assert!(net.can_open(A, HUB) && net.can_open(C, HUB) && net.can_open(A, B) && net.can_open(D, HUB));
        assert!(!net.can_open(HUB, A) && !net.can_open(HUB, D) && !net.can_open(A, C));
        net.set_blocked(HUB, A, true);
        assert!(!net.can_open(A, HUB), "the answer would not arrive");
    }

    #[test]
    fn a_line_delays_loses_and_doubles_by_its_shares() {
        let mut net = underlay();
        let to = "198.51.100.5:500".parse().expect("an address");
        let millis = Duration::from_millis;
        let (latency, jitter) = (millis(20), millis(5));
        net.impair(A, Link { latency, jitter, loss: 0.2, duplicate: 0.1, ..Link::default() });
        let steps: Vec<Step> = (0..2000).filter_map(|_| net.send(Time::ZERO, A, 500, to, 100)).collect();
        let lost = steps.iter().filter(|step| step.delay.is_none()).count();
        let doubled = steps.iter().filter(|step| step.twin.is_some()).count();
        assert!((340..460).contains(&lost) && (150..250).contains(&doubled), "{lost} {doubled}");
        let right = millis(27)..millis(33);
        assert!(steps.iter().filter_map(|step| step.delay).all(|delay| right.contains(&delay)), "27 ms and jitter");
        net.impair(A, Link { largest: Some(1400), ..Link::default() });
        assert!(net.send(Time::ZERO, A, 500, to, 1400).is_some() && net.send(Time::ZERO, A, 500, to, 1401).is_none());
        net.renumber(A, "home", "192.168.1.77".parse().expect("an address"));
        assert_eq!(net.local_network(A).addresses[0].address.to_string(), "192.168.1.77");
    }
}
