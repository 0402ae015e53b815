//! Recordings: what a stream brought, with the time of each event, to be looked at again later.
//!
//! A file of JSON lines. The first one is a [`Header`]; every other one is a [`Line`]. A line that is cut short (the
//! recorder was killed) ends the recording without making it unreadable.

use serde::{Deserialize, Serialize};

use crate::{Event, Why};

/// Version of the format that this crate writes; a reader takes this one and older ones.
pub const RECORDING_VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub wgnet_recording: u32,
    /// Version of the daemon that was recorded.
    pub wgnet: String,
    /// When it began: milliseconds since 1970.
    pub time_ms: u64,
}

/// One thing that came, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Milliseconds since the recording began.
    pub at_ms: u64,
    /// What came.
    #[serde(flatten)]
    pub item: Item,
}

/// What a recording holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Item {
    /// The daemon ended or could not be reached from here on.
    Gone {
        /// Why.
        gone: String,
    },
    /// An explanation that was asked for, so that a replay can show it.
    Why {
        /// The explanation.
        why: Box<Why>,
    },
    /// An event of the stream.
    Event(Event),
}
