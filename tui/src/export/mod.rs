//! A screen or a moment in other forms: a picture, plain text, text with colours, JSON.

pub mod json;
mod shapes;
pub mod svg;
pub mod text;
