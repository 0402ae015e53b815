//! Partitions heal by themselves, however long they lasted.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::{Row, network_of_row, row};
use netns_tests::{Lab, Load, Machine, Node, allowed, until};

const SOON: Duration = Duration::from_secs(10);

/// Two hubs, alice and charlie, and a leaf beside each: one of each in each half.
fn two_halves(lab: &Lab) -> Row {
    let network = network_of_row(4).option("direct: never");
    let mut network = network;
    network.peers.retain(|peer| {
        ["10.1.1.1", "10.1.1.3"].map(|text| text.parse().expect("an address")).contains(&peer.addresses[0])
    });
    let row = row(lab, lab.bridge("internet"), 4, &network);
    lab.start_all(&row.nodes);
    lab.all_pairs_pass(&row.nodes, SOON);
    row
}

fn machines(nodes: &[Node]) -> Vec<&Machine> {
    nodes.iter().map(Node::machine).collect()
}

/// Time passes while the halves are apart: there is no event to wait for.
fn stay_apart(time: Duration) {
    let start = Instant::now();
    until(time + Duration::from_secs(1), || (start.elapsed() >= time).then_some(()));
}

/// Cuts, waits, heals, and gives back how long after the heal all pairs passed again.
fn heal_time(lab: &Lab, row: &Row, split: usize, length: Duration) -> Duration {
    let (left, right) = row.nodes.split_at(split);
    row.segment.partition(&machines(left), &machines(right));
    lab.none_pass(&left[0], &right[0], Duration::from_secs(1));
    stay_apart(length);
    for half in [left, right] {
        if half.len() > 1 {
            lab.all_pairs_pass(half, SOON);
        }
    }
    lab.none_pass(&left[0], &right[0], Duration::from_secs(1));
    let pairs = lab.watch_pairs(&row.nodes);
    let healed = Instant::now();
    row.segment.heal_all();
    pairs.finish(Duration::from_secs(60)).complete_after(healed)
}

#[test]
fn two_halves_apart_for_90_seconds_meet_within_15_seconds() {
    let lab = Lab::new("partition of 90 s", Load::Light);
    let took = heal_time(&lab, &two_halves(&lab), 2, Duration::from_secs(90));
    assert!(took < allowed(Duration::from_secs(15)), "{took:?}");
}

#[test]
fn a_short_partition_heals_within_15_seconds() {
    let lab = Lab::new("partition of 12 s", Load::Light);
    let took = heal_time(&lab, &two_halves(&lab), 2, Duration::from_secs(12));
    assert!(took < allowed(Duration::from_secs(15)), "{took:?}");
}

#[test]
fn a_single_node_apart_for_90_seconds_comes_back_within_15_seconds() {
    let lab = Lab::new("single node apart", Load::Light);
    let took = heal_time(&lab, &two_halves(&lab), 3, Duration::from_secs(90));
    assert!(took < allowed(Duration::from_secs(15)), "{took:?}");
}

#[test]
fn a_node_that_starts_while_it_is_cut_off_joins_after_the_heal() {
    let lab = Lab::new("starts while cut off", Load::Light);
    let row = row(&lab, lab.bridge("internet"), 3, &network_of_row(1));
    let last = &row.nodes[2];
    row.segment.partition(&machines(&row.nodes[..2]), &[last.machine()]);
    lab.start_all(&row.nodes);
    lab.all_pairs_pass(&row.nodes[..2], SOON);
    stay_apart(Duration::from_secs(20));
    let pairs = lab.watch_pairs(&row.nodes);
    let healed = Instant::now();
    row.segment.heal_all();
    let took = pairs.finish(Duration::from_secs(60)).complete_after(healed);
    assert!(took < allowed(Duration::from_secs(15)), "{took:?}");
}
