//! Which peers and prefixes there are: the difference between what stands and what the mesh, or a person with `wg`,
//! wants.
//!
//! One rule for prefixes: what the mesh wants stands; what a person wished stands where the mesh wants nothing else.
//! So a foreign peer gets its prefix back when the mesh lets go of it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use boringtun::x25519::{PublicKey, StaticSecret};
use ipnet::IpNet;
use tracing::{debug, warn};

use super::Endpoint;
use super::outbox::Outbox;
use super::peer::Peer;
use super::peers::PeerSlot;
use super::plane::DataPlane;
use super::uapi::parse::{Secret, SetPeer, SetRequest};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredPeer, DesiredTunnel, PeerReport, Sent, TunnelReport};

impl DataPlane {
    /// Makes the peers look like `desired`: adds, moves, then removes. Peers that did not change keep their sessions,
    /// foreign ones stay.
    pub(super) fn set(&mut self, desired: &DesiredTunnel, now: Instant, outbox: &mut Outbox) {
        self.table.forward = desired.forward;
        self.table.crossings.clone_from(&desired.crossings);
        self.table.path_mtus = Arc::new(desired.path_mtus.iter().map(|(prefix, mtu)| (prefix.addr(), *mtu)).collect());
        let known = Arc::clone(&self.table.watched);
        let watched = desired.watched.iter().map(|address| (*address, known.get(address).cloned().unwrap_or_default()));
        self.table.watched = Arc::new(watched.collect());
        self.mesh_prefixes.clear();
        let mut links: HashMap<Ipv6Addr, PeerSlot> = HashMap::new();
        let mut fresh = Vec::with_capacity(desired.peers.len());
        let own_key = *self.public.as_bytes();
        for wanted in desired.peers.iter().filter(|wanted| wanted.public_key.0 != own_key) {
            let (slot, new_endpoint) = self.set_peer(wanted);
            links.insert(wanted.link, slot);
            let prefixes = wanted.allowed.iter().map(|prefix| (prefix.trunc(), wanted.public_key));
            self.mesh_prefixes.extend(prefixes);
            fresh.push((slot, new_endpoint));
        }
        let wanted: HashSet<WgPublicKey> = desired.peers.iter().map(|peer| peer.public_key).collect();
        for (_, peer) in self.table.peers.iter().filter(|(_, peer)| !wanted.contains(&peer.key)) {
            let mut peer = peer.lock();
            if peer.by_mesh {
                peer.by_mesh = false;
                peer.link = None;
                peer.accept.clear();
            }
        }
        self.table.peers.set_links(links);
        self.settle_prefixes(now);
        self.remove_unwanted();
        self.publish();
        for (slot, new_endpoint) in fresh {
            self.kick(slot, new_endpoint, now, outbox);
        }
    }

    /// Adds or changes one peer of the mesh; says whether it has a new endpoint to try.
    fn set_peer(&mut self, wanted: &DesiredPeer) -> (PeerSlot, bool) {
        let slot = self.peer_slot(wanted.public_key);
        let adopted = self.table.peers.lock(slot).is_none_or(|peer| !peer.by_mesh);
        let outdated = self.table.peers.lock(slot).is_some_and(|peer| wanted.generation > peer.generation);
        if outdated && !adopted {
            debug!(peer = %wanted.public_key, "the peer's clock went back: its session is made anew");
            self.renew(slot);
        }
        let Some(mut peer) = self.table.peers.lock(slot) else { return (slot, false) };
        peer.by_mesh = true;
        peer.generation = peer.generation.max(wanted.generation);
        peer.link = Some(wanted.link);
        peer.accept.clone_from(&wanted.accept);
        peer.keepalive = wanted.keepalive.filter(|interval| *interval > 0);
        let hint = wanted.endpoint.filter(|hint| peer.hint.is_none_or(|last| hint.serial > last));
        if let Some(hint) = hint {
            peer.hint = Some(hint.serial);
            peer.endpoint = Some(canonical(hint.address));
        }
        (slot, hint.is_some())
    }

    /// The slot of the peer with this key, made if there is none.
    fn peer_slot(&mut self, key: WgPublicKey) -> PeerSlot {
        self.table.peers.by_key(&key).unwrap_or_else(|| {
            let index = self.table.peers.unused_index();
            let tunn = self.new_tunn(&key, None, index);
            self.table.peers.add(Peer::new(key, tunn, index))
        })
    }

    /// Makes the peer's noise state anew: new key, new preshared key, or the peer's clock went back.
    fn renew(&mut self, slot: PeerSlot) {
        let index = self.table.peers.unused_index();
        let Some(mut peer) = self.table.peers.lock(slot) else { return };
        let (old, tunn) = (peer.index, self.new_tunn(&peer.key, peer.preshared.as_ref(), index));
        peer.renew(tunn, index);
        drop(peer);
        self.table.peers.renumbered(slot, old, index);
    }

    /// Gives each prefix to the peer that shall have it and takes away the rest.
    fn settle_prefixes(&mut self, now: Instant) {
        let mut owners: HashMap<IpNet, PeerSlot> = HashMap::new();
        for (slot, peer) in self.table.peers.iter() {
            let peer = peer.lock();
            if !peer.by_mesh && !peer.by_person {
                continue;
            }
            owners.extend(peer.wished.iter().map(|prefix| (*prefix, slot)));
        }
        for (prefix, key) in &self.mesh_prefixes {
            if let Some(slot) = self.table.peers.by_key(key) {
                owners.insert(*prefix, slot);
            }
        }
        for (prefix, slot) in &owners {
            let before = self.table.allowed.insert(*prefix, *slot).filter(|before| before != slot);
            if let Some(mut peer) = before.and_then(|before| self.table.peers.lock(before)) {
                peer.grant(*prefix, now);
            }
        }
        let rest: Vec<IpNet> =
            self.table.allowed.iter().map(|(prefix, _)| prefix).filter(|prefix| !owners.contains_key(prefix)).collect();
        for prefix in rest {
            self.table.allowed.remove(prefix);
        }
    }

    /// Removes the peers that neither the mesh nor a person wants (any more).
    fn remove_unwanted(&mut self) {
        for slot in self.table.peers.which(|peer| !peer.by_mesh && !peer.by_person) {
            self.table.peers.remove(slot);
        }
    }

    fn kick(&mut self, slot: PeerSlot, fresh: bool, now: Instant, outbox: &mut Outbox) {
        if let Some(mut peer) = self.table.peers.lock(slot) {
            peer.kick(fresh, now, outbox);
        }
        self.schedule(slot, now);
    }

    /// Applies what a person asked for by `wg set`, but for the own key, which the mesh has told to all nodes. Port and mark
    /// are the device loop's part.
    pub(super) fn apply(&mut self, request: &SetRequest, now: Instant, outbox: &mut Outbox) {
        let is_other = |key: &Secret| PublicKey::from(&StaticSecret::from(**key.bytes())) != self.public;
        if request.private_key.as_ref().is_some_and(is_other) {
            warn!("the private key is the mesh's: it stays");
        }
        if request.replace_peers {
            for (_, peer) in self.table.peers.iter() {
                let mut peer = peer.lock();
                peer.by_person = false;
                peer.wished.clear();
            }
            self.settle_prefixes(now);
            self.remove_unwanted();
        }
        let mut changed = Vec::new();
        for wanted in &request.peers {
            changed.extend(self.apply_peer(wanted));
        }
        self.settle_prefixes(now);
        self.remove_unwanted();
        self.publish();
        for (slot, fresh) in changed {
            self.kick(slot, fresh, now, outbox);
        }
    }

    /// Applies one peer's part; returns its slot, and whether it has a new endpoint to try.
    fn apply_peer(&mut self, wanted: &SetPeer) -> Option<(PeerSlot, bool)> {
        let key = wanted.public_key;
        let known = self.table.peers.by_key(&key);
        let is_self = key.0 == *self.public.as_bytes();
        if is_self || known.is_none() && (wanted.update_only || wanted.remove) {
            return None;
        }
        if wanted.remove {
            let mut peer = self.table.peers.lock(known?)?;
            peer.by_person = false;
            peer.wished.clear();
            if peer.by_mesh {
                warn!(peer = %key, "the mesh needs this peer: it stays");
            }
            return None;
        }
        let slot = self.peer_slot(key);
        let mut peer = self.table.peers.lock(slot)?;
        peer.by_person |= known.is_none();
        if let Some(interval) = wanted.keepalive {
            peer.keepalive = Some(interval).filter(|interval| *interval > 0);
        }
        if let Some(endpoint) = wanted.endpoint {
            peer.endpoint = Some(canonical(endpoint));
        }
        if wanted.replace_allowed_ips {
            peer.wished.clear();
        }
        for change in &wanted.allowed_ips {
            if change.remove {
                peer.wished.remove(&change.prefix);
            } else {
                peer.wished.insert(change.prefix);
            }
        }
        let mut other_key = false;
        if let Some(preshared) = &wanted.preshared_key {
            let preshared = (!preshared.is_zero()).then(|| preshared.bytes().clone());
            other_key = peer.preshared != preshared;
            peer.preshared = preshared;
        }
        drop(peer);
        if other_key {
            self.renew(slot);
        }
        let added = wanted.allowed_ips.iter().filter(|change| !change.remove);
        let added: Vec<IpNet> = added.map(|change| change.prefix).collect();
        for (prefix, owner) in added.iter().filter_map(|prefix| self.mesh_prefixes.get_key_value(prefix)) {
            if *owner != key {
                warn!(peer = %key, %prefix, %owner, "the prefix is the mesh's: it stays with its owner");
            }
        }
        for (_, peer) in self.table.peers.iter().filter(|(_, peer)| peer.key != key) {
            let mut peer = peer.lock();
            for prefix in &added {
                peer.wished.remove(prefix);
            }
        }
        Some((slot, wanted.endpoint.is_some()))
    }

    /// What is known of every peer.
    pub(super) fn report(&self, now: Instant) -> TunnelReport {
        let mut prefixes = self.prefixes();
        let peers = self.table.peers.iter().map(|(slot, shared)| {
            let peer = shared.lock();
            PeerReport {
                public_key: peer.key,
                endpoint: peer.endpoint.map(|endpoint| endpoint.remote),
                handshake_age: peer.last_handshake.map(|at| now.duration_since(at)),
                rx_bytes: peer.rx_bytes,
                tx_bytes: peer.tx_bytes,
                data_packets: shared.data_packets(),
                allowed: prefixes.remove(&slot).unwrap_or_default(),
            }
        });
        let mut peers: Vec<PeerReport> = peers.collect();
        peers.sort_by_key(|peer| peer.public_key);
        let sent = self.table.watched.iter();
        let sent = sent.map(|(to, sent)| Sent { to: *to, packets: sent.packets.get(), bytes: sent.bytes.get() });
        TunnelReport { peers, sent: sent.filter(|sent| sent.packets > 0).collect() }
    }

    /// The prefixes of each peer, sorted.
    pub(super) fn prefixes(&self) -> HashMap<PeerSlot, Vec<IpNet>> {
        let mut prefixes: HashMap<PeerSlot, Vec<IpNet>> = HashMap::new();
        for (prefix, slot) in self.table.allowed.iter() {
            prefixes.entry(slot).or_default().push(prefix);
        }
        prefixes.values_mut().for_each(|list| list.sort());
        prefixes
    }
}

/// An IPv4 address that comes dressed as IPv6 (`::ffff:192.0.2.1`) is IPv4: the IPv6 socket does not reach it.
fn canonical(address: SocketAddr) -> Endpoint {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, address.port())).into(),
        IpAddr::V6(_) => address.into(),
    }
}
