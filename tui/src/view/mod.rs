//! What each screen draws: pure functions of the model and an area.
