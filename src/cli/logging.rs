//! The daemon's log: standard error, levels by `-v` or RUST_LOG.

use std::env;

use tracing_subscriber::EnvFilter;

use super::terminal;

/// Starts logging for this process. A second call changes nothing.
///
/// `verbosity`: 0 tells what a person should know, 1 every decision, 2 every packet of control traffic. RUST_LOG
/// (`wgnet::daemon=debug,warn`) overrides it. Under systemd the journal has its own clock and no colours.
pub fn start(verbosity: u8) {
    let (filter, problem) = filter(verbosity, env::var("RUST_LOG").ok().as_deref());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(verbosity > 0);
    let _ = if env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().with_ansi(false).try_init()
    } else {
        log.with_ansi(terminal::stderr_has_colour()).try_init()
    };
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
}

fn filter(verbosity: u8, rust_log: Option<&str>) -> (EnvFilter, Option<String>) {
    let default = match verbosity {
        // boringtun warns of every retry and renewal: the normal course of a node whose peers come and go.
        0 => "info,boringtun=off",
        1 => "info,boringtun=off,wgnet=debug",
        _ => "debug,wgnet=trace",
    };
    match rust_log.filter(|text| !text.trim().is_empty()).map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(default), Some(format!("RUST_LOG is ignored: {error}"))),
        None => (EnvFilter::new(default), None),
    }
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
    fn a_bad_rust_log_is_named_and_does_not_stop_the_node() {
        let (filter, problem) = filter(0, Some("wgnet=loudly=x"));
        assert!(filter.to_string().contains("info"));
        assert!(problem.is_some_and(|text| text.starts_with("RUST_LOG is ignored")));
    }
}
