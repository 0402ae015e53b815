//! Every situation with a few seeds, some random meshes, and that equal seeds give equal runs.

#[cfg(feature = "drill")]
mod drill;
mod gateways;
mod lan;
mod large;
mod operate;
mod reach;
mod sizes;

use std::collections::BTreeMap;
use std::time::Duration;

use super::random;
use super::scenario::runner::run;
use super::scenario::{SITUATIONS, Scenario};
use super::world::{Hosts, World};
use crate::mesh::time::Time;
use crate::mesh::view::WhatIf;

/// Situations longer than this run in the program `simulate`, in an optimised build.
const LONGEST: Duration = Duration::from_secs(200);

/// Seeds of each situation. Unoptimised, the one with eighteen nodes takes half a minute for each.
const SEEDS: u64 = if cfg!(debug_assertions) { 1 } else { 3 };

/// The command that replays a failure, for its message.
fn replay(what: &str, seed: u64) -> String {
    format!("replay: cargo run --profile sim --example simulate -- {what} --seed {seed} --journal")
}

fn run_situation(name: &str, seeds: std::ops::Range<u64>) {
    let text = SITUATIONS.iter().find(|(known, _)| *known == name).expect("a situation").1;
    let scenario = Scenario::parse(text).expect("checked by another test");
    for seed in seeds {
        let outcome = run(&scenario, seed, Hosts::default());
        let complaints = outcome.complaints().join("\n");
        let replay = replay(&format!("--scenario examples/scenarios/{name}.yaml"), seed);
        assert!(outcome.passed(), "{name}:\n{complaints}\n{replay}");
    }
}

macro_rules! situations {
    ($($test:ident = $name:literal,)*) => {
        $(#[test]
        fn $test() {
            run_situation($name, 0..SEEDS);
        })*

        #[test]
        fn no_situation_is_left_out() {
            let tested = [$($name,)*];
            for (name, text) in SITUATIONS {
                let length = Scenario::parse(text).expect("checked by another test").duration;
                assert!(length > LONGEST || tested.contains(&name), "{name} is not run by a test");
            }
        }
    };
}

crate::for_each_situation!(situations);

#[test]
fn no_path_flaps_for_hours_on_jittery_lines() {
    run_situation("jittery-lines", 0..1);
}

#[test]
fn nothing_is_lost_in_the_ring_though_daemons_get_late_to_their_work() {
    let text = SITUATIONS.iter().find(|(known, _)| *known == "ring-of-six").expect("a situation").1;
    let scenario = Scenario::parse(text).expect("checked by another test");
    for (seed, slow) in (0..SEEDS).zip([20, 60, 100]) {
        let hosts = Hosts { slow: Duration::from_millis(slow), ..Hosts::default() };
        let complaints = run(&scenario, seed, hosts).complaints().join("\n");
        let replay = replay(&format!("--scenario examples/scenarios/ring-of-six.yaml --slow {slow}"), seed);
        assert!(complaints.is_empty(), "{complaints}\n{replay}");
    }
}

/// The gateways between each two nodes, as one node explains it; `None`: no path.
fn ways(world: &World, names: &[&str]) -> BTreeMap<(String, String), Option<Vec<String>>> {
    let (engine, now) = world.engine(world.number("l1").expect("a leaf")).expect("it runs");
    let pairs = names.iter().flat_map(|a| names.iter().filter(move |b| a < *b).map(move |b| (*a, *b)));
    let way = |(a, b): (&str, &str)| {
        let why = engine.why(now, Some(a), b).expect("both are known");
        ((a.to_owned(), b.to_owned()), (!why.hops.is_empty()).then_some(why.readers))
    };
    pairs.map(way).collect()
}

#[test]
fn what_was_forecast_comes_true() {
    let text = "name: forecast\nabout: a gateway that dies\nnetwork: { subnet: 10.1.0.0/16, direct: never }\n\
        segments: { net: { prefix: 198.18.0.0/16 } }\nnodes:\n  \
        g1: { address: 10.1.1.1, attach: { net: 198.18.1.1 }, static: true, cost: 100, reaches: [g2] }\n  \
        g2: { address: 10.1.1.2, attach: { net: 198.18.1.2 }, static: true, cost: 100, reaches: [g3] }\n  \
        g3: { address: 10.1.1.3, attach: { net: 198.18.1.3 }, static: true, cost: 100, reaches: [g1] }\n  \
        l1: { address: 10.1.2.1, attach: { net: 198.18.2.1 }, reaches: [g1, g2] }\n  \
        l2: { address: 10.1.2.2, attach: { net: 198.18.2.2 }, reaches: [g1, g3] }\n  \
        l3: { address: 10.1.2.3, attach: { net: 198.18.2.3 }, reaches: [g1] }\n\
        duration: 60s\n";
    let scenario = Scenario::parse(text).expect("a scenario");
    let mut world = World::new(&scenario, 3, Hosts::default());
    (0..world.len()).for_each(|node| world.start_daemon(node));
    world.run_until(Time::from_secs(19));
    let names = ["g2", "g3", "l1", "l2", "l3"];
    let mut expected = ways(&world, &names);
    let (engine, _) = world.engine(world.number("l1").expect("a leaf")).expect("it runs");
    let forecast = engine.what_if(&[WhatIf::Without("g1".to_owned())]).expect("all names are known");
    assert!(forecast.all_pairs && !forecast.moved.is_empty(), "{forecast:?}");
    let alone = forecast.broken.iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>();
    assert_eq!(alone, ["g2 l3", "g3 l3", "l1 l3", "l2 l3"], "l3 hangs on g1 alone");
    for moved in &forecast.moved {
        expected.insert((moved.from.clone(), moved.to.clone()), Some(moved.after.clone()));
    }
    for (a, b) in &forecast.broken {
        expected.insert((a.clone(), b.clone()), None);
    }
    assert_eq!(ways(&world, &names).len(), expected.len(), "to ask touches nothing");
    let kill = world.number("g1").expect("a gateway");
    world.kill(kill);
    world.run_until(Time::from_secs(40));
    assert_eq!(ways(&world, &names), expected);
}

/// Six nodes through one storm; the long runs are the program's.
const SMALL: (usize, Duration) = (6, Duration::from_secs(600));

#[test]
fn small_random_meshes_keep_the_rules() {
    let seeds = if cfg!(debug_assertions) { 0..2 } else { 0..20 };
    for seed in seeds {
        let outcome =
            run(&random::scenario(seed, SMALL.0, SMALL.1), seed, Hosts { kernel: seed % 2 == 1, ..Hosts::default() });
        let complaints = outcome.complaints().join("\n");
        let kernel = if seed % 2 == 1 { " --kernel" } else { "" };
        let replay = replay(&format!("--nodes 6 --hours 0.1{kernel}"), seed);
        assert!(outcome.passed(), "seed {seed}:\n{complaints}\n{replay}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let scenario = random::scenario(4, SMALL.0, SMALL.1);
    let trace = |seed| {
        let outcome = run(&scenario, seed, Hosts::default());
        (outcome.world.trace_hash(), outcome.world.now())
    };
    assert_eq!(trace(4), trace(4));
    assert_ne!(trace(4), trace(5));
}

/// Bytes a day of the first leaf at rest, of this class, in a mesh of so many gateways and leaves behind firewalls.
fn idle_traffic(gateways: usize, leaves: usize, class: &str) -> u64 {
    let gateway =
        |n: usize| format!("  g{n}: {{ address: 10.1.1.{n}, attach: {{ net: 198.18.1.{n} }}, static: true }}\n");
    let leaf = |n: usize| {
        let (high, low) = (2 + n / 250, 1 + n % 250);
        let class = if n == 1 { class } else { "server" };
        format!(
            "  l{n}: {{ address: 10.1.{high}.{low}, attach: {{ net: 198.18.{high}.{low} }}, firewall: true, class: {class} }}\n"
        )
    };
    let text = format!(
        "name: crowd\nabout: many leaves at rest\nnetwork: {{ subnet: 10.1.0.0/16 }}\nduration: 1h\n\
         segments: {{ net: {{ prefix: 198.18.0.0/16 }} }}\nnodes:\n{}{}",
        (1..=gateways).map(gateway).collect::<String>(),
        (1..=leaves).map(leaf).collect::<String>()
    );
    let scenario = Scenario::parse(&text).expect("a scenario");
    let mut world = World::new(&scenario, 1, Hosts::default());
    (0..world.len()).for_each(|node| world.start_daemon(node));
    let leaf = world.number("l1").expect("a leaf");
    // Until leaves have spread over the gateways, news come all the time.
    world.run_until(Time::from_secs(900));
    let before = world.underlay_bytes(leaf);
    world.run_until(Time::from_secs(900 + 2_400));
    assert!(world.violations().is_empty(), "{:?}", world.violations());
    (world.underlay_bytes(leaf) - before) * 36
}

#[test]
fn a_leaf_at_rest_costs_the_same_in_a_crowd() {
    // Both above the size at which pairs are direct by themselves.
    let (few, many) = (idle_traffic(3, 17, "server"), idle_traffic(3, 97, "server"));
    assert!(many <= few + few / 10, "{few} bytes a day among 20 nodes, {many} among 100");
    assert!(many <= 3_000_000, "{many} bytes a day");
    let mobile = idle_traffic(3, 97, "mobile");
    // How much depends on which of the two ends asks, and that on their identities.
    assert!(mobile <= 1_300_000, "{mobile} bytes a day");
}
