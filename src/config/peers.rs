//! `peers:` of net.yaml: the static peers, each in itself and all against each other.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;

use super::diagnostic::{Findings, Located, Origin};
use super::document::{Keys, Kind, Node};
use super::network::{COST_RANGE, WEIGHT_RANGE};
use super::{secret, value};
use crate::mesh::config::{HostPort, StaticPeer};
use crate::mesh::ids::{Name, WgPublicKey};

/// A static peer and where its values stand.
#[derive(Clone, Debug)]
pub struct ListedPeer {
    /// The peer.
    pub peer: StaticPeer,
    /// Where each of `peer.addresses` stands, in the same order.
    pub address_origins: Vec<Origin>,
    /// Where its `endPoint` stands.
    pub endpoint_origin: Origin,
    /// Where its `name` stands, if it has one.
    pub name_origin: Option<Origin>,
}

/// One item of the list, as far as it could be read.
struct Item {
    addresses: Option<Vec<Located<IpAddr>>>,
    endpoint: Option<Located<HostPort>>,
    admin_port: AdminPort,
    name: Option<Located<Name>>,
    public_key: Option<Located<WgPublicKey>>,
    gateway: Option<bool>,
    cost: Option<u32>,
    weight: Option<u32>,
}

enum AdminPort {
    Given(Located<u16>),
    Default,
    Bad,
}

impl Item {
    /// The control port and where it, or else the reason for it, stands.
    fn admin_port(&self) -> Option<Located<u16>> {
        match &self.admin_port {
            AdminPort::Given(port) => Some(port.clone()),
            AdminPort::Default => {
                let first = self.addresses.as_ref()?.first()?;
                Some(first.with(value::default_admin_port(first.value)))
            }
            AdminPort::Bad => None,
        }
    }

    fn into_listed(self) -> Option<ListedPeer> {
        let admin_port = self.admin_port()?.value;
        let endpoint = self.endpoint?;
        let addresses = self.addresses?;
        Some(ListedPeer {
            address_origins: addresses.iter().map(|address| address.origin.clone()).collect(),
            endpoint_origin: endpoint.origin,
            name_origin: self.name.as_ref().map(|name| name.origin.clone()),
            peer: StaticPeer {
                addresses: addresses.into_iter().map(|address| address.value).collect(),
                endpoint: endpoint.value,
                admin_port,
                name: self.name.map(|name| name.value),
                public_key: self.public_key.map(|key| key.value),
                gateway: self.gateway,
                cost: self.cost,
                weight: self.weight,
            },
        })
    }
}

/// Says that nobody can find anybody without a static peer.
pub(crate) fn warn_alone(origin: &Origin, findings: &mut Findings) {
    findings.warn(
        origin,
        "no static peer is listed, so no node can find another",
        "list at least one node that the others can reach, with endPoint and wgIp",
    );
}

/// Reads the list. Peers with mistakes are left out of the answer and named in `findings`.
pub(crate) fn read(node: &Node, subnets: &[Located<IpNet>], findings: &mut Findings) -> Vec<ListedPeer> {
    let Kind::Sequence(nodes) = &node.kind else {
        findings.error::<()>(
            &node.origin,
            format!("peers must be a list, not {}", node.kind_name()),
            "begin each peer with a hyphen; see examples/net.yaml",
        );
        return Vec::new();
    };
    if nodes.is_empty() {
        warn_alone(&node.origin, findings);
    }
    let items: Vec<Item> = nodes.iter().filter_map(|node| read_item(node, subnets, findings)).collect();
    compare(&items, findings);
    items.into_iter().filter_map(Item::into_listed).collect()
}

fn read_item(node: &Rc<Node>, subnets: &[Located<IpNet>], findings: &mut Findings) -> Option<Item> {
    let mut keys = Keys::open(node, "a peer", findings)?;
    let endpoint = read_required(&mut keys, "endPoint", findings).and_then(|node| {
        let text = value::text(&node, "endPoint", findings)?;
        let written = Located::new(text, node.origin.clone());
        value::endpoint(&written, findings).map(|endpoint| written.with(endpoint))
    });
    let addresses = read_required(&mut keys, "wgIp", findings).and_then(|node| {
        let written = value::texts(&node, "wgIp", findings)?;
        let addresses = value::addresses(&written, "wgIp", findings)?;
        for address in addresses.iter().filter(|_| !subnets.is_empty()) {
            value::check_inside(subnets, address, "wgIp", findings);
        }
        Some(addresses)
    });
    let admin_port = match keys.take("adminPort", findings) {
        Some(node) => match value::port(&node, "adminPort", findings) {
            Some(port) => AdminPort::Given(Located::new(port, node.origin.clone())),
            None => AdminPort::Bad,
        },
        None if keys.had("adminPort") => AdminPort::Bad,
        None => AdminPort::Default,
    };
    let name = keys.take("name", findings).and_then(|node| {
        let written = Located::new(value::text(&node, "name", findings)?, node.origin.clone());
        value::name(&written, "a node's name", findings).map(|name| written.with(name))
    });
    let public_key = keys.take("publicKey", findings).and_then(|node| read_public_key(&node, findings));
    let gateway = keys.take("gateway", findings).and_then(|node| value::boolean(&node, "gateway", findings));
    let cost = keys.take("cost", findings).and_then(|node| value::number(&node, "cost", COST_RANGE, findings));
    let weight = keys.take("weight", findings).and_then(|node| read_weight(&node, gateway, findings));
    keys.close("a peer", findings);
    Some(Item { addresses, endpoint, admin_port, name, public_key, gateway, cost, weight })
}

/// The share of the leaves: only gateways have one.
fn read_weight(node: &Node, gateway: Option<bool>, findings: &mut Findings) -> Option<u32> {
    let weight = value::number(node, "weight", WEIGHT_RANGE, findings)?;
    if gateway == Some(false) {
        return findings.error(
            &node.origin,
            "weight is a gateway's share of the leaves, and this peer is no gateway",
            "remove it, or gateway: false",
        );
    }
    Some(weight)
}

fn read_required(keys: &mut Keys, key: &'static str, findings: &mut Findings) -> Option<Rc<Node>> {
    let node = keys.take(key, findings);
    if node.is_none() && !keys.had(key) {
        let remedy = match key {
            "endPoint" => "add the host:port where the others reach it, such as vpn.example.org:50000",
            _ => "add the peer's address inside the subnet",
        };
        findings.error::<()>(&keys.origin, format!("this peer has no {key}"), remedy);
    }
    node
}

fn read_public_key(node: &Node, findings: &mut Findings) -> Option<Located<WgPublicKey>> {
    let text = value::text(node, "publicKey", findings)?;
    let remedy = "`wgnet status --json` shows each peer's public_key";
    let Ok(key) = text.parse::<WgPublicKey>() else {
        return findings.error(&node.origin, format!("publicKey {}", secret::why_undecodable(text)), remedy);
    };
    if secret::is_repetition(&key.0) {
        return findings.error(&node.origin, "publicKey is no key of any node", remedy);
    }
    Some(Located::new(key, node.origin.clone()))
}

/// What two peers may not have in common.
fn compare(items: &[Item], findings: &mut Findings) {
    let mut addresses = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut keys = BTreeMap::new();
    let mut ports: BTreeMap<(&str, u16), (&str, Origin)> = BTreeMap::new();
    for item in items {
        // One mistake, one error: a copied item shares its ports with the original, too.
        let mut named = false;
        for address in item.addresses.iter().flatten() {
            if let Some(earlier) = addresses.get(&address.value) {
                named = true;
                findings.error::<()>(
                    &address.origin,
                    format!("wgIp {} is already used by the peer at {earlier}", address.value),
                    "give each node an address of its own",
                );
            } else {
                addresses.insert(address.value, address.origin.clone());
            }
        }
        if let Some(name) = &item.name {
            if let Some(earlier) = names.get(&name.value) {
                findings.error::<()>(
                    &name.origin,
                    format!("name {} is already used by the peer at {earlier}", name.value),
                    "give each node a name of its own",
                );
            } else {
                names.insert(name.value.clone(), name.origin.clone());
            }
        }
        if let Some(key) = &item.public_key {
            if let Some(earlier) = keys.get(&key.value) {
                findings.error::<()>(
                    &key.origin,
                    format!("this publicKey is already used by the peer at {earlier}"),
                    "each node has a key of its own; remove the wrong one",
                );
            } else {
                keys.insert(key.value, key.origin.clone());
            }
        }
        let Some(endpoint) = &item.endpoint else { continue };
        let host = endpoint.value.host.as_str();
        let claims =
            [Some(("endPoint", endpoint.with(endpoint.value.port))), item.admin_port().map(|port| ("adminPort", port))];
        for (role, port) in claims.into_iter().flatten() {
            let Some((earlier_role, earlier)) = ports.get(&(host, port.value)) else {
                ports.insert((host, port.value), (role, port.origin));
                continue;
            };
            if named {
                continue;
            }
            named = true;
            let default = matches!(item.admin_port, AdminPort::Default) && role == "adminPort";
            let written = if default { " (default: 50500 + last octet of wgIp)" } else { "" };
            let message = if role == "endPoint" && *earlier_role == "endPoint" {
                format!("endPoint {} is already the one of the peer at {earlier}", endpoint.value)
            } else {
                format!("{role} {}{written} on host {host} clashes with the {earlier_role} at {earlier}", port.value)
            };
            findings.error::<()>(&port.origin, message, "give each a port of its own on that host");
        }
    }
}
