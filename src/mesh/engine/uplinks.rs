//! Which gateways a leaf counts on: its uplinks, and which of them comes first.
//!
//! Each leaf chooses by itself, from what it measures, its network file and the link-state database; nobody is asked.
//!
//! * **Cost rules where gateways differ much.** Those that cost at most a quarter and 3 ms more than the best are *near*
//!   (half as much again and 6 ms for one that is in use). Whatever is near comes before whatever is not; what is not near
//!   comes in the order of its cost.
//! * **Weights share the leaves among the near ones.** Weighted rendezvous hashing (each gateway's score is its weight
//!   divided by -ln of a hash of leaf and gateway, the highest wins) gives each a part in proportion to its weight, and a
//!   gateway that comes or goes moves only the leaves that are its own. One of weight 0 is the last resort.
//! * **Nobody takes much more than its share.** A gateway that is the first of more leaves than 9/8 of its share is
//!   *crowded* and comes after near ones that are not. Of those that came within the last two minutes the excess moves on, one
//!   after the other in the order of a hash; who is there for longer stays. Whoever has a good one keeps it, until a better
//!   one comes or the file has other weights.
//! * **The first uplink is told cheapest.** The others are told at a millisecond more than it, at least: so traffic follows
//!   the choice, by the costs that the leaf advertises and by nothing else. Every node computes the same paths from them,
//!   whatever its own file says of weights. A cost that a person set is told as it
//!   is, and beside a first one of such a cost all others are told as measured.
//! * **No flapping.** What is gone is replaced at once. What is merely better must stay so for 20 s, costs are the sticky
//!   ones that are advertised, and between two such changes lie 10 minutes. An uplink that is let go is first told dear,
//!   so that its traffic has left when it ends.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::super::config::Class;
use super::super::event::{EventKind, Severity};
use super::super::ids::NodeId;
use super::super::record::ShortId;
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::view::GatewayShare;
use super::Engine;
use super::origin::DRAINED_COST;

/// A gateway without a weight in the file has this one.
const DEFAULT_WEIGHT: u32 = 1;
/// While its links come up after a start, a leaf chooses freely for so long.
const START: Duration = Duration::from_secs(3);
/// What is better must stay so for so long ...
const LASTS: Duration = Duration::from_secs(20);
/// ... and longer for each leaf that moves on before this one ...
const TURN: Duration = Duration::from_secs(2);
/// ... and moves nothing so soon after the last time: at most six changes an hour.
const PAUSE: Duration = Duration::from_secs(600);
/// After new weights leaves think again for so long: each may have changed within the last ten minutes.
const REVISE: Duration = Duration::from_secs(660);
/// Whoever came to a crowded gateway within this time may have to move on.
const NEWCOMER: Duration = Duration::from_secs(120);
/// An uplink that is let go is told dear for so long: until the dearer cost acts everywhere, and what was on its way arrived.
const LET_GO: Duration = Duration::from_secs(5);
/// What it costs more meanwhile, and a gateway of weight 0 always: less than a drained one.
const LAST_RESORT: u32 = 1_000_000;
/// What the other uplinks cost more than the first, at least: a millisecond.
const SECOND: u32 = 10;
/// How often the leaves of each gateway are counted.
const COUNT: Duration = Duration::from_secs(10);
/// A gateway without a link here is looked at anew after this time ...
const LOOK: Duration = Duration::from_secs(600);
/// ... and what it cost is remembered for so long.
const REMEMBER: Duration = Duration::from_secs(3_600);

/// What a leaf has chosen, and what it thinks of changing.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// The first of its uplinks.
    first: Option<NodeId>,
    /// When that became the first.
    came: Time,
    /// When this node had an uplink again after none.
    begun: Option<Time>,
    /// When something merely better was chosen last.
    moved: Option<Time>,
    /// Until when everything is looked at again, because weights changed.
    revise_until: Time,
    /// What would be better, and since when.
    better: Option<(NodeId, BTreeSet<NodeId>, Time)>,
    /// Since when each gateway is reached.
    present: BTreeMap<NodeId, Time>,
    /// Uplinks that are let go, and when they end.
    let_go: BTreeMap<NodeId, Time>,
    /// The least cost that is told of the other uplinks.
    floor: u32,
    /// What the costs of gateways were when there was a link to them, and when that was.
    known: BTreeMap<NodeId, (u32, Time)>,
    /// When gateways without a link here were last looked at.
    looked: BTreeMap<NodeId, Time>,
    /// The leaves of each gateway, and when they were counted.
    leaves: BTreeMap<NodeId, Vec<NodeId>>,
    /// Gateways of which no link is cheap.
    drained: BTreeSet<NodeId>,
    counted: Option<Time>,
}

/// A gateway whose link is up, in the eyes of this leaf.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: NodeId,
    cost: u32,
    weight: u32,
    near: bool,
    crowded: bool,
}

impl Candidate {
    /// What comes first, for this leaf.
    fn compare(&self, other: &Self, leaf: &NodeId) -> Ordering {
        let tier = |one: &Self| (one.weight == 0, !one.near);
        let among_equals = || match self.near && self.weight > 0 {
            true => score(leaf, &other.id, other.weight).total_cmp(&score(leaf, &self.id, self.weight)),
            false => self.cost.cmp(&other.cost),
        };
        tier(self).cmp(&tier(other)).then_with(among_equals).then_with(|| self.id.cmp(&other.id))
    }
}

/// A hash of a leaf and a gateway.
fn lot(leaf: &NodeId, gateway: &NodeId) -> u64 {
    let digest = Sha256::new().chain_update(b"wgnet uplink").chain_update(leaf.0).chain_update(gateway.0).finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
}

/// How much a gateway of this weight suits a leaf: weighted rendezvous hashing.
fn score(leaf: &NodeId, gateway: &NodeId, weight: u32) -> f64 {
    // Never 0 or 1, whose logarithms would be of no use.
    let drawn = ((lot(leaf, gateway) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    f64::from(weight) / -drawn.ln()
}

/// So many leaves may have a gateway of this weight as their first before it is crowded.
fn capacity(leaves: usize, weight: u32, weights: u64) -> usize {
    let share = leaves as u64 * u64::from(weight) * 9;
    usize::try_from(share.div_ceil(8 * weights.max(1))).unwrap_or(usize::MAX)
}

impl Engine {
    /// A gateway's weight by this node's file.
    pub(super) fn weight_of(&self, id: &NodeId) -> u32 {
        let listed = self.standing.static_of(id).and_then(|index| self.config.static_peers[index].weight);
        listed.unwrap_or(DEFAULT_WEIGHT)
    }

    /// Whether a gateway may be an uplink of this leaf: one of weight 0 only in a small mesh, where all are, or while there
    /// is no other.
    pub(super) fn may_be_uplink(&self, id: &NodeId) -> bool {
        let others = || self.neighbours.iter().filter(|n| n.link.is_up() && self.standing.is_gateway(&n.id));
        self.weight_of(id) > 0 || self.max_uplinks() == usize::MAX || others().all(|n| self.weight_of(&n.id) == 0)
    }

    /// A leaf's uplinks: see the module's story.
    pub(super) fn choose_uplinks(&mut self, now: Time) {
        if self.standing.is_gateway(&self.id) {
            self.uplinks.clear();
            self.choice = Choice::default();
            return;
        }
        self.choice.present.retain(|id, _| self.paths.contains_key(id));
        for id in self.standing.gateways.iter().filter(|id| self.paths.contains_key(*id)) {
            self.choice.present.entry(*id).or_insert(now);
        }
        let candidates = self.gateways_up(now);
        let usable: BTreeSet<NodeId> = candidates.iter().map(|candidate| candidate.id).collect();
        self.uplinks.retain(|id| usable.contains(id));
        if self.uplinks.is_empty() {
            self.choice.begun = None;
        }
        let Some(best) = self.best_of(now, &candidates) else {
            self.choice.first = None;
            return;
        };
        let begun = *self.choice.begun.get_or_insert(now);
        let mut wanted: Vec<NodeId> =
            candidates.iter().map(|candidate| candidate.id).filter(|id| self.may_be_uplink(id)).collect();
        // That a gateway is crowded decides about the first one, not about the others.
        wanted.sort_by_key(|id| *id != best);
        let most = self.max_uplinks().min(wanted.len());
        let target: BTreeSet<NodeId> = wanted[..most].iter().copied().collect();
        if now.since(begun) < START {
            self.uplinks.clone_from(&target);
            self.choice.let_go.clear();
            self.set_first(now, best);
        }
        self.let_go_ends(now);
        // What is gone is replaced at once.
        let choice = &mut self.choice;
        let stay = |uplinks: &BTreeSet<NodeId>, let_go: &BTreeMap<NodeId, Time>| {
            uplinks.iter().filter(|id| !let_go.contains_key(*id)).count()
        };
        for id in &wanted {
            if stay(&self.uplinks, &choice.let_go) >= most {
                break;
            }
            choice.let_go.remove(id);
            self.uplinks.insert(*id);
        }
        let first = self.choice.first.filter(|id| self.uplinks.contains(id));
        let Some(first) = first else {
            let next = candidates.iter().find(|candidate| self.uplinks.contains(&candidate.id));
            if let Some(next) = next.map(|next| next.id) {
                self.set_first(now, next);
            }
            self.set_floor(now, &candidates);
            return;
        };
        let kept: BTreeSet<NodeId> =
            self.uplinks.iter().filter(|id| !self.choice.let_go.contains_key(*id)).copied().collect();
        if first == best && kept == target {
            self.choice.better = None;
        } else {
            self.consider(now, best, target);
        }
        self.set_floor(now, &candidates);
    }

    /// What is to be the first: the best near one that is not crowded, or else the best. Whoever has a good one keeps it,
    /// unless the better one came since or the file's weights are new.
    fn best_of(&self, now: Time, candidates: &[Candidate]) -> Option<NodeId> {
        let room = |one: &&Candidate| one.near && one.weight > 0 && !one.crowded;
        let best = candidates.iter().find(room).or_else(|| candidates.first())?;
        let chosen = candidates.iter().filter(room).find(|one| Some(one.id) == self.choice.first);
        // A link to it may be new because another uplink had to be replaced: what counts is when it was there again.
        let since = self.choice.present.get(&best.id);
        let came_since = since.is_some_and(|since| *since > self.choice.came + START);
        let stays =
            !came_since && now >= self.choice.revise_until && self.choice.begun.is_some_and(|b| now.since(b) >= START);
        Some(chosen.filter(|_| stays).unwrap_or(best).id)
    }

    /// The network file's weights are new: what was chosen by the former ones is looked at again.
    pub(super) fn revise_choice(&mut self, now: Time) {
        self.choice.revise_until = now + REVISE;
    }

    /// Something better has shown: it is chosen once it lasts.
    fn consider(&mut self, now: Time, best: NodeId, target: BTreeSet<NodeId>) {
        let since = match &self.choice.better {
            Some((id, uplinks, since)) if *id == best && *uplinks == target => *since,
            _ => now,
        };
        let wait = LASTS + TURN * u32::try_from(self.turn(now)).unwrap_or(u32::MAX).min(60);
        let early = self.choice.moved.is_some_and(|moved| now.since(moved) < PAUSE);
        if now.since(since) < wait || early {
            self.choice.better = Some((best, target, since));
            return;
        }
        self.choice.better = None;
        self.choice.moved = Some(now);
        for id in self.uplinks.difference(&target) {
            self.choice.let_go.entry(*id).or_insert(now + LET_GO);
        }
        for id in &target {
            self.choice.let_go.remove(id);
        }
        self.uplinks.extend(target);
        self.set_first(now, best);
    }

    fn let_go_ends(&mut self, now: Time) {
        let over: Vec<NodeId> = self.choice.let_go.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in over {
            self.choice.let_go.remove(&id);
            self.uplinks.remove(&id);
        }
    }

    fn set_first(&mut self, now: Time, first: NodeId) {
        let Some(before) = self.choice.first.replace(first) else {
            self.choice.came = now;
            return;
        };
        if before == first {
            return;
        }
        self.choice.came = now;
        // While links come up the first one says nothing.
        if self.choice.begun.is_some_and(|begun| now.since(begun) >= START) {
            self.count("uplinks_changed");
            let (name, was) = (self.name_of(&first), self.name_of(&before));
            let why = match self.neighbours.get(&before).is_some_and(|before| before.link.is_up()) {
                true => "by cost and weights",
                false => "whose link is down",
            };
            let text = format!("{name} is the first of this node's gateways (was {was}), {why}");
            self.event(Severity::Info, EventKind::Path, &name, text);
        }
    }

    /// The other uplinks are told no cheaper than the first, while that one is near.
    fn set_floor(&mut self, now: Time, candidates: &[Candidate]) {
        let first = candidates.iter().find(|candidate| Some(candidate.id) == self.choice.first);
        // While links come up each one would change what is told of all.
        let starts = self.choice.begun.is_none_or(|begun| now.since(begun) < START);
        // Where a person set its cost, costs decide alone.
        let fixed = |id: &NodeId| self.neighbours.get(id).is_some_and(|first| first.link.cost.is_fixed());
        let near = first.filter(|first| first.near && first.weight > 0 && !starts && !fixed(&first.id));
        self.choice.floor = near.map_or(0, |first| first.cost.saturating_add(SECOND));
    }

    /// What a leaf tells of the cost of an uplink that it measures as `cost`.
    pub(super) fn told_cost(&self, id: &NodeId, cost: u32, is_fixed: bool) -> u32 {
        let first = self.choice.first == Some(*id);
        let cost = if first || is_fixed { cost } else { cost.max(self.choice.floor) };
        let last = self.choice.let_go.contains_key(id) || !first && self.weight_of(id) == 0;
        cost + if last { LAST_RESORT } else { 0 }
    }

    /// The gateways whose links are up, the best first.
    fn gateways_up(&mut self, now: Time) -> Vec<Candidate> {
        self.count_leaves(now);
        let ids: Vec<NodeId> = self
            .neighbours
            .iter()
            .filter(|n| n.link.is_up())
            .map(|n| n.id)
            .filter(|id| self.standing.is_gateway(id))
            .collect();
        let mut candidates: Vec<Candidate> = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(neighbour) = self.neighbours.get_mut(&id) else { continue };
            let own = neighbour.link.cost.advertise(now);
            let cost = self.raised(&id, own);
            self.choice.known.insert(id, (cost, now));
            candidates.push(Candidate { id, cost, weight: self.weight_of(&id), near: false, crowded: false });
        }
        let best = candidates.iter().filter(|one| one.weight > 0).map(|one| one.cost).min().unwrap_or(0);
        for one in &mut candidates {
            let used = self.uplinks.contains(&one.id);
            one.near = is_near(one.cost, best, used);
            // What is in use must be clearly dearer to be left.
            one.cost = if used && !one.near { one.cost - one.cost / 3 } else { one.cost };
        }
        let near: Vec<(NodeId, u32)> =
            candidates.iter().filter(|one| one.near && one.weight > 0).map(|one| (one.id, one.weight)).collect();
        let weights: u64 = near.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let of = |id: &NodeId| self.choice.leaves.get(id).map_or(0, Vec::len);
        let known = self.choice.first.is_some_and(|first| near.iter().any(|(id, _)| *id == first));
        let leaves = near.iter().map(|(id, _)| of(id)).sum::<usize>() + usize::from(!known);
        let turn = self.turn_at(now, leaves, weights);
        for one in candidates.iter_mut().filter(|one| one.near && one.weight > 0) {
            let capacity = capacity(leaves, one.weight, weights);
            one.crowded = match self.choice.first {
                Some(first) if first == one.id => turn.is_some(),
                // Whoever has a gateway leaves some room for those who have none.
                Some(_) => of(&one.id) + 1 > capacity - capacity / 10,
                None => of(&one.id) + 1 > capacity,
            };
        }
        candidates.sort_by(|a, b| a.compare(b, &self.id));
        candidates
    }

    /// The cost of a gateway: what is measured, unless the gateway asks for much more (drained, or made dearer).
    fn raised(&self, id: &NodeId, own: u32) -> u32 {
        let told = self.lsdb.advert(id, &self.id).map_or(0, |advert| advert.cost);
        let told = if self.choice.drained.contains(id) { told.max(DRAINED_COST) } else { told };
        if told > 2 * own + 100 { told } else { own }
    }

    /// Of the leaves that this one's gateway has too many of, how many move on before this one; 0 where it has not.
    fn turn(&self, now: Time) -> usize {
        let near = self.choice.known.iter().filter(|(id, _)| self.uplinks.contains(id));
        let weights = near.clone().map(|(id, _)| u64::from(self.weight_of(id))).sum();
        let leaves = near.map(|(id, _)| self.choice.leaves.get(id).map_or(0, Vec::len)).sum();
        self.turn_at(now, leaves, weights).unwrap_or(0)
    }

    fn turn_at(&self, now: Time, leaves: usize, weights: u64) -> Option<usize> {
        let first = self.choice.first?;
        let mine = self.choice.leaves.get(&first)?;
        let capacity = capacity(leaves, self.weight_of(&first), weights);
        if mine.len() <= capacity || now.since(self.choice.came) >= NEWCOMER {
            return None;
        }
        let before = mine.iter().filter(|leaf| lot(leaf, &first) < lot(&self.id, &first)).count();
        before.checked_sub(capacity)
    }

    /// Counts whose first uplink each gateway is, from what the leaves tell.
    fn count_leaves(&mut self, now: Time) {
        if self.choice.counted.is_some_and(|at| now.since(at) < COUNT) {
            return;
        }
        self.choice.counted = Some(now);
        self.choice.leaves = self.leaves_of_gateways();
        self.choice.drained = self.drained_gateways();
        self.choice.known.retain(|_, (_, at)| now.since(*at) < REMEMBER);
        self.choice.looked.retain(|_, at| now.since(*at) < REMEMBER);
    }

    /// Gateways all of whose links are told as those of a drained one.
    fn drained_gateways(&self) -> BTreeSet<NodeId> {
        let mut drained: BTreeMap<NodeId, bool> = BTreeMap::new();
        for (a, b, _) in self.graph.edges() {
            let dear = self.graph.edge(&a, &b).is_some_and(|cost| cost >= u64::from(DRAINED_COST));
            for id in [a, b].into_iter().filter(|id| self.standing.is_gateway(id)) {
                *drained.entry(id).or_insert(true) &= dear;
            }
        }
        drained.into_iter().filter(|(_, drained)| *drained).map(|(id, _)| id).collect()
    }

    /// For each gateway, the leaves that tell its link as their cheapest.
    fn leaves_of_gateways(&self) -> BTreeMap<NodeId, Vec<NodeId>> {
        let short: BTreeMap<ShortId, NodeId> =
            self.standing.gateways.iter().map(|id| (ShortId::from(id), *id)).collect();
        let mut cheapest: BTreeMap<NodeId, (u32, NodeId)> = BTreeMap::new();
        let is_leaf = |id: &NodeId| self.standing.admitted.contains(id) && !self.standing.is_gateway(id);
        for (leaf, _, record) in self.lsdb.records().filter(|(id, ..)| is_leaf(id)) {
            for link in &record.links {
                let Some(gateway) = short.get(&link.to) else { continue };
                let told = (link.cost, *gateway);
                cheapest.entry(leaf).and_modify(|least| *least = told.min(*least)).or_insert(told);
            }
        }
        let mut leaves: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for (leaf, (_, gateway)) in cheapest {
            leaves.entry(gateway).or_default().push(leaf);
        }
        leaves
    }

    /// Looks at gateways that would suit this leaf better and that it has no link to: one that is new, or back.
    pub(super) fn look_at_other_gateways(&mut self, now: Time) {
        let small = self.max_uplinks() == usize::MAX;
        // To look costs traffic, which some pay for.
        let pays = self.config.class == Class::Mobile;
        if self.standing.is_gateway(&self.id) || small || pays || self.uplinks.len() < self.max_uplinks() {
            return;
        }
        let best = self.uplinks.iter().filter_map(|id| self.choice.known.get(id)).map(|(cost, _)| *cost).min();
        let suits = |id: &NodeId| score(&self.id, id, self.weight_of(id));
        let Some(worst) = self.uplinks.iter().map(suits).min_by(f64::total_cmp) else { return };
        let others = self.standing.gateways.iter().filter(|id| {
            let far = |(cost, _): &(u32, Time)| best.is_some_and(|best| !is_near(*cost, best, false));
            !self.neighbours.get(id).is_some_and(|neighbour| neighbour.link.is_up())
                && self.weight_of(id) > 0
                && suits(id) > worst
                && self.paths.contains_key(*id)
                && !self.choice.known.get(*id).is_some_and(far)
                && self.choice.looked.get(*id).is_none_or(|at| {
                    let is_back = self.choice.present.get(*id).is_some_and(|since| since > at);
                    is_back || now.since(*at) >= LOOK
                })
        });
        for id in others.copied().collect::<Vec<NodeId>>() {
            self.choice.looked.insert(id, now);
            self.ensure_neighbour(now, id);
            let Some(neighbour) = self.neighbours.get_mut(&id) else { continue };
            neighbour.link.hurry(now);
            let unhinted = neighbour.hint.is_none();
            match self.standing.static_of(&id) {
                Some(index) => {
                    if unhinted {
                        self.hint_static(now, index, id);
                    }
                    // It may have let go of this leaf, too.
                    self.timers.set_no_later(Timer::Join(index), now);
                }
                None if unhinted => self.hint_record(now, id, 0),
                None => {}
            }
            self.arm_probe(now, id);
        }
    }

    /// What a leaf's own choice has to do with a path that begins with this gateway, where weights are given.
    pub(super) fn why_first(&self, first: &NodeId) -> Option<String> {
        if self.choice.first != Some(*first) || self.standing.gateways.iter().all(|id| self.weight_of(id) == 1) {
            return None;
        }
        let shares = self.gateway_shares();
        let leaves: usize = shares.iter().map(|share| share.leaves).sum();
        let share = shares.into_iter().find(|share| share.is_first)?;
        let GatewayShare { name, weight, leaves: own, .. } = share;
        Some(format!("{name} is this node's first gateway: weight {weight}, first for {own} of {leaves} leaves"))
    }

    /// Every gateway's weight and share, for people; sorted by name.
    pub(super) fn gateway_shares(&self) -> Vec<GatewayShare> {
        let leaves = self.leaves_of_gateways();
        let mut shares: Vec<GatewayShare> = self
            .standing
            .gateways
            .iter()
            .map(|id| GatewayShare {
                name: self.name_of(id),
                weight: self.weight_of(id),
                leaves: leaves.get(id).map_or(0, Vec::len),
                is_first: self.choice.first == Some(*id),
                is_uplink: self.uplinks.contains(id),
            })
            .collect();
        shares.sort_by(|a, b| a.name.cmp(&b.name));
        shares
    }
}

/// Whether a gateway of this cost is about as good as the best; one in use is so for longer.
fn is_near(cost: u32, best: u32, used: bool) -> bool {
    let more = if used { best / 2 + 60 } else { best / 4 + 30 };
    cost <= best.saturating_add(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_le_bytes());
        NodeId(bytes)
    }

    /// The gateway of each of 10,000 leaves.
    fn chosen(gateways: &[(u16, u32)]) -> Vec<u16> {
        let best = |leaf: u16| {
            let suits = |(number, weight): &(u16, u32)| score(&id(1_000 + leaf), &id(*number), *weight);
            gateways.iter().max_by(|a, b| suits(a).total_cmp(&suits(b))).expect("there are gateways").0
        };
        (0..10_000).map(best).collect()
    }

    #[test]
    fn leaves_spread_in_proportion_to_weights() {
        let chosen = chosen(&[(1, 1), (2, 2), (3, 3), (4, 0), (5, 1)]);
        let count = |gateway: u16| chosen.iter().filter(|one| **one == gateway).count();
        for (gateway, expected) in [(1, 1_429), (2, 2_857), (3, 4_286), (4, 0), (5, 1_429_usize)] {
            assert!(count(gateway).abs_diff(expected) < 150, "{gateway}: {} leaves, not {expected}", count(gateway));
        }
    }

    #[test]
    fn a_gateway_that_comes_or_goes_moves_only_its_own_leaves() {
        let all = chosen(&[(1, 1), (2, 2), (3, 3)]);
        let without = chosen(&[(1, 1), (3, 3)]);
        assert!(all.iter().zip(&without).all(|(all, without)| *all == 2 || all == without));
    }

    #[test]
    fn a_dearer_gateway_of_any_weight_comes_after_near_ones_and_weight_0_last() {
        let one = |number, cost, weight, near| Candidate { id: id(number), cost, weight, near, crowded: false };
        let mut list = [one(1, 60, 0, true), one(2, 900, 1_000, false), one(3, 80, 1, true), one(4, 400, 1, false)];
        list.sort_by(|a, b| a.compare(b, &id(9)));
        assert_eq!(list.map(|one| one.id), [id(3), id(4), id(2), id(1)]);
        assert!(is_near(155, 100, false) && !is_near(156, 100, false) && is_near(210, 100, true));
    }

    #[test]
    fn a_gateway_is_crowded_an_eighth_above_its_share() {
        assert_eq!((capacity(100, 1, 7), capacity(100, 3, 7), capacity(100, 0, 7)), (17, 49, 0));
        assert_eq!(capacity(2, 1, 2), 2, "of few leaves one more is no crowd");
    }
}
