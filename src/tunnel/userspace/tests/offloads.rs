//! Whole devices under flows that the kernels put together, whatever the system on either end can do of it.

use std::net::SocketAddrV6;

use super::lab::{CONTROL, Host, Lab, Underlay, connect, eventually, prefix};
use super::transfer::{bursts_pass, transfer};
use crate::mesh::io::DesiredTunnel;
use crate::tunnel::Tunnel as _;
use crate::tunnel::userspace::Threads;

/// Echo requests, streams and bursts, both ways and in both families.
fn all_passes(a: &Host, b: &Host) {
    a.namespace.must_ping(b.v4);
    b.namespace.must_ping(a.v6);
    transfer(&a.namespace, &b.namespace, b.v4);
    transfer(&b.namespace, &a.namespace, a.v6);
    bursts_pass(&a.namespace, &b.namespace, b.v6);
    bursts_pass(&b.namespace, &a.namespace, a.v4);
}

#[test]
fn flows_pass_with_any_number_of_threads() {
    for threads in [Threads::One, Threads::Two, Threads::Three] {
        let lab = Lab::new();
        let (mut a, mut b) = (lab.host_with(1, true, threads), lab.host_with(2, true, threads));
        connect(&mut a, &mut b, Underlay::V4);
        all_passes(&a, &b);
    }
}

#[test]
fn flows_pass_where_one_end_or_none_has_offloads() {
    for (ours, theirs) in [(true, false), (false, false)] {
        let lab = Lab::new();
        let (mut a, mut b) = (lab.host_with(1, ours, Threads::Three), lab.host_with(2, theirs, Threads::Two));
        connect(&mut a, &mut b, Underlay::V6);
        all_passes(&a, &b);
    }
}

#[test]
fn flows_pass_whole_over_a_way_that_is_too_narrow_for_their_datagrams() {
    for family in [Underlay::V4, Underlay::V6] {
        let lab = Lab::new();
        let (mut a, mut b) = (lab.host(1), lab.host(2));
        for host in [&a, &b] {
            host.namespace.ip("link set eth0 mtu 1300");
        }
        connect(&mut a, &mut b, family);
        a.namespace.must_ping(b.v4);
        a.namespace.run(&format!("ping -n -q -c 3 -i 0.01 -W 2 -M do -s 1392 {}", b.v4));
        // Not even the first train is lost, which the system refuses.
        bursts_pass(&a.namespace, &b.namespace, b.v4);
        bursts_pass(&b.namespace, &a.namespace, a.v6);
        all_passes(&a, &b);
    }
}

#[test]
fn flows_pass_over_an_interface_that_leaves_work_to_the_kernel() {
    for feature in ["tx-udp-segmentation", "tx-checksum-ip-generic", "gso", "gro"] {
        let lab = Lab::new();
        let (mut a, mut b) = (lab.host(1), lab.host(2));
        for host in [&a, &b] {
            host.namespace.run(&format!("ethtool -K eth0 {feature} off"));
        }
        connect(&mut a, &mut b, Underlay::V4);
        a.namespace.must_ping(b.v4);
        bursts_pass(&a.namespace, &b.namespace, b.v4);
        transfer(&a.namespace, &b.namespace, b.v6);
    }
}

#[test]
fn flows_pass_through_a_gateway() {
    let lab = Lab::new();
    let (mut a, mut gateway, mut c) = (lab.host(1), lab.host_with(2, true, Threads::Two), lab.host(3));
    let mut to_c = gateway.as_peer(Underlay::V4);
    to_c.allowed.extend([prefix(c.v4), prefix(c.v6)]);
    let mut to_a = gateway.as_peer(Underlay::V4);
    to_a.allowed.extend([prefix(a.v4), prefix(a.v6)]);
    a.set(vec![to_c], false);
    c.set(vec![to_a], false);
    gateway.set(vec![a.as_peer(Underlay::V4), c.as_peer(Underlay::V4)], true);
    all_passes(&a, &c);
}

#[test]
fn flows_go_on_while_sessions_are_made_anew_and_other_peers_come_and_go() {
    let lab = Lab::new();
    let (mut a, mut b, other) = (lab.host(1), lab.host(2), lab.host(3));
    connect(&mut a, &mut b, Underlay::V4);
    a.namespace.must_ping(b.v4);
    let (mut peer, other) = (b.as_peer(Underlay::V4), other.as_peer(Underlay::V4));
    let Host { tunnel, namespace, .. } = &mut a;
    let mut renewals = 0;
    std::thread::scope(|scope| {
        let flow = scope.spawn(|| transfer(namespace, &b.namespace, b.v4));
        while !flow.is_finished() {
            peer.generation += 1;
            renewals += 1;
            let mut peers = vec![peer.clone()];
            peers.extend((peer.generation % 2 == 1).then(|| other.clone()));
            tunnel.set(&DesiredTunnel { peers, forward: false, ..DesiredTunnel::default() }).expect("the loop runs");
            // As the mesh does all the time; else the other end would find out only when nothing came for 15 s.
            tunnel.send_control(SocketAddrV6::new(b.link, CONTROL, 0, 0), b"hello");
            let mut packets = || {
                let report = tunnel.report().expect("the loop runs");
                report
                    .peers
                    .iter()
                    .find(|report| report.public_key == peer.public_key)
                    .expect("it is there")
                    .data_packets
            };
            let before = packets();
            eventually("the flow goes on", || (flow.is_finished() || packets() > before + 1_000).then_some(()));
        }
    });
    assert!(renewals > 2, "{renewals} renewals");
}
