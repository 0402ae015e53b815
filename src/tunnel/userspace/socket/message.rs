//! What goes beside a datagram, as the kernel writes and reads it: socket addresses (`sockaddr_in`, `sockaddr_in6`) and
//! control messages (`cmsghdr`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::libc;

use super::super::Endpoint;

/// Length of a `sockaddr_in6`, the longer one.
const NAME: usize = 28;
const V4_NAME: usize = 16;

/// A socket address as the kernel has it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Name {
    bytes: [u8; 32],
    length: u32,
}

impl Name {
    pub(super) const EMPTY: Self = Self { bytes: [0; 32], length: NAME as u32 };

    pub(super) fn set(&mut self, address: SocketAddr) {
        self.bytes = [0; 32];
        self.bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                self.bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                self.bytes[4..8].copy_from_slice(&v4.ip().octets());
                self.length = V4_NAME as u32;
            }
            SocketAddr::V6(v6) => {
                self.bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                self.bytes[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
                self.bytes[8..24].copy_from_slice(&v6.ip().octets());
                self.bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                self.length = NAME as u32;
            }
        }
    }

    /// Makes room for the address that the kernel writes.
    pub(super) fn expect(&mut self) {
        self.length = NAME as u32;
    }

    pub(super) fn get(&self) -> Option<SocketAddr> {
        let bytes = &self.bytes;
        let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        match family {
            libc::AF_INET => Some((Ipv4Addr::from(*bytes[4..].first_chunk::<4>()?), port).into()),
            libc::AF_INET6 => {
                let address = Ipv6Addr::from(*bytes[8..].first_chunk::<16>()?);
                let scope = u32::from_ne_bytes(*bytes[24..].first_chunk()?);
                Some(SocketAddrV6::new(address, port, 0, scope).into())
            }
            _ => None,
        }
    }

    pub(super) fn pointer(&mut self) -> (*mut libc::c_void, libc::socklen_t) {
        (self.bytes.as_mut_ptr().cast(), self.length)
    }
}

/// Control messages of one datagram: a few of them, and never longer than this.
const ROOM: usize = 128;
/// Where the data of a control message begins, and to what the next one is aligned: the ABI of every 32 and 64 bit
/// system.
const WORD: usize = size_of::<usize>();
const HEADER: usize = (WORD + 8).next_multiple_of(WORD);

/// The control messages of a datagram.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control {
    bytes: [u8; ROOM],
    length: usize,
}

/// What came beside a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) local: Option<IpAddr>,
    pub(super) tos: u8,
    /// Length of each datagram in a train.
    pub(super) segment: Option<usize>,
}

impl Control {
    pub(super) const EMPTY: Self = Self { bytes: [0; ROOM], length: ROOM };

    /// What is said to the kernel of datagrams to `to`: a traffic class, the own address, and the length of each in a
    /// train.
    pub(super) fn set(&mut self, to: Endpoint, tos: u8, segment: Option<u16>) {
        self.length = 0;
        if tos != 0 {
            let (level, kind) = match to.remote {
                SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS),
                SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            };
            self.push(level, kind, &i32::from(tos).to_ne_bytes());
        }
        match (to.local, to.remote) {
            (Some(IpAddr::V4(local)), SocketAddr::V4(_)) => {
                // in_pktinfo: any interface, the source, no header address.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&local.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            (Some(IpAddr::V6(local)), SocketAddr::V6(remote)) => {
                // in6_pktinfo. Link-local addresses mean something only together with their interface.
                let mut info = [0; 20];
                info[..16].copy_from_slice(&local.octets());
                info[16..].copy_from_slice(&remote.scope_id().to_ne_bytes());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            _ => {}
        }
        if let Some(segment) = segment {
            self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let at = self.length;
        let end = at + (HEADER + data.len()).next_multiple_of(WORD);
        self.bytes[at..end].fill(0);
        self.bytes[at..at + WORD].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        self.bytes[at + WORD..at + WORD + 4].copy_from_slice(&level.to_ne_bytes());
        self.bytes[at + WORD + 4..at + WORD + 8].copy_from_slice(&kind.to_ne_bytes());
        self.bytes[at + HEADER..at + HEADER + data.len()].copy_from_slice(data);
        self.length = end;
    }

    /// Makes room for what the kernel writes.
    pub(super) fn expect(&mut self) {
        self.length = ROOM;
    }

    /// Reads the `length` bytes that the kernel wrote.
    pub(super) fn get(&self, length: usize) -> Beside {
        let mut beside = Beside::default();
        let mut rest = &self.bytes[..length.min(ROOM)];
        while let Some(header) = rest.get(..HEADER) {
            let word = |at: usize| header[at..].first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
            let whole = header.first_chunk::<WORD>().map_or(0, |bytes| usize::from_ne_bytes(*bytes));
            let Some(data) = rest.get(HEADER..whole) else { break };
            match (word(WORD), word(WORD + 4)) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    beside.local = data.get(4..8).and_then(|data| data.first_chunk::<4>()).map(|a| (*a).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    beside.local = data.first_chunk::<16>().map(|address| (*address).into());
                }
                (libc::IPPROTO_IP, libc::IP_TOS) => beside.tos = data.first().copied().unwrap_or(0),
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    beside.tos = data.first_chunk().map_or(0, |class| i32::from_ne_bytes(*class) as u8);
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    beside.segment = data.first_chunk().map(|length| i32::from_ne_bytes(*length).max(0) as usize);
                }
                _ => {}
            }
            rest = rest.get(whole.next_multiple_of(WORD)..).unwrap_or_default();
        }
        beside
    }

    pub(super) fn pointer(&mut self) -> (*mut libc::c_void, usize) {
        (self.bytes.as_mut_ptr().cast(), self.length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_back_as_they_were_written() {
        for text in ["192.0.2.7:51820", "[2001:db8::7]:1", "[fe80::1%7]:65535"] {
            let address: SocketAddr = text.parse().expect("an address");
            let mut name = Name::EMPTY;
            name.set(address);
            assert_eq!(name.get(), Some(address));
        }
    }

    #[test]
    fn what_goes_beside_a_datagram_is_read_back() {
        for (remote, local) in [("192.0.2.7:51820", "192.0.2.1"), ("[2001:db8::7]:1", "2001:db8::1")] {
            let local: IpAddr = local.parse().expect("an address");
            let mut to = Endpoint::from(remote.parse::<SocketAddr>().expect("an address"));
            to.local = Some(local);
            let mut control = Control::EMPTY;
            control.set(to, 3, Some(1452));
            let (tos, local) = (3, Some(local));
            // The kernel says the length of a train's datagrams by another message than it is told by.
            assert_eq!(control.get(control.length), Beside { local, tos, segment: None });
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), ROOM), length in 0..2 * ROOM) {
            let mut control = Control::EMPTY;
            control.bytes.copy_from_slice(&bytes);
            let _ = control.get(length);
        }
    }
}
