//! Messages of the routing socket (route(4)): a header, then the addresses that its bits announce, each padded to four
//! bytes. Made and read as bytes, so that it can be tested on any machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Marks routes as wgnet's: one of the three flags that route.h leaves to routing daemons.
pub(super) const OURS: u32 = 0x4_0000; // RTF_PROTO3

/// `sizeof(struct rt_msghdr)`.
pub(super) const HEADER: usize = 92;

// net/route.h
const VERSION: u8 = 5;
const ADD: u8 = 0x1;
const DELETE: u8 = 0x2;
const GET: u8 = 0x4;
const NEW_ADDRESS: u8 = 0xc;
const DELETED_ADDRESS: u8 = 0xd;
const INTERFACE: u8 = 0xe;
const FLAG_UP: u32 = 0x1;
const FLAG_HOST: u32 = 0x4;
const FLAG_STATIC: u32 = 0x800;
const FLAG_WAS_CLONED: u32 = 0x2_0000;
const FLAG_SCOPED: u32 = 0x100_0000;
const DESTINATION: u32 = 0x1;
const GATEWAY: u32 = 0x2;
const NETMASK: u32 = 0x4;
const OWN_ADDRESS: u32 = 0x20;

// sys/socket.h
const INET: u8 = 2;
const LINK: u8 = 18;
const INET6: u8 = 30;

/// Where the bytes of an IPv4 and of an IPv6 address begin in their `sockaddr`.
const AT_V4: usize = 4;
const AT_V6: usize = 8;

/// What to do with a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Add it, with this own address as the source of what goes by it.
    Add(Option<IpAddr>),
    /// Remove it.
    Remove,
}

/// A route as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: IpNet,
    /// The interface that it leads to.
    pub(super) index: u32,
    /// The router on the way, where it is told by its address.
    pub(super) next_hop: Option<IpAddr>,
    /// Whether it carries [`OURS`].
    pub(super) ours: bool,
}

/// The message that adds or removes the route for `prefix` into the interface of that index.
pub(super) fn change(change: Change, prefix: IpNet, index: u16, sequence: i32) -> Vec<u8> {
    let is_host = prefix.prefix_len() == prefix.max_prefix_len();
    let (kind, source) = match change {
        Change::Add(source) => (ADD, source),
        Change::Remove => (DELETE, None),
    };
    let mut flags = FLAG_UP | FLAG_STATIC | OURS;
    let mut announced = DESTINATION | GATEWAY;
    let mut body = socket_address(prefix.network());
    body.extend(link_address(index));
    if is_host {
        flags |= FLAG_HOST;
    } else {
        announced |= NETMASK;
        body.extend(socket_address(prefix.netmask()));
    }
    if let Some(source) = source {
        announced |= OWN_ADDRESS;
        body.extend(socket_address(source));
    }
    let mut message = vec![0; HEADER];
    message[2] = VERSION;
    message[3] = kind;
    message[4..6].copy_from_slice(&index.to_ne_bytes());
    message[8..12].copy_from_slice(&flags.to_ne_bytes());
    message[12..16].copy_from_slice(&announced.to_ne_bytes());
    message[20..24].copy_from_slice(&sequence.to_ne_bytes());
    message.extend(body);
    let length = message.len() as u16;
    message[..2].copy_from_slice(&length.to_ne_bytes());
    message
}

/// The routes in a dump of the kernel's table. Left out are those that it made by itself for single destinations, those
/// that count for sockets bound to an interface only, and what cannot be read.
pub(super) fn routes(dump: &[u8]) -> Vec<Route> {
    messages(dump).filter_map(route).collect()
}

/// Whether what was read from the routing socket says that addresses or interfaces changed.
pub(super) fn may_matter(read: &[u8]) -> bool {
    messages(read).any(|message| matches!(message[3], NEW_ADDRESS | DELETED_ADDRESS | INTERFACE))
}

/// The messages in `bytes` whose version is known. Every message begins with its length, version and kind.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        // A length that leads nowhere ends it.
        let message = bytes.get(..length).filter(|message| message.len() >= 4)?;
        bytes = &bytes[length..];
        Some(message)
    })
    .filter(|message| message[2] == VERSION)
}

fn route(message: &[u8]) -> Option<Route> {
    let number = |at: usize| Some(u32::from_ne_bytes(*message.get(at..)?.first_chunk()?));
    let (flags, announced) = (number(8)?, number(12)?);
    let index = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
    if message[3] != GET || flags & FLAG_UP == 0 || flags & (FLAG_WAS_CLONED | FLAG_SCOPED) != 0 {
        return None;
    }
    let mut rest = message.get(HEADER..)?;
    let (mut destination, mut gateway, mut netmask) = (None, None, None);
    for bit in [DESTINATION, GATEWAY, NETMASK] {
        if announced & bit == 0 {
            continue;
        }
        let length = usize::from(*rest.first()?);
        let address = rest.get(..length)?;
        match bit {
            DESTINATION => destination = Some(address),
            NETMASK => netmask = Some(address),
            _ => gateway = Some(address),
        }
        // The last one may lack its padding.
        rest = rest.get(padded(length)..).unwrap_or_default();
    }
    let destination = destination?;
    let ip = |socket_address: &[u8]| match *socket_address.get(1)? {
        INET => Some(IpAddr::from(octets::<4>(socket_address, AT_V4))),
        INET6 => Some(IpAddr::from(octets::<16>(socket_address, AT_V6))),
        _ => None,
    };
    let address = ip(destination)?;
    let prefix = if flags & FLAG_HOST != 0 {
        IpNet::from(address)
    } else {
        // The kernel leaves away the zeros at a netmask's end, and mostly its family, too.
        let netmask = netmask?;
        let mask: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::from(octets::<4>(netmask, AT_V4)).into(),
            IpAddr::V6(_) => Ipv6Addr::from(octets::<16>(netmask, AT_V6)).into(),
        };
        IpNet::with_netmask(address, mask).ok()?.trunc()
    };
    let next_hop = gateway.and_then(ip);
    Some(Route { prefix, index: index.into(), next_hop, ours: flags & OURS != 0 })
}

/// The bytes of an address in a `sockaddr` that may end before it does.
fn octets<const N: usize>(socket_address: &[u8], at: usize) -> [u8; N] {
    let mut octets = [0; N];
    let present = socket_address.get(at..).unwrap_or_default();
    let length = present.len().min(N);
    octets[..length].copy_from_slice(&present[..length]);
    octets
}

fn padded(length: usize) -> usize {
    length.max(1).next_multiple_of(4)
}

/// `struct sockaddr_in` or `sockaddr_in6`, without a port.
pub(super) fn socket_address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = vec![0; 16];
            bytes[..2].copy_from_slice(&[16, INET]);
            bytes[AT_V4..][..4].copy_from_slice(&v4.octets());
            bytes
        }
        IpAddr::V6(v6) => {
            let mut bytes = vec![0; 28];
            bytes[..2].copy_from_slice(&[28, INET6]);
            bytes[AT_V6..][..16].copy_from_slice(&v6.octets());
            bytes
        }
    }
}

/// `struct sockaddr_dl` that names an interface by its index.
fn link_address(index: u16) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    bytes[..2].copy_from_slice(&[20, LINK]);
    bytes[2..4].copy_from_slice(&index.to_ne_bytes());
    bytes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a prefix")
    }

    /// What the kernel would make of a message of ours: the route it adds or removes.
    pub(in crate::system::macos) fn read_change(message: &[u8]) -> (Change, Route) {
        assert_eq!(usize::from(u16::from_ne_bytes([message[0], message[1]])), message.len());
        let announced = u32::from_ne_bytes(*message[12..].first_chunk().expect("a header"));
        let mut as_dumped = message.to_vec();
        as_dumped[3] = GET;
        let route = route(&as_dumped).expect("a route");
        let source = (announced & OWN_ADDRESS != 0).then(|| {
            let own = match route.prefix {
                IpNet::V4(_) => &message[message.len() - 16..],
                IpNet::V6(_) => &message[message.len() - 28..],
            };
            match own[1] {
                INET => Ipv4Addr::from(octets::<4>(own, AT_V4)).into(),
                _ => IpAddr::from(octets::<16>(own, AT_V6)),
            }
        });
        match message[3] {
            ADD => (Change::Add(source), route),
            DELETE => (Change::Remove, route),
            other => panic!("message type {other}"),
        }
    }

    /// The message by which a dump tells a route; netmasks are cut short as the kernel does it.
    pub(in crate::system::macos) fn dumped(prefix: IpNet, index: u16, flags: u32) -> Vec<u8> {
        let mut message = vec![0; HEADER];
        message[2..4].copy_from_slice(&[VERSION, GET]);
        message[4..6].copy_from_slice(&index.to_ne_bytes());
        message[8..12].copy_from_slice(&(FLAG_UP | flags).to_ne_bytes());
        message[12..16].copy_from_slice(&(DESTINATION | GATEWAY | NETMASK).to_ne_bytes());
        message.extend(socket_address(prefix.addr()));
        message.extend(link_address(index));
        let mut mask = socket_address(prefix.netmask());
        let kept = mask.iter().skip(4).rposition(|byte| *byte != 0).map_or(0, |last| 4 + last + 1);
        mask.truncate(kept);
        mask.resize(padded(kept), 0);
        mask[0] = kept as u8;
        if kept > 1 {
            mask[1] = 0xff;
        }
        message.extend(mask);
        let length = message.len() as u16;
        message[..2].copy_from_slice(&length.to_ne_bytes());
        message
    }

    #[test]
    fn a_route_is_added_as_route_h_has_it() {
        let source = "10.1.1.1".parse().expect("an address");
        let message = change(Change::Add(Some(source)), net("10.0.0.0/8"), 17, 3);
        assert_eq!(message.len(), HEADER + 16 + 20 + 16 + 16);
        assert_eq!(message[..2], 160_u16.to_ne_bytes());
        assert_eq!(message[2..4], [5, 1], "version, RTM_ADD");
        assert_eq!(message[4..6], 17_u16.to_ne_bytes());
        assert_eq!(message[8..12], 0x4_0801_u32.to_ne_bytes(), "RTF_UP, RTF_STATIC, RTF_PROTO3");
        assert_eq!(message[12..16], 0x27_u32.to_ne_bytes(), "RTA_DST, RTA_GATEWAY, RTA_NETMASK, RTA_IFA");
        assert_eq!(message[20..24], 3_u32.to_ne_bytes());
        let body = &message[HEADER..];
        assert_eq!(body[..8], [16, 2, 0, 0, 10, 0, 0, 0]);
        assert_eq!(body[16..18], [20, 18]);
        assert_eq!(body[18..20], 17_u16.to_ne_bytes());
        assert_eq!(body[36..44], [16, 2, 0, 0, 255, 0, 0, 0]);
        assert_eq!(body[52..60], [16, 2, 0, 0, 10, 1, 1, 1]);
    }

    #[test]
    fn a_route_to_one_address_has_no_netmask() {
        let message = change(Change::Remove, net("fd00::7/128"), 4, 1);
        assert_eq!(message[3], 2, "RTM_DELETE");
        assert_eq!(message[8..12], 0x4_0805_u32.to_ne_bytes(), "RTF_HOST, too");
        assert_eq!(message[12..16], 3_u32.to_ne_bytes());
        assert_eq!(message.len(), HEADER + 28 + 20);
        assert_eq!(message[HEADER..HEADER + 2], [28, 30]);
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for (prefix, source) in
            [("10.0.0.0/8", "10.1.1.1"), ("fd12:3456:789a::/48", "fd12:3456:789a::1"), ("10.9.9.9/32", "10.1.1.1")]
        {
            let added = Change::Add(Some(source.parse().expect("an address")));
            let route = Route { prefix: net(prefix), index: 9, next_hop: None, ours: true };
            for wanted in [added, Change::Add(None), Change::Remove] {
                assert_eq!(read_change(&change(wanted, net(prefix), 9, 1)), (wanted, route));
            }
        }
    }

    #[test]
    fn a_dump_is_read_with_netmasks_of_every_length() {
        let prefixes =
            ["0.0.0.0/0", "10.0.0.0/8", "192.168.1.0/24", "192.0.2.128/25", "::/0", "fd00::/7", "2001:db8::/64"];
        let dump: Vec<u8> = prefixes.iter().flat_map(|prefix| dumped(net(prefix), 5, 0)).collect();
        let read = routes(&dump);
        let expected: Vec<_> = prefixes
            .iter()
            .map(|prefix| Route { prefix: net(prefix).trunc(), index: 5, next_hop: None, ours: false })
            .collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn routes_that_are_no_ways_of_the_machine_are_left_out() {
        let dump = [
            dumped(net("10.0.0.0/8"), 5, FLAG_SCOPED),
            dumped(net("10.1.1.9/32"), 5, FLAG_WAS_CLONED | FLAG_HOST),
            dumped(net("10.2.0.0/16"), 5, OURS),
        ]
        .concat();
        assert_eq!(routes(&dump), [Route { prefix: net("10.2.0.0/16"), index: 5, next_hop: None, ours: true }]);
    }

    #[test]
    fn broken_messages_are_passed_over() {
        let whole = dumped(net("192.168.0.0/16"), 5, 0);
        for length in 0..whole.len() {
            assert!(routes(&whole[..length]).is_empty(), "{length}");
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 3, 0x7f, 0xff] {
                let mut broken = whole.clone();
                broken[at] = byte;
                let _ = routes(&broken);
            }
        }
        let mut other_version = whole.clone();
        other_version[2] = 4;
        assert_eq!(routes(&[other_version, whole].concat()).len(), 1);
        assert!(routes(&[0; 64]).is_empty());
    }

    #[test]
    fn news_of_addresses_and_interfaces_matter_and_routes_do_not() {
        for (kind, matters) in [(NEW_ADDRESS, true), (DELETED_ADDRESS, true), (INTERFACE, true), (ADD, false)] {
            assert_eq!(may_matter(&[8, 0, VERSION, kind, 0, 0, 0, 0]), matters, "{kind}");
        }
        assert!(!may_matter(&[]));
    }
}
