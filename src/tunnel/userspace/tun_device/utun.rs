//! The TUN device of macOS, a kernel control socket that carries a packet a call behind four bytes that name its family.
//! It has no queues, no offloads and no names but `utun` and a number.

use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::{FRONT, Offload, create, refused};
use crate::tunnel::TunnelError;
use crate::tunnel::userspace::offload::VnetHeader;

/// What reading says when the interface was removed.
pub(in crate::tunnel::userspace) const GONE: Errno = Errno::NOTCONN;

/// Length of the family before each packet.
const FAMILY: usize = 4;

/// An open TUN device. The interface goes when it is dropped.
pub(in crate::tunnel::userspace) struct TunDevice {
    descriptor: OwnedFd,
}

impl TunDevice {
    /// Makes the interface, with its MTU and without addresses.
    ///
    /// # Errors
    /// When the name is taken or not one that the system gives, or it is not allowed. Nothing is left behind.
    pub(in crate::tunnel::userspace) fn open(interface: &str, mtu: u16, _: bool) -> Result<Self, TunnelError> {
        let refused = |source| refused(interface, mtu, source);
        if !is_interface_name(interface) {
            let reason = "the system names such interfaces utun and a number: call it utun7, for instance";
            return Err(refused(io::Error::new(ErrorKind::InvalidInput, reason)));
        }
        let mut configuration = tun::Configuration::default();
        configuration.tun_name(interface).mtu(mtu);
        let descriptor = create(&configuration).map_err(refused)?;
        rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC).map_err(|errno| refused(errno.into()))?;
        #[cfg(target_vendor = "apple")]
        queue::enlarge(&descriptor);
        Ok(Self { descriptor })
    }

    /// Nothing.
    pub(in crate::tunnel::userspace) fn offload(&self) -> Offload {
        Offload::default()
    }

    /// Reads a packet into `buffer` behind [`FRONT`] bytes; `WOULDBLOCK` when there is none, [`GONE`] when the interface
    /// was removed.
    pub(in crate::tunnel::userspace) fn read(&self, buffer: &mut [u8]) -> Result<(VnetHeader, Range<usize>), Errno> {
        // The family ends where the packet begins.
        match rustix::io::read(&self.descriptor, &mut buffer[FRONT - FAMILY..])? {
            0 => Err(GONE),
            length if length <= FAMILY => Err(Errno::INTR),
            length => Ok((VnetHeader::default(), FRONT..FRONT - FAMILY + length)),
        }
    }

    /// Hands one packet to the kernel.
    pub(in crate::tunnel::userspace) fn write(&self, packet: &[u8]) -> Result<usize, Errno> {
        let family = family(packet).ok_or(Errno::INVAL)?;
        rustix::io::writev(&self.descriptor, &[IoSlice::new(&family), IoSlice::new(packet)])
    }

    /// Refuses, for nobody was promised that this would do.
    pub(in crate::tunnel::userspace) fn write_merged(&self, _: &[IoSlice<'_>]) -> Result<usize, Errno> {
        Err(Errno::INVAL)
    }
}

impl AsFd for TunDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// What goes before a packet: `AF_INET` or `AF_INET6` as this system counts them, in network order.
fn family(packet: &[u8]) -> Option<[u8; FAMILY]> {
    match packet.first()? >> 4 {
        4 => Some([0, 0, 0, 2]),
        6 => Some([0, 0, 0, 30]),
        _ => None,
    }
}

/// Whether the system makes an interface of exactly this name.
fn is_interface_name(name: &str) -> bool {
    // It counts units from 1, and has 32 bits for them.
    let number = name.strip_prefix("utun").and_then(|number| number.parse::<u32>().ok());
    name.len() <= 15 && number.is_some_and(|number| number < u32::MAX && name == format!("utun{number}"))
}

/// Packets on their way to us. The system's own queue is one packet long, and then stands still until it was read.
#[cfg(target_vendor = "apple")]
mod queue {
    use std::os::fd::{AsRawFd as _, OwnedFd};

    use nix::libc;
    use rustix::net::sockopt::set_socket_recv_buffer_size;

    use crate::tunnel::userspace::socket::set_largest;

    /// `UTUN_OPT_MAX_PENDING_PACKETS` of net/if_utun.h.
    const MAX_PENDING_PACKETS: libc::c_int = 16;

    /// How many may wait: some milliseconds of a gigabit. What comes beyond waits in the interface's queue, which is fair
    /// to flows, as this one is not.
    const PACKETS: u32 = 1024;

    /// Room for them in bytes, with what the kernel counts beside a packet.
    const BUFFER: usize = 4 << 20;

    /// Makes room. A short queue works too, slowly: failure is no error.
    pub(super) fn enlarge(descriptor: &OwnedFd) {
        let _ = set_largest(BUFFER, |size| set_socket_recv_buffer_size(descriptor, size));
        #[expect(unsafe_code, reason = "a socket option that no crate at hand wraps")]
        // SAFETY: the descriptor is open, and the option is read from four bytes that outlive the call.
        unsafe {
            let option = std::ptr::from_ref(&PACKETS).cast();
            let length = size_of::<u32>() as libc::socklen_t;
            libc::setsockopt(descriptor.as_raw_fd(), libc::SYSPROTO_CONTROL, MAX_PENDING_PACKETS, option, length);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn names_are_utun_and_a_number_as_the_system_writes_it() {
        for name in ["utun0", "utun7", "utun4294967294"] {
            assert!(is_interface_name(name), "{name}");
        }
        for name in ["wg0", "utun", "utun07", "utun+7", "utun-1", "utun7a", "utun4294967295", "tun7", ""] {
            assert!(!is_interface_name(name), "{name}");
        }
        let said = TunDevice::open("wg0", 1420, true).err().expect("no such name").to_string();
        assert!(said.starts_with("cannot make the interface wg0: ") && said.contains("call it utun7"), "{said}");
    }

    #[test]
    fn a_packet_goes_and_comes_behind_its_family() {
        let (ours, kernels) = UnixDatagram::pair().expect("sockets");
        ours.set_nonblocking(true).expect("a socket");
        let tun = TunDevice { descriptor: ours.into() };
        assert_eq!(tun.offload(), Offload::default());
        let mut buffer = [0; 64];
        assert_eq!(tun.read(&mut buffer), Err(Errno::AGAIN));
        for (packet, family) in [([0x45, 1, 2, 3], 2), ([0x60, 4, 5, 6], 30)] {
            let framed = [&[0, 0, 0, family], packet.as_slice()].concat();
            assert_eq!(tun.write(&packet), Ok(8));
            let length = kernels.recv(&mut buffer).expect("a packet");
            assert_eq!(buffer[..length], framed);
            kernels.send(&framed).expect("room");
            let (header, range) = tun.read(&mut buffer).expect("a packet");
            assert_eq!((header, range.start), (VnetHeader::default(), FRONT));
            assert_eq!(buffer[range], packet);
        }
        assert_eq!(tun.write(&[0x10, 0]), Err(Errno::INVAL));
        assert_eq!(tun.write(&[]), Err(Errno::INVAL));
        assert_eq!(tun.write_merged(&[]), Err(Errno::INVAL));
        for scrap in [1, FAMILY] {
            kernels.send(&[0; FAMILY][..scrap]).expect("room");
            assert_eq!(tun.read(&mut buffer), Err(Errno::INTR));
        }
    }
}
