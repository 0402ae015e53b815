//! The program as a user starts it: arguments and environment in, text and exit code out.
//!
//! No test here starts a node: each stops at a mistake before anything is touched, or uses a command that needs none.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const NETWORK: &str = "\
network:
  sharedKey: 03qfoT9vOyM8412+EUkW8l/J4ISWrCmS/h0rm06Y51M=
  subnet: 10.77.0.0/16
peers:
  - endPoint: hub.example:50000
    wgIp: 10.77.0.1
";

/// A directory with a network file and a node file that says nothing.
struct Place(TempDir);

impl Place {
    fn new(network: &str) -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        fs::write(place.path("net.yaml"), network).expect("a file");
        fs::set_permissions(place.path("net.yaml"), fs::Permissions::from_mode(0o600)).expect("permissions");
        fs::write(place.path("node.yaml"), "").expect("a file");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs wgnet in the directory.
    fn wgnet(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let output = wgnet()
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(self.0.path())
            .output()
            .expect("wgnet runs");
        Said::from(output)
    }
}

#[expect(clippy::disallowed_methods, reason = "the test of a program starts the program")]
fn wgnet() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgnet"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WGNET_") {
            command.env_remove(name);
        }
    }
    command
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

#[test]
fn check_prints_findings_and_fails_for_errors_only() {
    let place = Place::new(NETWORK);
    let said = place.wgnet(&["check", "-c", "net.yaml", "-p", "node.yaml"], &[]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "0 errors, 0 warnings\n"), "{}", said.err);

    let place = Place::new(&NETWORK.replace("10.77.0.1", "10.78.0.1").replace("peers", "network: 1\npeers"));
    let said = place.wgnet(&["check", "-c", "net.yaml", "-p", "node.yaml"], &[]);
    assert_eq!(said.code, Some(1));
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", said.out);
    assert!(lines[0].starts_with("net.yaml:4:1: network is given twice, first at net.yaml:1:1"), "{}", said.out);
    assert!(lines[1].starts_with("net.yaml:7:11: wgIp 10.78.0.1 is outside the subnet 10.77.0.0/16"), "{}", said.out);
    assert_eq!(lines[2], "2 errors, 0 warnings");
}

#[test]
fn options_before_and_after_check_are_the_same() {
    let place = Place::new(NETWORK);
    for arguments in [
        ["-c", "net.yaml", "check", "-p", "node.yaml", "-a", "10.1.1.1"],
        ["-c", "net.yaml", "-p", "node.yaml", "-a", "10.1.1.1", "check"],
        ["check", "-c", "net.yaml", "-p", "node.yaml", "-a", "10.1.1.1"],
    ] {
        // What is written anywhere on the command line wins over the environment.
        let said = place.wgnet(&arguments, &[("WGNET_CONFIG", "absent.yaml"), ("WGNET_ADDRESS", "10.2.2.2")]);
        assert_eq!(said.code, Some(1));
        assert!(
            said.out.starts_with("--wireguard-address: the address 10.1.1.1 is outside"),
            "{}{}",
            said.out,
            said.err
        );
    }
}

#[test]
fn positional_arguments_options_and_environment_name_themselves_in_errors() {
    let place = Place::new(NETWORK);
    let base = ["-c", "net.yaml", "-p", "node.yaml"];
    let run = |more: &[&str], environment: &[(&str, &str)]| place.wgnet(&[&base[..], more].concat(), environment).err;
    let said = run(&["wg/0", "10.1.1.1", "Alice"], &[]);
    let starts: Vec<&str> = said.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(starts, ["ADDRESS:", "INTERFACE:", "NAME:"], "{said}");
    let said = run(&["-i", "wg/0", "-a", "10.1.1.1", "-n", "Alice"], &[]);
    let starts: Vec<&str> = said.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(starts, ["--name:", "--wireguard-address:", "--wireguard-interface:"], "{said}");
    let variables = [
        ("WGNET_INTERFACE", "wg/0"),
        ("WGNET_ADDRESS", "10.1.1.1"),
        ("WGNET_NAME", "Alice"),
        ("WGNET_WIREGUARD_PORT", "0"),
        ("WGNET_ADMIN_PORT", "x"),
    ];
    let said = run(&[], &variables);
    let starts: Vec<&str> = said.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    let expected = ["WGNET_ADDRESS:", "WGNET_ADMIN_PORT:", "WGNET_INTERFACE:", "WGNET_NAME:", "WGNET_WIREGUARD_PORT:"];
    assert_eq!(starts, expected, "{said}");
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_node_yaml() {
    let place = Place::new(NETWORK);
    fs::write(place.path("node.yaml"), "wgInterface: wg0\nwgIp: 10.1.1.3\nname: c\n").expect("a file");
    let base = ["check", "-c", "net.yaml", "-p", "node.yaml"];
    let run = |more: &[&str], environment: &[(&str, &str)]| place.wgnet(&[&base[..], more].concat(), environment).out;
    let both = [("WGNET_ADDRESS", "10.1.1.2,fd00::2")];
    assert!(run(&["-a", "10.1.1.1"], &both).starts_with("--wireguard-address: the address 10.1.1.1 is outside"));
    assert!(run(&["wg0", "10.1.1.1"], &both).starts_with("ADDRESS: the address 10.1.1.1 is outside"));
    let said = run(&[], &both);
    assert!(said.starts_with("WGNET_ADDRESS: the address 10.1.1.2 is outside"), "{said}");
    assert!(said.contains("WGNET_ADDRESS: the address fd00::2 is outside"), "{said}");
    assert!(run(&[], &[]).starts_with("node.yaml:2:7: the address 10.1.1.3 is outside"));
    assert!(run(&[], &[("WGNET_ADDRESS", "")]).starts_with("node.yaml:2:7: "), "an empty variable is not set");
}

#[test]
fn empty_variables_are_not_set() {
    let place = Place::new(NETWORK);
    let empty = [
        "CONFIG",
        "PEER_CONFIG",
        "INTERFACE",
        "ADDRESS",
        "NAME",
        "TUNNEL",
        "STATE_DIR",
        "SOCKET",
        "API_LISTEN",
        "ADMIN_PORT",
    ];
    let names: Vec<String> = empty.iter().map(|name| format!("WGNET_{name}")).collect();
    let environment: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let said = place.wgnet(&["check", "-c", "net.yaml", "-p", "node.yaml"], &environment);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "0 errors, 0 warnings\n"), "{}", said.err);
}

#[test]
fn what_is_missing_is_told_with_the_three_ways_to_give_it() {
    let place = Place::new(NETWORK);
    let said = place.wgnet(&["-c", "net.yaml", "-p", "node.yaml", "wg0"], &[]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.starts_with("wgnet: this node's address and name are missing (on the command line: "),
        "{}",
        said.err
    );
    assert!(said.err.contains("-a, -n; in node.yaml: wgIp, name; in the environment: WGNET_ADDRESS, WGNET_NAME"));
}

#[test]
fn a_missing_network_file_is_told_with_its_path() {
    let place = Place::new(NETWORK);
    let said = place.wgnet(&["-c", "absent.yaml", "-p", "node.yaml", "wg0", "10.77.0.9", "x"], &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.starts_with("absent.yaml: there is no such file (name the network file with -c"), "{}", said.err);
}

#[test]
fn what_cannot_be_understood_is_a_usage_error() {
    let place = Place::new(NETWORK);
    for (arguments, expected) in [
        (
            &["-i", "wg0", "wg0", "10.77.0.9", "x"][..],
            "the INTERFACE is given twice: by its place and as --wireguard-interface",
        ),
        (&["-e", "--tunnel", "kernel"], "--existing-wg contradicts --tunnel kernel"),
        (&["--no-port-mapping", "genkey"], "--no-port-mapping before a subcommand means nothing"),
        (&["--tunnel", "fast"], "invalid value 'fast'"),
        (&["--lan", "maybe"], "invalid value 'maybe'"),
        (&["-c", "net.yaml", "genkey"], "--network-config before a subcommand means nothing"),
        (&["wg0", "10.77.0.9", "x", "y"], "unexpected value 'y'"),
        (&["--sharedkey", "x"], "unexpected argument '--sharedkey'"),
        (&["cost", "beta", "0"], "write a whole number from 1 to 1000000, or \"clear\""),
        (&["forget"], "<NAME>"),
        (&["log-level", "loud"], "invalid value 'loud'"),
        (&["drain", "--connect", "127.0.0.1:9"], "--token-file <FILE>"),
        (&["journal", "--record", "x.jsonl"], "--follow"),
    ] {
        let said = place.wgnet(arguments, &[]);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
    }
}

#[cfg(feature = "tui")]
#[test]
fn a_dashboard_of_a_daemon_begins_at_no_time_but_now_and_a_recording_is_one() {
    let place = Place::new(NETWORK);
    for (arguments, expected) in [
        (&["tui", "--once", "--at", "90s"][..], "--replay <FILE>|--demo"),
        (&["tui", "--once", "--demo", "--replay", "x.jsonl"], "cannot be used with"),
    ] {
        let said = place.wgnet(arguments, &[]);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn a_node_may_have_the_name_of_a_subcommand() {
    let place = Place::new(NETWORK);
    let said = place.wgnet(&["-c", "absent.yaml", "-p", "node.yaml", "wg0", "10.77.0.9", "check"], &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.is_empty() && said.err.starts_with("absent.yaml: there is no such file"), "{}", said.err);
}

#[test]
fn every_genkey_is_another_key_of_32_bytes() {
    let place = Place::new(NETWORK);
    let keys: Vec<String> = (0..3).map(|_| place.wgnet(&["genkey"], &[]).out).collect();
    assert!(keys.iter().all(|key| key.len() == 45 && key.ends_with("=\n")), "{keys:?}");
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    let network = NETWORK.replace("03qfoT9vOyM8412+EUkW8l/J4ISWrCmS/h0rm06Y51M=", keys[0].trim());
    assert_eq!(Place::new(&network).wgnet(&["check", "-c", "net.yaml", "-p", "node.yaml"], &[]).code, Some(0));
}

#[test]
fn client_commands_say_when_no_daemon_can_be_reached() {
    let place = Place::new(NETWORK);
    for arguments in [
        &["status", "--json", "--socket", "absent.sock"][..],
        &["forget", "alice", "--socket", "absent.sock"],
        &["cost", "beta", "clear", "--socket", "absent.sock"],
        &["gateway-cost", "500", "--socket", "absent.sock"],
        &["drain", "--undo", "--socket", "absent.sock"],
        &["probe", "--socket", "absent.sock"],
        &["log-level", "debug", "--socket", "absent.sock"],
        &["drain", "--connect", "127.0.0.1:9", "--token-file", "absent.token"],
    ] {
        let said = place.wgnet(arguments, &[]);
        // `status` keeps 1 for a mesh that is not well.
        let expected = if arguments[0] == "status" { 2 } else { 1 };
        assert_eq!(said.code, Some(expected), "{arguments:?}");
        assert!(said.out.is_empty() && said.err.starts_with("wgnet: "), "{}", said.err);
    }
}

#[test]
fn install_prints_the_unit_and_writes_only_when_told() {
    let place = Place::new(NETWORK);
    let said = place.wgnet(&["install"], &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains("\nRestartKillSignal=SIGUSR1\n") && said.out.contains(" -c /etc/wgnet/net.yaml"),
        "{}",
        said.out
    );

    assert_eq!(place.wgnet(&["install", "--root", "."], &[]).code, Some(2), "--root without --write means nothing");
    let said = place.wgnet(&["install", "--write", "--root", "."], &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("systemctl enable --now wgnet\n"), "{}", said.out);
    let unit = fs::read_to_string(place.path("etc/systemd/system/wgnet.service")).expect("the unit");
    assert!(unit.contains("ExecStart=/usr/bin/wgnet "), "{unit}");

    let said = place.wgnet(&["install", "--write", "--root", "absent"], &[]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("there is no directory absent"), "{}", said.err);
}

#[test]
fn completions_version_and_help_go_to_standard_output() {
    let place = Place::new(NETWORK);
    let said = place.wgnet(&["completions", "bash"], &[]);
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains("--network-config"));
    assert_eq!(place.wgnet(&["--version"], &[]).out, format!("wgnet {}\n", env!("CARGO_PKG_VERSION")));
    let help = place.wgnet(&["--help"], &[]).out;
    for word in ["wgnet -c net.yaml wg0 10.1.1.1 alice", "WGNET_ADDRESS", "--tunnel", "completions"] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn the_admin_port_stays_on_this_machine() {
    let place = Place::new(NETWORK);
    fs::write(place.path("node.yaml"), "apiListen: 10.77.0.9:9080\n").expect("a file");
    let base = ["check", "-c", "net.yaml", "-p", "node.yaml"];
    let run = |more: &[&str]| place.wgnet(&[&base[..], more].concat(), &[("WGNET_API_LISTEN", "")]).out;
    assert!(run(&[]).starts_with("node.yaml:1:12: apiListen 10.77.0.9:9080 can be reached from other machines"));
    fs::write(place.path("node.yaml"), "").expect("a file");
    assert!(
        run(&["--api-listen", "0.0.0.0:9080"]).starts_with("--api-listen: the admin protocol's address 0.0.0.0:9080")
    );
    assert!(run(&["--api-listen", "9080"]).contains("cannot be \"9080\": it is an IP address and a port"));
    for right in ["127.0.0.1:9080", "[::1]:9080"] {
        assert_eq!(run(&["--api-listen", right]), "0 errors, 0 warnings\n");
    }
}

/// Answers one request with `body`, in one chunk that is the last one; returns the request.
fn answer(listener: &UnixListener, kind: &str, body: &str) -> String {
    let (mut stream, _) = listener.accept().expect("a client");
    let mut asked = String::new();
    while !asked.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        asked.push(char::from(byte[0]));
    }
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(format!("{head}{length:x}\r\n{body}\r\n0\r\n\r\n").as_bytes()).expect("the client reads");
    asked
}

fn entry(number: u64) -> String {
    let rest = r#""time_ms":1500,"severity":"info","kind":"link","subject":"bob","text":"the link to bob is up""#;
    format!("{{\"number\":{number},{rest}}}")
}

fn event(start: u64, number: u64) -> String {
    format!("event: journal\nid: {start:016x}-{}\ndata: {}\n\n", number + 1, entry(number))
}

#[test]
fn a_followed_journal_goes_on_after_the_daemon_came_back() {
    let place = Place::new(NETWORK);
    let listener = UnixListener::bind(place.path("wg0.sock")).expect("bind");
    let daemon = std::thread::spawn(move || {
        let journal = format!("{{\"entries\":[{},{},{}]}}", entry(0), entry(1), entry(2));
        answer(&listener, "application/json", &journal);
        let events = |start, numbers: std::ops::Range<u64>| numbers.map(|n| event(start, n)).collect::<String>();
        let asked = [
            answer(&listener, "text/event-stream", &events(7, 0..4)),
            // The same daemon: it goes on. Then another start of it, which counts anew.
            answer(&listener, "text/event-stream", &events(7, 4..5)),
            answer(&listener, "text/event-stream", &events(8, 0..2)),
        ];
        drop(listener);
        asked
    });
    let mut child = wgnet()
        .args(["journal", "--follow", "--json", "-n", "2", "--socket", "wg0.sock"])
        .current_dir(place.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("wgnet runs");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let printed: Vec<String> = lines.take(6).map(|line| line.expect("text")).collect();
    child.kill().expect("it still follows");
    let said = String::from_utf8(child.wait_with_output().expect("ended").stderr).expect("text");
    let expected: Vec<String> = [1, 2, 3, 4, 0, 1].map(entry).to_vec();
    assert_eq!(printed, expected);
    assert!(said.contains("ended the stream; reconnecting"), "{said}");
    let [first, second, third] = daemon.join().expect("the daemon");
    assert!(first.starts_with("GET /v1/stream ") && !first.contains("Last-Event-ID"), "{first}");
    assert!(second.contains("Last-Event-ID: 0000000000000007-4\r\n"), "{second}");
    assert!(third.contains("Last-Event-ID: 0000000000000007-5\r\n"), "{third}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new(NETWORK);
    let mut child = wgnet()
        .args(["completions", "zsh"])
        .current_dir(place.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("wgnet runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("wgnet ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
