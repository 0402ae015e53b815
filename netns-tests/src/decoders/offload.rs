//! What the kernel and the peers make the embedded tunnel split and merge.

use std::ops::Range;

use wgnet::tunnel::userspace::offload::coalesce::{Coalescer, SCRATCH, Write};
use wgnet::tunnel::userspace::offload::segment::Segments;
use wgnet::tunnel::userspace::offload::{GSO_ECN, GSO_NONE, VnetHeader};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The TUN gives any vnet header and any packet behind it: whatever comes out of a superpacket is packets with right
/// lengths and checksums.
pub fn segmentation(input: &[u8]) {
    let Some((header, packet)) = input.split_first_chunk() else { return };
    let header = VnetHeader::read(header);
    assert_eq!(VnetHeader::read(&header.bytes()), header);
    let packets = split(&header, packet.to_vec()).unwrap_or_default();
    if header.gso_type & !GSO_ECN != GSO_NONE {
        assert!(packets.iter().all(|packet| is_right(packet)), "lengths and checksums are right");
    }
}

/// A peer sends any packets, each with a right checksum unless the upper bit of the length before it is set: what they
/// are merged into gives them back when it is split.
pub fn coalescing(input: &[u8]) {
    let (mut arena, packets) = packets(input);
    for (packet, leave) in &packets {
        if !leave {
            mend(&mut arena[packet.clone()]);
        }
    }
    for takes in [true, false] {
        let mut coalescer = Coalescer::new(takes, takes);
        packets.iter().for_each(|(packet, _)| coalescer.push(&arena, packet.clone()));
        let mut came = Vec::new();
        for write in coalescer.writes() {
            assert!(takes || write.count() == 1, "nothing is merged that the TUN does not take");
            gives_back(write, &arena);
            came.extend(write.packets());
        }
        came.sort_by_key(|packet| packet.end);
        assert!(came.iter().eq(packets.iter().map(|(packet, _)| packet)), "nothing is lost or made up");
    }
}

/// Packets with a length of two bytes before each, as ranges of a copy, and whether each is left as it is.
fn packets(input: &[u8]) -> (Vec<u8>, Vec<(Range<usize>, bool)>) {
    let (mut packets, mut at) = (Vec::new(), 0);
    while let Some(length) = input.get(at..).and_then(|rest| rest.first_chunk()) {
        let length = u16::from_le_bytes(*length);
        let end = input.len().min(at + 2 + usize::from(length & 0x7fff));
        packets.push((at + 2..end, length & 0x8000 != 0));
        at = end;
    }
    (input.to_vec(), packets)
}

fn gives_back(write: Write<'_>, arena: &[u8]) {
    let mut scratch = [0; SCRATCH];
    let length = write.header(arena, &mut scratch);
    let mut bytes = scratch[..length].to_vec();
    write.payloads().for_each(|payload| bytes.extend(&arena[payload]));
    let (header, packet) = bytes.split_first_chunk().expect("a vnet header");
    let header = VnetHeader::read(header);
    assert!(packet.len() < 0x1_0000 && write.count() <= 64, "more than the kernel takes");
    let came = write.packets().map(|packet| &arena[packet]).collect::<Vec<_>>();
    if write.count() == 1 {
        assert!(header == VnetHeader::default() && came == [packet], "a packet alone is written as it came");
        return;
    }
    let given = split(&header, packet.to_vec()).expect("a superpacket that can be split");
    assert!(given.len() == came.len(), "as many packets as were merged");
    for (given, came) in given.into_iter().zip(came) {
        let mut came = came.to_vec();
        // An identification that means nothing is counted up when the packets are split (RFC 6864, section 4.1).
        if came[0] >> 4 == 4 && came[4..8] == [0, 0, 0x40, 0] {
            came[4..6].copy_from_slice(&given[4..6]);
            came[10..12].copy_from_slice(&given[10..12]);
        }
        assert!(given == came, "the packets that were merged");
    }
}

/// The packets of a superpacket; each is overwritten when it was taken. `None` when it is refused.
fn split(header: &VnetHeader, mut packet: Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let mut segments = Segments::new(header, &mut packet).ok()?;
    let mut packets = Vec::new();
    while let Some(range) = segments.next(&mut packet) {
        packets.push(packet[range.clone()].to_vec());
        packet[..range.end].fill(0xdd);
    }
    Some(packets)
}

/// What the checksum of TCP or UDP covers, and where it lies.
struct Upper {
    protocol: u8,
    addresses: Range<usize>,
    start: usize,
    check: usize,
}

/// Where TCP or UDP is in a packet. Nothing here is shared with what is tested.
fn upper(packet: &[u8]) -> Option<Upper> {
    let (mut protocol, addresses, mut start) = match packet.first()? >> 4 {
        4 => (*packet.get(9)?, 12..20, usize::from(packet[0] & 0x0f) * 4),
        6 => (*packet.get(6)?, 8..40, 40),
        _ => return None,
    };
    while packet[0] >> 4 == 6 && matches!(protocol, 0 | 60) {
        protocol = *packet.get(start)?;
        start += 8 + 8 * usize::from(*packet.get(start + 1)?);
    }
    let (check, header) = match protocol {
        TCP => (start + 16, 20),
        UDP => (start + 6, 8),
        _ => return None,
    };
    (start >= addresses.end && packet.len() >= start + header).then_some(Upper { protocol, addresses, start, check })
}

/// The ones' complement sum of 16-bit words.
fn sum(pieces: &[&[u8]]) -> u16 {
    let words = pieces.iter().flat_map(|piece| piece.chunks(2));
    let total = words.map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0))).sum::<u64>();
    match total % 0xffff {
        0 if total > 0 => 0xffff,
        rest => u16::try_from(rest).unwrap_or(0),
    }
}

fn sum_of_upper(packet: &[u8], upper: &Upper) -> u16 {
    let length = u32::try_from(packet.len() - upper.start).unwrap_or(0).to_be_bytes();
    sum(&[&packet[upper.addresses.clone()], &length, &[0, upper.protocol], &packet[upper.start..]])
}

fn lengths(packet: &[u8]) -> ([u8; 2], [u8; 2]) {
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
    (length(packet.len()), length(packet.len().saturating_sub(40)))
}

fn is_right(packet: &[u8]) -> bool {
    let Some(upper) = upper(packet) else { return false };
    let (of_v4, of_v6) = lengths(packet);
    let ip = match packet[0] >> 4 {
        4 => packet[2..4] == of_v4 && sum(&[&packet[..upper.start]]) == 0xffff,
        _ => packet[4..6] == of_v6,
    };
    let udp = usize::from(u16::from_be_bytes([packet[upper.start + 4], packet[upper.start + 5]]));
    let udp = upper.protocol != UDP || (udp == packet.len() - upper.start && packet[upper.check..][..2] != [0, 0]);
    ip && udp && sum_of_upper(packet, &upper) == 0xffff
}

/// Makes lengths and checksums right, as a sender that means it does.
fn mend(packet: &mut [u8]) {
    let Some(upper) = upper(packet) else { return };
    let (of_v4, of_v6) = lengths(packet);
    if packet[0] >> 4 == 4 {
        packet[2..4].copy_from_slice(&of_v4);
        packet[10..12].fill(0);
        let check = !sum(&[&packet[..upper.start]]);
        packet[10..12].copy_from_slice(&check.to_be_bytes());
    } else {
        packet[4..6].copy_from_slice(&of_v6);
    }
    if upper.protocol == UDP {
        let length = u16::try_from(packet.len() - upper.start).unwrap_or(u16::MAX);
        packet[upper.start + 4..upper.start + 6].copy_from_slice(&length.to_be_bytes());
    }
    packet[upper.check..upper.check + 2].fill(0);
    let check = match !sum_of_upper(packet, &upper) {
        0 if upper.protocol == UDP => 0xffff,
        check => check,
    };
    packet[upper.check..upper.check + 2].copy_from_slice(&check.to_be_bytes());
}
