//! One cell for each state, so that it can be told without colour. Only characters that every terminal draws one cell
//! wide; a second set is plain ASCII for fonts and consoles that have nothing else.

use wgnet_api::{NodeState, PathKind, Severity};

/// Which characters may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Glyphs {
    /// Arrows, blocks, Braille dots.
    #[default]
    Unicode,
    /// Nothing above 126.
    Ascii,
}

impl Glyphs {
    /// How a path shows.
    pub fn path(self, path: PathKind) -> &'static str {
        match (self, path) {
            (Self::Unicode, PathKind::Direct) => "●",
            (Self::Unicode, PathKind::Gateway) => "◆",
            (Self::Unicode, PathKind::Unreachable) => "✗",
            (Self::Ascii, PathKind::Direct) => "*",
            (Self::Ascii, PathKind::Gateway) => "+",
            (Self::Ascii, PathKind::Unreachable) => "x",
        }
    }

    /// How a severity shows.
    pub fn severity(self, severity: Severity) -> &'static str {
        match (self, severity) {
            (Self::Unicode, Severity::Info) => "·",
            (Self::Ascii, Severity::Info) => "-",
            (_, Severity::Warning) => "!",
            (Self::Unicode, Severity::Error) => "✗",
            (Self::Ascii, Severity::Error) => "x",
        }
    }

    /// How a node of the mesh shows.
    pub fn node(self, gateway: bool, state: NodeState) -> &'static str {
        match (self, state, gateway) {
            (Self::Unicode, NodeState::Linked, true) => "◆",
            (Self::Unicode, NodeState::Linked, false) => "●",
            (Self::Unicode, NodeState::Apart, _) => "○",
            (Self::Unicode, NodeState::Refused, _) => "⊘",
            (Self::Unicode, NodeState::Silent, _) => "?",
            (Self::Ascii, NodeState::Linked, true) => "#",
            (Self::Ascii, NodeState::Linked, false) => "o",
            (Self::Ascii, NodeState::Apart, _) => ".",
            (Self::Ascii, NodeState::Refused, _) => "!",
            (Self::Ascii, NodeState::Silent, _) => "?",
        }
    }
}
