//! Compares how soon the kernel's tunnel is what it shall be with `wg syncconf`: 300 peers with 3,000 addresses.
//!
//! `netns-tests/kernel-vm target/release/reconcile [ROUNDS]`, built by `cargo build --release -p netns-tests --bin reconcile`.
//!
//! Both take turns with interfaces of their own, which are up, have a key, and must hold the same in the end: without a
//! key the kernel has nothing to work out for a new peer. `wg` is a process for each change; what its start costs is shown
//! as the time of `wg show` on an empty interface. Needs root, `ip` and `wg`.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark, for people")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ipnet::{IpNet, Ipv6Net};
use netns_tests::{Lab, Load};
use wgnet::mesh::ids::{NodeId, WgPublicKey};
use wgnet::mesh::io::{DesiredPeer, DesiredTunnel};
use wgnet::tunnel::Tunnel;
use wgnet::tunnel::device::ControlSocket;
use wgnet::tunnel::kernel::{Kernel, KernelConfig};
use zeroize::Zeroizing;

const PEERS: usize = 300;
/// Addresses of each peer, besides its link address.
const ADDRESSES: usize = 10;
/// This share of the peers goes, comes, or gives addresses away in a change.
const TENTH: usize = 10;
const OURS: &str = "wg-ours";
const THEIRS: &str = "wg-theirs";

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(5, |text| text.parse().expect("a number of rounds"));
    let lab = Lab::new("reconcile", Load::Alone);
    lab.machine("one").namespace().run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _inside = runtime.enter();
        compare(rounds);
    });
}

/// The private key of both.
const KEY: [u8; 32] = [0x48; 32];
const PORT: u16 = 50_000;
const THEIR_PORT: u16 = 50_001;

/// What both are asked for, in order.
fn steps() -> [(&'static str, DesiredTunnel); 4] {
    let before = peers(0, 0);
    let after = peers(PEERS / TENTH, 3);
    [
        ("everything new", before.clone()),
        ("nothing to do", before),
        ("a tenth differs", after),
        ("all gone", DesiredTunnel::default()),
    ]
}

/// The peers from number `first` on. Of each tenth one the address number `given` is its successor's.
fn peers(first: usize, given: usize) -> DesiredTunnel {
    let mut peers: Vec<DesiredPeer> = (first..first + PEERS)
        .map(|number| {
            let mut bytes = [0x40; 32];
            bytes[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            let link = NodeId(bytes).link_address(&network());
            let addresses = (0..ADDRESSES).map(|index| {
                let moves = given > 0 && index == given;
                let owner = if moves && number % TENTH == 0 {
                    number + 1
                } else if moves && number % TENTH == 1 {
                    number - 1
                } else {
                    number
                };
                IpNet::from(std::net::IpAddr::from(Ipv4Addr::from(0x0a00_0000 + (owner * 16 + index) as u32)))
            });
            let allowed = std::iter::once(IpNet::from(std::net::IpAddr::from(link))).chain(addresses).collect();
            DesiredPeer {
                public_key: WgPublicKey(bytes),
                link,
                endpoint: None,
                keepalive: None,
                allowed,
                accept: Vec::new(),
                generation: 0,
            }
        })
        .collect();
    peers.sort_by_key(|peer| peer.public_key);
    DesiredTunnel { peers, ..DesiredTunnel::default() }
}

fn network() -> wgnet::mesh::ids::NetworkId {
    wgnet::mesh::ids::NetworkId([7; 16])
}

fn compare(rounds: usize) {
    let mut times: BTreeMap<(usize, &str), Vec<Duration>> = BTreeMap::new();
    for _ in 0..rounds {
        run("ip", &["link", "add", THEIRS, "type", "wireguard"], "");
        run("wg", &["setconf", THEIRS, "/dev/stdin"], &configuration(&DesiredTunnel::default()));
        run("ip", &["link", "set", THEIRS, "up"], "");
        let started = Instant::now();
        run("wg", &["show", THEIRS], "");
        times.entry((usize::MAX, "wg")).or_default().push(started.elapsed());
        let mut ours = ours();
        run("ip", &["link", "set", OURS, "up"], "");
        for (number, (_, desired)) in steps().iter().enumerate() {
            let text = configuration(desired);
            let started = Instant::now();
            run("wg", &["syncconf", THEIRS, "/dev/stdin"], &text);
            times.entry((number, "wg")).or_default().push(started.elapsed());
            let started = Instant::now();
            ours.set(desired).expect("it can be set");
            times.entry((number, "wgnet")).or_default().push(started.elapsed());
            assert_eq!(holds(OURS), holds(THEIRS), "both hold the same");
        }
        ours.close();
        run("ip", &["link", "del", THEIRS], "");
    }
    let median = |key: &(usize, &str)| {
        let mut times = times[key].clone();
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    println!(
        "Medians of {rounds} rounds in ms: {PEERS} peers, {} prefixes. wg's process alone: {:.1}",
        PEERS * (ADDRESSES + 1),
        median(&(usize::MAX, "wg"))
    );
    for (number, (what, _)) in steps().iter().enumerate() {
        let (ours, theirs) = (median(&(number, "wgnet")), median(&(number, "wg")));
        println!("{what:16} wgnet {ours:8.1}   wg syncconf {theirs:8.1}   {:.2} x", ours / theirs);
    }
}

fn ours() -> Box<dyn Tunnel> {
    let own = run("wg", &["pubkey"], &BASE64.encode(KEY)).trim().parse().expect("a key");
    let link = NodeId([1; 32]).link_address(&network());
    let links: Ipv6Net = network().link_network();
    let config = KernelConfig {
        interface: OURS.to_owned(),
        private_key: Zeroizing::new(KEY),
        public_key: own,
        port: PORT,
        links,
    };
    let kernel = Kernel::open(config).unwrap_or_else(|refusal| panic!("no kernel tunnel: {refusal:?}"));
    let control = ControlSocket::open(OURS, link, 50_500, Box::new(drop));
    kernel.start(control).expect("the control port is free")
}

/// As `wg` reads it.
fn configuration(desired: &DesiredTunnel) -> String {
    // What the file does not say of the interface `syncconf` takes away.
    let mut text = format!("[Interface]\nPrivateKey = {}\nListenPort = {THEIR_PORT}\n", BASE64.encode(KEY));
    for peer in &desired.peers {
        let allowed = peer.allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        writeln!(text, "[Peer]\nPublicKey = {}\nAllowedIPs = {allowed}", peer.public_key).expect("a string takes all");
    }
    text
}

/// Which peers an interface has, and with which prefixes.
fn holds(interface: &str) -> Vec<Vec<String>> {
    let text = run("wg", &["show", interface, "allowed-ips"], "");
    let mut peers: Vec<Vec<String>> = text
        .lines()
        .map(|line| {
            let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            words[1..].sort_unstable();
            words
        })
        .collect();
    peers.sort_unstable();
    peers
}

fn run(program: &str, args: &[&str], input: &str) -> String {
    use std::io::Write as _;

    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads all");
    let output = child.wait_with_output().expect("own child can be waited for");
    assert!(output.status.success(), "{program} {args:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("words")
}
