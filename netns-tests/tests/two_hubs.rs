//! Two public hubs and two leaves that cannot reach each other. One hub dies under traffic, and comes back. The drawing is at
//! [`netns_tests::topology::TwoHubs`].

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::TwoHubs;
use netns_tests::{Flow, FlowReport, Lab, Load, Node, allowed};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);

fn meshed(lab: &Lab) -> TwoHubs {
    let mesh = TwoHubs::new(lab);
    lab.start_all(mesh.nodes());
    lab.all_pairs_pass(mesh.nodes(), SOON);
    mesh
}

/// Which of the nodes have the kernel's tunnel.
fn kernels(mesh: &TwoHubs) -> Vec<usize> {
    let in_kernel = |node: &Node| node.status().expect("it runs").node.tunnel == "kernel";
    mesh.nodes().into_iter().enumerate().filter(|(_, node)| in_kernel(node)).map(|(number, _)| number).collect()
}

/// So many packets may be lost when a path moves: none between embedded tunnels, those of a round trip where kernels take
/// part, whose prefixes are at one peer only.
fn at_most(report: &FlowReport, kernels: &[usize]) -> usize {
    let slowest = report.round_trips().map_or(Duration::ZERO, |(slowest, _)| slowest);
    let packets = (slowest + Duration::from_millis(5)).as_millis().div_ceil(TICK.as_millis());
    if kernels.is_empty() { 0 } else { usize::try_from(packets).expect("few") }
}

#[test]
fn a_hub_killed_under_traffic_is_replaced_within_four_seconds_and_takes_over_again_without_loss() {
    let lab = Lab::new("two hubs", Load::Heavy);
    let mesh = meshed(&lab);
    let flows = [mesh.left.flow_to(&mesh.right, TICK), mesh.right.flow_to(&mesh.left, TICK)];
    Flow::all_clean_for(&flows, Duration::from_secs(2), Duration::from_secs(20));
    let carrier = mesh.carrier(SOON);
    let kernels = kernels(&mesh);
    let killed = mesh.hubs[carrier].kill();
    Flow::all_clean_for(&flows, Duration::from_secs(3), Duration::from_secs(20));
    let other = mesh.hubs[1 - carrier].name();
    mesh.left.wait_for("traffic takes the other hub", SOON, |status| {
        status.peers.iter().any(|peer| peer.name == "right" && peer.via.as_deref() == Some(other))
    });

    let returned = Instant::now();
    mesh.hubs[carrier].start();
    let dead = mesh.hubs[carrier].address();
    for leaf in [&mesh.left, &mesh.right] {
        leaf.wait_for("the hub is back", Duration::from_secs(60), |status| {
            status.peers.iter().any(|peer| peer.address == dead.to_string() && peer.path == PathKind::Direct)
        });
    }
    Flow::all_clean_for(&flows, Duration::from_secs(8), Duration::from_secs(30));
    for flow in flows {
        let report = flow.stop();
        let outages = report.outages();
        let meanwhile = outages.iter().filter(|(start, _)| *start < returned);
        let recovered = meanwhile.map(|(start, length)| (*start + *length).saturating_duration_since(killed)).max();
        // A kernel's tunnel goes on without its daemon, until the others take it for dead.
        assert!(recovered.is_some() || kernels.contains(&carrier), "the killed hub did carry the traffic: {report}");
        assert!(recovered.is_none_or(|time| time < allowed(Duration::from_secs(4))), "{recovered:?}: {report}");
        let lost = report.lost_between(returned, Instant::now());
        assert!(lost <= at_most(&report, &kernels), "{lost} lost by moving back: {report}");
    }
}

#[test]
fn a_hub_that_leaves_in_order_takes_no_packet_with_it() {
    let lab = Lab::new("two hubs, one leaves", Load::Heavy);
    let mesh = meshed(&lab);
    let flow = mesh.left.flow_to(&mesh.right, TICK);
    flow.is_clean_for(Duration::from_secs(2), Duration::from_secs(20));
    let asked = Instant::now();
    let status = mesh.hubs[mesh.carrier(SOON)].stop();
    assert!(status.success(), "{status}");
    flow.is_clean_for(Duration::from_secs(2), Duration::from_secs(20));
    let report = flow.stop();
    let out = report.recovery_after(asked).expect("traffic goes on");
    assert!(out < allowed(Duration::from_secs(1)), "{out:?}: {report}");
}
