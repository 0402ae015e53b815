//! What moving, opening and copying mean on each screen.

use wgnet_api::Severity;

use super::{admin, journal, pages};
use crate::keys::Action;
use crate::layout;
use crate::list::Cursor;
use crate::message::Effect;
use crate::model::{Model, Screen};
use crate::view;

/// Carries out an action on the screen in front.
pub(super) fn act(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match (model.screen, action) {
        (_, Action::Open) => open(model, effects),
        (_, Action::Copy) => copy(model, effects),
        (Screen::Overview, _) => {}
        (Screen::Peers | Screen::Routes, _) => step_rows(model, action),
        (Screen::Map, _) => step_map(model, action),
        (Screen::Matrix, _) => step_matrix(model, action),
        (Screen::Journal, _) => journal::step(model, action),
        (Screen::Admin, _) => admin::step(model, action),
    }
}

/// How far an action moves in a list of so many rows, of which `height` are seen.
pub(super) fn distance(action: Action, rows: usize, height: usize) -> isize {
    let page = height.saturating_sub(1).max(1) as isize;
    match action {
        Action::Up => -1,
        Action::Down => 1,
        Action::PageUp => -page,
        Action::PageDown => page,
        Action::First => -(rows as isize),
        Action::Last => rows as isize,
        _ => 0,
    }
}

/// Rows of a list below its head, and the rows of the body above the first one.
pub(super) fn list_rows(model: &Model) -> (usize, usize) {
    let body = layout::frame(model.area()).body;
    let above = view::list_above(model, body.height);
    (usize::from(body.height).saturating_sub(above + view::list_below(model, body)), above)
}

fn step_rows(model: &mut Model, action: Action) {
    let (height, _) = list_rows(model);
    with_rows(model, |ids, cursor| cursor.step(ids, distance(action, ids.len(), height), height));
}

/// The rows of the list in front, by identity, and its cursor.
fn with_rows(model: &mut Model, change: impl FnOnce(&[&str], &mut Cursor)) {
    let is_peers = model.screen == Screen::Peers;
    let listed = if is_peers { model.listed_peers() } else { model.listed_routes() };
    let ids: Vec<&str> = listed.iter().map(|peer| peer.id.as_str()).collect();
    let mut cursor = if is_peers { model.peers.cursor.clone() } else { model.routes.cursor.clone() };
    change(&ids, &mut cursor);
    *(if is_peers { &mut model.peers.cursor } else { &mut model.routes.cursor }) = cursor;
}

/// To the row so many below the first visible one.
pub(super) fn click_row(model: &mut Model, row: usize) {
    let (height, _) = list_rows(model);
    with_rows(model, |ids, cursor| {
        let Some(index) = cursor.index(ids) else { return };
        let clicked = cursor.offset(index, ids.len(), height) + row;
        if clicked < ids.len() {
            cursor.to(ids, clicked, height);
        }
    });
}

fn step_map(model: &mut Model, action: Action) {
    let Some(shown) = model.data.shown() else { return };
    let names = view::map::order(&shown.mesh);
    let Some(last) = names.len().checked_sub(1) else { return };
    let own = Some(&shown.status.node.name);
    let at = names.iter().position(|name| model.chosen_node.as_ref().or(own) == Some(name)).unwrap_or_default();
    let by = match action {
        Action::Left => -1,
        Action::Right => 1,
        _ => distance(action, names.len(), 6),
    };
    let to = match action {
        // All around, as on a ring.
        Action::Left | Action::Up | Action::Right | Action::Down => {
            (at as isize + by).rem_euclid(names.len() as isize) as usize
        }
        _ => at.saturating_add_signed(by).min(last),
    };
    model.chosen_node = names.into_iter().nth(to);
}

fn step_matrix(model: &mut Model, action: Action) {
    let Some(last) = model.matrix_names().len().checked_sub(1) else { return };
    let (row, column) = model.matrix.cursor;
    let page = 10;
    let (row, column) = match action {
        Action::Up => (row.saturating_sub(1), column),
        Action::Down => (row + 1, column),
        Action::Left => (row, column.saturating_sub(1)),
        Action::Right => (row, column + 1),
        Action::PageUp => (row.saturating_sub(page), column),
        Action::PageDown => (row + page, column),
        Action::First => (0, 0),
        Action::Last => (last, last),
        _ => (row, column),
    };
    model.matrix.cursor = (row.min(last), column.min(last));
}

/// Identity of the peer under the cursor of the list in front.
pub(super) fn chosen_peer(model: &Model) -> Option<String> {
    let (listed, cursor) = match model.screen {
        Screen::Peers => (model.listed_peers(), &model.peers.cursor),
        Screen::Routes => (model.listed_routes(), &model.routes.cursor),
        _ => return None,
    };
    let ids: Vec<&str> = listed.iter().map(|peer| peer.id.as_str()).collect();
    Some(ids[cursor.index(&ids)?].to_owned())
}

fn open(model: &mut Model, effects: &mut Vec<Effect>) {
    match model.screen {
        Screen::Overview => super::go(model, Screen::Peers),
        Screen::Peers | Screen::Routes => {
            if let Some(id) = chosen_peer(model) {
                pages::open_peer(model, &id, effects);
            }
        }
        Screen::Map => {
            let name = model.chosen_node.clone().unwrap_or_default();
            if let Some(id) = model.data.peer_named(&name).map(|peer| peer.id.clone()) {
                pages::open_peer(model, &id, effects);
            }
        }
        Screen::Matrix => {
            let names = model.matrix_names();
            let (row, column) = model.matrix.cursor;
            if let (Some(from), Some(to)) = (names.get(row), names.get(column))
                && from != to
            {
                pages::open_why(model, from, to, effects);
            }
        }
        Screen::Journal => journal::open(model, effects),
        Screen::Admin => admin::open(model, effects),
    }
}

/// What is under the cursor, as a person would paste it.
fn copy(model: &mut Model, effects: &mut Vec<Effect>) {
    let text = match model.screen {
        Screen::Peers | Screen::Routes => {
            chosen_peer(model).and_then(|id| model.data.peer(&id)).map(|peer| peer.address.clone())
        }
        Screen::Map => model.chosen_node.clone(),
        Screen::Journal => journal::chosen(model).map(|entry| format!("{}: {}", entry.subject, entry.text)),
        Screen::Overview => model.data.shown().map(|shown| shown.status.node.public_key.clone()),
        Screen::Matrix | Screen::Admin => None,
    };
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        model.say(Severity::Info, format!("copied: {text}"), 4);
        effects.push(Effect::Copy(text));
    }
}
