//! Where packets may go that the kernel forwards for the mesh: back into it, and nowhere else.
//!
//! With the interface's forwarding on, a peer could reach whatever else this machine routes to. So what comes in by the
//! interface is looked up in a table of its own, which knows the overlay (and where it carries less than the interface's
//! MTU, so that the kernel tells whoever sends more) and says "unreachable" of all else. The rule and
//! the table carry [`PROTOCOL`]; packets for this machine itself are found by the table `local`, before it.

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{Handle, IpVersion, RouteMessageBuilder};
use rustix::io::Errno;

use super::error::{errno, refused};
use super::route::Wanted;
use super::{PROTOCOL, route};
use crate::system::SystemError;

/// Tables are numbered by interface: "WG" in the upper half.
const TABLES: u32 = 0x5747_0000;

/// Before the main table (32766) and before what VPN clients usually put there; after what an administrator puts first.
const PRIORITY: u32 = 15_000;

const FAMILIES: [IpVersion; 2] = [IpVersion::V4, IpVersion::V6];

/// Rule and table of one interface, and what was set last.
#[derive(Debug, Default)]
pub(super) struct Confinement {
    applied: Option<(u32, Vec<Wanted>)>,
}

impl Confinement {
    /// Lets what comes in by the interface go on to `overlay` only, through the same interface; an empty one takes the
    /// rule away.
    pub(super) async fn set(
        &mut self,
        netlink: &Handle,
        interface: &str,
        index: u32,
        overlay: &[Wanted],
    ) -> Result<(), SystemError> {
        let wanted = (index, overlay.to_vec());
        if self.applied.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let what = || format!("cannot keep what {interface} forwards inside the mesh");
        // Without the rule nothing may be forwarded: only a family that is not there needs none.
        let has_ipv6 = std::path::Path::new("/proc/net/if_inet6").exists();
        for family in FAMILIES.into_iter().filter(|family| has_ipv6 || matches!(family, IpVersion::V4)) {
            let present = rules(netlink, family.clone(), interface).await.map_err(|e| refused(what(), &e))?;
            let table = TABLES + index;
            if !overlay.is_empty() {
                self.fill(netlink, family.clone(), index, overlay).await.map_err(|e| refused(what(), &e))?;
            }
            let stands = !overlay.is_empty() && present.iter().any(|rule| table_of(rule) == table);
            for rule in present {
                if overlay.is_empty() || table_of(&rule) != table {
                    let old = table_of(&rule);
                    netlink.rule().del(rule).execute().await.map_err(|e| refused(what(), &e))?;
                    empty(netlink, &family, old).await.map_err(|e| refused(what(), &e))?;
                }
            }
            if !overlay.is_empty() && !stands {
                add(netlink, family, interface, table).await.map_err(|e| refused(what(), &e))?;
            }
        }
        self.applied = Some(wanted);
        Ok(())
    }

    /// The table's routes.
    async fn fill(
        &self,
        netlink: &Handle,
        family: IpVersion,
        index: u32,
        overlay: &[Wanted],
    ) -> Result<(), rtnetlink::Error> {
        let table = TABLES + index;
        let is_v4 = matches!(family, IpVersion::V4);
        let mut routes = vec![nowhere(family.clone(), table)];
        for wanted in overlay.iter().filter(|wanted| wanted.prefix.addr().is_ipv4() == is_v4) {
            routes.push(into(wanted, index, table));
        }
        for route in routes {
            match netlink.route().add(route).replace().execute().await {
                Err(e) if is_missing_family(&e) => return Ok(()),
                other => other?,
            }
        }
        let is_wanted = |prefix: IpNet| overlay.iter().any(|wanted| wanted.prefix == prefix);
        remove(netlink, &family, table, |route| route::destination(route).is_some_and(|prefix| !is_wanted(prefix)))
            .await
    }

    /// Takes rule and table away, also those of a former run whose interface is gone.
    pub(super) async fn clean_up(&mut self, netlink: &Handle, interface: &str) -> Result<(), SystemError> {
        self.applied = None;
        self.set(netlink, interface, 0, &[]).await
    }
}

/// Takes all our routes out of a table.
async fn empty(netlink: &Handle, family: &IpVersion, table: u32) -> Result<(), rtnetlink::Error> {
    remove(netlink, family, table, |_| true).await
}

/// Takes those of our routes out of a table that are `which`.
async fn remove(
    netlink: &Handle,
    family: &IpVersion,
    table: u32,
    which: impl Fn(&RouteMessage) -> bool,
) -> Result<(), rtnetlink::Error> {
    let mut request = RouteMessage::default();
    request.header.address_family = match family {
        IpVersion::V4 => AddressFamily::Inet,
        IpVersion::V6 => AddressFamily::Inet6,
    };
    request.header.kind = RouteType::Unspec;
    request.attributes.push(RouteAttribute::Table(table));
    let ours = route::dump(netlink, request)
        .await?
        .into_iter()
        .filter(|route| route::table(route) == table && route.header.protocol == RouteProtocol::Other(PROTOCOL))
        .filter(which);
    for route in ours {
        match netlink.route().del(route).execute().await {
            // Routes into an interface go with it.
            Err(e) if !matches!(errno(&e), Some(Errno::SRCH | Errno::NODEV)) => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

fn is_missing_family(e: &rtnetlink::Error) -> bool {
    matches!(errno(e), Some(Errno::AFNOSUPPORT | Errno::OPNOTSUPP | Errno::NODEV | Errno::ACCESS))
}

/// A route of the table into the interface.
fn into(wanted: &Wanted, index: u32, table: u32) -> RouteMessage {
    let prefix = wanted.prefix;
    let scope = if prefix.addr().is_ipv4() { RouteScope::Link } else { RouteScope::Universe };
    let mut route = RouteMessageBuilder::<std::net::IpAddr>::new()
        .destination_prefix(prefix.addr(), prefix.prefix_len())
        .expect("a network has no more bits than its family")
        .output_interface(index)
        .table_id(table)
        .protocol(RouteProtocol::Other(PROTOCOL))
        .scope(scope)
        .build();
    if let Some(mtu) = wanted.mtu {
        route.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu.into())]));
    }
    route
}

/// The table's last route.
fn nowhere(family: IpVersion, table: u32) -> RouteMessage {
    match family {
        IpVersion::V4 => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
            .table_id(table)
            .protocol(RouteProtocol::Other(PROTOCOL))
            .kind(RouteType::Unreachable)
            .build(),
        IpVersion::V6 => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
            .table_id(table)
            .protocol(RouteProtocol::Other(PROTOCOL))
            .kind(RouteType::Unreachable)
            .build(),
    }
}

async fn add(netlink: &Handle, family: IpVersion, interface: &str, table: u32) -> Result<(), rtnetlink::Error> {
    let mut request =
        netlink.rule().add().input_interface(interface).table_id(table).priority(PRIORITY).action(RuleAction::ToTable);
    let message = request.message_mut();
    message.header.family = match family {
        IpVersion::V4 => AddressFamily::Inet,
        IpVersion::V6 => AddressFamily::Inet6,
    };
    message.header.table = 0;
    message.attributes.push(RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL)));
    match request.execute().await {
        Err(e) if errno(&e) == Some(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Our rules for that interface.
async fn rules(netlink: &Handle, family: IpVersion, interface: &str) -> Result<Vec<RuleMessage>, rtnetlink::Error> {
    let all: Vec<RuleMessage> = match netlink.rule().get(family).execute().try_collect().await {
        Err(e) if is_missing_family(&e) => Vec::new(),
        other => other?,
    };
    let has = |rule: &RuleMessage, wanted: &RuleAttribute| rule.attributes.contains(wanted);
    let ours = RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL));
    let by_it = RuleAttribute::Iifname(interface.to_owned());
    Ok(all.into_iter().filter(|rule| has(rule, &ours) && has(rule, &by_it)).collect())
}

fn table_of(rule: &RuleMessage) -> u32 {
    let wide = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Table(table) => Some(*table),
        _ => None,
    });
    wide.unwrap_or_else(|| u32::from(rule.header.table))
}
