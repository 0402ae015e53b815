//! What is typed finds what is meant, and a mistake is told where it is.

use super::*;

fn peer(name: &str) -> Peer {
    Peer {
        id: "00".into(),
        name: name.into(),
        address: "10.1.1.2".into(),
        addresses: vec!["10.1.1.2".into(), "fd00::2".into()],
        path: PathKind::Direct,
        via: None,
        hops: 1,
        cost: Some(60),
        endpoint: Some("192.0.2.1:51820".into()),
        lan: false,
        handshake_age_s: Some(30),
        rtt_ms: Some(12.5),
        loss: Some(0.02),
        probes: None,
        runner_up: None,
        rx_bytes: 1_500_000,
        tx_bytes: 900,
        public_key: None,
        gateway: false,
        refused: false,
        foreign: false,
        why: String::new(),
    }
}

fn routed() -> Peer {
    Peer {
        path: PathKind::Gateway,
        via: Some("beta".into()),
        hops: 2,
        endpoint: None,
        lan: false,
        handshake_age_s: None,
        rtt_ms: None,
        loss: None,
        ..peer("carol")
    }
}

fn entry() -> JournalEntry {
    JournalEntry {
        number: 1,
        time_ms: 0,
        severity: Severity::Warning,
        kind: "link".into(),
        subject: "beta".into(),
        text: "The link to beta is down: three probes were lost".into(),
    }
}

fn matches(text: &str, peer: &Peer) -> bool {
    Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).matches(peer, Figures::measured(peer))
}

fn matches_entry(text: &str) -> bool {
    Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).matches_entry(&entry())
}

#[test]
fn the_empty_filter_matches_everything() {
    for text in ["", "   ", "\"\""] {
        let filter = Filter::parse(text).expect("nothing to object to");
        assert!(
            filter.is_empty() && filter.matches(&peer("alice"), Figures::default()) && filter.matches_entry(&entry()),
            "{text:?}"
        );
    }
}

#[test]
fn bare_words_search_what_a_row_shows() {
    for text in ["ali", "ALI", "10.1.1", "fd00::2", "192.0.2.1:518", "ali 10.1", "\"alice\"", "\"ali"] {
        assert!(matches(text, &peer("Alice")), "{text}");
    }
    assert!(matches("bet", &routed()), "the next hop");
    assert!(matches("fÜß", &peer("Füße")), "case folds beyond ASCII");
    for text in ["bob", "ali bob", "51821", "\"ali ce\""] {
        assert!(!matches(text, &peer("alice")), "{text}");
    }
}

#[test]
fn words_about_fields_look_at_that_field_only() {
    for text in ["name:al", "address:10.1", "endpoint:192", "path:direct", "path:d", "role:leaf", "NAME:AL"] {
        assert!(matches(text, &peer("alice")), "{text}");
    }
    for text in ["name:10", "via:a", "path:gateway", "path:foreign", "path:refused", "role:gateway", "kind:link"] {
        assert!(!matches(text, &peer("alice")), "{text}");
    }
    assert!(matches("path:gateway via:beta", &routed()));
    assert!(matches("path:refused", &Peer { refused: true, ..peer("x") }));
    assert!(matches("path:foreign", &Peer { foreign: true, ..peer("x") }));
    assert!(matches("name:\"two w\"", &peer("two words")));
}

#[test]
fn comparisons_take_the_units_of_their_quantity() {
    let holds = [
        "rtt>12",
        "rtt<13",
        "rtt=12.5",
        "rtt>=12.5",
        "rtt<=12.5",
        "rtt<1s",
        "rtt>5ms",
        "loss>1",
        "loss<3%",
        "cost>50",
        "hops<2",
        "age<31",
        "age<1m",
        "rx>1M",
        "rx<2MB",
        "rx>1499.9k",
        "tx<1k",
        "tx>=900",
    ];
    for text in holds {
        assert!(matches(text, &peer("alice")), "{text}");
    }
    for text in ["rtt>12.5", "rtt<12.5", "loss>2", "hops>2", "age>180", "age>1h", "rx>1G", "tx>1k", "cost=61"] {
        assert!(!matches(text, &peer("alice")), "{text}");
    }
}

#[test]
fn what_is_not_known_matches_no_comparison() {
    for text in ["rtt>0", "rtt<1000", "loss<100", "age>0", "endpoint:1"] {
        assert!(!matches(text, &routed()), "{text}");
        assert!(matches(&format!("!{text}"), &routed()), "{text}");
    }
    let lost = Peer { path: PathKind::Unreachable, hops: 0, cost: None, ..routed() };
    assert!(!matches("hops<3", &lost) && !matches("cost>0", &lost));
}

#[test]
fn a_mark_before_a_word_means_the_opposite() {
    assert!(matches("!bob", &peer("alice")) && !matches("!alice", &peer("alice")));
    assert!(matches("al !path:gateway", &peer("alice")) && !matches("!path:direct", &peer("alice")));
    assert!(matches("\"!a\"", &peer("wow!a")), "not in quotes");
}

#[test]
fn the_journal_is_searched_by_text_subject_kind_and_severity() {
    for text in
        ["down", "beta", "kind:link", "kind:li", "severity:warning", "severity:info", "name:beta", "!path:direct"]
    {
        assert!(matches_entry(text), "{text}");
    }
    for text in ["up!", "severity:error", "kind:path", "name:alice", "rtt>1", "via:beta", "!down"] {
        assert!(!matches_entry(text), "{text}");
    }
    assert!(!matches("severity:info", &peer("alice")), "peers have no severity");
}

#[test]
fn mistakes_are_told_with_their_column_and_the_nearest_word() {
    let cases = [
        ("al pth:direct", 4, Some("path")),
        ("path:gatway", 6, Some("gateway")),
        ("rttt>5", 1, Some("rtt")),
        ("path>5", 1, None),
        ("x:y", 1, None),
        ("rtt>", 5, None),
        ("path:", 6, None),
        ("rtt>fast", 5, None),
        ("rtt>5k", 6, None),
        ("age>3w", 6, None),
        ("al !", 5, None),
        ("!severty:info", 2, Some("severity")),
        ("ä severity:wraning", 12, Some("warning")),
    ];
    for (text, column, nearest) in cases {
        let error = Filter::parse(text).expect_err(text);
        assert_eq!((error.column, error.nearest), (column, nearest), "{text}: {error}");
    }
    let error = Filter::parse("pth:direct").expect_err("no such word").to_string();
    assert_eq!(
        error,
        "column 1: `pth` is no word to filter by (in quotes, it is searched for as text); did you mean `path`?"
    );
}

#[test]
fn every_key_of_the_help_is_understood() {
    for (key, _) in KEYS {
        let value = match *key {
            "path:" => "direct",
            "role:" => "leaf",
            "severity:" => "error",
            _ => "1",
        };
        assert!(Filter::parse(&format!("{key}{value}")).is_ok(), "{key}");
    }
}

#[test]
fn no_text_makes_it_panic() {
    let pieces = ["!", ":", ">", "<=", "\"", " ", "rtt", "path", "é", "日本", "9", ".", "!!", "\u{301}", "=", "k"];
    for a in pieces {
        for b in pieces {
            for c in pieces {
                for d in pieces {
                    if let Ok(filter) = Filter::parse(&[a, b, c, d].concat()) {
                        filter.matches(&peer("alice"), Figures::default());
                        filter.matches_entry(&entry());
                    }
                }
            }
        }
    }
}

#[test]
fn a_round_trip_that_is_composed_counts_as_one_that_is_measured() {
    let figures = Figures { rtt_ms: Some(41.0), loss: Some(0.02), are_composed: true };
    for (text, is_listed) in [("rtt>40", true), ("rtt>50", false), ("loss>1", true), ("!rtt>40", false)] {
        let filter = Filter::parse(text).expect("a filter");
        assert_eq!(filter.matches(&routed(), figures), is_listed, "{text}");
    }
}
