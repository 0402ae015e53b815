//! The mesh as a graph: the shortest way between any two nodes, and what its links add up to.
//!
//! Only gateways forward, so a search runs over gateways and looks at a leaf only where a way begins or ends. The
//! daemon computes the tables that packets follow and breaks ties by a hash that it does not tell; among ways of one
//! cost this module takes the one of fewest links, then by name. [`Why`](wgnet_api::Why) tells the true one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use wgnet_api::{Mesh, MeshLink, MeshNode, NodeState};

/// A way through the mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Names of its nodes, both ends among them.
    pub nodes: Vec<String>,
    /// Sum of the costs of its links.
    pub cost: u64,
    /// Sum of the smoothed round trips of its links in milliseconds; `None` if one of them is not known.
    pub rtt_ms: Option<f64>,
    /// Share of probes (0 to 1) that would be lost on the whole of it; `None` if that of a link is not known.
    pub loss: Option<f64>,
}

/// The shortest way from one node to another by cost, over links that are up and have a cost.
pub fn way(mesh: &Mesh, from: &str, to: &str) -> Option<Way> {
    let graph = Graph::new(mesh);
    let (from, to) = (graph.place(from)?, graph.place(to)?);
    graph.ways(from).to(to).map(|reach| graph.told(&reach))
}

/// The shortest ways from one node to every other node that can be reached, by name.
pub fn ways_from(mesh: &Mesh, from: &str) -> BTreeMap<String, Way> {
    let graph = Graph::new(mesh);
    let Some(from) = graph.place(from) else { return BTreeMap::new() };
    let ways = graph.ways(from);
    let others = (0..graph.names.len()).filter(|to| *to != from);
    others.filter_map(|to| Some((graph.names[to].to_owned(), graph.told(&ways.to(to)?)))).collect()
}

/// The node that a name stands for: where several claim it, one whose claim is not refused.
pub(crate) fn holders(mesh: &Mesh) -> BTreeMap<&str, &MeshNode> {
    let mut holders: BTreeMap<&str, &MeshNode> = BTreeMap::new();
    for node in &mesh.nodes {
        let held = holders.entry(&node.name).or_insert(node);
        if rank(node.state) < rank(held.state) {
            *held = node;
        }
    }
    holders
}

fn rank(state: NodeState) -> u8 {
    match state {
        NodeState::Linked => 0,
        NodeState::Apart => 1,
        NodeState::Silent => 2,
        NodeState::Refused => 3,
    }
}

/// Whether packets may take a link, as far as both ends say.
pub(crate) fn counts(link: &MeshLink) -> bool {
    link.up && link.cost.is_some()
}

/// Nodes by number, in the order of their names, and the links that count.
pub(crate) struct Graph<'a> {
    names: Vec<&'a str>,
    gateway: Vec<bool>,
    links: Vec<Vec<Edge>>,
}

/// A link as seen from one of its ends.
#[derive(Clone, Copy)]
struct Edge {
    to: usize,
    cost: u64,
    rtt_ms: Option<f64>,
    loss: Option<f64>,
}

impl<'a> Graph<'a> {
    /// The graph of `mesh`. Links with an end that is no node of it are left out.
    pub(crate) fn new(mesh: &'a Mesh) -> Self {
        let holders = holders(mesh);
        let names: Vec<&str> = holders.keys().copied().collect();
        let gateway = holders.values().map(|node| node.gateway).collect();
        let mut links = vec![Vec::new(); names.len()];
        for link in mesh.links.iter().filter(|link| counts(link)) {
            let (Ok(a), Ok(b)) = (names.binary_search(&link.a.as_str()), names.binary_search(&link.b.as_str())) else {
                continue;
            };
            let cost = u64::from(link.cost.unwrap_or_default());
            links[a].push(Edge { to: b, cost, rtt_ms: link.rtt_ms, loss: link.loss });
            links[b].push(Edge { to: a, cost, rtt_ms: link.rtt_ms, loss: link.loss });
        }
        for edges in &mut links {
            edges.sort_by_key(|edge| (edge.to, edge.cost));
        }
        Self { names, gateway, links }
    }

    /// The number of a node.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.names.binary_search(&name).ok()
    }

    /// The name of a node.
    pub(crate) fn name(&self, node: usize) -> &'a str {
        self.names[node]
    }

    /// The shortest ways from one node.
    pub(crate) fn ways(&self, from: usize) -> Ways<'_, 'a> {
        let mut best: Vec<Option<Step>> = vec![None; self.names.len()];
        let mut queue = BinaryHeap::new();
        best[from] = Some(Step::START);
        queue.push(Reverse((0, 0, from)));
        while let Some(Reverse((cost, hops, at))) = queue.pop() {
            let Some(step) = best[at].filter(|step| (step.cost, step.hops) == (cost, hops)) else { continue };
            for edge in self.links[at].iter().filter(|edge| self.gateway[edge.to]) {
                let next = step.over(at, edge);
                if best[edge.to].is_none_or(|known| next.is_better(&known)) {
                    // The same cost and length from another node changes nothing for those behind it.
                    if best[edge.to].is_none_or(|known| (next.cost, next.hops) < (known.cost, known.hops)) {
                        queue.push(Reverse((next.cost, next.hops, edge.to)));
                    }
                    best[edge.to] = Some(next);
                }
            }
        }
        Ways { graph: self, from, best }
    }

    /// A way in names.
    fn told(&self, reach: &Reach) -> Way {
        let nodes = reach.nodes.iter().map(|node| self.names[*node].to_owned()).collect();
        Way { nodes, cost: reach.cost, rtt_ms: reach.rtt_ms, loss: reach.loss }
    }
}

/// How a node is reached: the last link of the way to it and the sums up to it.
#[derive(Clone, Copy)]
struct Step {
    cost: u64,
    hops: u32,
    before: usize,
    rtt_ms: Option<f64>,
    loss: Option<f64>,
}

impl Step {
    const START: Self = Self { cost: 0, hops: 0, before: usize::MAX, rtt_ms: Some(0.0), loss: Some(0.0) };

    /// One link further.
    fn over(&self, at: usize, edge: &Edge) -> Self {
        Self {
            cost: self.cost.saturating_add(edge.cost),
            hops: self.hops + 1,
            before: at,
            rtt_ms: self.rtt_ms.zip(edge.rtt_ms).map(|(so_far, link)| so_far + link),
            loss: self.loss.zip(edge.loss).map(|(so_far, link)| 1.0 - (1.0 - so_far) * (1.0 - link)),
        }
    }

    fn is_better(&self, other: &Self) -> bool {
        (self.cost, self.hops, self.before) < (other.cost, other.hops, other.before)
    }
}

/// The shortest ways from one node.
pub(crate) struct Ways<'g, 'a> {
    graph: &'g Graph<'a>,
    from: usize,
    /// For the start and for gateways; leaves are looked up when asked for.
    best: Vec<Option<Step>>,
}

/// The shortest way to one node, in numbers.
pub(crate) struct Reach {
    /// Its nodes.
    pub(crate) nodes: Vec<usize>,
    cost: u64,
    /// As in [`Way::rtt_ms`].
    pub(crate) rtt_ms: Option<f64>,
    /// As in [`Way::loss`].
    pub(crate) loss: Option<f64>,
}

impl Ways<'_, '_> {
    /// The way to `to`.
    pub(crate) fn to(&self, to: usize) -> Option<Reach> {
        let last = self.last(to)?;
        let mut nodes = vec![to];
        let mut step = last;
        while step.before != usize::MAX {
            nodes.push(step.before);
            step = self.best[step.before]?;
        }
        nodes.reverse();
        Some(Reach { nodes, cost: last.cost, rtt_ms: last.rtt_ms, loss: last.loss })
    }

    /// How many links the way to `to` has, its round trip in milliseconds and its loss.
    pub(crate) fn sums(&self, to: usize) -> Option<(u32, Option<f64>, Option<f64>)> {
        self.last(to).map(|step| (step.hops, step.rtt_ms, step.loss))
    }

    fn last(&self, to: usize) -> Option<Step> {
        if to == self.from || self.graph.gateway[to] {
            return self.best[to];
        }
        let over = |edge: &Edge| {
            // A leaf is a step only where the way begins at it.
            let at = self.best[edge.to].filter(|_| edge.to == self.from || self.graph.gateway[edge.to])?;
            Some(at.over(edge.to, edge))
        };
        let ways = self.graph.links[to].iter().filter_map(over);
        ways.reduce(|best, next| if next.is_better(&best) { next } else { best })
    }
}

#[cfg(test)]
mod tests;
