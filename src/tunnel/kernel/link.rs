//! The network interface: made and removed.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink::Netlink;

fn named(interface: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(interface.to_owned()));
    message
}

/// Makes a WireGuard interface, down and without addresses.
///
/// # Errors
/// `EOPNOTSUPP` without WireGuard in the kernel, `EEXIST` when the name is taken, `EPERM` without the right.
pub(super) fn add(interface: &str) -> io::Result<()> {
    let mut message = named(interface);
    message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Wireguard)]));
    let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    Netlink::open(NETLINK_ROUTE)?.ask(RouteNetlinkMessage::NewLink(message), flags, drop)
}

/// Removes the interface, with its addresses and routes.
///
/// # Errors
/// It is gone already, or the right is missing.
pub(super) fn remove(interface: &str) -> io::Result<()> {
    let message = RouteNetlinkMessage::DelLink(named(interface));
    Netlink::open(NETLINK_ROUTE)?.ask(message, NLM_F_REQUEST | NLM_F_ACK, drop)
}
