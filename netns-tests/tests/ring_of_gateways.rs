//! Six gateways in a ring of equal cost and twelve leaves with two uplinks each; the drawing is at
//! [`netns_tests::topology::Ring`].

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::Ring;
use netns_tests::{Flow, Lab, Load, allowed, node, until};

const MESHED: Duration = Duration::from_secs(40);

/// Each leaf to the one across the ring and to the next one: both long and short paths.
fn traffic(ring: &Ring) -> Vec<(usize, usize, Flow)> {
    let pairs = (0..12).flat_map(|leaf| [(leaf, (leaf + 3) % 12), (leaf, (leaf + 7) % 12)]);
    pairs
        .map(|(from, to)| (from, to, ring.leaves[from].flow_to(&ring.leaves[to], Duration::from_millis(100))))
        .collect()
}

fn clean(flows: &[(usize, usize, Flow)], quiet: Duration) {
    Flow::all_clean_for(flows.iter().map(|(.., flow)| flow), quiet, Duration::from_secs(60));
}

/// The `wgnet cost` command on `node`: the cost of its link to the gateway `peer`.
fn set_cost(ring: &Ring, node: usize, peer: usize, cost: &str) {
    let gateway = &ring.gateways[node];
    let binary = node::binary().display().to_string();
    gateway.machine().command(&binary, &["cost", ring.gateways[peer].name(), cost, "--socket", &gateway.socket()]);
}

#[test]
fn all_306_pairs_pass_while_costs_change_and_a_gateway_comes_and_goes() {
    let lab = Lab::new("ring", Load::Alone);
    let ring = Ring::new(&lab);
    lab.start_all(ring.nodes());
    lab.all_pairs_pass(ring.nodes(), MESHED);
    let hash = || {
        let all = ring
            .nodes()
            .map(|node| node.status().ok().map(|status| status.node.effective_lsdb))
            .collect::<Option<Vec<_>>>()?;
        all.windows(2).all(|pair| pair[0] == pair[1]).then_some(())
    };
    until(MESHED, hash).expect("all eighteen hold the same link-state database");
    lab.all_pairs_pass(ring.nodes(), Duration::from_secs(10));

    let flows = traffic(&ring);
    clean(&flows, Duration::from_secs(3));
    let start = Instant::now();
    for (node, peer, cost) in
        [(0, 1, "900"), (1, 0, "900"), (3, 4, "700"), (0, 1, "clear"), (1, 0, "clear"), (3, 4, "clear")]
    {
        set_cost(&ring, node, peer, cost);
        clean(&flows, Duration::from_secs(3));
    }
    for (from, to, flow) in &flows {
        let lost = flow.report(Instant::now()).lost_but_for_moves(start, Instant::now() - Duration::from_secs(1));
        assert_eq!(lost, 0, "no packet is lost while costs change, leaf-{} to leaf-{}", from + 1, to + 1);
    }

    let killed = ring.gateways[2].kill();
    clean(&flows, Duration::from_secs(4));
    let dead_for = allowed(Duration::from_secs(10));
    let survivors = ring.nodes().filter(|node| node.name() != "g3").collect::<Vec<_>>();
    lab.all_pairs_pass(survivors, Duration::from_secs(10));
    let returned = ring.gateways[2].start();
    lab.all_pairs_pass(ring.nodes(), MESHED);
    clean(&flows, Duration::from_secs(4));
    for (from, to, flow) in flows {
        let report = flow.stop();
        let shown = format!("leaf-{} to leaf-{}: {report}", from + 1, to + 1);
        assert_eq!(
            report.lost_but_for_moves(killed + dead_for, returned),
            0,
            "after the seconds of its death: {shown}"
        );
        assert_eq!(report.lost_but_for_moves(returned, Instant::now()), 0, "its return loses nothing: {shown}");
        let out = report.outages().iter().map(|(at, length)| (*at + *length).saturating_duration_since(killed)).max();
        assert!(out.is_none_or(|time| time < allowed(Duration::from_secs(5))), "{shown}");
    }
}
