//! Direct links on demand: two leaves behind firewalls get one when they exchange traffic. The drawing is at
//! [`netns_tests::topology::TwoHubs`].

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::TwoHubs;
use netns_tests::{Lab, Load, Node};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(10);

fn wait_for(from: &Node, to: &Node, path: PathKind) {
    let address = to.address().to_string();
    from.wait_for("the path is as it should be", SOON, |status| {
        status.peers.iter().any(|peer| peer.address == address && peer.path == path)
    });
}

#[test]
fn a_pair_with_traffic_gets_a_direct_link_and_a_silent_one_does_not() {
    let lab = Lab::new("on demand", Load::Light);
    let mesh = TwoHubs::with(&lab, "direct: on-demand");
    lab.start_all(mesh.nodes());
    lab.all_pairs_pass(mesh.nodes(), SOON);
    wait_for(&mesh.left, &mesh.right, PathKind::Gateway);
    wait_for(&mesh.right, &mesh.left, PathKind::Gateway);
    let binary = netns_tests::node::binary().display().to_string();
    let why = mesh.left.machine().command(&binary, &["why", "right", "--socket", &mesh.left.socket()]);
    assert!(why.contains("only while there is traffic for it"), "{why}");

    // Only the left one begins; the right one takes part though its own counters may show nothing.
    let began = Instant::now();
    let flow = mesh.left.flow_to(&mesh.right, Duration::from_millis(50));
    wait_for(&mesh.left, &mesh.right, PathKind::Direct);
    wait_for(&mesh.right, &mesh.left, PathKind::Direct);
    flow.is_clean_for(Duration::from_secs(2), SOON);
    let report = flow.stop();
    assert_eq!(report.lost_but_for_moves(began, Instant::now()), 0, "{report}");
    // Through no hub any more.
    mesh.hubs.iter().for_each(|hub| {
        hub.kill();
    });
    lab.all_pairs_pass([&mesh.left, &mesh.right], SOON);
}
