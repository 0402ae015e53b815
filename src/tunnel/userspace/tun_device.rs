//! The TUN device: where the kernel's packets come out and ours go in.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use rustix::io::Errno;

use crate::tunnel::TunnelError;

/// An open TUN device. The interface goes when it is dropped.
pub(super) struct TunDevice {
    descriptor: OwnedFd,
}

impl TunDevice {
    /// Makes the interface, with its MTU, down and without addresses.
    ///
    /// # Errors
    /// When the name is taken or invalid, or the system has no TUN or does not allow it. Nothing is left behind.
    pub(super) fn open(interface: &str, mtu: u16) -> Result<Self, TunnelError> {
        let refused = |source| refused(interface, mtu, source);
        if !is_interface_name(interface) {
            let reason = "1 to 15 letters, digits and _ - . are allowed";
            return Err(refused(io::Error::new(ErrorKind::InvalidInput, reason)));
        }
        // The kernel would hand out an existing TUN device that nobody holds open, with whatever it is used for.
        if exists(interface).map_err(refused)? {
            return Err(refused(Errno::EXIST.into()));
        }
        let mut configuration = tun::Configuration::default();
        configuration.tun_name(interface).mtu(mtu);
        let device = tun::create(&configuration).map_err(|error| match error {
            tun::Error::Io(source) => refused(source),
            other => refused(io::Error::other(other.to_string())),
        })?;
        #[expect(unsafe_code, reason = "crate tun gives its descriptor away only as a raw number")]
        // SAFETY: into_raw_fd hands over a descriptor that is open and that nobody else owns.
        let descriptor = unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) };
        rustix::io::ioctl_fionbio(&descriptor, true).map_err(|errno| refused(errno.into()))?;
        Ok(Self { descriptor })
    }

    /// Reads one packet; `WOULDBLOCK` when there is none, `BADFD` when the interface was removed.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::read(&self.descriptor, buffer)
    }

    /// Hands one packet to the kernel; `IO` while the interface is down.
    pub(super) fn write(&self, packet: &[u8]) -> Result<usize, Errno> {
        rustix::io::write(&self.descriptor, packet)
    }
}

impl AsFd for TunDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn is_interface_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=15).contains(&name.len()) && name.chars().all(allowed) && name != "." && name != ".."
}

fn exists(interface: &str) -> io::Result<bool> {
    match rustix::net::netdevice::name_to_index(UnixDatagram::unbound()?, interface) {
        Ok(_) => Ok(true),
        Err(Errno::NODEV) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn refused(interface: &str, mtu: u16, source: io::Error) -> TunnelError {
    let errno = source.raw_os_error().map(Errno::from_raw_os_error);
    let (what, remedy) = match errno {
        Some(Errno::EXIST | Errno::BUSY) => (
            format!("cannot make the interface {interface}"),
            "an interface of that name exists: choose another name, or remove that one",
        ),
        Some(Errno::PERM | Errno::ACCESS) => {
            (format!("cannot make the interface {interface}"), "run as root, or grant CAP_NET_ADMIN")
        }
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => (
            "cannot open /dev/net/tun".to_owned(),
            "load the kernel's module with `modprobe tun`; a container must be given the device",
        ),
        Some(Errno::INVAL) => (format!("cannot make the interface {interface} with an MTU of {mtu} bytes"), ""),
        _ => (format!("cannot make the interface {interface}"), ""),
    };
    TunnelError::System { what, source, remedy: remedy.to_owned() }
}
