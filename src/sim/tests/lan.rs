//! Nodes on one LAN: they find each other by announcements, with no gateway near.
//!
//! ```text
//!    hub (public, the only static peer)
//!     |
//!  internet
//!     |
//!   router (one public address, no hairpin)
//!     |
//!    lan -- a, b, ...
//! ```

use std::time::Duration;

use super::super::scenario::{Action, Between, Nodes, Scenario};
use super::super::world::{Hosts, World};
use crate::mesh::time::Time;
use crate::mesh::view::{NodeView, PathKind};

/// So soon two nodes of one LAN are direct once both are there.
const FOUND: Duration = Duration::from_secs(5);
/// So soon a dead LAN is left.
const LEFT: Duration = Duration::from_secs(7);

const SEGMENTS: &str = "segments:\n  internet: { prefix: 198.18.0.0/16 }\n  lan: { prefix: 192.168.1.0/24, lan: true }\n  \
                        wifi: { prefix: 192.168.2.0/24, lan: true }\nrouters:\n  router: { inside: { segment: lan, \
                        address: 192.168.1.254 }, outside: { segment: internet, address: 198.18.3.1 } }\nnodes:\n  \
                        hub: { address: 10.1.1.1, attach: { internet: { address: 198.18.1.1, link: { latency: 10ms } } \
                        }, static: true }\n";

/// These leaves; the hub is down until it is started.
fn mesh(leaves: &str, kernel: bool, seed: u64) -> World {
    let head = "name: lan\nabout: a LAN\nnetwork: { subnet: 10.1.0.0/16 }\nduration: 30m\n";
    let scenario = Scenario::parse(&format!("{head}{SEGMENTS}{leaves}")).expect("a scenario");
    let mut world = World::new(&scenario, seed, Hosts { kernel, ..Hosts::default() });
    let hub = world.number("hub");
    (0..world.len()).filter(|node| Some(*node) != hub).for_each(|node| world.start_daemon(node));
    world
}

/// Leaf number `n`, all with the same ports.
fn leaf(n: usize) -> String {
    format!("  l{n}: {{ address: 10.1.2.{n}, attach: {{ lan: 192.168.1.{n} }}, wg_port: 51820, admin_port: 51821 }}\n")
}

fn leaves(count: usize) -> String {
    (1..=count).map(leaf).collect()
}

fn start_hub(world: &mut World) {
    let hub = world.number("hub").expect("a node");
    world.start_daemon(hub);
}

fn seen(world: &World, from: &str, to: &str) -> Option<NodeView> {
    let (engine, _) = world.engine(world.number(from)?)?;
    engine.view().nodes.into_iter().find(|node| node.name == to)
}

fn by_lan(world: &World, from: &str, to: &str) -> bool {
    seen(world, from, to).is_some_and(|node| node.path == PathKind::Direct && node.lan)
}

fn both_by_lan(world: &World, a: &str, b: &str) -> bool {
    by_lan(world, a, b) && by_lan(world, b, a)
}

fn path(world: &World, from: &str, to: &str) -> PathKind {
    seen(world, from, to).map_or(PathKind::Unreachable, |node| node.path)
}

/// How long until that holds; panics when it does not within a minute.
fn until(world: &mut World, what: &str, holds: impl Fn(&World) -> bool) -> Duration {
    let begun = world.now();
    while !holds(world) {
        assert!(world.now().since(begun) < Duration::from_secs(60), "{what}: not within a minute");
        world.run_until(world.now() + Duration::from_millis(50));
    }
    world.now().since(begun)
}

fn cut(world: &mut World, a: &str, b: &str, dead: bool) {
    let one = |name: &str| Nodes::These(vec![name.to_owned()]);
    let between = Between { from: one(a), to: one(b), one_way: false };
    let action = if dead { Action::Cut(between) } else { Action::Heal(between) };
    world.apply(&action).expect("nobody refuses that");
}

fn passes(world: &mut World, from: &str, to: &str) -> bool {
    let (from, to) = (world.number(from).expect("a node"), world.number(to).expect("a node"));
    let ping = world.ping(from, to);
    world.run_until(world.now() + Duration::from_millis(200));
    world.ping_result(ping).is_some_and(|ping| ping.answered.is_some())
}

#[test]
fn two_boxes_without_any_gateway_reach_each_other_over_their_lan() {
    for (seed, kernel) in [(1, false), (2, true), (3, false), (4, true)] {
        let mut world = mesh(&leaves(2), kernel, seed);
        let took = until(&mut world, "direct", |world| both_by_lan(world, "l1", "l2"));
        assert!(took <= FOUND, "{took:?} with seed {seed}");
        assert!(passes(&mut world, "l1", "l2"), "equal ports, one NAT before both");
        let why = seen(&world, "l1", "l2").expect("known").why;
        assert!(why.contains("found by announcement"), "{why}");
        assert!(world.violations().is_empty(), "{:?}", world.violations());
    }
}

#[test]
fn a_box_that_comes_later_and_one_that_starts_anew_are_found_as_soon() {
    let mut world = mesh(&leaves(3), false, 5);
    let late = world.number("l3").expect("a node");
    world.kill(late);
    until(&mut world, "the first two", |world| both_by_lan(world, "l1", "l2"));
    world.run_until(Time::from_secs(300));
    for _ in 0..2 {
        world.start_daemon(late);
        let took =
            until(&mut world, "the third", |world| both_by_lan(world, "l1", "l3") && both_by_lan(world, "l2", "l3"));
        assert!(took <= FOUND, "{took:?}");
        world.run_until(world.now() + Duration::from_secs(100));
        world.kill(late);
    }
}

#[test]
fn a_lan_that_dies_is_left_for_the_gateway_and_taken_again_when_it_is_back() {
    for (kernel, asleep) in [(false, 20), (true, 20), (false, 300)] {
        let mut world = mesh(&leaves(2), kernel, 6);
        start_hub(&mut world);
        until(&mut world, "direct", |world| both_by_lan(world, "l1", "l2"));
        world.run_until(Time::from_secs(100));
        cut(&mut world, "l1", "l2", true);
        let died = world.now();
        while !passes(&mut world, "l1", "l2") {
            assert!(world.now().since(died) < Duration::from_secs(60), "the gateway takes over");
        }
        let left = world.now().since(died);
        assert!(left <= LEFT, "{left:?}");
        assert_eq!(path(&world, "l1", "l2"), PathKind::Gateway);
        world.run_until(died + Duration::from_secs(asleep));
        cut(&mut world, "l1", "l2", false);
        let took = until(&mut world, "back", |world| both_by_lan(world, "l1", "l2"));
        let allowed = if asleep < 100 { 9 } else { 60 };
        assert!(took <= Duration::from_secs(allowed), "{took:?}");
        assert!(world.violations().is_empty(), "{:?}", world.violations());
    }
}

#[test]
fn without_a_gateway_the_other_of_two_lans_takes_over() {
    let two = |n: usize| {
        format!("  l{n}: {{ address: 10.1.2.{n}, attach: {{ lan: 192.168.1.{n}, wifi: 192.168.2.{n} }} }}\n")
    };
    let mut world = mesh(&(two(1) + &two(2)), false, 7);
    let took = until(&mut world, "direct", |world| both_by_lan(world, "l1", "l2"));
    assert!(took <= FOUND, "{took:?}");
    let endpoint = |world: &World| seen(world, "l1", "l2").and_then(|node| node.endpoint).map(|e| e.to_string());
    let first = endpoint(&world).expect("a direct peer");
    let (dying, other) = if first.contains(".1.2:") { ("lan", "wifi") } else { ("wifi", "lan") };
    let one = world.number("l1").expect("a node");
    world.run_until(Time::from_secs(90));
    world.plug(one, dying, false);
    let cut = world.now();
    while !passes(&mut world, "l1", "l2") {
        assert!(world.now().since(cut) < Duration::from_secs(60), "{other} takes over");
    }
    let took = world.now().since(cut);
    assert!(took <= LEFT, "{took:?} from {dying} to {other}");
    assert_ne!(endpoint(&world), Some(first));
}

#[test]
fn two_interfaces_on_one_lan_are_no_confusion() {
    let two = |n: usize| {
        format!("  l{n}: {{ address: 10.1.2.{n}, attach: {{ lan: 192.168.1.{n} }} }}\n")
            + &format!("  m{n}: {{ address: 10.1.3.{n}, attach: {{ wifi: 192.168.2.{n}, lan: 192.168.1.10{n} }} }}\n")
    };
    let mut world = mesh(&(two(1) + &two(2)), false, 8);
    for (a, b) in [("l1", "l2"), ("l1", "m1"), ("m1", "m2"), ("l2", "m2")] {
        until(&mut world, "direct", |world| both_by_lan(world, a, b));
        assert!(passes(&mut world, a, b), "{a} and {b}");
    }
    assert!(world.now() <= Time::ZERO + FOUND, "{:?}", world.now());
}

#[test]
fn ten_boxes_at_rest_send_less_than_ten_packets_a_second_in_all() {
    for gateway in [false, true] {
        let mut world = mesh(&leaves(10), false, 9);
        if gateway {
            start_hub(&mut world);
        }
        let took = until(&mut world, "all pairs", |world| {
            (1..=10).all(|a| (1..=10).all(|b| a == b || by_lan(world, &format!("l{a}"), &format!("l{b}"))))
        });
        assert!(took <= FOUND, "{took:?} with a gateway: {gateway}");
        let boxes: Vec<usize> = (1..=10).filter_map(|n| world.number(&format!("l{n}"))).collect();
        let total = |world: &World| boxes.iter().map(|node| world.underlay_packets(*node)).sum::<u64>();
        world.run_until(Time::from_secs(200));
        let before = total(&world);
        world.run_until(Time::from_secs(800));
        let rate = (total(&world) - before) as f64 / 600.0;
        // Without a gateway, three in four ask for the static peer that is not there.
        let most = if gateway { 5.0 } else { 8.0 };
        assert!(rate < most, "{rate} packets a second with a gateway: {gateway}");
    }
}

#[test]
fn what_one_box_hears_from_a_gateway_all_boxes_of_its_lan_hear() {
    // l2 has no way out, as the router is none of its own: it learns of the hub by l1 alone.
    let mut world = mesh(
        "  l1: { address: 10.1.2.1, attach: { internet: 198.18.2.1, wifi: 192.168.2.1 } }\n  \
         l2: { address: 10.1.2.2, attach: { wifi: 192.168.2.2 } }\n  \
         l3: { address: 10.1.2.3, attach: { internet: 198.18.2.3 } }\n",
        false,
        10,
    );
    until(&mut world, "direct", |world| both_by_lan(world, "l1", "l2"));
    world.run_until(Time::from_secs(60));
    start_hub(&mut world);
    let took = until(&mut world, "news", |world| seen(world, "l2", "l3").is_some());
    assert!(took <= Duration::from_secs(15), "{took:?}");
    assert_eq!(path(&world, "l1", "l3"), PathKind::Direct);
    assert!(both_by_lan(&world, "l1", "l2"));
}

#[test]
fn a_mesh_too_large_for_a_link_of_each_pair_still_works_over_a_lan_without_gateways() {
    let mut world = mesh(&leaves(20), false, 11);
    let took = until(&mut world, "all of them", |world| {
        (2..=20).all(|n| path(world, "l1", &format!("l{n}")) == PathKind::Direct)
    });
    assert!(took <= Duration::from_secs(15), "{took:?}");
}
