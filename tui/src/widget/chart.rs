//! Round trips over the last five minutes, with missed probes and path changes.
//!
//! ```text
//! 100 ms ┤         ┊via beta
//!        │ ⣀⡀      ┊
//!  50 ms ┤⠉⠉⠑⠒⠒⠒ ⠒⡸┊⠒⠢⠤⠤⠤⠔⠒⠒
//!        │         ┊
//!        └┬────┬─✗──┬────┬───┬
//!        -5m  -4m  -3m  -2m now
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;

use super::dots::{ACROSS, DOWN, Dots};
use super::sparkline::robust_max;
use crate::cost;
use crate::glyph::Glyphs;
use crate::text;
use crate::theme::Theme;

/// How far back the time axis reaches, in minutes and in milliseconds.
const MINUTES: u64 = 5;
const WINDOW_MS: u64 = MINUTES * 60_000;
/// Two probes that are further apart (milliseconds) are not joined by a line: nobody measured what was between.
const APART_MS: u64 = 20_000;
/// Cells for the values of the vertical axis, with the axis itself.
const SCALE: u16 = 9;
/// Cells of the longest label of a path change, and rows for them.
const LABEL: usize = 24;
const LABEL_ROWS: u16 = 3;
/// What a vertical axis may end with, as a factor of a power of ten: each halves without a remainder that needs digits.
const NICE: [f64; 4] = [1.0, 2.0, 4.0, 6.0];

/// Round trips of a link over time.
pub struct RttChart<'a> {
    /// Times (milliseconds since 1970) and round trips in milliseconds, the oldest first; `None` is a missed probe.
    pub samples: &'a [(u64, Option<f32>)],
    /// When the path changed (milliseconds since 1970), and what to write there.
    pub changes: &'a [(u64, String)],
    /// The right edge: milliseconds since 1970.
    pub now_ms: u64,
    /// Colours.
    pub theme: &'a Theme,
    /// Characters.
    pub glyphs: Glyphs,
}

/// The end of an axis that holds `max`.
fn nice(max: f64) -> f64 {
    let max = max.clamp(4.0, 1e7);
    let power = 10_f64.powf(max.log10().floor());
    NICE.iter().map(|factor| factor * power).find(|end| *end >= max).unwrap_or(10.0 * power)
}

/// A value of the vertical axis.
fn value(ms: f64) -> String {
    if ms >= 10_000.0 { format!("{} s", ms / 1_000.0) } else { format!("{ms} ms") }
}

impl Widget for &RttChart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        if area.is_empty() {
            return;
        }
        // Axes go where there is no room for them.
        let left = if area.width >= 3 * SCALE { SCALE } else { 0 };
        let below = if area.height >= 4 { 2 } else { 0 };
        let plot = Rect { x: area.x + left, width: area.width - left, height: area.height - below, ..area };
        let recent = || self.samples.iter().filter(|(time_ms, _)| self.column(*time_ms, plot.width * 2).is_some());
        let end = nice(robust_max(recent().filter_map(|(_, rtt)| *rtt)).into());
        if left > 0 {
            self.scale(end, area, plot, buf);
        }
        if below > 0 {
            self.times(plot, buf);
        }
        if recent().next().is_none() {
            const NOTHING: &str = "nothing measured yet";
            let x = plot.x + plot.width.saturating_sub(NOTHING.len() as u16) / 2;
            let room = usize::from(plot.right() - x);
            buf.set_stringn(x, plot.y + plot.height / 2, NOTHING, room, self.theme.muted);
        }
        self.change_lines(plot, buf);
        self.curve(end, plot, buf);
        self.change_labels(plot, buf);
        let floor = if below > 0 { plot.bottom() } else { plot.bottom() - 1 };
        for (time_ms, _) in recent().filter(|(_, rtt)| rtt.is_none()) {
            let Some(x) = self.column(*time_ms, plot.width) else { continue };
            let missed = self.glyphs.path(wgnet_api::PathKind::Unreachable);
            buf[(plot.x + x, floor)].set_symbol(missed).set_style(self.theme.bad);
        }
    }
}

impl RttChart<'_> {
    /// The column of a time, of so many; `None` outside the window.
    fn column(&self, time_ms: u64, columns: u16) -> Option<u16> {
        let age = self.now_ms.checked_sub(time_ms).filter(|age| *age <= WINDOW_MS)?;
        let last = u64::from(columns.checked_sub(1)?);
        Some((last - age * last / WINDOW_MS) as u16)
    }

    fn ascii(&self) -> bool {
        self.glyphs == Glyphs::Ascii
    }

    /// The vertical axis: its end, its middle where there is room, and zero.
    fn scale(&self, end: f64, area: Rect, plot: Rect, buf: &mut Buffer) {
        let [line, tick] = if self.ascii() { ["|", "+"] } else { ["│", "┤"] };
        for y in plot.top()..plot.bottom() {
            buf[(plot.x - 1, y)].set_symbol(line).set_style(self.theme.border);
        }
        let mut mark = |y: u16, ms: f64| {
            let label = text::fit_right(&value(ms), usize::from(SCALE) - 2);
            buf.set_string(area.x, y, label, self.theme.muted);
            buf[(plot.x - 1, y)].set_symbol(tick).set_style(self.theme.border);
        };
        mark(plot.top(), end);
        if plot.height >= 5 {
            mark(plot.top() + plot.height / 2, end / 2.0);
        }
    }

    /// The time axis below the plot.
    fn times(&self, plot: Rect, buf: &mut Buffer) {
        let [line, tick, corner] = if self.ascii() { ["-", "+", "+"] } else { ["─", "┬", "└"] };
        let y = plot.bottom();
        for x in plot.left()..plot.right() {
            buf[(x, y)].set_symbol(line).set_style(self.theme.border);
        }
        if plot.x > buf.area.x {
            buf[(plot.x - 1, y)].set_symbol(corner).set_style(self.theme.border);
        }
        let step = if plot.width >= 40 { 1 } else { MINUTES };
        for minutes in (0..=MINUTES).step_by(step as usize) {
            let x = self.column(self.now_ms.saturating_sub(minutes * 60_000), plot.width).unwrap_or_default();
            buf[(plot.x + x, y)].set_symbol(tick).set_style(self.theme.border);
            let label = if minutes == 0 { "now".to_owned() } else { format!("-{minutes}m") };
            let width = label.len() as u16;
            if width <= plot.width {
                let x = x.saturating_sub(width / 2).min(plot.width - width);
                buf.set_string(plot.x + x, y + 1, label, self.theme.muted);
            }
        }
    }

    /// The columns of the path changes, the newest first, with their labels.
    fn change_columns(&self, plot: Rect) -> Vec<(u16, &str)> {
        let columns = self.changes.iter().filter_map(|(time, label)| Some((self.column(*time, plot.width)?, &**label)));
        let mut columns: Vec<_> = columns.collect();
        columns.sort_by_key(|(x, _)| std::cmp::Reverse(*x));
        columns
    }

    /// A vertical line for each path change.
    fn change_lines(&self, plot: Rect, buf: &mut Buffer) {
        let line = if self.ascii() { ":" } else { "┊" };
        for (x, _) in self.change_columns(plot) {
            for y in plot.top()..plot.bottom() {
                buf[(plot.x + x, y)].set_symbol(line).set_style(self.theme.accent);
            }
        }
    }

    /// What the path changed to: right of the line in the first row where that covers no other line or label, else left of
    /// it. A
    /// label without such a place is left out.
    fn change_labels(&self, plot: Rect, buf: &mut Buffer) {
        let lines = self.change_columns(plot);
        let mut taken: Vec<(u16, u16, u16)> = Vec::new();
        for (x, label) in &lines {
            let width = text::width(label).min(LABEL);
            let cells = width as u16;
            let is_free = |row: u16, start: u16| {
                let end = start.saturating_add(cells);
                let apart = |&(y, from, to): &(u16, u16, u16)| y != row || end < from || to < start;
                end <= plot.width && lines.iter().all(|(x, _)| !(start..end).contains(x)) && taken.iter().all(apart)
            };
            let rows = || 0..LABEL_ROWS.min(plot.height);
            let right = rows().map(|row| (row, x + 1));
            let left = x.checked_sub(cells).into_iter().flat_map(|start| rows().map(move |row| (row, start)));
            let Some((row, start)) = right.chain(left).find(|(row, start)| is_free(*row, *start)) else { continue };
            buf.set_string(plot.x + start, plot.y + row, text::fit(label, width), self.theme.accent);
            taken.push((row, start, start + cells));
        }
    }

    fn curve(&self, end: f64, plot: Rect, buf: &mut Buffer) {
        let (across, down) = if self.ascii() { (1, 1) } else { (ACROSS, DOWN) };
        let (columns, rows) = (plot.width.saturating_mul(across as u16), i32::from(plot.height) * down);
        let mut dots = Dots::new(plot.width, plot.height);
        let mut before: Option<(u64, i32, i32)> = None;
        for (time_ms, rtt) in self.samples {
            let Some((x, ms)) = self.column(*time_ms, columns).zip(*rtt) else {
                before = None;
                continue;
            };
            let (x, ms) = (i32::from(x), f64::from(ms));
            let y = rows - 1 - ((ms / end * f64::from(rows)) as i32).clamp(0, rows - 1);
            let style = self.theme.heat[cost::of_rtt(ms)];
            if self.ascii() {
                let position = (plot.x + x as u16, plot.y + y as u16);
                buf[position].set_symbol("*").set_style(style);
            } else {
                let from = before.filter(|(then, ..)| time_ms.saturating_sub(*then) <= APART_MS);
                let from = from.map_or((x, y), |(_, x, y)| (x, y));
                // The worse a sample, the more its colour counts in a cell that it shares.
                dots.line(from, (x, y), (1, 1), cost::of_rtt(ms) as u8, style);
            }
            before = Some((*time_ms, x, y));
        }
        dots.draw(plot, buf);
        // What is off the scale says so at its top.
        for (time_ms, rtt) in self.samples {
            let above = rtt.filter(|ms| f64::from(*ms) > end).and_then(|_| self.column(*time_ms, plot.width));
            if let Some(x) = above {
                buf[(plot.x + x, plot.y)].set_symbol(if self.ascii() { "^" } else { "▲" }).set_style(self.theme.warn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testing::text;

    const NOW: u64 = 1_700_000_000_000;

    fn samples() -> Vec<(u64, Option<f32>)> {
        let rtt = |i: u64| match i {
            100..=104 => None,
            200.. => Some(70.0 + (i % 7) as f32),
            _ => Some(30.0 + (i % 5) as f32),
        };
        (0..280).map(|i| (NOW - (279 - i) * 1_000, rtt(i))).collect()
    }

    fn drawn(samples: &[(u64, Option<f32>)], area: Rect, glyphs: Glyphs) -> Buffer {
        let changes = [(NOW - 79_000, "via beta".to_owned()), (NOW - 10_000, "direct".to_owned())];
        let mut buf = Buffer::empty(area);
        let theme = Theme::dark();
        (&RttChart { samples, changes: &changes, now_ms: NOW, theme: &theme, glyphs }).render(area, &mut buf);
        buf
    }

    #[test]
    fn five_minutes_of_a_link() {
        insta::assert_snapshot!("chart", text(&drawn(&samples(), Rect::new(0, 0, 70, 14), Glyphs::Unicode)));
        insta::assert_snapshot!("chart_ascii", text(&drawn(&samples(), Rect::new(0, 0, 60, 10), Glyphs::Ascii)));
    }

    #[test]
    fn missed_probes_are_marked_at_the_bottom_in_the_bad_colour() {
        let buf = drawn(&samples(), Rect::new(0, 0, 70, 14), Glyphs::Unicode);
        let marks: Vec<_> = (0..70).filter(|x| buf[(*x, 12)].symbol() == "✗").collect();
        assert!((1..=3).contains(&marks.len()), "{marks:?}");
        assert_eq!(buf[(marks[0], 12)].fg, Theme::dark().bad.fg.expect("a colour"));
    }

    #[test]
    fn an_axis_ends_with_a_round_number() {
        let ends = [0.0, 4.0, 9.0, 11.0, 39.9, 61.0, 250.0, f64::INFINITY].map(nice);
        assert_eq!(ends, [4.0, 4.0, 10.0, 20.0, 40.0, 100.0, 400.0, 1e7]);
    }

    #[test]
    fn no_size_and_no_value_breaks_it() {
        let mut strange = samples();
        strange.extend([(NOW + 9, Some(1.0)), (0, Some(f32::NAN)), (NOW, Some(f32::INFINITY)), (NOW, Some(-3.0))]);
        for (width, height) in [(1, 1), (1, 50), (2, 3), (9, 4), (10, 5), (27, 2), (28, 4), (80, 24), (300, 100)] {
            for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
                drawn(&strange, Rect::new(3, 2, width, height), glyphs);
                drawn(&[], Rect::new(0, 0, width, height), glyphs);
            }
        }
    }
}
