//! What another network file, the same on all nodes, would make of the graph: other gateways, other costs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::super::config::{GatewayPolicy, StaticPeer};
use super::super::super::ids::NodeId;
use super::super::super::link::cost_of;
use super::super::super::path::Graph;
use super::super::super::view::FilePeer;
use super::Engine;

/// What of the static peers matters here.
struct Listed<'a> {
    addresses: &'a [IpAddr],
    gateway: Option<bool>,
    cost: Option<u32>,
}

impl<'a> From<&'a FilePeer> for Listed<'a> {
    fn from(peer: &'a FilePeer) -> Self {
        Self { addresses: &peer.addresses, gateway: peer.gateway, cost: peer.cost }
    }
}

impl<'a> From<&'a StaticPeer> for Listed<'a> {
    fn from(peer: &'a StaticPeer) -> Self {
        Self { addresses: &peer.addresses, gateway: peer.gateway, cost: peer.cost }
    }
}

impl Engine {
    /// The graph under that file. What it cannot know is told in `notes`.
    pub(super) fn under_file(
        &self,
        graph: &Graph,
        policy: GatewayPolicy,
        peers: &[FilePeer],
        notes: &mut Vec<String>,
    ) -> Graph {
        let before: Vec<Listed<'_>> = self.config.static_peers.iter().map(Listed::from).collect();
        let after: Vec<Listed<'_>> = peers.iter().map(Listed::from).collect();
        let mut gateways: BTreeSet<NodeId> = graph.gateways().collect();
        for id in graph.ids() {
            let was = gateways.contains(id);
            let will = match self.listed(id, &after) {
                Some(peer) => peer.gateway.unwrap_or(true),
                None => policy == GatewayPolicy::Any && was,
            };
            if was && !will {
                gateways.remove(id);
            } else if !was && will {
                gateways.insert(*id);
                notes.push(format!(
                    "{} becomes a gateway: with whom it will have links, and what they will cost, is not known yet",
                    self.name_of(id)
                ));
            }
        }
        for peer in &after {
            let known = graph.ids().iter().any(|id| self.listed(id, std::slice::from_ref(peer)).is_some());
            if let (false, Some(address)) = (known, peer.addresses.first()) {
                notes.push(format!("nothing is known of {address} yet: nothing is forecast for it"));
            }
        }
        let toward = |from: &NodeId, to: &NodeId| {
            let told = self.lsdb.advert(from, to)?;
            let fixed = |list: &[Listed<'_>]| self.listed(to, list).and_then(|peer| peer.cost);
            Some(match (fixed(&before), fixed(&after)) {
                (_, Some(cost)) => cost,
                (Some(_), None) => cost_of(told.quality),
                (None, None) => told.cost,
            })
        };
        graph.with_gateways(&gateways).with_costs(|a, b, cost| {
            let sides = [toward(a, b), toward(b, a)];
            sides.into_iter().flatten().max().unwrap_or(cost)
        })
    }

    /// The entry of a list that is this node.
    fn listed<'a, 'b>(&self, id: &NodeId, list: &'b [Listed<'a>]) -> Option<&'b Listed<'a>> {
        let about = self.lsdb.about(id)?;
        list.iter().find(|peer| peer.addresses.iter().any(|address| about.addresses.contains(address)))
    }
}
