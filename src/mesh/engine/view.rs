//! What the engine shows of itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::ids::{NodeId, host_prefix};
use super::super::path::{Paths, Route};
use super::super::view::{NodeView, PathKind, View};
use super::Engine;

/// First nodes of other ways: the cost of the edge to each, and its own shortest paths.
pub(super) type Alternatives = BTreeMap<NodeId, (u64, Paths)>;

impl Engine {
    pub(super) fn look(&self) -> View {
        let others = self.alternatives();
        let mut nodes: Vec<NodeView> = self
            .lsdb
            .abouts()
            .filter(|(id, about)| *id != self.id && !about.left)
            .map(|(id, _)| self.look_at(id, others))
            .collect();
        nodes.extend(self.silent_statics());
        nodes.sort_by(|a, b| (&a.addresses, &a.name).cmp(&(&b.addresses, &b.name)));
        View {
            id: self.id,
            nodes,
            health: self.health(),
            effective_hash: self.effective_hash,
            gateway: self.standing.is_gateway(&self.id),
            gateway_cost: self.gateway_cost,
            draining: self.draining,
            shares: self.gateway_shares(),
            nat: self.outside.nat,
            outside: self.outside.endpoints.clone(),
            mapped: self
                .outside
                .mapped
                .filter(|mapped| !mapped.mapping.external.ip().is_unspecified())
                .map(|mapped| (mapped.mapping, mapped.endpoint().is_some())),
            tunnel_keys: self
                .tunnel
                .iter()
                .flat_map(|tunnel| tunnel.peers.iter().map(|peer| peer.public_key))
                .collect(),
            counters: self.counters.iter().map(|(name, count)| (*name, *count)).collect(),
        }
    }

    /// Every neighbour in the graph with the cost of the edge to it and, of gateways, their shortest paths: nothing leads
    /// on over a leaf. In a large mesh this is what a look costs, so it is done once for each graph.
    fn alternatives(&self) -> &Alternatives {
        self.alternatives.get_or_init(|| {
            let onward = |id: &NodeId| if self.standing.is_gateway(id) { self.graph.paths(id) } else { Paths::new() };
            let edge = |id: NodeId| Some((id, (self.graph.edge(&self.id, &id)?, onward(&id))));
            self.graph.neighbours(&self.id).filter_map(edge).collect()
        })
    }

    fn look_at(&self, id: NodeId, others: &Alternatives) -> NodeView {
        let about = self.lsdb.about(&id).expect("the node was listed from the database");
        let neighbour = self.neighbours.get(&id);
        let route = self.paths.get(&id);
        let switched = neighbour.is_some_and(|neighbour| neighbour.direct.is_active());
        let admitted = self.standing.admitted.contains(&id);
        let path = match route {
            _ if switched => PathKind::Direct,
            Some(route) if route.next == id => PathKind::Direct,
            Some(_) => PathKind::Gateway,
            None => PathKind::Unreachable,
        };
        let direct = (path == PathKind::Direct).then_some(()).and(neighbour);
        let report = direct.and_then(|neighbour| neighbour.report.as_ref());
        let via = route.filter(|_| path == PathKind::Gateway).map(|route| self.name_of(&route.next));
        let runner_up = self.runner_up(id, switched, others);
        NodeView {
            id: Some(id),
            name: about.name.to_string(),
            addresses: about.addresses.clone(),
            public_key: Some(about.wg_key),
            path,
            via,
            hops: if switched { 1 } else { route.map_or(0, |route| route.hops) },
            cost: if switched { direct.map(|n| u64::from(n.link.cost.measured())) } else { route.map(Route::cost) },
            endpoint: report.and_then(|report| report.endpoint),
            lan: direct.is_some_and(|neighbour| self.is_by_lan(neighbour)),
            handshake_age: report.and_then(|report| report.handshake_age),
            rtt: direct.and_then(|neighbour| neighbour.link.cost.rtt()),
            loss: direct.map(|neighbour| neighbour.link.cost.loss() as f32),
            probes: neighbour.map(|neighbour| neighbour.link.cost.probes()),
            runner_up: runner_up.map(|(cost, first)| (self.name_of(&first), cost)),
            rx_bytes: report.map_or(0, |report| report.rx_bytes),
            tx_bytes: report.map_or(0, |report| report.tx_bytes),
            gateway: self.standing.is_gateway(&id),
            refused: !admitted,
            prefixes: about.addresses.iter().map(|address| host_prefix(*address)).collect(),
            why: self.sentence(id, path, switched, runner_up),
        }
    }

    /// Why a direct link outside the graph is used.
    pub(super) fn agreed(&self, id: &NodeId) -> String {
        let by_lan = self.neighbours.get(id).is_some_and(|neighbour| self.is_by_lan(neighbour));
        let found = if by_lan { ": it leads over a LAN of both, found by announcement" } else { "" };
        format!("both ends proved the direct link and agreed to use it{found}")
    }

    /// One sentence: why this path and no other.
    fn sentence(&self, id: NodeId, path: PathKind, switched: bool, runner_up: Option<(u64, NodeId)>) -> String {
        if !self.standing.admitted.contains(&id) {
            let conflict = self.standing.conflicts.iter().find(|conflict| conflict.claimant == id);
            return conflict
                .map_or_else(|| "not part of the mesh".to_owned(), |conflict| format!("refused: {}", conflict.text));
        }
        if switched {
            return self.agreed(&id);
        }
        let Some(route) = self.paths.get(&id) else {
            let linked = self.paths.len();
            return match linked {
                0 => "this node has no link to any gateway".to_owned(),
                _ => "no gateway that this node reaches has a link to it".to_owned(),
            };
        };
        let chosen = match path {
            PathKind::Direct => format!("link of cost {}", route.cost()),
            _ => format!("{} hops through {} of cost {}", route.hops, self.name_of(&route.next), route.cost()),
        };
        match runner_up {
            Some((cost, first)) if first == id => format!("{chosen}; its own link would cost {cost}"),
            Some((cost, first)) => {
                format!("{chosen}; the next best, through {}, would cost {cost}", self.name_of(&first))
            }
            None => format!("{chosen}; there is no other path"),
        }
    }

    /// The best of the other ways: its cost in all, and its first node. Beneath a direct link outside the graph that is
    /// the path through gateways.
    fn runner_up(&self, id: NodeId, switched: bool, others: &Alternatives) -> Option<(u64, NodeId)> {
        let route = self.paths.get(&id)?;
        if switched {
            return Some((route.cost(), route.next));
        }
        others
            .iter()
            .filter(|(first, _)| **first != route.next && (**first == id || self.standing.is_gateway(first)))
            .filter_map(|(first, (edge, paths))| match paths.get(&id) {
                _ if *first == id => Some((*edge, *first)),
                Some(rest) if rest.next != self.id => Some((edge + rest.cost(), *first)),
                _ => None,
            })
            .min()
    }

    /// Static peers of the file that nobody has heard of.
    pub(super) fn silent_statics(&self) -> impl Iterator<Item = NodeView> {
        let own = self.config.own_static().map(|peer| peer.addresses[0]);
        let known = |address: &IpAddr| {
            self.standing
                .admitted
                .iter()
                .any(|id| self.lsdb.about(id).is_some_and(|about| about.addresses.contains(address)))
        };
        let silent = self
            .config
            .static_peers
            .iter()
            .filter(move |peer| Some(peer.addresses[0]) != own && !known(&peer.addresses[0]));
        silent.map(|peer| NodeView {
            id: None,
            name: peer.name.as_ref().map_or_else(|| peer.addresses[0].to_string(), ToString::to_string),
            addresses: peer.addresses.clone(),
            public_key: peer.public_key,
            path: PathKind::Unreachable,
            via: None,
            hops: 0,
            cost: None,
            endpoint: None,
            lan: false,
            handshake_age: None,
            rtt: None,
            loss: None,
            probes: None,
            runner_up: None,
            rx_bytes: 0,
            tx_bytes: 0,
            gateway: false,
            refused: false,
            prefixes: Vec::new(),
            why: format!("a static peer of the file that has not answered at {}", peer.endpoint),
        })
    }
}
