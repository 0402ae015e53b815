//! What TCP may send on a way that carries less than the tunnel's MTU.
//!
//! Each end of a connection says in its first packet how long a segment it takes (the MSS, RFC 9293). A gateway that
//! knows of less lowers that number on the way, so that not even the first long segment is lost.

use std::net::IpAddr;

use super::packet::{Header, IPV4_HEADER, IPV6_HEADER, fold};

const TCP: u8 = 6;
const TCP_HEADER: usize = 20;
const SYN: u8 = 2;

/// The options of a TCP header that matter here.
const END: u8 = 0;
const NOTHING: u8 = 1;
const MSS: u8 = 2;

/// Lowers the MSS that a packet tells of to what fits into `mtu` bytes. A lower one, and any other packet, stays as it is.
pub(super) fn clamp(packet: &mut [u8], header: &Header, mtu: u16) {
    if header.protocol != TCP || header.later_fragment {
        return;
    }
    let ip = match header.destination {
        IpAddr::V4(_) => IPV4_HEADER,
        IpAddr::V6(_) => IPV6_HEADER,
    };
    let Ok(most) = u16::try_from(usize::from(mtu).saturating_sub(ip + TCP_HEADER)) else { return };
    let Some(segment) = packet.get_mut(header.payload..header.length).filter(|segment| segment.len() >= TCP_HEADER)
    else {
        return;
    };
    let end = usize::from(segment[12] >> 4) * 4;
    if segment[13] & SYN == 0 || end > segment.len() {
        return;
    }
    let Some(at) = mss_option(&segment[..end]) else { return };
    let told = u16::from_be_bytes([segment[at], segment[at + 1]]);
    if told <= most {
        return;
    }
    segment[at..at + 2].copy_from_slice(&most.to_be_bytes());
    // RFC 1624: the new sum is the old one less the old word and more the new one. At an odd place the bytes of both
    // count the other way round.
    let turned = |word: u16| if at % 2 == 0 { word } else { word.swap_bytes() };
    let sum = u16::from_be_bytes([segment[16], segment[17]]);
    let sum = !fold(u32::from(!sum) + u32::from(!turned(told)) + u32::from(turned(most)));
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
}

/// Where the value of the MSS option lies in a TCP header.
fn mss_option(header: &[u8]) -> Option<usize> {
    let mut at = TCP_HEADER;
    loop {
        match (*header.get(at)?, header.get(at + 1)) {
            (END, _) => return None,
            (NOTHING, _) => at += 1,
            (MSS, Some(4)) if at + 4 <= header.len() => return Some(at + 2),
            (_, Some(length)) if *length >= 2 => at += usize::from(*length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::packet::add;
    use super::*;

    /// A TCP packet over IPv4 with these flags and options, its sum right.
    fn packet(flags: u8, options: &[u8]) -> Vec<u8> {
        let length = 40 + options.len();
        let mut packet = vec![0; length];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        packet[8..10].copy_from_slice(&[64, TCP]);
        packet[12..16].copy_from_slice(&Ipv4Addr::new(10, 1, 1, 1).octets());
        packet[16..20].copy_from_slice(&Ipv4Addr::new(10, 1, 1, 2).octets());
        packet[32] = ((20 + options.len()) / 4 * 16) as u8;
        packet[33] = flags;
        packet[40..].copy_from_slice(options);
        let sum = !sum(&packet);
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// All ones when the sum in the packet is right.
    fn sum(packet: &[u8]) -> u16 {
        let tcp = &packet[20..];
        fold(add(add(u32::from(TCP) + tcp.len() as u32, &packet[12..20]), tcp))
    }

    fn clamped(packet: &[u8], mtu: u16) -> Vec<u8> {
        let mut clamped = packet.to_vec();
        clamp(&mut clamped, &Header::parse(packet).expect("a packet"), mtu);
        clamped
    }

    #[test]
    fn a_first_packet_tells_of_no_more_than_fits_and_its_sum_stays_right() {
        for (options, at) in [(vec![MSS, 4, 5, 180], 42), (vec![NOTHING, MSS, 4, 5, 180, NOTHING, NOTHING, END], 43)] {
            let before = packet(SYN, &options);
            assert_eq!(sum(&before), 0xffff);
            let after = clamped(&before, 1360);
            assert_eq!(u16::from_be_bytes([after[at], after[at + 1]]), 1320);
            assert_eq!(sum(&after), 0xffff);
            assert_eq!(clamped(&after, 1420), after, "less than what fits stays");
        }
    }

    #[test]
    fn all_else_stays_as_it_is() {
        let long = [MSS, 4, 5, 180];
        for other in [packet(16, &long), packet(SYN, &[]), packet(SYN, &[8, 0, 0, 0]), packet(SYN, &[MSS, 3, 5, 180])] {
            assert_eq!(clamped(&other, 1280), other);
        }
        let mut udp = packet(SYN, &long);
        udp[9] = 17;
        assert_eq!(clamped(&udp, 1280), udp);
        let mut fragment = packet(SYN, &long);
        fragment[7] = 1;
        assert_eq!(clamped(&fragment, 1280), fragment);
    }
}
