//! What made a path move: the link or node that its old way lost, or that its new way gained.

use std::collections::BTreeSet;

use super::super::ids::NodeId;
use super::graph::{Graph, Paths};

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
    old: (&'a Graph, &'a Paths),
    new: (&'a Graph, &'a Paths),
    old_gateways: BTreeSet<NodeId>,
    new_gateways: BTreeSet<NodeId>,
}

impl<'a> Step<'a> {
    /// From `old` to `new`, with the shortest paths of `from` in each.
    pub fn new(from: NodeId, old: (&'a Graph, &'a Paths), new: (&'a Graph, &'a Paths)) -> Self {
        Self { from, old, new, old_gateways: old.0.gateways().collect(), new_gateways: new.0.gateways().collect() }
    }

    /// What moved the path to `to`. Of several causes, the first one on the way: what the old way lost counts before
    /// what the new one gained.
    pub fn cause(&self, to: &NodeId) -> Option<Cause> {
        let old = edges(self.old, &self.from, to);
        let new = edges(self.new, &self.from, to);
        let lost = || old.iter().find_map(|(a, b)| self.of_edge(a, b, true));
        let gained = || new.iter().find_map(|(a, b)| self.of_edge(a, b, false));
        lost().or_else(gained)
    }

    /// What happened to an edge, if it got worse (or better).
    fn of_edge(&self, a: &NodeId, b: &NodeId, worse: bool) -> Option<Cause> {
        let member = |graph: &Graph, id: &NodeId| graph.ids().binary_search(id).is_ok();
        for id in [a, b] {
            let (was, is) = (member(self.old.0, id), member(self.new.0, id));
            let (forwarded, forwards) = (self.old_gateways.contains(id), self.new_gateways.contains(id));
            match (worse, was, is) {
                (true, true, false) => return Some(Cause::Gone(*id)),
                (false, false, true) => return Some(Cause::Came(*id)),
                (true, true, true) if forwarded && !forwards => return Some(Cause::NoGateway(*id)),
                (false, true, true) if !forwarded && forwards => return Some(Cause::Gateway(*id)),
                _ => {}
            }
        }
        match (self.old.0.edge(a, b), self.new.0.edge(a, b)) {
            (Some(_), None) if worse => Some(Cause::Lost(*a, *b)),
            (None, Some(_)) if !worse => Some(Cause::New(*a, *b)),
            (Some(was), Some(is)) if (was < is) == worse && was != is => Some(Cause::Cost(*a, *b, was, is)),
            _ => None,
        }
    }
}

/// The edges of the shortest path, the first one first; none where there is no path.
fn edges((graph, paths): (&Graph, &Paths), from: &NodeId, to: &NodeId) -> Vec<(NodeId, NodeId)> {
    let way = graph.way(paths, from, to).unwrap_or_default();
    std::iter::once(from).chain(&way).copied().zip(way.iter().copied()).collect()
}
