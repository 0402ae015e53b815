//! From the link-state database to this node's paths: those that act, those that were a moment ago, those to come.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::event::{EventKind, Severity};
use super::super::ids::NodeId;
use super::super::path::{Cause, Graph, Paths, Step};
use super::super::time::Time;
use super::super::timer::Timer;
use super::Engine;

/// Packets may come by paths that were for so long: nodes move on at about, not exactly, the same time.
const LINGER: Duration = Duration::from_secs(2);
/// So many paths that were are remembered ...
const REMEMBERED: usize = 6;
/// ... and so many that will be are foreseen, besides the last.
const FORESEEN: usize = 4;
/// In a large mesh, where something is on hold all the time, so many.
const FORESEEN_LARGE: usize = 1;

impl Engine {
    /// Computes the paths that act now and those that will, when links changed or a hold ran out.
    pub(super) fn find_paths(&mut self, now: Time) {
        let narrow = self.narrow_links();
        if self.narrow != narrow {
            self.narrow = narrow;
            self.dirty.plan = true;
        }
        let pending = self.lsdb.advance(now);
        match pending.next {
            Some(at) => self.timers.set(Timer::Hold, at),
            None => self.timers.stop(Timer::Hold),
        }
        let foreseen = if self.is_large() { FORESEEN_LARGE } else { FORESEEN };
        let last = pending.acts.last().filter(|_| pending.acts.len() > foreseen);
        let coming = pending.acts.iter().take(foreseen).chain(last).copied();
        let times: Vec<Time> = std::iter::once(self.lsdb.acted()).chain(coming).collect();
        let mut graphs = Graph::at(&self.lsdb, &self.standing, &times);
        let graph = graphs.remove(0);
        graphs.dedup();
        let known = std::mem::take(&mut self.coming);
        let same = known.iter().map(|(graph, _)| graph).eq(&graphs);
        self.coming = match same {
            true => known,
            false => {
                let with_paths = |graph: Graph| {
                    let paths = graph.paths(&self.id);
                    (graph, paths)
                };
                graphs.into_iter().map(with_paths).collect()
            }
        };
        self.dirty.crossings |= !same;
        self.dirty.plan |= !same;
        if graph == self.graph {
            return;
        }
        self.effective_hash = graph.hash();
        self.alternatives.take();
        self.count("path_computations");
        let paths = graph.paths(&self.id);
        let graph = std::mem::replace(&mut self.graph, graph);
        let before = std::mem::replace(&mut self.paths, paths);
        if before != self.paths {
            self.dirty.plan = true;
            if !self.leaving {
                self.tell_path_changes(&graph, &before);
                self.seek_direct(now);
            }
        }
        self.suspect_gateways(now, &graph);
        self.past.push_front((now + LINGER, graph, before));
        self.past.truncate(REMEMBERED);
        self.dirty.crossings = true;
        self.timers.set_no_later(Timer::Past, now + LINGER);
    }

    /// Nobody sends by what acted two seconds ago.
    pub(super) fn forget_past(&mut self, now: Time) {
        self.past.retain(|(until, ..)| *until > now);
        if let Some((until, ..)) = self.past.back() {
            self.timers.set(Timer::Past, *until);
        }
        self.dirty.crossings = true;
        self.dirty.plan = true;
    }

    /// An uplink that lost its link to another gateway may be dead: gateways ask each other every second, a leaf at rest
    /// seldom. Asked now, it is left before anyone needs it.
    fn suspect_gateways(&mut self, now: Time, old: &Graph) {
        if self.standing.is_gateway(&self.id) {
            return;
        }
        let lost = |id: &NodeId| {
            let mut gateways = old.neighbours(id).filter(|other| self.standing.is_gateway(other));
            gateways.any(|other| self.graph.edge(id, &other).is_none())
        };
        for id in self.uplinks.iter().filter(|id| lost(id)).copied().collect::<Vec<NodeId>>() {
            if let Some(neighbour) = self.neighbours.get_mut(&id) {
                neighbour.link.ask_within(now, Duration::ZERO);
            }
            self.arm_probe(now, id);
        }
    }

    fn tell_path_changes(&mut self, old_graph: &Graph, before: &Paths) {
        let ids: BTreeSet<NodeId> = before.keys().chain(self.paths.keys()).copied().collect();
        let next = |paths: &Paths, id: &NodeId| paths.get(id).map(|route| route.next);
        // Packets of a direct link in use go by it, whatever becomes of the path beneath.
        let is_direct = |id: &NodeId| self.neighbours.get(id).is_some_and(|neighbour| neighbour.direct.is_active());
        let moved = ids.into_iter().filter(|id| next(before, id) != next(&self.paths, id) && !is_direct(id));
        let moved: Vec<NodeId> = moved.collect();
        if moved.is_empty() {
            // Costs changed and no more: that happens all the time.
            return;
        }
        let step = Step::new(self.id, (old_graph, before), (&self.graph, &self.paths));
        let causes: Vec<Option<Cause>> = moved.iter().map(|id| step.cause(id)).collect();
        for (id, cause) in moved.into_iter().zip(causes) {
            self.count("path_changes");
            let name = self.name_of(&id);
            let say = |next: Option<NodeId>| match next {
                None => "unreachable".to_owned(),
                Some(next) if next == id => "direct".to_owned(),
                Some(next) => format!("through {}", self.name_of(&next)),
            };
            let (old, new) = (say(next(before, &id)), say(next(&self.paths, &id)));
            let because = cause.map_or_else(|| "another path is shorter now".to_owned(), |cause| self.told(cause));
            let text = format!("{name}: {new} (was {old}), since {because}");
            let lost = !self.paths.contains_key(&id) && self.standing.admitted.contains(&id);
            self.event(if lost { Severity::Warning } else { Severity::Info }, EventKind::Path, &name, text);
        }
    }

    fn told(&self, cause: Cause) -> String {
        let link = |a: &NodeId, b: &NodeId| format!("the link {} - {}", self.name_of(a), self.name_of(b));
        match cause {
            Cause::Gone(id) => format!("{} is gone", self.name_of(&id)),
            Cause::Came(id) => format!("{} is here", self.name_of(&id)),
            Cause::NoGateway(id) => format!("{} forwards no longer", self.name_of(&id)),
            Cause::Gateway(id) => format!("{} forwards now", self.name_of(&id)),
            Cause::Lost(a, b) => format!("{} is gone", link(&a, &b)),
            Cause::New(a, b) => format!("{} is there", link(&a, &b)),
            Cause::Cost(a, b, was, is) => format!("{} costs {is}, not {was}", link(&a, &b)),
        }
    }
}
