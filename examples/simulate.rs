//! Runs the simulator: random meshes by seed, or a scenario file.
//!
//!     cargo run --profile sim --example simulate -- --seeds 0..200 --nodes 20 --hours 1
//!     cargo run --profile sim --example simulate -- --scenario examples/scenarios/four-boxes.yaml --seed 7
//!
//! Ends with 1 when something went wrong, after the one-line command that replays it.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use wgnet::sim::random;
use wgnet::sim::scenario::Scenario;
use wgnet::sim::scenario::runner::{Outcome, run};
use wgnet::sim::world::Hosts;

/// Runs the simulator: random meshes by seed, or a scenario file.
#[derive(Clone, Parser)]
struct Options {
    /// Seeds to run, the last one excluded.
    #[arg(long, value_parser = parse_range, default_value = "0..1")]
    seeds: Range<u64>,
    /// One seed, in place of --seeds.
    #[arg(long)]
    seed: Option<u64>,
    /// Nodes of a random mesh.
    #[arg(long, default_value_t = 20)]
    nodes: usize,
    /// Hours of virtual time of a random run.
    #[arg(long, default_value_t = 1.0)]
    hours: f64,
    /// Threads that run seeds.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// A scenario file, in place of random meshes.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Tunnels behave as the kernel's: a moving prefix is accepted from its new owner only.
    #[arg(long)]
    kernel: bool,
    /// Daemons get to their work late, by up to so many milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow: u64,
    /// Print what happened, from first to last event.
    #[arg(long)]
    journal: bool,
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write a range such as 0..200")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
    Ok(number(from)?..number(to)?)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seeds = options.seed.map_or_else(|| options.seeds.clone(), |seed| seed..seed + 1);
    let scenario = match options.scenario.as_deref().map(read_scenario).transpose() {
        Ok(scenario) => scenario,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    #[expect(clippy::disallowed_methods, reason = "how long it took is for people")]
    let began = Instant::now();
    let (next, failed, virtual_secs) = (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = run_seed(&options, scenario.as_ref(), seed);
                    virtual_secs.fetch_add(outcome.world.now().as_micros() / 1_000_000, Ordering::Relaxed);
                    if !outcome.passed() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    print_outcome(&options, seed, &outcome);
                }
            });
        }
    });
    let (failed, virtual_secs) = (failed.into_inner(), virtual_secs.into_inner());
    println!(
        "{} of {} seeds passed; {:.1} virtual hours in {:.1?}",
        seeds.end - seeds.start - failed,
        seeds.end - seeds.start,
        virtual_secs as f64 / 3_600.0,
        began.elapsed()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read_scenario(path: &std::path::Path) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Scenario::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn run_seed(options: &Options, scenario: Option<&Scenario>, seed: u64) -> Outcome {
    let hosts = Hosts { kernel: options.kernel, slow: Duration::from_millis(options.slow) };
    if let Some(scenario) = scenario {
        return run(scenario, seed, hosts);
    }
    let length = Duration::from_secs_f64(options.hours * 3_600.0);
    run(&random::scenario(seed, options.nodes, length), seed, hosts)
}

fn print_outcome(options: &Options, seed: u64, outcome: &Outcome) {
    // One print, so that threads do not mix their lines.
    let mut lines = Vec::new();
    if options.journal {
        lines.extend(outcome.world.journal().map(ToString::to_string));
    }
    if outcome.passed() {
        lines.push(format!("seed {seed}: passed, trace {:016x}", outcome.world.trace_hash()));
    } else {
        lines.push(format!("seed {seed}: FAILED"));
        lines.extend(outcome.complaints().into_iter().map(|complaint| format!("  {complaint}")));
        lines.push(format!("  replay: {}", replay(options, seed)));
    }
    if options.scenario.is_some() {
        lines.extend(outcome.figures.iter().map(|figure| format!("  {figure}")));
    }
    println!("{}", lines.join("\n"));
}

fn replay(options: &Options, seed: u64) -> String {
    let kernel = if options.kernel { " --kernel" } else { "" };
    let slow = if options.slow > 0 { format!(" --slow {}", options.slow) } else { String::new() };
    let what = match &options.scenario {
        Some(path) => format!("--scenario {}", path.display()),
        None => format!("--nodes {} --hours {}", options.nodes, options.hours),
    };
    format!("cargo run --profile sim --example simulate -- {what} --seed {seed}{kernel}{slow} --journal")
}
