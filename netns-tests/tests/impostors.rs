//! Members of the network who lie: everyone refuses them, visibly, and nobody's traffic changes.
//!
//! ```text
//!   alice (hub 10.1.1.1)   bob (hub 10.1.1.2)   carol 10.1.1.11   dave 10.1.1.12   mallory, who has the network key
//!        |                      |                   |                |                |
//!        '----------------------+-------------------+----------------+----------------'
//! ```
//!
//! Claims are made by an ordinary daemon with a wrong configuration; forgeries by a program that speaks the protocol.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use netns_tests::network_file::shared_key;
use netns_tests::topology::{SUBNET, machine_of_row, network_of_row};
use netns_tests::{Flow, Lab, Load, Machine, NetworkFile, Node, Segment, until};
use rand_core::OsRng;
use wgnet::mesh::config::{Class, NetworkKey};
use wgnet::mesh::ids::{NodeId, WgPublicKey};
use wgnet::mesh::record::{About, Body, Carried, NodeRecord, Signer, Version};
use wgnet::mesh::wire::{DirectWord, JoinReply, MAX_DATAGRAM, Message, Relay, Sealer, Statement};
use wgnet_api::PathKind;

const SOON: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(20);

struct Mesh {
    segment: Segment,
    /// Alice, bob, carol, dave.
    nodes: Vec<Node>,
    mallory: Machine,
}

impl Mesh {
    /// Alice and bob are the static peers; the first `running` of the four are started.
    fn new(lab: &Lab, running: usize) -> Self {
        let segment = lab.bridge("lan");
        let network = network_of_row(2);
        let node = |n: usize, name: &str, address: &str| {
            lab.node(&machine_of_row(lab, &segment, n), &network, name, &[address])
        };
        let nodes = vec![
            node(1, "alice", "10.1.1.1"),
            node(3, "carol", "10.1.1.11"),
            node(4, "dave", "10.1.1.12"),
            node(2, "bob", "10.1.1.2"),
        ];
        let mallory = lab.machine_on(&segment, "mallory", &["192.0.2.66/24"]);
        lab.start_all(&nodes[..running]);
        lab.all_pairs_pass(&nodes[..running], SOON);
        Self { segment, nodes, mallory }
    }

    fn flows(&self) -> [Flow; 3] {
        let [alice, carol, dave, _bob] = &self.nodes[..] else { unreachable!("four nodes") };
        let flows = [(alice, carol), (carol, dave), (dave, alice)].map(|(from, to)| from.flow_to(to, TICK));
        Flow::all_clean_for(&flows, Duration::from_secs(1), SOON);
        flows
    }
}

/// Mallory runs a daemon as told, for some seconds. Whoever runs must refuse her and lose nothing; gives her key back.
fn refused(lab: &Lab, mesh: &Mesh, running: usize, network: &NetworkFile, name: &str, address: &str) -> String {
    let flows = mesh.flows();
    let mallory = lab.node(&mesh.mallory, network, name, &[address]);
    mallory.start();
    let key = mallory.is_ready(SOON).node.public_key;
    let began = Instant::now();
    for node in &mesh.nodes[..running] {
        node.wait_for("mallory is shown as refused", SOON, |status| {
            status.peers.iter().any(|peer| peer.public_key.as_deref() == Some(&key) && peer.refused)
        });
    }
    mallory.wait_for("mallory is told herself that something is wrong, and what to do", SOON, |status| {
        status.health.iter().any(|line| !line.remedy.is_empty())
    });
    Flow::all_clean_for(&flows, Duration::from_secs(3), SOON);
    for flow in flows {
        let report = flow.stop();
        assert_eq!(report.lost_but_for_moves(began, Instant::now()), 0, "{report}");
    }
    for node in &mesh.nodes[..running] {
        let status = node.status().expect("runs");
        let honest = status.peers.iter().filter(|peer| peer.public_key.as_deref() != Some(&key) && !peer.refused);
        assert_eq!(honest.filter(|peer| peer.path != PathKind::Unreachable).count(), running - 1, "{:?}", status.peers);
    }
    key
}

#[test]
fn another_nodes_name_is_refused() {
    let lab = Lab::new("claims a name", Load::Light);
    let mesh = Mesh::new(&lab, 4);
    refused(&lab, &mesh, 4, &network_of_row(2), "carol", "10.1.1.31");
}

#[test]
fn another_nodes_address_is_refused() {
    let lab = Lab::new("claims an address", Load::Light);
    let mesh = Mesh::new(&lab, 4);
    refused(&lab, &mesh, 4, &network_of_row(2), "mallory", "10.1.1.11");
}

#[test]
fn an_address_outside_the_subnet_is_refused() {
    let lab = Lab::new("claims a foreign address", Load::Light);
    let mesh = Mesh::new(&lab, 4);
    let mut network = network_of_row(2);
    network.subnets = vec!["10.0.0.0/8".to_owned()];
    refused(&lab, &mesh, 4, &network, "mallory", "10.9.9.9");
}

#[test]
fn a_static_peers_address_is_refused_before_that_peer_is_up_and_free_for_it_afterwards() {
    let lab = Lab::new("claims a static address", Load::Light);
    let mesh = Mesh::new(&lab, 3);
    let bob = &mesh.nodes[3];
    // As mallory has it, bob's endpoint is her own.
    let network = NetworkFile::new(SUBNET).peer("10.1.1.1", "192.0.2.1").peer("10.1.1.2", "192.0.2.66");
    let key = refused(&lab, &mesh, 3, &network, "bob", "10.1.1.2");
    bob.start();
    lab.all_pairs_pass(&mesh.nodes, SOON);
    let bobs = bob.status().expect("runs").node.public_key;
    for node in &mesh.nodes[..3] {
        node.wait_for("bob is bob", SOON, |status| {
            let of = |wanted: &str| status.peers.iter().find(|peer| peer.public_key.as_deref() == Some(wanted));
            of(&bobs).is_some_and(|peer| !peer.refused) && of(&key).is_none_or(|peer| peer.refused)
        });
    }
}

#[test]
fn the_role_of_a_gateway_is_refused() {
    let lab = Lab::new("claims to be a gateway", Load::Light);
    let mesh = Mesh::new(&lab, 4);
    let flows = mesh.flows();
    let network = network_of_row(2).peer("10.1.1.66", "192.0.2.66");
    let mallory = lab.node(&mesh.mallory, &network, "mallory", &["10.1.1.66"]);
    let began = mallory.start();
    for node in &mesh.nodes {
        node.wait_for("mallory is known, and no gateway", SOON, |status| {
            status.peers.iter().any(|peer| peer.name == "mallory" && !peer.gateway)
        });
    }
    mallory.wait_for("mallory is told that her file differs", SOON, |status| {
        status.health.iter().any(|line| line.text.contains("file"))
    });
    // Even where she would be the only way: with both hubs gone, nothing goes through her.
    let [alice, carol, dave, bob] = &mesh.nodes[..] else { unreachable!("four nodes") };
    Flow::all_clean_for(&flows, Duration::from_secs(2), SOON);
    for flow in flows {
        let report = flow.stop();
        assert_eq!(report.lost_but_for_moves(began, Instant::now()), 0, "{report}");
    }
    mesh.segment.cut(carol.machine(), dave.machine());
    alice.kill();
    bob.kill();
    let through_her = || {
        let peer = carol.peer(dave.address())?;
        (peer.via.as_deref() == Some("mallory")).then_some(peer)
    };
    assert_eq!(until(Duration::from_secs(10), through_her), None);
}

/// A member that speaks the protocol as it likes.
struct Forger {
    socket: UdpSocket,
    key: NetworkKey,
    signer: Signer,
    /// One for each node she pretends to be.
    sealers: BTreeMap<NodeId, Sealer>,
}

impl Forger {
    fn new(machine: &Machine) -> Self {
        let key = NetworkKey::new(shared_key());
        let signer = Signer::new(&[66; 32], key.network_id());
        let socket = machine.namespace().run(|| UdpSocket::bind("0.0.0.0:50566")).expect("a free port");
        Self { socket, key, signer, sealers: BTreeMap::new() }
    }

    /// Sends `message` as if `sender` had sent it: in its present start with counters beyond its own, and in a later one.
    fn send(&mut self, message: &Message, sender: NodeId, to: &Victim) {
        let key = &self.key;
        let present = self.sealers.entry(sender).or_insert_with(|| {
            let mut sealer = Sealer::new(key.clone(), sender, 1);
            (0..3000).for_each(|_| drop(sealer.seal(&Message::Ack(Vec::new()), None, &mut OsRng)));
            sealer
        });
        let mut later = Sealer::new(key.clone(), sender, 2);
        for recipient_epoch in [0, 1] {
            for sealer in [&mut *present, &mut later] {
                let sealed = sealer.seal(message, Some((&to.id, recipient_epoch)), &mut OsRng);
                assert!(sealed.len() <= MAX_DATAGRAM);
                self.socket.send_to(&sealed, to.admin).expect("sent");
            }
        }
    }

    /// A record of `victim` that she signed: what it says is decided by `change`.
    fn record_of(&self, victim: &Victim, change: impl Fn(&mut About)) -> Carried {
        let mut about = About {
            name: victim.name.parse().expect("a name"),
            addresses: vec![victim.address.parse().expect("an address")],
            wg_key: victim.key,
            wg_port: 50000,
            admin_port: 55555,
            gateway: false,
            class: Class::Server,
            left: false,
            algorithm: 1,
            file: 1,
            grants: Vec::new(),
            grants_any: false,
            endpoints: Vec::new(),
        };
        change(&mut about);
        let version = Version { epoch: 1, seq: 1 << 40 };
        let body = Body::Node(NodeRecord { fragment: 0, version, about: Some(about), links: Vec::new() });
        let mut bytes = self.signer.item(body).bytes().to_vec();
        bytes[..32].copy_from_slice(&victim.id.0);
        Carried { bytes, age: 0, holds: Vec::new() }
    }
}

/// What a member knows of another.
struct Victim {
    name: String,
    address: String,
    id: NodeId,
    key: WgPublicKey,
    admin: SocketAddr,
}

impl Victim {
    fn of(node: &Node, admin: &str) -> Self {
        let told = node.status().expect("runs").node;
        let digits = (0..32).map(|i| u8::from_str_radix(&told.identity[2 * i..2 * i + 2], 16).expect("hexadecimal"));
        let id = NodeId(digits.collect::<Vec<_>>().try_into().expect("32 bytes"));
        let key = told.public_key.parse().expect("a key");
        Self { name: told.name, address: told.address, id, key, admin: admin.parse().expect("an endpoint") }
    }
}

#[test]
fn forged_leaves_switches_and_endpoints_with_the_network_key_change_nothing() {
    let lab = Lab::new("forgeries", Load::Light);
    let mesh = Mesh::new(&lab, 4);
    let [alice, carol, dave, bob] = &mesh.nodes[..] else { unreachable!("four nodes") };
    let flows = mesh.flows();
    let paths = |node: &Node| {
        let status = node.status().expect("runs");
        let path = |peer: &wgnet_api::Peer| (peer.name.clone(), peer.path, peer.via.clone(), peer.endpoint.clone());
        status.peers.iter().map(path).collect::<Vec<_>>()
    };
    until(SOON, || {
        let all = mesh.nodes.iter().map(paths).collect::<Vec<_>>();
        all.iter().flatten().all(|(_, path, ..)| *path == PathKind::Direct).then_some(())
    })
    .expect("all are direct");
    let before = mesh.nodes.iter().map(paths).collect::<Vec<_>>();
    let victims = [
        Victim::of(alice, "192.0.2.1:55555"),
        Victim::of(bob, "192.0.2.2:55555"),
        Victim::of(carol, "192.0.2.3:50511"),
        Victim::of(dave, "192.0.2.4:50512"),
    ];
    let mut forger = Forger::new(&mesh.mallory);
    let mallory = forger.signer.id();
    let began = Instant::now();
    for author in &victims {
        let leave = forger.record_of(author, |about| about.left = true);
        let elsewhere =
            forger.record_of(author, |about| about.endpoints = vec!["192.0.2.66:50566".parse().expect("an endpoint")]);
        let other_key = forger.record_of(author, |about| about.wg_key = WgPublicKey([66; 32]));
        for target in victims.iter().filter(|target| target.id != author.id) {
            for item in [&leave, &elsewhere, &other_key] {
                for sender in [author.id, mallory] {
                    forger.send(&Message::Items(vec![item.clone()]), sender, target);
                }
            }
            for word in [
                DirectWord::Accept(1),
                DirectWord::Propose(1),
                DirectWord::End(1),
                DirectWord::Ask(vec!["192.0.2.66:50566".parse().expect("an endpoint")]),
            ] {
                let mut statement = Statement::sign(&forger.signer, target.id, (1, 1), 1 << 40, word);
                statement.from = author.id;
                forger.send(&Message::Direct(statement.clone()), author.id, target);
                forger.send(&Message::Relay(Relay { hops: 5, statement }), author.id, target);
            }
            let reply = JoinReply {
                challenge: [0; 16],
                signature: forger.signer.sign(b"join", &[0; 16]),
                token: [0; 16],
                digest: 0,
                refused: Vec::new(),
                observed: "192.0.2.66:50566".parse().expect("an endpoint"),
                item: leave.clone(),
            };
            forger.send(&Message::JoinReply(reply), author.id, target);
        }
    }
    Flow::all_clean_for(&flows, Duration::from_secs(5), SOON);
    for flow in flows {
        let report = flow.stop();
        assert_eq!(report.lost_but_for_moves(began, Instant::now()), 0, "{report}");
    }
    for (node, before) in mesh.nodes.iter().zip(before) {
        assert_eq!(paths(node), before, "{} sees others", node.name());
        assert!(node.log().find("refused").is_some(), "{} says nothing:\n{}", node.name(), node.log().text());
    }
}
