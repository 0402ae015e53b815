//! Many datagrams a system call: sendmmsg(2) and recvmmsg(2), with trains of equal datagrams as one message each
//! (`UDP_SEGMENT`, `UDP_GRO`; udp(7)).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use memmap2::MmapMut;
use nix::libc;
use rustix::event::{Timespec, poll};
use rustix::io::Errno;
use tracing::{info, warn};

use super::message::Control;
use super::name::Name;
use super::{Family, Sockets, is_writable};
use crate::tunnel::userspace::Endpoint;
use crate::tunnel::userspace::inbound::Received;
use crate::tunnel::userspace::outbox::{Outbox, Run};
use crate::tunnel::userspace::standing::is_late;

/// Most messages of one system call.
const MOST: usize = 64;

/// A train of datagrams is never longer than this, nor is a datagram.
const LONGEST: usize = 65_536;

/// Messages longer than this are trains, or as good as trains.
const TRAIN: usize = 4096;

/// How often a message is tried for which the system has no memory.
const ATTEMPTS: u32 = 5;

/// An address whose path took no train gets single datagrams for so long.
const SINGLY: Duration = Duration::from_secs(60);

/// Addresses with such a path that are remembered.
const MOST_SINGLE: usize = 64;

/// The messages of a call: what the kernel is told of each, and what it tells. Pointers are set before each call, to what
/// lives until its end, and mean nothing after it.
struct Messages {
    headers: Vec<libc::mmsghdr>,
    /// What belongs to one message lies together: most calls have one, and a daemon that was asleep has cold caches.
    parts: Vec<Parts>,
}

/// What a header points to.
#[derive(Clone, Copy)]
struct Parts {
    name: Name,
    control: Control,
    vector: libc::iovec,
}

#[expect(unsafe_code, reason = "pointers are not Send; these are never followed outside a call that set them")]
// SAFETY: see Messages.
unsafe impl Send for Messages {}

impl Messages {
    fn new(count: usize) -> Self {
        #[expect(unsafe_code, reason = "msghdr has hidden padding on some systems, so it has no literal")]
        // SAFETY: all zeros is a message header: no name, no data, no control messages.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let parts = Parts { name: Name::EMPTY, control: Control::EMPTY, vector };
        Self { headers: vec![header; count], parts: vec![parts; count] }
    }

    /// Makes message `at` one of that data, with the name and control messages that its parts hold.
    fn set(&mut self, at: usize, data: *mut u8, length: usize) {
        let (header, parts) = (&mut self.headers[at].msg_hdr, &mut self.parts[at]);
        parts.vector = libc::iovec { iov_base: data.cast(), iov_len: length };
        (header.msg_name, header.msg_namelen) = parts.name.pointer();
        header.msg_iov = &raw mut parts.vector;
        header.msg_iovlen = 1;
        let (pointer, length) = parts.control.pointer();
        header.msg_control = pointer;
        header.msg_controllen = length as _;
        header.msg_flags = 0;
    }
}

/// Where sending goes on: a run, and a byte in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    run: usize,
    byte: usize,
}

/// Sends what an outbox holds.
pub(in crate::tunnel::userspace) struct SendBatch {
    messages: Messages,
    /// Behind each message, where sending goes on.
    cursors: Vec<Cursor>,
    /// Addresses that no train reaches, until when.
    singly: Vec<(SocketAddr, Instant)>,
    /// That there are such addresses was said.
    told: bool,
}

impl Default for SendBatch {
    fn default() -> Self {
        Self { messages: Messages::new(MOST), cursors: vec![Cursor::default(); MOST], singly: Vec::new(), told: false }
    }
}

impl SendBatch {
    /// Sends all datagrams of the outbox in order, and empties it. What cannot be sent is dropped, and `complain` is
    /// told: a full buffer, an unreachable network, a firewall may all be gone with the next datagram, and WireGuard and
    /// what it carries repeat what matters.
    pub(in crate::tunnel::userspace) fn send(
        &mut self,
        sockets: &Sockets,
        outbox: &mut Outbox,
        now: Instant,
        complain: &mut dyn FnMut(io::Error),
    ) {
        let mut cursor = Cursor::default();
        let mut attempt = 0;
        // A socket that took nothing for so long is not waited for again: what else this thread does goes on.
        let mut patient = true;
        while let Some(run) = outbox.runs().get(cursor.run) {
            let family = if run.to.remote.is_ipv4() { Family::V4 } else { Family::V6 };
            let Some(socket) = sockets.of(family) else {
                complain(io::ErrorKind::Unsupported.into());
                cursor = Cursor { run: cursor.run + 1, byte: 0 };
                continue;
            };
            match self.send_from(socket, sockets.splits.load(Ordering::Relaxed), outbox, cursor, now) {
                Ok(sent) => (cursor, attempt) = (self.cursors[sent - 1], 0),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if patient && attempt < ATTEMPTS => {
                    attempt += 1;
                    patient = is_writable(socket);
                }
                Err(Errno::NOBUFS | Errno::NOMEM) if attempt < ATTEMPTS => {
                    attempt += 1;
                    let _ = poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 1_000_000 }));
                }
                Err(errno) if self.goes_singly(sockets, run, cursor, errno, now) => {}
                Err(errno) if run.to.local.is_some() && errno != Errno::AGAIN => {
                    // The own address is gone, or does not lead there any more: the kernel chooses.
                    let to = run.to.remote;
                    for datagram in outbox.bytes(run)[cursor.byte..].chunks(run.segment) {
                        if let Err(error) = socket.send_to(datagram, to) {
                            complain(error);
                        }
                    }
                    (cursor, attempt) = (Cursor { run: cursor.run + 1, byte: 0 }, 0);
                }
                Err(errno) => {
                    complain(errno.into());
                    (cursor, attempt) = (self.cursors[0], 0);
                }
            }
        }
        outbox.clear();
    }

    /// Sends up to [`MOST`] messages in one call, all by one socket; returns how many went, at least one.
    fn send_from(
        &mut self,
        socket: &UdpSocket,
        splits: bool,
        outbox: &Outbox,
        mut cursor: Cursor,
        now: Instant,
    ) -> Result<usize, Errno> {
        self.singly.retain(|(_, until)| *until > now);
        let v4 = outbox.runs()[cursor.run].to.remote.is_ipv4();
        let mut count = 0;
        while count < MOST
            && let Some(run) = outbox.runs().get(cursor.run).filter(|run| run.to.remote.is_ipv4() == v4)
        {
            let left = &outbox.bytes(run)[cursor.byte..];
            let whole = splits && self.singly.iter().all(|(address, _)| *address != run.to.remote);
            let data = if whole { left } else { &left[..left.len().min(run.segment)] };
            let train = (data.len() > run.segment).then_some(run.segment as u16);
            let parts = &mut self.messages.parts[count];
            parts.name.set(run.to.remote);
            parts.control.set(run.to, run.tos);
            if let Some(segment) = train {
                parts.control.add_segment(segment);
            }
            // The kernel only reads what is to be sent.
            self.messages.set(count, data.as_ptr().cast_mut(), data.len());
            cursor = if data.len() == left.len() {
                Cursor { run: cursor.run + 1, byte: 0 }
            } else {
                Cursor { byte: cursor.byte + data.len(), ..cursor }
            };
            self.cursors[count] = cursor;
            count += 1;
        }
        #[expect(unsafe_code, reason = "sendmmsg(2) takes raw pointers")]
        // SAFETY: the first `count` headers point to their parts and to data of the outbox, which outlive the call.
        let sent = unsafe {
            let headers = self.messages.headers.as_mut_ptr();
            libc::sendmmsg(socket.as_raw_fd(), headers, count as _, libc::MSG_DONTWAIT as _)
        };
        if sent > 0 { Ok(sent as usize) } else { Err(last_errno()) }
    }

    /// Whether the train at the cursor failed because it is one: then its datagrams go singly from now on.
    fn goes_singly(&mut self, sockets: &Sockets, run: &Run, cursor: Cursor, errno: Errno, now: Instant) -> bool {
        let was_train = sockets.splits.load(Ordering::Relaxed)
            && run.count > 1
            && cursor.byte + run.segment < run.count * run.segment
            && self.singly.iter().all(|(address, _)| *address != run.to.remote);
        match errno {
            // The way out cannot compute the checksums of a train.
            Errno::IO if was_train => {
                sockets.splits.store(false, Ordering::Relaxed);
                warn!("the system cannot split trains of datagrams: they are sent singly from now on (said once)");
                true
            }
            // A path narrower than the datagrams: the kernel fragments single ones only.
            Errno::INVAL | Errno::MSGSIZE if was_train => {
                if !std::mem::replace(&mut self.told, true) {
                    let to = run.to.remote;
                    info!("no trains of datagrams pass to {to}, they go singly for a minute ({errno}; said once)");
                }
                if self.singly.len() == MOST_SINGLE {
                    self.singly.remove(0);
                }
                self.singly.push((run.to.remote, now + SINGLY));
                true
            }
            _ => false,
        }
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Receives many datagrams at once.
pub(in crate::tunnel::userspace) struct ReceiveBatch {
    messages: Messages,
    /// Memory of the system's that is not touched before datagrams come, and then mostly a page of each buffer. A vector
    /// of zeros is that with some C libraries only: with musl it would all be written.
    buffers: MmapMut,
    /// Messages to ask for while trains come: more would only touch more memory, 64 KiB each.
    trains: usize,
    /// Messages to ask for.
    ask: usize,
    received: usize,
}

impl ReceiveBatch {
    /// # Errors
    /// When the system has no memory.
    pub(in crate::tunnel::userspace) fn new(trains: usize) -> io::Result<Self> {
        let buffers = MmapMut::map_anon(MOST * LONGEST)?;
        Ok(Self { messages: Messages::new(MOST), buffers, trains, ask: trains, received: 0 })
    }

    /// Receives what waits in the socket: see [`Self::messages`]. `AGAIN` when there is nothing.
    pub(in crate::tunnel::userspace) fn receive(&mut self, socket: &UdpSocket) -> Result<(), Errno> {
        self.received = 0;
        for (at, buffer) in self.buffers.chunks_exact_mut(LONGEST).take(self.ask).enumerate() {
            let parts = &mut self.messages.parts[at];
            parts.name.expect();
            parts.control.expect();
            self.messages.set(at, buffer.as_mut_ptr(), LONGEST);
        }
        #[expect(unsafe_code, reason = "recvmmsg(2) takes raw pointers")]
        // SAFETY: the first `ask` headers point to their parts and buffers, which outlive the call and are as long as
        // their header says.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.messages.headers.as_mut_ptr(),
                self.ask as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            return Err(last_errno());
        }
        self.received = received as usize;
        if self.messages.headers[..self.received].iter().any(|header| header.msg_len as usize > TRAIN) {
            self.ask = self.trains;
        } else if self.received == self.ask {
            self.ask = (2 * self.ask).min(MOST);
        }
        Ok(())
    }

    /// The messages of the last call, at `wall` since the epoch. One that the kernel had to cut is left out.
    pub(in crate::tunnel::userspace) fn messages(&self, wall: Duration) -> impl Iterator<Item = Received<'_>> {
        let all = self.messages.headers[..self.received].iter().zip(&self.messages.parts);
        all.zip(self.buffers.chunks_exact(LONGEST)).filter_map(move |((header, parts), buffer)| {
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            let remote = parts.name.get().filter(|_| !cut)?;
            #[allow(clippy::unnecessary_cast, reason = "the length has another type with musl")]
            let beside = parts.control.get(header.msg_hdr.msg_controllen as usize);
            let bytes = &buffer[..(header.msg_len as usize).min(LONGEST)];
            let segment = beside.segment.unwrap_or(bytes.len());
            let from = Endpoint { remote, local: beside.local };
            let late = is_late(beside.stamp, wall);
            Some(Received { from, tos: beside.tos, segment, late, bytes })
        })
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags};

    use super::*;
    use crate::tunnel::userspace::data::{now, wall_clock};

    /// Ten datagrams of one run, and where they arrive.
    fn waiting(sockets: &Sockets) -> (Outbox, UdpSocket) {
        let receiver = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        assert!(sockets.splits.load(Ordering::Relaxed));
        let to = receiver.local_addr().expect("an address").into();
        let mut outbox = Outbox::default();
        (0..10).for_each(|number| outbox.push(to, 0, &[number; 500]));
        assert_eq!(outbox.runs().len(), 1);
        (outbox, receiver)
    }

    fn all_arrive(receiver: &UdpSocket) {
        let mut came = [0; 600];
        for number in 0..10 {
            assert_eq!((receiver.recv(&mut came).expect("a datagram"), came[0]), (500, number));
        }
    }

    #[test]
    fn where_trains_cannot_be_split_no_datagram_is_lost_and_none_is_sent_in_a_train_again() {
        let sockets = Sockets::bind(0, 0, true).expect("a free port");
        let (mut outbox, receiver) = waiting(&sockets);
        let mut batch = SendBatch::default();
        let run = outbox.runs()[0];
        assert!(batch.goes_singly(&sockets, &run, Cursor::default(), Errno::IO, now()));
        assert!(!sockets.splits.load(Ordering::Relaxed));
        assert!(
            !batch.goes_singly(&sockets, &run, Cursor::default(), Errno::IO, now()),
            "a second time it is an error"
        );
        batch.send(&sockets, &mut outbox, now(), &mut |error| panic!("{error}"));
        all_arrive(&receiver);
    }

    #[test]
    fn how_long_a_datagram_waited_is_told_by_the_kernel() {
        let sockets = Sockets::bind(0, 0, true).expect("a free port");
        let socket = sockets.of(Family::V4).expect("IPv4");
        let sender = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        sender.send_to(b"x", ("127.0.0.1", sockets.port())).expect("sent");
        let mut batch = ReceiveBatch::new(4).expect("memory");
        while batch.receive(socket) == Err(Errno::AGAIN) {
            let mut set = [PollFd::new(socket, PollFlags::IN)];
            poll(&mut set, None).expect("poll");
        }
        let late = |wall| batch.messages(wall).map(|received| received.late).collect::<Vec<_>>();
        let wall = wall_clock();
        assert_eq!(late(wall + Duration::from_millis(10)), [true]);
        assert_eq!(late(Duration::ZERO), [false], "the clock was set back meanwhile");
    }

    #[test]
    fn a_path_that_takes_no_trains_gets_single_datagrams_for_a_while_and_others_their_trains() {
        let sockets = Sockets::bind(0, 0, true).expect("a free port");
        let (mut outbox, receiver) = waiting(&sockets);
        let mut batch = SendBatch::default();
        let (run, start) = (outbox.runs()[0], now());
        assert!(batch.goes_singly(&sockets, &run, Cursor::default(), Errno::MSGSIZE, start));
        assert!(!batch.goes_singly(&sockets, &run, Cursor::default(), Errno::MSGSIZE, start), "it is a real error now");
        assert!(sockets.splits.load(Ordering::Relaxed));
        batch.send(&sockets, &mut outbox, start, &mut |error| panic!("{error}"));
        all_arrive(&receiver);
        assert_eq!(batch.singly.len(), 1);
        let (mut outbox, receiver) = waiting(&sockets);
        batch.send(&sockets, &mut outbox, start + SINGLY, &mut |error| panic!("{error}"));
        all_arrive(&receiver);
        assert!(batch.singly.is_empty(), "it is tried again");
    }
}
