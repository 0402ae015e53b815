//! The embedded tunnel: a WireGuard device inside this process, for hosts without the kernel's module and for what the
//! module cannot do (accept a moving prefix from two peers, forward without `ip_forward`, hand over control datagrams).
//!
//! boringtun's noise does the handshakes and seals the packets; everything around it is here:
//!
//! * [`device`]: one thread that owns all descriptors and feeds
//! * [`plane`]: what happens to each packet, without descriptors or clocks; with
//! * [`allowed_ips`] (whose prefix is it), [`peer`] and [`peers`] (sessions, endpoints, what waits), [`retry`] (handshakes
//!   that got no answer), [`load`] (handshakes that are too many), [`packet`] and [`icmp`] (bytes);
//! * [`configure`]: the difference between the peers that stand and those that are wanted;
//! * [`tun_device`], [`socket`], [`uapi`]: the TUN, UDP, and the socket that `wg` speaks to.

mod allowed_ips;
mod configure;
mod device;
mod icmp;
mod load;
pub mod offload;
mod packet;
mod peer;
mod peers;
mod plane;
mod retry;
mod socket;
mod tun_device;
pub mod uapi;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use zeroize::Zeroizing;

use self::device::{Command, Device, Wires};
use self::plane::{DataPlane, Own};
use self::socket::Sockets;
use self::tun_device::TunDevice;
use self::uapi::server::Server;
use super::{ControlDatagram, Tunnel, TunnelError};
use crate::mesh::io::{DesiredTunnel, TunnelReport};

/// Called on the device's thread with each control datagram: it must not block.
pub type ControlHandler = Box<dyn Fn(ControlDatagram) + Send>;

/// Where `wg` looks for the sockets of userspace devices.
pub const UAPI_DIRECTORY: &str = "/var/run/wireguard";

/// Commands that wait for the device loop; control datagrams beyond that are dropped.
const COMMANDS: usize = 1024;

/// The loop answers within a batch of packets; longer means that it hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

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
    /// Directory of the userspace API socket, usually [`UAPI_DIRECTORY`].
    pub uapi_dir: PathBuf,
}

/// An embedded tunnel. Dropping it closes it.
pub struct Userspace {
    commands: SyncSender<Command>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
    ended: Arc<OnceLock<String>>,
    listen_port: u16,
}

impl Userspace {
    /// Makes the interface (down and without addresses), opens the port, serves `<uapi_dir>/<interface>.sock` and starts
    /// the device loop.
    ///
    /// # Errors
    /// [`TunnelError::System`] with a remedy: name or port taken, no right, no `/dev/net/tun`. Nothing is left behind.
    pub fn open(config: UserspaceConfig) -> Result<Self, TunnelError> {
        let sockets = Sockets::bind(config.listen_port, config.fwmark.unwrap_or(0))?;
        let listen_port = sockets.port();
        let tun = TunDevice::open(&config.interface, config.mtu)?;
        let uapi = Server::bind(&config.uapi_dir, &config.interface)?;
        let failed = |source| {
            let what = format!("cannot start the device loop of {}", config.interface);
            TunnelError::System { what, source, remedy: String::new() }
        };
        let (wake, woken) = UnixStream::pair().map_err(failed)?;
        wake.set_nonblocking(true).and_then(|()| woken.set_nonblocking(true)).map_err(failed)?;
        let (commands, receiver) = mpsc::sync_channel(COMMANDS);
        let own = Own {
            addresses: config.addresses,
            link: config.link_address,
            control_port: config.control_port,
            mtu: config.mtu,
        };
        let device = Device {
            interface: config.interface.clone(),
            plane: DataPlane::new(&config.private_key, own, device::now()),
            wires: Wires::new(tun, sockets, config.control),
            uapi,
            commands: receiver,
            wake: woken,
        };
        let ended = Arc::new(OnceLock::new());
        let end = Arc::clone(&ended);
        let run = move || {
            if let Err(reason) = device.run() {
                tracing::error!("the tunnel's device loop has ended: {reason}");
                let _ = end.set(reason);
            }
        };
        let thread = std::thread::Builder::new().name(config.interface.clone()).spawn(run).map_err(failed)?;
        Ok(Self { commands, wake, thread: Some(thread), ended, listen_port })
    }

    /// The UDP port that was opened.
    pub fn listen_port(&self) -> u16 {
        self.listen_port
    }

    fn wake(&self) {
        // A full pipe wakes the loop as well.
        let _ = (&self.wake).write(&[1]);
    }

    fn ask<T>(&self, command: Command, answer: &Receiver<T>) -> Result<T, TunnelError> {
        let sent = self.commands.send(command);
        self.wake();
        let answer = sent.map_err(|_| RecvTimeoutError::Disconnected).and_then(|()| answer.recv_timeout(ANSWER_WITHIN));
        answer.map_err(|error| match error {
            RecvTimeoutError::Timeout => TunnelError::Ended(format!("no answer for {} s", ANSWER_WITHIN.as_secs())),
            RecvTimeoutError::Disconnected => {
                TunnelError::Ended(self.ended.get().cloned().unwrap_or_else(|| "it was closed".to_owned()))
            }
        })
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
        let _ = self.commands.try_send(Command::Control(to, payload.to_vec()));
        self.wake();
    }

    fn kind(&self) -> &'static str {
        "userspace"
    }

    fn close(mut self: Box<Self>) {
        self.end();
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

/// Where packets leave the data plane.
trait Ports {
    /// Sends a datagram to the network.
    fn send(&mut self, to: Endpoint, datagram: &[u8]);

    /// Hands a packet to the kernel through the TUN.
    fn deliver(&mut self, packet: &[u8]);

    /// Hands a control datagram to the engine.
    fn control(&mut self, datagram: ControlDatagram);
}
