//! The way out: the smallest MTU of the interfaces by which packets of the tunnel may leave this machine, and the router
//! that they meet first.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};

use super::error::refused;
use super::{local, route};
use crate::system::SystemError;

/// The interface of the smallest MTU among those of the default routes and of the ways to `peers`.
pub(super) async fn smallest_mtu(
    netlink: &Handle,
    own: &str,
    peers: &[IpAddr],
) -> Result<Option<(String, u32)>, SystemError> {
    let what = || "cannot read what the underlay carries".to_owned();
    let overlays = local::overlays(netlink).await.map_err(|e| refused(what(), &e))?;
    let mut ways: BTreeSet<u32> =
        route::ways_out(netlink).await.map_err(|e| refused(what(), &e))?.into_iter().collect();
    for peer in peers {
        ways.extend(route::way_to(netlink, *peer).await);
    }
    let mut smallest: Option<(String, u32)> = None;
    let mut links = netlink.link().get().execute();
    while let Some(link) = links.try_next().await.map_err(|e| refused(what(), &e))? {
        let index = link.header.index;
        if !ways.contains(&index) || overlays.contains(&index) || link.header.flags.contains(LinkFlags::Loopback) {
            continue;
        }
        let name = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) if name != own => Some(name.clone()),
            _ => None,
        });
        let mtu = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Mtu(mtu) => Some(*mtu),
            _ => None,
        });
        if let (Some(name), Some(mtu)) = (name, mtu)
            && smallest.as_ref().is_none_or(|(_, least)| mtu < *least)
        {
            smallest = Some((name, mtu));
        }
    }
    Ok(smallest)
}

/// The next hop of the preferred default route of IPv4; those into an overlay do not count.
pub(super) async fn router(netlink: &Handle) -> Result<Option<Ipv4Addr>, SystemError> {
    let what = || "cannot read the way out of this machine".to_owned();
    let overlays = local::overlays(netlink).await.map_err(|e| refused(what(), &e))?;
    let defaults = route::defaults(netlink, Ipv4Addr::UNSPECIFIED.into()).await.map_err(|e| refused(what(), &e))?;
    let ways = defaults.iter().filter(|way| route::interface_of(way).is_some_and(|index| !overlays.contains(&index)));
    let next_hop = |way: &RouteMessage| {
        way.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(router)) => Some(*router),
            _ => None,
        })
    };
    let metric = |way: &RouteMessage| {
        let metric = way.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Priority(metric) => Some(*metric),
            _ => None,
        });
        metric.unwrap_or(0)
    };
    Ok(ways.min_by_key(|way| metric(way)).and_then(next_hop))
}
