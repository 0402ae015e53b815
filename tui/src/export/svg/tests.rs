//! Pictures are true to the screen, and the same each time.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, BorderType, Widget};

use super::*;

fn look() -> Look {
    Look::dark().bare()
}

fn picture(text: &str, style: Style) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 2));
    buffer.set_string(0, 0, text, style);
    svg(&buffer, "test", &look())
}

#[test]
fn words_stand_at_their_cells_with_the_length_of_their_cells() {
    let svg = picture("ab  cde", Style::new());
    assert!(
        svg.contains("<text x=\"10\" y=\"23.5\" textLength=\"18\" lengthAdjust=\"spacingAndGlyphs\">ab</text>"),
        "{svg}"
    );
    assert!(svg.contains("<text x=\"46\" y=\"23.5\" textLength=\"27\""), "{svg}");
}

#[test]
fn symbols_and_wide_characters_stand_in_the_middle_of_their_cells() {
    let svg = picture("a●日b", Style::new());
    assert!(svg.contains("<text x=\"23.5\" y=\"23.5\" text-anchor=\"middle\">●</text>"), "{svg}");
    assert!(svg.contains("<text x=\"37\" y=\"23.5\" text-anchor=\"middle\">日</text>"), "{svg}");
    assert!(svg.contains("<text x=\"46\" y=\"23.5\">b</text>"), "{svg}");
}

#[test]
fn styles_show() {
    let svg = picture("x", Style::new().red().bold().italic().underlined().on_blue());
    assert!(svg.contains("<g fill=\"#f47067\" font-weight=\"bold\" font-style=\"italic\">"), "{svg}");
    assert!(svg.contains("<path fill=\"#5a9cf0\" shape-rendering=\"crispEdges\" d=\"M10 10h9v18h-9z\"/>"), "{svg}");
    assert!(svg.contains("<path fill=\"#f47067\" d=\"M10 25h9v1h-9z\"/>"), "the line under it: {svg}");
    let reversed = picture("x", Style::new().reversed());
    assert!(reversed.contains("<g fill=\"#14181f\">") && reversed.contains("<path fill=\"#d6dbe3\""), "{reversed}");
    let dim = picture("x", Style::new().dim());
    assert!(dim.contains("<g fill=\"#888d95\">"), "{dim}");
    let colours = [(Color::Indexed(9), "#ff8f87"), (Color::Indexed(16), "#000000"), (Color::Indexed(196), "#ff0000")];
    for (colour, hex) in [(Color::Indexed(255), "#eeeeee"), (Color::Rgb(1, 2, 3), "#010203")].into_iter().chain(colours)
    {
        assert!(picture("x", Style::new().fg(colour)).contains(hex), "{colour:?}");
    }
}

#[test]
fn nothing_gets_out_of_a_text() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 1));
    buffer.set_string(0, 0, "<a&\"b\">", Style::new());
    buffer[(10, 0)].set_symbol("\u{1b}[2J");
    let svg = svg(&buffer, "</title><script>\u{7}\u{202e}", &Look::dark());
    assert!(svg.contains("&lt;a&amp;&quot;b&quot;&gt;") && !svg.contains("<script>"), "{svg}");
    assert!(!svg.contains(['\u{1b}', '\u{7}', '\u{202e}']));
}

#[test]
fn borders_are_lines_that_meet() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 3));
    Block::bordered().render(buffer.area, &mut buffer);
    let svg = svg(&buffer, "", &look());
    assert!(!svg.contains("<text"), "{svg}");
    // The upper edge: one line from the middle of the first cell to the middle of the last one.
    assert!(svg.contains("M14 18h28v1h-28z"), "{svg}");
    let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 3));
    Block::bordered().border_type(BorderType::Rounded).render(buffer.area, &mut buffer);
    let rounded = super::svg(&buffer, "", &look());
    assert_eq!(rounded.matches("<path transform").count(), 4, "{rounded}");
}

#[test]
fn blocks_and_dots_are_drawn() {
    let blocks = picture("▁█▌▚", Style::new());
    assert!(!blocks.contains("<text"), "{blocks}");
    assert!(blocks.contains("M10 25.75h9v2.25h-9z"), "an eighth from below: {blocks}");
    assert!(blocks.contains("M19 10h"), "all of it: {blocks}");
    let dots = picture("⡀⠁", Style::new());
    assert!(dots.contains("M12.25 25.75h0M21.25 12.25h0"), "{dots}");
}

#[test]
fn the_same_screen_gives_the_same_picture_and_any_size_gives_one() {
    for (width, height) in [(0, 0), (1, 1), (20, 5), (300, 100)] {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        Block::bordered().title("日本").render(buffer.area, &mut buffer);
        for look in [Look::dark(), Look::light(), look()] {
            let first = svg(&buffer, "title", &look);
            assert_eq!(first, svg(&buffer, "title", &look));
            assert!(first.starts_with("<svg ") && first.ends_with("</svg>\n"));
        }
    }
}
