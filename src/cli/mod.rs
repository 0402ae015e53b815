//! The command line: one file per subcommand.
//!
//! ```text
//!   wgnet -c net.yaml wg0 10.1.1.1 alice    run          starts a node
//!   wgnet check                             check        names every mistake, touches nothing
//!   wgnet status | journal | why | plan     ask a running daemon
//!   wgnet reload | cost | drain | drill ... tell it something through its socket
//!   wgnet genkey | completions | install    stand alone
//! ```
//!
//! `args` says what can be written, `given` turns it into what `config/` reads, `terminal` prints. Exit codes: 0 done,
//! 1 a mistake or failure that was named, 2 a command line that cannot be understood.

pub mod args;
mod check;
pub mod command;
#[cfg(feature = "workstation")]
mod completions;
mod diag;
#[cfg(feature = "drill")]
mod drill;
mod genkey;
mod given;
#[cfg(feature = "workstation")]
mod install;
mod journal;
pub mod logging;
#[cfg(feature = "packaging")]
mod manual;
mod plan;
mod reload;
mod run;
pub mod status;
pub mod terminal;
#[cfg(feature = "tui")]
mod tui;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use args::{Cli, Command};
use given::Level;

/// Parses the arguments of this process and does what they say.
pub fn main() -> ExitCode {
    let mut command = Cli::command();
    let matches = command.get_matches_mut();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.format(&mut command).exit(),
    };
    let outer = Level { args: &cli.node, matches: &matches };
    let result = match (&cli.command, matches.subcommand()) {
        (Some(Command::Check(args)), Some((_, inner))) => {
            given::read(&[Level { args: &args.node, matches: inner }, outer]).map(|given| check::run(&given))
        }
        (Some(other), _) => given::refuse_before_subcommand(outer).map(|()| dispatch(other)),
        (None, _) => given::read(&[outer]).map(|given| run::run(&given)),
    };
    match result {
        Ok(code) => code,
        Err(usage) => command.error(usage.kind, usage.text).exit(),
    }
}

fn dispatch(command: &Command) -> ExitCode {
    match command {
        // Told apart before, because it shares the options of a node.
        Command::Check(_) => ExitCode::FAILURE,
        Command::Genkey => genkey::run(),
        Command::Status(args) => status::run(args),
        #[cfg(feature = "tui")]
        Command::Tui(args) => tui::run(args),
        Command::Diag(args) => diag::run(args),
        Command::Journal(args) => journal::run(args),
        Command::Why(args) => why::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Reload(args) => reload::reload(args),
        Command::Confirm(args) => reload::confirm(args),
        Command::Forget(args) => command::forget(args),
        Command::Cost(args) => command::cost(args),
        Command::GatewayCost(args) => command::gateway_cost(args),
        Command::Drain(args) => command::drain(args),
        #[cfg(feature = "drill")]
        Command::Drill(args) => drill::run(args),
        Command::Probe(args) => command::probe(args),
        Command::LogLevel(args) => command::log_level(args),
        #[cfg(feature = "workstation")]
        Command::Install(args) => install::run(args),
        #[cfg(feature = "workstation")]
        Command::Completions(args) => completions::run(args),
        #[cfg(feature = "packaging")]
        Command::Manual(args) => manual::run(args),
    }
}
