//! Probing: numbers out, echoes back.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::time::Time;
use super::cost::Cost;
use super::damping::Damping;

/// Interval of questions on a link that carries traffic or joins two gateways.
pub const ACTIVE_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of questions on an idle link: mappings of NATs are kept by WireGuard's keepalives, which cost a sixth, and the
/// first packet of a user brings a question at once.
pub const IDLE_INTERVAL: Duration = Duration::from_secs(110);
/// Interval of questions while an answer is missing.
const FAST_INTERVAL: Duration = Duration::from_millis(150);
/// A link without an echo for so long after an unanswered question is dead: 12 questions, of which all are lost once
/// in 200,000 times even when one datagram in five is lost in either direction.
const DEAD_AFTER: Duration = Duration::from_millis(1_800);
/// So long after it came up, a link is asked at the short interval.
const SETTLING: Duration = Duration::from_millis(600);
/// The end that yields asks so much later, and a round trip, so that one question and one answer serve both.
const YIELD: Duration = Duration::from_millis(250);
/// Echoes that prove a link: the first may have waited for the handshake and measures nothing.
const PROOFS: u32 = 2;

/// A probe to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its number.
    pub seq: u32,
    /// The neighbour's last probe, and for how many microseconds it was held.
    pub echo: Option<(u32, u32)>,
    /// Whether an answer at once is wanted.
    pub wants_reply: bool,
}

/// What an input did to the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// Nothing.
    None,
    /// It is proven in both directions.
    Up,
    /// It is dead.
    Down,
}

/// The state of one link.
#[derive(Clone, Debug)]
pub struct Link {
    yields: bool,
    seq: u32,
    sent: VecDeque<(u32, Time)>,
    heard: Option<(u32, Time)>,
    up: bool,
    up_since: Option<Time>,
    /// When it was found dead, if it is not up since.
    fell_at: Option<Time>,
    proofs: u32,
    /// The oldest question without an answer.
    waiting_since: Option<Time>,
    proven_at: Option<Time>,
    /// When the next question is due.
    next: Time,
    /// Attempts since the link went down.
    attempts: u32,
    /// Interval of questions while it is up.
    interval: Duration,
    /// Round trip, loss, advertised cost.
    pub cost: Cost,
    /// How much it flapped.
    pub damping: Damping,
}

impl Link {
    /// A link that is down; its first question is due at once. One of its ends `yields`: it leaves it to the other one
    /// to ask, as long as questions come.
    pub fn new(now: Time, yields: bool) -> Self {
        Self {
            yields,
            seq: 0,
            sent: VecDeque::new(),
            heard: None,
            up: false,
            up_since: None,
            fell_at: None,
            proofs: 0,
            waiting_since: None,
            proven_at: None,
            next: now,
            attempts: 0,
            interval: ACTIVE_INTERVAL,
            cost: Cost::default(),
            damping: Damping::default(),
        }
    }

    /// Whether it is proven in both directions.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Since when it is up.
    pub fn up_since(&self) -> Option<Time> {
        self.up_since
    }

    /// Whether it was found dead so lately that the other end, which may ask no more often than an idle link is asked, need
    /// not know it: then it must hear questions as soon as something passes again.
    pub fn fell_lately(&self, now: Time) -> bool {
        self.fell_at.is_some_and(|at| now.since(at) < 2 * IDLE_INTERVAL)
    }

    /// Nobody needs it: it is not asked for any more.
    pub fn let_go(&mut self) {
        self.fell_at = None;
    }

    /// Number of echoes since it was down.
    pub fn proofs(&self) -> u32 {
        self.proofs
    }

    /// When the neighbour was last heard on it.
    pub fn heard_at(&self) -> Option<Time> {
        self.heard.map(|(_, at)| at)
    }

    /// When the last probe that came back had been sent.
    pub fn proven_at(&self) -> Option<Time> {
        self.proven_at
    }

    /// Questions without any echo since it went down.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When `poll` wants to be called.
    pub fn next(&self) -> Time {
        self.next
    }

    /// Interval of questions while the link is up.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Sets the interval of questions while the link is up. A shorter one brings a question at once.
    pub fn set_interval(&mut self, interval: Duration, now: Time) {
        if interval < self.interval && self.up {
            self.next = self.next.min(now);
        }
        self.interval = interval;
    }

    /// Asks after this time, if not sooner.
    pub fn ask_within(&mut self, now: Time, wait: Duration) {
        if self.up {
            self.next = self.next.min(now + wait);
        }
    }

    /// Asks at the next opportunity, starting over with short intervals.
    pub fn hurry(&mut self, now: Time) {
        self.attempts = 0;
        self.next = self.next.min(now);
    }

    /// Time to ask, or to give up? `jitter` in 0..1 spreads retries.
    pub fn poll(&mut self, now: Time, jitter: f64) -> (LinkChange, Option<Probe>) {
        if now < self.next {
            return (LinkChange::None, None);
        }
        if let Some(since) = self.waiting_since.filter(|_| self.up) {
            self.cost.sample_loss();
            if now.since(since) >= DEAD_AFTER {
                self.fall(now);
                self.next = now;
                return (LinkChange::Down, None);
            }
        }
        let wait = match (self.up, self.waiting_since) {
            (true, None) => (self.answer_time()).max(FAST_INTERVAL),
            (true, Some(_)) => FAST_INTERVAL,
            (false, _) => {
                self.attempts = self.attempts.saturating_add(1);
                // 100 ms at first, so that a restart is noticed at once; later up to 10 s.
                let base = match self.attempts {
                    0..=20 => 100,
                    21..=40 => 500,
                    41..=60 => 2_000,
                    _ => 8_000,
                };
                Duration::from_millis(base + (base as f64 * 0.25 * jitter) as u64)
            }
        };
        self.next = now + wait;
        self.waiting_since.get_or_insert(now);
        (LinkChange::None, Some(self.question(now, true)))
    }

    /// How long an answer may take before it is missed.
    fn answer_time(&self) -> Duration {
        self.cost.rtt().map_or(Duration::from_millis(500), |rtt| rtt * 2 + Duration::from_millis(100))
    }

    fn question(&mut self, now: Time, wants_reply: bool) -> Probe {
        self.seq = self.seq.wrapping_add(1);
        self.sent.push_back((self.seq, now));
        if self.sent.len() > 64 {
            self.sent.pop_front();
        }
        let held = |at: Time| u32::try_from(now.since(at).as_micros()).unwrap_or(u32::MAX);
        Probe { seq: self.seq, echo: self.heard.map(|(seq, at)| (seq, held(at))), wants_reply }
    }

    /// A probe arrived. Returns what it did to the link and the answer to send.
    pub fn received(&mut self, now: Time, probe: Probe) -> (LinkChange, Option<Probe>) {
        let newest = self.heard.is_none_or(|(seq, _)| probe.seq.wrapping_sub(seq) < u32::MAX / 2);
        if newest {
            self.heard = Some((probe.seq, now));
        }
        let mut change = LinkChange::None;
        if let Some((seq, held)) = probe.echo {
            change = self.echoed(now, seq, Duration::from_micros(u64::from(held)));
        }
        let answer = probe.wants_reply || !self.up;
        // While the link is down both ask at once; the answer to an answer stops as soon as both know it is up.
        let reply = answer.then(|| self.question(now, !self.up));
        (change, reply)
    }

    fn echoed(&mut self, now: Time, seq: u32, held: Duration) -> LinkChange {
        let Some(index) = self.sent.iter().position(|(sent, _)| *sent == seq) else { return LinkChange::None };
        let (_, sent_at) = self.sent[index];
        self.sent.drain(..=index);
        let rtt = now.since(sent_at).saturating_sub(held);
        self.proofs = self.proofs.saturating_add(1);
        self.proven_at = Some(self.proven_at.map_or(sent_at, |at| at.max(sent_at)));
        self.attempts = 0;
        if self.waiting_since.is_some_and(|since| sent_at >= since || self.up) {
            self.waiting_since = None;
        }
        if self.up {
            let settling = self.up_since.is_some_and(|at| now.since(at) < SETTLING);
            if !settling {
                self.cost.settle();
            }
            self.cost.sample_rtt(rtt);
            if settling {
                // Hellos carry digests: right after a link came up, what either end still lacks shows soon.
                self.next = now + FAST_INTERVAL;
                return LinkChange::None;
            }
            self.next = now + self.interval + if self.yields { YIELD + rtt } else { Duration::ZERO };
            return LinkChange::None;
        }
        if self.proofs < PROOFS {
            return LinkChange::None;
        }
        self.up = true;
        self.fell_at = None;
        self.up_since = Some(now);
        self.waiting_since = None;
        self.cost.restart();
        self.cost.sample_rtt(rtt);
        self.next = now + FAST_INTERVAL;
        LinkChange::Up
    }

    /// The neighbour started anew or left: what was proven is void.
    pub fn reset(&mut self, now: Time) -> LinkChange {
        let was_up = self.up;
        if was_up {
            self.fall(now);
        }
        self.heard = None;
        self.sent.clear();
        self.proofs = 0;
        self.attempts = 0;
        self.next = now;
        if was_up { LinkChange::Down } else { LinkChange::None }
    }

    fn fall(&mut self, now: Time) {
        self.up = false;
        self.fell_at = Some(now);
        self.up_since = None;
        self.proofs = 0;
        self.waiting_since = None;
        self.attempts = 0;
        self.damping.fell(now);
    }
}
