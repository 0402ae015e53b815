//! What is typed: the filter, the palette, the blanks of a form, and the keys of the help.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent};
use tui_input::backend::crossterm::EventHandler;
use tui_input::{Input, InputRequest};

use super::{act, admin, go, pages, take_theme};
use crate::keys::Action;
use crate::message::Effect;
use crate::model::{Model, Overlay, Screen, Sieve};
use crate::palette::{self, Command};

/// Takes a key where something is typed or read; `false`: it is for the screen.
pub(super) fn key(model: &mut Model, event: KeyEvent, effects: &mut Vec<Effect>) -> bool {
    match model.overlay.take() {
        Some(Overlay::Help(scroll)) => help(model, event, scroll),
        Some(Overlay::Palette(input, chosen)) => palette(model, event, input, chosen, effects),
        Some(Overlay::Filter(input, before)) => filter(model, event, input, before),
        None if model.screen == Screen::Admin && model.pages.is_empty() && model.admin.is_typing() => {
            admin::fill(model, event, effects);
        }
        None => return false,
    }
    true
}

/// Pasted text goes where letters would; line breaks become blanks.
pub(super) fn paste(model: &mut Model, text: &str) {
    let letters: Vec<char> = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let put = |input: &mut Input| {
        for letter in letters {
            input.handle(InputRequest::InsertChar(letter));
        }
    };
    match &mut model.overlay {
        Some(Overlay::Palette(input, chosen)) => {
            put(input);
            *chosen = 0;
        }
        Some(Overlay::Filter(input, _)) => {
            put(input);
            let typed = input.value().to_owned();
            if let Some(sieve) = sieve(model) {
                sieve.set(&typed);
            }
        }
        Some(Overlay::Help(_)) => {}
        None => {
            if let Some(input) = admin::focused(model) {
                put(input);
            }
        }
    }
}

fn help(model: &mut Model, event: KeyEvent, scroll: usize) {
    let page = crate::view::help_height(model).max(1);
    let moved = match model.keymap.action(&model.contexts(), event) {
        Some(Action::Help | Action::Quit | Action::Back | Action::No) => None,
        Some(Action::Down) => Some(scroll + 1),
        Some(Action::Up) => Some(scroll.saturating_sub(1)),
        Some(Action::PageDown) => Some(scroll + page),
        Some(Action::PageUp) => Some(scroll.saturating_sub(page)),
        Some(Action::First) => Some(0),
        Some(Action::Last) => Some(usize::MAX),
        _ => Some(scroll),
    };
    let most = crate::view::help_rows(model).saturating_sub(page);
    model.overlay = moved.map(|scroll| Overlay::Help(scroll.min(most)));
}

/// The filter of the screen, if it has one.
pub(super) fn sieve(model: &mut Model) -> Option<&mut Sieve> {
    match model.screen {
        Screen::Peers => Some(&mut model.peers.sieve),
        Screen::Routes => Some(&mut model.routes.sieve),
        Screen::Journal => Some(&mut model.journal.sieve),
        Screen::Overview | Screen::Map | Screen::Matrix | Screen::Admin => None,
    }
}

/// Begins to edit the filter of the screen.
pub(super) fn edit_filter(model: &mut Model) {
    if let Some(sieve) = sieve(model) {
        let text = sieve.text.clone();
        model.overlay = Some(Overlay::Filter(Input::from(text.clone()), text));
    }
}

/// The list follows each letter. Enter keeps the filter, Esc the one before.
fn filter(model: &mut Model, event: KeyEvent, mut input: Input, before: String) {
    match event.code {
        KeyCode::Enter => {}
        KeyCode::Esc => {
            if let Some(sieve) = sieve(model) {
                sieve.set(&before);
            }
        }
        _ => {
            input.handle_event(&Event::Key(event));
            if let Some(sieve) = sieve(model) {
                sieve.set(input.value());
            }
            model.overlay = Some(Overlay::Filter(input, before));
        }
    }
}

fn palette(model: &mut Model, event: KeyEvent, mut input: Input, chosen: usize, effects: &mut Vec<Effect>) {
    let suggestions = palette::suggestions(model, input.value());
    let last = suggestions.len().saturating_sub(1);
    let chosen = chosen.min(last);
    match event.code {
        KeyCode::Esc => {}
        KeyCode::Up => model.overlay = Some(Overlay::Palette(input, chosen.saturating_sub(1))),
        KeyCode::Down => model.overlay = Some(Overlay::Palette(input, (chosen + 1).min(last))),
        KeyCode::Tab => {
            let input = suggestions.get(chosen).map_or(input, |suggestion| Input::from(suggestion.text.clone()));
            model.overlay = Some(Overlay::Palette(input, 0));
        }
        KeyCode::Enter => match suggestions.into_iter().nth(chosen).map(|suggestion| suggestion.command) {
            Some(command) => run(model, command, effects),
            None => model.overlay = Some(Overlay::Palette(input, chosen)),
        },
        _ => {
            input.handle_event(&Event::Key(event));
            model.overlay = Some(Overlay::Palette(input, 0));
        }
    }
}

fn run(model: &mut Model, command: Command, effects: &mut Vec<Effect>) {
    match command {
        Command::Do(action) => act(model, action, effects),
        Command::Goto(screen) => go(model, screen),
        Command::Theme(name) => take_theme(model, name),
        Command::Change(deed) => {
            go(model, Screen::Admin);
            admin::begin(model, deed, effects);
        }
        Command::Type(text) => model.overlay = Some(Overlay::Palette(Input::from(text), 0)),
        Command::Peer(name) => {
            if let Some(id) = model.data.peer_named(&name).map(|peer| peer.id.clone()) {
                go(model, Screen::Peers);
                model.peers.cursor.choose(&id);
                pages::open_peer(model, &id, effects);
            }
        }
        Command::Why(from, to) => pages::open_why(model, &from, &to, effects),
    }
}
