//! Items: signed, canonical, at most one datagram long.

use std::net::IpAddr;
use std::sync::Arc;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::ids::{Name, NetworkId, NodeId, WgPublicKey};
use super::node::{NodeRecord, Version};

/// What only one node of a network can have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A name.
    Name(Name),
    /// An overlay address.
    Address(IpAddr),
    /// A WireGuard key: a peer of the tunnel belongs to one identity.
    Key(WgPublicKey),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "name {name}"),
            Self::Address(address) => write!(f, "address {address}"),
            Self::Key(key) => write!(f, "WireGuard key {key}"),
        }
    }
}

/// "I saw `claimant` claim these first."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who claims.
    pub claimant: NodeId,
    /// The claimant's epoch when the vote was cast: a later `Forget` of that epoch voids the vote.
    pub epoch: u64,
    /// Rises when the voter votes anew for the same claimant (renamed, forgotten and back, or no longer a static peer).
    pub seq: u32,
    /// Whether the voter had time to hear whom other static peers saw first. A vote that is not firm yields to one that is.
    pub firm: bool,
    /// What it claims, sorted; empty when the vote is taken back.
    pub subjects: Vec<Subject>,
}

/// "Votes for `identity` cast up to its start number `epoch` are void."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// The identity that loses its votes.
    pub identity: NodeId,
    /// Its last epoch that is meant.
    pub epoch: u64,
}

/// The content of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// What the author says of itself.
    Node(NodeRecord),
    /// The author's vote.
    Vote(Vote),
    /// The author's statement.
    Forget(Forget),
}

/// What an item is the newest of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A fragment of a node's record.
    Node(NodeId, u8),
    /// The vote of a voter for a claimant.
    Vote(NodeId, NodeId),
    /// The statement of an author on an identity.
    Forget(NodeId, NodeId),
}

/// A verified item. A body has one encoding, so its bytes are made again from what they say: a mesh of thousands keeps
/// thousands of items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item(Arc<Content>);

#[derive(Debug, PartialEq, Eq)]
struct Content {
    author: NodeId,
    signature: [u8; 64],
    body: Body,
    hash: u64,
}

/// Why bytes are not an item. Nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidItem {
    /// Too short, too long, or not the canonical encoding of a body.
    #[error("malformed item")]
    Malformed,
    /// The content breaks a limit that every node keeps.
    #[error("item breaks a limit")]
    Limits,
    /// The signature is not the author's.
    #[error("bad signature")]
    Signature,
}

/// Signs items of one identity for one network.
pub struct Signer {
    key: SigningKey,
    network: NetworkId,
}

const HEAD: usize = 32 + 64;

impl Signer {
    /// A signer from the Ed25519 seed of the identity.
    pub fn new(seed: &[u8; 32], network: NetworkId) -> Self {
        Self { key: SigningKey::from_bytes(seed), network }
    }

    /// The identity that signs.
    pub fn id(&self) -> NodeId {
        NodeId(self.key.verifying_key().to_bytes())
    }

    /// Signs an item.
    pub fn item(&self, body: Body) -> Item {
        let encoded = postcard::to_allocvec(&body).expect("bodies have known lengths");
        let author = self.id();
        let signature = self.sign(b"item", &encoded);
        let hash = content_hash(&author, &encoded);
        Item(Arc::new(Content { author, signature, body, hash }))
    }

    /// Signs `content` for `purpose`: a signature for one purpose is worth nothing for another.
    pub fn sign(&self, purpose: &[u8], content: &[u8]) -> [u8; 64] {
        self.key.sign(&signed_bytes(purpose, &self.network, &self.id(), content)).to_bytes()
    }
}

/// Checks Ed25519 signatures.
pub trait CheckSignature: Send + Sync {
    /// Whether `author` signed `message`.
    fn is_signed(&self, author: &NodeId, message: &[u8], signature: &[u8; 64]) -> bool;
}

/// The strict check: no small-order keys, one encoding per signature.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strict;

impl CheckSignature for Strict {
    fn is_signed(&self, author: &NodeId, message: &[u8], signature: &[u8; 64]) -> bool {
        let key = VerifyingKey::from_bytes(&author.0);
        key.is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }
}

/// Checks what [`Signer`]s of one network signed.
#[derive(Clone)]
pub struct Verifier {
    network: NetworkId,
    check: Arc<dyn CheckSignature>,
}

impl Verifier {
    /// A verifier for one network.
    pub fn new(network: NetworkId, check: Arc<dyn CheckSignature>) -> Self {
        Self { network, check }
    }

    /// Whether the signature was made by [`Signer::sign`] of `author`.
    pub fn is_signed(&self, author: &NodeId, purpose: &[u8], content: &[u8], signature: &[u8; 64]) -> bool {
        self.check.is_signed(author, &signed_bytes(purpose, &self.network, author, content), signature)
    }
}

fn signed_bytes(purpose: &[u8], network: &NetworkId, author: &NodeId, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + purpose.len() + 16 + 32 + content.len());
    bytes.extend_from_slice(b"wgnet-1:");
    bytes.extend_from_slice(purpose);
    bytes.push(0);
    bytes.extend_from_slice(&network.0);
    bytes.extend_from_slice(&author.0);
    bytes.extend_from_slice(content);
    bytes
}

fn content_hash(author: &NodeId, encoded: &[u8]) -> u64 {
    let digest = Sha256::new().chain_update(author.0).chain_update(encoded).finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
}

impl Item {
    /// Longest item: what a datagram of 1200 bytes holds beside its own headers.
    pub const MAX_LEN: usize = 1000;

    /// Reads an item without checking its signature: for bytes that were verified before they were stored.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidItem> {
        if bytes.len() <= HEAD || bytes.len() > Self::MAX_LEN {
            return Err(InvalidItem::Malformed);
        }
        let author = NodeId(bytes[..32].try_into().expect("the length was checked"));
        let encoded = &bytes[HEAD..];
        let body: Body = postcard::from_bytes(encoded).map_err(|_| InvalidItem::Malformed)?;
        // One canonical encoding per content: otherwise one statement would have many hashes (CVE-2026-25793's lesson).
        if postcard::to_allocvec(&body).ok().as_deref() != Some(encoded) {
            return Err(InvalidItem::Malformed);
        }
        let fits = match &body {
            Body::Node(record) => record.is_well_formed(),
            Body::Vote(vote) => vote.subjects.len() <= 4 && vote.subjects.is_sorted_by(|a, b| a < b),
            Body::Forget(_) => true,
        };
        if !fits {
            return Err(InvalidItem::Limits);
        }
        let signature = bytes[32..HEAD].try_into().expect("the length was checked");
        let hash = content_hash(&author, encoded);
        Ok(Self(Arc::new(Content { author, signature, body, hash })))
    }

    /// Whether the signature is the author's, for the verifier's network.
    pub fn is_signed(&self, verifier: &Verifier) -> bool {
        verifier.is_signed(&self.0.author, b"item", &self.encoded(), &self.0.signature)
    }

    /// Who signed it.
    pub fn author(&self) -> NodeId {
        self.0.author
    }

    /// What it says.
    pub fn body(&self) -> &Body {
        &self.0.body
    }

    /// Its bytes on the wire and on disk.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.0.author.0[..], &self.0.signature, &self.encoded()].concat()
    }

    fn encoded(&self) -> Vec<u8> {
        postcard::to_allocvec(&self.0.body).expect("bodies have known lengths")
    }

    /// Hash of author and content: equal on all nodes for equal items.
    pub fn hash(&self) -> u64 {
        self.0.hash
    }

    /// What it is the newest of.
    pub fn key(&self) -> Key {
        let author = self.0.author;
        match &self.0.body {
            Body::Node(record) => Key::Node(author, record.fragment),
            Body::Vote(vote) => Key::Vote(author, vote.claimant),
            Body::Forget(forget) => Key::Forget(author, forget.identity),
        }
    }

    /// Order among items of one key. Equal orders with different content are settled by the smaller hash.
    pub fn order(&self) -> (Version, std::cmp::Reverse<u64>) {
        let version = match &self.0.body {
            Body::Node(record) => record.version,
            Body::Vote(vote) => Version { epoch: 0, seq: u64::from(vote.seq) },
            Body::Forget(forget) => Version { epoch: forget.epoch, seq: 0 },
        };
        (version, std::cmp::Reverse(self.0.hash))
    }
}

impl Key {
    /// Hash of the key: names it in digests, acknowledgements and requests.
    pub fn hash(&self) -> u64 {
        let mut hasher = Sha256::new();
        match self {
            Self::Node(author, fragment) => hasher.update([&author.0[..], &[0, *fragment]].concat()),
            Self::Vote(author, claimant) => hasher.update([&author.0[..], &[1], &claimant.0[..]].concat()),
            Self::Forget(author, identity) => hasher.update([&author.0[..], &[2], &identity.0[..]].concat()),
        }
        u64::from_le_bytes(hasher.finalize()[..8].try_into().expect("a SHA-256 has 32 bytes"))
    }
}
