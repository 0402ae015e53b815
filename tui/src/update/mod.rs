//! What a message changes, and what is wanted because of it. No clock, no terminal, no threads: the time comes with the
//! message, so tests run it as fast as they like.
//!
//! A key goes to what is laid over everything (palette, filter, help), else to a form, else through the key table to an
//! [`Action`], which the screen in front carries out.

mod admin;
mod input;
mod journal;
mod mouse;
mod pages;
mod screens;

use std::path::PathBuf;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use wgnet_api::{Event, Severity};

use crate::export::json;
use crate::keys::Action;
use crate::message::{Answer, Control, Effect, Message, Outcome, Refused, Request};
use crate::model::{Connection, Explained, Look, Model, Overlay, Page, Screen};
use crate::theme;

/// How slowly and how fast a recording plays.
const SPEEDS: (f32, f32) = (0.25, 64.0);

/// Takes in what happened at `now_ms`, and tells what is to be done.
pub fn update(model: &mut Model, message: Message, now_ms: u64) -> Vec<Effect> {
    model.now_ms = now_ms;
    let mut effects = Vec::new();
    match message {
        Message::Key(event) => key(model, event, &mut effects),
        Message::Mouse(event) => mouse::update(model, event, &mut effects),
        Message::Paste(text) => input::paste(model, &text),
        Message::Resize(width, height) => model.size = (width, height),
        Message::Tick => {}
        Message::Connected { place } => {
            model.place = place;
            model.connection = Connection::Live;
        }
        Message::Disconnected { why, retry_at } => {
            let since_ms = match &model.connection {
                Connection::Lost { since_ms, .. } => *since_ms,
                Connection::Connecting | Connection::Live => now_ms,
            };
            model.connection = Connection::Lost { why, since_ms, retry_at };
        }
        Message::Stream(event) => stream(model, event, &mut effects),
        Message::Answer(answer) => answered(model, answer),
        Message::Recorded(why) => {
            let ends = (why.from.clone(), why.to.clone());
            model.explained.insert(ends, Explained::Known(why));
        }
        Message::Playing(playing) => model.playing = Some(playing),
        Message::Saved { path, result } => match result {
            Ok(()) => model.say(Severity::Info, format!("saved as {}", path.display()), 6),
            Err(why) => model.say(Severity::Error, format!("not saved as {}: {why}", path.display()), 10),
        },
        Message::Closed => effects.push(Effect::Quit),
    }
    if model.notice.as_ref().is_some_and(|notice| notice.until_ms <= now_ms) {
        model.notice = None;
    }
    effects
}

fn stream(model: &mut Model, event: Event, effects: &mut Vec<Effect>) {
    if !matches!(event, Event::Journal(_)) {
        model.connection = Connection::Live;
    }
    let before = pages::open_way(model);
    // A recording that is wound back begins anew: what came later is not known yet.
    if let (Event::Snapshot(snapshot), Some(_)) = (&event, model.playing)
        && model.data.live().is_some_and(|live| snapshot.time_ms < live.time_ms)
    {
        model.data.forget();
    }
    model.data.take(event, model.now_ms);
    // The explanation of a way that moved is out of date.
    if pages::open_way(model) != before {
        pages::explain(model, effects);
    }
}

fn answered(model: &mut Model, Answer { request, outcome }: Answer) {
    let Request::Why { from, to } = request else { return admin::answered(model, request, outcome) };
    let own = model.data.shown().map(|shown| shown.status.node.name.clone()).unwrap_or_default();
    let ends = (from.unwrap_or_else(|| model.data.real_name(&own)), to);
    let explained = match outcome {
        Ok(Outcome::Why(why)) => Explained::Known(why),
        Ok(_) => Explained::Refused(Refused::default()),
        Err(refused) => Explained::Refused(refused),
    };
    model.explained.insert(ends, explained);
}

fn key(model: &mut Model, event: KeyEvent, effects: &mut Vec<Effect>) {
    if event.kind == KeyEventKind::Release {
        return;
    }
    // Also where letters are typed, and whatever the user's keys are: there is always a way out.
    if event.code == KeyCode::Char('c') && event.modifiers.contains(KeyModifiers::CONTROL) {
        effects.push(Effect::Quit);
        return;
    }
    if input::key(model, event, effects) {
        return;
    }
    if let Some(action) = model.keymap.action(&model.contexts(), event) {
        act(model, action, effects);
    }
}

/// Carries out an action.
fn act(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Quit => effects.push(Effect::Quit),
        Action::Help => model.overlay = Some(Overlay::Help(0)),
        Action::Palette => model.overlay = Some(Overlay::Palette(tui_input::Input::default(), 0)),
        Action::Go(screen) => go(model, screen),
        Action::NextScreen => step_screen(model, 1),
        Action::LastScreen => step_screen(model, Screen::ALL.len() - 1),
        Action::Back => back(model),
        Action::Freeze if model.data.is_held() => model.data.release(),
        Action::Freeze => {
            model.data.hold();
        }
        Action::Earlier => model.data.scrub(-1),
        Action::Later => model.data.scrub(1),
        Action::Privacy => privacy(model),
        Action::Theme => {
            let at = theme::NAMES.iter().position(|name| *name == model.look.name).unwrap_or_default();
            take_theme(model, theme::NAMES[(at + 1) % theme::NAMES.len()]);
        }
        Action::Mouse => take_mouse(model, effects),
        Action::Export => {
            let screen = model.screen.title().to_lowercase();
            effects.push(Effect::SaveScreen { path: file(model, &screen, "svg") });
        }
        Action::ExportJson => {
            let journal: Vec<_> = model.data.journal().cloned().collect();
            if let Some(shown) = model.data.shown() {
                let text = json::json(shown, &journal);
                effects.push(Effect::Save { path: file(model, "moment", "json"), text });
            }
        }
        Action::Filter => input::edit_filter(model),
        Action::Sort => model.peers.sort = model.peers.sort.step(1),
        Action::SortBack => model.peers.sort = model.peers.sort.step(-1),
        Action::Reverse => model.peers.reverse = !model.peers.reverse,
        Action::Probe => probe(model, effects),
        Action::Metric => model.matrix.loss = !model.matrix.loss,
        Action::Hold => journal::hold(model),
        Action::Times => model.journal.absolute = !model.journal.absolute,
        Action::Yes => admin::yes(model, effects),
        Action::No => admin::no(model),
        Action::Play | Action::Slower | Action::Faster | Action::SeekBack | Action::SeekOn => {
            steer(model, action, effects);
        }
        Action::Up
        | Action::Down
        | Action::Left
        | Action::Right
        | Action::PageUp
        | Action::PageDown
        | Action::First
        | Action::Last
        | Action::Open
        | Action::Copy => match model.pages.last() {
            Some(_) => pages::act(model, action, effects),
            None => screens::act(model, action, effects),
        },
    }
}

/// A file in the working directory, named after the moment that is shown.
fn file(model: &Model, what: &str, kind: &str) -> PathBuf {
    PathBuf::from(format!("wgnet-{what}-{}.{kind}", model.time_ms() / 1_000))
}

/// Shows a screen; what was open on the other one is closed.
fn go(model: &mut Model, screen: Screen) {
    model.screen = screen;
    model.pages.clear();
    model.overlay = None;
}

fn step_screen(model: &mut Model, by: usize) {
    let at = Screen::ALL.iter().position(|screen| *screen == model.screen).unwrap_or_default();
    go(model, Screen::ALL[(at + by) % Screen::ALL.len()]);
}

/// One thing at a time, the innermost first.
fn back(model: &mut Model) {
    if model.pages.pop().is_some() || (model.screen == Screen::Admin && admin::back(model)) {
        return;
    }
    if let Some(sieve) = input::sieve(model).filter(|sieve| !sieve.text.is_empty()) {
        sieve.set("");
    } else if model.screen == Screen::Journal && model.journal.cursor.is_some() {
        model.journal.cursor = None;
    } else if model.data.is_held() {
        model.data.release();
    } else {
        model.screen = Screen::Overview;
    }
}

/// Shows pseudonyms from now on.
pub fn hide(model: &mut Model) {
    if !model.data.is_private() {
        privacy(model);
    }
}

fn privacy(model: &mut Model) {
    let is_private = !model.data.is_private();
    let chosen = model.chosen_node.take().map(|name| model.data.real_name(&name));
    let changed = model.data.set_private(is_private);
    let new_id = |old: &str| changed.iter().find(|(before, _)| before == old).map(|(_, after)| after.clone());
    for cursor in [&mut model.peers.cursor, &mut model.routes.cursor] {
        if let Some(id) = cursor.id().and_then(new_id) {
            cursor.choose(&id);
        }
    }
    model.pages.retain(|page| matches!(page, Page::Peer { .. }));
    for page in &mut model.pages {
        if let Page::Peer { id, .. } = page
            && let Some(new) = new_id(id)
        {
            *id = new;
        }
    }
    model.chosen_node = chosen.map(|name| model.data.shown_name(&name));
    let told = if is_private { "pseudonyms are shown" } else { "real names are shown" };
    model.say(Severity::Info, told, 4);
}

/// Takes a theme by name.
fn take_theme(model: &mut Model, name: &'static str) {
    model.look = Look::new(name, model.look.depth, model.look.glyphs);
    model.say(Severity::Info, format!("theme: {name}"), 3);
}

fn take_mouse(model: &mut Model, effects: &mut Vec<Effect>) {
    model.mouse = !model.mouse;
    effects.push(Effect::ToggleMouse(model.mouse));
    let told = if model.mouse {
        "the mouse is taken: click tabs and rows; shift selects text in most terminals"
    } else {
        "the mouse is the terminal's again"
    };
    model.say(Severity::Info, told, 5);
}

fn probe(model: &mut Model, effects: &mut Vec<Effect>) {
    let id = match model.pages.last() {
        Some(Page::Peer { id, .. }) => Some(id.clone()),
        _ => screens::chosen_peer(model),
    };
    let Some(peer) = id.and_then(|id| model.data.peer(&id)) else { return };
    let name = model.data.real_name(&peer.name);
    effects.push(Effect::Ask(Request::Probe(Some(name))));
}

fn steer(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    let Some(playing) = model.playing else { return };
    let control = match action {
        Action::Play => Control::Pause(!playing.paused),
        Action::Slower => Control::Speed((playing.speed / 2.0).max(SPEEDS.0)),
        Action::Faster => Control::Speed((playing.speed * 2.0).min(SPEEDS.1)),
        Action::SeekBack => Control::Seek(playing.at_ms.saturating_sub(10_000)),
        _ => Control::Seek((playing.at_ms + 10_000).min(playing.length_ms)),
    };
    effects.push(Effect::Replay(control));
}

#[cfg(test)]
mod tests;
