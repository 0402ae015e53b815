//! A difference leads from one moment to the next, and tells of nothing else.

use super::*;
use crate::{NodeState, PathKind};

fn node() -> Node {
    Node {
        name: "alice".into(),
        address: "10.1.1.1".into(),
        addresses: vec!["10.1.1.1".into()],
        interface: "wg0".into(),
        public_key: String::new(),
        identity: String::new(),
        link_address: String::new(),
        tunnel: "userspace".into(),
        version: "0.1.0".into(),
        uptime_s: 10,
        gateway: true,
        mtu: 1420,
        gateway_cost: None,
        draining: false,
        effective_lsdb: String::new(),
        nat: crate::Nat::default(),
        outside: Vec::new(),
        port_mapping: None,
    }
}

fn peer(number: u8) -> Peer {
    Peer {
        id: format!("{number:016x}"),
        name: format!("node{number}"),
        address: format!("10.1.1.{number}"),
        addresses: vec![format!("10.1.1.{number}")],
        path: PathKind::Direct,
        via: None,
        hops: 1,
        cost: Some(60),
        endpoint: None,
        lan: false,
        handshake_age_s: Some(30),
        rtt_ms: Some(1.5),
        loss: Some(0.0),
        probes: None,
        runner_up: None,
        rx_bytes: 0,
        tx_bytes: 0,
        public_key: None,
        gateway: false,
        refused: false,
        foreign: false,
        why: String::new(),
    }
}

fn link(a: &str, b: &str) -> MeshLink {
    MeshLink {
        a: a.into(),
        b: b.into(),
        cost: Some(60),
        cost_a: Some(60),
        cost_b: Some(55),
        rtt_ms: None,
        loss: None,
        up: true,
    }
}

fn snapshot(time_ms: u64) -> Snapshot {
    let nodes = (1..=4).map(|n| MeshNode {
        id: format!("{n:016x}"),
        name: format!("node{n}"),
        address: format!("10.1.1.{n}"),
        gateway: false,
        state: NodeState::Linked,
        class: "server".into(),
    });
    Snapshot {
        time_ms,
        status: Status { node: node(), peers: (2..=4).map(peer).collect(), health: Vec::new(), gateways: Vec::new() },
        mesh: Mesh { nodes: nodes.collect(), links: vec![link("alice", "node2"), link("alice", "node3")] },
        counters: BTreeMap::from([("hellos_sent".to_owned(), 7)]),
    }
}

#[test]
fn time_that_goes_by_is_no_difference() {
    let mut now = snapshot(10_400);
    for time_ms in [11_350, 12_300, 13_250, 14_200, 15_150] {
        let mut later = snapshot(time_ms);
        let elapsed = time_ms / 1_000 - 10;
        later.status.node.uptime_s += elapsed;
        later.status.peers.iter_mut().for_each(|peer| peer.handshake_age_s = Some(30 + elapsed));
        let difference = now.difference(&later);
        assert!(difference.is_empty(), "{difference:?}");
        now.apply(difference);
        assert_eq!(now, later, "ages and the uptime go on");
    }
}

#[test]
fn a_difference_leads_from_one_moment_to_the_next() {
    let mut now = snapshot(10_000);
    let mut later = snapshot(11_000);
    later.status.peers[0].handshake_age_s = Some(0);
    later.status.peers[1].path = PathKind::Gateway;
    later.status.peers.remove(2);
    later.status.peers.push(peer(200));
    later.status.peers.iter_mut().skip(1).for_each(|peer| peer.handshake_age_s = Some(31));
    later.status.health.push(Health {
        severity: crate::Severity::Warning,
        code: "storage".into(),
        text: "full".into(),
        remedy: String::new(),
    });
    later.mesh.nodes.remove(3);
    later.mesh.links[0].cost = Some(90);
    later.mesh.links.remove(1);
    later.counters.insert("hellos_sent".into(), 9);
    let difference = now.difference(&later);
    assert_eq!(
        difference.peers.iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>(),
        ["node2", "node3", "node200"]
    );
    assert_eq!(difference.gone_peers, [format!("{:016x}", 4)]);
    assert_eq!(difference.gone_links, [("alice".to_owned(), "node3".to_owned())]);
    let json = serde_json::to_string(&difference).expect("plain data");
    now.apply(serde_json::from_str(&json).expect("as it was written"));
    assert_eq!(now, later);
}

#[test]
fn peers_stay_sorted_by_address_as_numbers() {
    let mut now = snapshot(10_000);
    now.apply(Difference { time_ms: 10_000, peers: vec![peer(100), peer(20)], ..Difference::default() });
    let names: Vec<_> = now.status.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["node2", "node3", "node4", "node20", "node100"]);
}
