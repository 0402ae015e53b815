//! The device loop: the thread that has peers, timers and handshakes in its hands, serves commands and the userspace API
//! socket, and sleeps in poll(2) until one of them has something or a timer is due.
//!
//! Packets are the data threads' ([`super::data`]). On a machine with one core there are none, and this loop does their
//! work between its own.

use std::net::SocketAddrV6;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::{debug, info, warn};
use zeroize::Zeroizing;

use super::data::{DUTIES, Duties, Exit, Ready, Wires, drain, now};
use super::plane::{DataPlane, left_until};
use super::socket::Sockets;
use super::uapi::answer;
use super::uapi::parse::{Request, SetRequest, parse};
use super::uapi::server::{MOST_CLIENTS, Server, refusal};
use super::{Endpoint, Ports as _};
use crate::mesh::io::{DesiredTunnel, TunnelReport};

/// Handshakes that are handled before commands and timers have their turn.
const HANDSHAKES: usize = 32;

/// The wake-up pipe, the listener and clients of the userspace API, and the descriptors of packets.
const MOST_DESCRIPTORS: usize = 1 + 1 + MOST_CLIENTS + DUTIES;

/// What poll(2) found.
struct Found {
    woken: bool,
    uapi: bool,
    data: Ready,
}

/// What the rest of the program asks of the loop.
pub(super) enum Command {
    Set(DesiredTunnel, SyncSender<()>),
    Report(SyncSender<TunnelReport>),
    Control(SocketAddrV6, Vec<u8>),
    Close,
}

/// Everything the loop owns.
pub(super) struct Device {
    pub(super) plane: DataPlane,
    pub(super) wires: Arc<Wires>,
    pub(super) exit: Exit,
    pub(super) uapi: Server,
    pub(super) commands: Receiver<Command>,
    /// Control datagrams among them.
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) handshakes: Receiver<(Endpoint, Box<[u8]>)>,
    pub(super) wake: UnixStream,
    /// What this loop serves besides: everything where there are no data threads.
    pub(super) duties: Duties,
    /// The data threads, and what wakes them.
    pub(super) threads: Vec<(JoinHandle<()>, UnixStream)>,
}

impl Device {
    /// Runs until it is told to close (`Ok`), or cannot go on (why). The data threads end before it.
    pub(super) fn run(mut self) -> Result<(), String> {
        let end = self.serve();
        self.stop();
        debug!(interface = self.wires.interface, drops = ?self.plane.shared().drops, "the device loop ends");
        end
    }

    /// Ends the data threads.
    fn stop(&mut self) {
        self.wires.ends.store(true, Ordering::Release);
        for (thread, wake) in self.threads.drain(..) {
            call(&wake);
            let _ = thread.join();
        }
    }

    fn serve(&mut self) -> Result<(), String> {
        loop {
            let wires = Arc::clone(&self.wires);
            let found = self.wait(&wires.sockets).map_err(|errno| format!("poll(2) failed: {errno}"))?;
            let now = now();
            if let Some(reason) = self.wires.failed.get() {
                return Err(reason.clone());
            }
            if found.woken {
                drain(&self.wake);
            }
            // Handshakes may come from this very thread.
            self.handle_handshakes(now);
            if found.woken && !self.obey(now) {
                return Ok(());
            }
            self.duties.serve(found.data, &wires.sockets, &mut self.exit, now)?;
            if found.uapi || self.uapi.deadline().is_some_and(|due| due <= now) {
                self.serve_uapi(now);
            }
            if self.wires.attention.take() {
                self.plane.attend(now, self.exit.outbox());
            }
            if self.plane.next_tick().is_some_and(|due| due <= now) {
                self.plane.tick(now, self.exit.outbox());
            }
            self.exit.flush();
        }
    }

    /// Sleeps until a descriptor is ready or a timer is due.
    fn wait(&self, sockets: &Sockets) -> Result<Found, Errno> {
        let deadline = self.plane.next_tick().into_iter().chain(self.uapi.deadline()).min();
        let timeout = deadline.map(|deadline| {
            let left = left_until(deadline, now());
            Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() }
        });
        let mut set: [PollFd<'_>; MOST_DESCRIPTORS] = std::array::from_fn(|_| PollFd::new(&self.wake, PollFlags::IN));
        let uapi = self.duties.poll(&self.wires, sockets, &mut set, 1);
        let mut used = uapi;
        for (slot, (descriptor, flags)) in set[uapi..].iter_mut().zip(self.uapi.interests()) {
            *slot = PollFd::from_borrowed_fd(descriptor, flags);
            used += 1;
        }
        match poll(&mut set[..used], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR | Errno::AGAIN | Errno::NOMEM) => {}
            Err(errno) => return Err(errno),
        }
        let is_ready = |at: usize| !set[at].revents().is_empty();
        Ok(Found { woken: is_ready(0), uapi: (uapi..used).any(is_ready), data: self.duties.ready(sockets, &set, 1) })
    }

    fn handle_handshakes(&mut self, now: Instant) {
        for count in 0.. {
            let Ok((from, message)) = self.handshakes.try_recv() else { return };
            self.plane.handle_handshake(from, &message, now, self.exit.outbox());
            if count == HANDSHAKES {
                // The rest has its turn after everything else.
                return self.wires.call_control();
            }
        }
    }

    /// Carries out commands; `false` when it is time to end.
    fn obey(&mut self, now: Instant) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Set(desired, done)) => {
                    self.plane.set(&desired, now, self.exit.outbox());
                    let _ = done.send(());
                }
                Ok(Command::Report(answer)) => {
                    let _ = answer.send(self.plane.report(now));
                }
                Ok(Command::Control(to, payload)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.plane.send_control(to, &payload, now, self.exit.outbox());
                }
                Ok(Command::Close) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn serve_uapi(&mut self, now: Instant) {
        let Self { uapi, plane, wires, exit, .. } = self;
        uapi.advance(now, |request| match parse(request) {
            Ok(Request::Get) => {
                let mut text = answer::interface(plane, wires.sockets.port(), wires.sockets.fwmark(), now);
                text.push_str("errno=0\n\n");
                text
            }
            Ok(Request::Set(request)) => {
                let changed = change_sockets(&wires.sockets, &request);
                if changed.is_ok() {
                    plane.apply(&request, now, exit.outbox());
                }
                Zeroizing::new(match changed {
                    Ok(()) => "errno=0\n\n".to_owned(),
                    Err(errno) => refusal(errno),
                })
            }
            Err(error) => {
                info!("a request on the userspace API socket was refused: {error}");
                Zeroizing::new(refusal(Errno::INVAL))
            }
        });
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Applies the mark of `set=1`, before anything else: a refused request changes nothing of the peers. The port is the
/// mesh's, which has told it to all nodes.
fn change_sockets(sockets: &Sockets, request: &SetRequest) -> Result<(), Errno> {
    if let Some(port) = request.listen_port.filter(|port| *port != sockets.port()) {
        warn!("UDP port {} is the mesh's: it stays, and does not become {port}", sockets.port());
    }
    match request.fwmark.filter(|fwmark| *fwmark != sockets.fwmark()) {
        Some(fwmark) => sockets.set_fwmark(fwmark).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        None => Ok(()),
    }
}

/// Wakes a data thread.
fn call(mut wake: &UnixStream) {
    // A full pipe wakes as well.
    let _ = std::io::Write::write(&mut wake, &[1]);
}
