//! Texts in cells: what peers say of themselves is made harmless, measured and cut so that no name breaks the layout.
//!
//! Terminals agree on the width of plain letters, of wide (East Asian) ones and of a letter with combining marks. They
//! disagree on everything that joins or changes its neighbours: joined emoji, flags, skin tones, variation selectors.
//! [`plain`] leaves only what they agree on; every other function here applies it first.

use std::borrow::Cow;

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

/// Stands where a text was cut.
pub const ELLIPSIS: char = '…';

/// Stands for a character that must not reach a terminal: U+FFFD, the replacement character.
const REFUSED: char = '\u{FFFD}';

/// Carries combining marks that follow nothing: U+25CC, the dotted circle.
const BASE: char = '\u{25CC}';

/// Combining marks that one character keeps. Thai and Vietnamese need two, pointed Hebrew three; a tower of fifty would
/// paint over the lines above.
const MARKS: usize = 3;

/// `text` with nothing in it that acts on a terminal or hides: control characters show as their pictures (`␛`), marks
/// that reorder or break lines as `�`, invisible ones are left out, and combining marks always have a base.
pub fn plain(text: &str) -> Cow<'_, str> {
    if is_simple(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut marks = MARKS; // nothing to stand on yet
    let mut stands = false;
    for character in text.chars() {
        match shown(character) {
            Shown::Nothing => {}
            Shown::Mark if !stands => {
                out.extend([BASE, character]);
                (stands, marks) = (true, 1);
            }
            Shown::Mark if marks < MARKS => {
                out.push(character);
                marks += 1;
            }
            Shown::Mark => {}
            Shown::As(character) => {
                out.push(character);
                (stands, marks) = (character != ' ', 0);
            }
        }
    }
    // What takes no cell even so (a final of a Hangul syllable after a Latin letter) would be left out by the terminal.
    if out.graphemes(true).any(|grapheme| cells_of(grapheme) == 0) {
        let mark = REFUSED.to_string();
        out = out.graphemes(true).map(|grapheme| if cells_of(grapheme) == 0 { &mark } else { grapheme }).collect();
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// How a character shows.
enum Shown {
    As(char),
    Mark,
    Nothing,
}

fn shown(character: char) -> Shown {
    let code = u32::from(character);
    match character {
        ' '..='~' => Shown::As(character),
        '\t' | '\u{A0}' => Shown::As(' '),
        '\0'..='\u{1F}' => Shown::As(char::from_u32(0x2400 + code).unwrap_or(REFUSED)), // ␀ to ␟
        '\u{7F}' => Shown::As('␡'),
        // C1 controls: a terminal may take U+009B for ESC [.
        '\u{80}'..='\u{9F}' => Shown::As(REFUSED),
        // What changes the direction of a text (UAX 9), breaks lines, or annotates: it would show a name that is not
        // the one that is meant.
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{206F}' => Shown::As(REFUSED),
        '\u{FFF9}'..='\u{FFFB}' => Shown::As(REFUSED),
        // Invisible, joining, or changing the look of a neighbour (Default_Ignorable_Code_Point; emoji modifiers).
        '\u{AD}' | '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' => {
            Shown::Nothing
        }
        '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2065}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' => Shown::Nothing,
        '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' => Shown::Nothing,
        '\u{1D173}'..='\u{1D17A}' | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0000}'..='\u{E0FFF}' => Shown::Nothing,
        // Half a flag is a letter, and so are two halves: DE.
        '\u{1F1E6}'..='\u{1F1FF}' => Shown::As(char::from_u32(code - 0x1_F1E6 + 0x41).unwrap_or(REFUSED)),
        // Halfwidth sound marks are characters of their own on terminals, but join what is before them otherwise.
        '\u{FF9E}' => Shown::As('\u{309B}'),
        '\u{FF9F}' => Shown::As('\u{309C}'),
        _ if character.width().unwrap_or(0) == 0 => Shown::Mark,
        _ => Shown::As(character),
    }
}

/// Cells that `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    if is_simple(text) {
        return text.len();
    }
    plain(text).graphemes(true).map(cells_of).sum()
}

/// Whether each byte is one cell: nearly all that a frame draws, and not worth looking for characters in it.
fn is_simple(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn cells_of(grapheme: &str) -> usize {
    usize::from(grapheme.cell_width())
}

/// `text` in exactly `cells` cells: cut with `…`, or with blanks after it.
pub fn fit(text: &str, cells: usize) -> String {
    let (mut out, taken) = cut(text, cells);
    out.extend(std::iter::repeat_n(' ', cells - taken));
    out
}

/// `text` in exactly `cells` cells: cut with `…`, or with blanks before it, as numbers stand in columns.
pub fn fit_right(text: &str, cells: usize) -> String {
    let (out, taken) = cut(text, cells);
    format!("{}{out}", " ".repeat(cells - taken))
}

/// `text`, cut if it takes more than `cells` cells, and the cells it takes then.
fn cut(text: &str, cells: usize) -> (String, usize) {
    if is_simple(text) && text.len() <= cells {
        return (text.to_owned(), text.len());
    }
    let text = plain(text);
    let mut taken = 0;
    let mut kept = 0; // bytes that leave a cell for the ellipsis
    let mut kept_cells = 0;
    for grapheme in text.graphemes(true) {
        taken += cells_of(grapheme);
        if taken > cells {
            break;
        }
        if taken < cells {
            kept += grapheme.len();
            kept_cells = taken;
        }
    }
    if taken <= cells {
        return (text.into_owned(), taken);
    }
    if cells == 0 {
        return (String::new(), 0);
    }
    let mut out = text[..kept].to_owned();
    // A wide character that would be cut in half leaves a blank.
    out.extend(std::iter::repeat_n(' ', cells - 1 - kept_cells));
    out.push(ELLIPSIS);
    (out, cells)
}

/// A time span in at most five cells: `7s`, `4m`, `3h12m`, `14h`, `2d`, `3y`.
pub fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match days / 365 {
        0 => match (minutes, hours) {
            (0, _) => format!("{seconds}s"),
            (_, 0) => format!("{minutes}m"),
            (_, 1..=9) => format!("{hours}h{:02}m", minutes % 60),
            (_, 10..=47) => format!("{hours}h"),
            _ => format!("{days}d"),
        },
        years @ 1..=999 => format!("{years}y"),
        _ => ">999y".to_owned(),
    }
}

/// A number of bytes in at most six cells: `340 B`, `1.2 MB`, `87 GB`. A kB is 1000 bytes.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, "")
}

/// A rate in bytes a second, in at most eight cells: `0 B/s`, `340 kB/s`, `1.2 MB/s`. What is no rate shows as `-`.
pub fn rate(bytes_per_s: f64) -> String {
    if bytes_per_s.is_finite() && bytes_per_s >= 0.0 { scaled(bytes_per_s, "/s") } else { "-".to_owned() }
}

fn scaled(amount: f64, per: &str) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut amount = amount;
    let mut unit = 0;
    // 999.5 would be written as 1000.
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1_000.0;
        unit += 1;
    }
    let unit_name = UNITS[unit];
    match amount {
        _ if amount >= 999.5 => format!(">999 EB{per}"),
        _ if unit > 0 && amount < 9.95 => format!("{amount:.1} {unit_name}{per}"),
        _ => format!("{amount:.0} {unit_name}{per}"),
    }
}

#[cfg(test)]
mod tests;
