//! Announcements: what a node tells everyone on its LAN, for members of its network only.
//!
//! ```text
//! 0    nonce, 24 random bytes      The key is the network's own for announcements. Nothing stands in clear: an observer
//! 24   ciphertext                  without the key sees 1200 random bytes, and cannot tell two nodes, two networks or
//! 1184 16 bytes of tag             two announcements of one node apart but by the address that they come from.
//! ```
//!
//! As long as a join request, because that is what it may bring: whoever repeats a recorded one from a forged address
//! gets no more bytes sent there than it sent.

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand_core::RngCore;
use serde::{Deserialize, Serialize};

use super::super::config::NetworkKey;
use super::super::ids::NodeId;
use super::message::MAX_DATAGRAM;

/// Bytes of an announcement.
pub const ANNOUNCEMENT: usize = MAX_DATAGRAM;
const NONCE: usize = 24;
const TAG: usize = 16;

/// "I am here": where the sender may be asked to prove that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Who announces itself, as any member of the network could claim.
    pub sender: NodeId,
    /// Its epoch.
    pub epoch: u64,
    /// Rises with each announcement of an epoch.
    pub number: u64,
    /// UDP port of its WireGuard.
    pub wg_port: u16,
    /// UDP port of its control traffic.
    pub admin_port: u16,
}

impl Announcement {
    /// Its plaintext.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("numbers can always be written")
    }

    /// Reads a plaintext. What stands behind is padding.
    pub fn decode(plaintext: &[u8]) -> Option<Self> {
        let (announcement, _) = postcard::take_from_bytes::<Self>(plaintext).ok()?;
        Some(announcement).filter(|announcement| announcement.wg_port > 0 && announcement.admin_port > 0)
    }
}

/// Seals this node's announcements and opens others'.
pub struct Announcer(XChaCha20Poly1305);

impl Announcer {
    /// For one network.
    pub fn new(network: &NetworkKey) -> Self {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        network.expand(b"wgnet announcement", &mut *key);
        Self(XChaCha20Poly1305::new((&*key).into()))
    }

    /// The datagram for everyone on the LAN.
    pub fn seal(&self, announcement: &Announcement, rng: &mut impl RngCore) -> Vec<u8> {
        let plaintext = announcement.encode();
        let mut datagram = vec![0; ANNOUNCEMENT];
        let (nonce, rest) = datagram.split_at_mut(NONCE);
        let (sealed, tag) = rest.split_at_mut(ANNOUNCEMENT - NONCE - TAG);
        rng.fill_bytes(nonce);
        sealed[..plaintext.len()].copy_from_slice(&plaintext);
        let made = self.0.encrypt_in_place_detached(XNonce::from_slice(nonce), &[], sealed);
        tag.copy_from_slice(&made.expect("a datagram is shorter than the cipher's limit"));
        datagram
    }

    /// What a member of the network announced; `None` for anything else.
    pub fn open(&self, datagram: &[u8]) -> Option<Announcement> {
        if datagram.len() != ANNOUNCEMENT {
            return None;
        }
        let (nonce, rest) = datagram.split_at(NONCE);
        let (sealed, tag) = rest.split_at(rest.len() - TAG);
        let mut plaintext = sealed.to_vec();
        let tag = Tag::from_slice(tag);
        self.0.decrypt_in_place_detached(XNonce::from_slice(nonce), &[], &mut plaintext, tag).ok()?;
        Announcement::decode(&plaintext)
    }
}
