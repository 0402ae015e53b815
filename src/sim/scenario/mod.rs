//! Scenario files: one situation as topology + events + expectations, in YAML.
//!
//! The same file drives the simulator ([`runner`]) and the network-namespace tests, and their verdicts must be equal.
//! So a file says what a user would see (pings, paths, `status`), never what the engine does inside, and its times are
//! such that real daemons can meet them too.
//!
//! * [`Scenario::parse`] reads and checks a file; an error names the place and what to write instead.
//! * [`Scenario::mesh_config`] gives a node's configuration for the engine, [`Scenario::network_file`] the very same
//!   as the text of its net.yaml, for a daemon.
//! * `examples/scenarios/four-boxes.yaml` explains every key in comments.
//!
//! Times in a file count from its start. The daemons that run from the beginning are all started at time 0.

mod check;
mod file;
mod network_file;
mod quantity;
pub mod runner;
mod situations;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::mesh::config::{Class, DirectMode};
use crate::mesh::ids::Name;

pub use file::ScenarioError;
pub(in crate::sim) use network_file::MTU;
pub use network_file::network_key;
pub use quantity::{Nodes, Pairs};
pub use situations::SITUATIONS;

/// One situation: who is there, what happens, what must be true.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// A short name; the file's name without `.yaml`.
    pub name: String,
    /// What the situation is, for people.
    pub about: String,
    /// Whether only the simulator can run it (hours of virtual time, things namespaces cannot do).
    pub simulator_only: bool,
    /// How long it runs, from time 0.
    pub duration: Duration,
    /// The mesh's own settings.
    pub network: Network,
    /// Underlay networks by name. Hosts on one segment reach each other without a router.
    pub segments: BTreeMap<String, Segment>,
    /// Routers between two segments, by name.
    pub routers: BTreeMap<String, Router>,
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// What happens, by time.
    pub events: Vec<Event>,
    /// What must become true.
    pub expect: Vec<Expectation>,
    /// Streams of pings with limits on what they may lose.
    pub flows: Vec<Flow>,
    /// Limits on traffic at rest (invariant I5; only the simulator measures them).
    pub bounds: Option<Bounds>,
}

/// The mesh's own settings: what every node's network file says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The overlay subnets, one or two (IPv4, IPv6).
    #[serde(deserialize_with = "file::one_or_more")]
    pub subnet: Vec<IpNet>,
    /// When pairs go direct.
    #[serde(default)]
    pub direct: DirectMode,
    /// Whether any node may be a gateway that offers it (policy `any`), or only static peers (`static`, the default).
    #[serde(default)]
    pub gateways: Gateways,
}

/// Policy of gateways, as the network file spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gateways {
    /// Static peers, unless one says `gateway: false`.
    #[default]
    Static,
    /// Any node that offers it.
    Any,
}

/// An underlay network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Its addresses.
    pub prefix: IpNet,
    /// Whether one datagram reaches everyone on it, so that nodes there announce themselves. (The internet is none, though
    /// it is one segment here.)
    #[serde(default)]
    pub lan: bool,
}

/// A router between an inside and an outside segment. Hosts inside have it as their default router.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// Where its private side is.
    pub inside: Place,
    /// Where its public side is; that segment may be the inside of another router.
    pub outside: Place,
    /// How it rewrites source addresses of packets that leave.
    #[serde(default)]
    pub mapping: Mapping,
    /// Whom it lets in by an existing mapping. Without a mapping (`mapping: none`): by an existing flow, so that
    /// `endpoint-independent` there means an open router.
    #[serde(default)]
    pub filtering: Filtering,
    /// How long an idle mapping lives (default 120s).
    #[serde(default = "file::mapping_timeout", deserialize_with = "quantity::duration")]
    pub timeout: Duration,
    /// Whether two hosts inside reach each other by their outside addresses.
    #[serde(default)]
    pub hairpin: bool,
    /// Whether hosts inside can ask it for a port (PCP and the like).
    #[serde(default)]
    pub maps: bool,
    /// Properties of its outside line, each direction.
    #[serde(default)]
    pub link: Link,
}

/// A place on a segment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Name of the segment.
    pub segment: String,
    /// The address there.
    pub address: IpAddr,
}

/// How a router rewrites the source of packets that leave (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mapping {
    /// Not at all: a plain router. Hosts outside need (and get) a route to the inside segment.
    None,
    /// The same outside port for all destinations (Linux masquerade without port collisions).
    #[default]
    EndpointIndependent,
    /// One outside port per destination address.
    AddressDependent,
    /// One outside port per destination address and port (nftables `masquerade random`).
    Symmetric,
}

/// Whom a router lets in (RFC 4787, section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filtering {
    /// Anyone who hits a mapping.
    EndpointIndependent,
    /// Addresses that were sent to.
    AddressDependent,
    /// Addresses and ports that were sent to (Linux).
    #[default]
    AddressAndPortDependent,
}

/// What a line does to packets, each direction by itself. Left out: a clean line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// Delay of every packet.
    #[serde(deserialize_with = "quantity::duration")]
    pub latency: Duration,
    /// Additional delay, uniform from zero to this.
    #[serde(deserialize_with = "quantity::duration")]
    pub jitter: Duration,
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
    /// Share of packets that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Share of packets held back so that later ones overtake them (10 ms beyond latency and jitter), 0 to 1.
    pub reorder: f64,
    /// Largest packet in bytes, IP header and all; a larger one vanishes without a word (a black hole).
    pub largest: Option<u16>,
}

/// One machine.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its overlay addresses.
    pub address: Vec<IpAddr>,
    /// Its underlay interfaces, in the file's order.
    pub attach: Vec<Attachment>,
    /// Whether the network file lists it, with the first attachment's address as its endpoint.
    pub is_static: bool,
    /// `gateway` of the network file for a static node; for others: offers to be one (under `gateways: any`).
    pub gateway: Option<bool>,
    /// `cost` of the network file for a static node.
    pub cost: Option<u32>,
    /// `weight` of the network file for a static node.
    pub weight: Option<u32>,
    /// Whether the network file holds its public key.
    pub pinned: bool,
    /// A host name that the network file has in place of its endpoint's address; resolves to its first attachment.
    pub host_name: Option<String>,
    /// Whether a stateful firewall lets only replies in.
    pub firewall: bool,
    /// Offset of its wall clock in microseconds.
    pub clock: i64,
    /// Its class.
    pub class: Class,
    /// When its daemon starts first; `None`: only by an event, or never.
    pub start: Option<Duration>,
    /// If not empty, the only nodes that it exchanges underlay packets with, unless the other one names it.
    pub reaches: Vec<String>,
    /// UDP port of WireGuard (default 50000 + last octet of the first address).
    pub wg_port: u16,
    /// UDP port of control traffic (default 50500 + last octet of the first address).
    pub admin_port: u16,
    /// What it wrongly claims. Such a node is an adversary: `all` never means it.
    pub claims: Option<Claims>,
}

/// An underlay interface of a node.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Name of the segment.
    pub segment: String,
    /// The address there.
    pub address: IpAddr,
    /// Properties of the line between the node and the segment, each direction.
    pub link: Link,
}

/// What an adversary says of itself in place of the truth: an ordinary daemon with a wrong configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Claims {
    /// Runs under this name.
    pub name: Option<Name>,
    /// Runs with this overlay address; its own network file has a subnet that covers it.
    pub address: Option<IpAddr>,
    /// Its own network file lists it as a gateway.
    pub gateway: bool,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// A name for expectations to refer to.
    pub label: Option<String>,
    /// What.
    pub action: Action,
    /// Whether a node may refuse it: random schedules give commands without knowing who is whose neighbour just then.
    pub may_be_refused: bool,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Action {
    /// Daemons start.
    Start(Nodes),
    /// Daemons leave the mesh (SIGTERM).
    Stop(Nodes),
    /// Daemons die (SIGKILL); nothing of their tunnel remains.
    Kill(Nodes),
    /// Daemons die and start again in the same moment; keys and state files persist.
    Restart(Nodes),
    /// Underlay packets no longer pass.
    Cut(Between),
    /// Underlay packets pass again (what `reaches` forbids stays forbidden).
    Heal(Between),
    /// The next underlay packets are lost.
    Drop(Lost),
    /// Lines of nodes get new properties.
    Impair(Impairment),
    /// Wall clocks jump. In namespaces it acts at the node's next start, so restart it at the same time.
    Clock(ClockJump),
    /// `wgnet`'s admin command: the cost of a node's link to a peer.
    Cost(LinkCost),
    /// A node's underlay address changes.
    Renumber(Renumbering),
    /// Routers lose all their mappings and flows (a router reboots).
    Flush(Vec<String>),
}

/// Between which nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// These nodes ..
    pub from: Nodes,
    /// .. and those.
    pub to: Nodes,
    /// Only packets that go from `from` to `to`.
    #[serde(default)]
    pub one_way: bool,
}

/// Packets to be lost.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// Sent by this node ..
    pub from: String,
    /// .. to that one.
    pub to: String,
    /// How many underlay packets, of WireGuard and control alike.
    pub packets: u32,
}

/// New properties of nodes' lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impairment {
    /// All underlay interfaces of these nodes.
    pub nodes: Nodes,
    /// The whole set of properties; `{}` makes the lines clean.
    pub link: Link,
}

/// A jump of wall clocks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockJump {
    /// Whose.
    pub nodes: Nodes,
    /// Offset from true time in microseconds, from now on.
    #[serde(deserialize_with = "quantity::offset")]
    pub offset: i64,
}

/// A link's cost set by hand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkCost {
    /// Where the command is given.
    pub node: String,
    /// The link to this peer.
    pub peer: String,
    /// The cost; left out: measured again.
    pub cost: Option<u32>,
}

/// A new underlay address.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renumbering {
    /// Whose.
    pub node: String,
    /// On which segment.
    pub segment: String,
    /// The new address, in the segment's prefix.
    pub address: IpAddr,
}

/// Something that must become true.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The event's time that `within` counts from; 0 without an `after`.
    pub since: Duration,
    /// Label of that event, for messages.
    pub after: Option<String>,
    /// How soon it must be true.
    pub within: Duration,
    /// How long it must stay true from then on.
    pub hold: Duration,
    /// What.
    pub what: Condition,
}

/// What can be expected.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Pings (1 try each 100 ms or faster, answer within 1 s) from each to each are answered: every pair at least once
    /// after `since`, and from then on during `hold` all that are sent (one a second).
    Reachable(Pairs),
    /// No ping that is sent `within` after `since` or later, during `hold` (at least 1 s), is answered.
    Unreachable(Pairs),
    /// `status` on each `from` shows this path to each `to`.
    Path(PathIs),
    /// `status` on each of `by` shows the nodes as refused, and none of them routes anything to them that is another's.
    Refused(RefusedBy),
    /// All running nodes, adversaries too, agree which one of the nodes `of` holds the name.
    Holder(HolderOf),
    /// `status` on each node has a health line of this code.
    Health(HealthOf),
}

/// Which path.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathIs {
    /// Seen from each of these ..
    pub from: Nodes,
    /// .. to each of those.
    pub to: Nodes,
    /// `direct`, `gateway` (any), `unreachable`, or the name of the gateway that is the next hop.
    pub via: Hop,
}

/// The next hop of a path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Hop {
    /// The node itself.
    Direct,
    /// Some gateway.
    Gateway,
    /// None.
    Unreachable,
    /// This node.
    Node(String),
}

/// Refused by whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedBy {
    /// Whose claims.
    pub nodes: Nodes,
    /// Seen by each of these (default `all`).
    #[serde(default = "file::all")]
    pub by: Nodes,
}

/// One holder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HolderOf {
    /// The name that is claimed more than once.
    pub name: Name,
    /// Scenario names of the claimants: exactly one of them holds it.
    pub of: Vec<String>,
}

/// A health line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthOf {
    /// On these nodes.
    pub nodes: Nodes,
    /// The stable word, such as `name-conflict`.
    pub code: String,
}

/// A stream of pings through the overlay: each of `from` to each of `to`, one each `every`.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Who pings whom.
    pub pairs: Pairs,
    /// Interval of one pair's pings.
    pub every: Duration,
    /// First ping.
    pub start: Duration,
    /// Last ping.
    pub stop: Duration,
    /// What may go wrong. Outside the limits' windows nothing is judged.
    pub limits: Vec<Limit>,
}

/// A limit on what a flow may lose within a window. Judged for each pair by itself.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Pings sent from this time on ..
    pub from: Duration,
    /// .. until this time are judged.
    pub until: Duration,
    /// At most this many of them are unanswered (after 1 s).
    pub lost: Option<u32>,
    /// The longest run of unanswered pings lasts at most this long, from its first one to the next that is answered.
    pub outage: Option<Duration>,
}

/// Limits at rest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// From this time to the end nothing happens.
    #[serde(deserialize_with = "quantity::duration")]
    pub idle_from: Duration,
    /// At most this many bytes on the underlay, sent and received, per node and hour.
    pub bytes_per_hour: Option<u64>,
    /// At most this many times an hour a node changes its way to any of the others.
    pub path_changes_per_hour: Option<u64>,
}

#[cfg(test)]
mod tests;
