//! Restarts: of the hub, of everyone, and of a hub whose clock went back. Keys and pins persist, so nobody waits for a timeout.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::{Row, network_of_row, row};
use netns_tests::{Flow, FlowReport, Lab, Load, Node, allowed};

const SOON: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(10);

/// Alice is the hub (the only static peer); bob and charlie speak through her.
fn hub_and_two(lab: &Lab) -> Row {
    let network = network_of_row(1).option("direct: never");
    let row = row(lab, lab.bridge("lan"), 3, &network);
    row.nodes[1..].iter().for_each(|leaf| leaf.machine().firewall("eth0"));
    lab.start_all(&row.nodes);
    lab.all_pairs_pass(&row.nodes, SOON);
    row
}

/// What became of the traffic while a daemon was started again.
struct Restart {
    ended: Instant,
    started: Instant,
    reports: Vec<FlowReport>,
}

impl Restart {
    /// Ends `node`, starts it again after `change`, with flows between the leaves and between each of them and the hub.
    fn of(node: &Node, nodes: &[Node], end: impl Fn(&Node), change: impl Fn(&Node)) -> Self {
        let (hub, leaves) = (&nodes[0], &nodes[1..]);
        let flows = [(&leaves[0], &leaves[1]), (&leaves[1], &leaves[0]), (&leaves[0], hub), (hub, &leaves[1])];
        let tick = allowed(TICK).min(5 * TICK);
        let flows = flows.map(|(from, to)| from.flow_to(to, tick));
        Flow::all_clean_for(&flows, Duration::from_secs(1), Duration::from_secs(20));
        let ended = Instant::now();
        end(node);
        change(node);
        let started = node.start();
        Flow::all_clean_for(&flows, Duration::from_secs(2), Duration::from_secs(30));
        Self { ended, started, reports: flows.map(Flow::stop).into() }
    }

    fn assert_back_within(&self, limit: Duration) {
        for report in &self.reports {
            let took = report.recovery_after(self.started).expect("traffic came back");
            assert!(took < allowed(limit), "{took:?}: {report}");
        }
    }

    /// Nothing was lost where the kernel of the node that was started again carried its packets meanwhile; elsewhere
    /// traffic was back within a second.
    fn assert_as_good_as_the_tunnel_of(&self, node: &Node) {
        if node.status().expect("it runs").node.tunnel != "kernel" {
            return self.assert_back_within(Duration::from_secs(1));
        }
        for report in &self.reports {
            assert_eq!(report.lost_between(self.ended, Instant::now()), 0, "{report}");
        }
    }
}

fn kill(hub: &Node) {
    hub.kill();
}

fn stop(hub: &Node) {
    let status = hub.stop();
    assert!(status.success(), "{status}");
}

fn detach(node: &Node) {
    let status = node.detach();
    assert!(status.success(), "{status}");
}

#[test]
fn a_killed_hub_loses_nothing_with_a_kernels_tunnel_and_is_back_in_traffic_within_a_second_elsewhere() {
    let lab = Lab::new("hub killed and restarted", Load::Heavy);
    let Row { nodes, segment: _segment } = hub_and_two(&lab);
    let before = nodes[0].status().expect("alice runs").node;
    Restart::of(&nodes[0], &nodes, kill, |_| ()).assert_as_good_as_the_tunnel_of(&nodes[0]);
    let after = nodes[0].status().expect("alice runs").node;
    assert_eq!((before.public_key, before.identity), (after.public_key, after.identity), "keys persist");
}

#[test]
fn a_hub_that_was_stopped_is_back_in_traffic_within_a_second_of_its_start() {
    let lab = Lab::new("hub stopped and restarted", Load::Heavy);
    let Row { nodes, segment: _segment } = hub_and_two(&lab);
    Restart::of(&nodes[0], &nodes, stop, |_| ()).assert_back_within(Duration::from_secs(1));
}

#[test]
fn a_leaf_that_is_killed_or_detaches_loses_nothing_with_a_kernels_tunnel_and_is_back_within_a_second_elsewhere() {
    let lab = Lab::new("leaf killed and detached", Load::Heavy);
    let Row { nodes, segment: _segment } = hub_and_two(&lab);
    Restart::of(&nodes[2], &nodes, kill, |_| ()).assert_as_good_as_the_tunnel_of(&nodes[2]);
    Restart::of(&nodes[2], &nodes, detach, |_| ()).assert_as_good_as_the_tunnel_of(&nodes[2]);
}

#[test]
fn a_hub_that_restarts_with_its_clock_a_day_back_is_in_traffic_within_five_seconds() {
    let lab = Lab::new("hub with its clock a day back", Load::Heavy);
    let Row { nodes, segment: _segment } = hub_and_two(&lab);
    let day_back = |hub: &Node| hub.set_clock(Some("-1d"));
    Restart::of(&nodes[0], &nodes, kill, day_back).assert_back_within(Duration::from_secs(5));
}

#[test]
fn a_leaf_that_restarts_with_its_clock_a_day_back_is_in_traffic_within_five_seconds() {
    let lab = Lab::new("leaf with its clock a day back", Load::Heavy);
    let Row { nodes, segment: _segment } = hub_and_two(&lab);
    nodes[1].kill();
    nodes[1].set_clock(Some("-1d"));
    let pairs = lab.watch_pairs(&nodes);
    let started = nodes[1].start();
    let took = pairs.finish(SOON).complete_after(started);
    assert!(took < allowed(Duration::from_secs(5)), "{took:?}");
}

#[test]
fn every_node_restarted_at_once_meshes_again() {
    let lab = Lab::new("everyone restarted", Load::Heavy);
    let Row { nodes, segment: _segment } = hub_and_two(&lab);
    nodes.iter().for_each(|node| {
        node.kill();
    });
    let pairs = lab.watch_pairs(&nodes);
    let last = lab.start_all(&nodes);
    let took = pairs.finish(SOON).complete_after(last);
    assert!(took < allowed(Duration::from_secs(3)), "{took:?}");
}

#[test]
fn a_leaf_moves_to_another_address_and_traffic_follows() {
    let lab = Lab::new("leaf roams", Load::Light);
    let Row { nodes, segment: _segment } = hub_and_two(&lab);
    let flow = nodes[2].flow_to(&nodes[1], TICK);
    flow.is_clean_for(Duration::from_secs(1), Duration::from_secs(20));
    let moved = Instant::now();
    nodes[1].machine().ip("addr del 192.0.2.2/24 dev eth0\naddr add 192.0.2.102/24 dev eth0");
    flow.passes_after(moved, Duration::from_secs(30));
    flow.is_clean_for(Duration::from_secs(1), Duration::from_secs(20));
    let report = flow.stop();
    let took = report.recovery_after(moved).expect("traffic came back");
    assert!(took < allowed(Duration::from_secs(10)), "{took:?}: {report}");
}
