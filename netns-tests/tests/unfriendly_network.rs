//! Networks that lose, delay, double, reorder, and links that work in one direction only; clocks that differ.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::{Row, network_of_row, row};
use netns_tests::{Flow, Impairment, Lab, Load};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn the_first_replies_of_the_hub_are_lost_and_the_node_joins_all_the_same() {
    for lost in [1, 2, 5] {
        let lab = Lab::new("first reply lost", Load::Light);
        let Row { nodes, segment } = row(&lab, lab.impaired("internet", 1), 2, &network_of_row(1));
        nodes[0].start();
        nodes[0].is_ready(SOON);
        segment.lose_next(nodes[0].machine(), nodes[1].machine(), lost);
        let pairs = lab.watch_pairs(&nodes);
        let started = nodes[1].start();
        let took = pairs.finish(Duration::from_secs(30)).complete_after(started);
        assert_eq!(segment.still_to_lose(nodes[0].machine(), nodes[1].machine()), 0);
        assert!(took < Duration::from_secs(10), "{took:?} with {lost} lost");
    }
}

#[test]
fn clocks_that_differ_by_an_hour_do_not_matter() {
    let lab = Lab::new("clocks differ", Load::Light);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 3, &network_of_row(1));
    nodes[0].set_clock(Some("-3600"));
    nodes[2].set_clock(Some("+3600"));
    let pairs = lab.watch_pairs(&nodes);
    let last = lab.start_all(&nodes);
    let took = pairs.finish(SOON).complete_after(last);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_mesh_forms_and_stays_under_20_percent_loss_with_reordering_and_duplicates() {
    let lab = Lab::new("20 % loss", Load::Light);
    let Row { nodes, segment } = row(&lab, lab.impaired("internet", 7), 4, &network_of_row(2));
    segment.impair_all(Impairment {
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(5),
        loss: 0.2,
        duplicates: 0.1,
        reordering: 0.1,
        largest: None,
    });
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, Duration::from_secs(30));
    // Both directions lose a fifth, so 36 % of pings are unanswered. What matters: it stays so, and no path flaps to nowhere.
    let flows = [(0, 1), (2, 3), (3, 0)].map(|(from, to)| nodes[from].flow_to(&nodes[to], Duration::from_millis(50)));
    let start = Instant::now();
    netns_tests::until(Duration::from_secs(40), || (start.elapsed() > Duration::from_secs(30)).then_some(()));
    for flow in flows {
        let report = flow.stop();
        let share = report.lost() as f64 / report.sent() as f64;
        assert!(share < 0.65, "at most two links of 20 % loss each way: {report}");
        let longest = report.outages().iter().map(|(_, length)| *length).max().unwrap_or_default();
        assert!(longest < Duration::from_secs(4), "{report}");
        assert_eq!(report.duplicates(), 0, "WireGuard's replay window drops copies: {report}");
    }
}

/// ```text
///   alice (hub) ===== bob         bob -> charlie is dead, charlie -> bob works:
///        \\         ^ /           both must go by alice
///         charlie --'
/// ```
#[test]
fn a_link_that_works_in_one_direction_only_is_not_used() {
    let lab = Lab::new("one way", Load::Light);
    let Row { nodes, segment } = row(&lab, lab.bridge("lan"), 3, &network_of_row(1));
    let [alice, bob, charlie] = &nodes[..] else { unreachable!("three nodes") };
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let flows = [bob.flow_to(charlie, Duration::from_millis(50)), charlie.flow_to(bob, Duration::from_millis(50))];
    Flow::all_clean_for(&flows, Duration::from_secs(1), Duration::from_secs(20));
    segment.cut_one_way(bob.machine(), charlie.machine());
    for (from, to) in [(bob, "charlie"), (charlie, "bob")] {
        from.wait_for("the way by alice", Duration::from_secs(20), |status| {
            status.peers.iter().any(|peer| {
                peer.name == to && peer.path == PathKind::Gateway && peer.via.as_deref() == Some(alice.name())
            })
        });
    }
    Flow::all_clean_for(&flows, Duration::from_secs(10), Duration::from_secs(40));
}

#[test]
fn a_hub_that_cannot_answer_over_one_path_does_not_stop_the_others() {
    let lab = Lab::new("one way from the hub", Load::Light);
    let Row { nodes, segment } = row(&lab, lab.bridge("lan"), 4, &network_of_row(2));
    segment.cut_one_way(nodes[0].machine(), nodes[2].machine());
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, Duration::from_secs(30));
    nodes[2].wait_for("alice is reached through bob", Duration::from_secs(20), |status| {
        status.peers.iter().any(|peer| peer.name == "alice" && peer.via.as_deref() == Some("bob"))
    });
}

#[test]
fn a_path_with_less_delay_is_preferred_and_the_choice_follows_when_it_gets_worse() {
    let lab = Lab::new("delay decides", Load::Light);
    let network = network_of_row(2).option("direct: never");
    let Row { nodes, segment } = row(&lab, lab.impaired("internet", 3), 4, &network);
    let [alice, bob, left, right] = &nodes[..] else { unreachable!("four nodes") };
    let slow = |hub: &netns_tests::Node, delay: u64| {
        for leaf in [left, right] {
            segment.impair(hub.machine(), leaf.machine(), Impairment::delay(Duration::from_millis(delay)));
            segment.impair(leaf.machine(), hub.machine(), Impairment::delay(Duration::from_millis(delay)));
        }
    };
    slow(alice, 40);
    slow(bob, 5);
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let goes_by = |hub: &str| {
        for (from, to) in [(left, right), (right, left)] {
            from.wait_for("the faster hub carries", Duration::from_secs(60), |status| {
                status.peers.iter().any(|peer| peer.name == to.name() && peer.via.as_deref() == Some(hub))
            });
        }
    };
    goes_by("bob");
    slow(bob, 120);
    goes_by("alice");
}
