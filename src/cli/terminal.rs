//! Writing to standard output and standard error. A reader that goes away (`wgnet check | head -1`) is no failure.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use crate::config::{Diagnostic, Severity};

/// Writes `text` and a line end to standard output.
pub fn say(text: impl Display) {
    // A closed pipe is the reader's wish; there is nowhere to report any other failure to.
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes `text` and a line end to standard output, and says when nobody reads it any more.
///
/// # Errors
/// Standard output is closed, or cannot be written to.
pub fn try_say(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes `bytes` to standard output as they are.
pub fn say_bytes(bytes: &[u8]) {
    let _ = io::stdout().lock().write_all(bytes);
}

/// Writes `text` and a line end to standard error.
pub fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether standard error is a terminal whose user wants colours (<https://no-color.org>).
pub fn stderr_has_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Most diagnostics that are printed one by one: the first ones are the ones to repair first.
const PRINTED: usize = 50;

/// The diagnostics as lines, the last one counting what was left out.
pub fn lines(diagnostics: &[Diagnostic]) -> impl Iterator<Item = String> {
    let more = diagnostics.len().saturating_sub(PRINTED);
    let rest = (more > 0).then(|| format!("... and {more} more"));
    diagnostics.iter().take(PRINTED).map(ToString::to_string).chain(rest)
}

/// `2 errors, 1 warning`
pub fn count(diagnostics: &[Diagnostic]) -> String {
    let number = |severity: Severity, word: &str| {
        let count = diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        format!("{count} {word}{}", if count == 1 { "" } else { "s" })
    };
    format!("{}, {}", number(Severity::Error, "error"), number(Severity::Warning, "warning"))
}
