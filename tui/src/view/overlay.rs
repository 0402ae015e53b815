//! What is laid over a screen: all keys, the command palette, a line that is typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use tui_input::Input;
use wgnet_api::PathKind;

use super::frame::text_of_key;
use super::paint::{Row, centred, rows, section, window};
use crate::filter;
use crate::keys::{Context, Keymap};
use crate::layout;
use crate::model::{Model, Overlay};
use crate::palette;
use crate::text;
use crate::theme::Theme;

/// Cells for the keys of an action.
const KEYS: usize = 16;

/// Draws what is laid over the body.
pub(super) fn draw(model: &Model, body: Rect, buffer: &mut Buffer) {
    match &model.overlay {
        Some(Overlay::Help(scroll)) => help(model, body, *scroll, buffer),
        Some(Overlay::Palette(input, chosen)) => draw_palette(model, body, input, *chosen, buffer),
        Some(Overlay::Filter(..)) | None => {}
    }
}

/// A line that is typed in, with its cursor; long ones are cut at their begin.
pub(super) fn typed(mut row: Row, input: &Input, width: u16, theme: &Theme) -> Row {
    let cells = usize::from(width).saturating_sub(row.width() + 2).max(1);
    let at = input.value().char_indices().nth(input.cursor()).map_or_else(|| input.value().len(), |(index, _)| index);
    let (before, after) = input.value().split_at(at);
    let mut before = text::plain(before).into_owned();
    while text::width(&before) > cells {
        before.remove(0);
    }
    let mut letters = after.chars();
    let under = letters.next().map_or_else(|| " ".to_owned(), |letter| text::plain(&letter.to_string()).into_owned());
    row.push(before, theme.text);
    row.push(under, theme.text.add_modifier(Modifier::REVERSED));
    row.with(letters.collect::<String>(), theme.text)
}

fn help_area(body: Rect) -> Rect {
    centred(body, 84, body.height)
}

/// Rows of the help that are seen at once.
pub(crate) fn help_height(model: &Model) -> usize {
    let area = help_area(layout::frame(model.area()).body);
    usize::from(if area.height < 5 || area.width < 24 { area.height } else { area.height - 2 })
}

/// Rows of the help.
pub(crate) fn help_rows(model: &Model) -> usize {
    help_lines(model, help_area(layout::frame(model.area()).body).width).len()
}

/// The keys that mean something here come first, then those of other places.
fn help_lines(model: &Model, width: u16) -> Vec<Row> {
    const ALL: [Context; 9] = [
        Context::Peers,
        Context::Peer,
        Context::Routes,
        Context::Matrix,
        Context::Journal,
        Context::Confirm,
        Context::Frozen,
        Context::Replay,
        Context::Global,
    ];
    let theme = &model.look.theme;
    let here = model.contexts();
    let elsewhere = ALL.into_iter().filter(|context| !here.contains(context));
    let mut lines = Vec::new();
    for context in here.iter().copied().chain(elsewhere) {
        if !lines.is_empty() {
            lines.push(Row::new());
        }
        let note = if here.contains(&context) { "" } else { "(not here)" };
        lines.push(section(theme, context.name(), note, width.saturating_sub(2)));
        lines.extend(help_of(&model.keymap, context, width, theme));
    }
    lines.push(Row::new());
    lines.push(section(theme, "signs", "", width.saturating_sub(2)));
    let glyphs = model.look.glyphs;
    for (sign, meaning) in [
        (glyphs.path(PathKind::Direct), "direct: packets go straight to the peer"),
        (glyphs.path(PathKind::Gateway), "via gateway: another node forwards them"),
        (glyphs.path(PathKind::Unreachable), "unreachable: there is no way; in a curve, a probe that nothing answered"),
        ("~41 ms", "the sum of the links on the way, not measured end to end"),
        ("LATELY", "the last round trips, the newest to the right"),
        ("SHAKE", "time since the last handshake of WireGuard; beyond 3 min the session is over"),
        ("COST", "what paths are chosen by: the least sum of the links' costs wins"),
        ("MARGIN", "how much more the second best way costs"),
    ] {
        let row = Row::new().with(format!("  {} ", text::fit(sign, KEYS.min(usize::from(width) / 3))), theme.accent);
        lines.push(row.with(meaning, theme.text));
    }
    lines.push(Row::new());
    lines.push(section(
        theme,
        "filters",
        "words and comparisons, all must fit; ! before one turns it around",
        width.saturating_sub(2),
    ));
    for (key, meaning) in filter::KEYS {
        let row = Row::new().with(format!("  {} ", text::fit(key, KEYS.min(usize::from(width) / 3))), theme.accent);
        lines.push(row.with(*meaning, theme.text));
    }
    lines
}

fn help_of(keymap: &Keymap, context: Context, width: u16, theme: &Theme) -> Vec<Row> {
    let keys_cells = KEYS.min(usize::from(width) / 3);
    let text_cells = usize::from(width).saturating_sub(keys_cells + 5);
    let mut lines = Vec::new();
    for (row, keys) in keymap.rows(&[context]) {
        let keys: Vec<String> = keys.into_iter().map(text_of_key).collect();
        for (number, line) in super::paint::wrapped(row.help, text_cells).into_iter().enumerate() {
            let keys = if number == 0 { keys.join(" ") } else { String::new() };
            let style = if row.dangerous { theme.bad } else { theme.accent };
            lines.push(Row::new().with(format!("  {} ", text::fit(&keys, keys_cells)), style).with(line, theme.text));
        }
    }
    lines
}

fn help(model: &Model, body: Rect, scroll: usize, buffer: &mut Buffer) {
    let area = help_area(body);
    let lines = help_lines(model, area.width);
    let title = "Keys: ? or Esc closes, arrows scroll";
    let within = window(buffer, area, title, &model.look.theme);
    rows(buffer, within, &lines[scroll.min(lines.len())..]);
}

fn draw_palette(model: &Model, body: Rect, input: &Input, chosen: usize, buffer: &mut Buffer) {
    let theme = &model.look.theme;
    let suggestions = palette::suggestions(model, input.value());
    // A few cells beside it would show pieces of words.
    let area = centred(body, if body.width < 90 { body.width } else { 76 }, 16);
    let area = Rect { y: body.y, ..area };
    let within = window(buffer, area, "Command: Tab completes, Enter runs", theme);
    typed(Row::new().with(" : ", theme.accent), input, within.width, theme).draw(buffer, within, 0);
    let list = Rect { y: within.y + 1, height: within.height.saturating_sub(1), ..within };
    let height = usize::from(list.height);
    let chosen = chosen.min(suggestions.len().saturating_sub(1));
    let first = (chosen + 1).saturating_sub(height);
    let name_cells = usize::from(within.width / 3).clamp(1, 26);
    for (y, suggestion) in suggestions.iter().skip(first).take(height).enumerate() {
        let row = Row::new()
            .with(format!("   {} ", text::fit(&suggestion.text, name_cells)), theme.text)
            .with(suggestion.help.clone(), theme.muted);
        row.draw(buffer, list, y);
        if first + y == chosen {
            let line = Rect { y: list.y + y as u16, height: 1, ..list };
            buffer.set_style(line, theme.selected);
        }
    }
    if suggestions.is_empty() {
        Row::new().with("   nothing is called like that", theme.muted).draw(buffer, list, 0);
    }
}
