//! The dashboard: attaches to a running daemon and shows who is reachable, by which path, why, and what to do about the
//! red one.
//!
//! ```text
//!   keys, mouse --.                                     .--> the terminal: view(&model) -> cells, only what changed
//!                 |                                     |
//!   the source ---+--> Message --> update(&mut model) --+--> Effect: ask, copy, save, quit
//!                 |                 no clock, no I/O    |
//!   answers ------'                                     '--> the source: a daemon's stream, or a recording
//! ```
//!
//! [`update`] and [`view`] are pure: tests give them messages, times and areas. [`terminal`] is the thin shell around
//! them: threads, the one clock, the bytes. Nothing is written to the terminal while nothing on the screen changes.
//!
//! ```text
//! +----------------------------------------------------------------+
//! | header   live, node, address, tunnel     paths, health         |  from 3 rows on
//! | tabs     1 Overview  2 Peers  3 Routes  4 Map  ...             |  from 8 rows on
//! | body     the screen, or a page on it; help and palette above it|
//! | footer   keys by priority, what is typed, what was just said   |  from 4 rows on
//! +----------------------------------------------------------------+
//! ```
//!
//! Where to read on: [`message`] (what comes and goes), [`model`] (what is known), [`keys`] (the one table of keys),
//! [`update`] (one file a screen), [`view`] (one file a screen).

pub mod admin;
pub mod clock;
pub mod config;
pub mod cost;
pub mod data;
pub mod depth;
pub mod export;
pub mod filter;
#[cfg(test)]
pub mod fixture;
pub mod glyph;
pub mod graph;
pub mod history;
pub mod keys;
pub mod layout;
pub mod list;
pub mod message;
pub mod model;
pub mod moment;
pub mod moments;
pub mod once;
pub mod palette;
pub mod peers;
pub mod source;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod update;
pub mod view;
pub mod widget;
