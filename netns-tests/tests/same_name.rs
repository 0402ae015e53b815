//! Two nodes with the same name, or the same address, start at the same moment: exactly one wins, everywhere the same one.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::collections::BTreeSet;
use std::time::Duration;

use netns_tests::topology::{machine_of_row, network_of_row};
use netns_tests::{Lab, Load, Node, Segment, until};

const SOON: Duration = Duration::from_secs(20);

/// Alice and bob are static; the two last nodes are called and addressed as told.
fn mesh(lab: &Lab, rivals: [(&str, &str); 2]) -> (Segment, Vec<Node>) {
    let segment = lab.bridge("lan");
    let network = network_of_row(2);
    let node =
        |n: usize, name: &str, address: &str| lab.node(&machine_of_row(lab, &segment, n), &network, name, &[address]);
    let nodes = vec![
        node(1, "alice", "10.1.1.1"),
        node(2, "bob", "10.1.1.2"),
        node(3, "charlie", "10.1.1.3"),
        node(4, rivals[0].0, rivals[0].1),
        node(5, rivals[1].0, rivals[1].1),
    ];
    // Their default ports follow from the address; on machines of their own that is no clash.
    (segment, nodes)
}

/// The public key that `node` takes for the holder of `name` at `address`; its own if it is the holder.
fn holder(node: &Node, name: &str, address: &str) -> Option<String> {
    let status = node.status().ok()?;
    let refused_itself = status.health.iter().any(|line| line.code.contains("conflict"));
    if status.node.name == name && status.node.address == address && !refused_itself {
        return Some(status.node.public_key);
    }
    let holds = |peer: &&wgnet_api::Peer| peer.name == name && peer.address == address && !peer.refused;
    status.peers.iter().find(holds).and_then(|peer| peer.public_key.clone())
}

#[test]
fn of_two_nodes_with_one_name_exactly_one_wins_everywhere_the_same() {
    let lab = Lab::new("same name", Load::Light);
    let (_segment, nodes) = mesh(&lab, [("erin", "10.1.1.4"), ("erin", "10.1.1.5")]);
    lab.start_all(&nodes[..3]);
    lab.all_pairs_pass(&nodes[..3], SOON);
    lab.start_all(&nodes[3..]);
    let rivals = [&nodes[3], &nodes[4]].map(|node| node.is_ready(SOON).node.public_key);
    // Each observer names one holder; the loser is shown as refused, and says so itself.
    let verdict = |node: &Node| {
        let status = node.status().ok()?;
        let erins = status.peers.iter().filter(|peer| peer.public_key.as_ref().is_some_and(|key| rivals.contains(key)));
        let (refused, held) = erins.partition::<Vec<_>, _>(|peer| peer.refused);
        (refused.len() == 1 && held.len() == 1).then(|| held[0].public_key.clone())?
    };
    let agreed = until(SOON, || {
        let winners = nodes[..3].iter().map(verdict).collect::<Option<BTreeSet<_>>>()?;
        (winners.len() == 1).then(|| winners.into_iter().next())?
    });
    let winner = agreed.expect("all three agree on one winner");
    let loser = if rivals[0] == winner { &nodes[4] } else { &nodes[3] };
    loser.wait_for("the loser says that its name is taken", SOON, |status| {
        status.health.iter().any(|line| line.text.contains("erin") && !line.remedy.is_empty())
    });
    let winner = if rivals[0] == winner { &nodes[3] } else { &nodes[4] };
    lab.all_pairs_pass(nodes[..3].iter().chain([winner]), SOON);
}

#[test]
fn of_two_nodes_with_one_address_exactly_one_wins_everywhere_the_same() {
    let lab = Lab::new("same address", Load::Light);
    let (_segment, nodes) = mesh(&lab, [("erin", "10.1.1.9"), ("fred", "10.1.1.9")]);
    lab.start_all(&nodes);
    let holders = || {
        let seen =
            nodes[..3].iter().map(|node| holder(node, "erin", "10.1.1.9").or_else(|| holder(node, "fred", "10.1.1.9")));
        let seen = seen.collect::<Option<BTreeSet<_>>>()?;
        (seen.len() == 1).then(|| seen.into_iter().next())?
    };
    let winner = until(SOON, holders).expect("all three agree on one holder");
    // And it stays so.
    let other = until(Duration::from_secs(5), || holders().filter(|now| *now != winner));
    assert_eq!(other, None);
    let loser =
        if nodes[3].status().is_ok_and(|status| status.node.public_key == winner) { &nodes[4] } else { &nodes[3] };
    loser.wait_for("the loser says that its address is taken", SOON, |status| {
        status.health.iter().any(|line| line.text.contains("10.1.1.9") && !line.remedy.is_empty())
    });
    for node in &nodes[..3] {
        node.wait_for("the loser is shown as refused", SOON, |status| {
            status.peers.iter().any(|peer| peer.name == loser.name() && peer.refused)
        });
    }
}
