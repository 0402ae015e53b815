//! "What would change if ...?": the same graph and the same paths, with changes that touch nothing.

mod file;

use std::collections::{BTreeMap, BTreeSet};

use super::super::ids::NodeId;
use super::super::io::CommandError;
use super::super::path::Graph;
use super::super::view::{Forecast, GatewayLoad, Move, WhatIf};
use super::Engine;
use super::origin::DRAINED_COST;

/// In a mesh of more nodes only this node's own routes are compared: the pairs grow with the square.
const ALL_PAIRS: usize = 100;

impl Engine {
    /// The routes that would move, the pairs that would break, and what each gateway would carry, if all of `changes`
    /// came true. Nothing is touched. A direct link outside the graph stays as it is; of those between two other nodes
    /// only they know.
    pub fn what_if(&self, changes: &[WhatIf]) -> Result<Forecast, CommandError> {
        let mut graph = self.graph.clone();
        let mut gone = Vec::new();
        let mut notes = Vec::new();
        for change in changes {
            match change {
                WhatIf::Without(name) => {
                    let id = self.find_node(name)?;
                    graph = graph.without(&id);
                    gone.push(id);
                }
                WhatIf::Cost { a, b, cost } => {
                    let (from, to) = (self.find_node(a)?, self.find_node(b)?);
                    if graph.edge(&from, &to).is_none() {
                        return Err(CommandError::NoLink(a.clone(), b.clone()));
                    }
                    graph = graph.with_cost(&from, &to, *cost);
                }
                WhatIf::Drain(name) => {
                    let id = self.find_gateway(name)?;
                    let of = |a: &NodeId, b: &NodeId| [a, b].contains(&&id);
                    graph = graph.with_costs(|a, b, cost| if of(a, b) { cost + DRAINED_COST } else { cost });
                }
                WhatIf::GatewayCost { name, cost: least } => {
                    let id = self.find_gateway(name)?;
                    let of = |a: &NodeId, b: &NodeId| [a, b].contains(&&id);
                    graph = graph.with_costs(|a, b, cost| if of(a, b) { cost.max(*least) } else { cost });
                }
                WhatIf::File { gateways, peers } => graph = self.under_file(&graph, *gateways, peers, &mut notes),
            }
        }
        let all = self.graph.ids().len() <= ALL_PAIRS;
        let ends: Vec<NodeId> = self.graph.ids().iter().copied().filter(|id| !gone.contains(id)).collect();
        let starts: Vec<NodeId> = ends.iter().copied().filter(|id| all || *id == self.id()).collect();
        let forwarding: BTreeSet<NodeId> = self.graph.gateways().chain(graph.gateways()).collect();
        let mut forecast =
            Forecast { moved: Vec::new(), broken: Vec::new(), gateways: Vec::new(), all_pairs: all, notes };
        let mut load: BTreeMap<NodeId, (u64, u64)> =
            forwarding.iter().filter(|id| !gone.contains(id)).map(|id| (*id, (0, 0))).collect();
        for from in &starts {
            // Both directions of a pair take the same way; people find a pair by the name that comes first.
            let name = self.name_of(from);
            let tree = |graph: &Graph| graph.tree(from, &graph.paths(from));
            let (before, after) = (tree(&self.graph), tree(&graph));
            let counts = |to: &&NodeId| *to != from && (!all || name < self.name_of(to));
            for to in ends.iter().filter(counts) {
                let other = if *from == self.id() { *to } else { *from };
                let mine = [*from, *to].contains(&self.id());
                if mine && self.neighbours.get(&other).is_some_and(|neighbour| neighbour.direct.is_active()) {
                    continue;
                }
                let (old, new) = (before.way(to), after.way(to));
                for gateway in old.iter().flatten().filter(|id| *id != to) {
                    load.entry(*gateway).and_modify(|load| load.0 += 1);
                }
                for gateway in new.iter().flatten().filter(|id| *id != to) {
                    load.entry(*gateway).and_modify(|load| load.1 += 1);
                }
                let names = || (self.name_of(from), self.name_of(to));
                match (old, new) {
                    (Some(_), None) => forecast.broken.push(names()),
                    (Some(old), Some(new)) if old != new => {
                        let ((from, to), via) = (names(), |way: &[NodeId]| self.names_between(way));
                        forecast.moved.push(Move { from, to, before: via(&old), after: via(&new) });
                    }
                    _ => {}
                }
            }
        }
        forecast.gateways = load
            .into_iter()
            .map(|(id, (before, after))| GatewayLoad { name: self.name_of(&id), before, after })
            .collect();
        forecast.moved.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
        forecast.broken.sort();
        forecast.gateways.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(forecast)
    }

    pub(super) fn find_gateway(&self, name: &str) -> Result<NodeId, CommandError> {
        let id = self.find_node(name)?;
        if self.standing.is_gateway(&id) { Ok(id) } else { Err(CommandError::NotAGateway(name.to_owned())) }
    }

    /// The names of the gateways on a way, its last node left out.
    fn names_between(&self, way: &[NodeId]) -> Vec<String> {
        way.iter().take(way.len().saturating_sub(1)).map(|id| self.name_of(id)).collect()
    }
}
