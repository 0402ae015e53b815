//! The link-state database: the newest item of each key, with its age and holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::ids::NodeId;
use super::super::time::Time;
use super::item::{Body, Item, Key};
use super::node::{About, LinkAdvert, NodeRecord, ShortId, Version, Was};

/// Age at which a Node item is gone.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// How often a node refreshes its own items.
pub const REFRESH: Duration = Duration::from_secs(8 * 3600);
/// Most identities kept: beyond it, new ones are refused so that memory stays bounded.
const MAX_NODES: usize = 20_000;
/// Most votes and statements kept of one author.
const MAX_STATEMENTS: usize = 50_000;
/// Most identities kept that claim the same name or address.
const MAX_CLAIMANTS: usize = 4;

/// An item on its way: its bytes and what counts down or up beside them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Carried {
    /// The item.
    pub bytes: Vec<u8>,
    /// Its age in seconds.
    pub age: u32,
    /// For each link in order, the milliseconds until its change acts; empty when all have acted.
    pub holds: Vec<u16>,
}

/// A stored item.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The item.
    pub item: Item,
    /// When it would have been zero seconds old (may lie before the origin of the clock).
    born: i64,
    /// For each link, when its change acts; empty when all have acted.
    acts: Vec<Time>,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// It is new: pass it on.
    New,
    /// It was there already (a smaller age may have been taken over).
    Known,
    /// A newer one is there.
    Old,
    /// It is too old, or one too many.
    Refused,
}

/// Changes on hold that are due within so short a time after each other act together ...
const STEP_GAP: Duration = Duration::from_millis(100);
/// ... as long as the last acts no later than this after the first.
const STEP: Duration = Duration::from_millis(500);

/// Key hash and content hash of one item, for reconciliation.
pub type Summary = (u64, u64);

/// Changes on hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// When the next of them act.
    pub next: Option<Time>,
    /// When each of them would act by itself.
    pub acts: BTreeSet<Time>,
}

/// The newest item of each key.
#[derive(Clone, Debug, Default)]
pub struct Lsdb {
    items: BTreeMap<Key, Stored>,
    by_hash: BTreeMap<u64, Key>,
    /// Wrapping sums of entry hashes per bucket (the top byte of the key's hash).
    buckets: Vec<u64>,
    nodes: usize,
    /// Items of which a change is (or lately was) on hold.
    holding: BTreeSet<Key>,
    /// What acts later than this has not acted yet.
    acted: Time,
}

impl Stored {
    /// The age at `now`.
    pub fn age(&self, now: Time) -> Duration {
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX).saturating_sub(self.born);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// The record, when the item is one.
    pub fn record(&self) -> Option<&NodeRecord> {
        match self.item.body() {
            Body::Node(record) => Some(record),
            _ => None,
        }
    }

    /// A change that is told again, beside another one, acts no later than it did: the origin's count and this node's
    /// differ a little, and what has acted here must not be on hold again.
    fn hasten(&self, links: &[LinkAdvert], acts: &mut [Time]) {
        let known = self.record().map_or(&[][..], |record| &record.links);
        for (link, acts) in links.iter().zip(acts) {
            if let Some(index) =
                known.iter().position(|old| (old.to, old.cost, old.was) == (link.to, link.cost, link.was))
            {
                *acts = (*acts).min(self.acts.get(index).copied().unwrap_or(Time::ZERO));
            }
        }
    }

    /// The cost of link number `index` that acts at that time; `None` while the link does not count yet.
    pub fn effective(&self, index: usize, link: &LinkAdvert, at: Time) -> Option<u32> {
        let on_hold = self.acts.get(index).is_some_and(|acts| *acts > at);
        match (on_hold, link.was) {
            (true, Was::Absent) => None,
            (true, Was::Cost(cost)) => Some(cost),
            _ => Some(link.cost),
        }
    }
}

impl Lsdb {
    /// An empty database.
    pub fn new() -> Self {
        Self { buckets: vec![0; 256], ..Self::default() }
    }

    /// Stores `item` if it is newer than what is there. The caller has verified the signature, or shall do so before
    /// by asking [`Lsdb::wants`].
    pub fn insert(&mut self, item: Item, age: Duration, holds: &[u16], now: Time) -> Insert {
        let lapses = matches!(item.body(), Body::Node(_));
        if lapses && age >= MAX_AGE {
            return Insert::Refused;
        }
        let key = item.key();
        let now_micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let born = now_micros.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        if let Some(old) = self.items.get_mut(&key) {
            if old.item.hash() == item.hash() {
                old.born = old.born.max(born);
                return Insert::Known;
            }
            if old.item.order() > item.order() {
                return Insert::Old;
            }
        } else if !self.has_room(&key, &item) {
            return Insert::Refused;
        }
        let links = match item.body() {
            Body::Node(record) => record.links.len(),
            _ => 0,
        };
        let mut acts = match holds.len() == links && holds.iter().any(|hold| *hold > 0) {
            true => holds.iter().map(|hold| acts_at(*hold, now)).collect(),
            false => Vec::new(),
        };
        if let (Body::Node(record), Some(old)) = (item.body(), self.items.get(&key))
            && old.record().is_some_and(|old| old.version.epoch == record.version.epoch)
        {
            old.hasten(&record.links, &mut acts);
        }
        self.put(key, Stored { item, born, acts });
        Insert::New
    }

    /// Whether `item` would be stored as new: asked before its signature is verified, so that copies cost nothing.
    pub fn wants(&self, item: &Item) -> bool {
        self.items.get(&item.key()).is_none_or(|old| old.item.hash() != item.hash() && old.item.order() < item.order())
    }

    fn has_room(&self, key: &Key, item: &Item) -> bool {
        match (key, item.body()) {
            (Key::Node(author, fragment), Body::Node(record)) => {
                if let Some(about) = &record.about {
                    self.nodes < MAX_NODES && self.among_best(author, about)
                } else {
                    *fragment > 0 && self.items.contains_key(&Key::Node(*author, 0))
                }
            }
            // Statements are worth something only from nodes that are known.
            (Key::Vote(author, _) | Key::Forget(author, _), _) => {
                self.items.contains_key(&Key::Node(*author, 0)) && self.statements(author) < MAX_STATEMENTS
            }
            (Key::Node(..), _) => false,
        }
    }

    /// Whether `author` is among the best four identities that claim the same name or address, by hash; whoever holds
    /// a vote is kept besides.
    fn among_best(&self, author: &NodeId, about: &About) -> bool {
        let crowded = |claims: &dyn Fn(&About) -> bool| {
            let rivals = self.abouts().filter(|(id, other)| *id != *author && claims(other));
            rivals.filter(|(id, _)| id.rank() < author.rank()).count() >= MAX_CLAIMANTS
        };
        let voted = || self.votes().any(|(_, vote)| vote.claimant == *author);
        let name = |other: &About| other.name == about.name;
        let address = |other: &About| other.addresses.iter().any(|a| about.addresses.contains(a));
        !(crowded(&name) || crowded(&address)) || voted()
    }

    fn statements(&self, author: &NodeId) -> usize {
        let from = Key::Vote(*author, NodeId([0; 32]));
        let votes = self.items.range(from..).take_while(|(key, _)| matches!(key, Key::Vote(a, _) if a == author));
        votes.take(MAX_STATEMENTS).count()
    }

    fn put(&mut self, key: Key, stored: Stored) {
        let hash = key.hash();
        let bucket = usize::from(hash.to_be_bytes()[0]);
        self.buckets[bucket] = self.buckets[bucket].wrapping_add(entry_hash(hash, stored.item.hash()));
        if matches!(key, Key::Node(_, 0)) {
            self.nodes += 1;
        }
        if !stored.acts.is_empty() {
            self.holding.insert(key.clone());
        }
        self.by_hash.insert(hash, key.clone());
        if let Some(old) = self.items.insert(key.clone(), stored) {
            self.buckets[bucket] = self.buckets[bucket].wrapping_sub(entry_hash(hash, old.item.hash()));
            if matches!(key, Key::Node(_, 0)) {
                self.nodes -= 1;
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(old) = self.items.remove(key) else { return };
        let hash = key.hash();
        let bucket = usize::from(hash.to_be_bytes()[0]);
        self.buckets[bucket] = self.buckets[bucket].wrapping_sub(entry_hash(hash, old.item.hash()));
        self.by_hash.remove(&hash);
        if matches!(key, Key::Node(_, 0)) {
            self.nodes -= 1;
        }
    }

    /// Drops what is 24 h old; returns the identities that are gone with it.
    pub fn expire(&mut self, now: Time) -> Vec<NodeId> {
        let lapsed = |(key, stored): (&Key, &Stored)| {
            (matches!(key, Key::Node(..)) && stored.age(now) >= MAX_AGE).then(|| key.clone())
        };
        let keys: Vec<Key> = self.items.iter().filter_map(lapsed).collect();
        let mut gone = Vec::new();
        for key in keys {
            self.remove(&key);
            if let Key::Node(id, 0) = key {
                gone.push(id);
            }
        }
        gone
    }

    /// Lets everything act that is due; gives when the rest acts.
    ///
    /// Changes that are due within moments of each other, by their own holds, act together: nodes count down with small
    /// errors, and each would otherwise see them in an order of its own.
    pub fn advance(&mut self, now: Time) -> Pending {
        let mut acts = self.pending();
        let mut next = step_end(&acts);
        while let Some(end) = next.filter(|end| *end <= now) {
            self.acted = end;
            acts = acts.split_off(&(end + Duration::from_micros(1)));
            next = step_end(&acts);
        }
        Pending { next, acts }
    }

    fn pending(&mut self) -> BTreeSet<Time> {
        let (items, acted) = (&self.items, self.acted);
        let pending = |key: &Key| items.get(key).into_iter().flat_map(|stored| &stored.acts).filter(|a| **a > acted);
        self.holding.retain(|key| pending(key).next().is_some());
        self.holding.iter().flat_map(pending).copied().collect()
    }

    /// The time by which the database is to be read: what acts later than this has not acted yet.
    pub fn acted(&self) -> Time {
        self.acted
    }

    /// One number that is equal on two nodes exactly when (with overwhelming probability) they store the same.
    pub fn digest(&self) -> u64 {
        self.buckets.iter().fold(0, |sum: u64, bucket| sum.wrapping_add(*bucket))
    }

    /// The low 32 bits of each of the 256 bucket sums.
    pub fn buckets(&self) -> Vec<u32> {
        self.buckets.iter().map(|sum| (*sum & u64::from(u32::MAX)) as u32).collect()
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// An item with what is to travel beside it.
    pub fn carried(&self, stored: &Stored, now: Time) -> Carried {
        let holds: Vec<u16> = stored.acts.iter().map(|acts| self.hold_left(*acts, now)).collect();
        let holds = if holds.iter().all(|hold| *hold == 0) { Vec::new() } else { holds };
        let age = u32::try_from(stored.age(now).as_secs()).unwrap_or(u32::MAX);
        Carried { bytes: stored.item.bytes(), age, holds }
    }

    /// The rest of the hold of a change that acts at that time, in milliseconds. What is due and waits for others to act
    /// with it still has the shortest hold there is.
    pub fn hold_left(&self, acts: Time, now: Time) -> u16 {
        match acts > self.acted {
            true => u16::try_from(acts.since(now).as_millis()).unwrap_or(u16::MAX).max(1),
            false => 0,
        }
    }

    /// Summaries of all items whose key falls into `bucket`, sorted by key hash.
    pub fn bucket(&self, bucket: u8) -> Vec<Summary> {
        let from = u64::from(bucket) << 56;
        let range = self.by_hash.range(from..=from | (u64::MAX >> 8));
        range.filter_map(|(hash, key)| Some((*hash, self.items.get(key)?.item.hash()))).collect()
    }

    /// Summaries of all items, sorted by key hash.
    pub fn summaries(&self) -> Vec<Summary> {
        self.by_hash.iter().filter_map(|(hash, key)| Some((*hash, self.items.get(key)?.item.hash()))).collect()
    }

    /// The item whose key has this hash.
    pub fn by_hash(&self, hash: u64) -> Option<&Stored> {
        self.items.get(self.by_hash.get(&hash)?)
    }

    /// The item of this key.
    pub fn get(&self, key: &Key) -> Option<&Stored> {
        self.items.get(key)
    }

    /// All items in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Stored)> {
        self.items.iter()
    }

    /// What `id` says it is.
    pub fn about(&self, id: &NodeId) -> Option<&About> {
        self.items.get(&Key::Node(*id, 0))?.record()?.about.as_ref()
    }

    /// Version of the first fragment of `id`.
    pub fn version(&self, id: &NodeId) -> Option<Version> {
        Some(self.items.get(&Key::Node(*id, 0))?.record()?.version)
    }

    /// Every node and what it says it is, sorted by identity.
    pub fn abouts(&self) -> impl Iterator<Item = (NodeId, &About)> {
        self.fragments().filter_map(|(id, stored)| Some((id, stored.record()?.about.as_ref()?)))
    }

    fn fragments(&self) -> impl Iterator<Item = (NodeId, &Stored)> {
        self.items.iter().map_while(|(key, stored)| match key {
            Key::Node(id, _) => Some((*id, stored)),
            _ => None,
        })
    }

    /// Every vote with its voter.
    pub fn votes(&self) -> impl Iterator<Item = (NodeId, &super::item::Vote)> {
        let from = Key::Vote(NodeId([0; 32]), NodeId([0; 32]));
        self.items.range(from..).filter_map(|(key, stored)| match (key, stored.item.body()) {
            (Key::Vote(voter, _), Body::Vote(vote)) => Some((*voter, vote)),
            _ => None,
        })
    }

    /// Every statement with its author.
    pub fn forgets(&self) -> impl Iterator<Item = (NodeId, &super::item::Forget)> {
        let from = Key::Forget(NodeId([0; 32]), NodeId([0; 32]));
        self.items.range(from..).filter_map(|(_, stored)| match stored.item.body() {
            Body::Forget(forget) => Some((stored.item.author(), forget)),
            _ => None,
        })
    }

    /// Every fragment that counts, sorted by node.
    pub fn records(&self) -> impl Iterator<Item = (NodeId, &Stored, &NodeRecord)> {
        let mut start = None;
        let records = self.fragments().filter_map(|(id, stored)| Some((id, stored, stored.record()?)));
        records.filter(move |(_, _, record)| is_current(record, &mut start))
    }

    /// What `from` tells of its link to `to`.
    pub fn advert(&self, from: &NodeId, to: &NodeId) -> Option<&LinkAdvert> {
        let short = ShortId::from(to);
        self.records_of(from).flat_map(|(_, record)| &record.links).find(|link| link.to == short)
    }

    fn records_of(&self, from: &NodeId) -> impl Iterator<Item = (&Stored, &NodeRecord)> {
        let mut start = None;
        let fragments = self.items.range(Key::Node(*from, 0)..=Key::Node(*from, u8::MAX));
        let records = fragments.filter_map(|(_, stored)| Some((stored, stored.record()?)));
        records.filter(move |(_, record)| is_current(record, &mut start))
    }

    /// Every link that `from` advertises, and whether it acts already.
    pub fn links_of(&self, from: &NodeId) -> impl Iterator<Item = (ShortId, bool)> {
        self.records_of(from).flat_map(move |(stored, record)| {
            let links = record.links.iter().enumerate();
            links.map(move |(index, link)| (link.to, stored.effective(index, link, self.acted).is_some()))
        })
    }
}

/// When the first of these act together: each within [`STEP_GAP`] of the one before, all within [`STEP`].
fn step_end(acts: &BTreeSet<Time>) -> Option<Time> {
    let first = *acts.first()?;
    let mut end = first;
    for at in acts {
        if at.since(end) > STEP_GAP || at.since(first) > STEP {
            break;
        }
        end = *at;
    }
    Some(end)
}

/// When a change with this hold (milliseconds) acts; one without hold has acted.
pub fn acts_at(hold: u16, now: Time) -> Time {
    if hold == 0 { Time::ZERO } else { now + Duration::from_millis(u64::from(hold.min(2_000))) }
}

/// Whether a fragment belongs to the same start of its node as the first fragment, which comes before it.
fn is_current(record: &NodeRecord, start: &mut Option<u64>) -> bool {
    if record.fragment == 0 {
        *start = Some(record.version.epoch);
    }
    *start == Some(record.version.epoch)
}

fn entry_hash(key: u64, content: u64) -> u64 {
    // Spread the pair, so that sums of entries do not cancel by accident.
    (key ^ content.rotate_left(17)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ content
}
