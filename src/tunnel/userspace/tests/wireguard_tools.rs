//! `wg` against the embedded tunnel, and another implementation as its peer.

use std::io::Write;
use std::process::{Child, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boringtun::x25519::{PublicKey, StaticSecret};

use super::lab::{Host, Lab, Namespace, PORT, Underlay, eventually, overlay, prefix, random_key, unique_name};
use super::transfer::{bursts_pass, transfer};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredPeer, EndpointHint};
use crate::tunnel::Tunnel as _;

#[test]
fn wg_shows_the_device_and_its_peers() {
    let lab = Lab::new();
    let (mut a, mut b) = (lab.host(1), lab.host(2));
    let mut wanted = b.as_peer(Underlay::V4);
    wanted.keepalive = Some(25);
    a.set(vec![wanted], false);
    b.set(vec![a.as_peer(Underlay::V4)], false);
    a.namespace.must_ping(b.v4);
    let shown = a.wg(&format!("show {}", a.interface));
    for expected in [
        format!("interface: {}", a.interface),
        format!("public key: {}", a.key),
        format!("listening port: {PORT}"),
        format!("peer: {}", b.key),
        format!("endpoint: 192.0.2.2:{PORT}"),
        "allowed ips: 10.1.1.2/32, fd01::2/128, fd02::2/128".to_owned(),
        "latest handshake: ".to_owned(),
        "KiB received".to_owned(),
        "persistent keepalive: every 25 seconds".to_owned(),
    ] {
        assert!(shown.contains(&expected), "no {expected:?} in:\n{shown}");
    }
    let age = a.wg(&format!("show {} latest-handshakes", a.interface));
    let at: u64 = age.split_whitespace().last().and_then(|at| at.parse().ok()).expect("a time");
    let clock: u64 = a.namespace.run("date +%s").trim().parse().expect("a time");
    assert!(clock.abs_diff(at) <= 10, "{at} is not about {clock}");
}

#[test]
fn wg_adds_changes_and_removes_a_foreign_peer_that_the_mesh_leaves_alone() {
    let lab = Lab::new();
    let (mut a, mut b, foreign) = (lab.host(1), lab.host(2), lab.host(3));
    a.set(vec![b.as_peer(Underlay::V4)], false);
    b.set(vec![a.as_peer(Underlay::V4)], false);
    let (interface, key) = (a.interface.clone(), foreign.key);
    a.wg(&format!(
        "set {interface} fwmark 0x42 peer {key} endpoint 192.0.2.3:{PORT} allowed-ips 10.1.1.3/32,fd01::3/128 persistent-keepalive 7"
    ));
    foreign.wg(&format!("set {} peer {} allowed-ips 10.1.1.1/32", foreign.interface, a.key));
    a.set(vec![b.as_peer(Underlay::V4)], false);
    a.namespace.must_ping(foreign.v4);
    a.namespace.must_ping(b.v4);
    let mut foreign_prefixes = vec![prefix(foreign.v4), prefix(foreign.v6)];
    assert_eq!(a.report(key).allowed, foreign_prefixes);

    let shown = a.wg(&format!("showconf {interface}"));
    for expected in ["FwMark = 0x42", "PersistentKeepalive = 7", "Endpoint = 192.0.2.3:51820", "PrivateKey = "] {
        assert!(shown.contains(expected), "no {expected:?} in:\n{shown}");
    }
    // What was shown can be given back, and the mesh's peers keep their sessions.
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(shown.as_bytes()).expect("written");
    for verb in ["syncconf", "setconf", "addconf"] {
        let path = file.path().display();
        a.wg(&format!("{verb} {interface} {path}"));
        assert_eq!(a.wg(&format!("showconf {interface}")).len(), shown.len());
    }
    a.namespace.must_ping(b.v4);
    a.namespace.must_ping(foreign.v4);
    a.wg(&format!("set {interface} peer {key} allowed-ips 10.1.1.3/32"));
    foreign_prefixes.truncate(1);
    assert_eq!(a.report(key).allowed, foreign_prefixes);
    a.wg(&format!("set {interface} peer {key} allowed-ips 10.1.1.2/32,10.1.1.3/32"));
    assert_eq!(a.report(key).allowed, foreign_prefixes, "10.1.1.2 is the mesh's");
    a.wg(&format!("set {interface} peer {key} remove"));
    a.wg(&format!("set {interface} peer {} remove", b.key));
    let keys: Vec<WgPublicKey> =
        a.tunnel.report().expect("a report").peers.iter().map(|peer| peer.public_key).collect();
    assert_eq!(keys, [b.key], "the mesh's peer stays");
}

#[test]
fn wg_sets_a_preshared_key_but_neither_the_private_key_nor_the_port() {
    let lab = Lab::new();
    let (mut a, mut b) = (lab.host(1), lab.host(2));
    a.set(vec![b.as_peer(Underlay::V4)], false);
    b.set(vec![a.as_peer(Underlay::V4)], false);
    a.namespace.must_ping(b.v4);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{}", BASE64.encode(*random_key())).expect("written");
    let path = file.path().display();
    a.wg(&format!("set {} peer {} preshared-key {path}", a.interface, b.key));
    assert!(!a.namespace.pings(b.v4), "only one side has it");
    b.wg(&format!("set {} peer {} preshared-key {path}", b.interface, a.key));
    a.namespace.must_ping(b.v4);
    assert!(a.wg(&format!("show {}", a.interface)).contains("preshared key: (hidden)"));

    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{}", BASE64.encode(*random_key())).expect("written");
    let own =
        |host: &Host| ["public-key", "listen-port"].map(|what| host.wg(&format!("show {} {what}", host.interface)));
    let before = own(&a);
    a.wg(&format!("set {} listen-port 50999 private-key {}", a.interface, file.path().display()));
    assert_eq!(own(&a), before);
    a.namespace.must_ping(b.v4);
}

/// Debian's wireguard-go, which goes with its owner.
struct WireguardGo {
    interface: String,
    process: Child,
}

impl WireguardGo {
    fn start(namespace: &Namespace) -> Self {
        let interface = unique_name("go");
        let process = namespace
            .command(&format!("wireguard-go --foreground {interface}"))
            .env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1")
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::null())
            .spawn()
            .expect("wireguard-go is installed");
        let started = Self { interface, process };
        eventually("wireguard-go serves its socket", || {
            let shown = namespace.command(&format!("wg show {}", started.interface)).output().expect("wg runs");
            shown.status.success().then_some(())
        });
        started
    }
}

impl Drop for WireguardGo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(format!("/var/run/wireguard/{}.sock", self.interface));
    }
}

#[test]
fn a_peer_run_by_wireguard_go_exchanges_traffic_over_ipv4() {
    exchanges_traffic_with_wireguard_go(Underlay::V4);
}

#[test]
fn a_peer_run_by_wireguard_go_exchanges_traffic_over_ipv6() {
    exchanges_traffic_with_wireguard_go(Underlay::V6);
}

fn exchanges_traffic_with_wireguard_go(family: Underlay) {
    let lab = Lab::new();
    let mut ours = lab.host(1);
    let namespace = lab.namespace(2);
    let theirs = WireguardGo::start(&namespace);
    let private = random_key();
    let key = WgPublicKey(PublicKey::from(&StaticSecret::from(*private)).to_bytes());
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{}", BASE64.encode(*private)).expect("written");
    let (v4, v6, link) = overlay(2);
    let interface = &theirs.interface;
    namespace.run(&format!(
        "wg set {interface} listen-port {PORT} private-key {} peer {} allowed-ips {},{} endpoint {}",
        file.path().display(),
        ours.key,
        ours.v4,
        ours.v6,
        ours.underlay(family)
    ));
    namespace.ip(&format!("addr add {v4}/24 dev {interface}"));
    namespace.ip(&format!("addr add {v6}/64 dev {interface} nodad"));
    namespace.ip(&format!("link set {interface} mtu 1420 up"));
    let mut endpoint = ours.underlay(family);
    endpoint.set_ip(match family {
        Underlay::V4 => "192.0.2.2".parse().expect("an address"),
        Underlay::V6 => "2001:db8::2".parse().expect("an address"),
    });
    ours.set(
        vec![DesiredPeer {
            public_key: key,
            link,
            endpoint: Some(EndpointHint { address: endpoint, serial: 1 }),
            keepalive: None,
            allowed: vec![prefix(v4), prefix(v6), prefix(link)],
            accept: Vec::new(),
            generation: 0,
        }],
        false,
    );
    // Theirs begins, so that ours answers; then both directions and families.
    namespace.must_ping(ours.v4);
    ours.namespace.must_ping(v4);
    ours.namespace.must_ping(v6);
    namespace.must_ping(ours.v6);
    ours.namespace.run(&format!("ping -n -q -c 3 -i 0.01 -W 2 -M do -s 1392 {v4}"));
    transfer(&ours.namespace, &namespace, v4);
    transfer(&namespace, &ours.namespace, ours.v6);
    bursts_pass(&ours.namespace, &namespace, v4);
    bursts_pass(&namespace, &ours.namespace, ours.v6);
    assert!(ours.report(key).handshake_age.is_some());
}
