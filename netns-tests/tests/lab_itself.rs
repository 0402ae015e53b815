//! The lab keeps its promises: NAT routers, cuts, impairments, clocks and clean-up behave before any daemon is tested in it.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests measure real time; one speaks to its parent"
)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use netns_tests::{Flow, Impairment, Lab, Load, Machine, Nat, Program, Segment, Swarm, until};
use wgnet_api::PathKind;

const TICK: Duration = Duration::from_millis(5);
const SOON: Duration = Duration::from_secs(5);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Sends a datagram from `from` to `to` and gives back the source that the receiver saw, if it came within half a second.
fn source_seen(from: (&Machine, &str), to: (&Machine, &str)) -> Option<SocketAddr> {
    let (inside, outside) = (socket(from.0, from.1), socket(to.0, to.1));
    send(&inside, to.1);
    receive(&outside)
}

fn socket(machine: &Machine, address: &str) -> UdpSocket {
    let address = address.to_owned();
    let socket = machine.namespace().run(move || UdpSocket::bind(address)).expect("a free port");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    socket
}

fn send(socket: &UdpSocket, to: &str) {
    socket.send_to(b"hello", to).expect("sent");
}

fn receive(socket: &UdpSocket) -> Option<SocketAddr> {
    socket.recv_from(&mut [0; 64]).ok().map(|(_, source)| source)
}

fn reaches(from: &Machine, source: &str, target: &str) -> bool {
    let flow = Flow::start(from, ip(source), ip(target), TICK);
    let answered = || flow.report(Instant::now()).round_trips().map(drop);
    until(Duration::from_millis(400), answered).is_some()
}

fn two_on(segment: &Segment, lab: &Lab) -> (Machine, Machine) {
    let alice = lab.machine_on(segment, "alice", &["192.0.2.1/24", "2001:db8::1/64"]);
    let bob = lab.machine_on(segment, "bob", &["192.0.2.2/24", "2001:db8::2/64"]);
    (alice, bob)
}

#[test]
fn machines_on_a_segment_reach_each_other_over_both_families_at_once() {
    let lab = Lab::new("segment", Load::Light);
    for segment in [lab.bridge("bridge"), lab.impaired("switch", 1)] {
        let (alice, bob) = two_on(&segment, &lab);
        assert!(reaches(&alice, "192.0.2.1", "192.0.2.2"), "IPv4 on {}", segment.name());
        assert!(reaches(&bob, "2001:db8::2", "2001:db8::1"), "IPv6 on {}", segment.name());
    }
}

#[test]
fn a_cut_in_one_direction_leaves_the_other_and_heals() {
    let lab = Lab::new("cut", Load::Light);
    for segment in [lab.bridge("bridge"), lab.impaired("switch", 1)] {
        let (alice, bob) = two_on(&segment, &lab);
        segment.cut_one_way(&alice, &bob);
        assert_eq!(source_seen((&alice, "192.0.2.1:9000"), (&bob, "192.0.2.2:9000")), None);
        assert_eq!(source_seen((&alice, "[2001:db8::1]:9000"), (&bob, "[2001:db8::2]:9000")), None);
        assert!(source_seen((&bob, "192.0.2.2:9000"), (&alice, "192.0.2.1:9000")).is_some());
        assert!(source_seen((&bob, "[2001:db8::2]:9000"), (&alice, "[2001:db8::1]:9000")).is_some());
        segment.heal(&alice, &bob);
        assert!(source_seen((&alice, "192.0.2.1:9000"), (&bob, "192.0.2.2:9000")).is_some());
    }
}

#[test]
fn a_partition_separates_the_halves_and_nothing_else() {
    let lab = Lab::new("partition", Load::Light);
    let segment = lab.bridge("bridge");
    let machine = |n: usize| lab.machine_on(&segment, &format!("m{n}"), &[&format!("192.0.2.{n}/24")]);
    let machines = [machine(1), machine(2), machine(3), machine(4)];
    let [a, b, c, d] = &machines;
    segment.partition(&[a, b], &[c, d]);
    assert!(reaches(a, "192.0.2.1", "192.0.2.2") && reaches(c, "192.0.2.3", "192.0.2.4"));
    assert!(!reaches(a, "192.0.2.1", "192.0.2.3") && !reaches(d, "192.0.2.4", "192.0.2.2"));
    segment.heal_all();
    assert!(reaches(a, "192.0.2.1", "192.0.2.3") && reaches(d, "192.0.2.4", "192.0.2.2"));
}

/// ```text
///   alice --- lan --- router --- internet --- { bob, carol }
/// ```
fn home(lab: &Lab, nat: Nat) -> (Segment, Segment, [Machine; 4]) {
    let (internet, lan) = (lab.bridge("internet"), lab.bridge("lan"));
    let bob = lab.machine_on(&internet, "bob", &["192.0.2.2/24"]);
    let carol = lab.machine_on(&internet, "carol", &["192.0.2.3/24"]);
    let router = lab.router("router", (&internet, &["192.0.2.1/24"]), (&lan, &["192.168.1.1/24"]), nat);
    let alice = lab.machine_on(&lan, "alice", &["192.168.1.2/24"]);
    alice.ip("route add default via 192.168.1.1");
    (internet, lan, [alice, bob, carol, router])
}

#[test]
fn a_home_router_shows_one_endpoint_to_everyone_and_lets_only_replies_in() {
    let lab = Lab::new("home router", Load::Light);
    let (_internet, _lan, [alice, bob, carol, _router]) = home(&lab, Nat::KeepsPorts);
    let inside = socket(&alice, "192.168.1.2:9000");
    let (at_bob, at_carol) = (socket(&bob, "192.0.2.2:9000"), socket(&carol, "192.0.2.3:9000"));
    send(&inside, "192.0.2.2:9000");
    let seen = receive(&at_bob).expect("arrives");
    assert_eq!(seen, "192.0.2.1:9000".parse().expect("an endpoint"));
    send(&at_carol, "192.0.2.1:9000");
    assert_eq!(receive(&inside), None, "alice never spoke to carol");
    send(&at_bob, "192.0.2.1:9000");
    assert!(receive(&inside).is_some(), "a reply");
    send(&inside, "192.0.2.3:9000");
    assert_eq!(receive(&at_carol), Some(seen), "the same endpoint for carol");
}

#[test]
fn a_symmetric_router_shows_each_destination_another_port() {
    let lab = Lab::new("symmetric router", Load::Light);
    let (_internet, _lan, [alice, bob, carol, _router]) = home(&lab, Nat::RandomPorts);
    let inside = socket(&alice, "192.168.1.2:9000");
    let (at_bob, at_carol) = (socket(&bob, "192.0.2.2:9000"), socket(&carol, "192.0.2.3:9000"));
    send(&inside, "192.0.2.2:9000");
    send(&inside, "192.0.2.3:9000");
    let (seen_by_bob, seen_by_carol) = (receive(&at_bob).expect("arrives"), receive(&at_carol).expect("arrives"));
    assert_eq!((seen_by_bob.ip(), seen_by_carol.ip()), (ip("192.0.2.1"), ip("192.0.2.1")));
    assert_ne!(seen_by_bob.port(), seen_by_carol.port());
    send(&at_bob, &seen_by_bob.to_string());
    assert!(receive(&inside).is_some(), "a reply");
}

#[test]
fn a_firewall_lets_only_replies_in() {
    let lab = Lab::new("firewall", Load::Light);
    let segment = lab.bridge("bridge");
    let (alice, bob) = two_on(&segment, &lab);
    alice.firewall("eth0");
    assert!(!reaches(&bob, "192.0.2.2", "192.0.2.1") && !reaches(&bob, "2001:db8::2", "2001:db8::1"));
    assert!(reaches(&alice, "192.0.2.1", "192.0.2.2") && reaches(&alice, "2001:db8::1", "2001:db8::2"));
}

#[test]
fn an_nat_behind_an_nat_reaches_out() {
    let lab = Lab::new("nested NAT", Load::Light);
    let (_internet, lan, [_alice, bob, _carol, _router]) = home(&lab, Nat::KeepsPorts);
    let room = lab.bridge("room");
    let inner = lab.router("inner", (&lan, &["192.168.1.9/24"]), (&room, &["10.0.0.1/24"]), Nat::RandomPorts);
    inner.ip("route add default via 192.168.1.1");
    let dora = lab.machine_on(&room, "dora", &["10.0.0.2/24"]);
    dora.ip("route add default via 10.0.0.1");
    let seen = source_seen((&dora, "10.0.0.2:9000"), (&bob, "192.0.2.2:9000")).expect("arrives");
    assert_eq!(seen.ip(), ip("192.0.2.1"));
}

#[test]
fn an_impaired_segment_delays_loses_doubles_and_reorders_as_told() {
    let lab = Lab::new("impaired", Load::Light);
    let segment = lab.impaired("switch", 7);
    let (alice, bob) = two_on(&segment, &lab);
    let probe = |count: usize| {
        let flow = Flow::start(&alice, ip("192.0.2.1"), ip("192.0.2.2"), Duration::from_millis(1));
        until(SOON, || (flow.report(Instant::now()).sent() >= count).then_some(())).expect("probes are sent");
        flow.stop()
    };
    let clean = probe(300);
    assert_eq!((clean.lost(), clean.duplicates(), clean.overtaken()), (0, 0, 0), "{clean}");

    segment.impair(&alice, &bob, Impairment::delay(Duration::from_millis(30)));
    let (longest, median) = probe(100).round_trips().expect("answers");
    assert!((30..40).contains(&median.as_millis()), "30 ms one way, and {median:?} both ways");
    assert!(longest < Duration::from_millis(60), "{longest:?}");

    segment.impair(&alice, &bob, Impairment { jitter: Duration::from_millis(20), ..Impairment::default() });
    let jittered = probe(300);
    assert_eq!((jittered.lost(), jittered.overtaken()), (0, 0), "jitter keeps the order: {jittered}");

    segment.impair(&alice, &bob, Impairment { loss: 0.2, duplicates: 0.1, reordering: 0.1, ..Impairment::default() });
    let rough = probe(1000);
    let share = |count: usize| count as f64 / rough.sent() as f64;
    assert!((0.15..0.25).contains(&share(rough.lost())), "{rough}");
    assert!((0.04..0.14).contains(&share(rough.duplicates())), "{} doubled of {rough}", rough.duplicates());
    assert!(rough.overtaken() > 20, "{} overtaken of {rough}", rough.overtaken());
}

#[test]
fn the_next_datagram_and_only_it_is_lost() {
    let lab = Lab::new("lose next", Load::Light);
    let segment = lab.impaired("switch", 1);
    let (alice, bob) = two_on(&segment, &lab);
    segment.lose_next(&alice, &bob, 1);
    assert!(reaches(&alice, "192.0.2.1", "192.0.2.2"), "pings are no UDP datagrams");
    assert_eq!(source_seen((&alice, "192.0.2.1:9000"), (&bob, "192.0.2.2:9000")), None);
    assert_eq!(segment.still_to_lose(&alice, &bob), 0);
    assert!(source_seen((&alice, "192.0.2.1:9000"), (&bob, "192.0.2.2:9000")).is_some());
}

#[test]
fn a_flow_tells_how_long_traffic_was_out() {
    let lab = Lab::new("flow", Load::Light);
    let segment = lab.bridge("bridge");
    let (alice, bob) = two_on(&segment, &lab);
    let flow = Flow::start(&alice, ip("192.0.2.1"), ip("192.0.2.2"), TICK);
    let start = Instant::now();
    flow.passes_after(start, SOON);
    let cut = Instant::now();
    segment.cut(&alice, &bob);
    until(SOON, || (cut.elapsed() > Duration::from_millis(500)).then_some(()));
    segment.heal(&alice, &bob);
    let healed = Instant::now();
    flow.passes_after(healed, SOON);
    let report = flow.stop();
    let out = report.recovery_after(cut).expect("traffic came back");
    assert!(out.abs_diff(healed - cut) < Duration::from_millis(40), "{out:?} of {:?}: {report}", healed - cut);
    assert_eq!(report.outages().len(), 1, "{report}");
    assert_eq!(report.lost_between(start, cut), 0, "{report}");
}

#[test]
fn a_machine_has_its_own_wall_clock_and_its_own_hosts() {
    let lab = Lab::new("clock", Load::Light);
    let machine = lab.machine("alice");
    let date = Program::new("date").args(["+%s"]);
    let told = |program: &Program| {
        let process = machine.start(program);
        assert!(process.wait(SOON).success());
        process.log().text().trim().parse::<i64>().expect("seconds")
    };
    let day = 86400;
    let offset = told(&netns_tests::clock::offset(date.clone(), "-1d")) - told(&date);
    assert!((-day - 2..=-day + 2).contains(&offset), "{offset} s");
    machine.hosts(&[("hub.example", ip("192.0.2.7"))]);
    machine.hosts(&[("hub.example", ip("192.0.2.8"))]);
    assert!(machine.command("getent", &["hosts", "hub.example"]).starts_with("192.0.2.8"));
}

#[test]
fn machines_do_not_see_each_others_files_and_leave_none() {
    let lab = Lab::new("files", Load::Light);
    let (alice, bob) = (lab.machine("alice"), lab.machine("bob"));
    alice.write("/run/wgnet/secret", "alice's");
    assert_eq!(alice.command("cat", &["/run/wgnet/secret"]), "alice's");
    assert!(bob.namespace().attempt("cat", &["/run/wgnet/secret"], "").is_err());
    assert!(!std::path::Path::new("/run/wgnet/secret").exists());
}

#[test]
fn a_process_is_stopped_and_its_last_words_are_kept() {
    let lab = Lab::new("process", Load::Light);
    let machine = lab.machine("alice");
    let script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done";
    let process = machine.start(&Program::new("sh").args(["-c", script]));
    process.wait_for_line("up", SOON);
    assert_eq!(process.stop(SOON).code(), Some(3));
    assert!(process.log().text().ends_with("bye"), "{}", process.log().text());
}

/// The test starts itself as another process that builds a lab and is killed in the middle of it.
#[test]
fn a_killed_test_leaves_no_namespace_and_no_process() {
    if std::env::var_os("LAB_TO_BE_KILLED").is_some() {
        let lab = Lab::new("to be killed", Load::Light);
        let segment = lab.bridge("bridge");
        let (alice, bob) = two_on(&segment, &lab);
        let sleeper = alice.start(&Program::new("sleep").args(["1000"]));
        println!("sleeper {}", sleeper.pid());
        println!(
            "inode {}",
            alice.namespace().run(|| std::fs::read_link("/proc/thread-self/ns/net").expect("a namespace")).display()
        );
        assert!(bob.start(&Program::new("sleep").args(["1000"])).wait(Duration::from_secs(600)).success());
    }
    let _lab = Lab::new("killer", Load::Light);
    let me = std::env::current_exe().expect("a test has a path");
    let mut child = Command::new(me)
        .args(["--exact", "a_killed_test_leaves_no_namespace_and_no_process", "--nocapture"])
        .env("LAB_TO_BE_KILLED", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the test starts itself");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped"))).map_while(Result::ok);
    let mut word =
        |key: &str| lines.by_ref().find_map(|line| line.split_once(key).map(|(_, rest)| rest.trim().to_owned()));
    let (sleeper, namespace) = (word("sleeper").expect("a process id"), word("inode").expect("a namespace"));
    child.kill().expect("own child can be killed");
    child.wait().expect("own child can be waited for");
    let sleeping = || std::fs::read_link(format!("/proc/{sleeper}/exe")).is_ok();
    until(SOON, || (!sleeping()).then_some(())).expect("the kernel ends what the test started");
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let inside = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path().join("ns/net")).is_ok_and(|link| link.to_string_lossy() == namespace)
    };
    assert_eq!(processes.filter(inside).count(), 0);
}

#[test]
fn members_of_a_swarm_join_their_hub_and_it_measures_each() {
    let lab = Lab::new("swarm", Load::Light);
    let swarm = Swarm::start(&lab, 24);
    swarm.hub().start();
    swarm.wait_for(24, Duration::from_secs(30));
    swarm.hub().wait_for("24 direct peers with a round trip", Duration::from_secs(30), |status| {
        let is_whole = |peer: &&wgnet_api::Peer| peer.path == PathKind::Direct && peer.rtt_ms.is_some();
        status.peers.iter().filter(is_whole).count() == 24
    });
}
