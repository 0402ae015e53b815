//! The UDP sockets: one of each family on the same port. A host without IPv6 (or without IPv4) gets by with one.
//! They tell at which own address a datagram came, and send from it.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::Endpoint;
use crate::tunnel::TunnelError;

/// Buffers of each socket in bytes: some 10 ms of a gigabit. The kernel's default drops bursts.
const BUFFER: usize = 1 << 20;

/// How often a free port of both families is looked for when the system chooses it.
const ATTEMPTS: usize = 16;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];
}

/// The sockets of one port.
pub(super) struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    port: u16,
    fwmark: u32,
}

impl Sockets {
    /// Binds both families on `port`; 0 takes a port that is free in both. `fwmark` 0 means none.
    ///
    /// # Errors
    /// When the port is taken, or marks need a right that is missing.
    pub(super) fn bind(port: u16, fwmark: u32) -> Result<Self, TunnelError> {
        let mut attempt = 1;
        loop {
            match bind_both(port, fwmark) {
                Err(error) if port == 0 && error.kind() == ErrorKind::AddrInUse && attempt < ATTEMPTS => attempt += 1,
                other => return other.map_err(|source| refused(port, source)),
            }
        }
    }

    /// The socket of a family, if the system has that family.
    pub(super) fn of(&self, family: Family) -> Option<&UdpSocket> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    /// The port in use.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The mark of the outer datagrams; 0 means none.
    pub(super) fn fwmark(&self) -> u32 {
        self.fwmark
    }

    /// Marks the outer datagrams; 0 means none.
    pub(super) fn set_fwmark(&mut self, fwmark: u32) -> io::Result<()> {
        for socket in [&self.v4, &self.v6].into_iter().flatten() {
            set_mark(socket2::SockRef::from(socket), fwmark)?;
        }
        self.fwmark = fwmark;
        Ok(())
    }

    /// Sends a datagram by the socket of its family.
    pub(super) fn send(&self, to: Endpoint, datagram: &[u8]) -> io::Result<usize> {
        let family = if to.remote.is_ipv4() { Family::V4 } else { Family::V6 };
        let socket = self.of(family).ok_or(ErrorKind::Unsupported)?;
        let Some(local) = to.local else { return socket.send_to(datagram, to.remote) };
        let (v4, v6);
        let source = match local {
            IpAddr::V4(address) => {
                let address = in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
                v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: in_addr { s_addr: 0 } };
                ControlMessage::Ipv4PacketInfo(&v4)
            }
            IpAddr::V6(address) => {
                // Link-local addresses mean something only together with their interface.
                let scope = if let SocketAddr::V6(remote) = to.remote { remote.scope_id() } else { 0 };
                v6 = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: address.octets() }, ipi6_ifindex: scope as _ };
                ControlMessage::Ipv6PacketInfo(&v6)
            }
        };
        let remote = SockaddrStorage::from(to.remote);
        let data = [IoSlice::new(datagram)];
        match sendmsg(socket.as_raw_fd(), &data, &[source], MsgFlags::empty(), Some(&remote)) {
            Err(errno) if errno == nix::errno::Errno::EAGAIN => Err(errno.into()),
            // The own address is gone, or does not lead there any more: the kernel chooses.
            Err(_) => socket.send_to(datagram, to.remote),
            Ok(length) => Ok(length),
        }
    }
}

/// Room for one packet information, aligned as the kernel's `cmsghdr`.
#[repr(align(8))]
struct Control([u8; 64]);

/// Receives one datagram, with the own address that it came to.
pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Endpoint)> {
    let mut control = Control([0; 64]);
    let mut data = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut data, Some(&mut control.0), MsgFlags::empty())?;
    let local = message.cmsgs().ok().and_then(|mut all| {
        all.find_map(|one| match one {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into())
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into()),
            _ => None,
        })
    });
    let remote = message.address.and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4(SocketAddrV4::from(*address)));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6(SocketAddrV6::from(*address))))
    });
    let remote = remote.ok_or_else(|| io::Error::from(ErrorKind::InvalidData))?;
    Ok((message.bytes, Endpoint { remote, local }))
}

fn refused(port: u16, source: io::Error) -> TunnelError {
    let (what, remedy) = match source.kind() {
        ErrorKind::AddrInUse => (
            format!("cannot bind UDP port {port}"),
            "another program has it: choose another WireGuard port, or stop that program",
        ),
        ErrorKind::PermissionDenied => {
            (format!("cannot open UDP port {port}"), "run as root, or grant CAP_NET_ADMIN and choose a port above 1023")
        }
        _ => (format!("cannot open UDP port {port}"), ""),
    };
    TunnelError::System { what, source, remedy: remedy.to_owned() }
}

fn bind_both(port: u16, fwmark: u32) -> io::Result<Sockets> {
    let v4 = tolerate(bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), fwmark))?;
    let bound = v4.as_ref().map(UdpSocket::local_addr).transpose()?;
    let port = bound.map_or(port, |address| address.port());
    let v6 = tolerate(bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), fwmark))?;
    let bound = v6.as_ref().map(UdpSocket::local_addr).transpose()?;
    let port = bound.map_or(port, |address| address.port());
    if v4.is_none() && v6.is_none() {
        return Err(io::Error::new(ErrorKind::Unsupported, "the system has neither IPv4 nor IPv6"));
    }
    Ok(Sockets { v4, v6, port, fwmark })
}

/// A family that the system lacks is no error.
fn tolerate(bound: io::Result<UdpSocket>) -> io::Result<Option<UdpSocket>> {
    const AF_UNSUPPORTED: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    match bound {
        Err(error) if error.raw_os_error() == Some(AF_UNSUPPORTED) => Ok(None),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Ok(None),
        other => other.map(Some),
    }
}

fn bind(address: SocketAddr, fwmark: u32) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // As the kernel's module: outer datagrams may be fragmented, for a path that is narrower than the MTU assumes would
    // otherwise swallow them. Telling the own address is a help for hosts with several, so its failure is no error.
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        let _ = set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DONT);
        let _ = setsockopt(&socket, Ipv6RecvPacketInfo, &true);
    } else {
        let _ = set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT);
        let _ = setsockopt(&socket, Ipv4PacketInfo, &true);
    }
    if set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
        socket.set_recv_buffer_size(BUFFER)?;
    }
    if set_socket_send_buffer_size_force(&socket, BUFFER).is_err() {
        socket.set_send_buffer_size(BUFFER)?;
    }
    if fwmark != 0 {
        set_mark(socket2::SockRef::from(&socket), fwmark)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(target_os = "linux")]
fn set_mark(socket: socket2::SockRef<'_>, fwmark: u32) -> io::Result<()> {
    socket.set_mark(fwmark)
}

#[cfg(not(target_os = "linux"))]
fn set_mark(_: socket2::SockRef<'_>, fwmark: u32) -> io::Result<()> {
    if fwmark == 0 { Ok(()) } else { Err(ErrorKind::Unsupported.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_get_one_port_and_a_taken_one_is_named() {
        let sockets = Sockets::bind(0, 0).expect("a free port");
        let port = sockets.port();
        assert_ne!(port, 0);
        for socket in [&sockets.v4, &sockets.v6].into_iter().flatten() {
            assert_eq!(socket.local_addr().expect("an address").port(), port);
        }
        let error = Sockets::bind(port, 0).err().expect("the port is taken").to_string();
        assert!(error.starts_with(&format!("cannot bind UDP port {port}: ")), "{error}");
        assert!(error.contains("choose another WireGuard port"), "{error}");
    }
}
