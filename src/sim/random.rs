//! Random meshes and what befalls them: scenarios drawn from a seed.
//!
//! A mesh of two to five gateways, leaves behind routers of all kinds, lines of all qualities. Storms (crashes, restarts,
//! partitions, dead directions, lossy lines, clocks that jump, routers that forget, nodes that come, go and move) take
//! turns with calms. A minute after a storm everyone must reach everyone; the invariants hold all the time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::scenario::{
    Action, Attachment, Between, Claims, ClockJump, Condition, Event, Expectation, Filtering, Flow, Gateways,
    Impairment, Link, LinkCost, Lost, Mapping, Network, Node, Nodes, Pairs, Place, Renumbering, Router, Scenario,
    Segment,
};
use crate::mesh::config::{Class, DirectMode};

/// The first storm begins when the mesh had this time to form.
const FIRST_STORM: u64 = 90;
/// Length of a storm, seconds.
const STORM: u64 = 240;
/// Length of a calm, seconds: the minute in which all must meet again, and some in which sessions are renewed and
/// mappings end.
const CALM: u64 = 630;
/// How soon all must reach all after a storm, seconds.
const MEET_WITHIN: u64 = 60;
/// A day and an hour in microseconds, for clocks.
const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;

/// Draws a scenario: `nodes` nodes (at least 3) over `length`.
pub fn scenario(seed: u64, nodes: usize, length: Duration) -> Scenario {
    let mut draw = Draw { rng: ChaCha8Rng::seed_from_u64(seed ^ 0x0077_676e_6574_0001) };
    let mut scenario = topology(&mut draw, seed, nodes.clamp(3, 200));
    storms(&mut draw, &mut scenario, length);
    scenario
}

struct Draw {
    rng: ChaCha8Rng,
}

impl Draw {
    /// A number from 0 to `below` - 1.
    fn below(&mut self, below: u64) -> u64 {
        self.rng.next_u64() % below.max(1)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let index = self.index(from.len());
        from[index].clone()
    }

    fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }
}

fn address(a: u8, b: u8, c: u8, d: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, u8::try_from(d).unwrap_or(u8::MAX)))
}

fn topology(draw: &mut Draw, seed: u64, count: usize) -> Scenario {
    let mut scenario = Scenario {
        name: format!("random-{seed}"),
        about: "drawn from a seed".to_owned(),
        simulator_only: true,
        duration: Duration::ZERO,
        network: Network {
            subnet: vec!["10.1.0.0/16".parse().expect("a prefix")],
            direct: draw.pick(&[DirectMode::Auto, DirectMode::Auto, DirectMode::Never, DirectMode::Always]),
            gateways: Gateways::Static,
        },
        segments: BTreeMap::new(),
        routers: BTreeMap::new(),
        nodes: BTreeMap::new(),
        events: Vec::new(),
        expect: Vec::new(),
        flows: Vec::new(),
        bounds: None,
    };
    let internet = Segment { prefix: "198.18.0.0/16".parse().expect("a prefix"), lan: false };
    scenario.segments.insert("internet".to_owned(), internet);
    let most = u64::try_from(count / 2).unwrap_or(5).min(5);
    let gateways = usize::try_from(draw.between(2.min(most), most)).unwrap_or(2);
    let names: Vec<String> = (1..=gateways).map(|g| format!("g{g}")).collect();
    // Sometimes gateways stand in a ring instead of all seeing each other; leaves then see two or three.
    let ring = gateways >= 4 && draw.once_in(4);
    for (g, name) in names.iter().enumerate() {
        let mut node = node(draw, address(10, 1, 0, g + 1), "internet", address(198, 18, 0, g + 1));
        node.is_static = true;
        node.cost = draw.once_in(3).then_some(100);
        node.class = Class::Server;
        node.attach[0].link.loss = 0.0;
        if ring {
            node.reaches = vec![names[(g + 1) % gateways].clone()];
        }
        scenario.nodes.insert(name.clone(), node);
    }
    let homes = homes(draw, &mut scenario, count);
    for leaf in 1..=count - gateways {
        let overlay = address(10, 1, 1, leaf);
        let mut node = if draw.once_in(3) || homes.is_empty() {
            let mut node = node(draw, overlay, "internet", address(198, 18, 1, leaf));
            node.firewall = draw.once_in(2);
            node
        } else {
            let home = draw.index(homes.len());
            let at = u8::try_from(home).unwrap_or(0);
            node(draw, overlay, &homes[home], address(192, 168, at, leaf))
        };
        if ring {
            let first = draw.index(gateways);
            let seen = 2 + draw.index(2);
            node.reaches = (0..seen).map(|step| names[(first + step) % gateways].clone()).collect();
        }
        // Some join later; the others at once or within seconds.
        node.start = match draw.below(6) {
            0 => None,
            1 => Some(draw.millis(0, 5_000)),
            _ => Some(Duration::ZERO),
        };
        scenario.nodes.insert(format!("l{leaf}"), node);
    }
    if draw.once_in(4) {
        adversary(draw, &mut scenario);
    }
    scenario
}

fn node(draw: &mut Draw, overlay: IpAddr, segment: &str, underlay: IpAddr) -> Node {
    let latency = draw.millis(0, 40);
    let jitter = if draw.once_in(2) { draw.millis(0, 8) } else { Duration::ZERO };
    let loss = match draw.below(8) {
        0 => 0.05,
        1 | 2 => 0.01,
        _ => 0.0,
    };
    let duplicate = if draw.once_in(8) { 0.02 } else { 0.0 };
    let reorder = if draw.once_in(8) { 0.05 } else { 0.0 };
    let link = Link { latency, jitter, loss, duplicate, reorder, largest: None };
    // Ports need not differ, as addresses do; NATs translate where hosts share one.
    let port = 50_000 + u16::try_from(draw.below(400)).unwrap_or(0);
    Node {
        address: vec![overlay],
        attach: vec![Attachment { segment: segment.to_owned(), address: underlay, link }],
        is_static: false,
        gateway: None,
        cost: None,
        weight: None,
        pinned: false,
        host_name: None,
        firewall: false,
        clock: draw.pick(&[0, 0, 0, HOUR, -HOUR, -DAY, DAY]),
        class: draw.pick(&[Class::Server, Class::Server, Class::Roaming, Class::Mobile]),
        start: Some(Duration::ZERO),
        reaches: Vec::new(),
        wg_port: port,
        admin_port: port + 500,
        claims: None,
    }
}

/// Networks behind routers, some of them behind a carrier's router besides.
fn homes(draw: &mut Draw, scenario: &mut Scenario, count: usize) -> Vec<String> {
    let mut homes = Vec::new();
    let carrier = draw.once_in(3);
    if carrier {
        let segment = Segment { prefix: "100.64.0.0/16".parse().expect("a prefix"), lan: false };
        scenario.segments.insert("carrier".to_owned(), segment);
        let router = router(draw, "carrier", address(100, 64, 0, 1), "internet", address(198, 18, 2, 1));
        scenario.routers.insert("carrier".to_owned(), router);
    }
    for home in 0..draw.index(count / 2 + 1) {
        let at = u8::try_from(home).unwrap_or(0);
        let name = format!("home{home}");
        let prefix = format!("192.168.{at}.0/24").parse().expect("a prefix");
        scenario.segments.insert(name.clone(), Segment { prefix, lan: true });
        let (outer, outside) = if carrier && draw.once_in(2) {
            ("carrier", address(100, 64, 1, home + 1))
        } else {
            ("internet", address(198, 18, 3, home + 1))
        };
        let router = Router { maps: home % 2 == 0, ..router(draw, &name, address(192, 168, at, 254), outer, outside) };
        scenario.routers.insert(format!("r{home}"), router);
        homes.push(name);
    }
    homes
}

fn router(draw: &mut Draw, inside: &str, inner: IpAddr, outside: &str, outer: IpAddr) -> Router {
    let mapping = draw.pick(&[
        Mapping::EndpointIndependent,
        Mapping::EndpointIndependent,
        Mapping::AddressDependent,
        Mapping::Symmetric,
    ]);
    let filtering =
        draw.pick(&[Filtering::AddressAndPortDependent, Filtering::AddressDependent, Filtering::EndpointIndependent]);
    Router {
        inside: Place { segment: inside.to_owned(), address: inner },
        outside: Place { segment: outside.to_owned(), address: outer },
        mapping,
        filtering,
        timeout: Duration::from_secs(draw.pick(&[30, 60, 120])),
        hairpin: draw.once_in(3),
        maps: false,
        link: Link { latency: draw.millis(0, 10), ..Link::default() },
    }
}

/// A node that claims what belongs to one who was there long before.
fn adversary(draw: &mut Draw, scenario: &mut Scenario) {
    let early = |node: &Node| node.start == Some(Duration::ZERO);
    let victims: Vec<String> = scenario.nodes.iter().filter(|(_, n)| early(n)).map(|(name, _)| name.clone()).collect();
    let victim = draw.pick(&victims);
    let mut node = node(draw, address(10, 1, 2, 1), "internet", address(198, 18, 4, 1));
    let claims = match draw.below(3) {
        0 => Claims { name: victim.parse().ok(), ..Claims::default() },
        1 => Claims { address: Some(scenario.nodes[&victim].address[0]), ..Claims::default() },
        _ => Claims { gateway: true, ..Claims::default() },
    };
    node.claims = Some(claims);
    node.start = Some(Duration::from_secs(60));
    if scenario.nodes.values().any(|other| !other.reaches.is_empty()) {
        node.reaches = vec!["g1".to_owned(), "g2".to_owned()];
    }
    scenario.nodes.insert("mallory".to_owned(), node);
}

fn storms(draw: &mut Draw, scenario: &mut Scenario, length: Duration) {
    let all = || Nodes::All;
    let every_pair = || Pairs { from: Nodes::All, to: Nodes::All };
    let honest: Vec<String> =
        scenario.nodes.iter().filter(|(_, node)| node.claims.is_none()).map(|(name, _)| name.clone()).collect();
    // The first calm: all but those that join later meet.
    let mut calms = vec![(0, "start".to_owned())];
    let mut at = FIRST_STORM;
    let mut events = Vec::new();
    while at + STORM + CALM <= length.as_secs().max(FIRST_STORM + STORM + CALM) {
        let end = at + STORM;
        let mut impaired = Vec::new();
        let mut now = at * 1_000;
        loop {
            now += draw.between(1_000, 40_000);
            if now >= end * 1_000 {
                break;
            }
            mishap(draw, scenario, &honest, now, end * 1_000, &mut events, &mut impaired);
        }
        let mut put =
            |action| events.push(Event { at: Duration::from_secs(end), label: None, action, may_be_refused: true });
        put(Action::Heal(Between { from: all(), to: all(), one_way: false }));
        for node in impaired {
            let link = scenario.nodes[&node].attach[0].link;
            put(Action::Impair(Impairment { nodes: Nodes::These(vec![node]), link }));
        }
        put(Action::Start(Nodes::These(honest.clone())));
        let label = format!("calm-{end}");
        events.push(Event {
            at: Duration::from_secs(end),
            label: Some(label.clone()),
            action: Action::Flush(Vec::new()),
            may_be_refused: false,
        });
        calms.push((end, label));
        at = end + CALM;
    }
    events.sort_by_key(|event: &Event| event.at);
    scenario.events = events;
    scenario.duration = length.max(Duration::from_secs(at));
    for (end, label) in calms {
        scenario.expect.push(Expectation {
            since: Duration::from_secs(end),
            after: Some(label),
            within: Duration::from_secs(MEET_WITHIN),
            hold: Duration::ZERO,
            what: Condition::Reachable(every_pair()),
        });
    }
    // Some pairs speak all the time, and now and then everyone with everyone.
    let mut flow = |pairs, every| {
        let (start, stop) = (Duration::from_secs(5), scenario.duration);
        scenario.flows.push(Flow { pairs, every, start, stop, limits: Vec::new() });
    };
    for _ in 0..3 {
        let (from, to) = (draw.pick(&honest), draw.pick(&honest));
        flow(Pairs { from: Nodes::These(vec![from]), to: Nodes::These(vec![to]) }, Duration::from_secs(1));
    }
    flow(every_pair(), Duration::from_secs(600));
}

/// One misfortune at `now` (milliseconds), over at the latest when the storm ends.
fn mishap(
    draw: &mut Draw,
    scenario: &Scenario,
    honest: &[String],
    now: u64,
    end: u64,
    events: &mut Vec<Event>,
    impaired: &mut Vec<String>,
) {
    let one = draw.pick(honest);
    let other = draw.pick(honest);
    let these = |name: &String| Nodes::These(vec![name.clone()]);
    let later = |draw: &mut Draw, most: u64| (now + draw.between(200, most)).min(end);
    let mut put = |at: u64, action| {
        events.push(Event { at: Duration::from_millis(at), label: None, action, may_be_refused: true })
    };
    match draw.below(14) {
        0 | 1 => {
            put(now, Action::Kill(these(&one)));
            put(later(draw, 120_000), Action::Start(these(&one)));
        }
        2 => {
            put(now, Action::Stop(these(&one)));
            put(later(draw, 120_000), Action::Start(these(&one)));
        }
        3 => put(now, Action::Restart(these(&one))),
        4 => {
            let several: Vec<String> = honest.iter().filter(|_| draw.once_in(3)).cloned().collect();
            put(now, Action::Restart(Nodes::These(several)));
        }
        5 => {
            let half: Vec<String> = honest.iter().filter(|_| draw.once_in(2)).cloned().collect();
            let rest: Vec<String> = honest.iter().filter(|name| !half.contains(name)).cloned().collect();
            let between =
                || Between { from: Nodes::These(half.clone()), to: Nodes::These(rest.clone()), one_way: false };
            put(now, Action::Cut(between()));
            put(later(draw, 150_000), Action::Heal(between()));
        }
        6 | 7 => {
            let one_way = draw.once_in(2);
            let between = || Between { from: these(&one), to: these(&other), one_way };
            put(now, Action::Cut(between()));
            put(later(draw, 100_000), Action::Heal(between()));
        }
        8 => {
            let loss = draw.pick(&[0.1, 0.3, 0.6]);
            let (latency, jitter) = (draw.millis(0, 100), draw.millis(0, 30));
            let link = Link { latency, jitter, loss, duplicate: 0.02, reorder: 0.05, largest: None };
            put(now, Action::Impair(Impairment { nodes: these(&one), link }));
            impaired.push(one);
        }
        9 => {
            let offset = draw.pick(&[0, HOUR, -HOUR, DAY, -DAY]);
            put(now, Action::Clock(ClockJump { nodes: these(&one), offset }));
            put(now, Action::Restart(these(&one)));
        }
        10 => {
            let gateways: Vec<String> = honest.iter().filter(|name| scenario.nodes[*name].is_static).cloned().collect();
            let (node, peer) = (draw.pick(&gateways), draw.pick(&gateways));
            if node != peer {
                let cost = u32::try_from(draw.between(10, 2_000)).ok();
                put(now, Action::Cost(LinkCost { node: node.clone(), peer: peer.clone(), cost }));
                put(later(draw, 200_000), Action::Cost(LinkCost { node, peer, cost: None }));
            }
        }
        11 => put(now, Action::Flush(scenario.routers.keys().filter(|_| draw.once_in(2)).cloned().collect())),
        12 => put(now, Action::Drop(Lost { from: one, to: other, packets: 5 })),
        _ => {
            let here = &scenario.nodes[&one];
            if !here.is_static {
                let segment = here.attach[0].segment.clone();
                let IpAddr::V4(old) = here.attach[0].address else { return };
                // The upper half of the last octet is nobody's first address in meshes of up to 100 leaves.
                let [a, b, c, _] = old.octets();
                let address = address(a, b, c, 128 + draw.index(100));
                put(now, Action::Renumber(Renumbering { node: one, segment, address }));
            }
        }
    }
}
