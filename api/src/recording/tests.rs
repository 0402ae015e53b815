//! What was recorded is read again, and what is no recording is told so.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{Candidate, Hop, Mesh, MeshNode, Missing, Node, NodeState, Rule, Severity, Status};

fn snapshot() -> Snapshot {
    let node = Node {
        name: "alice".into(),
        address: "10.1.1.1".into(),
        addresses: vec!["10.1.1.1".into()],
        interface: "wg0".into(),
        public_key: String::new(),
        identity: String::new(),
        link_address: String::new(),
        tunnel: "userspace".into(),
        version: "0.1.0".into(),
        uptime_s: 10,
        gateway: true,
        mtu: 1420,
        gateway_cost: None,
        draining: false,
        effective_lsdb: String::new(),
        nat: crate::Nat::default(),
        outside: Vec::new(),
        port_mapping: None,
    };
    let bob = MeshNode {
        id: "00".into(),
        name: "bob \"\u{1b}\" 日本".into(),
        address: "10.1.1.2".into(),
        gateway: false,
        state: NodeState::Linked,
        class: "server".into(),
    };
    Snapshot {
        time_ms: 1_000,
        status: Status { node, peers: Vec::new(), health: Vec::new(), gateways: Vec::new() },
        mesh: Mesh { nodes: vec![bob], links: Vec::new() },
        counters: BTreeMap::from([("hellos_sent".to_owned(), 7)]),
    }
}

fn why() -> Why {
    Why {
        from: "alice".into(),
        to: "bob".into(),
        hops: vec![Hop { from: "alice".into(), to: "bob".into(), cost: Some(7), rtt_ms: Some(1.5), loss: None }],
        cost: Some(7),
        candidates: vec![Candidate {
            via: "carol".into(),
            cost: None,
            margin: Some(3),
            rule: Rule::NoWayOn,
            text: "leads back".into(),
        }],
        missing: Some(Missing { reason: "none".into(), remedy: "none".into() }),
        mtu: 1420,
        readers: vec!["carol".into()],
        note: None,
    }
}

fn entry() -> JournalEntry {
    JournalEntry {
        number: 3,
        time_ms: 1_400,
        severity: Severity::Warning,
        kind: "link".into(),
        subject: "bob".into(),
        text: "line\nbreak".into(),
    }
}

fn lines() -> Vec<Line> {
    let items = [
        Item::Event(Event::Snapshot(Box::new(snapshot()))),
        Item::Event(Event::Difference(Box::new(Difference { time_ms: 2_000, uptime_s: 11, ..Difference::default() }))),
        Item::Event(Event::Journal(entry())),
        Item::Why(Box::new(why())),
        Item::Gone("the daemon ended".into()),
    ];
    (0..).zip(items).map(|(number, item)| Line { at_ms: number * 500, item }).collect()
}

fn recorded() -> Vec<u8> {
    let mut recorder = Recorder::new(Vec::new(), &Header::new("0.1.0", 1_000)).expect("memory takes all");
    lines().iter().for_each(|line| recorder.record(line).expect("memory takes all"));
    recorder.into_inner()
}

#[test]
fn everything_that_is_recorded_is_read_again() {
    let text = recorded();
    let recording = Recording::read(&text[..]).expect("as it was written");
    assert_eq!(recording.header, Header::new("0.1.0", 1_000));
    assert_eq!(recording.lines, lines());
    assert_eq!(recording.length_ms(), 2_000);
    let text = String::from_utf8(text).expect("JSON");
    assert_eq!(text.lines().count(), 6, "one line each, whatever is in them");
    assert!(
        text.lines().nth(3).is_some_and(|line| line.starts_with(r#"{"at_ms":1000,"journal":{"number":3,"#)),
        "{text}"
    );
}

#[test]
fn a_recording_cut_short_anywhere_is_read_up_to_there() {
    let text = recorded();
    let header = text.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
    for end in header..=text.len() {
        let recording = Recording::read(&text[..end]).unwrap_or_else(|e| panic!("cut at {end}: {e}"));
        let whole = text[..end].iter().filter(|byte| **byte == b'\n').count() - 1;
        // The last character of a line may be missing only if it is its line break.
        assert!((whole..=whole + 1).contains(&recording.lines.len()), "cut at {end}");
        assert_eq!(recording.lines, lines()[..recording.lines.len()]);
    }
}

#[test]
fn garbage_in_the_middle_is_named_by_its_line() {
    let text = String::from_utf8(recorded()).expect("JSON");
    for garbage in
        ["nonsense", "{\"at_ms\":1}", "{\"at_ms\":1,\"gone\":\"a\",\"surprise\":1}", "{\"gone\":\"no time\"}"]
    {
        let mut lines: Vec<_> = text.lines().collect();
        lines.insert(3, garbage);
        let error = Recording::read(lines.join("\n").as_bytes()).expect_err(garbage);
        assert!(error.to_string().starts_with("line 4: "), "{error}");
    }
    let two = r#"{"at_ms":1,"gone":"a","why":null,"journal":{"number":3,"time_ms":1,"severity":"info","kind":"","subject":"","text":""}}"#;
    let error = Recording::read(format!("{}\n{two}\n\n", text.lines().next().unwrap_or_default()).as_bytes());
    assert!(error.is_err_and(|e| e.to_string().starts_with("line 2: more than one thing")));
}

#[test]
fn other_files_and_newer_formats_are_told_so() {
    for text in ["", "hello\n", "{}\n", "\u{0}\u{1}", "{\"wgnet_recording\":1}\n"] {
        let error = Recording::read(text.as_bytes()).expect_err(text);
        assert!(matches!(error, RecordingError::NoRecording), "{text:?}: {error}");
    }
    let newer = "{\"wgnet_recording\":2,\"wgnet\":\"9.0.0\",\"more\":true}\n{\"other\":1}\n";
    let error = Recording::read(newer.as_bytes()).expect_err("newer").to_string();
    assert!(error.contains("format 2 (wgnet 9.0.0)") && error.contains("up to 1"), "{error}");
}

#[test]
fn times_never_go_back() {
    let text = "{\"wgnet_recording\":1,\"wgnet\":\"\",\"time_ms\":0}\n{\"at_ms\":9,\"gone\":\"a\"}\n\n{\"at_ms\":5,\"gone\":\"b\"}";
    let recording = Recording::read(text.as_bytes()).expect("a recording");
    assert_eq!(recording.lines.iter().map(|line| line.at_ms).collect::<Vec<_>>(), [9, 9]);
}

#[test]
fn a_file_is_never_overwritten_and_is_its_owners_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("mesh.jsonl");
    let mut recorder = Recorder::create(&path, &Header::new("0.1.0", 0)).expect("a new file");
    recorder.record(&lines()[4]).expect("room");
    let recording = Recording::open(&path).expect("each line is there at once");
    assert_eq!(recording.lines.len(), 1);
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = Recorder::create(&path, &Header::new("0.1.0", 0)).expect_err("it exists");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_tape_begins_with_the_first_moment_and_goes_on_over_a_daemon_that_is_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tape.jsonl");
    let mut tape = Tape::new(&path);
    tape.gone(100, "not there yet").expect("nothing to write on");
    tape.take(200, &Event::Journal(entry())).expect("nothing to write on");
    assert!(!path.exists(), "whoever never found a daemon leaves no file behind");
    tape.take(1_000, &Event::Snapshot(Box::new(snapshot()))).expect("begun");
    tape.take(1_500, &Event::Journal(entry())).expect("written");
    tape.gone(2_000, "killed").expect("written");
    let read = Recording::open(&path).expect("a recording");
    let times = read.lines.iter().map(|line| line.at_ms).collect::<Vec<_>>();
    assert_eq!(times, [0, 500, 1_000]);
    assert_eq!(read.lines[2].item, Item::Gone("killed".into()));
    let again = Tape::new(&path).take(0, &Event::Snapshot(Box::new(snapshot())));
    assert_eq!(again.expect_err("it is there").kind(), io::ErrorKind::AlreadyExists);
}
