//! Many packets in one system call: what a TUN opened with `IFF_VNET_HDR` reads and writes.
//!
//! Such a TUN puts a header ([`VnetHeader`]) in front of each packet, and with it the kernel hands over work it has not
//! done yet. A read gives a packet whose checksum is unfinished, or up to 64 KiB of one flow under a single IP and TCP
//! or UDP header. [`segment`] makes of it the packets that go into the tunnel, in the buffer they were read into. In the
//! other direction [`coalesce`] finds the packets of one flow that follow each other and writes them as one, which the
//! kernel takes up its stack as one. [`checksum`] is what both of them spend their time on.
//!
//! ```text
//!   TUN ── read ──▶ Segments ──▶ packets ──▶ sealed ──▶ UDP
//!   TUN ◀── writev ── Coalescer ◀── packets ◀── opened ◀── UDP
//! ```
//!
//! Nothing here reads a descriptor or a clock. Merging and then splitting gives the same packets byte for byte, because
//! a router behind the tunnel may have to split again what was merged here; the one exception is told where packets
//! are matched.

mod checksum;
pub mod coalesce;
pub mod segment;
#[cfg(test)]
pub(super) mod tests;

/// `flags`: the checksum must be finished, from `checksum_start` to the packet's end.
pub const NEEDS_CSUM: u8 = 1;
/// `flags`: the checksum was verified.
pub const DATA_VALID: u8 = 2;

/// `gso_type`: one packet.
pub const GSO_NONE: u8 = 0;
/// `gso_type`: many TCP segments over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// `gso_type`: a UDP datagram to be fragmented (UFO), which Linux gave up in 4.14.
pub const GSO_UDP: u8 = 3;
/// `gso_type`: many TCP segments over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// `gso_type`: many UDP datagrams of equal length, of either family (USO).
pub const GSO_UDP_L4: u8 = 5;
/// A bit beside the `gso_type`: the first segment carries CWR.
pub const GSO_ECN: u8 = 0x80;

const TCP: u8 = 6;
const TCP_HEADER: usize = 20;
/// Where the checksum lies in a TCP header.
const TCP_CHECKSUM: usize = 16;
/// Where the checksum lies in a UDP header.
const UDP_CHECKSUM: usize = 6;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const CWR: u8 = 0x80;

/// `struct virtio_net_hdr` of linux/virtio_net.h: what precedes each packet, in the machine's byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    /// [`NEEDS_CSUM`], [`DATA_VALID`].
    pub flags: u8,
    /// One of the `GSO_` constants, perhaps with [`GSO_ECN`].
    pub gso_type: u8,
    /// Bytes of the headers before the payload, a hint only: the kernel's is wrong for forwarded packets.
    pub header_length: u16,
    /// Payload bytes of each segment but the last.
    pub gso_size: u16,
    /// Where in the packet the checksummed bytes begin.
    pub checksum_start: u16,
    /// Where the checksum lies, from `checksum_start`.
    pub checksum_offset: u16,
}

impl VnetHeader {
    /// Its length in bytes.
    pub const LENGTH: usize = 10;

    /// Reads it as the kernel wrote it.
    pub fn read(bytes: &[u8; Self::LENGTH]) -> Self {
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            gso_type: bytes[1],
            header_length: word(2),
            gso_size: word(4),
            checksum_start: word(6),
            checksum_offset: word(8),
        }
    }

    /// As the kernel reads it.
    pub fn bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [self.flags, self.gso_type, 0, 0, 0, 0, 0, 0, 0, 0];
        let words = [self.header_length, self.gso_size, self.checksum_start, self.checksum_offset];
        for (at, word) in bytes[2..].chunks_exact_mut(2).zip(words) {
            at.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}
