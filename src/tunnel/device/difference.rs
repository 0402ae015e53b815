//! What must change on a device so that it has what the mesh wants.
//!
//! The rule is the embedded tunnel's: what the mesh wants stands, and what a person set with `wg` stands where the mesh
//! wants nothing else. A prefix moves by being added where it shall be: the device takes it from where it was. What nobody
//! wants any more goes to a peer that is removed at once, since kernels before 6.16 cannot take one prefix away. Endpoints
//! are WireGuard's: a hint is applied once, and never over one that works.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv6Net};
use tracing::debug;

use super::observation::Times;
use super::{Action, DeviceState, PeerChange, PeerState};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredPeer, DesiredTunnel};
use crate::tunnel::lingering::LINGER;

/// As long as a session lives, the endpoint works (`REJECT_AFTER_TIME`, section 6.1 of the WireGuard paper).
const SESSION: Duration = Duration::from_secs(180);

/// What the mesh wants of a device, and what it has done there.
#[derive(Debug)]
pub(super) struct Wishes {
    /// The link addresses: a peer with one of them was made by the mesh, if need be in a former run.
    links: Ipv6Net,
    pub(super) desired: DesiredTunnel,
    /// Whether what a former run left was looked at.
    looked: bool,
    /// What a former run put somewhere and the mesh wants nowhere yet; and until when it stays, in steady time.
    lingering: BTreeMap<IpNet, (WgPublicKey, Duration)>,
    /// Peers that were set up in this run.
    known: BTreeMap<WgPublicKey, Known>,
    /// Where the mesh put prefixes: others at the same peers are a person's.
    placed: BTreeMap<IpNet, WgPublicKey>,
    /// Prefixes of foreign peers that the mesh uses now, and whom they go back to.
    lent: BTreeMap<IpNet, WgPublicKey>,
}

/// What was done for a peer.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    hint: Option<u64>,
    generation: u32,
    /// Where it was when it was last seen: if another program removes it, it is found again there.
    endpoint: Option<SocketAddr>,
}

impl Wishes {
    pub(super) fn new(links: Ipv6Net) -> Self {
        Self {
            links,
            desired: DesiredTunnel::default(),
            looked: false,
            lingering: BTreeMap::new(),
            known: BTreeMap::new(),
            placed: BTreeMap::new(),
            lent: BTreeMap::new(),
        }
    }

    /// The changes that make `state` what is wanted, in the order in which they must happen. `parking` is the key of a peer
    /// that does not exist.
    pub(super) fn changes(&mut self, state: &DeviceState, parking: WgPublicKey, times: Times) -> Vec<PeerChange> {
        if !std::mem::replace(&mut self.looked, true) {
            let left = state.peers.iter().filter(|(_, peer)| peer.has_link_in(&self.links));
            self.placed = left.flat_map(|(key, peer)| peer.allowed.iter().map(|prefix| (*prefix, *key))).collect();
            let until = times.steady + LINGER;
            self.lingering = self.placed.iter().map(|(prefix, key)| (*prefix, (*key, until))).collect();
        }
        let desired = std::mem::take(&mut self.desired);
        let wanted: Vec<&DesiredPeer> =
            desired.peers.iter().filter(|peer| Some(peer.public_key) != state.public_key).collect();
        let owners: BTreeMap<IpNet, WgPublicKey> = wanted
            .iter()
            .flat_map(|peer| peer.allowed.iter().map(|prefix| (prefix.trunc(), peer.public_key)))
            .collect();
        let keys: BTreeSet<WgPublicKey> = wanted.iter().map(|peer| peer.public_key).collect();

        // A peer that is not wanted (yet) and was not set up in this run is of a former one.
        let may_stay = |key: &WgPublicKey| keys.contains(key) || !self.known.contains_key(key);
        self.lingering
            .retain(|prefix, (key, until)| *until > times.steady && !owners.contains_key(prefix) && may_stay(key));

        let foreign = state.peers.iter().filter(|(key, peer)| !keys.contains(key) && !self.is_ours(key, peer));
        let borrowed: Vec<(IpNet, WgPublicKey)> = foreign
            .flat_map(|(key, peer)| peer.allowed.iter().map(|prefix| (*prefix, *key)))
            .filter(|(prefix, _)| owners.contains_key(prefix))
            .collect();
        self.lent.extend(borrowed);
        let mut changes = Vec::new();
        for peer in &wanted {
            self.set_up(peer, state, times.wall, &mut changes);
        }
        let (returned, parked, removed) = self.leftovers(state, &keys, &owners);
        changes.extend(returned.into_iter().map(|(key, allowed)| PeerChange { allowed, ..PeerChange::update(key) }));
        if !parked.is_empty() {
            changes.push(PeerChange { allowed: parked, ..PeerChange::new(parking, Action::Add) });
            changes.push(PeerChange::new(parking, Action::Remove));
        }
        changes.extend(removed.into_iter().map(|key| PeerChange::new(key, Action::Remove)));

        self.known.retain(|key, _| keys.contains(key));
        self.lent.retain(|prefix, _| owners.contains_key(prefix));
        let lingering = self.lingering.iter().map(|(prefix, (key, _))| (*prefix, *key));
        let stands =
            |key: &WgPublicKey, prefix: &IpNet| state.peers.get(key).is_some_and(|peer| peer.allowed.contains(prefix));
        self.placed = lingering.filter(|(prefix, key)| stands(key, prefix)).collect();
        self.placed.extend(owners);
        self.desired = desired;
        changes
    }

    /// Whether the mesh made this peer.
    pub(super) fn is_ours(&self, key: &WgPublicKey, peer: &PeerState) -> bool {
        self.known.contains_key(key) || peer.has_link_in(&self.links)
    }

    /// How many prefixes of a former run stay for a while though the mesh wants them nowhere.
    pub(super) fn lingering(&self) -> usize {
        self.lingering.len()
    }

    /// Adds or changes one peer.
    fn set_up(
        &mut self,
        wanted: &DesiredPeer,
        state: &DeviceState,
        since_epoch: Duration,
        changes: &mut Vec<PeerChange>,
    ) {
        let key = wanted.public_key;
        let allowed: BTreeSet<IpNet> = wanted.allowed.iter().map(IpNet::trunc).collect();
        let keepalive = wanted.keepalive.unwrap_or(0);
        let hint = wanted.endpoint;
        let before = self.known.get(&key).copied();
        let present = state.peers.get(&key);
        let now = Known {
            hint: hint.map(|hint| hint.serial).max(before.and_then(|before| before.hint)),
            generation: wanted.generation.max(before.map_or(0, |before| before.generation)),
            endpoint: present.and_then(|present| present.endpoint).or_else(|| before?.endpoint),
        };
        self.known.insert(key, now);
        let is_new = now.hint > before.and_then(|before| before.hint);
        let Some(present) = present else {
            changes.push(PeerChange {
                endpoint: hint.map(|hint| hint.address).filter(|_| is_new || now.endpoint.is_none()).or(now.endpoint),
                keepalive: Some(keepalive),
                allowed: allowed.into_iter().collect(),
                ..PeerChange::new(key, Action::Add)
            });
            return;
        };
        if before.is_some_and(|before| now.generation > before.generation) {
            debug!(peer = %key, "the peer's clock went back: its session is made anew");
            changes.push(PeerChange::new(key, Action::Remove));
            changes.push(PeerChange {
                endpoint: present.endpoint.or_else(|| hint.map(|hint| hint.address)),
                keepalive: Some(keepalive),
                preshared: present.preshared.clone(),
                allowed: allowed.union(&self.by_a_person(&key, present)).copied().collect(),
                ..PeerChange::new(key, Action::Add)
            });
            return;
        }
        let works = before.is_none() && present.endpoint.is_some() && present.has_session(since_epoch);
        let endpoint = hint.map(|hint| hint.address).filter(|to| is_new && !works && present.endpoint != Some(*to));
        let change = PeerChange {
            endpoint,
            keepalive: (present.keepalive != keepalive).then_some(keepalive),
            allowed: allowed.difference(&present.allowed).copied().collect(),
            ..PeerChange::update(key)
        };
        if change.does_something() {
            changes.push(change);
        }
    }

    /// Prefixes at one of our peers that a person put there.
    fn by_a_person(&self, key: &WgPublicKey, peer: &PeerState) -> BTreeSet<IpNet> {
        peer.allowed.iter().filter(|prefix| self.placed.get(prefix) != Some(key)).copied().collect()
    }

    /// What nobody wants where it is: prefixes that go back to foreign peers, prefixes for the parking peer, and peers.
    fn leftovers(
        &self,
        state: &DeviceState,
        keys: &BTreeSet<WgPublicKey>,
        owners: &BTreeMap<IpNet, WgPublicKey>,
    ) -> (BTreeMap<WgPublicKey, Vec<IpNet>>, Vec<IpNet>, Vec<WgPublicKey>) {
        let mut returned: BTreeMap<WgPublicKey, Vec<IpNet>> = BTreeMap::new();
        let (mut parked, mut removed) = (Vec::new(), Vec::new());
        for (key, peer) in state.peers.iter().filter(|(key, peer)| self.is_ours(key, peer)) {
            let stays = keys.contains(key);
            if !stays {
                if self.lingering.values().any(|(at, _)| at == key) {
                    continue;
                }
                removed.push(*key);
            }
            for prefix in peer.allowed.iter().filter(|prefix| !owners.contains_key(prefix)) {
                let lender = self.lent.get(prefix).filter(|lender| state.peers.contains_key(lender));
                match lender {
                    Some(lender) => returned.entry(*lender).or_default().push(*prefix),
                    None if stays && self.placed.get(prefix) == Some(key) && !self.lingering.contains_key(prefix) => {
                        parked.push(*prefix);
                    }
                    None => {}
                }
            }
        }
        (returned, parked, removed)
    }
}

impl PeerState {
    fn has_session(&self, since_epoch: Duration) -> bool {
        !self.last_handshake.is_zero() && since_epoch.saturating_sub(self.last_handshake) < SESSION
    }
}
