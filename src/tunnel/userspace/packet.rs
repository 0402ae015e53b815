//! IP packets as bytes: the headers that forwarding needs, checksums, and the UDP datagrams of control traffic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;

pub(super) const IPV4_HEADER: usize = 20;
pub(super) const IPV6_HEADER: usize = 40;
pub(super) const UDP_HEADER: usize = 8;

pub(super) const ICMP: u8 = 1;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;

/// What forwarding needs to know of a packet. Its lengths were checked against the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Length of the whole packet in bytes, as its header says.
    pub(super) length: usize,
    /// TTL of IPv4, hop limit of IPv6.
    pub(super) hop_limit: u8,
    /// The upper protocol, behind IPv6 extension headers.
    pub(super) protocol: u8,
    /// Where the upper protocol begins.
    pub(super) payload: usize,
    /// A fragment that is not the first: it has no header of the upper protocol.
    pub(super) later_fragment: bool,
    /// Routers must not fragment it (always so with IPv6).
    pub(super) dont_fragment: bool,
}

impl Header {
    /// Reads the header; `None` when the bytes are no whole IP packet.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::parse_v4(packet),
            6 => Self::parse_v6(packet),
            _ => None,
        }
    }

    fn parse_v4(packet: &[u8]) -> Option<Self> {
        let header: &[u8; IPV4_HEADER] = packet.first_chunk()?;
        let payload = usize::from(header[0] & 0x0f) * 4;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if payload < IPV4_HEADER || length < payload || length > packet.len() {
            return None;
        }
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        Some(Self {
            source: IpAddr::V4(Ipv4Addr::from(*header[12..].first_chunk::<4>()?)),
            destination: IpAddr::V4(Ipv4Addr::from(*header[16..].first_chunk::<4>()?)),
            length,
            hop_limit: header[8],
            protocol: header[9],
            payload,
            later_fragment: fragment & 0x1fff != 0,
            dont_fragment: fragment & 0x4000 != 0,
        })
    }

    fn parse_v6(packet: &[u8]) -> Option<Self> {
        let header: &[u8; IPV6_HEADER] = packet.first_chunk()?;
        let length = IPV6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        if length > packet.len() {
            return None;
        }
        let (protocol, payload, later_fragment) = skip_extensions(&packet[..length], header[6]);
        Some(Self {
            source: IpAddr::V6(Ipv6Addr::from(*header[8..].first_chunk::<16>()?)),
            destination: IpAddr::V6(Ipv6Addr::from(*header[24..].first_chunk::<16>()?)),
            length,
            hop_limit: header[7],
            protocol,
            payload,
            later_fragment,
            dont_fragment: true,
        })
    }
}

/// Walks hop-by-hop, routing, fragment and destination options (RFC 8200, section 4) up to the upper protocol.
/// A chain that does not end in the packet counts as "no next header".
fn skip_extensions(packet: &[u8], first: u8) -> (u8, usize, bool) {
    const NO_NEXT_HEADER: u8 = 59;
    let (mut protocol, mut at, mut later_fragment) = (first, IPV6_HEADER, false);
    while matches!(protocol, 0 | 43 | 44 | 60) && !later_fragment {
        let Some(header) = packet.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return (NO_NEXT_HEADER, packet.len(), later_fragment);
        };
        let length = if protocol == 44 {
            later_fragment = u16::from_be_bytes([header[2], header[3]]) & 0xfff8 != 0;
            8
        } else {
            8 + usize::from(header[1]) * 8
        };
        (protocol, at) = (header[0], at + length);
    }
    if at > packet.len() { (NO_NEXT_HEADER, packet.len(), later_fragment) } else { (protocol, at, later_fragment) }
}

/// Lowers TTL or hop limit by one and mends the IPv4 checksum (RFC 1624). `false` when the packet has no hop left;
/// it is then unchanged. `packet` is one that [`Header::parse`] accepted.
pub(super) fn take_hop(packet: &mut [u8]) -> bool {
    let v4 = packet[0] >> 4 == 4;
    let hops = &mut packet[if v4 { 8 } else { 7 }];
    if *hops <= 1 {
        return false;
    }
    *hops -= 1;
    if v4 {
        let old = u16::from_be_bytes([packet[10], packet[11]]);
        // The word of TTL and protocol fell by 0x0100, so its complement's sum rises by as much.
        let new = fold(u32::from(old) + 0x0100);
        packet[10..12].copy_from_slice(&new.to_be_bytes());
    }
    true
}

/// The congestion bits of a packet's header (RFC 3168): 0 not capable, 1 and 2 capable, 3 congestion met. `packet` begins
/// as one that [`Header::parse`] accepted.
pub(super) fn congestion(packet: &[u8]) -> u8 {
    if packet[0] >> 4 == 4 { packet[1] & 3 } else { (packet[1] >> 4) & 3 }
}

/// Takes over what the outer header says of congestion (RFC 6040, section 4.2). `false` when the packet met congestion
/// and cannot carry the mark: then it is to be dropped, which tells its sender as much.
pub(super) fn mark(packet: &mut [u8], outer: u8) -> bool {
    const MET: u8 = 3;
    let inner = congestion(packet);
    if outer != MET || inner == MET {
        return true;
    }
    if inner == 0 {
        return false;
    }
    if packet[0] >> 4 == 4 {
        packet[1] |= MET;
        let old = u16::from_be_bytes([packet[10], packet[11]]);
        // The first word rose by the difference, so its complement's sum falls by as much (RFC 1624).
        let new = fold(u32::from(old) + u32::from(!u16::from(MET - inner)));
        packet[10..12].copy_from_slice(&new.to_be_bytes());
    } else {
        packet[1] |= MET << 4;
    }
    true
}

/// Adds `bytes` to a ones' complement sum, as big-endian words.
pub(super) fn add(sum: u32, bytes: &[u8]) -> u32 {
    let words = bytes.chunks_exact(2);
    let last = words.remainder().first().map_or(0, |byte| u32::from(*byte) << 8);
    words.fold(sum, |sum, word| sum + u32::from(u16::from_be_bytes([word[0], word[1]]))) + last
}

/// Folds a ones' complement sum to 16 bits.
pub(super) fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the IPv6 pseudo-header (RFC 8200, section 8.1).
pub(super) fn pseudo_header(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: usize) -> u32 {
    let sum = add(add(0, &source.octets()), &destination.octets());
    add(sum, &(length as u32).to_be_bytes()) + u32::from(protocol)
}

/// Writes the fixed IPv6 header in front of `payload` bytes that follow it.
pub(super) fn write_ipv6_header(
    packet: &mut [u8],
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
    payload: usize,
) {
    packet[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    packet[4..6].copy_from_slice(&(payload as u16).to_be_bytes());
    packet[6..8].copy_from_slice(&[protocol, 64]);
    packet[8..24].copy_from_slice(&source.octets());
    packet[24..40].copy_from_slice(&destination.octets());
}

/// One end of a UDP flow over IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UdpEnd {
    pub(super) address: Ipv6Addr,
    pub(super) port: u16,
}

/// Builds an IPv6 packet with one UDP datagram into `packet`.
///
/// # Errors
/// `EMSGSIZE` when it does not fit. Returns its length.
pub(super) fn write_udp(packet: &mut [u8], from: UdpEnd, to: UdpEnd, payload: &[u8]) -> Result<usize, Errno> {
    let datagram = UDP_HEADER + payload.len();
    let length = IPV6_HEADER + datagram;
    if length > packet.len() || datagram > usize::from(u16::MAX) {
        return Err(Errno::MSGSIZE);
    }
    write_ipv6_header(packet, from.address, to.address, UDP, datagram);
    let udp = &mut packet[IPV6_HEADER..length];
    udp[..2].copy_from_slice(&from.port.to_be_bytes());
    udp[2..4].copy_from_slice(&to.port.to_be_bytes());
    udp[4..6].copy_from_slice(&(datagram as u16).to_be_bytes());
    udp[6..8].fill(0);
    udp[UDP_HEADER..].copy_from_slice(payload);
    let sum = !fold(add(pseudo_header(from.address, to.address, UDP, datagram), udp));
    // Zero means "no checksum", which IPv6 forbids; its other form of zero is sent instead (RFC 768).
    udp[6..8].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
    Ok(length)
}

/// The destination port of a UDP packet over IPv6; `None` for every other packet and for later fragments.
pub(super) fn udp6_port(packet: &[u8], header: &Header) -> Option<u16> {
    if header.protocol != UDP || header.later_fragment || !header.destination.is_ipv6() {
        return None;
    }
    let udp = packet[..header.length].get(header.payload..)?.first_chunk::<UDP_HEADER>()?;
    Some(u16::from_be_bytes([udp[2], udp[3]]))
}

/// The payload of a UDP packet over IPv6 whose length and checksum are right.
pub(super) fn udp6_payload<'a>(packet: &'a [u8], header: &Header) -> Option<&'a [u8]> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (header.source, header.destination) else {
        return None;
    };
    let udp = packet[..header.length].get(header.payload..)?;
    let length = usize::from(u16::from_be_bytes([*udp.get(4)?, *udp.get(5)?]));
    let datagram = udp.get(..length).filter(|datagram| datagram.len() >= UDP_HEADER)?;
    let checked =
        datagram[6..8] != [0, 0] && fold(add(pseudo_header(source, destination, UDP, length), datagram)) == 0xffff;
    checked.then(|| &datagram[UDP_HEADER..])
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An IPv4 packet with a right header checksum.
    pub(in crate::tunnel::userspace) fn ipv4(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        ttl: u8,
        protocol: u8,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut packet = vec![0; IPV4_HEADER + payload.len()];
        packet[0] = 0x45;
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet[8] = ttl;
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&source.octets());
        packet[16..20].copy_from_slice(&destination.octets());
        let sum = !fold(add(0, &packet[..IPV4_HEADER]));
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet[IPV4_HEADER..].copy_from_slice(payload);
        packet
    }

    /// An IPv6 packet.
    pub(in crate::tunnel::userspace) fn ipv6(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        hops: u8,
        protocol: u8,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut packet = vec![0; IPV6_HEADER + payload.len()];
        write_ipv6_header(&mut packet, source, destination, protocol, payload.len());
        packet[7] = hops;
        packet[IPV6_HEADER..].copy_from_slice(payload);
        packet
    }

    const A: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 2, 0, 0, 0, 0, 0xa);
    const B: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 2, 0, 0, 0, 0, 0xb);

    #[test]
    fn taking_a_hop_keeps_the_ipv4_checksum_right() {
        for ttl in 2..=255 {
            let mut packet = ipv4(Ipv4Addr::new(10, 1, 1, 1), Ipv4Addr::new(10, 255, 3, ttl), ttl, UDP, b"payload");
            assert!(take_hop(&mut packet));
            assert_eq!(packet[8], ttl - 1);
            assert_eq!(fold(add(0, &packet[..IPV4_HEADER])), 0xffff, "ttl {ttl}");
        }
    }

    #[test]
    fn the_last_hop_is_not_taken() {
        let mut v4 = ipv4(Ipv4Addr::new(10, 1, 1, 1), Ipv4Addr::new(10, 1, 1, 2), 1, UDP, b"");
        let mut v6 = ipv6(A, B, 1, UDP, b"");
        assert!(!take_hop(&mut v4) && !take_hop(&mut v6));
        assert_eq!((v4[8], v6[7]), (1, 1));
    }

    #[test]
    fn a_udp_packet_is_read_back_as_it_was_written() {
        let mut packet = [0; 256];
        let (from, to) = (UdpEnd { address: A, port: 50_501 }, UdpEnd { address: B, port: 50_502 });
        for payload in [&b""[..], b"x", b"hello"] {
            let length = write_udp(&mut packet, from, to, payload).expect("it fits");
            let header = Header::parse(&packet[..length]).expect("a packet");
            assert_eq!((header.source, header.destination), (IpAddr::V6(A), IpAddr::V6(B)));
            assert_eq!(udp6_port(&packet[..length], &header), Some(50_502));
            assert_eq!(udp6_payload(&packet[..length], &header), Some(payload));
            packet[length - 1] ^= 0x40;
            assert_eq!(udp6_payload(&packet[..length], &header), None);
        }
    }

    #[test]
    fn a_udp_packet_that_does_not_fit_is_refused() {
        let end = UdpEnd { address: A, port: 1 };
        assert_eq!(write_udp(&mut [0; 50], end, end, b"too long"), Err(Errno::MSGSIZE));
    }

    #[test]
    fn extension_headers_are_skipped_and_later_fragments_seen() {
        let mut payload = vec![44, 0, 0, 0, 0, 0, 0, 0]; // hop-by-hop, then a fragment header
        payload.extend([UDP, 0, 0x00, 0x08, 0, 0, 0, 1]);
        payload.extend([0; 16]);
        let header = Header::parse(&ipv6(A, B, 64, 0, &payload)).expect("a packet");
        assert_eq!((header.protocol, header.payload, header.later_fragment), (UDP, 56, true));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0_u8..16) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = (version << 4) | (*first & 0x0f);
            }
            if let Some(header) = Header::parse(&bytes) {
                prop_assert!(header.payload <= bytes.len() && header.length <= bytes.len());
                let _ = udp6_port(&bytes, &header);
                let _ = udp6_payload(&bytes, &header);
                let _ = take_hop(&mut bytes);
            }
        }
    }
}
