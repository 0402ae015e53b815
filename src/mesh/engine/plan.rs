//! From paths to what tunnel and system shall be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::super::ids::{NodeId, host_prefix};
use super::super::io::{DesiredPeer, DesiredSystem, DesiredTunnel, Output};
use super::super::path::Crossings;
use super::Engine;

/// WireGuard's persistent keepalive towards nodes that this node seeks, in seconds: less than the 30 s after which home
/// routers forget a mapping (IMC 2010); on a LAN there is none. Hellos come more often; it matters while the daemon is away.
const KEEPALIVE: u16 = 25;

impl Engine {
    /// Which peer owns the prefixes of each node, and which others may send from them for now.
    pub(super) fn plan_tunnel(&mut self) {
        let mut peers: BTreeMap<NodeId, DesiredPeer> = BTreeMap::new();
        let me_admitted = self.standing.admitted.contains(&self.id);
        for neighbour in self.neighbours.iter() {
            let Some(about) = self.lsdb.about(&neighbour.id).filter(|_| me_admitted) else { continue };
            // A static peer that left will knock from inside the tunnel when it is back; anyone else that left shall hear
            // the last acknowledgement, and one that is refused now why.
            let stays = neighbour.parting || about.left && self.standing.static_of(&neighbour.id).is_some();
            if !(self.standing.admitted.contains(&neighbour.id) || stays) || about.wg_key == self.wg_public {
                continue;
            }
            peers.insert(
                neighbour.id,
                DesiredPeer {
                    public_key: about.wg_key,
                    link: neighbour.link_address,
                    endpoint: neighbour.hint,
                    keepalive: (neighbour.wanted && !self.is_by_lan(neighbour)).then_some(KEEPALIVE),
                    allowed: vec![host_prefix(IpAddr::V6(neighbour.link_address))],
                    accept: Vec::new(),
                    generation: neighbour.generation,
                },
            );
        }
        // A gateway that a drill withdrew has links, and carries nothing for anybody.
        let withdrawn = self.is_withdrawn();
        let mut admitted = self.standing.admitted.iter().peekable();
        for (id, about) in self.lsdb.abouts() {
            while admitted.next_if(|other| **other < id).is_some() {}
            if admitted.peek() != Some(&&id) || id == self.id || withdrawn {
                continue;
            }
            let id = &id;
            let prefixes: Vec<IpNet> = about.addresses.iter().map(|address| host_prefix(*address)).collect();
            let (owner, accept) = self.owners(id);
            if let Some(peer) = owner.and_then(|owner| peers.get_mut(&owner)) {
                peer.allowed.extend(prefixes.iter().copied());
            }
            for also in accept {
                if let Some(peer) = peers.get_mut(&also) {
                    peer.accept.extend(prefixes.iter().copied());
                }
            }
        }
        let mut peers: Vec<DesiredPeer> = peers.into_values().collect();
        peers.sort_by_key(|peer| peer.public_key);
        let forward = self.standing.is_gateway(&self.id) && !self.is_withdrawn();
        let path_mtus = if forward { self.path_mtus() } else { Vec::new() };
        let desired = DesiredTunnel {
            peers,
            forward,
            crossings: self.crossings.clone(),
            path_mtus,
            at_once: self.is_withdrawn(),
            watched: self.watched(),
        };
        if self.tunnel.as_ref() != Some(&desired) {
            self.tunnel = Some(desired.clone());
            // Before anything that was decided to be sent: a datagram may need the peer that this makes.
            self.outputs.retain(|output| !matches!(output, Output::Tunnel(_)));
            self.outputs.push_front(Output::Tunnel(desired));
        }
    }

    /// How packets cross this node while paths change.
    pub(super) fn find_crossings(&self) -> Option<Arc<Crossings>> {
        let steady = self.past.is_empty() && self.coming.is_empty();
        if steady || self.is_withdrawn() || !self.standing.is_gateway(&self.id) {
            return None;
        }
        let past = self.past.iter().map(|(_, graph, paths)| (graph, paths));
        let coming = self.coming.iter().map(|(graph, paths)| (graph, paths));
        let plans: Vec<_> = std::iter::once((&self.graph, &self.paths)).chain(coming).chain(past).collect();
        // Whoever is refused by now gets nothing by a path that was.
        let nodes = self.standing.admitted.iter().filter_map(|id| {
            let about = self.lsdb.about(id)?;
            Some((*id, about.wg_key, &about.addresses[..]))
        });
        Crossings::new(&self.id, &plans, nodes).map(Arc::new)
    }

    /// The neighbour that packets for `id` go to, and further ones that packets from it may come from.
    pub(super) fn owners(&self, id: &NodeId) -> (Option<NodeId>, BTreeSet<NodeId>) {
        let routed = self.paths.get(id).map(|route| route.next);
        let coming = self.coming.iter().map(|(_, paths)| paths);
        let past = self.past.iter().map(|(_, _, paths)| paths);
        let mut accept: BTreeSet<NodeId> =
            coming.chain(past).filter_map(|paths| paths.get(id)).map(|route| route.next).collect();
        let direct = self.neighbours.get(id).map(|neighbour| &neighbour.direct);
        let owner = match direct {
            Some(direct) if direct.is_active() => {
                // The gateway path stays beneath: the other end may fall back to it at any moment.
                accept.extend(routed);
                Some(*id)
            }
            Some(direct) if direct.is_agreeing() => {
                accept.insert(*id);
                routed
            }
            _ => routed,
        };
        owner.iter().for_each(|owner| {
            accept.remove(owner);
        });
        (owner, accept)
    }

    pub(super) fn plan_system(&mut self) {
        let link_network = IpNet::V6(self.network.link_network());
        let mut addresses = self.config.addresses.clone();
        addresses.push(IpAddr::V6(self.link_address()));
        let mut routes: Vec<IpNet> = self.config.subnets.iter().map(IpNet::trunc).collect();
        routes.push(link_network);
        let desired = DesiredSystem {
            addresses,
            routes,
            mtu: self.config.mtu,
            path_mtus: self.path_mtus(),
            forwarding: self.standing.is_gateway(&self.id),
        };
        if self.system.as_ref() != Some(&desired) {
            self.system = Some(desired.clone());
            self.outputs.push_back(Output::System(desired));
        }
    }
}
