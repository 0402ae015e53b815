//! Whole devices, one in each namespace.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::lab::{
    CONTROL, Host, Lab, Namespace, PATIENCE, PORT, Underlay, config, connect, eventually, now, prefix, unique_name,
};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::EndpointHint;
use crate::tunnel::userspace::{UAPI_DIRECTORY, Userspace};
use crate::tunnel::{Tunnel, TunnelError};

#[test]
fn two_devices_carry_both_families_over_ipv4() {
    carries_both_families(Underlay::V4);
}

#[test]
fn two_devices_carry_both_families_over_ipv6() {
    carries_both_families(Underlay::V6);
}

fn carries_both_families(family: Underlay) {
    let lab = Lab::new();
    let (mut a, mut b) = (lab.host(1), lab.host(2));
    connect(&mut a, &mut b, family);
    a.namespace.must_ping(b.v4);
    a.namespace.must_ping(b.v6);
    b.namespace.must_ping(a.link);
    let report = a.report(b.key);
    assert_eq!(report.endpoint, Some(b.underlay(family)));
    assert!(report.handshake_age.is_some_and(|age| age < PATIENCE));
    assert!(report.data_packets >= 120 && report.rx_bytes > 60_000 && report.tx_bytes > 60_000, "{report:?}");
}

#[test]
fn the_first_packet_arrives_without_a_second_try() {
    let lab = Lab::new();
    let (mut a, mut b) = (lab.host(1), lab.host(2));
    connect(&mut a, &mut b, Underlay::V4);
    assert!(a.namespace.pings(b.v4));
}

#[test]
fn a_node_with_two_addresses_answers_from_the_one_it_was_asked_at() {
    for family in [Underlay::V4, Underlay::V6] {
        let lab = Lab::new();
        let (mut a, mut b) = (lab.host(1), lab.host(2));
        b.namespace.ip("addr add 192.0.2.102/24 dev eth0");
        b.namespace.ip("addr add 2001:db8::102/64 dev eth0 nodad");
        let second = match family {
            Underlay::V4 => "192.0.2.102",
            Underlay::V6 => "2001:db8::102",
        };
        let second = SocketAddr::new(second.parse().expect("an address"), PORT);
        let (mut there, mut back) = (b.as_peer(family), a.as_peer(family));
        there.endpoint = Some(EndpointHint { address: second, serial: 1 });
        back.endpoint = None;
        b.set(vec![back], false);
        a.set(vec![there], false);
        a.namespace.must_ping(b.v4);
        b.namespace.must_ping(a.v4);
        assert_eq!(a.report(b.key).endpoint, Some(second), "it would have roamed to the address of an answer");
        // When that address goes, the kernel chooses another and the tunnel goes on.
        b.namespace.ip(&format!("addr del {}/{} dev eth0", second.ip(), if second.is_ipv4() { 24 } else { 64 }));
        b.namespace.must_ping(a.v4);
        assert_eq!(a.report(b.key).endpoint, Some(b.underlay(family)));
    }
}

#[test]
fn the_largest_packet_passes_and_a_larger_one_is_fragmented_inside() {
    let lab = Lab::new();
    let (mut a, mut b) = (lab.host(1), lab.host(2));
    connect(&mut a, &mut b, Underlay::V4);
    a.namespace.must_ping(b.v4);
    a.namespace.run(&format!("ping -n -q -c 3 -i 0.01 -W 2 -M do -s 1392 {}", b.v4));
    a.namespace.run(&format!("ping -n -q -c 3 -i 0.01 -W 2 -s 8000 {}", b.v4));
}

#[test]
fn control_datagrams_pass_without_ipv6_in_the_kernel() {
    let lab = Lab::new();
    let (mut a, mut b) = (lab.host(1), lab.host(2));
    for host in [&a, &b] {
        host.namespace.run("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1");
    }
    connect(&mut a, &mut b, Underlay::V4);
    let start = now();
    a.tunnel.send_control(SocketAddrV6::new(b.link, CONTROL, 0, 0), b"hello");
    let datagram = b.control.recv_timeout(PATIENCE).expect("it arrives");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!((datagram.from, &datagram.payload[..]), (a.link, &b"hello"[..]));
    b.tunnel.send_control(SocketAddrV6::new(a.link, CONTROL, 0, 0), b"hello yourself");
    assert_eq!(a.control.recv_timeout(PATIENCE).expect("it arrives").payload, b"hello yourself");
    assert_eq!((a.report(b.key).data_packets, b.report(a.key).data_packets), (0, 0));
}

#[test]
fn a_gateway_forwards_and_shows_in_a_traceroute() {
    let lab = Lab::new();
    let (mut a, mut gateway, mut c) = (lab.host(1), lab.host(2), lab.host(3));
    for (leaf, other) in
        [(&mut a, (c.v4, c.v6)), (&mut c, (Ipv4Addr::new(10, 1, 1, 1), "fd01::1".parse().expect("an address")))]
    {
        let mut through = gateway.as_peer(Underlay::V4);
        through.allowed.extend([prefix(other.0), prefix(other.1)]);
        leaf.set(vec![through], false);
    }
    gateway.set(vec![a.as_peer(Underlay::V4), c.as_peer(Underlay::V4)], true);
    a.namespace.must_ping(c.v4);
    a.namespace.must_ping(c.v6);
    let answer = |line: String| {
        String::from_utf8_lossy(&a.namespace.command(&line).output().expect("ping runs").stdout).into_owned()
    };
    let v4 = answer(format!("ping -n -c 1 -W 2 -t 1 {}", c.v4));
    assert!(v4.contains(&format!("From {} icmp_seq=1 Time to live exceeded", gateway.v4)), "{v4}");
    let v6 = answer(format!("ping -n -c 1 -W 2 -t 1 {}", c.v6));
    assert!(v6.contains(&format!("From {} icmp_seq=1 Time exceeded: Hop limit", gateway.v6)), "{v6}");
    a.namespace.run(&format!("ping -n -c 1 -W 2 -t 2 {}", c.v4));

    gateway.set(vec![a.as_peer(Underlay::V4), c.as_peer(Underlay::V4)], false);
    assert!(!a.namespace.pings(c.v4), "it does not forward any more");
    assert!(a.namespace.pings(gateway.v4));
}

#[test]
fn a_local_program_is_told_at_once_that_nobody_owns_the_address() {
    let lab = Lab::new();
    let a = lab.host(1);
    for to in ["10.1.1.99", "fd01::99"] {
        let start = now();
        let output = a.namespace.command(&format!("ping -n -c 1 -W 5 {to}")).output().expect("ping runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("nreachable"), "{said}");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
}

/// A socket of the namespace, bound to `address`.
fn udp(host: &Host, address: SocketAddr) -> UdpSocket {
    host.namespace.enter(|| UdpSocket::bind(address)).expect("a socket")
}

#[test]
fn a_moving_prefix_is_accepted_from_both_peers_for_two_seconds_and_then_from_its_owner() {
    let lab = Lab::new();
    let (mut a, mut b, mut c) = (lab.host(1), lab.host(2), lab.host(3));
    let moving = Ipv4Addr::new(10, 9, 0, 1);
    for leaf in [&mut a, &mut c] {
        leaf.namespace.ip(&format!("addr add {moving}/32 dev lo"));
        leaf.set(vec![b.as_peer(Underlay::V4)], false);
    }
    let receiver = udp(&b, SocketAddr::from((b.v4, 9000)));
    receiver.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let to = receiver.local_addr().expect("an address");
    let peers = |owner: u8| {
        [&a, &c].map(|leaf| {
            let mut peer = leaf.as_peer(Underlay::V4);
            if leaf.number == owner {
                peer.allowed.push(prefix(moving));
            }
            peer
        })
    };
    let (first, then) = (peers(1).to_vec(), peers(3).to_vec());
    let send = |host: &Host, from: Ipv4Addr, word: &[u8]| {
        udp(host, SocketAddr::from((from, 0))).send_to(word, to).expect("sent");
    };
    let received = || {
        let mut buffer = [0; 64];
        let length = receiver.recv(&mut buffer).expect("a datagram");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    // What comes behind a refused packet, from an address that is surely accepted, shows that it was refused.
    b.set(first, false);
    send(&a, moving, b"owner");
    assert_eq!(received(), "owner");
    send(&c, moving, b"stranger");
    send(&c, c.v4, b"behind the stranger");
    assert_eq!(received(), "behind the stranger");

    // The device's thread counts from a moment between these two.
    let asked = now();
    b.set(then, false);
    let moved = now();
    send(&a, moving, b"old owner");
    assert_eq!(received(), "old owner");
    send(&c, moving, b"new owner");
    assert_eq!(received(), "new owner");
    assert!(moved.elapsed() < Duration::from_secs(2), "this machine is too slow for this test");
    eventually("the grace ends", || {
        send(&a, moving, b"late");
        send(&a, a.v4, b"behind");
        let refused = received() == "behind";
        if !refused {
            assert_eq!(received(), "behind");
        }
        refused.then_some(())
    });
    let (longest, grace) = (asked.elapsed(), moved.elapsed());
    assert!(longest >= Duration::from_secs(2) && grace < Duration::from_secs(4), "{grace:?} to {longest:?}");
    send(&c, moving, b"owner now");
    assert_eq!(received(), "owner now");
}

#[test]
fn junk_does_not_stop_the_tunnel() {
    let lab = Lab::new();
    let (mut a, mut b) = (lab.host(1), lab.host(2));
    connect(&mut a, &mut b, Underlay::V4);
    a.namespace.must_ping(b.v4);
    let outside = lab.namespace(9);
    let to = b.underlay(Underlay::V4);
    let socket = outside.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).expect("a socket");
    let mut junk = [0; 200];
    for round in 0..20_000_usize {
        junk[0] = (round % 6) as u8;
        junk[4..8].copy_from_slice(&(round as u32).to_le_bytes());
        let length = [0, 1, 4, 31, 32, 64, 92, 148, 200][round % 9];
        let _ = socket.send_to(&junk[..length], to);
    }
    a.namespace.must_ping(b.v4);
    assert_eq!(b.report(a.key).endpoint, Some(a.underlay(Underlay::V4)));
}

#[test]
fn a_closed_device_leaves_nothing_behind() {
    for closed in [false, true] {
        let namespace = Namespace::new();
        let interface = unique_name("wg");
        let socket = Path::new(UAPI_DIRECTORY).join(format!("{interface}.sock"));
        let (config, _control) = config(&interface, 1);
        let tunnel: Box<dyn Tunnel> = Box::new(namespace.enter(|| Userspace::open(config)).expect("a device"));
        assert_eq!(tunnel.kind(), "userspace");
        assert!(namespace.ip("link show").contains(&interface) && socket.exists());
        if closed {
            tunnel.close();
        } else {
            drop(tunnel);
        }
        assert!(!socket.exists());
        // A program that another test starts holds copies of all descriptors until it runs.
        eventually("the interface is gone", || (!namespace.ip("link show").contains(&interface)).then_some(()));
        eventually("the port is free", || namespace.enter(|| UdpSocket::bind(("0.0.0.0", PORT))).ok());
    }
}

#[test]
fn the_loop_ends_with_a_reason_when_its_interface_is_removed() {
    let lab = Lab::new();
    let mut a = lab.host(1);
    a.namespace.ip(&format!("link del {}", a.interface));
    let error = eventually("the loop ends", || a.tunnel.report().err());
    let expected = format!("the interface {} was removed", a.interface);
    assert!(matches!(&error, TunnelError::Ended(reason) if *reason == expected), "{error}");
}

#[test]
fn an_own_key_among_the_peers_is_left_out() {
    let lab = Lab::new();
    let (mut a, b) = (lab.host(1), lab.host(2));
    let both = vec![a.as_peer(Underlay::V4), b.as_peer(Underlay::V4)];
    a.set(both, false);
    let keys: Vec<WgPublicKey> =
        a.tunnel.report().expect("a report").peers.iter().map(|peer| peer.public_key).collect();
    assert_eq!(keys, [b.key]);
}

/// Two renewals of every session, with traffic and with keepalives alone.
#[test]
#[ignore = "takes seven minutes"]
#[expect(clippy::disallowed_methods, reason = "time itself is what passes here")]
fn sessions_are_renewed_without_a_lost_packet_and_without_a_gap() {
    let lab = Lab::new();
    let (mut a, mut b, mut quiet) = (lab.host(1), lab.host(2), lab.host(3));
    let mut kept = quiet.as_peer(Underlay::V4);
    kept.keepalive = Some(5);
    a.set(vec![b.as_peer(Underlay::V4), kept], false);
    b.set(vec![a.as_peer(Underlay::V4)], false);
    quiet.set(vec![a.as_peer(Underlay::V4)], false);
    a.namespace.must_ping(b.v4);
    let mut pinging = a.namespace.command(&format!("ping -n -q -i 0.2 -c 2000 -W 2 {}", b.v4));
    let mut pinging = pinging.stdout(std::process::Stdio::piped()).spawn().expect("ping runs");
    let (mut last, mut renewals) = (Duration::ZERO, 0);
    while pinging.try_wait().expect("ping runs").is_none() {
        std::thread::sleep(Duration::from_secs(1));
        let age = quiet.report(a.key).handshake_age.expect("there was a handshake");
        assert!(age < Duration::from_secs(130), "no renewal for {age:?}");
        renewals += u32::from(age < last);
        last = age;
    }
    let said = String::from_utf8_lossy(&pinging.wait_with_output().expect("ping ran").stdout).into_owned();
    assert!(said.contains("2000 received"), "{said}");
    assert!(renewals >= 2, "{renewals} renewals");
}
