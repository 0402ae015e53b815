//! What the counters of a device tell: how long ago the last handshake was, and whether a person's packets pass.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use rustix::time::{ClockId, clock_gettime};

use super::control::Traffic;
use super::{DeviceState, PeerState};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::PeerReport;

/// An initiation and its response, in bytes.
const HANDSHAKE: u64 = 148 + 92;

/// What a link without traffic may carry between two looks besides: a keepalive each way and an initiation that nobody
/// answered, in bytes.
const IDLE: u64 = 2 * 32 + 148;

/// A packet is taken to be as long as this: users' packets are longer or shorter, but what counts is that there are some.
const PACKET: u64 = 1_000;

/// Two clocks, read together: the time of day, and one that is never set and goes on while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Since 1970.
    pub wall: Duration,
    /// Since some moment before the start.
    pub steady: Duration,
}

impl Times {
    #[expect(clippy::disallowed_methods, reason = "devices tell handshakes in the time of day")]
    /// Now.
    pub fn now() -> Self {
        // Elsewhere the monotonic clock counts sleep, too.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let boot = clock_gettime(ClockId::Boottime);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let boot = clock_gettime(ClockId::Monotonic);
        let steady = Duration::new(boot.tv_sec.unsigned_abs(), boot.tv_nsec.unsigned_abs().try_into().unwrap_or(0));
        Self { wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), steady }
    }
}

/// What was seen of every peer so far.
#[derive(Debug, Default)]
pub(super) struct Observations {
    peers: BTreeMap<WgPublicKey, Seen>,
    last: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// As the device told it.
    handshake: Duration,
    /// The same in steady time.
    at: Duration,
    /// Bytes that handshakes explain.
    handshakes: u64,
    /// Bytes that neither handshakes nor control datagrams explain.
    unexplained: Option<u64>,
    packets: u64,
}

impl Observations {
    /// Reads the counters of every peer.
    pub(super) fn look(&mut self, state: &DeviceState, control: &Traffic, times: Times) -> Vec<PeerReport> {
        let since_last = self.last.replace(times.steady).map(|last| times.steady.saturating_sub(last));
        self.peers.retain(|key, _| state.peers.contains_key(key));
        let peers = state.peers.iter().map(|(key, peer)| {
            let seen = self.peers.entry(*key).or_default();
            seen.look(peer, control, times, since_last);
            PeerReport {
                public_key: *key,
                endpoint: peer.endpoint,
                handshake_age: (!peer.last_handshake.is_zero()).then(|| times.steady.saturating_sub(seen.at)),
                rx_bytes: peer.rx_bytes,
                tx_bytes: peer.tx_bytes,
                data_packets: seen.packets,
                allowed: peer.allowed.iter().copied().collect(),
            }
        });
        peers.collect()
    }
}

impl Seen {
    fn look(&mut self, peer: &PeerState, control: &Traffic, times: Times, since_last: Option<Duration>) {
        if peer.last_handshake != self.handshake {
            // A clock that was set in between makes no handshake older than the last look.
            let age = times.wall.saturating_sub(peer.last_handshake);
            let age = since_last.map_or(age, |since| age.min(since));
            self.at = times.steady.saturating_sub(age);
            self.handshake = peer.last_handshake;
            self.handshakes += HANDSHAKE;
        }
        let links = peer.allowed.iter().filter_map(link);
        let explained = self.handshakes + links.filter_map(|link| control.get(&link)).sum::<u64>();
        let unexplained = peer.rx_bytes.saturating_add(peer.tx_bytes).saturating_sub(explained);
        // Control datagrams on their way, or a peer that was made anew, make it fall for a moment.
        let more = self.unexplained.replace(unexplained).map_or(0, |before| unexplained.saturating_sub(before));
        if more > IDLE {
            self.packets += (more / PACKET).max(1);
        }
    }
}

fn link(prefix: &IpNet) -> Option<Ipv6Addr> {
    match prefix.addr() {
        IpAddr::V6(address) if prefix.prefix_len() == 128 => Some(address),
        _ => None,
    }
}
