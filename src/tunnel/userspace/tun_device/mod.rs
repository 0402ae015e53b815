//! The TUN device: where the kernel's packets come out and ours go in.
//!
//! * [`linux`]: `/dev/net/tun`, many packets of a flow as one where the kernel can;
//! * [`utun`] (macOS): a kernel control socket, a packet a system call.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod utun;

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use rustix::io::Errno;

#[cfg(target_os = "linux")]
pub(super) use self::linux::{GONE, TunDevice};
#[cfg(not(target_os = "linux"))]
pub(super) use self::utun::{GONE, TunDevice};
use super::offload::VnetHeader;
use crate::tunnel::TunnelError;

/// Where a packet begins in the buffer that it is read into.
pub(super) const FRONT: usize = VnetHeader::LENGTH;

/// What a program needs that makes interfaces.
const RIGHT: &str = if cfg!(target_os = "linux") { "run as root, or grant CAP_NET_ADMIN" } else { "run as root" };

/// What the kernel leaves to us, and we to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offload {
    /// Superpackets of TCP, of UDP.
    pub(super) tcp: bool,
    pub(super) udp: bool,
}

/// Makes the interface; its descriptor does not block.
fn create(configuration: &tun::Configuration) -> io::Result<OwnedFd> {
    let device = tun::create(configuration).map_err(|error| match error {
        tun::Error::Io(source) => source,
        other => io::Error::other(other.to_string()),
    })?;
    #[expect(unsafe_code, reason = "crate tun gives its descriptor away only as a raw number")]
    // SAFETY: into_raw_fd hands over a descriptor that is open and that nobody else owns.
    let descriptor = unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) };
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    Ok(descriptor)
}

fn refused(interface: &str, mtu: u16, source: io::Error) -> TunnelError {
    let errno = source.raw_os_error().map(Errno::from_raw_os_error);
    let (what, remedy) = match errno {
        Some(Errno::EXIST | Errno::BUSY) => (
            format!("cannot make the interface {interface}"),
            "an interface of that name exists: choose another name, or remove that one",
        ),
        Some(Errno::PERM | Errno::ACCESS) => (format!("cannot make the interface {interface}"), RIGHT),
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) if cfg!(target_os = "linux") => (
            "cannot open /dev/net/tun".to_owned(),
            "load the kernel's module with `modprobe tun`; a container must be given the device",
        ),
        Some(Errno::INVAL) => (format!("cannot make the interface {interface} with an MTU of {mtu} bytes"), ""),
        _ => (format!("cannot make the interface {interface}"), ""),
    };
    TunnelError::System { what, source, remedy: remedy.to_owned() }
}
