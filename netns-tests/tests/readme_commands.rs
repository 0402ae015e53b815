//! Every command of the README runs as it stands there.
//!
//! Blocks marked `console` or `sh` hold commands, one a line, with or without a prompt. A daemon is started and must get
//! ready; a client command is run beside it; the benchmark, which takes its time, tells what it would measure; commands
//! that build or test this very workspace are known and not run again.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use netns_tests::{Lab, Load, Machine, Program, node, until};

const SOON: Duration = Duration::from_secs(10);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The commands in the README's blocks.
fn commands(readme: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut block = None;
    for line in readme.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(["console", "sh", "bash", "shell"].contains(&language)) };
            continue;
        }
        let command = line.trim().trim_start_matches("$ ").trim_start_matches("# ");
        let command = command.split("  #").next().unwrap_or(command).trim();
        if block == Some(true) && !command.is_empty() {
            commands.push(command.to_owned());
        }
    }
    commands
}

/// What a command is about, once `cargo run --release --`, `sudo` and the like are taken away.
enum Meaning {
    /// `wgnet` with these arguments.
    Wgnet(Vec<String>),
    /// The benchmark of the tunnel with these arguments.
    Throughput(Vec<String>),
    /// Builds or runs a part of this workspace that exists.
    Workspace,
}

fn meaning(command: &str) -> Meaning {
    let command = command.trim_start_matches("sudo ");
    let words = command.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
    let words = words.iter().map(String::as_str).collect::<Vec<_>>();
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    match words[..] {
        ["cargo", "run", "--release", "--", ref rest @ ..] => Meaning::Wgnet(owned(rest)),
        ["wgnet" | "./target/release/wgnet" | "target/release/wgnet", ref rest @ ..] => Meaning::Wgnet(owned(rest)),
        ["cargo", "run", "--release", "--example", example, ..] => {
            assert!(root().join(format!("examples/{example}.rs")).is_file(), "{command}: there is no such example");
            Meaning::Workspace
        }
        ["cargo", "run", "--release", "-p", "netns-tests", "--bin", "throughput", ref rest @ ..] => {
            Meaning::Throughput(owned(rest))
        }
        ["cargo", "run", "--release", "-p", package, "--bin", program, ..] => {
            let folder = root().join(format!("{package}/src/bin"));
            let files = [folder.join(format!("{program}.rs")), folder.join(program).join("main.rs")];
            assert!(files.iter().any(|file| file.is_file()), "{command}: there is no such program");
            Meaning::Workspace
        }
        ["cargo", "run", "--release", "-p", "wgnet-tui", "--example", example, ..] => {
            let file = root().join(format!("tui/examples/{example}.rs"));
            assert!(file.is_file(), "{command}: there is no such example");
            Meaning::Workspace
        }
        ["cargo", "run", "--profile", "sim", "--example", "scale" | "simulate", ..] => Meaning::Workspace,
        ["cargo", "+nightly", "fuzz", "run", "--fuzz-dir", folder, target, ..] => {
            assert!(
                root().join(folder).join(format!("fuzz_targets/{target}.rs")).is_file(),
                "{command}: no such target"
            );
            assert!(netns_tests::decoders::ALL.iter().any(|(name, _)| *name == target), "{command}: no such decoder");
            Meaning::Workspace
        }
        ["cargo", "build" | "test" | "install" | "bench", ..] => Meaning::Workspace,
        // Units are looked at by packaging/test: a lab has no systemd.
        ["systemctl", "enable", "--now", unit] => {
            assert!(root().join(format!("packaging/systemd/{unit}.service")).is_file(), "{command}: no such unit");
            Meaning::Workspace
        }
        [script, ..] if script.starts_with("./") || script.contains('/') => {
            assert!(root().join(script).is_file(), "{command}: there is no such file");
            Meaning::Workspace
        }
        _ => panic!("what is {command:?}? Teach it to {}", file!()),
    }
}

fn run(machine: &Machine, args: &[String]) -> (bool, String) {
    let process = machine.start(&wgnet(args));
    let status = process.wait(SOON);
    (status.success(), process.log().text())
}

/// As from the root of the project.
fn wgnet(args: &[String]) -> Program {
    let root = root().canonicalize().expect("the root exists").display().to_string();
    let binary = node::binary().canonicalize().expect("the daemon is built").display().to_string();
    Program::new("env").args(["-C", &root, &binary]).args(args)
}

#[test]
fn every_command_of_the_readme_runs() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    let commands = commands(&readme);
    assert!(commands.iter().any(|command| command.contains("wg0 10.1.1.1 alice")), "{commands:?}");
    assert!(commands.iter().any(|command| command.ends_with("netns-tests/run")), "{commands:?}");
    assert!(commands.iter().any(|command| command.contains("--example lab")), "{commands:?}");

    // The sample file's addresses.
    let lab = Lab::new("README", Load::Light);
    let lan = lab.bridge("lan");
    let alice = lab.machine_on(&lan, "alice", &["192.168.1.70/24"]);
    let mut others = Vec::new();
    let mut daemons = Vec::new();
    for command in &commands {
        let Meaning::Wgnet(args) = meaning(command) else { continue };
        let starts_daemon =
            args.iter().any(|arg| arg == "-c" || arg == "-i") && args.first().is_none_or(|arg| arg.starts_with('-'));
        if starts_daemon {
            // Each daemon of the README runs on a machine of its own.
            let machine = if daemons.is_empty() {
                alice.clone()
            } else {
                let n = 100 + daemons.len();
                lab.machine_on(&lan, &format!("machine-{n}"), &[&format!("192.168.1.{n}/24")])
            };
            let daemon = machine.start(&wgnet(&args));
            let binary = node::binary().display().to_string();
            let answers =
                || machine.namespace().output(&binary, &["status", "--json"], "").ok().filter(|o| !o.stdout.is_empty());
            assert!(until(SOON, answers).is_some(), "{command}:\n{}", daemon.log().text());
            others.push(machine);
            daemons.push(daemon);
        }
    }
    assert!(!daemons.is_empty(), "the README starts no daemon: {commands:?}");
    for command in &commands {
        let Meaning::Throughput(args) = meaning(command) else { continue };
        let program = Program::new(env!("CARGO_BIN_EXE_throughput")).args(args).args(["--list"]);
        let process = alice.start(&program);
        let status = process.wait(SOON);
        assert!(status.success(), "{command}:\n{}", process.log().text());
    }
    for command in &commands {
        let Meaning::Wgnet(mut args) = meaning(command) else { continue };
        if args.first().is_some_and(|arg| arg == "tui") && !args.iter().any(|arg| arg == "--once" || arg == "--export")
        {
            // There is no terminal here; tests/dashboard.rs has one.
            args.push("--once".to_owned());
        }
        if args.first().is_some_and(|arg| arg == "install") {
            // Not into the machine that runs the tests.
            alice.command("mkdir", &["-p", "/run/elsewhere"]);
            args.extend(["--root", "/run/elsewhere"].map(ToOwned::to_owned));
        }
        if args.first().is_some_and(|arg| !arg.starts_with('-')) {
            let (good, said) = run(&alice, &args);
            // `status` tells by its exit code that something is wrong, such as static peers that are silent.
            assert!(good || (args[0] == "status" && said.contains("alice")), "{command}:\n{said}");
        }
    }
    for daemon in daemons {
        let status = daemon.stop(SOON);
        assert!(status.success(), "{status}: {}", daemon.log().text());
    }
}

#[test]
fn the_sample_network_file_is_right() {
    let lab = Lab::new("sample file", Load::Light);
    let machine = lab.machine("alice");
    let args = ["check", "-c", "examples/net.yaml"].map(ToOwned::to_owned);
    let (good, said) = run(&machine, &args);
    assert!(good, "{said}");
}

#[test]
fn wg_netmanagers_sample_runs_unchanged() {
    const SAMPLE: &str = "network:
  sharedKey: YDUBM6FhERePZ4gPlxzAbCN7K61BPjy7HApWYL+P128=
  subnet: 10.1.1.0/8
peers:
  - endPoint: 192.168.1.70:50000
    adminPort: 55555
    wgIp: 10.1.1.1
  - endPoint: 192.168.1.212:50000
    adminPort: 55555
    wgIp: 10.1.1.2
";
    let lab = Lab::new("wg_netmanager's sample", Load::Light);
    let lan = lab.bridge("lan");
    let nodes = [
        ("alice", "192.168.1.70/24", "10.1.1.1"),
        ("bob", "192.168.1.71/24", "10.1.1.16"),
        ("charlie", "192.168.1.72/24", "10.1.1.21"),
    ];
    let nodes = nodes.map(|(name, underlay, overlay)| {
        let machine = lab.machine_on(&lan, name, &[underlay]);
        let node = lab.node(&machine, &netns_tests::NetworkFile::new("10.0.0.0/8"), name, &[overlay]);
        node.set_network_text(SAMPLE);
        node
    });
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
}
