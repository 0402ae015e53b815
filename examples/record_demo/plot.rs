//! What happens, and who talks with whom meanwhile.

use std::time::Duration;

use wgnet::sim::scenario::{Action, Impairment, Link, Nodes, Renumbering};

use crate::cast::IMPOSTOR;

/// The mesh finds together before the camera runs.
pub(crate) const BEFORE: Duration = Duration::from_secs(150);
/// What is recorded.
pub(crate) const LENGTH: Duration = Duration::from_secs(270);

/// What happens, by seconds since the recording's begin.
pub(crate) fn events() -> Vec<(u64, Action)> {
    let these = |name: &str| Nodes::These(vec![name.to_owned()]);
    let line = |name: &str, latency, jitter, loss| {
        let (latency, jitter) = (Duration::from_millis(latency), Duration::from_millis(jitter));
        let link = Link { latency, jitter, loss, ..Link::default() };
        Action::Impair(Impairment { nodes: these(name), link })
    };
    let moved = Renumbering {
        node: "web-fra".to_owned(),
        segment: "europe".to_owned(),
        address: "192.0.2.77".parse().expect("an address"),
    };
    vec![
        // Frankfurt's line gets worse, step by step: its cost rises, and who can goes another way.
        (30, line("fra", 8, 4, 0.02)),
        (38, line("fra", 30, 10, 0.03)),
        (70, line("fra", 1, 1, 0.0)),
        // Amsterdam is gone, without a word.
        (112, Action::Kill(these("ams"))),
        (158, Action::Start(these("ams"))),
        // A server moves to another address; a laptop is closed and opened again.
        (178, Action::Renumber(moved)),
        (192, Action::Stop(these("laptop-erik"))),
        (226, Action::Start(these("laptop-erik"))),
        // Someone else comes with the name of Anna's NAS, and is refused.
        (206, Action::Start(these(IMPOSTOR))),
        (258, Action::Stop(these(IMPOSTOR))),
    ]
}

/// Who talks with whom: packets there and back a second, at most, and the seconds of a wave between much and little.
pub(crate) const TALKS: [(&str, &str, u32, u32); 14] = [
    ("laptop-anna", "nas-anna", 40, 37),
    ("laptop-anna", "web-fra", 24, 23),
    ("laptop-anna", "git-ams", 16, 33),
    ("laptop-anna", "laptop-erik", 8, 17),
    ("laptop-anna", "desktop-ben", 10, 29),
    ("laptop-anna", "db-nyc", 6, 41),
    ("laptop-ben", "nas-fatima", 24, 29),
    ("web-nyc", "db-fra", 20, 43),
    ("laptop-iris", "nas-fatima", 12, 19),
    ("desktop-lin", "db-paris", 10, 47),
    ("laptop-mei", "desktop-ben", 8, 27),
    ("cabin-norway", "cam-paris", 14, 21),
    ("laptop-hugo", "nas-hugo", 12, 15),
    ("metrics-fra", "nas-oslo", 6, 26),
];
