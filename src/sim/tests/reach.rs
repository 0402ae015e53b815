//! Who gets a direct link with whom: NATs and firewalls of every kind, in pairs.

use std::time::Duration;

use super::super::scenario::{Action, Scenario};
use super::super::world::{Hosts, World};
use crate::mesh::event::Severity;
use crate::mesh::time::Time;
use crate::mesh::view::{NatKind, PathKind};

/// How a box stands in the internet.
#[derive(Clone, Copy, Debug)]
struct Place {
    name: &'static str,
    /// Mapping and filtering of the router before it; `None`: it has a public address.
    router: Option<(&'static str, &'static str)>,
    firewall: bool,
    /// Whether the router maps ports for those who ask.
    maps: bool,
}

const PLACES: [Place; 9] = [
    Place { name: "public", router: None, firewall: false, maps: false },
    Place { name: "firewall", router: None, firewall: true, maps: false },
    Place {
        name: "full cone",
        router: Some(("endpoint-independent", "endpoint-independent")),
        firewall: false,
        maps: false,
    },
    Place {
        name: "restricted",
        router: Some(("endpoint-independent", "address-dependent")),
        firewall: false,
        maps: false,
    },
    Place {
        name: "masquerade",
        router: Some(("endpoint-independent", "address-and-port-dependent")),
        firewall: false,
        maps: false,
    },
    Place {
        name: "port per address",
        router: Some(("address-dependent", "address-dependent")),
        firewall: false,
        maps: false,
    },
    Place {
        name: "symmetric",
        router: Some(("symmetric", "address-and-port-dependent")),
        firewall: false,
        maps: false,
    },
    Place {
        name: "masquerade, mapped",
        router: Some(("endpoint-independent", "address-and-port-dependent")),
        firewall: false,
        maps: true,
    },
    Place {
        name: "symmetric, mapped",
        router: Some(("symmetric", "address-and-port-dependent")),
        firewall: false,
        maps: true,
    },
];

impl Place {
    /// Whether everyone sees it at the same endpoint.
    fn has_one_endpoint(&self) -> bool {
        self.maps || self.router.is_none_or(|(mapping, _)| mapping == "endpoint-independent")
    }

    /// Whether it can begin, and `to` lets it in once both try.
    fn gets_through(&self, to: &Self) -> bool {
        let open = match to.router {
            None => !to.firewall,
            Some((_, filtering)) => to.maps || filtering != "address-and-port-dependent",
        };
        to.has_one_endpoint() && (open || self.has_one_endpoint())
    }
}

/// Two gateways, and the boxes a and b in their places.
fn mesh(a: &Place, b: &Place, kernel: bool, seed: u64) -> World {
    let mut text = "name: grid\nabout: two boxes in their places\nnetwork: { subnet: 10.1.0.0/16 }\nduration: 60s\n\
        segments:\n  net: { prefix: 198.18.0.0/16 }\n  home-a: { prefix: 192.168.1.0/24 }\n  \
        home-b: { prefix: 192.168.1.0/24 }\n"
        .to_owned();
    let mut routers = String::new();
    let mut nodes = "nodes:\n  \
        g1: { address: 10.1.1.1, attach: { net: { address: 198.18.1.1, link: { latency: 5ms } } }, static: true }\n  \
        g2: { address: 10.1.1.2, attach: { net: { address: 198.18.1.2, link: { latency: 5ms } } }, static: true }\n"
        .to_owned();
    for (name, number, place) in [("a", 1, a), ("b", 2, b)] {
        let attached = match place.router {
            None => format!("net: {{ address: 198.18.2.{number}, link: {{ latency: 10ms }} }}"),
            Some((mapping, filtering)) => {
                routers += &format!(
                    "  router-{name}: {{ inside: {{ segment: home-{name}, address: 192.168.1.254 }}, outside: {{ segment: \
                     net, address: 198.18.3.{number} }}, mapping: {mapping}, filtering: {filtering}, timeout: 60s, maps: {} }}\n",
                    place.maps
                );
                format!("home-{name}: {{ address: 192.168.1.{number}, link: {{ latency: 10ms }} }}")
            }
        };
        let firewall = if place.firewall { ", firewall: true" } else { "" };
        nodes += &format!("  {name}: {{ address: 10.1.2.{number}, attach: {{ {attached} }}{firewall} }}\n");
    }
    if !routers.is_empty() {
        text += &format!("routers:\n{routers}");
    }
    let scenario = Scenario::parse(&(text + &nodes)).expect("a scenario");
    let mut world = World::new(&scenario, seed, Hosts { kernel, ..Hosts::default() });
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world
}

fn path(world: &World, from: &str, to: &str) -> PathKind {
    let (engine, _) = world.engine(world.number(from).expect("a node")).expect("it runs");
    let view = engine.view();
    view.nodes.iter().find(|node| node.name == to).map_or(PathKind::Unreachable, |node| node.path)
}

fn both(world: &World, kind: PathKind) -> bool {
    path(world, "a", "b") == kind && path(world, "b", "a") == kind
}

/// How long after the start both are direct, if they are within 20 s.
fn direct_after(world: &mut World) -> Option<Duration> {
    while world.now() < Time::from_secs(20) {
        if both(world, PathKind::Direct) {
            return Some(world.now().since(Time::ZERO));
        }
        world.run_until(world.now() + Duration::from_millis(50));
    }
    None
}

#[test]
fn every_pair_of_places_gets_a_direct_link_where_one_can_pass_and_goes_through_a_gateway_where_not() {
    let mut slowest = Duration::ZERO;
    for (number, a) in PLACES.iter().enumerate() {
        for b in &PLACES[number..] {
            for (seed, kernel) in [(1, false), (2, true)] {
                let mut world = mesh(a, b, kernel, seed);
                let took = direct_after(&mut world);
                let expected = a.gets_through(b) || b.gets_through(a);
                assert_eq!(took.is_some(), expected, "{} and {}, kernel {kernel}", a.name, b.name);
                slowest = slowest.max(took.unwrap_or_default());
                if !expected {
                    assert!(both(&world, PathKind::Gateway), "{} and {}, kernel {kernel}", a.name, b.name);
                }
                assert!(world.violations().is_empty(), "{} and {}: {:?}", a.name, b.name, world.violations());
            }
        }
    }
    assert!(slowest <= Duration::from_secs(6), "the slowest took {slowest:?}");
}

#[test]
fn a_node_knows_its_nat_and_says_why_there_is_no_direct_link() {
    let [public, _, _, _, masquerade, _, symmetric, ..] = PLACES;
    let nat = |world: &World, name: &str| {
        let (engine, now) = world.engine(world.number(name).expect("a node")).expect("it runs");
        let other = if name == "a" { "b" } else { "a" };
        (engine.view().nat, engine.why(now, None, other).expect("both are known").note.unwrap_or_default())
    };
    let mut world = mesh(&masquerade, &symmetric, false, 3);
    world.run_until(Time::from_secs(25));
    let (a, b) = (nat(&world, "a"), nat(&world, "b"));
    assert_eq!((a.0, b.0), (NatKind::EndpointIndependent, NatKind::AddressDependent));
    assert!(a.1.contains("gave no answer"), "{}", a.1);
    assert!(b.1.contains("shows everyone another port"), "{}", b.1);
    let mut world = mesh(&public, &public, false, 3);
    world.run_until(Time::from_secs(20));
    assert_eq!((nat(&world, "a").0, both(&world, PathKind::Direct)), (NatKind::None, true));
}

/// Two homes whose routers map ports; the router of `a` is behind a carrier's.
fn behind_a_carrier() -> World {
    let text = "name: carrier\nabout: a port mapped to nowhere\nnetwork: { subnet: 10.1.0.0/16 }\nduration: 60s\n\
        segments: { net: { prefix: 198.18.0.0/16 }, carrier: { prefix: 100.64.0.0/16 }, home-a: { prefix: 192.168.1.0/24 } }\n\
        routers:\n  \
        cgn: { inside: { segment: carrier, address: 100.64.0.1 }, outside: { segment: net, address: 198.18.3.1 }, mapping: \
        symmetric }\n  \
        router-a: { inside: { segment: home-a, address: 192.168.1.254 }, outside: { segment: carrier, address: 100.64.0.9 }, \
        maps: true }\n\
        nodes:\n  \
        g1: { address: 10.1.1.1, attach: { net: 198.18.1.1 }, static: true }\n  \
        g2: { address: 10.1.1.2, attach: { net: 198.18.1.2 }, static: true }\n  \
        a: { address: 10.1.2.1, attach: { home-a: 192.168.1.1 } }\n";
    let mut world = World::new(&Scenario::parse(text).expect("a scenario"), 5, Hosts::default());
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world
}

#[test]
fn a_port_that_a_router_behind_a_carriers_nat_maps_is_told_to_nobody_and_named() {
    let mut world = behind_a_carrier();
    world.run_until(Time::from_secs(20));
    let view = world.view(world.number("a").expect("a node")).expect("it runs");
    let lines: Vec<_> = view.health.iter().map(|line| (line.code, line.severity)).collect();
    assert_eq!(lines, [("double-nat", Severity::Info)], "{:?}", view.health);
    assert!(view.mapped.is_some_and(|(_, told)| !told));
    assert!(view.outside.iter().all(|endpoint| endpoint.ip().to_string() == "198.18.3.1"), "{:?}", view.outside);
}

#[test]
fn a_router_is_asked_where_there_may_be_a_nat_and_its_word_is_judged() {
    let [public, _, _, _, masquerade, ..] = PLACES;
    let mut world = mesh(&masquerade, &public, false, 6);
    world.run_until(Time::from_secs(20));
    let asks = |world: &World, name: &str| {
        world.engine(world.number(name).expect("a node")).expect("it runs").0.wants_port_mapping()
    };
    assert_eq!(["a", "b", "g1"].map(|name| asks(&world, name)), [true, false, false]);
    let a = world.number("a").expect("a node");
    let told = |world: &mut World, external: &str| {
        world.mapped(a, Some(external.parse().expect("an endpoint")));
        let view = world.view(a).expect("it runs");
        let codes: Vec<_> = view.health.iter().map(|line| line.code).collect();
        (view.mapped.is_some_and(|(_, told)| told), codes)
    };
    // Gateways see it at 198.18.3.1.
    assert_eq!(told(&mut world, "198.18.3.1:40000"), (true, vec![]));
    for private in ["10.9.9.9:1", "100.64.0.1:1", "192.168.7.7:1"] {
        assert_eq!(told(&mut world, private), (false, vec!["double-nat"]), "{private}");
    }
    assert_eq!(told(&mut world, "198.18.77.77:40000"), (false, vec!["double-nat"]), "elsewhere");
    assert_eq!(told(&mut world, "0.0.0.0:0"), (false, vec!["double-nat"]), "it has none");
    let nonsense =
        ["127.0.0.1:5", "0.0.0.7:5", "224.0.0.1:5", "255.255.255.255:5", "198.18.3.1:0", "10.1.2.2:5", "[ff02::1]:5"];
    for nonsense in nonsense {
        assert_eq!(told(&mut world, nonsense), (false, vec!["port-mapping-refused"]), "{nonsense}");
    }
    world.mapped(a, None);
    let view = world.view(a).expect("it runs");
    assert_eq!((view.mapped, view.health.len(), view.outside.len()), (None, 0, 1));
}

#[test]
fn after_its_router_restarted_a_direct_link_is_back_without_a_gateway_losing_a_packet_for_long() {
    let [_, _, _, _, masquerade, ..] = PLACES;
    let mut world = mesh(&masquerade, &masquerade, false, 4);
    assert!(direct_after(&mut world).is_some());
    world.apply(&Action::Flush(vec!["router-a".to_owned()])).expect("it is there");
    let flushed = world.now();
    world.run_until(flushed + Duration::from_secs(40));
    assert!(both(&world, PathKind::Direct));
}

/// Two gateways and so many leaves at one place, with this line in the network file.
fn crowd(leaves: usize, direct: &str, kernel: bool) -> World {
    let leaf =
        |n: usize| format!("  l{n}: {{ address: 10.1.2.{n}, attach: {{ net: 198.18.2.{n} }}, firewall: true }}\n");
    let text = format!(
        "name: crowd\nabout: many leaves\nnetwork: {{ subnet: 10.1.0.0/16, direct: {direct} }}\nduration: 30m\n\
         segments: {{ net: {{ prefix: 198.18.0.0/16 }} }}\nnodes:\n  \
         g1: {{ address: 10.1.1.1, attach: {{ net: {{ address: 198.18.1.1, link: {{ latency: 5ms }} }} }}, static: true }}\n  \
         g2: {{ address: 10.1.1.2, attach: {{ net: {{ address: 198.18.1.2, link: {{ latency: 5ms }} }} }}, static: true }}\n{}",
        (1..=leaves).map(leaf).collect::<String>()
    );
    let scenario = Scenario::parse(&text).expect("a scenario");
    let mut world = World::new(&scenario, 7, Hosts { kernel, ..Hosts::default() });
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world.run_until(Time::from_secs(40));
    world
}

/// Pings so often from the first leaf to the second while the time passes; says how many were lost.
fn traffic(world: &mut World, every: Duration, time: Duration) -> usize {
    let (a, b) = (world.number("l1").expect("a leaf"), world.number("l2").expect("a leaf"));
    let end = world.now() + time;
    let mut pings = Vec::new();
    while world.now() < end {
        pings.push(world.ping(a, b));
        world.run_until(world.now() + every);
    }
    world.run_until(end + Duration::from_secs(1));
    pings.iter().filter(|ping| world.ping_result(**ping).is_none_or(|ping| ping.answered.is_none())).count()
}

#[test]
fn in_a_large_mesh_a_pair_with_traffic_gets_a_direct_link_and_loses_it_when_idle() {
    for (leaves, direct) in [(18, "auto"), (4, "on-demand")] {
        let mut world = crowd(leaves, direct, false);
        let few = traffic(&mut world, Duration::from_secs(1), Duration::from_secs(30));
        assert_eq!((few, path(&world, "l1", "l2")), (0, PathKind::Gateway), "a ping a second is not worth a link");
        let lost = traffic(&mut world, Duration::from_millis(100), Duration::from_secs(10));
        assert_eq!(lost, 0, "the embedded tunnel loses nothing at the switch");
        assert_eq!(path(&world, "l1", "l2"), PathKind::Direct);
        assert_eq!(path(&world, "l2", "l1"), PathKind::Direct);
        assert_eq!(path(&world, "l1", "l3"), PathKind::Gateway);
        let seldom = traffic(&mut world, Duration::from_secs(60), Duration::from_secs(900));
        assert_eq!((seldom, path(&world, "l1", "l2")), (0, PathKind::Direct), "it is used now and then");
        world.run_until(world.now() + Duration::from_secs(660));
        assert_eq!(path(&world, "l1", "l2"), PathKind::Gateway);
        assert_eq!(path(&world, "l2", "l1"), PathKind::Gateway);
        assert!(world.violations().is_empty(), "{:?}", world.violations());
        assert_eq!(traffic(&mut world, Duration::from_secs(1), Duration::from_secs(5)), 0, "the gateways carry on");
    }
}

#[test]
fn a_kernels_tunnel_loses_at_most_what_is_under_way_when_a_link_on_demand_begins() {
    let mut world = crowd(18, "auto", true);
    let lost = traffic(&mut world, Duration::from_millis(20), Duration::from_secs(10));
    assert_eq!(path(&world, "l1", "l2"), PathKind::Direct);
    assert!(lost <= 2, "{lost} of 500 pings of one round trip of 20 ms");
}

#[test]
fn without_direct_links_in_the_file_no_traffic_brings_one() {
    let mut world = crowd(4, "never", false);
    assert_eq!(traffic(&mut world, Duration::from_millis(50), Duration::from_secs(10)), 0);
    assert_eq!(path(&world, "l1", "l2"), PathKind::Gateway);
}
