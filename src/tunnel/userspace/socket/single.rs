//! A datagram a system call, for systems that have no other way: sendmsg(2) and recvmsg(2), as often as there is
//! something. What comes is handed on as Linux does it: datagrams of one sender and one length as a train, for each
//! train a peer is locked but a few times.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno as NixErrno;
use nix::sys::socket::{MsgFlags, SockaddrIn6, SockaddrStorage, recvmsg};
use rustix::io::Errno;
use socket2::{MsgHdr, SockAddr, SockRef};

use super::message::{Beside, Control};
use super::{Family, Sockets, is_writable};
use crate::tunnel::userspace::Endpoint;
use crate::tunnel::userspace::inbound::Received;
use crate::tunnel::userspace::outbox::Outbox;

/// Most datagrams of a call to [`ReceiveBatch::receive`], and of a train.
const MOST: usize = 64;

/// A datagram is never longer than this, nor is a train.
const LONGEST: usize = 65_536;

/// Room for what one call receives, one datagram behind the other, as long as another of any length fits behind.
const ARENA: usize = 2 * LONGEST;

/// How often a datagram is tried for which a queue has no room. Such queues empty in microseconds: it is not slept.
const ATTEMPTS: u32 = 32;

/// Sends what an outbox holds.
#[derive(Default)]
pub(in crate::tunnel::userspace) struct SendBatch {}

impl SendBatch {
    /// Sends all datagrams of the outbox in order, and empties it. What cannot be sent is dropped, and `complain` is
    /// told: a full buffer, an unreachable network, a firewall may all be gone with the next datagram, and WireGuard and
    /// what it carries repeat what matters.
    pub(in crate::tunnel::userspace) fn send(
        &mut self,
        sockets: &Sockets,
        outbox: &mut Outbox,
        _: Instant,
        complain: &mut dyn FnMut(io::Error),
    ) {
        for run in outbox.runs() {
            let remote = run.to.remote;
            let family = if remote.is_ipv4() { Family::V4 } else { Family::V6 };
            let Some(socket) = sockets.of(family) else {
                complain(ErrorKind::Unsupported.into());
                continue;
            };
            let name = SockAddr::from(remote);
            let mut control = Control::EMPTY;
            control.set(run.to, run.tos);
            for datagram in outbox.bytes(run).chunks(run.segment) {
                let data = [IoSlice::new(datagram)];
                let mut message = MsgHdr::new().with_addr(&name).with_buffers(&data);
                // Some systems take no control messages of length zero.
                let beside = !control.bytes().is_empty();
                if beside {
                    message = message.with_control(control.bytes());
                }
                let mut sent = patiently(socket, || SockRef::from(socket).sendmsg(&message, 0));
                if beside && sent.as_ref().is_err_and(|error| !is_full(error)) {
                    // The own address is gone, or does not lead there any more, or the system knows no such message:
                    // the kernel chooses.
                    sent = patiently(socket, || socket.send_to(datagram, remote));
                }
                if let Err(error) = sent {
                    complain(error);
                }
            }
        }
        outbox.clear();
    }
}

/// Sends, and tries again while there is no room.
fn patiently(socket: &UdpSocket, send: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    let mut attempt = 0;
    loop {
        let error = match send() {
            Ok(length) => return Ok(length),
            Err(error) => error,
        };
        match Errno::from_io_error(&error) {
            Some(Errno::INTR) => {}
            Some(Errno::NOBUFS) if attempt < ATTEMPTS => std::thread::yield_now(),
            Some(Errno::AGAIN) if attempt < ATTEMPTS && is_writable(socket) => {}
            _ => return Err(error),
        }
        attempt += 1;
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOBUFS | Errno::AGAIN))
}

/// Datagrams that lie one behind the other, of one sender and one length; the last may be shorter.
#[derive(Clone, Copy, Debug)]
struct Train {
    from: Endpoint,
    tos: u8,
    segment: usize,
    count: usize,
    start: usize,
    length: usize,
}

/// Receives datagrams, as many as wait.
pub(in crate::tunnel::userspace) struct ReceiveBatch {
    arena: Vec<u8>,
    trains: Vec<Train>,
}

impl ReceiveBatch {
    /// Fails nowhere: the other systems' does, and takes trains.
    pub(in crate::tunnel::userspace) fn new(_trains: usize) -> io::Result<Self> {
        Ok(Self { arena: vec![0; ARENA], trains: Vec::with_capacity(MOST) })
    }

    /// Receives what waits in the socket: see [`Self::messages`]. `AGAIN` when there is nothing.
    pub(in crate::tunnel::userspace) fn receive(&mut self, socket: &UdpSocket) -> Result<(), Errno> {
        self.trains.clear();
        let mut used = 0;
        for count in 0..MOST {
            if used + LONGEST > ARENA {
                break;
            }
            match receive_one(socket, &mut self.arena[used..used + LONGEST]) {
                Ok((length, Some((from, tos)))) => {
                    self.add(Train { from, tos, segment: length, count: 1, start: used, length });
                    used += length;
                }
                // Without a sender, or cut.
                Ok((_, None)) => {}
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Puts a datagram to the train before it, or begins one.
    fn add(&mut self, datagram: Train) {
        if let Some(train) = self.trains.last_mut()
            && (train.from, train.tos) == (datagram.from, datagram.tos)
            && train.count < MOST
            // A shorter one has ended the train.
            && train.length == train.count * train.segment
            && (1..=train.segment).contains(&datagram.length)
            && train.length + datagram.length <= LONGEST
        {
            train.count += 1;
            train.length += datagram.length;
        } else {
            self.trains.push(datagram);
        }
    }

    /// The trains of the last call. A datagram that the kernel had to cut is left out. How long they waited is not told.
    pub(in crate::tunnel::userspace) fn messages(&self, _: Duration) -> impl Iterator<Item = Received<'_>> {
        self.trains.iter().map(|train| Received {
            from: train.from,
            tos: train.tos,
            segment: train.segment,
            late: false,
            bytes: &self.arena[train.start..train.start + train.length],
        })
    }
}

/// Receives a datagram: its length, its sender and traffic class.
fn receive_one(socket: &UdpSocket, buffer: &mut [u8]) -> Result<(usize, Option<(Endpoint, u8)>), Errno> {
    let mut control = Control::EMPTY;
    let mut data = [IoSliceMut::new(buffer)];
    let told = Some(control.bytes_mut());
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut data, told, MsgFlags::empty())
        .map_err(|errno: NixErrno| Errno::from_raw_os_error(errno as i32))?;
    let whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
    let remote = message.address.filter(|_| whole).and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4(SocketAddrV4::from(*address)));
        let v6 = |address: &SockaddrIn6| SocketAddrV6::new(address.ip(), address.port(), 0, address.scope_id()).into();
        v4.or_else(|| address.as_sockaddr_in6().map(v6))
    });
    let length = message.bytes;
    // What the kernel did not write is zero, which ends the messages.
    let Beside { local, tos, .. } = control.get(control.bytes().len());
    Ok((length, remote.map(|remote| (Endpoint { remote, local }, tos))))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use crate::tunnel::userspace::socket::batch;

    /// An outbox for `port` of this machine: two trains and a datagram between them.
    fn outbox(family: Family, port: u16) -> Outbox {
        let address = if family == Family::V4 { "127.0.0.1" } else { "::1" };
        let mut to = Endpoint::from(SocketAddr::new(address.parse().expect("an address"), port));
        let mut outbox = Outbox::default();
        for (length, tos, local) in
            [(1452, 2, true), (1452, 2, true), (700, 2, true), (9000, 0, false), (148, 1, false), (148, 1, false)]
        {
            to.local = local.then_some(to.remote.ip());
            outbox.push(to, tos, &vec![length as u8; length]);
        }
        outbox
    }

    /// What one socket gets of that outbox when it was sent by `send` and is received by `receive`: length of a train's
    /// datagrams, of the train, and traffic class.
    fn exchange(
        family: Family,
        send: impl FnOnce(&Sockets, &mut Outbox, &mut dyn FnMut(io::Error)),
        receive: impl FnOnce(&UdpSocket, &mut dyn FnMut(Received<'_>)),
    ) -> Vec<(usize, usize, u8)> {
        let (from, to) = (Sockets::bind(0, 0, false).expect("a port"), Sockets::bind(0, 0, false).expect("a port"));
        let mut outbox = outbox(family, to.port());
        send(&from, &mut outbox, &mut |error| panic!("not sent: {error}"));
        assert!(outbox.is_empty());
        let socket = to.of(family).expect("this family");
        assert!(is_readable(socket));
        let mut trains = Vec::new();
        receive(socket, &mut |received| {
            assert_eq!(received.from.remote.port(), from.port());
            assert_eq!(received.from.local, Some(received.from.remote.ip()));
            for datagram in received.bytes.chunks(received.segment) {
                assert!(datagram.iter().all(|byte| *byte == datagram.len() as u8));
            }
            trains.push((received.segment, received.bytes.len(), received.tos));
        });
        trains
    }

    fn is_readable(socket: &UdpSocket) -> bool {
        use rustix::event::{PollFd, PollFlags, poll};
        poll(&mut [PollFd::new(socket, PollFlags::IN)], None).is_ok_and(|ready| ready > 0)
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn send(sockets: &Sockets, outbox: &mut Outbox, complain: &mut dyn FnMut(io::Error)) {
        SendBatch {}.send(sockets, outbox, Instant::now(), complain);
    }

    fn receive(socket: &UdpSocket, take: &mut dyn FnMut(Received<'_>)) {
        let mut batch = ReceiveBatch::new(4).expect("memory");
        batch.receive(socket).expect("datagrams");
        batch.messages(Duration::ZERO).for_each(take);
        assert_eq!(batch.receive(socket), Err(Errno::AGAIN));
        assert_eq!(batch.messages(Duration::ZERO).count(), 0);
    }

    const TRAINS: [(usize, usize, u8); 3] = [(1452, 2 * 1452 + 700, 2), (9000, 9000, 0), (148, 296, 1)];

    #[test]
    fn what_was_sent_comes_in_trains_with_its_class_and_the_own_address() {
        for family in Family::ALL {
            assert_eq!(exchange(family, send, receive), TRAINS, "{family:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn it_speaks_with_the_batches_of_linux() {
        for family in Family::ALL {
            let sent_batch = exchange(
                family,
                |sockets, outbox, complain| {
                    batch::SendBatch::default().send(sockets, outbox, Instant::now(), complain);
                },
                receive,
            );
            assert_eq!(sent_batch, TRAINS, "{family:?}");
            let received_batch = exchange(family, send, |socket, take| {
                let mut batch = batch::ReceiveBatch::new(4).expect("memory");
                while batch.receive(socket).is_ok() {
                    batch.messages(Duration::ZERO).for_each(&mut *take);
                }
            });
            let singly =
                [(1452, 1452, 2), (1452, 1452, 2), (700, 700, 2), (9000, 9000, 0), (148, 148, 1), (148, 148, 1)];
            assert_eq!(received_batch, singly, "{family:?}");
        }
    }

    #[test]
    fn an_own_address_that_is_none_gives_way_to_the_kernels_choice() {
        let sockets = Sockets::bind(0, 0, false).expect("a port");
        let mut to = Endpoint::from(SocketAddr::from(([127, 0, 0, 1], sockets.port())));
        to.local = Some([192, 0, 2, 77].into());
        let mut outbox = Outbox::default();
        outbox.push(to, 0, b"question");
        send(&sockets, &mut outbox, &mut |error| panic!("not sent: {error}"));
        let socket = sockets.of(Family::V4).expect("IPv4");
        assert!(is_readable(socket));
        receive(socket, &mut |received| assert_eq!(received.bytes, b"question"));
    }

    #[test]
    fn more_than_the_arena_holds_waits_for_the_next_call() {
        let sockets = Sockets::bind(0, 0, false).expect("a port");
        let to = Endpoint::from(SocketAddr::from(([127, 0, 0, 1], sockets.port())));
        let mut outbox = Outbox::default();
        for number in 0..4 {
            outbox.push(to, 0, &[number; 40_000]);
        }
        send(&sockets, &mut outbox, &mut |error| panic!("not sent: {error}"));
        let socket = sockets.of(Family::V4).expect("IPv4");
        let mut batch = ReceiveBatch::new(4).expect("memory");
        let mut first_bytes = Vec::new();
        let mut calls = 0;
        while first_bytes.len() < 4 {
            assert!(is_readable(socket));
            batch.receive(socket).expect("datagrams");
            calls += 1;
            first_bytes
                .extend(batch.messages(Duration::ZERO).map(|received| (received.bytes[0], received.bytes.len())));
        }
        assert_eq!(first_bytes, [(0, 40_000), (1, 40_000), (2, 40_000), (3, 40_000)]);
        assert!(calls > 1, "{calls}");
    }
}
