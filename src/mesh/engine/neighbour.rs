//! A neighbour: a node with which this node exchanges datagrams directly.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::super::flood::Outbox;
use super::super::ids::NodeId;
use super::super::io::{EndpointHint, PeerReport};
use super::super::link::{Link, PathMtu};
use super::super::reach::Direct;
use super::super::time::Time;

/// User data keeps a link's questions at the short interval for so long.
const ACTIVE_FOR: Duration = Duration::from_secs(10);

/// What this node knows of a neighbour beyond the LSDB.
#[derive(Clone, Debug)]
pub(in super::super) struct Neighbour {
    /// Who it is.
    pub(in super::super) id: NodeId,
    /// Its link address.
    pub(in super::super) link_address: Ipv6Addr,
    /// The link to it, inside the tunnel.
    pub(in super::super) link: Link,
    /// How large a packet the link carries.
    pub(in super::super) path_mtu: PathMtu,
    /// Its admin port on the underlay, once that address echoed a challenge.
    pub(in super::super) underlay: Option<SocketAddr>,
    /// Whether this node seeks the link by itself; else it answers.
    pub(in super::super) wanted: bool,
    /// Where to try.
    pub(in super::super) hint: Option<EndpointHint>,
    /// Number of the candidate that `hint` is.
    pub(in super::super) candidate: usize,
    /// When `hint` was set.
    pub(in super::super) hinted_at: Time,
    /// When it rises, the tunnel makes the peer anew.
    pub(in super::super) generation: u32,
    /// Whether it counts the link as one of its links in the LSDB.
    pub(in super::super) uplink_theirs: bool,
    /// Whether it wants news from here at once.
    pub(in super::super) floods_theirs: bool,
    /// Whether the last hello asked for news from there.
    pub(in super::super) floods_told: bool,
    /// Whether it left a moment ago.
    pub(in super::super) parting: bool,
    /// What it has not acknowledged.
    pub(in super::super) outbox: Outbox,
    /// Digests (own, theirs) at the last reconciliation, when it was, and how often they were the same.
    pub(in super::super) reconciled: Option<(u64, u64, Time, u32)>,
    /// What the tunnel knows of it.
    pub(in super::super) report: Option<PeerReport>,
    /// When user data last passed.
    pub(in super::super) data_at: Option<Time>,
    /// The cost a person set for the link.
    pub(in super::super) cost_set: Option<u32>,
    /// The direct link outside the LSDB, if one is being made or used.
    pub(in super::super) direct: Direct,
}

impl Neighbour {
    pub(in super::super) fn new(id: NodeId, link_address: Ipv6Addr, yields: bool, now: Time) -> Self {
        Self {
            id,
            link_address,
            link: Link::new(now, yields),
            path_mtu: PathMtu::new(!yields),
            underlay: None,
            wanted: false,
            hint: None,
            candidate: 0,
            hinted_at: now,
            generation: 0,
            uplink_theirs: false,
            floods_theirs: false,
            floods_told: false,
            parting: false,
            outbox: Outbox::default(),
            reconciled: None,
            report: None,
            data_at: None,
            cost_set: None,
            direct: Direct::default(),
        }
    }

    /// Whether user data passed lately.
    pub(in super::super) fn is_active(&self, now: Time) -> bool {
        self.data_at.is_some_and(|at| now.since(at) < ACTIVE_FOR)
    }

    /// Whether datagrams reach it inside the tunnel now.
    pub(in super::super) fn hears_tunnel(&self, now: Time) -> bool {
        self.link.is_up() || self.link.heard_at().is_some_and(|at| now.since(at).as_secs() < 3)
    }
}

/// All neighbours, by identity and by link address.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Neighbours {
    by_id: BTreeMap<NodeId, Neighbour>,
    by_link: BTreeMap<Ipv6Addr, NodeId>,
}

impl Neighbours {
    pub(in super::super) fn get(&self, id: &NodeId) -> Option<&Neighbour> {
        self.by_id.get(id)
    }

    pub(in super::super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Neighbour> {
        self.by_id.get_mut(id)
    }

    pub(in super::super) fn by_link(&self, address: &Ipv6Addr) -> Option<NodeId> {
        self.by_link.get(address).copied()
    }

    pub(in super::super) fn insert(&mut self, neighbour: Neighbour) {
        self.by_link.insert(neighbour.link_address, neighbour.id);
        self.by_id.insert(neighbour.id, neighbour);
    }

    pub(in super::super) fn remove(&mut self, id: &NodeId) -> Option<Neighbour> {
        let neighbour = self.by_id.remove(id)?;
        self.by_link.remove(&neighbour.link_address);
        Some(neighbour)
    }

    pub(in super::super) fn iter(&self) -> impl Iterator<Item = &Neighbour> {
        self.by_id.values()
    }

    pub(in super::super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Neighbour> {
        self.by_id.values_mut()
    }

    pub(in super::super) fn ids(&self) -> Vec<NodeId> {
        self.by_id.keys().copied().collect()
    }
}
