//! The whole mesh as this node knows it: for the dashboard's map and matrix, and for scripts.

use std::collections::BTreeMap;

use super::super::ids::NodeId;
use super::super::record::{LinkAdvert, Quality, ShortId};
use super::super::view::{Mesh, MeshLink, MeshNode, NodeState};
use super::Engine;

/// What is known of one link.
#[derive(Clone, Copy, Default)]
struct Known<'a> {
    /// Adverts of the end with the lower identity, and of the other one.
    adverts: [Option<&'a LinkAdvert>; 2],
    /// This node's own measurement, if it is an end.
    own: Option<Quality>,
    /// Whether this node is an end and uses the link outside the graph.
    is_direct: bool,
}

impl Engine {
    /// Every node and every link of the graph; besides, this node's direct links outside it and its links that are down.
    pub fn mesh(&self) -> Mesh {
        let mut nodes: Vec<MeshNode> = self
            .lsdb
            .abouts()
            .filter(|(_, about)| !about.left)
            .map(|(id, about)| MeshNode {
                id: Some(id),
                name: about.name.to_string(),
                addresses: about.addresses.clone(),
                gateway: self.standing.is_gateway(&id),
                state: match self.standing.admitted.contains(&id) {
                    true if self.graph.neighbours(&id).next().is_some() => NodeState::Linked,
                    true => NodeState::Apart,
                    false => NodeState::Refused,
                },
                class: Some(about.class),
            })
            .collect();
        nodes.extend(self.silent_statics().map(|silent| MeshNode {
            id: None,
            name: silent.name,
            addresses: silent.addresses,
            gateway: false,
            state: NodeState::Silent,
            class: None,
        }));
        nodes.sort_by(|a, b| (&a.addresses, &a.name).cmp(&(&b.addresses, &b.name)));
        let mut links: Vec<MeshLink> = self.known_links().iter().map(|(ends, known)| self.link(*ends, known)).collect();
        links.sort_by(|a, b| (&a.a, &a.b).cmp(&(&b.a, &b.b)));
        Mesh { nodes, links }
    }

    /// Links between admitted nodes, lower identity first.
    fn known_links(&self) -> BTreeMap<(NodeId, NodeId), Known<'_>> {
        let admitted = &self.standing.admitted;
        let short: BTreeMap<ShortId, NodeId> = admitted.iter().map(|id| (ShortId::from(id), *id)).collect();
        let mut links: BTreeMap<(NodeId, NodeId), Known<'_>> = BTreeMap::new();
        for (from, _, record) in self.lsdb.records().filter(|(id, ..)| admitted.contains(id)) {
            for link in &record.links {
                let Some(to) = short.get(&link.to) else { continue };
                let side = usize::from(from > *to);
                links.entry((from.min(*to), from.max(*to))).or_default().adverts[side] = Some(link);
            }
        }
        for neighbour in self.neighbours.iter().filter(|neighbour| admitted.contains(&neighbour.id)) {
            let ends = (self.id.min(neighbour.id), self.id.max(neighbour.id));
            let is_direct = neighbour.direct.is_active();
            let sought_in_vain = neighbour.wanted && !neighbour.link.is_up();
            if is_direct || sought_in_vain || links.contains_key(&ends) {
                let known = links.entry(ends).or_default();
                known.own = neighbour.link.is_up().then(|| neighbour.link.cost.quality());
                known.is_direct = is_direct;
            }
        }
        links
    }

    fn link(&self, (low, high): (NodeId, NodeId), known: &Known<'_>) -> MeshLink {
        let told = known.adverts.iter().flatten().map(|advert| advert.quality);
        let quality = known.own.into_iter().chain(told).find(|quality| quality.rtt_us > 0);
        let cost = self.graph.edge(&low, &high).and_then(|cost| u32::try_from(cost).ok());
        let [mut cost_a, mut cost_b] = known.adverts.map(|advert| advert.map(|advert| advert.cost));
        let (mut a, mut b) = (self.name_of(&low), self.name_of(&high));
        if b < a {
            (a, b, cost_a, cost_b) = (b, a, cost_b, cost_a);
        }
        let mine = [low, high].contains(&self.id);
        MeshLink {
            a,
            b,
            cost,
            cost_a,
            cost_b,
            rtt_us: quality.map(|quality| quality.rtt_us),
            loss_percent: quality.map(|quality| quality.loss_percent),
            up: (cost.is_some() || known.is_direct) && (!mine || known.own.is_some()),
        }
    }
}
