//! What each screen draws: pure functions of the model and an area.

mod admin;
mod fold;
mod frame;
#[cfg(test)]
mod golden;
mod journal;
pub mod map;
pub mod matrix;
mod overlay;
mod overview;
mod page;
mod paint;
mod peers;
mod routes;
#[cfg(test)]
pub(crate) mod testing;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use wgnet_api::PathKind;

pub(crate) use admin::admin_rows;
pub(crate) use overlay::{help_height, help_rows};
pub(crate) use page::{page_height, page_rows, page_text};
pub(crate) use peers::{list_above, list_below};

use crate::glyph::Glyphs;
use crate::model::{Connection, Model, Screen};
use crate::{graph, layout};
use map::MapView;
use matrix::{MatrixView, Metric};
use paint::{Row, rows, wrapped};

/// Draws the whole dashboard. What does not fit is left out; nothing is drawn outside of `area`.
pub fn view(model: &Model, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    let frame = layout::frame(area);
    frame::draw(model, &frame, buffer);
    if frame.body.is_empty() {
        return;
    }
    if model.data.shown().is_none() {
        absent(model, frame.body, buffer);
    } else {
        body(model, frame.body, buffer);
        // What is not told any more looks like that.
        if matches!(model.connection, Connection::Lost { .. }) {
            buffer.set_style(frame.body, model.look.theme.muted);
        }
    }
    overlay::draw(model, frame.body, buffer);
    if model.look.glyphs == Glyphs::Ascii {
        to_ascii(area, buffer);
    }
}

fn body(model: &Model, area: Rect, buffer: &mut Buffer) {
    match (model.pages.last(), model.screen) {
        (Some(page), _) => page::draw(model, page, area, buffer),
        (None, Screen::Overview) => overview::draw(model, area, buffer),
        (None, Screen::Peers) => peers::draw(model, area, buffer),
        (None, Screen::Routes) => routes::draw(model, area, buffer),
        (None, Screen::Map) => draw_map(model, area, buffer),
        (None, Screen::Matrix) => draw_matrix(model, area, buffer),
        (None, Screen::Journal) => journal::draw(model, area, buffer),
        (None, Screen::Admin) => admin::draw(model, area, buffer),
    }
}

/// The mesh, the node under the cursor, and the way to it.
fn draw_map(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(shown) = model.data.shown() else { return };
    let own = shown.status.node.name.as_str();
    let selected = model.chosen_node.as_deref();
    let path = selected.map(|to| path(model, own, to)).unwrap_or_default();
    let dead = model.data.dead();
    let (theme, glyphs) = (&model.look.theme, model.look.glyphs);
    MapView { mesh: &shown.mesh, own, selected, path: &path, dead: &dead, theme, glyphs }.render(area, buffer);
}

/// Names of the nodes on the way between two, both included: a direct link that the graph does not hold counts, too.
fn path(model: &Model, own: &str, to: &str) -> Vec<String> {
    let is_direct = model.data.peer_named(to).is_some_and(|peer| peer.path == PathKind::Direct);
    if is_direct {
        return vec![own.to_owned(), to.to_owned()];
    }
    let mesh = model.data.shown().map(|shown| &shown.mesh);
    mesh.and_then(|mesh| graph::way(mesh, own, to)).map(|way| way.nodes).unwrap_or_default()
}

fn draw_matrix(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(shown) = model.data.shown() else { return };
    let names = model.matrix_names();
    let metric = if model.matrix.loss { Metric::Loss } else { Metric::Rtt };
    let (theme, glyphs) = (&model.look.theme, model.look.glyphs);
    let last = names.len().saturating_sub(1);
    let cursor = (model.matrix.cursor.0.min(last), model.matrix.cursor.1.min(last));
    MatrixView { mesh: &shown.mesh, metric, cursor, names: &names, theme, glyphs }.render(area, buffer);
}

/// Nothing is known: why, and what to do.
fn absent(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = &model.look.theme;
    let cells = usize::from(area.width).saturating_sub(2).min(76);
    let mut lines = Vec::new();
    match &model.connection {
        Connection::Connecting | Connection::Live => {
            let place = if model.place.is_empty() { String::new() } else { format!(" to {}", model.place) };
            lines.push(Row::new().with(format!(" connecting{place} ..."), theme.muted));
        }
        Connection::Lost { why, retry_at, .. } => {
            for line in wrapped(why, cells) {
                lines.push(Row::new().with(format!(" {line}"), theme.bad));
            }
            if retry_at.is_some() {
                lines.push(Row::new());
                lines.push(Row::new().with(" It is tried again every few seconds; q quits.", theme.muted));
            }
        }
    }
    let y = if area.height > 8 { area.height / 3 } else { 0 };
    rows(buffer, Rect { y: area.y + y, height: area.height - y, ..area }, &lines);
}

/// Only characters that every terminal has.
fn to_ascii(area: Rect, buffer: &mut Buffer) {
    for position in area.positions() {
        let cell = &mut buffer[position];
        if !cell.symbol().is_ascii() {
            let symbol = Glyphs::ascii(cell.symbol()).to_owned();
            cell.set_symbol(&symbol);
        }
    }
}

#[cfg(test)]
mod tests;
