//! Measures the figures of the README and prints them as a table, or those lines of it that contain WORD. Needs root,
//! and nothing else running:
//!
//! `cargo build --release && cargo run --release -p netns-tests --bin figures [ROUNDS [WORD]]`

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark, for people")]

mod paths;
mod watched;

use std::time::{Duration, Instant};

use netns_tests::topology::{FourBoxes, Row, TwoHubs, network_of_row, row};
use netns_tests::{Flow, Lab, Load, Machine, Node, node, until};

const SOON: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(5);
/// How long the halves are apart.
const APART: Duration = Duration::from_secs(90);
/// How long the idle daemon's processor time is measured.
const IDLE: Duration = Duration::from_secs(20);

fn main() {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let rounds = arguments.first().map_or(10, |text| text.parse().expect("ROUNDS is a number"));
    let table = Table { only: arguments.get(1).cloned() };
    println!("| figure | goal | median | worst |\n|---|---|---|---|");
    for (what, last) in [("two boxes, the static peer starts last", 0), ("two boxes, the other one starts last", 1)] {
        table.times(what, "150 ms", || times(rounds, || meshed_after(2, last)));
    }
    for (what, last) in [("three boxes, the static peer starts last", 0), ("three boxes, another one starts last", 2)] {
        table.times(what, "250 ms", || times(rounds, || meshed_after(3, last)));
    }
    for (what, last) in [("four boxes (NAT, firewall), beta starts last", 1), ("four boxes, delta starts last", 3)] {
        table.times(what, "1 s", || times(rounds, || four_boxes_meshed_after(last)));
    }
    let few = rounds.min(5);
    table.times("a hub of two killed: traffic is out for", "4 s", || times(few, hub_killed));
    table.times("the only hub restarted: traffic is back after its start", "1 s", || times(few, hub_restarted));
    table.times("partition of 90 s: all pairs pass after the heal", "15 s", || times(few.min(2), partition_healed));
    if table.wants("at rest with 10 peers") {
        at_rest();
    }
    table.times("1,000 requests a second for the status with 10 peers: 99 % are answered in", "10 ms", || {
        status_requests(few)
    });
    if table.wants("three dashboards") {
        watched::print_dashboards(rounds);
    }
    table.times("1,000 nodes and 3,000 links: a node finds its paths anew", "20 ms", || paths::times(50));
    if table.wants("size of the daemon's file") {
        let size = std::fs::metadata(node::binary()).expect("the daemon is built").len();
        println!("| size of the daemon's file | 12 MB | {:.1} MB | |", megabytes(size));
    }
}

/// What is printed: all lines, or those that contain a word.
struct Table {
    only: Option<String>,
}

impl Table {
    fn wants(&self, what: &str) -> bool {
        self.only.as_ref().is_none_or(|only| what.contains(only))
    }

    fn times(&self, what: &str, goal: &str, measure: impl FnOnce() -> Vec<Duration>) {
        if self.wants(what) {
            line(what, goal, &measure());
        }
    }
}

fn times(rounds: usize, mut measure: impl FnMut() -> Duration) -> Vec<Duration> {
    let mut times = (0..rounds).map(|_| measure()).collect::<Vec<_>>();
    times.sort_unstable();
    times
}

fn line(what: &str, goal: &str, times: &[Duration]) {
    let shown = |time: Duration| {
        let ms = time.as_secs_f64() * 1000.0;
        if ms < 10.0 {
            format!("{ms:.1} ms")
        } else if ms < 1000.0 {
            format!("{ms:.0} ms")
        } else {
            format!("{:.2} s", ms / 1000.0)
        }
    };
    let worst = times.last().copied().unwrap_or_default();
    println!("| {what} | {goal} | {} | {} |", shown(times[times.len() / 2]), shown(worst));
}

/// Starts all but the last one and waits until they mesh (or, without the static peer, answer); then the last one.
fn after_the_last_start(lab: &Lab, nodes: &[&Node], last: usize, others_mesh: bool) -> Duration {
    let others =
        nodes.iter().enumerate().filter(|(index, _)| *index != last).map(|(_, node)| *node).collect::<Vec<_>>();
    lab.start_all(others.iter().copied());
    others.iter().for_each(|node| drop(node.is_ready(SOON)));
    if others_mesh {
        lab.all_pairs_pass(others.iter().copied(), SOON);
    }
    let pairs = lab.watch_pairs(nodes.iter().copied());
    let started = nodes[last].start();
    pairs.finish(SOON).complete_after(started)
}

fn meshed_after(count: usize, last: usize) -> Duration {
    let lab = Lab::new("figures", Load::Alone);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), count, &network_of_row(1));
    after_the_last_start(&lab, &nodes.iter().collect::<Vec<_>>(), last, last != 0 && count > 2)
}

fn four_boxes_meshed_after(last: usize) -> Duration {
    let lab = Lab::new("figures", Load::Alone);
    let boxes = FourBoxes::new(&lab);
    after_the_last_start(&lab, &boxes.nodes(), last, last != 1)
}

fn hub_killed() -> Duration {
    let lab = Lab::new("figures", Load::Alone);
    let mesh = TwoHubs::new(&lab);
    lab.start_all(mesh.nodes());
    lab.all_pairs_pass(mesh.nodes(), SOON);
    let flows = [mesh.left.flow_to(&mesh.right, TICK), mesh.right.flow_to(&mesh.left, TICK)];
    Flow::all_clean_for(&flows, Duration::from_secs(3), SOON);
    let killed = mesh.hubs[mesh.carrier(SOON)].kill();
    Flow::all_clean_for(&flows, Duration::from_secs(2), SOON);
    let out = flows.map(|flow| flow.stop().recovery_after(killed).expect("traffic came back"));
    out[0].max(out[1])
}

fn hub_restarted() -> Duration {
    let lab = Lab::new("figures", Load::Alone);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 3, &network_of_row(1).option("direct: never"));
    nodes[1..].iter().for_each(|leaf| leaf.machine().firewall("eth0"));
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let flows =
        [nodes[1].flow_to(&nodes[2], TICK), nodes[2].flow_to(&nodes[1], TICK), nodes[1].flow_to(&nodes[0], TICK)];
    Flow::all_clean_for(&flows, Duration::from_secs(1), SOON);
    nodes[0].kill();
    let started = nodes[0].start();
    Flow::all_clean_for(&flows, Duration::from_secs(2), SOON);
    let back = flows.map(|flow| flow.stop().recovery_after(started).expect("traffic came back"));
    back.into_iter().max().expect("three flows")
}

fn partition_healed() -> Duration {
    let lab = Lab::new("figures", Load::Alone);
    let mut network = network_of_row(3).option("direct: never");
    // A hub in each half: alice and charlie.
    network.peers.remove(1);
    let Row { nodes, segment } = row(&lab, lab.bridge("internet"), 4, &network);
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let machines = nodes.iter().map(Node::machine).collect::<Vec<&Machine>>();
    segment.partition(&machines[..2], &machines[2..]);
    let cut = Instant::now();
    until(APART + SOON, || (cut.elapsed() >= APART).then_some(()));
    let pairs = lab.watch_pairs(&nodes);
    let healed = Instant::now();
    segment.heal_all();
    pairs.finish(2 * SOON).complete_after(healed)
}

/// The hub of eleven nodes is asked.
fn status_requests(rounds: usize) -> Vec<Duration> {
    let lab = Lab::new("figures", Load::Alone);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 11, &network_of_row(1));
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    watched::status_requests(&nodes[0], rounds)
}

/// The hub of eleven nodes, when all are known and nothing happens.
fn at_rest() {
    let lab = Lab::new("figures", Load::Alone);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 11, &network_of_row(1));
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let settled = Instant::now();
    until(2 * SOON, || (settled.elapsed() >= Duration::from_secs(10)).then_some(()));
    let measured = |node: &Node| node.with_process(|process| (process.resident_bytes(), process.cpu_time()));
    let before = nodes.iter().map(measured).collect::<Vec<_>>();
    let start = Instant::now();
    until(IDLE + SOON, || (start.elapsed() >= IDLE).then_some(()));
    let seconds = start.elapsed().as_secs_f64();
    let after = nodes.iter().map(measured).collect::<Vec<_>>();
    let mut resident = after.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>();
    let mut shares = before
        .iter()
        .zip(&after)
        .map(|((_, before), (_, after))| (*after - *before).as_secs_f64() / seconds * 100.0)
        .collect::<Vec<_>>();
    resident.sort_unstable();
    shares.sort_by(f64::total_cmp);
    println!(
        "| resident memory with 10 peers | 10 MB | {:.1} MB | {:.1} MB |",
        megabytes(resident[5]),
        megabytes(resident[10])
    );
    println!("| processor time at rest with 10 peers | 0.3 % | {:.2} % | {:.2} % |", shares[5], shares[10]);
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
