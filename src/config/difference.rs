//! What is different between two configurations of one node, for people, and what of it a running node can take over.

use super::Config;
use crate::mesh::config::{Class, GatewayPolicy, StaticPeer};

/// One difference. Secrets are never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about, as it is written in the file: `network.mtu`, `peers 10.1.1.1 endPoint`.
    pub what: String,
    /// What it was; empty: it is new.
    pub before: String,
    /// What it is; empty: it is gone.
    pub after: String,
    /// Whether a running node cannot take it over.
    pub needs_restart: bool,
}

/// Everything that is different, network file first.
pub fn differences(before: &Config, after: &Config) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |what: &str, needs_restart, old: String, new: String| {
        if old != new {
            found.push(Difference { what: what.to_owned(), before: old, after: new, needs_restart });
        }
    };
    let (old, new) = (&before.mesh, &after.mesh);
    if old.key.network_id() != new.key.network_id() {
        compare("network.sharedKey", true, "(secret)".to_owned(), "(another secret)".to_owned());
    }
    compare("network.subnet", false, list(&old.subnets), list(&new.subnets));
    let mtu = |config: &Config| if config.mtu_given { config.mesh.mtu.to_string() } else { String::new() };
    compare("network.mtu", true, mtu(before), mtu(after));
    compare("network.direct", false, old.direct.to_string(), new.direct.to_string());
    compare("network.gateways", false, policy(old.gateways).to_owned(), policy(new.gateways).to_owned());
    for peer in &old.static_peers {
        let named = |key: &str| format!("peers {}{key}", peer.addresses[0]);
        let Some(now) = new.static_peers.iter().find(|other| is_same(peer, other)) else {
            compare(&named(""), false, described(peer), String::new());
            continue;
        };
        for ((key, old), (_, new)) in keys(peer).into_iter().zip(keys(now)) {
            compare(&named(&format!(" {key}")), false, old, new);
        }
    }
    for peer in new.static_peers.iter().filter(|peer| !old.static_peers.iter().any(|other| is_same(peer, other))) {
        compare(&format!("peers {}", peer.addresses[0]), false, String::new(), described(peer));
    }
    compare("name", true, old.name.to_string(), new.name.to_string());
    compare("wgIp", true, list(&old.addresses), list(&new.addresses));
    compare("the WireGuard port", true, old.wg_port.to_string(), new.wg_port.to_string());
    compare("the admin port", true, old.admin_port.to_string(), new.admin_port.to_string());
    compare("class", true, class(old.class).to_owned(), class(new.class).to_owned());
    compare("gateway", true, old.offer_gateway.to_string(), new.offer_gateway.to_string());
    compare("lan", true, old.lan.to_string(), new.lan.to_string());
    compare("wgInterface", true, before.interface.clone(), after.interface.clone());
    compare("portMapping", true, before.port_mapping.to_string(), after.port_mapping.to_string());
    compare("tunnel", true, before.tunnel.word().to_owned(), after.tunnel.word().to_owned());
    let path = |path: &std::path::Path| path.display().to_string();
    compare("the state directory", true, path(&before.state_dir), path(&after.state_dir));
    compare("the admin socket", true, path(&before.socket), path(&after.socket));
    found
}

/// Two entries are of one peer when they share an address.
fn is_same(a: &StaticPeer, b: &StaticPeer) -> bool {
    a.addresses.iter().any(|address| b.addresses.contains(address))
}

/// Each key of an entry and its value, empty where it is not written.
fn keys(peer: &StaticPeer) -> [(&'static str, String); 8] {
    let text = |value: Option<String>| value.unwrap_or_default();
    [
        ("wgIp", list(&peer.addresses)),
        ("endPoint", peer.endpoint.to_string()),
        ("adminPort", peer.admin_port.to_string()),
        ("name", text(peer.name.as_ref().map(ToString::to_string))),
        ("publicKey", text(peer.public_key.map(|key| key.to_string()))),
        ("gateway", text(peer.gateway.map(|gateway| gateway.to_string()))),
        ("cost", text(peer.cost.map(|cost| cost.to_string()))),
        ("weight", text(peer.weight.map(|weight| weight.to_string()))),
    ]
}

fn described(peer: &StaticPeer) -> String {
    let name = peer.name.as_ref().map_or_else(String::new, |name| format!("{name} "));
    format!("{name}at {}", peer.endpoint)
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn policy(policy: GatewayPolicy) -> &'static str {
    match policy {
        GatewayPolicy::Static => "static",
        GatewayPolicy::Any => "any",
    }
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Server => "server",
        Class::Roaming => "roaming",
        Class::Mobile => "mobile",
    }
}
