//! The dashboard: attaches to a running daemon and shows who is reachable, by which path, why, and what to do about the
//! red one.

pub mod glyph;
pub mod text;
pub mod theme;
