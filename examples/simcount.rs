fn main() {
    let seed: u64 = std::env::args().nth(1).map_or(4, |s| s.parse().unwrap());
    let scenario = wgnet::sim::random::scenario(seed, 20, std::time::Duration::from_secs(3600));
    let t = std::time::Instant::now();
    let outcome = wgnet::sim::scenario::runner::run(&scenario, seed, false);
    println!("passed {} in {:?}", outcome.passed(), t.elapsed());
    for c in outcome.complaints().iter().take(4) {
        println!("{}", &c[..c.len().min(300)]);
    }
    let mut sum = std::collections::BTreeMap::new();
    for n in 0..outcome.world.len() {
        if let Some(v) = outcome.world.view(n) {
            for (k, c) in v.counters {
                *sum.entry(k).or_insert(0) += c;
            }
        }
    }
    println!("{sum:#?}");
    println!("foreign {:?}", outcome.world.foreign_packets().len());
}
