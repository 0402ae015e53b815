//! Runs scenario files (`examples/scenarios/*.yaml`) with real daemons, and judges them as the simulator does.
//!
//! ```text
//! scenario file --> world.rs: segments, routers, machines, daemons; events by their time
//!               --> judge.rs: a thread per expectation: pings and `status` until it is true, and as long as it must hold
//!               --> mod.rs:   the timetable; flows and their limits; the verdict
//! ```
//!
//! Times are real here, so a scenario lasts as long as it says. One that says `simulator_only` is refused.

mod judge;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wgnet::sim::scenario::{Condition, Limit, Scenario};

use crate::flow::{Flow, FlowReport};
use crate::lab::Lab;
use world::World;

/// How a run ended, in the words of the simulator's outcome.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Expectations and limits that were not met, one line each.
    pub failures: Vec<String>,
    /// What the flows came to, one line each.
    pub flows: Vec<String>,
}

impl Verdict {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Runs a scenario to its end. Panics when namespaces cannot do what it asks for.
pub fn run(lab: &Lab, scenario: &Scenario) -> Verdict {
    assert!(!scenario.simulator_only, "{} is for the simulator only", scenario.name);
    let scenario = Arc::new(scenario.clone());
    let world = Arc::new(World::new(lab, Arc::clone(&scenario)));
    let mut timetable = timetable(&scenario);
    timetable.sort_by_key(|(at, turn)| (*at, turn.rank()));
    let mut failures = Vec::new();
    let (mut judges, mut running, mut ended) = (Vec::new(), BTreeMap::new(), Vec::new());
    world.begin();
    for (at, turn) in timetable {
        world.sleep_until(at);
        match turn {
            Turn::Start(node) => world.start(&node),
            Turn::Event(index) => {
                let action = scenario.events[index].action.clone();
                if let Err(error) = world.apply(&action) {
                    failures.push(format!("events at {at:?}: {error}"));
                }
            }
            Turn::Judge(index) => judges.push(judge_in_thread(&world, &scenario, index)),
            Turn::FlowStarts(index) => drop(running.insert(index, start_flows(&world, &scenario, index))),
            Turn::FlowStops(index) => ended.push((index, running.remove(&index).unwrap_or_default())),
        }
    }
    world.sleep_until(scenario.duration);
    for judge in judges {
        failures.extend(judge.join().expect("a judge does not panic"));
    }
    let mut verdict = Verdict { failures, flows: Vec::new() };
    for (index, flows) in ended {
        judge_flow(&world, &scenario, index, flows, &mut verdict);
    }
    verdict
}

enum Turn {
    Start(String),
    Event(usize),
    FlowStarts(usize),
    FlowStops(usize),
    Judge(usize),
}

impl Turn {
    /// What comes first at the same moment: what happens, then who looks.
    fn rank(&self) -> usize {
        match self {
            Self::Start(_) => 0,
            Self::Event(index) => 1 + index,
            Self::FlowStarts(_) | Self::FlowStops(_) | Self::Judge(_) => usize::MAX,
        }
    }
}

fn timetable(scenario: &Scenario) -> Vec<(Duration, Turn)> {
    let starts = scenario.nodes.iter().filter_map(|(name, node)| Some((node.start?, Turn::Start(name.clone()))));
    let events = scenario.events.iter().enumerate().map(|(index, event)| (event.at, Turn::Event(index)));
    let judges = scenario.expect.iter().enumerate().map(|(index, expectation)| {
        let silence = matches!(expectation.what, Condition::Unreachable(_));
        let begin = if silence { expectation.since + expectation.within } else { expectation.since };
        (begin, Turn::Judge(index))
    });
    let flows = scenario.flows.iter().enumerate();
    let flows = flows.flat_map(|(i, flow)| [(flow.start, Turn::FlowStarts(i)), (flow.stop, Turn::FlowStops(i))]);
    starts.chain(events).chain(judges).chain(flows).collect()
}

fn judge_in_thread(world: &Arc<World>, scenario: &Arc<Scenario>, index: usize) -> JoinHandle<Option<String>> {
    let (world, scenario) = (Arc::clone(world), Arc::clone(scenario));
    std::thread::spawn(move || judge::judge(&world, &scenario.expect[index], index))
}

/// One flow for each pair, whether its ends run already or not.
fn start_flows(world: &World, scenario: &Scenario, index: usize) -> Vec<(String, String, Flow)> {
    let flow = &scenario.flows[index];
    let pairs = world.every_pair(&flow.pairs);
    let start = |(from, to): (String, String)| {
        let probes = world.node(&from).flow_to(world.node(&to), flow.every);
        (from, to, probes)
    };
    pairs.into_iter().map(start).collect()
}

fn judge_flow(
    world: &World,
    scenario: &Scenario,
    index: usize,
    flows: Vec<(String, String, Flow)>,
    verdict: &mut Verdict,
) {
    let reports = flows.into_iter().map(|(from, to, flow)| {
        let mut report = flow.stop();
        // As in the simulator: nobody pings from or to a daemon that does not run.
        report.keep(|sent| world.ran(&from, sent) && world.ran(&to, sent));
        (from, to, report)
    });
    let reports = reports.collect::<Vec<_>>();
    for (number, limit) in scenario.flows[index].limits.iter().enumerate() {
        let place = format!("flows[{index}].limits[{number}]");
        let (mut sent, mut lost, mut longest) = (0, 0, Duration::ZERO);
        for (from, to, report) in &reports {
            let window = world.window(report, limit.from, limit.until);
            let outage = window.outages().into_iter().map(|(_, length)| length).max().unwrap_or_default();
            if breaks(limit, &window, outage) {
                let (lost, sent) = (window.lost(), window.sent());
                verdict
                    .failures
                    .push(format!("{place} {from} > {to}: {lost} of {sent} pings lost, longest outage {outage:.1?}"));
            }
            (sent, lost, longest) = (sent + window.sent(), lost + window.lost(), longest.max(outage));
        }
        verdict.flows.push(format!("{place}: {lost} of {sent} pings lost; longest outage {longest:.1?}"));
    }
}

fn breaks(limit: &Limit, window: &FlowReport, outage: Duration) -> bool {
    limit.lost.is_some_and(|most| window.lost() > most as usize) || limit.outage.is_some_and(|most| outage > most)
}

impl World {
    /// The part of a flow's report that was sent within these times of the scenario.
    fn window(&self, report: &FlowReport, from: Duration, until: Duration) -> FlowReport {
        let (from, until): (Instant, Instant) = (self.time(from), self.time(until));
        let mut window = report.clone();
        window.keep(|sent| sent >= from && sent <= until);
        window
    }
}
