//! The admin port on the underlay: one UDP socket for IPv4, one for IPv6 where the machine has it.
//!
//! Receiving comes in bounded batches, so that a flood of junk cannot starve timers; what the kernel's buffer cannot
//! hold in between is dropped there, and memory stays flat. Sending never waits: a datagram that the kernel does not
//! take now is lost like any other, and counted.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

/// Datagrams to take from one socket before timers and everything else get their turn.
pub const BATCH: usize = 64;
/// An Ethernet frame's worth; the engine's own datagrams have at most 1200 bytes.
const LARGEST: usize = 1_500;

/// The pair of sockets.
pub struct Underlay {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    /// One byte more than the largest datagram: what fills it was cut off.
    buffer: Box<[u8; LARGEST + 1]>,
    counters: Counters,
}

/// What the sockets could not do, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that the system refused to send.
    pub send_errors: u64,
    /// Receive calls that failed.
    pub receive_errors: u64,
    /// Datagrams of more than 1500 bytes, dropped unread.
    pub oversized: u64,
}

/// Which of the two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What one look at a socket gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A datagram.
    Datagram(SocketAddr, &'a [u8]),
    /// Something that was counted and dropped; more may be waiting.
    Useless,
    /// The socket is empty.
    Nothing,
}

impl Underlay {
    /// Binds `port` for IPv4 and IPv6; an address family that the machine does not have is left out.
    ///
    /// # Errors
    /// The port is taken or not allowed, or there is neither family.
    pub fn bind(port: u16) -> io::Result<Self> {
        let v4 = if_supported(open(Domain::IPV4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))?;
        // Port 0 (tests) is chosen by the IPv4 socket; both families share one number.
        let port = v4.as_ref().map_or(Ok(port), |socket| socket.local_addr().map(|a| a.port()))?;
        let v6 = if_supported(open(Domain::IPV6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))))?;
        if v4.is_none() && v6.is_none() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this machine has neither IPv4 nor IPv6"));
        }
        if v6.is_none() {
            tracing::info!("no IPv6 on this machine: control traffic uses IPv4 alone");
        }
        Ok(Self::of(v4, v6))
    }

    /// Of these sockets.
    pub(super) fn of(v4: Option<UdpSocket>, v6: Option<UdpSocket>) -> Self {
        Self { v4, v6, buffer: Box::new([0; LARGEST + 1]), counters: Counters::default() }
    }

    /// One of the two, for its options.
    pub(super) fn socket(&self, family: Family) -> Option<SockRef<'_>> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
        .map(SockRef::from)
    }

    /// The port, the same for both families.
    pub fn port(&self) -> u16 {
        let socket = self.v4.as_ref().or(self.v6.as_ref());
        socket.and_then(|socket| socket.local_addr().ok()).map_or(0, |address| address.port())
    }

    /// Lets `open` bind a socket of this port to one address. Nobody else can meanwhile, but for this user.
    pub fn sharing<T>(&self, open: impl FnOnce() -> T) -> T {
        let share = |on| self.v6.as_ref().map(|socket| SockRef::from(socket).set_reuse_port(on));
        let _ = share(true);
        let opened = open();
        let _ = share(false);
        opened
    }

    /// What went wrong so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Sends a datagram, or counts that it could not.
    pub fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        // Directly on the socket: tokio's own try_send refuses until it has seen the socket writable once.
        let sent = socket.as_ref().is_some_and(|socket| SockRef::from(socket).send_to(bytes, &to.into()).is_ok());
        if !sent {
            self.counters.send_errors += 1;
        }
    }

    /// Waits until a socket has something to read.
    pub async fn readable(&self) -> Family {
        let one = async |socket: &Option<UdpSocket>| {
            match socket {
                // A socket that cannot be waited for any more is as good as silent.
                Some(socket) if socket.readable().await.is_ok() => {}
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = one(&self.v4) => Family::V4,
            () = one(&self.v6) => Family::V6,
        }
    }

    /// Takes one datagram from a socket, if one is waiting. A caller takes at most [`BATCH`] in a row.
    pub fn receive(&mut self, family: Family) -> Received<'_> {
        let socket = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        let Some(socket) = socket else { return Received::Nothing };
        match socket.try_recv_from(&mut self.buffer[..]) {
            Ok((length, _)) if length > LARGEST => {
                self.counters.oversized += 1;
                Received::Useless
            }
            Ok((length, from)) => Received::Datagram(from, &self.buffer[..length]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
            Err(_) => {
                self.counters.receive_errors += 1;
                Received::Useless
            }
        }
    }
}

fn open(domain: Domain, address: SocketAddr) -> io::Result<UdpSocket> {
    bind(domain, address, false)
}

/// A socket that others may have besides, and that may broadcast.
pub(super) fn open_shared(domain: Domain, address: SocketAddr) -> io::Result<UdpSocket> {
    bind(domain, address, true)
}

fn bind(domain: Domain, address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if shared {
        // Everyone who has the port gets every datagram for a group. BSD asks for the one option, Linux for the other
        // (with SO_REUSEPORT it would keep other users' daemons out).
        socket.set_reuse_address(true)?;
        if cfg!(not(target_os = "linux")) {
            socket.set_reuse_port(true)?;
        }
        if domain == Domain::IPV4 {
            socket.set_broadcast(true)?;
        }
    }
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// An address family that is switched off (`EAFNOSUPPORT`, or no address to bind to) is no error.
pub(super) fn if_supported(opened: io::Result<UdpSocket>) -> io::Result<Option<UdpSocket>> {
    match opened {
        Ok(socket) => Ok(Some(socket)),
        Err(e)
            if e.kind() == io::ErrorKind::AddrNotAvailable || Errno::from_io_error(&e) == Some(Errno::AFNOSUPPORT) =>
        {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(underlay: &mut Underlay) -> Vec<u8> {
        loop {
            let family = underlay.readable().await;
            if let Received::Datagram(_, bytes) = underlay.receive(family) {
                return bytes.to_vec();
            }
        }
    }

    #[tokio::test]
    async fn both_families_share_the_port_and_the_first_datagram_is_sent_at_once() {
        let mut here = Underlay::bind(0).expect("bind");
        let mut there = Underlay::bind(0).expect("bind");
        let port = there.port();
        here.send((Ipv4Addr::LOCALHOST, port).into(), b"four");
        assert_eq!(next(&mut there).await, b"four");
        if there.v6.is_some() {
            here.send((Ipv6Addr::LOCALHOST, port).into(), b"six");
            assert_eq!(next(&mut there).await, b"six");
        }
        assert_eq!(here.counters(), Counters::default());
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error() {
        let first = Underlay::bind(0).expect("bind");
        let error = Underlay::bind(first.port()).map(|_| ()).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn oversized_datagrams_are_dropped_and_what_cannot_be_sent_is_counted() {
        let mut here = Underlay::bind(0).expect("bind");
        let mut there = Underlay::bind(0).expect("bind");
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, there.port()));
        here.send(to, &[1; LARGEST + 1]);
        here.send(to, &[2; LARGEST]);
        assert_eq!(next(&mut there).await, [2; LARGEST]);
        assert_eq!(there.counters().oversized, 1);
        here.send((Ipv4Addr::LOCALHOST, 0).into(), b"nowhere");
        assert_eq!(here.counters().send_errors, 1);
    }
}
