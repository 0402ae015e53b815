//! Three boxes on a bridge, with a static peer in the file that never answers: it does no harm.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use netns_tests::topology::{network_of_row, row};
use netns_tests::{Lab, Load, allowed};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn three_boxes_mesh_although_a_static_peer_never_answers() {
    let lab = Lab::new("three boxes", Load::Light);
    let network = network_of_row(1).peer("10.1.1.200", "192.0.2.200");
    let lan = row(&lab, lab.bridge("lan"), 3, &network);
    let pairs = lab.watch_pairs(&lan.nodes);
    let last = lab.start_all(&lan.nodes);
    let took = pairs.finish(SOON).complete_after(last);
    // Ten times the figure that the benchmark measures.
    assert!(took < allowed(Duration::from_millis(2500)), "{took:?}");
    for node in &lan.nodes {
        node.wait_for("all see each other on the bridge, and the silent peer is listed", SOON, |status| {
            let path = |address: &str| status.peers.iter().find(|peer| peer.address == address).map(|peer| peer.path);
            let others =
                (1..=3).map(|n| format!("10.1.1.{n}")).filter(|address| *address != node.address().to_string());
            others.map(|address| path(&address)).all(|path| path == Some(PathKind::Direct))
                && path("10.1.1.200") == Some(PathKind::Unreachable)
        });
    }
}

#[test]
fn the_static_peer_that_comes_last_is_found() {
    let lab = Lab::new("static peer last", Load::Light);
    let lan = row(&lab, lab.bridge("lan"), 3, &network_of_row(1));
    let [alice, bob, charlie] = &lan.nodes[..] else { unreachable!("three nodes") };
    bob.start();
    charlie.start();
    for node in [bob, charlie] {
        node.wait_for("alice is looked for", SOON, |status| status.peers.iter().any(|peer| peer.address == "10.1.1.1"));
    }
    let pairs = lab.watch_pairs(&lan.nodes);
    let last = alice.start();
    let took = pairs.finish(Duration::from_secs(30)).complete_after(last);
    assert!(took < allowed(Duration::from_secs(15)), "{took:?}");
}
