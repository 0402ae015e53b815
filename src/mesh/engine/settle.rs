//! Settling: after each input, everything that depends on what changed is brought up to date, in order.
//!
//! Who holds what, then this node's own record, then the graph and its paths, then the plan for tunnel and system. In a
//! large mesh news come all the time; there the first two and the paths wait a little, so that one computation serves many.

use std::time::Duration;

use super::super::event::{EventKind, Severity};
use super::super::ids::NodeId;
use super::super::link::LinkChange;
use super::super::record::Body;
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::trust::{Standing, votes_to_cast};
use super::{Engine, LARGE, PACE, PARTING};

impl Engine {
    /// Settles in the middle of an input: the tunnel must know a peer before a reply invites its handshake.
    pub(in super::super) fn settle_before_reply(&mut self, now: Time) {
        self.computed_at = None;
        self.settle(now);
    }

    /// Whether so many nodes take part that each piece of news would be work for all.
    pub(in super::super) fn is_large(&self) -> bool {
        self.standing.admitted.len() > LARGE
    }

    /// Whether standing and paths have to wait: in a large mesh news come all the time, and one computation serves many.
    fn waits(&mut self, now: Time) -> bool {
        if !(self.is_large() && (self.dirty.standing || self.dirty.graph)) || self.leaving {
            return false;
        }
        let nodes = u32::try_from(self.standing.admitted.len()).unwrap_or(u32::MAX);
        if let Some(due) = self.computed_at.map(|at| at + PACE * nodes).filter(|due| *due > now) {
            self.timers.set_no_later(Timer::Settle, due);
            return true;
        }
        self.computed_at = Some(now);
        false
    }

    /// Brings everything that depends on what changed up to date.
    pub(super) fn settle(&mut self, now: Time) {
        // Each round may make work for the next one: a vote changes who holds what, an admission brings an uplink.
        let waits = self.waits(now);
        for _ in 0..8 {
            if !waits && std::mem::take(&mut self.dirty.standing) {
                self.dirty.plan |= std::mem::take(&mut self.dirty.abouts);
                self.decide_standing(now);
            }
            if std::mem::take(&mut self.dirty.own) {
                self.choose_uplinks(now);
                self.tell_uplinks(now);
                self.originate(now);
            }
            if !waits && std::mem::take(&mut self.dirty.graph) {
                self.find_paths(now);
            }
            if waits || !(self.dirty.standing || self.dirty.own || self.dirty.graph) {
                break;
            }
        }
        if std::mem::take(&mut self.dirty.crossings) {
            let crossings = self.find_crossings();
            self.dirty.plan |= crossings != self.crossings;
            self.crossings = crossings;
        }
        // A leaving node keeps its tunnel as it is: its farewell travels inside.
        if std::mem::take(&mut self.dirty.plan) && !self.leaving {
            self.plan_tunnel();
            self.plan_system();
        }
        self.end_leave_early();
    }

    fn decide_standing(&mut self, now: Time) {
        let standing = Standing::compute(&self.config, self.id, &self.lsdb, &self.pins);
        let before = std::mem::replace(&mut self.standing, standing);
        for conflict in self.standing.conflicts.clone() {
            if !before.conflicts.contains(&conflict) {
                self.count("claims_refused");
                let severity = if conflict.claimant == self.id { Severity::Error } else { Severity::Warning };
                self.event(
                    severity,
                    EventKind::Refused,
                    &conflict.claimant_name,
                    format!("refused: {}", conflict.text),
                );
            }
        }
        if before.admitted != self.standing.admitted
            || before.gateways != self.standing.gateways
            || before.statics != self.standing.statics
        {
            self.dirty.graph = true;
            self.dirty.crossings = true;
            self.dirty.own = true;
            self.dirty.plan = true;
            if !self.leaving {
                self.admitted_changed(now, &before);
            }
        }
        self.refresh_wanted(now);
        let votes_count = self.standing.static_of(&self.id).is_some() && !self.leaving;
        if votes_count {
            let in_touch = |id: &NodeId| self.paths.contains_key(id);
            let (config, firm) = (&self.config, self.votes_firmly);
            for vote in votes_to_cast(config, self.id, &self.lsdb, &self.standing, firm, in_touch) {
                let item = self.signer.item(Body::Vote(vote));
                self.unsaved_votes.push((item.key().hash(), item.hash()));
                self.lsdb.insert(item, Duration::ZERO, &[], now);
                self.dirty.standing = true;
            }
            if !self.unsaved_votes.is_empty() {
                // A vote counts for ever: it must be on disk before anyone hears of it.
                self.save(now);
            }
        }
    }

    fn admitted_changed(&mut self, now: Time, before: &Standing) {
        let joined = self.standing.admitted.difference(&before.admitted).filter(|id| **id != self.id);
        for id in joined.copied().collect::<Vec<NodeId>>() {
            let name = self.name_of(&id);
            self.event(Severity::Info, EventKind::Node, &name, format!("{name} is part of the mesh"));
        }
        let gone: Vec<NodeId> = before.admitted.difference(&self.standing.admitted).copied().collect();
        // Refused itself, this node has no tunnels: it must ask its static peers again, or it would never hear that the
        // others changed their minds.
        let cut_off = if gone.contains(&self.id) { self.neighbours.ids() } else { Vec::new() };
        for id in cut_off {
            self.disconnect(now, id);
        }
        for id in gone {
            let name = self.name_of(&id);
            let left = self.lsdb.about(&id).is_some_and(|about| about.left);
            let why =
                if left { "left the mesh" } else { "is no longer part of the mesh: its claims are refused or lapsed" };
            self.event(Severity::Info, EventKind::Node, &name, format!("{name} {why}"));
            self.disconnect(now, id);
        }
        self.decide_direct(now);
        self.seek_direct(now);
    }

    /// A node left the graph for good: its links end now.
    fn disconnect(&mut self, now: Time, id: NodeId) {
        // Whoever is refused shall hear at once why: the votes that decided wait for it.
        self.retransmit(now, id);
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        neighbour.outbox.clear();
        neighbour.direct = super::super::reach::Direct::default();
        neighbour.uplink_theirs = false;
        neighbour.parting = true;
        self.timers.set(Timer::Parted(id), now + PARTING);
        if neighbour.link.reset(now) == LinkChange::Down {
            self.link_down(now, id, "it left");
        }
        self.timers.stop(Timer::Probe(id));
        self.dirty.plan = true;
    }
}
