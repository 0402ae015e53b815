//! What follows from an item that was stored, and from this node's own item that came back.

use std::time::Duration;

use super::super::event::{EventKind, Severity};
use super::super::ids::NodeId;
use super::super::record::{About, Body, Insert, Item, Key};
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::trust::claims_of;
use super::{CONFIRM_WAIT, Engine};

impl Engine {
    /// An item was stored: what follows from it. `before` and `epoch` are of the author's former fragment 0.
    /// `first`: nothing was stored under its key before.
    pub(in super::super) fn stored(
        &mut self,
        now: Time,
        key: &Key,
        first: bool,
        before: Option<About>,
        epoch: Option<u64>,
    ) {
        match key {
            Key::Node(id, fragment) => {
                self.dirty.graph = true;
                self.sealer.remember(*id);
                if *fragment > 0 {
                    return;
                }
                let Some(about) = self.lsdb.about(id).cloned() else { return };
                match &before {
                    // Where it may be reached changes more often than all else, and gives nobody anything.
                    Some(before) if before.claims_the_same(&about) => {}
                    _ => {
                        self.dirty.standing = true;
                        self.dirty.abouts = true;
                    }
                }
                if before.as_ref().is_some_and(|before| before.endpoints != about.endpoints) {
                    self.try_again(now, *id);
                    self.seek_direct(now);
                }
                let new_epoch = self.lsdb.version(id).map(|version| version.epoch);
                if epoch.is_some() && epoch != new_epoch {
                    self.restarted(now, *id);
                }
                if before.is_none() {
                    self.save_within(now, Duration::from_secs(2));
                }
            }
            Key::Vote(_, claimant) if first && self.confirms(key, claimant) => {
                self.save_within(now, Duration::from_secs(2));
            }
            Key::Vote(..) | Key::Forget(..) => {
                self.dirty.standing = true;
                self.save_within(now, Duration::from_secs(2));
            }
        }
    }

    /// Whether a vote only confirms who holds what: one more for a claimant that holds exactly that already.
    fn confirms(&self, key: &Key, claimant: &NodeId) -> bool {
        let Some(Body::Vote(vote)) = self.lsdb.get(key).map(|stored| stored.item.body()) else { return false };
        let holds = |about: &About| claims_of(about) == vote.subjects;
        self.standing.admitted.contains(claimant) && self.lsdb.about(claimant).is_some_and(holds)
    }

    /// A node's record shows a new start: what its former start proved is void.
    fn restarted(&mut self, now: Time, id: NodeId) {
        self.windows.remove(&id);
        let name = self.name_of(&id);
        self.event(Severity::Info, EventKind::Node, &name, format!("{name} started anew"));
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        neighbour.outbox.clear();
        neighbour.reconciled = None;
        // What it says on the underlay may well be here first.
        let confirmed_within = CONFIRM_WAIT.max(neighbour.link.cost.rtt().unwrap_or_default() * 4);
        let change = neighbour.link.reset(now);
        self.link_changed(now, id, change);
        self.end_direct(now, id, "it started anew");
        self.timers.set(Timer::Confirm(id), now + confirmed_within);
        self.arm_probe(now, id);
    }

    /// A neighbour's new start did not show inside the tunnel: its clock may have gone back.
    pub(super) fn make_peer_anew(&mut self, now: Time, id: NodeId) {
        let Some(neighbour) = self.neighbours.get_mut(&id).filter(|neighbour| !neighbour.link.is_up()) else { return };
        neighbour.generation += 1;
        neighbour.link.hurry(now);
        self.dirty.plan = true;
        self.settle(now);
        self.probe(now, id);
    }

    /// An item of `author` was one too many.
    pub(in super::super) fn refused_item(&mut self, now: Time, author: NodeId) {
        let name = author.short();
        self.complain(now, &name, format!("refused: an item of {name} is one too many or too old"));
    }

    /// This node's own item came back from the network.
    pub(in super::super) fn heard_own_item(&mut self, now: Time, item: &Item) -> Insert {
        let Some(stored) = self.lsdb.get(&item.key()) else {
            // From a former life: a vote or a fragment that this start does not know. Votes are ours for ever.
            if !item.is_signed(&self.verifier) {
                return Insert::Refused;
            }
            if matches!(item.body(), Body::Node(_)) {
                return self.outlive(now, item);
            }
            let result = self.lsdb.insert(item.clone(), Duration::ZERO, &[], now);
            self.dirty.standing = true;
            return result;
        };
        if stored.item.hash() == item.hash() {
            return Insert::Known;
        }
        if stored.item.order() > item.order() {
            return Insert::Old;
        }
        if !item.is_signed(&self.verifier) {
            return Insert::Refused;
        }
        match item.body() {
            Body::Node(_) => self.outlive(now, item),
            _ => self.lsdb.insert(item.clone(), Duration::ZERO, &[], now),
        }
    }

    /// Someone tells a newer record of this node than this node itself: jump above it, unless that happens too often.
    fn outlive(&mut self, now: Time, item: &Item) -> Insert {
        let Body::Node(record) = item.body() else { return Insert::Refused };
        if record.fragment > 0 && record.version.epoch < self.epoch {
            return Insert::Old;
        }
        self.clone_alarms.retain(|at| now.since(*at).as_secs() < 60);
        if self.clone_alarms.len() >= 3 {
            if self.clone_alarms.len() == 3 {
                self.clone_alarms.push_back(now);
                let text = "another machine uses this node's identity (a copied state directory?): stop one of them \
                            and remove its state directory";
                self.event(Severity::Error, EventKind::Identity, "identity", text.to_owned());
            }
            return Insert::Refused;
        }
        self.clone_alarms.push_back(now);
        if record.version.epoch > self.epoch {
            self.epoch = record.version.epoch + 1;
            self.sealer.set_epoch(self.epoch);
            self.save_within(now, Duration::ZERO);
        }
        self.own.jump(record.version.seq);
        self.dirty.own = true;
        Insert::Old
    }
}
