//! What each screen draws: pure functions of the model and an area.

pub mod map;
pub mod matrix;

#[cfg(test)]
pub(crate) mod testing;
