//! Everything a dashboard shows, at one moment, and what changed from one moment to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Gateway, Health, Mesh, MeshLink, MeshNode, Node, Peer, Status};

/// One moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Snapshot {
    /// When: milliseconds since 1970, by the daemon's wall clock.
    pub time_ms: u64,
    /// This node, its peers, what is wrong.
    pub status: Status,
    /// The whole mesh.
    pub mesh: Mesh,
    /// Counters since the daemon's start, by name.
    pub counters: BTreeMap<String, u64>,
}

/// What is different from the moment before. Lists hold what is new or different, whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// The later moment: milliseconds since 1970, by the daemon's wall clock.
    pub time_ms: u64,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// This node, if anything but its uptime is different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// Peers that are new or different. A handshake that only grew older by the time that went by is not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// [`Peer::id`] of those that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone_peers: Vec<String>,
    /// All that is wrong, if it is different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Vec<Health>>,
    /// Every gateway's weight and share, if any is different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateways: Option<Vec<Gateway>>,
    /// Nodes of the mesh that are new or different.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<MeshNode>,
    /// [`MeshNode::id`] of those that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone_nodes: Vec<String>,
    /// Links that are new or different.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<MeshLink>,
    /// Both ends of links that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone_links: Vec<(String, String)>,
    /// Counters that moved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, u64>,
}

impl Difference {
    /// Whether nothing but time went by.
    pub fn is_empty(&self) -> bool {
        let Self { time_ms, uptime_s, .. } = *self;
        *self == Self { time_ms, uptime_s, ..Self::default() }
    }
}

impl Snapshot {
    /// What leads from `self` to `later`.
    pub fn difference(&self, later: &Self) -> Difference {
        let elapsed_s = seconds_between(self.time_ms, later.time_ms);
        let (old, new) = (&self.status, &later.status);
        let (peers, gone_peers) =
            compared(&old.peers, &new.peers, |peer| peer.id.clone(), |a, b| is_same_peer(a, b, elapsed_s));
        let (nodes, gone_nodes) = compared(&self.mesh.nodes, &later.mesh.nodes, |node| node.id.clone(), PartialEq::eq);
        let (links, gone_links) = compared(&self.mesh.links, &later.mesh.links, ends, PartialEq::eq);
        let counters = later.counters.iter().filter(|(name, count)| self.counters.get(*name) != Some(*count));
        Difference {
            time_ms: later.time_ms,
            uptime_s: new.node.uptime_s,
            node: (Node { uptime_s: new.node.uptime_s, ..old.node.clone() } != new.node).then(|| new.node.clone()),
            peers,
            gone_peers,
            health: (old.health != new.health).then(|| new.health.clone()),
            gateways: (old.gateways != new.gateways).then(|| new.gateways.clone()),
            nodes,
            gone_nodes,
            links,
            gone_links,
            counters: counters.map(|(name, count)| (name.clone(), *count)).collect(),
        }
    }

    /// Goes on to the moment after `difference`.
    pub fn apply(&mut self, difference: Difference) {
        let elapsed_s = seconds_between(self.time_ms, difference.time_ms);
        for peer in &mut self.status.peers {
            peer.handshake_age_s = peer.handshake_age_s.map(|age| age + elapsed_s);
        }
        self.time_ms = difference.time_ms;
        if let Some(node) = difference.node {
            self.status.node = node;
        }
        self.status.node.uptime_s = difference.uptime_s;
        merged(&mut self.status.peers, difference.peers, &difference.gone_peers, |peer| peer.id.clone());
        self.status.peers.sort_by_cached_key(|peer| (peer.foreign, order(&peer.address, &peer.name)));
        if let Some(health) = difference.health {
            self.status.health = health;
        }
        if let Some(gateways) = difference.gateways {
            self.status.gateways = gateways;
        }
        merged(&mut self.mesh.nodes, difference.nodes, &difference.gone_nodes, |node| node.id.clone());
        self.mesh.nodes.sort_by_cached_key(|node| order(&node.address, &node.name));
        merged(&mut self.mesh.links, difference.links, &difference.gone_links, ends);
        self.mesh.links.sort_by(|a, b| (&a.a, &a.b).cmp(&(&b.a, &b.b)));
        self.counters.extend(difference.counters);
    }
}

/// Both ends of a link: what tells it from all others.
fn ends(link: &MeshLink) -> (String, String) {
    (link.a.clone(), link.b.clone())
}

/// By address as numbers, not as text; what is no address comes last.
pub(crate) fn order(address: &str, name: &str) -> (bool, Option<IpAddr>, String) {
    let address = address.split('/').next().unwrap_or_default().parse().ok();
    (address.is_none(), address, name.to_owned())
}

/// Whole seconds between two times in milliseconds, such that those of a chain of times add up.
fn seconds_between(earlier_ms: u64, later_ms: u64) -> u64 {
    (later_ms / 1_000).saturating_sub(earlier_ms / 1_000)
}

fn is_same_peer(old: &Peer, new: &Peer, elapsed_s: u64) -> bool {
    let aged = match (old.handshake_age_s, new.handshake_age_s) {
        (Some(old), Some(new)) => (old + elapsed_s).abs_diff(new) <= 1,
        (old, new) => old == new,
    };
    aged && Peer { handshake_age_s: new.handshake_age_s, ..old.clone() } == *new
}

/// What is new or different in `new`, and the keys of what is not in it any more.
fn compared<T: Clone, K: Ord + Clone>(
    old: &[T],
    new: &[T],
    key: impl Fn(&T) -> K,
    is_same: impl Fn(&T, &T) -> bool,
) -> (Vec<T>, Vec<K>) {
    let before: BTreeMap<K, &T> = old.iter().map(|item| (key(item), item)).collect();
    let after: BTreeSet<K> = new.iter().map(&key).collect();
    let different = |item: &&T| before.get(&key(item)).is_none_or(|old| !is_same(old, item));
    let changed = new.iter().filter(different).cloned().collect();
    (changed, before.into_keys().filter(|key| !after.contains(key)).collect())
}

fn merged<T, K: Ord>(items: &mut Vec<T>, changed: Vec<T>, gone: &[K], key: impl Fn(&T) -> K) {
    let mut changed: BTreeMap<K, T> = changed.into_iter().map(|item| (key(&item), item)).collect();
    items.retain(|item| !gone.contains(&key(item)));
    for item in items.iter_mut() {
        if let Some(newer) = changed.remove(&key(item)) {
            *item = newer;
        }
    }
    items.extend(changed.into_values());
}

#[cfg(test)]
mod tests;
