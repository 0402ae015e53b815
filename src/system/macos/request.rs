//! What ioctl(2) is asked of interfaces, as the bytes of the structures of net/if.h and netinet6/in6_var.h.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::message::socket_address;

/// Room for an interface's name, which ends with a zero.
const NAME: usize = 16;

/// One request. The interface's name comes first in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// `SIOCAIFADDR`, `struct ifaliasreq`: name, address, other end, netmask.
    AddV4([u8; 64]),
    /// `SIOCDIFADDR`, `struct ifreq`: name, address.
    RemoveV4([u8; 32]),
    /// `SIOCAIFADDR_IN6`, `struct in6_aliasreq`: name, address, other end, netmask, flags, lifetimes.
    AddV6([u8; 128]),
    /// `SIOCDIFADDR_IN6`, `struct in6_ifreq`: name, address, and room for what others ask.
    RemoveV6([u8; 288]),
    /// `SIOCSIFMTU`, `struct ifreq`: name, number.
    SetMtu([u8; 32]),
    /// `SIOCSIFFLAGS`, `struct ifreq`: name, flags of 16 bits.
    SetFlags([u8; 32]),
}

/// Nobody else on a tunnel could hold the address: usable at once, without duplicate address detection.
const NO_DETECTION: u32 = 0x20; // IN6_IFF_NODAD
const FOREVER: u32 = u32::MAX; // ND6_INFINITE_LIFETIME

/// Gives the interface an address of its own, alone: only the mesh's routes lead into it.
pub(super) fn add(interface: &str, address: IpAddr) -> Request {
    match address {
        IpAddr::V4(_) => {
            let mut bytes = named(interface);
            bytes[NAME..][..16].copy_from_slice(&socket_address(address));
            // The interface is point-to-point; without another end it is its own.
            bytes[NAME + 16..][..16].copy_from_slice(&socket_address(address));
            bytes[NAME + 32..][..16].copy_from_slice(&socket_address(Ipv4Addr::BROADCAST.into()));
            Request::AddV4(bytes)
        }
        IpAddr::V6(_) => {
            let mut bytes = named(interface);
            bytes[NAME..][..28].copy_from_slice(&socket_address(address));
            bytes[NAME + 56..][..28].copy_from_slice(&socket_address(Ipv6Addr::from([0xff; 16]).into()));
            bytes[100..104].copy_from_slice(&NO_DETECTION.to_ne_bytes());
            // Two points in time, which nobody sets, then two lifetimes.
            bytes[120..124].copy_from_slice(&FOREVER.to_ne_bytes());
            bytes[124..128].copy_from_slice(&FOREVER.to_ne_bytes());
            Request::AddV6(bytes)
        }
    }
}

/// Takes an address from the interface.
pub(super) fn remove(interface: &str, address: IpAddr) -> Request {
    match address {
        IpAddr::V4(_) => Request::RemoveV4(with_address(interface, address)),
        IpAddr::V6(_) => Request::RemoveV6(with_address(interface, address)),
    }
}

/// Sets the MTU in bytes.
pub(super) fn set_mtu(interface: &str, mtu: u32) -> Request {
    let mut bytes = named(interface);
    bytes[NAME..][..4].copy_from_slice(&mtu.to_ne_bytes());
    Request::SetMtu(bytes)
}

/// Sets the flags `IFF_...`.
pub(super) fn set_flags(interface: &str, flags: u16) -> Request {
    let mut bytes = named(interface);
    bytes[NAME..][..2].copy_from_slice(&flags.to_ne_bytes());
    Request::SetFlags(bytes)
}

/// A structure that begins with an interface's name, and is zero otherwise. A name that is too long is cut, and then
/// names no interface.
pub(super) fn named<const N: usize>(interface: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let length = interface.len().min(NAME - 1);
    bytes[..length].copy_from_slice(&interface.as_bytes()[..length]);
    bytes
}

/// The same, and an address behind it.
pub(super) fn with_address<const N: usize>(interface: &str, address: IpAddr) -> [u8; N] {
    let mut bytes = named(interface);
    let address = socket_address(address);
    bytes[NAME..][..address.len()].copy_from_slice(&address);
    bytes
}

/// The number, or the flags of 16 bits, behind the name in an answer.
pub(super) fn number(answer: &[u8]) -> u32 {
    answer.get(NAME..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_both_ends_of_the_tunnel() {
        let Request::AddV4(bytes) = add("utun7", IpAddr::from([10, 1, 1, 1])) else { panic!("IPv4") };
        assert_eq!(bytes[..6], *b"utun7\0");
        for at in [16, 32] {
            assert_eq!(bytes[at..at + 8], [16, 2, 0, 0, 10, 1, 1, 1]);
        }
        assert_eq!(bytes[48..56], [16, 2, 0, 0, 255, 255, 255, 255]);
    }

    #[test]
    fn an_ipv6_address_lasts_and_is_usable_at_once() {
        let address: IpAddr = "fd00::1".parse().expect("an address");
        let Request::AddV6(bytes) = add("utun7", address) else { panic!("IPv6") };
        assert_eq!(bytes[16..18], [28, 30]);
        assert_eq!(bytes[24..40], [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes[44..72], [0; 28], "no other end: the kernel takes none beside a /128");
        assert_eq!(bytes[72..74], [28, 30]);
        assert_eq!(bytes[80..96], [0xff; 16]);
        assert_eq!(bytes[100..104], 0x20_u32.to_ne_bytes());
        assert_eq!(bytes[104..120], [0; 16]);
        assert_eq!(bytes[120..], [0xff; 8]);
    }

    #[test]
    fn numbers_stand_behind_the_name() {
        let Request::SetMtu(bytes) = set_mtu("utun7", 1420) else { panic!("the MTU") };
        assert_eq!(number(&bytes), 1420);
        let Request::SetFlags(bytes) = set_flags("utun7", 0x8051) else { panic!("the flags") };
        assert_eq!(number(&bytes), 0x8051);
        let Request::RemoveV6(bytes) = remove("utun7", "fd00::1".parse().expect("an address")) else { panic!("IPv6") };
        assert_eq!(bytes[16..18], [28, 30]);
        assert_eq!(named::<32>("a-name-of-more-than-fifteen")[15], 0);
    }
}
