//! Superpackets and trains of datagrams in the data planes of a few nodes: marks of congestion, packets that wait,
//! peers that change meanwhile, and neighbours that are junk.

use std::time::Duration;

use super::super::offload::VnetHeader;
use super::super::offload::coalesce::Coalescer;
use super::super::offload::tests::{arena, written};
use super::super::packet::tests::{ipv4, ipv6};
use super::super::packet::{Header, IPV6_HEADER, UDP, UdpEnd, add, fold, write_udp};
use super::super::peer::message;
use super::world::{World, kinds};

const NOT_CAPABLE: u8 = 0;
const CAPABLE: [u8; 2] = [1, 2];
const MET: u8 = 3;

/// Packets of node `from` to node `to` that a kernel would merge, and the superpacket.
fn superpacket(world: &World, from: usize, to: usize, count: usize) -> (Vec<Vec<u8>>, VnetHeader, Vec<u8>) {
    let ends = [from, to].map(|node| UdpEnd { address: world.nodes[node].link, port: 9_000 });
    let one = |number: usize| {
        let mut packet = vec![0; IPV6_HEADER + 8 + 1_000];
        write_udp(&mut packet, ends[0], ends[1], &vec![number as u8; 1_000]).expect("it fits");
        packet
    };
    let packets: Vec<_> = (0..count).map(one).collect();
    let (arena, ranges) = arena(&packets);
    let mut kernel = Coalescer::new(true, true);
    ranges.iter().for_each(|range| kernel.push(&arena, range.clone()));
    assert_eq!(kernel.len(), 1);
    let (header, packet) = written(kernel.write(0), &arena);
    (packets, header, packet)
}

/// A pair with a session.
fn connected() -> World {
    let mut world = World::pair();
    world.tun(0, &world.packet(0, 1, b"first"));
    world.run();
    assert_eq!(world.delivered(1).len(), 1);
    world.nodes.iter_mut().for_each(|node| node.out.runs.clear());
    world
}

/// A packet of each family from node 0 to node 1 with this TOS or traffic class.
fn with_tos(world: &World, to: usize, tos: u8) -> [Vec<u8>; 2] {
    let mut v4 = ipv4(world.nodes[0].v4, world.nodes[to].v4, 64, UDP, &[7; 100]);
    v4[1] = tos;
    v4[10..12].fill(0);
    let check = !fold(add(0, &v4[..20]));
    v4[10..12].copy_from_slice(&check.to_be_bytes());
    let mut v6 = ipv6(world.nodes[0].link, world.nodes[to].link, 64, 59, &[7; 100]);
    v6[..2].copy_from_slice(&[0x60 | (tos >> 4), tos << 4]);
    [v4, v6]
}

fn tos_of(packet: &[u8]) -> u8 {
    if packet[0] >> 4 == 4 { packet[1] } else { (packet[0] << 4) | (packet[1] >> 4) }
}

#[test]
fn the_outer_packet_says_of_congestion_what_the_inner_does_and_nothing_else() {
    let mut world = connected();
    for mark in [NOT_CAPABLE, CAPABLE[0], CAPABLE[1], MET] {
        for dscp in [0, 0xb8] {
            for packet in with_tos(&world, 1, dscp | mark) {
                world.tun(0, &packet);
                assert_eq!(world.nodes[0].out.datagrams.back().map(|sent| sent.tos), Some(mark));
                world.run();
                assert_eq!(world.delivered(1), [packet]);
            }
        }
    }
}

#[test]
fn handshakes_have_the_class_of_the_kernels_and_packets_that_waited_for_them_keep_their_mark() {
    let mut world = World::pair();
    let [v4, v6] = with_tos(&world, 1, CAPABLE[1]);
    let plain = world.packet(0, 1, b"not capable");
    for packet in [&v4, &v6, &plain] {
        world.tun(0, packet);
    }
    let mut seen = Vec::new();
    while let Some(from) = world.nodes.iter().position(|node| !node.out.datagrams.is_empty()) {
        let sent = world.nodes[from].out.datagrams.pop_front().expect("a datagram");
        seen.push((sent.bytes[0], sent.tos));
        let source = world.nodes[from].at;
        world.train(1 - from, source, sent.tos, &[sent.bytes]);
    }
    assert_eq!(seen[..2], [(message::INITIATION, 0x88), (message::RESPONSE, 0x88)]);
    let data: Vec<u8> = seen[2..].iter().map(|(_, tos)| *tos).collect();
    // Before the packets goes a keepalive, which carries nothing that could be marked.
    assert_eq!(data[data.len() - 3..], [CAPABLE[1], CAPABLE[1], NOT_CAPABLE]);
    assert_eq!(world.delivered(1), [v4, v6, plain]);
}

#[test]
fn congestion_on_the_way_is_marked_in_capable_packets_and_drops_the_others() {
    let mut world = connected();
    for mark in CAPABLE {
        for packet in with_tos(&world, 1, 0xb8 | mark) {
            world.tun(0, &packet);
            let source = world.nodes[0].at;
            let sent = world.nodes[0].out.datagrams.pop_front().expect("a datagram");
            world.train(1, source, MET, &[sent.bytes]);
            let came = world.delivered(1).pop().expect("it arrives");
            assert_eq!(tos_of(&came), 0xb8 | MET);
            if came[0] >> 4 == 4 {
                assert_eq!(fold(add(0, &came[..20])), 0xffff);
                assert_eq!(came[12..], packet[12..]);
            } else {
                assert_eq!(came[2..], packet[2..]);
            }
        }
    }
    assert_eq!(world.nodes[1].drops().congestion.get(), 0);
    for packet in with_tos(&world, 1, 0xb8) {
        world.tun(0, &packet);
        let source = world.nodes[0].at;
        let sent = world.nodes[0].out.datagrams.pop_front().expect("a datagram");
        world.train(1, source, MET, &[sent.bytes]);
        assert!(world.delivered(1).is_empty());
    }
    assert_eq!(world.nodes[1].drops().congestion.get(), 2);
}

#[test]
fn a_queue_before_this_node_is_told_to_those_who_heed_marks_and_harms_nobody() {
    let mut world = connected();
    let pass = |world: &mut World, tos| {
        let packet = &with_tos(world, 1, tos)[0];
        world.tun(0, packet);
        world.run();
        let came = world.delivered(1).pop().expect("it arrives");
        assert_eq!(fold(add(0, &came[..20])), 0xffff);
        tos_of(&came)
    };
    world.crowded = true;
    // Not at once, it may have been a pause; but when it stands.
    assert_eq!(pass(&mut world, CAPABLE[0]), CAPABLE[0]);
    world.now += Duration::from_millis(50);
    assert_eq!(pass(&mut world, CAPABLE[0]), MET);
    assert_eq!(pass(&mut world, CAPABLE[0]), CAPABLE[0]);
    world.now += Duration::from_millis(50);
    assert_eq!(pass(&mut world, CAPABLE[1]), MET);
    world.now += Duration::from_millis(50);
    assert_eq!(pass(&mut world, 0), 0);
    world.crowded = false;
    world.now += Duration::from_millis(50);
    assert_eq!(pass(&mut world, CAPABLE[0]), CAPABLE[0]);
    assert_eq!(world.nodes[1].drops().congestion.get(), 0);
}

#[test]
fn a_gateway_hands_on_what_it_was_told_of_congestion() {
    let mut world = World::chain();
    let [packet, _] = with_tos(&world, 2, CAPABLE[1]);
    world.tun(0, &packet);
    world.run();
    assert_eq!(world.delivered(2).len(), 1);
    world.tun(0, &packet);
    let sent = world.nodes[0].out.datagrams.pop_front().expect("a datagram");
    let source = world.nodes[0].at;
    world.train(1, source, MET, &[sent.bytes]);
    assert_eq!(world.nodes[1].out.datagrams.back().map(|sent| sent.tos), Some(MET));
    world.run();
    let came = world.delivered(2).pop().expect("it arrives");
    assert_eq!((tos_of(&came), fold(add(0, &came[..20]))), (MET, 0xffff));
}

#[test]
fn packets_with_different_marks_never_share_a_train() {
    let mut world = World::chain();
    world.tun(0, &world.packet(0, 2, b"first"));
    world.run();
    world.nodes[1].out.runs.clear();
    for mark in [0, 0, 2, 2, 2, 0, 1] {
        let [packet, _] = with_tos(&world, 2, mark);
        world.tun(0, &packet);
    }
    // One train to the gateway, as if the first way had lost the marks.
    let datagrams: Vec<_> = world.nodes[0].out.datagrams.drain(..).map(|sent| sent.bytes).collect();
    let source = world.nodes[0].at;
    world.train(1, source, 0, &datagrams);
    assert_eq!(world.nodes[1].out.runs, [(0, 2), (2, 3), (0, 1), (1, 1)]);
}

#[test]
fn a_superpacket_waits_for_a_session_segment_by_segment_and_arrives_whole() {
    let mut world = World::pair();
    let (packets, header, superpacket) = superpacket(&world, 0, 1, 60);
    world.tun_offloaded(0, &header, &superpacket);
    assert_eq!(kinds(&world.nodes[0].out), [message::INITIATION]);
    world.run_in_trains();
    assert_eq!(world.delivered(1), packets);
    assert_eq!(world.report(0, 1).data_packets, 60);
}

#[test]
fn a_superpacket_is_one_train() {
    let mut world = connected();
    let (packets, header, superpacket) = superpacket(&world, 0, 1, 60);
    world.tun_offloaded(0, &header, &superpacket);
    assert_eq!(world.nodes[0].out.runs, [(0, 60)]);
    world.run_in_trains();
    assert_eq!(world.delivered(1), packets);
    assert_eq!(world.nodes[1].out.writes.last(), Some(&60));
    assert_eq!((world.report(0, 1).data_packets, world.report(1, 0).data_packets), (61, 61));
}

#[test]
fn a_peer_that_is_removed_while_packets_pass_does_no_harm() {
    let mut world = connected();
    let (packets, header, superpacket) = superpacket(&world, 0, 1, 30);
    let (peer, table) = (world.peer(1), world.table(0));
    world.tun_by(0, &table, &header, &superpacket);
    let on_the_way = world.take_trains(0);
    // The sender's thread still holds the table with the peer in it.
    world.set(0, Vec::new(), false);
    world.tun_by(0, &table, &header, &superpacket);
    let late = world.take_trains(0);
    // So does the receiver's.
    let (source, held) = (world.nodes[0].at, world.table(1));
    world.set(1, Vec::new(), false);
    let trains =
        |sent: &[(_, u8, Vec<Vec<u8>>)]| sent.iter().map(|(_, tos, all)| (*tos, all.clone())).collect::<Vec<_>>();
    world.trains_by(1, &held, source, &trains(&on_the_way));
    assert_eq!(world.delivered(1), packets);
    let table = world.table(1);
    world.trains_by(1, &table, source, &trains(&late));
    assert!(world.delivered(1).is_empty() && world.nodes[1].out.datagrams.is_empty());
    assert!(world.nodes[1].drops().junk.get() >= late.len() as u64);
    // It is added again, and all goes on.
    let back = world.peer(0);
    world.set(1, vec![back], false);
    world.set(0, vec![peer], false);
    world.tun_offloaded(0, &header, &superpacket);
    world.run_in_trains();
    assert_eq!(world.delivered(1), packets);
}

#[test]
fn a_peer_that_is_removed_while_packets_wait_for_it_takes_them_along() {
    let mut world = World::pair();
    let (packets, header, superpacket) = superpacket(&world, 0, 1, 30);
    let (peer, table) = (world.peer(1), world.table(0));
    world.tun_by(0, &table, &header, &superpacket);
    world.set(0, Vec::new(), false);
    world.tun_by(0, &table, &header, &superpacket);
    world.run_in_trains();
    assert!(world.delivered(1).is_empty());
    world.set(0, vec![peer], false);
    world.tun_offloaded(0, &header, &superpacket);
    world.run_in_trains();
    assert_eq!(world.delivered(1), packets);
}

#[test]
fn a_session_renewed_under_a_stream_loses_nothing() {
    let mut world = connected();
    let mut sent = Vec::new();
    let mut on_the_way = Vec::new();
    let mut peer = world.peer(1);
    for _ in 0..4 {
        // Part of it is still on its way when the session ends, the rest waits for the next one.
        for ends in [false, true, false] {
            let (packets, header, superpacket) = superpacket(&world, 0, 1, 40);
            world.tun_offloaded(0, &header, &superpacket);
            sent.extend(packets);
            if ends {
                on_the_way.push(world.nodes[0].out.datagrams.len());
                peer.generation += 1;
                world.set(0, vec![peer.clone()], false);
            }
        }
        world.run_in_trains();
    }
    assert_eq!(on_the_way, [80; 4]);
    assert!(world.delivered(1) == sent);
    assert_eq!(world.nodes[1].drops().junk.get(), 0);
}

#[test]
fn junk_inside_a_train_does_not_hurt_its_neighbours() {
    let mut world = connected();
    let (packets, header, superpacket) = superpacket(&world, 0, 1, 40);
    world.tun_offloaded(0, &header, &superpacket);
    let mut train: Vec<_> = world.nodes[0].out.datagrams.drain(..).map(|sent| sent.bytes).collect();
    type Hurt = (usize, fn(&mut Vec<u8>));
    let hurt: [Hurt; 7] = [
        (0, |datagram| datagram.fill(0)),
        (5, |datagram| datagram[0] = 9),
        (15, |datagram| datagram[4] ^= 1),
        (16, |datagram| datagram[40] ^= 1),
        (17, |datagram| datagram[8] ^= 0x80),
        (25, |datagram| datagram.fill(0xff)),
        (39, |datagram| datagram.truncate(3)),
    ];
    for (at, change) in &hurt {
        change(&mut train[*at]);
    }
    // A replay among them, of the same length.
    let replayed = train[1].clone();
    train.insert(30, replayed);
    let source = world.nodes[0].at;
    world.train(1, source, 0, &train);
    let whole = packets.iter().enumerate().filter(|(at, _)| hurt.iter().all(|(hurt, _)| hurt != at));
    let whole: Vec<_> = whole.map(|(_, packet)| packet.clone()).collect();
    assert_eq!(world.delivered(1), whole);
    assert_eq!(world.nodes[1].drops().junk.get(), 8);
    let source = Header::parse(&whole[0]).expect("a packet").source;
    assert_eq!(source, world.nodes[0].link);
}
