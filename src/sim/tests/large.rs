//! A mesh of more nodes than pairs should have links: it forms, stays within its budgets, and loses a gateway.

use std::time::Duration;

use super::super::large;
use super::super::world::{Hosts, World};
use crate::mesh::time::Time;
use crate::mesh::view::PathKind;

const GATEWAYS: usize = 8;
const LEAVES: usize = 92;
/// All leaves join within so many seconds.
const STORM: usize = 30;

/// Nodes that do not know a way to some other running node.
fn apart(world: &World, nodes: &[usize]) -> usize {
    let knows_all = |node: &usize| {
        let view = world.view(*node).expect("it runs");
        let reached = view.nodes.iter().filter(|other| other.path != PathKind::Unreachable).count();
        reached + 1 >= nodes.len()
    };
    nodes.iter().filter(|node| !knows_all(node)).count()
}

#[test]
fn a_hundred_nodes_join_in_half_a_minute_and_do_without_a_gateway() {
    let mut world = World::new(&large::scenario(1, GATEWAYS, LEAVES, 0.01), 1, Hosts::default());
    let number = |world: &World, name: String| world.number(&name).expect("a node of the mesh");
    let gateways: Vec<usize> = (1..=GATEWAYS).map(|n| number(&world, format!("g{n}"))).collect();
    gateways.iter().for_each(|gateway| world.start_daemon(*gateway));
    world.run_until(Time::from_secs(10));
    let mut nodes = gateways.clone();
    let mut before: Vec<u64> = gateways.iter().map(|gateway| world.underlay_bytes(*gateway)).collect();
    let mut busiest = 0;
    for second in 1..=STORM {
        for leaf in (second - 1) * LEAVES / STORM..second * LEAVES / STORM {
            nodes.push(number(&world, format!("l{}", leaf + 1)));
            world.start_daemon(nodes[nodes.len() - 1]);
        }
        world.run_until(world.now() + Duration::from_secs(1));
        for (gateway, before) in gateways.iter().zip(&mut before) {
            let bytes = world.underlay_bytes(*gateway);
            busiest = busiest.max(bytes - std::mem::replace(before, bytes));
        }
    }
    world.run_until(world.now() + Duration::from_secs(30));
    assert_eq!(apart(&world, &nodes), 0, "30 s after the last one came");
    // A joining node is told everything once, and everyone is told of it.
    assert!(busiest <= 2_000_000, "a gateway sent and received {busiest} bytes in one second");
    world.kill(gateways[0]);
    nodes.remove(0);
    world.run_until(world.now() + Duration::from_secs(10));
    assert_eq!(apart(&world, &nodes), 0, "10 s after a gateway died");
    world.run_until(world.now() + Duration::from_secs(60));
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}
