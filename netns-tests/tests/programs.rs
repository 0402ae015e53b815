//! What programs use of a daemon: the TCP port with its token, metrics, the recording of what happens.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use netns_tests::node::binary;
use netns_tests::topology::{Row, network_of_row, row};
use netns_tests::{Lab, Load, Node, Program, until};
use wgnet_api::{Event, Item, Recording};

const SOON: Duration = Duration::from_secs(15);
const LISTEN: &str = "127.0.0.1:9080";

fn wgnet(node: &Node, args: &[&str]) -> Result<String, String> {
    node.machine().namespace().attempt(&binary().display().to_string(), args, "")
}

/// The answer to `GET path` with these headers, from the port on the node's own machine.
fn get(node: &Node, path: &str, headers: &[&str]) -> String {
    let lines = headers.iter().map(|header| format!("{header}\r\n")).collect::<String>();
    let request = format!("GET {path} HTTP/1.1\r\n{lines}\r\n");
    node.machine().namespace().run(move || {
        let mut stream = TcpStream::connect(LISTEN).expect("the daemon listens");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer, and the end");
        answer
    })
}

#[test]
fn a_port_answers_whoever_has_the_token_and_nobody_else() {
    let lab = Lab::new("programs", Load::Light);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 2, &network_of_row(1));
    nodes[1].add_args(&["--api-listen", LISTEN]);
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let node = &nodes[1];
    let file = format!("{}/wg0/api.token", node.state_dir());
    let outside = node.machine().path(&file);
    assert_eq!(std::fs::metadata(&outside).expect("made at the start").permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&outside).expect("a token");
    let told = wgnet(node, &["status", "--connect", LISTEN, "--token-file", &file]).expect("healthy");
    assert!(told.contains("alice"), "{told}");

    let host = format!("Host: {LISTEN}");
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let metrics = get(node, "/metrics", &[&host, &bearer]);
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("wgnet_peers{"), "{metrics}");
    let status_line = |headers: &[&str]| get(node, "/v1/status", headers).lines().next().unwrap_or_default().to_owned();
    assert!(status_line(&[&host]).contains("401"), "no token");
    assert!(status_line(&[&host, "Authorization: Bearer nonsense"]).contains("401"), "a wrong token");
    let elsewhere = status_line(&["Host: evil.example", &bearer]);
    assert!(elsewhere.contains("421") || elsewhere.contains("403"), "another name: {elsewhere}");
    let page = status_line(&[&host, &bearer, "Origin: http://evil.example"]);
    assert!(page.contains("403"), "a page's script: {page}");

    // Kept over restarts, so that programs need no new one.
    node.kill();
    node.start();
    let again = until(SOON, || wgnet(node, &["status", "--connect", LISTEN, "--token-file", &file]).ok());
    assert!(again.is_some_and(|told| told.contains("bob")), "the same token");
    let log = node.log().text();
    assert!(!log.contains(token.trim()), "the token is nobody's business");
}

#[test]
fn a_journal_is_followed_and_recorded_over_a_restart_and_replays() {
    let lab = Lab::new("recording", Load::Light);
    let Row { nodes, segment: _segment } = row(&lab, lab.bridge("lan"), 3, &network_of_row(1));
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    let node = &nodes[1];
    let socket = node.socket();
    let record = ["journal", "--follow", "--record", "/run/tape.jsonl", "--socket", &socket];
    let following = node.machine().start(&Program::new(binary().display().to_string()).args(record));
    let tape = node.machine().path("/run/tape.jsonl");
    let recorded = |wanted: fn(&Item) -> bool| {
        let found = || Recording::open(&tape).ok().filter(|tape| tape.lines.iter().any(|line| wanted(&line.item)));
        until(SOON, found)
    };
    recorded(|item| matches!(item, Item::Event(Event::Snapshot(_)))).expect("the present moment");
    nodes[2].stop();
    following.wait_for_line("charlie", SOON);
    recorded(|item| {
        matches!(item, Item::Event(Event::Journal(entry)) if entry.text.contains("charlie")
            || entry.subject.contains("charlie"))
    })
    .expect("what happened to charlie");
    node.kill();
    recorded(|item| matches!(item, Item::Gone(_))).expect("that the daemon is away");
    node.start();
    following.wait_for_line("alice", SOON);
    let moments = || {
        let tape = Recording::open(&tape).ok()?;
        let moment = |item: &Item| matches!(item, Item::Event(Event::Snapshot(_)));
        (tape.lines.iter().filter(|line| moment(&line.item)).count() >= 2).then_some(())
    };
    until(SOON, moments).expect("the moment after the restart");
    following.signal(nix::sys::signal::Signal::SIGINT);
    following.wait(SOON);
    let replayed =
        wgnet(node, &["tui", "--replay", "/run/tape.jsonl", "--once", "--screen", "journal", "--size", "120x40"]);
    let replayed = replayed.expect("a recording");
    assert!(replayed.contains("charlie") && replayed.contains("replay"), "{replayed}");
    let again = wgnet(node, &record).expect_err("the file is there");
    assert!(again.contains("/run/tape.jsonl") && again.to_lowercase().contains("exists"), "{again}");
}
