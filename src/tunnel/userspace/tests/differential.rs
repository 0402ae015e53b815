//! The same streams by the plain path, a packet and a datagram at a time, and by the offloaded one, in superpackets and
//! trains: what comes out is the same, byte for byte, and each flow in order.

use proptest::prelude::*;

use super::super::offload::VnetHeader;
use super::super::offload::coalesce::Coalescer;
use super::super::offload::tests::{Event, Made, arena, event, flow_of, stream, written};
use super::super::packet::{UDP, add, fold};
use super::world::World;

/// The prefixes of [`Made`]'s senders, and where they send to.
const SENDERS: [&str; 2] = ["10.1.0.0/25", "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fd00/121"];
const RECEIVER: [&str; 2] = ["10.1.0.200/32", "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd/128"];

/// Longest payload: with the longest headers it fits the MTU.
const LONGEST: usize = 1_340;

/// A line of nodes with sessions; the first sends and the last receives.
fn line(count: usize) -> World {
    let mut world = World::new(count as u8);
    for node in 0..count {
        let mut peers = Vec::new();
        if node > 0 {
            let mut back = world.peer(node - 1);
            back.allowed.extend(SENDERS.map(|prefix| prefix.parse::<ipnet::IpNet>().expect("a prefix")));
            peers.push(back);
        }
        if node + 1 < count {
            let mut on = world.peer(node + 1);
            on.allowed.extend(RECEIVER.map(|prefix| prefix.parse::<ipnet::IpNet>().expect("a prefix")));
            peers.push(on);
        }
        world.set(node, peers, true);
    }
    for node in 1..count {
        let first = world.packet(node - 1, node, b"first");
        world.tun(node - 1, &first);
        world.run();
        assert_eq!(world.delivered(node).len(), 1);
    }
    world
}

fn plain(packets: &[Vec<u8>], nodes: usize) -> Vec<Vec<u8>> {
    let mut world = line(nodes).merging(false);
    for packet in packets {
        world.tun(0, packet);
        world.run();
    }
    world.delivered(nodes - 1)
}

fn offloaded(packets: &[Vec<u8>], nodes: usize) -> Vec<Vec<u8>> {
    let mut world = line(nodes);
    let (arena, ranges) = arena(packets);
    let mut kernel = Coalescer::new(true, true);
    ranges.iter().for_each(|range| kernel.push(&arena, range.clone()));
    for write in kernel.writes() {
        let (header, packet) = written(write, &arena);
        world.tun_offloaded(0, &header, &packet);
    }
    world.run_in_trains();
    world.delivered(nodes - 1)
}

/// Identifications that are all zero and mean nothing count up once they were merged. Made zero again here, with a
/// checksum that is right where it was.
fn without_counts(mut packet: Vec<u8>) -> Vec<u8> {
    let from_zero_flow = packet[0] == 0x45 && packet[9] == UDP && packet.get(20..22) == Some(&1_003_u16.to_be_bytes());
    if from_zero_flow && packet[6..8] == [0x40, 0] && fold(add(0, &packet[..20])) == 0xffff {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
        let check = !fold(add(0, &packet[..20]));
        packet[10..12].copy_from_slice(&check.to_be_bytes());
    }
    packet
}

fn compare(events: &[Event], nodes: usize) -> Result<(), TestCaseError> {
    let packets = stream(events);
    let [plain, offloaded] =
        [plain(&packets, nodes), offloaded(&packets, nodes)].map(|came| came.into_iter().map(without_counts));
    let (plain, offloaded): (Vec<_>, Vec<_>) = (plain.collect(), offloaded.collect());
    let sorted = |packets: &[Vec<u8>]| {
        let mut packets = packets.to_vec();
        packets.sort();
        packets
    };
    prop_assert_eq!(sorted(&plain), sorted(&offloaded), "the same packets");
    for flow in plain.iter().filter_map(|packet| flow_of(packet)) {
        // A packet without ports may belong to any flow of its hosts.
        let of_flow = |packets: &[Vec<u8>]| {
            let is = |packet: &&Vec<u8>| {
                flow_of(packet).is_some_and(|(hosts, ports)| hosts == flow.0 && (ports.is_none() || ports == flow.1))
            };
            packets.iter().filter(is).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(of_flow(&plain), of_flow(&offloaded), "in order");
    }
    Ok(())
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        Just(300_usize).prop_flat_map(|usual| proptest::collection::vec(event(usual, LONGEST), 0..120)),
        Just(1_200_usize).prop_flat_map(|usual| proptest::collection::vec(event(usual, LONGEST), 0..120)),
    ];
    event.boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_comes_out_the_same_with_offloads_and_without(events in events()) {
        compare(&events, 2)?;
    }

    #[test]
    fn a_stream_comes_out_of_a_gateway_the_same_with_offloads_and_without(events in events()) {
        compare(&events, 3)?;
    }
}

/// A flow of segments behind each other.
fn flow(v4: bool, count: usize) -> Vec<Vec<u8>> {
    let segment = |index: usize| Made {
        sequence: 1_000 + 1_000 * index as u32,
        identification: 7 + index as u16,
        payload: vec![index as u8; 1_000],
        ..Made::tcp(v4)
    };
    (0..count).map(|index| segment(index).bytes()).collect()
}

#[test]
fn a_long_flow_is_merged_on_both_ways_and_a_gateway_takes_one_hop_of_each_packet() {
    for v4 in [true, false] {
        for nodes in [2, 3] {
            let (packets, mut world) = (flow(v4, 200), line(nodes));
            let (arena, ranges) = arena(&packets);
            let mut kernel = Coalescer::new(true, true);
            ranges.iter().for_each(|range| kernel.push(&arena, range.clone()));
            assert_eq!(kernel.len(), 4, "superpackets of 64 KiB");
            for write in kernel.writes() {
                let (header, packet) = written(write, &arena);
                assert_ne!(header, VnetHeader::default());
                world.tun_offloaded(0, &header, &packet);
            }
            world.run_in_trains();
            let mut expected = packets.clone();
            for packet in &mut expected {
                assert!(nodes == 2 || super::super::packet::take_hop(packet));
            }
            assert!(world.delivered(nodes - 1) == expected);
            // The first packet of the line's own came alone.
            let writes = &world.nodes[nodes - 1].out.writes[1..];
            assert!(writes.len() <= 6 && writes.iter().sum::<usize>() == 200, "{writes:?}");
            assert!(world.nodes[0].out.runs.iter().any(|(_, count)| *count >= 50), "{:?}", world.nodes[0].out.runs);
        }
    }
}
