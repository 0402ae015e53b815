//! Recordings: what a stream brought, with the time of each event, to be looked at again later.
//!
//! A file of JSON lines. The first one is a [`Header`]; every other one is a [`Line`]: the time, and one thing under the
//! name of its kind.
//!
//! ```json
//! {"wgnet_recording":1,"wgnet":"0.1.0","time_ms":1767225600000}
//! {"at_ms":0,"snapshot":{"time_ms":1767225600000,"status":{}}}
//! {"at_ms":1000,"difference":{"time_ms":1767225601000,"uptime_s":3601}}
//! {"at_ms":1420,"journal":{"number":17,"kind":"link","text":"..."}}
//! {"at_ms":1421,"why":{"from":"alice","to":"bob","hops":[]}}
//! {"at_ms":2500,"gone":"no daemon answers at /run/wgnet/wg0.sock"}
//! ```
//!
//! A line that is cut short (the recorder was killed) ends the recording without making it unreadable.

mod tape;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use tape::Tape;

use crate::{Difference, Event, JournalEntry, Snapshot, Why};

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

impl Header {
    /// The header of a recording that begins now, in the present format.
    pub fn new(wgnet: impl Into<String>, time_ms: u64) -> Self {
        Self { wgnet_recording: RECORDING_VERSION, wgnet: wgnet.into(), time_ms }
    }
}

/// One thing that came, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Milliseconds since the recording began.
    pub at_ms: u64,
    /// What came.
    pub item: Item,
}

/// What a recording holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event of the stream.
    Event(Event),
    /// An explanation that was asked for, so that a replay can show it.
    Why(Box<Why>),
    /// The daemon ended or could not be reached from here on; in words, why.
    Gone(String),
}

/// A line as it is written: the time and exactly one of the others. A struct of options and no enum, because serde reads
/// it as it goes, without keeping the whole line in between.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    at_ms: u64,
    snapshot: Option<Box<Snapshot>>,
    difference: Option<Box<Difference>>,
    journal: Option<JournalEntry>,
    why: Option<Box<Why>>,
    gone: Option<String>,
}

/// The same, borrowed.
#[derive(Default, Serialize)]
struct Written<'a> {
    at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<&'a Snapshot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<&'a Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<&'a JournalEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a Why>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<&'a str>,
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = Written { at_ms: self.at_ms, ..Written::default() };
        match &self.item {
            Item::Event(Event::Snapshot(snapshot)) => written.snapshot = Some(snapshot),
            Item::Event(Event::Difference(difference)) => written.difference = Some(difference),
            Item::Event(Event::Journal(entry)) => written.journal = Some(entry),
            Item::Why(why) => written.why = Some(why),
            Item::Gone(why) => written.gone = Some(why),
        }
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        let mut items = [
            read.snapshot.map(|snapshot| Item::Event(Event::Snapshot(snapshot))),
            read.difference.map(|difference| Item::Event(Event::Difference(difference))),
            read.journal.map(|entry| Item::Event(Event::Journal(entry))),
            read.why.map(Item::Why),
            read.gone.map(Item::Gone),
        ]
        .into_iter()
        .flatten();
        match (items.next(), items.next()) {
            (Some(item), None) => Ok(Self { at_ms: read.at_ms, item }),
            (Some(_), Some(_)) => Err(de::Error::custom("more than one thing in a line")),
            (None, _) => Err(de::Error::custom("nothing in the line")),
        }
    }
}

/// Writes a recording, each line at once.
#[derive(Debug)]
pub struct Recorder<W: Write> {
    to: W,
}

impl Recorder<File> {
    /// Begins a recording in a new file that only its owner may read.
    ///
    /// # Errors
    /// The file exists already ([`io::ErrorKind::AlreadyExists`]: nothing is ever overwritten) or cannot be made.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Self::new(file, header)
    }
}

impl<W: Write> Recorder<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// The header cannot be written.
    pub fn new(to: W, header: &Header) -> io::Result<Self> {
        let mut recorder = Self { to };
        recorder.write(header)?;
        Ok(recorder)
    }

    /// Adds a line, and flushes it.
    ///
    /// # Errors
    /// It cannot be written: the recording ends before it, and stays readable.
    pub fn record(&mut self, line: &Line) -> io::Result<()> {
        self.write(line)
    }

    /// Ends it.
    pub fn into_inner(self) -> W {
        self.to
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        // In one piece: a line is there whole or (the process killed, the disk full) cut short at one place.
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.to.write_all(&text)?;
        self.to.flush()
    }
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// The first line is no header.
    #[error("line 1: no recording of wgnet (its first line would be {{\"wgnet_recording\":{RECORDING_VERSION},...}})")]
    NoRecording,
    /// A newer wgnet wrote it.
    #[error(
        "line 1: written in format {found} (wgnet {wgnet}), and this wgnet knows formats up to {RECORDING_VERSION}: use a newer one"
    )]
    Version {
        /// Its version of the format.
        found: u32,
        /// The version of its daemon.
        wgnet: String,
    },
    /// Something in the middle is no line of a recording.
    #[error("line {line}: {reason}")]
    Line {
        /// Which one, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// A whole recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Its first line.
    pub header: Header,
    /// What came, by time.
    pub lines: Vec<Line>,
}

impl Recording {
    /// Reads the recording in a file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        Self::read(BufReader::new(File::open(path)?))
    }

    /// Reads a recording. A last line that is cut short is left out; times that go back are moved to the time before
    /// them.
    ///
    /// # Errors
    /// It is no recording, of a newer format, or has something else among its lines.
    pub fn read(mut from: impl BufRead) -> Result<Self, RecordingError> {
        let mut text = Vec::new();
        from.read_until(b'\n', &mut text)?;
        let header = read_header(&text)?;
        let mut lines: Vec<Line> = Vec::new();
        for number in 2.. {
            text.clear();
            if from.read_until(b'\n', &mut text)? == 0 {
                break;
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Line>(&text) {
                Ok(mut line) => {
                    line.at_ms = line.at_ms.max(lines.last().map_or(0, |before| before.at_ms));
                    lines.push(line);
                }
                Err(_) if text.last() != Some(&b'\n') => break,
                Err(error) => return Err(RecordingError::Line { line: number, reason: error.to_string() }),
            }
        }
        Ok(Self { header, lines })
    }

    /// Milliseconds from its begin to its last line.
    pub fn length_ms(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.at_ms)
    }
}

/// Of a newer format, no more is asked than its version.
fn read_header(line: &[u8]) -> Result<Header, RecordingError> {
    #[derive(Deserialize)]
    struct Version {
        wgnet_recording: u32,
        #[serde(default)]
        wgnet: String,
    }
    let version: Version = serde_json::from_slice(line).map_err(|_| RecordingError::NoRecording)?;
    if version.wgnet_recording > RECORDING_VERSION {
        return Err(RecordingError::Version { found: version.wgnet_recording, wgnet: version.wgnet });
    }
    serde_json::from_slice(line).map_err(|_| RecordingError::NoRecording)
}

#[cfg(test)]
mod tests;
