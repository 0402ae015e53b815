//! Drills: who may withdraw a gateway, what is measured, and that it ends.

use std::time::Duration;

use super::super::scenario::Scenario;
use super::super::world::{Hosts, World};
use crate::mesh::io::{Command, CommandError};
use crate::mesh::time::Time;
use crate::mesh::view::{DrillReport, DrillState};

/// Three gateways; a listed leaf, and three that are not; l3 reaches g1 alone where `alone`.
fn mesh(alone: bool) -> World {
    let reaches = if alone { ", reaches: [g1]" } else { "" };
    let text = format!(
        "name: drills\nabout: a gateway withdraws\nnetwork: {{ subnet: 10.1.0.0/16, direct: never }}\n\
        segments: {{ net: {{ prefix: 198.18.0.0/16 }} }}\nduration: 10m\nnodes:\n  \
        g1: {{ address: 10.1.1.1, attach: {{ net: 198.18.1.1 }}, static: true, cost: 50 }}\n  \
        g2: {{ address: 10.1.1.2, attach: {{ net: 198.18.1.2 }}, static: true, cost: 100 }}\n  \
        g3: {{ address: 10.1.1.3, attach: {{ net: 198.18.1.3 }}, static: true, cost: 200 }}\n  \
        listed: {{ address: 10.1.2.9, attach: {{ net: 198.18.2.9 }}, static: true, gateway: false }}\n  \
        l1: {{ address: 10.1.2.1, attach: {{ net: 198.18.2.1 }} }}\n  \
        l2: {{ address: 10.1.2.2, attach: {{ net: 198.18.2.2 }} }}\n  \
        l3: {{ address: 10.1.2.3, attach: {{ net: 198.18.2.3 }}{reaches} }}\n"
    );
    let scenario = Scenario::parse(&text).expect("a scenario");
    let mut world = World::new(&scenario, 7, Hosts::default());
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world.run_until(Time::from_secs(20));
    world
}

fn number(world: &World, name: &str) -> usize {
    world.number(name).expect("a node of the scenario")
}

fn drill(world: &mut World, at: &str, gateway: &str, seconds: u64, force: bool) -> Result<(), CommandError> {
    let (node, gateway) = (number(world, at), gateway.to_owned());
    world.command(node, Command::Drill { gateway, lasts: Duration::from_secs(seconds), force })
}

fn report(world: &World, at: &str) -> DrillReport {
    let (engine, now) = world.engine(number(world, at)).expect("it runs");
    engine.drill_report(now).expect("it measured a drill")
}

fn run_for(world: &mut World, seconds: u64) {
    world.run_until(world.now() + Duration::from_secs(seconds));
}

/// Whether a node answers a ping now.
fn answers(world: &mut World, from: &str, to: &str) -> bool {
    let (from, to) = (number(world, from), number(world, to));
    let ping = world.ping(from, to);
    run_for(world, 1);
    world.ping_result(ping).is_some_and(|ping| ping.passed())
}

#[test]
fn a_drill_withdraws_the_gateway_measures_every_node_and_ends_by_itself() {
    let mut world = mesh(false);
    drill(&mut world, "listed", "g1", 10, false).expect("taken");
    run_for(&mut world, 6);
    assert_eq!(report(&world, "listed").state, DrillState::Away);
    assert!(!answers(&mut world, "l1", "g1"), "it is as if it were dead");
    run_for(&mut world, 40);
    let report = report(&world, "listed");
    assert_eq!((report.state, report.problem.as_deref()), (DrillState::Over, None));
    assert!(report.away.is_some_and(|away| (10..20).contains(&away.as_secs())), "{report:?}");
    let names: Vec<&str> = report.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["g2", "g3", "l1", "l2", "l3"]);
    for node in &report.nodes {
        assert!(node.answers && node.sent > 100 && node.linked, "{node:?}");
        assert!(node.outage <= Duration::from_secs(4), "{node:?}");
        assert!(node.let_go.is_some_and(|time| time <= Duration::from_secs(6)), "{node:?}");
    }
    let out = |name: &str| report.nodes.iter().find(|node| node.name == name).expect("it is watched").outage;
    assert!(out("l1") > Duration::from_millis(500), "its traffic did go through g1");
    assert!(answers(&mut world, "l1", "g1"));
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}

#[test]
fn only_a_listed_node_may_withdraw_a_gateway_and_only_another_one() {
    let mut world = mesh(false);
    assert_eq!(drill(&mut world, "l1", "g1", 10, true), Err(CommandError::NotListed));
    assert_eq!(drill(&mut world, "g1", "g1", 10, true), Err(CommandError::DrillHere));
    assert_eq!(drill(&mut world, "g1", "l1", 10, true), Err(CommandError::NotAGateway("l1".to_owned())));
    // A member that changes its own file is listed nowhere else.
    let l1 = number(&world, "l1");
    world.edit_file(l1, |config| {
        let mut own = config.static_peers[0].clone();
        own.addresses = config.addresses.clone();
        own.endpoint.host = "198.18.2.1".to_owned();
        own.name = None;
        own.gateway = Some(false);
        config.static_peers.push(own);
    });
    run_for(&mut world, 5);
    drill(&mut world, "l1", "g1", 10, true).expect("its own file allows it");
    run_for(&mut world, 8);
    let problem = report(&world, "l1").problem;
    assert_eq!(problem.as_deref(), Some("g1 refuses: its network file does not list this node"));
    assert!(answers(&mut world, "l2", "g1"));
}

#[test]
fn a_drill_ends_though_the_node_that_began_it_dies() {
    let mut world = mesh(false);
    drill(&mut world, "listed", "g1", 10, false).expect("taken");
    run_for(&mut world, 5);
    let listed = number(&world, "listed");
    world.kill(listed);
    assert!(!answers(&mut world, "l1", "g1"));
    run_for(&mut world, 20);
    assert!(answers(&mut world, "l1", "g1"));
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}

#[test]
fn a_gateway_called_back_is_there_at_once() {
    let mut world = mesh(false);
    drill(&mut world, "g2", "g1", 300, false).expect("taken");
    run_for(&mut world, 8);
    assert!(!answers(&mut world, "l1", "g1"));
    let g2 = number(&world, "g2");
    world.command(g2, Command::EndDrill).expect("a drill goes on");
    run_for(&mut world, 12);
    assert!(answers(&mut world, "l1", "g1"));
    let report = report(&world, "g2");
    assert_eq!((report.state, report.problem), (DrillState::Over, None));
    assert_eq!(world.command(g2, Command::EndDrill), Err(CommandError::NoDrill));
}

#[test]
fn two_drills_at_once_are_refused_from_wherever_they_come() {
    let mut world = mesh(false);
    drill(&mut world, "listed", "g1", 20, false).expect("taken");
    assert_eq!(drill(&mut world, "listed", "g2", 20, true), Err(CommandError::DrillGoesOn));
    run_for(&mut world, 3);
    assert_eq!(drill(&mut world, "g3", "g2", 20, true), Err(CommandError::DrillGoesOn));
    run_for(&mut world, 60);
    // And of two that begin at the same moment one goes on.
    let mut world = mesh(false);
    drill(&mut world, "g3", "g1", 20, true).expect("taken");
    drill(&mut world, "listed", "g2", 20, true).expect("taken");
    run_for(&mut world, 8);
    let states = [report(&world, "g3"), report(&world, "listed")];
    let away = states.iter().filter(|report| report.state == DrillState::Away).count();
    assert_eq!(away, 1, "{states:?}");
    let refused = states.iter().filter_map(|report| report.problem.as_deref()).collect::<Vec<_>>();
    assert!(refused.len() == 1 && refused[0].contains("another drill goes on"), "{refused:?}");
}

#[test]
fn a_drill_that_would_cut_nodes_off_is_refused_unless_it_is_forced() {
    let mut world = mesh(true);
    assert_eq!(drill(&mut world, "g2", "g1", 5, false), Err(CommandError::CutsOff("l3".to_owned())));
    assert!(answers(&mut world, "l1", "l3"));
    drill(&mut world, "g2", "g1", 5, true).expect("taken");
    run_for(&mut world, 5);
    assert!(!answers(&mut world, "l1", "l3"));
    run_for(&mut world, 30);
    let report = report(&world, "g2");
    let l3 = report.nodes.iter().find(|node| node.name == "l3").expect("it is watched");
    assert!(l3.outage > Duration::from_secs(4), "{l3:?}");
    assert!(answers(&mut world, "l1", "l3"));
}
