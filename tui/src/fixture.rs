//! Meshes for tests, examples and measurements: node `n` of such a mesh is always the same.

use std::collections::BTreeMap;

use wgnet_api::{
    Health, JournalEntry, Mesh, MeshLink, MeshNode, Node, NodeState, PathKind, Peer, Probes, RunnerUp, Severity,
    Snapshot, Status,
};

/// The wall clock at the first moment: 2026-01-02 03:04:05 UTC.
pub const TIME_MS: u64 = 1_767_323_045_000;

/// The node that answers.
pub fn node() -> Node {
    Node {
        name: "alice".into(),
        address: "10.1.0.1".into(),
        addresses: vec!["10.1.0.1".into(), "fd00:1::1".into()],
        interface: "wg0".into(),
        public_key: "9jv3YDUBM6FhERePZ4gPlxzAbCN7K61BPjy7HApWYL8=".into(),
        identity: "3f1c9a00d7e84b52".repeat(4),
        link_address: "fdc9:3f1c:9a00:d7e8::1".into(),
        tunnel: "kernel".into(),
        version: "0.1.0".into(),
        uptime_s: 93_784,
        gateway: true,
        mtu: 1_420,
        gateway_cost: None,
        draining: false,
        effective_lsdb: "a41f09c2".into(),
        nat: wgnet_api::Nat::None,
        outside: Vec::new(),
        port_mapping: None,
    }
}

/// A node's name: every tenth is a gateway.
pub fn name(number: usize) -> String {
    const NAMES: [&str; 8] = ["beta", "carol", "delta", "erin", "frank", "grace", "heidi", "ivan"];
    match NAMES.get(number.wrapping_sub(1)) {
        Some(name) => (*name).to_owned(),
        None => format!("node-{number:03}"),
    }
}

/// Peer number 1 and on: of eight, five direct, two through `beta`, one unreachable.
pub fn peer(number: usize) -> Peer {
    let kind = match number % 8 {
        4 | 6 => PathKind::Gateway,
        7 => PathKind::Unreachable,
        _ => PathKind::Direct,
    };
    let direct = kind == PathKind::Direct;
    let rtt = 0.4 + (number * number % 97) as f64 * 1.7;
    Peer {
        id: format!("{:08x}", number * 0x01f3_5a17 % 0xffff_ffff),
        name: name(number),
        address: address(number),
        addresses: vec![address(number)],
        path: kind,
        via: (kind == PathKind::Gateway).then(|| "beta".to_owned()),
        hops: match kind {
            PathKind::Direct => 1,
            PathKind::Gateway => 2,
            PathKind::Unreachable => 0,
        },
        cost: (kind != PathKind::Unreachable).then_some(50 + number as u64 * 3 % 200),
        endpoint: direct.then(|| format!("198.51.100.{}:500{:02}", number % 250, number % 100)),
        lan: false,
        handshake_age_s: direct.then_some((number as u64 * 37) % 130),
        rtt_ms: direct.then_some(rtt),
        loss: direct.then_some(if number.is_multiple_of(5) { 0.034 } else { 0.0 }),
        probes: direct.then_some(Probes { answered: 900, missed: number as u64 % 5, last_ms: Some(rtt) }),
        runner_up: (kind != PathKind::Unreachable && number > 1)
            .then(|| RunnerUp { via: "beta".into(), cost: 190 + number as u64 }),
        rx_bytes: 1_000_000 * number as u64,
        tx_bytes: 400_000 * number as u64,
        public_key: Some("c2xhrM9WdVd3ReYPVNQOSuQF3Ch0jWkP0t0Kq0vN6Vw=".into()),
        gateway: number % 10 == 1,
        refused: false,
        foreign: false,
        why: match kind {
            PathKind::Direct => "the link to it is the cheapest way".into(),
            PathKind::Gateway => "no direct link; beta is the cheapest gateway".into(),
            PathKind::Unreachable => "no handshake with it for 3 min, and no gateway has a link to it".into(),
        },
    }
}

fn address(number: usize) -> String {
    format!("10.1.{}.{}", number / 250, number % 250 + 1)
}

/// A mesh of this node and so many peers, at its first moment.
pub fn snapshot(peers: usize) -> Snapshot {
    let own = node();
    let mut nodes = vec![MeshNode {
        id: own.identity[..16].to_owned(),
        name: own.name.clone(),
        address: own.address.clone(),
        gateway: true,
        state: NodeState::Linked,
        class: "server".into(),
    }];
    let mut links = Vec::new();
    for number in 1..=peers {
        let peer = peer(number);
        let linked = peer.path != PathKind::Unreachable;
        nodes.push(MeshNode {
            id: peer.id.clone(),
            name: peer.name.clone(),
            address: peer.address.clone(),
            gateway: peer.gateway,
            state: if linked { NodeState::Linked } else { NodeState::Apart },
            class: "server".into(),
        });
        if linked {
            let uplink = if peer.path == PathKind::Direct { "alice" } else { "beta" };
            let (a, b) = if uplink < peer.name.as_str() { (uplink, &*peer.name) } else { (&*peer.name, uplink) };
            let cost = 40 + (number * 7 % 160) as u32;
            links.push(MeshLink {
                a: a.to_owned(),
                b: b.to_owned(),
                cost: Some(cost),
                cost_a: Some(cost),
                cost_b: Some(cost - 5),
                rtt_ms: Some(f64::from(cost) / 8.0),
                loss: Some(if number.is_multiple_of(5) { 0.034 } else { 0.0 }),
                up: true,
            });
        }
    }
    links.sort_by(|a, b| (&a.a, &a.b).cmp(&(&b.a, &b.b)));
    let health = if peers >= 8 { health() } else { Vec::new() };
    Snapshot {
        time_ms: TIME_MS,
        status: Status { node: own, peers: (1..=peers).map(peer).collect(), health, gateways: Vec::new() },
        mesh: Mesh { nodes, links },
        counters: BTreeMap::from([("hellos_sent".to_owned(), 4_711), ("records_refused".to_owned(), 2)]),
    }
}

/// One error and one warning.
pub fn health() -> Vec<Health> {
    vec![
        Health {
            severity: Severity::Error,
            code: "unreachable".into(),
            text: "heidi is not reachable: no handshake for 3 min".into(),
            remedy: "see whether it runs: `systemctl status wgnet@wg0` there".into(),
        },
        Health {
            severity: Severity::Warning,
            code: "route-conflict".into(),
            text: "10.1.0.0/24 is also routed through eth1".into(),
            remedy: "remove it: `ip route del 10.1.0.0/24 dev eth1`".into(),
        },
    ]
}

/// The same mesh so many seconds later: counters went on, one peer in nine missed a probe.
pub fn later(snapshot: &Snapshot, seconds: u64) -> Snapshot {
    let mut later = snapshot.clone();
    later.time_ms += seconds * 1_000;
    later.status.node.uptime_s += seconds;
    for (number, peer) in later.status.peers.iter_mut().enumerate() {
        peer.handshake_age_s = peer.handshake_age_s.map(|age| (age + seconds) % 140);
        peer.rx_bytes += (number as u64 % 7) * 1_700 * seconds;
        peer.tx_bytes += (number as u64 % 5) * 900 * seconds;
        let wave = ((later.time_ms / 1_000 + number as u64) % 9) as f64;
        if let (Some(probes), Some(rtt)) = (&mut peer.probes, peer.rtt_ms) {
            if wave == 4.0 && number % 9 == 0 {
                probes.missed += 1;
            } else {
                probes.answered += seconds;
                probes.last_ms = Some(rtt * (0.9 + wave / 40.0));
            }
        }
    }
    later
}

/// One event of the journal, so many seconds before the first moment.
pub fn entry(number: u64, seconds_ago: u64, severity: Severity, kind: &str, subject: &str, text: &str) -> JournalEntry {
    let time_ms = TIME_MS - seconds_ago * 1_000;
    JournalEntry { number, time_ms, severity, kind: kind.into(), subject: subject.into(), text: text.into() }
}

/// What happened before the first moment.
pub fn journal() -> Vec<JournalEntry> {
    vec![
        entry(1, 93_784, Severity::Info, "ready", "alice", "started; the tunnel is the kernel's"),
        entry(2, 93_781, Severity::Info, "link", "beta", "the link is up"),
        entry(3, 3_720, Severity::Info, "path", "erin", "goes through beta now: the direct link is gone"),
        entry(4, 640, Severity::Warning, "cost", "frank", "the cost of the link rose from 55 to 210: 3.4 % are lost"),
        entry(5, 185, Severity::Error, "path", "heidi", "is not reachable any more: no handshake for 3 min"),
        entry(6, 12, Severity::Info, "path", "grace", "goes through beta now: cheaper by 40"),
    ]
}
