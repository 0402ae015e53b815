//! The descriptors of packets, and what feeds the data plane from them: the TUN and the sockets, each served to the end
//! of a batch. A data thread serves one or both ([`Duties`]); with one thread in all, the device loop does.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::warn;

use super::attention::Attention;
use super::inbound::Inbound;
use super::offload::coalesce::{Coalescer, SCRATCH};
use super::outbound::Outbound;
use super::outbox::Outbox;
use super::socket::{Family, ReceiveBatch, SendBatch, Sockets};
use super::table::Shared;
use super::tun_device::{GONE, TunDevice};
use super::{ControlHandler, Endpoint, Ports, SPARE};
use crate::tunnel::ControlDatagram;

/// Superpackets taken from the TUN before the sockets have their turn, and calls to a socket before the TUN has.
const TURN: usize = 4;

/// Packets taken from the TUN while they come one by one.
const SINGLE_TURN: usize = 64;

/// Longest read of the TUN: a header and a packet.
const LONGEST_READ: usize = super::tun_device::FRONT + 65_535;

/// Most parts of a superpacket: its headers and 64 payloads.
const MOST_PARTS: usize = 1 + 64;

/// What all threads of a device hold in common.
pub(super) struct Wires {
    pub(super) interface: String,
    pub(super) tun: TunDevice,
    pub(super) sockets: Sockets,
    pub(super) control: Mutex<ControlHandler>,
    /// Handshakes on their way to the control thread; when it is too slow for them, they are dropped.
    pub(super) handshakes: SyncSender<(Endpoint, Box<[u8]>)>,
    /// Some peer needs the control thread.
    pub(super) attention: Attention,
    /// Wakes the control thread.
    pub(super) wake: UnixStream,
    /// The device ends.
    pub(super) ends: AtomicBool,
    /// Why a data thread had to end.
    pub(super) failed: OnceLock<String>,
    pub(super) complaints: Complaints,
    /// The kernel takes merged packets. Ends with the first one that it refuses.
    pub(super) merges: AtomicBool,
}

impl Wires {
    pub(super) fn call_control(&self) {
        // A full pipe wakes as well.
        let _ = (&self.wake).write(&[1]);
    }
}

/// Errors that may come with every packet: each kind is logged once.
#[derive(Default)]
pub(super) struct Complaints {
    made: Mutex<Vec<(&'static str, Option<i32>)>>,
}

impl Complaints {
    pub(super) fn once(&self, what: &'static str, error: &io::Error) {
        let code = error.raw_os_error();
        let mut made = self.made.lock();
        if error.kind() != ErrorKind::WouldBlock && !made.contains(&(what, code)) && made.len() < 64 {
            made.push((what, code));
            warn!("{what}: {error} (said once)");
        }
    }
}

/// Where a thread's packets leave.
pub(super) struct Exit {
    wires: Arc<Wires>,
    outbox: Outbox,
    batch: SendBatch,
    now: Instant,
    /// Bytes handled, and whether any went to the network, since it was last waited.
    moved: usize,
    sent: bool,
}

impl Exit {
    pub(super) fn new(wires: &Arc<Wires>, now: Instant) -> Self {
        let (outbox, batch) = (Outbox::default(), SendBatch::default());
        Self { wires: Arc::clone(wires), outbox, batch, now, moved: 0, sent: false }
    }

    fn write_one(&self, packet: &[u8]) {
        if let Err(errno) = self.wires.tun.write(packet) {
            self.wires.complaints.once("cannot write to the TUN device (is the interface up?)", &errno.into());
        }
    }
}

impl Ports for Exit {
    fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    fn flush(&mut self) {
        if !self.outbox.is_empty() {
            let Self { wires, outbox, batch, now, sent, .. } = self;
            *sent = true;
            batch.send(&wires.sockets, outbox, *now, &mut |error| {
                wires.complaints.once("cannot send to a peer", &error)
            });
        }
    }

    fn deliver(&mut self, packet: &[u8]) {
        self.write_one(packet);
    }

    fn write(&mut self, merged: &Coalescer, arena: &[u8]) {
        let mut scratch = [0; SCRATCH];
        for at in 0..merged.len() {
            let write = merged.write(at);
            let singly = write.count() == 1 || !self.wires.merges.load(Ordering::Relaxed);
            if !singly {
                let length = write.header(arena, &mut scratch);
                let mut parts = [IoSlice::new(&[]); MOST_PARTS];
                parts[0] = IoSlice::new(&scratch[..length]);
                let mut count = 1;
                for (part, range) in parts[1..].iter_mut().zip(write.payloads()) {
                    *part = IoSlice::new(&arena[range]);
                    count += 1;
                }
                match self.wires.tun.write_merged(&parts[..count]) {
                    Ok(_) => continue,
                    // Some kernels refuse what others take, and none has said why; short of memory one packet may do.
                    Err(Errno::INVAL) => {
                        self.wires.merges.store(false, Ordering::Relaxed);
                        warn!("the system refuses merged packets: they are written singly from now on (said once)");
                    }
                    Err(Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN) => {}
                    Err(errno) => {
                        let what = "cannot write to the TUN device (is the interface up?)";
                        self.wires.complaints.once(what, &errno.into());
                        continue;
                    }
                }
            }
            for range in write.packets() {
                self.write_one(&arena[range]);
            }
        }
    }

    fn control(&mut self, datagram: ControlDatagram) {
        (self.wires.control.lock())(datagram);
    }

    fn handshake(&mut self, from: Endpoint, message: &[u8]) {
        if self.wires.handshakes.try_send((from, message.into())).is_ok() {
            self.wires.call_control();
        }
    }

    fn attend(&mut self) {
        if self.wires.attention.call() {
            self.wires.call_control();
        }
    }
}

/// Serves the TUN.
pub(super) struct FromTun {
    shared: Arc<Shared>,
    outbound: Outbound,
    buffer: Box<[u8]>,
}

impl FromTun {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let buffer = vec![0; LONGEST_READ + SPARE].into_boxed_slice();
        Self { shared: Arc::clone(shared), outbound: Outbound::new(shared), buffer }
    }

    /// Takes a batch of packets on their way.
    ///
    /// # Errors
    /// When the interface is gone.
    fn serve(&mut self, exit: &mut Exit) -> Result<(), String> {
        let wires = Arc::clone(&exit.wires);
        let table = self.shared.table.load();
        let mut large = 0;
        for _ in 0..SINGLE_TURN {
            match wires.tun.read(&mut self.buffer[..LONGEST_READ]) {
                Ok((offload, packet)) => {
                    let length = packet.len();
                    exit.moved = exit.moved.saturating_add(length);
                    large += usize::from(length > LONGEST_READ / 4);
                    self.outbound.handle(&table, &offload, (&mut self.buffer[packet.start..], length), exit.now, exit);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(GONE) => return Err(format!("the interface {} was removed", wires.interface)),
                Err(errno) => {
                    wires.complaints.once("cannot read from the TUN device", &errno.into());
                    break;
                }
            }
            if large == TURN {
                break;
            }
        }
        exit.flush();
        Ok(())
    }
}

/// Serves the sockets.
pub(super) struct FromNetwork {
    shared: Arc<Shared>,
    inbound: Inbound,
    batch: ReceiveBatch,
    merges: bool,
}

impl FromNetwork {
    /// Takes up to so many `trains` at once.
    ///
    /// # Errors
    /// When the system has no memory.
    pub(super) fn new(shared: &Arc<Shared>, tun: &TunDevice, trains: usize) -> io::Result<Self> {
        let offload = tun.offload();
        let inbound = Inbound::new(shared, (offload.tcp, offload.udp), trains);
        Ok(Self { shared: Arc::clone(shared), inbound, batch: ReceiveBatch::new(trains)?, merges: true })
    }

    /// Takes a batch of datagrams of that family on their way.
    fn serve(&mut self, sockets: &Sockets, family: Family, exit: &mut Exit) {
        let Some(socket) = sockets.of(family) else { return };
        let wires = Arc::clone(&exit.wires);
        let table = self.shared.table.load();
        if self.merges && !wires.merges.load(Ordering::Relaxed) {
            self.merges = false;
            self.inbound.set_merging((false, false));
        }
        match self.batch.receive(socket) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::INTR) => return,
            // What the socket remembers of a datagram sent earlier; the next read goes on.
            Err(errno) => return wires.complaints.once("cannot receive", &errno.into()),
        }
        for message in self.batch.messages(wall_clock()) {
            exit.moved = exit.moved.saturating_add(message.bytes.len());
            self.inbound.handle(&table, &message, exit.now, exit);
        }
        self.inbound.finish(exit);
        exit.flush();
    }
}

/// What a thread serves.
pub(super) struct Duties {
    pub(super) tun: Option<FromTun>,
    pub(super) network: Option<FromNetwork>,
}

/// Which of them have something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    pub(super) tun: bool,
    pub(super) sockets: [bool; 2],
}

/// Most descriptors of [`Duties`]: the TUN and two sockets.
pub(super) const DUTIES: usize = 3;

impl Duties {
    /// Adds what is to be polled to `set`, from place `used` on; returns the place behind.
    pub(super) fn poll<'a>(
        &self,
        wires: &'a Wires,
        sockets: &'a Sockets,
        set: &mut [PollFd<'a>],
        mut used: usize,
    ) -> usize {
        if self.tun.is_some() {
            set[used] = PollFd::from_borrowed_fd(wires.tun.as_fd(), PollFlags::IN);
            used += 1;
        }
        for socket in Family::ALL.iter().filter_map(|family| sockets.of(*family)).filter(|_| self.network.is_some()) {
            set[used] = PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN);
            used += 1;
        }
        used
    }

    /// What poll(2) found at those places.
    pub(super) fn ready(&self, sockets: &Sockets, set: &[PollFd<'_>], mut at: usize) -> Ready {
        let mut next = |is_there: bool| {
            let found = is_there && !set[at].revents().is_empty();
            at += usize::from(is_there);
            found
        };
        let tun = next(self.tun.is_some());
        let network = self.network.is_some();
        Ready { tun, sockets: Family::ALL.map(|family| next(network && sockets.of(family).is_some())) }
    }

    /// Serves what has something.
    ///
    /// # Errors
    /// When the interface is gone.
    pub(super) fn serve(
        &mut self,
        ready: Ready,
        sockets: &Sockets,
        exit: &mut Exit,
        now: Instant,
    ) -> Result<(), String> {
        exit.now = now;
        for (family, _) in Family::ALL.into_iter().zip(ready.sockets).filter(|(_, ready)| *ready) {
            if let Some(network) = &mut self.network {
                network.serve(sockets, family, exit);
            }
        }
        // What was just written to the TUN is often answered by the time that it was.
        match &mut self.tun {
            Some(tun) if ready.tun || ready.sockets != [false; 2] => tun.serve(exit),
            _ => Ok(()),
        }
    }
}

/// Niceness of a data thread. The kernel's module works in interrupts, before any program: packets that wait for a
/// program to pause fill queues and are late.
#[cfg(target_os = "linux")]
const NICENESS: i32 = -10;

/// How long a data thread looks out for an answer before it sleeps.
const LOOK_OUT: Duration = Duration::from_micros(300);

/// More bytes than this since the last sleep are no question that waits for its answer.
const QUESTION: usize = 2048;

/// Whether it is worth while to look out for an answer rather than to sleep: to be woken takes some 50 us, twice that
/// until the caches are warm again. It is worth while after a short question as long as most answers came soon.
#[derive(Debug, Default)]
struct Expectation {
    /// Rises with each answer that came soon, falls with each that did not.
    score: u8,
}

impl Expectation {
    const MOST: u8 = 8;
    const ENOUGH: u8 = 4;

    fn is_high(&self) -> bool {
        self.score >= Self::ENOUGH
    }

    /// Bulk passes: what comes soon is no answer, and whoever makes it needs the processor.
    fn forget(&mut self) {
        self.score = 0;
    }

    fn learn(&mut self, waited: Duration) {
        self.score = if waited <= LOOK_OUT { (self.score + 1).min(Self::MOST) } else { self.score.saturating_sub(1) };
    }
}

/// A data thread: serves its duties until the device ends. `wake` interrupts its sleep.
pub(super) fn run(mut duties: Duties, wires: &Arc<Wires>, wake: &UnixStream) {
    // Without the right to it all goes on, with longer queues. On Linux "this process" is this thread.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
    let mut exit = Exit::new(wires, now());
    let mut expectation = Expectation::default();
    let failed = loop {
        if wires.ends.load(Ordering::Acquire) {
            return;
        }
        let mut set: [PollFd<'_>; 1 + DUTIES] = std::array::from_fn(|_| PollFd::new(wake, PollFlags::IN));
        let used = duties.poll(wires, &wires.sockets, &mut set, 1);
        let asked = exit.sent && exit.moved <= QUESTION;
        if exit.moved > QUESTION {
            expectation.forget();
        }
        (exit.sent, exit.moved) = (false, 0);
        let since = now();
        let mut found = Ok(0);
        while asked && expectation.is_high() && found == Ok(0) && now().duration_since(since) < LOOK_OUT {
            found = poll(&mut set[..used], Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
            // Whoever has work goes first.
            std::thread::yield_now();
        }
        if found == Ok(0) {
            found = poll(&mut set[..used], None);
        }
        match found {
            Ok(_) | Err(Errno::INTR | Errno::AGAIN | Errno::NOMEM) => {}
            Err(errno) => break format!("poll(2) failed: {errno}"),
        }
        let now = now();
        if asked {
            expectation.learn(now.duration_since(since));
        }
        if !set[0].revents().is_empty() {
            drain(wake);
        }
        if let Err(reason) = duties.serve(duties.ready(&wires.sockets, &set, 1), &wires.sockets, &mut exit, now) {
            break reason;
        }
    };
    let _ = wires.failed.set(failed);
    wires.call_control();
}

/// Empties a wake-up pipe.
pub(super) fn drain(mut wake: &UnixStream) {
    let mut bytes = [0; 64];
    while wake.read(&mut bytes).is_ok_and(|length| length > 0) {}
}

/// The time since the epoch, in which the system tells when datagrams came.
#[expect(clippy::disallowed_methods, reason = "the loops read the clocks here")]
pub(super) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the loops read the clock here, and everything else is given `now`")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_looked_out_for_once_most_came_soon_and_no_longer_when_they_do_not() {
        let mut expectation = Expectation::default();
        let (soon, late) = (LOOK_OUT / 2, LOOK_OUT * 2);
        assert!(!expectation.is_high(), "nothing is known yet");
        (0..4).for_each(|_| expectation.learn(soon));
        assert!(expectation.is_high());
        (0..100).for_each(|_| expectation.learn(soon));
        expectation.learn(late);
        assert!(expectation.is_high(), "one that is late does not count much");
        (0..4).for_each(|_| expectation.learn(late));
        assert!(!expectation.is_high());
        (0..100).for_each(|_| expectation.learn(soon));
        expectation.forget();
        assert!(!expectation.is_high(), "bulk passes");
    }
}
