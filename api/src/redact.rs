//! Pseudonyms: the same mesh without what tells whose it is, for pictures, recordings and reports that others see.
//!
//! | what | becomes |
//! |---|---|
//! | the node that answers | `me` |
//! | names of gateways, of leaves, of foreign peers | `gateway-1`, `node-1`, `foreign-1` |
//! | overlay addresses | addresses of 198.18.0.0/15 (RFC 2544) and 2001:db8::/32 (RFC 3849), which nobody has |
//! | other addresses, ports beside them | `endpoint-1`, `endpoint-1:p1` |
//! | WireGuard keys, identities, host names | `key-1`, `id-1`, `host-1` |
//!
//! Within one [`Pseudonyms`] a thing keeps its pseudonym. The first snapshot gives them out in the order of overlay
//! addresses, so that tables keep their order and equal meshes look equal. Costs, times, counters, states and the version
//! stay: they are what one wants to show.
//!
//! In free texts (reasons, journal, health) every known name, address, key and identity is replaced where it stands as a
//! whole word, and besides, whatever looks like an address, a key, an identity or a host name, known or not. A name that
//! appears in no snapshot and as no subject of the journal cannot be told from an ordinary word.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{
    Candidate, Difference, Gateway, Health, Hop, JournalEntry, Mesh, MeshLink, MeshNode, Missing, Node, Peer,
    PortMapping, RunnerUp, Snapshot, Status, Why,
};

/// Who is called what.
#[derive(Clone, Debug, Default)]
pub struct Pseudonyms {
    names: BTreeMap<String, String>,
    /// Pseudonyms that are in use, and names that must not become one: they are someone's.
    taken: BTreeSet<String>,
    addresses: BTreeMap<IpAddr, IpAddr>,
    hosts: BTreeMap<String, String>,
    /// By address of the underlay.
    endpoints: BTreeMap<IpAddr, String>,
    ports: BTreeMap<u16, usize>,
    keys: BTreeMap<String, String>,
    /// By the first digits of an identity, 16 at most.
    ids: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
    overlay: u32,
}

impl Pseudonyms {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives out pseudonyms for everything in a moment, so that texts about it can be told before it.
    pub fn learn(&mut self, snapshot: &Snapshot) {
        let Snapshot { status, mesh, .. } = snapshot;
        self.taken.extend(status.peers.iter().map(|peer| peer.name.clone()));
        self.taken.extend(mesh.nodes.iter().map(|node| node.name.clone()));
        self.learn_own(&status.node);
        for peer in &status.peers {
            self.learn_peer(peer);
        }
        for node in &mesh.nodes {
            self.learn_node(node);
        }
    }

    /// One moment.
    pub fn snapshot(&mut self, snapshot: &Snapshot) -> Snapshot {
        self.learn(snapshot);
        Snapshot {
            time_ms: snapshot.time_ms,
            status: self.told_status(&snapshot.status),
            mesh: self.told_mesh(&snapshot.mesh),
            counters: snapshot.counters.clone(),
        }
    }

    /// This node, its peers, what is wrong.
    pub fn status(&mut self, status: &Status) -> Status {
        self.taken.extend(status.peers.iter().map(|peer| peer.name.clone()));
        self.learn_own(&status.node);
        status.peers.iter().for_each(|peer| self.learn_peer(peer));
        self.told_status(status)
    }

    /// The whole mesh.
    pub fn mesh(&mut self, mesh: &Mesh) -> Mesh {
        self.taken.extend(mesh.nodes.iter().map(|node| node.name.clone()));
        mesh.nodes.iter().for_each(|node| self.learn_node(node));
        self.told_mesh(mesh)
    }

    /// What is different from the moment before.
    pub fn difference(&mut self, difference: &Difference) -> Difference {
        if let Some(node) = &difference.node {
            self.learn_own(node);
        }
        self.taken.extend(difference.peers.iter().map(|peer| peer.name.clone()));
        difference.peers.iter().for_each(|peer| self.learn_peer(peer));
        difference.nodes.iter().for_each(|node| self.learn_node(node));
        Difference {
            time_ms: difference.time_ms,
            uptime_s: difference.uptime_s,
            node: difference.node.as_ref().map(|node| self.own(node)),
            peers: difference.peers.iter().map(|peer| self.peer(peer)).collect(),
            gone_peers: difference.gone_peers.iter().map(|id| self.id(id)).collect(),
            health: difference.health.as_ref().map(|health| health.iter().map(|line| self.health(line)).collect()),
            gateways: difference.gateways.as_ref().map(|list| list.iter().map(|one| self.gateway(one)).collect()),
            nodes: difference.nodes.iter().map(|node| self.node(node)).collect(),
            gone_nodes: difference.gone_nodes.iter().map(|id| self.id(id)).collect(),
            links: difference.links.iter().map(|link| self.link(link)).collect(),
            gone_links: difference.gone_links.iter().map(|(a, b)| ordered(self.name(a), self.name(b)).0).collect(),
            counters: difference.counters.clone(),
        }
    }

    /// What happened.
    pub fn entry(&mut self, entry: &JournalEntry) -> JournalEntry {
        let subject = self.name(&entry.subject);
        JournalEntry { subject, text: self.text(&entry.text), ..entry.clone() }
    }

    /// An explanation.
    pub fn why(&mut self, why: &Why) -> Why {
        let hop =
            |this: &mut Self, hop: &Hop| Hop { from: this.name(&hop.from), to: this.name(&hop.to), ..hop.clone() };
        Why {
            from: self.name(&why.from),
            to: self.name(&why.to),
            hops: why.hops.iter().map(|one| hop(self, one)).collect(),
            cost: why.cost,
            candidates: why.candidates.iter().map(|candidate| self.candidate(candidate)).collect(),
            missing: why
                .missing
                .as_ref()
                .map(|missing| Missing { reason: self.text(&missing.reason), remedy: self.text(&missing.remedy) }),
            mtu: why.mtu,
            readers: why.readers.iter().map(|name| self.name(name)).collect(),
            note: why.note.as_ref().map(|note| self.text(note)),
        }
    }

    /// What stands where a node's name stands: a name, an address of a node that nobody heard of, a short identity.
    pub fn name(&mut self, name: &str) -> String {
        self.name_as("node", name)
    }

    fn name_as(&mut self, role: &'static str, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        if let Ok(address) = name.parse() {
            return self.overlay_address(address).to_string();
        }
        if let Some(known) = self.known_id(name) {
            return known;
        }
        if words::is_key(name) {
            return self.key(name);
        }
        let pseudonym = loop {
            let candidate = self.numbered(role);
            if !self.taken.contains(&candidate) {
                break candidate;
            }
        };
        self.taken.insert(name.to_owned());
        self.names.insert(name.to_owned(), pseudonym.clone());
        pseudonym
    }

    /// `node-1`, `node-2` and so on.
    fn numbered(&mut self, what: &'static str) -> String {
        let count = self.counts.entry(what).or_default();
        *count += 1;
        format!("{what}-{count}")
    }

    fn learn_own(&mut self, node: &Node) {
        if self.names.get(&node.name).is_none_or(|known| known != "me") {
            self.names.insert(node.name.clone(), "me".to_owned());
        }
        for address in std::iter::once(&node.address).chain(&node.addresses) {
            self.address(address);
        }
        if let Ok(address) = node.link_address.parse() {
            self.overlay_address(address);
        }
        self.key(&node.public_key);
        self.identity(&node.identity);
    }

    fn learn_peer(&mut self, peer: &Peer) {
        let role = match (peer.foreign, peer.gateway) {
            (true, _) => "foreign",
            (false, true) => "gateway",
            (false, false) => "node",
        };
        for address in std::iter::once(&peer.address).chain(&peer.addresses) {
            self.address(address);
        }
        self.id(&peer.id);
        if let Some(key) = &peer.public_key {
            self.key(key);
        }
        self.name_as(role, &peer.name);
    }

    fn learn_node(&mut self, node: &MeshNode) {
        self.address(&node.address);
        self.id(&node.id);
        self.name_as(if node.gateway { "gateway" } else { "node" }, &node.name);
    }

    fn told_status(&mut self, status: &Status) -> Status {
        let mut peers: Vec<_> = status.peers.iter().map(|peer| self.peer(peer)).collect();
        peers.sort_by_cached_key(|peer| (peer.foreign, crate::snapshot::order(&peer.address, &peer.name)));
        let health = status.health.iter().map(|line| self.health(line)).collect();
        let gateways = status.gateways.iter().map(|gateway| self.gateway(gateway)).collect();
        Status { node: self.own(&status.node), peers, health, gateways }
    }

    fn gateway(&mut self, gateway: &Gateway) -> Gateway {
        Gateway { name: self.name(&gateway.name), ..gateway.clone() }
    }

    fn told_mesh(&mut self, mesh: &Mesh) -> Mesh {
        let mut nodes: Vec<_> = mesh.nodes.iter().map(|node| self.node(node)).collect();
        nodes.sort_by_cached_key(|node| crate::snapshot::order(&node.address, &node.name));
        let mut links: Vec<_> = mesh.links.iter().map(|link| self.link(link)).collect();
        links.sort_by(|a, b| (&a.a, &a.b).cmp(&(&b.a, &b.b)));
        Mesh { nodes, links }
    }

    fn own(&mut self, node: &Node) -> Node {
        Node {
            name: self.name(&node.name),
            address: self.address(&node.address),
            addresses: node.addresses.iter().map(|address| self.address(address)).collect(),
            interface: "wg0".to_owned(),
            public_key: self.key(&node.public_key),
            identity: self.identity(&node.identity),
            link_address: self.address(&node.link_address),
            outside: node.outside.iter().map(|endpoint| self.text(endpoint)).collect(),
            port_mapping: node
                .port_mapping
                .as_ref()
                .map(|mapping| PortMapping { external: self.text(&mapping.external), ..mapping.clone() }),
            ..node.clone()
        }
    }

    fn peer(&mut self, peer: &Peer) -> Peer {
        Peer {
            id: self.id(&peer.id),
            name: self.name(&peer.name),
            address: self.address(&peer.address),
            addresses: peer.addresses.iter().map(|address| self.address(address)).collect(),
            via: peer.via.as_ref().map(|via| self.name(via)),
            endpoint: peer.endpoint.as_ref().map(|endpoint| self.text(endpoint)),
            runner_up: peer
                .runner_up
                .as_ref()
                .map(|runner_up| RunnerUp { via: self.name(&runner_up.via), ..runner_up.clone() }),
            public_key: peer.public_key.as_ref().map(|key| self.key(key)),
            why: self.text(&peer.why),
            ..peer.clone()
        }
    }

    fn node(&mut self, node: &MeshNode) -> MeshNode {
        MeshNode {
            id: self.id(&node.id),
            name: self.name(&node.name),
            address: self.address(&node.address),
            ..node.clone()
        }
    }

    /// The end that comes first is another one when pseudonyms sort differently.
    fn link(&mut self, link: &MeshLink) -> MeshLink {
        let ((a, b), swapped) = ordered(self.name(&link.a), self.name(&link.b));
        let (cost_a, cost_b) = if swapped { (link.cost_b, link.cost_a) } else { (link.cost_a, link.cost_b) };
        MeshLink { a, b, cost_a, cost_b, ..link.clone() }
    }

    fn health(&mut self, line: &Health) -> Health {
        Health { text: self.text(&line.text), remedy: self.text(&line.remedy), ..line.clone() }
    }

    fn candidate(&mut self, candidate: &Candidate) -> Candidate {
        Candidate { via: self.name(&candidate.via), text: self.text(&candidate.text), ..candidate.clone() }
    }

    /// [`Peer::id`]: an identity in short, `static:` and an address or a name, `wg:` and a key.
    fn id(&mut self, id: &str) -> String {
        match id.split_once(':') {
            Some(("static", rest)) => {
                let rest = if rest.parse::<IpAddr>().is_ok() { self.address(rest) } else { self.name(rest) };
                format!("static:{rest}")
            }
            Some(("wg", key)) => format!("wg:{}", self.key(key)),
            _ => self.identity(id),
        }
    }

    fn identity(&mut self, id: &str) -> String {
        if id.is_empty() {
            return String::new();
        }
        if let Some(known) = self.known_id(id) {
            return known;
        }
        let pseudonym = self.numbered("id");
        self.ids.insert(id[..id.len().min(16)].to_owned(), pseudonym.clone());
        pseudonym
    }

    /// The pseudonym of an identity that is known, given at least eight of its digits.
    fn known_id(&self, digits: &str) -> Option<String> {
        if digits.len() < 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let is_same = |known: &str| known.starts_with(digits) || digits.starts_with(known);
        self.ids.iter().find(|(known, _)| is_same(known)).map(|(_, pseudonym)| pseudonym.clone())
    }

    fn key(&mut self, key: &str) -> String {
        if key.is_empty() {
            return String::new();
        }
        let bare = key.trim_end_matches('=');
        if let Some(known) = self.keys.get(bare) {
            return known.clone();
        }
        let pseudonym = self.numbered("key");
        self.keys.insert(bare.to_owned(), pseudonym.clone());
        pseudonym
    }

    fn host(&mut self, host: &str) -> String {
        if let Some(known) = self.hosts.get(host) {
            return known.clone();
        }
        let pseudonym = self.numbered("host");
        self.hosts.insert(host.to_owned(), pseudonym.clone());
        pseudonym
    }

    /// An overlay address or prefix, as text.
    fn address(&mut self, address: &str) -> String {
        let (host, length) = address.split_once('/').map_or((address, None), |(host, length)| (host, Some(length)));
        let Ok(host) = host.parse::<IpAddr>() else { return self.text(address) };
        let told = self.overlay_address(host);
        length.map_or_else(|| told.to_string(), |length| format!("{told}/{length}"))
    }

    fn overlay_address(&mut self, address: IpAddr) -> IpAddr {
        if address.is_unspecified() || address.is_loopback() {
            return address;
        }
        if let Some(known) = self.addresses.get(&address) {
            return *known;
        }
        let told = loop {
            self.overlay += 1;
            let candidate = fake(self.overlay, address);
            // Someone may have such an address, and a pseudonym must not be another one's address.
            if candidate != address && !self.addresses.contains_key(&candidate) {
                break candidate;
            }
        };
        self.addresses.insert(address, told);
        told
    }

    fn endpoint_host(&mut self, address: IpAddr) -> String {
        if address.is_unspecified() || address.is_loopback() || self.addresses.contains_key(&address) {
            return self.overlay_address(address).to_string();
        }
        if let Some(known) = self.endpoints.get(&address) {
            return known.clone();
        }
        let pseudonym = self.numbered("endpoint");
        self.endpoints.insert(address, pseudonym.clone());
        pseudonym
    }

    fn endpoint(&mut self, endpoint: SocketAddr) -> String {
        let port = self.port(endpoint.port());
        format!("{}:{port}", self.endpoint_host(endpoint.ip()))
    }

    /// Ports say something too: by default they are made of the last number of the overlay address.
    fn port(&mut self, port: u16) -> String {
        let next = self.ports.len() + 1;
        format!("p{}", self.ports.entry(port).or_insert(next))
    }
}

/// The `number`th address of a range that nobody has, of the same family.
fn fake(number: u32, like: IpAddr) -> IpAddr {
    const BENCHMARK: u32 = u32::from_be_bytes([198, 18, 0, 0]);
    const HOSTS: u32 = 1 << 17;
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(BENCHMARK + number % HOSTS).into(),
        IpAddr::V6(_) => Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(number)).into(),
    }
}

/// Both ends in their order, and whether that is another one.
fn ordered(a: String, b: String) -> ((String, String), bool) {
    if a <= b { ((a, b), false) } else { ((b, a), true) }
}

#[cfg(test)]
mod tests;
