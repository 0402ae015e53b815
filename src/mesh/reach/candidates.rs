//! Which endpoints of another node are worth a try from here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::super::engine::Engine;
use super::super::ids::NodeId;
use super::super::io::{EndpointHint, LocalAddress};
use super::super::time::Time;

/// A link that is down tries its next endpoint after this time.
pub(super) const NEXT_AFTER: Duration = Duration::from_secs(2);

/// Whether an address is meant to be reached from anywhere (RFC 1918, 6598, 4193, 3927, 4291 say which are not).
pub(in super::super) fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            !(v4.is_private() || v4.is_link_local() || v4.is_loopback() || v4.is_unspecified() || shared)
                && !(v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            let unicast_global = (v6.segments()[0] & 0xe000) == 0x2000;
            unicast_global && !v6.is_loopback()
        }
    }
}

pub(super) fn is_on_link(local: &LocalAddress, address: &IpAddr) -> bool {
    IpNet::new(local.address, local.prefix).is_ok_and(|net| net.contains(address))
}

impl Engine {
    /// Endpoints of `id` that may answer here, the likeliest first: on a network this machine is attached to, behind the
    /// same NAT, or public. A private address near by is the last where the two are behind different NATs: many homes have
    /// the same network.
    pub(in super::super) fn usable_endpoints(&self, id: &NodeId) -> Vec<SocketAddr> {
        let Some(about) = self.lsdb.about(id) else { return Vec::new() };
        let own: Vec<IpAddr> = self.local.addresses.iter().map(|local| local.address).collect();
        let near = |endpoint: &SocketAddr| self.local.addresses.iter().any(|local| is_on_link(local, &endpoint.ip()));
        let family = |endpoint: &SocketAddr| own.iter().any(|address| address.is_ipv4() == endpoint.is_ipv4());
        // An address of the overlay would lead the tunnel into itself.
        let fits =
            |e: &&SocketAddr| !own.contains(&e.ip()) && !self.config.addresses.contains(&e.ip()) && e.port() != 0;
        let mut usable: Vec<SocketAddr> = about.endpoints.iter().filter(fits).copied().collect();
        let nats = &self.outside.addresses;
        let same_nat = usable.iter().any(|endpoint| nats.contains(&endpoint.ip()));
        let elsewhere = !same_nat && !nats.is_empty() && usable.iter().any(|endpoint| is_public(&endpoint.ip()));
        let rank = |endpoint: &SocketAddr| {
            let public = is_public(&endpoint.ip());
            match near(endpoint) {
                true if public || !elsewhere => Some(0),
                true => Some(3),
                false if !public && same_nat && family(endpoint) => Some(1),
                false if public && family(endpoint) => Some(2),
                false => None,
            }
        };
        usable.retain(|endpoint| rank(endpoint).is_some());
        usable.sort_by_key(rank);
        // Those that answered on a LAN of this machine are no guesses.
        let mut all = self.near_endpoints(id);
        usable.retain(|endpoint| !all.contains(endpoint));
        all.append(&mut usable);
        all
    }

    /// All endpoints to try for a neighbour: where it answered on a LAN, the file's, then those of its record, then where it was last reached.
    fn candidates(&self, id: &NodeId) -> Vec<SocketAddr> {
        let named = self.standing.static_of(id).map(|index| {
            let port = self.config.static_peers[index].endpoint.port;
            self.statics[index].addresses().iter().map(|address| SocketAddr::new(*address, port)).collect::<Vec<_>>()
        });
        let mut candidates = named.map_or_else(
            || self.usable_endpoints(id),
            |named| self.near_endpoints(id).into_iter().chain(named).collect(),
        );
        candidates.extend(self.endpoints.get(id));
        let mut seen = std::collections::BTreeSet::new();
        candidates.retain(|endpoint| seen.insert(*endpoint));
        candidates
    }

    pub(in super::super) fn hint(&mut self, now: Time, id: NodeId, address: SocketAddr) {
        self.hint_serial += 1;
        let serial = self.hint_serial;
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.hint = Some(EndpointHint { address, serial });
            neighbour.hinted_at = now;
            self.mark_plan();
        }
    }

    /// Points a static peer's tunnel at the file's endpoint.
    pub(in super::super) fn hint_static(&mut self, now: Time, index: usize, id: NodeId) {
        let port = self.config.static_peers[index].endpoint.port;
        if let Some(address) = self.statics[index].address() {
            self.hint(now, id, SocketAddr::new(address, port));
        }
    }

    /// Points a node's tunnel at endpoint number `number` of those to try, round and round.
    pub(in super::super) fn hint_record(&mut self, now: Time, id: NodeId, number: usize) {
        let candidates = self.candidates(&id);
        if candidates.is_empty() {
            return;
        }
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.candidate = number;
        }
        self.hint(now, id, candidates[number % candidates.len()]);
    }

    /// A link that this node seeks stays down: try the next endpoint.
    pub(in super::super) fn try_next_endpoint(&mut self, now: Time, id: NodeId) {
        let Some(neighbour) = self.neighbours.get(&id) else { return };
        let silent = neighbour.link.heard_at().is_none_or(|at| now.since(at) >= NEXT_AFTER);
        let tried = neighbour.hint.is_some() && now.since(neighbour.hinted_at) >= NEXT_AFTER;
        if neighbour.link.is_up() || !neighbour.wanted || !silent || !tried {
            return;
        }
        let next = neighbour.candidate + 1;
        let present = neighbour.hint.map(|hint| hint.address);
        let learned = neighbour.report.as_ref().and_then(|report| report.endpoint);
        let candidates = self.candidates(&id);
        // With a single endpoint there is nothing to change, unless WireGuard roamed away from it to where nobody answers.
        if candidates.len() > 1 || (learned.is_some() && learned != present) || candidates.first().copied() != present {
            self.hint_record(now, id, next);
        }
    }
}
