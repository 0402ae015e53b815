//! The data planes of a few nodes: what happens to packets, datagrams and peers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};

use super::super::packet::tests::{ipv4, ipv6};
use super::super::packet::{Header, ICMP, UDP, UdpEnd, write_udp};
use super::super::peer::message;
use super::world::{CONTROL, MTU, World, host, kinds};
use crate::mesh::io::EndpointHint;

#[test]
fn a_packet_waits_for_the_handshake_and_arrives() {
    let mut world = World::pair();
    let packet = world.packet(0, 1, b"hello");
    world.tun(0, &packet);
    assert_eq!(kinds(&world.nodes[0].out), [message::INITIATION]);
    world.run();
    assert_eq!(world.delivered(1), [packet]);
    let (sent, got) = (world.report(0, 1), world.report(1, 0));
    assert_eq!((sent.data_packets, got.data_packets), (1, 1));
    assert_eq!((sent.tx_bytes, sent.rx_bytes), (got.rx_bytes, got.tx_bytes));
    assert!(sent.handshake_age.is_some() && got.handshake_age.is_some());
    let answer = world.packet(1, 0, b"hello yourself");
    world.tun(1, &answer);
    world.run();
    assert_eq!(world.delivered(0), [answer]);
}

#[test]
fn packets_are_padded_to_sixteen_bytes_but_never_above_the_mtu() {
    let mut world = World::pair();
    let sealed = |world: &mut World, payload: usize| {
        let packet = world.packet(0, 1, &vec![1; payload]);
        world.tun(0, &packet);
        let length = world.nodes[0].out.datagrams.back().map(|sent| sent.bytes.len() - 32);
        world.run();
        assert_eq!(world.delivered(1), [packet]);
        length
    };
    sealed(&mut world, 0);
    assert_eq!(sealed(&mut world, 1), Some(32));
    assert_eq!(sealed(&mut world, 12), Some(32));
    assert_eq!(sealed(&mut world, 13), Some(48));
    assert_eq!(sealed(&mut world, usize::from(MTU) - 20), Some(MTU.into()));
    assert_eq!(sealed(&mut world, usize::from(MTU) - 24), Some(MTU.into()));
}

#[test]
fn a_control_datagram_starts_a_handshake_and_never_reaches_the_kernel() {
    let mut world = World::pair();
    world.send_control(0, 1, b"hello");
    assert_eq!(kinds(&world.nodes[0].out), [message::INITIATION]);
    world.run();
    assert_eq!(world.nodes[1].out.control[0].from, world.nodes[0].link);
    assert_eq!(world.control(1), [b"hello"]);
    assert!(world.delivered(1).is_empty());
    assert_eq!(world.report(1, 0).data_packets, 0, "it is no packet of a user");
    assert_eq!(world.report(0, 1).data_packets, 0);
}

#[test]
fn only_the_newest_control_datagrams_wait_and_they_go_first() {
    let mut world = World::pair();
    let packet = world.packet(0, 1, b"data");
    world.tun(0, &packet);
    for number in 0..20 {
        world.send_control(0, 1, &[number]);
    }
    world.run();
    assert_eq!(world.control(1), (12..20).map(|number| vec![number]).collect::<Vec<_>>());
    assert_eq!(world.delivered(1), [packet]);
}

#[test]
fn control_datagrams_count_only_from_the_peers_own_link_address() {
    let mut world = World::pair();
    let mut wanted = world.peer(0);
    wanted.allowed.push(host(Ipv6Addr::LOCALHOST));
    world.set(1, vec![wanted], false);
    world.send_control(0, 1, b"real");
    world.run();
    assert_eq!(world.control(1), [b"real"]);
    let mut packet = vec![0; 256];
    let (to, payload) = (UdpEnd { address: world.nodes[1].link, port: CONTROL }, b"forged");
    for (address, right_checksum) in [(Ipv6Addr::LOCALHOST, true), (world.nodes[0].link, false)] {
        let length = write_udp(&mut packet, UdpEnd { address, port: CONTROL }, to, payload).expect("it fits");
        if !right_checksum {
            packet[length - 1] ^= 1;
        }
        world.tun(0, &packet[..length]);
        world.run();
    }
    assert!(world.control(1).is_empty());
    assert!(world.delivered(1).is_empty());
    assert_eq!(world.nodes[1].drops().control.get(), 2);
}

#[test]
fn a_lost_initiation_is_tried_again_after_a_quarter_second() {
    let mut world = World::pair();
    world.send_control(0, 1, b"hello");
    world.run_losing(|_, _| true);
    world.pass(Duration::from_millis(249));
    assert!(kinds(&world.nodes[0].out).is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(kinds(&world.nodes[0].out), [message::INITIATION]);
    world.run_losing(|_, _| true);
    world.pass(Duration::from_millis(500));
    world.run();
    assert_eq!(world.control(1), [b"hello"]);
    world.pass(Duration::from_secs(4));
    assert!(kinds(&world.nodes[0].out).is_empty(), "nothing is retried once there is a session");
}

#[test]
fn a_lost_response_is_made_good_by_the_retry() {
    let mut world = World::pair();
    world.send_control(0, 1, b"hello");
    world.run_losing(|_, datagram| datagram[0] == message::RESPONSE);
    assert_eq!(world.report(1, 0).handshake_age, None, "an answer that nobody took up is no handshake");
    world.pass(Duration::from_millis(250));
    world.run();
    assert_eq!(world.control(1), [b"hello"]);
}

#[test]
fn after_ninety_seconds_waiting_packets_are_given_up_and_a_new_one_starts_again() {
    let mut world = World::pair();
    let packet = world.packet(0, 1, b"old");
    world.tun(0, &packet);
    for _ in 0..400 {
        world.run_losing(|_, _| true);
        world.pass(Duration::from_millis(250));
    }
    assert!(kinds(&world.nodes[0].out).is_empty(), "it has given up");
    let packet = world.packet(0, 1, b"new");
    world.tun(0, &packet);
    world.run();
    assert_eq!(world.delivered(1), [packet]);
}

#[test]
fn what_the_responder_wants_to_send_goes_out_with_the_first_packet_of_the_session() {
    let mut world = World::pair();
    world.tun(1, &world.packet(1, 0, b"from the responder"));
    // Its own initiation is lost; the other side's handshake serves it.
    world.nodes[1].out.datagrams.clear();
    world.tun(0, &world.packet(0, 1, b"from the initiator"));
    world.run_losing(|from, datagram| from == 1 && datagram[0] == message::INITIATION);
    assert_eq!((world.delivered(0).len(), world.delivered(1).len()), (1, 1));
}

#[test]
fn a_lost_keepalive_of_the_handshake_does_not_hold_up_the_packet_behind_it() {
    let mut world = World::pair();
    world.tun(0, &world.packet(0, 1, b"first"));
    let mut lost = false;
    world.run_losing(|from, datagram| {
        let now = from == 0 && datagram[0] == message::DATA && !lost;
        lost |= now;
        now
    });
    assert_eq!(world.delivered(1).len(), 1);
}

#[test]
fn a_peer_with_a_keepalive_gets_a_session_at_once_and_a_packet_after_each_silence() {
    let mut world = World::pair();
    let mut wanted = world.peer(1);
    wanted.keepalive = Some(25);
    world.set(0, vec![wanted], false);
    assert_eq!(kinds(&world.nodes[0].out), [message::INITIATION]);
    world.run();
    world.pass(Duration::from_secs(24));
    assert!(kinds(&world.nodes[0].out).is_empty());
    world.pass(Duration::from_secs(1));
    assert_eq!(kinds(&world.nodes[0].out), [message::DATA]);
    world.run();
    assert!(world.delivered(1).is_empty());
}

#[test]
fn nothing_is_done_for_peers_that_sleep() {
    let mut world = World::pair();
    assert_eq!(world.nodes[0].plane.next_tick(), None);
    world.tun(0, &world.packet(0, 1, b"x"));
    assert!(world.nodes[0].plane.next_tick().is_some());
}

#[test]
fn the_source_is_checked_over_the_whole_device() {
    let mut world = World::new(3);
    let mut wide = world.peer(0);
    wide.allowed.push("10.1.0.0/16".parse().expect("a prefix"));
    let narrow = world.peer(2);
    world.set(1, vec![wide, narrow], false);
    let to_one = world.peer(1);
    world.set(0, vec![to_one], false);
    let from = |last: u8| ipv4(Ipv4Addr::new(10, 1, 1, last), Ipv4Addr::new(10, 1, 1, 2), 64, UDP, b"x");
    world.tun(0, &from(77));
    world.run();
    assert_eq!(world.delivered(1), [from(77)]);
    world.tun(0, &from(3));
    world.run();
    assert!(world.delivered(1).is_empty(), "10.1.1.3 is in its /16, but another peer owns it");
    assert_eq!(world.nodes[1].drops().source.get(), 1);
}

#[test]
fn a_moved_prefix_is_accepted_from_the_old_and_the_new_peer_for_two_seconds() {
    let mut world = World::new(3);
    let moving: ipnet::IpNet = "10.9.0.0/24".parse().expect("a prefix");
    for leaf in [0, 2] {
        let to_one = world.peer(1);
        world.set(leaf, vec![to_one], false);
    }
    let set = |world: &mut World, owner: usize| {
        let peers = [0, 2].map(|leaf| {
            let mut peer = world.peer(leaf);
            if leaf == owner {
                peer.allowed.push(moving);
            }
            peer
        });
        world.set(1, peers.to_vec(), false);
    };
    let arrives = |world: &mut World, from: usize| {
        let packet = ipv4(Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 1, 1, 2), 64, UDP, b"x");
        world.tun(from, &packet);
        world.run();
        !world.delivered(1).is_empty()
    };
    set(&mut world, 0);
    assert!(arrives(&mut world, 0) && !arrives(&mut world, 2));
    set(&mut world, 2);
    world.now += Duration::from_millis(1900);
    assert!(arrives(&mut world, 0) && arrives(&mut world, 2));
    world.now += Duration::from_millis(200);
    assert!(!arrives(&mut world, 0) && arrives(&mut world, 2));
}

#[test]
fn an_announced_prefix_is_accepted_while_it_stands() {
    let mut world = World::new(3);
    let to_one = world.peer(1);
    world.set(2, vec![to_one], false);
    let arrives = |world: &mut World| {
        world.tun(2, &world.packet(0, 1, b"x"));
        world.run();
        !world.delivered(1).is_empty()
    };
    let (owner, mut other) = (world.peer(0), world.peer(2));
    world.set(1, vec![owner.clone(), other.clone()], false);
    assert!(!arrives(&mut world));
    other.accept = vec!["10.1.1.0/24".parse().expect("a prefix")];
    world.set(1, vec![owner.clone(), other.clone()], false);
    assert!(!arrives(&mut world), "the owner's prefix is longer");
    other.accept = vec![host(world.nodes[0].v4)];
    world.set(1, vec![owner.clone(), other.clone()], false);
    assert!(arrives(&mut world));
    other.accept.clear();
    world.set(1, vec![owner, other], false);
    assert!(!arrives(&mut world));
}

#[test]
fn a_gateway_forwards_and_takes_one_hop() {
    let mut world = World::chain();
    world.tun(0, &world.packet(0, 2, b"through"));
    world.run();
    assert!(world.delivered(1).is_empty());
    let packet = world.delivered(2).pop().expect("it arrived");
    assert_eq!(packet[8], 63);
    assert_eq!(super::super::packet::fold(super::super::packet::add(0, &packet[..20])), 0xffff);
    assert_eq!((world.report(1, 0).data_packets, world.report(1, 2).data_packets), (1, 1));
}

#[test]
fn a_packet_with_no_hop_left_is_answered_by_the_gateway() {
    let mut world = World::chain();
    let packet = ipv4(world.nodes[0].v4, world.nodes[2].v4, 1, UDP, b"traceroute");
    world.tun(0, &packet);
    world.run();
    assert!(world.delivered(2).is_empty());
    let error = world.delivered(0).pop().expect("an answer");
    let header = Header::parse(&error).expect("a packet");
    assert_eq!(header.source, IpAddr::V4(world.nodes[1].v4));
    assert_eq!((header.protocol, error[20]), (ICMP, 11));
    assert_eq!(error[28..], packet);
}

#[test]
fn a_packet_above_the_mtu_is_answered_by_the_gateway_unless_it_may_be_fragmented() {
    let mut world = World::chain();
    let mut packet = ipv4(world.nodes[0].v4, world.nodes[2].v4, 64, UDP, &[0; 1500]);
    world.tun(0, &packet);
    world.run();
    assert_eq!(world.delivered(2).len(), 1);
    packet[6] = 0x40;
    world.tun(0, &packet);
    world.run();
    assert!(world.delivered(2).is_empty());
    let error = world.delivered(0).pop().expect("an answer");
    assert_eq!((error[20], error[21], &error[26..28]), (3, 4, &MTU.to_be_bytes()[..]));
}

#[test]
fn a_gateway_tells_who_sends_more_than_the_way_on_carries() {
    let mut world = World::chain();
    let narrow = vec![(host(world.nodes[2].v4), 1360)];
    world.set_narrow(1, vec![world.peer(0), world.peer(2)], narrow);
    for (payload, passes) in [(1360 - 20, true), (1360 - 19, false)] {
        let mut packet = ipv4(world.nodes[0].v4, world.nodes[2].v4, 64, UDP, &vec![0; payload]);
        packet[6] = 0x40;
        world.tun(0, &packet);
        world.run();
        assert_eq!(world.delivered(2).len(), usize::from(passes));
        let error = world.delivered(0).pop();
        let told = error.map(|error| ((error[20], error[21]), u16::from_be_bytes([error[26], error[27]])));
        assert_eq!(told, (!passes).then_some(((3, 4), 1360)));
    }
    let back = ipv4(world.nodes[2].v4, world.nodes[0].v4, 64, UDP, &[0; 1400 - 20]);
    world.tun(2, &back);
    world.run();
    assert_eq!(world.delivered(0).len(), 1, "the way back is another one");
}

#[test]
fn a_node_that_does_not_forward_drops_what_is_for_others() {
    let mut world = World::chain();
    let leaves = vec![world.peer(0), world.peer(2)];
    world.set(1, leaves, false);
    world.tun(0, &world.packet(0, 2, b"through"));
    world.run();
    assert!(world.delivered(2).is_empty() && world.delivered(1).is_empty());
    assert_eq!(world.nodes[1].drops().not_forwarded.get(), 1);
}

#[test]
fn a_packet_never_goes_back_to_the_peer_it_came_from() {
    let mut world = World::chain();
    let mut both = world.peer(0);
    both.allowed.push(host(world.nodes[2].v4));
    world.set(1, vec![both], true);
    world.tun(0, &world.packet(0, 2, b"boomerang"));
    world.run();
    assert!(world.delivered(0).is_empty() && world.delivered(1).is_empty());
    assert_eq!(world.nodes[1].drops().not_forwarded.get(), 1);
}

#[test]
fn a_destination_that_no_peer_owns_is_the_kernels_business() {
    let mut world = World::pair();
    let packet = ipv4(world.nodes[0].v4, Ipv4Addr::new(203, 0, 113, 9), 64, UDP, b"beyond");
    let mut wide = world.peer(1);
    wide.allowed.push("203.0.113.0/24".parse().expect("a prefix"));
    world.set(0, vec![wide], false);
    world.tun(0, &packet);
    world.run();
    assert_eq!(world.delivered(1), [packet]);
}

#[test]
fn a_local_program_is_told_when_no_peer_or_no_endpoint_is_known() {
    let mut world = World::pair();
    world.tun(0, &ipv4(world.nodes[0].v4, Ipv4Addr::new(10, 1, 1, 99), 64, UDP, b"x"));
    let error = world.delivered(0).pop().expect("an answer");
    let header = Header::parse(&error).expect("a packet");
    assert_eq!(header.source, IpAddr::V4(Ipv4Addr::new(10, 1, 1, 99)), "the kernel drops what claims to be its own");
    assert_eq!((header.destination, error[20]), (IpAddr::V4(world.nodes[0].v4), 3));

    let mut world = World::new(2);
    let mut nowhere = world.peer(1);
    nowhere.endpoint = None;
    world.set(0, vec![nowhere], false);
    world.tun(0, &world.packet(0, 1, b"x"));
    assert_eq!(world.delivered(0).len(), 1);
    let multicast = ipv6(Ipv6Addr::LOCALHOST, "ff02::2".parse().expect("an address"), 255, 58, &[133, 0, 0, 0]);
    world.tun(0, &multicast);
    assert!(world.delivered(0).is_empty());
}

#[test]
fn a_peer_roams_with_its_first_authentic_datagram_and_is_not_corrected() {
    let mut world = World::pair();
    world.tun(0, &world.packet(0, 1, b"x"));
    world.run();
    let elsewhere = SocketAddr::from(([198, 51, 100, 7], 4000));
    world.tun(0, &world.packet(0, 1, b"y"));
    let datagram = world.nodes[0].out.datagrams.pop_front().expect("a datagram").bytes;
    let mut forged = datagram.clone();
    forged[20] ^= 1;
    world.datagram(1, elsewhere, &forged);
    assert_eq!(world.report(1, 0).endpoint, Some(world.nodes[0].at));
    world.datagram(1, elsewhere, &datagram);
    assert_eq!(world.report(1, 0).endpoint, Some(elsewhere));
    world.datagram(1, world.nodes[0].at, &datagram);
    assert_eq!(world.report(1, 0).endpoint, Some(elsewhere), "a replay moves nothing");

    let mut wanted = world.peer(0);
    world.set(1, vec![wanted.clone()], false);
    assert_eq!(world.report(1, 0).endpoint, Some(elsewhere), "the hint was applied before");
    wanted.endpoint = Some(EndpointHint { address: world.nodes[0].at, serial: 2 });
    world.set(1, vec![wanted], false);
    assert_eq!(world.report(1, 0).endpoint, Some(world.nodes[0].at), "a new hint counts");
}

/// A pair whose second node was flooded with initiations by strangers who know its key, and a first initiation that it
/// answered by a cookie.
fn flooded() -> (World, Vec<u8>) {
    // The limiter forgets each second of boringtun's clock; a flood that it forgot in the middle is made again.
    for _ in 0..10 {
        let mut world = World::new(2);
        let public = PublicKey::from(world.nodes[1].key.0);
        world.nodes[1].plane.limiter = Arc::new(RateLimiter::new(&public, 4));
        for (node, peer) in [(0, 1), (1, 0)] {
            let wanted = world.peer(peer);
            world.set(node, vec![wanted], false);
        }
        let mut stranger = Tunn::new(StaticSecret::from([99; 32]), public, None, None, 7, None);
        let mut buffer = [0; 256];
        for _ in 0..6 {
            let TunnResult::WriteToNetwork(datagram) = stranger.format_handshake_initiation(&mut buffer, true) else {
                panic!("no initiation");
            };
            let from = SocketAddr::from(([198, 51, 100, 1], 1000));
            world.datagram(1, from, datagram);
        }
        world.nodes[1].out.datagrams.clear();
        world.send_control(0, 1, b"hello");
        let initiation = world.nodes[0].out.datagrams.pop_front().expect("an initiation").bytes;
        let source = world.nodes[0].at;
        world.datagram(1, source, &initiation);
        let reply = world.nodes[1].out.datagrams.pop_front().expect("a reply").bytes;
        if reply[0] == message::COOKIE_REPLY {
            return (world, reply);
        }
    }
    panic!("no cookie under load");
}

#[test]
fn messages_of_those_who_do_not_know_our_key_take_no_place_among_the_handshakes() {
    let mut world = World::pair();
    let (before, junk) = (world.nodes[0].out.queued, world.nodes[0].drops().junk.get());
    let from = SocketAddr::from(([198, 51, 100, 1], 1000));
    // An initiation for somebody else, a response and a cookie reply to nothing that was ever asked.
    let elsewhere = PublicKey::from([77; 32]);
    let mut stranger = Tunn::new(StaticSecret::from([99; 32]), elsewhere, None, None, 7, None);
    let mut buffer = [0; 256];
    let TunnResult::WriteToNetwork(initiation) = stranger.format_handshake_initiation(&mut buffer, true) else {
        panic!("no initiation");
    };
    let of = |kind: u8, length: usize| [&[kind, 0, 0, 0][..], &vec![0x5a; length - 4]].concat();
    for message in [initiation.to_vec(), of(message::RESPONSE, 92), of(message::COOKIE_REPLY, 64)] {
        world.datagram(0, from, &message);
    }
    assert_eq!((world.nodes[0].out.queued, world.nodes[0].drops().junk.get()), (before, junk + 3));
    let mine = PublicKey::from(world.nodes[0].key.0);
    let mut knows = Tunn::new(StaticSecret::from([99; 32]), mine, None, None, 7, None);
    let TunnResult::WriteToNetwork(initiation) = knows.format_handshake_initiation(&mut buffer, true) else {
        panic!("no initiation");
    };
    world.datagram(0, from, initiation);
    assert_eq!(world.nodes[0].out.queued, before + 1);
}

#[test]
fn a_cookie_reply_is_no_reason_to_roam_and_lets_the_handshake_through() {
    let (mut world, cookie) = flooded();
    world.datagram(0, SocketAddr::from(([198, 51, 100, 66], 66)), &cookie);
    assert_eq!(world.report(0, 1).endpoint, Some(world.nodes[1].at));
    world.pass(Duration::from_millis(250));
    world.run();
    assert_eq!(world.control(1), [b"hello"]);
}

#[test]
fn a_higher_generation_makes_the_session_anew_and_keeps_endpoint_and_counters() {
    let mut world = World::pair();
    world.tun(0, &world.packet(0, 1, b"x"));
    world.run();
    let before = world.report(1, 0);
    let mut wanted = world.peer(0);
    world.set(1, vec![wanted.clone()], false);
    world.tun(1, &world.packet(1, 0, b"same session"));
    assert_eq!(kinds(&world.nodes[1].out), [message::DATA]);
    world.run();
    wanted.generation = 1;
    world.set(1, vec![wanted], false);
    let after = world.report(1, 0);
    assert_eq!(after.endpoint, before.endpoint);
    assert!(after.tx_bytes > before.tx_bytes && after.data_packets == before.data_packets + 1);
    world.tun(1, &world.packet(1, 0, b"new session"));
    assert_eq!(kinds(&world.nodes[1].out), [message::INITIATION]);
    world.run();
    assert_eq!(world.delivered(0).len(), 2);
}

#[test]
fn a_peer_that_a_person_added_is_kept_and_the_mesh_may_adopt_it() {
    let mut world = World::new(3);
    let hex = world.hex(2);
    world.wg_set(
        0,
        &format!("public_key={hex}\nendpoint=192.0.2.3:51820\nallowed_ip=10.1.1.3/32\nallowed_ip=10.7.0.0/16"),
    );
    let mesh = world.peer(1);
    world.set(0, vec![mesh], false);
    assert_eq!(world.report(0, 2).allowed, [host(world.nodes[2].v4), "10.7.0.0/16".parse().expect("a prefix")]);

    // The mesh wants one of its prefixes, and gives it back.
    let mut greedy = world.peer(1);
    greedy.allowed.push(host(world.nodes[2].v4));
    world.set(0, vec![greedy], false);
    assert_eq!(world.report(0, 2).allowed.len(), 1);
    world.wg_set(0, &format!("public_key={hex}\nallowed_ip=10.1.1.3/32"));
    assert_eq!(world.report(0, 2).allowed.len(), 1, "the mesh's prefix cannot be taken");
    let mesh = world.peer(1);
    world.set(0, vec![mesh], false);
    assert_eq!(world.report(0, 2).allowed.len(), 2);

    // Adopted, then released: it is the person's again.
    let both = vec![world.peer(1), world.peer(2)];
    world.set(0, both, false);
    world.send_control(0, 2, b"control");
    assert_eq!(kinds(&world.nodes[0].out), [message::INITIATION]);
    world.set(0, Vec::new(), false);
    assert_eq!(world.nodes[0].plane.report(world.now).peers.len(), 1);
    world.wg_set(0, &format!("public_key={hex}\nremove=true"));
    assert!(world.nodes[0].plane.report(world.now).peers.is_empty());
}

#[test]
fn a_person_cannot_remove_what_the_mesh_needs() {
    let mut world = World::pair();
    let hex = world.hex(1);
    world.wg_set(0, &format!("public_key={hex}\nremove=true"));
    world.wg_set(0, "replace_peers=true");
    assert_eq!(world.report(0, 1).allowed.len(), 2);
    world.wg_set(0, "public_key=0101010101010101010101010101010101010101010101010101010101010101\nupdate_only=true\nallowed_ip=10.5.0.0/16");
    assert_eq!(world.nodes[0].plane.report(world.now).peers.len(), 1);
}

#[test]
fn a_preshared_key_on_both_sides_connects_and_on_one_does_not() {
    let mut world = World::pair();
    let preshared = "07".repeat(32);
    let (zero, one) = (world.hex(0), world.hex(1));
    world.wg_set(0, &format!("public_key={one}\npreshared_key={preshared}"));
    world.send_control(0, 1, b"one side");
    world.run();
    assert!(world.control(1).is_empty());
    world.wg_set(1, &format!("public_key={zero}\npreshared_key={preshared}"));
    world.pass(Duration::from_millis(250));
    world.run();
    assert_eq!(world.control(1), [b"one side"]);
}

#[test]
fn the_own_key_stays_whatever_a_person_sets() {
    let mut world = World::pair();
    for key in ["2a", "00"] {
        world.wg_set(0, &format!("private_key={}", key.repeat(32)));
        world.send_control(0, 1, b"still me");
        world.run();
    }
    assert_eq!(world.control(1), [b"still me", b"still me"]);
}

#[test]
fn junk_changes_nothing_and_nothing_panics() {
    let mut world = World::pair();
    world.tun(0, &world.packet(0, 1, b"x"));
    world.run();
    world.tun(0, &world.packet(0, 1, b"y"));
    let real = world.nodes[0].out.datagrams.pop_front().expect("a datagram").bytes;
    let from = SocketAddr::from(([198, 51, 100, 1], 1000));
    let mut state = 1_u32;
    for round in 0..20_000_usize {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut datagram = real[..round % (real.len() + 1)].to_vec();
        if let Some(byte) = datagram.get_mut((state >> 8) as usize % real.len().max(1)) {
            *byte ^= 1 << (state & 7);
        } else {
            datagram = vec![(state >> 24) as u8; round % 2000];
        }
        if datagram != real {
            world.datagram(1, from, &datagram);
        }
    }
    assert_eq!(world.report(1, 0).endpoint, Some(world.nodes[0].at));
    assert_eq!(world.delivered(1).len(), 1);
    let source = world.nodes[0].at;
    world.datagram(1, source, &real);
    assert_eq!(world.delivered(1).len(), 1, "the real one still counts");
    for length in 0..100 {
        world.tun(0, &vec![0x45; length]);
        world.tun(0, &vec![0x60; length]);
    }
}
