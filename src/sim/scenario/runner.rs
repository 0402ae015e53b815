//! Runs a scenario in the simulator and says whether it went as expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::{Condition, Expectation, Hop, Pairs, Scenario};
use crate::mesh::time::Time;
use crate::mesh::view::{NodeView, PathKind, View};
use crate::sim::queue::Queue;
use crate::sim::traffic::{ANSWER_WITHIN, Losses, Ping};
use crate::sim::world::{Hosts, World};

/// Interval of the pings and looks of an expectation that is being held.
const HOLD_EVERY: Duration = Duration::from_secs(1);
/// Interval of the pings that nobody may answer.
const SILENCE_EVERY: Duration = Duration::from_millis(250);
/// So many pairs are named in a message.
const NAMED: usize = 4;

/// How a run ended.
pub struct Outcome {
    /// Expectations and limits that were not met, one line each. Broken invariants are in the world.
    pub failures: Vec<String>,
    /// The world at the end.
    pub world: World,
    /// What was measured, one line each: losses of the flows, traffic at rest.
    pub figures: Vec<String>,
}

impl Outcome {
    /// Whether everything was as expected and no invariant was broken.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.world.violations().is_empty()
    }

    /// What went wrong, one line each.
    pub fn complaints(&self) -> Vec<String> {
        let violations = self.world.violations().iter().map(ToString::to_string);
        self.failures.iter().cloned().chain(violations).collect()
    }
}

/// Runs a scenario to its end or to the first broken invariant.
pub fn run(scenario: &Scenario, seed: u64, hosts: Hosts) -> Outcome {
    let mut runner = Runner::new(scenario, seed, hosts);
    let end = time(scenario.duration);
    while let Some(at) = runner.agenda.next_time().filter(|at| *at <= end) {
        runner.world.run_until(at);
        if !runner.world.violations().is_empty() {
            return runner.finish();
        }
        if let Some((_, item)) = runner.agenda.pop() {
            runner.turn(item);
        }
    }
    runner.world.run_until(end);
    runner.finish()
}

fn time(since_start: Duration) -> Time {
    Time::ZERO + since_start
}

struct Runner<'a> {
    scenario: &'a Scenario,
    world: World,
    agenda: Queue<Item>,
    progress: Vec<Progress>,
    /// For each flow: its pairs and their pings.
    flows: Vec<Vec<PairFlow>>,
    /// Of each node.
    before_idle: Vec<Restless>,
    failures: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    FirstStart(usize),
    Event(usize),
    Expect(usize),
    Flow(usize, usize),
    IdleBegins,
}

struct PairFlow {
    from: usize,
    to: usize,
    pings: Vec<usize>,
}

/// How far an expectation has come.
#[derive(Default)]
struct Progress {
    /// Pairs that passed a ping.
    passed: BTreeSet<(usize, usize)>,
    /// Pings that were sent and not yet seen answered.
    sent: BTreeMap<(usize, usize), Vec<usize>>,
    /// Pings that must all be answered (or all not).
    held: Vec<usize>,
    /// It became true; it must stay so until this time.
    hold_until: Option<Time>,
}

impl<'a> Runner<'a> {
    fn new(scenario: &'a Scenario, seed: u64, hosts: Hosts) -> Self {
        let world = World::new(scenario, seed, hosts);
        let mut agenda = Queue::new();
        for (number, node) in scenario.nodes.values().enumerate() {
            if let Some(start) = node.start {
                agenda.push(time(start), Item::FirstStart(number));
            }
        }
        for (index, event) in scenario.events.iter().enumerate() {
            agenda.push(time(event.at), Item::Event(index));
        }
        for (index, expectation) in scenario.expect.iter().enumerate() {
            let silence = matches!(expectation.what, Condition::Unreachable(_));
            let begin = if silence { expectation.since + expectation.within } else { expectation.since };
            agenda.push(time(begin), Item::Expect(index));
        }
        let mut flows = Vec::new();
        for (index, flow) in scenario.flows.iter().enumerate() {
            let pairs = flow_pairs(&world, &flow.pairs);
            let count = u32::try_from(pairs.len()).unwrap_or(u32::MAX).max(1);
            for (number, _) in pairs.iter().enumerate() {
                // Spread over the interval, so that the pairs do not all ping at one moment.
                let phase = flow.every / count * u32::try_from(number).unwrap_or(0);
                agenda.push(time(flow.start + phase), Item::Flow(index, number));
            }
            flows.push(pairs);
        }
        if let Some(bounds) = &scenario.bounds {
            agenda.push(time(bounds.idle_from), Item::IdleBegins);
        }
        let progress = scenario.expect.iter().map(|_| Progress::default()).collect();
        Self { scenario, world, agenda, progress, flows, before_idle: Vec::new(), failures: Vec::new() }
    }

    fn turn(&mut self, item: Item) {
        match item {
            Item::FirstStart(node) => self.world.start_daemon(node),
            Item::Event(index) => {
                let event = &self.scenario.events[index];
                if let Err(error) = self.world.apply(&event.action)
                    && !event.may_be_refused
                {
                    self.failures.push(format!("events at {:?}: {error}", event.at));
                }
            }
            Item::Flow(index, number) => self.flow_ping(index, number),
            Item::IdleBegins => {
                self.before_idle = (0..self.world.len()).map(|node| Restless::of(&self.world, node)).collect();
            }
            Item::Expect(index) => self.look(index),
        }
    }

    fn flow_ping(&mut self, index: usize, number: usize) {
        let flow = &self.scenario.flows[index];
        let pair = &mut self.flows[index][number];
        if self.world.runs(pair.from) && self.world.runs(pair.to) {
            let ping = self.world.ping(pair.from, pair.to);
            pair.pings.push(ping);
        }
        let next = self.world.now() + flow.every;
        if next <= time(flow.stop) {
            self.agenda.push(next, Item::Flow(index, number));
        }
    }

    /// Looks after an expectation: whether it is met, still to be met, or too late.
    fn look(&mut self, index: usize) {
        let expectation = &self.scenario.expect[index];
        match &expectation.what {
            Condition::Reachable(pairs) => self.look_reachable(index, expectation, pairs),
            Condition::Unreachable(pairs) => self.look_unreachable(index, expectation, pairs),
            _ => self.look_status(index, expectation),
        }
    }

    fn look_reachable(&mut self, index: usize, expectation: &Expectation, pairs: &Pairs) {
        let (now, deadline) = (self.world.now(), time(expectation.since + expectation.within));
        if self.progress[index].hold_until.is_some() {
            let lost = self.hold_pings(index, pairs, HOLD_EVERY, |ping| !ping.passed());
            if let Some(lost) = lost.filter(|lost| !lost.is_empty()) {
                self.fail(index, &format!("was true, but then pings were lost: {}", self.list(&lost)));
            }
            return;
        }
        let wanted = self.pairs(pairs);
        let mut missing = Vec::new();
        for pair in &wanted {
            let progress = &mut self.progress[index];
            if progress.passed.contains(pair) {
                continue;
            }
            let sent = progress.sent.entry(*pair).or_default();
            if sent.iter().any(|ping| self.world.ping_result(*ping).is_some_and(Ping::passed)) {
                progress.passed.insert(*pair);
                continue;
            }
            missing.push(*pair);
            if now < deadline {
                let ping = self.world.ping(pair.0, pair.1);
                self.progress[index].sent.entry(*pair).or_default().push(ping);
            }
        }
        if missing.is_empty() && !wanted.is_empty() {
            self.progress[index].sent.clear();
            if !expectation.hold.is_zero() {
                self.progress[index].hold_until = Some(now + expectation.hold);
                self.agenda.push(now, Item::Expect(index));
            }
        } else if now >= deadline {
            let whom = if wanted.is_empty() { "nobody to ping".to_owned() } else { self.list(&missing) };
            self.fail(index, &format!("{} of {} pairs: {whom}", missing.len(), wanted.len()));
        } else {
            self.again(index, deadline);
        }
    }

    fn look_unreachable(&mut self, index: usize, expectation: &Expectation, pairs: &Pairs) {
        let hold = expectation.hold.max(Duration::from_secs(1));
        let until = time(expectation.since + expectation.within + hold);
        self.progress[index].hold_until.get_or_insert(until);
        let answered = self.hold_pings(index, pairs, SILENCE_EVERY, Ping::passed);
        if let Some(answered) = answered.filter(|answered| !answered.is_empty()) {
            self.fail(index, &format!("but pings were answered: {}", self.list(&answered)));
        }
    }

    /// Sends the pings of an expectation that is held; at its end gives the pairs with a ping that `offends`.
    fn hold_pings(
        &mut self,
        index: usize,
        pairs: &Pairs,
        every: Duration,
        offends: impl Fn(&Ping) -> bool,
    ) -> Option<Vec<(usize, usize)>> {
        let now = self.world.now();
        let until = self.progress[index].hold_until.unwrap_or(now);
        if now <= until {
            for (from, to) in self.pairs(pairs) {
                let ping = self.world.ping(from, to);
                self.progress[index].held.push(ping);
            }
            let next =
                if now + every <= until { now + every } else { until + ANSWER_WITHIN + Duration::from_micros(1) };
            self.agenda.push(next, Item::Expect(index));
            return None;
        }
        let results = self.progress[index].held.iter().filter_map(|ping| self.world.ping_result(*ping));
        let offending: BTreeSet<_> = results.filter(|ping| offends(ping)).map(|ping| (ping.from, ping.to)).collect();
        Some(offending.into_iter().collect())
    }

    fn look_status(&mut self, index: usize, expectation: &Expectation) {
        let (now, deadline) = (self.world.now(), time(expectation.since + expectation.within));
        let wrong = status_differs(&self.world, &expectation.what);
        match (wrong, self.progress[index].hold_until) {
            (None, None) if !expectation.hold.is_zero() => {
                self.progress[index].hold_until = Some(now + expectation.hold);
                self.agenda.push(now + HOLD_EVERY, Item::Expect(index));
            }
            (None, None) => {}
            (None, Some(until)) if now < until => self.agenda.push(now + HOLD_EVERY, Item::Expect(index)),
            (None, Some(_)) => {}
            (Some(wrong), Some(_)) => self.fail(index, &format!("was true, but not any more: {wrong}")),
            (Some(wrong), None) if now >= deadline => self.fail(index, &wrong),
            (Some(_), None) => self.again(index, deadline),
        }
    }

    /// Looks again soon: often at first, as what is measured in milliseconds comes then.
    fn again(&mut self, index: usize, deadline: Time) {
        let expectation = &self.scenario.expect[index];
        let status = !matches!(expectation.what, Condition::Reachable(_));
        let gone = self.world.now().since(time(expectation.since));
        let wait = match gone.as_secs() {
            0 if !status => Duration::from_millis(10),
            0..10 => Duration::from_millis(100),
            _ => Duration::from_millis(500),
        };
        self.agenda.push((self.world.now() + wait).min(deadline), Item::Expect(index));
    }

    fn fail(&mut self, index: usize, reason: &str) {
        let expectation = &self.scenario.expect[index];
        let mut text = format!("expect[{index}] {}", describe(expectation));
        write!(text, ": {reason}").unwrap_or_default();
        self.failures.push(text);
    }

    fn pairs(&self, pairs: &Pairs) -> Vec<(usize, usize)> {
        product(&self.world.select(&pairs.from), &self.world.select(&pairs.to))
    }

    fn list(&self, pairs: &[(usize, usize)]) -> String {
        let name = |(from, to): &(usize, usize)| {
            let why = self.world.view(*from).and_then(|view| {
                let key = self.world.key(*to);
                view.nodes.into_iter().find(|node| node.public_key == Some(key)).map(|node| node.why)
            });
            let why = why.unwrap_or_else(|| "unknown to it".to_owned());
            format!("{} > {} ({why})", self.world.name(*from), self.world.name(*to))
        };
        let mut text = pairs.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
        if pairs.len() > NAMED {
            write!(text, " and {} more", pairs.len() - NAMED).unwrap_or_default();
        }
        text
    }

    fn finish(mut self) -> Outcome {
        let mut summaries = Vec::new();
        for (index, flow) in self.scenario.flows.iter().enumerate() {
            for (number, limit) in flow.limits.iter().enumerate() {
                let (mut worst, mut sum) = (Losses::default(), Losses::default());
                for pair in &self.flows[index] {
                    let losses = self.losses(pair, limit.from, limit.until);
                    worst.lost = worst.lost.max(losses.lost);
                    worst.outage = worst.outage.max(losses.outage);
                    sum.sent += losses.sent;
                    sum.lost += losses.lost;
                    let too_many = limit.lost.is_some_and(|most| losses.lost > most);
                    let too_long = limit.outage.is_some_and(|most| losses.outage > most);
                    if too_many || too_long {
                        let (from, to) = (self.world.name(pair.from), self.world.name(pair.to));
                        self.failures.push(format!(
                            "flows[{index}].limits[{number}] {from} > {to}: {} of {} pings lost, the first at {:.3} s, \
                             longest outage {:?}",
                            losses.lost,
                            losses.sent,
                            losses.first_lost.map_or(0.0, |at| at.as_micros() as f64 / 1e6),
                            losses.outage
                        ));
                    }
                }
                summaries.push(format!(
                    "flows[{index}].limits[{number}]: {} of {} pings lost, at most {} by one pair; longest outage {:?}",
                    sum.lost, sum.sent, worst.lost, worst.outage
                ));
            }
        }
        summaries.extend(self.judge_idle());
        Outcome { failures: self.failures, world: self.world, figures: summaries }
    }

    fn losses(&self, pair: &PairFlow, from: Duration, until: Duration) -> Losses {
        let (from, until) = (time(from), time(until));
        let end = until.min(self.world.now());
        let pings = pair.pings.iter().filter_map(|ping| self.world.ping_result(*ping));
        // The last ones may not have had their time yet.
        let judged = pings.filter(|p| p.sent >= from && p.sent <= until && p.sent + ANSWER_WITHIN <= self.world.now());
        Losses::of(judged.map(|ping| (ping.sent, ping.passed())), end)
    }

    /// What nodes do while nothing happens; of their traffic invariant I5 speaks. Gives the figures of each.
    fn judge_idle(&mut self) -> Vec<String> {
        let Some(bounds) = &self.scenario.bounds else { return Vec::new() };
        let mut figures = Vec::new();
        let hours = self.scenario.duration.saturating_sub(bounds.idle_from).as_secs_f64() / 3_600.0;
        for (node, before) in self.before_idle.iter().enumerate() {
            let (name, after) = (self.world.name(node), Restless::of(&self.world, node));
            let bytes = ((after.bytes - before.bytes) as f64 / hours).round() as u64;
            let changes = after.path_changes.saturating_sub(before.path_changes) as f64 / hours;
            figures.push(format!("{name}: {bytes} bytes and {changes:.1} changed paths an hour at rest"));
            if let Some(most) = bounds.bytes_per_hour.filter(|most| bytes > *most) {
                self.failures.push(format!("I5: {name} moves {bytes} bytes an hour at rest, more than {most}"));
            }
            if let Some(most) = bounds.path_changes_per_hour.filter(|most| changes > *most as f64) {
                self.failures.push(format!("{name} changes {changes:.1} paths an hour at rest, more than {most}"));
            }
        }
        figures
    }
}

/// What a node did so far that it should hardly do at rest.
#[derive(Clone, Copy, Debug)]
struct Restless {
    bytes: u64,
    path_changes: u64,
}

impl Restless {
    fn of(world: &World, node: usize) -> Self {
        let counters = world.view(node).map(|view| view.counters).unwrap_or_default();
        let changes = counters.into_iter().find(|(name, _)| *name == "path_changes");
        Self { bytes: world.underlay_bytes(node), path_changes: changes.map_or(0, |(_, count)| count) }
    }
}

fn product(from: &[usize], to: &[usize]) -> Vec<(usize, usize)> {
    from.iter().flat_map(|a| to.iter().filter(move |b| *b != a).map(move |b| (*a, *b))).collect()
}

/// The pairs of a flow: `all` are all honest nodes here, whether they run yet or not.
fn flow_pairs(world: &World, pairs: &Pairs) -> Vec<PairFlow> {
    let every = |nodes| match nodes {
        &super::Nodes::All => (0..world.len()).filter(|node| world.is_honest(*node)).collect(),
        some => world.select(some),
    };
    let pairs = product(&every(&pairs.from), &every(&pairs.to));
    pairs.into_iter().map(|(from, to)| PairFlow { from, to, pings: Vec::new() }).collect()
}

fn describe(expectation: &Expectation) -> String {
    let what = match &expectation.what {
        Condition::Reachable(_) => "reachable",
        Condition::Unreachable(_) => "unreachable",
        Condition::Path(_) => "path",
        Condition::Refused(_) => "refused",
        Condition::Holder(_) => "holder",
        Condition::Health(_) => "health",
    };
    let after = expectation.after.as_ref().map(|label| format!(" after {label:?}")).unwrap_or_default();
    format!("({what} within {:?}{after})", expectation.within)
}

/// What of the nodes' status is not as expected; `None` when all is.
fn status_differs(world: &World, what: &Condition) -> Option<String> {
    let view = |node: usize| world.view(node).ok_or_else(|| format!("{} does not run", world.name(node)));
    let check = || -> Result<(), String> {
        match what {
            Condition::Path(path) => {
                let to = world.select(&path.to);
                for from in world.select(&path.from) {
                    let view = view(from)?;
                    for to in to.iter().filter(|to| **to != from) {
                        path_is(world, from, *to, &view, &path.via)?;
                    }
                }
            }
            Condition::Refused(refused) => {
                for by in world.select(&refused.by) {
                    let view = view(by)?;
                    for node in world.select(&refused.nodes).into_iter().filter(|node| *node != by) {
                        let (by, name) = (world.name(by), world.name(node));
                        let seen = find(world, &view, node).ok_or_else(|| format!("{by} does not know {name}"))?;
                        if !seen.refused {
                            return Err(format!("{by} does not refuse {name}"));
                        }
                    }
                }
            }
            Condition::Holder(holder) => {
                let claimants: Vec<usize> = holder.of.iter().filter_map(|name| world.number(name)).collect();
                let mut agreed: Option<usize> = None;
                for node in (0..world.len()).filter(|node| world.runs(*node)) {
                    let found = held_by(world, node, &view(node)?, &claimants)?;
                    if let Some(other) = agreed.replace(found).filter(|other| *other != found) {
                        let (name, one, two) = (world.name(node), world.name(found), world.name(other));
                        return Err(format!("{name} holds {one} for the holder, others {two}"));
                    }
                }
            }
            Condition::Health(health) => {
                for node in world.select(&health.nodes) {
                    if !view(node)?.health.iter().any(|line| line.code == health.code) {
                        return Err(format!("{} has no health line {:?}", world.name(node), health.code));
                    }
                }
            }
            Condition::Reachable(_) | Condition::Unreachable(_) => {}
        }
        Ok(())
    };
    check().err()
}

fn find<'v>(world: &World, view: &'v View, node: usize) -> Option<&'v NodeView> {
    view.nodes.iter().find(|seen| seen.public_key == Some(world.key(node)))
}

fn path_is(world: &World, from: usize, to: usize, view: &View, via: &Hop) -> Result<(), String> {
    let seen = find(world, view, to);
    let (path, hop) = seen.map_or((PathKind::Unreachable, None), |seen| (seen.path, seen.via.as_deref()));
    let right = match via {
        Hop::Direct => path == PathKind::Direct,
        Hop::Gateway => path == PathKind::Gateway,
        Hop::Unreachable => path == PathKind::Unreachable,
        Hop::Node(name) => path == PathKind::Gateway && hop == Some(name.as_str()),
    };
    if right {
        return Ok(());
    }
    let why = seen.map_or("not known to it", |seen| seen.why.as_str());
    let (from, to) = (world.name(from), world.name(to));
    Err(format!("{from} to {to} is {path:?} via {}, not {via:?} ({why})", hop.unwrap_or("nobody")))
}

/// Which of the claimants a node takes for the holder: the only one it does not refuse, or itself if it refuses all
/// others.
fn held_by(world: &World, node: usize, view: &View, claimants: &[usize]) -> Result<usize, String> {
    let mut held = Vec::new();
    for claimant in claimants.iter().copied().filter(|claimant| *claimant != node) {
        let name = || format!("{} does not know {}", world.name(node), world.name(claimant));
        if !find(world, view, claimant).ok_or_else(name)?.refused {
            held.push(claimant);
        }
    }
    if held.is_empty() && claimants.contains(&node) {
        held.push(node);
    }
    match held[..] {
        [one] => Ok(one),
        _ => Err(format!("{} sees {} holders", world.name(node), held.len())),
    }
}
