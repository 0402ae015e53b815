//! ICMP echo from a raw socket: the probe of flows and of all-pairs checks. The kernel of the other machine answers.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

/// Tells our probes from other people's.
const MAGIC: &[u8; 8] = b"wgnetlab";

/// Sends echo requests from one overlay address and takes the answers.
pub(crate) struct Echo {
    socket: UdpSocket,
    v6: bool,
    id: u16,
}

/// One answer.
pub(crate) struct Answer {
    pub(crate) from: IpAddr,
    pub(crate) sequence: u16,
}

impl Echo {
    /// Opens a socket in the calling thread's namespace. Fails while no interface has the address `source`.
    pub(crate) fn open(source: IpAddr, id: u16) -> io::Result<Self> {
        let v6 = source.is_ipv6();
        let (domain, protocol) = if v6 { (Domain::IPV6, Protocol::ICMPV6) } else { (Domain::IPV4, Protocol::ICMPV4) };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.set_nonblocking(true)?;
        // Of a raw socket, too, std's UdpSocket only uses sendto and recvfrom.
        Ok(Self { socket: UdpSocket::from(OwnedFd::from(socket)), v6, id })
    }

    /// Sends one request of `size` bytes of ICMP payload (at least 8).
    pub(crate) fn send(&self, to: IpAddr, sequence: u16, size: usize) -> io::Result<()> {
        let mut packet = vec![if self.v6 { 128 } else { 8 }, 0, 0, 0];
        packet.extend(self.id.to_be_bytes());
        packet.extend(sequence.to_be_bytes());
        packet.extend(MAGIC);
        packet.resize(8 + size.max(MAGIC.len()), 0);
        if !self.v6 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        self.socket.send_to(&packet, SocketAddr::new(to, 0)).map(drop)
    }

    /// The next answer that is here, or comes before `deadline`.
    pub(crate) fn answer(&self, deadline: Instant) -> Option<Answer> {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    if let Some(sequence) = self.parse(&buffer[..length]) {
                        return Some(Answer { from: from.ip(), sequence });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    wait_readable(&self.socket, left);
                }
                // A pending ICMP error; the probe it is about stays unanswered.
                Err(_) => {}
            }
        }
    }

    fn parse(&self, packet: &[u8]) -> Option<u16> {
        let header = if self.v6 { 0 } else { usize::from(packet.first()? & 0x0f) * 4 };
        let echo = packet.get(header..)?;
        let ours = echo.get(8..16)? == MAGIC && echo[4..6] == self.id.to_be_bytes();
        let reply = echo[0] == if self.v6 { 129 } else { 0 };
        (ours && reply).then(|| u16::from_be_bytes([echo[6], echo[7]]))
    }
}

fn wait_readable(socket: &UdpSocket, left: Duration) {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    // Interrupted or not: the caller looks again.
    let _ = ppoll(&mut fds, Some(TimeSpec::from(left)), None);
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum = words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
