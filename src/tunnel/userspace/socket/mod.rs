//! The UDP sockets: one of each family on the same port. A host without IPv6 (or without IPv4) gets by with one.
//!
//! * [`batch`] (Linux): many datagrams a system call, and trains of them as one where the kernel splits and joins them;
//! * [`single`] (other systems): a datagram a system call;
//! * [`message`]: what goes beside a datagram: the own address, congestion, lengths in a train;
//! * [`name`]: the other's address.

#[cfg(target_os = "linux")]
mod batch;
mod message;
#[cfg(target_os = "linux")]
mod name;
#[cfg(any(test, not(target_os = "linux")))]
mod single;

#[cfg(target_os = "linux")]
pub(super) use self::batch::{ReceiveBatch, SendBatch};
#[cfg(not(target_os = "linux"))]
pub(super) use self::single::{ReceiveBatch, SendBatch};

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_ip_recvtos, set_ipv6_recvtclass};
use socket2::{Domain, Protocol, Socket, Type};

use crate::tunnel::TunnelError;

/// Buffers of each socket in bytes. The kernel's default drops bursts; a flow over a short path never fills this, for the
/// windows of TCP are smaller unless somebody raised them.
const BUFFER: usize = 7 << 20;

/// How long it is waited for room in a socket before a datagram is dropped.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

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
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no other system can"))]
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
    // Telling the own address is a help for hosts with several, so its failure is no error.
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        let _ = setsockopt(&socket, Ipv6RecvPacketInfo, &true);
        let _ = set_ipv6_recvtclass(&socket, true);
    } else {
        let _ = setsockopt(&socket, Ipv4PacketInfo, &true);
        let _ = set_ip_recvtos(&socket, true);
    }
    prepare(&socket, offload)?;
    if fwmark != 0 {
        set_mark(socket2::SockRef::from(&socket), fwmark)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Fragmenting, trains and buffers.
#[cfg(target_os = "linux")]
fn prepare(socket: &Socket, offload: bool) -> io::Result<()> {
    use rustix::net::sockopt as options;
    // As the kernel's module: outer datagrams may be fragmented, for a path that is narrower than the MTU assumes would
    // otherwise swallow them. One of the two is the other family's.
    let _ = options::set_ip_mtu_discover(socket, options::Ipv4PathMtuDiscovery::DONT);
    let _ = options::set_ipv6_mtu_discover(socket, options::Ipv6PathMtuDiscovery::DONT);
    // How long a datagram waited for us. A help only.
    let _ = setsockopt(socket, nix::sys::socket::sockopt::ReceiveTimestampns, &true);
    if offload {
        // Kernels before 5.0 cannot: datagrams then come one by one.
        let _ = setsockopt(socket, nix::sys::socket::sockopt::UdpGroSegment, &true);
    }
    if options::set_socket_recv_buffer_size_force(socket, BUFFER).is_err() {
        socket.set_recv_buffer_size(BUFFER)?;
    }
    if options::set_socket_send_buffer_size_force(socket, BUFFER).is_err() {
        socket.set_send_buffer_size(BUFFER)?;
    }
    Ok(())
}

/// Buffers. These systems fragment what they are not told to leave whole, and know no trains.
#[cfg(not(target_os = "linux"))]
fn prepare(socket: &Socket, _: bool) -> io::Result<()> {
    /// Datagrams do not wait in this buffer: it only says how long one may be, with what goes beside it.
    const SEND_BUFFER: usize = 128 << 10;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    set_largest(BUFFER, |size| socket.set_recv_buffer_size(size))
}

/// Sets a buffer of `most` bytes, or the largest that the system allows: unlike Linux, others refuse what is more.
#[cfg(any(test, not(target_os = "linux")))]
pub(super) fn set_largest<E>(most: usize, set: impl Fn(usize) -> Result<(), E>) -> Result<(), E> {
    /// The system's own is as good as less than this.
    const LEAST: usize = 256 << 10;
    let mut size = most;
    loop {
        match set(size) {
            Err(_) if size / 2 >= LEAST => size /= 2,
            done => return done,
        }
    }
}

/// Waits until the socket takes more; `false` when it does not for long.
fn is_writable(socket: &UdpSocket) -> bool {
    let mut set = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
    poll(&mut set, Some(&PATIENCE)).is_ok_and(|ready| ready > 0)
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
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_largest_buffer_is_taken_that_the_system_allows() {
        let asked = RefCell::new(Vec::new());
        let allowed = |limit: usize| {
            asked.borrow_mut().clear();
            let set = |size: usize| {
                asked.borrow_mut().push(size >> 10);
                if size <= limit { Ok(()) } else { Err(size) }
            };
            (set_largest(4 << 20, set), asked.borrow().clone())
        };
        assert_eq!(allowed(usize::MAX), (Ok(()), vec![4096]));
        assert_eq!(allowed(1 << 20), (Ok(()), vec![4096, 2048, 1024]));
        assert_eq!(allowed(0), (Err(256 << 10), vec![4096, 2048, 1024, 512, 256]));
    }

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
