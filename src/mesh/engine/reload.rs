//! The network file was read again: what differs acts at once, and nothing else moves.

use std::collections::BTreeMap;

use super::super::config::{DirectMode, MeshConfig, StaticPeer};
use super::super::reach::StaticState;
use super::super::time::Time;
use super::super::timer::Timer;
use super::{DIRECT_OFF, DIRECT_ON, Engine};

impl Engine {
    /// Takes another content of the network file: other static peers, costs, gateways, subnets, direct mode or MTU.
    /// What makes this node itself (key, name, addresses, ports) stays as it was: for that it must start anew.
    pub fn handle_config(&mut self, now: Time, config: MeshConfig) {
        let before = self.config.clone();
        self.config = MeshConfig {
            static_peers: config.static_peers,
            subnets: config.subnets,
            gateways: config.gateways,
            direct: config.direct,
            mtu: config.mtu,
            ..before.clone()
        };
        self.renumber_statics(now, &before.static_peers);
        for id in self.neighbours.ids() {
            self.fix_cost(id);
        }
        let weights = |peers: &[StaticPeer]| -> Vec<Option<u32>> { peers.iter().map(|peer| peer.weight).collect() };
        if weights(&before.static_peers) != weights(&self.config.static_peers) {
            self.revise_choice(now);
        }
        self.decide_direct(now);
        self.own.describe_again();
        self.dirty.standing = true;
        self.dirty.own = true;
        self.dirty.graph = true;
        self.dirty.crossings = true;
        self.dirty.plan = true;
        self.settle(now);
        // Only now is it known who the static peers are.
        self.refresh_wanted(now);
        self.seek_direct(now);
        self.point_at_moved(now, &before.static_peers);
        self.save_within(now, std::time::Duration::from_secs(1));
        self.settle(now);
    }

    /// Static peers go by their number in the file: what is known of each moves to its new number.
    fn renumber_statics(&mut self, now: Time, before: &[StaticPeer]) {
        for index in 0..before.len() {
            self.timers.stop(Timer::Join(index));
        }
        let peers = &self.config.static_peers;
        let number = |old: usize| peers.iter().position(|peer| same_peer(before, peer) == Some(old));
        let standing = std::mem::take(&mut self.standing.statics);
        self.standing.statics = standing.into_iter().filter_map(|(old, id)| Some((number(old)?, id))).collect();
        let mut statics: BTreeMap<usize, StaticState> =
            std::mem::take(&mut self.statics).into_iter().enumerate().collect();
        let mut pins = std::mem::take(&mut self.pins);
        for (index, peer) in self.config.static_peers.iter().enumerate() {
            let old = same_peer(before, peer);
            let unmoved = old.filter(|old| before[*old].endpoint == peer.endpoint);
            let state = unmoved.and_then(|old| statics.remove(&old));
            let state = state.unwrap_or_else(|| StaticState::new(peer));
            self.statics.push(state);
            // A key that the file now gives decides by itself who the peer is.
            let pin = old.filter(|old| before[*old].public_key == peer.public_key).and_then(|old| pins.remove(&old));
            if let Some(pin) = pin {
                self.pins.insert(index, pin);
            }
            self.timers.set(Timer::Join(index), now);
        }
    }

    /// A static peer whose endpoint is another one now is sought there, though the old one may still answer.
    fn point_at_moved(&mut self, now: Time, before: &[StaticPeer]) {
        let moved =
            |peer: &StaticPeer| same_peer(before, peer).is_some_and(|old| before[old].endpoint != peer.endpoint);
        for (index, id) in self.standing.statics.clone() {
            if id != self.id && moved(&self.config.static_peers[index]) && self.neighbours.get(&id).is_some() {
                self.endpoints.remove(&id);
                self.hint_static(now, index, id);
                if let Some(neighbour) = self.neighbours.get_mut(&id) {
                    neighbour.link.hurry(now);
                }
                self.arm_probe(now, id);
                self.dirty.plan = true;
            }
        }
    }

    /// Whether pairs outside the graph get direct links, by the mode and the size of the mesh.
    pub(super) fn decide_direct(&mut self, now: Time) {
        let nodes = self.standing.admitted.len();
        self.direct_on = match self.config.direct {
            DirectMode::Never | DirectMode::OnDemand => false,
            DirectMode::Always => true,
            DirectMode::Auto => {
                // A node that has just come does not know yet how many there are.
                let few = nodes < DIRECT_ON && (self.begins_small() || now >= self.firm_from);
                nodes <= DIRECT_OFF && (self.direct_on || few)
            }
        };
    }
}

/// The number of the same peer in another list: the one that shares an address with it.
fn same_peer(peers: &[StaticPeer], peer: &StaticPeer) -> Option<usize> {
    peers.iter().position(|other| other.addresses.iter().any(|address| peer.addresses.contains(address)))
}
