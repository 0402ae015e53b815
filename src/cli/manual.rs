//! `wgnet manual`: the man pages, from the definition of the command line. Only in what builds packages (feature
//! `packaging`).

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use clap::{Command, CommandFactory as _};

use super::args::{Cli, ManualArgs};
use super::terminal;

/// Writes wgnet.1 and a page for each subcommand.
pub(super) fn run(args: &ManualArgs) -> ExitCode {
    match write(&args.directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(format_args!(
                "wgnet: cannot write the manual into {}: {error} (name a directory that exists and is yours)",
                args.directory.display()
            ));
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    for (name, page) in pages()? {
        fs::write(directory.join(name), page)?;
    }
    Ok(())
}

/// File names and pages in roff. Administrators' pages would be section 8; one section lets the pages name each other.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let subcommands: Vec<Command> =
        command.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let subcommands = subcommands.into_iter().map(|command| {
        let name = format!("wgnet-{}", command.get_name());
        command.display_name(name)
    });
    let mut pages = Vec::new();
    for command in std::iter::once(command.clone()).chain(subcommands) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let mut page = Vec::new();
        clap_mangen::Man::new(command).title(&name).render(&mut page)?;
        pages.push((format!("{name}.1"), page));
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subcommand_has_a_page_with_its_options() {
        let pages = pages().expect("pages");
        let page = |name: &str| {
            let (_, page) = pages.iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("{name}"));
            String::from_utf8(page.clone()).expect("text")
        };
        assert!(page("wgnet.1").contains("network\\-config"));
        assert!(page("wgnet-install.1").contains("\\-\\-root"));
        assert!(!pages.iter().any(|(name, _)| name == "wgnet-manual.1" || name == "wgnet-help.1"));
    }
}
