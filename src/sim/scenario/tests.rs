//! What a file may say, and what it is told when it says something else.

use super::*;

const SMALL: &str = "
name: small
about: two boxes
network: { subnet: 10.1.1.0/24 }
segments: { lan: { prefix: 192.168.1.0/24 } }
nodes:
  a: { address: 10.1.1.1, attach: { lan: 192.168.1.1 }, static: true }
  b: { address: 10.1.1.2, attach: { lan: 192.168.1.2 } }
";

fn situation(name: &str) -> &'static str {
    SITUATIONS.iter().find(|(known, _)| *known == name).expect("a situation").1
}

#[test]
fn every_situation_is_understood() {
    for (name, text) in SITUATIONS.iter().copied() {
        let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{name}.yaml: {error}"));
        assert_eq!(scenario.name, name);
        assert!(!scenario.expect.is_empty(), "{name} expects nothing");
    }
}

fn error(extra: &str) -> String {
    Scenario::parse(&format!("{SMALL}{extra}")).expect_err("the file is wrong").to_string()
}

#[test]
fn the_documented_example_is_understood() {
    let scenario = Scenario::parse(situation("four-boxes")).expect("the example is right");
    assert_eq!(scenario.nodes.len(), 4);
    assert!(scenario.nodes["alpha"].firewall);
    assert_eq!(scenario.nodes["alpha"].wg_port, 50_001);
    assert_eq!(scenario.nodes["alpha"].attach[0].link.latency, Duration::from_millis(2));
    assert_eq!(scenario.routers["homerouter"].filtering, Filtering::AddressAndPortDependent);
    assert_eq!(scenario.expect[6].since, Duration::from_secs(17));
    assert_eq!(scenario.flows[0].limits[1].until, Duration::from_secs(22));
    assert_eq!(scenario.duration, Duration::from_secs(25));
}

#[test]
fn mistakes_are_named_with_their_place() {
    assert!(error("colour: red").contains("unknown field `colour`"));
    assert!(error("events: [{ at: 1s, kill: c }]").contains("there is no node \"c\""));
    assert!(error("events: [{ at: 1, kill: a }]").contains("\"1\" is no duration"));
    assert!(error("events: [{ at: 1x, kill: a }]").contains("is no duration"));
    assert!(error("events: [{ at: 1s }]").contains("events[0]: nothing is said"));
    assert!(error("events: [{ at: 1s, kill: a, start: b }]").contains("events[0]: two things at once"));
    assert!(
        error("expect: [{ within: 1s, after: flood, reachable: all }]").contains("no event has the label \"flood\"")
    );
    assert!(error("expect: [{ within: 1s, reachable: { from: all } }]").contains("missing field `to`"));
    assert!(error("routers: { r: { inside: { segment: lan, address: 10.0.0.1 }, outside: { segment: lan, address: 192.168.1.9 } } }")
        .contains("10.0.0.1 lies outside lan's prefix"));
    let wrong = SMALL.replace("10.1.1.2", "10.1.2.2");
    assert!(Scenario::parse(&wrong).expect_err("outside").to_string().contains("lies outside the subnet"));
    let wrong = SMALL.replace("192.168.1.2", "192.168.1.1");
    assert!(Scenario::parse(&wrong).expect_err("twice").to_string().contains("is taken on lan"));
}

#[test]
fn reaches_closes_what_nobody_names() {
    let text = SMALL.to_owned() + "  c: { address: 10.1.1.3, attach: { lan: 192.168.1.3 }, reaches: [a] }\n";
    let scenario = Scenario::parse(&text).expect("right");
    assert_eq!(scenario.out_of_reach(), [("b", "c")]);
}

#[test]
fn the_network_file_says_what_the_engine_is_told() {
    let text = SMALL.to_owned()
        + "  c: { address: 10.1.1.3, attach: { lan: 192.168.1.3 }, claims: { address: 10.2.0.1, gateway: true } }\n";
    let scenario = Scenario::parse(&text).expect("right");
    let file = scenario.network_file("b", &BTreeMap::new());
    assert!(file.contains("subnet: \"10.1.1.0/24\""), "{file}");
    assert!(
        file.contains("endPoint: \"192.168.1.1:50001\"\n    adminPort: 50501\n    wgIp: \"10.1.1.1\"\n    name: a"),
        "{file}"
    );
    let config = scenario.mesh_config("c", &BTreeMap::new());
    assert_eq!(config.subnets, ["10.0.0.0/14".parse().expect("prefix")]);
    assert_eq!(config.own_static().and_then(|own| own.gateway), Some(true));
    assert!(config.in_subnet("10.1.1.1".parse().expect("address")));
}
