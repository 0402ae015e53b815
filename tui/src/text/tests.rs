//! No text of a peer breaks the layout or acts on the terminal.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::*;

const NASTY: &[&str] = &[
    "",
    " ",
    "alice",
    "a name that is longer than any column would ever be, and then some more of it",
    "\u{1b}[2J\u{1b}[31mred\u{1b}]52;c;ZXZpbA==\u{7}",
    "\u{9b}31mC1",
    "tab\there\r\nnew line\u{b}\u{c}\u{8}\u{7f}",
    "\0\0\0",
    "日本語のノード",
    "ｶﾞｷﾞﾊﾟ",
    "Füße naïve café",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "\u{301}lone",
    " \u{301}",
    "\u{200b}\u{301}\u{20dd}",
    "👨‍👩‍👧‍👦 family",
    "👍🏽👍🏿",
    "🇩🇪🇦🇹🇨",
    "❤️ ✔︎ #️⃣",
    "evil\u{202e}gnp.exe\u{202c}",
    "\u{2066}isolate\u{2069}\u{200f}\u{61c}",
    "שָׁלוֹם عليكم لا",
    "क्षत्रिय निर्मला",
    "ที่นี่",
    "한국어 \u{1112}\u{1161}\u{11ab}",
    "\u{feff}bom\u{ad}soft\u{2028}line\u{2029}para",
    "\u{e0067}\u{e0062}tags\u{fff9}note\u{fffb}",
    "\u{600}1 \u{110bd}",
    "𝕨𝕚𝕕𝕖 \u{10ffff} \u{e000}",
    "\u{fdfa} ﷽ ꧅",
];

/// A text put together from pieces of the nasty ones, by a small linear congruential generator.
fn mixed(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let characters: Vec<char> = NASTY.iter().flat_map(|text| text.chars()).collect();
    let length = next(24);
    (0..length).map(|_| characters[next(characters.len())]).collect()
}

fn texts() -> impl Iterator<Item = String> {
    NASTY.iter().map(ToString::to_string).chain((0..800).map(mixed))
}

#[test]
fn a_fitted_text_takes_its_cells_exactly() {
    for text in texts() {
        for cells in (0..12).chain([20, 40, 90]) {
            assert_eq!(width(&fit(&text, cells)), cells, "{text:?} in {cells}");
            assert_eq!(width(&fit_right(&text, cells)), cells, "{text:?} in {cells}, right");
        }
    }
}

#[test]
fn a_fitted_text_fills_its_cells_of_a_buffer_and_no_others() {
    for text in texts() {
        for cells in [1, 2, 5, 11, 90] {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 100, 1));
            let (end, _) = buffer.set_stringn(0, 0, fit(&text, cells), 100, Style::new());
            assert_eq!(usize::from(end), cells, "{text:?} in {cells}");
        }
    }
}

#[test]
fn nothing_that_acts_or_hides_passes() {
    for text in texts() {
        let plain = plain(&text);
        let acts = |c: char| {
            c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        };
        assert!(!plain.contains(acts), "{text:?} -> {plain:?}");
        assert!(!plain.contains(['\u{fe0f}', '\u{feff}', '\u{ad}', '\u{61c}']), "{text:?} -> {plain:?}");
        assert!(plain.graphemes(true).all(|grapheme| grapheme.cell_width() > 0), "{text:?} -> {plain:?}");
    }
}

#[test]
fn making_plain_twice_changes_nothing() {
    for text in texts() {
        let once = plain(&text).into_owned();
        assert_eq!(plain(&once), once, "{text:?}");
    }
}

#[test]
fn what_is_refused_can_be_seen() {
    assert_eq!(plain("\u{1b}[2J"), "␛[2J");
    assert_eq!(plain("a\nb\tc"), "a␊b c");
    assert_eq!(plain("evil\u{202e}gnp.exe"), "evil\u{fffd}gnp.exe");
    assert_eq!(plain("\u{301}x"), "\u{25cc}\u{301}x");
    assert_eq!(plain("🇩🇪"), "DE");
    assert_eq!(plain("👩\u{200d}💻"), "👩💻");
    assert_eq!(plain("e\u{301}\u{302}\u{303}\u{304}\u{305}"), "e\u{301}\u{302}\u{303}");
}

#[test]
fn ordinary_texts_are_borrowed_as_they_are() {
    for text in ["alice", "Füße", "日本語", "e\u{301}", ""] {
        assert!(matches!(plain(text), Cow::Borrowed(same) if same == text), "{text:?}");
    }
}

#[test]
fn cutting_marks_the_cut_and_never_halves_a_wide_character() {
    assert_eq!(fit("alice", 8), "alice   ");
    assert_eq!(fit("alice", 5), "alice");
    assert_eq!(fit("alice", 4), "ali…");
    assert_eq!(fit("alice", 1), "…");
    assert_eq!(fit("alice", 0), "");
    assert_eq!(fit("日本語", 6), "日本語");
    assert_eq!(fit("日本語", 5), "日本…");
    assert_eq!(fit("日本語", 4), "日 …");
    assert_eq!(fit("日本語", 2), " …");
    assert_eq!(fit_right("42", 5), "   42");
    assert_eq!(fit_right("123456", 4), "123…");
}

#[test]
fn ages_are_short() {
    let cases = [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3_599, "59m"),
        (3_600, "1h00m"),
        (11_520, "3h12m"),
        (35_999, "9h59m"),
        (36_000, "10h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (31_535_999, "364d"),
        (31_536_000, "1y"),
        (u64::MAX, ">999y"),
    ];
    for (seconds, text) in cases {
        assert_eq!(age(seconds), text);
        assert!(width(text) <= 5);
    }
}

#[test]
fn amounts_have_two_or_three_digits_and_a_unit() {
    let cases = [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (9_960, "10 kB"),
        (340_000, "340 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (u64::MAX, "18 EB"),
    ];
    for (n, text) in cases {
        assert_eq!(bytes(n), text);
        assert!(width(text) <= 6, "{text}");
    }
    assert_eq!(rate(0.0), "0 B/s");
    assert_eq!(rate(340_000.0), "340 kB/s");
    assert_eq!(rate(1.25e6), "1.2 MB/s");
    assert_eq!(rate(f64::NAN), "-");
    assert_eq!(rate(-1.0), "-");
    let mut amount = 0.4;
    while amount < 9e20 {
        assert!(width(&rate(amount)) <= 8, "{}", rate(amount));
        amount *= 1.07;
    }
}
