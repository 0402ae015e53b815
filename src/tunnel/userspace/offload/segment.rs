//! From one read of the TUN to packets, without a copy.
//!
//! A superpacket is one IP and one TCP or UDP header with the payload of many packets behind it. The packets leave one
//! after the other, so the header of the next may be written over the payload of the one that has left:
//!
//! ```text
//!   read      |header|payload 0|payload 1|payload 2|
//!   packet 0  |header|payload 0|
//!   packet 1            |header|payload 1|
//!   packet 2                      |header|payload 2|
//! ```
//!
//! Each is whole where it lies, ready to be sealed from there into the datagram.

use std::ops::Range;

use super::super::packet::{Header, IPV4_HEADER, IPV6_HEADER, UDP, UDP_HEADER};
use super::checksum::{fold, pseudo_header, sum, word};
use super::{
    CWR, FIN, GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, PSH, TCP, TCP_CHECKSUM, TCP_HEADER,
    UDP_CHECKSUM, VnetHeader,
};

/// Longest headers of a superpacket in bytes: the longest of IPv4 and TCP are 120 together; the rest is for extension
/// headers of IPv6.
const LONGEST_HEADERS: usize = 256;

/// What was read is nothing that a kernel writes: its header and the packet contradict each other, or ask for what the
/// TUN was not told to give. The packet is lost, the next read is not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TUN gave a packet that contradicts its header")]
pub struct Malformed;

/// What one read of the TUN gave: one packet, or many that share their headers.
#[derive(Debug)]
pub struct Segments {
    /// The headers of every packet. The fields that differ are zero: lengths, checksums, the identification of IPv4,
    /// sequence number and flags of TCP.
    headers: [u8; LONGEST_HEADERS],
    /// Bytes of `headers` that are used; 0 when what was read is one packet.
    headers_length: usize,
    /// Where in them TCP or UDP begins.
    transport: usize,
    kind: Kind,
    v4: bool,
    /// The sum of the IPv4 header as it lies in `headers`.
    ip_sum: u64,
    /// The sum of the TCP or UDP header as it lies in `headers`, and of addresses and protocol.
    transport_sum: u64,
    /// Payload bytes per packet.
    size: usize,
    /// Where the next packet's payload begins.
    at: usize,
    /// Where the last packet's payload ends.
    end: usize,
    /// Packets given already.
    given: usize,
    done: bool,
}

/// What is left to do for each packet.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Nothing: it is one packet.
    Whole,
    /// Of the first packet: its identification (IPv4), sequence number and flags.
    Tcp { identification: u16, sequence: u32, flags: u8 },
    /// Of the first packet: its identification (IPv4).
    Udp { identification: u16 },
}

impl Segments {
    /// `packet` is what was read behind `header`. The checksum of a packet that came alone is finished in it.
    ///
    /// # Errors
    /// [`Malformed`]; `packet` is then unchanged.
    pub fn new(header: &VnetHeader, packet: &mut [u8]) -> Result<Self, Malformed> {
        let (v4, protocol) = match header.gso_type & !GSO_ECN {
            GSO_NONE => return Self::whole(header, packet),
            GSO_TCPV4 => (true, TCP),
            GSO_TCPV6 => (false, TCP),
            GSO_UDP_L4 => (packet.first().is_some_and(|first| first >> 4 == 4), UDP),
            _ => return Err(Malformed),
        };
        Self::many(header, packet, v4, protocol).ok_or(Malformed)
    }

    fn whole(header: &VnetHeader, packet: &mut [u8]) -> Result<Self, Malformed> {
        if packet.is_empty() {
            return Err(Malformed);
        }
        if header.flags & NEEDS_CSUM != 0 {
            finish_checksum(header, packet).ok_or(Malformed)?;
        }
        Ok(Self {
            headers: [0; LONGEST_HEADERS],
            headers_length: 0,
            transport: 0,
            kind: Kind::Whole,
            v4: false,
            ip_sum: 0,
            transport_sum: 0,
            size: packet.len(),
            at: 0,
            end: packet.len(),
            given: 0,
            done: false,
        })
    }

    fn many(header: &VnetHeader, packet: &[u8], v4: bool, protocol: u8) -> Option<Self> {
        let ip = Header::parse(packet)?;
        let transport = ip.payload;
        // What the kernel says of where TCP or UDP begins must be what the packet says.
        let fits = ip.source.is_ipv4() == v4
            && ip.protocol == protocol
            && !is_special(packet, transport, v4)
            && header.gso_size != 0
            && (header.flags & NEEDS_CSUM == 0 || usize::from(header.checksum_start) == transport);
        if !fits {
            return None;
        }
        let shortest = if protocol == TCP { TCP_HEADER } else { UDP_HEADER };
        let upper = packet[..ip.length].get(transport..).filter(|upper| upper.len() >= shortest)?;
        let length = if protocol == TCP { usize::from(upper[12] >> 4) * 4 } else { UDP_HEADER };
        let headers_length = transport + length;
        if length < shortest || headers_length > ip.length {
            return None;
        }
        let mut headers = [0; LONGEST_HEADERS];
        headers.get_mut(..headers_length)?.copy_from_slice(&packet[..headers_length]);
        let (ip_part, upper_part) = headers[..headers_length].split_at_mut(transport);
        let identification = if v4 { u16::from_be_bytes([ip_part[4], ip_part[5]]) } else { 0 };
        let addresses = if v4 {
            ip_part[2..6].fill(0);
            ip_part[10..12].fill(0);
            &ip_part[12..IPV4_HEADER]
        } else {
            ip_part[4..6].fill(0);
            &ip_part[8..IPV6_HEADER]
        };
        let kind = if protocol == TCP {
            let sequence = u32::from_be_bytes(*upper_part[4..].first_chunk()?);
            let flags = upper_part[13];
            upper_part[4..8].fill(0);
            upper_part[13] = 0;
            upper_part[TCP_CHECKSUM..TCP_CHECKSUM + 2].fill(0);
            Kind::Tcp { identification, sequence, flags }
        } else {
            upper_part[4..UDP_HEADER].fill(0);
            Kind::Udp { identification }
        };
        Some(Self {
            headers_length,
            transport,
            kind,
            v4,
            ip_sum: if v4 { sum(0, ip_part) } else { 0 },
            transport_sum: sum(pseudo_header(addresses, protocol, 0), upper_part),
            headers,
            size: usize::from(header.gso_size),
            at: headers_length,
            end: ip.length,
            given: 0,
            done: false,
        })
    }

    /// The next packet, whole and with right lengths and checksums, as a range of `packet`, which is the slice that
    /// [`Self::new`] was given. What lies before the range's end may be overwritten by the caller and will be by the
    /// next call; what lies behind it must stay as it is.
    pub fn next(&mut self, packet: &mut [u8]) -> Option<Range<usize>> {
        if self.done {
            return None;
        }
        let end = self.end.min(self.at + self.size);
        let last = end == self.end;
        let start = self.at - self.headers_length;
        let whole = packet.get_mut(start..end)?;
        let (headers, payload) = whole.split_at_mut(self.headers_length);
        headers.copy_from_slice(&self.headers[..self.headers_length]);
        let (ip, upper) = headers.split_at_mut(self.transport);
        // At most 65535: the headers and all of the payload came under one IP header.
        let length = self.headers_length + payload.len();
        let upper_length = length - self.transport;
        match self.kind {
            Kind::Whole => {}
            Kind::Tcp { identification, sequence, flags } => {
                self.fill_ip(ip, identification, length);
                // Wraps with the sequence number: RFC 9293, section 3.4.
                let sequence = sequence.wrapping_add((self.at - self.headers_length) as u32).to_be_bytes();
                let mut flags = flags;
                flags &= if last { !0 } else { !(FIN | PSH) };
                flags &= if self.given == 0 { !0 } else { !CWR };
                upper[4..8].copy_from_slice(&sequence);
                upper[13] = flags;
                let changed = sum(word([0, flags]), &sequence) + u64::from((upper_length as u32).to_be());
                let check = !fold(sum(self.transport_sum + changed, payload));
                upper[TCP_CHECKSUM..TCP_CHECKSUM + 2].copy_from_slice(&check.to_be_bytes());
            }
            Kind::Udp { identification } => {
                self.fill_ip(ip, identification, length);
                let field = (upper_length as u16).to_be_bytes();
                upper[4..6].copy_from_slice(&field);
                // The length counts twice, in the header and in the pseudo-header.
                let check = !fold(sum(self.transport_sum + 2 * word(field), payload));
                upper[UDP_CHECKSUM..UDP_HEADER].copy_from_slice(&never_zero(check).to_be_bytes());
            }
        }
        (self.at, self.given, self.done) = (end, self.given + 1, last);
        Some(start..end)
    }

    fn fill_ip(&self, ip: &mut [u8], identification: u16, length: usize) {
        if self.v4 {
            let length = (length as u16).to_be_bytes();
            // As Linux counts when it splits: one up with each packet, "don't fragment" or not.
            let identification = identification.wrapping_add(self.given as u16).to_be_bytes();
            ip[2..4].copy_from_slice(&length);
            ip[4..6].copy_from_slice(&identification);
            let check = !fold(self.ip_sum + word(length) + word(identification));
            ip[10..12].copy_from_slice(&check.to_be_bytes());
        } else {
            ip[4..6].copy_from_slice(&((length - IPV6_HEADER) as u16).to_be_bytes());
        }
    }
}

/// Finishes the checksum of one packet: its field holds the sum of the pseudo-header.
fn finish_checksum(header: &VnetHeader, packet: &mut [u8]) -> Option<()> {
    let (start, offset) = (usize::from(header.checksum_start), usize::from(header.checksum_offset));
    let bytes = packet.get_mut(start..)?;
    let check = !fold(sum(0, bytes));
    let check = if offset == UDP_CHECKSUM { never_zero(check) } else { check };
    bytes.get_mut(offset..offset + 2)?.copy_from_slice(&check.to_be_bytes());
    Some(())
}

/// Zero means "no checksum" with UDP; its other form of zero is sent instead (RFC 768).
fn never_zero(check: u16) -> u16 {
    if check == 0 { 0xffff } else { check }
}

/// Whether a packet that [`Header::parse`] accepted cannot be split: no kernel hands over a fragment for that, the first
/// included, and behind a routing header the checksum is about another destination (RFC 8200, section 8.1).
fn is_special(packet: &[u8], transport: usize, v4: bool) -> bool {
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    if v4 {
        return u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0;
    }
    let (mut next, mut at) = (packet[6], IPV6_HEADER);
    while at < transport && !matches!(next, ROUTING | FRAGMENT) {
        next = packet[at];
        at += packet.get(at + 1).map_or(8, |length| 8 + usize::from(*length) * 8);
    }
    at < transport
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{Made, extension, split};
    use super::super::{ACK, DATA_VALID, GSO_UDP};
    use super::*;

    /// The header that the kernel puts before `made` when it holds many packets.
    fn superheader(made: &Made, gso_size: u16) -> VnetHeader {
        let (gso_type, checksum_offset) = match (made.protocol, made.v4) {
            (UDP, _) => (GSO_UDP_L4, 6),
            (_, true) => (GSO_TCPV4, 16),
            (_, false) => (GSO_TCPV6, 16),
        };
        let checksum_start = made.transport() as u16;
        VnetHeader { flags: NEEDS_CSUM, gso_type, header_length: 0, gso_size, checksum_start, checksum_offset }
    }

    /// The packets of `made`, each built by itself.
    fn slow_split(made: &Made, size: usize) -> Vec<Vec<u8>> {
        let pieces = made.payload.chunks(size).collect::<Vec<_>>();
        let one = |(index, piece): (usize, &&[u8])| {
            let mut one = Made { payload: piece.to_vec(), ..made.clone() };
            one.identification = made.identification.wrapping_add(index as u16);
            one.sequence = made.sequence.wrapping_add((index * size) as u32);
            if index + 1 < pieces.len() {
                one.flags &= !(FIN | PSH);
            }
            if index > 0 {
                one.flags &= !CWR;
            }
            one.bytes()
        };
        pieces.iter().enumerate().map(one).collect()
    }

    fn made() -> impl Strategy<Value = Made> {
        let payload = proptest::collection::vec(any::<u8>(), 1..6_000);
        let fields = (any::<u16>(), any::<u32>(), any::<u8>(), 0_usize..11, 0_usize..4);
        (any::<bool>(), any::<bool>(), fields, payload).prop_map(|(v4, tcp, fields, payload)| {
            let (identification, sequence, flags, options, ip_options) = fields;
            let made = if tcp { Made::tcp(v4) } else { Made::udp(v4) };
            let ip_options = match v4 {
                true => vec![1; 4 * ip_options],
                false if ip_options < 2 => extension(made.protocol).repeat(ip_options),
                // Hop-by-hop options, then those of the destination.
                false => [extension(60), extension(made.protocol)].concat(),
            };
            Made { identification, sequence, flags, options: vec![1; 4 * options], ip_options, payload, ..made }
        })
    }

    /// The flags of each packet of three.
    fn flags_of_three(flags: u8) -> Vec<u8> {
        let made = Made { flags, payload: vec![5; 250], ..Made::tcp(false) };
        split(&superheader(&made, 100), made.bytes()).iter().map(|packet| packet[40 + 13]).collect()
    }

    #[test]
    fn a_stream_ends_with_the_last_packet_and_its_window_was_cut_before_the_first() {
        assert_eq!(flags_of_three(ACK | FIN | PSH), [ACK, ACK, ACK | FIN | PSH]);
        assert_eq!(flags_of_three(ACK | CWR | 0x40), [ACK | CWR | 0x40, ACK | 0x40, ACK | 0x40]);
    }

    #[test]
    fn identification_and_sequence_number_wrap() {
        let made = Made { identification: 0xffff, sequence: u32::MAX, payload: vec![5; 11], ..Made::tcp(true) };
        let packets = split(&superheader(&made, 10), made.bytes());
        assert_eq!(packets[1][4..6], [0, 0]);
        assert_eq!(packets[1][24..28], 9_u32.to_be_bytes());
    }

    #[test]
    fn a_superpacket_of_full_length_is_split() {
        for made in [Made::tcp(true), Made::tcp(false), Made::udp(true), Made::udp(false)] {
            let made = Made { payload: vec![0xff; 65_535 - made.headers()], ..made };
            assert_eq!(split(&superheader(&made, 1_368), made.bytes()), slow_split(&made, 1_368));
        }
    }

    #[test]
    fn the_bit_of_ecn_beside_the_type_changes_nothing() {
        let made = Made { flags: ACK | CWR, payload: vec![5; 250], ..Made::tcp(true) };
        let header = superheader(&made, 100);
        let marked = VnetHeader { gso_type: header.gso_type | GSO_ECN, ..header };
        assert_eq!(split(&marked, made.bytes()), split(&header, made.bytes()));
    }

    #[test]
    fn one_packet_is_given_as_it_was_read() {
        let packet = Made { payload: vec![5; 250], ..Made::tcp(true) }.bytes();
        for flags in [0, DATA_VALID] {
            let given = split(&VnetHeader { flags, ..VnetHeader::default() }, packet.clone());
            assert_eq!(given, std::slice::from_ref(&packet));
        }
    }

    /// `made` with the sum of its pseudo-header in the checksum's place.
    fn unfinished(made: &Made) -> (VnetHeader, Vec<u8>) {
        let header = VnetHeader { gso_type: GSO_NONE, gso_size: 0, ..superheader(made, 1) };
        let mut packet = made.bytes();
        let at = usize::from(header.checksum_start + header.checksum_offset);
        let addresses = if made.v4 { 12..20 } else { 8..40 };
        let length = packet.len() - made.transport();
        let sum = fold(pseudo_header(&packet[addresses], made.protocol, length));
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        (header, packet)
    }

    #[test]
    fn the_checksum_of_one_packet_is_finished() {
        for made in [Made::tcp(true), Made::tcp(false), Made::udp(true), Made::udp(false)] {
            for length in [0, 1, 100, 1_001] {
                let made = Made { payload: vec![0xa5; length], ..made.clone() };
                let (header, packet) = unfinished(&made);
                assert_eq!(split(&header, packet), [made.bytes()]);
            }
        }
    }

    #[test]
    fn a_udp_checksum_is_never_zero() {
        for v4 in [true, false] {
            // The payload's first word is what the checksum of the rest was: the whole sums up to zero.
            let mut made = Made { payload: vec![0; 10], ..Made::udp(v4) };
            let check = made.bytes()[made.transport() + 6..][..2].to_vec();
            made.payload[..2].copy_from_slice(&check);
            let field = |packet: &[u8]| packet[made.transport() + 6..][..2].to_vec();
            assert_eq!(field(&made.bytes()), [0xff, 0xff]);
            let (header, packet) = unfinished(&made);
            assert_eq!(split(&header, packet), [made.bytes()]);
            assert_eq!(field(&split(&superheader(&made, 10), made.bytes())[0]), [0xff, 0xff]);
        }
    }

    /// Whether that is refused, with the packet left as it is.
    fn is_refused(header: VnetHeader, packet: &[u8]) -> bool {
        let mut copy = packet.to_vec();
        let refused = Segments::new(&header, &mut copy).is_err();
        refused && copy == packet
    }

    #[test]
    fn a_checksum_outside_the_packet_is_refused() {
        let (header, packet) = unfinished(&Made { payload: vec![1; 20], ..Made::tcp(true) });
        let length = packet.len() as u16;
        assert!(!is_refused(VnetHeader { flags: 0, ..header }, &packet));
        for (checksum_start, checksum_offset) in [(length, 0), (0, length - 1), (length - 1, 0), (u16::MAX, u16::MAX)] {
            assert!(is_refused(VnetHeader { checksum_start, checksum_offset, ..header }, &packet));
        }
        assert!(is_refused(VnetHeader::default(), &[]), "nothing was read");
    }

    #[test]
    fn what_the_tun_was_not_told_to_give_is_refused() {
        let made = Made { payload: vec![1; 100], ..Made::udp(true) };
        let header = superheader(&made, 10);
        assert!(!is_refused(header, &made.bytes()));
        for gso_type in [GSO_UDP, 2, 6, 0x7f, GSO_TCPV4, GSO_TCPV6] {
            assert!(is_refused(VnetHeader { gso_type, ..header }, &made.bytes()), "type {gso_type}");
        }
        assert!(is_refused(VnetHeader { gso_size: 0, ..header }, &made.bytes()));
    }

    #[test]
    fn a_header_that_contradicts_its_packet_is_refused() {
        let made = Made { payload: vec![1; 100], ..Made::tcp(true) };
        let (header, packet) = (superheader(&made, 10), made.bytes());
        let (gso_type, six) = (GSO_TCPV6, Made { payload: vec![1; 100], ..Made::tcp(false) });
        assert!(is_refused(VnetHeader { gso_type, ..header }, &packet), "the other family");
        assert!(is_refused(VnetHeader { gso_type, ..header }, &six.bytes()), "the checksum begins elsewhere");
        assert!(is_refused(header, &packet[..packet.len() - 1]), "the packet is cut off");
        let changed = |at: usize, byte: u8| {
            let mut packet = packet.clone();
            packet[at] = byte;
            is_refused(header, &packet)
        };
        assert!(changed(6, 0x20) && changed(7, 1), "a fragment");
        assert!(changed(0, 0x46), "TCP begins elsewhere");
        assert!(changed(32, 0x40), "a TCP header that is too short");
        let short = Made { payload: Vec::new(), options: Vec::new(), ..made }.bytes();
        let mut short_of_options = short.clone();
        short_of_options[32] = 0x60;
        assert!(is_refused(header, &short_of_options), "a TCP header longer than the packet");
    }

    #[test]
    fn fragments_routing_headers_and_long_chains_of_extension_headers_are_refused() {
        for (first, protocol, count) in [(43, TCP, 1), (44, TCP, 1), (0, 60, 30)] {
            let mut chain = extension(protocol).repeat(count);
            let last = chain.len() - 8;
            chain[last] = TCP;
            let made = Made { ip_options: chain, payload: vec![1; 100], ..Made::tcp(false) };
            let mut packet = made.bytes();
            packet[6] = first;
            packet[42..44].fill(0);
            assert!(is_refused(superheader(&made, 10), &packet));
        }
    }

    proptest! {
        #[test]
        fn a_superpacket_is_split_into_the_packets_that_would_have_been_sent(made in made(), size in 1_u16..2_000) {
            let (header, mut packet) = (superheader(&made, size), made.bytes());
            let check = made.transport() + usize::from(header.checksum_offset);
            packet[check] ^= 0x55; // whatever it holds
            prop_assert_eq!(split(&header, packet), slow_split(&made, usize::from(size)));
        }

        #[test]
        fn any_bytes_are_split_without_panic(
            vnet in any::<[u8; 10]>(),
            made in made(),
            size in 0_u16..300,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            length in 0_usize..400,
        ) {
            let mut packet = made.bytes();
            packet.truncate(length);
            for (at, byte) in &changes {
                if !packet.is_empty() {
                    *at.get_mut(&mut packet) = *byte;
                }
            }
            for header in [VnetHeader::read(&vnet), superheader(&made, size)] {
                let mut packet = packet.clone();
                let Ok(mut segments) = Segments::new(&header, &mut packet) else { continue };
                let mut end = 0;
                while let Some(range) = segments.next(&mut packet) {
                    prop_assert!(range.end > end && range.end <= packet.len());
                    end = range.end;
                }
                prop_assert_eq!(segments.next(&mut packet), None);
            }
        }
    }
}
