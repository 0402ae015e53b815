//! Nothing of the original is left, and what is left still fits together.

use super::*;
use crate::{NodeState, PathKind, Probes, Rule, Severity};

const OWN_KEY: &str = "YDUBM6FhERePZ4gPlxzAbCN7K61BPjy7HApWYL+P128=";
const PEER_KEY: &str = "c2xhrM9WdVd3ReYPVNQOSuQF3Ch0jWkP0t0Kq0vN6Vw=";
const OWN_ID: &str = "3f1c9a00d7e84b523f1c9a00d7e84b523f1c9a00d7e84b523f1c9a00d7e84b52";

fn peer(number: usize, name: &str) -> Peer {
    Peer {
        id: format!("{:016x}", 0xabcd_0123_4567_0000_u64 + number as u64),
        name: name.into(),
        address: format!("10.77.3.{number}"),
        addresses: vec![format!("10.77.3.{number}"), format!("fd77:3::{number}")],
        path: PathKind::Gateway,
        via: Some("frankfurt".into()),
        hops: 2,
        cost: Some(60),
        endpoint: Some(format!("93.184.216.{number}:5{number:04}")),
        lan: false,
        handshake_age_s: Some(30),
        rtt_ms: Some(12.5),
        loss: Some(0.02),
        probes: Some(Probes::default()),
        runner_up: Some(RunnerUp { via: "amsterdam".into(), cost: 90 }),
        rx_bytes: 1,
        tx_bytes: 2,
        public_key: Some(PEER_KEY.into()),
        gateway: matches!(name, "frankfurt" | "amsterdam"),
        refused: false,
        foreign: false,
        why: format!("no direct link to {name} (10.77.3.{number}); frankfurt is cheaper than amsterdam by 30"),
    }
}

fn snapshot() -> Snapshot {
    let node = Node {
        name: "annas-laptop".into(),
        address: "10.77.3.1".into(),
        addresses: vec!["10.77.3.1".into(), "fd77:3::1".into()],
        interface: "anna0".into(),
        public_key: OWN_KEY.into(),
        identity: OWN_ID.into(),
        link_address: "fdc9:3f1c:9a00::7".into(),
        tunnel: "kernel".into(),
        version: "0.1.0".into(),
        uptime_s: 10,
        gateway: false,
        mtu: 1420,
        gateway_cost: None,
        draining: false,
        effective_lsdb: "a41f09c2".into(),
        nat: crate::Nat::EndpointIndependent,
        outside: vec!["198.51.100.20:50001".into()],
        port_mapping: Some(PortMapping {
            protocol: "PCP".into(),
            external: "198.51.100.20:50001".into(),
            reachable: true,
        }),
    };
    let foreign = Peer {
        id: format!("wg:{PEER_KEY}"),
        name: "wg:c2xhrM9W".into(),
        address: "10.77.3.200/32".into(),
        addresses: vec!["10.77.3.200/32".into(), "192.168.77.0/24".into()],
        foreign: true,
        endpoint: Some("[2a02:8071::5]:51820".into()),
        via: None,
        ..peer(200, "x")
    };
    let silent = Peer { id: "static:10.77.3.9".into(), public_key: None, endpoint: None, ..peer(9, "10.77.3.9") };
    let peers: Vec<_> =
        vec![peer(2, "frankfurt"), peer(3, "amsterdam"), peer(4, "nas-anna"), peer(5, "node-1"), silent, foreign];
    let health = Health {
        severity: Severity::Warning,
        code: "name-conflict".into(),
        text: "nas-anna is claimed by abcd0123 and by 0f0f0f0f12345678 at vpn.anna-mueller.de (93.184.216.77:1234)"
            .into(),
        remedy: "run `wgnet forget nas-anna` at frankfurt; see /home/anna/wgnet/net.yaml:12:3".into(),
    };
    let nodes = peers.iter().filter(|peer| !peer.foreign).map(|peer| MeshNode {
        id: peer.id.clone(),
        name: peer.name.clone(),
        address: peer.address.clone(),
        gateway: peer.gateway,
        state: NodeState::Linked,
        class: "server".into(),
    });
    let link = |a: &str, b: &str| MeshLink {
        a: a.into(),
        b: b.into(),
        cost: Some(9),
        cost_a: Some(7),
        cost_b: Some(9),
        rtt_ms: None,
        loss: None,
        up: true,
    };
    Snapshot {
        time_ms: 5,
        mesh: Mesh {
            nodes: nodes.collect(),
            links: vec![
                link("amsterdam", "annas-laptop"),
                link("amsterdam", "frankfurt"),
                link("frankfurt", "nas-anna"),
            ],
        },
        status: Status { node, peers, health: vec![health], gateways: Vec::new() },
        counters: BTreeMap::from([("hellos_sent".to_owned(), 7)]),
    }
}

fn entry(subject: &str, text: &str) -> JournalEntry {
    JournalEntry {
        number: 1,
        time_ms: 2,
        severity: Severity::Info,
        kind: "path".into(),
        subject: subject.into(),
        text: text.into(),
    }
}

fn why() -> Why {
    Why {
        from: "annas-laptop".into(),
        to: "nas-anna".into(),
        hops: vec![Hop { from: "annas-laptop".into(), to: "frankfurt".into(), cost: None, rtt_ms: None, loss: None }],
        cost: Some(1),
        candidates: vec![Candidate {
            via: "amsterdam".into(),
            cost: Some(3),
            margin: Some(2),
            rule: Rule::Dearer,
            text: "amsterdam costs 2 more".into(),
        }],
        missing: Some(Missing { reason: "nas-anna is silent".into(), remedy: "start nas-anna".into() }),
        mtu: 1420,
        readers: vec!["frankfurt".into()],
        note: Some("measured by annas-laptop".into()),
    }
}

/// Everything that must not be seen, in the whole output.
const ORIGINALS: &[&str] = &[
    "anna",
    "frankfurt",
    "amsterdam",
    "nas-",
    "laptop",
    "10.77.",
    "fd77",
    "fdc9",
    "93.184",
    "198.51.100",
    "192.168",
    "2a02",
    "51820",
    "50002",
    "50004",
    "1234:",
    ":1234",
    "YDUBM6",
    "c2xhrM9W",
    "3f1c9a00",
    "abcd0123",
    "0f0f0f0f",
    "mueller",
    "mallory",
    "77.1.2.3",
];

#[test]
fn nothing_of_the_original_is_left() {
    let mut pseudonyms = Pseudonyms::new();
    let snapshot = snapshot();
    let mut difference = Difference { time_ms: 1, peers: vec![peer(6, "mallory")], ..Difference::default() };
    difference.gone_links = vec![("amsterdam".into(), "frankfurt".into())];
    difference.gone_peers = vec![snapshot.status.peers[0].id.clone()];
    let told = [
        serde_json::to_string(&pseudonyms.snapshot(&snapshot)),
        serde_json::to_string(&pseudonyms.status(&snapshot.status)),
        serde_json::to_string(&pseudonyms.mesh(&snapshot.mesh)),
        serde_json::to_string(&pseudonyms.difference(&difference)),
        serde_json::to_string(&pseudonyms.why(&why())),
        serde_json::to_string(&pseudonyms.entry(&entry("nas-anna", "nas-anna moved from frankfurt to amsterdam"))),
        serde_json::to_string(&pseudonyms.entry(&entry("abcd0123", &format!("{OWN_ID} of 77.1.2.3 has {OWN_KEY}")))),
    ];
    for told in told {
        let told = told.expect("plain data");
        for original in ORIGINALS {
            assert!(!told.contains(original), "{original} in {told}");
        }
    }
}

#[test]
fn pseudonyms_say_what_a_thing_is() {
    let told = Pseudonyms::new().snapshot(&snapshot());
    let names: Vec<_> = told.status.peers.iter().map(|peer| peer.name.as_str()).collect();
    // `node-1` is someone's name, so that nobody is called so.
    assert_eq!(names, ["gateway-1", "gateway-2", "node-2", "node-3", &told.status.peers[4].address, "foreign-1"]);
    assert_eq!(told.status.node.name, "me");
    assert_eq!(told.status.node.interface, "wg0");
    assert_eq!(told.status.node.address, "198.18.0.1");
    assert!(told.status.peers[0].addresses[1].starts_with("2001:db8::"));
    assert_eq!(told.status.peers[0].endpoint.as_deref(), Some("endpoint-1:p1"));
    assert_eq!(told.status.peers[2].via.as_deref(), Some("gateway-1"));
    assert_eq!(told.status.peers[0].id, "id-2", "id-1 is this node's");
    let why = &told.status.peers[2].why;
    assert!(why.starts_with("no direct link to node-2 (198.18.0."), "{why}");
    assert!(why.ends_with("gateway-1 is cheaper than gateway-2 by 30"), "{why}");
    let health = &told.status.health[0];
    assert_eq!(health.text, "node-2 is claimed by id-2 and by id-6 at host-1 (endpoint-6:p6)", "abcd0123 is the first");
    assert_eq!(health.remedy, "run `wgnet forget node-2` at gateway-1; see /home/user/wgnet/net.yaml:12:3");
}

#[test]
fn what_belongs_together_still_does() {
    let snapshot = snapshot();
    let told = Pseudonyms::new().snapshot(&snapshot);
    let link = told.mesh.links.iter().find(|link| (&*link.a, &*link.b) == ("gateway-2", "me")).expect("amsterdam's");
    assert_eq!((link.cost_a, link.cost_b), (Some(7), Some(9)));
    assert!(told.mesh.links.iter().all(|link| link.a < link.b), "{:?}", told.mesh.links);
    let ids: BTreeSet<_> = told.status.peers.iter().map(|peer| &peer.id).collect();
    assert_eq!(ids.len(), told.status.peers.len(), "ids stay different");
    assert_eq!(told.mesh.nodes[2].id, told.status.peers[2].id);
    assert_eq!((told.counters, told.status.node.mtu), (snapshot.counters, 1420));
}

#[test]
fn a_thing_keeps_its_pseudonym() {
    let mut pseudonyms = Pseudonyms::new();
    let first = pseudonyms.snapshot(&snapshot());
    let mut later = snapshot();
    later.status.peers.remove(0);
    later.status.peers.insert(0, peer(7, "newcomer"));
    let told = pseudonyms.snapshot(&later);
    assert_eq!(pseudonyms.snapshot(&snapshot()), first);
    assert!(told.status.peers.iter().any(|peer| peer.name == "node-4"), "the next number");
    let mut applied = first.clone();
    applied.apply(pseudonyms.difference(&snapshot().difference(&later)));
    assert_eq!(applied, told, "differences lead to the same moment");
}

#[test]
fn texts_are_told_word_by_word() {
    let mut pseudonyms = Pseudonyms::new();
    pseudonyms.learn(&snapshot());
    let cases = [
        ("nas-annabel is another one", "nas-annabel is another one"),
        ("frankfurt's link, frankfurt: down.", "gateway-1's link, gateway-1: down."),
        ("frankfurt-amsterdam=50", "gateway-1-gateway-2=50"),
        ("via frankfurt/amsterdam", "via gateway-1/gateway-2"),
        ("10.77.3.1, [fd77:3::1]:50001.", "198.18.0.1, 2001:db8::2:p1."),
        ("route 10.20.0.0/16 stays", "route endpoint-1/16 stays"),
        ("key=YDUBM6FhERePZ4gPlxzAbCN7K61BPjy7HApWYL+P128=", "key=key-1="),
        ("3 of 12345678 bytes in 4.2 ms at 12:30:45, 50.5 %", "3 of 12345678 bytes in 4.2 ms at 12:30:45, 50.5 %"),
        ("see net.yaml:3:7 and /run/wgnet/wg0.sock", "see net.yaml:3:7 and /run/wgnet/wg0.sock"),
        ("127.0.0.1 and :: stay", "127.0.0.1 and :: stay"),
        ("beta.example.net:51820 does not resolve", "host-1:p1 does not resolve"),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(pseudonyms.clone().text(text), expected, "{text}");
    }
}
