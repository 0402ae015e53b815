//! Plays a recording: what is due when, at which speed, and what the mesh was like at any moment of it.
//!
//! No clock of its own: every call is given the dashboard's time in milliseconds. After each [`Player::steer`] and
//! whenever [`Player::next_due`] says so, [`Player::poll`] gives what came meanwhile, in order.

use std::collections::{BTreeMap, VecDeque};

use wgnet_api::{Difference, Event, Item, Recording, Snapshot, Why};

use crate::message::{Control, Playing};

/// The slowest and the fastest way to play, in seconds of the recording a second.
pub const SPEEDS: std::ops::RangeInclusive<f32> = 0.25..=64.0;

/// After a jump, this much of what came before is told again, difference by difference: curves need their past.
const LEAD_MS: u64 = 180_000;

/// So many differences lie between two moments that are kept whole: a jump applies no more than those and its lead.
const KEY_EVERY: usize = 64;

/// Journal entries that a jump tells again at most: as many as a daemon keeps.
const JOURNAL: usize = 1_000;

/// What a player gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Played {
    /// It starts, or jumped: what was told before is void. A snapshot follows, and all that the journal holds.
    Anew,
    /// Something came.
    Item(Item),
}

/// A recording and a place in it.
#[derive(Debug)]
pub struct Player {
    recording: Recording,
    /// The first line that was not told yet.
    next: usize,
    /// Moments kept whole: what the mesh was like before the line of that number.
    keys: Vec<(usize, Option<Box<Snapshot>>)>,
    /// At the dashboard's time `since_ms`, the place was `base_ms`.
    base_ms: u64,
    since_ms: u64,
    speed: f32,
    paused: bool,
    /// Told by the next poll.
    pending: VecDeque<Played>,
    /// Names of nodes by overlay address: explanations are asked for by either.
    names: BTreeMap<String, String>,
    /// Name of the node that was recorded.
    own: String,
}

impl Player {
    /// Begins to play at the dashboard's time `now_ms`.
    pub fn new(recording: Recording, now_ms: u64) -> Self {
        let mut names = BTreeMap::new();
        let mut own = String::new();
        for line in &recording.lines {
            if let Item::Event(Event::Snapshot(snapshot)) = &line.item {
                own.clone_from(&snapshot.status.node.name);
                names.extend(snapshot.mesh.nodes.iter().map(|node| (node.address.clone(), node.name.clone())));
            }
        }
        Self {
            recording,
            next: 0,
            keys: vec![(0, None)],
            base_ms: 0,
            since_ms: now_ms,
            speed: 1.0,
            paused: false,
            pending: VecDeque::from([Played::Anew]),
            names,
            own,
        }
    }

    /// Milliseconds from the recording's begin to the place.
    pub fn position_ms(&self, now_ms: u64) -> u64 {
        if self.paused {
            return self.base_ms;
        }
        let played = now_ms.saturating_sub(self.since_ms) as f64 * f64::from(self.speed);
        self.base_ms.saturating_add(played as u64).min(self.length_ms())
    }

    /// Its length in milliseconds.
    pub fn length_ms(&self) -> u64 {
        self.recording.length_ms()
    }

    /// How far it is.
    pub fn playing(&self, now_ms: u64) -> Playing {
        Playing { at_ms: self.position_ms(now_ms), length_ms: self.length_ms(), speed: self.speed, paused: self.paused }
    }

    /// Plays on, stands still, goes faster or slower, jumps. To play on at the end begins anew.
    pub fn steer(&mut self, now_ms: u64, control: Control) {
        let position = self.position_ms(now_ms);
        match control {
            Control::Pause(false) if self.paused && position == self.length_ms() => {
                self.jump(0);
                self.base_ms = 0;
                self.paused = false;
            }
            Control::Pause(paused) => {
                self.base_ms = position;
                self.paused = paused;
            }
            Control::Speed(speed) => {
                self.base_ms = position;
                self.speed = if speed.is_nan() { 1.0 } else { speed.clamp(*SPEEDS.start(), *SPEEDS.end()) };
            }
            Control::Seek(to_ms) => {
                self.base_ms = to_ms.min(self.length_ms());
                self.jump(self.base_ms);
            }
        }
        self.since_ms = now_ms;
    }

    /// When the next thing is due, in the dashboard's time; `None` while it stands still.
    pub fn next_due(&self) -> Option<u64> {
        if !self.pending.is_empty() {
            return Some(self.since_ms);
        }
        if self.paused {
            return None;
        }
        // Past the last line, the end itself is due: it stands still there.
        let at_ms = self.recording.lines.get(self.next).map_or_else(|| self.length_ms(), |line| line.at_ms);
        let wait = at_ms.saturating_sub(self.base_ms) as f64 / f64::from(self.speed);
        Some(self.since_ms.saturating_add(wait.ceil() as u64))
    }

    /// What came up to now. At the end it stands still.
    pub fn poll(&mut self, now_ms: u64) -> Vec<Played> {
        let mut played: Vec<_> = self.pending.drain(..).collect();
        let position = self.position_ms(now_ms);
        while let Some(line) = self.recording.lines.get(self.next).filter(|line| line.at_ms <= position) {
            played.push(Played::Item(line.item.clone()));
            self.next += 1;
        }
        if !self.paused && self.next == self.recording.lines.len() && position == self.length_ms() {
            (self.base_ms, self.since_ms, self.paused) = (position, now_ms, true);
        }
        played
    }

    /// The latest recorded explanation of a pair, at or before the place. Nodes by name or overlay address; without
    /// `from`, from the node that was recorded.
    pub fn why(&self, from: Option<&str>, to: &str) -> Option<&Why> {
        let name = |given: &str| self.names.get(given).map_or_else(|| given.to_owned(), Clone::clone);
        let (from, to) = (from.map_or_else(|| self.own.clone(), name), name(to));
        let told = &self.recording.lines[..self.next];
        told.iter().rev().find_map(|line| match &line.item {
            Item::Why(why) if why.from == from && why.to == to => Some(&**why),
            _ => None,
        })
    }

    /// Everything from here on is told from another place.
    fn jump(&mut self, to_ms: u64) {
        let start = self.line_at(to_ms.saturating_sub(LEAD_MS));
        let end = self.line_at(to_ms);
        self.pending = VecDeque::from([Played::Anew]);
        let snapshot = self.moment(start);
        self.pending.extend(snapshot.map(|snapshot| Played::Item(Item::Event(Event::Snapshot(snapshot)))));
        let lines = &self.recording.lines;
        let is_entry = |item: &&Item| matches!(item, Item::Event(Event::Journal(_)));
        let before: Vec<_> =
            lines[..start].iter().map(|line| &line.item).rev().filter(is_entry).take(JOURNAL).collect();
        self.pending.extend(before.into_iter().rev().cloned().map(Played::Item));
        // Nothing came since the daemon was gone: it still is.
        let last = lines[..start].iter().rev().find(|line| !matches!(line.item, Item::Why(_)));
        if let Some(Item::Gone(_)) = last.map(|line| &line.item) {
            self.pending.extend(last.map(|line| Played::Item(line.item.clone())));
        }
        self.pending.extend(lines[start..end].iter().map(|line| Played::Item(line.item.clone())));
        self.next = end;
    }

    /// The first line after a time.
    fn line_at(&self, at_ms: u64) -> usize {
        self.recording.lines.partition_point(|line| line.at_ms <= at_ms)
    }

    /// What the mesh was like before the line of that number; `None` before the first snapshot.
    fn moment(&mut self, line: usize) -> Option<Box<Snapshot>> {
        let key = self.keys.partition_point(|(at, _)| *at <= line) - 1;
        let (from, mut moment) = self.keys[key].clone();
        let mut applied = 0;
        for (number, passed) in self.recording.lines[..line].iter().enumerate().skip(from) {
            match &passed.item {
                Item::Event(Event::Snapshot(snapshot)) => moment = Some(snapshot.clone()),
                Item::Event(Event::Difference(difference)) => {
                    if let Some(moment) = &mut moment {
                        moment.apply(Difference::clone(difference));
                        applied += 1;
                    }
                }
                Item::Event(Event::Journal(_)) | Item::Why(_) | Item::Gone(_) => {}
            }
            if applied == KEY_EVERY {
                applied = 0;
                if self.keys.last().is_some_and(|(last, _)| *last < number + 1) {
                    self.keys.push((number + 1, moment.clone()));
                }
            }
        }
        moment
    }
}

#[cfg(test)]
mod tests;
