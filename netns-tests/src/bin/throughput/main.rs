//! Compares the embedded tunnel with other WireGuards in user space: what passes, what that costs, how long it takes.
//!
//! `cargo build --release && cargo run --release -p netns-tests --bin throughput [ROUNDS [SECONDS]] [NAME...] [--only GROUPS]`
//!
//! Machines are network namespaces on this computer, with a cable between each two, and nothing else may run. All programs
//! take turns in each round; the table shows medians of the rounds, the range, and ratios to wgnet; then the goals. The
//! other programs are built by cargo; a wireguard-go is taken from PATH or from where WIREGUARD_GO says. Needs root,
//! `ethtool` and `wg`. The daemons see the environment of the benchmark: `WGNET_THREADS=1` is for all of them.
//!
//! ```text
//! choice.rs    the command line                              load.rs      flows and datagrams between two machines
//! programs.rs  what is compared, and where it comes from     payload.rs   a gigabyte that must arrive unchanged
//! star.rs      a hub, its leaves, and the tunnels            counters.rs  what the kernel counted: drops, processor time
//! groups.rs    what is measured                              table.rs     lines, medians, ratios; goals.rs: what is wanted
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark, for people")]

mod choice;
mod counters;
mod goals;
mod groups;
mod load;
mod payload;
mod programs;
mod star;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use choice::{Choice, Wish};
use counters::{busy_over, stolen};
use groups::Round;
use programs::{candidates, described};
use table::{Figures, Line};

/// Before each turn, while nothing of ours runs, something else may keep so many processors busy ...
const DISTURBED: f64 = 0.1;
/// ... over so long.
const WATCH: Duration = Duration::from_millis(500);
/// The host of a virtual machine may keep so much of its processors' time without a word about it.
const STOLEN: f64 = 0.01;

fn main() -> ExitCode {
    let candidates = candidates();
    let choice = match choice::read(std::env::args().skip(1), &candidates) {
        Ok(Wish::Measure(choice)) => choice,
        Ok(Wish::List(choice)) => {
            println!("{}", choice::listed(&choice, &candidates));
            return ExitCode::SUCCESS;
        }
        Ok(Wish::Help) => {
            println!("{}", choice::help(&candidates));
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            eprintln!("{mistake}\n\n{}", choice::help(&candidates));
            return ExitCode::from(2);
        }
    };
    let Choice { rounds, time, groups, .. } = &choice;
    let wanted = candidates.iter().filter(|candidate| choice.wants(candidate));
    let kinds = wanted.filter_map(programs::Candidate::made).collect::<Vec<_>>();
    let (mut figures, mut disturbed) = (vec![Figures::default(); kinds.len()], 0_u64);
    let mut stolen_shares = Vec::new();
    for round in 1..=*rounds {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            let others = busy_over(WATCH);
            eprintln!(
                "round {round} of {rounds}: {}; {others:.2} processors are busy with something else",
                kind.name()
            );
            disturbed += u64::from(others > DISTURBED);
            let (before, start) = (stolen(), Instant::now());
            Round { kind, groups, time: *time, figures }.measure();
            let share =
                (stolen() - before).as_secs_f64() / start.elapsed().as_secs_f64() / programs::processors() as f64;
            eprintln!("    the host kept {:.0} % of the processors' time", share * 100.0);
            stolen_shares.push(share);
        }
    }
    println!("{}; median (least to most) of {rounds} times {} s", described(), time.as_secs_f64());
    if disturbed > 0 {
        println!("Something else ran at the beginning of {disturbed} of {} turns.", *rounds * kinds.len() as u64);
    }
    let mean = stolen_shares.iter().sum::<f64>() / stolen_shares.len().max(1) as f64;
    let most = stolen_shares.iter().copied().fold(0.0, f64::max);
    if most > STOLEN {
        println!(
            "The host kept {:.0} % of the processors' time for others, up to {:.0} % in a turn: compare within a round.",
            mean * 100.0,
            most * 100.0
        );
    }
    println!();
    let results = kinds.into_iter().zip(figures).collect::<Vec<_>>();
    println!("{}", table::drawn(&results));
    println!("{}", goals::drawn(&results));
    let unchanged = results.iter().all(|(_, figures)| figures.get(Line::Payload).is_none_or(|all| all.least == 1.0));
    if unchanged { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
