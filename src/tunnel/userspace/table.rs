//! What all threads share: the table of peers and prefixes, as a snapshot that the control thread replaces as a whole,
//! and counters.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::allowed_ips::AllowedIps;
use super::icmp::Budget;
use super::mac::FirstMac;
use super::packet::Header;
use super::peers::{PeerSlot, Peers};
use crate::mesh::path::Crossings;

/// Who this node is in the tunnel.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Overlay addresses and the link address: packets to them go to the TUN.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) link: Ipv6Addr,
    pub(super) control_port: u16,
    /// Longest packet in bytes.
    pub(super) mtu: u16,
}

/// Peers, prefixes, and how packets are passed on.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) own: Arc<Own>,
    /// What handshakes with us must have.
    pub(super) mac: FirstMac,
    pub(super) peers: Peers,
    pub(super) allowed: AllowedIps,
    pub(super) forward: bool,
    pub(super) crossings: Option<Arc<Crossings>>,
    /// Where packets of full size do not pass, and what does.
    pub(super) path_mtus: Arc<BTreeMap<IpAddr, u16>>,
    /// Addresses for which the mesh wants to know what is sent there.
    pub(super) watched: Arc<HashMap<IpAddr, Arc<SentTo>>>,
}

impl Table {
    pub(super) fn new(own: Own, mac: FirstMac) -> Self {
        Self {
            own: Arc::new(own),
            mac,
            peers: Peers::default(),
            allowed: AllowedIps::default(),
            forward: false,
            crossings: None,
            path_mtus: Arc::default(),
            watched: Arc::default(),
        }
    }

    /// The own overlay address of the family of `other`; over IPv6 the link address serves where there is no other.
    pub(super) fn own_address_like(&self, other: IpAddr) -> Option<IpAddr> {
        let link = IpAddr::V6(self.own.link);
        let overlay = self.own.addresses.iter().find(|own| **own != link && own.is_ipv6() == other.is_ipv6());
        overlay.copied().or_else(|| other.is_ipv6().then_some(link))
    }

    /// Counts a packet to an address, if that is watched.
    pub(super) fn note_sent(&self, to: &IpAddr, bytes: usize) {
        // As with the MTUs: asked for every packet, and seldom for anything.
        if !self.watched.is_empty()
            && let Some(sent) = self.watched.get(to)
        {
            sent.packets.add(1);
            sent.bytes.add(bytes as u64);
        }
    }

    /// Longest packet in bytes that passes to an address.
    pub(super) fn mtu_to(&self, address: IpAddr) -> u16 {
        let own = self.own.mtu;
        // Nearly always there is none, and this is asked for every packet.
        if self.path_mtus.is_empty() { own } else { self.path_mtus.get(&address).map_or(own, |mtu| own.min(*mtu)) }
    }

    /// The peer that a packet goes on to by the mesh's paths, while they change.
    pub(super) fn crossing(&self, from: PeerSlot, header: &Header) -> Option<PeerSlot> {
        let crossings = self.crossings.as_ref().filter(|_| self.forward)?;
        let from = self.peers.get(from)?;
        if !from.lock().by_mesh {
            return None;
        }
        self.peers.by_key(&crossings.way(&from.key, header.source, header.destination)?)
    }
}

/// A number that any thread may raise.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was sent to one address.
#[derive(Debug, Default)]
pub(super) struct SentTo {
    /// Packets, or large ones that stand for many.
    pub(super) packets: Counter,
    pub(super) bytes: Counter,
}

/// Packets that went nowhere, and why: for the debug log.
#[derive(Debug, Default)]
pub(super) struct Drops {
    /// Datagrams that are no WireGuard message for a peer of ours, or not authentic.
    pub(super) junk: Counter,
    /// Packets whose source belongs to another peer.
    pub(super) source: Counter,
    /// Packets for another peer, though this node does not forward or they came from there.
    pub(super) not_forwarded: Counter,
    /// Packets to the control port that are no control datagram of the peer that sent them.
    pub(super) control: Counter,
    /// Packets that are no IP, have no hop left, are too long, or lead nowhere.
    pub(super) undeliverable: Counter,
    /// Packets that met congestion on their way, and cannot be marked with it.
    pub(super) congestion: Counter,
}

/// What all threads of a device share.
pub(super) struct Shared {
    pub(super) table: ArcSwap<Table>,
    pub(super) drops: Drops,
    /// What may still be said in ICMP errors.
    pub(super) errors: Mutex<Budget>,
}

impl Shared {
    pub(super) fn new(table: Table, now: Instant) -> Self {
        Self { table: ArcSwap::from_pointee(table), drops: Drops::default(), errors: Mutex::new(Budget::new(now)) }
    }
}
