//! Who reaches whom: every directed pair pinged in parallel until each was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::echo::Echo;
use crate::machine::Machine;
use crate::process::lock;
use crate::wait::until;

/// Who takes part: the machine, its overlay address, its name in reports.
pub(crate) struct Party {
    pub(crate) machine: Machine,
    pub(crate) address: IpAddr,
    pub(crate) name: String,
}

/// The check, under way. Started before the daemons are, it sees the very first packet pass. Dropped, it ends.
pub struct AllPairs {
    shared: Arc<Shared>,
    names: Vec<String>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    first: Mutex<BTreeMap<(usize, usize), Instant>>,
    stop: AtomicBool,
}

impl AllPairs {
    /// Pings each directed pair each `interval` until it was answered once.
    pub(crate) fn start(parties: Vec<Party>, interval: Duration) -> Self {
        let shared = Arc::new(Shared { first: Mutex::default(), stop: AtomicBool::new(false) });
        let names = parties.iter().map(|party| party.name.clone()).collect::<Vec<_>>();
        let addresses = parties.iter().map(|party| party.address).collect::<Vec<_>>();
        let start = |(me, party): (usize, &Party)| {
            let (shared, addresses) = (Arc::clone(&shared), addresses.clone());
            party.machine.namespace().spawn("pairs", move || ping_others(&shared, me, &addresses, interval))
        };
        let threads = parties.iter().enumerate().map(start).collect();
        Self { shared, names, threads }
    }

    /// Waits until every pair was answered, at most `within`, and ends the check.
    pub fn finish(mut self, within: Duration) -> Reach {
        let pairs = self.names.len() * self.names.len().saturating_sub(1);
        let _ = until(within, || (lock(&self.shared.first).len() == pairs).then_some(()));
        self.end();
        let name = |index: usize| self.names[index].clone();
        let first = lock(&self.shared.first).iter().map(|(&(from, to), at)| ((name(from), name(to)), *at)).collect();
        Reach { names: self.names.clone(), first }
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Drop for AllPairs {
    fn drop(&mut self) {
        self.end();
    }
}

fn ping_others(shared: &Shared, me: usize, addresses: &[IpAddr], interval: Duration) {
    let mut missing = (0..addresses.len()).filter(|other| *other != me).collect::<BTreeSet<_>>();
    let mut echo = None;
    let mut sequence = 0;
    while !missing.is_empty() && !shared.stop.load(Ordering::Relaxed) {
        let Some(open) = &echo else {
            echo = Echo::open(addresses[me], 0x4000 | me as u16).ok();
            if echo.is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
            continue;
        };
        sequence = u16::wrapping_add(sequence, 1);
        for other in &missing {
            // No route yet: the next round tries again.
            drop(open.send(addresses[*other], sequence, 8));
        }
        let round = Instant::now() + interval;
        while let Some(answer) = open.answer(round) {
            let other = addresses.iter().position(|address| *address == answer.from);
            if let Some(other) = other.filter(|other| missing.remove(other)) {
                lock(&shared.first).entry((me, other)).or_insert_with(Instant::now);
            }
            if missing.is_empty() {
                break;
            }
        }
    }
}

/// Which directed pairs were answered, and when first.
#[derive(Clone, Debug)]
pub struct Reach {
    names: Vec<String>,
    first: BTreeMap<(String, String), Instant>,
}

impl Reach {
    /// Number of directed pairs that passed.
    pub fn passed(&self) -> usize {
        self.first.len()
    }

    /// The pairs that never passed.
    pub fn missing(&self) -> Vec<(String, String)> {
        let all = self.names.iter().flat_map(|from| self.names.iter().map(move |to| (from.clone(), to.clone())));
        all.filter(|pair| pair.0 != pair.1 && !self.first.contains_key(pair)).collect()
    }

    /// Time from `event` until every pair had passed. Panics, naming the pairs, when some never did.
    pub fn complete_after(&self, event: Instant) -> Duration {
        assert!(self.missing().is_empty(), "{self}");
        let last = self.first.values().max().copied().unwrap_or(event);
        last.saturating_duration_since(event)
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} directed pairs pass", self.passed())?;
        for (from, to) in self.missing() {
            write!(f, "; {from} does not reach {to}")?;
        }
        Ok(())
    }
}
