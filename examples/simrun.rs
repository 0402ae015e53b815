//! temporary
fn main() {
    let file = std::env::args().nth(1).unwrap();
    let seed: u64 = std::env::args().nth(2).map_or(1, |s| s.parse().unwrap());
    let text = std::fs::read_to_string(file).unwrap();
    let scenario = wgnet::sim::scenario::Scenario::parse(&text).unwrap();
    let outcome = wgnet::sim::scenario::runner::run(&scenario, seed, false);
    for line in outcome.complaints() {
        println!("BAD {line}");
    }
    for line in &outcome.flows {
        println!("{line}");
    }
    println!("passed {}", outcome.passed());
}
