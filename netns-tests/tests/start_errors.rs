//! What can go wrong at the start: one clear error each, an exit code that is not 0, and nothing left behind.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::Duration;

use netns_tests::topology::{machine_of_row, network_of_row};
use netns_tests::{Lab, Load, Machine, Node, Program, Segment};

const SOON: Duration = Duration::from_secs(10);

struct Alone {
    _segment: Segment,
    alice: Node,
    before: String,
}

/// Alice on her own, after `change` of her machine.
fn alone(lab: &Lab, change: impl Fn(&Machine, &Node)) -> Alone {
    let segment = lab.bridge("lan");
    let alice = lab.node(&machine_of_row(lab, &segment, 1), &network_of_row(1), "alice", &["10.1.1.1"]);
    change(alice.machine(), &alice);
    let before = alice.machine().footprint();
    Alone { _segment: segment, alice, before }
}

/// The daemon ends by itself, says all of `words` in its last line, and the machine is as it was. State that was
/// made before the error may stay: keys are made once.
fn fails_saying(alone: &Alone, words: &[&str]) {
    alone.alice.start();
    let (status, log) = alone.alice.with_process(|process| (process.wait(SOON), process.log().text()));
    assert!(!status.success() && status.code().is_some(), "{status}: {log}");
    // What it reports on the way (log lines with a level) is no error.
    let report = |line: &&str| [" INFO ", " WARN ", "warning:"].iter().any(|level| line.contains(level));
    let errors = log.lines().filter(|line| !report(line)).collect::<Vec<_>>();
    assert_eq!(errors.len(), 1, "one clear error:\n{log}");
    let lower = errors[0].to_lowercase();
    for word in words {
        assert!(lower.contains(&word.to_lowercase()), "{word:?} is not in: {}", errors[0]);
    }
    assert!(!log.contains("panicked"), "{log}");
    assert_nothing_left(&alone.alice, &alone.before);
}

/// The machine is as it was, but for keys and state, which are made once, and the empty folders of sockets.
fn assert_nothing_left(alice: &Node, before: &str) {
    let state = alice.state_dir();
    let after = alice.machine().footprint();
    let differs = |one: &str, other: &str| {
        let lasting = |line: &&str| !line.starts_with(&state) && !["/run/wgnet", "/run/wireguard"].contains(line);
        one.lines().filter(lasting).filter(|line| !other.contains(line)).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let (left, missing) = (differs(&after, before), differs(before, &after));
    assert!(left.is_empty() && missing.is_empty(), "left behind: {left:#?}\nmissing: {missing:#?}");
}

#[test]
fn a_full_disk() {
    let lab = Lab::new("disk full", Load::Light);
    let alone = alone(&lab, |machine, alice| {
        let state = alice.state_dir();
        machine.command("mkdir", &["-p", "-m", "700", &state]);
        machine.command("mount", &["-t", "tmpfs", "-o", "size=4k,mode=700", "full", &state]);
        // Until not a byte is left.
        machine
            .namespace()
            .attempt("dd", &["if=/dev/zero", &format!("of={state}/filler"), "bs=4096", "count=1"], "")
            .expect("one page fits");
    });
    fails_saying(&alone, &[&alone.alice.state_dir(), "space"]);
}

#[test]
fn a_state_directory_that_is_read_only() {
    let lab = Lab::new("disk read-only", Load::Light);
    let alone = alone(&lab, |machine, alice| {
        let state = alice.state_dir();
        machine.command("mkdir", &["-p", "-m", "700", &state]);
        machine.command("mount", &["-t", "tmpfs", "-o", "ro,mode=700", "readonly", &state]);
    });
    fails_saying(&alone, &[&alone.alice.state_dir(), "read-only"]);
}

/// Lets alice make her state, ends her, and gives back the files below her state directory.
fn state_files(alice: &Node) -> Vec<String> {
    alice.start();
    alice.is_ready(SOON);
    assert!(alice.stop().success());
    let files = alice.machine().command("find", &[&alice.state_dir(), "-type", "f"]);
    files.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn a_corrupt_key_is_never_replaced_silently() {
    let lab = Lab::new("state corrupt", Load::Light);
    let alone = alone(&lab, |machine, alice| {
        for file in state_files(alice) {
            machine.write(&file, "\u{1}\u{2}this is not what was written");
        }
    });
    fails_saying(&alone, &[&alone.alice.state_dir(), "restore"]);
}

#[test]
fn a_corrupt_copy_is_mended_from_the_previous_version() {
    let lab = Lab::new("state torn", Load::Light);
    let Alone { alice, .. } = &alone(&lab, |_, _| ());
    state_files(alice);
    let files = state_files(alice);
    alice.start();
    let before = alice.is_ready(SOON).node;
    assert!(alice.stop().success());
    for file in files.iter().filter(|file| !file.ends_with(".bak")) {
        let whole = std::fs::read(alice.machine().path(file)).expect("a state file");
        std::fs::write(alice.machine().path(file), &whole[..whole.len() / 2]).expect("a state file");
    }
    alice.start();
    let after = alice.is_ready(SOON).node;
    assert_eq!((before.identity, before.public_key), (after.identity, after.public_key));
}

#[test]
fn state_from_a_newer_version() {
    let lab = Lab::new("state newer", Load::Light);
    let alone = alone(&lab, |machine, alice| {
        for file in state_files(alice) {
            let path = machine.path(&file);
            let mut bytes = std::fs::read(&path).expect("a state file");
            // The version stands behind the five letters of the name and a byte for what is in the file.
            if bytes.starts_with(b"wgnet") {
                bytes[6] += 1;
                std::fs::write(&path, bytes).expect("a state file");
            }
        }
    });
    fails_saying(&alone, &[&alone.alice.state_dir(), "newer"]);
}

#[test]
fn an_interface_name_that_is_taken() {
    let lab = Lab::new("interface taken", Load::Light);
    let alone = alone(&lab, |machine, _| machine.ip("link add wg0 type bridge\nlink set wg0 up"));
    fails_saying(&alone, &["wg0", "exists"]);
    assert!(alone.alice.machine().interfaces().contains(&"wg0".to_owned()), "someone else's interface stays");
}

#[test]
fn a_second_daemon_for_the_same_interface() {
    let lab = Lab::new("started twice", Load::Light);
    let Alone { alice, .. } = &alone(&lab, |_, _| ());
    alice.start();
    alice.is_ready(SOON);
    let second = alice.machine().start(&alice.program());
    let status = second.wait(SOON);
    assert!(!status.success(), "{status}");
    assert!(second.log().text().contains("wg0"), "{}", second.log().text());
    alice.status().expect("the first one still runs");
    assert!(alice.machine().interfaces().contains(&"wg0".to_owned()));
}

#[test]
fn a_wireguard_port_that_is_taken() {
    port_taken("50000");
}

#[test]
fn an_admin_port_that_is_taken() {
    port_taken("55555");
}

fn port_taken(port: &str) {
    let lab = Lab::new("port taken", Load::Light);
    let alone = alone(&lab, |_, _| ());
    let address = format!("[::]:{port}");
    let taken = alone.alice.machine().namespace().run(move || std::net::UdpSocket::bind(address)).expect("a free port");
    fails_saying(&alone, &[port]);
    drop(taken);
    alone.alice.start();
    alone.alice.is_ready(SOON);
}

#[test]
fn no_permission() {
    let lab = Lab::new("no permission", Load::Light);
    let Alone { alice, before, .. } = &alone(&lab, |_, _| ());
    // Root without the capability to administer networks, as in a plain container.
    let program = alice.program().under(&["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
    let process = alice.machine().start(&program);
    let status = process.wait(SOON);
    let log = process.log().text();
    assert!(!status.success(), "{log}");
    assert!(log.contains("CAP_NET_ADMIN") || log.contains("root"), "{log}");
    assert_nothing_left(alice, before);
}

#[test]
fn no_tun_device() {
    let lab = Lab::new("no tun", Load::Light);
    let alone = alone(&lab, |machine, _| {
        machine.command("mkdir", &["/run/empty"]);
        machine.command("mount", &["--bind", "/run/empty", "/dev/net"]);
    });
    fails_saying(&alone, &["/dev/net/tun"]);
}

#[test]
fn no_network_file() {
    let lab = Lab::new("no network file", Load::Light);
    let alone = alone(&lab, |machine, alice| drop(machine.command("rm", &[&alice.network_file()])));
    fails_saying(&alone, &[&alone.alice.network_file(), "no such file"]);
}

#[test]
fn a_mistake_in_the_network_file_is_named_with_its_line() {
    let lab = Lab::new("mistake", Load::Light);
    let alone = alone(&lab, |machine, alice| {
        let text = network_of_row(1).to_string().replace("adminPort", "adminport");
        machine.write(&alice.network_file(), &text);
    });
    fails_saying(&alone, &["net.yaml:6:", "adminport", "adminPort"]);
}

#[test]
fn tunnels_that_cannot_be_had() {
    let kernel = ["kernel", "no WireGuard", "--tunnel userspace"];
    for (mode, says) in [("kernel", &kernel), ("existing", &["wg0", "ip link add wg0 type wireguard", "there"])] {
        let lab = Lab::new("tunnel mode", Load::Light);
        let alone = alone(&lab, |_, alice| alice.add_args(&["--tunnel", mode]));
        fails_saying(&alone, says);
    }
}

#[test]
fn a_killed_daemon_leaves_nothing_that_the_next_start_minds() {
    let lab = Lab::new("after a crash", Load::Light);
    let Alone { alice, before, .. } = &alone(&lab, |_, _| ());
    for _ in 0..3 {
        alice.start();
        alice.is_ready(SOON);
        alice.kill();
    }
    alice.start();
    alice.is_ready(SOON);
    assert!(alice.stop().success());
    assert_nothing_left(alice, before);
}

#[test]
fn other_programs_are_not_taken_for_the_daemon() {
    let lab = Lab::new("stale socket", Load::Light);
    let Alone { alice, .. } = &alone(&lab, |machine, alice| machine.write(&alice.socket(), ""));
    // A file that is no socket is someone else's: it is named, or replaced, but never a reason to hang.
    alice.start();
    let ended = netns_tests::until(SOON, || (!alice.runs() || alice.status().is_ok()).then_some(()));
    assert!(ended.is_some(), "{}", alice.log().text());
    let asked = alice.machine().start(&Program::new(netns_tests::node::binary().display().to_string()).args([
        "status",
        "--socket",
        "/run/none.sock",
    ]));
    assert!(!asked.wait(SOON).success());
    assert!(asked.log().text().contains("/run/none.sock"), "{}", asked.log().text());
}
