//! What made a path move: the link or node that its old way lost, or that its new way gained.

use std::collections::BTreeSet;

use super::super::ids::NodeId;
use super::graph::{Graph, Paths, Tree};

/// What happened to the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A node is no part of the graph any more.
    Gone(NodeId),
    /// A node came into the graph.
    Came(NodeId),
    /// A node forwards no longer.
    NoGateway(NodeId),
    /// A node forwards now.
    Gateway(NodeId),
    /// A link does not count any more.
    Lost(NodeId, NodeId),
    /// A link counts now.
    New(NodeId, NodeId),
    /// A link costs something else: ends, before, now.
    Cost(NodeId, NodeId, u64, u64),
}

/// Two graphs, one after the other, as one node looks at them.
pub struct Step<'a> {
    from: NodeId,
    old: Side<'a>,
    new: Side<'a>,
}

/// One of the two.
struct Side<'a> {
    graph: &'a Graph,
    tree: Tree,
    gateways: BTreeSet<NodeId>,
}

impl<'a> Side<'a> {
    fn new(from: &NodeId, (graph, paths): (&'a Graph, &Paths)) -> Self {
        Self { graph, tree: graph.tree(from, paths), gateways: graph.gateways().collect() }
    }

    /// The edges of the shortest path, the first one first; none where there is no path.
    fn edges(&self, from: &NodeId, to: &NodeId) -> Vec<(NodeId, NodeId)> {
        let way = self.tree.way(to).unwrap_or_default();
        std::iter::once(from).chain(&way).copied().zip(way.iter().copied()).collect()
    }

    fn has(&self, id: &NodeId) -> bool {
        self.graph.ids().binary_search(id).is_ok()
    }
}

impl<'a> Step<'a> {
    /// From `old` to `new`, with the shortest paths of `from` in each.
    pub fn new(from: NodeId, old: (&'a Graph, &Paths), new: (&'a Graph, &Paths)) -> Self {
        Self { from, old: Side::new(&from, old), new: Side::new(&from, new) }
    }

    /// What moved the path to `to`. Of several causes, the first one on the way: what the old way lost counts before
    /// what the new one gained.
    pub fn cause(&self, to: &NodeId) -> Option<Cause> {
        let lost = || self.old.edges(&self.from, to).iter().find_map(|(a, b)| self.of_edge(a, b, true));
        let gained = || self.new.edges(&self.from, to).iter().find_map(|(a, b)| self.of_edge(a, b, false));
        lost().or_else(gained)
    }

    /// What happened to an edge, if it got worse (or better).
    fn of_edge(&self, a: &NodeId, b: &NodeId, worse: bool) -> Option<Cause> {
        for id in [a, b] {
            let (was, is) = (self.old.has(id), self.new.has(id));
            let (forwarded, forwards) = (self.old.gateways.contains(id), self.new.gateways.contains(id));
            match (worse, was, is) {
                (true, true, false) => return Some(Cause::Gone(*id)),
                (false, false, true) => return Some(Cause::Came(*id)),
                (true, true, true) if forwarded && !forwards => return Some(Cause::NoGateway(*id)),
                (false, true, true) if !forwarded && forwards => return Some(Cause::Gateway(*id)),
                _ => {}
            }
        }
        match (self.old.graph.edge(a, b), self.new.graph.edge(a, b)) {
            (Some(_), None) if worse => Some(Cause::Lost(*a, *b)),
            (None, Some(_)) if !worse => Some(Cause::New(*a, *b)),
            (Some(was), Some(is)) if (was < is) == worse && was != is => Some(Cause::Cost(*a, *b, was, is)),
            _ => None,
        }
    }
}
