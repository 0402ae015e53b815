//! The routes of this machine, for the check before anything is touched.
//!
//! Read from the kernel's own tables under /proc, because `wgnet check` needs them once, without privileges and without
//! an event loop. A running daemon watches the same by netlink (`system/`).

use std::io;

use super::conflict::LocalRoute;

/// The IPv4 and IPv6 routes of the main table, default routes included. Empty on systems without /proc.
///
/// # Errors
///
/// When the table is there and cannot be read.
pub fn routes() -> io::Result<Vec<LocalRoute>> {
    #[cfg(target_os = "linux")]
    {
        let mut routes = tables::parse_v4(&table("route")?);
        routes.extend(tables::parse_v6(&table("ipv6_route")?));
        Ok(routes)
    }
    #[cfg(not(target_os = "linux"))]
    Ok(Vec::new())
}

/// The text of one table of the network namespace that this thread is in. A family that is off has none.
#[cfg(target_os = "linux")]
fn table(name: &str) -> io::Result<String> {
    match std::fs::read_to_string(format!("/proc/thread-self/net/{name}")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// The text form of Linux's tables. Pure, so that its tests run everywhere.
#[cfg(any(target_os = "linux", test))]
pub(crate) mod tables {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use ipnet::{IpNet, Ipv4Net, Ipv6Net};

    use crate::config::conflict::LocalRoute;

    // linux/route.h and linux/ipv6_route.h
    const RTF_UP: u32 = 0x0001;
    const RTF_GATEWAY: u32 = 0x0002;
    const RTF_REJECT: u32 = 0x0200;
    const RTF_LOCAL: u32 = 0x8000_0000;

    /// Lines of `Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT`; addresses as the
    /// hexadecimal of their bytes in the machine's own order.
    pub(crate) fn parse_v4(table: &str) -> Vec<LocalRoute> {
        let route = |line: &str| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let number = |index: usize| u32::from_str_radix(fields.get(index)?, 16).ok();
            let flags = number(3)?;
            if flags & RTF_UP == 0 || flags & RTF_REJECT != 0 {
                return None;
            }
            let destination = Ipv4Addr::from(number(1)?.to_ne_bytes());
            let mask = Ipv4Addr::from(number(7)?.to_ne_bytes());
            let network = Ipv4Net::with_netmask(destination, mask).ok()?.trunc();
            Some(LocalRoute {
                interface: (*fields.first()?).to_owned(),
                network: IpNet::V4(network),
                on_link: flags & RTF_GATEWAY == 0,
            })
        };
        table.lines().skip(1).filter_map(route).collect()
    }

    /// Lines of `destination length source length gateway metric refcnt use flags interface`, all hexadecimal.
    /// Link-local and multicast routes are on every interface and say nothing of where it leads.
    pub(crate) fn parse_v6(table: &str) -> Vec<LocalRoute> {
        let route = |line: &str| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let flags = u32::from_str_radix(fields.get(8)?, 16).ok()?;
            if flags & RTF_UP == 0 || flags & (RTF_REJECT | RTF_LOCAL) != 0 {
                return None;
            }
            let destination = Ipv6Addr::from(u128::from_str_radix(fields.first()?, 16).ok()?);
            if destination.is_multicast() || destination.is_unicast_link_local() || destination.is_loopback() {
                return None;
            }
            let length = u8::from_str_radix(fields.get(1)?, 16).ok()?;
            Some(LocalRoute {
                interface: (*fields.get(9)?).to_owned(),
                network: IpNet::V6(Ipv6Net::new(destination, length).ok()?.trunc()),
                on_link: flags & RTF_GATEWAY == 0,
            })
        };
        table.lines().filter_map(route).collect()
    }
}
