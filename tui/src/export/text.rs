//! A screen as lines of text, without and with colours. Blanks at the ends of lines are left out.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell, CellWidth};
use ratatui::style::{Color, Modifier};

use crate::text::plain;

/// The characters alone.
pub fn plain_text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for row in rows(buffer) {
        let line: String = row.iter().map(|cell| plain(cell.symbol())).collect();
        out.push_str(line.trim_end_matches(' '));
        out.push('\n');
    }
    out
}

/// With colours and modifiers as ANSI sequences (ECMA-48 SGR; 24-bit and indexed colours as xterm has them). `reduce`
/// turns each colour into one that the terminal has; [`Color::Reset`] is written as no colour.
pub fn ansi(buffer: &Buffer, reduce: impl Fn(Color) -> Color) -> String {
    let mut out = String::new();
    for row in rows(buffer) {
        let look = |cell: &Cell| (reduce(cell.fg), reduce(cell.bg), cell.modifier & SHOWN);
        let is_blank = |cell: &&&Cell| {
            let (_, bg, modifier) = look(cell);
            cell.symbol() == " " && bg == Color::Reset && modifier.intersection(VISIBLE_ON_BLANKS).is_empty()
        };
        let end = row.len() - row.iter().rev().take_while(is_blank).count();
        let none = (Color::Reset, Color::Reset, Modifier::empty());
        let mut now = none;
        for cell in &row[..end] {
            let next = look(cell);
            if next != now {
                sequence(&mut out, next);
                now = next;
            }
            out.push_str(&plain(cell.symbol()));
        }
        if now != none {
            out.push_str("\x1b[0m");
        }
        out.push('\n');
    }
    out
}

/// Modifiers that are written.
const SHOWN: Modifier = Modifier::BOLD
    .union(Modifier::DIM)
    .union(Modifier::ITALIC)
    .union(Modifier::UNDERLINED)
    .union(Modifier::REVERSED)
    .union(Modifier::CROSSED_OUT);

const VISIBLE_ON_BLANKS: Modifier = Modifier::UNDERLINED.union(Modifier::REVERSED).union(Modifier::CROSSED_OUT);

/// Cells that show something: those behind a wide character do not.
fn rows(buffer: &Buffer) -> impl Iterator<Item = Vec<&Cell>> {
    let width = usize::from(buffer.area.width).max(1);
    buffer.content.chunks(width).map(|row| {
        let mut shown = Vec::with_capacity(row.len());
        let mut at = 0;
        while let Some(cell) = row.get(at) {
            shown.push(cell);
            at += usize::from(cell.cell_width()).max(1);
        }
        shown
    })
}

/// Everything off, then what is on: no state of before matters.
fn sequence(out: &mut String, (fg, bg, modifier): (Color, Color, Modifier)) {
    out.push_str("\x1b[0");
    let codes = [
        (Modifier::BOLD, 1),
        (Modifier::DIM, 2),
        (Modifier::ITALIC, 3),
        (Modifier::UNDERLINED, 4),
        (Modifier::REVERSED, 7),
        (Modifier::CROSSED_OUT, 9),
    ];
    for (_, code) in codes.iter().filter(|(flag, _)| modifier.contains(*flag)) {
        write!(out, ";{code}").expect("a string takes all");
    }
    colour(out, fg, 30);
    colour(out, bg, 40);
    out.push('m');
}

/// `base` is 30 for the foreground, 40 for the background; bright colours lie 60 above.
fn colour(out: &mut String, colour: Color, base: u8) {
    let code = match colour {
        Color::Reset => return,
        Color::Rgb(red, green, blue) => {
            return write!(out, ";{};2;{red};{green};{blue}", base + 8).expect("a string takes all");
        }
        Color::Indexed(index) => return write!(out, ";{};5;{index}", base + 8).expect("a string takes all"),
        Color::Black => base,
        Color::Red => base + 1,
        Color::Green => base + 2,
        Color::Yellow => base + 3,
        Color::Blue => base + 4,
        Color::Magenta => base + 5,
        Color::Cyan => base + 6,
        Color::Gray => base + 7,
        Color::DarkGray => base + 60,
        Color::LightRed => base + 61,
        Color::LightGreen => base + 62,
        Color::LightYellow => base + 63,
        Color::LightBlue => base + 64,
        Color::LightMagenta => base + 65,
        Color::LightCyan => base + 66,
        Color::White => base + 67,
    };
    write!(out, ";{code}").expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    fn screen() -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 3));
        buffer.set_string(0, 0, "日本 ok", Style::new().fg(Color::Green));
        buffer.set_string(8, 0, "bad", Style::new().fg(Color::Rgb(1, 2, 3)).add_modifier(Modifier::BOLD));
        buffer.set_string(0, 2, "row", Style::new().bg(Color::Indexed(17)));
        buffer.set_string(3, 2, "  ", Style::new().bg(Color::LightRed));
        buffer
    }

    #[test]
    fn lines_end_where_their_text_does() {
        assert_eq!(plain_text(&screen()), "日本 ok bad\n\nrow\n");
    }

    #[test]
    fn colours_are_written_once_a_run_and_ended_with_the_line() {
        let text = ansi(&screen(), |colour| colour);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "\x1b[0;32m日本 ok\x1b[0m \x1b[0;1;38;2;1;2;3mbad\x1b[0m");
        assert_eq!(lines[1], "");
        assert_eq!(lines[2], "\x1b[0;48;5;17mrow\x1b[0;101m  \x1b[0m", "blanks with a colour are seen");
    }

    #[test]
    fn without_colours_modifiers_stay() {
        let text = ansi(&screen(), |_| Color::Reset);
        assert_eq!(text, "日本 ok \x1b[0;1mbad\x1b[0m\n\nrow\n");
    }

    #[test]
    fn nothing_that_acts_gets_out_of_a_cell() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 3, 1));
        buffer[(0, 0)].set_symbol("\u{1b}[2J");
        assert!(!plain_text(&buffer).contains('\u{1b}') && !ansi(&buffer, |c| c).contains('\u{1b}'));
    }

    #[test]
    fn an_empty_screen_is_no_text() {
        assert_eq!(plain_text(&Buffer::empty(Rect::new(0, 0, 0, 0))), "");
        assert_eq!(ansi(&Buffer::empty(Rect::new(0, 0, 0, 5)), |c| c), "");
    }
}
