//! Sending, receiving and reconciling items.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::engine::Engine;
use super::super::ids::NodeId;
use super::super::io::Destination;
use super::super::record::{Carried, Insert, Item, Key, Summary};
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::wire::Message;

/// A leaf waits so long before it passes others' news on; the gateways nearly always were faster.
const LEAF_DELAY: Duration = Duration::from_secs(1);
/// In a large mesh news for one neighbour wait for more, so long for each node of the mesh, between gateways ...
const GAP: Duration = Duration::from_micros(100);
/// ... and towards leaves, of which there are many ...
const LEAF_GAP: Duration = Duration::from_micros(500);
/// ... and at most so long.
const LONGEST_GAP: Duration = Duration::from_millis(500);
/// Acknowledgements wait so long for others in a large mesh: less than the first retransmission does.
const OWED_FOR: Duration = Duration::from_millis(300);
/// Bytes of items that one datagram holds.
const ROOM: usize = 1_090;
/// Longest list of hashes in one datagram: two numbers of at most 10 bytes each.
const LIST: usize = 50;
/// Reconciliation with one neighbour starts at most so often ...
const RECONCILE: Duration = Duration::from_millis(250);
/// ... in a large mesh, where news are under way all the time, so often ...
const RECONCILE_LARGE: Duration = Duration::from_secs(2);
/// ... and less and less often, up to this, while it changes nothing on either side.
const RECONCILE_LONGEST: Duration = Duration::from_secs(60);
/// A leaf learns the database from one neighbour at a time: from another one only when nothing new came for so long.
const LEARNS_FOR: Duration = Duration::from_secs(2);
/// In a large mesh a gateway leaves it to a leaf that came so lately to say from whom it learns.
const LEAF_BEGINS: Duration = Duration::from_secs(3);
/// Two that differ compare again after so long, and then less often, too.
const AGAIN: Duration = Duration::from_secs(1);

impl Engine {
    /// Sends an item to every neighbour but the one it came from.
    pub(in super::super) fn flood(&mut self, now: Time, summary: Summary, except: Option<NodeId>) {
        // A leaf passes others' news on only if nobody else does: two gateways may meet in it alone.
        let is_leaf = !self.standing.is_gateway(&self.id());
        let due = if is_leaf && except.is_some() { now + LEAF_DELAY } else { now };
        for id in self.neighbours.ids() {
            if except.is_some_and(|source| self.hears_from(&id, &source)) {
                continue;
            }
            // Who leaves has no time.
            let due = if self.leaving() { due } else { due.max(self.next_turn(now, &id)) };
            let wants = self.floods_to(&id) || (self.leaving() && self.neighbours.get(&id).is_some());
            let Some(neighbour) = self.neighbours.get_mut(&id) else { continue };
            let wants = if neighbour.link.is_up() { wants } else { neighbour.underlay.is_some() };
            if wants && Some(id) != except {
                neighbour.outbox.push(summary, due);
                self.timers.set_no_later(Timer::Retransmit(id), due);
            }
        }
    }

    /// Whether a gateway hears the news of another one by itself. In a large mesh it is not told them once more: each of
    /// thirty gateways would tell each other what all know. Should it miss something, the digests of hellos will show it.
    fn hears_from(&self, id: &NodeId, source: &NodeId) -> bool {
        self.is_large()
            && [&self.id(), id, source].iter().all(|id| self.standing.is_gateway(id))
            && self.graph.edge(id, source).is_some()
    }

    /// When news for a neighbour may be sent: in a large mesh there is always more to come.
    fn next_turn(&self, now: Time, id: &NodeId) -> Time {
        let Some(neighbour) = self.neighbours.get(id).filter(|_| self.is_large()) else { return now };
        let gap = if self.standing.is_gateway(id) { GAP } else { LEAF_GAP };
        let nodes = u32::try_from(self.standing.admitted.len()).unwrap_or(u32::MAX);
        neighbour.outbox.turn(now, (gap * nodes).min(LONGEST_GAP))
    }

    /// Sends one neighbour what is due.
    pub(in super::super) fn retransmit(&mut self, now: Time, id: NodeId) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        let owed = neighbour.outbox.take_owed(now);
        let due = neighbour.outbox.take_due(now);
        if neighbour.outbox.is_late() && neighbour.link.is_up() {
            // What is not acknowledged says that the link may be dead long before an idle one is asked.
            neighbour.link.hurry(now);
            self.arm_probe(now, id);
        }
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        if let Some(next) = neighbour.outbox.next() {
            self.timers.set(Timer::Retransmit(id), next);
        }
        let carried =
            due.iter().filter_map(|key| self.lsdb.by_hash(*key)).map(|stored| self.lsdb.carried(stored, now)).collect();
        let Some(to) = self.transport(now, &id) else { return };
        self.acknowledge(&owed, &id, to);
        self.send_items(carried, &id, to);
    }

    fn acknowledge(&mut self, held: &[Summary], id: &NodeId, to: Destination) {
        for list in held.chunks(LIST) {
            self.send(&Message::Ack(list.to_vec()), id, to);
        }
    }

    fn send_items(&mut self, items: Vec<Carried>, id: &NodeId, to: Destination) {
        let mut batch = Vec::new();
        let mut size = 0;
        for item in items {
            let length = item.bytes.len() + 3 * item.holds.len() + 12;
            if size + length > ROOM && !batch.is_empty() {
                self.send(&Message::Items(std::mem::take(&mut batch)), id, to);
                size = 0;
            }
            size += length;
            batch.push(item);
        }
        if !batch.is_empty() {
            self.send(&Message::Items(batch), id, to);
        }
    }

    /// Items arrived from `from`: store what is new, pass it on, acknowledge.
    pub(in super::super) fn receive_items(
        &mut self,
        now: Time,
        from: NodeId,
        items: &[Carried],
        back: Option<Destination>,
    ) {
        let large = self.is_large();
        let mut tells_of_itself = false;
        let mut held = Vec::new();
        for carried in items {
            let Ok(item) = Item::parse(&carried.bytes) else {
                self.count("items_malformed");
                continue;
            };
            tells_of_itself |= item.author() == from;
            let key = item.key();
            let key_hash = key.hash();
            let before = self.lsdb.get(&key).map(|stored| stored.item.hash());
            let result = self.store(now, item, Duration::from_secs(u64::from(carried.age)), &carried.holds, Some(from));
            let content = self.lsdb.get(&key).map(|stored| stored.item.hash());
            if matches!(result, Insert::Known | Insert::New)
                && let Some(neighbour) = self.neighbours.get_mut(&from)
            {
                // Whoever sends an item has it.
                neighbour.outbox.acknowledge(key_hash);
            }
            if let Some(content) = content {
                held.push((key_hash, content));
            }
            let newer_here = result == Insert::Old && before == content;
            if newer_here && let (Some(content), Some(neighbour)) = (content, self.neighbours.get_mut(&from)) {
                neighbour.outbox.push((key_hash, content), now);
                self.timers.set_no_later(Timer::Retransmit(from), now);
            }
        }
        let Some(to) = back else { return };
        match self.neighbours.get_mut(&from) {
            // Who tells of itself may wait for the answer: it leaves, or it has just joined.
            Some(neighbour) if large && !tells_of_itself => {
                neighbour.outbox.owe(&held, now + OWED_FOR);
                self.timers.set_no_later(Timer::Retransmit(from), now + OWED_FOR);
            }
            _ => self.acknowledge(&held, &from, to),
        }
    }

    /// Stores an item if it is news and properly signed, and floods it.
    pub(in super::super) fn store(
        &mut self,
        now: Time,
        item: Item,
        age: Duration,
        holds: &[u16],
        from: Option<NodeId>,
    ) -> Insert {
        let key = item.key();
        if item.author() == self.id() {
            return self.heard_own_item(now, &item);
        }
        if !self.lsdb.wants(&item) {
            return self.lsdb.insert(item, age, holds, now);
        }
        if !item.is_signed(&self.verifier) {
            self.count("items_bad_signature");
            let author = self.name_of(&item.author());
            self.complain(now, &author, format!("refused: an item in the name of {author} that {author} did not sign"));
            return Insert::Refused;
        }
        let summary = (key.hash(), item.hash());
        let before = match &key {
            Key::Node(id, 0) => self.lsdb.about(id).cloned(),
            _ => None,
        };
        let epoch = self.lsdb.version(&item.author()).map(|version| version.epoch);
        let author = item.author();
        let first = self.lsdb.get(&key).is_none();
        let result = self.lsdb.insert(item, age, holds, now);
        match result {
            Insert::New => {
                if let Some((source, at)) = &mut self.learns_from
                    && from == Some(*source)
                {
                    *at = now;
                }
                self.count("items_new");
                self.stored(now, &key, first, before, epoch);
                self.flood(now, summary, from);
            }
            Insert::Refused => {
                self.count("items_refused");
                self.refused_item(now, author);
            }
            Insert::Known | Insert::Old => {}
        }
        result
    }

    /// A neighbour told its digest: reconcile when it differs from ours.
    pub(in super::super) fn compare_digest(&mut self, now: Time, id: NodeId, theirs: u64) {
        let ours = self.lsdb.digest();
        if ours == theirs {
            return;
        }
        self.compare_again(now, id);
        if !self.reconciles(now, &id) {
            return;
        }
        let shortest = if self.is_large() { RECONCILE_LARGE } else { RECONCILE };
        let Some(to) = self.transport(now, &id) else { return };
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        let same = match neighbour.reconciled {
            Some((o, t, at, same)) => {
                let same = if (o, t) == (ours, theirs) { same + 1 } else { 0 };
                let pause = (shortest * 2_u32.pow(same.min(10))).min(RECONCILE_LONGEST);
                if now.since(at) < pause {
                    return;
                }
                same
            }
            None => 0,
        };
        neighbour.reconciled = Some((ours, theirs, now, same));
        self.count("reconciliations");
        let first = if self.lsdb.len() <= LIST {
            Message::Summary(None, self.lsdb.summaries())
        } else {
            Message::Buckets(self.lsdb.buckets())
        };
        self.send(&first, &id, to);
    }

    /// Whether this node is to reconcile with that neighbour now. Where there are many gateways, a leaf that comes would
    /// else be told everything by each.
    fn reconciles(&mut self, now: Time, id: &NodeId) -> bool {
        let Some(neighbour) = self.neighbours.get(id) else { return false };
        match (self.standing.is_gateway(&self.id()), self.standing.is_gateway(id)) {
            (false, _) if self.is_large() || !self.begins_small() => {
                let busy = |(source, at): &(NodeId, Time)| source != id && now.since(*at) < LEARNS_FOR;
                if self.learns_from.as_ref().is_some_and(busy) {
                    return false;
                }
                self.learns_from = Some((*id, now));
                true
            }
            (true, false) if self.is_large() && self.standing.admitted.contains(id) => {
                let long = |at: Time| now.since(at) >= LEAF_BEGINS;
                neighbour.floods_theirs && neighbour.link.up_since().is_some_and(long)
            }
            _ => true,
        }
    }

    /// Two databases differ: what is exchanged now may get lost, and an idle link is not asked for minutes. So it is asked
    /// again until they are the same, more and more seldom while nothing changes.
    fn compare_again(&mut self, now: Time, id: NodeId) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        let same = neighbour.reconciled.map_or(0, |(.., same)| same);
        neighbour.link.ask_within(now, (AGAIN * 2_u32.pow(same.min(6))).min(RECONCILE_LONGEST));
        self.arm_probe(now, id);
    }

    /// Bucket sums arrived: send the lists of those that differ.
    pub(in super::super) fn receive_buckets(&mut self, id: NodeId, sums: &[u32], to: Destination) {
        let ours = self.lsdb.buckets();
        let differs = (0..=u8::MAX).filter(|bucket| sums[usize::from(*bucket)] != ours[usize::from(*bucket)]);
        // A neighbour that was away long lacks nearly everything: a few buckets at a time keep the burst small.
        let buckets: Vec<u8> = differs.take(16).collect();
        for bucket in buckets {
            let mut list = self.lsdb.bucket(bucket);
            list.truncate(LIST);
            self.send(&Message::Summary(Some(bucket), list), &id, to);
        }
    }

    /// A list arrived: ask for what is missing here, send what is missing there.
    pub(in super::super) fn receive_summary(
        &mut self,
        now: Time,
        id: NodeId,
        bucket: Option<u8>,
        theirs: &[Summary],
        to: Destination,
    ) {
        let ours = bucket.map_or_else(|| self.lsdb.summaries(), |bucket| self.lsdb.bucket(bucket));
        let theirs: BTreeMap<u64, u64> = theirs.iter().copied().collect();
        let our_keys: BTreeSet<u64> = ours.iter().map(|(key, _)| *key).collect();
        let differing = ours.iter().filter(|(key, content)| theirs.get(key) != Some(content));
        let push: Vec<Summary> = differing.copied().collect();
        let changed = push.iter().map(|(key, _)| *key).filter(|key| theirs.contains_key(key));
        let wanted: Vec<u64> = theirs.keys().copied().filter(|key| !our_keys.contains(key)).chain(changed).collect();
        for keys in wanted.chunks(LIST * 2) {
            self.send(&Message::Request(keys.to_vec()), &id, to);
        }
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        push.iter().for_each(|summary| neighbour.outbox.push(*summary, now));
        if !push.is_empty() {
            self.timers.set_no_later(Timer::Retransmit(id), now);
        }
    }

    /// A neighbour asks for items.
    pub(in super::super) fn receive_request(&mut self, now: Time, id: NodeId, keys: &[u64], to: Destination) {
        let items = keys
            .iter()
            .filter_map(|key| self.lsdb.by_hash(*key))
            .map(|stored| self.lsdb.carried(stored, now))
            .collect();
        self.send_items(items, &id, to);
    }
}
