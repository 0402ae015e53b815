//! `wgnet reload` and `wgnet confirm`: the network file is read again by the running daemon.

use std::process::ExitCode;
use std::time::Duration;

use wgnet_api::{Reload, ReloadRequest};

use super::args::{ReloadArgs, SocketArgs};
use super::terminal;

/// Asks the daemon to read its network file again, and prints what is different.
pub(super) fn reload(args: &ReloadArgs) -> ExitCode {
    let request = ReloadRequest { dry_run: args.dry_run, confirm_s: args.confirm };
    match args.daemon.client().and_then(|client| client.reload(&request)) {
        Ok(reload) if args.json => {
            terminal::say(serde_json::to_string_pretty(&reload).expect("plain data"));
            code(&reload)
        }
        Ok(reload) => {
            reload.warnings.iter().for_each(terminal::complain);
            terminal::say(told(&reload, args.dry_run));
            code(&reload)
        }
        Err(error) => refuse(&error),
    }
}

/// Keeps what a reload brought.
pub(super) fn confirm(args: &SocketArgs) -> ExitCode {
    match args.client().and_then(|client| client.confirm()) {
        Ok(()) => {
            terminal::say("confirmed: the network file stays as it is");
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &wgnet_api::Error) -> ExitCode {
    terminal::complain(format_args!("wgnet: {error}"));
    ExitCode::FAILURE
}

/// A file that needs a restart is a failure for scripts: nothing of it acts.
fn code(reload: &Reload) -> ExitCode {
    let restart = reload.differences.iter().any(|difference| difference.needs_restart);
    if restart { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The differences, a line each, and what became of them.
fn told(reload: &Reload, dry_run: bool) -> String {
    let mut lines: Vec<String> = reload
        .differences
        .iter()
        .map(|difference| {
            let restart = if difference.needs_restart { "   needs a restart" } else { "" };
            match (difference.before.as_str(), difference.after.as_str()) {
                ("", after) => format!("+ {}: {after}{restart}", difference.what),
                (before, "") => format!("- {}: {before}{restart}", difference.what),
                (before, after) => format!("~ {}: {before} -> {after}{restart}", difference.what),
            }
        })
        .collect();
    let restart = reload.differences.iter().any(|difference| difference.needs_restart);
    lines.push(match (reload.applied, restart, reload.confirm_within_s) {
        _ if reload.differences.is_empty() => "the network file is as it was: nothing to do".to_owned(),
        (_, true, _) => "nothing was applied: restart the daemon for the lines marked so, or take them back".to_owned(),
        (true, false, Some(seconds)) => {
            format!("applied; taken back in {seconds} s unless you run `wgnet confirm`")
        }
        (true, false, None) => "applied".to_owned(),
        (false, false, _) if dry_run => "nothing was applied: a dry run".to_owned(),
        (false, false, _) => "nothing was applied".to_owned(),
    });
    lines.join("\n")
}

/// `120s`, `2m`, or plain seconds; at most an hour.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let time = text.parse().map(Duration::from_secs).or_else(|_| humantime::parse_duration(text));
    let wrong = || "write a time from 1s to 1h, such as 120s or 2m".to_owned();
    let seconds = time.map_err(|_| wrong())?.as_secs();
    u32::try_from(seconds).ok().filter(|seconds| (1..=3_600).contains(seconds)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use wgnet_api::ConfigDifference;

    use super::*;

    fn difference(what: &str, before: &str, after: &str, needs_restart: bool) -> ConfigDifference {
        let text = str::to_owned;
        ConfigDifference { what: text(what), before: text(before), after: text(after), needs_restart }
    }

    #[test]
    fn differences_read_like_a_patch() {
        let mut reload = Reload {
            differences: vec![
                difference("peers 10.1.1.3", "at 198.51.100.3:50003", "", false),
                difference("peers 10.1.1.4", "", "beta at 198.51.100.4:50004", false),
                difference("peers 10.1.1.2 cost", "50", "70", false),
            ],
            applied: true,
            warnings: Vec::new(),
            confirm_within_s: Some(120),
        };
        assert_eq!(
            told(&reload, false),
            "- peers 10.1.1.3: at 198.51.100.3:50003\n\
             + peers 10.1.1.4: beta at 198.51.100.4:50004\n\
             ~ peers 10.1.1.2 cost: 50 -> 70\n\
             applied; taken back in 120 s unless you run `wgnet confirm`"
        );
        reload.differences.push(difference("network.mtu", "1420", "1400", true));
        reload.applied = false;
        assert!(told(&reload, false).ends_with(
            "1400   needs a restart\nnothing was applied: restart the daemon for the lines marked so, or take them back"
        ));
        assert_eq!(told(&Reload::default(), false), "the network file is as it was: nothing to do");
    }

    #[test]
    fn a_confirmation_takes_a_second_to_an_hour() {
        assert_eq!(["120s", "2m", "90", "1h"].map(seconds), [Ok(120), Ok(120), Ok(90), Ok(3_600)]);
        for wrong in ["0", "61m", "soon", "-1", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
