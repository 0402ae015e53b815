//! The overlay against the networks that this machine is in.
//!
//! ```text
//!   overlay 10.1.1.0/24 inside the LAN 10.0.0.0/8      error: it would take the LAN's addresses
//!   overlay 10.1.1.0/24, LAN 10.1.1.0/24               error: the same
//!   overlay 10.0.0.0/8 around the LAN 10.5.0.0/24      warning: the LAN, being more specific, keeps its addresses
//!     ... and a node at 10.5.0.7                       error: it would never be reached
//!   overlay 10.0.0.0/8, endPoint 10.9.9.9              error: packets to the endpoint would loop into the tunnel,
//!                                                      unless a more specific local route leads there
//! ```

use std::net::IpAddr;

use ipnet::IpNet;

use super::diagnostic::{Diagnostic, Findings, Located};
use super::network::NetworkFile;

/// Most networks that one warning lists.
const LISTED: usize = 4;

/// What the overlay takes, and where that was written.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// The own interface, whose routes are no conflict.
    pub interface: Option<String>,
    /// The subnets of the network file.
    pub subnets: Vec<Located<IpNet>>,
    /// Addresses of nodes: this one's and the static peers'.
    pub addresses: Vec<Located<IpAddr>>,
    /// Endpoints of the other static peers that are addresses (a name may resolve to anything).
    pub endpoints: Vec<Located<IpAddr>>,
}

impl Overlay {
    /// What `network` takes on the node with these `interface` and `addresses` (as far as they are known).
    pub(crate) fn new(network: &NetworkFile, interface: Option<&str>, addresses: &[Located<IpAddr>]) -> Self {
        let mut overlay =
            Self { interface: interface.map(str::to_owned), subnets: network.subnets.clone(), ..Self::default() };
        overlay.addresses.extend_from_slice(addresses);
        for listed in &network.peers {
            let is_own = listed.peer.addresses.iter().any(|own| addresses.iter().any(|known| known.value == *own));
            if is_own {
                continue;
            }
            let origins = listed.address_origins.iter().cloned();
            overlay.addresses.extend(
                listed.peer.addresses.iter().zip(origins).map(|(address, origin)| Located::new(*address, origin)),
            );
            if let Ok(address) = listed.peer.endpoint.host.parse() {
                overlay.endpoints.push(Located::new(address, listed.endpoint_origin.clone()));
            }
        }
        overlay
    }
}

/// A route of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRoute {
    /// The interface it leads to.
    pub interface: String,
    /// What it covers, host bits cleared.
    pub network: IpNet,
    /// Whether the network is attached to the interface, not behind a router.
    pub on_link: bool,
}

/// Compares the overlay with the routes of this machine, which should hold the routes of every table and none twice.
/// Default routes and those of the own interface do not count. Pure: reads nothing but its arguments.
pub fn conflicts(overlay: &Overlay, local: &[LocalRoute]) -> Vec<Diagnostic> {
    let mut findings = Findings::default();
    let foreign: Vec<&LocalRoute> = local
        .iter()
        .filter(|route| route.network.prefix_len() > 0 && overlay.interface.as_ref() != Some(&route.interface))
        .collect();
    for subnet in &overlay.subnets {
        if taken(subnet, &foreign, &mut findings) {
            continue;
        }
        let inside: Vec<&LocalRoute> = foreign
            .iter()
            .copied()
            .filter(|route| subnet.value.contains(&route.network) && route.network != subnet.value)
            .collect();
        covered(subnet, &inside, &mut findings);
        for address in &overlay.addresses {
            if let Some(route) = inside.iter().find(|route| route.network.contains(&address.value)) {
                findings.error::<()>(
                    &address.origin,
                    format!(
                        "{} lies in this machine's network {} ({}), which keeps its addresses",
                        address.value, route.network, route.interface
                    ),
                    "give the node another address, or choose another subnet",
                );
            }
        }
        for endpoint in &overlay.endpoints {
            let inside_overlay = subnet.value.contains(&endpoint.value);
            if inside_overlay && !inside.iter().any(|route| route.network.contains(&endpoint.value)) {
                findings.error::<()>(
                    &endpoint.origin,
                    format!(
                        "the overlay {} contains this endpoint: packets to {} would loop into the tunnel",
                        subnet.value, endpoint.value
                    ),
                    "choose a smaller subnet that leaves the endpoint out",
                );
            }
        }
    }
    findings.into_sorted()
}

/// Names the network of which the subnet would take addresses. Whether that is an error.
fn taken(subnet: &Located<IpNet>, foreign: &[&LocalRoute], findings: &mut Findings) -> bool {
    let around = |on_link: bool| {
        foreign
            .iter()
            .filter(|route| route.on_link == on_link && route.network.contains(&subnet.value))
            .max_by_key(|route| route.network.prefix_len())
    };
    if let Some(lan) = around(true) {
        let how = if lan.network == subnet.value { "is" } else { "lies inside" };
        findings.error::<()>(
            &subnet.origin,
            format!(
                "the overlay {} {how} this machine's network {} ({}) and would take its addresses",
                subnet.value, lan.network, lan.interface
            ),
            "choose another subnet, such as 10.77.0.0/16",
        );
        return true;
    }
    let Some(route) = around(false) else { return false };
    if route.network == subnet.value {
        findings.error::<()>(
            &subnet.origin,
            format!("this machine has a route to the overlay {} already, by {}", subnet.value, route.interface),
            "remove that route, or choose another subnet",
        );
        return true;
    }
    findings.warn(
        &subnet.origin,
        format!(
            "the overlay {} takes addresses from this machine's route to {} by {}",
            subnet.value, route.network, route.interface
        ),
        "choose another subnet if something there is needed",
    );
    false
}

/// One warning for all networks inside the subnet.
fn covered(subnet: &Located<IpNet>, inside: &[&LocalRoute], findings: &mut Findings) {
    let mut shown: Vec<String> =
        inside.iter().map(|route| format!("{} ({})", route.network, route.interface)).collect();
    shown.dedup();
    if shown.is_empty() {
        return;
    }
    let more = shown.len().saturating_sub(LISTED);
    shown.truncate(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    findings.warn(
        &subnet.origin,
        format!(
            "the overlay {} covers this machine's {}{more}, which keep their addresses: no node in there can be reached",
            subnet.value,
            shown.join(", ")
        ),
        "choose a smaller subnet, or give no node an address in there",
    );
}
