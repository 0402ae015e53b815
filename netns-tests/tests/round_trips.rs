//! Paths follow the round trips that are measured on lines with delay, jitter and loss, and then stay where they are.
//!
//! The kernel itself delays here (netem), so these run in the virtual machine of `netns-tests/kernel-vm` only.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use netns_tests::topology::{Row, network_of_row, row};
use netns_tests::{Lab, Load, Machine, Node};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(10);

/// Round trips grow by so much where a line is short and where it is long: much more than an emulated processor adds.
const SHORT: u32 = 100;
const LONG: u32 = 700;

/// Delays what `machine` sends to machine number `to` of its row, with 15 % jitter and 5 % loss.
fn delay(machine: &Machine, to: usize, millis: u32) {
    let (class, handle) = (format!("1:{to}"), format!("{to}0:"));
    let (mean, jitter) = (format!("{millis}ms"), format!("{}ms", millis * 15 / 100));
    let netem = ["netem", "delay", &mean, &jitter, "loss", "5%", "limit", "10000"];
    let place = ["qdisc", "replace", "dev", "eth0", "parent", &class, "handle", &handle];
    machine.command("tc", &[&place[..], &netem].concat());
}

/// Gives every machine a queue for each other one, numbered alike; what is for nobody of them goes undelayed.
fn queues(nodes: &[Node]) {
    for (number, node) in (1..).zip(nodes) {
        let machine = node.machine();
        let undelayed = number.to_string();
        let priomap = vec![(number - 1).to_string(); 16];
        let map: Vec<&str> = priomap.iter().map(String::as_str).collect();
        let prio = ["qdisc", "add", "dev", "eth0", "root", "handle", "1:", "prio", "bands", "3", "priomap"];
        machine.command("tc", &[&prio[..], &map].concat());
        for to in (1..=nodes.len()).filter(|to| to.to_string() != undelayed) {
            let (target, class) = (format!("192.0.2.{to}/32"), format!("1:{to}"));
            let filter =
                ["filter", "add", "dev", "eth0", "parent", "1:", "protocol", "ip", "u32", "match", "ip", "dst"];
            machine.command("tc", &[&filter[..], &[&target, "flowid", &class]].concat());
        }
    }
}

/// Three gateways of which the first two have a long line between them, and short ones to the third.
fn triangle(lab: &Lab) -> Row {
    let row = row(lab, lab.bridge("lan"), 3, &network_of_row(3));
    queues(&row.nodes);
    let machine = |n: usize| row.nodes[n - 1].machine();
    for (from, to, millis) in [(1, 2, LONG), (1, 3, SHORT), (2, 3, SHORT)] {
        delay(machine(from), to, millis / 2);
        delay(machine(to), from, millis / 2);
    }
    lab.start_all(&row.nodes);
    lab.all_pairs_pass(&row.nodes, 3 * SOON);
    row
}

fn goes(from: &Node, to: &Node, via: Option<&str>) {
    let address = to.address().to_string();
    let what = format!("{} reaches {} {}", from.name(), to.name(), via.unwrap_or("directly"));
    from.wait_for(&what, SOON, |status| {
        let peer = status.peers.iter().find(|peer| peer.address == address);
        peer.is_some_and(|peer| match via {
            Some(via) => peer.via.as_deref() == Some(via),
            None => peer.path == PathKind::Direct,
        })
    });
}

#[test]
#[ignore = "needs netem: netns-tests/run runs it in the virtual machine"]
fn a_path_takes_the_way_round_a_slow_line_and_comes_back_when_the_line_is_fast() {
    let lab = Lab::new("round trips", Load::Heavy);
    let Row { nodes, segment: _segment } = triangle(&lab);
    let [alice, bob, _] = &nodes[..] else { unreachable!("three nodes") };
    goes(alice, bob, Some("charlie"));
    goes(bob, alice, Some("charlie"));
    delay(alice.machine(), 2, 1);
    delay(bob.machine(), 1, 1);
    goes(alice, bob, None);
    goes(bob, alice, None);
}

#[cfg(feature = "long")]
#[test]
#[ignore = "needs netem: netns-tests/run runs it in the virtual machine"]
fn no_path_changes_for_five_minutes_on_jittery_lines() {
    let lab = Lab::new("jittery lines", Load::Heavy);
    let Row { nodes, segment: _segment } = triangle(&lab);
    goes(&nodes[0], &nodes[1], Some("charlie"));
    goes(&nodes[1], &nodes[0], Some("charlie"));
    let changes = |node: &Node| node.log().text().matches("kind=Path").count();
    let before: Vec<usize> = nodes.iter().map(changes).collect();
    std::thread::sleep(Duration::from_secs(300));
    for (node, before) in nodes.iter().zip(before) {
        assert!(changes(node) - before <= 1, "{}: more than six paths an hour change", node.name());
    }
}
