//! How many colours a terminal shows, and the nearest ones that it has.

use ratatui::style::Color;

/// How many colours there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// None: `NO_COLOR`, or a terminal that is dumb.
    None,
    /// The sixteen of ANSI, whose looks the user chose.
    Sixteen,
    /// xterm's: a cube of 6 x 6 x 6 and 24 greys.
    Indexed,
    /// Red, green and blue.
    #[default]
    True,
}

impl Depth {
    /// What the environment variables `NO_COLOR`, `COLORTERM` and `TERM` say.
    pub fn of(no_color: Option<&str>, colorterm: Option<&str>, term: Option<&str>) -> Self {
        let (colorterm, term) = (colorterm.unwrap_or_default(), term.unwrap_or_default());
        if no_color.is_some_and(|value| !value.is_empty()) || term == "dumb" {
            Self::None
        } else if matches!(colorterm, "truecolor" | "24bit") || term.ends_with("-direct") {
            Self::True
        } else if term.contains("256color") || matches!(term, "alacritty" | "foot" | "xterm-kitty" | "wezterm") {
            Self::Indexed
        } else {
            Self::Sixteen
        }
    }

    /// The nearest colour that there is.
    pub fn reduce(self, colour: Color) -> Color {
        let Color::Rgb(red, green, blue) = colour else { return colour };
        match self {
            Self::True => colour,
            Self::Indexed => Color::Indexed(indexed([red, green, blue])),
            Self::Sixteen => sixteen([red, green, blue]),
            Self::None => Color::Reset,
        }
    }
}

/// Levels of xterm's colour cube.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest colour of the cube, or the nearest grey if that is nearer.
fn indexed(rgb: [u8; 3]) -> u8 {
    let level = |value: u8| (0_u8..6).min_by_key(|i| LEVELS[usize::from(*i)].abs_diff(value)).unwrap_or_default();
    let cube = rgb.map(level);
    let of_cube = cube.map(|i| LEVELS[usize::from(i)]);
    let mean = (rgb.iter().map(|value| u32::from(*value)).sum::<u32>() / 3) as u8;
    let step = (mean.saturating_sub(3) / 10).min(23);
    let grey = [8 + step * 10; 3];
    if distance(rgb, grey) < distance(rgb, of_cube) { 232 + step } else { 16 + 36 * cube[0] + 6 * cube[1] + cube[2] }
}

/// By hue rather than by distance: what is green must not become grey because the terminal's green is darker.
fn sixteen([red, green, blue]: [u8; 3]) -> Color {
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    if most - least < 48 {
        return match most {
            0..=63 => Color::Black,
            64..=159 => Color::DarkGray,
            160..=223 => Color::Gray,
            _ => Color::White,
        };
    }
    // A part counts if it is nearer to the strongest than to the weakest.
    let counts = |value: u8| value - least > (most - least) / 2;
    match (counts(red), counts(green), counts(blue), most > 127) {
        (true, false, false, true) => Color::LightRed,
        (true, false, false, false) => Color::Red,
        (false, true, false, true) => Color::LightGreen,
        (false, true, false, false) => Color::Green,
        (true, true, false, true) => Color::LightYellow,
        (true, true, false, false) => Color::Yellow,
        (false, false, true, true) => Color::LightBlue,
        (false, false, true, false) => Color::Blue,
        (true, false, true, true) => Color::LightMagenta,
        (true, false, true, false) => Color::Magenta,
        (false, true, true, true) => Color::LightCyan,
        (false, true, true, false) => Color::Cyan,
        _ => Color::White,
    }
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.into_iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::{NAMES, Theme};

    #[test]
    fn the_environment_tells_the_depth() {
        assert_eq!(Depth::of(Some("1"), Some("truecolor"), Some("xterm-256color")), Depth::None);
        assert_eq!(Depth::of(Some(""), Some("truecolor"), Some("xterm")), Depth::True, "an empty NO_COLOR counts not");
        assert_eq!(Depth::of(None, None, Some("screen-256color")), Depth::Indexed);
        assert_eq!(Depth::of(None, None, Some("linux")), Depth::Sixteen);
        assert_eq!(Depth::of(None, Some("24bit"), Some("tmux")), Depth::True);
        assert_eq!(Depth::of(None, None, Some("dumb")), Depth::None);
        assert_eq!(Depth::of(None, None, None), Depth::Sixteen);
    }

    #[test]
    fn colours_become_the_nearest_that_there_are() {
        assert_eq!(Depth::Indexed.reduce(Color::Rgb(255, 0, 0)), Color::Indexed(196));
        assert_eq!(Depth::Indexed.reduce(Color::Rgb(0, 0, 0)), Color::Indexed(16));
        assert_eq!(Depth::Indexed.reduce(Color::Rgb(118, 118, 118)), Color::Indexed(243));
        assert_eq!(Depth::Indexed.reduce(Color::Rgb(255, 255, 255)), Color::Indexed(231));
        assert_eq!(Depth::Sixteen.reduce(Color::Rgb(0x57, 0xc8, 0x8a)), Color::LightGreen);
        assert_eq!(Depth::Sixteen.reduce(Color::Rgb(0xb4, 0x23, 0x18)), Color::LightRed);
        assert_eq!(Depth::Sixteen.reduce(Color::Rgb(0x80, 0x88, 0x94)), Color::DarkGray);
        assert_eq!(Depth::True.reduce(Color::Rgb(1, 2, 3)), Color::Rgb(1, 2, 3));
    }

    #[test]
    fn good_and_bad_differ_in_every_theme_at_every_depth() {
        for name in NAMES {
            for depth in [Depth::None, Depth::Sixteen, Depth::Indexed, Depth::True] {
                let theme = Theme::named(name).expect("a name from the list").reduced(depth);
                assert_ne!(theme.ok, theme.bad, "{name} {depth:?}");
                assert_ne!(theme.warn, theme.ok, "{name} {depth:?}");
                assert_ne!(theme.selected, theme.text, "{name} {depth:?}");
                assert_eq!(theme.text, ratatui::style::Style::new(), "{name}: body text is the terminal's own");
            }
        }
    }
}
