//! Every node against every other one: round trip or loss, as a heat map.
//!
//! ```text
//!                 ▾ delta
//!              1   2   3   4
//! ▸ 1 alice    ·  [41]  9  17
//!   2 delta   41   ·   32   ✗
//!   ...
//! alice -> delta  41.2 ms over beta, gamma (composed)
//! ```
//!
//! What the link between two nodes measured stands on a filled cell; what is only added up along the path between them
//! stands as bare text. Both are told apart without colour, too.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use wgnet_api::{Mesh, PathKind};

use crate::cost;
use crate::glyph::Glyphs;
use crate::graph::{Graph, Reach, Ways};
use crate::text;
use crate::theme::Theme;

/// What the cells show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// Round trips in milliseconds.
    #[default]
    Rtt,
    /// Lost probes in percent.
    Loss,
}

/// Widest cell (with the blank before its value): names of columns fit where they have room for more than figures.
const WIDEST: u16 = 10;
/// Cells that hold a value, the blank before it included.
const VALUES: [u16; 3] = [5, 4, TIGHT];
/// Cells for two digits: hundreds of milliseconds show as tenths of a second.
const TIGHT: u16 = 3;
/// Narrower ones hold the step of the heat scale, 1 to 5.
const STEPS: u16 = 2;
/// The width of cells where not all columns fit.
const SCROLLED: u16 = 4;
/// Cells for names of rows.
const NAME: usize = 14;

/// Node by node, the round trip or the loss.
pub struct MatrixView<'a> {
    /// The mesh.
    pub mesh: &'a Mesh,
    /// What to show.
    pub metric: Metric,
    /// Row and column under the cursor.
    pub cursor: (usize, usize),
    /// Names of rows and of columns, in this order.
    pub names: &'a [String],
    /// Colours.
    pub theme: &'a Theme,
    /// Characters.
    pub glyphs: Glyphs,
}

/// What a cell holds.
enum Value {
    /// The node itself.
    Own,
    /// No path, or a name that nobody has.
    Unreachable,
    /// A path with a link that nobody measured.
    Unknown,
    /// A value, and whether a link of its own measured it.
    Is(f64, bool),
}

/// How the area is divided.
struct Grid {
    /// Cells for numbers and names of rows.
    head: u16,
    /// Rows above the first one of the matrix.
    top: u16,
    /// Cells of a column.
    cell: u16,
    /// First row and column that are seen, and how many of each.
    first: (usize, usize),
    count: (usize, usize),
    /// Whether columns are headed by their names instead of their numbers.
    named: bool,
}

impl Widget for &MatrixView<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        if area.is_empty() || self.names.is_empty() {
            return;
        }
        let last = self.names.len() - 1;
        let cursor = (self.cursor.0.min(last), self.cursor.1.min(last));
        let graph = Graph::new(self.mesh);
        let places: Vec<Option<usize>> = self.names.iter().map(|name| graph.place(name)).collect();
        let below = match area.height {
            8.. => 3, // a free row, the cell in words, the legend
            5.. => 1,
            _ => 0,
        };
        let table = Rect { height: area.height - below, ..area };
        let grid = self.grid(table, cursor);
        self.heads(&grid, cursor, table, buf);
        for i in 0..grid.count.0 {
            let row = grid.first.0 + i;
            let y = table.y + grid.top + i as u16;
            let ways = places[row].map(|place| graph.ways(place));
            for j in 0..grid.count.1 {
                let column = grid.first.1 + j;
                let x = table.x + grid.head + j as u16 * grid.cell;
                let value = self.value(ways.as_ref().zip(places[column]), row == column);
                self.cell(&value, Rect { x, y, width: grid.cell, height: 1 }, table, buf);
            }
        }
        self.mark(&grid, cursor, table, buf);
        if below > 0 {
            let y = area.bottom() - if below > 1 { 2 } else { 1 };
            let ways = places[cursor.0].map(|place| graph.ways(place));
            let reach = ways.as_ref().zip(places[cursor.1]).and_then(|(ways, to)| ways.to(to));
            self.words(&graph, cursor, reach.as_ref(), Rect { y, height: 1, ..area }, buf);
        }
        if below > 1 {
            self.legend(&grid, Rect { y: area.bottom() - 1, height: 1, ..area }, buf);
        }
    }
}

impl MatrixView<'_> {
    fn grid(&self, area: Rect, cursor: (usize, usize)) -> Grid {
        let count = self.names.len();
        let longest = self.names.iter().map(|name| text::width(name)).max().unwrap_or(0);
        let digits = count.to_string().len();
        // "▸ 12 name": never more than two fifths of the width.
        let head = (digits + longest.min(NAME) + 4).min(usize::from(area.width) * 2 / 5) as u16;
        // One cell stays free behind the last column for the bracket of the cursor.
        let room = (area.width - head).saturating_sub(1);
        let fits = |cell: u16| count * usize::from(cell) <= usize::from(room);
        let named_cell = (longest as u16).saturating_add(1).max(VALUES[0]);
        let named = longest < usize::from(WIDEST) && fits(named_cell);
        let cell = match VALUES.into_iter().find(|cell| fits(*cell)) {
            _ if named => named_cell,
            Some(cell) => cell,
            None if fits(STEPS) => STEPS,
            None => SCROLLED,
        };
        let top = match area.height {
            6.. if !named => 2,
            3.. => 1,
            _ => 0,
        };
        let seen = |cells: u16, each: u16| usize::from((cells / each).max(1)).min(count);
        let (rows, columns) = (seen(area.height - top, 1), seen(room.max(1), cell));
        Grid {
            head,
            top,
            cell,
            first: (first(cursor.0, rows, count), first(cursor.1, columns, count)),
            count: (rows, columns),
            named,
        }
    }

    /// Numbers and names beside the rows and above the columns.
    fn heads(&self, grid: &Grid, cursor: (usize, usize), area: Rect, buf: &mut Buffer) {
        let theme = self.theme;
        let [down, right] = if self.glyphs == Glyphs::Ascii { ["v", ">"] } else { ["▾", "▸"] };
        let digits = self.names.len().to_string().len();
        let chosen = |is_chosen: bool| if is_chosen { theme.accent.add_modifier(Modifier::BOLD) } else { theme.muted };
        for i in 0..grid.count.0.min(usize::from(area.height - grid.top)) {
            let row = grid.first.0 + i;
            let is_chosen = row == cursor.0;
            let mark = if is_chosen { right } else { " " };
            let name = if is_chosen { chosen(true) } else { theme.text };
            let line = Line::from(vec![
                Span::styled(format!("{mark} "), chosen(is_chosen)),
                Span::styled(format!("{:>digits$} ", row + 1), chosen(is_chosen)),
                Span::styled(text::fit(&self.names[row], usize::from(grid.head).saturating_sub(digits + 4)), name),
            ]);
            let y = area.y + grid.top + i as u16;
            line.render(Rect { y, width: grid.head.saturating_sub(1), height: 1, ..area }, buf);
        }
        if grid.top == 0 {
            return;
        }
        let y = area.y + grid.top - 1;
        for j in 0..grid.count.1 {
            let column = grid.first.1 + j;
            let is_chosen = column == cursor.1;
            let cells = usize::from(grid.cell) - 1;
            let label = if grid.named { text::fit_right(&self.names[column], cells) } else { (column + 1).to_string() };
            // Where numbers are wider than their columns every fifth one is told, and where the cursor is.
            if text::width(&label) > cells && !is_chosen && !(column + 1).is_multiple_of(5) {
                continue;
            }
            let end = area.x + grid.head + (j as u16 + 1) * grid.cell;
            let start = end.saturating_sub(text::width(&label) as u16).max(area.x);
            buf.set_stringn(start, y, label, usize::from(area.right().saturating_sub(start)), chosen(is_chosen));
        }
        if grid.top > 1 {
            let name = format!("{down} {}", text::plain(&self.names[cursor.1]));
            let width = text::width(&name);
            let at = grid.head + ((cursor.1 - grid.first.1) as u16 + 1) * grid.cell - 1;
            // Over its column or, near the edge, as far to the right as it goes.
            let start = at.min(area.width.saturating_sub(width as u16));
            let name = if start < at {
                format!(
                    "{} {down}",
                    text::fit_right(&self.names[cursor.1], usize::from(at.saturating_sub(2))).trim_start()
                )
            } else {
                name
            };
            let start = if start < at { (at + 1).saturating_sub(text::width(&name) as u16) } else { start };
            buf.set_stringn(area.x + start, y - 1, name, usize::from(area.width - start), chosen(true));
        }
    }

    fn value(&self, ways: Option<(&Ways<'_, '_>, usize)>, is_own: bool) -> Value {
        let Some((ways, to)) = ways else { return if is_own { Value::Own } else { Value::Unreachable } };
        match ways.sums(to) {
            _ if is_own => Value::Own,
            None => Value::Unreachable,
            Some((hops, rtt_ms, loss)) => {
                let value = match self.metric {
                    Metric::Rtt => rtt_ms,
                    Metric::Loss => loss.map(|loss| loss * 100.0),
                };
                value.map_or(Value::Unknown, |value| Value::Is(value, hops == 1))
            }
        }
    }

    fn step(&self, value: f64) -> usize {
        match self.metric {
            Metric::Rtt => cost::of_rtt(value),
            Metric::Loss => cost::of_loss(value / 100.0),
        }
    }

    fn cell(&self, value: &Value, cell: Rect, area: Rect, buf: &mut Buffer) {
        let cells = usize::from(cell.width) - 1;
        let (content, style) = match value {
            Value::Own => (if self.glyphs == Glyphs::Ascii { "." } else { "·" }.to_owned(), self.theme.border),
            Value::Unreachable => (self.glyphs.path(PathKind::Unreachable).to_owned(), self.theme.unreachable),
            Value::Unknown => ("?".to_owned(), self.theme.muted),
            Value::Is(value, measured) => {
                let step = self.step(*value);
                let content = match cell.width {
                    ..TIGHT => (step + 1).to_string(),
                    TIGHT => self.tight(*value),
                    _ => figure(*value, cells.min(4)),
                };
                (content, heat(self.theme, step, *measured))
            }
        };
        // The blank before the value stays as it is: filled cells are told apart. Each character takes one cell.
        let blanks = cells.saturating_sub(content.chars().count());
        let padded = std::iter::repeat_n(' ', blanks).chain(content.chars());
        for (x, character) in (cell.x + 1..area.right()).zip(padded.take(cells)) {
            buf[(x, cell.y)].set_char(character).set_style(style);
        }
    }

    /// A value in two cells.
    fn tight(&self, value: f64) -> String {
        match self.metric {
            _ if value < 99.5 => format!("{value:.0}"),
            Metric::Loss => "99".to_owned(),
            Metric::Rtt if value < 950.0 => format!(".{:.0}", value / 100.0),
            Metric::Rtt if value < 9_500.0 => format!("{:.0}s", value / 1e3),
            Metric::Rtt => "9s".to_owned(),
        }
    }

    /// Brackets around the cell under the cursor.
    fn mark(&self, grid: &Grid, cursor: (usize, usize), area: Rect, buf: &mut Buffer) {
        let x = area.x + grid.head + (cursor.1 - grid.first.1) as u16 * grid.cell;
        let y = area.y + grid.top + (cursor.0 - grid.first.0) as u16;
        let style = self.theme.accent.add_modifier(Modifier::BOLD);
        for (x, bracket) in [(x, "["), (x + grid.cell, "]")] {
            if let Some(cell) = buf.cell_mut((x, y)).filter(|_| area.contains((x, y).into())) {
                cell.set_symbol(bracket).set_style(style);
            }
        }
    }

    /// The cell under the cursor in words.
    fn words(&self, graph: &Graph<'_>, cursor: (usize, usize), reach: Option<&Reach>, row: Rect, buf: &mut Buffer) {
        let theme = self.theme;
        let (from, to) = (&self.names[cursor.0], &self.names[cursor.1]);
        let arrow = if self.glyphs == Glyphs::Ascii { "->" } else { "→" };
        let mut spans = vec![
            Span::styled(text::plain(from), theme.text),
            Span::styled(format!(" {arrow} "), theme.muted),
            Span::styled(text::plain(to), theme.text),
            Span::raw("  "),
        ];
        if cursor.0 == cursor.1 {
            spans.truncate(1);
            spans.push(Span::styled("  the node itself", theme.muted));
            Line::from(spans).render(row, buf);
            return;
        }
        let Some(reach) = reach else {
            spans.push(Span::styled("no path", theme.unreachable));
            Line::from(spans).render(row, buf);
            return;
        };
        let value = match self.metric {
            Metric::Rtt => reach.rtt_ms.map(|ms| (ms, format!("{ms:.1} ms"))),
            Metric::Loss => reach.loss.map(|loss| (loss * 100.0, format!("{:.1} % lost", loss * 100.0))),
        };
        let inner = &reach.nodes[1..reach.nodes.len() - 1];
        spans.push(match value {
            Some((value, words)) => Span::styled(words, heat(theme, self.step(value), false)),
            None => Span::styled("not measured", theme.muted),
        });
        if inner.is_empty() {
            spans.push(Span::styled(" on their link (measured)", theme.muted));
        } else {
            let over: Vec<_> = inner.iter().map(|node| text::plain(graph.name(*node))).collect();
            spans.push(Span::styled(" over ", theme.muted));
            spans.push(Span::styled(over.join(", "), theme.text));
            spans.push(Span::styled(" (composed)", theme.muted));
        }
        Line::from(spans).render(row, buf);
    }

    fn legend(&self, grid: &Grid, row: Rect, buf: &mut Buffer) {
        let theme = self.theme;
        let (unit, limits) = match self.metric {
            Metric::Rtt => ("ms", cost::RTT_MS),
            Metric::Loss => ("% lost", cost::LOSS.map(|loss| loss * 100.0)),
        };
        let mut parts: Vec<Vec<Span<'_>>> = Vec::new();
        for (step, limit) in limits.map(Some).into_iter().chain([None]).enumerate() {
            let words = match (limit, step.checked_sub(1).map(|before| limits[before])) {
                (Some(limit), _) => format!("<{limit}"),
                (None, Some(limit)) => format!("{limit}+ {unit}"),
                (None, None) => String::new(),
            };
            let style = heat(theme, step, true);
            parts.push(if grid.cell > STEPS {
                vec![Span::styled(format!(" {words} "), style)]
            } else {
                vec![Span::styled(format!(" {} ", step + 1), style), Span::styled(words, theme.muted)]
            });
        }
        if grid.cell == TIGHT && self.metric == Metric::Rtt {
            parts.push(vec![Span::styled(".2: 200 ", theme.muted)]);
        }
        parts.push(vec![Span::styled("filled: measured  bare: composed", theme.muted)]);
        let unreachable = Span::styled(self.glyphs.path(PathKind::Unreachable), theme.unreachable);
        parts.push(vec![unreachable, Span::styled(" no path", theme.muted)]);
        let width = |part: &[Span<'_>]| part.iter().map(|span| text::width(&span.content)).sum::<usize>();
        let mut spans: Vec<Span<'_>> = Vec::new();
        for part in parts {
            if width(&spans) + width(&part) <= usize::from(row.width) {
                spans.extend(part);
                spans.push(Span::raw(" "));
            }
        }
        Line::from(spans).render(row, buf);
    }
}

/// A measured value fills its cell, a composed one does not.
fn heat(theme: &Theme, step: usize, measured: bool) -> Style {
    if measured { theme.heat[step].add_modifier(Modifier::REVERSED) } else { theme.heat[step] }
}

/// A value in at most so many cells (3 or 4): `0.3`, `41`, `41.2`, `999`, `1.2k`, `12k`.
fn figure(value: f64, cells: usize) -> String {
    // In integers: a screen holds thousands of these. Casts of floats to integers saturate.
    let scaled = |factor: f64| (value * factor).round().max(0.0) as u64;
    let tenths = |tenths: u64, unit: &str| format!("{}.{}{unit}", tenths / 10, tenths % 10);
    let fits = |text: &String| text.len() <= cells;
    if scaled(1.0) < 1_000 {
        let fine = Some(tenths(scaled(10.0), "")).filter(fits);
        return fine.unwrap_or_else(|| scaled(1.0).to_string());
    }
    let thousands = Some(tenths(scaled(0.01), "k")).filter(fits).or_else(|| Some(format!("{}k", scaled(0.001))));
    thousands.filter(fits).unwrap_or_else(|| "max".to_owned())
}

/// The first of `seen` of `count` places such that `at` is in the middle where possible.
fn first(at: usize, seen: usize, count: usize) -> usize {
    at.saturating_sub(seen / 2).min(count.saturating_sub(seen))
}

#[cfg(test)]
mod tests;
