//! A recording of what one client sees, over restarts of the daemon.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Header, Item, Line, Recorder};
use crate::Event;

/// Writes what streams bring into a new file, from the first snapshot on: that tells the daemon's version and time.
///
/// The times given count milliseconds from any one moment.
#[derive(Debug)]
pub struct Tape {
    path: PathBuf,
    /// When it began, and what it writes to.
    begun: Option<(u64, Recorder<File>)>,
}

impl Tape {
    /// A tape that will be the file `path`; nothing is opened yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), begun: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an event of a stream.
    ///
    /// # Errors
    /// The file exists already (nothing is ever overwritten), or cannot be made or written.
    pub fn take(&mut self, now_ms: u64, event: &Event) -> io::Result<()> {
        if self.begun.is_none() {
            // A stream begins with a moment.
            let Event::Snapshot(snapshot) = event else { return Ok(()) };
            let header = Header::new(&snapshot.status.node.version, snapshot.time_ms);
            self.begun = Some((now_ms, Recorder::create(&self.path, &header)?));
        }
        self.record(now_ms, || Item::Event(event.clone()))
    }

    /// Notes that the daemon is away, and why.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn gone(&mut self, now_ms: u64, why: &str) -> io::Result<()> {
        self.record(now_ms, || Item::Gone(why.to_owned()))
    }

    fn record(&mut self, now_ms: u64, item: impl FnOnce() -> Item) -> io::Result<()> {
        let Some((begin_ms, recorder)) = &mut self.begun else { return Ok(()) };
        recorder.record(&Line { at_ms: now_ms.saturating_sub(*begin_ms), item: item() })
    }
}
