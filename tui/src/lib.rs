//! The dashboard: attaches to a running daemon and shows who is reachable, by which path, why, and what to do about the
//! red one.

pub mod clock;
pub mod cost;
pub mod export;
pub mod filter;
#[cfg(test)]
pub mod fixture;
pub mod glyph;
pub mod graph;
pub mod history;
pub mod message;
pub mod source;
pub mod text;
pub mod theme;
pub mod view;
pub mod widget;
