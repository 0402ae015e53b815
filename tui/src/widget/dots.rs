//! Lines of Braille dots, two by four to a cell: the finest that a terminal draws.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Dots across a cell.
pub(crate) const ACROSS: i32 = 2;
/// Dots down a cell.
pub(crate) const DOWN: i32 = 4;

/// Bit of the dot in column x and row y of a cell (Unicode, block U+2800).
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// A grid of dots. A cell has one style: that of the highest rank drawn in it.
pub(crate) struct Dots {
    width: u16,
    height: u16,
    cells: Vec<(u8, u8, Style)>,
}

impl Dots {
    /// An empty grid of so many cells.
    pub(crate) fn new(width: u16, height: u16) -> Self {
        Self { width, height, cells: vec![(0, 0, Style::new()); usize::from(width) * usize::from(height)] }
    }

    /// Sets one dot; dots outside the grid are left out.
    pub(crate) fn set(&mut self, x: i32, y: i32, rank: u8, style: Style) {
        let inside = x >= 0 && y >= 0 && x < i32::from(self.width) * ACROSS && y < i32::from(self.height) * DOWN;
        if !inside {
            return;
        }
        let index = (y / DOWN) as usize * usize::from(self.width) + (x / ACROSS) as usize;
        let cell = &mut self.cells[index];
        if cell.0 == 0 || rank >= cell.1 {
            (cell.1, cell.2) = (rank, style);
        }
        cell.0 |= BITS[(x % ACROSS) as usize][(y % DOWN) as usize];
    }

    /// Draws a line; of every `period` dots along it the first `on` are set.
    pub(crate) fn line(&mut self, from: (i32, i32), to: (i32, i32), (on, period): (u32, u32), rank: u8, style: Style) {
        for (i, (x, y)) in steps(from, to).enumerate() {
            if i as u32 % period.max(1) < on {
                self.set(x, y, rank, style);
            }
        }
    }

    /// Whether a cell holds any dot.
    pub(crate) fn is_set(&self, x: u16, y: u16) -> bool {
        x < self.width
            && y < self.height
            && self.cells[usize::from(y) * usize::from(self.width) + usize::from(x)].0 != 0
    }

    /// Puts the cells that hold dots into `area`, from its upper left corner on.
    pub(crate) fn draw(&self, area: Rect, buf: &mut Buffer) {
        for (i, (bits, _, style)) in self.cells.iter().enumerate().filter(|(_, cell)| cell.0 != 0) {
            let (x, y) = (i % usize::from(self.width), i / usize::from(self.width));
            let position = (area.x.saturating_add(x as u16), area.y.saturating_add(y as u16));
            let Some(cell) = buf.cell_mut(position).filter(|_| area.contains(position.into())) else { continue };
            let symbol = char::from_u32(0x2800 + u32::from(*bits)).expect("every byte is a Braille pattern");
            cell.set_char(symbol).set_style(*style);
        }
    }
}

/// The points of a line, ends included (Bresenham 1965).
pub(crate) fn steps(from: (i32, i32), to: (i32, i32)) -> impl Iterator<Item = (i32, i32)> {
    let (dx, dy) = ((to.0 - from.0).abs(), (to.1 - from.1).abs());
    let (sx, sy) = ((to.0 - from.0).signum(), (to.1 - from.1).signum());
    let (mut x, mut y) = from;
    let mut error = dx - dy;
    (0..=dx.max(dy)).map(move |_| {
        let at = (x, y);
        let twice = 2 * error;
        if twice > -dy {
            error -= dy;
            x += sx;
        }
        if twice < dx {
            error += dx;
            y += sy;
        }
        at
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_runs_from_end_to_end_without_a_gap() {
        for to in [(9, 3), (-4, 7), (0, 0), (0, -5), (6, -6)] {
            let points: Vec<_> = steps((0, 0), to).collect();
            assert_eq!((points.first(), points.last()), (Some(&(0, 0)), Some(&to)));
            assert!(
                points.windows(2).all(|pair| (pair[0].0 - pair[1].0).abs().max((pair[0].1 - pair[1].1).abs()) == 1)
            );
        }
    }

    #[test]
    fn a_line_of_dots_is_drawn_and_what_is_outside_left_out() {
        let mut dots = Dots::new(3, 1);
        dots.line((-9, 0), (99, 0), (1, 1), 0, Style::new());
        dots.set(0, 3, 0, Style::new());
        let mut buf = Buffer::empty(Rect::new(0, 0, 3, 1));
        dots.draw(buf.area, &mut buf);
        assert_eq!(buf, Buffer::with_lines(["⡉⠉⠉"]));
    }
}
