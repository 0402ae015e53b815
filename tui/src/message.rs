//! What comes in and what goes out: the dashboard's whole world.
//!
//! Everything that can happen is a [`Message`]; everything that the dashboard wants done is an [`Effect`]. Threads of
//! the shell turn keys, streams and answers into the first and carry out the second.

use std::path::PathBuf;

use ratatui::crossterm::event::{KeyEvent, MouseEvent};
use wgnet_api::{Change, Event, LogLevel, Plan, Reload, ReloadRequest, Why};

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something; only while it is captured.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// Time went by: ages are to be shown anew.
    Tick,
    /// The source is there. A stream begins with a snapshot, and with all that the journal keeps.
    Connected {
        /// Where from, in words: a socket, an address, a recording.
        place: String,
    },
    /// The source is gone, or was never there.
    Disconnected {
        /// Why, in words.
        why: String,
        /// When it is tried again, in the dashboard's milliseconds; `None`: not any more.
        retry_at: Option<u64>,
    },
    /// The daemon told something.
    Stream(Event),
    /// A request was answered.
    Answer(Answer),
    /// An explanation that a recording holds.
    Recorded(Box<Why>),
    /// How far a replay is.
    Playing(Playing),
    /// A file was written, or not.
    Saved {
        /// Which one.
        path: PathBuf,
        /// Why not.
        result: Result<(), String>,
    },
    /// The terminal is gone, or the process is told to end.
    Closed,
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playing {
    /// Milliseconds since the recording's begin.
    pub at_ms: u64,
    /// Its length in milliseconds.
    pub length_ms: u64,
    /// Seconds of the recording that go by in a second.
    pub speed: f32,
    /// Whether it stands still.
    pub paused: bool,
}

/// Something is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Leave the terminal as it was and end.
    Quit,
    /// Ask the daemon.
    Ask(Request),
    /// Put text into the clipboard of the terminal's user (OSC 52).
    Copy(String),
    /// Write a file.
    Save {
        /// Where to.
        path: PathBuf,
        /// What.
        text: String,
    },
    /// Write what is on the screen as SVG.
    SaveScreen {
        /// Where to.
        path: PathBuf,
    },
    /// Whether to take the mouse; while it is taken, the terminal cannot select text.
    ToggleMouse(bool),
    /// Steer a replay.
    Replay(Control),
}

/// How a replay is steered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Control {
    /// Stand still, or go on.
    Pause(bool),
    /// Seconds of the recording that go by in a second.
    Speed(f32),
    /// To this many milliseconds after the recording's begin.
    Seek(u64),
}

/// What a daemon is asked or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Why packets travel as they do; from this node without `from`.
    Why {
        /// The first node.
        from: Option<String>,
        /// The last one.
        to: String,
    },
    /// What would change.
    Plan(Vec<Change>),
    /// Set or clear the cost of the link to a neighbour.
    LinkCost {
        /// The neighbour's name.
        peer: String,
        /// The cost; `None` goes back to the measured one.
        cost: Option<u32>,
    },
    /// Set or clear the least cost of this gateway's links.
    GatewayCost(Option<u32>),
    /// Lead the traffic of others around this gateway, or take it back.
    Drain(bool),
    /// Probe one peer or all.
    Probe(Option<String>),
    /// Let a name go to another identity.
    Forget(String),
    /// Read the network file again.
    Reload(ReloadRequest),
    /// Keep what a reload brought.
    Confirm,
    /// How much the daemon logs.
    LogLevel(LogLevel),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The request.
    pub request: Request,
    /// What it brought.
    pub outcome: Result<Outcome, Refused>,
}

/// What a request brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// An explanation.
    Why(Box<Why>),
    /// A forecast.
    Plan(Plan),
    /// What a reload did or would do.
    Reload(Reload),
}

/// Why a request brought nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub error: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}
