//! The embedded tunnel: a WireGuard device inside this process, for hosts without the kernel's module and for what the
//! module cannot do (accept a moving prefix from two peers, forward without `ip_forward`, hand over control datagrams).
//!
//! boringtun's noise does the handshakes and seals the packets; everything around it is here:
//!
//! ```text
//!   device  one thread: commands, handshakes, timers, the userspace API       plane, configure, load, retry
//!     │ publishes the table of peers and prefixes, takes over handshakes      table, peers, allowed_ips
//!     ▼
//!   data    two threads or one: TUN ─► outbound ─► outbox ─► UDP              tun_device, offload, socket, outbox
//!                               TUN ◄─ offload ◄─ inbound ◄─ UDP              peer (locked for 16 packets), packet
//! ```
//!
//! * [`data`] owns descriptors and feeds [`outbound`] and [`inbound`], which know neither descriptors nor clocks;
//! * [`offload`]: packets of a flow as one, where the kernel's TUN can; [`socket`]: trains of datagrams as one;
//! * [`standing`]: when senders are asked for less, because their packets stand in a queue before us;
//! * [`attention`]: how a data thread asks the device loop to look after a peer;
//! * [`answers`] and [`icmp`]: what a packet's sender is told when it cannot go on; [`mss`] spares TCP the question;
//! * [`uapi`]: the socket that `wg` speaks to.

mod allowed_ips;
mod answers;
mod attention;
mod configure;
mod data;
mod device;
mod icmp;
mod inbound;
mod load;
mod mac;
mod mss;
pub mod offload;
mod outbound;
mod outbox;
mod packet;
mod peer;
mod peers;
mod plane;
mod retry;
mod socket;
mod standing;
mod table;
mod tun_device;
pub mod uapi;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zeroize::Zeroizing;

use self::attention::Attention;
use self::data::{Complaints, Duties, Exit, FromNetwork, FromTun, Wires, now};
use self::device::{Command, Device};
use self::offload::coalesce::Coalescer;
use self::outbox::Outbox;
use self::plane::DataPlane;
use self::socket::Sockets;
use self::table::Own;
use self::tun_device::TunDevice;
use self::uapi::server::Server;
use super::{ControlDatagram, Tunnel, TunnelError};
use crate::mesh::io::{DesiredTunnel, TunnelReport};

/// Called on a data thread with each control datagram: it must not block.
pub type ControlHandler = Box<dyn Fn(ControlDatagram) + Send>;

/// Where `wg` looks for the sockets of userspace devices.
pub const UAPI_DIRECTORY: &str = "/var/run/wireguard";

/// Control datagrams that wait for the device loop; those beyond that are dropped.
const DATAGRAMS: usize = 1024;

/// Handshakes that wait for the device loop; beyond that they are dropped, and come again.
const HANDSHAKES: usize = 256;

/// Packets that a peer is locked for at a time: some 15 us, so the other direction never waits long.
const BATCH: usize = 16;

/// Bytes behind a packet in a buffer: room for padding (15), and for what sealing adds (32).
const SPARE: usize = 64;

/// The loop answers within a batch of packets; longer means that the machine gives it no time, or that it hangs ...
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// ... which is taken for certain after this.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// What an embedded tunnel is made of.
pub struct UserspaceConfig {
    /// Name of the interface to make, at most 15 bytes.
    pub interface: String,
    /// The own WireGuard key; wiped from memory with its owner.
    pub private_key: Zeroizing<[u8; 32]>,
    /// UDP port for both families; 0 takes a free one.
    pub listen_port: u16,
    /// Longest packet in bytes: 1420 fits every underlay of 1500, 1280 is the least that IPv6 allows.
    pub mtu: u16,
    /// Own overlay addresses and the own link address: packets to them go to the TUN.
    pub addresses: Vec<IpAddr>,
    /// The own link address: control datagrams come from and go to it.
    pub link_address: Ipv6Addr,
    /// UDP port of control datagrams at the link address. What peers send there never reaches the kernel.
    pub control_port: u16,
    /// Mark of the outer datagrams for policy routing.
    pub fwmark: Option<u32>,
    /// Takes the control datagrams.
    pub control: ControlHandler,
    /// Whether the kernel may hand over and take packets of a flow as one, where it can.
    pub offload: bool,
    /// Who does the work.
    pub threads: Threads,
    /// Directory of the userspace API socket, usually [`UAPI_DIRECTORY`].
    pub uapi_dir: PathBuf,
}

/// How many threads an embedded tunnel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One for everything: machines with one core.
    One,
    /// One for packets, one for the rest.
    Two,
    /// One for packets to the network, one for packets from it, one for the rest.
    Three,
}

impl Threads {
    /// What suits a machine with so many cores.
    pub fn for_cores(cores: usize) -> Self {
        match cores {
            0 | 1 => Self::One,
            2 | 3 => Self::Two,
            _ => Self::Three,
        }
    }

    /// Trains of datagrams that are taken on their way at once. Each takes memory; more of them means fewer changes
    /// between the programs that share a processor, but routers with one core have little memory.
    fn trains(self) -> usize {
        match self {
            Self::One => 4,
            Self::Two | Self::Three => 8,
        }
    }

    /// What the text `1`, `2` or `3` says.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "1" => Some(Self::One),
            "2" => Some(Self::Two),
            "3" => Some(Self::Three),
            _ => None,
        }
    }
}

/// An embedded tunnel. Dropping it closes it.
pub struct Userspace {
    commands: Sender<Command>,
    /// Control datagrams among them.
    waiting: Arc<AtomicUsize>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
    ended: Arc<OnceLock<String>>,
    /// When the first of the questions was asked that have no answer yet.
    unanswered: Option<Instant>,
    listen_port: u16,
}

impl Userspace {
    /// Makes the interface (down and without addresses), opens the port, serves `<uapi_dir>/<interface>.sock` and starts
    /// the device loop.
    ///
    /// # Errors
    /// [`TunnelError::System`] with a remedy: name or port taken, no right, no `/dev/net/tun`. Nothing is left behind.
    pub fn open(config: UserspaceConfig) -> Result<Self, TunnelError> {
        let sockets = Sockets::bind(config.listen_port, config.fwmark.unwrap_or(0), config.offload)?;
        let listen_port = sockets.port();
        let tun = TunDevice::open(&config.interface, config.mtu, config.offload)?;
        let uapi = Server::bind(&config.uapi_dir, &config.interface)?;
        let failed = |source| {
            let what = format!("cannot start the threads of {}", config.interface);
            TunnelError::System { what, source, remedy: String::new() }
        };
        let pipe = || -> std::io::Result<_> {
            let (wake, woken) = UnixStream::pair()?;
            wake.set_nonblocking(true).and_then(|()| woken.set_nonblocking(true))?;
            Ok((wake, woken))
        };
        let (wake, woken) = pipe().map_err(failed)?;
        // Without a limit, so that no command blocks the caller: datagrams are counted, and of all else a few wait.
        let (commands, receiver) = mpsc::channel();
        let waiting = Arc::<AtomicUsize>::default();
        let (handshakes, to_handle) = mpsc::sync_channel(HANDSHAKES);
        let own = Own {
            addresses: config.addresses,
            link: config.link_address,
            control_port: config.control_port,
            mtu: config.mtu,
        };
        let plane = DataPlane::new(&config.private_key, own, now());
        let shared = Arc::clone(plane.shared());
        let wires = Arc::new(Wires {
            interface: config.interface.clone(),
            tun,
            sockets,
            control: Mutex::new(config.control),
            handshakes,
            attention: Attention::default(),
            wake: wake.try_clone().map_err(failed)?,
            ends: AtomicBool::new(false),
            failed: OnceLock::new(),
            complaints: Complaints::default(),
            merges: AtomicBool::new(true),
        });
        let from_tun = Some(FromTun::new(&shared));
        let from_network = Some(FromNetwork::new(&shared, &wires.tun, config.threads.trains()).map_err(failed)?);
        let nothing = || Duties { tun: None, network: None };
        let (duties, others) = match config.threads {
            Threads::One => (Duties { tun: from_tun, network: from_network }, Vec::new()),
            Threads::Two => (nothing(), vec![("data", Duties { tun: from_tun, network: from_network })]),
            Threads::Three => {
                let out = Duties { tun: from_tun, network: None };
                let back = Duties { tun: None, network: from_network };
                (nothing(), vec![("out", out), ("in", back)])
            }
        };
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let name = format!("{}-{name}", config.interface);
            std::thread::Builder::new().name(name).spawn(run).map_err(failed)
        };
        let mut device = Device {
            plane,
            exit: Exit::new(&wires, now()),
            wires: Arc::clone(&wires),
            uapi,
            commands: receiver,
            waiting: Arc::clone(&waiting),
            handshakes: to_handle,
            wake: woken,
            duties,
            threads: Vec::new(),
        };
        for (name, duties) in others {
            let (wake, woken) = pipe().map_err(failed)?;
            let wires = Arc::clone(&wires);
            let thread = start(name, Box::new(move || data::run(duties, &wires, &woken)))?;
            device.threads.push((thread, wake));
        }
        let ended = Arc::new(OnceLock::new());
        let end = Arc::clone(&ended);
        let run = move || {
            if let Err(reason) = device.run() {
                tracing::error!("the tunnel's device loop has ended: {reason}");
                let _ = end.set(reason);
            }
        };
        let thread = start("device", Box::new(run))?;
        Ok(Self { commands, waiting, wake, thread: Some(thread), ended, unanswered: None, listen_port })
    }

    /// The UDP port that was opened.
    pub fn listen_port(&self) -> u16 {
        self.listen_port
    }

    fn wake(&self) {
        // A full pipe wakes the loop as well.
        let _ = (&self.wake).write(&[1]);
    }

    fn ask<T>(&mut self, command: Command, answer: &Receiver<T>) -> Result<T, TunnelError> {
        let asked = now();
        let sent = self.commands.send(command);
        self.wake();
        let answer = sent.map_err(|_| RecvTimeoutError::Disconnected).and_then(|()| answer.recv_timeout(ANSWER_WITHIN));
        match answer {
            Ok(answer) => {
                self.unanswered = None;
                Ok(answer)
            }
            Err(RecvTimeoutError::Timeout) => {
                let late = now().duration_since(*self.unanswered.get_or_insert(asked));
                if late < HANGS_AFTER {
                    return Err(TunnelError::Late(late));
                }
                Err(TunnelError::Ended(format!("no answer for {} s", late.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(TunnelError::Ended(self.ended.get().cloned().unwrap_or_else(|| "it was closed".to_owned())))
            }
        }
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.commands.send(Command::Close);
            self.wake();
            let _ = thread.join();
        }
    }
}

impl Tunnel for Userspace {
    fn set(&mut self, desired: &DesiredTunnel) -> Result<(), TunnelError> {
        let (done, answer) = mpsc::sync_channel(1);
        self.ask(Command::Set(desired.clone(), done), &answer)
    }

    fn report(&mut self) -> Result<TunnelReport, TunnelError> {
        let (report, answer) = mpsc::sync_channel(1);
        self.ask(Command::Report(report), &answer)
    }

    fn send_control(&mut self, to: SocketAddrV6, payload: &[u8]) {
        if self.waiting.load(Ordering::Relaxed) < DATAGRAMS {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let _ = self.commands.send(Command::Control(to, payload.to_vec()));
        }
        self.wake();
    }

    fn kind(&self) -> &'static str {
        "userspace"
    }

    fn close(mut self: Box<Self>) {
        self.end();
    }

    fn detach(self: Box<Self>) {
        self.close();
    }
}

impl Drop for Userspace {
    fn drop(&mut self) {
        self.end();
    }
}

/// The outer addresses of a datagram.
///
/// A node with several addresses must answer from the one it was asked at, or a NAT in between drops the answer. So the
/// own address is kept of whoever began a session with us; where we began it, the kernel's choice was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Endpoint {
    /// The other's.
    remote: SocketAddr,
    /// The own one; `None` lets the kernel choose.
    local: Option<IpAddr>,
}

impl From<SocketAddr> for Endpoint {
    fn from(remote: SocketAddr) -> Self {
        Self { remote, local: None }
    }
}

/// Where packets leave the data threads.
trait Ports {
    /// Datagrams for the network. They go with [`Self::flush`].
    fn outbox(&mut self) -> &mut Outbox;

    /// Sends what the outbox holds. That is a system call: no peer is locked.
    fn flush(&mut self);

    /// Hands a packet to the kernel through the TUN.
    fn deliver(&mut self, packet: &[u8]);

    /// Hands packets that lie in `arena` to the kernel through the TUN, merged.
    fn write(&mut self, merged: &Coalescer, arena: &[u8]);

    /// Hands a control datagram to the engine.
    fn control(&mut self, datagram: ControlDatagram);

    /// Hands a handshake message to the control thread.
    fn handshake(&mut self, from: Endpoint, message: &[u8]);

    /// Asks the control thread to look after the peers that need it.
    fn attend(&mut self);
}

/// Shows `with` the packet at `range` of `buffer`, padded with zeros to a multiple of 16 bytes, never above the MTU, as
/// the WireGuard paper demands (section 5.4.6): lengths tell an observer less. What lies behind the packet, of which
/// there are at least 15 bytes, is as it was afterwards.
fn padded<T>(buffer: &mut [u8], range: Range<usize>, mtu: u16, with: impl FnOnce(&[u8]) -> T) -> T {
    let length = range.len();
    let more = length.next_multiple_of(16).min(usize::from(mtu)).max(length) - length;
    let (end, mut behind) = (range.end, [0; 16]);
    behind[..more].copy_from_slice(&buffer[end..end + more]);
    buffer[end..end + more].fill(0);
    let result = with(&buffer[range.start..end + more]);
    buffer[end..end + more].copy_from_slice(&behind[..more]);
    result
}
