//! Socket addresses as the kernel writes and reads them (`sockaddr_in`, `sockaddr_in6`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::libc;

/// Length of a `sockaddr_in6`, the longer one.
const NAME: usize = 28;
const V4_NAME: usize = 16;

/// A socket address as the kernel has it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Name {
    bytes: [u8; 32],
    length: u32,
}

impl Name {
    pub(super) const EMPTY: Self = Self { bytes: [0; 32], length: NAME as u32 };

    pub(super) fn set(&mut self, address: SocketAddr) {
        self.bytes = [0; 32];
        self.bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                self.bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                self.bytes[4..8].copy_from_slice(&v4.ip().octets());
                self.length = V4_NAME as u32;
            }
            SocketAddr::V6(v6) => {
                self.bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                self.bytes[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
                self.bytes[8..24].copy_from_slice(&v6.ip().octets());
                self.bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                self.length = NAME as u32;
            }
        }
    }

    /// Makes room for the address that the kernel writes.
    pub(super) fn expect(&mut self) {
        self.length = NAME as u32;
    }

    pub(super) fn get(&self) -> Option<SocketAddr> {
        let bytes = &self.bytes;
        let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        match family {
            libc::AF_INET => Some((Ipv4Addr::from(*bytes[4..].first_chunk::<4>()?), port).into()),
            libc::AF_INET6 => {
                let address = Ipv6Addr::from(*bytes[8..].first_chunk::<16>()?);
                let scope = u32::from_ne_bytes(*bytes[24..].first_chunk()?);
                Some(SocketAddrV6::new(address, port, 0, scope).into())
            }
            _ => None,
        }
    }

    pub(super) fn pointer(&mut self) -> (*mut libc::c_void, libc::socklen_t) {
        (self.bytes.as_mut_ptr().cast(), self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_back_as_they_were_written() {
        for text in ["192.0.2.7:51820", "[2001:db8::7]:1", "[fe80::1%7]:65535"] {
            let address: SocketAddr = text.parse().expect("an address");
            let mut name = Name::EMPTY;
            name.set(address);
            assert_eq!(name.get(), Some(address));
        }
    }
}
