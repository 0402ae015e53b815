//! Lets a large simulated mesh form, and prints for each second what that cost.
//!
//!     cargo run --profile sim --example scale -- --nodes 100 --gateways 8 --storm 30
//!
//! The gateways are there first; then all leaves join within the time of the storm; then the mesh rests for a minute. Traffic
//! is that of the busiest gateway and the busiest leaf, in that second; steps are the inputs of all engines together, timed
//! one by one. Ends with 1 when a rule of the simulator was broken.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::Parser;
use wgnet::mesh::time::Time;
use wgnet::sim::large;
use wgnet::sim::world::{Hosts, World};

/// Lets a large simulated mesh form, and prints what that cost.
#[derive(Clone, Parser)]
struct Options {
    /// Nodes, gateways among them.
    #[arg(long, default_value_t = 100)]
    nodes: usize,
    /// Gateways.
    #[arg(long, default_value_t = 8)]
    gateways: usize,
    /// Seconds within which all leaves join.
    #[arg(long, default_value_t = 30)]
    storm: usize,
    /// Share of packets that each line loses, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// What everything random is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How long the gateways have for themselves, and how long the mesh rests at the end, in seconds.
const ALONE: u64 = 10;
const REST: usize = 60;

/// Time since the first call.
fn stopwatch() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "what is measured is the program")]
    BEGAN.get_or_init(Instant::now).elapsed()
}

/// Kilobytes of memory that this process holds.
fn held() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let (gateways, storm) = (options.gateways.max(1), options.storm.max(1));
    let leaves = options.nodes.saturating_sub(gateways);
    let empty = held();
    let scenario = large::scenario(options.seed, gateways, leaves, options.loss);
    let mut world = World::new(&scenario, options.seed, Hosts::default());
    world.measure(stopwatch);
    let gateways: Vec<usize> = (1..=gateways).filter_map(|n| world.number(&format!("g{n}"))).collect();
    gateways.iter().for_each(|gateway| world.start_daemon(*gateway));
    world.run_until(Time::from_secs(ALONE));
    let mut bytes: Vec<u64> = (0..world.len()).map(|node| world.underlay_bytes(node)).collect();
    for second in 1..=storm + REST {
        let newcomers = if second > storm { 0..0 } else { (second - 1) * leaves / storm..second * leaves / storm };
        let end = world.now() + Duration::from_secs(1);
        let pause = Duration::from_secs(1) / u32::try_from(newcomers.len() + 1).unwrap_or(1);
        for leaf in newcomers {
            if let Some(leaf) = world.number(&format!("l{}", leaf + 1)) {
                world.start_daemon(leaf);
            }
            world.run_until((world.now() + pause).min(end));
        }
        world.run_until(end);
        report(&mut world, &gateways, &mut bytes, empty);
    }
    world.violations().iter().for_each(|violation| println!("{violation}"));
    if world.violations().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints what the last second cost; `bytes` is each node's traffic before it.
fn report(world: &mut World, gateways: &[usize], bytes: &mut [u64], empty: u64) {
    let (mut by_gateway, mut by_leaf) = (0, 0);
    for (node, bytes) in bytes.iter_mut().enumerate() {
        let now = world.underlay_bytes(node);
        let passed = now - std::mem::replace(bytes, now);
        let most = if gateways.contains(&node) { &mut by_gateway } else { &mut by_leaf };
        *most = passed.max(*most);
    }
    let steps = world.steps();
    println!(
        "{:4} s: gateway {:5} kB, leaf {:5} kB; {:6} steps of {:7.1?}, the longest {:7.1?}; {} MB held; {:.1?} gone",
        world.now().as_micros() / 1_000_000,
        by_gateway / 1_000,
        by_leaf / 1_000,
        steps.count,
        steps.total / u32::try_from(steps.count.max(1)).unwrap_or(u32::MAX),
        steps.worst,
        held().saturating_sub(empty) / 1_000,
        stopwatch(),
    );
}
