//! What this machine sends to the watched addresses, seen by a packet socket: such a device counts by peer, not by address.
//!
//! The socket takes the heads of packets on their way into the interface. It wakes nobody: it is read with the counters,
//! about once a second, and what its small buffer does not hold the kernel passes over before it copies anything. So a flood
//! costs next to nothing and is seen all the same, though not all of it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::libc;
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};

use crate::mesh::io::Sent;

/// Room for heads of packets, in bytes as the kernel counts them: some dozens.
const BUFFER: usize = 64 << 10;

/// Bytes of a packet's head up to the end of an IPv6 destination.
const HEAD: usize = 40;

/// Most heads that are read at one look.
const MOST: usize = 512;

/// Counts what is sent to some addresses.
#[derive(Debug, Default)]
pub(super) struct Watch {
    counts: BTreeMap<IpAddr, Sent>,
    socket: Option<Socket>,
    refused: bool,
}

impl Watch {
    /// Counts for these addresses from now on. Without any, nothing is looked at.
    pub(super) fn set(&mut self, interface: &str, addresses: &[IpAddr]) {
        self.counts.retain(|address, _| addresses.binary_search(address).is_ok());
        for address in addresses {
            self.counts.entry(*address).or_insert(Sent { to: *address, packets: 0, bytes: 0 });
        }
        if addresses.is_empty() {
            self.socket = None;
        } else if self.socket.is_none() && !self.refused {
            match open(interface) {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => {
                    self.refused = true;
                    tracing::info!(
                        "traffic on {interface} cannot be seen ({error}), so this node asks for no direct link on demand, and \
                         only takes part in those that others ask for: the right CAP_NET_RAW lets it"
                    );
                }
            }
        }
    }

    /// What was counted so far.
    pub(super) fn look(&mut self) -> Vec<Sent> {
        let Some(socket) = &self.socket else { return Vec::new() };
        let mut head = [0; HEAD];
        for _ in 0..MOST {
            let Ok((held, length)) = recv(socket, &mut head[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC) else { break };
            if let Some(sent) = destination(&head[..held]).and_then(|to| self.counts.get_mut(&to)) {
                sent.packets += 1;
                sent.bytes += length as u64;
            }
        }
        self.counts.values().filter(|sent| sent.packets > 0).copied().collect()
    }
}

/// Where the packet with this head goes.
fn destination(head: &[u8]) -> Option<IpAddr> {
    match head.first()? >> 4 {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(head.get(16..20)?).ok()?).into()),
        6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(head.get(24..40)?).ok()?).into()),
        _ => None,
    }
}

/// A socket that sees what leaves by an interface.
fn open(interface: &str) -> io::Result<Socket> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    // Of no protocol: it sees nothing before it is bound.
    let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), None)?;
    socket.set_recv_buffer_size(BUFFER)?;
    // Classic BPF: load the packet's direction, and keep the head of one that leaves (linux/filter.h, linux/if_packet.h).
    let (load, equal, give) =
        (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ, libc::BPF_RET);
    let direction = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
    let code = |code: u32| u16::try_from(code).unwrap_or(u16::MAX);
    socket.attach_filter(&[
        SockFilter::new(code(load), 0, 0, direction),
        SockFilter::new(code(equal), 0, 1, u32::from(libc::PACKET_OUTGOING)),
        SockFilter::new(code(give), 0, 0, HEAD as u32),
        SockFilter::new(code(give), 0, 0, 0),
    ])?;
    socket.bind(&all_of(index))?;
    Ok(socket)
}

/// Packets of all protocols on the interface of this number.
fn all_of(index: u32) -> SockAddr {
    #[expect(unsafe_code, reason = "socket2 has no packet addresses")]
    // SAFETY: the storage is large enough for every kind of address, zeroed, and written whole before it is measured.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::AF_PACKET as u16;
            (*address).sll_protocol = (libc::ETH_P_ALL as u16).to_be();
            (*address).sll_ifindex = index.cast_signed();
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    }
    .expect("it does not fail");
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_of_either_family_is_found_and_junk_has_none() {
        let head = |version: u8, at: usize, address: &[u8]| {
            let mut head = [0; HEAD];
            head[0] = version << 4;
            head[at..at + address.len()].copy_from_slice(address);
            head
        };
        assert_eq!(destination(&head(4, 16, &[10, 1, 1, 7])), Some(IpAddr::from([10, 1, 1, 7])));
        assert_eq!(destination(&head(6, 24, &[0xfd; 16])), Some(IpAddr::from([0xfd; 16])));
        assert_eq!(destination(&head(4, 16, &[10, 1, 1, 7])[..19]), None);
        assert_eq!((destination(&head(5, 16, &[10, 1, 1, 7])), destination(&[])), (None, None));
    }
}
