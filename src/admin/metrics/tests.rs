//! The figures of a scrape, and that a dashboard asks for no others.

use wgnet_api::Health;

use super::*;
use crate::admin::tests::sample_snapshot;

fn sample() -> String {
    let mut snapshot = sample_snapshot();
    snapshot.status.peers[0].handshake_age_s = Some(41);
    // One that claims the name of another has no series.
    let mut namesake = snapshot.status.peers[0].clone();
    (namesake.refused, namesake.rx_bytes) = (true, 999);
    snapshot.status.peers.insert(0, namesake);
    let health = |severity| Health { severity, code: String::new(), text: String::new(), remedy: String::new() };
    snapshot.status.health = vec![health(Severity::Error), health(Severity::Warning), health(Severity::Warning)];
    snapshot.counters.insert("joins_of_tomorrow".to_owned(), 7);
    let step_times = StepTimes::default();
    step_times.took(Duration::from_micros(30));
    render(&Figures { snapshot, subscribers: 2, step_times }).expect("written")
}

/// The name of each sample, without labels.
fn names(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().expect("a name")).collect()
}

#[test]
fn a_scrape_has_what_people_watch() {
    let text = sample();
    for line in [
        "wgnet_build_info{version=\"0.1.0\",node=\"alice\",tunnel=\"userspace\"} 1",
        "wgnet_uptime_seconds 9.0",
        "wgnet_subscribers 2.0",
        "wgnet_health_lines{severity=\"warning\"} 2.0",
        "wgnet_health_lines{severity=\"info\"} 0.0",
        "wgnet_peers{path=\"gateway\"} 2.0",
        "wgnet_peers{path=\"direct\"} 1.0",
        "wgnet_peer_handshake_age_seconds{peer=\"bob\"} 41.0",
        "wgnet_peer_rtt_seconds{peer=\"bob\"} 0.001234",
        "wgnet_peer_loss_ratios{peer=\"bob\"} 0.1",
        "wgnet_peer_received_bytes_total{peer=\"bob\"} 10",
        "wgnet_peer_sent_bytes_total{peer=\"bob\"} 20",
        "wgnet_links{state=\"up\"} 1.0",
        "wgnet_path_changes_total 3",
        "wgnet_items_refused_total 0",
        "wgnet_joins_of_tomorrow_total 7",
        "wgnet_engine_step_seconds_count 1",
        "wgnet_engine_step_seconds_bucket{le=\"0.00004\"} 1",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(names(&text).iter().all(|name| name.starts_with("wgnet_")));
    let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ')).collect();
    let unique: BTreeSet<_> = series.iter().map(|line| line.expect("a value").0).collect();
    assert_eq!(unique.len(), series.len(), "no series twice");
}

#[test]
fn every_counter_of_the_engine_is_described() {
    let mut counted = BTreeSet::new();
    for (_, text) in crate::architecture::sources("src/mesh") {
        for rest in text.split("count(\"").skip(1) {
            counted.extend(rest.split_once('"').map(|(name, _)| name.to_owned()));
        }
    }
    assert!(counted.len() > 20, "{counted:?}");
    let known: BTreeSet<_> = COUNTERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let unknown: Vec<_> = counted.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_grafana_dashboard_asks_for_what_there_is() {
    let dashboard = include_str!("../../../packaging/grafana/wgnet.json");
    let json: serde_json::Value = serde_json::from_str(dashboard).expect("JSON");
    let text = sample();
    let there = names(&text);
    let mut asked = BTreeSet::new();
    for panel in json["panels"].as_array().expect("panels") {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()));
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().expect("a query");
            let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let used: Vec<_> = words.filter(|word| word.starts_with("wgnet_")).collect();
            assert!(!used.is_empty(), "{query} asks for nothing of ours");
            asked.extend(used);
        }
    }
    let missing: Vec<_> = asked.iter().filter(|name| !there.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(asked.len() > 15, "{asked:?}");
}
