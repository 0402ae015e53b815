//! What is known of the mesh, and which moment of it is on the screen: the present or a held one, with its names or
//! with pseudonyms.

use std::collections::{BTreeMap, VecDeque};

use wgnet_api::redact::Pseudonyms;
use wgnet_api::{Difference, Event, JournalEntry, PathKind, Peer, Snapshot, Why};

use crate::graph::{Way, ways_from};
use crate::history::{PeerHistory, Rate, Totals};
use crate::moments::Moments;

/// Events of the journal that are kept.
const JOURNAL: usize = 2_000;
/// How long a link that is gone is drawn as dead, in milliseconds.
const DEAD_MS: u64 = 60_000;

/// Everything the daemon told.
#[derive(Default)]
pub struct Data {
    live: Option<Snapshot>,
    /// When it came, by the dashboard's clock.
    received_ms: u64,
    held: Option<Held>,
    moments: Moments,
    /// What the screens show, if that is not `live` or the held moment itself.
    veiled: Option<Snapshot>,
    /// Real and shown identity of each peer, and real and shown name of each node.
    ids: Vec<(String, String)>,
    names: Vec<(String, String)>,
    /// The shortest way to every node that is shown, by its shown name.
    ways: BTreeMap<String, Way>,
    is_private: bool,
    pseudonyms: Pseudonyms,
    journal: VecDeque<JournalEntry>,
    veiled_journal: VecDeque<JournalEntry>,
    histories: BTreeMap<String, PeerHistory>,
    totals: Totals,
    /// Links that were there and are not any more, and since when.
    dead: BTreeMap<(String, String), u64>,
}

/// What the way to a peer is like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Round trip in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Share of packets that are lost, 0 to 1.
    pub loss: Option<f64>,
    /// Whether they are composed of what is measured along the way, rather than measured on a link to the peer.
    pub are_composed: bool,
}

impl Figures {
    /// What is measured on the link to a peer.
    pub fn measured(peer: &Peer) -> Self {
        Self { rtt_ms: peer.rtt_ms, loss: peer.loss, are_composed: false }
    }
}

/// A moment that is held.
struct Held {
    number: usize,
    snapshot: Snapshot,
}

impl Data {
    /// Takes in what the daemon tells.
    pub fn take(&mut self, event: Event, now_ms: u64) {
        match event {
            Event::Snapshot(snapshot) => {
                if let Some(before) = &self.live {
                    let difference = before.difference(&snapshot);
                    self.bury(&difference.gone_links, snapshot.time_ms);
                }
                self.moments.push(None, &snapshot);
                self.live = Some(*snapshot);
                self.observe(now_ms);
            }
            Event::Difference(difference) => {
                let Some(live) = &mut self.live else { return };
                let gone = difference.gone_links.clone();
                live.apply((*difference).clone());
                self.moments.push(Some(&difference), live);
                self.bury(&gone, difference.time_ms);
                self.observe(now_ms);
            }
            Event::Journal(entry) => self.remember(entry),
        }
    }

    fn observe(&mut self, now_ms: u64) {
        let Some(live) = &self.live else { return };
        self.received_ms = now_ms;
        let is_first = self.histories.is_empty();
        let mut total = Rate::default();
        for peer in &live.status.peers {
            let history = match self.histories.get_mut(&peer.id) {
                Some(history) => history,
                None => self.histories.entry(peer.id.clone()).or_default(),
            };
            history.observe(live.time_ms, peer);
            let rate = history.rate(live.time_ms);
            (total.rx, total.tx) = (total.rx + rate.rx, total.tx + rate.tx);
        }
        if !is_first {
            self.totals.observe(live.time_ms, total);
        }
        if self.histories.len() > 2 * live.status.peers.len() + 64 {
            let is_there = |id: &String| live.status.peers.iter().any(|peer| peer.id == *id);
            self.histories.retain(|id, _| is_there(id));
        }
        if self.held.is_none() {
            self.veil();
        }
    }

    /// A link that came back is not dead; one that is gone for long is no news.
    fn bury(&mut self, gone: &[(String, String)], time_ms: u64) {
        self.dead.extend(gone.iter().map(|ends| (ends.clone(), time_ms)));
        let Some(live) = &self.live else { return };
        let is_back = |(a, b): &(String, String)| live.mesh.links.iter().any(|link| (&link.a, &link.b) == (a, b));
        self.dead.retain(|ends, since| *since + DEAD_MS > time_ms && !is_back(ends));
    }

    /// After a break the journal is told again: what is known is not taken twice.
    fn remember(&mut self, entry: JournalEntry) {
        let is_known = |known: &JournalEntry| known.number == entry.number && known.time_ms == entry.time_ms;
        if self.journal.iter().rev().any(is_known) {
            return;
        }
        if self.journal.len() == JOURNAL {
            self.journal.pop_front();
            self.veiled_journal.pop_front();
        }
        if self.is_private {
            self.veiled_journal.push_back(self.pseudonyms.entry(&entry));
        }
        self.journal.push_back(entry);
    }

    /// Forgets everything: another recording, or the same one from its begin.
    pub fn forget(&mut self) {
        *self =
            Self { is_private: self.is_private, pseudonyms: std::mem::take(&mut self.pseudonyms), ..Self::default() };
    }

    fn plain(&self) -> Option<&Snapshot> {
        self.held.as_ref().map(|held| &held.snapshot).or(self.live.as_ref())
    }

    /// What follows from another moment to show, or from other names in it.
    fn veil(&mut self) {
        self.cover();
        let shown = self.shown();
        self.ways = shown.map(|shown| ways_from(&shown.mesh, &shown.status.node.name)).unwrap_or_default();
    }

    fn cover(&mut self) {
        self.veiled = None;
        self.ids.clear();
        self.names.clear();
        let plain = self.held.as_ref().map(|held| &held.snapshot).or(self.live.as_ref());
        let Some(plain) = plain.filter(|_| self.is_private) else { return };
        let veiled = self.pseudonyms.snapshot(plain);
        // Pseudonyms sort differently: who is who is told by a list that keeps its order.
        let told =
            Difference { peers: plain.status.peers.clone(), nodes: plain.mesh.nodes.clone(), ..Difference::default() };
        let shown = self.pseudonyms.difference(&told);
        let pair = |real: &str, shown: &str| (real.to_owned(), shown.to_owned());
        self.ids = told.peers.iter().zip(&shown.peers).map(|(real, shown)| pair(&real.id, &shown.id)).collect();
        self.names = vec![pair(&plain.status.node.name, &veiled.status.node.name)];
        self.names.extend(told.peers.iter().zip(&shown.peers).map(|(real, shown)| pair(&real.name, &shown.name)));
        self.names.extend(told.nodes.iter().zip(&shown.nodes).map(|(real, shown)| pair(&real.name, &shown.name)));
        self.veiled = Some(veiled);
    }

    /// What the daemon told last, with the real names.
    pub fn live(&self) -> Option<&Snapshot> {
        self.live.as_ref()
    }

    /// What the screens show.
    pub fn shown(&self) -> Option<&Snapshot> {
        self.veiled.as_ref().or_else(|| self.plain())
    }

    /// The shown peer of an identity.
    pub fn peer(&self, id: &str) -> Option<&Peer> {
        self.shown()?.status.peers.iter().find(|peer| peer.id == id)
    }

    /// The shown peer of a name.
    pub fn peer_named(&self, name: &str) -> Option<&Peer> {
        self.shown()?.status.peers.iter().find(|peer| peer.name == name)
    }

    /// What happened until the shown moment, oldest first.
    pub fn journal(&self) -> impl DoubleEndedIterator<Item = &JournalEntry> {
        let entries = if self.is_private { &self.veiled_journal } else { &self.journal };
        let until = self.held.as_ref().map_or(u64::MAX, |held| held.snapshot.time_ms);
        entries.iter().filter(move |entry| entry.time_ms <= until)
    }

    /// What a peer was like.
    pub fn history(&self, peer: &Peer) -> Option<&PeerHistory> {
        let real = self.ids.iter().find(|(_, shown)| *shown == peer.id).map_or(&peer.id, |(real, _)| real);
        self.histories.get(real)
    }

    /// What the way to a shown peer is like: as measured on its link or, for one behind a gateway, composed of what is
    /// measured along the way.
    pub fn figures(&self, peer: &Peer) -> Figures {
        let measured = Figures::measured(peer);
        if measured.rtt_ms.is_some() || peer.path != PathKind::Gateway || peer.refused {
            return measured;
        }
        // The daemon may break a tie otherwise: what is known of another way says nothing about this one.
        let is_taken = |way: &&Way| way.nodes.get(1) == peer.via.as_ref();
        let way = self.ways.get(&peer.name).filter(is_taken);
        way.map_or(measured, |way| Figures { rtt_ms: way.rtt_ms, loss: way.loss, are_composed: true })
    }

    /// What the node received and sent.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Links that are gone since less than a minute.
    pub fn dead(&self) -> Vec<(String, String)> {
        self.dead.keys().map(|(a, b)| (self.shown_name(a), self.shown_name(b))).collect()
    }

    /// The name that is shown for one that the daemon knows.
    pub fn shown_name(&self, name: &str) -> String {
        self.names.iter().find(|(real, _)| real == name).map_or(name, |(_, shown)| shown).to_owned()
    }

    /// The name that the daemon knows for one that is shown.
    pub fn real_name(&self, shown: &str) -> String {
        self.names.iter().find(|(_, name)| name == shown).map_or(shown, |(real, _)| real).to_owned()
    }

    /// An explanation, as it may be shown. Every name in it has its pseudonym since the last moment.
    pub fn veiled_why(&self, why: &Why) -> Why {
        if self.is_private { self.pseudonyms.clone().why(why) } else { why.clone() }
    }

    /// Whether pseudonyms are shown.
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    /// Shows pseudonyms or the real names. Returns what became of shown identities: the old one and the new one.
    pub fn set_private(&mut self, private: bool) -> Vec<(String, String)> {
        let before = std::mem::take(&mut self.ids);
        self.is_private = private;
        self.veil();
        self.veiled_journal.clear();
        if !private {
            return before.into_iter().map(|(real, shown)| (shown, real)).collect();
        }
        self.veiled_journal = self.journal.iter().map(|entry| self.pseudonyms.entry(entry)).collect();
        self.ids.clone()
    }

    /// The daemon's wall clock at the shown moment, in milliseconds since 1970.
    pub fn time_ms(&self, now_ms: u64) -> u64 {
        match (&self.held, &self.live) {
            (Some(held), _) => held.snapshot.time_ms,
            (None, Some(live)) => live.time_ms + now_ms.saturating_sub(self.received_ms),
            (None, None) => 0,
        }
    }

    /// Seconds since the shown moment was told: handshakes are so much older than it says.
    pub fn older_s(&self, now_ms: u64) -> u64 {
        if self.held.is_some() { 0 } else { now_ms.saturating_sub(self.received_ms) / 1_000 }
    }

    /// Seconds between the held moment and the present.
    pub fn behind_s(&self, now_ms: u64) -> u64 {
        let present = self.live.as_ref().map_or(0, |live| live.time_ms + now_ms.saturating_sub(self.received_ms));
        self.held.as_ref().map_or(0, |held| present.saturating_sub(held.snapshot.time_ms) / 1_000)
    }

    /// Whether a moment is held.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Which of the kept moments is held, counted from one, and how many there are.
    pub fn held_place(&self) -> Option<(usize, usize)> {
        let numbers = self.moments.numbers();
        self.held.as_ref().map(|held| ((held.number + 1).saturating_sub(numbers.start), numbers.len()))
    }

    /// Holds the present moment; `false` if there is none.
    pub fn hold(&mut self) -> bool {
        let Some(last) = self.moments.numbers().last() else { return false };
        self.hold_at(last);
        true
    }

    /// Goes on with the present.
    pub fn release(&mut self) {
        self.held = None;
        self.veil();
    }

    /// Holds a moment so many later (or earlier) than the held one, or than the present.
    pub fn scrub(&mut self, by: isize) {
        let numbers = self.moments.numbers();
        let Some(last) = numbers.clone().last() else { return };
        let at = self.held.as_ref().map_or(last, |held| held.number);
        self.hold_at(at.saturating_add_signed(by).clamp(numbers.start, last));
    }

    fn hold_at(&mut self, number: usize) {
        self.held = self.moments.at(number).map(|snapshot| Held { number, snapshot });
        self.veil();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn told(peers: usize, seconds: u64) -> Data {
        let mut data = Data::default();
        let mut now = fixture::snapshot(peers);
        data.take(Event::Snapshot(Box::new(now.clone())), 1_000);
        for second in 1..=seconds {
            let next = fixture::later(&now, 1);
            data.take(Event::Difference(Box::new(now.difference(&next))), 1_000 + second * 1_000);
            now = next;
        }
        fixture::journal().into_iter().for_each(|entry| data.take(Event::Journal(entry), 1_000));
        data
    }

    #[test]
    fn a_held_moment_stays_while_the_mesh_goes_on() {
        let mut data = told(8, 10);
        assert!(data.hold());
        let held_ms = data.time_ms(20_000);
        let next = fixture::later(data.live.as_ref().expect("live"), 1);
        let difference = data.live.as_ref().expect("live").difference(&next);
        data.take(Event::Difference(Box::new(difference)), 12_000);
        assert_eq!(data.shown().map(|shown| shown.time_ms), Some(held_ms));
        data.scrub(-5);
        assert_eq!(data.time_ms(20_000), held_ms - 5_000);
        data.scrub(-1_000);
        assert_eq!(data.time_ms(20_000), fixture::TIME_MS, "no further than is known");
        data.release();
        assert_eq!(data.shown().map(|shown| shown.time_ms), Some(held_ms + 1_000));
    }

    #[test]
    fn a_journal_that_is_told_again_is_not_doubled() {
        let mut data = told(1, 0);
        let count = data.journal().count();
        fixture::journal().into_iter().for_each(|entry| data.take(Event::Journal(entry), 2_000));
        assert_eq!(data.journal().count(), count);
    }

    #[test]
    fn a_link_that_is_gone_is_dead_for_a_minute() {
        let mut data = told(8, 0);
        let now = data.live.clone().expect("live");
        let mut next = fixture::later(&now, 1);
        let gone = next.mesh.links.remove(0);
        data.take(Event::Difference(Box::new(now.difference(&next))), 2_000);
        assert_eq!(data.dead(), [(gone.a, gone.b)]);
        let later = fixture::later(&next, 61);
        data.take(Event::Difference(Box::new(next.difference(&later))), 63_000);
        assert!(data.dead().is_empty());
    }

    #[test]
    fn what_lies_behind_a_gateway_has_the_figures_of_the_way_to_it() {
        let mut data = told(8, 0);
        let mut now = data.live.clone().expect("live");
        let rtt_between = |a: &str, b: &str| {
            let link = now.mesh.links.iter().find(|link| (&*link.a, &*link.b) == (a, b)).expect("a link");
            link.rtt_ms.expect("measured")
        };
        let (first, second) = (rtt_between("alice", "beta"), rtt_between("beta", "erin"));
        let figures = |data: &Data, name: &str| data.figures(data.peer_named(&data.shown_name(name)).expect("a peer"));
        let erin = figures(&data, "erin");
        assert!(erin.are_composed);
        assert!((erin.rtt_ms.expect("composed") - first - second).abs() < 1e-9, "{erin:?}");
        assert!(!figures(&data, "beta").are_composed, "that one is measured");
        assert_eq!(figures(&data, "heidi"), Figures::default(), "nothing leads to it");
        data.set_private(true);
        assert_eq!(figures(&data, "erin"), erin, "whatever it is called");
        data.set_private(false);
        for peer in now.status.peers.iter_mut().filter(|peer| peer.name == "erin") {
            peer.via = Some("carol".into());
        }
        data.take(Event::Snapshot(Box::new(now)), 3_000);
        assert_eq!(figures(&data, "erin"), Figures::default(), "another way than the shortest is not guessed");
    }

    #[test]
    fn pseudonyms_lead_back_to_the_real_names() {
        let mut data = told(8, 5);
        let beta = data.peer_named("beta").expect("a peer").clone();
        let history = data.history(&beta).map(|history| history.recent(u64::MAX, 9));
        let changed = data.set_private(true);
        assert_eq!(changed.len(), 8);
        let veiled = data.peer_named(&data.shown_name("beta")).expect("the same peer").clone();
        assert_ne!(veiled.name, "beta");
        assert!(changed.contains(&(beta.id.clone(), veiled.id.clone())));
        assert_eq!(data.real_name(&veiled.name), "beta");
        assert_eq!(data.history(&veiled).map(|history| history.recent(u64::MAX, 9)), history);
        assert!(!data.journal().any(|entry| entry.subject == "heidi"));
        assert!(data.set_private(false).contains(&(veiled.id, beta.id)));
        assert!(data.journal().any(|entry| entry.subject == "heidi"));
    }
}
