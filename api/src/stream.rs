//! `GET /v1/stream`: server-sent events (HTML Living Standard, section 9.2): first the present moment, then what changes,
//! about once a second while anything does, and what happens, as it happens.
//!
//! Each event carries its kind in `event:`, one line of JSON in `data:` and a [`Place`] in `id:`. A client that comes
//! back with the last place it saw (header `Last-Event-ID`) gets what the journal kept since then; without it, all
//! that is kept. A client that falls behind gets the whole present moment again instead of every difference: it misses
//! moments but nothing of the journal, as far as that is kept. A line that begins with a colon, every 15 s, shows that
//! the daemon lives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Difference, JournalEntry, Snapshot};

/// One event of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Event {
    /// The whole present moment: first of all, and whenever differences were missed.
    Snapshot(Box<Snapshot>),
    /// What is different from the moment before.
    Difference(Box<Difference>),
    /// What happened.
    Journal(JournalEntry),
}

impl Event {
    /// Its kind, as in the `event:` line.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => "snapshot",
            Self::Difference(_) => "difference",
            Self::Journal(_) => "journal",
        }
    }
}

/// How far a client has read: which start of the daemon, and the next number of its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number that each start of the daemon draws anew.
    pub start: u64,
    /// The number that the next journal entry will have.
    pub next: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.start, self.next)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (start, next) = text.split_once('-').ok_or(())?;
        let start = u64::from_str_radix(start, 16).map_err(drop)?;
        Ok(Self { start, next: next.parse().map_err(drop)? })
    }
}
