//! `POST /v1/log-level`: how much the daemon logs. The log is the program's, not the daemon's: it hands in what sets it.

use std::fmt;
use std::sync::Arc;

use wgnet_api::LogLevel;

/// Sets how much this process logs.
#[derive(Clone)]
pub struct LogControl(Arc<dyn Fn(LogLevel) -> String + Send + Sync>);

impl LogControl {
    /// `set` makes a level act and returns the filter that is in force then.
    pub fn new(set: impl Fn(LogLevel) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(set))
    }

    /// Makes `level` act; returns the filter in force.
    pub fn set(&self, level: LogLevel) -> String {
        (self.0)(level)
    }
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogControl(..)")
    }
}
