//! How packets cross a gateway while paths change.
//!
//! All nodes move to new paths at the same time, but not at the same microsecond: a packet may start on the old path and
//! meet a gateway that has moved on already. Were it sent on by the new table, it would come to a node that is on no way
//! between its ends, and the source check there would drop it. So for the seconds around a change a gateway knows the
//! paths that were, that are and that will be, and keeps a packet on the path on which it came:
//!
//! ```text
//!   leaf ---> g1 ---> g2 ---> leaf      the path that was: g1 sends on what comes from the leaf to g2, whatever it
//!              \                        would do itself, as long as g1 is on that path between those two ends
//!               g6 --> g5 --> ...       the path that is
//! ```
//!
//! A path is known by its ends alone, as all nodes compute the same one; a packet that is on none of them is dropped.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::ids::{NodeId, WgPublicKey};
use super::graph::{Graph, Paths};

/// Paths between more gateways than this are not kept: their table grows with the square.
const MAX_GATEWAYS: usize = 64;

/// Which way a packet between two others leaves a gateway, by all paths that act about now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crossings {
    /// Who holds an address, by number.
    holders: BTreeMap<IpAddr, usize>,
    keys: Vec<WgPublicKey>,
    /// The one that acts comes first.
    plans: Vec<Plan>,
}

/// The paths of one effective graph, as seen from one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Plan {
    /// By number; `None`: not reached.
    nodes: Vec<Option<Place>>,
    /// Distance between each two gateways, row by row; `u128::MAX`: none.
    between: Vec<u128>,
    gateways: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// From this gateway.
    distance: u128,
    next: usize,
    /// The gateways it is linked with (itself, if it is one) and the distance to them.
    uplinks: Vec<(usize, u128)>,
}

impl Crossings {
    /// The crossings of the node `here` by `plans`, the one that acts first. `nodes` holds every node with its key and
    /// its addresses. `None` where all plans send all packets the same way, or there are too many gateways.
    pub fn new<'a>(
        here: &NodeId,
        plans: &[(&Graph, &Paths)],
        nodes: impl Iterator<Item = (NodeId, WgPublicKey, &'a [IpAddr])>,
    ) -> Option<Self> {
        let (_, acting) = plans.first()?;
        let hops = |paths: &Paths| paths.iter().map(|(id, route)| (*id, route.next)).collect::<Vec<_>>();
        let acting = hops(acting);
        if plans.iter().all(|(_, paths)| hops(paths) == acting)
            || plans.iter().any(|(graph, _)| graph.gateways().count() > MAX_GATEWAYS)
        {
            return None;
        }
        let mut crossings = Self::default();
        let mut numbers = BTreeMap::new();
        for (number, (id, key, addresses)) in nodes.enumerate() {
            numbers.insert(id, number);
            crossings.keys.push(key);
            crossings.holders.extend(addresses.iter().map(|address| (*address, number)));
        }
        for (graph, paths) in plans {
            let plan = Plan::new(here, graph, paths, &numbers);
            if !crossings.plans.contains(&plan) {
                crossings.plans.push(plan);
            }
        }
        Some(crossings)
    }

    /// The peer that a packet goes on to when it came from the peer `from`; `None` when this gateway is on no path
    /// between its ends that comes from there.
    pub fn way(&self, from: &WgPublicKey, source: IpAddr, destination: IpAddr) -> Option<WgPublicKey> {
        let (source, destination) = (*self.holders.get(&source)?, *self.holders.get(&destination)?);
        let on = |plan: &Plan| {
            let (start, end) = (plan.nodes[source].as_ref()?, plan.nodes[destination].as_ref()?);
            let lies_between = start.distance.checked_add(end.distance)? == plan.between(start, end)?;
            (lies_between && self.keys[start.next] == *from).then(|| self.keys[end.next])
        };
        self.plans.iter().find_map(on)
    }
}

impl Plan {
    fn new(here: &NodeId, graph: &Graph, paths: &Paths, numbers: &BTreeMap<NodeId, usize>) -> Self {
        let gateways: BTreeMap<NodeId, usize> = graph.gateways().enumerate().map(|(at, id)| (id, at)).collect();
        let mut uplinks: BTreeMap<NodeId, Vec<(usize, u128)>> =
            gateways.iter().map(|(id, at)| (*id, vec![(*at, 0)])).collect();
        for (a, b, weight) in graph.edges() {
            for (leaf, gateway) in [(a, b), (b, a)] {
                if let (None, Some(at)) = (gateways.get(&leaf), gateways.get(&gateway)) {
                    uplinks.entry(leaf).or_default().push((*at, weight));
                }
            }
        }
        let mut plan = Self {
            nodes: vec![None; numbers.len()],
            between: vec![u128::MAX; gateways.len() * gateways.len()],
            gateways: gateways.len(),
        };
        for (from, row) in &gateways {
            for (to, distance) in graph.distances_between_gateways(from) {
                if let Some(column) = gateways.get(&to) {
                    plan.between[row * gateways.len() + column] = distance;
                }
            }
        }
        for (id, route) in paths.iter().filter(|(id, _)| *id != here) {
            let (Some(number), Some(next)) = (numbers.get(id), numbers.get(&route.next)) else { continue };
            let uplinks = uplinks.remove(id).unwrap_or_default();
            plan.nodes[*number] = Some(Place { distance: route.distance, next: *next, uplinks });
        }
        plan
    }

    fn between(&self, start: &Place, end: &Place) -> Option<u128> {
        let by = |(from, up): &(usize, u128)| {
            let sums = end
                .uplinks
                .iter()
                .filter_map(|(to, down)| self.between[from * self.gateways + to].checked_add(*up)?.checked_add(*down));
            sums.min()
        };
        start.uplinks.iter().filter_map(by).min()
    }
}
