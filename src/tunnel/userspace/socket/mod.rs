//! The UDP sockets: one of each family on the same port. A host without IPv6 (or without IPv4) gets by with one.
//!
//! * [`batch`] (Linux): many datagrams a system call, and trains of them as one where the kernel splits and joins them;
//! * [`message`]: what goes beside a datagram: the other's address, the own one, congestion, lengths in a train.

#[cfg(target_os = "linux")]
pub(super) mod batch;
#[cfg(target_os = "linux")]
mod message;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ip_recvtos, set_ipv6_mtu_discover,
    set_ipv6_recvtclass, set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::tunnel::TunnelError;

/// Buffers of each socket in bytes. The kernel's default drops bursts; a flow over a short path never fills this, for the
/// windows of TCP are smaller unless somebody raised them.
const BUFFER: usize = 7 << 20;

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
    fwmark: AtomicU32,
    /// The kernel splits trains of datagrams on their way out. Ends with the first sign that it cannot.
    splits: AtomicBool,
}

impl Sockets {
    /// Binds both families on `port`; 0 takes a port that is free in both. `fwmark` 0 means none. With `offload` the
    /// kernel joins and splits trains of datagrams, if it can.
    ///
    /// # Errors
    /// When the port is taken, or marks need a right that is missing.
    pub(super) fn bind(port: u16, fwmark: u32, offload: bool) -> Result<Self, TunnelError> {
        let mut attempt = 1;
        loop {
            match bind_both(port, fwmark, offload) {
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
        self.fwmark.load(Ordering::Relaxed)
    }

    /// Marks the outer datagrams; 0 means none.
    pub(super) fn set_fwmark(&self, fwmark: u32) -> io::Result<()> {
        for socket in [&self.v4, &self.v6].into_iter().flatten() {
            set_mark(socket2::SockRef::from(socket), fwmark)?;
        }
        self.fwmark.store(fwmark, Ordering::Relaxed);
        Ok(())
    }
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

fn bind_both(port: u16, fwmark: u32, offload: bool) -> io::Result<Sockets> {
    let v4 = tolerate(bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), fwmark, offload))?;
    let bound = v4.as_ref().map(UdpSocket::local_addr).transpose()?;
    let port = bound.map_or(port, |address| address.port());
    let v6 = tolerate(bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), fwmark, offload))?;
    let bound = v6.as_ref().map(UdpSocket::local_addr).transpose()?;
    let port = bound.map_or(port, |address| address.port());
    if v4.is_none() && v6.is_none() {
        return Err(io::Error::new(ErrorKind::Unsupported, "the system has neither IPv4 nor IPv6"));
    }
    Ok(Sockets { v4, v6, port, fwmark: AtomicU32::new(fwmark), splits: AtomicBool::new(offload) })
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

fn bind(address: SocketAddr, fwmark: u32, offload: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // As the kernel's module: outer datagrams may be fragmented, for a path that is narrower than the MTU assumes would
    // otherwise swallow them. Telling the own address is a help for hosts with several, so its failure is no error.
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        let _ = set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DONT);
        let _ = setsockopt(&socket, Ipv6RecvPacketInfo, &true);
        let _ = set_ipv6_recvtclass(&socket, true);
    } else {
        let _ = set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT);
        let _ = setsockopt(&socket, Ipv4PacketInfo, &true);
        let _ = set_ip_recvtos(&socket, true);
    }
    #[cfg(target_os = "linux")]
    if offload {
        // Kernels before 5.0 cannot: datagrams then come one by one.
        let _ = setsockopt(&socket, nix::sys::socket::sockopt::UdpGroSegment, &true);
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
        let sockets = Sockets::bind(0, 0, true).expect("a free port");
        let port = sockets.port();
        assert_ne!(port, 0);
        for socket in [&sockets.v4, &sockets.v6].into_iter().flatten() {
            assert_eq!(socket.local_addr().expect("an address").port(), port);
        }
        let error = Sockets::bind(port, 0, true).err().expect("the port is taken").to_string();
        assert!(error.starts_with(&format!("cannot bind UDP port {port}: ")), "{error}");
        assert!(error.contains("choose another WireGuard port"), "{error}");
    }
}
