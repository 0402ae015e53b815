//! What it costs the daemon that people watch it: dashboards, and programs that ask again and again.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netns_tests::{Lab, Load, Node, Swarm, until};
use wgnet_api::{Client, PathKind};

/// Peers of the daemon that is watched. Each member of the swarm hears of each change of each other, so 500 of them in
/// one thread would take an hour to come together; what dashboards cost grows in proportion to the peers.
const PEERS: usize = 125;
const DASHBOARDS: usize = 3;
/// How long processor time is measured.
const MEASURED: Duration = Duration::from_secs(10);
/// How long it takes until nobody has news of who came last.
const SETTLES: Duration = Duration::from_secs(30);
/// What three dashboards of 500 peers may cost, in percent of a processor.
const GOAL: f64 = 1.0;
/// All members hear of each other, in one thread: that takes a while.
const SOON: Duration = Duration::from_secs(180);
/// Threads that ask for the status, and how often each does.
const ASKING: u32 = 8;
const EACH: Duration = Duration::from_millis(8);

/// A hub with many peers, in turn alone and with three dashboards: prints what those cost.
pub(crate) fn print_dashboards(rounds: usize) {
    let lab = Lab::new("figures", Load::Alone);
    let swarm = Swarm::start(&lab, PEERS);
    let hub = swarm.hub();
    hub.start();
    swarm.wait_for(PEERS, SOON);
    let client = client(hub);
    let is_up = |peer: &&wgnet_api::Peer| peer.path == PathKind::Direct;
    let up = || client.status().ok().filter(|status| status.peers.iter().filter(is_up).count() >= PEERS);
    until(SOON, up).expect("all peers are reached");
    wait(SETTLES);
    let (mut without, mut besides) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let alone = share(hub);
        let dashboards = (0..DASHBOARDS).map(|_| Dashboard::attach(&client)).collect::<Vec<_>>();
        // The first moment, and the journal so far.
        wait(Duration::from_secs(2));
        besides.push(share(hub) - alone);
        without.push(alone);
        let events = dashboards.into_iter().map(Dashboard::detach).sum::<u64>();
        assert!(events >= (DASHBOARDS as u64) * MEASURED.as_secs(), "{events} events: one each second for each");
    }
    let resident = hub.with_process(|process| process.resident_bytes());
    let goal = GOAL * PEERS as f64 / 500.0;
    let print = |what: String, goal: String, mut shares: Vec<f64>| {
        shares.sort_by(f64::total_cmp);
        let (median, worst) = (shares[shares.len() / 2], shares[shares.len() - 1]);
        println!("| {what} | {goal} | {median:.2} % | {worst:.2} % |");
    };
    print(format!("processor time with {PEERS} peers"), String::new(), without);
    print(format!("{DASHBOARDS} dashboards of them, besides"), format!("{goal} %"), besides);
    println!("| resident memory with {PEERS} peers | | {:.1} MB | |", resident as f64 / 1e6);
}

/// Takes what the daemon streams, as a dashboard does.
struct Dashboard {
    closer: wgnet_api::Closer,
    reading: JoinHandle<u64>,
}

impl Dashboard {
    fn attach(client: &Client) -> Self {
        let stream = client.stream(None).expect("a stream");
        let closer = stream.closer().expect("a handle");
        Self { closer, reading: std::thread::spawn(move || stream.flatten().count() as u64) }
    }

    /// Gives back how many events came.
    fn detach(self) -> u64 {
        self.closer.close();
        self.reading.join().expect("it read")
    }
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

/// The daemon's share of one processor in percent over some time.
fn share(node: &Node) -> f64 {
    let used = || node.with_process(|process| process.cpu_time());
    let (before, start) = (used(), Instant::now());
    wait(MEASURED);
    (used() - before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0
}

fn wait(time: Duration) {
    std::thread::sleep(time);
}
