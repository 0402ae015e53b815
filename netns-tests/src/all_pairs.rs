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
use crate::wait::{allowed, until_exactly};

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
    wanted: BTreeSet<(usize, usize)>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    first: Mutex<BTreeMap<(usize, usize), Instant>>,
    stop: AtomicBool,
}

impl AllPairs {
    /// Pings each directed pair of `parties` each `interval` until it was answered once.
    pub(crate) fn start(parties: Vec<Party>, interval: Duration) -> Self {
        let count = parties.len();
        let all = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let wanted = all.filter(|(from, to)| from != to).collect();
        Self::start_pairs(parties, wanted, interval)
    }

    /// The same for these directed pairs of `parties`.
    pub(crate) fn start_pairs(parties: Vec<Party>, wanted: BTreeSet<(usize, usize)>, interval: Duration) -> Self {
        let shared = Arc::new(Shared { first: Mutex::default(), stop: AtomicBool::new(false) });
        let names = parties.iter().map(|party| party.name.clone()).collect::<Vec<_>>();
        let addresses = parties.iter().map(|party| party.address).collect::<Vec<_>>();
        let start = |(me, party): (usize, &Party)| {
            let (shared, addresses) = (Arc::clone(&shared), addresses.clone());
            let others = wanted.iter().filter(|(from, _)| *from == me).map(|(_, to)| *to).collect();
            let ping = move || ping_others(&shared, me, others, &addresses, interval);
            party.machine.namespace().spawn("pairs", ping)
        };
        let threads = parties.iter().enumerate().map(start).collect();
        Self { shared, names, wanted, threads }
    }

    /// Waits until every pair was answered, at most `within`, and ends the check.
    pub fn finish(self, within: Duration) -> Reach {
        self.look_on(allowed(within))
    }

    /// The same, but `time` is meant as it stands: for pairs of which none is to pass.
    pub fn look_on(mut self, time: Duration) -> Reach {
        let _ = until_exactly(time, || (lock(&self.shared.first).len() == self.wanted.len()).then_some(()));
        self.end();
        let name = |(from, to): &(usize, usize)| (self.names[*from].clone(), self.names[*to].clone());
        let first = lock(&self.shared.first);
        let missing = self.wanted.iter().filter(|pair| !first.contains_key(pair)).map(name).collect();
        let first = first.iter().map(|(pair, at)| (name(pair), *at)).collect();
        Reach { first, missing }
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

fn ping_others(shared: &Shared, me: usize, others: BTreeSet<usize>, addresses: &[IpAddr], interval: Duration) {
    let mut missing = others;
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
    first: BTreeMap<(String, String), Instant>,
    missing: Vec<(String, String)>,
}

impl Reach {
    /// Number of directed pairs that passed.
    pub fn passed(&self) -> usize {
        self.first.len()
    }

    /// Whether this directed pair passed.
    pub fn has_passed(&self, pair: &(String, String)) -> bool {
        self.first.contains_key(pair)
    }

    /// The pairs that never passed.
    pub fn missing(&self) -> &[(String, String)] {
        &self.missing
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
        for (from, to) in &self.missing {
            write!(f, "; {from} does not reach {to}")?;
        }
        Ok(())
    }
}
