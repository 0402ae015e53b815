//! The network file's content before a reload that waits for a confirmation, or that was rolled back: it survives the
//! daemon's death.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::file::{self, Found, Kind};
use super::{Store, StoreError};
use crate::config::NetworkText;

/// What to do about the network file on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What acted before, and acts again once the file on disk is rejected.
    pub previous: NetworkText,
    /// Hash of the file on disk that it is about: another content is looked at afresh.
    pub file: [u8; 32],
    /// Until when that file may act unconfirmed (time since 1970); `None`: it is rejected.
    pub until: Option<Duration>,
}

impl Kept {
    /// Hash of a file's content.
    pub fn hash(text: &NetworkText) -> [u8; 32] {
        Sha256::digest(text.bytes()).into()
    }
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    previous: &'a [u8],
    file: [u8; 32],
    until_ms: Option<u64>,
}

impl Store {
    /// Makes `kept` durable; `None` when the file on disk is to act like any other. Blocks for as long as the disk takes.
    pub fn keep_network(&self, kept: Option<&Kept>) -> Result<(), StoreError> {
        let written = kept.map(|kept| Written {
            previous: kept.previous.bytes(),
            file: kept.file,
            until_ms: kept.until.map(|until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX)),
        });
        let bytes = Zeroizing::new(postcard::to_allocvec(&written).expect("its parts have known lengths"));
        file::save(&self.dir, Kind::Network, &bytes)
    }

    /// What was kept. A damaged file counts as none: then the file on disk acts, as it would have all along.
    pub fn kept_network(&self) -> Result<Option<Kept>, StoreError> {
        let bytes = match file::load(&self.dir, Kind::Network)? {
            Found::Good(bytes) => bytes,
            // The previous version may be of a reload long confirmed.
            Found::Nothing | Found::Previous(..) | Found::Damaged(_) => return Ok(None),
        };
        let written: Option<Written<'_>> = postcard::from_bytes(&bytes).ok().flatten();
        Ok(written.map(|written| Kept {
            previous: NetworkText::new(written.previous.to_vec()),
            file: written.file,
            until: written.until_ms.map(Duration::from_millis),
        }))
    }
}
