//! The daemon's log: standard error, levels by `-v` or RUST_LOG.

use std::env;
use std::fmt::Display;
use std::str::FromStr;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt};
use wgnet_api::LogLevel;

use super::terminal;
use crate::admin::log_level::LogControl;

/// Starts logging for this process; returns what changes it while it runs. A second call changes nothing.
///
/// `verbosity`: 0 tells what a person should know, 1 every decision, 2 every packet of control traffic. RUST_LOG
/// (`wgnet::daemon=debug,warn`) overrides it. Under systemd the journal has its own clock and no colours.
pub fn start(verbosity: u8) -> LogControl {
    let (filter, problem) = filter(verbosity, env::var("RUST_LOG").ok().as_deref());
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(verbosity > 0);
    let log = Registry::default().with(filter);
    let _ = if env::var_os("JOURNAL_STREAM").is_some() {
        log.with(lines.without_time().with_ansi(false)).try_init()
    } else {
        log.with(lines.with_ansi(terminal::stderr_has_colour())).try_init()
    };
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
    control(handle)
}

/// Sets the filter behind `handle`; what RUST_LOG said is over then.
fn control<S: 'static>(handle: Handle<Targets, S>) -> LogControl {
    LogControl::new(move |level| {
        let text = filter_of(level);
        match handle.reload(parsed(text)) {
            Ok(()) => text.to_owned(),
            // Only after the end of the subscriber, which lasts as long as the process.
            Err(error) => format!("nothing new ({error})"),
        }
    })
}

/// One of our own filters.
fn parsed(text: &str) -> Targets {
    text.parse().expect("a filter that the tests parse")
}

fn filter_of(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error,boringtun=off",
        LogLevel::Warn => "warn,boringtun=off",
        // boringtun warns of every retry and renewal: the normal course of a node whose peers come and go.
        LogLevel::Info => "info,boringtun=off",
        LogLevel::Debug => "info,boringtun=off,wgnet=debug",
        LogLevel::Trace => "debug,wgnet=trace",
    }
}

fn filter(verbosity: u8, rust_log: Option<&str>) -> (Targets, Option<String>) {
    let default = filter_of(match verbosity {
        0 => LogLevel::Info,
        1 => LogLevel::Debug,
        _ => LogLevel::Trace,
    });
    match rust_log.filter(|text| !text.trim().is_empty()).map(Targets::from_str) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (parsed(default), Some(ignored(&error))),
        None => (parsed(default), None),
    }
}

fn ignored(error: &dyn Display) -> String {
    format!("RUST_LOG is ignored: {error} (it takes levels and modules, as in `wgnet::daemon=debug,warn`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_v_tells_more_and_rust_log_overrides_them() {
        assert!(filter(0, None).0.to_string().contains("boringtun=off"));
        assert!(filter(0, Some(" ")).0.to_string().contains("info"));
        assert!(filter(1, None).0.to_string().contains("wgnet=debug"));
        assert!(filter(7, None).0.to_string().contains("wgnet=trace"));
        assert_eq!(filter(2, Some("warn")).0.to_string(), "warn");
    }

    #[test]
    fn a_level_set_later_counts_from_then_on() {
        let (filter, handle) = reload::Layer::new(parsed("error"));
        let control = control(handle.clone());
        let _log = Registry::default().with(filter).with(fmt::layer().with_writer(std::io::sink));
        for level in [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Trace, LogLevel::Debug] {
            assert_eq!(control.set(level), filter_of(level));
        }
        let now = handle.with_current(ToString::to_string).expect("it lives");
        assert!(now.contains("wgnet=debug"), "{now}");
    }

    #[test]
    fn a_bad_rust_log_is_named_and_does_not_stop_the_node() {
        let (filter, problem) = filter(0, Some("wgnet=loudly=x"));
        assert!(filter.to_string().contains("info"));
        assert!(problem.is_some_and(|text| text.starts_with("RUST_LOG is ignored")));
    }
}
