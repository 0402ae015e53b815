//! The TUN device: where the kernel's packets come out and ours go in, many of a flow as one where the kernel can.

use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use rustix::io::Errno;

use super::offload::VnetHeader;
use crate::tunnel::TunnelError;

/// Where a packet begins in the buffer that it is read into.
pub(super) const FRONT: usize = VnetHeader::LENGTH;

/// An open TUN device. The interface goes when it is dropped.
pub(super) struct TunDevice {
    descriptor: OwnedFd,
    offload: Offload,
}

/// What the kernel leaves to us, and we to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offload {
    /// A header of [`VnetHeader`] goes before each packet.
    header: bool,
    /// Superpackets of TCP, of UDP.
    pub(super) tcp: bool,
    pub(super) udp: bool,
}

impl TunDevice {
    /// Makes the interface, with its MTU, down and without addresses. With `offload` it takes and gives superpackets, as
    /// far as the kernel can.
    ///
    /// # Errors
    /// When the name is taken or invalid, or the system has no TUN or does not allow it. Nothing is left behind.
    pub(super) fn open(interface: &str, mtu: u16, offload: bool) -> Result<Self, TunnelError> {
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
        #[cfg(target_os = "linux")]
        configuration.platform_config(|platform| {
            platform.vnet_hdr(offload);
        });
        let device = tun::create(&configuration).map_err(|error| match error {
            tun::Error::Io(source) => refused(source),
            other => refused(io::Error::other(other.to_string())),
        })?;
        #[expect(unsafe_code, reason = "crate tun gives its descriptor away only as a raw number")]
        // SAFETY: into_raw_fd hands over a descriptor that is open and that nobody else owns.
        let descriptor = unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) };
        rustix::io::ioctl_fionbio(&descriptor, true).map_err(|errno| refused(errno.into()))?;
        let offload =
            if offload { agree(&descriptor).map_err(|errno| refused(errno.into()))? } else { Offload::default() };
        Ok(Self { descriptor, offload })
    }

    /// What was agreed with the kernel.
    pub(super) fn offload(&self) -> Offload {
        self.offload
    }

    /// Reads a packet, or many as one, into `buffer` behind [`FRONT`] bytes; `WOULDBLOCK` when there is none, `BADFD`
    /// when the interface was removed.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<(VnetHeader, Range<usize>), Errno> {
        if !self.offload.header {
            let length = rustix::io::read(&self.descriptor, &mut buffer[FRONT..])?;
            return Ok((VnetHeader::default(), FRONT..FRONT + length));
        }
        let length = rustix::io::read(&self.descriptor, &mut *buffer)?;
        match buffer.first_chunk() {
            Some(header) if length >= FRONT => Ok((VnetHeader::read(header), FRONT..length)),
            _ => Err(Errno::INTR),
        }
    }

    /// Hands one packet to the kernel; `IO` while the interface is down.
    pub(super) fn write(&self, packet: &[u8]) -> Result<usize, Errno> {
        if self.offload.header {
            // Told how much belongs together, the kernel copies the packet into one piece, and need not gather it later.
            let header = VnetHeader { header_length: packet.len() as u16, ..VnetHeader::default() };
            rustix::io::writev(&self.descriptor, &[IoSlice::new(&header.bytes()), IoSlice::new(packet)])
        } else {
            rustix::io::write(&self.descriptor, packet)
        }
    }

    /// Hands a superpacket to the kernel: its headers, then its payloads. `INVAL` from kernels that refuse what others
    /// take.
    pub(super) fn write_merged(&self, parts: &[IoSlice<'_>]) -> Result<usize, Errno> {
        rustix::io::writev(&self.descriptor, parts)
    }
}

/// Tells the kernel which superpackets we take; what it does not know of is left away.
#[cfg(target_os = "linux")]
fn agree(descriptor: &OwnedFd) -> Result<Offload, Errno> {
    // linux/if_tun.h. UDP (USO) since 6.2; the kernel then also takes such superpackets from us.
    const CHECKSUM: usize = 0x01;
    const TCP: usize = 0x02 | 0x04;
    const UDP: usize = 0x20 | 0x40;
    const SET_OFFLOAD: rustix::ioctl::Opcode = rustix::ioctl::opcode::write::<std::ffi::c_uint>(b'T', 208);
    let set = |flags| {
        #[expect(unsafe_code, reason = "an ioctl that no crate at hand wraps")]
        // SAFETY: TUNSETOFFLOAD takes its flags as a number and writes nothing.
        unsafe {
            rustix::ioctl::ioctl(descriptor, rustix::ioctl::IntegerSetter::<SET_OFFLOAD>::new_usize(flags))
        }
    };
    if set(CHECKSUM | TCP | UDP).is_ok() {
        return Ok(Offload { header: true, tcp: true, udp: true });
    }
    let tcp = set(CHECKSUM | TCP).is_ok();
    Ok(Offload { header: true, tcp, udp: false })
}

#[cfg(not(target_os = "linux"))]
fn agree(_: &OwnedFd) -> Result<Offload, Errno> {
    Ok(Offload::default())
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
