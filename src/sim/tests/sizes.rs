//! Links that carry less than the tunnel's MTU.

use std::time::Duration;

use crate::mesh::time::Time;
use crate::sim::scenario::{Link, Scenario};
use crate::sim::world::{Hosts, World};

/// A hub, and one node on a line of its own properties.
fn pair(link: &str) -> World {
    let text = format!(
        "name: narrow\nabout: one line\nnetwork: {{ subnet: 10.1.1.0/24 }}\nduration: 1h\n\
         segments: {{ net: {{ prefix: 198.51.100.0/24 }} }}\nnodes:\n  \
         hub: {{ address: 10.1.1.1, attach: {{ net: 198.51.100.1 }}, static: true }}\n  \
         amy: {{ address: 10.1.1.2, attach: {{ net: {{ address: 198.51.100.2, link: {link} }} }}, firewall: true }}\n"
    );
    let scenario = Scenario::parse(&text).expect("a scenario");
    let mut world = World::new(&scenario, 5, Hosts::default());
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world
}

/// What the health of each node says of black holes.
fn black_holes(world: &World) -> Vec<Option<String>> {
    let text = |node| {
        let health = world.view(node).expect("it runs").health;
        health.into_iter().find(|line| line.code == "mtu-black-hole").map(|line| line.text)
    };
    (0..world.len()).map(text).collect()
}

#[test]
fn a_narrow_link_is_found_within_seconds_and_its_mending_within_minutes() {
    // 1360 bytes in the tunnel are 1420 on the way.
    let mut world = pair("{ latency: 20ms, largest: 1420 }");
    world.run_until(Time::from_secs(15));
    for text in black_holes(&world) {
        let text = text.expect("both ends know");
        assert!(text.contains("1360 bytes and loses those of 1376"), "{text}");
    }
    let amy = world.number("amy").expect("a node");
    world.underlay.impair(amy, Link { latency: Duration::from_millis(20), ..Link::default() });
    world.run_until(Time::from_secs(15 + 700));
    assert_eq!(black_holes(&world), [None, None]);
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}

#[test]
fn a_link_that_loses_one_packet_in_five_is_no_narrow_one() {
    let mut world = pair("{ latency: 20ms, loss: 0.2 }");
    for minute in 1..60 {
        world.run_until(Time::from_secs(60 * minute));
        assert_eq!(black_holes(&world), [None, None], "minute {minute}");
    }
}

/// Three nodes: ben and cat meet at the hub, and ben's line is narrow.
fn star() -> World {
    let text = "name: star\nabout: one narrow line\nnetwork: { subnet: 10.1.1.0/24, direct: never }\nduration: 1h\n\
        segments: { net: { prefix: 198.51.100.0/24 } }\nnodes:\n  \
        hub: { address: 10.1.1.1, attach: { net: 198.51.100.1 }, static: true }\n  \
        ben: { address: 10.1.1.2, attach: { net: { address: 198.51.100.2, link: { largest: 1420 } } } }\n  \
        cat: { address: 10.1.1.3, attach: { net: 198.51.100.3 } }\n";
    let scenario = Scenario::parse(text).expect("a scenario");
    let mut world = World::new(&scenario, 8, Hosts::default());
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world
}

/// What a node's system shall send at most to some addresses.
fn narrow(world: &World, node: &str) -> Vec<String> {
    let machine = &world.machines[world.number(node).expect("a node")];
    let daemon = machine.daemon.as_ref().expect("it runs");
    daemon.system.path_mtus.iter().map(|(prefix, mtu)| format!("{prefix} {mtu}")).collect()
}

#[test]
fn every_node_knows_what_the_way_to_each_other_carries() {
    let mut world = star();
    world.run_until(Time::from_secs(20));
    assert_eq!(narrow(&world, "hub"), ["10.1.1.2/32 1360"]);
    assert_eq!(narrow(&world, "cat"), ["10.1.1.2/32 1360"], "two links away");
    assert_eq!(narrow(&world, "ben"), ["10.1.1.1/32 1360", "10.1.1.3/32 1360"]);
    let (engine, now) = world.engine(world.number("cat").expect("a node")).expect("it runs");
    let mtu = |from: &str, to: &str| engine.why(now, Some(from), to).expect("both are known").mtu;
    assert_eq!([mtu("cat", "ben"), mtu("ben", "cat"), mtu("hub", "ben"), mtu("cat", "hub")], [1360, 1360, 1360, 1420]);
    let (hub, ben) = (world.number("hub").expect("a node"), world.number("ben").expect("a node"));
    let desired = &world.machines[hub].daemon.as_ref().expect("it runs").desired;
    assert_eq!(desired.path_mtus, [("10.1.1.2/32".parse().expect("a prefix"), 1360)]);
    world.underlay.impair(ben, Link::default());
    world.run_until(Time::from_secs(720));
    for node in ["hub", "ben", "cat"] {
        assert!(narrow(&world, node).is_empty(), "{node} sends whole packets again");
    }
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}
