//! How text comes onto the screen: always by cells, never past the edge, never raw.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::glyph::Glyphs;
use crate::text;
use crate::theme::Theme;
use crate::widget::sparkline::robust_max;

/// One line: pieces of text, each in its style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) Vec<(String, Style)>);

impl Row {
    /// An empty line.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The line with one more piece.
    pub(crate) fn with(mut self, text: impl Into<String>, style: Style) -> Self {
        self.push(text, style);
        self
    }

    /// Appends a piece.
    pub(crate) fn push(&mut self, text: impl Into<String>, style: Style) {
        self.0.push((text.into(), style));
    }

    /// Cells that it takes.
    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|(piece, _)| text::width(piece)).sum()
    }

    /// Without its styles.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|(piece, _)| text::plain(piece)).collect::<String>().trim_end().to_owned()
    }

    /// Draws it into row `y` of an area, cut at its edge.
    pub(crate) fn draw(&self, buffer: &mut Buffer, area: Rect, y: usize) {
        let area = area.intersection(buffer.area);
        if y >= usize::from(area.height) {
            return;
        }
        let (mut x, y) = (area.x, area.y + y as u16);
        for (piece, style) in &self.0 {
            let left = usize::from(area.right() - x);
            if left == 0 {
                return;
            }
            let cells = text::width(piece);
            let shown = if cells > left { text::fit(piece, left) } else { text::plain(piece).into_owned() };
            let end = buffer.set_stringn(x, y, &shown, left, *style).0;
            if style.add_modifier.contains(Modifier::UNDERLINED) {
                // Blanks around a word have no line below them.
                let leading = shown.bytes().take_while(|byte| *byte == b' ').count() as u16;
                let trailing = shown.bytes().rev().take_while(|byte| *byte == b' ').count() as u16;
                for blank in (x..(x + leading).min(end)).chain(end.saturating_sub(trailing).max(x)..end) {
                    buffer[(blank, y)].modifier.remove(Modifier::UNDERLINED);
                }
            }
            x = end;
        }
    }
}

/// Draws lines from the top, as far as they fit.
pub(crate) fn rows(buffer: &mut Buffer, area: Rect, rows: &[Row]) {
    for (y, row) in rows.iter().enumerate().take(usize::from(area.height)) {
        row.draw(buffer, area, y);
    }
}

/// The head of a section: its title, what belongs to it, and a line to the edge.
pub(crate) fn section(theme: &Theme, title: &str, note: &str, width: u16) -> Row {
    let mut row = Row::new().with(format!(" {title} "), theme.head);
    if !note.is_empty() {
        row.push(format!("{note} "), theme.muted);
    }
    let left = usize::from(width).saturating_sub(row.width() + 1);
    row.with("─".repeat(left), theme.border)
}

/// Text in lines of at most `cells` cells, broken between words.
pub(crate) fn wrapped(content: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text::plain(content).split_whitespace() {
        let taken = text::width(&line);
        if taken > 0 && taken + 1 + text::width(word) > cells {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The last values as bars, the highest just below a whole one, so that curves in two rows stay apart; nothing where
/// nothing is known yet. One that is far above all others is cut, so that it does not flatten them.
pub(crate) fn bars(values: &[f64], cells: usize, glyphs: Glyphs) -> String {
    let shown = &values[values.len().saturating_sub(cells)..];
    let most = f64::from(robust_max(shown.iter().map(|value| *value as f32))).max(1.0);
    let mut out = " ".repeat(cells - shown.len());
    out.extend(shown.iter().map(|value| glyphs.bar((value / most).min(1.0) * 0.85)));
    out
}

/// An area with a frame around it, emptied; the area within.
pub(crate) fn window(buffer: &mut Buffer, area: Rect, title: &str, theme: &Theme) -> Rect {
    use ratatui::widgets::{Block, Clear, Widget};
    Clear.render(area, buffer);
    if area.height < 5 || area.width < 24 {
        return area;
    }
    let block = Block::bordered().border_style(theme.border).title(format!(" {title} ")).title_style(theme.accent);
    let within = block.inner(area);
    block.render(area, buffer);
    within
}

/// An area of at most this size in the middle of another.
pub(crate) fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_cut_at_the_edge_and_never_panics() {
        let row = Row::new().with("漢字漢字", Style::new()).with("\u{1b}[31mred", Style::new());
        for width in 0..20 {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width.max(1), 2));
            row.draw(&mut buffer, Rect::new(0, 0, width, 2), 1);
            row.draw(&mut buffer, Rect::new(0, 0, width, 2), 9);
            assert!(buffer.content().iter().all(|cell| !cell.symbol().contains('\u{1b}')));
        }
    }

    #[test]
    fn only_words_are_underlined() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 9, 1));
        let style = Style::new().add_modifier(Modifier::UNDERLINED);
        let area = buffer.area;
        Row::new().with(" a b  ", style).with("   ", style).draw(&mut buffer, area, 0);
        let lined: Vec<usize> =
            (0..9).filter(|x| buffer.content()[*x].modifier.contains(Modifier::UNDERLINED)).collect();
        assert_eq!(lined, [1, 2, 3]);
    }

    #[test]
    fn one_burst_does_not_flatten_a_curve() {
        let mut values = [800.0, 1_000.0].repeat(15);
        values[4] = 1_000_000.0;
        let drawn = bars(&values, 30, Glyphs::Unicode);
        assert!(drawn.starts_with("▅▆▅▆▇▆"), "{drawn}");
        assert!(!drawn.contains('█'));
        assert_eq!(bars(&[0.0, 0.0], 3, Glyphs::Unicode), " ▁▁");
    }

    #[test]
    fn text_breaks_between_words() {
        assert_eq!(wrapped("no handshake for 3 min", 12), ["no handshake", "for 3 min"]);
        assert!(wrapped("", 5).is_empty());
        assert_eq!(wrapped("unbreakable", 4), ["unbreakable"]);
    }
}
