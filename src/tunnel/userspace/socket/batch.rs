//! Many datagrams a system call: sendmmsg(2) and recvmmsg(2), with trains of equal datagrams as one message each
//! (`UDP_SEGMENT`, `UDP_GRO`; udp(7)).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::libc;
use rustix::event::{Timespec, poll};
use rustix::io::Errno;
use tracing::warn;

use super::message::Control;
use super::name::Name;
use super::{Family, Sockets, is_writable};
use crate::tunnel::userspace::Endpoint;
use crate::tunnel::userspace::inbound::Received;
use crate::tunnel::userspace::outbox::{Outbox, Run};

/// Most messages of one system call.
const MOST: usize = 64;

/// A train of datagrams is never longer than this, nor is a datagram.
const LONGEST: usize = 65_536;

/// Messages that are asked for while trains come: more would only touch more memory, 64 KiB each.
const FEWEST: usize = 4;

/// Messages longer than this are trains, or as good as trains.
const TRAIN: usize = 4096;

/// How often a message is tried for which the system has no memory.
const ATTEMPTS: u32 = 5;

/// An address whose path took no train gets single datagrams for so long.
const SINGLY: Duration = Duration::from_secs(60);

/// Addresses with such a path that are remembered.
const MOST_SINGLE: usize = 64;

/// Message headers of a call. Their pointers are set before each call, to what lives until its end, and mean nothing
/// after it.
struct Headers(Vec<libc::mmsghdr>);

#[expect(unsafe_code, reason = "pointers are not Send; these are never followed outside a call that set them")]
// SAFETY: see Headers.
unsafe impl Send for Headers {}

impl Headers {
    fn new(count: usize) -> Self {
        #[expect(unsafe_code, reason = "msghdr has hidden padding on some systems, so it has no literal")]
        // SAFETY: all zeros is a message header: no name, no data, no control messages.
        let empty: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self(vec![empty; count])
    }

    fn set(&mut self, at: usize, name: &mut Name, vector: &mut libc::iovec, control: &mut Control) {
        let header = &mut self.0[at].msg_hdr;
        (header.msg_name, header.msg_namelen) = name.pointer();
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        let (pointer, length) = control.pointer();
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
    headers: Headers,
    names: Vec<Name>,
    controls: Vec<Control>,
    /// Behind each message, where sending goes on.
    cursors: Vec<Cursor>,
    /// Addresses that no train reaches, until when.
    singly: Vec<(SocketAddr, Instant)>,
}

impl Default for SendBatch {
    fn default() -> Self {
        Self {
            headers: Headers::new(MOST),
            names: vec![Name::EMPTY; MOST],
            controls: vec![Control::EMPTY; MOST],
            cursors: vec![Cursor::default(); MOST],
            singly: Vec::new(),
        }
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
                Err(Errno::AGAIN) if attempt < ATTEMPTS && is_writable(socket) => attempt += 1,
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
                    cursor = Cursor { run: cursor.run + 1, byte: 0 };
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
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MOST];
        let mut count = 0;
        while count < MOST
            && let Some(run) = outbox.runs().get(cursor.run).filter(|run| run.to.remote.is_ipv4() == v4)
        {
            let left = &outbox.bytes(run)[cursor.byte..];
            let whole = splits && self.singly.iter().all(|(address, _)| *address != run.to.remote);
            let data = if whole { left } else { &left[..left.len().min(run.segment)] };
            let train = (data.len() > run.segment).then_some(run.segment as u16);
            self.names[count].set(run.to.remote);
            self.controls[count].set(run.to, run.tos);
            if let Some(segment) = train {
                self.controls[count].add_segment(segment);
            }
            // The kernel only reads what is to be sent.
            vectors[count] = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
            self.headers.set(count, &mut self.names[count], &mut vectors[count], &mut self.controls[count]);
            cursor = if data.len() == left.len() {
                Cursor { run: cursor.run + 1, byte: 0 }
            } else {
                Cursor { byte: cursor.byte + data.len(), ..cursor }
            };
            self.cursors[count] = cursor;
            count += 1;
        }
        #[expect(unsafe_code, reason = "sendmmsg(2) takes raw pointers")]
        // SAFETY: the first `count` headers point to names, vectors, control messages and data that outlive the call.
        let sent = unsafe {
            libc::sendmmsg(socket.as_raw_fd(), self.headers.0.as_mut_ptr(), count as _, libc::MSG_DONTWAIT as _)
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
    headers: Headers,
    names: Vec<Name>,
    controls: Vec<Control>,
    buffers: Vec<u8>,
    /// Messages to ask for.
    ask: usize,
    received: usize,
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self {
            headers: Headers::new(MOST),
            names: vec![Name::EMPTY; MOST],
            controls: vec![Control::EMPTY; MOST],
            // Memory of the system's that is not touched before datagrams come: mostly a page of each.
            buffers: vec![0; MOST * LONGEST],
            ask: FEWEST,
            received: 0,
        }
    }
}

impl ReceiveBatch {
    /// Receives what waits in the socket: see [`Self::messages`]. `AGAIN` when there is nothing.
    pub(in crate::tunnel::userspace) fn receive(&mut self, socket: &UdpSocket) -> Result<(), Errno> {
        self.received = 0;
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MOST];
        for (at, buffer) in self.buffers.chunks_exact_mut(LONGEST).take(self.ask).enumerate() {
            self.names[at] = Name::EMPTY;
            self.controls[at] = Control::EMPTY;
            vectors[at] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: LONGEST };
            self.headers.set(at, &mut self.names[at], &mut vectors[at], &mut self.controls[at]);
        }
        #[expect(unsafe_code, reason = "recvmmsg(2) takes raw pointers")]
        // SAFETY: the first `ask` headers point to names, vectors, control messages and buffers that outlive the call,
        // each as long as its header says.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.0.as_mut_ptr(),
                self.ask as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            return Err(last_errno());
        }
        self.received = received as usize;
        if self.headers.0[..self.received].iter().any(|header| header.msg_len as usize > TRAIN) {
            self.ask = FEWEST;
        } else if self.received == self.ask {
            self.ask = (2 * self.ask).min(MOST);
        }
        Ok(())
    }

    /// The messages of the last call. One that the kernel had to cut is left out.
    pub(in crate::tunnel::userspace) fn messages(&self) -> impl Iterator<Item = Received<'_>> {
        let all = self.headers.0[..self.received].iter().zip(self.buffers.chunks_exact(LONGEST)).enumerate();
        all.filter_map(|(at, (header, buffer))| {
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            let remote = self.names[at].get().filter(|_| !cut)?;
            #[allow(clippy::unnecessary_cast, reason = "the length has another type with musl")]
            let beside = self.controls[at].get(header.msg_hdr.msg_controllen as usize);
            let bytes = &buffer[..(header.msg_len as usize).min(LONGEST)];
            let segment = beside.segment.unwrap_or(bytes.len());
            let from = Endpoint { remote, local: beside.local };
            Some(Received { from, tos: beside.tos, segment, bytes })
        })
    }
}
