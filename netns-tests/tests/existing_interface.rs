//! Interfaces that someone else made: used by the mesh, left as they were.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::path::Path;
use std::time::Duration;

use netns_tests::topology::{Ring, machine_of_row, network_of_row};
use netns_tests::{Device, Lab, Load, Machine, device, node, until};

const SOON: Duration = Duration::from_secs(20);

/// Somebody's peer, which has nothing to do with the mesh.
const STRANGER: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

fn wg(machine: &Machine, args: &[&str]) -> String {
    machine.command("wg", args).trim().to_owned()
}

/// Everything that a person can set, line by line and sorted; and the addresses.
fn as_it_is(machine: &Machine) -> (Vec<String>, String) {
    let lines = ["public-key", "listen-port", "allowed-ips", "persistent-keepalive", "preshared-keys"]
        .map(|what| wg(machine, &["show", "wg0", what]));
    let mut lines: Vec<String> = lines.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    lines.sort();
    (lines, machine.command("ip", &["-brief", "address", "show", "dev", "wg0"]))
}

/// wgautomesh's way: interface, key and port are there, and peers of others.
fn is_used_and_left_as_it_was(program: &Path, options: &[&str]) {
    let lab = Lab::new("existing interface", Load::Light);
    let segment = lab.bridge("lan");
    let network = network_of_row(1);
    let [alice, bob] = [(1, "alice"), (2, "bob")]
        .map(|(n, name)| lab.node(&machine_of_row(&lab, &segment, n), &network, name, &[&format!("10.1.1.{n}")]));
    let machine = alice.machine();
    let device = Device::start(machine, "wg0", program, options);
    wg(machine, &["set", "wg0", "listen-port", "50000"]);
    device.add_peer(STRANGER, "192.0.2.77:7777", "10.1.1.99/32,10.1.1.2/32", &["persistent-keepalive", "7"]);
    let before = as_it_is(machine);

    alice.add_args(&["--tunnel", "existing"]);
    lab.start_all([&alice, &bob]);
    lab.all_pairs_pass([&alice, &bob], SOON);
    let status = alice.is_ready(SOON);
    assert_eq!((&*status.node.tunnel, &*status.node.public_key), ("existing", device.public_key()));
    let allowed = |peer: &str| {
        let all = wg(machine, &["show", "wg0", "allowed-ips"]);
        all.lines().find_map(|line| line.strip_prefix(peer)).map(str::trim).map(str::to_owned)
    };
    assert_eq!(allowed(STRANGER).as_deref(), Some("10.1.1.99/32"), "what the mesh does not need stays");

    // Another program takes the peer away: it comes back.
    let bobs_key = bob.is_ready(SOON).node.public_key;
    wg(machine, &["set", "wg0", "peer", &bobs_key, "remove"]);
    until(SOON, || allowed(&bobs_key).filter(|prefixes| prefixes.contains("10.1.1.2/32"))).expect("bob's peer is back");
    lab.all_pairs_pass([&alice, &bob], SOON);

    assert!(alice.stop().success());
    assert_eq!(as_it_is(machine), before);
}

#[test]
fn one_of_wireguard_go_is_used_and_left_as_it_was() {
    is_used_and_left_as_it_was(Path::new("wireguard-go"), &[]);
}

/// It ends itself when a peer that exists is changed: such peers are made anew.
#[test]
fn one_of_boringtun_is_used_and_left_as_it_was() {
    is_used_and_left_as_it_was(&device::boringtun(), &["--disable-drop-privileges"]);
}

/// With `--long`, for it takes minutes to build.
#[cfg(feature = "long")]
#[test]
fn one_of_gotatun_is_used_and_left_as_it_was() {
    is_used_and_left_as_it_was(&device::gotatun(), &["--disable-drop-privileges"]);
}

/// wg_netmanager's way: an interface without key and port. And a ring of equal cost, where the way back must be the way
/// there reversed, over another WireGuard than ours and the kernel's forwarding.
#[test]
fn a_ring_of_gateways_over_bare_interfaces_of_wireguard_go() {
    let lab = Lab::new("ring over wireguard-go", Load::Alone);
    let ring = Ring::new(&lab);
    let _programs: Vec<_> = ring
        .nodes()
        .map(|node| {
            node.add_args(&["--tunnel", "existing"]);
            device::bare(node.machine(), node.interface(), Path::new("wireguard-go"), &[])
        })
        .collect();
    lab.start_all(ring.nodes());
    lab.all_pairs_pass(ring.nodes(), Duration::from_secs(60));
    for cost in ["900", "clear"] {
        for (node, peer) in [(0, 1), (1, 0)] {
            let gateway = &ring.gateways[node];
            let binary = node::binary().display().to_string();
            let words = ["cost", ring.gateways[peer].name(), cost, "--socket", &gateway.socket()];
            gateway.machine().command(&binary, &words);
        }
        lab.all_pairs_pass(ring.nodes(), SOON);
    }
}

#[test]
fn another_port_than_the_network_file_says_is_an_error_that_says_so() {
    let lab = Lab::new("existing port", Load::Light);
    let segment = lab.bridge("lan");
    let alice = lab.node(&machine_of_row(&lab, &segment, 1), &network_of_row(1), "alice", &["10.1.1.1"]);
    let device = Device::start(alice.machine(), "wg0", Path::new("wireguard-go"), &[]);
    let before = as_it_is(alice.machine());
    alice.add_args(&["--tunnel", "existing"]);
    alice.start();
    until(SOON, || (!alice.runs()).then_some(())).expect("it ends");
    let log = alice.log().text();
    assert!(["wg0", "51820", "50000", "-w"].iter().all(|word| log.contains(word)), "{log}");
    assert_eq!(as_it_is(alice.machine()), before);
    drop(device);
}
