//! What people do to a running mesh: drain a gateway, make one dearer, change the network file.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::scenario::Scenario;
use super::super::world::{Hosts, World};
use super::ways;
use crate::mesh::config::{GatewayPolicy, MeshConfig, StaticPeer};
use crate::mesh::event::Severity;
use crate::mesh::io::{Command, CommandError};
use crate::mesh::time::Time;
use crate::mesh::view::{FilePeer, NodeState, WhatIf};

/// Two gateways, g1 the cheaper one, and three leaves that reach both.
fn mesh() -> World {
    let text = "name: operated\nabout: people at work\nnetwork: { subnet: 10.1.0.0/16, direct: never }\n\
        segments: { net: { prefix: 198.18.0.0/16 } }\nnodes:\n  \
        g1: { address: 10.1.1.1, attach: { net: 198.18.1.1 }, static: true, cost: 100 }\n  \
        g2: { address: 10.1.1.2, attach: { net: 198.18.1.2 }, static: true, cost: 200 }\n  \
        l1: { address: 10.1.2.1, attach: { net: 198.18.2.1 } }\n  \
        l2: { address: 10.1.2.2, attach: { net: 198.18.2.2 } }\n  \
        l3: { address: 10.1.2.3, attach: { net: 198.18.2.3 } }\n\
        duration: 300s\n";
    let scenario = Scenario::parse(text).expect("a scenario");
    let mut world = World::new(&scenario, 5, Hosts::default());
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world.run_until(Time::from_secs(20));
    assert_eq!(via(&world, "l1", "l2"), "g1");
    world
}

fn number(world: &World, name: &str) -> usize {
    world.number(name).expect("a node of the scenario")
}

/// The gateways between two nodes, as the first one sees it; `-` where there is no path.
fn via(world: &World, from: &str, to: &str) -> String {
    let (engine, now) = world.engine(number(world, from)).expect("it runs");
    let why = engine.why(now, None, to).expect("both are known");
    if why.hops.is_empty() { "-".to_owned() } else { why.readers.join(" ") }
}

/// Pings between two leaves, both ways, every 50 ms while the time passes. Returns how many were lost.
fn lost_while(world: &mut World, time: Duration) -> usize {
    let (a, b) = (number(world, "l1"), number(world, "l2"));
    let end = world.now() + time;
    let mut pings = Vec::new();
    while world.now() < end {
        pings.extend([world.ping(a, b), world.ping(b, a)]);
        world.run_until(world.now() + Duration::from_millis(50));
    }
    world.run_until(end + Duration::from_secs(2));
    let arrived = |ping: &&usize| world.ping_result(**ping).is_some_and(|ping| ping.answered.is_some());
    pings.len() - pings.iter().filter(arrived).count()
}

fn command(world: &mut World, node: &str, command: Command) {
    let node = number(world, node);
    world.command(node, command).expect("taken");
}

fn edit_everywhere(world: &mut World, edit: impl Fn(&mut MeshConfig)) {
    for node in 0..world.len() {
        world.edit_file(node, &edit);
    }
}

#[test]
fn a_drained_gateway_loses_its_traffic_and_not_one_packet() {
    let mut world = mesh();
    command(&mut world, "g1", Command::Drain { drain: true });
    assert_eq!(lost_while(&mut world, Duration::from_secs(6)), 0);
    assert_eq!(via(&world, "l1", "l2"), "g2");
    assert_eq!(via(&world, "l1", "g1"), "", "whoever wants the gateway itself still reaches it");
    command(&mut world, "g1", Command::Drain { drain: false });
    assert_eq!(lost_while(&mut world, Duration::from_secs(6)), 0);
    assert_eq!(via(&world, "l1", "l2"), "g1");
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}

/// What l1's journal says of its paths to l2, from a time on.
fn told_of_l2(world: &World, since: Time) -> Vec<String> {
    let of = |text: &str| text.contains("l2: ").then(|| text[text.rfind("l2: ").unwrap_or(0)..].to_owned());
    world.journal().filter(|line| line.at > since && line.node == "l1").filter_map(|line| of(&line.text)).collect()
}

#[test]
fn a_path_change_is_told_with_its_cause() {
    let mut world = mesh();
    let since = world.now();
    command(&mut world, "g1", Command::GatewayCost { cost: Some(5_000) });
    world.run_until(world.now() + Duration::from_secs(10));
    assert_eq!(
        told_of_l2(&world, since),
        ["l2: through g2 (was through g1), since the link l1 - g1 costs 5000, not 100"]
    );
    let (since, g2) = (world.now(), number(&world, "g2"));
    world.kill(g2);
    world.run_until(world.now() + Duration::from_secs(15));
    assert_eq!(told_of_l2(&world, since), ["l2: through g1 (was through g2), since the link l1 - g2 is gone"]);
    let (since, l2) = (world.now(), number(&world, "l2"));
    world.command(l2, Command::Leave).expect("taken");
    world.run_until(world.now() + Duration::from_secs(5));
    let last = told_of_l2(&world, since).pop();
    assert_eq!(last.as_deref(), Some("l2: unreachable (was through g1), since l2 is gone"));
}

#[test]
fn a_direct_link_outlives_the_only_gateway_and_is_told_so() {
    // Alpha's firewall lets nobody else in, not even replies.
    let text = include_str!("../../../examples/scenarios/four-boxes.yaml");
    let scenario = Scenario::parse(&text.replace("    firewall: true ", "    reaches: [beta] ")).expect("a scenario");
    let mut world = World::new(&scenario, 5, Hosts::default());
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world.run_until(Time::from_secs(20));
    let (beta, charlie) = (number(&world, "beta"), number(&world, "charlie"));
    world.listen_to(charlie);
    world.kill(beta);
    // Idle links are asked every 110 s.
    world.run_until(world.now() + Duration::from_secs(115));
    let health = world.view(charlie).expect("it runs").health;
    let told: Vec<&str> = health.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(told, ["no gateway is reachable: direct links go on, and alpha and beta cannot be reached"]);
    let texts: Vec<String> = world.heard().into_iter().map(|(_, event)| event.text).collect();
    assert!(texts.iter().any(|text| text.starts_with("alpha: unreachable (was through beta)")), "{texts:?}");
    assert!(!texts.iter().any(|text| text.starts_with("delta: ")), "packets for delta go as before: {texts:?}");
    let (engine, now) = world.engine(charlie).expect("it runs");
    let missing = engine.why(now, None, "alpha").expect("both are known").missing.expect("no path");
    assert!(missing.remedy.starts_with("check that a static peer runs"), "this node itself does run: {missing:?}");
    for name in ["alpha", "delta"] {
        let node = number(&world, name);
        world.kill(node);
    }
    world.run_until(world.now() + Duration::from_secs(115));
    let health = world.view(charlie).expect("it runs").health;
    assert!(health.iter().any(|line| line.text == "no other node is reachable"), "{health:?}");
}

#[test]
fn a_direct_link_goes_on_when_everyone_else_has_left() {
    let scenario = Scenario::parse(include_str!("../../../examples/scenarios/four-boxes.yaml")).expect("a scenario");
    let mut world = World::new(&scenario, 5, Hosts::default());
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world.run_until(Time::from_secs(20));
    for name in ["alpha", "beta"] {
        command(&mut world, name, Command::Leave);
        world.run_until(world.now() + Duration::from_secs(5));
    }
    let health = world.view(number(&world, "charlie")).expect("it runs").health;
    let told: Vec<&str> = health.iter().map(|line| line.text.as_str()).collect();
    assert!(told.contains(&"no gateway is reachable: only direct links go on"), "{told:?}");
}

#[test]
fn the_last_gateway_carries_on_though_it_is_drained() {
    let mut world = mesh();
    command(&mut world, "g1", Command::Drain { drain: true });
    let other = number(&world, "g2");
    world.kill(other);
    // Idle links are asked every 110 s, and when the first packet comes.
    world.run_until(world.now() + Duration::from_secs(15));
    assert_eq!(lost_while(&mut world, Duration::from_secs(2)), 0);
    assert_eq!(via(&world, "l1", "l2"), "g1");
}

#[test]
fn a_gateway_made_dearer_is_passed_by_until_it_is_cheap_again() {
    let mut world = mesh();
    command(&mut world, "g1", Command::GatewayCost { cost: Some(5_000) });
    assert_eq!(lost_while(&mut world, Duration::from_secs(6)), 0);
    assert_eq!(via(&world, "l1", "l2"), "g2");
    command(&mut world, "g1", Command::GatewayCost { cost: None });
    assert_eq!(lost_while(&mut world, Duration::from_secs(6)), 0);
    assert_eq!(via(&world, "l1", "l2"), "g1");
    let leaf = number(&world, "l1");
    assert_eq!(world.command(leaf, Command::Drain { drain: true }), Err(CommandError::NoGateway));
}

#[test]
fn a_probe_by_command_does_not_wait_for_its_turn() {
    let mut world = mesh();
    let answered = |world: &World| {
        let view = world.view(number(world, "l1")).expect("it runs");
        view.nodes.iter().find(|node| node.name == "g2").and_then(|node| node.probes).expect("a link").answered
    };
    world.run_until(world.now() + Duration::from_secs(3));
    let before = answered(&world);
    command(&mut world, "l1", Command::Probe { peer: Some("10.1.1.2".to_owned()) });
    world.run_until(world.now() + Duration::from_millis(500));
    assert!(answered(&world) > before);
    let (leaf, other) = (number(&world, "l1"), "l2".to_owned());
    let refused = world.command(leaf, Command::Probe { peer: Some(other.clone()) });
    assert_eq!(refused, Err(CommandError::NotNeighbour(other)));
}

#[test]
fn every_node_sees_the_same_mesh() {
    let world = mesh();
    let seen = |name: &str| {
        let (engine, _) = world.engine(number(&world, name)).expect("it runs");
        let mesh = engine.mesh();
        assert!(mesh.nodes.iter().all(|node| node.state == NodeState::Linked), "{:?}", mesh.nodes);
        mesh.links.iter().map(|link| (link.a.clone(), link.b.clone(), link.cost, link.up)).collect::<Vec<_>>()
    };
    let expected = [("g1", "g2"), ("g1", "l1"), ("g1", "l2"), ("g1", "l3"), ("g2", "l1"), ("g2", "l2"), ("g2", "l3")];
    let ends: Vec<_> = seen("l1").into_iter().map(|(a, b, ..)| (a, b)).collect();
    assert_eq!(ends, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    for name in ["g1", "g2", "l2", "l3"] {
        assert_eq!(seen(name), seen("l1"), "{name}");
    }
}

#[test]
fn a_link_that_is_down_is_still_shown_by_its_own_end() {
    let mut world = mesh();
    let gone = number(&world, "g2");
    world.kill(gone);
    world.run_until(world.now() + Duration::from_secs(15));
    let (engine, _) = world.engine(number(&world, "g1")).expect("it runs");
    let mesh = engine.mesh();
    let link = mesh.links.iter().find(|link| (link.a.as_str(), link.b.as_str()) == ("g1", "g2")).expect("it is sought");
    assert!(!link.up && link.cost.is_none(), "{link:?}");
    let node = mesh.nodes.iter().find(|node| node.name == "g2").expect("it is known");
    assert_eq!(node.state, NodeState::Apart);
}

#[test]
fn who_cannot_be_reached_is_a_health_line_that_weighs_by_role() {
    let mut world = mesh();
    let lines = |world: &World| {
        let view = world.view(number(world, "l1")).expect("it runs");
        view.health.into_iter().map(|line| (line.severity, line.code, line.text)).collect::<Vec<_>>()
    };
    assert_eq!(lines(&world), []);
    for name in ["g2", "l2", "l3"] {
        let node = number(&world, name);
        world.kill(node);
    }
    world.run_until(world.now() + Duration::from_secs(15));
    let told = |severity, code, text: &str| (severity, code, text.to_owned());
    let others = lines(&world).into_iter().find(|line| line.1 == "node-unreachable").expect("a line").2;
    assert!(["l2 and l3 cannot be reached", "l3 and l2 cannot be reached"].contains(&others.as_str()), "{others}");
    assert_eq!(lines(&world)[0], told(Severity::Warning, "gateway-unreachable", "g2 cannot be reached"));
}

#[test]
fn a_static_peer_taken_out_of_the_file_is_no_gateway_any_more() {
    let mut world = mesh();
    edit_everywhere(&mut world, |config| {
        config.static_peers.retain(|peer| peer.addresses[0].to_string() != "10.1.1.1")
    });
    world.run_until(world.now() + Duration::from_secs(10));
    assert_eq!(via(&world, "l1", "l2"), "g2");
    assert_eq!(via(&world, "l1", "g1"), "g2", "it stays in the mesh as a leaf");
    assert_eq!(lost_while(&mut world, Duration::from_secs(2)), 0);
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}

#[test]
fn a_gateway_put_into_the_file_is_used_and_a_changed_cost_moves_paths() {
    let mut world = mesh();
    edit_everywhere(&mut world, |config| {
        let mut new = config.static_peers[1].clone();
        new.addresses = vec!["10.1.2.3".parse().expect("an address")];
        new.endpoint.host = "198.18.2.3".to_owned();
        new.endpoint.port = 50_003;
        new.admin_port = 50_503;
        new.cost = Some(20);
        config.static_peers.insert(0, new);
    });
    world.run_until(world.now() + Duration::from_secs(15));
    assert_eq!(via(&world, "l1", "l2"), "l3");
    edit_everywhere(&mut world, |config| config.static_peers[0].cost = Some(900));
    assert_eq!(lost_while(&mut world, Duration::from_secs(8)), 0);
    assert_eq!(via(&world, "l1", "l2"), "g1");
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}

#[test]
fn the_same_file_read_again_moves_nothing() {
    let mut world = mesh();
    edit_everywhere(&mut world, |_| {});
    assert_eq!(lost_while(&mut world, Duration::from_secs(4)), 0);
    let moved = world.journal().filter(|line| line.at > Time::from_secs(20)).count();
    assert_eq!(moved, 0, "no event but those of the start");
}

const NAMES: [&str; 5] = ["g1", "g2", "l1", "l2", "l3"];

/// What l1 forecasts of the changes, as ways.
fn forecast(world: &World, changes: &[WhatIf]) -> BTreeMap<(String, String), Option<Vec<String>>> {
    let (engine, _) = world.engine(number(world, "l1")).expect("it runs");
    let forecast = engine.what_if(changes).expect("all names are known");
    assert!(forecast.all_pairs && forecast.notes.is_empty(), "{forecast:?}");
    let mut ways = ways(world, &NAMES);
    ways.extend(forecast.moved.into_iter().map(|moved| ((moved.from, moved.to), Some(moved.after))));
    ways.extend(forecast.broken.into_iter().map(|pair| (pair, None)));
    ways
}

#[test]
fn what_was_forecast_of_a_drained_or_dearer_gateway_comes_true() {
    for (what_if, then) in [
        (WhatIf::Drain("g1".to_owned()), Command::Drain { drain: true }),
        (WhatIf::GatewayCost { name: "g1".to_owned(), cost: 150 }, Command::GatewayCost { cost: Some(150) }),
        (WhatIf::GatewayCost { name: "g1".to_owned(), cost: 450 }, Command::GatewayCost { cost: Some(450) }),
    ] {
        let mut world = mesh();
        let expected = forecast(&world, std::slice::from_ref(&what_if));
        command(&mut world, "g1", then);
        world.run_until(world.now() + Duration::from_secs(10));
        assert_eq!(ways(&world, &NAMES), expected, "{what_if:?}");
    }
}

#[test]
fn what_was_forecast_of_a_network_file_comes_true() {
    type Edit = fn(&mut Vec<StaticPeer>);
    let edits: [(&str, Edit); 4] = [
        ("a gateway taken out", |peers| drop(peers.remove(0))),
        ("a gateway that shall not forward", |peers| peers[0].gateway = Some(false)),
        ("another cost", |peers| peers[0].cost = Some(300)),
        ("no cost: measured again", |peers| peers[1].cost = None),
    ];
    for (what, edit) in edits {
        let mut world = mesh();
        let (engine, _) = world.engine(number(&world, "l1")).expect("it runs");
        let mut peers = engine.config().static_peers.clone();
        edit(&mut peers);
        let peer =
            |peer: &StaticPeer| FilePeer { addresses: peer.addresses.clone(), gateway: peer.gateway, cost: peer.cost };
        let file = WhatIf::File { gateways: GatewayPolicy::Static, peers: peers.iter().map(peer).collect() };
        let expected = forecast(&world, &[file]);
        edit_everywhere(&mut world, |config| edit(&mut config.static_peers));
        world.run_until(world.now() + Duration::from_secs(20));
        assert_eq!(ways(&world, &NAMES), expected, "{what}");
    }
}
