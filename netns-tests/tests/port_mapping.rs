//! A box at home asks the router before it for WireGuard's port.
//!
//! ```text
//!   hub-1 81.2.69.1    hub-2 81.2.69.2        both static peers
//!     |                  |
//!     '------ internet --+----------------------.
//!               |                               |
//!            [router] 81.2.69.20             [other router] 81.2.69.30
//!            random ports, miniupnpd         random ports
//!               |                               |
//!             home                            office
//!               |                               |
//!             box 192.168.1.3                 laptop 192.168.1.7
//! ```
//!
//! Without a mapping box and laptop have no direct link: each router shows everyone another port. (miniupnpd maps nothing
//! on a router whose outside is one of the addresses for documentation, so these are others; nobody outside is reached.)

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use netns_tests::{Lab, Load, Machine, Miniupnpd, Nat, NetworkFile, Node, Segment, Speaks, node, until};
use wgnet_api::{PathKind, Severity, Status};

/// Longer than all three protocols take.
const SOON: Duration = Duration::from_secs(15);
/// The mapped endpoint: the box has the port of its address there, too.
const MAPPED: &str = "81.2.69.20:50003";

struct Home {
    hubs: [Node; 2],
    router: Machine,
    box_: Node,
    laptop: Node,
    _other_router: Machine,
    _segments: [Segment; 3],
}

fn home(lab: &Lab) -> Home {
    let (internet, home, office) = (lab.bridge("internet"), lab.bridge("home"), lab.bridge("office"));
    let network = NetworkFile::new("10.1.1.0/24").peer("10.1.1.1", "81.2.69.1").peer("10.1.1.2", "81.2.69.2");
    let hub = |n: u8| {
        let machine = lab.machine_on(&internet, &format!("hub-{n}"), &[&format!("81.2.69.{n}/24")]);
        lab.node(&machine, &network, &format!("hub-{n}"), &[&format!("10.1.1.{n}")])
    };
    let router =
        lab.router("router", (&internet, &["81.2.69.20/24"]), (&home, &["192.168.1.254/24"]), Nat::RandomPorts);
    let other = (&office, &["192.168.1.254/24"][..]);
    let other_router = lab.router("other-router", (&internet, &["81.2.69.30/24"]), other, Nat::RandomPorts);
    let inside = |segment, name: &str, n: u8| {
        let machine = lab.machine_on(segment, name, &[&format!("192.168.1.{n}/24")]);
        machine.ip("route add default via 192.168.1.254");
        let node = lab.node(&machine, &network, name, &[&format!("10.1.1.{n}")]);
        node.add_args(&["-v"]);
        node
    };
    Home {
        hubs: [hub(1), hub(2)],
        router,
        box_: inside(&home, "box", 3),
        laptop: inside(&office, "laptop", 7),
        _other_router: other_router,
        _segments: [internet, home, office],
    }
}

fn is_mapped_by(status: &Status, protocol: &str) -> bool {
    let mapping = status.node.port_mapping.as_ref();
    let mapped = mapping.is_some_and(|m| m.protocol == protocol && m.external == MAPPED && m.reachable);
    mapped && status.node.outside.first().is_some_and(|first| first == MAPPED)
}

fn is_direct(status: &Status, to: &Node) -> bool {
    let address = to.address().to_string();
    status.peers.iter().any(|peer| peer.address == address && peer.path == PathKind::Direct)
}

/// What `wgnet status` prints for people.
fn printed(node: &Node) -> String {
    let output = node.machine().namespace().output(
        &node::binary().display().to_string(),
        &["status", "--socket", &node.socket()],
        "",
    );
    String::from_utf8_lossy(&output.expect("it runs").stdout).into_owned()
}

fn probe(node: &Node) {
    node.machine().command(&node::binary().display().to_string(), &["probe", "--socket", &node.socket()]);
}

#[test]
fn by_each_protocol_the_port_is_mapped_shown_and_given_back_at_the_stop() {
    let lab = Lab::new("port mapping protocols", Load::Light);
    let Home { hubs, router, box_, .. } = &home(&lab);
    lab.start_all(hubs);
    for (speaks, protocol) in [(Speaks::Pcp, "PCP"), (Speaks::NatPmp, "NAT-PMP"), (Speaks::Upnp, "UPnP")] {
        let upnpd = Miniupnpd::start(router, speaks, &[]);
        box_.start();
        box_.wait_for("its port is mapped", SOON, |status| is_mapped_by(status, protocol));
        let said = printed(box_);
        let line = format!("from outside: {MAPPED}, a port that the router maps ({protocol})");
        assert!(said.contains(&line), "{said}");
        assert!(upnpd.rules().contains("50003"), "{}", upnpd.rules());
        assert!(box_.stop().success());
        assert!(!upnpd.rules().contains("50003"), "{protocol}: {}", upnpd.rules());
        upnpd.kill();
    }
}

#[test]
fn a_box_whose_port_is_mapped_is_direct_with_one_behind_a_nat_that_gives_everyone_another_port() {
    let lab = Lab::new("port mapping direct", Load::Light);
    let Home { hubs, router, box_, laptop, .. } = &home(&lab);
    let upnpd = Miniupnpd::start(router, Speaks::Pcp, &[]);
    lab.start_all(hubs.iter().chain([box_, laptop]));
    box_.wait_for("its port is mapped", SOON, |status| is_mapped_by(status, "PCP"));
    laptop.wait_for("the box is direct at its mapped port", Duration::from_secs(20), |status| {
        let address = box_.address().to_string();
        let peer = status.peers.iter().find(|peer| peer.address == address);
        is_direct(status, box_) && peer.and_then(|peer| peer.endpoint.as_deref()) == Some(MAPPED)
    });
    box_.wait_for("the laptop is direct", SOON, |status| is_direct(status, laptop));
    // The other router maps nothing, and that is no trouble.
    assert!(laptop.status().expect("it runs").health.is_empty());
    let log = laptop.log().text();
    assert!(!log.lines().any(|line| line.contains("WARN") && line.contains("router")), "{log}");
    lab.all_pairs_pass([box_, laptop], SOON);

    // Its router is restarted and has forgotten everything: the port is mapped again, here by a question before it is due.
    upnpd.kill();
    let upnpd = Miniupnpd::start(router, Speaks::Pcp, &[]);
    assert!(!upnpd.rules().contains("50003"), "{}", upnpd.rules());
    probe(box_);
    let again = until(SOON, || upnpd.rules().contains("50003").then_some(()));
    assert!(again.is_some(), "{}", upnpd.rules());
    // A daemon that detaches or is killed leaves its port to the next start, which may renew it.
    assert!(box_.detach().success());
    assert!(upnpd.rules().contains("50003"), "{}", upnpd.rules());
    box_.start();
    box_.wait_for("its port is mapped", SOON, |status| is_mapped_by(status, "PCP"));
}

#[test]
fn without_the_wish_and_with_a_public_address_no_router_is_asked() {
    let lab = Lab::new("port mapping off", Load::Light);
    let Home { hubs, router, box_, laptop, .. } = &home(&lab);
    let upnpd = Miniupnpd::start(router, Speaks::Pcp, &[]);
    box_.add_args(&["--no-port-mapping"]);
    lab.start_all(hubs.iter().chain([box_, laptop]));
    lab.all_pairs_pass([box_, laptop], SOON);
    box_.wait_for("the laptop is behind a hub", SOON, |status| !status.peers.is_empty() && !is_direct(status, laptop));
    assert!(box_.status().expect("it runs").node.port_mapping.is_none());
    assert!(!upnpd.rules().contains("50003"), "{}", upnpd.rules());
    for hub in hubs {
        assert!(hub.status().expect("it runs").node.port_mapping.is_none());
    }
}

/// What the status says of a router that is behind another NAT.
fn double_nat(box_: &Node) -> (Status, String) {
    let is_named = |status: &Status| status.health.iter().any(|line| line.code == "double-nat");
    let status = box_.wait_for("the other NAT is named", SOON, is_named);
    let line = status.health.iter().find(|line| line.code == "double-nat").expect("it was there");
    assert!(line.remedy.contains("public IPv4 address"), "{}", line.remedy);
    assert_eq!(line.severity, Severity::Info);
    let text = line.text.clone();
    (status, text)
}

#[test]
fn a_router_that_maps_an_address_where_nobody_sees_the_box_is_named_and_not_believed() {
    let lab = Lab::new("port mapping elsewhere", Load::Light);
    let Home { hubs, router, box_, .. } = &home(&lab);
    // It was told this address, and packets leave by another.
    let _upnpd = Miniupnpd::start(router, Speaks::Pcp, &["ext_ip=81.2.70.99"]);
    lab.start_all(hubs.iter().chain([box_]));
    let (_, text) = double_nat(box_);
    assert!(text.contains("81.2.70.99:50003"), "{text}");
    let seen = |status: &Status| status.health.iter().any(|line| line.text.contains("see this node at 81.2.69.20"));
    let status = box_.wait_for("where gateways see it", SOON, seen);
    let mapping = status.node.port_mapping.expect("it is shown all the same");
    assert!(!mapping.reachable);
    assert!(!status.node.outside.contains(&mapping.external), "{:?}", status.node.outside);
}

#[test]
fn a_router_behind_a_carriers_nat_is_named() {
    let lab = Lab::new("port mapping carrier", Load::Light);
    let Home { hubs, router, box_, .. } = &home(&lab);
    // Its provider gives it an address of the carrier's own network; miniupnpd maps nothing then, and says why.
    router.ip("addr add 100.64.3.9/24 dev eth0\naddr del 81.2.69.20/24 dev eth0");
    let _upnpd = Miniupnpd::start(router, Speaks::Pcp, &[]);
    lab.start_all(hubs.iter().chain([box_]));
    let (status, text) = double_nat(box_);
    assert!(text.contains("behind another NAT") && status.node.port_mapping.is_none(), "{text}");
}
