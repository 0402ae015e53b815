//! Why packets between two nodes go the way they go: the path hop by hop, and every other way out with what decided
//! against it.

use super::super::ids::NodeId;
use super::graph::Graph;

/// The path between two nodes and what lost against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Each node after the first one, with the cost of the edge to it.
    pub way: Vec<(NodeId, u64)>,
    /// The other neighbours of the first node in the graph, the best way first.
    pub others: Vec<Other>,
}

/// A neighbour of the first node that the path does not lead over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// The neighbour.
    pub first: NodeId,
    /// What decided.
    pub verdict: Verdict,
}

/// What decided against a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It costs so much in all, which is more.
    Dearer(u64, Vec<(NodeId, u64)>),
    /// It costs the same; the hash of its edges, the same on every node, is larger.
    Tied(u64, Vec<(NodeId, u64)>),
    /// It is a leaf, and leaves do not forward.
    Leaf,
    /// From there no way leads on but back through the first node.
    NoWayOn,
}

/// Explains the path from one node to another; `None` when there is none.
pub fn explain(graph: &Graph, from: &NodeId, to: &NodeId) -> Option<Explanation> {
    let way = way(graph, from, to)?;
    let cost = |way: &[(NodeId, u64)]| way.iter().map(|(_, cost)| *cost).sum::<u64>();
    let chosen = cost(&way);
    let rest = graph.without(from);
    let judge = |first: NodeId| {
        let edge = graph.edge(from, &first).unwrap_or(u64::MAX);
        let mut detour = vec![(first, edge)];
        let verdict = if first != *to && !graph.gateways().any(|gateway| gateway == first) {
            Verdict::Leaf
        } else if first == *to {
            decided(cost(&detour), chosen, detour)
        } else if let Some(onward) = self::way(&rest, &first, to) {
            detour.extend(onward);
            decided(cost(&detour), chosen, detour)
        } else {
            Verdict::NoWayOn
        };
        Other { first, verdict }
    };
    let mut others: Vec<Other> =
        graph.neighbours(from).filter(|first| way.first().is_none_or(|(next, _)| next != first)).map(judge).collect();
    others.sort_by_key(|other| match &other.verdict {
        Verdict::Tied(cost, _) | Verdict::Dearer(cost, _) => (0, *cost, other.first),
        Verdict::NoWayOn => (1, 0, other.first),
        Verdict::Leaf => (2, 0, other.first),
    });
    Some(Explanation { way, others })
}

fn decided(cost: u64, chosen: u64, way: Vec<(NodeId, u64)>) -> Verdict {
    if cost == chosen { Verdict::Tied(cost, way) } else { Verdict::Dearer(cost, way) }
}

/// The path, node after node, with the cost of each edge.
fn way(graph: &Graph, from: &NodeId, to: &NodeId) -> Option<Vec<(NodeId, u64)>> {
    let way = graph.tree(from, &graph.paths(from)).way(to)?;
    let ends = std::iter::once(from).chain(&way).zip(&way);
    ends.map(|(before, at)| Some((*at, graph.edge(before, at)?))).collect()
}
