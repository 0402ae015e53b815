//! The journal: following, holding still, moving, and from an event to its peer.

use wgnet_api::JournalEntry;

use super::{pages, screens};
use crate::keys::Action;
use crate::list::Cursor;
use crate::message::Effect;
use crate::model::{Model, event_id};

/// Holds the list still, or follows again.
pub(super) fn hold(model: &mut Model) {
    model.journal.held_at = match model.journal.held_at {
        Some(_) => None,
        None => Some(model.data.journal().last().map_or((0, 0), |entry| (entry.time_ms, entry.number))),
    };
}

fn ids(model: &Model) -> Vec<String> {
    model.listed_events().into_iter().map(event_id).collect()
}

/// Moves the cursor. On the last row it follows what comes.
pub(super) fn step(model: &mut Model, action: Action) {
    let (height, _) = screens::list_rows(model);
    let ids = ids(model);
    let by = screens::distance(action, ids.len(), height);
    move_by(model, &ids, by, height);
}

fn move_by(model: &mut Model, ids: &[String], by: isize, height: usize) {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let Some(last) = ids.len().checked_sub(1) else { return };
    let mut cursor = model.journal.cursor.take().unwrap_or_else(|| {
        let mut end = Cursor::default();
        end.step(&ids, last as isize, height);
        end
    });
    cursor.step(&ids, by, height);
    model.journal.cursor = (cursor.index(&ids) != Some(last)).then_some(cursor);
}

/// To the row so many below the first visible one.
pub(super) fn click_row(model: &mut Model, row: usize) {
    let (height, _) = screens::list_rows(model);
    let ids = ids(model);
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    let last = ids.len().saturating_sub(1);
    let at = model.journal.cursor.as_ref().and_then(|cursor| cursor.index(&names)).unwrap_or(last);
    let offset = match &model.journal.cursor {
        Some(cursor) => cursor.offset(at, ids.len(), height),
        None => ids.len().saturating_sub(height),
    };
    if offset + row < ids.len() {
        move_by(model, &ids, (offset + row) as isize - at as isize, height);
    }
}

/// The event under the cursor.
pub(super) fn chosen(model: &Model) -> Option<&JournalEntry> {
    let events = model.listed_events();
    let ids: Vec<String> = events.iter().map(|entry| event_id(entry)).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    match &model.journal.cursor {
        Some(cursor) => cursor.index(&ids).map(|index| events[index]),
        None => events.last().copied(),
    }
}

/// Opens the page of the peer that the event is about.
pub(super) fn open(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(subject) = chosen(model).map(|entry| entry.subject.clone()) else { return };
    let peers = model.data.shown().map(|shown| shown.status.peers.as_slice()).unwrap_or_default();
    let is_it = |id: &str, name: &str| name == subject || (!subject.is_empty() && id.starts_with(&subject));
    match peers.iter().find(|peer| is_it(&peer.id, &peer.name)).map(|peer| peer.id.clone()) {
        Some(id) => pages::open_peer(model, &id, effects),
        None => model.say(wgnet_api::Severity::Info, format!("{subject} is no peer at present"), 4),
    }
}
