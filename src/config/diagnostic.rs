//! What is wrong, where it was written, and what to do about it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// In a file. Line and column count from 1; the column counts characters.
    File {
        /// The file as the user named it.
        file: Arc<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// In a file, as a whole: it is missing, empty or cannot be read.
    WholeFile(Arc<str>),
    /// On the command line, as this option (`--name`) or positional argument (`NAME`).
    Option(&'static str),
    /// In this environment variable.
    Variable(&'static str),
    /// Nowhere: a default, or made by a program.
    #[default]
    Unknown,
}

impl Origin {
    /// The file at `path` as a whole.
    pub(crate) fn whole_file(path: &Path) -> Self {
        Self::WholeFile(path.display().to_string().into())
    }

    /// What diagnostics are sorted by: file first, then position, so that they read in the order of the text.
    pub(crate) fn order(&self) -> (u8, &str, usize, usize) {
        match self {
            Self::WholeFile(file) => (0, file, 0, 0),
            Self::File { file, line, column } => (0, file, *line, *column),
            Self::Variable(name) => (1, name, 0, 0),
            Self::Option(name) => (2, name, 0, 0),
            Self::Unknown => (3, "", 0, 0),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::WholeFile(file) => f.write_str(file),
            Self::Option(name) | Self::Variable(name) => f.write_str(name),
            Self::Unknown => f.write_str("wgnet"),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub origin: Origin,
}

impl<T> Located<T> {
    /// `value`, written at `origin`.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// Another value that was made from this one.
    pub(crate) fn with<U>(&self, value: U) -> Located<U> {
        Located { value, origin: self.origin.clone() }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// wgnet runs, though perhaps not as meant.
    Warning,
    /// wgnet does not start.
    Error,
}

/// One mistake. Displays as one line: `net.yaml:7:15: what is wrong (remedy)`; a warning says so after the position.
///
/// Neither the message nor the remedy ever holds a secret: values are quoted through a filter that hides
/// whatever could be a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it keeps wgnet from starting.
    pub severity: Severity,
    /// Where the offending value was written.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Diagnostic {
    /// An error at `origin`.
    pub fn error(origin: Origin, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, origin, message: message.into(), remedy: Some(remedy.into()) }
    }

    /// An error at `origin` whose message says all there is to say.
    pub fn plain_error(origin: Origin, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, origin, message: message.into(), remedy: None }
    }

    /// A warning at `origin`.
    pub fn warning(origin: Origin, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, origin, message: message.into(), remedy: Some(remedy.into()) }
    }

    /// Whether it keeps wgnet from starting.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

/// A value and the warnings that came with it, or everything that is wrong (warnings included), in the order of the text.
pub type Checked<T> = Result<(T, Vec<Diagnostic>), Vec<Diagnostic>>;

/// Collects diagnostics while a file is read, so that one run names every mistake.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Diagnostic>);

impl Findings {
    /// Adds one.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds an error and gives nothing: for `return findings.error(...)` in functions that give an `Option`.
    pub(crate) fn error<T>(
        &mut self,
        origin: &Origin,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Option<T> {
        self.push(Diagnostic::error(origin.clone(), message, remedy));
        None
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, origin: &Origin, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Diagnostic::warning(origin.clone(), message, remedy));
    }

    /// Adds several.
    pub(crate) fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.0.extend(diagnostics);
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether an error is among them.
    pub(crate) fn has_error(&self) -> bool {
        self.0.iter().any(Diagnostic::is_error)
    }

    /// All of them, in the order of the text.
    pub(crate) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.0.sort_by(|a, b| a.origin.order().cmp(&b.origin.order()));
        self.0
    }

    /// The value with its warnings, or everything that is wrong.
    pub(crate) fn conclude<T>(self, value: Option<T>) -> Checked<T> {
        let failed = self.has_error();
        match value {
            Some(value) if !failed => Ok((value, self.into_sorted())),
            _ => Err(self.into_sorted()),
        }
    }
}

/// Longest piece of a user's text that a message quotes, in characters.
const QUOTED: usize = 64;

/// Shortest run of base64 characters that a message hides. A key of 32 bytes has 43; pasted ones may have lost a few.
const SECRET_RUN: usize = 24;

/// Quotes a user's text for a message: control characters escaped, cut short, and hidden if it may hold a key.
pub(crate) fn quoted(text: &str) -> String {
    if may_hold_key(text) {
        return "the given text (hidden: it may hold a key)".to_owned();
    }
    if text.chars().count() <= QUOTED {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(QUOTED).collect();
    format!("{start:?}...")
}

/// Whether `text` has a run of characters that could be (part of) a base64 key.
///
/// Dots, colons and hyphens end a run, so that long addresses and host names stay readable. A run of lower-case
/// letters alone is a word, not a key.
fn may_hold_key(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '+' || c == '/'))
        .any(|run| run.len() >= SECRET_RUN && run.bytes().any(|c| !c.is_ascii_lowercase()))
}
