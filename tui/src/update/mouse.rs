//! The mouse: the wheel moves, a click chooses, a second click opens.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::{act, go, journal, screens};
use crate::keys::Action;
use crate::layout;
use crate::message::Effect;
use crate::model::{Model, Screen};

/// Takes in what the mouse did.
pub(super) fn update(model: &mut Model, event: MouseEvent, effects: &mut Vec<Effect>) {
    if model.overlay.is_some() {
        return;
    }
    match event.kind {
        MouseEventKind::ScrollUp => act(model, Action::Up, effects),
        MouseEventKind::ScrollDown => act(model, Action::Down, effects),
        MouseEventKind::Down(MouseButton::Left) => click(model, Position::new(event.column, event.row), effects),
        _ => {}
    }
}

fn click(model: &mut Model, at: Position, effects: &mut Vec<Effect>) {
    let frame = layout::frame(model.area());
    if frame.tabs.contains(at) {
        let tabs = layout::tabs(frame.tabs.width);
        let tab = tabs.into_iter().find(|(_, x, text)| (*x..*x + text.len() as u16).contains(&at.x));
        if let Some((screen, _, _)) = tab {
            go(model, screen);
        }
        return;
    }
    if !frame.body.contains(at) || !model.pages.is_empty() {
        return;
    }
    let (height, above) = screens::list_rows(model);
    let row = usize::from(at.y - frame.body.y).checked_sub(above);
    let Some(row) = row.filter(|row| *row < height) else { return };
    match model.screen {
        Screen::Peers | Screen::Routes => {
            let before = screens::chosen_peer(model);
            screens::click_row(model, row);
            if screens::chosen_peer(model) == before {
                act(model, Action::Open, effects);
            }
        }
        Screen::Journal => journal::click_row(model, row),
        Screen::Overview | Screen::Map | Screen::Matrix | Screen::Admin => {}
    }
}
