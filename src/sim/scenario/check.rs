//! What serde cannot see: names that nobody has, addresses in the wrong place, things said twice.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::{Action, Condition, Hop, Link, Nodes, Pairs, Scenario};
use crate::mesh::ids::Name;

/// Control datagrams of 1200 bytes, their headers and what WireGuard adds must pass everywhere.
const LEAST: u16 = 1320;

/// Checks everything that needs more than one place of the file. `end` is when the last expectation ends.
pub(super) fn check(scenario: &Scenario, end: Duration) -> Result<(), String> {
    if scenario.duration < end.saturating_sub(Duration::from_secs(2)) {
        return Err("duration: something happens or is expected after the end".to_owned());
    }
    topology(scenario)?;
    let mut labels = BTreeSet::new();
    for (index, event) in scenario.events.iter().enumerate() {
        if event.label.as_ref().is_some_and(|label| !labels.insert(label)) {
            return Err(format!("events: the label {:?} is given twice", event.label.as_deref().unwrap_or_default()));
        }
        // Events are sorted by time, so the time says better than the index which one is meant.
        let at = event.at.as_secs_f64();
        action(scenario, &event.action).map_err(|e| format!("events: number {index} by time (at {at} s): {e}"))?;
    }
    for (index, expectation) in scenario.expect.iter().enumerate() {
        condition(scenario, &expectation.what).map_err(|e| format!("expect[{index}]: {e}"))?;
    }
    for (index, flow) in scenario.flows.iter().enumerate() {
        pairs(scenario, &flow.pairs).map_err(|e| format!("flows[{index}]: {e}"))?;
        if flow.stop <= flow.start {
            return Err(format!("flows[{index}]: stops before it starts"));
        }
    }
    Ok(())
}

fn topology(scenario: &Scenario) -> Result<(), String> {
    if scenario.network.subnet.is_empty() || scenario.nodes.is_empty() {
        return Err("a scenario needs a subnet and a node".to_owned());
    }
    let mut places = BTreeSet::new();
    for (name, router) in &scenario.routers {
        for place in [&router.inside, &router.outside] {
            on_segment(scenario, &place.segment, place.address).map_err(|e| format!("routers.{name}: {e}"))?;
            if !places.insert((place.segment.as_str(), place.address)) {
                return Err(format!("routers.{name}: {} is taken on {}", place.address, place.segment));
            }
        }
        if router.inside.segment == router.outside.segment {
            return Err(format!("routers.{name}: inside and outside are the same segment"));
        }
        link(&router.link).map_err(|e| format!("routers.{name}: {e}"))?;
    }
    let mut overlay = BTreeSet::new();
    for (name, node) in &scenario.nodes {
        let here = |e: String| format!("nodes.{name}: {e}");
        name.parse::<Name>().map_err(|e| here(e.to_string()))?;
        if scenario.routers.contains_key(name) || name == "all" {
            return Err(here("this name means something else".to_owned()));
        }
        if node.attach.is_empty() {
            return Err(here("attach: a node needs a segment".to_owned()));
        }
        for attachment in &node.attach {
            on_segment(scenario, &attachment.segment, attachment.address).map_err(here)?;
            if !places.insert((&attachment.segment, attachment.address)) {
                return Err(here(format!("{} is taken on {}", attachment.address, attachment.segment)));
            }
            link(&attachment.link).map_err(here)?;
        }
        if node.address.is_empty() || node.address.len() > 2 {
            return Err(here("address: one, or one of IPv4 and one of IPv6".to_owned()));
        }
        for address in &node.address {
            if !scenario.network.subnet.iter().any(|net| net.contains(address)) {
                return Err(here(format!(
                    "address {address} lies outside the subnet (an adversary says so in `claims`)"
                )));
            }
            if !overlay.insert(*address) {
                return Err(here(format!("address {address} belongs to another node, too")));
            }
        }
        for other in &node.reaches {
            known(scenario, other).map_err(|e| here(format!("reaches: {e}")))?;
        }
    }
    Ok(())
}

fn on_segment(scenario: &Scenario, segment: &str, address: IpAddr) -> Result<(), String> {
    let prefix = scenario.segments.get(segment).ok_or_else(|| format!("there is no segment {segment:?}"))?.prefix;
    if prefix.contains(&address) { Ok(()) } else { Err(format!("{address} lies outside {segment}'s prefix {prefix}")) }
}

fn link(link: &Link) -> Result<(), String> {
    for (what, share) in [("loss", link.loss), ("duplicate", link.duplicate), ("reorder", link.reorder)] {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("link: {what} is a share from 0 to 1, not {share}"));
        }
    }
    if let Some(largest) = link.largest.filter(|largest| *largest < LEAST) {
        return Err(format!("link: largest is {LEAST} bytes or more, or nothing passes; not {largest}"));
    }
    Ok(())
}

fn known(scenario: &Scenario, node: &str) -> Result<(), String> {
    if scenario.nodes.contains_key(node) { Ok(()) } else { Err(format!("there is no node {node:?}")) }
}

fn nodes(scenario: &Scenario, nodes: &Nodes) -> Result<(), String> {
    match nodes {
        Nodes::All => Ok(()),
        Nodes::These(names) => names.iter().try_for_each(|name| known(scenario, name)),
    }
}

fn pairs(scenario: &Scenario, pairs: &Pairs) -> Result<(), String> {
    nodes(scenario, &pairs.from)?;
    nodes(scenario, &pairs.to)
}

fn action(scenario: &Scenario, action: &Action) -> Result<(), String> {
    match action {
        Action::Start(who) | Action::Stop(who) | Action::Kill(who) | Action::Restart(who) => nodes(scenario, who),
        Action::Cut(between) | Action::Heal(between) => {
            nodes(scenario, &between.from)?;
            nodes(scenario, &between.to)
        }
        Action::Drop(lost) => {
            known(scenario, &lost.from)?;
            known(scenario, &lost.to)
        }
        Action::Impair(impairment) => {
            link(&impairment.link)?;
            nodes(scenario, &impairment.nodes)
        }
        Action::Clock(jump) => nodes(scenario, &jump.nodes),
        Action::Cost(cost) => {
            known(scenario, &cost.node)?;
            known(scenario, &cost.peer)
        }
        Action::Renumber(new) => {
            known(scenario, &new.node)?;
            on_segment(scenario, &new.segment, new.address)?;
            let attached = scenario.nodes[&new.node].attach.iter().any(|a| a.segment == new.segment);
            if attached { Ok(()) } else { Err(format!("{} is not attached to {}", new.node, new.segment)) }
        }
        Action::Flush(routers) => routers.iter().try_for_each(|name| {
            if scenario.routers.contains_key(name) { Ok(()) } else { Err(format!("there is no router {name:?}")) }
        }),
    }
}

fn condition(scenario: &Scenario, condition: &Condition) -> Result<(), String> {
    match condition {
        Condition::Reachable(who) | Condition::Unreachable(who) => pairs(scenario, who),
        Condition::Path(path) => {
            nodes(scenario, &path.from)?;
            nodes(scenario, &path.to)?;
            if let Hop::Node(name) = &path.via { known(scenario, name) } else { Ok(()) }
        }
        Condition::Refused(refused) => {
            nodes(scenario, &refused.nodes)?;
            nodes(scenario, &refused.by)
        }
        Condition::Holder(holder) => holder.of.iter().try_for_each(|name| known(scenario, name)),
        Condition::Health(health) => nodes(scenario, &health.nodes),
    }
}
