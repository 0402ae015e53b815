//! The mesh as a graph, searched by petgraph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use petgraph::algo::dijkstra;
use petgraph::graph::{DiGraph, NodeIndex, UnGraph};
use petgraph::visit::EdgeRef;
use sha2::{Digest, Sha256};

use super::super::ids::NodeId;
use super::super::record::{LinkAdvert, Lsdb, ShortId, Stored};
use super::super::time::Time;
use super::super::trust::Standing;

/// Bits of an edge's weight below its cost: a hash of the edge. 48 bits of hash in 64: sums over 65,536 hops fit.
const COST_SHIFT: u32 = 64;

/// Version of the path algorithm: all nodes must compute by the same one.
pub const ALGORITHM: u8 = 1;

/// The effective graph: admitted nodes, and the edges that both ends advertise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    ids: Arc<[NodeId]>,
    gateway: Arc<[bool]>,
    /// Ends (lower index first) and weight.
    edges: Vec<(usize, usize, u128)>,
}

/// What one end of a link tells of it: where that is stored, and which link of the record it is.
#[derive(Clone, Copy)]
struct Advert<'a> {
    stored: &'a Stored,
    number: usize,
    link: &'a LinkAdvert,
}

/// The way from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The first node on the way: the destination itself when they are neighbours.
    pub next: NodeId,
    /// Sum of the edges' weights.
    pub distance: u128,
    /// Number of edges.
    pub hops: u32,
}

impl Route {
    /// Sum of the costs.
    pub fn cost(&self) -> u64 {
        u64::try_from(self.distance >> COST_SHIFT).unwrap_or(u64::MAX)
    }
}

/// The shortest ways from one node, each node with the one before it.
#[derive(Clone, Debug)]
pub struct Tree {
    source: NodeId,
    before: BTreeMap<NodeId, NodeId>,
}

impl Tree {
    /// The nodes after the source on the way to `to`; `None` where there is none.
    pub fn way(&self, to: &NodeId) -> Option<Vec<NodeId>> {
        let mut way = Vec::new();
        let mut at = *to;
        while at != self.source {
            way.push(at);
            at = *self.before.get(&at)?;
        }
        way.reverse();
        Some(way)
    }
}

/// Shortest paths from one node to all others it reaches.
pub type Paths = BTreeMap<NodeId, Route>;

impl Graph {
    /// The graphs that act at those times, by what is known now.
    pub fn at(lsdb: &Lsdb, standing: &Standing, times: &[Time]) -> Vec<Self> {
        let ids: Arc<[NodeId]> = standing.admitted.iter().copied().collect();
        let gateway: Arc<[bool]> = ids.iter().map(|id| standing.is_gateway(id)).collect();
        // What each gateway tells of its links, by the other end; and the links that leaves tell of, which are few each.
        let numbers: BTreeMap<ShortId, usize> =
            (0..ids.len()).filter(|n| gateway[*n]).map(|n| (ShortId::from(&ids[n]), n)).collect();
        let mut by_gateway: BTreeMap<usize, Vec<Advert<'_>>> = BTreeMap::new();
        let mut by_leaf: Vec<(usize, usize, Advert<'_>)> = Vec::new();
        let mut admitted = ids.iter().enumerate().peekable();
        for (id, stored, record) in lsdb.records() {
            while admitted.next_if(|(_, known)| **known < id).is_some() {}
            let Some((from, _)) = admitted.peek().filter(|(_, known)| **known == id) else { continue };
            let adverts = record.links.iter().enumerate().map(|(number, link)| Advert { stored, number, link });
            if gateway[*from] {
                by_gateway.entry(*from).or_default().extend(adverts);
            } else {
                by_leaf.extend(adverts.filter_map(|advert| Some((*from, *numbers.get(&advert.link.to)?, advert))));
            }
        }
        for adverts in by_gateway.values_mut() {
            // Of two adverts of one link the later one counts.
            adverts.reverse();
            adverts.sort_by_key(|advert| advert.link.to);
            adverts.dedup_by_key(|advert| advert.link.to);
        }
        by_leaf.reverse();
        by_leaf.sort_by_key(|(leaf, gateway, _)| (*leaf, *gateway));
        by_leaf.dedup_by_key(|(leaf, gateway, _)| (*leaf, *gateway));
        let told_by = |from: &usize, to: usize| {
            let adverts = by_gateway.get(from)?;
            let at = adverts.binary_search_by_key(&ShortId::from(&ids[to]), |advert| advert.link.to).ok()?;
            Some(adverts[at])
        };
        let to_leaves = by_leaf.iter().filter_map(|(leaf, gateway, there)| {
            let back = told_by(gateway, *leaf)?;
            Some((*leaf.min(gateway), *leaf.max(gateway), *there, back))
        });
        let mut both: Vec<(usize, usize, Advert<'_>, Advert<'_>)> = to_leaves.collect();
        for (from, adverts) in &by_gateway {
            let higher = adverts.iter().filter_map(|advert| Some((*numbers.get(&advert.link.to)?, advert)));
            let higher = higher.filter(|(to, _)| to > from);
            both.extend(higher.filter_map(|(to, there)| Some((*from, to, *there, told_by(&to, *from)?))));
        }
        both.sort_unstable_by_key(|(a, b, ..)| (*a, *b));
        let at = |time: &Time| {
            let edges = both.iter().filter_map(|(a, b, there, back)| {
                let cost = |advert: &Advert<'_>| advert.stored.effective(advert.number, advert.link, *time);
                Some((*a, *b, weight(cost(there)?.max(cost(back)?), &ids[*a], &ids[*b])))
            });
            Self { ids: Arc::clone(&ids), gateway: Arc::clone(&gateway), edges: edges.collect() }
        };
        times.iter().map(at).collect()
    }

    /// Shortest paths from `source`. Only gateways forward, so a leaf is never inside a path.
    pub fn paths(&self, source: &NodeId) -> Paths {
        let Ok(start) = self.ids.binary_search(source) else { return Paths::new() };
        // The search needs the nodes that may be inside a path: gateways, and the source itself. There are few of them.
        let inner: Vec<usize> = (0..self.ids.len()).filter(|n| self.gateway[*n] || *n == start).collect();
        let mut place = vec![usize::MAX; self.ids.len()];
        inner.iter().enumerate().for_each(|(at, n)| place[*n] = at);
        let mut graph: DiGraph<usize, u128, u32> = DiGraph::with_capacity(inner.len(), 2 * inner.len());
        inner.iter().for_each(|n| {
            graph.add_node(*n);
        });
        let start_at = NodeIndex::new(place[start]);
        let mut outer: Vec<(usize, usize, u128)> = Vec::new();
        for (a, b, weight) in &self.edges {
            for (from, to) in [(*a, *b), (*b, *a)] {
                match (place[from], place[to]) {
                    (usize::MAX, _) => {}
                    (_, usize::MAX) => outer.push((to, from, *weight)),
                    (from, to) => {
                        // No way leads on through a leaf, not even through the source.
                        if self.gateway[inner[from]] || from == start_at.index() {
                            graph.add_edge(NodeIndex::new(from), NodeIndex::new(to), *weight);
                        }
                    }
                }
            }
        }
        let distances = dijkstra(&graph, start_at, None, |edge| *edge.weight());
        let mut order: Vec<(u128, NodeIndex)> = distances.iter().map(|(at, distance)| (*distance, *at)).collect();
        order.sort_unstable();
        // petgraph gives distances. Sums are unique, so exactly one edge into each node completes its distance.
        let mut routes: Vec<Option<(u128, usize, u32)>> = vec![None; self.ids.len()];
        for (distance, at) in order {
            let incoming = graph.edges_directed(at, petgraph::Direction::Incoming);
            let before = incoming.filter_map(|edge| {
                let reached = distances.get(&edge.source())?;
                (reached.checked_add(*edge.weight())? == distance).then(|| edge.source())
            });
            let Some(before) = before.min() else { continue };
            let (next, hops) = match before == start_at {
                true => (graph[at], 0),
                false => routes[graph[before]].map_or((graph[at], 0), |(_, next, hops)| (next, hops)),
            };
            routes[graph[at]] = Some((distance, next, hops + 1));
        }
        // A leaf is reached by the best of its own links.
        for (leaf, from, weight) in outer {
            let before = if from == start { Some((0, leaf, 0)) } else { routes[from] };
            let Some((distance, next, hops)) = before else { continue };
            let distance = distance + weight;
            if routes[leaf].is_none_or(|(best, ..)| distance < best) {
                routes[leaf] = Some((distance, next, hops + 1));
            }
        }
        let routes = routes.into_iter().enumerate().filter(|(n, _)| *n != start);
        let route = |(n, route): (usize, Option<(u128, usize, u32)>)| {
            let (distance, next, hops) = route?;
            Some((self.ids[n], Route { next: self.ids[next], distance, hops }))
        };
        routes.filter_map(route).collect()
    }

    /// The shortest ways from `source`, whose `paths` these are, as a tree: one look at each edge.
    pub fn tree(&self, source: &NodeId, paths: &Paths) -> Tree {
        let walked = |id: &NodeId| if id == source { Some(0) } else { paths.get(id).map(|route| route.distance) };
        let mut before = BTreeMap::new();
        for (a, b, weight) in &self.edges {
            for (from, to) in [(*a, *b), (*b, *a)] {
                let (near, far) = (&self.ids[from], &self.ids[to]);
                // Sums are unique, so exactly one edge into each node completes its distance.
                let distance = || paths.get(far).map(|route| route.distance);
                let completes =
                    || walked(near).map(|walked| walked + *weight).is_some_and(|sum| distance() == Some(sum));
                if (self.gateway[from] || near == source) && far != source && completes() {
                    before.insert(*far, *near);
                }
            }
        }
        Tree { source: *source, before }
    }

    /// The graph without one node's edges.
    pub fn without(&self, id: &NodeId) -> Self {
        let gone = self.ids.binary_search(id).ok();
        let edges = self.edges.iter().copied().filter(|(a, b, _)| gone != Some(*a) && gone != Some(*b));
        Self { ids: Arc::clone(&self.ids), gateway: Arc::clone(&self.gateway), edges: edges.collect() }
    }

    /// The graph with another cost of the edge between two nodes; unchanged where there is no such edge.
    pub fn with_cost(&self, a: &NodeId, b: &NodeId, cost: u32) -> Self {
        let mut changed = self.clone();
        if let (Ok(a), Ok(b)) = (self.ids.binary_search(a), self.ids.binary_search(b))
            && let Some(edge) = changed.edges.iter_mut().find(|(x, y, _)| (*x, *y) == (a.min(b), a.max(b)))
        {
            edge.2 = weight(cost, &self.ids[a], &self.ids[b]);
        }
        changed
    }

    /// The graph with other costs: `cost` is asked for each edge, lower identity first, with its present cost.
    pub fn with_costs(&self, cost: impl Fn(&NodeId, &NodeId, u32) -> u32) -> Self {
        let mut changed = self.clone();
        for (a, b, old) in &mut changed.edges {
            let (a, b) = (&self.ids[*a], &self.ids[*b]);
            *old = weight(cost(a, b, u32::try_from(*old >> COST_SHIFT).unwrap_or(u32::MAX)), a, b);
        }
        changed
    }

    /// The graph with other gateways; an edge between two leaves does not count.
    pub fn with_gateways(&self, gateways: &BTreeSet<NodeId>) -> Self {
        let gateway: Arc<[bool]> = self.ids.iter().map(|id| gateways.contains(id)).collect();
        let edges = self.edges.iter().copied().filter(|(a, b, _)| gateway[*a] || gateway[*b]).collect();
        Self { ids: Arc::clone(&self.ids), gateway, edges }
    }

    /// All nodes, sorted.
    pub fn ids(&self) -> &[NodeId] {
        &self.ids
    }

    /// The nodes that forward.
    pub fn gateways(&self) -> impl Iterator<Item = NodeId> {
        self.ids.iter().zip(self.gateway.iter()).filter(|(_, gateway)| **gateway).map(|(id, _)| *id)
    }

    /// Every edge: its ends and its weight.
    pub fn edges(&self) -> impl Iterator<Item = (NodeId, NodeId, u128)> {
        self.edges.iter().map(|(a, b, weight)| (self.ids[*a], self.ids[*b], *weight))
    }

    /// The distances from a gateway to all gateways.
    pub fn distances_between_gateways(&self, from: &NodeId) -> Vec<(NodeId, u128)> {
        let Ok(start) = self.ids.binary_search(from) else { return Vec::new() };
        let edges = self.edges.iter().filter(|(a, b, _)| self.gateway[*a] && self.gateway[*b]);
        let edges = edges.map(|(a, b, weight)| (NodeIndex::new(*a), NodeIndex::new(*b), *weight));
        let mut graph: UnGraph<(), u128, u32> = UnGraph::from_edges(edges);
        while graph.node_count() <= start {
            graph.add_node(());
        }
        let distances = dijkstra(&graph, NodeIndex::new(start), None, |edge| *edge.weight());
        let mut distances: Vec<(NodeId, u128)> =
            distances.into_iter().map(|(node, distance)| (self.ids[node.index()], distance)).collect();
        distances.sort_unstable();
        distances
    }

    /// The cost of the edge between two nodes, if it counts.
    pub fn edge(&self, a: &NodeId, b: &NodeId) -> Option<u64> {
        let (a, b) = (self.ids.binary_search(a).ok()?, self.ids.binary_search(b).ok()?);
        let (a, b) = (a.min(b), a.max(b));
        let at = self.edges.binary_search_by_key(&(a, b), |(x, y, _)| (*x, *y)).ok()?;
        u64::try_from(self.edges[at].2 >> COST_SHIFT).ok()
    }

    /// The neighbours of a node in the graph.
    pub fn neighbours(&self, id: &NodeId) -> impl Iterator<Item = NodeId> {
        let own = self.ids.binary_search(id).ok();
        self.edges.iter().filter_map(move |(a, b, _)| match own {
            Some(own) if own == *a => Some(self.ids[*b]),
            Some(own) if own == *b => Some(self.ids[*a]),
            _ => None,
        })
    }

    /// Equal on two nodes exactly when their graphs are (with overwhelming probability).
    pub fn hash(&self) -> u64 {
        let mut hasher = Sha256::new();
        for (id, gateway) in self.ids.iter().zip(self.gateway.iter()) {
            hasher.update(id.0);
            hasher.update([u8::from(*gateway)]);
        }
        for (a, b, weight) in &self.edges {
            hasher.update(a.to_le_bytes());
            hasher.update(b.to_le_bytes());
            hasher.update(weight.to_le_bytes());
        }
        u64::from_le_bytes(hasher.finalize()[..8].try_into().expect("a SHA-256 has 32 bytes"))
    }
}

/// Cost above, 48 bits of a hash of the edge below. Identities are random, so a cheap mix of them spreads well; it need
/// not resist an attacker, since only gateways that the network file grants are inside paths.
fn weight(cost: u32, a: &NodeId, b: &NodeId) -> u128 {
    let word =
        |id: &NodeId, at: usize| u64::from_le_bytes(id.0[at..at + 8].try_into().expect("an identity has 32 bytes"));
    let (low, high) = (a.min(b), a.max(b));
    let mut hash = word(low, 0) ^ word(high, 8).rotate_left(32);
    // The finalizer of splitmix64 (Steele, Lea, Flood 2014).
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ word(high, 0) ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (u128::from(cost) << COST_SHIFT) | u128::from((hash ^ (hash >> 31)) >> 16)
}
