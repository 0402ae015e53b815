//! Every scenario file of the simulator, with real daemons: the verdicts are equal. `simulator_only` ones are not for here.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use netns_tests::{Lab, Load, scenario};
use wgnet::sim::scenario::Scenario;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/scenarios")
}

fn read(name: &str) -> Scenario {
    let path = folder().join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn passes(name: &str) {
    let scenario = read(name);
    let lab = Lab::new(name, if scenario.nodes.len() > 10 { Load::Heavy } else { Load::Light });
    let verdict = scenario::run(&lab, &scenario);
    assert!(verdict.passed(), "{name}:\n{}\n{}", verdict.failures.join("\n"), verdict.flows.join("\n"));
}

/// One test for each file, so that they run side by side and are named in the summary.
macro_rules! scenarios {
    ($($test:ident = $file:literal,)*) => {
        $(#[test]
        fn $test() {
            passes($file);
        })*

        #[test]
        fn no_scenario_file_is_left_out() {
            let listed = BTreeSet::from([$($file.to_owned(),)*]);
            let files = std::fs::read_dir(folder()).expect("the scenarios' folder").flatten();
            let names = files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".yaml")?.to_owned()));
            let real = names.filter(|name| !read(name).simulator_only).collect::<BTreeSet<_>>();
            assert_eq!(real, listed);
        }
    };
}

wgnet::for_each_situation!(scenarios);
