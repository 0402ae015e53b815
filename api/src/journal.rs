//! `GET /v1/journal`: the last events.

use serde::{Deserialize, Serialize};

use crate::Severity;

/// The last 1000 events, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Journal {
    /// The events.
    pub entries: Vec<JournalEntry>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JournalEntry {
    /// Rises by one with every event since the daemon started.
    pub number: u64,
    /// When it happened: milliseconds since 1970, by the daemon's wall clock.
    pub time_ms: u64,
    /// How much attention it deserves.
    pub severity: Severity,
    /// What kind of thing it is: `ready`, `node`, `link`, `path`, `refused`, `identity`, `cost`, `mismatch`, `storage`,
    /// `config`.
    pub kind: String,
    /// The node it is about, by name or short identity.
    pub subject: String,
    /// What happened and why, one sentence.
    pub text: String,
}
