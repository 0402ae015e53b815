//! Direct links outside the graph: two leaves agree, step by step, to carry their own packets over a link of their own.
//!
//! ```text
//!   A (smaller identity)                       B
//!   Ask ------------- by relay ------------->  tries A's endpoints too
//!   <======= hellos inside the tunnel, three echoes each =======>
//!   Propose(n) ----------------------------->  moves A's prefixes onto the direct peer
//!   moves B's prefixes  <----------- Accept(n)
//!   <======= hellos carry n; a missing n, a dead link or a new start ends it on both sides =======>
//! ```
//!
//! The link never enters the LSDB: no other node recomputes anything when two laptops meet.

use std::time::Duration;

use super::super::config::{Class, DirectMode};
use super::super::engine::Engine;
use super::super::event::{EventKind, Severity};
use super::super::ids::NodeId;
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::view::NatKind;
use super::super::wire::{DirectWord, MAX_HOPS, Message, Relay, Statement};
use super::candidates::NEXT_AFTER;

/// Echoes on the link before it is proposed.
const PROOFS: u32 = 3;
/// How long endpoints are tried before giving up for a while, at least; [`NEXT_AFTER`] each where there are more.
const TRY_FOR: Duration = Duration::from_secs(6);
/// So many pairs are tried at the same time: each costs a few datagrams a second, and entries in the tables of home routers.
const MOST_TRIED: usize = 4;
/// A pair that must wait for its turn looks again after this time.
const TURN: Duration = Duration::from_millis(500);
/// Pause after a failed attempt; doubles up to an hour.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// A proposal is repeated so often until it is accepted.
const REPEAT: Duration = Duration::from_millis(300);
/// The link is kept for so long after nothing needs it any more.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The other end must show the number in its hellos within this time.
const CONFIRM: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// No direct link is sought.
    #[default]
    Off,
    /// Endpoints are tried.
    Trying,
    /// Proposed under this number.
    Proposed(u64),
    /// In use under this number.
    Active(u64),
}

/// Where the direct link with one node stands.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Direct {
    phase: Phase,
    /// When the phase began.
    since: Time,
    /// Whether the other end showed the number in a hello.
    confirmed: bool,
    /// Failed attempts in a row.
    failures: u32,
    /// No attempt before.
    not_before: Time,
}

impl Direct {
    /// Whether a link is sought or used.
    pub(in super::super) fn is_on(&self) -> bool {
        self.phase != Phase::Off
    }

    /// When the next attempt may begin.
    pub(super) fn not_before(&self) -> Time {
        self.not_before
    }

    /// Whether packets for the node go over it.
    pub(in super::super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active(_))
    }

    /// Whether the other end may already send over it.
    pub(in super::super) fn is_agreeing(&self) -> bool {
        matches!(self.phase, Phase::Proposed(_))
    }

    /// The number for hellos.
    pub(in super::super) fn switched(&self) -> Option<u64> {
        match self.phase {
            Phase::Active(number) => Some(number),
            _ => None,
        }
    }
}

impl Engine {
    /// Looks at every pair that could have a direct link.
    pub(in super::super) fn seek_direct(&mut self, now: Time) {
        let nodes: Vec<NodeId> = self.standing.admitted.iter().copied().filter(|id| *id != self.id()).collect();
        for id in nodes {
            let on = self.neighbours.get(&id).is_some_and(|neighbour| neighbour.direct.is_on());
            let eligible = self.may_be_direct(&id);
            if on && !eligible {
                self.end_direct(now, id, "one of them is a gateway now, or direct links are off");
            }
            if !eligible {
                self.release_soon(now, id);
            } else if eligible && !on && !self.usable_endpoints(&id).is_empty() {
                let not_before = self.neighbours.get(&id).map_or(now, |neighbour| neighbour.direct.not_before);
                self.timers.set_no_later(Timer::Direct(id), not_before.max(now));
            }
        }
    }

    /// Whether a pair gets a direct link without being asked for it.
    pub(super) fn is_always_direct(&self, id: &NodeId) -> bool {
        let mobile =
            self.config.class == Class::Mobile || self.lsdb.about(id).is_some_and(|a| a.class == Class::Mobile);
        self.direct_on && !mobile
    }

    pub(super) fn may_be_direct(&self, id: &NodeId) -> bool {
        let both = self.standing.admitted.contains(id) && self.standing.admitted.contains(&self.id());
        // Only leaves: what a gateway routes by an agreement with one node would carry others' packets too, and those
        // would come back another way.
        let leaves = !self.standing.is_gateway(id) && !self.standing.is_gateway(&self.id());
        let needed = self.demand.wants(id) || self.is_only_near(id);
        let on = self.is_always_direct(id) || self.config.direct != DirectMode::Never && needed;
        on && both && leaves
    }

    /// Lets a link go in a while, if nothing needs it.
    pub(super) fn release_soon(&mut self, now: Time, id: NodeId) {
        if self.is_needless(&id) {
            self.timers.set_no_later(Timer::Release(id), now + LAST_WORDS);
        }
    }

    /// Whether nothing needs the link with a neighbour: it is none of the graph's, and no direct one may be.
    fn is_needless(&self, id: &NodeId) -> bool {
        let leaves = !self.standing.is_gateway(id) && !self.standing.is_gateway(&self.id());
        leaves && !self.may_be_direct(id) && self.neighbours.get(id).is_some_and(|neighbour| !neighbour.parting)
    }

    /// Lets go of a link that nothing needs, so that what a node sends at rest does not grow with the mesh.
    pub(in super::super) fn release(&mut self, id: NodeId) {
        if self.is_needless(&id) {
            self.drop_neighbour(&id);
        }
    }

    /// Takes the next step with one node.
    pub(in super::super) fn step_direct(&mut self, now: Time, id: NodeId) {
        if !self.may_be_direct(&id) {
            self.end_direct(now, id, "one of them is a gateway now, or direct links are off");
            return;
        }
        let phase = self.neighbours.get(&id).map_or(Phase::Off, |neighbour| neighbour.direct.phase);
        match phase {
            Phase::Off if self.tried_now() < MOST_TRIED => self.try_direct(now, id, true),
            Phase::Off => self.timers.set(Timer::Direct(id), now + TURN),
            Phase::Trying => {
                let try_for =
                    TRY_FOR.max(NEXT_AFTER * u32::try_from(self.usable_endpoints(&id).len() + 1).unwrap_or(1));
                let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
                let up = neighbour.link.is_up();
                if up && neighbour.link.proofs() >= PROOFS {
                    neighbour.direct.since = now;
                    if self.id() < id {
                        let number = self.statement_number + 1;
                        self.set_phase(now, id, Phase::Proposed(number));
                        self.say(now, id, DirectWord::Propose(number));
                        self.timers.set(Timer::Direct(id), now + REPEAT);
                    } else {
                        self.timers.set(Timer::Direct(id), now + TRY_FOR);
                    }
                } else if up {
                    neighbour.link.hurry(now);
                    self.arm_probe(now, id);
                    self.timers.set(Timer::Direct(id), now + Duration::from_millis(100));
                } else if now.since(neighbour.direct.since) >= try_for {
                    self.give_up_direct(now, id);
                } else {
                    self.say(now, id, DirectWord::Ask(self.endpoints_told()));
                    self.timers.set(Timer::Direct(id), now + Duration::from_millis(1_500));
                }
            }
            Phase::Proposed(number) => {
                let waited = self.neighbours.get(&id).map_or(Duration::ZERO, |n| now.since(n.direct.since));
                if waited >= TRY_FOR {
                    self.end_direct(now, id, "the other end does not answer the proposal");
                } else {
                    self.say(now, id, DirectWord::Propose(number));
                    self.timers.set(Timer::Direct(id), now + REPEAT);
                }
            }
            Phase::Active(_) => {
                let Some(neighbour) = self.neighbours.get_mut(&id).filter(|n| !n.direct.confirmed) else { return };
                if now.since(neighbour.direct.since) >= CONFIRM {
                    self.end_direct(now, id, "the other end does not route by it");
                } else {
                    neighbour.link.hurry(now);
                    self.arm_probe(now, id);
                    self.timers.set(Timer::Direct(id), now + REPEAT);
                }
            }
        }
    }

    /// Number of pairs whose endpoints are being tried.
    fn tried_now(&self) -> usize {
        self.neighbours.iter().filter(|neighbour| neighbour.direct.phase == Phase::Trying).count()
    }

    /// This node can be reached elsewhere now: whoever could not be reached before may well be.
    pub(in super::super) fn try_all_again(&mut self, now: Time) {
        for id in self.neighbours.ids() {
            self.try_again(now, id);
        }
        self.seek_direct(now);
    }

    /// One of the two has other endpoints now: an attempt begins anew, whatever became of the former ones.
    pub(in super::super) fn try_again(&mut self, now: Time, id: NodeId) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        match neighbour.direct.phase {
            Phase::Off => {
                neighbour.direct.not_before = now;
                neighbour.direct.failures = 0;
            }
            Phase::Trying if !neighbour.link.is_up() => {
                neighbour.direct.since = now;
                self.hint_record(now, id, 0);
            }
            _ => {}
        }
    }

    /// Why packets for another leaf go through gateways.
    pub(in super::super) fn why_not_direct(&self, now: Time, id: &NodeId) -> Option<String> {
        if self.standing.is_gateway(id) || self.standing.is_gateway(&self.id()) {
            return None;
        }
        let name = self.name_of(id);
        if !self.may_be_direct(id) {
            return Some(match self.config.direct {
                DirectMode::Never => "not direct: the network file says so (direct: never)".to_owned(),
                _ if self.direct_on => {
                    "not direct: one of the two is of class mobile, and there is little traffic".to_owned()
                }
                _ => "not direct: the mesh links a pair only while there is traffic for it".to_owned(),
            });
        }
        let here = match self.outside.nat {
            NatKind::AddressDependent if self.outside.mapped.is_none_or(|mapped| mapped.endpoint().is_none()) => {
                "; the NAT before this node shows everyone another port"
            }
            _ => "",
        };
        let direct = self.neighbours.get(id).map(|neighbour| &neighbour.direct);
        let endpoints = self.usable_endpoints(id).len();
        let phase = direct.map_or(Phase::Off, |direct| direct.phase);
        Some(match direct {
            Some(_) if phase == Phase::Trying => {
                format!("not direct yet: {endpoints} endpoints of {name} are being tried")
            }
            Some(_) if phase != Phase::Off => "not direct yet: the two are agreeing on it".to_owned(),
            Some(direct) if direct.failures > 0 => {
                let wait = direct.not_before.since(now).as_secs();
                let failures = direct.failures;
                format!(
                    "not direct: {endpoints} endpoints of {name} gave no answer in {failures} attempts{here}; the next in {wait} s"
                )
            }
            _ if endpoints == 0 => format!("not direct: {name} tells no endpoint that can be reached from here{here}"),
            _ => format!("not direct yet: {endpoints} endpoints of {name} will be tried"),
        })
    }

    fn endpoints_told(&self) -> Vec<std::net::SocketAddr> {
        self.lsdb.about(&self.id()).map_or_else(Vec::new, |about| about.endpoints.clone())
    }

    fn try_direct(&mut self, now: Time, id: NodeId, asks: bool) {
        if asks && self.usable_endpoints(&id).is_empty() {
            return;
        }
        self.ensure_neighbour(now, id);
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        neighbour.wanted = true;
        neighbour.direct.phase = Phase::Trying;
        neighbour.direct.since = now;
        neighbour.link.hurry(now);
        self.ask_near(now, id);
        self.hint_record(now, id, 0);
        if asks {
            self.say(now, id, DirectWord::Ask(self.endpoints_told()));
        }
        self.mark_plan();
        self.arm_probe(now, id);
        self.timers.set(Timer::Direct(id), now + Duration::from_millis(1_500));
    }

    fn give_up_direct(&mut self, now: Time, id: NodeId) {
        let jitter = self.jitter();
        let sought = self.seeks_node(&id);
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        let pause = (PAUSE * 2_u32.pow(neighbour.direct.failures.min(7))).min(LONGEST_PAUSE);
        let pause = pause + pause.mul_f64(0.2 * jitter);
        neighbour.direct.failures += 1;
        neighbour.direct.not_before = now + pause;
        neighbour.direct.phase = Phase::Off;
        neighbour.wanted = sought;
        if !sought {
            neighbour.hint = None;
        }
        self.mark_plan();
        self.arm_probe(now, id);
        self.timers.set(Timer::Direct(id), now + pause);
    }

    fn set_phase(&mut self, now: Time, id: NodeId, phase: Phase) {
        let name = self.name_of(&id);
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        let was_active = neighbour.direct.is_active();
        neighbour.direct.phase = phase;
        neighbour.direct.since = now;
        neighbour.direct.confirmed = false;
        if matches!(phase, Phase::Active(_)) && !was_active {
            neighbour.direct.failures = 0;
            self.count("direct_switches");
            let text = format!("{name}: direct, both ends proved the link and agreed");
            self.event(Severity::Info, EventKind::Path, &name, text);
            self.timers.set(Timer::Direct(id), now);
        }
        self.mark_plan();
    }

    /// Ends a direct link, or the search for one. The gateway path beneath carries on.
    pub(in super::super) fn end_direct(&mut self, now: Time, id: NodeId, why: &str) {
        let name = self.name_of(&id);
        let sought = self.seeks_node(&id);
        let Some(neighbour) = self.neighbours.get_mut(&id).filter(|neighbour| neighbour.direct.is_on()) else { return };
        let number = neighbour.direct.switched();
        neighbour.direct.phase = Phase::Off;
        neighbour.direct.not_before = now + Duration::from_secs(2);
        neighbour.wanted = sought;
        // The other end hears by the next question, if by nothing else.
        neighbour.link.hurry(now);
        self.mark_plan();
        if let Some(number) = number {
            self.event(Severity::Info, EventKind::Path, &name, format!("{name}: no longer direct: {why}"));
            self.say(now, id, DirectWord::End(number));
        }
        self.arm_probe(now, id);
        self.timers.set(Timer::Direct(id), now + Duration::from_secs(2));
    }

    /// A hello told whether the other end routes by the agreement.
    pub(in super::super) fn hear_switched(&mut self, now: Time, id: NodeId, theirs: Option<u64>) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        match neighbour.direct.phase {
            // Its word got lost, its deed shows.
            Phase::Proposed(ours) if theirs == Some(ours) => self.set_phase(now, id, Phase::Active(ours)),
            Phase::Active(ours) if theirs == Some(ours) => neighbour.direct.confirmed = true,
            Phase::Active(_) if neighbour.direct.confirmed || now.since(neighbour.direct.since) >= CONFIRM => {
                self.end_direct(now, id, "the other end does not route by it");
            }
            _ => {}
        }
    }

    /// Signs a word and sends it: on the link where it is up, else through gateways.
    fn say(&mut self, now: Time, id: NodeId, word: DirectWord) {
        let Some(epoch) = self.lsdb.version(&id).map(|version| version.epoch) else { return };
        self.statement_number += 1;
        let statement = Statement::sign(&self.signer, id, (self.epoch, epoch), self.statement_number, word);
        let linked = self.neighbours.get(&id).is_some_and(|neighbour| neighbour.link.is_up());
        if linked && let Some(to) = self.tunnel_address(&id) {
            self.send(&Message::Direct(statement), &id, to);
            return;
        }
        self.pass_on(now, Relay { hops: MAX_HOPS, statement }, None);
    }

    /// Sends a statement one hop on towards its addressee, never back where it came from.
    fn pass_on(&mut self, now: Time, relay: Relay, from: Option<NodeId>) {
        let Some(next) = self.paths.get(&relay.statement.to).map(|route| route.next) else { return };
        if Some(next) == from {
            return;
        }
        if let Some(to) = self.transport(now, &next) {
            self.send(&Message::Relay(relay), &next, to);
        }
    }

    /// A statement for this node or for someone behind it.
    pub(in super::super) fn receive_relay(&mut self, now: Time, from: NodeId, relay: Relay) {
        if relay.statement.to == self.id() {
            self.receive_statement(now, &relay.statement, false);
        } else if relay.hops > 0 && self.standing.is_gateway(&self.id()) && relay.statement.is_signed(&self.verifier) {
            self.count("statements_relayed");
            self.pass_on(now, Relay { hops: relay.hops - 1, ..relay }, Some(from));
        }
    }

    /// Acts on a statement, if its author says it to this very start of this node, and for the first time.
    pub(in super::super) fn receive_statement(&mut self, now: Time, statement: &Statement, on_link: bool) {
        let author = statement.from;
        let epoch = self.lsdb.version(&author).map(|version| version.epoch);
        let (last_epoch, last) = self.statements.get(&author).copied().unwrap_or_default();
        let is_new = statement.epoch != last_epoch || statement.number > last;
        let timely = Some(statement.epoch) == epoch && statement.to_epoch == self.epoch && is_new;
        if statement.to != self.id() || !timely || !self.standing.admitted.contains(&author) {
            self.count("statements_stale");
            return;
        }
        if !statement.is_signed(&self.verifier) {
            self.count("statements_forged");
            let name = self.name_of(&author);
            self.complain(now, &name, format!("refused: a statement in the name of {name} that {name} did not sign"));
            return;
        }
        self.statements.insert(author, (statement.epoch, statement.number));
        let phase = self.neighbours.get(&author).map_or(Phase::Off, |neighbour| neighbour.direct.phase);
        match &statement.word {
            // Not before the pause after a failed attempt is over: two ends that gave up would wake each other for ever.
            DirectWord::Ask(_)
                if phase == Phase::Off
                    && self.tried_now() < 2 * MOST_TRIED
                    && self.neighbours.get(&author).is_none_or(|neighbour| now >= neighbour.direct.not_before)
                    && (self.may_be_direct(&author) || self.want_direct(now, author)) =>
            {
                self.try_direct(now, author, false);
            }
            DirectWord::Propose(number) if on_link && self.may_be_direct(&author) => {
                if self.neighbours.get(&author).is_some_and(|neighbour| neighbour.link.is_up()) {
                    self.set_phase(now, author, Phase::Active(*number));
                    self.say(now, author, DirectWord::Accept(*number));
                }
            }
            DirectWord::Accept(number) if phase == Phase::Proposed(*number) => {
                self.set_phase(now, author, Phase::Active(*number));
            }
            DirectWord::End(number) if phase == Phase::Active(*number) => {
                self.end_direct(now, author, "the other end ended it");
            }
            #[cfg(feature = "drill")]
            DirectWord::Drill(word) if on_link => self.receive_drill(now, author, word),
            _ => self.count("statements_untimely"),
        }
    }
}
