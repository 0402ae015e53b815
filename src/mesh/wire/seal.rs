//! Sealing and opening datagrams.

use std::collections::BTreeMap;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand_core::RngCore;

use super::super::config::NetworkKey;
use super::super::ids::NodeId;
use super::message::{ANYONE, Kind, MAX_DATAGRAM, MAX_PADDED, Message, TUNNEL_HEADERS};

const VERSION: u8 = 1;
const HEADER: usize = 62;
const NONCE: usize = 24;
const TAG: usize = 16;
const OVERHEAD: usize = HEADER + NONCE + TAG;

/// What stands in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the message is.
    pub kind: Kind,
    /// Who sent it, as any member of the network could claim.
    pub sender: NodeId,
    /// The sender's epoch.
    pub epoch: u64,
    /// The recipient's epoch as the sender knows it; 0 when it does not.
    pub recipient_epoch: u64,
    /// The sender's datagram counter.
    pub counter: u64,
}

/// An opened datagram.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its header, authenticated by the network key.
    pub header: Header,
    /// Its plaintext.
    pub plaintext: Vec<u8>,
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Too short, too long, another version, kind or network key: dropped before any cryptography.
    Foreign,
    /// It comes from this node itself.
    Own,
    /// It does not open: not from a member, damaged, or for someone else.
    Seal,
}

/// Seals this node's datagrams and opens others'.
pub struct Sealer {
    network: NetworkKey,
    key_id: [u8; 4],
    own: NodeId,
    own_cipher: XChaCha20Poly1305,
    epoch: u64,
    counter: u64,
    /// Ciphers of senders worth remembering: deriving one costs more than opening a datagram.
    ciphers: BTreeMap<NodeId, XChaCha20Poly1305>,
}

/// Bytes of a join request that are not plaintext: what is left of 1200 is padded.
pub const fn join_overhead() -> usize {
    OVERHEAD
}

impl Sealer {
    /// A sealer for one start of a node.
    pub fn new(network: NetworkKey, own: NodeId, epoch: u64) -> Self {
        let mut key_id = [0; 4];
        network.expand(b"wgnet key id", &mut key_id);
        let own_cipher = cipher(&network, &own);
        Self { network, key_id, own, own_cipher, epoch, counter: 0, ciphers: BTreeMap::new() }
    }

    /// Continues as a later start: after another node was heard with this identity and a higher epoch.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.counter = 0;
    }

    /// Keeps the cipher of `sender` for next time. Call it for known nodes only, so that memory stays bounded.
    pub fn remember(&mut self, sender: NodeId) {
        let network = &self.network;
        self.ciphers.entry(sender).or_insert_with(|| cipher(network, &sender));
    }

    /// Drops the cipher of a node that is gone.
    pub fn forget(&mut self, sender: &NodeId) {
        self.ciphers.remove(sender);
    }

    /// Seals `message` for `recipient` (`None`: whoever sits at the address) with its epoch, 0 if unknown.
    pub fn seal(&mut self, message: &Message, recipient: Option<(&NodeId, u64)>, rng: &mut impl RngCore) -> Vec<u8> {
        let mut plaintext = message.encode();
        let padded = match message {
            Message::Join(_) => MAX_DATAGRAM,
            Message::Size(probe) => usize::from(probe.size).saturating_sub(TUNNEL_HEADERS).min(MAX_PADDED),
            _ => 0,
        };
        plaintext.resize(plaintext.len().max(padded.saturating_sub(OVERHEAD)), 0);
        let (recipient, recipient_epoch) = recipient.map_or((&ANYONE, 0), |(id, epoch)| (id, epoch));
        let mut datagram = Vec::with_capacity(OVERHEAD + plaintext.len());
        datagram.extend_from_slice(&[VERSION, message.kind() as u8]);
        datagram.extend_from_slice(&self.key_id);
        datagram.extend_from_slice(&self.own.0);
        datagram.extend_from_slice(&self.epoch.to_le_bytes());
        datagram.extend_from_slice(&recipient_epoch.to_le_bytes());
        datagram.extend_from_slice(&self.counter.to_le_bytes());
        self.counter += 1;
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let associated = associated(&datagram[..HEADER], recipient);
        datagram.extend_from_slice(&nonce);
        datagram.extend_from_slice(&plaintext);
        let tag = self
            .own_cipher
            .encrypt_in_place_detached(&XNonce::from(nonce), &associated, &mut datagram[HEADER + NONCE..])
            .expect("a datagram is shorter than the cipher's limit");
        datagram.extend_from_slice(&tag);
        datagram
    }

    /// Opens a datagram for this node.
    pub fn open(&self, datagram: &[u8]) -> Result<Opened, OpenError> {
        let header = self.header(datagram)?;
        if header.sender == self.own {
            return Err(OpenError::Own);
        }
        let recipient = if header.kind == Kind::Join { &ANYONE } else { &self.own };
        let associated = associated(&datagram[..HEADER], recipient);
        let nonce = XNonce::from_slice(&datagram[HEADER..HEADER + NONCE]);
        let (sealed, tag) = datagram[HEADER + NONCE..].split_at(datagram.len() - OVERHEAD);
        let mut plaintext = sealed.to_vec();
        let open = |cipher: &XChaCha20Poly1305, plaintext: &mut Vec<u8>| {
            cipher.decrypt_in_place_detached(nonce, &associated, plaintext, Tag::from_slice(tag))
        };
        let opened = match self.ciphers.get(&header.sender) {
            Some(cipher) => open(cipher, &mut plaintext),
            None => open(&cipher(&self.network, &header.sender), &mut plaintext),
        };
        opened.map_err(|_| OpenError::Seal)?;
        Ok(Opened { header, plaintext })
    }

    fn header(&self, datagram: &[u8]) -> Result<Header, OpenError> {
        let is_size = datagram.get(1) == Some(&(Kind::Size as u8));
        let longest = if is_size { MAX_PADDED } else { MAX_DATAGRAM };
        let fits = (OVERHEAD..=longest).contains(&datagram.len());
        if !fits || datagram[0] != VERSION || datagram[2..6] != self.key_id {
            return Err(OpenError::Foreign);
        }
        let number = |at: usize| u64::from_le_bytes(datagram[at..at + 8].try_into().expect("the length was checked"));
        Ok(Header {
            kind: Kind::from_number(datagram[1]).ok_or(OpenError::Foreign)?,
            sender: NodeId(datagram[6..38].try_into().expect("the length was checked")),
            epoch: number(38),
            recipient_epoch: number(46),
            counter: number(54),
        })
    }
}

/// What is sealed without being hidden: the header and for whom it is.
fn associated(header: &[u8], recipient: &NodeId) -> [u8; HEADER + 32] {
    let mut bytes = [0; HEADER + 32];
    bytes[..HEADER].copy_from_slice(header);
    bytes[HEADER..].copy_from_slice(&recipient.0);
    bytes
}

fn cipher(network: &NetworkKey, sender: &NodeId) -> XChaCha20Poly1305 {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    network.expand(&[&b"wgnet datagram"[..], &sender.0].concat(), &mut *key);
    XChaCha20Poly1305::new((&*key).into())
}
