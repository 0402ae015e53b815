//! Runs a large simulated mesh through what befalls one, and prints what it cost.
//!
//!     cargo run --profile sim --example scale -- --nodes 300 --gateways 10
//!
//! First all nodes join within a minute; then the mesh rests; then one node a second joins, leaves or moves; then a gateway
//! dies, and parts of the mesh are cut off and come back.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::Parser;
use wgnet::mesh::time::Time;
use wgnet::sim::large;
use wgnet::sim::world::{Hosts, World};

/// Runs a large simulated mesh and prints what it cost.
#[derive(Clone, Parser)]
struct Options {
    /// Nodes, gateways among them.
    #[arg(long, default_value_t = 300)]
    nodes: usize,
    /// Gateways.
    #[arg(long, default_value_t = 10)]
    gateways: usize,
    /// Seconds within which all join.
    #[arg(long, default_value_t = 60)]
    storm: u64,
    /// Share of packets that each line loses.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Time since the first call.
fn stopwatch() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "what is measured is the program")]
    BEGAN.get_or_init(Instant::now).elapsed()
}

/// Kilobytes of memory that the process holds.
fn held() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let leaves = options.nodes.saturating_sub(options.gateways);
    let scenario = large::scenario(options.seed, options.gateways, leaves, options.loss);
    let before = held();
    let mut world = World::new(&scenario, options.seed, Hosts::default());
    world.measure(stopwatch);
    let gateways: Vec<usize> = (1..=options.gateways).filter_map(|n| world.number(&format!("g{n}"))).collect();
    gateways.iter().for_each(|gateway| world.start_daemon(*gateway));
    world.run_until(Time::from_secs(10));
    let mut bytes: Vec<u64> = (0..world.len()).map(|node| world.underlay_bytes(node)).collect();
    let mut started = 0;
    let mut report = |world: &mut World, gateways: &[usize]| {
        let mut rates = Vec::new();
        for (node, bytes) in bytes.iter_mut().enumerate() {
            let now = world.underlay_bytes(node);
            rates.push(now - std::mem::replace(bytes, now));
        }
        let most = gateways.iter().map(|gateway| rates[*gateway]).max().unwrap_or(0);
        let leaf = rates.iter().enumerate().filter(|(node, _)| !gateways.contains(node)).map(|(_, rate)| *rate);
        let steps = world.steps();
        println!(
            "{:5} s  wall {:7.1?}  steps {:8} of {:6.1?}, worst {:6.1?}  gateway at most {:5} kB/s  leaf at most {:5} kB/s  {} MB",
            world.now().as_micros() / 1_000_000,
            stopwatch(),
            steps.count,
            steps.total / u32::try_from(steps.count.max(1)).unwrap_or(1),
            steps.worst,
            most / 1_000,
            leaf.max().unwrap_or(0) / 1_000,
            (held() - before) / 1_000,
        );
    };
    for second in 1..=options.storm + 60 {
        let until = if second > options.storm {
            leaves
        } else {
            leaves * usize::try_from(second).unwrap_or(0) / usize::try_from(options.storm).unwrap_or(1)
        };
        while started < until {
            started += 1;
            if let Some(leaf) = world.number(&format!("l{started}")) {
                world.start_daemon(leaf);
            }
            let at = world.now()
                + Duration::from_secs(1)
                    / u32::try_from(leaves / usize::try_from(options.storm).unwrap_or(1) + 2).unwrap_or(1);
            world.run_until(at);
        }
        world.run_until(Time::from_secs(10 + second));
        report(&mut world, &gateways);
    }
    for violation in world.violations() {
        println!("{violation}");
    }
    if world.violations().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
