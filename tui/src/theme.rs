//! Colours by meaning, never by name: a screen says `bad`, a theme says what that looks like.
//!
//! Every state also has a glyph of its own ([`crate::glyph`]), so that nothing is told by colour alone.

use ratatui::style::{Color, Modifier, Style};
use wgnet_api::{PathKind, Severity};

use crate::cost;
use crate::depth::Depth;

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

/// The themes by name, in the order in which a key goes through them.
pub const NAMES: [&str; 4] = ["dark", "light", "colour-blind", "mono"];

impl Theme {
    /// The theme of one of the [`NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "dark" => Some(Self::dark()),
            "light" => Some(Self::light()),
            "colour-blind" => Some(Self::colour_blind()),
            "mono" => Some(Self::mono()),
            _ => None,
        }
    }

    /// For dark terminals.
    pub fn dark() -> Self {
        Self::of(&Palette {
            muted: 0x80_88_94,
            border: 0x4a_52_5e,
            head: 0x9a_a4_b2,
            accent: 0x6c_b6_ff,
            selected: 0x2b_3a_4d,
            ok: 0x57_c8_8a,
            warn: 0xe3_b3_41,
            bad: 0xf4_70_67,
            gateway: 0x6c_b6_ff,
            rx: 0x5c_c7_d0,
            tx: 0xd2_9a_e8,
            highlight: 0xff_d8_66,
            heat: [0x57_c8_8a, 0xa5_c8_57, 0xe3_b3_41, 0xed_8a_4c, 0xf4_70_67],
        })
    }

    /// For light terminals: every colour stands out from white by 4.5 to 1 where it carries text.
    pub fn light() -> Self {
        Self::of(&Palette {
            muted: 0x66_6e_7a,
            border: 0xb4_bc_c8,
            head: 0x4a_52_5e,
            accent: 0x09_58_b8,
            selected: 0xd6_e6_f8,
            ok: 0x1a_74_3e,
            warn: 0x8a_5a_00,
            bad: 0xb4_23_18,
            gateway: 0x09_58_b8,
            rx: 0x0b_6b_78,
            tx: 0x7e_3a_9e,
            highlight: 0x9a_4a_00,
            heat: [0x1a_74_3e, 0x5a_70_0a, 0x8a_5a_00, 0xa3_46_08, 0xb4_23_18],
        })
    }

    /// Blue and orange instead of green and red: told apart with every common colour vision (after Okabe and Ito, 2008).
    pub fn colour_blind() -> Self {
        Self::of(&Palette {
            muted: 0x80_88_94,
            border: 0x4a_52_5e,
            head: 0x9a_a4_b2,
            accent: 0x56_b4_e9,
            selected: 0x2b_3a_4d,
            ok: 0x56_b4_e9,
            warn: 0xf0_e4_42,
            bad: 0xe6_8a_00,
            gateway: 0xcc_9a_bb,
            rx: 0x56_b4_e9,
            tx: 0xcc_79_a7,
            highlight: 0xf0_e4_42,
            heat: [0x2f_7f_c1, 0x56_b4_e9, 0xc8_c8_c8, 0xf0_b4_42, 0xe6_8a_00],
        })
    }

    /// Without any colour: bold, underlined and reversed only, as `NO_COLOR` asks for (<https://no-color.org>).
    pub fn mono() -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let loud = bold.add_modifier(Modifier::UNDERLINED);
        Self {
            text: plain,
            muted: plain,
            border: plain,
            accent: bold,
            head: bold,
            selected: plain.add_modifier(Modifier::REVERSED),
            ok: plain,
            warn: bold,
            bad: loud,
            direct: plain,
            gateway: plain,
            unreachable: loud,
            rx: plain,
            tx: plain,
            highlight: bold,
            heat: [plain, plain, plain, bold, loud],
        }
    }

    fn of(palette: &Palette) -> Self {
        let colour = |rgb: u32| {
            let [_, red, green, blue] = rgb.to_be_bytes();
            Color::Rgb(red, green, blue)
        };
        let text = |rgb: u32| Style::new().fg(colour(rgb));
        let bold = |rgb: u32| text(rgb).add_modifier(Modifier::BOLD);
        Self {
            text: Style::new(),
            muted: text(palette.muted),
            border: text(palette.border),
            accent: text(palette.accent),
            head: bold(palette.head),
            selected: Style::new().bg(colour(palette.selected)),
            ok: text(palette.ok),
            warn: text(palette.warn),
            bad: bold(palette.bad),
            direct: text(palette.ok),
            gateway: text(palette.gateway),
            unreachable: bold(palette.bad),
            rx: text(palette.rx),
            tx: text(palette.tx),
            highlight: bold(palette.highlight),
            heat: palette.heat.map(text),
        }
    }

    /// The same theme for a terminal that shows fewer colours.
    pub fn reduced(mut self, depth: Depth) -> Self {
        if depth == Depth::None {
            return Self::mono();
        }
        let styles = [
            &mut self.text,
            &mut self.muted,
            &mut self.border,
            &mut self.accent,
            &mut self.head,
            &mut self.ok,
            &mut self.warn,
            &mut self.bad,
            &mut self.direct,
            &mut self.gateway,
            &mut self.unreachable,
            &mut self.rx,
            &mut self.tx,
            &mut self.highlight,
        ];
        for style in styles.into_iter().chain(&mut self.heat) {
            style.fg = style.fg.map(|colour| depth.reduce(colour));
        }
        // Among sixteen colours none is a quiet background for text of every other colour.
        self.selected = match depth {
            Depth::Sixteen => Style::new().add_modifier(Modifier::REVERSED),
            _ => Style { bg: self.selected.bg.map(|colour| depth.reduce(colour)), ..self.selected },
        };
        self
    }

    /// How a path looks.
    pub fn path(&self, path: PathKind) -> Style {
        match path {
            PathKind::Direct => self.direct,
            PathKind::Gateway => self.gateway,
            PathKind::Unreachable => self.unreachable,
        }
    }

    /// How a severity looks.
    pub fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Info => self.muted,
            Severity::Warning => self.warn,
            Severity::Error => self.bad,
        }
    }

    /// How a round trip in milliseconds looks.
    pub fn rtt(&self, ms: f64) -> Style {
        self.heat[cost::of_rtt(ms)]
    }

    /// How a share of lost probes, 0 to 1, looks.
    pub fn loss(&self, share: f64) -> Style {
        self.heat[cost::of_loss(share)]
    }
}

/// The colours of a theme, as 0xRRGGBB.
struct Palette {
    muted: u32,
    border: u32,
    head: u32,
    accent: u32,
    selected: u32,
    ok: u32,
    warn: u32,
    bad: u32,
    gateway: u32,
    rx: u32,
    tx: u32,
    highlight: u32,
    heat: [u32; 5],
}
