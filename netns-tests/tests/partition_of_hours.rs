//! Partitions of an hour and of three: `netns-tests/run --long`.

#![cfg(feature = "long")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::{network_of_row, row};
use netns_tests::{Lab, Load, Node, until};

fn apart_for(length: Duration) {
    let lab = Lab::new("partition of hours", Load::Light);
    let row = row(&lab, lab.bridge("internet"), 4, &network_of_row(3));
    lab.start_all(&row.nodes);
    lab.all_pairs_pass(&row.nodes, Duration::from_secs(10));
    let machines = row.nodes.iter().map(Node::machine).collect::<Vec<_>>();
    row.segment.partition(&machines[..2], &machines[2..]);
    let cut = Instant::now();
    until(length + Duration::from_secs(1), || (cut.elapsed() >= length).then_some(()));
    let pairs = lab.watch_pairs(&row.nodes);
    let healed = Instant::now();
    row.segment.heal_all();
    let took = pairs.finish(Duration::from_secs(130)).complete_after(healed);
    assert!(took < Duration::from_secs(60), "{took:?} after {length:?} apart");
}

#[test]
fn halves_apart_for_an_hour_meet_within_a_minute() {
    apart_for(Duration::from_secs(3600));
}

#[test]
fn halves_apart_for_three_hours_meet_within_a_minute() {
    apart_for(Duration::from_secs(3 * 3600));
}
