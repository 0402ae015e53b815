//! What is around every screen: the header, the tabs, the keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wgnet_api::{PathKind, Severity};

use super::overview::problems;
use super::paint::Row;
use crate::glyph::Link;
use crate::keys::Binding;
use crate::layout::{self, Frame};
use crate::model::{Connection, Model, Overlay, Screen};
use crate::source::demo::PLACE as DEMO;
use crate::{moment, text};

/// Draws header, tabs, rule and footer.
pub(super) fn draw(model: &Model, frame: &Frame, buffer: &mut Buffer) {
    if frame.header.height > 0 {
        header(model, frame.header, buffer);
    }
    if frame.tabs.height > 0 {
        tabs(model, frame.tabs, buffer);
    }
    if frame.rule.height > 0 {
        let line = "─".repeat(usize::from(frame.rule.width));
        Row::new().with(line, model.look.theme.border).draw(buffer, frame.rule, 0);
    }
    if frame.footer.height > 0 {
        footer(model, frame.footer, buffer);
    }
}

/// How the dashboard hangs on its source: a glyph and a few words.
fn state(model: &Model) -> (Link, String) {
    if let Some((number, count)) = model.data.held_place() {
        let seconds = model.data.behind_s(model.now_ms);
        let at = if model.size.0 >= 100 { format!(" at {}", moment::of_day(model.time_ms())) } else { String::new() };
        return (Link::Frozen, format!("held{at} {} ago ({number}/{count})", text::age(seconds)));
    }
    match (&model.connection, model.playing) {
        (Connection::Connecting, _) => (Link::Lost, "connecting".to_owned()),
        (Connection::Lost { retry_at: Some(_), .. }, None) if model.data.shown().is_none() => {
            (Link::Lost, "waiting for a daemon".to_owned())
        }
        (Connection::Lost { retry_at: None, .. }, None) => (Link::Lost, "disconnected".to_owned()),
        (Connection::Lost { since_ms, retry_at: Some(_), .. }, None) => {
            let seconds = model.now_ms.saturating_sub(*since_ms) / 1_000;
            (Link::Lost, format!("reconnecting, lost {} ago", text::age(seconds)))
        }
        (_, Some(playing)) => {
            let (at, length) = (moment::elapsed(playing.at_ms), moment::elapsed(playing.length_ms));
            let what = if model.place == DEMO { DEMO } else { "replay" };
            let how = match (playing.paused, playing.speed) {
                (true, _) => " paused".to_owned(),
                (false, 1.0) => String::new(),
                (false, speed) => format!(" {speed}x"),
            };
            let gone = if matches!(model.connection, Connection::Lost { .. }) { ", daemon gone" } else { "" };
            (if playing.paused { Link::Frozen } else { Link::Replay }, format!("{what}{how} {at}/{length}{gone}"))
        }
        (Connection::Live, None) => (Link::Live, "live".to_owned()),
    }
}

fn header(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = &model.look.theme;
    let width = usize::from(area.width);
    let (link, words) = state(model);
    let style = match link {
        Link::Live => theme.ok,
        Link::Lost => theme.bad,
        Link::Frozen | Link::Replay => theme.highlight,
    };
    let state = Row::new().with(format!(" {} {words}", model.look.glyphs.connection(link)), style);
    let Some(shown) = model.data.shown() else {
        return state.with("  wgnet", theme.accent).draw(buffer, area, 0);
    };
    let node = &shown.status.node;
    // From the fullest to the barest; the first that fits is drawn. The state never goes.
    let full_counts = counts(model, Told::InWords);
    let bare_counts = counts(model, Told::InFigures);
    let trouble = counts(model, Told::Trouble);
    let named = |row: &Row| row.clone().with("  ", theme.text).with(node.name.clone(), theme.accent);
    let addressed = |row: &Row| named(row).with(format!("  {}", node.address), theme.text);
    let tunnel = || {
        let gateway = if node.draining {
            ", draining"
        } else if node.gateway {
            ", gateway"
        } else {
            ""
        };
        format!("  {}{gateway}", node.tunnel)
    };
    let lefts = [addressed(&state).with(tunnel(), theme.muted), addressed(&state), named(&state), state];
    let fits = |left: &Row, right: &Row| left.width() + right.width() + 2 <= width;
    for (left, right) in [
        (&lefts[0], &full_counts),
        (&lefts[0], &bare_counts),
        (&lefts[1], &bare_counts),
        (&lefts[2], &bare_counts),
        (&lefts[2], &trouble),
        (&lefts[3], &bare_counts),
        (&lefts[3], &trouble),
    ] {
        if fits(left, right) {
            left.draw(buffer, area, 0);
            let x = area.right() - right.width() as u16 - 1;
            right.draw(buffer, Rect { x, width: area.right() - x, ..area }, 0);
            return;
        }
    }
    let left = lefts.iter().find(|left| left.width() <= width).unwrap_or(&lefts[3]);
    left.draw(buffer, area, 0);
}

/// How much the counts in the header tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    InWords,
    InFigures,
    /// Only what is wrong.
    Trouble,
}

/// How many peers by which kind of path, and how much is wrong.
fn counts(model: &Model, told: Told) -> Row {
    let theme = &model.look.theme;
    let glyphs = model.look.glyphs;
    let Some(shown) = model.data.shown() else { return Row::new() };
    let mut parts = Vec::new();
    let count = |path| shown.status.peers.iter().filter(|peer| peer.path == path).count();
    for (path, word) in
        [(PathKind::Direct, "direct"), (PathKind::Gateway, "via gateway"), (PathKind::Unreachable, "unreachable")]
    {
        let is_trouble = path == PathKind::Unreachable;
        let is_told = if is_trouble { count(path) > 0 } else { told != Told::Trouble };
        if is_told {
            let words = if told == Told::InWords { format!(" {word}") } else { String::new() };
            parts.push((format!("{} {}{words}", glyphs.path(path), count(path)), theme.path(path)));
        }
    }
    let health = problems(model, shown);
    match health.iter().map(|line| line.severity).max() {
        // A refused peer is no problem of this node; but it is not all well.
        None if count(PathKind::Unreachable) > 0 => {}
        None => parts.push((if told == Told::InWords { "healthy" } else { "ok" }.to_owned(), theme.ok)),
        Some(severity) => {
            let words = match (told, health.len()) {
                (Told::InWords, 1) => " problem",
                (Told::InWords, _) => " problems",
                _ => "",
            };
            let glyph = glyphs.severity(severity);
            parts.push((format!("{glyph} {}{words}", health.len()), theme.severity(severity)));
        }
    }
    let mut row = Row::new();
    for (number, (part, style)) in parts.into_iter().enumerate() {
        row.push(if number == 0 { "" } else { "  " }, theme.text);
        row.push(part, style);
    }
    row
}

fn tabs(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = &model.look.theme;
    for (screen, x, label) in layout::tabs(area.width) {
        let style = if screen == model.screen { theme.accent.patch(theme.selected) } else { theme.muted };
        let at = Rect { x: area.x + x.min(area.width), width: area.width.saturating_sub(x), ..area };
        Row::new().with(label, style).draw(buffer, at, 0);
    }
}

fn footer(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = &model.look.theme;
    if let Some(Overlay::Filter(input, _)) = &model.overlay {
        let row = Row::new().with(" / ", theme.accent);
        return super::overlay::typed(row, input, area.width, theme).draw(buffer, area, 0);
    }
    if let Some(notice) = &model.notice {
        let style = if notice.severity == Severity::Info { theme.highlight } else { theme.severity(notice.severity) };
        return Row::new().with(format!(" {}", notice.text), style).draw(buffer, area, 0);
    }
    match typing_keys(model) {
        [] => keys(model, area.width).draw(buffer, area, 0),
        pairs => {
            let mut row = Row::new().with(" ", theme.text);
            for (key, what) in pairs {
                row.push(*key, theme.accent);
                row.push(format!(" {what}  "), theme.muted);
            }
            row.draw(buffer, area, 0);
        }
    }
}

/// While something is typed or read, letters are no keys: what ends it.
fn typing_keys(model: &Model) -> &'static [(&'static str, &'static str)] {
    match &model.overlay {
        Some(Overlay::Help(_)) => &[("esc", "closes"), ("↑ ↓", "scroll")],
        Some(Overlay::Palette(..)) => &[("esc", "closes"), ("enter", "runs"), ("tab", "completes"), ("↑ ↓", "choose")],
        Some(Overlay::Filter(..)) => &[],
        None if model.screen == Screen::Admin && model.pages.is_empty() && model.admin.is_typing() => {
            &[("esc", "goes back"), ("enter", "goes on"), ("tab", "completes")]
        }
        None => &[],
    }
}

/// Keys of a lower priority say nothing without their words.
const BARE: u8 = 25;

/// Keys by priority: help and quit first, and words go before keys do.
fn keys(model: &Model, width: u16) -> Row {
    let theme = &model.look.theme;
    let mut rows: Vec<(&Binding, &str)> = model
        .keymap
        .rows(&model.contexts())
        .into_iter()
        .filter_map(|(row, keys)| Some((row, *keys.first()?)))
        .filter(|(row, _)| row.priority > 0)
        .collect();
    rows.sort_by_key(|(row, _)| std::cmp::Reverse(row.priority));
    let width = usize::from(width).saturating_sub(1);
    let cells = |(row, key): &(&Binding, &str), worded: bool| {
        let words = if worded { 1 + row.label.len() } else { 0 };
        text::width(&text_of_key(key)) + words + 2
    };
    // Keys without words as far as they fit, then words as far as there is room, then what says nothing without them.
    let mut kept = Vec::new();
    let mut taken = 0;
    for row in rows.iter().filter(|(row, _)| row.priority >= BARE) {
        if taken + cells(row, false) <= width {
            taken += cells(row, false);
            kept.push((*row, false));
        }
    }
    for (row, worded) in &mut kept {
        let more = cells(row, true) - cells(row, false);
        if taken + more > width {
            break;
        }
        taken += more;
        *worded = true;
    }
    for row in rows.iter().filter(|(row, _)| row.priority < BARE) {
        if taken + cells(row, true) <= width {
            taken += cells(row, true);
            kept.push((*row, true));
        }
    }
    // What the screen is about comes first; help and quit are found at the end.
    let is_last = |row: &Binding| (99..=100).contains(&row.priority);
    kept.sort_by_key(|((row, _), _)| is_last(row));
    let mut line = Row::new().with(" ", theme.text);
    for ((row, key), worded) in kept {
        line.push(text_of_key(key), if row.dangerous { theme.bad } else { theme.accent });
        line.push(if worded { format!(" {}  ", row.label) } else { "  ".to_owned() }, theme.muted);
    }
    line
}

/// A key as the footer and the help show it.
pub(super) fn text_of_key(key: &str) -> String {
    match key {
        "left" => "←",
        "right" => "→",
        "up" => "↑",
        "down" => "↓",
        other => other,
    }
    .to_owned()
}
