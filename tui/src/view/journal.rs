//! The journal: what happened, the newest at the end, as in a log.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wgnet_api::{JournalEntry, Severity};

use super::paint::{Row, rows, section, wrapped};
use super::peers::{filter_line, list_below};
use crate::model::{Model, event_id};
use crate::{moment, text};

/// Draws the screen.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = &model.look.theme;
    let events = model.listed_events();
    let all = model.data.journal().count();
    let filter = filter_line(model, &model.journal.sieve, (events.len(), all), area, buffer);
    let below = list_below(model, area) as u16;
    let mut list = Rect { y: area.y + filter, height: area.height - filter - below, ..area };
    if let Some(held_at) = model.journal.held_at {
        let new = model.data.journal().filter(|entry| (entry.time_ms, entry.number) > held_at).count();
        if new > 0 && list.height > 1 {
            list.height -= 1;
            let told = if new == 1 { "1 new event".to_owned() } else { format!("{new} new events") };
            let row = Row::new().with(format!(" held: {told} since, z goes on"), theme.highlight);
            row.draw(buffer, Rect { y: list.bottom(), height: 1, ..list }, 0);
        }
    }
    if events.is_empty() {
        let told = if all == 0 { "Nothing happened yet." } else { "No event fits the filter: Esc clears it." };
        return Row::new().with(format!(" {told}"), theme.muted).draw(buffer, list, 0);
    }
    let height = usize::from(list.height);
    let ids: Vec<String> = events.iter().map(|entry| event_id(entry)).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let last = ids.len() - 1;
    let (chosen, offset) = match &model.journal.cursor {
        Some(cursor) => {
            let chosen = cursor.index(&ids).unwrap_or(last);
            (chosen, cursor.offset(chosen, ids.len(), height))
        }
        None => (last, ids.len().saturating_sub(height)),
    };
    for (y, entry) in events.iter().skip(offset).take(height).enumerate() {
        row(model, entry, list.width, model.journal.absolute).draw(buffer, list, y);
        if offset + y == chosen {
            buffer.set_style(Rect { y: list.y + y as u16, height: 1, ..list }, theme.selected);
        }
    }
    if below > 0 {
        let area = Rect { y: area.bottom() - below, height: below, ..area };
        rows(buffer, area, &in_full(model, events[chosen], area.width));
    }
}

/// An event with its whole text, in two lines below a rule.
fn in_full(model: &Model, entry: &JournalEntry, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let mut lines = vec![section(theme, &entry.subject, &entry.kind, width)];
    let told = wrapped(told(entry), usize::from(width).saturating_sub(2)).into_iter();
    lines.extend(told.map(|line| Row::new().with(format!(" {line}"), theme.text)));
    lines
}

/// One event: when, how bad, about whom, what.
fn row(model: &Model, entry: &JournalEntry, width: u16, absolute: bool) -> Row {
    let name_cells = name_cells(width);
    // In a very narrow terminal names take what they need.
    let subject = if name_cells > 0 { text::fit(&entry.subject, name_cells) } else { entry.subject.clone() };
    head(model, entry, entry.severity, &subject, width, absolute).with(told(entry), model.look.theme.text)
}

/// Cells for the subject of an event, in a row of this width; 0: there is no column for it.
pub(super) fn name_cells(width: u16) -> usize {
    match width {
        0..40 => 0,
        40..70 => 9,
        70..120 => 12,
        _ => 18,
    }
}

/// What stands before the text of an event.
pub(super) fn head(
    model: &Model,
    entry: &JournalEntry,
    severity: Severity,
    subject: &str,
    width: u16,
    absolute: bool,
) -> Row {
    let theme = &model.look.theme;
    let age = model.time_ms().saturating_sub(entry.time_ms) / 1_000;
    let when = match absolute {
        true if width >= 60 && age >= 86_400 => {
            format!("{} {}", moment::day(entry.time_ms), moment::of_day(entry.time_ms))
        }
        true => moment::of_day(entry.time_ms),
        false => text::age(age),
    };
    let when_cells = match (absolute, width >= 60) {
        (true, true) => 14,
        (true, false) => 8,
        (false, _) => 5,
    };
    let mut row = Row::new()
        .with(format!(" {} ", text::fit_right(&when, when_cells)), theme.muted)
        .with(format!("{} ", model.look.glyphs.severity(severity)), theme.severity(severity));
    if width >= 100 {
        row.push(format!("{} ", text::fit(&entry.kind, 9)), theme.muted);
    }
    row.with(format!("{subject} "), theme.accent)
}

/// The text of an event without its subject, which stands before it already.
pub(super) fn told(entry: &JournalEntry) -> &str {
    entry.text.strip_prefix(&entry.subject).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&entry.text)
}
