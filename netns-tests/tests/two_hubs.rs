//! Two public hubs and two leaves that cannot reach each other. One hub dies under traffic, and comes back.
//!
//! ```text
//!   hub-1 192.0.2.1    hub-2 192.0.2.2        both static peers
//!     |                  |
//!     '------ internet --+-------.
//!        |                       |
//!      left [firewall]         right [firewall]
//! ```

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::network_of_row;
use netns_tests::{Flow, Lab, Load, Node, Segment};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);

struct Hubs {
    _internet: Segment,
    hubs: [Node; 2],
    left: Node,
    right: Node,
}

impl Hubs {
    fn meshed(lab: &Lab) -> Self {
        let internet = lab.bridge("internet");
        let network = network_of_row(2).option("direct: never");
        let node = |name: &str, n: usize, firewall: bool| {
            let machine = lab.machine_on(&internet, name, &[&format!("192.0.2.{n}/24")]);
            if firewall {
                machine.firewall("eth0");
            }
            lab.node(&machine, &network, name, &[&format!("10.1.1.{n}")])
        };
        let hubs = [node("hub-1", 1, false), node("hub-2", 2, false)];
        let (left, right) = (node("left", 11, true), node("right", 12, true));
        lab.start_all([&hubs[0], &hubs[1], &left, &right]);
        lab.all_pairs_pass([&hubs[0], &hubs[1], &left, &right], SOON);
        Self { _internet: internet, hubs, left, right }
    }

    /// The hub that carries traffic from left to right, once both sides agree on it.
    fn carrier(&self) -> usize {
        let via = |from: &Node, to: &Node| {
            from.peer(to.address()).filter(|peer| peer.path == PathKind::Gateway).and_then(|peer| peer.via)
        };
        let agreed = netns_tests::until(SOON, || {
            let there = via(&self.left, &self.right)?;
            (via(&self.right, &self.left)? == there).then_some(there)
        });
        let agreed = agreed.expect("both leaves use the same hub");
        self.hubs.iter().position(|hub| hub.name() == agreed).expect("a hub carries the traffic")
    }
}

#[test]
fn a_hub_killed_under_traffic_is_replaced_within_four_seconds_and_takes_over_again_without_loss() {
    let lab = Lab::new("two hubs", Load::Heavy);
    let mesh = Hubs::meshed(&lab);
    let flows = [mesh.left.flow_to(&mesh.right, TICK), mesh.right.flow_to(&mesh.left, TICK)];
    Flow::all_clean_for(&flows, Duration::from_secs(2), Duration::from_secs(20));
    let carrier = mesh.carrier();
    let killed = mesh.hubs[carrier].kill();
    Flow::all_clean_for(&flows, Duration::from_secs(3), Duration::from_secs(20));
    let other = mesh.hubs[1 - carrier].name();
    mesh.left.wait_for("traffic takes the other hub", SOON, |status| {
        status.peers.iter().any(|peer| peer.name == "right" && peer.via.as_deref() == Some(other))
    });

    let returned = Instant::now();
    mesh.hubs[carrier].start();
    let dead = mesh.hubs[carrier].address();
    for leaf in [&mesh.left, &mesh.right] {
        leaf.wait_for("the hub is back", Duration::from_secs(60), |status| {
            status.peers.iter().any(|peer| peer.address == dead.to_string() && peer.path == PathKind::Direct)
        });
    }
    Flow::all_clean_for(&flows, Duration::from_secs(8), Duration::from_secs(30));
    for flow in flows {
        let report = flow.stop();
        let out = report.lost_between(killed, returned);
        let recovered =
            report.outages().iter().map(|(start, length)| (*start + *length).saturating_duration_since(killed)).max();
        assert!(out > 0, "the killed hub did carry the traffic: {report}");
        assert!(recovered.is_some_and(|time| time < Duration::from_secs(4)), "{recovered:?}: {report}");
        assert_eq!(report.lost_between(returned, Instant::now()), 0, "moving back loses nothing: {report}");
    }
}

#[test]
fn a_hub_that_leaves_in_order_takes_no_packet_with_it() {
    let lab = Lab::new("two hubs, one leaves", Load::Heavy);
    let mesh = Hubs::meshed(&lab);
    let flow = mesh.left.flow_to(&mesh.right, TICK);
    flow.is_clean_for(Duration::from_secs(2), Duration::from_secs(20));
    let asked = Instant::now();
    let status = mesh.hubs[mesh.carrier()].stop();
    assert!(status.success(), "{status}");
    flow.is_clean_for(Duration::from_secs(2), Duration::from_secs(20));
    let report = flow.stop();
    let out = report.recovery_after(asked).expect("traffic goes on");
    assert!(out < Duration::from_secs(1), "{out:?}: {report}");
}
