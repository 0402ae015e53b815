//! The mesh's own datagrams on a device outside of this process: a UDP socket at the link address.
//!
//! It is bound to the interface, so a datagram that arrives there went through WireGuard's source check; one with the same
//! addresses from a neighbour on a LAN does not.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, Mutex, PoisonError};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use crate::tunnel::ControlDatagram;

/// Takes what comes.
pub(super) type Handler = Box<dyn Fn(ControlDatagram) + Send + Sync>;

/// The engine's datagrams have at most 1200 bytes, but for those that measure a link: what the largest packet holds.
const LONGEST: usize = 9_000 - HEADERS;

/// Peers whose control datagrams are counted at most.
const COUNTED: usize = 4_096;

/// IPv6 and UDP headers in bytes.
const HEADERS: usize = 48;

/// What WireGuard puts around a packet in bytes.
const WIREGUARD: usize = 32;

/// WireGuard pads packets to a multiple of so many bytes.
const PADDING: usize = 16;

/// Bytes of control datagrams as WireGuard counts them, both ways, by link address of the peer.
pub(super) type Traffic = BTreeMap<Ipv6Addr, u64>;

/// The socket, and a task that reads it.
pub struct ControlSocket {
    socket: Arc<UdpSocket>,
    traffic: Arc<Mutex<Traffic>>,
    reader: AbortHandle,
}

impl ControlSocket {
    /// Opens the socket; the address need not be there yet. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// No IPv6, no such interface, or the port is taken.
    pub fn open(interface: &str, address: Ipv6Addr, port: u16, handler: Handler) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_only_v6(true)?;
        bind_to(&socket, interface)?;
        // The admin port of the underlay is the same one, bound to no address: the socket of the longest match wins.
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddr::from((address, port)).into())?;
        socket.set_reuse_port(false)?;
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let traffic = Arc::<Mutex<Traffic>>::default();
        let reader = tokio::spawn(read(Arc::clone(&socket), Arc::clone(&traffic), handler)).abort_handle();
        Ok(Self { socket, traffic, reader })
    }

    /// Sends a datagram. What the system does not take now is lost, as on the way.
    pub(super) fn send(&self, to: SocketAddrV6, payload: &[u8]) {
        let sent = SockRef::from(&*self.socket).send_to(payload, &to.into());
        match sent {
            Ok(bytes) => count(&self.traffic, *to.ip(), bytes),
            Err(e) => tracing::trace!(%to, "a control datagram was not sent: {e}"),
        }
    }

    /// What went through so far.
    pub(super) fn traffic(&self) -> Traffic {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Binds to the interface, and lets an address be bound that comes later.
#[cfg(target_os = "linux")]
fn bind_to(socket: &Socket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_freebind_v6(true)
}

#[cfg(not(target_os = "linux"))]
fn bind_to(_: &Socket, _: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "adopted interfaces need Linux so far"))
}

async fn read(socket: Arc<UdpSocket>, traffic: Arc<Mutex<Traffic>>, handler: Handler) {
    let mut buffer = vec![0; LONGEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let IpAddr::V6(from) = from.ip() else { continue };
                count(&traffic, from, length);
                handler(ControlDatagram { from, payload: buffer[..length].to_vec() });
            }
            // What an ICMP error said of an earlier datagram, or an interface that is down for now.
            Err(e) => {
                tracing::trace!("the control socket: {e}");
                tokio::task::yield_now().await;
            }
        }
    }
}

fn count(traffic: &Mutex<Traffic>, peer: Ipv6Addr, payload: usize) {
    let bytes = (payload + HEADERS).next_multiple_of(PADDING) + WIREGUARD;
    let mut traffic = traffic.lock().unwrap_or_else(PoisonError::into_inner);
    // A person's peer may have a whole network, and send from every address of it.
    if traffic.len() < COUNTED || traffic.contains_key(&peer) {
        *traffic.entry(peer).or_default() += bytes as u64;
    }
}
