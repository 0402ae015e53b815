//! The side that measures.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::super::super::event::{EventKind, Severity};
use super::super::super::ids::NodeId;
use super::super::super::io::{CommandError, Destination};
use super::super::super::time::Time;
use super::super::super::timer::Timer;
use super::super::super::view::{DrillNode, DrillReport, DrillState};
use super::super::super::wire::{DrillRefusal, DrillWord, Echo, Message};
use super::super::Engine;
use super::{LONGEST, NOTICE, SHORTEST};

/// Echoes go to every node for so long before: who does not answer then is not measured.
const BEFORE: Duration = Duration::from_millis(1_500);
/// The gateway has so long to agree.
const ANSWER: Duration = Duration::from_secs(3);
/// What is not answered is said again.
const REPEAT: Duration = Duration::from_millis(300);
/// An echo that takes longer is lost.
const LOST: Duration = Duration::from_secs(1);
/// The gateway has so long to be back ...
const RETURN: Duration = Duration::from_secs(30);
/// ... and echoes go on for so long after that: nothing shall be lost by its return.
const AFTER: Duration = Duration::from_secs(4);
/// At most so many nodes are measured, ...
const MOST: usize = 64;
/// ... each so often ...
const OFTEN: Duration = Duration::from_millis(100);
/// ... or so often where there are more than a few.
const SELDOM: Duration = Duration::from_millis(250);
const FEW: usize = 16;
/// No node shall be without an answer for longer.
const GOAL: Duration = Duration::from_secs(4);

/// A drill that this node measures.
#[derive(Debug)]
pub(super) struct Run {
    gateway: NodeId,
    /// Its name, which outlives it.
    name: String,
    lasts: Duration,
    force: bool,
    state: DrillState,
    /// When the state began.
    since: Time,
    /// When the gateway fell silent, and when it was back.
    away: Option<Time>,
    back: Option<Time>,
    /// Until when the gateway is gone at the longest.
    said: Time,
    problem: Option<String>,
    number: u32,
    nodes: BTreeMap<NodeId, Watched>,
}

/// A node to which echoes go.
#[derive(Debug)]
struct Watched {
    name: String,
    to: SocketAddr,
    /// Number, time, whether it was answered; of the last second.
    open: VecDeque<(u32, Time, bool)>,
    answers: bool,
    sent: u32,
    lost: u32,
    failing: Option<Time>,
    outage: Duration,
    /// Whether it had a link to the gateway, and how long after the silence it let go of it.
    linked: bool,
    let_go: Option<Duration>,
}

impl Watched {
    /// Settles what is answered or has had its time; `counts`: from this time on.
    fn settle(&mut self, now: Time, counts: Option<Time>) {
        while let Some((_, sent, answered)) = self.open.front().copied() {
            if !answered && now.since(sent) < LOST {
                return;
            }
            self.open.pop_front();
            self.answers |= answered;
            if counts.is_none_or(|from| sent < from) {
                continue;
            }
            self.sent += 1;
            if answered {
                self.recovered(sent);
            } else {
                self.lost += 1;
                self.failing.get_or_insert(sent);
            }
        }
    }

    fn recovered(&mut self, at: Time) {
        if let Some(since) = self.failing.take() {
            self.outage = self.outage.max(at.since(since));
        }
    }
}

impl Engine {
    /// Begins a drill of a gateway, measured from here.
    pub(in super::super) fn begin_drill(
        &mut self,
        now: Time,
        gateway: &str,
        lasts: Duration,
        force: bool,
    ) -> Result<(), CommandError> {
        let id = self.find_gateway(gateway)?;
        if id == self.id {
            return Err(CommandError::DrillHere);
        }
        if self.standing.static_of(&self.id).is_none() {
            return Err(CommandError::NotListed);
        }
        let goes_on = self.drills.run.as_ref().is_some_and(|run| run.state != DrillState::Over);
        if goes_on || self.drill_elsewhere(now, &id).is_some() || self.drills.withdrawal.is_some() {
            return Err(CommandError::DrillGoesOn);
        }
        if !self.neighbours.get(&id).is_some_and(|neighbour| neighbour.link.is_up()) {
            return Err(CommandError::NoLinkTo(gateway.to_owned()));
        }
        let cut: Vec<NodeId> = self.cut_off_without(&id).into_iter().collect();
        if !cut.is_empty() && !force {
            let names = self.named(&cut.iter().collect::<Vec<&NodeId>>());
            return Err(CommandError::CutsOff(names));
        }
        let name = self.name_of(&id);
        let nodes = self.nodes_to_watch(&id);
        let lasts = lasts.clamp(SHORTEST, LONGEST);
        self.drills.run = Some(Run {
            gateway: id,
            name: name.clone(),
            lasts,
            force,
            state: DrillState::Before,
            since: now,
            away: None,
            back: None,
            said: now,
            problem: None,
            number: 0,
            nodes,
        });
        let text = format!("a drill begins: {name} will be asked to withdraw for {} s", lasts.as_secs());
        self.event(Severity::Info, EventKind::Path, &name, text);
        self.timers.set(Timer::Drill, now);
        Ok(())
    }

    /// Calls the gateway back before the time is over.
    pub(in super::super) fn end_drill(&mut self, now: Time) -> Result<(), CommandError> {
        let Some(run) = self.drills.run.as_mut().filter(|run| run.state != DrillState::Over) else {
            return Err(CommandError::NoDrill);
        };
        match run.state {
            DrillState::Before => self.drill_over(now, Some("ended before it began".to_owned())),
            DrillState::Returning | DrillState::Over => {}
            // It may have agreed, and the word may be on its way.
            DrillState::Asked | DrillState::Away => {
                (run.state, run.since, run.said) = (DrillState::Returning, now, Time::ZERO);
                self.timers.set(Timer::Drill, now);
            }
        }
        Ok(())
    }

    /// The nodes that echoes go to: all, or in a large mesh some that chance picked.
    fn nodes_to_watch(&self, gateway: &NodeId) -> BTreeMap<NodeId, Watched> {
        let others = self.standing.admitted.iter().filter(|id| **id != self.id && *id != gateway);
        let mut others: Vec<NodeId> = others.filter(|id| self.paths.contains_key(*id)).copied().collect();
        others.sort_by_key(NodeId::rank);
        let watch = |id: &NodeId| {
            let about = self.lsdb.about(id)?;
            let own = &self.config.addresses;
            let speaks = |address: &&std::net::IpAddr| own.iter().any(|own| own.is_ipv4() == address.is_ipv4());
            let address = about.addresses.iter().find(speaks)?;
            let watched = Watched {
                name: about.name.to_string(),
                to: SocketAddr::new(*address, about.admin_port),
                open: VecDeque::new(),
                answers: false,
                sent: 0,
                lost: 0,
                failing: None,
                outage: Duration::ZERO,
                linked: self.graph.edge(id, gateway).is_some(),
                let_go: None,
            };
            Some((*id, watched))
        };
        others.iter().filter_map(watch).take(MOST).collect()
    }

    /// Sends the next echoes, and does what is due.
    pub(in super::super) fn step_drill(&mut self, now: Time) {
        let Some(mut run) = self.drills.run.take().filter(|run| run.state != DrillState::Over) else { return };
        for (id, watched) in &mut run.nodes {
            watched.settle(now, run.away);
            if watched.linked && watched.let_go.is_none() && self.graph.edge(id, &run.gateway).is_none() {
                watched.let_go = run.away.map(|away| now.since(away));
            }
            run.number = run.number.wrapping_add(1);
            watched.open.push_back((run.number, now, false));
            let echo = Message::Echo(Echo { number: run.number, is_answer: false });
            self.send(&echo, id, Destination::Underlay(watched.to));
        }
        let interval = if run.nodes.len() > FEW { SELDOM } else { OFTEN };
        let word = match run.state {
            DrillState::Before if now.since(run.since) >= BEFORE => {
                (run.state, run.since) = (DrillState::Asked, now);
                self.ask_word(&run)
            }
            DrillState::Asked if now.since(run.since) < ANSWER => self.ask_word(&run),
            DrillState::Away if run.away.is_some_and(|away| now.since(away) >= run.lasts) => {
                (run.state, run.since) = (DrillState::Returning, now);
                Some(DrillWord::Restore)
            }
            DrillState::Returning if run.back.is_none() => Some(DrillWord::Restore),
            _ => None,
        };
        if let Some(word) = word.filter(|_| now.since(run.said) >= REPEAT) {
            run.said = now;
            self.say_drill(run.gateway, word);
        }
        let mut over = None;
        match run.state {
            DrillState::Asked if now.since(run.since) >= ANSWER => {
                over = Some(Some(format!("{} does not answer; it may be of an older version", run.name)));
            }
            DrillState::Returning => {
                let there = self.graph.edge(&self.id, &run.gateway).is_some();
                let never_left = run.away.is_none() && now.since(run.since) > 2 * NOTICE;
                let gone_by = run.away.is_none_or(|away| now.since(away) > NOTICE);
                if run.back.is_none() && there && gone_by && self.heard_since(&run.gateway, run.since) {
                    run.back = Some(now);
                }
                if run.back.is_some_and(|back| now.since(back) >= AFTER) || never_left && run.back.is_some() {
                    over = Some(None);
                } else if run.back.is_none() && now.since(run.since) >= RETURN {
                    over = Some(Some(format!("{} was not back after {} s", run.name, RETURN.as_secs())));
                }
            }
            _ => {}
        }
        self.drills.run = Some(run);
        match over {
            Some(problem) => self.drill_over(now, problem),
            None => self.timers.set(Timer::Drill, now + interval),
        }
    }

    fn heard_since(&self, id: &NodeId, since: Time) -> bool {
        self.neighbours.get(id).is_some_and(|n| n.link.is_up() && n.link.heard_at().is_some_and(|at| at > since))
    }

    fn ask_word(&self, run: &Run) -> Option<DrillWord> {
        let millis = u32::try_from(run.lasts.as_millis()).unwrap_or(u32::MAX);
        Some(DrillWord::Withdraw { millis, force: run.force })
    }

    fn drill_over(&mut self, now: Time, problem: Option<String>) {
        self.timers.stop(Timer::Drill);
        let Some(run) = &mut self.drills.run else { return };
        for watched in run.nodes.values_mut() {
            watched.settle(now, run.away);
            watched.recovered(now);
            watched.open.clear();
        }
        (run.state, run.since) = (DrillState::Over, now);
        run.problem = run.problem.take().or(problem);
        let (name, problem) = (run.name.clone(), run.problem.clone());
        let worst = run.nodes.values().map(|watched| watched.outage).max().unwrap_or_default();
        let text = match problem {
            Some(problem) => format!("the drill is over: {problem}"),
            None => {
                format!("the drill is over: without {name} no node was out for longer than {} ms", worst.as_millis())
            }
        };
        self.event(Severity::Info, EventKind::Path, &name, text);
    }

    fn asked(&mut self, gateway: &NodeId) -> Option<&mut Run> {
        self.drills.run.as_mut().filter(|run| run.gateway == *gateway && run.state == DrillState::Asked)
    }

    pub(super) fn withdrawal_agreed(&mut self, now: Time, author: NodeId) {
        if let Some(run) = self.asked(&author) {
            (run.state, run.since, run.away) = (DrillState::Away, now, Some(now + NOTICE));
        }
    }

    pub(super) fn withdrawal_refused(&mut self, now: Time, author: NodeId, why: DrillRefusal) {
        let agreed = |run: &Run| run.state == DrillState::Away && run.away.is_some_and(|away| now < away);
        let Some(run) = self.drills.run.as_mut() else { return };
        if run.gateway != author || run.state != DrillState::Asked && !agreed(run) {
            return;
        }
        run.away = None;
        let name = &run.name;
        let text = match why {
            DrillRefusal::NotListed => format!("{name} refuses: its network file does not list this node"),
            DrillRefusal::NotGateway => format!("{name} refuses: it is no gateway"),
            DrillRefusal::Busy => format!("{name} refuses: another drill goes on, or one there has just ended"),
            DrillRefusal::CutsOff(count) => format!("{name} refuses: {count} nodes would be cut off"),
        };
        self.drill_over(now, Some(text));
    }

    pub(super) fn echo_answered(&mut self, now: Time, from: NodeId, number: u32) {
        let watched = self.drills.run.as_mut().and_then(|run| run.nodes.get_mut(&from));
        let open = watched.and_then(|watched| watched.open.iter_mut().find(|(sent, ..)| *sent == number));
        if let Some((_, sent, answered)) = open {
            *answered = now.since(*sent) < LOST;
        }
    }

    /// The drill that this node measures, or measured last.
    pub fn drill_report(&self, now: Time) -> Option<DrillReport> {
        let run = self.drills.run.as_ref()?;
        let node = |watched: &Watched| DrillNode {
            name: watched.name.clone(),
            answers: watched.answers,
            sent: watched.sent,
            lost: watched.lost,
            outage: watched.failing.map_or(watched.outage, |since| watched.outage.max(now.since(since))),
            linked: watched.linked,
            let_go: watched.let_go,
        };
        let mut nodes: Vec<DrillNode> = run.nodes.values().map(node).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let end = run.back.unwrap_or(if run.state == DrillState::Over { run.since } else { now });
        Some(DrillReport {
            gateway: run.name.clone(),
            state: run.state,
            problem: run.problem.clone(),
            lasts: run.lasts,
            away: run.away.map(|away| end.since(away)),
            goal: GOAL,
            nodes,
        })
    }
}
