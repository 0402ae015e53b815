//! The peers of the device, found by slot, by public key, by the index in a datagram, or by link address.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rand_core::{OsRng, RngCore};

use super::peer::Peer;
use crate::mesh::ids::WgPublicKey;

/// A peer's place, valid until the peer is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PeerSlot(pub(super) u32);

/// A peer as all threads share it. Its lock is held for a batch of packets, never across a system call, and never with
/// another peer's.
pub(super) struct SharedPeer {
    pub(super) key: WgPublicKey,
    state: Mutex<Peer>,
    /// Packets of users, in both directions.
    data_packets: AtomicU64,
}

impl SharedPeer {
    pub(super) fn lock(&self) -> MutexGuard<'_, Peer> {
        self.state.lock()
    }

    pub(super) fn data_packets(&self) -> u64 {
        self.data_packets.load(Ordering::Relaxed)
    }

    /// Counts packets of users that came from it or went to it.
    pub(super) fn count(&self, packets: usize) {
        self.data_packets.fetch_add(packets as u64, Ordering::Relaxed);
    }
}

/// All peers. A clone shares them.
#[derive(Clone, Default)]
pub(super) struct Peers {
    slots: Vec<Option<Arc<SharedPeer>>>,
    free: Vec<PeerSlot>,
    by_key: HashMap<WgPublicKey, PeerSlot>,
    by_index: HashMap<u32, PeerSlot>,
    by_link: HashMap<Ipv6Addr, PeerSlot>,
}

impl Peers {
    /// A random number of 24 bits that no peer has. Random, so that a stranger cannot guess who is there.
    pub(super) fn unused_index(&self) -> u32 {
        loop {
            let index = OsRng.next_u32() >> 8;
            if !self.by_index.contains_key(&index) {
                return index;
            }
        }
    }

    pub(super) fn add(&mut self, peer: Peer) -> PeerSlot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            PeerSlot(self.slots.len() as u32 - 1)
        });
        self.by_key.insert(peer.key, slot);
        self.by_index.insert(peer.index, slot);
        let shared = SharedPeer { key: peer.key, state: Mutex::new(peer), data_packets: AtomicU64::new(0) };
        self.slots[slot.0 as usize] = Some(Arc::new(shared));
        slot
    }

    /// Removes the peer. Its prefixes are removed by the caller.
    pub(super) fn remove(&mut self, slot: PeerSlot) {
        if let Some(peer) = self.slots[slot.0 as usize].take() {
            self.by_key.remove(&peer.key);
            self.by_index.remove(&peer.lock().index);
            self.by_link.retain(|_, other| *other != slot);
            self.free.push(slot);
        }
    }

    pub(super) fn get(&self, slot: PeerSlot) -> Option<&SharedPeer> {
        self.slots.get(slot.0 as usize)?.as_deref()
    }

    pub(super) fn lock(&self, slot: PeerSlot) -> Option<MutexGuard<'_, Peer>> {
        self.get(slot).map(SharedPeer::lock)
    }

    pub(super) fn by_key(&self, key: &WgPublicKey) -> Option<PeerSlot> {
        self.by_key.get(key).copied()
    }

    /// The peer that a datagram's receiver index names: the upper 24 bits; the lower 8 tell its sessions apart.
    pub(super) fn by_receiver(&self, receiver: u32) -> Option<PeerSlot> {
        self.by_index.get(&(receiver >> 8)).copied()
    }

    pub(super) fn by_link(&self, link: Ipv6Addr) -> Option<PeerSlot> {
        self.by_link.get(&link).copied()
    }

    /// Renames the peer in datagrams.
    pub(super) fn renumbered(&mut self, slot: PeerSlot, old: u32, new: u32) {
        self.by_index.remove(&old);
        self.by_index.insert(new, slot);
    }

    /// Says which peer owns which link address.
    pub(super) fn set_links(&mut self, links: HashMap<Ipv6Addr, PeerSlot>) {
        self.by_link = links;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerSlot, &SharedPeer)> {
        self.slots.iter().enumerate().filter_map(|(at, peer)| Some((PeerSlot(at as u32), peer.as_deref()?)))
    }

    /// The slots of the peers that are as `matches` says.
    pub(super) fn which(&self, matches: impl Fn(&Peer) -> bool) -> Vec<PeerSlot> {
        self.iter().filter(|(_, peer)| matches(&peer.lock())).map(|(slot, _)| slot).collect()
    }
}
