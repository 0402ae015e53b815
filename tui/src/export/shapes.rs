//! Characters that must join with their neighbours, as shapes: lines, blocks, dots. A font draws them with gaps, at other
//! weights, or not at all.

/// A cell is that wide, in pixels.
pub(super) const WIDTH: f32 = 9.0;
/// And that high.
pub(super) const HEIGHT: f32 = 18.0;

/// Where lines cross: in the middle of a pixel, so that they are sharp.
const MIDDLE: (f32, f32) = (WIDTH / 2.0, HEIGHT / 2.0 - 0.5);

/// Thickness of a light line.
const LIGHT: f32 = 1.0;
/// Thickness of a heavy one.
const HEAVY: f32 = 2.0;

/// Part of a cell, in pixels from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

/// What a character looks like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// Filled areas.
    Areas(Vec<Area>),
    /// The whole cell with this share of the foreground colour.
    Shade(f32),
    /// Centres of round dots.
    Dots(Vec<(f32, f32)>),
    /// A line, as an SVG path from the cell's upper left corner.
    Stroke(&'static str),
}

/// The shape of a symbol; `None` for what a font draws well.
pub(super) fn shape(symbol: &str) -> Option<Shape> {
    let mut characters = symbol.chars();
    let (Some(character), None) = (characters.next(), characters.next()) else { return None };
    let code = u32::from(character);
    match character {
        '\u{2580}'..='\u{259F}' => Some(block(character)),
        '\u{2800}'..='\u{28FF}' => Some(Shape::Dots(braille(code - 0x2800))),
        '\u{1FB00}'..='\u{1FB3B}' => Some(Shape::Areas(sextant(code - 0x1FB00))),
        '\u{2500}'..='\u{257F}' => line(character),
        _ => None,
    }
}

fn area(x: f32, y: f32, width: f32, height: f32) -> Area {
    Area { x: x * WIDTH, y: y * HEIGHT, width: width * WIDTH, height: height * HEIGHT }
}

fn block(character: char) -> Shape {
    let code = u32::from(character);
    let eighths = |from: u32| (code - from) as f32 / 8.0;
    let areas = match character {
        '▀' => vec![area(0.0, 0.0, 1.0, 0.5)],
        '▁'..='█' => {
            let high = eighths(0x2580);
            vec![area(0.0, 1.0 - high, 1.0, high)]
        }
        '▉'..='▏' => vec![area(0.0, 0.0, 1.0 - eighths(0x2588), 1.0)],
        '▐' => vec![area(0.5, 0.0, 0.5, 1.0)],
        '░' => return Shape::Shade(0.25),
        '▒' => return Shape::Shade(0.5),
        '▓' => return Shape::Shade(0.75),
        '▔' => vec![area(0.0, 0.0, 1.0, 0.125)],
        '▕' => vec![area(0.875, 0.0, 0.125, 1.0)],
        _ => {
            // Quadrants from U+2596: upper left 1, upper right 2, lower left 4, lower right 8.
            const QUADRANTS: [u8; 10] = [4, 8, 1, 13, 9, 7, 11, 2, 6, 14];
            let bits = QUADRANTS[(code - 0x2596) as usize];
            let part = |bit: u8| area(f32::from(bit % 2) * 0.5, f32::from(bit / 2) * 0.5, 0.5, 0.5);
            (0..4).filter(|bit| bits & (1 << bit) != 0).map(part).collect()
        }
    };
    Shape::Areas(areas)
}

/// Two by three; the patterns that are halves of a block or nothing have no character here.
fn sextant(index: u32) -> Vec<Area> {
    let mut bits = index + 1;
    bits += u32::from(bits >= 0b01_0101);
    bits += u32::from(bits >= 0b10_1010);
    let part = |bit: u32| area((bit % 2) as f32 * 0.5, (bit / 2) as f32 / 3.0, 0.5, 1.0 / 3.0);
    (0..6).filter(|bit| bits & (1 << bit) != 0).map(part).collect()
}

/// Dots 1 to 3 and 7 lie in the left column, 4 to 6 and 8 in the right one.
fn braille(bits: u32) -> Vec<(f32, f32)> {
    const PLACES: [(u8, u8); 8] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
    let centre =
        |(column, row): (u8, u8)| (WIDTH * (0.25 + 0.5 * f32::from(column)), HEIGHT * (0.125 + 0.25 * f32::from(row)));
    (0..8).filter(|bit| bits & (1 << bit) != 0).map(|bit| centre(PLACES[bit])).collect()
}

fn line(character: char) -> Option<Shape> {
    // From the middle to the left, right, upper, lower edge: 1 is light, 2 heavy.
    const ARMS: &[(char, [u8; 4])] = &[
        ('─', [1, 1, 0, 0]),
        ('━', [2, 2, 0, 0]),
        ('│', [0, 0, 1, 1]),
        ('┃', [0, 0, 2, 2]),
        ('┌', [0, 1, 0, 1]),
        ('┏', [0, 2, 0, 2]),
        ('┐', [1, 0, 0, 1]),
        ('┓', [2, 0, 0, 2]),
        ('└', [0, 1, 1, 0]),
        ('┗', [0, 2, 2, 0]),
        ('┘', [1, 0, 1, 0]),
        ('┛', [2, 0, 2, 0]),
        ('├', [0, 1, 1, 1]),
        ('┝', [0, 2, 1, 1]),
        ('┠', [0, 1, 2, 2]),
        ('┣', [0, 2, 2, 2]),
        ('┤', [1, 0, 1, 1]),
        ('┥', [2, 0, 1, 1]),
        ('┨', [1, 0, 2, 2]),
        ('┫', [2, 0, 2, 2]),
        ('┬', [1, 1, 0, 1]),
        ('┯', [2, 2, 0, 1]),
        ('┰', [1, 1, 0, 2]),
        ('┳', [2, 2, 0, 2]),
        ('┴', [1, 1, 1, 0]),
        ('┷', [2, 2, 1, 0]),
        ('┸', [1, 1, 2, 0]),
        ('┻', [2, 2, 2, 0]),
        ('┼', [1, 1, 1, 1]),
        ('┿', [2, 2, 1, 1]),
        ('╂', [1, 1, 2, 2]),
        ('╋', [2, 2, 2, 2]),
        ('╴', [1, 0, 0, 0]),
        ('╵', [0, 0, 1, 0]),
        ('╶', [0, 1, 0, 0]),
        ('╷', [0, 0, 0, 1]),
        ('╸', [2, 0, 0, 0]),
        ('╹', [0, 0, 2, 0]),
        ('╺', [0, 2, 0, 0]),
        ('╻', [0, 0, 0, 2]),
        ('╼', [1, 2, 0, 0]),
        ('╽', [0, 0, 1, 2]),
        ('╾', [2, 1, 0, 0]),
        ('╿', [0, 0, 2, 1]),
    ];
    match character {
        // A quarter of a circle between the middles of two edges, in a cell of 9 by 18.
        '╭' => return Some(Shape::Stroke("M4.5 18v-5a4.5 4.5 0 0 1 4.5-4.5")),
        '╮' => return Some(Shape::Stroke("M0 8.5a4.5 4.5 0 0 1 4.5 4.5v5")),
        '╯' => return Some(Shape::Stroke("M0 8.5a4.5 4.5 0 0 0 4.5-4.5v-4")),
        '╰' => return Some(Shape::Stroke("M4.5 0v4a4.5 4.5 0 0 0 4.5 4.5")),
        '╱' => return Some(Shape::Stroke("M0 18L9 0")),
        '╲' => return Some(Shape::Stroke("M0 0L9 18")),
        '╳' => return Some(Shape::Stroke("M0 18L9 0M0 0L9 18")),
        '╌' | '┄' | '┈' => return Some(dashes(character, LIGHT, true)),
        '╍' | '┅' | '┉' => return Some(dashes(character, HEAVY, true)),
        '╎' | '┆' | '┊' => return Some(dashes(character, LIGHT, false)),
        '╏' | '┇' | '┋' => return Some(dashes(character, HEAVY, false)),
        _ => {}
    }
    let (_, [left, right, up, down]) = ARMS.iter().find(|(known, _)| *known == character)?;
    let thickness = |weight: u8| if weight == 2 { HEAVY } else { LIGHT };
    let (middle_x, middle_y) = MIDDLE;
    // Arms reach over the middle by half of the thickest line that crosses there, so that corners are closed.
    let over_x = thickness(*up.max(down)) / 2.0 * f32::from(u8::from(*up + *down > 0));
    let over_y = thickness(*left.max(right)) / 2.0 * f32::from(u8::from(*left + *right > 0));
    let mut areas = Vec::new();
    if left == right && *left > 0 {
        areas.push(across(0.0, WIDTH, middle_y, thickness(*left)));
    } else {
        if *left > 0 {
            areas.push(across(0.0, middle_x + over_x, middle_y, thickness(*left)));
        }
        if *right > 0 {
            areas.push(across(middle_x - over_x, WIDTH, middle_y, thickness(*right)));
        }
    }
    if up == down && *up > 0 {
        areas.push(along(0.0, HEIGHT, middle_x, thickness(*up)));
    } else {
        if *up > 0 {
            areas.push(along(0.0, middle_y + over_y, middle_x, thickness(*up)));
        }
        if *down > 0 {
            areas.push(along(middle_y - over_y, HEIGHT, middle_x, thickness(*down)));
        }
    }
    Some(Shape::Areas(areas))
}

/// A horizontal line.
fn across(from: f32, to: f32, y: f32, thick: f32) -> Area {
    Area { x: from, y: y - thick / 2.0, width: to - from, height: thick }
}

/// A vertical one.
fn along(from: f32, to: f32, x: f32, thick: f32) -> Area {
    Area { x: x - thick / 2.0, y: from, width: thick, height: to - from }
}

fn dashes(character: char, thick: f32, horizontal: bool) -> Shape {
    let number: u8 = match character {
        '╌' | '╍' | '╎' | '╏' => 2,
        '┄' | '┅' | '┆' | '┇' => 3,
        _ => 4,
    };
    let length = if horizontal { WIDTH } else { HEIGHT };
    let step = length / f32::from(number);
    let dash = |i: u8| {
        let from = (f32::from(i) + 0.2) * step;
        let to = from + 0.6 * step;
        if horizontal { across(from, to, MIDDLE.1, thick) } else { along(from, to, MIDDLE.0, thick) }
    };
    Shape::Areas((0..number).map(dash).collect())
}
