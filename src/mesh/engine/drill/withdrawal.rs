//! The gateway's side: whether it withdraws, and that it comes back.

use std::time::Duration;

use super::super::super::event::{EventKind, Severity};
use super::super::super::ids::NodeId;
use super::super::super::time::Time;
use super::super::super::timer::Timer;
use super::super::super::view::HealthLine;
use super::super::super::wire::{DrillRefusal, DrillWord};
use super::super::Engine;
use super::{LONGEST, NOTICE, SHORTEST};

/// A withdrawal that was agreed to.
#[derive(Debug)]
pub(super) struct Withdrawal {
    /// Who asked for it.
    by: NodeId,
    begins: Time,
    ends: Time,
    /// Whether it has begun.
    pub(super) silent: bool,
}

impl Engine {
    pub(super) fn asked_to_withdraw(&mut self, now: Time, author: NodeId, millis: u32, force: bool) {
        if self.drills.withdrawal.as_ref().is_some_and(|withdrawal| withdrawal.by == author) {
            // The answer got lost.
            return self.say_drill(author, DrillWord::Agreed);
        }
        if let Err(refusal) = self.may_withdraw(now, &author, force) {
            self.count("drills_refused");
            return self.say_drill(author, DrillWord::Refused(refusal));
        }
        let lasts = Duration::from_millis(u64::from(millis)).clamp(SHORTEST, LONGEST);
        let begins = now + NOTICE;
        self.drills.withdrawal = Some(Withdrawal { by: author, begins, ends: begins + lasts, silent: false });
        self.timers.set(Timer::Withdrawal, begins);
        let name = self.name_of(&author);
        let text = format!("a drill of {name}: this gateway withdraws for {} s", lasts.as_secs());
        self.event(Severity::Warning, EventKind::Path, &name, text);
        self.say_drill(author, DrillWord::Agreed);
        self.announce_drill(lasts + NOTICE);
    }

    fn may_withdraw(&self, now: Time, author: &NodeId, force: bool) -> Result<(), DrillRefusal> {
        if self.standing.static_of(author).is_none() {
            return Err(DrillRefusal::NotListed);
        }
        if !self.standing.is_gateway(&self.id) {
            return Err(DrillRefusal::NotGateway);
        }
        let busy = self.drills.withdrawal.is_some() || now < self.drills.not_before || self.leaving;
        if busy || self.drill_elsewhere(now, &self.id).is_some() {
            return Err(DrillRefusal::Busy);
        }
        match self.cut_off_without(&self.id).len() {
            cut if cut > 0 && !force => Err(DrillRefusal::CutsOff(u16::try_from(cut).unwrap_or(u16::MAX))),
            _ => Ok(()),
        }
    }

    fn announce_drill(&mut self, lasts: Duration) {
        let millis = u32::try_from(lasts.as_millis()).unwrap_or(u32::MAX);
        for id in self.standing.gateways.iter().filter(|id| **id != self.id).copied().collect::<Vec<NodeId>>() {
            self.say_drill(id, DrillWord::Announced { millis });
        }
    }

    pub(super) fn asked_to_return(&mut self, now: Time, author: NodeId) {
        if self.drills.withdrawal.as_ref().is_some_and(|withdrawal| withdrawal.by == author) {
            self.end_withdrawal(now, "it was asked back");
        }
    }

    /// Another gateway goes on with a drill. Only its own word counts, and only of itself.
    pub(super) fn hear_of_drill(&mut self, now: Time, author: NodeId, millis: u32) {
        if !self.standing.is_gateway(&author) {
            return;
        }
        let lasts = Duration::from_millis(u64::from(millis)).min(LONGEST + NOTICE);
        self.drills.elsewhere = Some((author, now + lasts));
        let yields = |withdrawal: &Withdrawal| !withdrawal.silent && author < self.id && millis > 0;
        if let Some(by) = self.drills.withdrawal.as_ref().filter(|w| yields(w)).map(|withdrawal| withdrawal.by) {
            self.end_withdrawal(now, "another gateway's drill came first");
            self.say_drill(by, DrillWord::Refused(DrillRefusal::Busy));
        }
    }

    /// The withdrawal begins, or is over.
    pub(in super::super) fn step_withdrawal(&mut self, now: Time) {
        let Some(withdrawal) = &mut self.drills.withdrawal else { return };
        if now >= withdrawal.ends {
            return self.end_withdrawal(now, "its time is over");
        }
        if now >= withdrawal.begins {
            withdrawal.silent = true;
            self.mark_plan_and_crossings();
        }
        if let Some(withdrawal) = &self.drills.withdrawal {
            let next = if withdrawal.silent { withdrawal.ends } else { withdrawal.begins };
            self.timers.set(Timer::Withdrawal, next);
        }
    }

    fn end_withdrawal(&mut self, now: Time, why: &str) {
        let Some(withdrawal) = self.drills.withdrawal.take() else { return };
        self.timers.stop(Timer::Withdrawal);
        // It is in service for as long as it was away before it withdraws again.
        self.drills.not_before = now + now.since(withdrawal.begins);
        let name = self.name_of(&withdrawal.by);
        self.event(Severity::Info, EventKind::Path, &name, format!("the drill of {name} is over: {why}"));
        self.announce_drill(Duration::ZERO);
        self.mark_plan_and_crossings();
        // Every link is asked at once, and every static peer.
        if let Err(error) = self.probe_now(now, None) {
            self.event(Severity::Warning, EventKind::Link, &name, error.to_string());
        }
    }

    /// What people see of it.
    pub(in super::super) fn withdrawal_health(&self) -> Option<HealthLine> {
        let withdrawal = self.drills.withdrawal.as_ref()?;
        let name = self.name_of(&withdrawal.by);
        Some(HealthLine {
            severity: Severity::Warning,
            code: "drill",
            text: format!("this gateway is withdrawn by a drill of {name}"),
            remedy: format!("it ends by itself; Ctrl-C in `wgnet drill` at {name} or a restart here ends it sooner"),
        })
    }
}
