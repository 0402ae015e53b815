//! Compares the embedded tunnel with other WireGuards in user space: what passes, what that costs, how long it takes.
//!
//! `cargo build --release && cargo run --release -p netns-tests --bin throughput [ROUNDS [SECONDS [NAME...]]]`
//!
//! Two machines (network namespaces) on one cable, both ends on this computer, nothing else running. All programs take
//! turns in each round, and the table shows medians of the rounds, the range, and ratios to wgnet. The other programs
//! are built by cargo; a wireguard-go is taken from PATH or from where WIREGUARD_GO says. NAMEs choose among them. Needs
//! root, `ethtool` and `wg`.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark, for people")]

mod load;
mod tunnels;

use std::collections::BTreeMap;
use std::time::Duration;

use load::{Flows, datagrams};
use netns_tests::latency::round_trips;
use tunnels::{Kind, Pair, all};

/// The load at which processor time is compared, in bits per second.
const FIXED: f64 = 500e6;
/// Payload that fills a packet of the tunnel's MTU, and one of speech.
const LARGE: usize = 1372;
const SMALL: usize = 64;
/// What share of datagrams may be lost for a rate to count as passed.
const LOSS: f64 = 0.001;
/// Steps in which the highest rate is looked for: the last one is 1 % of the range.
const STEPS: u32 = 7;

/// Figures of one program: all rounds of each.
type Figures = BTreeMap<&'static str, Vec<f64>>;

/// What is measured, line by line.
const LINES: [&str; 15] = [
    "TCP, 1 flow, Gbit/s",
    "TCP, 1 flow, segmentation off, Gbit/s",
    "TCP, 4 flows, Gbit/s",
    "TCP, 4 flows, segmentation off, Gbit/s",
    "TCP, reverse, Gbit/s",
    "TCP, both directions together, Gbit/s",
    "TCP segments sent again",
    "packets dropped by the interfaces",
    "UDP of 1372 bytes with less than 0.1 % loss, Gbit/s",
    "UDP of 64 bytes, thousands a second",
    "processor seconds per Gbit at 500 Mbit/s",
    "idle ping p50 / us",
    "idle ping p99 / us",
    "ping p99 beside a TCP flow / ms",
    "most memory under load / MB",
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |what, default| {
        arguments.next().map_or(default, |text| text.parse::<u64>().unwrap_or_else(|_| panic!("{what} is a number")))
    };
    let (rounds, seconds) = (number("ROUNDS", 5), Duration::from_secs(number("SECONDS", 5)));
    let names = arguments.collect::<Vec<_>>();
    let kinds = all(|kind| names.is_empty() || names.iter().any(|name| kind.contains(name.as_str())));
    let mut figures = vec![Figures::new(); kinds.len()];
    for round in 1..=rounds {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            eprintln!("round {round} of {rounds}: {}", kind.name());
            measure(kind, seconds, figures);
        }
    }
    print(&kinds, &figures);
}

fn measure(kind: &Kind, seconds: Duration, figures: &mut Figures) {
    let mut add = |name: &'static str, figure: f64| {
        assert!(LINES.contains(&name), "{name} is no line of the table");
        figures.entry(name).or_default().push(figure);
    };
    let gigabits = |rate: f64| rate / 1e9;
    let off = Pair::start(kind, false);
    add("TCP, 1 flow, segmentation off, Gbit/s", gigabits(Flows::start(&off, 0, 1, None).rate_over(seconds)));
    add("TCP, 4 flows, segmentation off, Gbit/s", gigabits(Flows::start(&off, 0, 4, None).rate_over(seconds)));
    drop(off);

    let pair = Pair::start(kind, true);
    let [left, right] = pair.addresses();
    let ping = |count, interval| round_trips(&pair.machines[0], (left, right), count, interval).0;
    let idle = ping(500, Duration::from_millis(5));
    add("idle ping p50 / us", percentile(&idle, 50) * 1e6);
    add("idle ping p99 / us", percentile(&idle, 99) * 1e6);

    let (again, dropped) = (pair.retransmits(), pair.drops());
    add("TCP, 1 flow, Gbit/s", gigabits(Flows::start(&pair, 0, 1, None).rate_over(seconds)));
    add("TCP segments sent again", (pair.retransmits() - again) as f64);
    add("packets dropped by the interfaces", (pair.drops() - dropped) as f64);
    add("TCP, 4 flows, Gbit/s", gigabits(Flows::start(&pair, 0, 4, None).rate_over(seconds)));
    add("TCP, reverse, Gbit/s", gigabits(Flows::start(&pair, 1, 1, None).rate_over(seconds)));
    let (there, back) = (Flows::start(&pair, 0, 1, None), Flows::start(&pair, 1, 1, None));
    let rate = std::thread::scope(|scope| {
        let there = scope.spawn(|| there.rate_over(seconds));
        back.rate_over(seconds) + there.join().expect("measured")
    });
    add("TCP, both directions together, Gbit/s", gigabits(rate));
    drop((there, back));

    let flow = Flows::start(&pair, 0, 1, None);
    flow.rate_over(Duration::from_millis(100));
    let loaded = ping(300, Duration::from_millis(10));
    add("ping p99 beside a TCP flow / ms", percentile(&loaded, 99) * 1e3);
    drop(flow);

    if *kind != Kind::Bare {
        let flow = Flows::start(&pair, 0, 1, Some(FIXED));
        flow.rate_over(Duration::from_millis(100));
        let before = pair.cpu_time();
        let rate = flow.rate_over(seconds);
        let (used, carried) = (pair.cpu_time() - before, rate * (seconds.as_secs_f64() + 1.0));
        add("processor seconds per Gbit at 500 Mbit/s", used.as_secs_f64() / (carried / 1e9));
    }
    add("UDP of 1372 bytes with less than 0.1 % loss, Gbit/s", gigabits(goodput(&pair)));
    let (_, received) = datagrams(&pair, SMALL, None, seconds);
    add("UDP of 64 bytes, thousands a second", received as f64 / seconds.as_secs_f64() / 1e3);
    if *kind != Kind::Bare {
        add("most memory under load / MB", pair.peak_resident_bytes() as f64 / 1e6);
    }
}

/// The highest rate of large datagrams that passes, in bits per second, by bisection.
fn goodput(pair: &Pair) -> f64 {
    let passes = |rate: f64| {
        let (sent, received) = datagrams(pair, LARGE, Some(rate), Duration::from_secs(1));
        let reached = (sent as usize * LARGE) as f64 * 8.0;
        (received as f64 >= sent as f64 * (1.0 - LOSS)).then_some(reached)
    };
    let (mut low, mut high, mut best) = (0.0, 8e9, 0.0_f64);
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        match passes(middle) {
            // The source itself may be slower than it was told to be.
            Some(reached) => (low, best) = (middle, best.max(reached.min(middle))),
            None => high = middle,
        }
    }
    best
}

fn percentile(times: &[Duration], share: usize) -> f64 {
    let last = times.len().checked_sub(1).expect("pings pass");
    times[last * share / 100].as_secs_f64()
}

fn print(kinds: &[Kind], figures: &[Figures]) {
    let names = kinds.iter().map(Kind::name).collect::<Vec<_>>();
    println!("| | {} |\n|---{}|", names.join(" | "), "|---".repeat(kinds.len()));
    let ours = kinds.iter().position(|kind| *kind == Kind::Wgnet);
    for line in LINES {
        let medians = figures.iter().map(|figures| figures.get(line).map(|rounds| median(rounds))).collect::<Vec<_>>();
        let cell = |(index, median): (usize, &Option<(f64, f64, f64)>)| {
            let Some((middle, least, most)) = *median else { return String::new() };
            let ratio = ours.and_then(|ours| medians[ours]).filter(|_| Some(index) != ours && middle > 0.0);
            let ratio = ratio.map_or_else(String::new, |(ours, ..)| format!(", wgnet {:.2} x", ours / middle));
            format!("{middle:.3} ({least:.3} to {most:.3}{ratio})")
        };
        println!("| {line} | {} |", medians.iter().enumerate().map(cell).collect::<Vec<_>>().join(" | "));
    }
}

/// The middle of all rounds, the least and the most.
fn median(rounds: &[f64]) -> (f64, f64, f64) {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1])
}
