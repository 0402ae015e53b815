//! Small pictures that several screens draw.

pub mod chart;
pub(crate) mod dots;
pub mod sparkline;
