//! What keys and messages do, in virtual time.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use wgnet_api::{Change, Event, Missing, Pair, PathKind, Plan, Reload, Severity, Why};

use super::*;
use crate::admin::Stage;
use crate::fixture;
use crate::keys::{Context, Keymap, TABLE};
use crate::message::Playing;
use crate::model::Forecast;
use crate::once;
use crate::peers::Field;

fn model() -> Model {
    let mut model = once::moment(&fixture::snapshot(8), &fixture::journal(), Look::default());
    model.place = "/run/wgnet/wg0.sock".into();
    model
}

/// `<name>` is a key by its name, everything else a letter.
fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut rest = keys;
    while let Some(letter) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let (code, after) = match named {
            Some((name, after)) => {
                let code = match name {
                    "enter" => KeyCode::Enter,
                    "esc" => KeyCode::Esc,
                    "down" => KeyCode::Down,
                    "left" => KeyCode::Left,
                    "tab" => KeyCode::Tab,
                    "space" => KeyCode::Char(' '),
                    other => panic!("no key is called {other}"),
                };
                (code, after)
            }
            None => (KeyCode::Char(letter), &rest[letter.len_utf8()..]),
        };
        let now_ms = model.now_ms;
        effects.extend(update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)), now_ms));
        rest = after;
    }
    effects
}

fn go_on(model: &mut Model, seconds: u64) {
    for _ in 0..seconds {
        let now = model.data.live().expect("a mesh").clone();
        let difference = now.difference(&fixture::later(&now, 1));
        let now_ms = model.now_ms + 1_000;
        update(model, Message::Stream(Event::Difference(Box::new(difference))), now_ms);
    }
}

fn answer(model: &mut Model, request: Request, outcome: Result<Outcome, Refused>) -> Vec<Effect> {
    let now_ms = model.now_ms;
    update(model, Message::Answer(Answer { request, outcome }), now_ms)
}

#[test]
fn the_cursor_stays_on_its_peer_when_the_list_is_sorted_anew() {
    let mut model = model();
    press(&mut model, "2jj");
    let before = screens::chosen_peer(&model);
    press(&mut model, "r");
    assert_eq!(screens::chosen_peer(&model), before);
    press(&mut model, "sss");
    assert_eq!(screens::chosen_peer(&model), before);
    assert_ne!(model.peers.sort.0, Field::Address);
}

#[test]
fn a_filter_acts_with_each_letter_and_esc_brings_the_one_before_back() {
    let mut model = model();
    press(&mut model, "2/path:gateway<enter>");
    assert_eq!(model.listed_peers().len(), 2);
    press(&mut model, "/<space>era");
    assert_eq!(model.peers.sieve.text, "path:gateway era");
    press(&mut model, "<esc>");
    assert_eq!(model.peers.sieve.text, "path:gateway");
    press(&mut model, "<esc>");
    assert_eq!(model.listed_peers().len(), 8, "Esc on the list clears the filter");
}

#[test]
fn a_peers_page_asks_why_and_asks_again_when_its_path_moves() {
    let mut model = model();
    let asked = press(&mut model, "2jjj<enter>");
    let why = Request::Why { from: Some("alice".into()), to: "erin".into() };
    assert_eq!(asked, [Effect::Ask(why.clone())]);
    assert_eq!(model.explanation("alice", "erin"), Some(&Explained::Asked));
    let missing = Missing { reason: "no link".into(), remedy: "plug it in".into() };
    let told = Why {
        from: "alice".into(),
        to: "erin".into(),
        hops: Vec::new(),
        cost: None,
        candidates: Vec::new(),
        missing: Some(missing),
        mtu: 1_420,
        readers: Vec::new(),
        note: None,
    };
    answer(&mut model, why.clone(), Ok(Outcome::Why(Box::new(told.clone()))));
    assert_eq!(model.explanation("alice", "erin"), Some(&Explained::Known(Box::new(told))));
    let mut moved = model.data.live().expect("a mesh").clone();
    moved.time_ms += 1_000;
    let erin = moved.status.peers.iter_mut().find(|peer| peer.name == "erin").expect("erin");
    (erin.path, erin.via) = (PathKind::Direct, None);
    let event = Event::Difference(Box::new(model.data.live().expect("a mesh").difference(&moved)));
    assert_eq!(update(&mut model, Message::Stream(event), 1_000), [Effect::Ask(why)]);
    go_on(&mut model, 1);
    press(&mut model, "<esc>");
    assert!(model.pages.is_empty());
}

#[test]
fn a_held_moment_stays_and_can_be_gone_back_from() {
    let mut model = model();
    go_on(&mut model, 10);
    press(&mut model, "f");
    let held = model.time_ms();
    go_on(&mut model, 5);
    assert_eq!(model.time_ms(), held);
    press(&mut model, "[<left>");
    assert_eq!(model.time_ms(), held - 2_000);
    press(&mut model, "]");
    assert_eq!(model.time_ms(), held - 1_000);
    press(&mut model, "<esc>");
    assert_eq!(model.time_ms(), held + 5_000, "Esc lets it go");
}

#[test]
fn a_lost_daemon_is_told_and_its_return_is_live_again() {
    let mut model = model();
    update(&mut model, Message::Disconnected { why: "gone".into(), retry_at: Some(5_500) }, 5_000);
    update(&mut model, Message::Disconnected { why: "gone".into(), retry_at: Some(7_000) }, 6_000);
    assert!(matches!(model.connection, Connection::Lost { since_ms: 5_000, .. }), "since when it is gone");
    assert!(model.data.shown().is_some(), "what was known stays");
    update(&mut model, Message::Connected { place: "there".into() }, 7_000);
    assert_eq!(model.connection, Connection::Live);
}

#[test]
fn a_cost_is_forecast_asked_about_and_set() {
    let mut model = model();
    let forecast = press(&mut model, "7<enter>be<tab><enter>70<enter>");
    let change = Change::Cost { a: "alice".into(), b: "beta".into(), cost: 70 };
    let question = Request::Plan(vec![change]);
    assert_eq!(forecast, [Effect::Ask(question.clone())]);
    let broken = vec![Pair { from: "alice".into(), to: "ivan".into() }];
    let plan = Plan { moved: Vec::new(), broken, gateways: Vec::new(), all_pairs: true, notes: Vec::new() };
    answer(&mut model, question, Ok(Outcome::Plan(plan.clone())));
    assert!(matches!(&model.admin.stage, Stage::Asking { forecast: Forecast::Plan(seen), .. } if *seen == plan));
    let request = Request::LinkCost { peer: "beta".into(), cost: Some(70) };
    assert_eq!(press(&mut model, "y"), [Effect::Ask(request.clone())]);
    let refused = Refused { error: "not a neighbour".into(), remedy: "wait".into() };
    answer(&mut model, request.clone(), Err(refused.clone()));
    assert!(matches!(&model.admin.stage, Stage::Done { outcome: Err(seen), .. } if *seen == refused));
    press(&mut model, "<enter>");
    assert!(matches!(model.admin.stage, Stage::Choose));
}

#[test]
fn no_means_no() {
    let mut model = model();
    model.screen = Screen::Admin;
    model.admin.stage = Stage::Asking { request: Request::Drain(true), forecast: Forecast::None("not known") };
    assert!(press(&mut model, "n").is_empty());
    assert!(matches!(model.admin.stage, Stage::Choose));
}

#[test]
fn a_file_without_differences_is_not_asked_about() {
    let mut model = model();
    let effects = press(&mut model, "7jjjjjjjj<enter><enter>");
    let [Effect::Ask(question @ Request::Reload(request))] = effects.as_slice() else {
        panic!("a dry run: {effects:?}")
    };
    assert!(request.dry_run);
    answer(&mut model, question.clone(), Ok(Outcome::Reload(Reload::default())));
    assert!(matches!(model.admin.stage, Stage::Done { .. }));
}

#[test]
fn mistakes_in_a_form_are_told_before_anyone_is_asked() {
    let mut model = model();
    assert!(press(&mut model, "7<enter>beta<enter>much<enter>").is_empty());
    let Stage::Fill(form) = &model.admin.stage else { panic!("still the form") };
    assert_eq!(form.mistake.as_deref(), Some("a cost is a number from 1 to 1000000"));
}

#[test]
fn an_event_leads_to_its_peer() {
    let mut model = model();
    press(&mut model, "6k");
    assert_eq!(journal::chosen(&model).map(|entry| entry.subject.as_str()), Some("heidi"));
    press(&mut model, "<enter>");
    let Some(Page::Peer { id, .. }) = model.pages.last() else { panic!("a page") };
    assert_eq!(model.data.peer(id).map(|peer| peer.name.as_str()), Some("heidi"));
}

#[test]
fn a_held_journal_stands_still_and_counts() {
    let mut model = model();
    press(&mut model, "6z");
    let before = model.listed_events().len();
    let new = fixture::entry(7, 0, Severity::Info, "path", "erin", "is direct again");
    update(&mut model, Message::Stream(Event::Journal(new)), 1_000);
    assert_eq!(model.listed_events().len(), before);
    press(&mut model, "z");
    assert_eq!(model.listed_events().len(), before + 1);
}

#[test]
fn pseudonyms_never_reach_the_daemon() {
    let mut model = model();
    press(&mut model, "2jj");
    press(&mut model, "p");
    let shown = screens::chosen_peer(&model).and_then(|id| model.data.peer(&id).cloned()).expect("a peer");
    assert_ne!(shown.name, "delta");
    assert_eq!(press(&mut model, "n"), [Effect::Ask(Request::Probe(Some("delta".into())))], "the same peer, really");
    let asked = press(&mut model, "<enter>");
    let why = Request::Why { from: Some("alice".into()), to: "delta".into() };
    assert_eq!(asked, [Effect::Ask(why)]);
}

#[test]
fn copying_takes_what_is_under_the_cursor() {
    let mut model = model();
    assert_eq!(press(&mut model, "2jy"), [Effect::Copy("10.1.0.3".into())]);
    assert!(model.notice.is_some());
    update(&mut model, Message::Tick, 60_000);
    assert!(model.notice.is_none(), "a notice goes away by itself");
}

#[test]
fn the_mouse_is_the_terminals_until_it_is_taken() {
    let mut model = model();
    assert_eq!(press(&mut model, "m"), [Effect::ToggleMouse(true)]);
    let click = |column, row| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        Message::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
    };
    update(&mut model, click(15, 1), 0);
    assert_eq!(model.screen, Screen::Peers);
    update(&mut model, click(5, 3 + 1 + 2), 0);
    assert_eq!(screens::chosen_peer(&model), model.listed_peers().get(2).map(|peer| peer.id.clone()));
    update(&mut model, click(5, 3 + 1 + 2), 0);
    assert!(matches!(model.pages.last(), Some(Page::Peer { .. })), "a second click opens");
}

#[test]
fn a_replay_is_steered() {
    let mut model = model();
    assert!(press(&mut model, "<space>").is_empty(), "a live mesh cannot be stopped");
    let playing = Playing { at_ms: 30_000, length_ms: 35_000, speed: 2.0, paused: false };
    update(&mut model, Message::Playing(playing), 0);
    let effects = press(&mut model, "<space>+.,");
    let controls = [Control::Pause(true), Control::Speed(4.0), Control::Seek(35_000), Control::Seek(20_000)];
    assert_eq!(effects, controls.map(Effect::Replay));
}

#[test]
fn a_recording_that_is_wound_back_forgets_what_came_later() {
    let mut model = model();
    update(&mut model, Message::Playing(Playing { at_ms: 0, length_ms: 90_000, speed: 1.0, paused: false }), 0);
    go_on(&mut model, 30);
    press(&mut model, "f");
    update(&mut model, Message::Stream(Event::Snapshot(Box::new(fixture::snapshot(8)))), 31_000);
    assert!(!model.data.is_held());
    assert_eq!(model.time_ms(), fixture::TIME_MS);
    assert_eq!(model.data.journal().count(), 0, "the source tells it again");
}

#[test]
fn what_is_exported_shows_pseudonyms_where_they_are_shown() {
    let mut model = model();
    let effects = press(&mut model, "pE");
    let [Effect::Save { path, text }] = effects.as_slice() else { panic!("a file: {effects:?}") };
    assert_eq!(path.to_str(), Some("wgnet-moment-1767323045.json"));
    assert!(!text.contains("heidi") && !text.contains("10.1.0"), "neither names nor addresses");
}

#[test]
fn the_palette_runs_what_is_typed() {
    let mut model = model();
    press(&mut model, ":goto jou<enter>");
    assert_eq!(model.screen, Screen::Journal);
    let asked = press(&mut model, ":why erin grace<enter>");
    assert_eq!(asked, [Effect::Ask(Request::Why { from: Some("erin".into()), to: "grace".into() })]);
    assert!(matches!(model.pages.last(), Some(Page::Why { .. })));
    assert_eq!(press(&mut model, ":quit<enter>"), [Effect::Quit]);
}

#[test]
fn there_is_always_a_way_out() {
    let mut model = model();
    press(&mut model, "7<enter>");
    let ctrl_c = Message::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(update(&mut model, ctrl_c, 0), [Effect::Quit]);
    press(&mut model, "<esc>");
    assert_eq!(press(&mut model, "q"), [Effect::Quit]);
}

#[test]
fn every_key_of_the_table_does_its_own_thing_where_it_is_shown() {
    let keymap = Keymap::default();
    for context in [Context::Peers, Context::Peer, Context::Routes, Context::Matrix, Context::Journal, Context::Global]
    {
        for row in TABLE.iter().filter(|row| row.context == context) {
            let shown = keymap.rows(&[context, Context::Frozen, Context::Replay, Context::Global]);
            assert!(shown.iter().any(|(other, _)| other.name == row.name), "{} is hidden in {context:?}", row.name);
        }
    }
}

#[test]
fn nothing_that_is_typed_before_a_daemon_is_there_does_harm() {
    let mut model = Model::new(Look::default(), Keymap::default());
    for keys in
        ["1234567", "jkhlGg", "2<enter>y<esc>", "f[]f", "4l<enter>", "5l<enter>", "6k<enter>y", "7<enter>x<esc>"]
    {
        press(&mut model, keys);
    }
    press(&mut model, "p:peer x<enter><esc>?jG<esc>t");
    assert!(model.data.shown().is_none());
}
