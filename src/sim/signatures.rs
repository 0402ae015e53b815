//! Signatures that were checked once: all nodes of a mesh hear the same records, and one process runs them all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::mesh::ids::NodeId;
use crate::mesh::record::{CheckSignature, Strict};

/// So many results are remembered; then all are forgotten.
const MOST: usize = 50_000;

/// Checks each signature once.
#[derive(Debug, Default)]
pub struct Signatures {
    /// By the hash of author, message and signature.
    known: Mutex<BTreeMap<[u8; 32], bool>>,
}

impl CheckSignature for Signatures {
    fn is_signed(&self, author: &NodeId, message: &[u8], signature: &[u8; 64]) -> bool {
        // Author and signature have fixed lengths, so no two triples are one text.
        let key = Sha256::new().chain_update(author.0).chain_update(signature).chain_update(message).finalize().into();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&key) {
            return *known;
        }
        if known.len() >= MOST {
            known.clear();
        }
        let is_signed = Strict.is_signed(author, message, signature);
        known.insert(key, is_signed);
        is_signed
    }
}
