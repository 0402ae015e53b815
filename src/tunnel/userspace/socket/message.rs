//! What goes beside a datagram, as the kernel writes and reads it: control messages (`cmsghdr`).

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
#[cfg(target_os = "linux")]
use std::time::Duration;

use nix::libc;

use super::super::Endpoint;

/// Control messages of one datagram: a few of them, and never longer than this.
const ROOM: usize = 128;
/// A control message's length, which comes first in it and is what all of it is aligned to.
#[cfg(target_os = "linux")]
type Length = usize;
#[cfg(not(target_os = "linux"))]
type Length = u32;
const WORD: usize = size_of::<Length>();
/// Bytes of a second, and of a nanosecond, in a time stamp: the kernel's own `timespec`, whatever the C library's is.
#[cfg(target_os = "linux")]
const TIME: usize = size_of::<std::ffi::c_long>();
/// Where the data of a control message begins.
const HEADER: usize = (WORD + 8).next_multiple_of(WORD);

#[expect(unsafe_code, reason = "arithmetic that the C library calls unsafe")]
// SAFETY: no memory is touched.
const _: () = assert!(unsafe { libc::CMSG_LEN(0) as usize == HEADER && libc::CMSG_SPACE(1) as usize == HEADER + WORD });

/// By what the kernel tells the TOS that a datagram came with, and where it tells the own address that it came to.
#[cfg(target_os = "linux")]
const TOS_TOLD: i32 = libc::IP_TOS;
#[cfg(target_os = "linux")]
const LOCAL_TOLD: Range<usize> = 4..8;
#[cfg(not(target_os = "linux"))]
const TOS_TOLD: i32 = libc::IP_RECVTOS;
#[cfg(not(target_os = "linux"))]
const LOCAL_TOLD: Range<usize> = 8..12;

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
    #[cfg(target_os = "linux")]
    pub(super) segment: Option<usize>,
    /// When the system received it, by the wall clock.
    #[cfg(target_os = "linux")]
    pub(super) stamp: Option<Duration>,
}

impl Control {
    pub(super) const EMPTY: Self = Self { bytes: [0; ROOM], length: ROOM };

    /// What is said to the kernel of datagrams to `to`: a traffic class and the own address.
    pub(super) fn set(&mut self, to: Endpoint, tos: u8) {
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
    }

    /// Says besides the length of each datagram in a train.
    #[cfg(target_os = "linux")]
    pub(super) fn add_segment(&mut self, segment: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let at = self.length;
        let end = at + (HEADER + data.len()).next_multiple_of(WORD);
        self.bytes[at..end].fill(0);
        self.bytes[at..at + WORD].copy_from_slice(&((HEADER + data.len()) as Length).to_ne_bytes());
        self.bytes[at + WORD..at + WORD + 4].copy_from_slice(&level.to_ne_bytes());
        self.bytes[at + WORD + 4..at + WORD + 8].copy_from_slice(&kind.to_ne_bytes());
        self.bytes[at + HEADER..at + HEADER + data.len()].copy_from_slice(data);
        self.length = end;
    }

    /// Makes room for what the kernel writes.
    #[cfg(target_os = "linux")]
    pub(super) fn expect(&mut self) {
        self.length = ROOM;
    }

    /// Reads the `length` bytes that the kernel wrote.
    pub(super) fn get(&self, length: usize) -> Beside {
        let mut beside = Beside::default();
        let mut rest = &self.bytes[..length.min(ROOM)];
        while let Some(header) = rest.get(..HEADER) {
            let word = |at: usize| header[at..].first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
            #[allow(clippy::unnecessary_cast, reason = "the length has another type on other systems")]
            let whole = header.first_chunk::<WORD>().map_or(0, |bytes| Length::from_ne_bytes(*bytes) as usize);
            let Some(data) = rest.get(HEADER..whole) else { break };
            match (word(WORD), word(WORD + 4)) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    beside.local = data.get(LOCAL_TOLD).and_then(|data| data.first_chunk::<4>()).map(|a| (*a).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    beside.local = data.first_chunk::<16>().map(|address| (*address).into());
                }
                (libc::IPPROTO_IP, TOS_TOLD) => beside.tos = data.first().copied().unwrap_or(0),
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    beside.tos = data.first_chunk().map_or(0, |class| i32::from_ne_bytes(*class) as u8);
                }
                #[cfg(target_os = "linux")]
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let number = |at: usize| {
                        let bytes = data.get(at..).and_then(|bytes| bytes.first_chunk::<TIME>());
                        bytes.and_then(|bytes| u64::try_from(std::ffi::c_long::from_ne_bytes(*bytes)).ok())
                    };
                    beside.stamp = number(0)
                        .zip(number(TIME))
                        .map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds.min(999_999_999) as u32));
                }
                #[cfg(target_os = "linux")]
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    beside.segment = data.first_chunk().map(|length| i32::from_ne_bytes(*length).max(0) as usize);
                }
                _ => {}
            }
            rest = rest.get(whole.next_multiple_of(WORD)..).unwrap_or_default();
        }
        beside
    }

    /// What [`Self::set`] wrote.
    #[cfg(any(test, not(target_os = "linux")))]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The room, for the kernel to write into.
    #[cfg(any(test, not(target_os = "linux")))]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    #[cfg(target_os = "linux")]
    pub(super) fn pointer(&mut self) -> (*mut libc::c_void, usize) {
        (self.bytes.as_mut_ptr().cast(), self.length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Other systems tell it by other messages than they are told it by.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_goes_beside_a_datagram_is_read_back() {
        for (remote, local) in [("192.0.2.7:51820", "192.0.2.1"), ("[2001:db8::7]:1", "2001:db8::1")] {
            let local: IpAddr = local.parse().expect("an address");
            let mut to = Endpoint::from(remote.parse::<SocketAddr>().expect("an address"));
            to.local = Some(local);
            let mut control = Control::EMPTY;
            control.set(to, 3);
            control.add_segment(1452);
            let (tos, local) = (3, Some(local));
            // The kernel says the length of a train's datagrams by another message than it is told by.
            assert_eq!(control.get(control.length), Beside { local, tos, segment: None, stamp: None });
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
