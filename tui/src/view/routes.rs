//! Routes: where packets for each destination go next, what that costs, and how much worse the second best way is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use wgnet_api::{Health, PathKind, Peer};

use super::paint::{Row, rows, section, wrapped};
use super::peers::filter_line;
use crate::layout::{Column, columns};
use crate::model::Model;
use crate::text;

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    State,
    Destination,
    Name,
    NextHop,
    Hops,
    Cost,
    RunnerUp,
    Margin,
}

const fn column(what: Field, least: u16, most: u16, rank: u8) -> Column<Field> {
    Column { what, least, most, rank }
}

const COLUMNS: [Column<Field>; 8] = [
    column(Field::State, 1, 1, 8),
    column(Field::Destination, 14, 32, 9),
    column(Field::Name, 9, 22, 5),
    column(Field::NextHop, 12, 22, 7),
    column(Field::Hops, 4, 4, 2),
    column(Field::Cost, 6, 8, 6),
    column(Field::RunnerUp, 13, 22, 4),
    column(Field::Margin, 7, 8, 3),
];

/// Draws the screen.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(shown) = model.data.shown() else { return };
    let theme = &model.look.theme;
    let peers = model.listed_routes();
    let filter = filter_line(model, &model.routes.sieve, (peers.len(), shown.status.peers.len()), area, buffer);
    let mut list = Rect { y: area.y + filter, height: area.height - filter, ..area };
    let conflicts = conflicts(model, &shown.status.health, area.width);
    if list.height >= conflicts.len() as u16 + 6 && !conflicts.is_empty() {
        let height = conflicts.len() as u16;
        list.height -= height;
        rows(buffer, Rect { y: list.bottom(), height, ..list }, &conflicts);
    }
    let inset = u16::from(list.width >= 40);
    let widths = columns(&COLUMNS, list.width.saturating_sub(2 * inset));
    if area.height >= 3 {
        let mut head = Row::new().with(" ".repeat(usize::from(inset)), theme.head);
        for (field, cells) in &widths {
            head.push(aligned(*field, title(*field), *cells) + " ", theme.head);
        }
        head.draw(buffer, list, 0);
        list = Rect { y: list.y + 1, height: list.height - 1, ..list };
    }
    let ids: Vec<&str> = peers.iter().map(|peer| peer.id.as_str()).collect();
    let Some(chosen) = model.routes.cursor.index(&ids) else {
        return Row::new().with(" There is no route here.", theme.muted).draw(buffer, list, 0);
    };
    let height = usize::from(list.height);
    let offset = model.routes.cursor.offset(chosen, ids.len(), height);
    for (y, peer) in peers.iter().skip(offset).take(height).enumerate() {
        let mut row = Row::new().with(" ".repeat(usize::from(inset)), theme.text);
        for (field, cells) in &widths {
            let (content, style) = content(model, peer, *field);
            row.push(aligned(*field, &content, *cells), style);
            row.push(" ", theme.text);
        }
        row.draw(buffer, list, y);
        if offset + y == chosen {
            buffer.set_style(Rect { y: list.y + y as u16, height: 1, ..list }, theme.selected);
        }
    }
}

fn title(field: Field) -> &'static str {
    match field {
        Field::State => "",
        Field::Destination => "DESTINATION",
        Field::Name => "NODE",
        Field::NextHop => "NEXT HOP",
        Field::Hops => "HOPS",
        Field::Cost => "COST",
        Field::RunnerUp => "SECOND BEST",
        Field::Margin => "MARGIN",
    }
}

fn aligned(field: Field, content: &str, cells: u16) -> String {
    let cells = usize::from(cells);
    match field {
        Field::Hops | Field::Cost | Field::Margin => text::fit_right(content, cells),
        _ => text::fit(content, cells),
    }
}

fn content(model: &Model, peer: &Peer, field: Field) -> (String, Style) {
    let theme = &model.look.theme;
    let none = || ("-".to_owned(), theme.muted);
    match field {
        Field::State => (model.look.glyphs.path(peer.path).to_owned(), theme.path(peer.path)),
        Field::Destination => (peer.addresses.join(" "), theme.text),
        Field::Name => (peer.name.clone(), theme.text),
        Field::NextHop => match (peer.path, &peer.via) {
            (PathKind::Direct, _) => ("itself".to_owned(), theme.direct),
            (PathKind::Gateway, via) => (via.clone().unwrap_or_else(|| "a gateway".to_owned()), theme.gateway),
            (PathKind::Unreachable, _) => ("none".to_owned(), theme.unreachable),
        },
        Field::Hops if peer.hops == 0 => none(),
        Field::Hops => (peer.hops.to_string(), theme.text),
        Field::Cost => peer.cost.map_or_else(none, |cost| (cost.to_string(), theme.text)),
        Field::RunnerUp => match &peer.runner_up {
            Some(other) if other.via == peer.name => ("direct".to_owned(), theme.muted),
            Some(other) => (format!("via {}", other.via), theme.muted),
            None => none(),
        },
        Field::Margin => match (&peer.runner_up, peer.cost) {
            (Some(other), Some(cost)) => (format!("+{}", other.cost.saturating_sub(cost)), theme.muted),
            _ => none(),
        },
    }
}

/// What health says of routes on this machine.
fn conflicts(model: &Model, health: &[Health], width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let about_routes: Vec<&Health> = health.iter().filter(|line| line.code.starts_with("route")).collect();
    if about_routes.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![section(theme, "CONFLICTS", "with other routes of this machine", width)];
    for line in about_routes {
        for part in wrapped(&line.text, usize::from(width).saturating_sub(4)) {
            let glyph = model.look.glyphs.severity(line.severity);
            lines.push(Row::new().with(format!(" {glyph} "), theme.severity(line.severity)).with(part, theme.text));
        }
        for part in wrapped(&line.remedy, usize::from(width).saturating_sub(6)) {
            lines.push(Row::new().with("   → ", theme.accent).with(part, theme.muted));
        }
    }
    lines
}
