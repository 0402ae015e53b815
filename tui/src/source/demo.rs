//! The demo: minutes of a mesh of sixty nodes, recorded in the simulator (`examples/record_demo`), seen from a laptop at
//! home. A gateway's line gets worse and heals, another gateway dies and comes back, a laptop leaves and returns, someone
//! claims a name that is taken.

use wgnet_api::Recording;

/// The file that ships with the program.
const FILE: &[u8] = include_bytes!("../../../examples/demo.jsonl");

/// Where the demo comes from, in the words of a source.
pub const PLACE: &str = "demo";

/// The recording. Reading it takes milliseconds.
pub fn recording() -> Recording {
    Recording::read(FILE).expect("the file was written by the recorder, and a test reads it")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wgnet_api::{Event, Item, PathKind, RECORDING_VERSION, Severity, Snapshot};

    use super::*;
    use crate::message::Control;
    use crate::source::player::{Played, Player};

    /// What a dashboard knows after everything up to the place was told.
    fn told(player: &mut Player, now_ms: u64, moment: &mut Option<Box<Snapshot>>) -> Vec<Item> {
        let mut items = Vec::new();
        for played in player.poll(now_ms) {
            let Played::Item(item) = played else { continue };
            match &item {
                Item::Event(Event::Snapshot(snapshot)) => *moment = Some(snapshot.clone()),
                Item::Event(Event::Difference(difference)) => {
                    moment.as_mut().expect("a snapshot comes first").apply((**difference).clone());
                }
                _ => {}
            }
            items.push(item);
        }
        items
    }

    #[test]
    fn it_is_a_whole_recording_of_sixty_nodes() {
        let recording = recording();
        assert_eq!(recording.header.wgnet_recording, RECORDING_VERSION);
        assert!(recording.length_ms() >= 240_000, "{} ms", recording.length_ms());
        assert!(FILE.len() < 800_000, "{} bytes ship with every program", FILE.len());
        let (mut player, mut moment) = (Player::new(recording, 0), None);
        let items = told(&mut player, 0, &mut moment);
        let moment = moment.expect("a moment to begin with");
        assert_eq!(moment.mesh.nodes.len(), 60);
        assert_eq!(moment.mesh.nodes.iter().filter(|node| node.gateway).count(), 5);
        assert!(moment.status.health.is_empty(), "it begins well: {:?}", moment.status.health);
        let kinds: BTreeSet<_> = moment.status.peers.iter().map(|peer| format!("{:?}", peer.path)).collect();
        assert_eq!(kinds, BTreeSet::from(["Direct".to_owned(), "Gateway".to_owned()]));
        let explained = items.iter().filter(|item| matches!(item, Item::Why(_))).count();
        assert_eq!(explained, moment.status.peers.len(), "every path is explained");
    }

    #[test]
    fn it_tells_its_story_to_the_end() {
        let (mut player, mut moment) = (Player::new(recording(), 0), None);
        let length_ms = player.length_ms();
        let items = told(&mut player, length_ms + 1, &mut moment);
        assert!(player.playing(length_ms + 1).paused, "it stands still at its end");
        let entries: Vec<_> = items
            .iter()
            .filter_map(|item| match item {
                Item::Event(Event::Journal(entry)) => Some(entry),
                _ => None,
            })
            .collect();
        let happened = |kind: &str, subject: &str, text: &str| {
            entries.iter().any(|entry| entry.kind == kind && entry.subject == subject && entry.text.contains(text))
        };
        assert!(happened("path", "nas-anna", "through ams (was through fra)"), "a line gets worse");
        assert!(happened("link", "ams", "the link to ams is down"), "a gateway dies");
        assert!(happened("link", "ams", "the link to ams is up"), "and comes back");
        assert!(happened("node", "laptop-erik", "left the mesh"), "a laptop leaves");
        assert!(happened("node", "laptop-erik", "started anew"), "and comes back");
        assert!(happened("refused", "nas-anna", "claims the name"), "a name is claimed twice");
        assert!(entries.iter().any(|entry| entry.severity == Severity::Warning));
        let last = moment.expect("the last moment");
        let gone: Vec<_> = last.status.peers.iter().filter(|peer| peer.path == PathKind::Unreachable).collect();
        assert!(gone.iter().all(|peer| peer.refused), "it ends well: {gone:?}");
        player.steer(0, Control::Seek(240_000));
        let mut before = None;
        told(&mut player, 0, &mut before);
        let claimants = before.map_or_else(Vec::new, |moment| moment.status.peers);
        let claimants: Vec<_> = claimants.iter().filter(|peer| peer.name == "nas-anna").collect();
        assert_eq!(claimants.len(), 2, "both are shown");
        assert_eq!(claimants.iter().filter(|peer| peer.refused).count(), 1, "and one of them is refused");
    }

    #[test]
    fn every_moment_can_be_jumped_to() {
        let mut straight = Player::new(recording(), 0);
        let mut jumping = Player::new(recording(), 0);
        let (mut expected, mut moment) = (None, None);
        for at_ms in (0..=straight.length_ms()).step_by(20_000) {
            told(&mut straight, at_ms, &mut expected);
            jumping.steer(0, Control::Pause(true));
            jumping.steer(0, Control::Seek(at_ms));
            told(&mut jumping, 0, &mut moment);
            assert_eq!(moment, expected, "at {at_ms} ms");
        }
    }

    #[test]
    fn nothing_of_it_gets_out_of_privacy_mode() {
        let mut pseudonyms = wgnet_api::redact::Pseudonyms::new();
        let (mut player, mut moment) = (Player::new(recording(), 0), None);
        let length_ms = player.length_ms();
        let items = told(&mut player, length_ms, &mut moment);
        let moment = moment.expect("the last moment");
        let mut out = serde_json::to_string(&pseudonyms.snapshot(&moment)).expect("plain data");
        for item in &items {
            match item {
                Item::Event(Event::Journal(entry)) => {
                    out += &serde_json::to_string(&pseudonyms.entry(entry)).expect("plain data");
                }
                Item::Why(why) => out += &serde_json::to_string(&pseudonyms.why(why)).expect("plain data"),
                _ => {}
            }
        }
        // `fra`, `ams` and the like are parts of words.
        for name in moment.mesh.nodes.iter().map(|node| &node.name).filter(|name| name.contains('-')) {
            assert!(!out.contains(name.as_str()), "{name}");
        }
        for original in ["10.7.0.", "192.0.2.", "198.51.100.", "203.0.113.", "192.168."] {
            assert!(!out.contains(original), "{original}");
        }
        for peer in &moment.status.peers {
            assert!(!out.contains(&peer.id), "{}", peer.name);
            assert!(peer.public_key.as_ref().is_none_or(|key| !out.contains(key)), "{}", peer.name);
        }
    }
}
