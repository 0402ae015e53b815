//! The messages, one struct each.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::super::ids::NodeId;
use super::super::link::SizeProbe;
use super::super::record::{Carried, Summary};
use super::statement::Statement;

/// Longest datagram in bytes: fragmented UDP hurts behind NATs.
pub const MAX_DATAGRAM: usize = 1200;
/// Longest datagram that measures a link, in bytes: what the largest packet of a tunnel holds.
pub const MAX_PADDED: usize = 9000 - TUNNEL_HEADERS;
/// IPv6 and UDP headers of a datagram inside the tunnel, in bytes.
pub const TUNNEL_HEADERS: usize = 48;

/// What a message is; stands in clear in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// See [`Join`].
    Join = 1,
    /// See [`JoinReply`].
    JoinReply = 2,
    /// See [`Hello`].
    Hello = 3,
    /// Items that the sender thinks are news.
    Items = 4,
    /// "I have these": key and content hashes.
    Ack = 5,
    /// "This is all I have" (in one bucket or altogether).
    Summary = 6,
    /// "These are my bucket sums": the first step of reconciling many items.
    Buckets = 7,
    /// "Send me the items of these keys."
    Request = 8,
    /// A signed statement for a node that is no neighbour, passed on by gateways.
    Relay = 9,
    /// A signed statement for the receiver.
    Direct = 10,
    /// See [`SizeProbe`]. A version of wgnet that does not know it drops it, and never answers.
    Size = 11,
    /// See [`Echo`]. A version of wgnet that does not know it drops it, and never answers.
    Echo = 12,
}

impl Kind {
    /// The kind of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        use Kind::{Ack, Buckets, Direct, Echo, Hello, Items, Join, JoinReply, Relay, Request, Size, Summary};
        [Join, JoinReply, Hello, Items, Ack, Summary, Buckets, Request, Relay, Direct, Size, Echo]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// "May I join?" - to a static peer's admin port. Padded to 1200 bytes, so that no reply is longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Random: only who received it can sign it.
    pub challenge: [u8; 16],
    /// The token of the last reply: proves that the sender receives at the address it sends from.
    pub token: Option<[u8; 16]>,
    /// Digest of the sender's LSDB.
    pub digest: u64,
    /// The sender's own item, fragment 0.
    pub item: Carried,
}

/// The answer: proves who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinReply {
    /// The challenge of the request.
    pub challenge: [u8; 16],
    /// Signature of challenge and asker by the sender's identity.
    #[serde(with = "signature_bytes")]
    pub signature: [u8; 64],
    /// To be given back in the next request.
    pub token: [u8; 16],
    /// Digest of the sender's LSDB.
    pub digest: u64,
    /// What of the asker's claims the sender refuses: the asker may hold another network file and not know.
    pub refused: Vec<Refusal>,
    /// Where the request came from, as the sender saw it.
    pub observed: SocketAddr,
    /// The sender's own item, fragment 0.
    pub item: Carried,
}

/// A claim that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// The name belongs to someone else.
    Name,
    /// An address belongs to someone else.
    Address,
    /// The WireGuard key belongs to someone else.
    Key,
    /// An address lies outside the overlay's subnet.
    Outside,
    /// The network file does not make it a gateway.
    Role,
}

/// A probe of a link, and its echo. Both ends learn the round trip from each other's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Number of this probe on this link.
    pub seq: u32,
    /// The last probe of the receiver that arrived here, and for how many microseconds it was held.
    pub echo: Option<(u32, u32)>,
    /// Whether an answer at once is wanted.
    pub wants_reply: bool,
    /// Whether the sender counts the link as one of its links in the LSDB.
    pub uplink: bool,
    /// Whether the receiver shall send its news here at once (else the digests of hellos will tell).
    pub floods: bool,
    /// Number of the agreed direct override, if the sender routes by it now.
    pub switched: Option<u64>,
    /// Digest of the sender's LSDB.
    pub digest: u64,
    /// While the link is not up: the sender's own item, fragment 0, so that one datagram is enough to know it.
    pub item: Option<Carried>,
    /// Of a gateway: where its tunnel sees the receiver. It stands behind the rest, where a version of wgnet that does not
    /// know it sees padding.
    #[serde(skip)]
    pub seen: Option<SocketAddr>,
}

impl Hello {
    fn encode(&self) -> postcard::Result<Vec<u8>> {
        let bytes = postcard::to_allocvec(self)?;
        match &self.seen {
            Some(seen) => postcard::to_extend(seen, bytes),
            None => Ok(bytes),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (hello, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        let seen = postcard::take_from_bytes::<SocketAddr>(rest).ok().map(|(seen, _)| seen);
        // Zeros are padding.
        Some(Self { seen: seen.filter(|seen| seen.port() > 0 && !seen.ip().is_unspecified()), ..hello })
    }
}

/// A signed statement on its way through gateways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Hops that are left.
    pub hops: u8,
    /// The statement.
    pub statement: Statement,
}

/// A question between overlay addresses and its answer, which is as long: it takes the very way that packets of users do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Number of the question.
    pub number: u32,
    /// Whether this is the answer.
    pub is_answer: bool,
}

/// A key hash with the content hash that the sender holds.
pub type Entry = Summary;

/// The content of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// See [`Join`].
    Join(Join),
    /// See [`JoinReply`].
    JoinReply(JoinReply),
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Kind::Items`].
    Items(Vec<Carried>),
    /// See [`Kind::Ack`].
    Ack(Vec<Entry>),
    /// See [`Kind::Summary`]: the bucket, or `None` for all.
    Summary(Option<u8>, Vec<Entry>),
    /// See [`Kind::Buckets`].
    Buckets(Vec<u32>),
    /// See [`Kind::Request`].
    Request(Vec<u64>),
    /// See [`Relay`].
    Relay(Relay),
    /// See [`Kind::Direct`].
    Direct(Statement),
    /// See [`SizeProbe`]; padded to the size that it names.
    Size(SizeProbe),
    /// See [`Echo`].
    Echo(Echo),
}

impl Message {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Join(_) => Kind::Join,
            Self::JoinReply(_) => Kind::JoinReply,
            Self::Hello(_) => Kind::Hello,
            Self::Items(_) => Kind::Items,
            Self::Ack(_) => Kind::Ack,
            Self::Summary(..) => Kind::Summary,
            Self::Buckets(_) => Kind::Buckets,
            Self::Request(_) => Kind::Request,
            Self::Relay(_) => Kind::Relay,
            Self::Direct(_) => Kind::Direct,
            Self::Size(_) => Kind::Size,
            Self::Echo(_) => Kind::Echo,
        }
    }

    /// Its plaintext.
    pub fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Self::Join(join) => postcard::to_allocvec(join),
            Self::JoinReply(reply) => postcard::to_allocvec(reply),
            Self::Hello(hello) => hello.encode(),
            Self::Items(items) => postcard::to_allocvec(items),
            Self::Ack(entries) => postcard::to_allocvec(entries),
            Self::Summary(bucket, entries) => postcard::to_allocvec(&(bucket, entries)),
            Self::Buckets(sums) => {
                // Fixed width: 256 sums of 4 bytes each always fit, as variable-length numbers they would not.
                return sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
            }
            Self::Request(keys) => postcard::to_allocvec(keys),
            Self::Relay(relay) => postcard::to_allocvec(relay),
            Self::Direct(statement) => postcard::to_allocvec(statement),
            Self::Size(probe) => postcard::to_allocvec(probe),
            Self::Echo(echo) => postcard::to_allocvec(echo),
        };
        encoded.expect("messages have known lengths")
    }

    /// Reads a plaintext. `None` when it is not one of this kind; bytes behind the message are padding.
    pub fn decode(kind: Kind, bytes: &[u8]) -> Option<Self> {
        fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
            postcard::take_from_bytes(bytes).ok().map(|(value, _)| value)
        }
        Some(match kind {
            Kind::Join => Self::Join(read(bytes)?),
            Kind::JoinReply => Self::JoinReply(read(bytes)?),
            Kind::Hello => Self::Hello(Hello::decode(bytes)?),
            Kind::Items => Self::Items(read(bytes)?),
            Kind::Ack => Self::Ack(read(bytes)?),
            Kind::Summary => {
                let (bucket, entries) = read(bytes)?;
                Self::Summary(bucket, entries)
            }
            Kind::Buckets => {
                let (sums, rest) = bytes.as_chunks::<4>();
                if sums.len() != 256 || !rest.is_empty() {
                    return None;
                }
                Self::Buckets(sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect())
            }
            Kind::Request => Self::Request(read(bytes)?),
            Kind::Relay => Self::Relay(read(bytes)?),
            Kind::Direct => Self::Direct(read(bytes)?),
            Kind::Size => Self::Size(read(bytes)?),
            Kind::Echo => Self::Echo(read(bytes)?),
        })
    }
}

/// How far a relayed statement may go.
pub(in super::super) const MAX_HOPS: u8 = 15;

/// serde has no implementation for arrays of 64 bytes.
pub(super) mod signature_bytes {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 64], serializer: S) -> Result<S::Ok, S::Error> {
        let halves: (&[u8; 32], &[u8; 32]) =
            (bytes[..32].try_into().expect("half of 64"), bytes[32..].try_into().expect("half of 64"));
        halves.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 64], D::Error> {
        let (first, second) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        [first, second].concat().try_into().map_err(|_| D::Error::custom("a signature has 64 bytes"))
    }
}

/// Who a datagram without known recipient is for: whoever sits at the address.
pub(super) const ANYONE: NodeId = NodeId([0; 32]);
