//! How large a packet a link carries: padded questions out, padded answers back.
//!
//! Where a packet is too large for something on the way, its sender should hear so; often it does not (a black hole).
//! So one end of each link asks with packets of exactly the size in question, and the other answers in kind. A size
//! counts as lost only when its questions stay without answer while small ones, sent at the same time, come back, and
//! that so often that mere loss would do it once in a million times. Then the largest size that passes is searched for,
//! and the other end is told.
//!
//! A node that does not know these questions never answers the first, small one: then nothing is measured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::time::Time;

/// Size of a small question in bytes.
const SMALL: u16 = 256;
/// WireGuard pads packets to a multiple of so many bytes: sizes in between are not told apart.
const STEP: u16 = 16;
/// The least MTU of an interface with IPv6. Below it nothing can be lowered ...
const LEAST: u16 = 1280;
/// ... but what passes is found out roughly, for people.
const ROUGHLY: [u16; 5] = [LEAST, 1200, 1024, 768, 576];
/// A link is measured again after so long, if it is in use: a question and its answer are as long as they can be.
const EVERY: Duration = Duration::from_secs(600);
/// A link that came up, or whose way changed, is measured after so long.
const SETTLING: Duration = Duration::from_secs(1);
/// Least time between two questions.
const PACE: Duration = Duration::from_millis(500);
/// So many small questions without an answer mean that the neighbour does not know them ...
const FIRST_TRIES: u32 = 10;
/// ... and so many are enough when it did not know them before.
const LATER_TRIES: u32 = 2;
/// A size counts as lost when mere loss would do that as seldom.
const ODDS: f64 = 1e-6;
/// So many questions without an answer to the small one are too many to tell anything.
const MOST_VOID: u32 = 40;

/// A question or an answer. The packet that carries it has exactly `size` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeProbe {
    /// Number of the question.
    pub number: u32,
    /// Whether it is the answer.
    pub is_answer: bool,
    /// Size in bytes of the packet that carries it, IPv6 header and all.
    pub size: u16,
    /// MTU of the sender's tunnel in bytes.
    pub mtu: u16,
    /// What the sender found.
    pub found: Option<Passing>,
}

/// What a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passing {
    /// Packets of so many bytes pass.
    pub passes: u16,
    /// Packets of so many bytes are lost; `None`: the full size passes.
    pub lost: Option<u16>,
}

/// The search on one link, and what it found.
#[derive(Clone, Debug)]
pub struct PathMtu {
    /// Whether this end asks; the other end is told.
    asks: bool,
    number: u32,
    theirs: Option<u16>,
    found: Option<Passing>,
    /// Whether the other end understands the questions, and knows what was found.
    greeted: bool,
    /// Small questions sent in vain.
    tries: u32,
    /// Whether it never answered before.
    silent: bool,
    run: Option<Run>,
    next: Option<Time>,
    /// Whether what it carries is known, and `next` is only to know it again.
    rests: bool,
}

/// One measurement.
#[derive(Clone, Debug)]
struct Run {
    target: u16,
    size: u16,
    /// The first question of this size.
    first: u32,
    passed: u16,
    lost: Option<u16>,
    /// What passed last time: tried first when the full size is lost.
    guess: Option<u16>,
    /// The small question that went with the last one.
    small: Option<u32>,
    small_answered: bool,
    /// Questions of this size that were lost while the small one was answered.
    missed: u32,
    /// Small questions of this measurement in all, and without an answer.
    small_sent: u32,
    small_lost: u32,
}

impl PathMtu {
    /// Nothing is known. One end of each link `asks`.
    pub fn new(asks: bool) -> Self {
        Self {
            asks,
            number: 0,
            theirs: None,
            found: None,
            greeted: false,
            tries: 0,
            silent: false,
            run: None,
            next: None,
            rests: false,
        }
    }

    /// The link came up: measure it.
    pub fn link_up(&mut self, now: Time) {
        self.greeted = false;
        if self.asks {
            self.measure(now);
        }
    }

    /// The link is down: there is nothing to ask.
    pub fn link_down(&mut self) {
        self.run = None;
        self.next = None;
    }

    /// Measures soon: packets may take another way now, or a person mended it. The end that is asked lets the other know
    /// by a question of its own.
    pub fn measure(&mut self, now: Time) {
        self.run = None;
        self.tries = 0;
        self.next = Some(now + SETTLING);
        self.rests = false;
    }

    /// When [`Self::poll`] wants to be called.
    pub fn next(&self) -> Option<Time> {
        self.next
    }

    /// Whether it was measured, and is only to be measured again some time.
    pub fn rests(&self) -> bool {
        self.rests
    }

    /// The largest packet that this end may send over the link, with an own MTU of `own`.
    pub fn limit(&self, own: u16) -> u16 {
        let found = self.black_hole().map_or(own, |found| found.passes.max(LEAST));
        own.min(found).min(self.theirs.unwrap_or(own))
    }

    /// What passes and what is lost, where the full size is.
    pub fn black_hole(&self) -> Option<Passing> {
        self.found.filter(|found| found.lost.is_some())
    }

    /// What to send now. `round_trip` and `loss` are those of the link's ordinary questions, `jitter` is in 0..1.
    pub fn poll(&mut self, now: Time, own: u16, round_trip: Duration, loss: f64, jitter: f64) -> Vec<SizeProbe> {
        if self.next.is_none_or(|next| now < next) {
            return Vec::new();
        }
        if !self.asks {
            self.next = None;
            return vec![self.question(SMALL, own)];
        }
        let wait = PACE.max(round_trip * 2 + PACE / 2);
        self.next = Some(now + wait);
        if !self.greeted {
            return self.greet(now, own, jitter);
        }
        let target = own.min(self.theirs.unwrap_or(own));
        let Some(run) = self.run.as_mut().filter(|run| run.target == target) else {
            let guess = self.black_hole().map(|found| found.passes).filter(|passes| (LEAST..target).contains(passes));
            self.run = Some(Run::new(target, guess, self.number + 1));
            return vec![self.question(target, own)];
        };
        run.waited();
        if run.passed == run.size {
            return self.go_on(now, own, jitter);
        }
        if run.is_lost(loss) {
            run.lost = Some(run.size);
            return self.go_on(now, own, jitter);
        }
        if run.small_lost > MOST_VOID {
            self.rest(now, jitter);
            return Vec::new();
        }
        let size = run.size;
        let large = self.question(size, own);
        let small = self.question(SMALL, own);
        if let Some(run) = &mut self.run {
            (run.small, run.small_answered) = (Some(small.number), false);
        }
        vec![large, small]
    }

    /// A probe arrived. Returns the answer to send, never larger than the question, and whether what is known changed.
    pub fn heard(&mut self, now: Time, own: u16, probe: SizeProbe) -> (Option<SizeProbe>, bool) {
        let before = (self.black_hole(), self.theirs);
        self.theirs = Some(probe.mtu.max(LEAST));
        let mut answer = None;
        if probe.is_answer {
            self.answered(now, probe);
        } else {
            if self.asks {
                self.measure(now);
            } else if probe.found.is_some() {
                self.found = probe.found;
            }
            answer = Some(SizeProbe { is_answer: true, size: probe.size.min(own), mtu: own, found: None, ..probe });
        }
        (answer, before != (self.black_hole(), self.theirs))
    }

    fn answered(&mut self, now: Time, probe: SizeProbe) {
        self.silent = false;
        if !self.greeted && self.next.is_some() {
            self.greeted = true;
            self.tries = 0;
            self.next = Some(now);
        }
        let Some(run) = self.run.as_mut().filter(|run| probe.number >= run.first) else { return };
        if probe.size == run.size && run.passed < run.size {
            run.passed = run.size;
            self.next = Some(now);
        } else if run.small == Some(probe.number) {
            run.small_answered = true;
        }
    }

    /// Asks whether the neighbour understands, and tells it what was found.
    fn greet(&mut self, now: Time, own: u16, jitter: f64) -> Vec<SizeProbe> {
        if self.tries >= if self.silent { LATER_TRIES } else { FIRST_TRIES } {
            // It does not know these questions, or not any more.
            (self.silent, self.found, self.theirs) = (true, None, None);
            self.rest(now, jitter);
            return Vec::new();
        }
        self.tries += 1;
        vec![self.question(SMALL, own)]
    }

    /// A size passed or was lost: on to the next one, or the measurement is over.
    fn go_on(&mut self, now: Time, own: u16, jitter: f64) -> Vec<SizeProbe> {
        let Some(run) = &mut self.run else { return Vec::new() };
        if let Some(size) = run.following() {
            run.begin(size, self.number + 1);
            return vec![self.question(size, own)];
        }
        let lost = run.lost.filter(|_| run.passed < run.target);
        let found = Passing { passes: run.passed.max(SMALL), lost };
        let before = self.black_hole();
        self.found = Some(found);
        self.rest(now, jitter);
        if self.black_hole() != before {
            self.rests = false;
            self.greeted = false;
            self.next = Some(now + PACE);
        }
        Vec::new()
    }

    fn rest(&mut self, now: Time, jitter: f64) {
        self.run = None;
        self.tries = 0;
        self.rests = true;
        self.next = Some(now + EVERY.mul_f64(0.9 + 0.2 * jitter));
    }

    fn question(&mut self, size: u16, own: u16) -> SizeProbe {
        self.number += 1;
        SizeProbe { number: self.number, is_answer: false, size, mtu: own, found: self.found }
    }
}

impl Run {
    fn new(target: u16, guess: Option<u16>, first: u32) -> Self {
        Self {
            target,
            size: target,
            first,
            passed: 0,
            lost: None,
            guess,
            small: None,
            small_answered: false,
            missed: 0,
            small_sent: 0,
            small_lost: 0,
        }
    }

    fn begin(&mut self, size: u16, first: u32) {
        (self.size, self.first, self.missed, self.small) = (size, first, 0, None);
    }

    /// The time for an answer is over.
    fn waited(&mut self) {
        if self.small.take().is_some() {
            self.small_sent += 1;
            match self.small_answered {
                true => self.missed += 1,
                false => self.small_lost += 1,
            }
        }
    }

    /// Whether the size in question is lost, and not by chance.
    fn is_lost(&self, loss: f64) -> bool {
        // What was seen of the small ones, with one lost and one answered beforehand: nobody knows a link that well.
        let seen = f64::from(self.small_lost + 1) / f64::from(self.small_sent + 2);
        f64::from(self.missed) >= ODDS.ln() / loss.max(seen).clamp(0.01, 0.9).ln()
    }

    /// The next size to ask for.
    fn following(&mut self) -> Option<u16> {
        let lost = self.lost.filter(|_| self.passed < self.target)?;
        if self.passed == 0 {
            let guess = self.guess.take();
            return guess.into_iter().chain(ROUGHLY).find(|size| *size < lost);
        }
        let (low, high) = (self.passed / STEP, lost.div_ceil(STEP));
        let middle = u16::midpoint(low, high);
        (self.passed >= LEAST && low < middle && middle < high).then_some(middle * STEP)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;

    /// Two ends and the line between them.
    struct Line {
        ends: [PathMtu; 2],
        own: [u16; 2],
        /// Larger packets vanish.
        largest: u16,
        loss: f64,
        /// Whether the end that is asked knows the questions.
        understands: bool,
        rng: ChaCha8Rng,
        now: Time,
        bytes: u64,
    }

    impl Line {
        fn new(largest: u16) -> Self {
            let ends = [PathMtu::new(true), PathMtu::new(false)];
            let (rng, now) = (ChaCha8Rng::seed_from_u64(7), Time::ZERO);
            let mut line = Self { ends, own: [1420; 2], largest, loss: 0.0, understands: true, rng, now, bytes: 0 };
            line.ends.iter_mut().for_each(|end| end.link_up(now));
            line
        }

        fn passes(&mut self, probe: &SizeProbe) -> bool {
            self.bytes += u64::from(probe.size);
            let lucky = f64::from(self.rng.next_u32()) >= self.loss * f64::from(u32::MAX);
            lucky && probe.size <= self.largest
        }

        /// Lets time pass. The way takes no time.
        fn run(&mut self, seconds: u64) {
            let end = self.now + Duration::from_secs(seconds);
            // Questions and answers are lost on their own.
            let loss = 1.0 - (1.0 - self.loss).powi(2);
            while let Some(at) = self.ends[0].next().filter(|at| *at <= end) {
                self.now = self.now.max(at);
                for question in self.ends[0].poll(self.now, self.own[0], Duration::ZERO, loss, 0.5) {
                    if !self.passes(&question) || !self.understands {
                        continue;
                    }
                    let answer = self.ends[1].heard(self.now, self.own[1], question).0.expect("an answer");
                    assert!(answer.size <= question.size);
                    if self.passes(&answer) {
                        assert_eq!(self.ends[0].heard(self.now, self.own[0], answer).0, None);
                    }
                }
            }
            self.now = end;
        }

        fn limits(&self) -> [u16; 2] {
            [self.ends[0].limit(self.own[0]), self.ends[1].limit(self.own[1])]
        }
    }

    #[test]
    fn a_clean_line_costs_one_question_each_ten_minutes() {
        let mut line = Line::new(1500);
        line.run(30);
        assert_eq!(line.limits(), [1420, 1420]);
        line.bytes = 0;
        line.run(3600);
        assert!(line.bytes <= 7 * 2 * 1420, "{} bytes an hour", line.bytes);
        assert_eq!(line.ends.map(|end| end.black_hole()), [None, None]);
    }

    #[test]
    fn a_black_hole_is_found_by_one_end_and_told_to_the_other() {
        for (largest, passes, lost) in [(1360, 1360, 1376), (1419, 1408, 1420), (1290, 1280, 1296), (1250, 1200, 1280)]
        {
            let mut line = Line::new(largest);
            line.run(20);
            let found = Some(Passing { passes, lost: Some(lost) });
            assert_eq!(line.ends.clone().map(|end| end.black_hole()), [found, found]);
            assert_eq!(line.limits(), [passes.max(1280); 2]);
            line.largest = 1500;
            line.run(700);
            assert_eq!(line.limits(), [1420, 1420], "it is mended");
            line.largest = largest;
            line.ends[0].measure(line.now);
            line.run(20);
            line.largest = 1360;
            line.run(700);
            assert_eq!(line.limits(), [1360, 1360], "another one");
        }
    }

    #[test]
    fn either_end_may_want_it_measured_again() {
        let mut line = Line::new(1360);
        line.run(20);
        line.largest = 1500;
        line.ends[1].measure(line.now);
        let now = line.now + Duration::from_secs(1);
        let wish = line.ends[1].poll(now, 1420, Duration::ZERO, 0.0, 0.5);
        assert_eq!((wish.len(), line.ends[1].next()), (1, None));
        let (answer, _) = line.ends[0].heard(now, 1420, wish[0]);
        assert_eq!(line.ends[1].heard(now, 1420, answer.expect("as to any question")), (None, false));
        line.run(20);
        assert_eq!(line.limits(), [1420, 1420]);
    }

    #[test]
    fn mere_loss_lowers_nothing() {
        for loss in [0.02, 0.1, 0.2, 0.3] {
            let mut line = Line::new(1500);
            line.loss = loss;
            for _ in 0..100 {
                line.run(600);
                assert_eq!(line.limits(), [1420, 1420], "{loss}");
            }
        }
    }

    #[test]
    fn a_black_hole_is_found_though_packets_are_lost() {
        let mut line = Line::new(1360);
        line.loss = 0.2;
        line.run(180);
        assert_eq!(line.limits(), [1360, 1360]);
    }

    #[test]
    fn a_neighbour_that_does_not_understand_is_left_in_peace() {
        let mut line = Line::new(1360);
        line.understands = false;
        line.run(60);
        assert_eq!((line.limits(), line.ends[0].black_hole()), ([1420, 1420], None));
        line.bytes = 0;
        line.run(3600);
        assert!(line.bytes <= 7 * 2 * 256, "{} bytes an hour", line.bytes);
        line.understands = true;
        line.run(700);
        assert_eq!(line.limits(), [1360, 1360], "it runs a newer version now");
    }

    #[test]
    fn the_smaller_of_both_tunnels_is_what_is_asked_for() {
        for own in [[1420, 1400], [1400, 1420]] {
            let mut line = Line::new(1405);
            line.own = own;
            line.run(30);
            assert_eq!(line.limits(), [1400, 1400]);
            assert_eq!(line.ends[0].black_hole(), None);
        }
    }
}
