//! ICMP and ICMPv6 errors: what a router owes the sender of a packet that it cannot pass on (RFC 792, RFC 4443).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::packet::{Header, ICMP, ICMPV6, IPV4_HEADER, IPV6_HEADER, add, fold, pseudo_header, write_ipv6_header};

const ICMP_HEADER: usize = 8;

/// Longest ICMP error over IPv4 in bytes (RFC 1812, section 4.3.2.3).
const V4_LONGEST: usize = 576;

/// Longest ICMP error over IPv6 in bytes: the least MTU of IPv6 (RFC 4443, section 2.4).
const V6_LONGEST: usize = 1280;

/// A buffer of this length holds every error.
pub(super) const LONGEST: usize = V6_LONGEST;

/// Why a packet could not be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its hop limit is used up.
    TimeExceeded,
    /// No peer owns its destination, or none knows where that peer is.
    Unreachable,
    /// It is longer than the MTU, in bytes.
    TooBig(u16),
}

/// Whether the sender of `packet` may be sent an error: never about an error, a later fragment, or a packet from or to
/// more than one host (RFC 1122, section 3.2.2; RFC 4443, section 2.4e).
pub(super) fn may_answer(packet: &[u8], header: &Header) -> bool {
    if header.later_fragment || is_many(header.destination) || is_many(header.source) || header.source.is_unspecified()
    {
        return false;
    }
    let kind = packet[..header.length].get(header.payload);
    match (header.protocol, kind) {
        (ICMP, Some(kind)) => !matches!(kind, 3 | 4 | 5 | 11 | 12),
        (ICMPV6, Some(kind)) => *kind >= 128,
        (ICMP | ICMPV6, None) => false,
        _ => true,
    }
}

fn is_many(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast() || address.octets()[0] >= 240,
        IpAddr::V6(address) => address.is_multicast(),
    }
}

/// Builds the error about `packet` from `source` to the packet's sender; returns its length. `None` when `source` is of
/// the other family. `error` holds at least [`LONGEST`] bytes.
pub(super) fn write_error(
    error: &mut [u8],
    reason: Reason,
    source: IpAddr,
    packet: &[u8],
    header: &Header,
) -> Option<usize> {
    match (source, header.source) {
        (IpAddr::V4(source), IpAddr::V4(to)) => {
            let (kind, code, mtu) = match reason {
                Reason::TimeExceeded => (11, 0, 0),
                Reason::Unreachable => (3, 1, 0),
                Reason::TooBig(mtu) => (3, 4, mtu),
            };
            let quoted = header.length.min(V4_LONGEST - IPV4_HEADER - ICMP_HEADER);
            let length = IPV4_HEADER + ICMP_HEADER + quoted;
            let (ip, icmp) = error[..length].split_at_mut(IPV4_HEADER);
            ip.fill(0);
            ip[0] = 0x45;
            ip[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            ip[8..10].copy_from_slice(&[64, ICMP]);
            ip[12..16].copy_from_slice(&source.octets());
            ip[16..20].copy_from_slice(&to.octets());
            let sum = !fold(add(0, ip));
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            icmp[..ICMP_HEADER].copy_from_slice(&[kind, code, 0, 0, 0, 0, 0, 0]);
            icmp[6..8].copy_from_slice(&mtu.to_be_bytes());
            icmp[ICMP_HEADER..].copy_from_slice(&packet[..quoted]);
            let sum = !fold(add(0, icmp));
            icmp[2..4].copy_from_slice(&sum.to_be_bytes());
            Some(length)
        }
        (IpAddr::V6(source), IpAddr::V6(to)) => {
            let (kind, code, mtu) = match reason {
                Reason::TimeExceeded => (3, 0, 0),
                Reason::Unreachable => (1, 3, 0),
                Reason::TooBig(mtu) => (2, 0, mtu),
            };
            let quoted = header.length.min(V6_LONGEST - IPV6_HEADER - ICMP_HEADER);
            let payload = ICMP_HEADER + quoted;
            write_ipv6_header(error, source, to, ICMPV6, payload);
            let icmp = &mut error[IPV6_HEADER..IPV6_HEADER + payload];
            icmp[..ICMP_HEADER].copy_from_slice(&[kind, code, 0, 0, 0, 0, 0, 0]);
            icmp[6..8].copy_from_slice(&mtu.to_be_bytes());
            icmp[ICMP_HEADER..].copy_from_slice(&packet[..quoted]);
            let sum = !fold(add(pseudo_header(source, to, ICMPV6, payload), icmp));
            icmp[2..4].copy_from_slice(&sum.to_be_bytes());
            Some(IPV6_HEADER + payload)
        }
        _ => None,
    }
}

/// Errors sent per second, and how many at once: traceroute sends bursts, a scan must not make us answer each packet.
const PER_SECOND: u32 = 100;
const BURST: u32 = 50;

/// The budget of ICMP errors: a token bucket.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    since: Instant,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    /// Takes one error from the budget; `false` when it is spent.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / PER_SECOND;
        let earned = (now.duration_since(self.since).as_nanos() / each.as_nanos()).min(u128::from(BURST)) as u32;
        if earned > 0 {
            self.left = (self.left + earned).min(BURST);
            self.since = now;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::packet::UDP;
    use super::super::packet::tests::{ipv4, ipv6};
    use super::*;

    const A4: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);
    const B4: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 2);
    const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

    fn error_about(packet: &[u8], reason: Reason, source: IpAddr) -> Vec<u8> {
        let mut error = [0; LONGEST];
        let header = Header::parse(packet).expect("a packet");
        let length = write_error(&mut error, reason, source, packet, &header).expect("of one family");
        error[..length].to_vec()
    }

    #[test]
    fn an_ipv4_error_quotes_the_packet_and_its_checksums_are_right() {
        let packet = ipv4(A4, B4, 1, UDP, &[7; 900]);
        let error = error_about(&packet, Reason::TimeExceeded, "10.1.1.9".parse().expect("an address"));
        let header = Header::parse(&error).expect("a packet");
        assert_eq!(header.destination, IpAddr::V4(A4));
        assert_eq!(error.len(), V4_LONGEST);
        assert_eq!(fold(add(0, &error[..IPV4_HEADER])), 0xffff);
        assert_eq!(fold(add(0, &error[IPV4_HEADER..])), 0xffff);
        assert_eq!(error[IPV4_HEADER..IPV4_HEADER + 2], [11, 0]);
        assert_eq!(error[28..], packet[..548]);
    }

    #[test]
    fn an_ipv6_error_tells_the_mtu_and_fits_the_least_mtu() {
        let packet = ipv6(A6, B6, 64, UDP, &[7; 1400]);
        let error = error_about(&packet, Reason::TooBig(1380), IpAddr::V6(B6));
        assert_eq!(error.len(), V6_LONGEST);
        assert_eq!(error[40..42], [2, 0]);
        assert_eq!(error[44..48], 1380_u32.to_be_bytes());
        let icmp = &error[IPV6_HEADER..];
        assert_eq!(fold(add(pseudo_header(B6, A6, ICMPV6, icmp.len()), icmp)), 0xffff);
    }

    #[test]
    fn nothing_is_said_about_errors_fragments_and_packets_to_many() {
        let answer = |packet: &[u8]| may_answer(packet, &Header::parse(packet).expect("a packet"));
        assert!(answer(&ipv4(A4, B4, 1, ICMP, &[8; 8])), "an echo request");
        assert!(!answer(&ipv4(A4, B4, 1, ICMP, &[11; 8])), "a time exceeded");
        assert!(answer(&ipv6(A6, B6, 1, ICMPV6, &[128; 8])), "an echo request");
        assert!(!answer(&ipv6(A6, B6, 1, ICMPV6, &[1; 8])), "an unreachable");
        assert!(!answer(&ipv4(A4, Ipv4Addr::new(224, 0, 0, 1), 1, UDP, &[0; 8])));
        assert!(!answer(&ipv4(A4, Ipv4Addr::BROADCAST, 1, UDP, &[0; 8])));
        assert!(!answer(&ipv6(A6, "ff02::2".parse().expect("an address"), 1, ICMPV6, &[133; 8])));
        let mut fragment = ipv4(A4, B4, 1, UDP, &[0; 8]);
        fragment[7] = 1;
        assert!(!answer(&fragment));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as the start of a virtual clock")]
    fn the_budget_is_a_burst_and_then_a_rate() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert_eq!((0..200).filter(|_| budget.take(start)).count(), BURST as usize);
        let later = start + Duration::from_millis(100);
        assert_eq!((0..200).filter(|_| budget.take(later)).count(), 10);
    }
}
