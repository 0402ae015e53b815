//! Bytes between two namespaces, in quantities that make the kernels and the tunnel put packets together.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;

use super::lab::{Namespace, PATIENCE};

/// Bytes of each transfer: a few hundred superpackets.
const BYTES: usize = 4 << 20;

/// Payload of the largest UDP packet over IPv6 that fits a tunnel of 1420 bytes.
const DATAGRAM: usize = 1_372;

/// Datagrams of a burst: what a socket's default buffer holds.
const BURST: usize = 40;

/// Bytes that repeat nowhere.
fn content(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(BYTES / 8).flatten().collect()
}

/// Moves bytes over TCP to address `at` in `to`, then back, then both ways at once. They arrive as they were.
///
/// # Panics
/// When they do not.
pub(super) fn transfer(from: &Namespace, to: &Namespace, at: impl Into<IpAddr>) {
    let at = SocketAddr::new(at.into(), 0);
    let listener = to.enter(|| TcpListener::bind(at)).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let near = from.enter(|| TcpStream::connect_timeout(&address, PATIENCE)).expect("a connection");
    let (far, _) = listener.accept().expect("the connection");
    for end in [&near, &far] {
        end.set_read_timeout(Some(PATIENCE)).and_then(|()| end.set_write_timeout(Some(PATIENCE))).expect("timeouts");
    }
    let (there, back) = (content(7), content(11));
    carry(&near, &far, &there);
    carry(&far, &near, &back);
    std::thread::scope(|scope| {
        scope.spawn(|| carry(&near, &far, &back));
        carry(&far, &near, &there);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, content: &[u8]) {
    let mut came = vec![0; content.len()];
    std::thread::scope(|scope| {
        scope.spawn(|| from.write_all(content).expect("it is taken"));
        to.read_exact(&mut came).expect("it arrives");
    });
    assert!(came == content, "something else arrived");
}

/// Sends bursts of datagrams, each with one system call, from `from` to address `at` in `to`. All arrive, in order.
///
/// # Panics
/// When they do not.
pub(super) fn bursts_pass(from: &Namespace, to: &Namespace, at: impl Into<IpAddr>) {
    let at = at.into();
    let receiver = to.enter(|| UdpSocket::bind(SocketAddr::new(at, 0))).expect("a socket");
    receiver.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let unspecified = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let sender = from.enter(|| UdpSocket::bind(unspecified)).expect("a socket");
    sender.connect(receiver.local_addr().expect("an address")).expect("a way");
    setsockopt(&sender, UdpGsoSegment, &(DATAGRAM as i32)).expect("the kernel splits datagrams");
    let (content, mut came) = (content(13), [0; 2 * DATAGRAM]);
    for burst in content.chunks_exact(BURST * DATAGRAM).take(20) {
        assert_eq!(sender.send(burst).expect("it is taken"), burst.len());
        for (number, datagram) in burst.chunks(DATAGRAM).enumerate() {
            let length = receiver.recv(&mut came).unwrap_or_else(|error| panic!("datagram {number}: {error}"));
            assert!(came[..length] == *datagram, "something else arrived as datagram {number}");
        }
    }
}
