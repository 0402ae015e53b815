//! A recording plays as the mesh went, at any speed and from any place. All times are virtual.

use wgnet_api::{Header, JournalEntry, Line, Severity};

use super::*;
use crate::fixture;

/// Ten minutes: a snapshot, a difference a second whose counter tells the second, a journal entry every ten seconds,
/// explanations at 100 s and 200 s.
fn recording() -> Recording {
    let mut snapshot = fixture::snapshot(4);
    snapshot.time_ms = 1_000_000;
    let mut lines = vec![Line { at_ms: 0, item: Item::Event(Event::Snapshot(Box::new(snapshot.clone()))) }];
    for second in 1..=600 {
        let mut later = snapshot.clone();
        later.time_ms += 1_000;
        later.status.node.uptime_s += 1;
        for peer in &mut later.status.peers {
            peer.handshake_age_s = peer.handshake_age_s.map(|age| age + 1);
        }
        later.counters.insert("seconds".into(), second);
        let at_ms = second * 1_000;
        lines.push(Line { at_ms, item: Item::Event(Event::Difference(Box::new(snapshot.difference(&later)))) });
        if second % 10 == 0 {
            lines.push(Line { at_ms, item: Item::Event(Event::Journal(entry(second))) });
        }
        if second == 100 || second == 200 {
            lines.push(Line { at_ms, item: Item::Why(Box::new(why(&snapshot, second))) });
        }
        snapshot = later;
    }
    Recording { header: Header::new("0.1.0", 1_000_000), lines }
}

fn entry(second: u64) -> JournalEntry {
    JournalEntry {
        number: second / 10,
        time_ms: 1_000_000 + second * 1_000,
        severity: Severity::Info,
        kind: "node".into(),
        subject: "bob".into(),
        text: String::new(),
    }
}

fn why(snapshot: &Snapshot, second: u64) -> Why {
    Why {
        from: snapshot.status.node.name.clone(),
        to: snapshot.status.peers[0].name.clone(),
        hops: Vec::new(),
        cost: Some(second),
        candidates: Vec::new(),
        missing: None,
        mtu: 1420,
        readers: Vec::new(),
        note: None,
    }
}

/// A dashboard that only keeps what it is told.
#[derive(Default)]
struct Told {
    moment: Option<Box<Snapshot>>,
    entries: Vec<u64>,
    items: usize,
    gone: bool,
}

impl Told {
    fn take(&mut self, played: Vec<Played>) {
        for played in played {
            self.items += 1;
            match played {
                Played::Anew => *self = Self::default(),
                Played::Item(Item::Event(Event::Snapshot(snapshot))) => {
                    (self.moment, self.gone) = (Some(snapshot), false)
                }
                Played::Item(Item::Event(Event::Difference(difference))) => {
                    self.moment.as_mut().expect("a snapshot comes first").apply(*difference);
                }
                Played::Item(Item::Event(Event::Journal(entry))) => self.entries.push(entry.number),
                Played::Item(Item::Why(_)) => {}
                Played::Item(Item::Gone(_)) => self.gone = true,
            }
        }
    }

    fn second(&self) -> u64 {
        self.moment.as_ref().and_then(|moment| moment.counters.get("seconds").copied()).unwrap_or(0)
    }
}

fn played_until(player: &mut Player, told: &mut Told, now_ms: u64) {
    while let Some(due) = player.next_due().filter(|due| *due <= now_ms) {
        told.take(player.poll(due));
    }
    told.take(player.poll(now_ms));
}

#[test]
fn it_plays_in_time_and_stands_still_at_the_end() {
    let (mut player, mut told) = (Player::new(recording(), 5_000), Told::default());
    played_until(&mut player, &mut told, 5_000);
    assert!(told.moment.is_some(), "the first moment is there at once");
    played_until(&mut player, &mut told, 15_999);
    assert_eq!((told.second(), player.position_ms(15_999)), (10, 10_999));
    assert_eq!(player.next_due(), Some(16_000));
    played_until(&mut player, &mut told, 10_000_000);
    assert_eq!((told.second(), told.entries.len()), (600, 60));
    let end = player.playing(10_000_000);
    assert_eq!((end.at_ms, end.length_ms, end.paused), (600_000, 600_000, true));
    assert_eq!(player.next_due(), None, "nothing more is due");
}

#[test]
fn playing_on_at_the_end_begins_anew() {
    let (mut player, mut told) = (Player::new(recording(), 0), Told::default());
    played_until(&mut player, &mut told, 700_000);
    player.steer(700_000, Control::Pause(false));
    played_until(&mut player, &mut told, 703_000);
    assert_eq!((told.second(), player.position_ms(703_000)), (3, 3_000));
}

#[test]
fn a_pause_holds_the_place() {
    let (mut player, mut told) = (Player::new(recording(), 0), Told::default());
    played_until(&mut player, &mut told, 10_500);
    player.steer(10_500, Control::Pause(true));
    assert_eq!(player.next_due(), None);
    played_until(&mut player, &mut told, 90_000);
    assert_eq!((told.second(), player.position_ms(90_000)), (10, 10_500));
    player.steer(90_000, Control::Pause(false));
    assert_eq!(player.next_due(), Some(90_500));
    played_until(&mut player, &mut told, 90_500);
    assert_eq!(told.second(), 11);
}

#[test]
fn speeds_change_in_between_and_have_limits() {
    let (mut player, mut told) = (Player::new(recording(), 0), Told::default());
    played_until(&mut player, &mut told, 10_000);
    player.steer(10_000, Control::Speed(4.0));
    assert_eq!(player.next_due(), Some(10_250));
    played_until(&mut player, &mut told, 20_000);
    assert_eq!((told.second(), player.position_ms(20_000)), (50, 50_000));
    player.steer(20_000, Control::Speed(0.5));
    assert_eq!(player.next_due(), Some(22_000));
    for (asked, taken) in [(0.0, 0.25), (1_000.0, 64.0), (f32::NAN, 1.0), (-3.0, 0.25)] {
        player.steer(20_000, Control::Speed(asked));
        assert_eq!(player.playing(20_000).speed, taken);
    }
}

#[test]
fn a_jump_gives_the_same_moment_as_playing_up_to_there() {
    let mut jumping = Player::new(recording(), 0);
    let mut told = Told::default();
    // Back and forth, and beyond the end.
    for second in [300, 10, 599, 0, 64, 65, 128, 450, 1, 600, 9_999, 200] {
        jumping.steer(0, Control::Seek(second * 1_000 + 500));
        told.take(jumping.poll(0));
        let mut straight = Player::new(recording(), 0);
        let mut expected = Told::default();
        expected.take(straight.poll(second * 1_000 + 500));
        assert_eq!(told.moment, expected.moment, "at {second} s");
        assert_eq!(told.entries, expected.entries, "at {second} s");
        assert_eq!(jumping.position_ms(0), (second * 1_000 + 500).min(600_000));
    }
}

#[test]
fn a_jump_tells_minutes_before_it_and_not_everything() {
    let (mut player, mut told) = (Player::new(recording(), 0), Told::default());
    player.steer(0, Control::Seek(500_000));
    told.take(player.poll(0));
    assert!((180..300).contains(&told.items), "{} items: the last three minutes and the journal", told.items);
}

#[test]
fn a_jump_while_it_stands_still_shows_the_place_and_stands_still() {
    let (mut player, mut told) = (Player::new(recording(), 0), Told::default());
    player.steer(0, Control::Pause(true));
    player.steer(7, Control::Seek(42_000));
    assert_eq!(player.next_due(), Some(7), "what the place was like is due at once");
    played_until(&mut player, &mut told, 60_000);
    assert_eq!((told.second(), player.position_ms(60_000)), (42, 42_000));
}

#[test]
fn explanations_are_those_of_the_place() {
    let mut player = Player::new(recording(), 0);
    let peer = fixture::snapshot(4).status.peers[0].clone();
    let cost = |player: &Player, to: &str| player.why(None, to).and_then(|why| why.cost);
    player.poll(50_000);
    assert_eq!(cost(&player, &peer.name), None, "none yet");
    player.poll(150_000);
    assert_eq!(cost(&player, &peer.name), Some(100));
    player.poll(250_000);
    assert_eq!(cost(&player, &peer.name), Some(200));
    assert_eq!(cost(&player, "nobody"), None);
    let own = fixture::snapshot(4).status.node.name;
    assert!(player.why(Some(&own), &peer.name).is_some() && player.why(Some("nobody"), &peer.name).is_none());
    player.steer(250_000, Control::Seek(120_000));
    player.poll(250_000);
    assert_eq!(cost(&player, &peer.name), Some(100), "back then");
}

#[test]
fn a_daemon_that_was_gone_is_gone_after_a_jump() {
    let mut recording = recording();
    recording.lines.truncate(50);
    recording.lines.push(Line { at_ms: 46_000, item: Item::Gone("it ended".into()) });
    let last = JournalEntry { number: 99, ..entry(500) };
    recording.lines.push(Line { at_ms: 900_000, item: Item::Event(Event::Journal(last)) });
    let (mut player, mut told) = (Player::new(recording, 0), Told::default());
    for (to_ms, gone) in [(800_000, true), (45_000, false), (46_000, true), (500_000, true)] {
        player.steer(0, Control::Seek(to_ms));
        told.take(player.poll(0));
        assert_eq!(told.gone, gone, "at {to_ms} ms");
    }
}

#[test]
fn an_empty_recording_is_at_its_end() {
    let mut player = Player::new(Recording { header: Header::new("", 0), lines: Vec::new() }, 0);
    assert_eq!(player.poll(0), [Played::Anew]);
    player.steer(0, Control::Seek(5));
    assert_eq!(player.poll(0), [Played::Anew]);
    assert_eq!((player.next_due(), player.length_ms(), player.playing(0).paused), (None, 0, true));
}
