//! The file as it is written, and its conversion to a [`Scenario`].

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::quantity::{duration, offset, some_duration};
use super::{
    Action, Attachment, Between, Bounds, Claims, ClockJump, Condition, Event, Expectation, Flow, HealthOf, HolderOf,
    Hop, Impairment, Limit, Link, LinkCost, Lost, Network, Node, Nodes, Pairs, PathIs, RefusedBy, Renumbering, Router,
    Scenario, Segment, check,
};
use crate::mesh::config::Class;

/// Why a scenario file was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(pub(super) String);

/// How long the scenario goes on after the last thing that is expected of it.
const TAIL: Duration = Duration::from_secs(2);
/// First of the default WireGuard ports, to which the last octet of the overlay address is added.
const WG_PORT_BASE: u16 = 50_000;
/// The same for control ports.
const ADMIN_PORT_BASE: u16 = 50_500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    name: String,
    about: String,
    #[serde(default)]
    simulator_only: bool,
    #[serde(default, deserialize_with = "some_duration")]
    duration: Option<Duration>,
    network: Network,
    segments: BTreeMap<String, Segment>,
    #[serde(default)]
    routers: BTreeMap<String, Router>,
    nodes: BTreeMap<String, RawNode>,
    #[serde(default)]
    events: Vec<RawEvent>,
    #[serde(default)]
    expect: Vec<RawExpectation>,
    #[serde(default)]
    flows: Vec<RawFlow>,
    #[serde(default)]
    bounds: Option<Bounds>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNode {
    #[serde(deserialize_with = "one_or_more")]
    address: Vec<IpAddr>,
    attach: Attachments,
    #[serde(default, rename = "static")]
    is_static: bool,
    #[serde(default)]
    gateway: Option<bool>,
    #[serde(default)]
    cost: Option<u32>,
    #[serde(default)]
    weight: Option<u32>,
    #[serde(default)]
    pinned: bool,
    #[serde(default)]
    host_name: Option<String>,
    #[serde(default)]
    firewall: bool,
    #[serde(default, deserialize_with = "offset")]
    clock: i64,
    #[serde(default)]
    class: Class,
    #[serde(default = "at_once")]
    start: FirstStart,
    #[serde(default)]
    reaches: Vec<String>,
    #[serde(default)]
    wg_port: Option<u16>,
    #[serde(default)]
    admin_port: Option<u16>,
    #[serde(default)]
    claims: Option<Claims>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct FirstStart(Option<Duration>);

impl TryFrom<String> for FirstStart {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        super::quantity::parse_duration(&text).map(|at| Self(Some(at))).map_err(|e| format!("{e}, or `never`"))
    }
}

fn at_once() -> FirstStart {
    FirstStart(Some(Duration::ZERO))
}

/// Interfaces in the file's order: `segment: address` or `segment: { address: .., link: .. }`.
struct Attachments(Vec<Attachment>);

impl<'de> Deserialize<'de> for Attachments {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            address: IpAddr,
            #[serde(default)]
            link: Link,
        }
        struct OneVisitor;
        impl<'de> Visitor<'de> for OneVisitor {
            type Value = Full;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or `{ address: .., link: .. }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Full, E> {
                let address = text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                Ok(Full { address, link: Link::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Full, A::Error> {
                Full::deserialize(de::value::MapAccessDeserializer::new(map))
            }
        }
        struct One(Full);
        impl<'de> Deserialize<'de> for One {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(OneVisitor).map(One)
            }
        }
        struct AllVisitor;
        impl<'de> Visitor<'de> for AllVisitor {
            type Value = Attachments;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from segments to addresses")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attachments, A::Error> {
                let mut list = Vec::new();
                while let Some((segment, One(Full { address, link }))) = map.next_entry::<String, One>()? {
                    list.push(Attachment { segment, address, link });
                }
                Ok(Attachments(list))
            }
        }
        from.deserialize_map(AllVisitor)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvent {
    #[serde(deserialize_with = "duration")]
    at: Duration,
    label: Option<String>,
    start: Option<Nodes>,
    stop: Option<Nodes>,
    kill: Option<Nodes>,
    restart: Option<Nodes>,
    cut: Option<Between>,
    heal: Option<Between>,
    drop: Option<Lost>,
    impair: Option<Impairment>,
    clock: Option<ClockJump>,
    cost: Option<LinkCost>,
    renumber: Option<Renumbering>,
    flush: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpectation {
    after: Option<String>,
    #[serde(deserialize_with = "duration")]
    within: Duration,
    #[serde(default, deserialize_with = "duration")]
    hold: Duration,
    reachable: Option<Pairs>,
    unreachable: Option<Pairs>,
    path: Option<PathIs>,
    refused: Option<RefusedBy>,
    holder: Option<HolderOf>,
    health: Option<HealthOf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFlow {
    pairs: Pairs,
    #[serde(deserialize_with = "duration")]
    every: Duration,
    #[serde(deserialize_with = "duration")]
    start: Duration,
    #[serde(deserialize_with = "duration")]
    stop: Duration,
    limits: Vec<RawLimit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    after: Option<String>,
    #[serde(default, deserialize_with = "some_duration")]
    from: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    until: Option<Duration>,
    lost: Option<u32>,
    #[serde(default, deserialize_with = "some_duration")]
    outage: Option<Duration>,
}

impl From<String> for Hop {
    fn from(text: String) -> Self {
        match text.as_str() {
            "direct" => Self::Direct,
            "gateway" => Self::Gateway,
            "unreachable" => Self::Unreachable,
            _ => Self::Node(text),
        }
    }
}

impl Scenario {
    /// Reads and checks the text of a scenario file.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let raw: RawScenario = serde_yaml::from_str(text).map_err(|e| ScenarioError(e.to_string()))?;
        let nodes = raw.nodes.into_iter().map(|(name, node)| (name, convert_node(node))).collect();
        let mut events = Vec::new();
        for (index, event) in raw.events.into_iter().enumerate() {
            events.push(convert_event(event).map_err(|e| place("events", index, &e))?);
        }
        // Stable: events of one moment happen in the file's order.
        events.sort_by_key(|event: &Event| event.at);
        let mut expect = Vec::new();
        for (index, expectation) in raw.expect.into_iter().enumerate() {
            expect.push(convert_expectation(expectation, &events).map_err(|e| place("expect", index, &e))?);
        }
        let mut flows = Vec::new();
        for (index, flow) in raw.flows.into_iter().enumerate() {
            flows.push(convert_flow(flow, &events).map_err(|e| place("flows", index, &e))?);
        }
        let end = events.iter().map(|e| e.at);
        let end = end.chain(expect.iter().map(|e: &Expectation| e.since + e.within + e.hold));
        let end = end.chain(flows.iter().map(|f: &Flow| f.stop)).max().unwrap_or_default() + TAIL;
        let scenario = Self {
            name: raw.name,
            about: raw.about,
            simulator_only: raw.simulator_only,
            duration: raw.duration.unwrap_or(end),
            network: raw.network,
            segments: raw.segments,
            routers: raw.routers,
            nodes,
            events,
            expect,
            flows,
            bounds: raw.bounds,
        };
        check::check(&scenario, end).map_err(ScenarioError)?;
        Ok(scenario)
    }
}

fn place(list: &str, index: usize, error: &str) -> ScenarioError {
    ScenarioError(format!("{list}[{index}]: {error}"))
}

fn convert_node(raw: RawNode) -> Node {
    let octet = raw.address.first().map_or(0, |address| match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    });
    Node {
        address: raw.address,
        attach: raw.attach.0,
        is_static: raw.is_static,
        gateway: raw.gateway,
        cost: raw.cost,
        weight: raw.weight,
        pinned: raw.pinned,
        host_name: raw.host_name,
        firewall: raw.firewall,
        clock: raw.clock,
        class: raw.class,
        start: raw.start.0,
        reaches: raw.reaches,
        wg_port: raw.wg_port.unwrap_or_else(|| WG_PORT_BASE + u16::from(octet)),
        admin_port: raw.admin_port.unwrap_or_else(|| ADMIN_PORT_BASE + u16::from(octet)),
        claims: raw.claims,
    }
}

fn convert_event(raw: RawEvent) -> Result<Event, String> {
    let actions = [
        raw.start.map(Action::Start),
        raw.stop.map(Action::Stop),
        raw.kill.map(Action::Kill),
        raw.restart.map(Action::Restart),
        raw.cut.map(Action::Cut),
        raw.heal.map(Action::Heal),
        raw.drop.map(Action::Drop),
        raw.impair.map(Action::Impair),
        raw.clock.map(Action::Clock),
        raw.cost.map(Action::Cost),
        raw.renumber.map(Action::Renumber),
        raw.flush.map(Action::Flush),
    ];
    let action =
        exactly_one(actions, "start, stop, kill, restart, cut, heal, drop, impair, clock, cost, renumber or flush")?;
    Ok(Event { at: raw.at, label: raw.label, action, may_be_refused: false })
}

fn convert_expectation(raw: RawExpectation, events: &[Event]) -> Result<Expectation, String> {
    let conditions = [
        raw.reachable.map(Condition::Reachable),
        raw.unreachable.map(Condition::Unreachable),
        raw.path.map(Condition::Path),
        raw.refused.map(Condition::Refused),
        raw.holder.map(Condition::Holder),
        raw.health.map(Condition::Health),
    ];
    let what = exactly_one(conditions, "reachable, unreachable, path, refused, holder or health")?;
    let since = raw.after.as_deref().map_or(Ok(Duration::ZERO), |label| labelled(events, label))?;
    Ok(Expectation { since, after: raw.after, within: raw.within, hold: raw.hold, what })
}

fn convert_flow(raw: RawFlow, events: &[Event]) -> Result<Flow, String> {
    if raw.every.is_zero() {
        return Err("`every` must be longer than 0s".to_owned());
    }
    let mut limits = Vec::new();
    for limit in raw.limits {
        if limit.lost.is_none() && limit.outage.is_none() {
            return Err("a limit needs `lost` or `outage`".to_owned());
        }
        let origin = limit.after.as_deref().map_or(Ok(Duration::ZERO), |label| labelled(events, label))?;
        let from = match (limit.from, &limit.after) {
            (Some(from), _) => origin + from,
            (None, Some(_)) => origin,
            (None, None) => raw.start,
        };
        let until = limit.until.map_or(raw.stop, |until| origin + until);
        limits.push(Limit { from, until, lost: limit.lost, outage: limit.outage });
    }
    Ok(Flow { pairs: raw.pairs, every: raw.every, start: raw.start, stop: raw.stop, limits })
}

fn labelled(events: &[Event], label: &str) -> Result<Duration, String> {
    let named = events.iter().find(|event| event.label.as_deref() == Some(label));
    named.map(|event| event.at).ok_or_else(|| format!("no event has the label {label:?}"))
}

fn exactly_one<T, const N: usize>(options: [Option<T>; N], names: &str) -> Result<T, String> {
    let mut given = options.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("nothing is said: give one of {names}")),
        (Some(_), Some(_)) => Err(format!("two things at once: give one of {names} and write a second entry")),
    }
}

/// Default of a router's `timeout`: Linux forgets an assured UDP flow after 120 s.
pub(super) fn mapping_timeout() -> Duration {
    Duration::from_secs(120)
}

/// Default of `by`.
pub(super) fn all() -> Nodes {
    Nodes::All
}

/// For `#[serde(deserialize_with)]`: one value, or a list of them.
pub(super) fn one_or_more<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de> + std::str::FromStr,
    T::Err: fmt::Display,
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "one value or a list of them")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    let texts = match OneOrMore::deserialize(from)? {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    };
    texts.iter().map(|text| text.parse().map_err(|e| de::Error::custom(format!("{text:?}: {e}")))).collect()
}
