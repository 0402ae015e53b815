//! The lines of the map: Braille dots for links that are up, characters of their own for those that are dead, so that
//! these are seen without colour, too.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::glyph::Glyphs;
use crate::widget::dots::{ACROSS, DOWN, Dots, steps};

/// A dead link of so many cells and more carries three crosses instead of one.
const LONG: usize = 16;

/// How a line looks, apart from its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stroke {
    /// A link that is there, but not the one that its leaf uses.
    Faint,
    /// One of many links.
    Thin,
    /// A link.
    Plain,
    /// A link that does not work.
    Dead,
    /// A link of the highlighted path.
    Thick,
}

/// The lines drawn so far, in cells of the map.
pub(super) struct Raster {
    width: u16,
    height: u16,
    glyphs: Glyphs,
    dots: Dots,
    characters: Vec<Option<(Stroke, &'static str, Style)>>,
    /// Where dead links carry their crosses: no label may cover them.
    pub(super) crosses: Vec<(u16, u16)>,
}

impl Raster {
    /// No lines.
    pub(super) fn new(width: u16, height: u16, glyphs: Glyphs) -> Self {
        let cells = usize::from(width) * usize::from(height);
        Self {
            width,
            height,
            glyphs,
            dots: Dots::new(width, height),
            characters: vec![None; cells],
            crosses: Vec::new(),
        }
    }

    /// Draws a line between two cells.
    pub(super) fn link(&mut self, from: (u16, u16), to: (u16, u16), stroke: Stroke, style: Style) {
        // From one end to the other in the same direction each time, so that the same line is made of the same dots.
        let (from, to) = (from.min(to), from.max(to));
        match (self.glyphs, stroke) {
            (Glyphs::Unicode, Stroke::Dead) => self.dead(from, to, style, ["┄", "┆", "╲", "╱", "✗"]),
            (Glyphs::Ascii, Stroke::Dead) => self.dead(from, to, style, ["~", "!", "x", "x", "X"]),
            (Glyphs::Unicode, _) => self.dotted(from, to, stroke, style),
            (Glyphs::Ascii, _) => self.written(from, to, stroke, style),
        }
    }

    /// Whether a cell holds a piece of a line.
    pub(super) fn is_set(&self, x: u16, y: u16) -> bool {
        self.dots.is_set(x, y) || self.index(x.into(), y.into()).is_some_and(|i| self.characters[i].is_some())
    }

    /// Puts the lines into `area`, which has the size of the map.
    pub(super) fn draw(&self, area: Rect, buf: &mut Buffer) {
        self.dots.draw(area, buf);
        for (i, character) in self.characters.iter().enumerate() {
            let Some((_, symbol, style)) = character else { continue };
            let (x, y) = (i % usize::from(self.width), i / usize::from(self.width));
            if let Some(cell) = buf.cell_mut((area.x.saturating_add(x as u16), area.y.saturating_add(y as u16))) {
                cell.reset();
                cell.set_symbol(symbol).set_style(*style);
            }
        }
    }

    fn dotted(&mut self, from: (u16, u16), to: (u16, u16), stroke: Stroke, style: Style) {
        let middle = |(x, y): (u16, u16)| (i32::from(x) * ACROSS, i32::from(y) * DOWN + DOWN / 2);
        let (from, to) = (middle(from), middle(to));
        let every = match stroke {
            Stroke::Faint => (1, 4),
            Stroke::Thin => (1, 2),
            _ => (1, 1),
        };
        self.dots.line(from, to, every, stroke as u8, style);
        if stroke == Stroke::Thick {
            // A second line beside the first one, so that the path stands out without colour.
            let flat = (to.0 - from.0).abs() >= (to.1 - from.1).abs();
            let beside = |(x, y): (i32, i32)| if flat { (x, y - 1) } else { (x + 1, y) };
            self.dots.line(beside(from), beside(to), every, stroke as u8, style);
        }
    }

    /// Without Braille: a character for each cell.
    fn written(&mut self, from: (u16, u16), to: (u16, u16), stroke: Stroke, style: Style) {
        for (i, (x, y, lean)) in cells(from, to).enumerate() {
            let symbol = match (stroke, lean) {
                (Stroke::Thick, _) => "=",
                (Stroke::Faint, _) if i % 4 != 0 => continue,
                (Stroke::Thin, _) if i % 2 != 0 => continue,
                (Stroke::Faint | Stroke::Thin, _) => ".",
                (_, Lean::Flat) => "-",
                (_, Lean::Steep) => "|",
                (_, Lean::Falls) => "\\",
                (_, Lean::Rises) => "/",
            };
            self.put(x, y, stroke, symbol, style);
        }
    }

    fn dead(&mut self, from: (u16, u16), to: (u16, u16), style: Style, symbols: [&'static str; 5]) {
        let [flat, steep, falls, rises, cross] = symbols;
        let line: Vec<_> = cells(from, to).collect();
        let is_cross = |i: usize| {
            let quarter = line.len() / 4;
            i == line.len() / 2 || line.len() >= LONG && (i == quarter || i == line.len() - 1 - quarter)
        };
        for (i, &(x, y, lean)) in line.iter().enumerate() {
            let symbol = match lean {
                _ if is_cross(i) => cross,
                Lean::Flat => flat,
                Lean::Steep => steep,
                // Diagonals have no dashed characters: every other cell stays free.
                Lean::Falls | Lean::Rises if i % 2 == 1 => continue,
                Lean::Falls => falls,
                Lean::Rises => rises,
            };
            self.put(x, y, Stroke::Dead, symbol, style);
            if is_cross(i) {
                self.crosses.push((x as u16, y as u16));
            }
        }
    }

    fn put(&mut self, x: i32, y: i32, stroke: Stroke, symbol: &'static str, style: Style) {
        let Some(i) = self.index(x, y) else { return };
        if self.characters[i].is_none_or(|(known, ..)| stroke >= known) {
            self.characters[i] = Some((stroke, symbol, style));
        }
    }

    fn index(&self, x: i32, y: i32) -> Option<usize> {
        let inside = x >= 0 && y >= 0 && x < i32::from(self.width) && y < i32::from(self.height);
        inside.then(|| y as usize * usize::from(self.width) + x as usize)
    }
}

/// Which way a line leads through a cell.
#[derive(Clone, Copy)]
enum Lean {
    Flat,
    Steep,
    Falls,
    Rises,
}

/// The cells of a line.
fn cells(from: (u16, u16), to: (u16, u16)) -> impl Iterator<Item = (i32, i32, Lean)> {
    let point = |(x, y): (u16, u16)| (i32::from(x), i32::from(y));
    let mut before = None;
    steps(point(from), point(to)).map(move |(x, y)| {
        let (bx, by) = before.replace((x, y)).unwrap_or((x - 1, y));
        let lean = match ((x - bx).signum(), (y - by).signum()) {
            (_, 0) => Lean::Flat,
            (0, _) => Lean::Steep,
            (dx, dy) if dx == dy => Lean::Falls,
            _ => Lean::Rises,
        };
        (x, y, lean)
    })
}
