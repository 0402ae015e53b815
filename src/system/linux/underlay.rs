//! What the underlay carries: the smallest MTU of the interfaces by which packets of the tunnel may leave this machine.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};

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
