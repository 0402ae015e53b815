//! From packets to writes of the TUN: those of one flow that follow each other are written as one (GRO).
//!
//! The packets lie in an arena, as they were opened, and stay as they are. A merged write is a header made in a scratch
//! buffer and the payloads where they lie, for one `writev`:
//!
//! ```text
//!   arena    |header|payload 0| … |header|payload 1| … |header|payload 2|
//!   writev   |vnet header + headers|payload 0|payload 1|payload 2|
//! ```
//!
//! A packet joins only the last group of its flow, and a packet that cannot be merged closes that group: no packet
//! overtakes another of its flow. When the batch ends everything is written; there are no timers.

use std::ops::Range;

use super::super::packet::{IPV4_HEADER, IPV6_HEADER, UDP, UDP_HEADER};
use super::checksum::{fold, pseudo_header, sum};
use super::{
    ACK, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, PSH, TCP, TCP_CHECKSUM, TCP_HEADER, UDP_CHECKSUM, VnetHeader,
};

/// Most packets of one write. Linux takes no more datagrams in one (`UDP_MAX_SEGMENTS`), and 64 KiB of TCP are 48.
const MOST: usize = 64;

/// Longest merged packet in bytes.
const LONGEST: usize = 65_535;

/// Groups that may still grow. More flows than that in a batch have few packets each.
const OPEN: usize = 16;

/// A buffer of this length holds the header of every write: the vnet header, IPv6, and TCP with all its options.
pub const SCRATCH: usize = VnetHeader::LENGTH + IPV6_HEADER + 60;

/// Gathers the packets of a batch and merges those that can be. It keeps its memory when it is cleared.
#[derive(Debug)]
pub struct Coalescer {
    tcp: bool,
    udp: bool,
    packets: Vec<Packet>,
    groups: Vec<Group>,
    /// The groups that may grow, most recently used first: `open[..opened]`.
    open: [Open; OPEN],
    opened: usize,
}

/// A packet of the arena.
#[derive(Debug)]
struct Packet {
    range: Range<usize>,
    /// The next packet of its group.
    next: Option<usize>,
}

/// What one write consists of.
#[derive(Debug)]
struct Group {
    /// Its packets are a list in [`Coalescer::packets`].
    first: usize,
    last: usize,
    count: usize,
    /// Of the merged packet: what its headers say beyond those of its first packet.
    shape: Shape,
    /// Payload bytes of all its packets.
    payload: usize,
    /// The last packet carries PSH.
    push: bool,
}

/// What a packet that may be merged looks like.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    /// Bytes of the IP header.
    transport: usize,
    /// Bytes of all headers.
    headers: usize,
    /// Bytes of the payload; of each but the last, in a group.
    size: usize,
    protocol: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    flow: Flow,
    group: usize,
}

/// Whose packet it is. The ports come first because they differ most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flow {
    ports: [u8; 4],
    hosts: Hosts,
    protocol: u8,
}

/// Source and destination as they lie in the header, zeros behind those of IPv4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hosts {
    addresses: [u8; 32],
    v4: bool,
}

/// What is found in a packet.
enum Found {
    /// It may be merged.
    Part(Flow, Shape),
    /// It is TCP or UDP, but goes alone.
    Alone(Flow),
    /// Its ports are unknown: another protocol, a fragment, options or extension headers, a wrong checksum.
    Between(Hosts),
    /// No IP packet.
    Junk,
}

impl Coalescer {
    /// `tcp` and `udp` say which superpackets the TUN takes; without either nothing is merged.
    pub fn new(tcp: bool, udp: bool) -> Self {
        Self { tcp, udp, packets: Vec::new(), groups: Vec::new(), open: [Open::default(); OPEN], opened: 0 }
    }

    /// Changes which superpackets the TUN takes, for the packets to come.
    pub fn set(&mut self, tcp: bool, udp: bool) {
        (self.tcp, self.udp, self.opened) = (tcp, udp, 0);
    }

    /// Adds the packet that lies in `arena[packet]`, whose length is what its header says. Every call until
    /// [`Self::clear`] is given the same arena.
    pub fn push(&mut self, arena: &[u8], packet: Range<usize>) {
        let bytes = arena.get(packet.clone()).unwrap_or_default();
        match self.find(bytes) {
            Found::Part(flow, shape) => self.push_part(arena, packet, flow, shape),
            Found::Alone(flow) => {
                self.close(|open| *open == flow);
                self.add(packet, Shape::default(), false);
            }
            Found::Between(hosts) => {
                self.close(|open| open.hosts == hosts);
                self.add(packet, Shape::default(), false);
            }
            Found::Junk => {
                self.add(packet, Shape::default(), false);
            }
        }
    }

    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How many writes there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// The write of that index below [`Self::len`]. Writes are in the order of their first packets.
    ///
    /// # Panics
    /// When there is no such write.
    pub fn write(&self, index: usize) -> Write<'_> {
        Write { packets: &self.packets, group: &self.groups[index] }
    }

    /// All writes in order.
    pub fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        self.groups.iter().map(|group| Write { packets: &self.packets, group })
    }

    /// Forgets the batch.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.groups.clear();
        self.opened = 0;
    }

    fn find(&self, packet: &[u8]) -> Found {
        match packet.first().map(|first| first >> 4) {
            Some(4) => self.find_v4(packet),
            Some(6) => self.find_v6(packet),
            _ => None,
        }
        .unwrap_or(Found::Junk)
    }

    fn find_v4(&self, packet: &[u8]) -> Option<Found> {
        let ip: &[u8; IPV4_HEADER] = packet.first_chunk()?;
        let hosts = Hosts::new(&ip[12..], true);
        let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        // No options, no fragment, and the checksum is one that a splitter would write again: it never gives 0xffff.
        let plain = ip[0] == 0x45
            && length == packet.len()
            && u16::from_be_bytes([ip[6], ip[7]]) & 0xbfff == 0
            && ip[10..12] != [0xff, 0xff]
            && fold(sum(0, ip)) == 0xffff;
        Some(if plain { self.find_upper(packet, hosts, IPV4_HEADER, ip[9]) } else { Found::Between(hosts) })
    }

    fn find_v6(&self, packet: &[u8]) -> Option<Found> {
        let ip: &[u8; IPV6_HEADER] = packet.first_chunk()?;
        let hosts = Hosts::new(&ip[8..], false);
        let length = IPV6_HEADER + usize::from(u16::from_be_bytes([ip[4], ip[5]]));
        let plain = length == packet.len();
        Some(if plain { self.find_upper(packet, hosts, IPV6_HEADER, ip[6]) } else { Found::Between(hosts) })
    }

    fn find_upper(&self, packet: &[u8], hosts: Hosts, transport: usize, protocol: u8) -> Found {
        let upper = &packet[transport..];
        let found = match protocol {
            TCP => read_tcp(upper),
            UDP => read_udp(upper),
            _ => None,
        };
        let Some((length, mergeable)) = found else { return Found::Between(hosts) };
        let flow = Flow { ports: [upper[0], upper[1], upper[2], upper[3]], hosts, protocol };
        if !mergeable || !(if protocol == TCP { self.tcp } else { self.udp }) {
            return Found::Alone(flow);
        }
        // The kernel will not look at the checksum of what is merged, so it must be right.
        let addresses = &packet[if hosts.v4 { 12 } else { 8 }..transport];
        if fold(sum(pseudo_header(addresses, protocol, upper.len()), upper)) != 0xffff {
            return Found::Between(hosts);
        }
        let headers = transport + length;
        Found::Part(flow, Shape { transport, headers, size: packet.len() - headers, protocol })
    }

    fn push_part(&mut self, arena: &[u8], packet: Range<usize>, flow: Flow, shape: Shape) {
        let push = shape.protocol == TCP && arena[packet.start + shape.transport + 13] & PSH != 0;
        let position = self.open[..self.opened].iter().position(|open| open.flow == flow);
        if let Some(position) = position {
            let index = self.open[position].group;
            if self.joins(arena, index, &packet, shape) {
                let added = self.packets.len();
                self.packets.push(Packet { range: packet, next: None });
                let group = &mut self.groups[index];
                self.packets[group.last].next = Some(added);
                group.last = added;
                group.count += 1;
                group.payload += shape.size;
                group.push = push;
                if push || shape.size < group.shape.size || group.count == MOST {
                    self.close_at(position);
                } else {
                    self.open[..=position].rotate_right(1);
                }
                return;
            }
            self.close_at(position);
        }
        let group = self.add(packet, shape, push);
        if !push {
            self.opened = (self.opened + 1).min(OPEN);
            self.open[..self.opened].rotate_right(1);
            self.open[0] = Open { flow, group };
        }
    }

    /// Whether a packet of its flow may follow the last of an open group.
    fn joins(&self, arena: &[u8], group: usize, packet: &Range<usize>, shape: Shape) -> bool {
        let group = &self.groups[group];
        let (first, next) = (&arena[self.packets[group.first].range.clone()], &arena[packet.clone()]);
        shape.headers == group.shape.headers
            && shape.size <= group.shape.size
            && group.shape.headers + group.payload + shape.size <= LONGEST
            && if shape.transport == IPV4_HEADER { same_v4(first, next, group.count) } else { same_v6(first, next) }
            && (shape.protocol == UDP
                || same_tcp(&first[shape.transport..shape.headers], &next[shape.transport..], group.payload))
    }

    /// Adds a write of one packet.
    fn add(&mut self, range: Range<usize>, shape: Shape, push: bool) -> usize {
        let packet = self.packets.len();
        self.packets.push(Packet { range, next: None });
        self.groups.push(Group { first: packet, last: packet, count: 1, shape, payload: shape.size, push });
        self.groups.len() - 1
    }

    fn close(&mut self, which: impl Fn(&Flow) -> bool) {
        let mut position = 0;
        while position < self.opened {
            if which(&self.open[position].flow) {
                self.close_at(position);
            } else {
                position += 1;
            }
        }
    }

    fn close_at(&mut self, position: usize) {
        self.open[position..self.opened].rotate_left(1);
        self.opened -= 1;
    }
}

impl Hosts {
    fn new(both: &[u8], v4: bool) -> Self {
        let mut addresses = [0; 32];
        addresses[..both.len()].copy_from_slice(both);
        Self { addresses, v4 }
    }
}

/// The length of a TCP header, and whether it is one of a segment in the middle of a stream: with payload, and no flags
/// but ACK and PSH. `None` when it does not fit.
fn read_tcp(tcp: &[u8]) -> Option<(usize, bool)> {
    let header: &[u8; TCP_HEADER] = tcp.first_chunk()?;
    let length = usize::from(header[12] >> 4) * 4;
    if length < TCP_HEADER || length > tcp.len() {
        return None;
    }
    // The lower half of byte 12 belongs to the flags. A splitter never gives a checksum of 0xffff.
    let mergeable = tcp.len() > length
        && header[12] & 0x0f == 0
        && header[13] & !PSH == ACK
        && header[TCP_CHECKSUM..TCP_CHECKSUM + 2] != [0xff, 0xff];
    Some((length, mergeable))
}

/// The length of a UDP header, and whether the datagram may be merged: it has a checksum, which a splitter would add, and
/// payload. `None` when its length is not that of the packet.
fn read_udp(udp: &[u8]) -> Option<(usize, bool)> {
    let header: &[u8; UDP_HEADER] = udp.first_chunk()?;
    if usize::from(u16::from_be_bytes([header[4], header[5]])) != udp.len() {
        return None;
    }
    Some((UDP_HEADER, udp.len() > UDP_HEADER && header[UDP_CHECKSUM..] != [0, 0]))
}

/// TOS, flags and TTL are equal, and the identification is what a splitter would write: that of the first packet and one
/// more for each.
///
/// There is one exception, because whole operating systems do nothing else: identifications that are all zero with
/// "don't fragment". Split again they count up from zero, which means nothing: whoever reads the identification of a
/// packet that is never fragmented must ignore it (RFC 6864, section 4.1). Linux's own GRO joins them as well.
fn same_v4(first: &[u8], next: &[u8], count: usize) -> bool {
    const DONT_FRAGMENT: u8 = 0x40;
    let identification = |packet: &[u8]| u16::from_be_bytes([packet[4], packet[5]]);
    let (start, this) = (identification(first), identification(next));
    let follows = this == start.wrapping_add(count as u16) || (start == 0 && this == 0 && next[6] == DONT_FRAGMENT);
    follows && first[1] == next[1] && first[6..9] == next[6..9]
}

/// Traffic class, flow label and hop limit are equal.
fn same_v6(first: &[u8], next: &[u8]) -> bool {
    first[..4] == next[..4] && first[7] == next[7]
}

/// `next` continues the stream behind `payload` bytes, and all that is neither sequence number, PSH nor checksum is
/// equal: acknowledgement, header length, window, urgent pointer and options.
fn same_tcp(first: &[u8], next: &[u8], payload: usize) -> bool {
    let sequence = |tcp: &[u8]| u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
    sequence(next) == sequence(first).wrapping_add(payload as u32)
        && first[8..13] == next[8..13]
        && first[14..16] == next[14..16]
        && first[18..] == next[18..first.len()]
}

/// One write of the TUN.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    packets: &'a [Packet],
    group: &'a Group,
}

impl<'a> Write<'a> {
    /// How many packets were merged; 1 is a packet as it came.
    pub fn count(&self) -> usize {
        self.group.count
    }

    /// Writes what comes before the payloads: the vnet header and, of a merged write, the packet's headers. Returns its
    /// length. `arena` is that of [`Coalescer::push`].
    pub fn header(&self, arena: &[u8], scratch: &mut [u8; SCRATCH]) -> usize {
        if self.count() == 1 {
            scratch[..VnetHeader::LENGTH].fill(0);
            return VnetHeader::LENGTH;
        }
        let Shape { transport, headers, size, protocol } = self.group.shape;
        let v4 = transport == IPV4_HEADER;
        let (vnet, rest) = scratch.split_at_mut(VnetHeader::LENGTH);
        let (gso_type, checksum) = match (protocol, v4) {
            (UDP, _) => (GSO_UDP_L4, UDP_CHECKSUM),
            (_, true) => (GSO_TCPV4, TCP_CHECKSUM),
            (_, false) => (GSO_TCPV6, TCP_CHECKSUM),
        };
        let header = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type,
            header_length: headers as u16,
            gso_size: size as u16,
            checksum_start: transport as u16,
            checksum_offset: checksum as u16,
        };
        vnet.copy_from_slice(&header.bytes());
        let start = self.packets[self.group.first].range.start;
        let packet = &mut rest[..headers];
        packet.copy_from_slice(&arena[start..start + headers]);
        // `Coalescer::joins` keeps the whole below 64 KiB.
        let length = headers + self.group.payload;
        let (ip, upper) = packet.split_at_mut(transport);
        let addresses = if v4 {
            ip[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            ip[10..12].fill(0);
            let check = !fold(sum(0, ip));
            ip[10..12].copy_from_slice(&check.to_be_bytes());
            &ip[12..]
        } else {
            ip[4..6].copy_from_slice(&((length - IPV6_HEADER) as u16).to_be_bytes());
            &ip[8..]
        };
        let upper_length = length - transport;
        if protocol == UDP {
            upper[4..6].copy_from_slice(&(upper_length as u16).to_be_bytes());
        } else if self.group.push {
            upper[13] |= PSH;
        }
        // Whoever splits it adds the rest and complements the sum.
        let check = fold(pseudo_header(addresses, protocol, upper_length));
        upper[checksum..checksum + 2].copy_from_slice(&check.to_be_bytes());
        VnetHeader::LENGTH + headers
    }

    /// The ranges of the arena that follow [`Self::header`], at most 64.
    pub fn payloads(&self) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let skip = if self.count() == 1 { 0 } else { self.group.shape.headers };
        self.packets().map(move |packet| packet.start + skip..packet.end)
    }

    /// The packets as they came, for a kernel that refuses the merged write.
    pub fn packets(&self) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let packets = self.packets;
        let follow = move |packet: &&Packet| packet.next.map(|next| &packets[next]);
        std::iter::successors(Some(&packets[self.group.first]), follow).map(|packet| packet.range.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DONT_FRAGMENT, Made, arena, extension, split, written};
    use super::super::{CWR, FIN};
    use super::*;

    /// How many packets each write merges.
    fn counts(packets: &[Vec<u8>]) -> Vec<usize> {
        let (arena, ranges) = arena(packets);
        let mut coalescer = Coalescer::new(true, true);
        ranges.into_iter().for_each(|range| coalescer.push(&arena, range));
        coalescer.writes().map(|write| write.count()).collect()
    }

    /// The packet that follows `made` in its flow, with a payload of `size` bytes.
    fn after(made: &Made, size: usize) -> Made {
        Made {
            identification: made.identification.wrapping_add(1),
            sequence: made.sequence.wrapping_add(made.payload.len() as u32),
            payload: vec![0x5a; size],
            ..made.clone()
        }
    }

    /// Packets of one flow with payloads of those sizes.
    fn train(first: &Made, sizes: &[usize]) -> Vec<Made> {
        let mut made = Made { payload: vec![0xa5; sizes[0]], ..first.clone() };
        let mut train = vec![made.clone()];
        for size in &sizes[1..] {
            made = after(&made, *size);
            train.push(made.clone());
        }
        train
    }

    fn bytes(train: &[Made]) -> Vec<Vec<u8>> {
        train.iter().map(Made::bytes).collect()
    }

    fn all() -> [Made; 4] {
        [Made::tcp(true), Made::tcp(false), Made::udp(true), Made::udp(false)]
    }

    #[test]
    fn what_follows_in_a_flow_is_written_as_one_that_a_kernel_can_split() {
        for (made, gso_type) in all().into_iter().zip([GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, GSO_UDP_L4]) {
            let packets = bytes(&train(&made, &[1_000, 1_000, 1_000, 10]));
            let (arena, ranges) = arena(&packets);
            let mut coalescer = Coalescer::new(true, true);
            ranges.iter().for_each(|range| coalescer.push(&arena, range.clone()));
            assert_eq!((coalescer.len(), coalescer.write(0).count()), (1, 4));
            let (header, packet) = written(coalescer.write(0), &arena);
            assert_eq!(
                header,
                VnetHeader {
                    flags: NEEDS_CSUM,
                    gso_type,
                    header_length: made.headers() as u16,
                    gso_size: 1_000,
                    checksum_start: made.transport() as u16,
                    checksum_offset: if made.protocol == TCP { 16 } else { 6 },
                }
            );
            // A kernel that does not split it finishes the checksum as that of one large packet.
            let one = VnetHeader { gso_type: 0, gso_size: 0, ..header };
            let whole = Made { payload: [vec![0xa5; 1_000], vec![0x5a; 2_010]].concat(), ..made };
            assert_eq!(split(&one, packet.clone()), [whole.bytes()]);
            assert_eq!(split(&header, packet), packets);
            assert_eq!(coalescer.write(0).packets().collect::<Vec<_>>(), ranges);
        }
    }

    #[test]
    fn a_shorter_packet_ends_a_write_and_a_longer_one_begins_another() {
        for made in all() {
            assert_eq!(counts(&bytes(&train(&made, &[500, 500, 499, 499, 500]))), [3, 1, 1]);
            assert_eq!(counts(&bytes(&train(&made, &[500, 501, 501]))), [1, 2]);
        }
    }

    #[test]
    fn what_is_pushed_ends_a_write_which_pushes_then() {
        let mut train = train(&Made::tcp(true), &[500; 5]);
        (train[2].flags, train[3].flags) = (ACK | PSH, ACK | PSH);
        let (arena, ranges) = arena(&bytes(&train));
        let mut coalescer = Coalescer::new(true, true);
        ranges.into_iter().for_each(|range| coalescer.push(&arena, range));
        assert_eq!(coalescer.writes().map(|write| write.count()).collect::<Vec<_>>(), [3, 1, 1]);
        assert_eq!(written(coalescer.write(0), &arena).1[33], ACK | PSH);
    }

    #[test]
    fn what_a_splitter_would_not_write_again_is_not_merged() {
        type Change = (&'static str, fn(&mut Made));
        let changes: [Change; 13] = [
            ("tos", |made| made.tos ^= 2),
            ("hop limit", |made| made.hops -= 1),
            ("flow label", |made| if made.v4 { made.tos = 1 } else { made.label = 1 }),
            ("don't fragment", |made| if made.v4 { made.fragment ^= DONT_FRAGMENT } else { made.tos = 1 }),
            ("identification", |made| if made.v4 { made.identification += 1 } else { made.tos = 1 }),
            ("port", |made| made.port += 1),
            ("host", |made| made.host += 1),
            ("a gap", |made| made.sequence += 1),
            ("once more", |made| made.sequence -= 500),
            ("acknowledgement", |made| made.acknowledged += 1),
            ("window", |made| made.window += 1),
            ("options", |made| made.options[11] += 1),
            ("no options", |made| made.options.clear()),
        ];
        for made in all() {
            for (what, change) in &changes[..if made.protocol == TCP { changes.len() } else { 7 }] {
                let mut train = train(&made, &[500; 2]);
                assert_eq!(counts(&bytes(&train)), [2]);
                change(&mut train[1]);
                assert_eq!(counts(&bytes(&train)), [1, 1], "{what}, protocol {}, IPv4 {}", made.protocol, made.v4);
            }
        }
    }

    #[test]
    fn only_segments_in_the_middle_of_a_stream_are_merged() {
        for flags in [ACK | FIN, 0x02, ACK | 0x02, ACK | 0x04, ACK | 0x20, ACK | 0x40, ACK | CWR, 0, PSH] {
            for v4 in [true, false] {
                let made = Made { flags, ..Made::tcp(v4) };
                assert_eq!(counts(&bytes(&train(&made, &[500; 3]))), [1, 1, 1], "flags {flags:#x}");
            }
        }
        assert_eq!(counts(&bytes(&train(&Made::tcp(true), &[0; 3]))), [1, 1, 1], "no payload");
        assert_eq!(counts(&bytes(&train(&Made::udp(true), &[0; 3]))), [1, 1, 1], "no payload");
    }

    #[test]
    fn identifications_that_are_all_zero_are_merged_when_they_mean_nothing() {
        for (fragment, expected) in [(DONT_FRAGMENT, vec![3]), (0, vec![1, 1, 1])] {
            let mut train = train(&Made { fragment, ..Made::tcp(true) }, &[500; 3]);
            train.iter_mut().for_each(|made| made.identification = 0);
            assert_eq!(counts(&bytes(&train)), expected);
        }
    }

    #[test]
    fn a_wrong_checksum_is_left_for_the_kernel_to_find() {
        for made in all() {
            let packets = bytes(&train(&made, &[500; 4]));
            for at in (0..packets[0].len()).filter(|at| !made.v4 || !(2..4).contains(at)) {
                let mut packets = packets.clone();
                packets[1][at] ^= 0x10;
                let counts = counts(&packets);
                assert!(
                    counts == [1, 1, 2] || (at < made.transport() && !counts.contains(&4)),
                    "byte {at}: {counts:?}"
                );
            }
        }
    }

    #[test]
    fn a_datagram_without_a_checksum_gets_none() {
        let mut packets = bytes(&train(&Made::udp(true), &[500; 3]));
        packets.iter_mut().for_each(|packet| packet[26..28].fill(0));
        assert_eq!(counts(&packets), [1, 1, 1]);
    }

    #[test]
    fn the_form_of_zero_that_a_splitter_does_not_write_is_not_merged() {
        let mut made = Made { payload: vec![0; 500], ..Made::tcp(true) };
        let check = made.bytes()[36..38].to_vec();
        made.payload[..2].copy_from_slice(&check);
        let mut packets = bytes(&[made.clone(), after(&made, 500)]);
        assert_eq!(packets[0][36..38], [0, 0]);
        assert_eq!(counts(&packets), [2]);
        packets[0][36..38].fill(0xff);
        assert_eq!(counts(&packets), [1, 1]);
    }

    #[test]
    fn fragments_options_and_extension_headers_go_alone() {
        for made in all() {
            for fragment in [0x2000, 0x2001, 0x0001, 0x8000] {
                let expected = if made.v4 { vec![1, 1] } else { vec![2] };
                assert_eq!(counts(&bytes(&train(&Made { fragment, ..made.clone() }, &[500; 2]))), expected);
            }
            let ip_options = if made.v4 { vec![1; 4] } else { extension(made.protocol) };
            assert_eq!(counts(&bytes(&train(&Made { ip_options, ..made }, &[500; 2]))), [1, 1]);
        }
    }

    #[test]
    fn a_packet_alone_ends_the_write_of_its_flow_only() {
        let (one, other) = (Made::tcp(true), Made { port: 9, ..Made::tcp(true) });
        let (one, other) = (bytes(&train(&one, &[500; 4])), bytes(&train(&other, &[500; 4])));
        let acknowledgement = Made::tcp(true).bytes();
        let mixed = [&one[..2], &other[..2], &[acknowledgement], &one[2..], &other[2..]].concat();
        assert_eq!(counts(&mixed), [2, 4, 1, 2]);
    }

    #[test]
    fn a_packet_without_ports_ends_every_write_of_its_hosts() {
        let fragment = Made { fragment: 37, ..Made::udp(true) }.bytes();
        let ping = Made { protocol: 1, ..Made::udp(true) }.bytes();
        let options = Made { ip_options: vec![1; 4], ..Made::udp(true) }.bytes();
        for between in [fragment, ping, options] {
            let one = bytes(&train(&Made::tcp(true), &[500; 4]));
            let other = bytes(&train(&Made::udp(true), &[500; 4]));
            let elsewhere = bytes(&train(&Made { host: 2, ..Made::udp(true) }, &[500; 4]));
            let mixed = [&one[..2], &other[..2], &elsewhere[..2], &[between], &one[2..], &other[2..], &elsewhere[2..]];
            assert_eq!(counts(&mixed.concat()), [2, 2, 4, 1, 2, 2]);
        }
    }

    #[test]
    fn flows_that_alternate_are_merged_each_and_written_in_the_order_of_their_first_packets() {
        let flows = (0..OPEN as u16).map(|port| bytes(&train(&Made { port, ..Made::udp(false) }, &[100; 3])));
        let flows = flows.collect::<Vec<_>>();
        let mixed = (0..3).flat_map(|index| flows.iter().map(move |flow| flow[index].clone())).collect::<Vec<_>>();
        assert_eq!(counts(&mixed), [3; OPEN]);
    }

    #[test]
    fn more_flows_than_stay_open_lose_nothing() {
        let flows = (0..=OPEN as u16).map(|port| bytes(&train(&Made { port, ..Made::udp(false) }, &[100; 2])));
        let flows = flows.collect::<Vec<_>>();
        let mixed = (0..2).flat_map(|index| flows.iter().map(move |flow| flow[index].clone())).collect::<Vec<_>>();
        assert_eq!(counts(&mixed), [1; 2 * (OPEN + 1)]);
    }

    #[test]
    fn a_write_has_at_most_sixty_four_packets_of_64_kib_together() {
        for made in all() {
            assert_eq!(counts(&bytes(&train(&made, &[10; 130]))), [64, 64, 2]);
            let most = (65_535 - made.headers()) / 1_400;
            assert_eq!(counts(&bytes(&train(&made, &[1_400; 50]))), [most, 50 - most]);
        }
    }

    #[test]
    fn nothing_is_merged_that_the_tun_does_not_take() {
        let packets =
            [bytes(&train(&Made::tcp(true), &[500; 2])), bytes(&train(&Made::udp(false), &[500; 2]))].concat();
        let (arena, ranges) = arena(&packets);
        let mut coalescer = Coalescer::new(false, false);
        for (tcp, udp, expected) in
            [(false, false, &[1; 4][..]), (true, false, &[2, 1, 1]), (false, true, &[1, 1, 2]), (true, true, &[2, 2])]
        {
            coalescer.set(tcp, udp);
            ranges.iter().for_each(|range| coalescer.push(&arena, range.clone()));
            assert_eq!(coalescer.writes().map(|write| write.count()).collect::<Vec<_>>(), expected);
            coalescer.clear();
            assert!(coalescer.is_empty());
        }
    }
}
