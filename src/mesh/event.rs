//! Events: what the journal keeps and people read. Each one names its cause.

use std::fmt;

/// How much attention an event deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The normal course of things.
    Info,
    /// Works, but someone should look.
    Warning,
    /// Something does not work.
    Error,
}

/// What kind of thing happened: stable words for filters and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// This node is ready: it reaches the mesh, or is the first of it.
    Ready,
    /// A node was heard of, came back, or left.
    Node,
    /// A link to a neighbour came up or went down.
    Link,
    /// A path to a node changed.
    Path,
    /// A claim, a statement or a record was refused.
    Refused,
    /// Identity trouble: a cloned identity, a voter that contradicts itself.
    Identity,
    /// An advertised cost changed.
    Cost,
    /// Files or versions of nodes differ.
    Mismatch,
    /// The node's own state could not be kept.
    Storage,
    /// The network file was read again.
    Config,
}

/// One thing that happened, with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How much attention it deserves.
    pub severity: Severity,
    /// What kind of thing it is.
    pub kind: EventKind,
    /// The node it is about, by name or short identity.
    pub subject: String,
    /// What happened and why, one sentence.
    pub text: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
