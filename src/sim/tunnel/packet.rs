//! What travels: WireGuard's messages on the underlay, packets inside them. Structures, not bytes: sizes are computed.

use std::net::IpAddr;

use crate::mesh::time::Time;
use crate::sim::scenario::MTU;

/// Initial time-to-live of a packet, in hops.
pub(in crate::sim) const TTL: u8 = 64;

/// A message of WireGuard's protocol. Keys are numbers of nodes: each node has one key.
#[derive(Clone, Debug)]
pub(in crate::sim) enum Message {
    /// First message of a handshake.
    Initiation {
        /// The initiator's index of the session to be.
        sender: u32,
        /// Whose key began it.
        from: usize,
        /// Whose key it is meant for: another one cannot read it.
        to: usize,
        /// TAI64N of the initiator's wall clock, in microseconds.
        timestamp: i64,
    },
    /// The answer.
    Response {
        /// The responder's index of the session.
        sender: u32,
        /// The initiator's index.
        receiver: u32,
    },
    /// A sealed packet; `None` is a keepalive.
    Data {
        /// The receiver's index of the session.
        receiver: u32,
        /// Counts up within a session.
        counter: u64,
        /// What is inside.
        packet: Option<Packet>,
    },
}

/// A packet of the overlay.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Packet {
    /// Source address.
    pub(in crate::sim) src: IpAddr,
    /// Destination address.
    pub(in crate::sim) dst: IpAddr,
    /// Hops it may still go.
    pub(in crate::sim) ttl: u8,
    /// When it was sent.
    pub(in crate::sim) born: Time,
    /// Microseconds it waited in tunnels for handshakes.
    pub(in crate::sim) waited: u64,
    /// What it carries.
    pub(in crate::sim) payload: Payload,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub(in crate::sim) enum Payload {
    /// A datagram between engines.
    Control(Vec<u8>),
    /// A datagram between engines that goes the way of users' packets, between overlay addresses.
    Datagram(Vec<u8>),
    /// An echo request, with its number.
    Ping(usize),
    /// The echo reply to that number.
    Pong(usize),
}

/// IPv4 and UDP headers of the underlay, bytes.
const UNDERLAY: usize = 28;
/// IPv6 and UDP headers of a control datagram inside the tunnel, bytes.
const CONTROL: usize = 48;
/// An IPv4 ping with 56 bytes, as ping(8) sends it.
const PING: usize = 84;
/// Header and tag of a data message, bytes.
const SEAL: usize = 32;
/// Plaintext is padded to a multiple of this many bytes.
const PAD: usize = 16;

impl Message {
    /// Its size on the underlay in bytes, headers included.
    pub(in crate::sim) fn size(&self) -> usize {
        UNDERLAY
            + match self {
                Self::Initiation { .. } => 148,
                Self::Response { .. } => 92,
                Self::Data { packet: None, .. } => SEAL,
                Self::Data { packet: Some(packet), .. } => SEAL + padded(packet.size()),
            }
    }
}

/// With its padding, which never goes above the MTU.
fn padded(size: usize) -> usize {
    size.next_multiple_of(PAD).min(MTU.into()).max(size)
}

impl Packet {
    /// Its size in bytes.
    pub(in crate::sim) fn size(&self) -> usize {
        match &self.payload {
            Payload::Control(bytes) | Payload::Datagram(bytes) => CONTROL + bytes.len(),
            Payload::Ping(_) | Payload::Pong(_) => PING,
        }
    }

    /// Whether a user sent it, or it looks like that.
    pub(in crate::sim) fn is_data(&self) -> bool {
        !matches!(self.payload, Payload::Control(_))
    }
}

/// Size on the underlay of a control datagram that travels outside the tunnel.
pub(in crate::sim) fn bare_size(bytes: &[u8]) -> usize {
    UNDERLAY + bytes.len()
}
