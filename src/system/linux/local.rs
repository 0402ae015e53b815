//! The machine's addresses on the underlay: what other nodes may reach it by.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};
use rtnetlink::{Error, Handle};

use super::address::address_of;
use super::error::refused;
use super::route;
use crate::mesh::io::{LocalAddress, LocalNetwork};
use crate::system::{SystemError, reaches_beyond_the_link};

/// Reads the addresses of every interface that is up, but for loopback and the interfaces of wgnet: this one, and
/// those of other networks on the same machine, which their routes give away.
pub(super) async fn network(netlink: &Handle, own: &str) -> Result<LocalNetwork, SystemError> {
    let what = || "cannot read the machine's addresses".to_owned();
    let overlays = overlays(netlink).await.map_err(|e| refused(what(), &e))?;
    let mut underlays = BTreeSet::new();
    let mut lans = Vec::new();
    let mut ports = BTreeSet::new();
    let mut links = netlink.link().get().execute();
    while let Some(link) = links.try_next().await.map_err(|e| refused(what(), &e))? {
        let index = link.header.index;
        let flags = link.header.flags;
        // The carrier itself: `Running` follows it up to a second later (the kernel's linkwatch).
        let up = flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
        let is_own = link.attributes.iter().any(|a| matches!(a, LinkAttribute::IfName(name) if name == own));
        if up && !flags.contains(LinkFlags::Loopback) && !is_own && !overlays.contains(&index) {
            underlays.insert(index);
            if link.attributes.iter().any(|a| matches!(a, LinkAttribute::Controller(_))) {
                ports.insert(index);
            }
            let reaches_all = flags.intersects(LinkFlags::Broadcast | LinkFlags::Multicast);
            if reaches_all && !flags.contains(LinkFlags::Pointopoint) {
                lans.push(index);
            }
        }
    }
    let messages: Vec<AddressMessage> =
        netlink.address().get().execute().try_collect().await.map_err(|e| refused(what(), &e))?;
    let held: Vec<(u32, LocalAddress)> = messages
        .iter()
        .filter(|message| underlays.contains(&message.header.index) && is_settled(message))
        .filter_map(|message| {
            let local = LocalAddress { address: address_of(message)?, prefix: message.header.prefix_len };
            Some((message.header.index, local))
        })
        .filter(|(_, local)| reaches_beyond_the_link(local.address))
        .collect();
    // A bridge's ports, a bond's lines: what they are part of is on the LAN.
    lans.retain(|lan| !ports.contains(lan) || held.iter().any(|(index, _)| index == lan));
    Ok(super::super::network_of(&held, lans))
}

/// The interfaces of every wgnet on this machine that has routes.
pub(super) async fn overlays(netlink: &Handle) -> Result<BTreeSet<u32>, Error> {
    Ok(route::ours(netlink, None).await?.iter().filter_map(route::interface_of).collect())
}

/// Neither waiting for duplicate address detection, nor failed in it, nor on its way out.
fn is_settled(message: &AddressMessage) -> bool {
    let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed | AddressHeaderFlags::Deprecated;
    !message.header.flags.intersects(unusable)
}
