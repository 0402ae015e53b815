//! Merging and splitting together, over streams in which everything happens that keeps packets apart.

use std::ops::Range;

use proptest::prelude::*;

use super::super::packet::{IPV4_HEADER, IPV6_HEADER, UDP, UDP_HEADER, add, fold};
use super::coalesce::{Coalescer, SCRATCH, Write};
use super::segment::Segments;
use super::{ACK, CWR, FIN, PSH, TCP, VnetHeader};

/// What a packet is made of, the slow and obvious way.
#[derive(Clone, Debug)]
pub(in crate::tunnel::userspace) struct Made {
    pub(in crate::tunnel::userspace) v4: bool,
    pub(in crate::tunnel::userspace) protocol: u8,
    /// Last byte of the source; the destination is the same for all.
    pub(in crate::tunnel::userspace) host: u8,
    pub(in crate::tunnel::userspace) port: u16,
    /// TOS or traffic class.
    pub(in crate::tunnel::userspace) tos: u8,
    pub(in crate::tunnel::userspace) label: u8,
    pub(in crate::tunnel::userspace) hops: u8,
    pub(in crate::tunnel::userspace) identification: u16,
    /// Flags and offset.
    pub(in crate::tunnel::userspace) fragment: u16,
    /// Options of IPv4, or extension headers whose first is hop-by-hop options.
    pub(in crate::tunnel::userspace) ip_options: Vec<u8>,
    pub(in crate::tunnel::userspace) sequence: u32,
    pub(in crate::tunnel::userspace) acknowledged: u32,
    pub(in crate::tunnel::userspace) window: u16,
    pub(in crate::tunnel::userspace) flags: u8,
    pub(in crate::tunnel::userspace) options: Vec<u8>,
    pub(in crate::tunnel::userspace) payload: Vec<u8>,
}

pub(super) const DONT_FRAGMENT: u16 = 0x4000;

impl Made {
    pub(in crate::tunnel::userspace) fn tcp(v4: bool) -> Self {
        Self {
            v4,
            protocol: TCP,
            host: 1,
            port: 5201,
            tos: 0,
            label: 0,
            hops: 64,
            identification: 7,
            fragment: DONT_FRAGMENT,
            ip_options: Vec::new(),
            sequence: 1_000,
            acknowledged: 77,
            window: 500,
            flags: ACK,
            options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            payload: Vec::new(),
        }
    }

    pub(in crate::tunnel::userspace) fn udp(v4: bool) -> Self {
        Self { protocol: UDP, ..Self::tcp(v4) }
    }

    /// Bytes before the payload.
    pub(super) fn headers(&self) -> usize {
        self.transport() + if self.protocol == TCP { 20 + self.options.len() } else { UDP_HEADER }
    }

    pub(super) fn transport(&self) -> usize {
        self.ip_options.len() + if self.v4 { IPV4_HEADER } else { IPV6_HEADER }
    }

    pub(in crate::tunnel::userspace) fn bytes(&self) -> Vec<u8> {
        let upper = self.upper();
        let length = self.transport() + upper.len();
        let mut packet = vec![0; self.transport()];
        if self.v4 {
            packet[0] = 0x40 | (self.transport() / 4) as u8;
            packet[1] = self.tos;
            packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            packet[4..6].copy_from_slice(&self.identification.to_be_bytes());
            packet[6..8].copy_from_slice(&self.fragment.to_be_bytes());
            packet[8..10].copy_from_slice(&[self.hops, self.protocol]);
            packet[12..20].copy_from_slice(&self.addresses());
            packet[IPV4_HEADER..].copy_from_slice(&self.ip_options);
            let check = !fold(add(0, &packet));
            packet[10..12].copy_from_slice(&check.to_be_bytes());
        } else {
            packet[..4].copy_from_slice(&[0x60 | (self.tos >> 4), self.tos << 4, 0, self.label]);
            packet[4..6].copy_from_slice(&((length - IPV6_HEADER) as u16).to_be_bytes());
            packet[6] = if self.ip_options.is_empty() { self.protocol } else { 0 };
            packet[7] = self.hops;
            packet[8..40].copy_from_slice(&self.addresses());
            packet[IPV6_HEADER..].copy_from_slice(&self.ip_options);
        }
        packet.extend(upper);
        packet
    }

    fn addresses(&self) -> Vec<u8> {
        if self.v4 {
            return vec![10, 1, 0, self.host, 10, 1, 0, 200];
        }
        let mut addresses = vec![0xfd; 32];
        addresses[15] = self.host;
        addresses
    }

    fn upper(&self) -> Vec<u8> {
        let mut upper = [self.port.to_be_bytes(), 4433_u16.to_be_bytes()].concat();
        let field = if self.protocol == TCP {
            upper.extend(self.sequence.to_be_bytes());
            upper.extend(self.acknowledged.to_be_bytes());
            upper.extend([((20 + self.options.len()) / 4 * 16) as u8, self.flags]);
            upper.extend(self.window.to_be_bytes());
            upper.extend([0; 4]);
            upper.extend(&self.options);
            16
        } else {
            upper.extend(((UDP_HEADER + self.payload.len()) as u16).to_be_bytes());
            upper.extend([0; 2]);
            6
        };
        upper.extend(&self.payload);
        let sum = add(add(u32::from(self.protocol) + upper.len() as u32, &self.addresses()), &upper);
        let check = !fold(sum);
        let check = if check == 0 && self.protocol == UDP { 0xffff } else { check };
        upper[field..field + 2].copy_from_slice(&check.to_be_bytes());
        upper
    }
}

/// Hop-by-hop options of eight bytes before the protocol.
pub(super) fn extension(protocol: u8) -> Vec<u8> {
    vec![protocol, 0, 1, 4, 0, 0, 0, 0]
}

/// Packets behind each other with gaps, as they lie when they were opened where they were received.
pub(in crate::tunnel::userspace) fn arena(packets: &[Vec<u8>]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut arena = vec![0xee; 3];
    let ranges = packets.iter().map(|packet| {
        arena.extend([0xee; 16]);
        arena.extend(packet);
        arena.len() - packet.len()..arena.len()
    });
    let ranges = ranges.collect();
    (arena, ranges)
}

/// What the kernel gets of a write.
pub(in crate::tunnel::userspace) fn written(write: Write<'_>, arena: &[u8]) -> (VnetHeader, Vec<u8>) {
    let mut scratch = [0xaa; SCRATCH];
    let length = write.header(arena, &mut scratch);
    let mut bytes = scratch[..length].to_vec();
    write.payloads().for_each(|payload| bytes.extend(&arena[payload]));
    let packet = bytes.split_off(VnetHeader::LENGTH);
    (VnetHeader::read(bytes.first_chunk().expect("a vnet header")), packet)
}

/// What the kernel makes of it when it has to split it again. What was taken is overwritten, as sealing in place does.
pub(in crate::tunnel::userspace) fn split(header: &VnetHeader, mut packet: Vec<u8>) -> Vec<Vec<u8>> {
    let mut segments = Segments::new(header, &mut packet).expect("well-formed");
    let mut packets = Vec::new();
    while let Some(range) = segments.next(&mut packet) {
        packets.push(packet[range.clone()].to_vec());
        packet[..range.end].fill(0xdd);
    }
    packets
}

/// The packet without what may change on its way: identifications that mean nothing.
fn meaning(packet: &[u8], zero: bool) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if zero {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

/// One packet of a stream, relative to those before it in its flow.
#[derive(Clone, Debug)]
pub(in crate::tunnel::userspace) struct Event {
    flow: usize,
    size: usize,
    twist: u8,
    fill: u8,
}

/// Mostly with `usual` bytes of payload, never with more than `most`.
pub(in crate::tunnel::userspace) fn event(usual: usize, most: usize) -> impl Strategy<Value = Event> {
    let size = prop_oneof![8 => Just(usual), 1 => 1..usual, 1 => usual + 1..=most];
    let twist = prop_oneof![4 => Just(0_u8), 1 => 1_u8..32];
    (0_usize..6, size, twist, any::<u8>()).prop_map(|(flow, size, twist, fill)| Event { flow, size, twist, fill })
}

/// Flows 0 to 2 are TCP, the others UDP; flow 1 and 4 are IPv6; flows 0 and 2, and 3 and 5, share their hosts.
pub(in crate::tunnel::userspace) fn stream(events: &[Event]) -> Vec<Vec<u8>> {
    let mut flows = (0..6).map(|flow| Made {
        port: 1_000 + flow,
        sequence: u32::MAX - 1_000,
        identification: if flow == 3 { 0 } else { u16::MAX - 2 },
        ..if flow < 3 { Made::tcp(flow != 1) } else { Made::udp(flow != 4) }
    });
    let mut flows: [Made; 6] = std::array::from_fn(|_| flows.next().expect("six"));
    events.iter().map(|event| one(&mut flows[event.flow], event)).collect()
}

fn one(flow: &mut Made, event: &Event) -> Vec<u8> {
    let mut made = Made { payload: vec![event.fill; event.size], ..flow.clone() };
    made.payload[event.size / 2] = event.size as u8;
    match event.twist {
        1 => made.flags |= PSH,
        2 => made.flags |= FIN,
        3 => made.flags = 0x02,
        4 => made.payload.clear(),
        5 => made.flags |= CWR,
        6 => made.flags |= 0x40,
        7 => flow.acknowledged += 1,
        8 => flow.window += 1,
        9 => flow.tos ^= 3,
        10 => flow.hops ^= 1,
        11 => flow.identification = flow.identification.wrapping_add(5),
        12 => flow.fragment ^= DONT_FRAGMENT,
        13 => flow.options.iter_mut().skip(7).take(1).for_each(|byte| *byte ^= 1),
        14 => flow.options = Vec::new(),
        15 => flow.sequence = flow.sequence.wrapping_sub(600),
        16 => made.sequence = made.sequence.wrapping_add(5),
        17 => made.fragment = 0x2000,
        18 => made.fragment = 37,
        19 if made.v4 => made.ip_options = vec![1; 4],
        19 => made.ip_options = extension(made.protocol),
        20 => flow.label ^= 1,
        21 => made.protocol = 1,
        22 => flow.identification = 0,
        _ => {}
    }
    let mut bytes = made.bytes();
    let last = bytes.len() - 1;
    let transport = made.transport();
    match event.twist {
        23 => bytes[last] ^= 1,
        24 if made.v4 => bytes[10] ^= 1,
        25 if made.protocol == UDP => bytes[transport + 6..transport + 8].fill(0),
        26 => bytes.truncate(event.size),
        27 => bytes[0] ^= 0x80,
        28 if made.protocol == TCP => bytes[transport + 12] |= 1,
        29 if made.protocol == TCP => bytes[transport + 12] = 0xf0,
        30 => bytes[5] ^= 1,
        31 => bytes.clear(),
        _ => {}
    }
    let zero = flow.identification == 0 && flow.port == 1_003;
    flow.identification = if zero { 0 } else { flow.identification.wrapping_add(1) };
    flow.sequence = flow.sequence.wrapping_add(made.payload.len() as u32);
    bytes
}

/// Ports, protocol and hosts of a packet: what must stay in order. The ports are `None` when they cannot be read.
pub(in crate::tunnel::userspace) fn flow_of(packet: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let v4 = match packet.first()? >> 4 {
        4 => true,
        6 => false,
        _ => return None,
    };
    let (hosts, transport) = if v4 { (12..20, 20) } else { (8..40, 40) };
    let plain = if v4 { packet.get(6..8)? == [0x40, 0] || packet.get(6..8)? == [0, 0] } else { true };
    let protocol = *packet.get(if v4 { 9 } else { 6 })?;
    let known = plain && (!v4 || packet[0] == 0x45) && matches!(protocol, TCP | UDP);
    let ports = packet.get(transport..transport + 4).filter(|_| known);
    Some((packet.get(hosts)?.to_vec(), ports.map(|ports| [&[protocol], ports].concat())))
}

proptest! {
    #[test]
    fn splitting_gives_back_what_was_merged_and_no_flow_is_reordered(
        events in proptest::collection::vec(event(300, 900), 0..120),
        tcp: bool,
        udp: bool,
    ) {
        let packets = stream(&events);
        let (arena, ranges) = arena(&packets);
        let mut coalescer = Coalescer::new(tcp, udp);
        ranges.iter().for_each(|range| coalescer.push(&arena, range.clone()));
        let mut order = Vec::new();
        for write in coalescer.writes() {
            let (header, packet) = written(write, &arena);
            let came = write.packets().collect::<Vec<_>>();
            prop_assert_eq!(came.len(), write.count());
            prop_assert!(packet.len() <= 65_535 && write.count() <= 64);
            if write.count() == 1 {
                prop_assert_eq!(header, VnetHeader::default());
                prop_assert_eq!(&packet, &arena[came[0].clone()]);
            } else {
                let given = split(&header, packet);
                prop_assert_eq!(given.len(), came.len());
                for (given, came) in given.iter().zip(&came) {
                    let came = &arena[came.clone()];
                    let zero = came[0] == 0x45 && came[4..8] == [0, 0, 0x40, 0];
                    prop_assert_eq!(meaning(given, zero), meaning(came, zero));
                }
            }
            order.extend(came);
        }
        let mut sorted = order.clone();
        sorted.sort_by_key(|range| range.end);
        prop_assert_eq!(&sorted, &ranges, "nothing is lost or made up");
        for (at, later) in order.iter().enumerate() {
            for earlier in order[at + 1..].iter().filter(|range| range.end < later.end) {
                // `earlier` came before `later` and is written after it.
                let overtaken = match (flow_of(&arena[earlier.clone()]), flow_of(&arena[later.clone()])) {
                    (Some((hosts, ports)), Some((others, other))) => {
                        hosts == others && (ports == other || ports.is_none() || other.is_none())
                    }
                    _ => false,
                };
                prop_assert!(!overtaken, "{later:?} overtook {earlier:?}");
            }
        }
    }

    #[test]
    fn any_bytes_are_merged_without_panic(
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20),
        first in prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()],
    ) {
        let mut packets = packets;
        packets.iter_mut().filter_map(|packet| packet.first_mut()).for_each(|byte| *byte = first);
        let (arena, ranges) = arena(&packets);
        let mut coalescer = Coalescer::new(true, true);
        ranges.iter().for_each(|range| coalescer.push(&arena, range.clone()));
        prop_assert_eq!(coalescer.writes().map(|write| write.count()).sum::<usize>(), packets.len());
        coalescer.writes().for_each(|write| drop(written(write, &arena)));
    }
}

#[test]
fn a_vnet_header_is_read_as_it_was_written() {
    let header = VnetHeader {
        flags: 1,
        gso_type: 0x84,
        header_length: 60,
        gso_size: 1_380,
        checksum_start: 40,
        checksum_offset: 16,
    };
    let bytes = header.bytes();
    assert_eq!(bytes[..2], [1, 0x84]);
    assert_eq!(bytes[4..6], 1_380_u16.to_ne_bytes());
    assert_eq!(VnetHeader::read(&bytes), header);
}
