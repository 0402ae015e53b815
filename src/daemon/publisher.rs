//! What goes to everyone who watches: the present moment, what changes from one to the next, and what happens.
//!
//! While nobody watches this costs nothing: no moment is taken and the loop does not wake for it. While someone does,
//! there is one moment a second, one difference, serialised once, whose bytes all share. What is said is kept for a
//! short while only; whoever has not taken it by then is told so and asks for the present moment again
//! ([`crate::admin::stream`]). So no watcher, however slow, holds up the loop or costs memory beyond that.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::broadcast;
use wgnet_api::{Place, Snapshot};

use super::journal::{Entry, Journal};
use crate::admin::status;
use crate::admin::stream::{Bytes, Live, Subscription, event};
use crate::mesh::time::Time;

/// From one moment to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// How much that was said is kept for watchers who are slower. All journal entries of one turn of the loop are one.
const KEPT: usize = 32;

/// Tells all watchers what is new.
pub(super) struct Publisher {
    /// Number of this start of the daemon.
    start: u64,
    live: broadcast::Sender<Live>,
    /// Number of the first journal entry that was not told yet.
    next: u64,
    /// The last moment that was taken.
    present: Option<Present>,
    /// When the next one is to be taken.
    due: Time,
}

struct Present {
    snapshot: Snapshot,
    /// As JSON, once somebody needed that.
    json: Option<Bytes>,
}

impl Publisher {
    /// A publisher of a daemon whose starts are told apart by `start`.
    pub(super) fn new(start: u64) -> Self {
        Self { start, live: broadcast::Sender::new(KEPT), next: 0, present: None, due: Time::ZERO }
    }

    /// How many watch.
    pub(super) fn watchers(&self) -> usize {
        self.live.receiver_count()
    }

    /// When the next moment is to be taken; never, while nobody watches.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        (self.watchers() > 0).then_some(self.due)
    }

    /// Whether a moment is to be taken now.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.next_timeout().is_some_and(|due| due <= now)
    }

    /// Whether a moment must be taken before anybody can be shown the present one.
    pub(super) fn is_stale(&self, now: Time) -> bool {
        self.present.is_none() || self.due <= now
    }

    /// Tells what happened since it was told last; to be called at the end of each turn of the loop.
    pub(super) fn tell_events(&mut self, journal: &Journal) {
        if self.watchers() == 0 {
            // The last moment is as large as the mesh.
            self.present = None;
        }
        self.catch_up(journal);
    }

    fn catch_up(&mut self, journal: &Journal) {
        let from = std::mem::replace(&mut self.next, journal.next());
        if from < self.next && self.watchers() > 0 {
            self.tell(self.events(journal, from));
        }
    }

    /// Takes a moment; tells what is different from the one before, if anything is.
    pub(super) fn tell_moment(&mut self, now: Time, snapshot: Snapshot) {
        // A moment that comes late does not make the next one come late, too; a whole row of them is not made up for.
        let on_time = self.due <= now && now.since(self.due) < INTERVAL;
        self.due = if on_time { self.due } else { now } + INTERVAL;
        let difference = self.present.as_ref().map(|present| present.snapshot.difference(&snapshot));
        let told = difference.filter(|difference| !difference.is_empty() && self.watchers() > 0);
        if let Some(difference) = told {
            self.tell(event("difference", self.place(self.next), &json(&difference)));
        }
        self.present = Some(Present { snapshot, json: None });
    }

    /// The present moment, the journal after `after` and what comes from now on, without a gap between them. All of the
    /// journal that is kept without `after`, or when that is of another start. `None` when no moment was taken.
    pub(super) fn subscribe(&mut self, after: Option<Place>, journal: &Journal) -> Option<Subscription> {
        // Who watches already hears of these now; who comes finds them in the journal.
        self.catch_up(journal);
        let oldest = journal.entries().next().map_or_else(|| journal.next(), |entry| entry.number);
        let seen = after.filter(|place| place.start == self.start && place.next <= journal.next());
        let from = seen.map_or(oldest, |place| place.next.max(oldest));
        let events = self.events(journal, from);
        let present = self.present.as_mut()?;
        let snapshot = present.json.get_or_insert_with(|| json(&present.snapshot).into()).clone();
        Some(Subscription {
            snapshot,
            from: self.place(from),
            events,
            place: self.place(journal.next()),
            live: self.live.subscribe(),
        })
    }

    fn place(&self, next: u64) -> Place {
        Place { start: self.start, next }
    }

    /// The entries from number `from` on, as they go over the wire.
    fn events(&self, journal: &Journal, from: u64) -> Bytes {
        let one = |entry: &Entry| event("journal", self.place(entry.number + 1), &json(&status::entry(entry)));
        let new = journal.entries().rev().take_while(|entry| entry.number >= from).count();
        let kept = journal.entries().len();
        journal.entries().skip(kept - new).flat_map(one).collect::<Vec<u8>>().into()
    }

    fn tell(&self, bytes: impl Into<Bytes>) {
        // An error says that the last watcher just left.
        let _ = self.live.send(Live { place: self.place(self.next), bytes: bytes.into() });
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("the types of the protocol have string keys and cannot fail to serialise")
}
