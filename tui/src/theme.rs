//! Colours by meaning, never by name: a screen says `bad`, a theme says what that looks like.
//!
//! Every state also has a glyph of its own ([`crate::glyph`]), so that nothing is told by colour alone.

use ratatui::style::{Color, Modifier, Style};

/// What things look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Body text: the terminal's own colours.
    pub text: Style,
    /// What may be overlooked: units, separators, what is old.
    pub muted: Style,
    /// Borders of panels.
    pub border: Style,
    /// Titles, names of keys, what is active.
    pub accent: Style,
    /// Column heads.
    pub head: Style,
    /// The row under the cursor.
    pub selected: Style,
    /// All is well.
    pub ok: Style,
    /// Someone should look.
    pub warn: Style,
    /// Does not work.
    pub bad: Style,
    /// A direct path.
    pub direct: Style,
    /// A path through gateways.
    pub gateway: Style,
    /// No path.
    pub unreachable: Style,
    /// Received bytes.
    pub rx: Style,
    /// Sent bytes.
    pub tx: Style,
    /// What a search or a chosen pair points at.
    pub highlight: Style,
    /// From good to bad, for costs, round trips and loss.
    pub heat: [Style; 5],
}

impl Theme {
    /// For dark terminals.
    pub fn dark() -> Self {
        let colour = |colour| Style::new().fg(colour);
        Self {
            text: Style::new(),
            muted: colour(Color::Rgb(0x80, 0x88, 0x94)),
            border: colour(Color::Rgb(0x4a, 0x52, 0x5e)),
            accent: colour(Color::Rgb(0x6c, 0xb6, 0xff)),
            head: colour(Color::Rgb(0x9a, 0xa4, 0xb2)).add_modifier(Modifier::BOLD),
            selected: Style::new().bg(Color::Rgb(0x2b, 0x3a, 0x4d)),
            ok: colour(Color::Rgb(0x57, 0xc8, 0x8a)),
            warn: colour(Color::Rgb(0xe3, 0xb3, 0x41)),
            bad: colour(Color::Rgb(0xf4, 0x70, 0x67)).add_modifier(Modifier::BOLD),
            direct: colour(Color::Rgb(0x57, 0xc8, 0x8a)),
            gateway: colour(Color::Rgb(0x6c, 0xb6, 0xff)),
            unreachable: colour(Color::Rgb(0xf4, 0x70, 0x67)).add_modifier(Modifier::BOLD),
            rx: colour(Color::Rgb(0x5c, 0xc7, 0xd0)),
            tx: colour(Color::Rgb(0xd2, 0x9a, 0xe8)),
            highlight: colour(Color::Rgb(0xff, 0xd8, 0x66)).add_modifier(Modifier::BOLD),
            heat: [
                colour(Color::Rgb(0x57, 0xc8, 0x8a)),
                colour(Color::Rgb(0xa5, 0xc8, 0x57)),
                colour(Color::Rgb(0xe3, 0xb3, 0x41)),
                colour(Color::Rgb(0xed, 0x8a, 0x4c)),
                colour(Color::Rgb(0xf4, 0x70, 0x67)),
            ],
        }
    }
}
