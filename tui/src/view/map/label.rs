//! Names and figures on the map: each takes the best free place beside its node, or none.

use ratatui::style::Style;

use super::layout::Placed;

/// A text with a place, in cells of the map.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) x: u16,
    pub(super) y: u16,
    pub(super) width: u16,
    pub(super) text: String,
    pub(super) style: Style,
}

/// What is written so far, and which cells are free.
pub(super) struct Labels {
    width: u16,
    height: u16,
    taken: Vec<bool>,
    pub(super) placed: Vec<Label>,
}

/// What it costs a label to hide a cell of a line, as against a place that suits it less.
const LINE: u32 = 2;

impl Labels {
    /// Nothing written.
    pub(super) fn new(width: u16, height: u16) -> Self {
        let cells = usize::from(width) * usize::from(height);
        Self { width, height, taken: vec![false; cells], placed: Vec::new() }
    }

    /// Keeps a cell free of labels.
    pub(super) fn take(&mut self, x: u16, y: u16) {
        if x < self.width && y < self.height {
            self.taken[usize::from(y) * usize::from(self.width) + usize::from(x)] = true;
        }
    }

    /// Writes `text` beside a node, outwards if there is room; `is_line` tells which cells hold lines. Returns whether
    /// there was a place.
    pub(super) fn beside(
        &mut self,
        node: &Placed<'_>,
        text: &str,
        style: Style,
        is_line: impl Fn(u16, u16) -> bool,
    ) -> bool {
        let width = i32::try_from(crate::text::width(text)).unwrap_or(i32::MAX);
        let (x, y) = (i32::from(node.x), i32::from(node.y));
        let (right, down) = (node.out.0 >= 0.0, node.out.1 >= 0.0);
        let (side, level) = (|out: bool| if out { 0 } else { 3 }, |out: bool| if out { 2 } else { 4 });
        let places = [
            (x + 2, y, side(right)),
            (x - 1 - width, y, side(!right)),
            (x - width / 2, y + 1, level(down)),
            (x - width / 2, y - 1, level(!down)),
            (x + 1, y + 1, level(down) + 2),
            (x + 1, y - 1, level(!down) + 2),
            (x - width, y + 1, level(down) + 2),
            (x - width, y - 1, level(!down) + 2),
        ];
        let scored = places.into_iter().filter_map(|(x, y, dislike)| {
            let (x, y) = self.free(x, y, width)?;
            let hidden = (x..x + width as u16).filter(|x| is_line(*x, y)).count() as u32;
            Some((dislike + LINE * hidden, x, y))
        });
        let Some((_, x, y)) = scored.min_by_key(|(score, ..)| *score) else { return false };
        self.write(x, y, width as u16, text, style);
        true
    }

    /// Writes `text` with its middle at a cell, if that is free.
    pub(super) fn centred(&mut self, x: u16, y: u16, text: &str, style: Style) -> bool {
        let width = i32::try_from(crate::text::width(text)).unwrap_or(i32::MAX);
        let Some((x, y)) = self.free(i32::from(x) - width / 2, i32::from(y), width) else { return false };
        self.write(x, y, width as u16, text, style);
        true
    }

    /// The place, if all its cells are on the map and free, and those before and behind it hold nothing either.
    fn free(&self, x: i32, y: i32, width: i32) -> Option<(u16, u16)> {
        let (columns, rows) = (i32::from(self.width), i32::from(self.height));
        if width == 0 || x < 0 || y < 0 || y >= rows || x.checked_add(width)? > columns {
            return None;
        }
        let row = &self.taken[(y * columns) as usize..((y + 1) * columns) as usize];
        // A node may stand right before or behind its name only where that is its own: one free cell is kept.
        let around = (x - 1).max(0) as usize..(x + width + 1).min(columns) as usize;
        (!row[around].contains(&true)).then_some((x as u16, y as u16))
    }

    fn write(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) {
        for x in x..x + width {
            self.take(x, y);
        }
        self.placed.push(Label { x, y, width, text: text.to_owned(), style });
    }
}
