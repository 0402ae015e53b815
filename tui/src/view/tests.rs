//! Every screen at every size with every mesh: nothing panics, nothing is garbled, what matters is seen.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use wgnet_api::{Event, Severity};

use crate::depth::Depth;
use crate::export::text::plain_text;
use crate::fixture;
use crate::glyph::Glyphs;
use crate::keys::Keymap;
use crate::message::{Message, Playing};
use crate::model::{Look, Model, Overlay, Screen};
use crate::once;
use crate::source::demo;
use crate::update::update;

const SIZES: [(u16, u16); 8] = [(20, 5), (40, 10), (80, 24), (120, 40), (200, 60), (1, 1), (7, 3), (300, 100)];

/// A mesh that was watched for a minute; no peers means no daemon.
fn model(peers: usize) -> Model {
    if peers == 0 {
        let mut model = Model::new(Look::default(), Keymap::default());
        let why = "no daemon answers at /run/wgnet/wg0.sock (is it running?)".to_owned();
        update(&mut model, Message::Disconnected { why, retry_at: Some(500) }, 0);
        return model;
    }
    let mut now = fixture::snapshot(peers);
    let mut model = once::moment(&now, &fixture::journal(), Look::default());
    for second in 1..=60 {
        let later = fixture::later(&now, 1);
        let event = Event::Difference(Box::new(now.difference(&later)));
        update(&mut model, Message::Stream(event), second * 1_000);
        now = later;
    }
    model
}

fn press(model: &mut Model, keys: &str) {
    for letter in keys.chars() {
        let code = match letter {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            letter => KeyCode::Char(letter),
        };
        let now_ms = model.now_ms;
        update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)), now_ms);
    }
}

fn drawn(model: &mut Model, screen: Screen, (width, height): (u16, u16)) -> String {
    let buffer: Buffer = once::draw(model, screen, width, height);
    plain_text(&buffer)
}

#[test]
fn every_screen_at_every_size_shows_what_matters() {
    for peers in [0, 1, 8, 500] {
        let mut model = model(peers);
        for size in SIZES {
            for screen in Screen::ALL {
                let text = drawn(&mut model, screen, size);
                if size.0 < 20 || size.1 < 5 {
                    continue;
                }
                let case = format!("{screen:?} {size:?} {peers} peers:\n{text}");
                match peers {
                    0 => assert!(text.contains("waiting") && text.contains("no daemon"), "{case}"),
                    _ => assert!(text.contains("live"), "{case}"),
                }
                if peers > 0 && size.0 >= 40 {
                    assert!(text.contains("alice"), "whose dashboard it is: {case}");
                }
                let wanted = match (peers, screen) {
                    (0, _) => "",
                    (8.., Screen::Overview) => "heidi",
                    (_, Screen::Overview) => "all is well",
                    (_, Screen::Peers) => "beta",
                    (_, Screen::Routes) => "10.1.0.2",
                    (_, Screen::Journal) => "grace",
                    (_, Screen::Admin) => "Set a link",
                    (_, Screen::Map | Screen::Matrix) => "",
                };
                assert!(text.contains(wanted), "{wanted} is missing: {case}");
                assert!(text.contains('?') && text.contains('q'), "help and quit: {case}");
            }
        }
    }
}

#[test]
fn pages_forms_help_and_palette_fit_every_size() {
    for size in SIZES {
        let mut model = model(8);
        for keys in ["2\n", "\u{1b}2jjjj\n", "?", "\u{1b}:", "pee", "\u{1b}\u{1b}7\n", "be", "\u{1b}6/kind:path"] {
            press(&mut model, keys);
            model.size = size;
            let screen = model.screen;
            drop(drawn(&mut model, screen, size));
        }
    }
}

#[test]
fn names_of_every_kind_cannot_break_the_layout() {
    let mut snapshot = fixture::snapshot(8);
    let names = [
        "漢字の名前が長い長い長い",
        "e\u{301}\u{301}\u{301}\u{301}",
        "\u{1b}[2J\u{7}bell",
        "\u{202e}rtl",
        "👨‍👩‍👧‍👦",
        "",
        "a\tb\nc",
    ];
    for (peer, name) in snapshot.status.peers.iter_mut().zip(names) {
        name.clone_into(&mut peer.name);
        peer.why = format!("because of {name}");
        peer.endpoint = Some(format!("{name}:1"));
    }
    for (node, name) in snapshot.mesh.nodes.iter_mut().skip(1).zip(names) {
        name.clone_into(&mut node.name);
    }
    snapshot.status.health[0].text = format!("{} is gone", names[2]);
    let journal: Vec<_> = names
        .iter()
        .zip(1..)
        .map(|(name, number)| fixture::entry(number, 9, Severity::Info, "path", name, name))
        .collect();
    let mut model = once::moment(&snapshot, &journal, Look::default());
    for size in SIZES {
        for screen in Screen::ALL {
            let buffer = once::draw(&mut model, screen, size.0, size.1);
            let is_harmless = |cell: &ratatui::buffer::Cell| {
                !cell.symbol().chars().any(|letter| letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter))
            };
            assert!(buffer.content().iter().all(is_harmless), "{screen:?} {size:?}");
        }
    }
    // Columns stand where they stand with plain names.
    let buffer = once::draw(&mut model, Screen::Peers, 120, 20);
    let head = plain_text(&buffer).lines().find(|line| line.contains("ADDRESS")).expect("a head").to_owned();
    let column = head.find("ADDRESS").expect("a column") as u16;
    for y in 4..10 {
        let text: String = (column..column + 5).map(|x| buffer[(x, y)].symbol()).collect();
        assert_eq!(text, "10.1.", "row {y}");
    }
}

#[test]
fn the_header_says_that_it_is_a_recording_and_where_in_it() {
    let recording = demo::recording();
    let head = |model: &mut Model, width| {
        let text = drawn(model, Screen::Peers, (width, 24));
        text.lines().next().expect("a header").trim_end().to_owned()
    };
    let mut model = once::recorded(&recording, demo::PLACE, 150_000, Look::default());
    assert_eq!(head(&mut model, 20), " ▶ demo 2:30/4:30");
    for width in [40, 80, 160] {
        let head = head(&mut model, width);
        assert!(head.starts_with(" ▶ demo 2:30/4:30  laptop-anna"), "{head}");
        assert!(head.contains("✗ 1") && !head.contains("live") && !head.contains("healthy"), "{head}");
        assert!(crate::text::width(&head) <= usize::from(width));
    }
    assert!(head(&mut model, 160).contains("✗ 1 unreachable"));
    for (paused, speed, told) in [(true, 1.0, "demo paused 2:30/4:30"), (false, 4.0, "demo 4x 2:30/4:30")] {
        let playing = Playing { at_ms: 150_000, length_ms: 270_000, speed, paused };
        update(&mut model, Message::Playing(playing), 150_000);
        assert!(head(&mut model, 80).contains(told), "{told}");
    }
    let mut model = once::recorded(&recording, "monday.jsonl", 0, Look::default());
    let head = head(&mut model, 160);
    assert!(head.contains("replay 0:00/4:30") && head.ends_with("healthy"), "{head}");
}

#[test]
fn who_is_unreachable_is_a_problem_with_a_reason_also_where_the_daemon_tells_none() {
    let mut snapshot = fixture::snapshot(8);
    snapshot.status.health[0].text = "not-heidi-but-another is not reachable".into();
    let shown = |snapshot: &_| drawn(&mut once::moment(snapshot, &[], Look::default()), Screen::Overview, (120, 40));
    let text = shown(&snapshot);
    assert!(text.contains("✗ heidi is unreachable: no handshake with it for 3 min"), "{text}");
    assert!(text.contains("3 problems"), "{text}");
    snapshot.status.health[0].text = "heidi: is not reachable".into();
    assert!(!shown(&snapshot).contains("heidi is unreachable"), "once is enough");
    snapshot.status.health.clear();
    snapshot.status.peers.retain(|peer| peer.name != "heidi");
    assert!(shown(&snapshot).contains("all is well"));
}

#[test]
fn what_happens_to_many_at_once_is_one_line_of_the_overview_and_many_of_the_journal() {
    let moved = |number: u64, name: &str| {
        fixture::entry(number, 9, Severity::Info, "path", name, &format!("{name}: through beta (was through carol)"))
    };
    let journal: Vec<_> = (1..).zip(["erin", "frank", "grace"]).map(|(number, name)| moved(number, name)).collect();
    let mut model = once::moment(&fixture::snapshot(8), &journal, Look::default());
    let wide = drawn(&mut model, Screen::Overview, (120, 40));
    assert!(wide.contains("grace and 2 more through beta (was through carol)"), "{wide}");
    assert!(!wide.contains("frank"), "{wide}");
    let narrow = drawn(&mut model, Screen::Overview, (80, 24));
    assert!(narrow.contains("grace +2 through beta (was through carol)"), "{narrow}");
    let all = drawn(&mut model, Screen::Journal, (80, 24));
    assert!(["erin", "frank", "grace"].iter().all(|name| all.contains(name)), "{all}");
}

#[test]
fn a_long_event_is_told_in_full_below_the_journal() {
    let text = "through beta (was through carol), since the link between alice and carol is gone for good, as it seems";
    let journal = [fixture::entry(1, 9, Severity::Info, "path", "erin", text)];
    let mut model = once::moment(&fixture::snapshot(8), &journal, Look::default());
    let shown = drawn(&mut model, Screen::Journal, (80, 24));
    assert!(shown.contains('…') && shown.contains("as it seems"), "{shown}");
}

#[test]
fn ascii_is_ascii() {
    let mut model = model(8);
    model.look = Look::new("dark", Depth::Sixteen, Glyphs::Ascii);
    for screen in Screen::ALL {
        assert!(drawn(&mut model, screen, (120, 40)).is_ascii(), "{screen:?}");
    }
}

#[test]
fn without_colours_nothing_has_one() {
    let mut model = model(8);
    model.look = Look::new("dark", Depth::None, Glyphs::Unicode);
    for screen in Screen::ALL {
        let buffer = once::draw(&mut model, screen, 120, 40);
        use ratatui::style::Color::Reset;
        assert!(buffer.content().iter().all(|cell| cell.fg == Reset && cell.bg == Reset), "{screen:?}");
    }
}

#[test]
fn what_is_stale_is_grey_and_says_so() {
    let mut model = model(8);
    update(&mut model, Message::Disconnected { why: "gone".into(), retry_at: Some(70_000) }, 69_000);
    let buffer = once::draw(&mut model, Screen::Peers, 80, 24);
    assert!(plain_text(&buffer).contains("reconnecting"));
    let muted = model.look.theme.muted.fg.expect("a colour");
    assert!((4..20).all(|y| buffer[(3, y)].fg == muted));
}

#[test]
fn a_broken_filter_says_where() {
    let mut model = model(8);
    press(&mut model, "2/rtt>x");
    assert!(matches!(model.overlay, Some(Overlay::Filter(..))));
    let text = drawn(&mut model, Screen::Peers, (80, 24));
    assert!(text.contains("rtt>x"), "{text}");
    assert!(model.peers.sieve.mistake.is_some());
}

#[test]
fn screens_look_like_this() {
    let mut model = model(8);
    for screen in Screen::ALL {
        let text = drawn(&mut model, screen, (80, 24));
        insta::assert_snapshot!(format!("{}_80x24", screen.title().to_lowercase()), text);
    }
    press(&mut model, "2\n");
    let text = drawn(&mut model, Screen::Peers, (80, 24));
    insta::assert_snapshot!("peer_80x24", text);
    press(&mut model, "\u{1b}?");
    let text = drawn(&mut model, Screen::Peers, (80, 24));
    insta::assert_snapshot!("help_80x24", text);
    let mut absent = self::model(0);
    insta::assert_snapshot!("no_daemon_80x24", drawn(&mut absent, Screen::Overview, (80, 24)));
    insta::assert_snapshot!("peers_160x50", drawn(&mut self::model(500), Screen::Peers, (160, 50)));
}
