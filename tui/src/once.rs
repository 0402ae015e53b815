//! One screen without a terminal: for scripts, bug reports, pictures and tests.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wgnet_api::{Event, Item, JournalEntry, Recording, Snapshot};

use crate::config::Config;
use crate::message::{Message, Playing};
use crate::model::{Look, Model, Screen};
use crate::update::update;
use crate::view::view;

/// A screen of one moment.
pub fn moment(snapshot: &Snapshot, journal: &[JournalEntry], look: Look) -> Model {
    let mut model = Model::new(look, Config::default().keymap);
    update(&mut model, Message::Connected { place: String::new() }, 0);
    update(&mut model, Message::Stream(Event::Snapshot(Box::new(snapshot.clone()))), 0);
    for entry in journal {
        update(&mut model, Message::Stream(Event::Journal(entry.clone())), 0);
    }
    model
}

/// A recording as it is so many milliseconds after its begin, with everything that was before: curves are full. `place`
/// says in words what it is: a file's name, [`demo::PLACE`](crate::source::demo::PLACE).
pub fn recorded(recording: &Recording, place: &str, at_ms: u64, look: Look) -> Model {
    let mut model = Model::new(look, Config::default().keymap);
    update(&mut model, Message::Connected { place: place.to_owned() }, 0);
    for line in recording.lines.iter().take_while(|line| line.at_ms <= at_ms) {
        let message = match &line.item {
            Item::Event(event) => Message::Stream(event.clone()),
            Item::Why(why) => Message::Recorded(why.clone()),
            Item::Gone(gone) => Message::Disconnected { why: gone.clone(), retry_at: None },
        };
        update(&mut model, message, line.at_ms);
    }
    let length_ms = recording.length_ms();
    let playing = Playing { at_ms: at_ms.min(length_ms), length_ms, speed: 1.0, paused: false };
    update(&mut model, Message::Playing(playing), at_ms);
    model
}

/// Draws a screen of a model, as a terminal of this size would show it.
pub fn draw(model: &mut Model, screen: Screen, width: u16, height: u16) -> Buffer {
    model.screen = screen;
    model.size = (width, height);
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    view(model, area, &mut buffer);
    buffer
}
