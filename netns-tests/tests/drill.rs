//! A hub withdraws for a drill, and the node that asked for it tells what the others noticed. The drawing is at
//! [`netns_tests::topology::TwoHubs`].

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use netns_tests::topology::{SUBNET, TwoHubs, network_of_row};
use netns_tests::{Lab, Load, Node, Program, allowed, node, until};
use nix::sys::signal::Signal;
use wgnet_api::{DrillReport, PathKind};

const SOON: Duration = Duration::from_secs(10);

/// Left is listed in the file, too, as a leaf.
fn meshed(lab: &Lab) -> TwoHubs {
    let mesh = TwoHubs::new(lab);
    let mut network = network_of_row(2).option("direct: never").peer("10.1.1.11", "192.0.2.11");
    network.peers[2].options.push("gateway: false".to_owned());
    assert_eq!(network.subnets, [SUBNET]);
    mesh.nodes().into_iter().for_each(|node| node.set_network(&network));
    lab.start_all(mesh.nodes());
    lab.all_pairs_pass(mesh.nodes(), SOON);
    // Until both leaves count on both hubs, a drill would cut them off.
    for leaf in [&mesh.left, &mesh.right] {
        leaf.wait_for("both hubs are there", SOON, |status| {
            let is_hub = |name: &str| name == mesh.hubs[0].name() || name == mesh.hubs[1].name();
            status.peers.iter().filter(|peer| is_hub(&peer.name) && peer.path == PathKind::Direct).count() == 2
        });
    }
    mesh
}

fn drill(gateway: &Node, time: &str) -> Program {
    Program::new(node::binary().display().to_string()).args(["drill", "gateway", gateway.name(), "--for", time])
}

#[test]
fn a_drill_measures_how_the_mesh_does_without_a_hub_and_the_hub_comes_back() {
    let lab = Lab::new("drill", Load::Heavy);
    let mesh = meshed(&lab);
    let (carrier, other) = {
        let carrier = mesh.carrier(SOON);
        (&mesh.hubs[carrier], &mesh.hubs[1 - carrier])
    };
    let process = mesh.left.machine().start(&drill(carrier, "6s").args(["--json"]));
    mesh.left.wait_for("traffic takes the other hub", Duration::from_secs(15), |status| {
        status.peers.iter().any(|peer| peer.name == "right" && peer.via.as_deref() == Some(other.name()))
    });
    let status = process.wait(Duration::from_secs(70));
    let said = process.log().text();
    let report: DrillReport = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(report.problem.is_none(), "{said}");
    let right = report.nodes.iter().find(|node| node.name == "right").expect("every node is measured");
    assert!(right.measured && right.lost > 0 && right.linked && right.let_go_s.is_some(), "{said}");
    assert!(Duration::from_secs_f64(report.outage_s) < allowed(Duration::from_secs(4)), "{said}");
    assert_eq!(status.success(), report.met, "{said}");
    mesh.left.wait_for("the hub is back", SOON, |status| {
        status.peers.iter().any(|peer| peer.name == carrier.name() && peer.path == PathKind::Direct)
    });
    lab.all_pairs_pass(mesh.nodes(), SOON);
}

#[test]
fn a_drill_is_refused_where_it_may_not_be_and_ctrl_c_calls_the_hub_back() {
    let lab = Lab::new("drill, called back", Load::Light);
    let mesh = meshed(&lab);
    let hub = &mesh.hubs[0];
    let process = mesh.right.machine().start(&drill(hub, "30s"));
    let status = process.wait(SOON);
    let said = process.log().text();
    assert_eq!((status.code(), said.contains("only a node that the network file lists")), (Some(1), true), "{said}");
    let process = mesh.left.machine().start(&drill(hub, "5min"));
    let is_away = || process.log().text().contains("is withdrawn").then_some(());
    assert!(until(SOON, is_away).is_some(), "{}", process.log().text());
    let second = mesh.hubs[1].machine().start(&drill(hub, "30s"));
    assert_eq!(second.wait(SOON).code(), Some(1), "{}", second.log().text());
    process.signal(Signal::SIGINT);
    let status = process.wait(Duration::from_secs(40));
    assert!(status.code().is_some(), "it ends in order: {}", process.log().text());
    assert!(process.log().text().contains("was away for"), "{}", process.log().text());
    lab.all_pairs_pass(mesh.nodes(), SOON);
}
