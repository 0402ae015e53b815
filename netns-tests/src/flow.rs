//! A measuring flow: numbered probes from one machine to an address, and what became of each.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::echo::Echo;
use crate::lab::kernels_take_part;
use crate::machine::Machine;
use crate::process::lock;
use crate::wait::{allowed, until, until_exactly};

/// A probe is lost when it was not answered this long after it was sent.
const PATIENCE: Duration = Duration::from_secs(1);

/// Probes under way. Dropped, they end.
pub struct Flow {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    probes: Mutex<Vec<Probe>>,
    stop: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    sent: Instant,
    answered: Option<Instant>,
    copies: u32,
}

impl Flow {
    /// Pings from `source` on `machine` to `target`, one probe each `interval`, until it is stopped.
    pub fn start(machine: &Machine, source: IpAddr, target: IpAddr, interval: Duration) -> Self {
        let shared = Arc::new(Shared { probes: Mutex::default(), stop: AtomicBool::new(false) });
        let theirs = Arc::clone(&shared);
        let name = format!("flow-{target}");
        let thread = machine.namespace().spawn(&name, move || run(&theirs, source, target, interval));
        Self { shared, thread: Some(thread) }
    }

    /// Waits until a probe sent after `moment` was answered and gives back when it was sent; panics after `within`.
    pub fn passes_after(&self, moment: Instant, within: Duration) -> Instant {
        let passed =
            || lock(&self.shared.probes).iter().find(|probe| probe.sent >= moment && probe.answered.is_some()).copied();
        let probe = until(within, passed);
        probe.unwrap_or_else(|| panic!("no probe passed within {within:?}: {}", self.report(Instant::now()))).sent
    }

    /// Waits until the flow has been without loss for `quiet` from now on or later; panics after `within`.
    pub fn is_clean_for(&self, quiet: Duration, within: Duration) {
        Self::all_clean_for([self], quiet, within);
    }

    /// Waits until each of these flows has been without loss for `quiet` from now on or later; panics after `within`.
    pub fn all_clean_for<'a>(flows: impl IntoIterator<Item = &'a Self>, quiet: Duration, within: Duration) {
        let start = Instant::now();
        for flow in flows {
            let left = (start + allowed(within)).saturating_duration_since(Instant::now());
            let clean =
                until_exactly(left, || flow.clean_since(start).filter(|since| since.elapsed() >= quiet + PATIENCE));
            clean.unwrap_or_else(|| panic!("not without loss for {quiet:?}: {}", flow.report(Instant::now())));
        }
    }

    /// Since when nothing was lost, at the earliest `start`; `None` while no probe was sent.
    fn clean_since(&self, start: Instant) -> Option<Instant> {
        let report = self.report(Instant::now().checked_sub(PATIENCE)?);
        let last_loss = report.probes.iter().rev().find(|probe| probe.answered.is_none()).map(|probe| probe.sent);
        (!report.probes.is_empty()).then(|| last_loss.unwrap_or(start).max(start))
    }

    /// Sends no more probes and does not wait: where many flows end, this first to all of them.
    pub fn end_soon(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the flow, waits for late answers, and gives back what happened.
    pub fn stop(mut self) -> FlowReport {
        self.end();
        self.report(Instant::now())
    }

    /// What happened to the probes sent before `moment`.
    pub fn report(&self, moment: Instant) -> FlowReport {
        FlowReport { probes: lock(&self.shared.probes).iter().filter(|probe| probe.sent < moment).copied().collect() }
    }

    fn end(&mut self) {
        self.end_soon();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(shared: &Shared, source: IpAddr, target: IpAddr, interval: Duration) {
    let id = (nix::unistd::gettid().as_raw() & 0xffff) as u16;
    let mut echo = None;
    let mut next = Instant::now();
    let mut last_wish = None;
    loop {
        let now = Instant::now();
        if shared.stop.load(Ordering::Relaxed) {
            let end = *last_wish.get_or_insert(now + PATIENCE);
            let waiting =
                lock(&shared.probes).iter().rev().take_while(|p| now - p.sent < PATIENCE).any(|p| p.answered.is_none());
            if now >= end || !waiting {
                return;
            }
            next = (now + Duration::from_millis(10)).min(end);
        } else if now >= next {
            let sequence = {
                let mut probes = lock(&shared.probes);
                probes.push(Probe { sent: now, answered: None, copies: 0 });
                ((probes.len() - 1) & 0xffff) as u16
            };
            if echo.is_none() {
                echo = Echo::open(source, id).ok();
            }
            if let Some(echo) = &echo {
                // No route, or no such source at the moment: the probe counts as lost.
                drop(echo.send(target, sequence, 16));
            }
            next = (next + interval).max(now);
        }
        let Some(echo) = &echo else {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            continue;
        };
        if let Some(answer) = echo.answer(next).filter(|answer| answer.from == target) {
            let mut probes = lock(&shared.probes);
            // Sequence numbers have 16 bits: the youngest probe with that number is meant.
            let newest = probes.len().saturating_sub(1);
            let back = (newest as u16).wrapping_sub(answer.sequence);
            if let Some(probe) = newest.checked_sub(usize::from(back)).and_then(|index| probes.get_mut(index)) {
                probe.copies += 1;
                probe.answered.get_or_insert_with(Instant::now);
            }
        }
    }
}

/// How long packets are under way between two nodes of a lab, at most.
const UNDER_WAY: Duration = Duration::from_millis(200);

/// What became of the probes of a flow.
#[derive(Clone, Debug)]
pub struct FlowReport {
    probes: Vec<Probe>,
}

impl FlowReport {
    /// Forgets the probes sent at other moments than `wanted`.
    pub fn keep(&mut self, wanted: impl Fn(Instant) -> bool) {
        self.probes.retain(|probe| wanted(probe.sent));
    }

    /// Number of probes sent.
    pub fn sent(&self) -> usize {
        self.probes.len()
    }

    /// Number of probes that were never answered.
    pub fn lost(&self) -> usize {
        self.probes.iter().filter(|probe| probe.answered.is_none()).count()
    }

    /// Number of lost probes among those sent from `start` to `end`.
    pub fn lost_between(&self, start: Instant, end: Instant) -> usize {
        self.probes.iter().filter(|probe| (start..end).contains(&probe.sent) && probe.answered.is_none()).count()
    }

    /// Number of lost probes among those sent from `start` to `end` that no move of a path explains. Embedded tunnels lose
    /// nothing at a move; a kernel's tunnel loses what is under way then (how long that is in an emulated machine, where
    /// round trips jump and so paths move, [`allowed`] says).
    pub fn lost_but_for_moves(&self, start: Instant, end: Instant) -> usize {
        let lost = self.lost_between(start, end);
        if !kernels_take_part() {
            return lost;
        }
        let moves = self.outages().into_iter().filter(|(_, length)| *length < allowed(UNDER_WAY));
        let explained =
            moves.map(|(at, length)| self.lost_between(at.max(start), (at + length).min(end))).sum::<usize>();
        lost.saturating_sub(explained)
    }

    /// Number of probes that were answered more than once.
    pub fn duplicates(&self) -> usize {
        self.probes.iter().filter(|probe| probe.copies > 1).count()
    }

    /// Number of answers that came before the answer of an earlier probe.
    pub fn overtaken(&self) -> usize {
        let answers = self.probes.iter().filter_map(|probe| probe.answered).collect::<Vec<_>>();
        answers.windows(2).filter(|pair| pair[1] < pair[0]).count()
    }

    /// Stretches of lost probes, each from the first lost one to the next that was answered (or the end).
    pub fn outages(&self) -> Vec<(Instant, Duration)> {
        let mut outages = Vec::new();
        let mut since = None;
        for probe in &self.probes {
            match (probe.answered, since) {
                (None, None) => since = Some(probe.sent),
                (Some(_), Some(start)) => {
                    outages.push((start, probe.sent - start));
                    since = None;
                }
                _ => {}
            }
        }
        if let (Some(start), Some(last)) = (since, self.probes.last()) {
            outages.push((start, last.sent - start));
        }
        outages
    }

    /// Time from `event` until traffic passed again for good: until the first probe after the last lost one.
    /// Zero when nothing was lost after the event; `None` when traffic never came back.
    pub fn recovery_after(&self, event: Instant) -> Option<Duration> {
        let Some(last_lost) = self.probes.iter().rposition(|probe| probe.answered.is_none() && probe.sent >= event)
        else {
            return Some(Duration::ZERO);
        };
        self.probes.get(last_lost + 1).map(|probe| probe.sent - event)
    }

    /// The longest and the median round trip, if any probe was answered.
    pub fn round_trips(&self) -> Option<(Duration, Duration)> {
        let mut times = self.probes.iter().filter_map(|probe| Some(probe.answered? - probe.sent)).collect::<Vec<_>>();
        times.sort_unstable();
        Some((*times.last()?, times[times.len() / 2]))
    }
}

impl fmt::Display for FlowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent, {} lost", self.sent(), self.lost())?;
        let Some(first) = self.probes.first() else { return Ok(()) };
        for (start, length) in self.outages() {
            write!(f, ", out at {:.3} s for {:.3} s", (start - first.sent).as_secs_f64(), length.as_secs_f64())?;
        }
        if let Some((longest, median)) = self.round_trips() {
            write!(f, ", round trip {median:.1?} in the median, {longest:.1?} at most")?;
        }
        Ok(())
    }
}
