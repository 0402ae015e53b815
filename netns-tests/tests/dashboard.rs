//! The dashboard on a real terminal against real daemons, as a person uses it; and the report that a person posts.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use netns_tests::node::binary;
use netns_tests::screen::Screen;
use netns_tests::topology::{Row, network_of_row, row};
use netns_tests::{Lab, Load, Node};

const SOON: Duration = Duration::from_secs(15);

fn tui(node: &Node, args: &[&str]) -> Screen {
    let socket = node.socket();
    let args = [&["tui", "--socket", &socket], args].concat();
    Screen::start(node.machine(), &binary().display().to_string(), &args, (30, 110))
}

#[test]
fn a_person_attaches_filters_asks_why_and_sees_the_daemon_go_and_come_back() {
    let lab = Lab::new("dashboard", Load::Light);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 4, &network_of_row(2));
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let mut screen = tui(&nodes[2], &[]);
    screen.wait_for("the node and its peers", SOON, |text| text.contains("charlie") && text.contains("live"));
    assert!(screen.is_alternate());
    screen.types("2");
    screen.wait_for("the table of peers", SOON, |text| ["alice", "bob", "dora"].iter().all(|name| text.contains(name)));
    screen.types("/dora\r");
    screen.wait_for("only dora", SOON, |text| text.contains("dora") && !text.contains("alice"));
    screen.types("\r");
    screen.wait_for("dora's page, with who can read the traffic", SOON, |text| {
        text.contains("dora") && text.contains("10.1.1.4") && text.to_lowercase().contains("read")
    });
    nodes[2].kill();
    screen.wait_for("that it is gone", SOON, |text| text.to_lowercase().contains("reconnecting"));
    nodes[2].start();
    screen.wait_for("that it is back", SOON, |text| {
        text.contains("live") && !text.to_lowercase().contains("reconnecting")
    });
    // A terminal that reads both at once takes them for Alt and q.
    screen.types("\x1b");
    screen.wait_for("the table again", SOON, |text| !text.contains("WHY"));
    screen.types("q");
    assert!(screen.ends(SOON), "q ends it");
    assert!(!screen.is_alternate(), "the terminal is as it was");
}

#[test]
fn a_change_is_forecast_and_asked_about_before_it_is_made() {
    let lab = Lab::new("dashboard admin", Load::Light);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 3, &network_of_row(2));
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let client = nodes[0].machine().path(nodes[0].socket());
    let draining = || wgnet_api::Client::new(&client).status().expect("the daemon runs").node.draining;
    let mut screen = tui(&nodes[0], &["--screen", "admin"]);
    screen.wait_for("the actions", SOON, |text| text.to_lowercase().contains("drain"));
    screen.types(":drain\r");
    screen.wait_for("what it would bring, and a question", SOON, |text| {
        text.contains("path") && text.contains("Drain this gateway?")
    });
    assert!(!draining(), "nothing happens before the answer");
    screen.types("y");
    netns_tests::until(SOON, || draining().then_some(())).expect("drained");
}

#[test]
fn a_report_tells_the_state_and_neither_a_secret_nor_whose_mesh_it_is() {
    let lab = Lab::new("diag", Load::Light);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 3, &network_of_row(1));
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let node = &nodes[1];
    let program = binary().display().to_string();
    let report = node.machine().command(&program, &["diag", "--socket", &node.socket()]);
    for part in ["== status ==", "== why ==", "== links ==", "== journal ==", "me", "gateway-1", "is up"] {
        assert!(report.contains(part), "{part} is missing:\n{report}");
    }
    let mut hidden: Vec<String> = Vec::new();
    for node in &nodes {
        let status = node.status().expect("it runs");
        hidden.extend([
            status.node.name,
            status.node.public_key,
            status.node.identity.clone(),
            status.node.link_address,
        ]);
        hidden.extend(status.node.addresses);
        hidden.push(status.node.identity[..8].to_owned());
        let identity = std::fs::read(node.machine().path(format!("{}/wg0/identity", node.state_dir()))).expect("keys");
        // Header and checksum, then the seed and the WireGuard key: in every form in which a key is written.
        for secret in identity[44..108].chunks(32) {
            hidden.push(BASE64_STANDARD.encode(secret));
            hidden.push(secret.iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    let file = std::fs::read_to_string(node.machine().path(node.network_file())).expect("the network file");
    let key = file.lines().find_map(|line| line.trim().strip_prefix("sharedKey:")).expect("a shared key").trim();
    hidden.push(key.to_owned());
    hidden.extend(["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(str::to_owned));
    for word in hidden {
        let word = word.trim_matches('"');
        let found = report.lines().find(|line| {
            line.match_indices(word).any(|(at, _)| {
                let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
                !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next())
            })
        });
        assert!(found.is_none(), "{word} in {found:?}");
    }
}
