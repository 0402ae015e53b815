//! What it costs the daemon that people watch it: dashboards, and programs that ask again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netns_tests::{Lab, Load, Node, Swarm, until};
use wgnet_api::{Client, PathKind};

/// Peers of the daemon that is watched. Each member of the swarm hears of each change of each other, so 500 of them in
/// one thread would take an hour to come together; what dashboards cost grows in proportion to the peers.
const PEERS: usize = 125;
const DASHBOARDS: usize = 3;
/// How long processor time is measured.
const MEASURED: Duration = Duration::from_secs(30);
/// All members hear of each other, in one thread: that takes a while.
const SOON: Duration = Duration::from_secs(180);
/// Threads that ask for the status, and how often each does.
const ASKING: u32 = 8;
const EACH: Duration = Duration::from_millis(8);

/// A hub with many peers, alone and with three dashboards: prints what those cost.
pub(crate) fn print_dashboards() {
    let lab = Lab::new("figures", Load::Alone);
    let swarm = Swarm::start(&lab, PEERS);
    swarm.hub().start();
    swarm.wait_for(PEERS, SOON);
    let client = client(swarm.hub());
    let up = || {
        client
            .status()
            .ok()
            .filter(|status| status.peers.iter().filter(|peer| peer.path != PathKind::Unreachable).count() >= PEERS)
    };
    let status = until(SOON, up).expect("all peers are reached");
    wait(Duration::from_secs(20));
    let (alone, _) = share(swarm.hub());
    let differences = Arc::<AtomicU64>::default();
    let closers = (0..DASHBOARDS).map(|_| {
        let stream = client.stream(None).expect("a stream");
        let closer = stream.closer().expect("a handle");
        let count = Arc::clone(&differences);
        let reading = std::thread::spawn(move || {
            for _ in stream.flatten() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        (closer, reading)
    });
    let closers = closers.collect::<Vec<_>>();
    // The first moment, and the journal so far.
    wait(Duration::from_secs(3));
    let before = differences.load(Ordering::Relaxed);
    let (watched, resident) = share(swarm.hub());
    let told = (differences.load(Ordering::Relaxed) - before) as f64 / MEASURED.as_secs_f64();
    for (closer, reading) in closers {
        closer.close();
        drop(reading.join());
    }
    println!("| processor time with {PEERS} peers | | {alone:.2} % | |");
    println!("| the same with {DASHBOARDS} dashboards ({told:.1} events/s) | +0.25 % | {:+.2} % | |", watched - alone);
    println!("| resident memory with {} peers | | {:.1} MB | |", status.peers.len(), resident as f64 / 1e6);
}

/// How long the answers to 1,000 requests a second take: the 99th percentile of 5 s, `rounds` times.
pub(crate) fn status_requests(node: &Node, rounds: usize) -> Vec<Duration> {
    let mut p99 = (0..rounds).map(|_| one_round(node)).collect::<Vec<_>>();
    p99.sort_unstable();
    p99
}

fn one_round(node: &Node) -> Duration {
    let start = Instant::now() + Duration::from_millis(20);
    let asking = |number: u32| {
        let client = client(node);
        std::thread::spawn(move || {
            let due = (0..625).map(|turn| start + EACH * turn + EACH / ASKING * number);
            due.map(|due| {
                wait(due.saturating_duration_since(Instant::now()));
                client.status().expect("an answer");
                // From when it should have been asked: whoever is late because of the answer before it waits, too.
                due.elapsed()
            })
            .collect::<Vec<_>>()
        })
    };
    let threads = (0..ASKING).map(asking).collect::<Vec<_>>();
    let mut took = threads.into_iter().flat_map(|thread| thread.join().expect("asked")).collect::<Vec<_>>();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

fn client(node: &Node) -> Client {
    Client::new(node.machine().path(node.socket()))
}

/// The daemon's share of one processor in percent over some time, and its resident bytes afterwards.
fn share(node: &Node) -> (f64, u64) {
    let used = || node.with_process(|process| process.cpu_time());
    let (before, start) = (used(), Instant::now());
    wait(MEASURED);
    let share = (used() - before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    (share, node.with_process(|process| process.resident_bytes()))
}

fn wait(time: Duration) {
    std::thread::sleep(time);
}
