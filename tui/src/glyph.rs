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

    /// How a connection shows: told without a break, lost, stopped on purpose, played back.
    pub fn connection(self, state: Link) -> &'static str {
        match (self, state) {
            (Self::Unicode, Link::Live) => "●",
            (Self::Unicode, Link::Lost) => "○",
            (Self::Unicode, Link::Frozen) => "‖",
            (Self::Unicode, Link::Replay) => "▶",
            (Self::Ascii, Link::Live) => "*",
            (Self::Ascii, Link::Lost) => "o",
            (Self::Ascii, Link::Frozen) => "=",
            (Self::Ascii, Link::Replay) => ">",
        }
    }

    /// A bar's level, from 0 to 1.
    pub fn bar(self, level: f64) -> &'static str {
        const UNICODE: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
        const ASCII: [&str; 8] = ["_", "_", ".", ".", "-", "=", "*", "#"];
        let index = (level.clamp(0.0, 1.0) * 7.0).round() as usize;
        match self {
            Self::Unicode => UNICODE[index],
            Self::Ascii => ASCII[index],
        }
    }

    /// What stands in for a symbol of the dashboard where nothing above 126 may be used; names of nodes become `?`.
    pub fn ascii(symbol: &str) -> &str {
        match symbol {
            _ if symbol.is_ascii() => symbol,
            "─" | "━" | "╌" | "–" => "-",
            "│" | "┃" => "|",
            "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" | "╭" | "╮" | "╰" | "╯" => {
                "+"
            }
            "…" => "~",
            "·" | "•" => ".",
            "→" | "▶" | "▸" => ">",
            "←" => "<",
            "↑" | "▲" => "^",
            "↓" | "▼" => "v",
            "█" | "▇" => "#",
            "▓" => "=",
            "░" => ".",
            "●" => "*",
            "◆" => "+",
            "✗" => "x",
            "✓" => "v",
            _ => "?",
        }
    }
}

/// How the dashboard hangs on its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Told as it happens.
    Live,
    /// Not told at present.
    Lost,
    /// Stopped by the user.
    Frozen,
    /// A recording.
    Replay,
}
