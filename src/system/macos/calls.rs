//! The system calls of macOS.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::{io, ptr};

use ipnet::IpNet;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::libc;
use nix::net::if_::{InterfaceFlags, if_indextoname, if_nametoindex};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, Updater, opcode};
use rustix::net::{AddressFamily, Shutdown, SocketType};

use super::request::{Request, named, number, with_address};
use super::watch::Watch;
use super::{Held, Kernel, message};
use crate::mesh::io::LocalAddress;

// sys/sockio.h and netinet6/in6_var.h
const ADD_V4: Opcode = opcode::write::<[u8; 64]>(b'i', 26);
const REMOVE_V4: Opcode = opcode::write::<[u8; 32]>(b'i', 25);
const ADD_V6: Opcode = opcode::write::<[u8; 128]>(b'i', 26);
const REMOVE_V6: Opcode = opcode::write::<[u8; 288]>(b'i', 25);
const SET_MTU: Opcode = opcode::write::<[u8; 32]>(b'i', 52);
const GET_MTU: Opcode = opcode::read_write::<[u8; 32]>(b'i', 51);
const SET_FLAGS: Opcode = opcode::write::<[u8; 32]>(b'i', 16);
const GET_FLAGS: Opcode = opcode::read_write::<[u8; 32]>(b'i', 17);
const GET_ADDRESS_FLAGS: Opcode = opcode::read_write::<[u8; 288]>(b'i', 73);

/// `IN6_IFF_TENTATIVE`, `DUPLICATED`, `DETACHED`, `DEPRECATED`: not to be told to others.
const UNUSABLE: u32 = 0x02 | 0x04 | 0x08 | 0x10;

// What is written as bytes is as long as the system's own structures.
const _: () = {
    assert!(size_of::<libc::rt_msghdr>() == message::HEADER);
    assert!(size_of::<libc::ifaliasreq>() == 64);
    assert!(size_of::<libc::ifreq>() == 32);
    assert!(size_of::<libc::in6_ifreq>() == 288);
};

/// The sockets that interfaces and routes are asked by.
pub(super) struct Calls {
    inet: OwnedFd,
    inet6: OwnedFd,
    routing: OwnedFd,
    watch: Watch,
}

impl Calls {
    pub(super) fn open() -> Result<Self, Errno> {
        let routing = routing_socket()?;
        // The kernel's answers are read from what writing returns.
        rustix::net::shutdown(&routing, Shutdown::Read)?;
        let watched = routing_socket()?;
        rustix::io::ioctl_fionbio(&watched, true)?;
        Ok(Self {
            inet: socket(AddressFamily::INET, SocketType::DGRAM)?,
            inet6: socket(AddressFamily::INET6, SocketType::DGRAM)?,
            routing,
            watch: Watch::over(watched)?,
        })
    }

    /// Neither waiting for duplicate address detection, nor failed in it, nor on its way out.
    fn is_settled(&self, interface: &str, address: Ipv6Addr) -> bool {
        let asked = with_address(interface, IpAddr::V6(address));
        ask::<GET_ADDRESS_FLAGS, 288>(&self.inet6, asked).is_ok_and(|answer| number(&answer) & UNUSABLE == 0)
    }

    fn held(&self, entry: &InterfaceAddress) -> Option<Held> {
        let address = entry.address.as_ref()?;
        let netmask = entry.netmask.as_ref();
        let (address, netmask) = if let Some(v4) = address.as_sockaddr_in() {
            (IpAddr::V4(v4.ip()), netmask.and_then(|mask| mask.as_sockaddr_in()).map(|mask| IpAddr::V4(mask.ip())))
        } else {
            let v6 = address.as_sockaddr_in6()?.ip();
            if !self.is_settled(&entry.interface_name, v6) {
                return None;
            }
            (IpAddr::V6(v6), netmask.and_then(|mask| mask.as_sockaddr_in6()).map(|mask| IpAddr::V6(mask.ip())))
        };
        let network = netmask.and_then(|mask| IpNet::with_netmask(address, mask).ok());
        let prefix = network.unwrap_or_else(|| IpNet::from(address)).prefix_len();
        let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
        Some(Held {
            interface: entry.interface_name.clone(),
            local: LocalAddress { address, prefix },
            underlay: entry.flags.contains(up) && !entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
        })
    }
}

impl Kernel for Calls {
    fn index(&self, interface: &str) -> Result<u16, Errno> {
        let index = if_nametoindex(interface).map_err(|_| Errno::NXIO)?;
        u16::try_from(index).map_err(|_| Errno::OVERFLOW)
    }

    fn name(&self, index: u32) -> Option<String> {
        if_indextoname(index).ok()?.into_string().ok()
    }

    fn addresses(&self) -> Result<Vec<Held>, Errno> {
        let entries = getifaddrs().map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
        Ok(entries.filter_map(|entry| self.held(&entry)).collect())
    }

    fn mtu(&self, interface: &str) -> Result<u32, Errno> {
        ask::<GET_MTU, 32>(&self.inet, named(interface)).map(|answer| number(&answer))
    }

    fn flags(&self, interface: &str) -> Result<u16, Errno> {
        ask::<GET_FLAGS, 32>(&self.inet, named(interface)).map(|answer| number(&answer) as u16)
    }

    fn request(&self, request: &Request) -> Result<(), Errno> {
        match request {
            Request::AddV4(bytes) => tell::<ADD_V4, 64>(&self.inet, *bytes),
            Request::RemoveV4(bytes) => tell::<REMOVE_V4, 32>(&self.inet, *bytes),
            Request::AddV6(bytes) => tell::<ADD_V6, 128>(&self.inet6, *bytes),
            Request::RemoveV6(bytes) => tell::<REMOVE_V6, 288>(&self.inet6, *bytes),
            Request::SetMtu(bytes) => tell::<SET_MTU, 32>(&self.inet, *bytes),
            Request::SetFlags(bytes) => tell::<SET_FLAGS, 32>(&self.inet, *bytes),
        }
    }

    fn route(&self, message: &[u8]) -> Result<(), Errno> {
        rustix::io::write(&self.routing, message).map(|_| ())
    }

    fn table(&self) -> Result<Vec<u8>, Errno> {
        // It may grow between asking for its length and reading it.
        for _ in 0..8 {
            let mut bytes = vec![0; dump(&mut [])? * 5 / 4];
            match dump(&mut bytes) {
                Ok(length) => {
                    bytes.truncate(length);
                    return Ok(bytes);
                }
                Err(Errno::NOMEM) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::NOMEM)
    }

    async fn changed(&mut self) {
        self.watch.changed().await;
    }
}

fn routing_socket() -> Result<OwnedFd, Errno> {
    socket(AddressFamily::from_raw(libc::AF_ROUTE as u16), SocketType::RAW)
}

fn socket(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(family, kind, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}

fn tell<const OPCODE: Opcode, const LENGTH: usize>(socket: impl AsFd, bytes: [u8; LENGTH]) -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "ioctls that no crate at hand wraps")]
    // SAFETY: the request reads a structure of the length that its number holds, and that is the array's.
    unsafe {
        rustix::ioctl::ioctl(socket, Setter::<OPCODE, [u8; LENGTH]>::new(bytes))
    }
}

fn ask<const OPCODE: Opcode, const LENGTH: usize>(
    socket: impl AsFd,
    mut bytes: [u8; LENGTH],
) -> Result<[u8; LENGTH], Errno> {
    #[expect(unsafe_code, reason = "ioctls that no crate at hand wraps")]
    // SAFETY: the request reads and writes a structure of the length that its number holds, and that is the array's;
    // any bytes are a valid array.
    unsafe {
        rustix::ioctl::ioctl(socket, Updater::<OPCODE, [u8; LENGTH]>::new(&mut bytes))?;
    }
    Ok(bytes)
}

/// Reads the routing table (`NET_RT_DUMP`) into `buffer` and returns its length; an empty buffer asks for that alone.
fn dump(buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut name = [libc::CTL_NET, libc::AF_ROUTE, 0, 0, libc::NET_RT_DUMP, 0];
    let mut length = buffer.len();
    let into = if buffer.is_empty() { ptr::null_mut() } else { buffer.as_mut_ptr().cast() };
    #[expect(unsafe_code, reason = "a sysctl that no crate at hand wraps")]
    // SAFETY: the name has as many numbers as said, and at most `length` bytes are written to the buffer; null asks for
    // the length alone.
    let outcome =
        unsafe { libc::sysctl(name.as_mut_ptr(), name.len() as u32, into, &raw mut length, ptr::null_mut(), 0) };
    if outcome == 0 { Ok(length) } else { Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)) }
}
