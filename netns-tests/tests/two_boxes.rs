//! Two boxes on one segment: they reach each other, see each other in `status`, and leave nothing behind.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use netns_tests::topology::{Row, machine_of_row, network_of_row, row};
use netns_tests::{Lab, Load, NetworkFile, allowed, until};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(10);
/// Ten times the figure that the benchmark measures: here the machine is busy with other labs.
const MESHED: Duration = Duration::from_millis(1500);

fn two(lab: &Lab) -> Row {
    row(lab, lab.bridge("lan"), 2, &network_of_row(1))
}

#[test]
fn two_boxes_reach_each_other_whoever_starts_first() {
    for order in [[0, 1], [1, 0]] {
        let lab = Lab::new("two boxes", Load::Light);
        let Row { nodes, segment: _segment } = two(&lab);
        let pairs = lab.watch_pairs(&nodes);
        nodes[order[0]].start();
        nodes[order[0]].is_ready(SOON);
        let last = nodes[order[1]].start();
        let took = pairs.finish(SOON).complete_after(last);
        assert!(took < allowed(MESHED), "{took:?} when {} starts last", nodes[order[1]].name());
    }
}

#[test]
fn two_boxes_started_at_the_same_moment_reach_each_other() {
    let lab = Lab::new("two boxes at once", Load::Light);
    let Row { nodes, segment: _segment } = two(&lab);
    let pairs = lab.watch_pairs(&nodes);
    let last = lab.start_all(&nodes);
    let took = pairs.finish(SOON).complete_after(last);
    assert!(took < allowed(MESHED), "{took:?}");
}

#[test]
fn status_shows_the_other_box_as_direct_with_its_endpoint() {
    let lab = Lab::new("two boxes status", Load::Light);
    let Row { nodes, segment: _segment } = two(&lab);
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let status = nodes[1].wait_for("alice is direct, at her endpoint", SOON, |status| {
        let alice = status.peers.iter().find(|peer| peer.name == "alice");
        alice.is_some_and(|peer| peer.path == PathKind::Direct && peer.endpoint.as_deref() == Some("192.0.2.1:50000"))
    });
    let alice = &status.peers[0];
    assert_eq!((alice.address.as_str(), alice.hops), ("10.1.1.1", 1));
    assert_eq!(
        (status.node.name.as_str(), status.node.address.as_str(), status.node.interface.as_str()),
        ("bob", "10.1.1.2", "wg0")
    );
    assert!(!alice.why.is_empty());
    let text = nodes[1]
        .machine()
        .command(&netns_tests::node::binary().display().to_string(), &["status", "--socket", &nodes[1].socket()]);
    assert!(text.contains("alice") && text.contains("10.1.1.1") && text.contains("direct"), "{text}");
}

#[test]
fn a_box_that_is_told_to_stop_is_dropped_at_once_and_leaves_no_trace() {
    let lab = Lab::new("two boxes stop", Load::Light);
    let Row { nodes, segment: _segment } = two(&lab);
    let [alice, bob] = &nodes[..] else { unreachable!("two nodes") };
    let before = bob.machine().footprint();
    alice.start();
    bob.start();
    lab.all_pairs_pass(&nodes, SOON);
    assert!(bob.machine().interfaces().contains(&"wg0".to_owned()));
    let status = bob.stop();
    assert!(status.success(), "{status}");
    alice.wait_for("bob is gone", Duration::from_secs(2), |status| {
        status.peers.iter().all(|peer| peer.name != "bob" || peer.path == PathKind::Unreachable)
    });
    // Keys and records stay for the next start; they are all that stays.
    let left = bob.machine().footprint();
    let ours = |line: &&str| !line.starts_with("/run/lab/") && !["/run/wgnet", "/run/wireguard"].contains(line);
    assert_eq!(left.lines().filter(ours).collect::<Vec<_>>(), before.lines().filter(ours).collect::<Vec<_>>());
}

#[test]
fn an_overlay_of_ipv4_and_ipv6_carries_both() {
    let lab = Lab::new("two boxes dual", Load::Light);
    let segment = lab.bridge("lan");
    let mut network = network_of_row(1);
    network.subnets.push("fd01::/64".to_owned());
    network.peers[0].addresses.push("fd01::1".parse().expect("an address"));
    let node = |n: usize, name: &str| {
        lab.node(&machine_of_row(&lab, &segment, n), &network, name, &[&format!("10.1.1.{n}"), &format!("fd01::{n}")])
    };
    let nodes = [node(1, "alice"), node(2, "bob")];
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let ping =
        |target: &str| nodes[0].machine().namespace().attempt("ping", &["-c1", "-W1", "-I", "wg0", target], "").ok();
    until(SOON, || ping("fd01::2")).expect("IPv6 passes, too");
}

#[test]
fn boxes_meet_over_an_ipv6_underlay() {
    let lab = Lab::new("two boxes IPv6", Load::Light);
    let segment = lab.bridge("lan");
    let network = NetworkFile::new("10.1.1.0/24").peer("10.1.1.1", "2001:db8::1");
    let node = |n: usize, name: &str| {
        let machine = lab.machine_on(&segment, name, &[&format!("2001:db8::{n}/64")]);
        lab.node(&machine, &network, name, &[&format!("10.1.1.{n}")])
    };
    let nodes = [node(1, "alice"), node(2, "bob")];
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    nodes[1].wait_for("alice's IPv6 endpoint", SOON, |status| {
        status.peers.iter().any(|peer| peer.endpoint.as_deref() == Some("[2001:db8::1]:50000"))
    });
}

#[test]
fn packets_as_large_as_the_mtu_pass_and_larger_ones_are_refused_with_the_mtu() {
    let lab = Lab::new("two boxes MTU", Load::Light);
    let Row { nodes, segment: _segment } = two(&lab);
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let link = nodes[0].machine().command("ip", &["-o", "link", "show", "wg0"]);
    assert!(link.contains("mtu 1420"), "{link}");
    // 1420 bytes less 20 of IPv4 and 8 of ICMP.
    nodes[0].machine().command("ping", &["-c3", "-i0.2", "-W1", "-M", "do", "-s", "1392", "10.1.1.2"]);
    let refused =
        nodes[0].machine().namespace().attempt("ping", &["-c1", "-W1", "-M", "do", "-s", "1393", "10.1.1.2"], "");
    assert!(refused.as_ref().is_err_and(|text| text.contains("1420")), "{refused:?}");
}

#[test]
fn a_peer_whose_name_resolves_only_later_is_found_then_and_again_after_it_moves() {
    let lab = Lab::new("dynamic DNS", Load::Light);
    let segment = lab.bridge("lan");
    let network = NetworkFile::new("10.1.1.0/24").peer("10.1.1.1", "alice.example");
    let node =
        |n: usize, name: &str| lab.node(&machine_of_row(&lab, &segment, n), &network, name, &[&format!("10.1.1.{n}")]);
    let nodes = [node(1, "alice"), node(2, "bob")];
    let [alice, bob] = &nodes;
    alice.machine().hosts(&[("alice.example", "192.0.2.1".parse().expect("an address"))]);
    bob.machine().hosts(&[]);
    alice.start();
    bob.start();
    bob.wait_for("the unknown name is shown", SOON, |status| {
        status.health.iter().any(|line| line.text.contains("alice.example"))
    });
    bob.machine().hosts(&[("alice.example", "192.0.2.1".parse().expect("an address"))]);
    lab.all_pairs_pass(&nodes, Duration::from_secs(60));
    alice.kill();
    alice.machine().ip("addr del 192.0.2.1/24 dev eth0\naddr add 192.0.2.77/24 dev eth0");
    bob.machine().hosts(&[("alice.example", "192.0.2.77".parse().expect("an address"))]);
    alice.machine().hosts(&[("alice.example", "192.0.2.77".parse().expect("an address"))]);
    alice.start();
    lab.all_pairs_pass(&nodes, Duration::from_secs(60));
}
