//! Routes into the interface, in the main table, marked with our protocol number.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{Error, Handle, RouteMessageBuilder};
use rustix::io::Errno;

use super::PROTOCOL;
use super::error::{errno, refused};
use crate::system::SystemError;

/// `RTAX_FEATURE_ECN` of linux/rtnetlink.h: connections over the route offer ECN, so that queues on the way, the embedded
/// tunnel's own among them, can ask their senders for less without losing a packet. Who does not know it says no.
const OFFER_ECN: RouteMetric = RouteMetric::Features(1);

/// A route that shall be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Where it leads.
    pub(super) prefix: IpNet,
    /// What passes there, where that is less than the interface's MTU.
    pub(super) mtu: Option<u16>,
}

impl Wanted {
    fn metrics(&self) -> Vec<RouteMetric> {
        self.mtu.map(|mtu| RouteMetric::Mtu(mtu.into())).into_iter().chain([OFFER_ECN]).collect()
    }
}

/// Makes our routes of the interface exactly `wanted`, each with the own address of its family as source.
pub(super) async fn set(
    netlink: &Handle,
    interface: &str,
    index: u32,
    wanted: &[Wanted],
    own: &[IpAddr],
) -> Result<(), SystemError> {
    let present =
        ours(netlink, Some(index)).await.map_err(|e| refused(format!("cannot read the routes of {interface}"), &e))?;
    let mut first_error = None;
    for &route in wanted {
        if let Err(e) = add(netlink, interface, index, route, source_for(route.prefix, own), &present).await {
            match first_error {
                None => first_error = Some(e),
                Some(_) => tracing::warn!("{e}"),
            }
        }
    }
    let is_wanted = |prefix: IpNet| wanted.iter().any(|route| route.prefix == prefix);
    for stale in present.into_iter().filter(|r| destination(r).is_none_or(|prefix| !is_wanted(prefix))) {
        remove(netlink, interface, stale).await?;
    }
    first_error.map_or(Ok(()), Err)
}

/// Our routes: those of the interface, or of every wgnet interface of this machine.
pub(super) async fn ours(netlink: &Handle, index: Option<u32>) -> Result<Vec<RouteMessage>, Error> {
    let mut found = Vec::new();
    for any in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
        let mut request = in_main_table(any);
        request.header.protocol = RouteProtocol::Other(PROTOCOL);
        if let Some(index) = index {
            request.attributes.push(RouteAttribute::Oif(index));
        }
        found.extend(dump(netlink, request).await?);
    }
    found.retain(|route| {
        route.header.protocol == RouteProtocol::Other(PROTOCOL)
            && table(route) == u32::from(RouteHeader::RT_TABLE_MAIN)
            && index.is_none_or(|index| interface_of(route) == Some(index))
    });
    Ok(found)
}

/// The interfaces that default routes of the main table lead to.
pub(super) async fn ways_out(netlink: &Handle) -> Result<Vec<u32>, Error> {
    let mut found = Vec::new();
    for any in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
        found.extend(defaults(netlink, any).await?);
    }
    Ok(found.iter().filter_map(interface_of).collect())
}

/// The default routes of the main table, of the family of `any`.
pub(super) async fn defaults(netlink: &Handle, any: IpAddr) -> Result<Vec<RouteMessage>, Error> {
    let mut found = dump(netlink, in_main_table(any)).await?;
    found.retain(|route| {
        route.header.destination_prefix_length == 0
            && route.header.kind == RouteType::Unicast
            && table(route) == u32::from(RouteHeader::RT_TABLE_MAIN)
    });
    Ok(found)
}

/// The interface by which the kernel would send to an address; `None` when it would not.
pub(super) async fn way_to(netlink: &Handle, address: IpAddr) -> Option<u32> {
    // With strict checking, a question may name the destination and nothing else.
    let mut request = RouteMessage::default();
    let (family, length, destination) = match address {
        IpAddr::V4(v4) => (AddressFamily::Inet, 32, RouteAddress::Inet(v4)),
        IpAddr::V6(v6) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(v6)),
    };
    request.header.address_family = family;
    request.header.destination_prefix_length = length;
    request.attributes.push(RouteAttribute::Destination(destination));
    let route = netlink.route().get(request).execute().try_next().await.ok()??;
    interface_of(&route)
}

/// The interface a route leads to.
pub(super) fn interface_of(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

async fn add(
    netlink: &Handle,
    interface: &str,
    index: u32,
    wanted: Wanted,
    source: Option<IpAddr>,
    present: &[RouteMessage],
) -> Result<(), SystemError> {
    let prefix = wanted.prefix;
    let what = || format!("cannot add route {prefix} dev {interface}");
    if let Some(old) = present.iter().find(|route| destination(route) == Some(prefix)) {
        if preferred_source(old) == source && has_metrics(old, &wanted) {
            return Ok(());
        }
        remove(netlink, interface, old.clone()).await?;
    }
    let mut route = RouteMessageBuilder::<IpAddr>::new()
        .output_interface(index)
        .protocol(RouteProtocol::Other(PROTOCOL))
        .scope(if prefix.addr().is_ipv4() { RouteScope::Link } else { RouteScope::Universe })
        .destination_prefix(prefix.addr(), prefix.prefix_len())
        .map_err(|e| bug(what(), &e.to_string()))?;
    if let Some(source) = source {
        route = route.pref_source(source).map_err(|e| bug(what(), &e.to_string()))?;
    }
    let mut route = route.build();
    route.attributes.push(RouteAttribute::Metrics(wanted.metrics()));
    match netlink.route().add(route).execute().await {
        Ok(()) => Ok(()),
        Err(e) if errno(&e) == Some(Errno::EXIST) => match holder(netlink, prefix).await {
            // A person's own route into this very interface does the same.
            Some((oif, _)) if oif == index => Ok(()),
            other => Err(taken(what(), netlink, prefix, other).await),
        },
        Err(e) => Err(refused(what(), &e)),
    }
}

async fn remove(netlink: &Handle, interface: &str, route: RouteMessage) -> Result<(), SystemError> {
    let prefix = destination(&route);
    match netlink.route().del(route).execute().await {
        Ok(()) => Ok(()),
        Err(e) if matches!(errno(&e), Some(Errno::SRCH | Errno::NODEV)) => Ok(()),
        Err(e) => {
            let prefix = prefix.map_or_else(|| "default".to_owned(), |prefix| prefix.to_string());
            Err(refused(format!("cannot remove route {prefix} dev {interface}"), &e))
        }
    }
}

fn has_metrics(route: &RouteMessage, wanted: &Wanted) -> bool {
    let metrics = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Metrics(metrics) => Some(&metrics[..]),
        _ => None,
    });
    let metrics = metrics.unwrap_or_default();
    let mtu = metrics.iter().find(|metric| matches!(metric, RouteMetric::Mtu(_)));
    metrics.contains(&OFFER_ECN) && mtu.cloned() == wanted.mtu.map(|mtu| RouteMetric::Mtu(mtu.into()))
}

/// The own address that packets into `prefix` shall carry: one inside it, else any of its family.
fn source_for(prefix: IpNet, own: &[IpAddr]) -> Option<IpAddr> {
    let family = || own.iter().copied().filter(|address| address.is_ipv4() == prefix.addr().is_ipv4());
    family().find(|address| prefix.contains(address)).or_else(|| family().next())
}

/// Who has a route for exactly this prefix: its interface and protocol.
async fn holder(netlink: &Handle, prefix: IpNet) -> Option<(u32, RouteProtocol)> {
    let mut request = in_main_table(prefix.addr());
    // No filter but the table: the whole table is read, but only to explain a refusal.
    request.header.protocol = RouteProtocol::Unspec;
    let routes = dump(netlink, request).await.ok()?;
    routes
        .iter()
        .filter(|route| table(route) == u32::from(RouteHeader::RT_TABLE_MAIN))
        .find(|route| destination(route) == Some(prefix))
        .map(|route| (interface_of(route).unwrap_or(0), route.header.protocol))
}

async fn taken(what: String, netlink: &Handle, prefix: IpNet, holder: Option<(u32, RouteProtocol)>) -> SystemError {
    let reason = match holder {
        None => format!("a route for {prefix} is there already"),
        Some((index, protocol)) => {
            let name = name_of(netlink, index).await.unwrap_or_else(|| format!("interface {index}"));
            let by = match protocol {
                RouteProtocol::Other(PROTOCOL) => "another wgnet".to_owned(),
                other => other.to_string(),
            };
            format!("a route for {prefix} leads to {name} already (by {by})")
        }
    };
    let remedy = "choose another subnet in the network file, or remove that route".to_owned();
    SystemError { what, reason, remedy }
}

async fn name_of(netlink: &Handle, index: u32) -> Option<String> {
    let message = netlink.link().get().match_index(index).execute().try_next().await.ok()??;
    message.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })
}

/// A dump request for the main table, in the family of `address`.
fn in_main_table(address: IpAddr) -> RouteMessage {
    let mut request = RouteMessage::default();
    request.header.address_family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    request.header.table = RouteHeader::RT_TABLE_MAIN;
    request.header.kind = RouteType::Unspec;
    request
}

pub(super) async fn dump(netlink: &Handle, request: RouteMessage) -> Result<Vec<RouteMessage>, Error> {
    match netlink.route().get(request).execute().try_collect().await {
        // The kernel's word for a table or family it does not have.
        Err(e) if matches!(errno(&e), Some(Errno::NOENT | Errno::OPNOTSUPP | Errno::AFNOSUPPORT)) => Ok(Vec::new()),
        answer => answer,
    }
}

pub(super) fn table(route: &RouteMessage) -> u32 {
    let wide = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    wide.unwrap_or_else(|| u32::from(route.header.table))
}

pub(super) fn destination(route: &RouteMessage) -> Option<IpNet> {
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    })?;
    IpNet::new(address, route.header.destination_prefix_length).ok()
}

fn preferred_source(route: &RouteMessage) -> Option<IpAddr> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::PrefSource(address) => ip(address),
        _ => None,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

fn bug(what: String, reason: &str) -> SystemError {
    SystemError { what, reason: format!("BUG: {reason}"), remedy: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_the_own_address_inside_the_prefix() {
        let own: Vec<IpAddr> = ["10.1.1.1", "fd00:1::1", "fd99::5"].map(|a| a.parse().expect("an address")).to_vec();
        let source = |prefix: &str| source_for(prefix.parse().expect("a prefix"), &own).map(|a| a.to_string());
        assert_eq!(source("10.0.0.0/8").as_deref(), Some("10.1.1.1"));
        assert_eq!(source("192.168.0.0/16").as_deref(), Some("10.1.1.1"));
        assert_eq!(source("fd99::/48").as_deref(), Some("fd99::5"));
        assert_eq!(source("fd00:1::/64").as_deref(), Some("fd00:1::1"));
        assert_eq!(source_for("fd99::/48".parse().expect("a prefix"), &own[..1]), None);
    }
}
