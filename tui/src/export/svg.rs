//! A screen as a picture that looks like the terminal did: colours, weights, and a grid that no font can shift.
//!
//! Every word is a text of its own at its own place, with the length that its cells have (`textLength`), so that any
//! monospace font of the viewer fits. Lines, blocks and dots are drawn, not written ([`super::shapes`]): they join. The same
//! screen always gives the same file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell, CellWidth};
use ratatui::style::{Color, Modifier};

use super::shapes::{Area, HEIGHT, Shape, WIDTH, shape};
use crate::text::plain;

/// A colour: red, green, blue.
pub type Rgb = [u8; 3];

/// What a terminal looks like around and beneath the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Text without a colour of its own.
    pub foreground: Rgb,
    /// What lies beneath.
    pub background: Rgb,
    /// The sixteen colours that have names, in the order of ANSI: black, red, green, yellow, blue, magenta, cyan, grey,
    /// and the same once more, bright.
    pub ansi: [Rgb; 16],
    /// Whether there is a window around it, with a title bar.
    pub window: bool,
    /// The title bar.
    pub bar: Rgb,
    /// The edge of the window.
    pub edge: Rgb,
}

impl Look {
    /// Light on dark, in a window.
    pub fn dark() -> Self {
        Self {
            foreground: [0xd6, 0xdb, 0xe3],
            background: [0x14, 0x18, 0x1f],
            ansi: [
                [0x3a, 0x41, 0x4c],
                [0xf4, 0x70, 0x67],
                [0x57, 0xc8, 0x8a],
                [0xe3, 0xb3, 0x41],
                [0x5a, 0x9c, 0xf0],
                [0xc6, 0x8a, 0xdf],
                [0x4f, 0xbf, 0xca],
                [0xb8, 0xc0, 0xcc],
                [0x6b, 0x75, 0x84],
                [0xff, 0x8f, 0x87],
                [0x7d, 0xdc, 0xa8],
                [0xf2, 0xcc, 0x6b],
                [0x84, 0xb9, 0xff],
                [0xdc, 0xaa, 0xf0],
                [0x7d, 0xd8, 0xe0],
                [0xf2, 0xf5, 0xf9],
            ],
            window: true,
            bar: [0x22, 0x28, 0x32],
            edge: [0x35, 0x3d, 0x4a],
        }
    }

    /// Dark on light, in a window.
    pub fn light() -> Self {
        Self {
            foreground: [0x24, 0x29, 0x2f],
            background: [0xfd, 0xfd, 0xfc],
            ansi: [
                [0x24, 0x29, 0x2f],
                [0xc0, 0x2c, 0x26],
                [0x1a, 0x7f, 0x45],
                [0x8a, 0x63, 0x00],
                [0x0b, 0x5c, 0xc4],
                [0x8a, 0x3f, 0xa8],
                [0x0b, 0x76, 0x85],
                [0x6a, 0x73, 0x7d],
                [0x57, 0x60, 0x6a],
                [0xd9, 0x45, 0x3e],
                [0x23, 0x9b, 0x56],
                [0xa8, 0x7a, 0x00],
                [0x2a, 0x78, 0xe0],
                [0xa5, 0x58, 0xc4],
                [0x12, 0x92, 0xa3],
                [0xff, 0xff, 0xff],
            ],
            window: true,
            bar: [0xeb, 0xed, 0xf0],
            edge: [0xc8, 0xcd, 0xd4],
        }
    }

    /// The same without a window.
    pub fn bare(self) -> Self {
        Self { window: false, ..self }
    }

    fn colour(&self, colour: Color, reset: Rgb) -> Rgb {
        /// Levels of xterm's colour cube.
        const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
        let named = |index: usize| self.ansi[index];
        match colour {
            Color::Reset => reset,
            Color::Black => named(0),
            Color::Red => named(1),
            Color::Green => named(2),
            Color::Yellow => named(3),
            Color::Blue => named(4),
            Color::Magenta => named(5),
            Color::Cyan => named(6),
            Color::Gray => named(7),
            Color::DarkGray => named(8),
            Color::LightRed => named(9),
            Color::LightGreen => named(10),
            Color::LightYellow => named(11),
            Color::LightBlue => named(12),
            Color::LightMagenta => named(13),
            Color::LightCyan => named(14),
            Color::White => named(15),
            Color::Rgb(red, green, blue) => [red, green, blue],
            Color::Indexed(index @ 0..=15) => named(usize::from(index)),
            Color::Indexed(index @ 16..=231) => {
                let cube = usize::from(index) - 16;
                [LEVELS[cube / 36], LEVELS[cube / 6 % 6], LEVELS[cube % 6]]
            }
            Color::Indexed(index) => [8 + (index - 232) * 10; 3],
        }
    }
}

/// Height of the title bar.
const BAR: f32 = 34.0;
/// Space between the window's edge and the screen.
const MARGIN: f32 = 10.0;
/// From the upper edge of a cell to the base line of its text.
const BASE_LINE: f32 = 13.5;

/// A picture of a screen. `title` stands in the title bar, and tells readers of screens what they see.
pub fn svg(buffer: &Buffer, title: &str, look: &Look) -> String {
    let columns = f32::from(buffer.area.width);
    let rows = f32::from(buffer.area.height);
    let bar = if look.window { BAR } else { 0.0 };
    let (width, height) = (columns * WIDTH + 2.0 * MARGIN, rows * HEIGHT + 2.0 * MARGIN + bar);
    let mut picture = Picture::default();
    for (y, row) in buffer.content.chunks(usize::from(buffer.area.width).max(1)).enumerate() {
        picture.row(row, MARGIN, MARGIN + bar + y as f32 * HEIGHT, look);
    }
    let mut out = String::new();
    let title = escaped(&plain(title));
    let (w, h) = (Short(width), Short(height));
    write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
         font-family=\"ui-monospace,SFMono-Regular,'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace\" \
         font-size=\"15\">\n<title>{title}</title>\n"
    )
    .expect("a string takes all");
    frame(&mut out, &title, width, height, look);
    picture.write(&mut out);
    out.push_str("</svg>\n");
    out
}

fn frame(out: &mut String, title: &str, width: f32, height: f32, look: &Look) {
    let background = Hex(look.background);
    if !look.window {
        writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"{background}\"/>").expect("a string takes all");
        return;
    }
    let (w, h) = (Short(width - 1.0), Short(height - 1.0));
    let (bar, edge) = (Hex(look.bar), Hex(look.edge));
    let below = Short(height - BAR - 8.5);
    let inner = Short(width - 17.0);
    write!(
        out,
        "<rect x=\".5\" y=\".5\" width=\"{w}\" height=\"{h}\" rx=\"8\" fill=\"{bar}\"/>\n\
         <path d=\"M.5 {BAR}h{w}v{below}a8 8 0 0 1-8 8h-{inner}a8 8 0 0 1-8-8z\" fill=\"{background}\"/>\n\
         <rect x=\".5\" y=\".5\" width=\"{w}\" height=\"{h}\" rx=\"8\" fill=\"none\" stroke=\"{edge}\"/>\n"
    )
    .expect("a string takes all");
    for (x, colour) in [(18, "#f4716a"), (38, "#e6b450"), (58, "#5bc98c")] {
        writeln!(out, "<circle cx=\"{x}\" cy=\"17\" r=\"5.5\" fill=\"{colour}\"/>").expect("a string takes all");
    }
    let (middle, colour) = (Short(width / 2.0), Hex(mix(look.foreground, look.bar, 0.7)));
    writeln!(
        out,
        "<text x=\"{middle}\" y=\"22\" text-anchor=\"middle\" font-size=\"13\" fill=\"{colour}\">{title}</text>"
    )
    .expect("a string takes all");
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Face {
    colour: Rgb,
    bold: bool,
    italic: bool,
}

/// Everything on a screen, by colour: what is beneath, what is drawn, what is written.
#[derive(Default)]
struct Picture {
    beneath: BTreeMap<Rgb, Vec<Area>>,
    areas: BTreeMap<Rgb, Vec<Area>>,
    dots: BTreeMap<Rgb, Vec<(f32, f32)>>,
    strokes: BTreeMap<Rgb, Vec<(f32, f32, &'static str)>>,
    texts: BTreeMap<Face, Vec<Text>>,
}

struct Text {
    x: f32,
    y: f32,
    cells: usize,
    /// Whether it is of letters, to which the next cell may be added.
    letters: bool,
    text: String,
}

impl Picture {
    fn row(&mut self, row: &[Cell], left: f32, top: f32, look: &Look) {
        let mut at = 0;
        while let Some(cell) = row.get(at) {
            let cells = usize::from(cell.cell_width()).max(1);
            let place = Area { x: left + at as f32 * WIDTH, y: top, width: WIDTH * cells as f32, height: HEIGHT };
            self.cell(cell, place, cells, look);
            at += cells;
        }
    }

    fn cell(&mut self, cell: &Cell, place: Area, cells: usize, look: &Look) {
        let mut fg = look.colour(cell.fg, look.foreground);
        let mut bg = look.colour(cell.bg, look.background);
        if cell.modifier.contains(Modifier::REVERSED) {
            (fg, bg) = (bg, fg);
        }
        if cell.modifier.contains(Modifier::DIM) {
            fg = mix(fg, bg, 0.6);
        }
        if bg != look.background {
            add(&mut self.beneath, bg, place);
        }
        self.lines(cell, fg, place, look);
        let symbol = plain(cell.symbol());
        if symbol.trim().is_empty() || cell.modifier.contains(Modifier::HIDDEN) {
            return;
        }
        match shape(&symbol) {
            Some(Shape::Areas(parts)) => {
                for part in parts {
                    add(&mut self.areas, fg, Area { x: place.x + part.x, y: place.y + part.y, ..part });
                }
            }
            Some(Shape::Shade(share)) => add(&mut self.areas, mix(fg, bg, share), place),
            Some(Shape::Dots(dots)) => {
                let dots = dots.into_iter().map(|(x, y)| (place.x + x, place.y + y));
                self.dots.entry(fg).or_default().extend(dots);
            }
            Some(Shape::Stroke(path)) => self.strokes.entry(fg).or_default().push((place.x, place.y, path)),
            None => {
                let bold = cell.modifier.contains(Modifier::BOLD);
                let face = Face { colour: fg, bold, italic: cell.modifier.contains(Modifier::ITALIC) };
                self.write_symbol(face, &symbol, place, cells);
            }
        }
    }

    fn lines(&mut self, cell: &Cell, fg: Rgb, place: Area, look: &Look) {
        let colour = look.colour(cell.underline_color, fg);
        if cell.modifier.contains(Modifier::UNDERLINED) {
            add(&mut self.areas, colour, Area { y: place.y + 15.0, height: 1.0, ..place });
        }
        if cell.modifier.contains(Modifier::CROSSED_OUT) {
            add(&mut self.areas, fg, Area { y: place.y + 9.0, height: 1.0, ..place });
        }
    }

    /// Letters that follow each other are one text. Everything that may come from another font stands alone.
    fn write_symbol(&mut self, face: Face, symbol: &str, place: Area, cells: usize) {
        let joins = symbol.chars().all(|c| c.is_ascii_graphic() || ('\u{A1}'..='\u{24F}').contains(&c));
        let y = place.y + BASE_LINE;
        let texts = self.texts.entry(face).or_default();
        if let Some(last) = texts.last_mut()
            && joins
            && last.letters
            && last.y == y
            && (last.x + last.cells as f32 * WIDTH - place.x).abs() < 0.01
        {
            last.text.push_str(symbol);
            last.cells += cells;
            return;
        }
        texts.push(Text { x: place.x, y, cells, letters: joins, text: symbol.to_owned() });
    }

    fn write(&self, out: &mut String) {
        for (layer, rendering) in [(&self.beneath, " shape-rendering=\"crispEdges\""), (&self.areas, "")] {
            for (colour, areas) in layer {
                write!(out, "<path fill=\"{}\"{rendering} d=\"", Hex(*colour)).expect("a string takes all");
                for Area { x, y, width, height } in areas.iter().copied() {
                    let (x, y, width, height) = (Short(x), Short(y), Short(width), Short(height));
                    write!(out, "M{x} {y}h{width}v{height}h-{width}z").expect("a string takes all");
                }
                out.push_str("\"/>\n");
            }
        }
        for (colour, strokes) in &self.strokes {
            writeln!(out, "<g fill=\"none\" stroke=\"{}\">", Hex(*colour)).expect("a string takes all");
            for (x, y, path) in strokes {
                let (x, y) = (Short(*x), Short(*y));
                writeln!(out, "<path transform=\"translate({x} {y})\" d=\"{path}\"/>").expect("a string takes all");
            }
            out.push_str("</g>\n");
        }
        for (colour, dots) in &self.dots {
            // A line of no length with round ends is a dot.
            let colour = Hex(*colour);
            write!(out, "<path stroke=\"{colour}\" stroke-width=\"2.7\" stroke-linecap=\"round\" d=\"")
                .expect("a string takes all");
            for (x, y) in dots {
                write!(out, "M{} {}h0", Short(*x), Short(*y)).expect("a string takes all");
            }
            out.push_str("\"/>\n");
        }
        for (face, texts) in &self.texts {
            let bold = if face.bold { " font-weight=\"bold\"" } else { "" };
            let italic = if face.italic { " font-style=\"italic\"" } else { "" };
            writeln!(out, "<g fill=\"{}\"{bold}{italic}>", Hex(face.colour)).expect("a string takes all");
            texts.iter().for_each(|text| text.write(out));
            out.push_str("</g>\n");
        }
    }
}

impl Text {
    fn write(&self, out: &mut String) {
        let (length, y) = (self.cells as f32 * WIDTH, Short(self.y));
        let text = escaped(&self.text);
        let written = if self.letters && self.cells > 1 {
            let (x, length) = (Short(self.x), Short(length));
            writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\">{text}</text>"
            )
        } else if self.letters {
            writeln!(out, "<text x=\"{}\" y=\"{y}\">{text}</text>", Short(self.x))
        } else {
            // A symbol: in the middle of its cells, whatever font has it.
            let x = Short(self.x + length / 2.0);
            writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>")
        };
        written.expect("a string takes all");
    }
}

/// Adds an area, as part of the one before it where they are one.
fn add(layer: &mut BTreeMap<Rgb, Vec<Area>>, colour: Rgb, area: Area) {
    /// Parts of a character at most.
    const BACK: usize = 4;
    let areas = layer.entry(colour).or_default();
    let goes_on = |before: &&mut Area| {
        (before.y, before.height) == (area.y, area.height) && (before.x + before.width - area.x).abs() < 0.01
    };
    match areas.iter_mut().rev().take(BACK).find(goes_on) {
        Some(before) => before.width += area.width,
        None => areas.push(area),
    }
}

/// So much of the first colour, the rest of the second.
fn mix(first: Rgb, second: Rgb, share: f32) -> Rgb {
    let one = |i: usize| (f32::from(first[i]) * share + f32::from(second[i]) * (1.0 - share)).round() as u8;
    [one(0), one(1), one(2)]
}

/// For the content of an element and for an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // No characters of XML 1.0.
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            _ => out.push(character),
        }
    }
    out
}

/// `#rrggbb`.
struct Hex(Rgb);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// A number with at most two digits after the point, and none that say nothing.
struct Short(f32);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.2}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests;
