//! Pages on a screen: one peer, or one explanation.

use wgnet_api::PathKind;

use crate::keys::Action;
use crate::message::{Effect, Request};
use crate::model::{Explained, Model, Page};

/// Explanations that are kept.
const MOST_EXPLAINED: usize = 200;

/// Opens the page of a peer by its identity, and asks why packets travel to it as they do.
pub(super) fn open_peer(model: &mut Model, id: &str, effects: &mut Vec<Effect>) {
    if model.data.peer(id).is_some() {
        model.pages.push(Page::Peer { id: id.to_owned(), scroll: 0 });
        explain(model, effects);
    }
}

/// Opens the explanation of the way between two nodes, by their shown names.
pub(super) fn open_why(model: &mut Model, from: &str, to: &str, effects: &mut Vec<Effect>) {
    model.pages.push(Page::Why { from: from.to_owned(), to: to.to_owned(), scroll: 0 });
    explain(model, effects);
}

/// The way that the open page is about, as far as it shows in a snapshot: when it changes, so does its explanation.
pub(super) fn open_way(model: &Model) -> Option<(PathKind, Option<String>, u32)> {
    let Page::Peer { id, .. } = model.pages.last()? else { return None };
    let peer = model.data.peer(id)?;
    Some((peer.path, peer.via.clone(), peer.hops))
}

/// Asks for the explanation of the open page.
pub(super) fn explain(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some((from, to)) = ends(model) else { return };
    let (from, to) = (model.data.real_name(&from), model.data.real_name(&to));
    if model.explained.len() >= MOST_EXPLAINED {
        model.explained.clear();
    }
    // What is known stays until something newer comes.
    model.explained.entry((from.clone(), to.clone())).or_insert(Explained::Asked);
    effects.push(Effect::Ask(Request::Why { from: Some(from), to }));
}

/// The shown names at both ends of what the open page explains.
fn ends(model: &Model) -> Option<(String, String)> {
    match model.pages.last()? {
        Page::Why { from, to, .. } => Some((from.clone(), to.clone())),
        Page::Peer { id, .. } => {
            let peer = model.data.peer(id).filter(|peer| !peer.foreign)?;
            Some((model.data.shown()?.status.node.name.clone(), peer.name.clone()))
        }
    }
}

/// Carries out what a page can do: scroll, copy.
pub(super) fn act(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    let page = model.body_height().saturating_sub(2).max(1);
    let rows = crate::view::page_rows(model);
    let most = rows.saturating_sub(crate::view::page_height(model));
    let Some(Page::Peer { scroll, .. } | Page::Why { scroll, .. }) = model.pages.last_mut() else { return };
    match action {
        Action::Up => *scroll = scroll.saturating_sub(1),
        Action::Down => *scroll += 1,
        Action::PageUp => *scroll = scroll.saturating_sub(page),
        Action::PageDown => *scroll += page,
        Action::First => *scroll = 0,
        Action::Last => *scroll = most,
        Action::Open => explain(model, effects),
        Action::Copy => copy(model, effects),
        _ => {}
    }
    if let Some(Page::Peer { scroll, .. } | Page::Why { scroll, .. }) = model.pages.last_mut() {
        *scroll = (*scroll).min(most);
    }
}

/// The whole page as text: it goes into a chat or a bug report.
fn copy(model: &mut Model, effects: &mut Vec<Effect>) {
    let text = crate::view::page_text(model);
    let lines = text.lines().count();
    effects.push(Effect::Copy(text));
    model.say(wgnet_api::Severity::Info, format!("copied: {lines} lines"), 4);
}
