//! From the engine's view and the tunnel's report to the status that people and scripts see. No secrets pass here:
//! neither of the two sources has any.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use wgnet_api::{
    Gateway, Health, Journal, JournalEntry, Nat, Node, PathKind, Peer, PortMapping, Probes, RunnerUp, Severity, Status,
};

use crate::daemon::journal::Entry;
use crate::mesh::config::MeshConfig;
use crate::mesh::event;
use crate::mesh::ids::{NodeId, WgPublicKey};
use crate::mesh::io::{PeerReport, TunnelReport};
use crate::mesh::view::{self, HealthLine, NatKind, NodeView, View};

/// WireGuard rejects a session that is older (the whitepaper's REJECT_AFTER_TIME).
const SESSION: Duration = Duration::from_secs(180);

/// What the daemon knows of itself beyond the engine's view.
#[derive(Debug)]
pub struct Own<'a> {
    /// The configuration it runs with.
    pub config: &'a MeshConfig,
    /// Its interface.
    pub interface: &'a str,
    /// Its WireGuard key.
    pub public_key: WgPublicKey,
    /// Its link address.
    pub link_address: Ipv6Addr,
    /// Its tunnel's backend.
    pub tunnel: &'static str,
    /// Time since it started.
    pub uptime: Duration,
    /// What is wrong outside the engine: disk, system, tunnel.
    pub health: &'a [HealthLine],
}

/// One moment's status.
pub fn status(own: &Own<'_>, view: &View, report: &TunnelReport) -> Status {
    let addresses: Vec<_> = own.config.addresses.iter().map(ToString::to_string).collect();
    let node = Node {
        name: own.config.name.to_string(),
        address: addresses.first().cloned().unwrap_or_default(),
        addresses,
        interface: own.interface.to_owned(),
        public_key: own.public_key.to_string(),
        identity: view.id.to_string(),
        link_address: own.link_address.to_string(),
        tunnel: own.tunnel.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: own.uptime.as_secs(),
        gateway: view.gateway,
        mtu: own.config.mtu,
        gateway_cost: view.gateway_cost,
        draining: view.draining,
        effective_lsdb: format!("{:016x}", view.effective_hash),
        nat: match view.nat {
            NatKind::Unknown => Nat::Unknown,
            NatKind::None => Nat::None,
            NatKind::EndpointIndependent => Nat::EndpointIndependent,
            NatKind::AddressDependent => Nat::AddressDependent,
        },
        outside: view.outside.iter().map(ToString::to_string).collect(),
        port_mapping: view.mapped.map(|(mapping, reachable)| PortMapping {
            protocol: mapping.protocol.to_string(),
            external: mapping.external.to_string(),
            reachable,
        }),
    };
    let ours = |peer: &PeerReport| {
        view.tunnel_keys.contains(&peer.public_key) || view.nodes.iter().any(|n| n.public_key == Some(peer.public_key))
    };
    let foreign = report.peers.iter().filter(|peer| !ours(peer));
    let peers = view.nodes.iter().map(member).chain(foreign.map(foreigner)).collect();
    // The daemon knows the reason of a trouble that the engine only hears of (the disk's).
    let heard = |line: &&HealthLine| !own.health.iter().any(|known| known.code == line.code);
    let mut health: Vec<_> = view.health.iter().filter(heard).chain(own.health).map(health_line).collect();
    health.sort_by_key(|line| std::cmp::Reverse(line.severity));
    let gateway = |share: &view::GatewayShare| Gateway {
        name: share.name.clone(),
        weight: share.weight,
        leaves: share.leaves,
        first: share.is_first,
        uplink: share.is_uplink,
    };
    Status { node, peers, health, gateways: view.shares.iter().map(gateway).collect() }
}

/// The journal as clients see it.
pub fn journal<'a>(entries: impl Iterator<Item = &'a Entry>) -> Journal {
    Journal { entries: entries.map(entry).collect() }
}

/// One entry of it.
pub fn entry(entry: &Entry) -> JournalEntry {
    JournalEntry {
        number: entry.number,
        time_ms: u64::try_from(entry.at.as_millis()).unwrap_or(u64::MAX),
        severity: severity(entry.event.severity),
        kind: format!("{:?}", entry.event.kind).to_lowercase(),
        subject: entry.event.subject.clone(),
        text: entry.event.text.clone(),
    }
}

fn member(node: &NodeView) -> Peer {
    let addresses: Vec<_> = node.addresses.iter().map(ToString::to_string).collect();
    Peer {
        id: id_of(node.id.as_ref(), &node.addresses, &node.name),
        name: node.name.clone(),
        address: addresses.first().cloned().unwrap_or_default(),
        addresses,
        path: match node.path {
            view::PathKind::Direct => PathKind::Direct,
            view::PathKind::Gateway => PathKind::Gateway,
            view::PathKind::Unreachable => PathKind::Unreachable,
        },
        via: node.via.clone(),
        hops: node.hops,
        cost: node.cost,
        endpoint: node.endpoint.map(|endpoint| endpoint.to_string()),
        lan: node.lan,
        handshake_age_s: node.handshake_age.map(|age| age.as_secs()),
        rtt_ms: node.rtt.map(milliseconds),
        loss: node.loss.map(|loss| round_to(f64::from(loss), 1e4)),
        probes: node.probes.as_ref().map(probes),
        runner_up: node.runner_up.as_ref().map(|(via, cost)| RunnerUp { via: via.clone(), cost: *cost }),
        rx_bytes: node.rx_bytes,
        tx_bytes: node.tx_bytes,
        public_key: node.public_key.map(|key| key.to_string()),
        gateway: node.gateway,
        refused: node.refused,
        foreign: false,
        why: node.why.clone(),
    }
}

/// What tells a node from all others, also where two claim one name.
pub(super) fn id_of(id: Option<&NodeId>, addresses: &[IpAddr], name: &str) -> String {
    match (id, addresses.first()) {
        (Some(id), _) => id.to_string()[..16].to_owned(),
        (None, Some(address)) => format!("static:{address}"),
        (None, None) => format!("static:{name}"),
    }
}

fn probes(probes: &view::Probes) -> Probes {
    Probes { answered: probes.answered, missed: probes.missed, last_ms: probes.last.map(milliseconds) }
}

/// A peer that a person added by `wg set`.
fn foreigner(peer: &PeerReport) -> Peer {
    let key = peer.public_key.to_string();
    let addresses: Vec<_> = peer.allowed.iter().map(ToString::to_string).collect();
    let reachable = peer.handshake_age.is_some_and(|age| age < SESSION);
    Peer {
        id: format!("wg:{key}"),
        name: format!("wg:{}", &key[..8]),
        address: addresses.first().cloned().unwrap_or_default(),
        addresses,
        path: if reachable { PathKind::Direct } else { PathKind::Unreachable },
        via: None,
        hops: u32::from(reachable),
        cost: None,
        endpoint: peer.endpoint.map(|endpoint| endpoint.to_string()),
        lan: false,
        handshake_age_s: peer.handshake_age.map(|age| age.as_secs()),
        rtt_ms: None,
        loss: None,
        probes: None,
        runner_up: None,
        rx_bytes: peer.rx_bytes,
        tx_bytes: peer.tx_bytes,
        public_key: Some(key),
        gateway: false,
        refused: false,
        foreign: true,
        why: "added by hand (`wg set`): kept, and no part of the mesh".to_owned(),
    }
}

fn health_line(line: &HealthLine) -> Health {
    Health {
        severity: severity(line.severity),
        code: line.code.to_owned(),
        text: line.text.clone(),
        remedy: line.remedy.clone(),
    }
}

fn severity(severity: event::Severity) -> Severity {
    match severity {
        event::Severity::Info => Severity::Info,
        event::Severity::Warning => Severity::Warning,
        event::Severity::Error => Severity::Error,
    }
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    round_to(duration.as_secs_f64() * 1e3, 1e3)
}

/// Rounds to `1 / steps`, so that JSON shows 0.213 and not 0.21300000000000002.
pub(super) fn round_to(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}
