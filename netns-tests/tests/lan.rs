//! Boxes on one LAN and no gateway anywhere: the only static peer of the file is far away, and there is no way to it.
//!
//! ```text
//!   alice   bob   charlie ...      all with the same ports
//!     |      |      |
//!     '------+------+---- switch
//! ```

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::NAMES;
use netns_tests::{Lab, Load, Machine, NetworkFile, Node, Segment, allowed, until};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(20);
/// What a user is promised.
const FOUND: Duration = Duration::from_secs(5);

fn network() -> NetworkFile {
    NetworkFile::new("10.1.1.0/24").peer("10.1.1.200", "198.51.100.9")
}

fn on_lan(lab: &Lab, machine: &Machine, number: usize) -> Node {
    let node = lab.node(machine, &network(), NAMES[number - 1], &[&format!("10.1.1.{number}")]);
    node.announces(true);
    node.add_args(&["--tunnel", "userspace", "-w", "51820", "-u", "51821"]);
    node
}

/// The first machines of a LAN.
fn boxes(lab: &Lab, switch: &Segment, count: usize) -> Vec<Node> {
    let one = |n: usize| {
        let machine = lab.machine_on(switch, NAMES[n - 1], &[&format!("192.168.1.{n}/24")]);
        on_lan(lab, &machine, n)
    };
    (1..=count).map(one).collect()
}

/// All pairs pass within what is promised after the last one's start, and say that it is by their LAN.
fn found(lab: &Lab, nodes: &[Node]) {
    let pairs = lab.watch_pairs(nodes);
    let last = lab.start_all(nodes);
    let took = pairs.finish(SOON).complete_after(last);
    assert!(took < allowed(FOUND), "{took:?}");
    for node in nodes {
        node.wait_for("all others are direct by the LAN", SOON, |status| {
            let others = status.peers.iter().filter(|peer| peer.name != "10.1.1.200");
            others.clone().count() + 1 == nodes.len()
                && others.into_iter().all(|peer| peer.path == PathKind::Direct && peer.lan)
        });
    }
}

#[test]
fn two_boxes_reach_each_other_whichever_way_announcements_pass() {
    let filters = [
        ("", "all ways"),
        ("ip daddr 224.0.0.0/4 drop; ip6 daddr ff00::/8 drop;", "broadcast alone"),
        ("ip daddr 224.0.0.0/4 drop; pkttype broadcast udp dport 50490 drop;", "IPv6 alone"),
        ("ip6 daddr ff02::77:676e:6574 drop; pkttype broadcast udp dport 50490 drop;", "IPv4 multicast alone"),
    ];
    for (rules, what) in filters {
        let lab = Lab::new(&format!("LAN, {what}"), Load::Light);
        let switch = lab.bridge("switch");
        let nodes = boxes(&lab, &switch, 2);
        for node in &nodes {
            let chain = format!("chain in {{ type filter hook input priority 0;\n {rules}\n }}");
            node.machine().nft(&format!("table inet filtered {{\n{chain}\n}}"));
        }
        found(&lab, &nodes);
    }
}

#[test]
fn two_boxes_on_a_cable_without_any_address_reach_each_other() {
    let lab = Lab::new("LAN of link-local addresses", Load::Light);
    let cable = lab.bridge("cable");
    let nodes = [1, 2].map(|n| on_lan(&lab, &lab.machine_on(&cable, NAMES[n - 1], &[]), n));
    found(&lab, &nodes);
    let peer = nodes[0].peer(nodes[1].address()).expect("known");
    assert!(peer.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("[fe80:")), "{:?}", peer.endpoint);
}

/// Where packets from one box to another go: directly, by the LAN or not, or through a gateway.
fn way(from: &Node, to: &Node) -> Option<(PathKind, bool)> {
    from.peer(to.address()).map(|peer| (peer.path, peer.lan))
}

#[test]
fn a_lan_that_dies_is_left_for_a_gateway_within_seven_seconds_and_taken_again_when_it_is_back() {
    let lab = Lab::new("a LAN dies", Load::Light);
    let (switch, internet) = (lab.bridge("switch"), lab.bridge("internet"));
    let network = NetworkFile::new("10.1.1.0/24").peer("10.1.1.200", "198.51.100.200");
    let hub = lab.node(&lab.machine_on(&internet, "hub", &["198.51.100.200/24"]), &network, "hub", &["10.1.1.200"]);
    let boxes = boxes(&lab, &switch, 2);
    let [alice, bob] = &boxes[..] else { unreachable!("two boxes") };
    for (number, node) in (1..).zip(&boxes) {
        node.set_network(&network);
        node.machine().plug(&internet, &[&format!("198.51.100.{number}/24")]);
    }
    internet.cut(alice.machine(), bob.machine());
    lab.start_all([&hub, alice, bob]);
    let by_lan = Some((PathKind::Direct, true));
    until(SOON, || (way(alice, bob) == by_lan && way(bob, alice) == by_lan).then_some(())).expect("by the LAN");
    let flow = alice.flow_to(bob, Duration::from_millis(20));
    flow.is_clean_for(Duration::from_secs(1), SOON);
    switch.cut(alice.machine(), bob.machine());
    let cut = Instant::now();
    flow.is_clean_for(Duration::from_secs(1), SOON);
    let left = cut.elapsed();
    assert!(left < allowed(Duration::from_secs(7)) + Duration::from_secs(1), "{left:?}");
    assert_eq!(way(alice, bob).map(|(path, _)| path), Some(PathKind::Gateway));
    switch.heal(alice.machine(), bob.machine());
    until(SOON, || (way(alice, bob) == by_lan && way(bob, alice) == by_lan).then_some(())).expect("by the LAN again");
    flow.stop();
}

#[test]
fn ten_boxes_at_rest_send_less_than_ten_frames_a_second_in_all() {
    let lab = Lab::new("ten boxes on a LAN", Load::Heavy);
    let switch = lab.bridge("switch");
    let nodes = boxes(&lab, &switch, 10);
    found(&lab, &nodes);
    // Until the kernel's own solicitations and the first announcements are over.
    std::thread::sleep(Duration::from_secs(20));
    let before = switch.frames();
    std::thread::sleep(Duration::from_secs(120));
    let rate = (switch.frames() - before) as f64 / 120.0;
    assert!(rate < 10.0, "{rate} frames a second");
}

#[test]
fn two_networks_on_one_lan_leave_each_other_alone_and_two_daemons_of_a_machine_hear_both() {
    let lab = Lab::new("two networks on a LAN", Load::Light);
    let switch = lab.bridge("switch");
    let machines = [1, 2].map(|n| lab.machine_on(&switch, NAMES[n - 1], &[&format!("192.168.1.{n}/24")]));
    let mut other = NetworkFile::new("10.2.2.0/24").peer("10.2.2.200", "198.51.100.9");
    other.shared_key = "hyHf3tJ8nzAVPnWVFcXRg8AfSqFRxrWuQU3m1YCBGQk=".to_owned();
    let ours = [1, 2].map(|n| on_lan(&lab, &machines[n - 1], n));
    let theirs = [1, 2].map(|n| {
        let name = ["xaver", "yvonne"][n - 1];
        let node = lab.node_with_interface(&machines[n - 1], &other, name, "wg1", &[&format!("10.2.2.{n}")]);
        node.announces(true);
        node.add_args(&["--tunnel", "userspace", "-w", "51920", "-u", "51921"]);
        node
    });
    let pairs = [lab.watch_pairs(&ours), lab.watch_pairs(&theirs)];
    let last = lab.start_all(ours.iter().chain(&theirs));
    for pairs in pairs {
        let took = pairs.finish(SOON).complete_after(last);
        assert!(took < allowed(FOUND), "{took:?}");
    }
    for node in ours.iter().chain(&theirs) {
        let status = node.status().expect("it runs");
        assert_eq!(status.peers.len(), 2, "the static peer of its file and one other: {:?}", status.peers);
    }
}

#[test]
fn a_box_that_keeps_quiet_is_not_found_and_finds_nobody() {
    let lab = Lab::new("a quiet box on a LAN", Load::Light);
    let switch = lab.bridge("switch");
    let nodes = boxes(&lab, &switch, 3);
    nodes[2].machine().write("/run/lab/node.yaml", "lan: false\n");
    nodes[2].set_env("WGNET_LAN", "");
    nodes[2].add_args(&["-p", "/run/lab/node.yaml"]);
    nodes[2].start();
    found(&lab, &nodes[..2]);
    lab.none_pass(&nodes[0], &nodes[2], Duration::from_secs(3));
    assert!(nodes[2].status().expect("it runs").peers.iter().all(|peer| peer.name == "10.1.1.200"));
}
