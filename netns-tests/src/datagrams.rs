//! Datagrams as an attacker sees and makes them: captured on a bridge, forged with any source.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::machine::Machine;
use crate::namespace::Namespace;
use crate::process::lock;

/// An UDP datagram over IPv4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it, or is said to have.
    pub from: SocketAddrV4,
    /// Who gets it.
    pub to: SocketAddrV4,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// A capture under way. Dropped, it ends.
pub struct Capture {
    seen: Arc<Mutex<Vec<Datagram>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Takes every UDP datagram over IPv4 that passes in `namespace` (the hub of a bridge), up to `most`.
    pub fn start(namespace: &Namespace, most: usize) -> Self {
        let (seen, stop) = (Arc::<Mutex<Vec<Datagram>>>::default(), Arc::<AtomicBool>::default());
        let (found, over) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = namespace.spawn("capture", move || {
            let every = i32::from(u16::try_from(libc::ETH_P_ALL).expect("16 bits").to_be());
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(every))).expect("a packet socket");
            socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
            let mut buffer = vec![0; 65536];
            while !over.load(Ordering::Relaxed) && lock(&found).len() < most {
                let Ok(length) = std::io::Read::read(&mut &socket, &mut buffer) else { continue };
                let Some(datagram) = parse(&buffer[..length]) else { continue };
                let mut found = lock(&found);
                // Every frame is seen at its port in and its port out.
                if found.last() != Some(&datagram) {
                    found.push(datagram);
                }
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// What was captured so far.
    pub fn seen(&self) -> Vec<Datagram> {
        lock(&self.seen).clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn parse(frame: &[u8]) -> Option<Datagram> {
    let packet = frame.get(14..)?;
    let is_udp = frame[12..14] == [0x08, 0x00] && packet.get(9) == Some(&17);
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let udp = packet.get(header..).filter(|_| is_udp)?;
    let length = usize::from(number(udp, 4)?);
    let address = |at: usize| packet[at..].first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets));
    let from = SocketAddrV4::new(address(12)?, number(udp, 0)?);
    let to = SocketAddrV4::new(address(16)?, number(udp, 2)?);
    Some(Datagram { from, to, payload: udp.get(8..length)?.to_vec() })
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|octets| u16::from_be_bytes(*octets))
}

/// Sends datagrams with any source address.
pub struct Forger(UdpSocket);

impl Forger {
    /// A forger on `machine`.
    pub fn new(machine: &Machine) -> Self {
        let raw = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)));
        let socket = machine.namespace().run(raw).expect("a raw socket");
        Self(UdpSocket::from(OwnedFd::from(socket)))
    }

    /// Sends one. A full queue loses it, as a network does.
    pub fn send(&self, datagram: &Datagram) {
        let length = 28 + datagram.payload.len();
        let mut packet = Vec::with_capacity(length);
        // The kernel fills in the total length, the identification and the header's checksum.
        packet.extend([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0]);
        packet.extend(datagram.from.ip().octets());
        packet.extend(datagram.to.ip().octets());
        packet.extend(datagram.from.port().to_be_bytes());
        packet.extend(datagram.to.port().to_be_bytes());
        packet.extend(u16::try_from(length - 20).expect("at most 65,535 bytes").to_be_bytes());
        // No checksum: IPv4 allows that.
        packet.extend([0, 0]);
        packet.extend(&datagram.payload);
        let target = SockAddr::from(SocketAddrV4::new(*datagram.to.ip(), 0));
        drop(self.0.send_to(&packet, target.as_socket().expect("an IPv4 address")));
    }
}
