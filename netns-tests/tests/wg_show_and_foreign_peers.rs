//! Other people's tools and peers: `wg show`, `wg set`, `wg syncconf`, wireguard-go, boringtun, gotatun.
//!
//! ```text
//!   alice: wgnet, 192.0.2.1, 2001:db8::1 ---- lan ---- stranger: one of them, 192.0.2.9, 2001:db8::9
//!          10.1.1.1, fd01::1                                     10.1.1.99, fd01::99
//! ```

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use netns_tests::topology::{Row, machine_of_row, network_of_row, row};
use netns_tests::{Device, Lab, Load, Machine, Node, Segment, device, until};

const SOON: Duration = Duration::from_secs(10);

/// Somebody's peer, which has nothing to do with the mesh.
const STRANGER: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

fn alice(lab: &Lab, segment: &Segment) -> Node {
    let mut network = network_of_row(1);
    network.subnets.push("fd01::/64".to_owned());
    network.peers[0].addresses.push("fd01::1".parse().expect("an address"));
    lab.node(&machine_of_row(lab, segment, 1), &network, "alice", &["10.1.1.1", "fd01::1"])
}

fn wg(machine: &Machine, args: &[&str]) -> String {
    machine.command("wg", args).trim().to_owned()
}

fn wireguard_go(machine: &Machine) -> Device {
    Device::start(machine, "wg9", Path::new("wireguard-go"), &[])
}

fn boringtun(machine: &Machine) -> Device {
    Device::start(machine, "wg9", &device::boringtun(), &["--disable-drop-privileges"])
}

#[cfg(feature = "long")]
fn gotatun(machine: &Machine) -> Device {
    Device::start(machine, "wg9", &device::gotatun(), &["--disable-drop-privileges"])
}

/// IPv4 and IPv6 inside, over each of IPv4 and IPv6 outside, begun by either side.
fn traffic_passes(start: fn(&Machine) -> Device) {
    for (outside, endpoint) in [("192.0.2.9", "192.0.2.1:50000"), ("2001:db8::9", "[2001:db8::1]:50000")] {
        let lab = Lab::new("foreign peer", Load::Light);
        let segment = lab.bridge("lan");
        let alice = alice(&lab, &segment);
        let stranger = lab.machine_on(&segment, "stranger", &["192.0.2.9/24", "2001:db8::9/64"]);
        alice.start();
        let key = alice.is_ready(SOON).node.public_key;
        let device = start(&stranger);
        device.add_peer(&key, endpoint, "10.1.1.0/24,fd01::/64", &["persistent-keepalive", "1"]);
        device.set_up(&["10.1.1.99/24", "fd01::99/64"]);
        let stranger_key = device.public_key();
        wg(alice.machine(), &["set", "wg0", "peer", stranger_key, "allowed-ips", "10.1.1.99/32,fd01::99/128"]);
        for (from, to) in [
            (&stranger, "10.1.1.1"),
            (&stranger, "fd01::1"),
            (alice.machine(), "10.1.1.99"),
            (alice.machine(), "fd01::99"),
        ] {
            let ping = || from.namespace().attempt("ping", &["-c1", "-W1", to], "").ok();
            until(SOON, ping).unwrap_or_else(|| panic!("{} does not reach {to} over {outside}", from.name()));
        }
        // Full-sized packets, too.
        stranger.command("ping", &["-c5", "-i0.2", "-W1", "-s", "1392", "-M", "do", "10.1.1.1"]);
        for (from, to, at) in [(&stranger, alice.machine(), "10.1.1.1"), (alice.machine(), &stranger, "fd01::99")] {
            transfer(from, to, at.parse().expect("an address"));
        }
        alice.wait_for("the stranger is shown as foreign, with its endpoint and bytes", SOON, |status| {
            let shown = status.peers.iter().find(|peer| peer.public_key.as_deref() == Some(stranger_key));
            shown.is_some_and(|peer| {
                let endpoint = peer.endpoint.as_deref().is_some_and(|endpoint| endpoint.contains(outside));
                peer.foreign && endpoint && peer.rx_bytes > 5 * 1420 && peer.tx_bytes > 5 * 1420
            })
        });
    }
}

/// Moves bytes over TCP to address `at` of `to`, and back. They arrive as they were.
fn transfer(from: &Machine, to: &Machine, at: IpAddr) {
    let listener = to.namespace().run(move || TcpListener::bind((at, 0))).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let near = from.namespace().run(move || TcpStream::connect_timeout(&address, SOON)).expect("a connection");
    let (far, _) = listener.accept().expect("the connection");
    // 4 MiB that repeat nowhere: every word is another.
    let content: Vec<u8> = (0..1_u32 << 20).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for (mut source, mut sink) in [(&near, &far), (&far, &near)] {
        for end in [source, sink] {
            end.set_read_timeout(Some(SOON)).and_then(|()| end.set_write_timeout(Some(SOON))).expect("timeouts");
        }
        let mut came = vec![0; content.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| source.write_all(&content).expect("it is taken"));
            sink.read_exact(&mut came).expect("it arrives");
        });
        assert!(came == content, "something else arrived in {}", to.name());
    }
}

#[test]
fn wireguard_go_exchanges_traffic_with_the_embedded_tunnel() {
    traffic_passes(wireguard_go);
}

#[test]
fn boringtun_exchanges_traffic_with_the_embedded_tunnel() {
    traffic_passes(boringtun);
}

/// With `--long`, for it takes minutes to build.
#[cfg(feature = "long")]
#[test]
fn gotatun_exchanges_traffic_with_the_embedded_tunnel() {
    traffic_passes(gotatun);
}

/// Two nodes that reach each other.
fn alice_and_bob(lab: &Lab) -> Row {
    let row = row(lab, lab.bridge("lan"), 2, &network_of_row(1));
    lab.start_all(&row.nodes);
    lab.all_pairs_pass(&row.nodes, SOON);
    row
}

#[test]
fn wg_show_tells_the_peers() {
    let lab = Lab::new("wg show", Load::Light);
    let Row { nodes, segment: _segment } = alice_and_bob(&lab);
    let [alice, bob] = &nodes[..] else { unreachable!("two nodes") };
    let (alice_key, bob_key) =
        (alice.status().expect("runs").node.public_key, bob.status().expect("runs").node.public_key);
    let machine = bob.machine();
    assert_eq!(wg(machine, &["show", "wg0", "public-key"]), bob_key);
    assert_eq!(wg(machine, &["show", "wg0", "listen-port"]), "50002");
    assert_eq!(wg(machine, &["show", "wg0", "peers"]), alice_key);
    assert_eq!(wg(machine, &["show", "wg0", "endpoints"]), format!("{alice_key}\t192.0.2.1:50000"));
    assert!(wg(machine, &["show", "wg0", "allowed-ips"]).contains("10.1.1.1/32"));
    let handshake = wg(machine, &["show", "wg0", "latest-handshakes"]);
    let seconds = handshake.split('\t').nth(1).and_then(|text| text.parse::<u64>().ok()).expect("a time");
    assert!(seconds > 1_600_000_000, "{handshake}");
    let transfer = |column: usize| {
        wg(machine, &["show", "wg0", "transfer"])
            .split('\t')
            .nth(column)
            .and_then(|text| text.parse::<u64>().ok())
            .expect("bytes")
    };
    let before = transfer(1);
    machine.command("ping", &["-c3", "-i0.2", "-W1", "-s", "1000", "10.1.1.1"]);
    until(SOON, || (transfer(1) >= before + 3000).then_some(())).expect("received bytes are counted");
    let text = wg(machine, &["show"]);
    assert!(text.contains("interface: wg0") && text.contains("latest handshake"), "{text}");
}

#[test]
fn a_peer_added_by_wg_set_is_kept_shown_and_removable() {
    let lab = Lab::new("wg set", Load::Light);
    let Row { nodes, segment: _segment } = alice_and_bob(&lab);
    let [alice, bob] = &nodes[..] else { unreachable!("two nodes") };
    let key = wg(alice.machine(), &["genkey"]);
    alice.machine().write("/run/key", &key);
    let key = alice.machine().command("sh", &["-c", "wg pubkey < /run/key"]).trim().to_owned();
    wg(
        alice.machine(),
        &[
            "set",
            "wg0",
            "peer",
            &key,
            "allowed-ips",
            "10.1.1.77/32",
            "endpoint",
            "192.0.2.77:51820",
            "persistent-keepalive",
            "25",
        ],
    );
    let shown = |status: &wgnet_api::Status| {
        status.peers.iter().any(|peer| peer.foreign && peer.public_key.as_deref() == Some(&key))
    };
    alice.wait_for("the foreign peer is shown", SOON, shown);
    // Changes of the mesh do not take it away.
    assert!(bob.stop().success());
    bob.start();
    lab.all_pairs_pass(&nodes, SOON);
    let peers = wg(alice.machine(), &["show", "wg0", "allowed-ips"]);
    assert!(peers.contains(&format!("{key}\t10.1.1.77/32")), "{peers}");
    assert!(!shown(&bob.status().expect("runs")), "it is alice's own affair");
    wg(alice.machine(), &["set", "wg0", "peer", &key, "remove"]);
    alice.wait_for("the foreign peer is gone", SOON, |status| !shown(status));
}

/// `wg syncconf` with somebody's file takes the key, the port and all peers away. What the mesh needs comes back, and the
/// file's own peer stays.
#[test]
fn what_wg_syncconf_takes_away_comes_back() {
    let lab = Lab::new("wg syncconf", Load::Light);
    let Row { nodes, segment: _segment } = alice_and_bob(&lab);
    let bob = nodes[1].machine();
    let of_mesh = || ["public-key", "listen-port", "peers"].map(|what| wg(bob, &["show", "wg0", what]));
    let before = of_mesh();
    bob.write("/run/others.conf", &format!("[Peer]\nPublicKey = {STRANGER}\nAllowedIPs = 10.1.1.77/32\n"));
    wg(bob, &["syncconf", "wg0", "/run/others.conf"]);
    let mended = || {
        let now = of_mesh();
        let peers: Vec<&str> = now[2].lines().collect();
        (now[..2] == before[..2] && peers.len() == 2 && peers.contains(&&*before[2]) && peers.contains(&STRANGER))
            .then_some(())
    };
    until(SOON, mended).unwrap_or_else(|| panic!("{before:?} became {:?}", of_mesh()));
    lab.all_pairs_pass(&nodes, SOON);
    assert!(wg(bob, &["show", "wg0", "allowed-ips"]).contains(&format!("{STRANGER}\t10.1.1.77/32")));
}
