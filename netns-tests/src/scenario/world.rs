//! A scenario's topology as segments, routers, machines and daemons, and what its events do to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use wgnet::mesh::config::Class;
use wgnet::mesh::ids::WgPublicKey;
use wgnet::sim::scenario::{Action, Filtering, Link, Mapping, Nodes, Pairs, Router, Scenario};

use crate::forwarder::Impairment;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::node::{Node, binary};
use crate::process::lock;
use crate::router::{Nat, make_router};
use crate::segment::Segment;

/// Everything that runs.
pub(super) struct World {
    scenario: Arc<Scenario>,
    segments: BTreeMap<String, Segment>,
    routers: BTreeMap<String, Machine>,
    nodes: BTreeMap<String, Node>,
    begun: OnceLock<Instant>,
    changing: Mutex<Changing>,
}

#[derive(Default)]
struct Changing {
    /// Properties of each node's or router's line, by name and segment.
    lines: BTreeMap<(String, String), Link>,
    /// Present underlay addresses, by name and segment.
    addresses: BTreeMap<(String, String), IpAddr>,
    /// From when to when each daemon ran.
    ran: BTreeMap<String, Vec<(Instant, Option<Instant>)>>,
    /// WireGuard keys, once known.
    keys: BTreeMap<String, String>,
}

impl World {
    /// Builds the topology; no daemon runs yet, but those that are pinned have their keys.
    pub(super) fn new(lab: &Lab, scenario: Arc<Scenario>) -> Self {
        let mut changing = Changing::default();
        let kind =
            |name: &String| if needs_forwarder(&scenario, name) { lab.impaired(name, 1) } else { lab.bridge(name) };
        let segments = scenario.segments.keys().map(|name| (name.clone(), kind(name))).collect::<BTreeMap<_, _>>();
        let prefixed =
            |segment: &str, address: IpAddr| format!("{address}/{}", scenario.segments[segment].prefix.prefix_len());

        let mut routers = BTreeMap::new();
        for (name, router) in &scenario.routers {
            let machine = lab.machine(name);
            for place in [&router.outside, &router.inside] {
                machine.plug(&segments[&place.segment], &[&prefixed(&place.segment, place.address)]);
            }
            make_router(&machine, nat(name, router));
            let timeout = router.timeout.as_secs().to_string();
            for key in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
                machine.namespace().sysctl(&format!("net.netfilter.{key}"), &timeout);
            }
            let line = (name.clone(), router.outside.segment.clone());
            changing.lines.insert(line, router.link);
            routers.insert(name.clone(), machine);
        }

        let mut nodes = BTreeMap::new();
        for (name, node) in &scenario.nodes {
            let machine = lab.machine(name);
            for attachment in &node.attach {
                machine.plug(&segments[&attachment.segment], &[&prefixed(&attachment.segment, attachment.address)]);
                let line = (name.clone(), attachment.segment.clone());
                changing.lines.insert(line.clone(), attachment.link);
                changing.addresses.insert(line, attachment.address);
            }
            if node.firewall {
                machine.firewall("eth*");
            }
            let addresses = scenario.runs_with(name).iter().map(ToString::to_string).collect::<Vec<_>>();
            let addresses = addresses.iter().map(String::as_str).collect::<Vec<_>>();
            let daemon = Node::new(&machine, scenario.runs_as(name).as_str(), "wg0", &addresses);
            daemon.add_args(&["-w", &node.wg_port.to_string(), "-u", &node.admin_port.to_string()]);
            let class = match node.class {
                Class::Server => "server",
                Class::Roaming => "roaming",
                Class::Mobile => "mobile",
            };
            let offers = scenario.network.gateways == wgnet::sim::scenario::Gateways::Any && node.gateway == Some(true);
            machine.write("/run/lab/node.yaml", &format!("class: {class}\ngateway: {offers}\n"));
            daemon.add_args(&["-p", "/run/lab/node.yaml"]);
            daemon.set_clock(clock(node.clock).as_deref());
            lab.adopt(&daemon);
            daemon.announces(scenario.on_lan(name));
            nodes.insert(name.clone(), daemon);
        }

        let world = Self { scenario, segments, routers, nodes, begun: OnceLock::new(), changing: Mutex::new(changing) };
        world.set_routes();
        world.set_hosts();
        world.segments.keys().for_each(|segment| world.set_lines(segment));
        world.set_reach();
        let keys = world.make_pinned_keys();
        for (name, node) in &world.nodes {
            let mut file = world.scenario.network_file(name, &keys);
            if !world.is_honest(name) {
                // Its daemon would notice that the file gives its address another name.
                file = file
                    .lines()
                    .filter(|line| !line.starts_with("    name: "))
                    .map(|line| format!("{line}\n"))
                    .collect();
            }
            node.set_network_text(&file);
        }
        world
    }

    /// The scenario's time 0 is now.
    pub(super) fn begin(&self) {
        self.begun.set(Instant::now()).expect("a scenario begins once");
    }

    /// The moment of a scenario's time.
    pub(super) fn time(&self, at: Duration) -> Instant {
        *self.begun.get().expect("the scenario has begun") + at
    }

    /// Waits for a scenario's time.
    pub(super) fn sleep_until(&self, at: Duration) {
        std::thread::sleep(self.time(at).saturating_duration_since(Instant::now()));
    }

    /// The daemon of a node.
    pub(super) fn node(&self, name: &str) -> &Node {
        &self.nodes[name]
    }

    /// All names, adversaries too.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.nodes.keys()
    }

    /// The nodes meant: `all` are those that run and are honest.
    pub(super) fn select(&self, nodes: &Nodes) -> Vec<String> {
        match nodes {
            Nodes::All => self.names().filter(|name| self.is_honest(name) && self.node(name).runs()).cloned().collect(),
            Nodes::These(names) => names.clone(),
        }
    }

    /// Each of `from` with each of `to`; `all` are those that run.
    pub(super) fn pairs(&self, pairs: &Pairs) -> Vec<(String, String)> {
        product(&self.select(&pairs.from), &self.select(&pairs.to))
    }

    /// Each of `from` with each of `to`; `all` are all honest nodes, whether they run or not.
    pub(super) fn every_pair(&self, pairs: &Pairs) -> Vec<(String, String)> {
        let every = |nodes: &Nodes| match nodes {
            Nodes::All => self.names().filter(|name| self.is_honest(name)).cloned().collect(),
            Nodes::These(names) => names.clone(),
        };
        product(&every(&pairs.from), &every(&pairs.to))
    }

    fn is_honest(&self, name: &str) -> bool {
        self.scenario.nodes[name].claims.is_none()
    }

    /// The WireGuard key of a node, once its daemon has told it.
    pub(super) fn key(&self, name: &str) -> Option<String> {
        if let Some(key) = lock(&self.changing).keys.get(name) {
            return Some(key.clone());
        }
        let key = self.node(name).status().ok()?.node.public_key;
        lock(&self.changing).keys.insert(name.to_owned(), key.clone());
        Some(key)
    }

    /// Whether the daemon ran at that moment.
    pub(super) fn ran(&self, name: &str, moment: Instant) -> bool {
        let changing = lock(&self.changing);
        let times = changing.ran.get(name).map_or(&[][..], Vec::as_slice);
        times.iter().any(|(from, to)| *from <= moment && to.is_none_or(|to| moment < to))
    }

    pub(super) fn start(&self, name: &str) {
        let started = self.node(name).start();
        lock(&self.changing).ran.entry(name.to_owned()).or_default().push((started, None));
    }

    fn ended(&self, name: &str, moment: Instant) {
        if let Some(last) = lock(&self.changing).ran.get_mut(name).and_then(|times| times.last_mut()) {
            last.1.get_or_insert(moment);
        }
    }

    fn kill(&self, name: &str) {
        let moment = self.node(name).kill();
        self.ended(name, moment);
    }

    /// Does what an event says.
    pub(super) fn apply(&self, action: &Action) -> Result<(), String> {
        match action {
            Action::Start(nodes) => self.select(nodes).iter().for_each(|name| self.start(name)),
            Action::Stop(nodes) => self.select(nodes).iter().for_each(|name| {
                self.ended(name, Instant::now());
                self.node(name).ask_to_stop();
            }),
            Action::Kill(nodes) => self.select(nodes).iter().for_each(|name| self.kill(name)),
            Action::Restart(nodes) => {
                let nodes = self.select(nodes);
                nodes.iter().for_each(|name| self.kill(name));
                nodes.iter().for_each(|name| self.start(name));
            }
            Action::Cut(between) => self.set_cuts(&between.from, &between.to, between.one_way, true),
            Action::Heal(between) => {
                self.set_cuts(&between.from, &between.to, between.one_way, false);
                self.set_reach();
            }
            Action::Drop(lost) => {
                let segment = self.shared_segment(&lost.from, &lost.to);
                let segment = segment.ok_or_else(|| format!("{} and {} share no segment", lost.from, lost.to))?;
                segment.lose_next(self.node(&lost.from).machine(), self.node(&lost.to).machine(), lost.packets);
            }
            Action::Impair(impairment) => {
                for name in self.select(&impairment.nodes) {
                    for attachment in &self.scenario.nodes[&name].attach {
                        let line = (name.clone(), attachment.segment.clone());
                        lock(&self.changing).lines.insert(line, impairment.link);
                    }
                }
                self.segments.keys().for_each(|segment| self.set_lines(segment));
            }
            Action::Clock(jump) => {
                self.select(&jump.nodes)
                    .iter()
                    .for_each(|name| self.node(name).set_clock(clock(jump.offset).as_deref()));
            }
            Action::Cost(cost) => {
                let (node, peer) = (self.node(&cost.node), self.node(&cost.peer));
                let value = cost.cost.map_or_else(|| "clear".to_owned(), |cost| cost.to_string());
                let program = binary().display().to_string();
                let args = ["cost", peer.name(), &value, "--socket", &node.socket()];
                node.machine().namespace().attempt(&program, &args, "")?;
            }
            Action::Renumber(new) => {
                let line = (new.node.clone(), new.segment.clone());
                let old = lock(&self.changing).addresses.insert(line, new.address).expect("checked by the parser");
                let attach = &self.scenario.nodes[&new.node].attach;
                let number = attach.iter().position(|a| a.segment == new.segment).expect("checked by the parser");
                let length = self.scenario.segments[&new.segment].prefix.prefix_len();
                self.node(&new.node).machine().ip(&format!(
                    "addr del {old}/{length} dev eth{number}\naddr add {}/{length} dev eth{number}",
                    new.address
                ));
                self.set_routes();
                self.set_hosts();
            }
            Action::Flush(routers) => {
                for name in routers {
                    // Masquerading forgets its mappings when the outside address goes.
                    let outside = &self.scenario.routers[name].outside;
                    let length = self.scenario.segments[&outside.segment].prefix.prefix_len();
                    let address = outside.address;
                    self.routers[name]
                        .ip(&format!("addr del {address}/{length} dev eth0\naddr add {address}/{length} dev eth0"));
                }
                self.set_routes();
            }
        }
        Ok(())
    }

    /// Default routes towards the outside, and routes to insides that are not translated.
    fn set_routes(&self) {
        let exit = |segment: &str| self.scenario.routers.values().find(|router| router.inside.segment == segment);
        for (name, node) in &self.scenario.nodes {
            for attachment in &node.attach {
                if let Some(router) = exit(&attachment.segment) {
                    self.node(name).machine().ip(&format!("route replace default via {}", router.inside.address));
                }
            }
        }
        for (name, router) in &self.scenario.routers {
            if let Some(outer) = exit(&router.outside.segment) {
                self.routers[name].ip(&format!("route replace default via {}", outer.inside.address));
            }
            if router.mapping != Mapping::None {
                continue;
            }
            let route = format!(
                "route replace {} via {}",
                self.scenario.segments[&router.inside.segment].prefix, router.outside.address
            );
            let outside = &router.outside.segment;
            let nodes =
                self.scenario.nodes.iter().filter(|(_, node)| node.attach.iter().any(|a| a.segment == *outside));
            nodes.for_each(|(neighbour, _)| self.node(neighbour).machine().ip(&route));
            let others = self.scenario.routers.iter().filter(|(other, _)| *other != name);
            let others =
                others.filter(|(_, other)| other.outside.segment == *outside || other.inside.segment == *outside);
            others.for_each(|(other, _)| self.routers[other].ip(&route));
        }
    }

    /// Host names of endpoints, for everyone.
    fn set_hosts(&self) {
        let present =
            |name: &str, segment: &str| lock(&self.changing).addresses[&(name.to_owned(), segment.to_owned())];
        let named = self.scenario.nodes.iter().filter_map(|(name, node)| {
            let host = node.host_name.as_deref()?;
            Some((host, present(name, &node.attach[0].segment)))
        });
        let named = named.collect::<Vec<_>>();
        if !named.is_empty() {
            self.nodes.values().for_each(|node| node.machine().hosts(&named));
        }
    }

    /// Gives every pair of a segment what the lines of its two ends add up to.
    fn set_lines(&self, name: &str) {
        if !needs_forwarder(&self.scenario, name) {
            return;
        }
        let changing = lock(&self.changing);
        let machines = self.nodes.values().map(Node::machine).chain(self.routers.values());
        let machines = machines.filter(|machine| self.segments[name].has(machine)).collect::<Vec<_>>();
        let line = |machine: &Machine| {
            changing.lines.get(&(machine.name().to_owned(), name.to_owned())).copied().unwrap_or_default()
        };
        for from in &machines {
            for to in machines.iter().filter(|to| to.name() != from.name()) {
                self.segments[name].impair(from, to, sum(line(from), line(to)));
            }
        }
    }

    /// Cuts what `reaches` forbids.
    fn set_reach(&self) {
        for (a, b) in self.scenario.out_of_reach() {
            self.set_cut(a, b, true);
            self.set_cut(b, a, true);
        }
    }

    fn set_cuts(&self, from: &Nodes, to: &Nodes, one_way: bool, cut: bool) {
        let every = |nodes: &Nodes| match nodes {
            Nodes::All => self.names().cloned().collect(),
            Nodes::These(names) => names.clone(),
        };
        let pairs = product(&every(from), &every(to));
        let back = pairs.iter().filter(|_| !one_way).map(|(from, to)| (to.clone(), from.clone()));
        for (from, to) in back.chain(pairs.iter().cloned()).collect::<BTreeSet<_>>() {
            self.set_cut(&from, &to, cut);
        }
    }

    /// One direction. Where the two share no segment it is cut at the end from which the other has an address of its own:
    /// what leaves for it, or what comes from it, is lost there.
    fn set_cut(&self, from: &str, to: &str, cut: bool) {
        let (source, target) = (self.node(from).machine(), self.node(to).machine());
        if let Some(segment) = self.shared_segment(from, to) {
            if cut {
                segment.cut_one_way(source, target);
            } else {
                segment.heal_one_way(source, target);
            }
            return;
        }
        match (self.translated(from), self.translated(to)) {
            (_, None) => source.block(self.address(to), true, cut),
            (None, Some(_)) => target.block(self.address(from), false, cut),
            (Some(_), Some(outside)) => source.block(outside, true, cut),
        }
    }

    /// The outermost address that stands for a node behind translating routers; `None` for one that shows its own.
    fn translated(&self, name: &str) -> Option<IpAddr> {
        let mut segment = &self.scenario.nodes[name].attach[0].segment;
        let mut shown = None;
        while let Some(router) = self.scenario.routers.values().find(|router| router.inside.segment == *segment) {
            if router.mapping != Mapping::None {
                shown = Some(router.outside.address);
            }
            segment = &router.outside.segment;
        }
        shown
    }

    fn address(&self, name: &str) -> IpAddr {
        let segment = &self.scenario.nodes[name].attach[0].segment;
        lock(&self.changing).addresses[&(name.to_owned(), segment.clone())]
    }

    fn shared_segment(&self, a: &str, b: &str) -> Option<&Segment> {
        let (a, b) = (self.node(a).machine(), self.node(b).machine());
        self.segments.values().find(|segment| segment.has(a) && segment.has(b))
    }

    /// Starts each pinned node once, alone, so that it makes its keys.
    fn make_pinned_keys(&self) -> BTreeMap<String, WgPublicKey> {
        let pinned = self.scenario.nodes.iter().filter(|(_, node)| node.pinned);
        let key = |(name, _): (&String, _)| {
            let node = self.node(name);
            node.set_network_text(&self.scenario.network_file(name, &BTreeMap::new()));
            node.start();
            let key = node.is_ready(Duration::from_secs(10)).node.public_key;
            node.stop();
            lock(&self.changing).keys.insert(name.clone(), key.clone());
            (name.clone(), key.parse().expect("a daemon tells its key in base64"))
        };
        pinned.map(key).collect()
    }
}

fn product(from: &[String], to: &[String]) -> Vec<(String, String)> {
    let pairs = from.iter().flat_map(|a| to.iter().map(move |b| (a.clone(), b.clone())));
    pairs.filter(|(a, b)| a != b).collect()
}

fn nat(name: &str, router: &Router) -> Nat {
    assert!(!router.hairpin, "{name}: routers in namespaces do no hairpin");
    assert!(!router.maps, "{name}: routers in namespaces map no ports; tests/port_mapping.rs has one that does");
    match (router.mapping, router.filtering) {
        (Mapping::None, Filtering::EndpointIndependent) => Nat::Open,
        (Mapping::None, _) => Nat::None,
        (_, Filtering::EndpointIndependent | Filtering::AddressDependent) => {
            panic!("{name}: Linux routers filter by address and port; say so, or say simulator_only")
        }
        (Mapping::EndpointIndependent, _) => Nat::KeepsPorts,
        (Mapping::AddressDependent | Mapping::Symmetric, _) => Nat::RandomPorts,
    }
}

/// Whether anything on the segment is ever delayed or lost.
fn needs_forwarder(scenario: &Scenario, segment: &str) -> bool {
    let on = |name: &String| scenario.nodes[name].attach.iter().any(|a| a.segment == segment);
    let event = |action: &Action| match action {
        Action::Impair(impairment) => match &impairment.nodes {
            Nodes::All => true,
            Nodes::These(names) => names.iter().any(on),
        },
        Action::Drop(lost) => on(&lost.from) && on(&lost.to),
        _ => false,
    };
    let lines = scenario.nodes.values().flat_map(|node| &node.attach).filter(|a| a.segment == segment).map(|a| a.link);
    let outside = scenario.routers.values().filter(|r| r.outside.segment == segment).map(|router| router.link);
    lines.chain(outside).any(|link| link != Link::default()) || scenario.events.iter().any(|e| event(&e.action))
}

/// Two lines one after the other.
fn sum(a: Link, b: Link) -> Impairment {
    let either = |a: f64, b: f64| 1.0 - (1.0 - a) * (1.0 - b);
    Impairment {
        delay: a.latency + b.latency,
        jitter: a.jitter + b.jitter,
        loss: either(a.loss, b.loss),
        duplicates: either(a.duplicate, b.duplicate),
        reordering: either(a.reorder, b.reorder),
        largest: a.largest.into_iter().chain(b.largest).min().map(usize::from),
    }
}

/// In libfaketime's words; nothing for a clock that is right.
fn clock(offset: i64) -> Option<String> {
    (offset != 0).then(|| format!("{:+}", offset as f64 / 1e6))
}
