//! `wgnet completions`: a shell's completion script.

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::args::{Cli, CompletionsArgs};
use super::terminal;

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> ExitCode {
    terminal::say_bytes(&script(args));
    ExitCode::SUCCESS
}

/// The script. Made in memory, because the generator panics when its output is a closed pipe.
fn script(args: &CompletionsArgs) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "wgnet", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_subcommands_and_options() {
        for shell in clap_complete::Shell::value_variants() {
            let script = String::from_utf8(script(&CompletionsArgs { shell: *shell })).expect("text");
            for word in ["genkey", "status", "network-config", "tunnel"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
