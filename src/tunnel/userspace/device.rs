//! The device loop: one thread that owns the TUN, the UDP sockets, the userspace API socket and all peers, and sleeps in
//! poll(2) until one of them has something or a timer is due.
//!
//! This is the seam for a faster loop: it feeds the [`DataPlane`] and carries out what the plane says through
//! [`Ports`]; nothing else knows descriptors.

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddrV6;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::{debug, info, warn};
use zeroize::Zeroizing;

use super::peer::SCRATCH;
use super::plane::{DataPlane, left_until};
use super::socket::{Family, Sockets, receive};
use super::tun_device::TunDevice;
use super::uapi::answer;
use super::uapi::parse::{Request, SetRequest, parse};
use super::uapi::server::{MOST_CLIENTS, Server, refusal};
use super::{ControlHandler, Endpoint, Ports};
use crate::mesh::io::{DesiredTunnel, TunnelReport};
use crate::tunnel::ControlDatagram;

/// Packets taken from one descriptor before the others have their turn.
const BATCH: usize = 64;

/// The wake-up pipe, the TUN and two sockets, then the listener and clients of the userspace API.
const MOST_DESCRIPTORS: usize = 4 + 1 + MOST_CLIENTS;

/// Place of the TUN in the set of descriptors, behind the wake-up pipe.
const TUN_AT: usize = 1;

/// What poll(2) found.
struct Ready {
    commands: bool,
    tun: bool,
    sockets: [Option<Family>; 2],
    uapi: bool,
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
    pub(super) interface: String,
    pub(super) plane: DataPlane,
    pub(super) wires: Wires,
    pub(super) uapi: Server,
    pub(super) commands: Receiver<Command>,
    pub(super) wake: UnixStream,
}

/// Where packets leave.
pub(super) struct Wires {
    tun: TunDevice,
    sockets: Sockets,
    control: ControlHandler,
    complaints: Complaints,
}

impl Wires {
    pub(super) fn new(tun: TunDevice, sockets: Sockets, control: ControlHandler) -> Self {
        Self { tun, sockets, control, complaints: Complaints::default() }
    }
}

impl Ports for Wires {
    fn send(&mut self, to: Endpoint, datagram: &[u8]) {
        // A full buffer, an unreachable network, a firewall: all may be gone with the next datagram, and WireGuard and
        // what it carries repeat what matters.
        if let Err(error) = self.sockets.send(to, datagram) {
            self.complaints.once("cannot send to a peer", error);
        }
    }

    fn deliver(&mut self, packet: &[u8]) {
        if let Err(errno) = self.tun.write(packet) {
            self.complaints.once("cannot write to the TUN device (is the interface up?)", errno.into());
        }
    }

    fn control(&mut self, datagram: ControlDatagram) {
        (self.control)(datagram);
    }
}

/// Errors that may come with every packet: each kind is logged once.
#[derive(Default)]
struct Complaints {
    made: Vec<(&'static str, Option<i32>)>,
}

impl Complaints {
    fn once(&mut self, what: &'static str, error: io::Error) {
        let code = error.raw_os_error();
        if error.kind() != ErrorKind::WouldBlock && !self.made.contains(&(what, code)) && self.made.len() < 64 {
            self.made.push((what, code));
            warn!("{what}: {error} (said once)");
        }
    }
}

impl Device {
    /// Runs until it is told to close (`Ok`), or cannot go on (why).
    pub(super) fn run(mut self) -> Result<(), String> {
        let mut buffer = vec![0; SCRATCH].into_boxed_slice();
        loop {
            let ready = self.wait().map_err(|errno| format!("poll(2) failed: {errno}"))?;
            let now = now();
            if ready.commands && !self.obey(now) {
                debug!(interface = self.interface, drops = ?self.plane.drops(), "the device loop ends");
                return Ok(());
            }
            if ready.tun {
                self.read_tun(&mut buffer, now)?;
            }
            for family in ready.sockets.into_iter().flatten() {
                self.read_socket(family, &mut buffer, now);
            }
            if ready.uapi || self.uapi.deadline().is_some_and(|due| due <= now) {
                self.serve_uapi(now);
            }
            if self.plane.next_tick().is_some_and(|due| due <= now) {
                self.plane.tick(now, &mut self.wires);
            }
        }
    }

    /// Sleeps until a descriptor is ready or a timer is due.
    fn wait(&self) -> Result<Ready, Errno> {
        let deadline = self.plane.next_tick().into_iter().chain(self.uapi.deadline()).min();
        let timeout = deadline.map(|deadline| {
            let left = left_until(deadline, now());
            Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() }
        });
        let wake = self.wake.as_fd();
        let mut set: [PollFd<'_>; MOST_DESCRIPTORS] =
            std::array::from_fn(|_| PollFd::from_borrowed_fd(wake, PollFlags::IN));
        set[TUN_AT] = PollFd::from_borrowed_fd(self.wires.tun.as_fd(), PollFlags::IN);
        let mut used = TUN_AT + 1;
        let sockets = Family::ALL.map(|family| {
            let socket = self.wires.sockets.of(family)?;
            set[used] = PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN);
            used += 1;
            Some((used - 1, family))
        });
        let uapi = used;
        for (slot, (descriptor, flags)) in set[uapi..].iter_mut().zip(self.uapi.interests()) {
            *slot = PollFd::from_borrowed_fd(descriptor, flags);
            used += 1;
        }
        match poll(&mut set[..used], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR | Errno::AGAIN | Errno::NOMEM) => {}
            Err(errno) => return Err(errno),
        }
        let ready = |at: usize| !set[at].revents().is_empty();
        Ok(Ready {
            commands: ready(0),
            tun: ready(TUN_AT),
            sockets: sockets.map(|socket| socket.filter(|(at, _)| ready(*at)).map(|(_, family)| family)),
            uapi: (uapi..used).any(ready),
        })
    }

    /// Carries out commands; `false` when it is time to end.
    fn obey(&mut self, now: Instant) -> bool {
        let mut drain = [0; 64];
        while (&self.wake).read(&mut drain).is_ok_and(|length| length > 0) {}
        loop {
            match self.commands.try_recv() {
                Ok(Command::Set(desired, done)) => {
                    self.plane.set(&desired, now, &mut self.wires);
                    let _ = done.send(());
                }
                Ok(Command::Report(answer)) => {
                    let _ = answer.send(self.plane.report(now));
                }
                Ok(Command::Control(to, payload)) => self.plane.send_control(to, &payload, now, &mut self.wires),
                Ok(Command::Close) | Err(std::sync::mpsc::TryRecvError::Disconnected) => return false,
                Err(std::sync::mpsc::TryRecvError::Empty) => return true,
            }
        }
    }

    fn read_tun(&mut self, buffer: &mut [u8], now: Instant) -> Result<(), String> {
        // Room for the padding of the longest packet.
        let room = buffer.len() - 16;
        for _ in 0..BATCH {
            match self.wires.tun.read(&mut buffer[..room]) {
                Ok(length) => self.plane.handle_tun(buffer, length, now, &mut self.wires),
                Err(Errno::BADFD) => return Err(format!("the interface {} was removed", self.interface)),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    self.wires.complaints.once("cannot read from the TUN device", errno.into());
                    break;
                }
            }
        }
        Ok(())
    }

    fn read_socket(&mut self, family: Family, buffer: &mut [u8], now: Instant) {
        for _ in 0..BATCH {
            let Some(socket) = self.wires.sockets.of(family) else { break };
            match receive(socket, buffer) {
                Ok((length, from)) => self.plane.handle_datagram(from, &buffer[..length], now, &mut self.wires),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // What the socket remembers of a datagram sent earlier; the next read goes on.
                Err(error) => self.wires.complaints.once("cannot receive", error),
            }
        }
    }

    fn serve_uapi(&mut self, now: Instant) {
        let Self { uapi, plane, wires, .. } = self;
        uapi.advance(now, |request| match parse(request) {
            Ok(Request::Get) => {
                let sockets = &wires.sockets;
                let mut text = answer::interface(plane, sockets.port(), sockets.fwmark(), now);
                text.push_str("errno=0\n\n");
                text
            }
            Ok(Request::Set(request)) => Zeroizing::new(match change(plane, wires, &request, now) {
                Ok(()) => "errno=0\n\n".to_owned(),
                Err(errno) => refusal(errno),
            }),
            Err(error) => {
                info!("a request on the userspace API socket was refused: {error}");
                Zeroizing::new(refusal(Errno::INVAL))
            }
        });
    }
}

/// Applies `set=1`. What can fail comes first, so that a refused request changes nothing of the peers.
fn change(plane: &mut DataPlane, wires: &mut Wires, request: &SetRequest, now: Instant) -> Result<(), Errno> {
    let fwmark = request.fwmark.unwrap_or_else(|| wires.sockets.fwmark());
    match request.listen_port {
        Some(port) if port != wires.sockets.port() => {
            wires.sockets = Sockets::bind(port, fwmark).map_err(|error| {
                warn!("{error}; the old port stays");
                errno_of(&error)
            })?;
        }
        _ if fwmark != wires.sockets.fwmark() => {
            wires.sockets.set_fwmark(fwmark).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        _ => {}
    }
    plane.apply(request, now, wires);
    Ok(())
}

fn errno_of(error: &crate::tunnel::TunnelError) -> Errno {
    match error {
        crate::tunnel::TunnelError::System { source, .. } => Errno::from_io_error(source).unwrap_or(Errno::IO),
        _ => Errno::IO,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the device loop reads the clock here, and everything else is given `now`"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}
