//! What carries packets: a WireGuard device, driven by whole desired states.
//!
//! The engine says what the tunnel shall be ([`DesiredTunnel`]); a backend reads what is there, computes the
//! difference, adds, moves, then removes. It never clears and refills, and never "corrects" an endpoint that
//! WireGuard learned by roaming.

pub mod device;
pub mod existing;
pub mod fake;
#[cfg(target_os = "linux")]
pub mod kernel;
pub mod lingering;
pub mod userspace;

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use crate::mesh::io::{DesiredTunnel, TunnelReport};

/// A WireGuard device.
pub trait Tunnel: Send {
    /// Makes the device look like `desired`. Idempotent; on an error what could be applied is applied ([`lingering`] tells it
    /// again).
    fn set(&mut self, desired: &DesiredTunnel) -> Result<(), TunnelError>;

    /// Counters, endpoints and handshakes of every peer, foreign ones too.
    fn report(&mut self) -> Result<TunnelReport, TunnelError>;

    /// Sends a control datagram to a peer's link address, inside the tunnel. Starts a handshake where none stands;
    /// a full queue drops it.
    fn send_control(&mut self, to: SocketAddrV6, payload: &[u8]);

    /// Which backend this is, as `status` shows it: `userspace`, `kernel` or `existing`.
    fn kind(&self) -> &'static str;

    /// Takes the interface down, with its sockets and files; one that was there before is left as it was found.
    fn close(self: Box<Self>);

    /// Ends, and leaves behind what goes on without this process: the next run takes it over.
    fn detach(self: Box<Self>);
}

/// A control datagram that came out of the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlDatagram {
    /// Link address of the peer that sent it; checked against the peer's allowed IPs.
    pub from: Ipv6Addr,
    /// Payload of the UDP datagram.
    pub payload: Vec<u8>,
}

/// Why a tunnel could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The operating system refused. Says what was tried and how to mend it.
    #[error("{what}: {source}{}", remedy_text(.remedy))]
    System {
        /// What was tried, such as `cannot open /dev/net/tun`.
        what: String,
        /// What the system said.
        source: std::io::Error,
        /// How to mend it; empty when there is nothing to say.
        remedy: String,
    },
    /// The backend is not for this system, or was told something it does not know.
    #[error("{0}")]
    Unsupported(String),
    /// The device loop has not answered for so long, but may: an overloaded machine gives it no time. What it was told
    /// waits for it.
    #[error("the tunnel's device loop has not answered for {} s", .0.as_secs())]
    Late(Duration),
    /// The device loop ended.
    #[error("the tunnel's device loop has ended: {0}")]
    Ended(String),
}

fn remedy_text(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!(" ({remedy})") }
}
