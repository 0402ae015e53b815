//! What each node of a scenario is configured with: the same content for the engine and, as net.yaml, for a daemon.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::{Gateways, Node, Scenario};
use crate::mesh::config::{DirectMode, GatewayPolicy, HostPort, MeshConfig, NetworkKey, StaticPeer};
use crate::mesh::ids::{Name, WgPublicKey};

/// MTU of every simulated tunnel in bytes: the default of the network file.
pub(in crate::sim) const MTU: u16 = 1420;

/// The shared key of a scenario's network: made from its name, so that runs are equal.
pub fn network_key(scenario: &Scenario) -> [u8; 32] {
    Sha256::new().chain_update(b"wgnet scenario ").chain_update(&scenario.name).finalize().into()
}

impl Scenario {
    /// The name under which this node runs (an adversary may claim another's).
    pub fn runs_as(&self, node: &str) -> Name {
        let claimed = self.nodes[node].claims.as_ref().and_then(|claims| claims.name.clone());
        claimed.unwrap_or_else(|| node.parse().expect("names of nodes are checked by the parser"))
    }

    /// The overlay addresses with which this node runs (an adversary may claim another's).
    pub fn runs_with(&self, node: &str) -> Vec<IpAddr> {
        let claimed = self.nodes[node].claims.as_ref().and_then(|claims| claims.address);
        claimed.map_or_else(|| self.nodes[node].address.clone(), |address| vec![address])
    }

    /// Whether the underlay lets packets from one node reach the other, as `reaches` says it (cuts come on top).
    pub fn in_reach(&self, a: &str, b: &str) -> bool {
        let (of_a, of_b) = (&self.nodes[a].reaches, &self.nodes[b].reaches);
        let open = of_a.is_empty() && of_b.is_empty();
        open || of_a.iter().any(|name| name == b) || of_b.iter().any(|name| name == a)
    }

    /// Pairs of nodes (each once, in alphabetic order) that never exchange underlay packets because of `reaches`.
    pub fn out_of_reach(&self) -> Vec<(&str, &str)> {
        let names: Vec<&str> = self.nodes.keys().map(String::as_str).collect();
        let pairs = names.iter().enumerate().flat_map(|(i, a)| names[i + 1..].iter().map(move |b| (*a, *b)));
        pairs.filter(|(a, b)| !self.in_reach(a, b)).collect()
    }

    /// The configuration of a node's engine. `keys` holds the public keys of the nodes that are `pinned`.
    pub fn mesh_config(&self, node: &str, keys: &BTreeMap<String, WgPublicKey>) -> MeshConfig {
        let this = &self.nodes[node];
        let listed = self.nodes.iter().filter(|(_, other)| other.is_static && other.claims.is_none());
        let mut peers: Vec<StaticPeer> = listed.map(|(name, other)| static_peer(name, other, keys)).collect();
        if this.claims.as_ref().is_some_and(|claims| claims.gateway) {
            peers.push(StaticPeer {
                addresses: self.runs_with(node),
                endpoint: HostPort { host: this.attach[0].address.to_string(), port: this.wg_port },
                admin_port: this.admin_port,
                name: None,
                public_key: None,
                gateway: Some(true),
                cost: None,
                weight: None,
            });
        }
        MeshConfig {
            key: NetworkKey::new(network_key(self)),
            subnets: self.subnets_of(node),
            static_peers: peers,
            gateways: match self.network.gateways {
                Gateways::Static => GatewayPolicy::Static,
                Gateways::Any => GatewayPolicy::Any,
            },
            direct: self.network.direct,
            mtu: MTU,
            name: self.runs_as(node),
            addresses: self.runs_with(node),
            class: this.class,
            offer_gateway: self.network.gateways == Gateways::Any && this.gateway == Some(true),
            lan: self.on_lan(node),
            wg_port: this.wg_port,
            admin_port: this.admin_port,
        }
    }

    /// Whether a node is attached to a LAN, and so announces itself.
    pub fn on_lan(&self, node: &str) -> bool {
        self.nodes[node].attach.iter().any(|attachment| self.segments[&attachment.segment].lan)
    }

    /// The text of a node's net.yaml: what [`Self::mesh_config`] says. The daemon's command line is then
    /// `wgnet -c FILE -w WG_PORT -u ADMIN_PORT IF ADDRESS NAME`, with [`Self::runs_with`] and [`Self::runs_as`].
    pub fn network_file(&self, node: &str, keys: &BTreeMap<String, WgPublicKey>) -> String {
        let config = self.mesh_config(node, keys);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let mut line = |line: String| writeln!(text, "{line}").expect("a String takes everything");
        line("network:".to_owned());
        line(format!("  sharedKey: {}", BASE64.encode(network_key(self))));
        line(format!("  subnet: {}", one_or_list(&config.subnets)));
        if config.direct != DirectMode::Auto {
            line(format!("  direct: {}", config.direct));
        }
        if config.gateways == GatewayPolicy::Any {
            line("  gateways: any".to_owned());
        }
        line(if config.static_peers.is_empty() { "peers: []" } else { "peers:" }.to_owned());
        for peer in &config.static_peers {
            line(format!("  - endPoint: \"{}\"", peer.endpoint));
            line(format!("    adminPort: {}", peer.admin_port));
            line(format!("    wgIp: {}", one_or_list(&peer.addresses)));
            let name = peer.name.as_ref().map(|name| format!("    name: {name}"));
            let key = peer.public_key.map(|key| format!("    publicKey: {key}"));
            let gateway = peer.gateway.map(|gateway| format!("    gateway: {gateway}"));
            let cost = peer.cost.map(|cost| format!("    cost: {cost}"));
            let weight = peer.weight.map(|weight| format!("    weight: {weight}"));
            [name, key, gateway, cost, weight].into_iter().flatten().for_each(&mut line);
        }
        text
    }

    /// The subnets in a node's network file: the scenario's, or for one that claims an address outside them, one that
    /// covers both, so that its own checks do not stop it.
    fn subnets_of(&self, node: &str) -> Vec<IpNet> {
        let mut subnets = self.network.subnet.clone();
        for address in self.runs_with(node) {
            if subnets.iter().any(|net| net.contains(&address)) {
                continue;
            }
            let Some(net) = subnets.iter_mut().find(|net| net.addr().is_ipv4() == address.is_ipv4()) else { continue };
            while !net.contains(&address) {
                let Some(wider) = net.supernet() else { break };
                *net = wider;
            }
        }
        subnets.iter().map(IpNet::trunc).collect()
    }
}

fn static_peer(name: &str, node: &Node, keys: &BTreeMap<String, WgPublicKey>) -> StaticPeer {
    let host = node.host_name.clone().unwrap_or_else(|| node.attach[0].address.to_string());
    StaticPeer {
        addresses: node.address.clone(),
        endpoint: HostPort { host, port: node.wg_port },
        admin_port: node.admin_port,
        name: Some(name.parse().expect("names of nodes are checked by the parser")),
        public_key: keys.get(name).copied().filter(|_| node.pinned),
        gateway: node.gateway,
        cost: node.cost,
        weight: node.weight,
    }
}

fn one_or_list<T: std::fmt::Display>(values: &[T]) -> String {
    match values {
        [one] => format!("\"{one}\""),
        more => format!("[{}]", more.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(", ")),
    }
}
