//! The network file changes while daemons run.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use netns_tests::node::binary;
use netns_tests::topology::{Row, network_of_row, row};
use netns_tests::{Lab, Load, NetworkFile, Node, until};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(15);

fn reload(node: &Node, args: &[&str]) -> Result<String, String> {
    let socket = node.socket();
    let args = [&["reload", "--socket", &socket], args].concat();
    node.machine().namespace().attempt(&binary().display().to_string(), &args, "")
}

/// The names of the peers that the node's status lists.
fn peers(node: &Node) -> Vec<String> {
    node.status().map(|status| status.peers.into_iter().map(|peer| peer.name).collect()).unwrap_or_default()
}

fn with_one_more(network: &NetworkFile) -> NetworkFile {
    network.clone().peer("10.1.1.77", "192.0.2.77")
}

#[test]
fn a_peer_added_to_the_file_is_known_and_no_packet_is_lost() {
    let lab = Lab::new("reload", Load::Light);
    let network = network_of_row(1);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 3, &network);
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let flow = nodes[1].flow_to(&nodes[2], Duration::from_millis(20));
    // At the ports that bob has anyway: others would need a restart of bob.
    let bob = "  - endPoint: 192.0.2.2:50002\n    adminPort: 50502\n    wgIp: 10.1.1.2\n";
    let more = format!("{network}{bob}");
    for node in &nodes {
        node.set_network_text(&more);
        let told = reload(node, &[]).expect("no mistake");
        assert!(told.contains("+ peers 10.1.1.2") && told.trim_end().ends_with("applied"), "{told}");
    }
    nodes[0].wait_for("bob forwards, as the file says now", SOON, |status| {
        status.peers.iter().any(|peer| peer.name == "bob" && peer.gateway)
    });
    nodes[2].wait_for("all is direct", SOON, |status| status.peers.iter().all(|peer| peer.path == PathKind::Direct));
    let report = flow.stop();
    assert_eq!(report.lost(), 0, "of {}", report.sent());
}

#[test]
fn what_is_not_confirmed_is_taken_back_though_the_daemon_was_killed() {
    let lab = Lab::new("reload rolled back", Load::Light);
    let network = network_of_row(1);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 2, &network);
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let bob = &nodes[1];
    bob.set_network(&with_one_more(&network));
    let told = reload(bob, &["--confirm", "4s"]).expect("no mistake");
    assert!(told.contains("taken back in 4 s"), "{told}");
    assert!(peers(bob).contains(&"10.1.1.77".to_owned()));
    bob.kill();
    bob.start();
    bob.is_ready(SOON);
    until(SOON, || (peers(bob) == ["alice"]).then_some(())).expect("what was before acts again");
    let status = bob.status().expect("it runs");
    assert!(status.health.iter().any(|line| line.code == "rolled-back"), "{:?}", status.health);
    lab.all_pairs_pass(&nodes, SOON);
    bob.stop();
    bob.start();
    bob.is_ready(SOON);
    assert_eq!(peers(bob), ["alice"], "and after one more start");
}

#[test]
fn what_is_confirmed_stays_after_a_restart() {
    let lab = Lab::new("reload confirmed", Load::Light);
    let network = network_of_row(1);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 2, &network);
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let bob = &nodes[1];
    bob.set_network(&with_one_more(&network));
    reload(bob, &["--confirm", "1h"]).expect("no mistake");
    let refused = reload(bob, &[]).expect_err("one thing at a time");
    assert!(refused.contains("wgnet confirm"), "{refused}");
    bob.machine().command(&binary().display().to_string(), &["confirm", "--socket", &bob.socket()]);
    bob.kill();
    bob.start();
    bob.is_ready(SOON);
    assert!(peers(bob).contains(&"10.1.1.77".to_owned()));
}

#[test]
fn a_file_with_a_mistake_changes_nothing_and_says_where_it_is() {
    let lab = Lab::new("reload refused", Load::Light);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 2, &network_of_row(1));
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    nodes[1].set_network_text("network:\n  subnets: 10.1.1.0/24\n");
    let refused = reload(&nodes[1], &[]).expect_err("mistakes");
    assert!(refused.contains("net.yaml:2:3") && refused.contains("subnet"), "{refused}");
    assert_eq!(peers(&nodes[1]), ["alice"]);
}
