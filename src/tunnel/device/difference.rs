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
    /// The peers that shall be, their keys, and who shall have which prefix.
    peers: Vec<DesiredPeer>,
    keys: BTreeSet<WgPublicKey>,
    owners: BTreeMap<IpNet, WgPublicKey>,
    /// Whether what a former run left was looked at.
    looked: bool,
    /// What a former run put somewhere and the mesh wants nowhere yet; and until when it stays, in steady time.
    lingering: BTreeMap<IpNet, (WgPublicKey, Duration)>,
    /// Peers that were set up in this run.
    known: BTreeMap<WgPublicKey, Known>,
    /// Where the mesh had put prefixes that it wants nowhere now: others at the same peers are a person's.
    former: BTreeMap<IpNet, WgPublicKey>,
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
            peers: Vec::new(),
            keys: BTreeSet::new(),
            owners: BTreeMap::new(),
            looked: false,
            lingering: BTreeMap::new(),
            known: BTreeMap::new(),
            former: BTreeMap::new(),
            lent: BTreeMap::new(),
        }
    }

    /// Takes what the mesh wants from now on of a device with this key.
    pub(super) fn want(&mut self, desired: &DesiredTunnel, own: Option<WgPublicKey>) {
        self.peers = desired.peers.iter().filter(|peer| Some(peer.public_key) != own).cloned().collect();
        self.keys = self.peers.iter().map(|peer| peer.public_key).collect();
        let prefixes =
            self.peers.iter().flat_map(|peer| peer.allowed.iter().map(|prefix| (prefix.trunc(), peer.public_key)));
        self.former.extend(std::mem::replace(&mut self.owners, prefixes.collect()));
    }

    /// The changes that make `state` what is wanted, in the order in which they must happen. `parking` is the key of a peer
    /// that does not exist.
    pub(super) fn changes(&mut self, state: &DeviceState, parking: WgPublicKey, times: Times) -> Vec<PeerChange> {
        if !std::mem::replace(&mut self.looked, true) {
            let left = state.peers.iter().filter(|(_, peer)| peer.has_link_in(&self.links));
            self.former = left.flat_map(|(key, peer)| peer.allowed.iter().map(|prefix| (*prefix, *key))).collect();
            let until = times.steady + LINGER;
            self.lingering = self.former.iter().map(|(prefix, key)| (*prefix, (*key, until))).collect();
        }
        let Self { keys, owners, former, lingering, known, .. } = self;
        former.retain(|prefix, _| !owners.contains_key(prefix));
        // A peer that is not wanted (yet) and was not set up in this run is of a former one.
        let may_stay = |key: &WgPublicKey| keys.contains(key) || !known.contains_key(key);
        lingering.retain(|prefix, (key, until)| *until > times.steady && !owners.contains_key(prefix) && may_stay(key));

        let foreign = state.peers.iter().filter(|(key, peer)| !self.keys.contains(key) && !self.is_ours(key, peer));
        let borrowed: Vec<(IpNet, WgPublicKey)> = foreign
            .flat_map(|(key, peer)| peer.allowed.iter().map(|prefix| (*prefix, *key)))
            .filter(|(prefix, _)| self.owners.contains_key(prefix))
            .collect();
        self.lent.extend(borrowed);
        let mut changes = Vec::new();
        let peers = std::mem::take(&mut self.peers);
        for peer in &peers {
            self.set_up(peer, state, times.wall, &mut changes);
        }
        self.peers = peers;
        let (returned, parked, removed) = self.leftovers(state);
        changes.extend(returned.into_iter().map(|(key, allowed)| PeerChange { allowed, ..PeerChange::update(key) }));
        if !parked.is_empty() {
            changes.push(PeerChange { allowed: parked, ..PeerChange::new(parking, Action::Add) });
            changes.push(PeerChange::new(parking, Action::Remove));
        }
        changes.extend(removed.into_iter().map(|key| PeerChange::new(key, Action::Remove)));

        self.known.retain(|key, _| self.keys.contains(key));
        self.lent.retain(|prefix, _| self.owners.contains_key(prefix));
        let lingering = self.lingering.iter().map(|(prefix, (key, _))| (*prefix, *key));
        let stands =
            |key: &WgPublicKey, prefix: &IpNet| state.peers.get(key).is_some_and(|peer| peer.allowed.contains(prefix));
        self.former = lingering.filter(|(prefix, key)| stands(key, prefix)).collect();
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
        let allowed = wanted.allowed.iter().map(IpNet::trunc);
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
                allowed: allowed.collect(),
                ..PeerChange::new(key, Action::Add)
            });
            return;
        };
        let works = before.is_none() && present.endpoint.is_some() && present.has_session(since_epoch);
        let endpoint = hint.map(|hint| hint.address).filter(|to| is_new && !works && present.endpoint != Some(*to));
        let clock_went_back = before.is_some_and(|before| now.generation > before.generation);
        // WireGuard asks again only 5 s after it last asked, wherever that went. A peer that never had a session loses
        // nothing by being made anew, and asks at once.
        let asks_elsewhere = endpoint.is_some() && before.is_some() && present.last_handshake.is_zero();
        if clock_went_back || asks_elsewhere {
            if clock_went_back {
                debug!(peer = %key, "the peer's clock went back: its session is made anew");
            }
            changes.push(PeerChange::new(key, Action::Remove));
            changes.push(PeerChange {
                endpoint: endpoint
                    .filter(|_| !clock_went_back)
                    .or(present.endpoint)
                    .or_else(|| hint.map(|hint| hint.address)),
                keepalive: Some(keepalive),
                preshared: present.preshared.clone(),
                allowed: allowed.chain(self.by_a_person(&key, present)).collect(),
                ..PeerChange::new(key, Action::Add)
            });
            return;
        }
        let change = PeerChange {
            endpoint,
            keepalive: (present.keepalive != keepalive).then_some(keepalive),
            allowed: allowed.filter(|prefix| !present.allowed.contains(prefix)).collect(),
            ..PeerChange::update(key)
        };
        if change.does_something() {
            changes.push(change);
        }
    }

    /// Prefixes at one of our peers that a person put there.
    fn by_a_person<'a>(&self, key: &WgPublicKey, peer: &'a PeerState) -> impl Iterator<Item = IpNet> + use<'a, '_> {
        let (key, Self { owners, former, .. }) = (*key, self);
        let by_mesh = move |prefix: &IpNet| owners.contains_key(prefix) || former.get(prefix) == Some(&key);
        peer.allowed.iter().copied().filter(move |prefix| !by_mesh(prefix))
    }

    /// What nobody wants where it is: prefixes that go back to foreign peers, prefixes for the parking peer, and peers.
    fn leftovers(&self, state: &DeviceState) -> (BTreeMap<WgPublicKey, Vec<IpNet>>, Vec<IpNet>, Vec<WgPublicKey>) {
        let mut returned: BTreeMap<WgPublicKey, Vec<IpNet>> = BTreeMap::new();
        let (mut parked, mut removed) = (Vec::new(), Vec::new());
        for (key, peer) in state.peers.iter().filter(|(key, peer)| self.is_ours(key, peer)) {
            let stays = self.keys.contains(key);
            if !stays {
                if self.lingering.values().any(|(at, _)| at == key) {
                    continue;
                }
                removed.push(*key);
            }
            for prefix in peer.allowed.iter().filter(|prefix| !self.owners.contains_key(prefix)) {
                let lender = self.lent.get(prefix).filter(|lender| state.peers.contains_key(lender));
                match lender {
                    Some(lender) => returned.entry(*lender).or_default().push(*prefix),
                    None if stays && self.former.get(prefix) == Some(key) && !self.lingering.contains_key(prefix) => {
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
