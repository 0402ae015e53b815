//! The TUN device of Linux: packets come and go singly, or many of a flow as one where the kernel can.

use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use rustix::io::Errno;

use super::{FRONT, Offload, create, refused};
use crate::tunnel::TunnelError;
use crate::tunnel::userspace::offload::VnetHeader;

/// What reading says when the interface was removed.
pub(in crate::tunnel::userspace) const GONE: Errno = Errno::BADFD;

/// An open TUN device. The interface goes when it is dropped.
pub(in crate::tunnel::userspace) struct TunDevice {
    descriptor: OwnedFd,
    /// A [`VnetHeader`] goes before each packet.
    header: bool,
    offload: Offload,
}

impl TunDevice {
    /// Makes the interface, with its MTU, down and without addresses. With `offload` it takes and gives superpackets, as
    /// far as the kernel can.
    ///
    /// # Errors
    /// When the name is taken or invalid, or the system has no TUN or does not allow it. Nothing is left behind.
    pub(in crate::tunnel::userspace) fn open(interface: &str, mtu: u16, offload: bool) -> Result<Self, TunnelError> {
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
        configuration.platform_config(|platform| {
            platform.vnet_hdr(offload);
        });
        let descriptor = create(&configuration).map_err(refused)?;
        let agreed = if offload { agree(&descriptor) } else { Offload::default() };
        Ok(Self { descriptor, header: offload, offload: agreed })
    }

    /// What was agreed with the kernel.
    pub(in crate::tunnel::userspace) fn offload(&self) -> Offload {
        self.offload
    }

    /// Reads a packet, or many as one, into `buffer` behind [`FRONT`] bytes; `WOULDBLOCK` when there is none, [`GONE`]
    /// when the interface was removed.
    pub(in crate::tunnel::userspace) fn read(&self, buffer: &mut [u8]) -> Result<(VnetHeader, Range<usize>), Errno> {
        if !self.header {
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
    pub(in crate::tunnel::userspace) fn write(&self, packet: &[u8]) -> Result<usize, Errno> {
        if self.header {
            // Told how much belongs together, the kernel copies the packet into one piece, and need not gather it later.
            let header = VnetHeader { header_length: packet.len() as u16, ..VnetHeader::default() };
            rustix::io::writev(&self.descriptor, &[IoSlice::new(&header.bytes()), IoSlice::new(packet)])
        } else {
            rustix::io::write(&self.descriptor, packet)
        }
    }

    /// Hands a superpacket to the kernel: its headers, then its payloads. `INVAL` from kernels that refuse what others
    /// take.
    pub(in crate::tunnel::userspace) fn write_merged(&self, parts: &[IoSlice<'_>]) -> Result<usize, Errno> {
        rustix::io::writev(&self.descriptor, parts)
    }
}

/// Tells the kernel which superpackets we take; what it does not know of is left away.
fn agree(descriptor: &OwnedFd) -> Offload {
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
        return Offload { tcp: true, udp: true };
    }
    let tcp = set(CHECKSUM | TCP).is_ok();
    Offload { tcp, udp: false }
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
