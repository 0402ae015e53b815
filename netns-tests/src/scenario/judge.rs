//! Judges one expectation: looks until it is true, then as long as it must stay so.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use wgnet::sim::scenario::{Condition, Expectation, Hop, Pairs};
use wgnet_api::{PathKind, Peer, Status};

use super::world::World;
use crate::all_pairs::{AllPairs, Party};
use crate::wait::until;

/// Interval of pings until each pair has passed one.
const SEEK_EVERY: Duration = Duration::from_millis(20);
/// Interval of pings and looks while an expectation is held.
const HOLD_EVERY: Duration = Duration::from_secs(1);
/// Interval of the pings that nobody may answer.
const SILENCE_EVERY: Duration = Duration::from_millis(250);
/// After this time it is asked anew who must be reachable.
const ROUND: Duration = Duration::from_secs(1);
/// So many pairs are named in a message.
const NAMED: usize = 4;

/// Waits for the expectation; `None` when it was met, else what was wrong.
pub(super) fn judge(world: &World, expectation: &Expectation, index: usize) -> Option<String> {
    let wrong = match &expectation.what {
        Condition::Reachable(pairs) => reachable(world, expectation, pairs),
        Condition::Unreachable(pairs) => unreachable(world, expectation, pairs),
        other => status(world, expectation, other),
    };
    let what = match &expectation.what {
        Condition::Reachable(_) => "reachable",
        Condition::Unreachable(_) => "unreachable",
        Condition::Path(_) => "path",
        Condition::Refused(_) => "refused",
        Condition::Holder(_) => "holder",
        Condition::Health(_) => "health",
    };
    let after = expectation.after.as_ref().map(|label| format!(" after {label:?}")).unwrap_or_default();
    Some(format!("expect[{index}] ({what} within {:?}{after}): {}", expectation.within, wrong?))
}

fn reachable(world: &World, expectation: &Expectation, pairs: &Pairs) -> Option<String> {
    let deadline = world.time(expectation.since + expectation.within);
    let mut passed = BTreeSet::new();
    // Who `all` are changes while nodes start: asked again each round, as the simulator does at each look.
    let wanted = loop {
        let wanted = world.pairs(pairs);
        let missing = wanted.iter().filter(|pair| !passed.contains(*pair)).cloned().collect::<Vec<_>>();
        if missing.is_empty() && !wanted.is_empty() {
            break wanted;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let whom = if wanted.is_empty() { "nobody to ping".to_owned() } else { list(world, &missing) };
            return Some(format!("{} of {} pairs: {whom}", missing.len(), wanted.len()));
        }
        let reach = start_pairs(world, &missing, SEEK_EVERY).finish(left.min(ROUND));
        if missing.is_empty() {
            std::thread::sleep(SEEK_EVERY);
        }
        passed.extend(missing.into_iter().filter(|pair| reach.has_passed(pair)));
    };
    if expectation.hold.is_zero() {
        return None;
    }
    let lost = hold(world, &wanted, HOLD_EVERY, Instant::now() + expectation.hold, |report| report.lost() > 0);
    (!lost.is_empty()).then(|| format!("was true, but then pings were lost: {}", list(world, &lost)))
}

fn unreachable(world: &World, expectation: &Expectation, pairs: &Pairs) -> Option<String> {
    let hold_for = expectation.hold.max(Duration::from_secs(1));
    let end = world.time(expectation.since + expectation.within + hold_for);
    let answered = hold(world, &world.pairs(pairs), SILENCE_EVERY, end, |report| report.lost() < report.sent());
    (!answered.is_empty()).then(|| format!("but pings were answered: {}", list(world, &answered)))
}

/// Pings all pairs until `end` and gives back those whose pings offend.
fn hold(
    world: &World,
    pairs: &[(String, String)],
    every: Duration,
    end: Instant,
    offends: impl Fn(&crate::flow::FlowReport) -> bool,
) -> Vec<(String, String)> {
    let flows = pairs.iter().map(|(from, to)| world.node(from).flow_to(world.node(to), every)).collect::<Vec<_>>();
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    flows.iter().for_each(|flow| flow.end_soon());
    let judged = pairs.iter().zip(flows).map(|(pair, flow)| {
        let mut report = flow.stop();
        report.keep(|sent| sent <= end);
        (pair, report)
    });
    judged.filter(|(_, report)| offends(report)).map(|(pair, _)| pair.clone()).collect()
}

fn start_pairs(world: &World, wanted: &[(String, String)], every: Duration) -> AllPairs {
    let names = wanted.iter().flat_map(|(from, to)| [from, to]).collect::<BTreeSet<_>>();
    let number = |name: &String| names.iter().position(|other| *other == name).expect("every name is listed");
    let numbered = wanted.iter().map(|(from, to)| (number(from), number(to))).collect();
    let party = |name: &&String| {
        let node = world.node(name);
        Party { machine: node.machine().clone(), address: node.address(), name: name.to_string() }
    };
    AllPairs::start_pairs(names.iter().map(party).collect(), numbered, every)
}

fn status(world: &World, expectation: &Expectation, what: &Condition) -> Option<String> {
    let deadline = world.time(expectation.since + expectation.within);
    let mut wrong = "not looked at".to_owned();
    let met = until(deadline.saturating_duration_since(Instant::now()), || match differs(world, what) {
        None => Some(()),
        Some(text) => {
            wrong = text;
            None
        }
    });
    if met.is_none() {
        return Some(wrong);
    }
    let end = Instant::now() + expectation.hold;
    while Instant::now() < end {
        std::thread::sleep(HOLD_EVERY.min(end.saturating_duration_since(Instant::now())));
        if let Some(wrong) = differs(world, what) {
            return Some(format!("was true, but not any more: {wrong}"));
        }
    }
    None
}

/// What of the nodes' status is not as expected; `None` when all is.
fn differs(world: &World, what: &Condition) -> Option<String> {
    let status = |name: &str| world.node(name).status();
    let check = || -> Result<(), String> {
        match what {
            Condition::Path(path) => {
                let to = world.select(&path.to);
                for from in world.select(&path.from) {
                    let status = status(&from)?;
                    to.iter()
                        .filter(|to| **to != from)
                        .try_for_each(|to| path_is(world, &from, to, &status, &path.via))?;
                }
            }
            Condition::Refused(refused) => {
                for by in world.select(&refused.by) {
                    let status = status(&by)?;
                    for node in world.select(&refused.nodes).into_iter().filter(|node| *node != by) {
                        let seen = find(world, &status, &node).ok_or_else(|| format!("{by} does not know {node}"))?;
                        if !seen.refused {
                            return Err(format!("{by} does not refuse {node}"));
                        }
                    }
                }
            }
            Condition::Holder(holder) => {
                let mut agreed: Option<String> = None;
                for name in world.names().filter(|name| world.node(name).runs()) {
                    let found = held_by(world, name, &status(name)?, &holder.of)?;
                    if let Some(other) = agreed.replace(found.clone()).filter(|other| *other != found) {
                        return Err(format!("{name} holds {found} for the holder, others {other}"));
                    }
                }
            }
            Condition::Health(health) => {
                for name in world.select(&health.nodes) {
                    if !status(&name)?.health.iter().any(|line| line.code == health.code) {
                        return Err(format!("{name} has no health line {:?}", health.code));
                    }
                }
            }
            Condition::Reachable(_) | Condition::Unreachable(_) => {}
        }
        Ok(())
    };
    check().err()
}

fn find<'s>(world: &World, status: &'s Status, name: &str) -> Option<&'s Peer> {
    let key = world.key(name)?;
    status.peers.iter().find(|peer| peer.public_key.as_deref() == Some(&key))
}

fn path_is(world: &World, from: &str, to: &str, status: &Status, via: &Hop) -> Result<(), String> {
    let seen = find(world, status, to);
    let (path, hop) = seen.map_or((PathKind::Unreachable, None), |seen| (seen.path, seen.via.as_deref()));
    let right = match via {
        Hop::Direct => path == PathKind::Direct,
        Hop::Gateway => path == PathKind::Gateway,
        Hop::Unreachable => path == PathKind::Unreachable,
        Hop::Node(name) => path == PathKind::Gateway && hop == Some(name.as_str()),
    };
    let why = seen.map_or("not known to it", |seen| seen.why.as_str());
    let told = || format!("{from} to {to} is {path:?} via {}, not {via:?} ({why})", hop.unwrap_or("nobody"));
    if right { Ok(()) } else { Err(told()) }
}

/// Which of the claimants a node takes for the holder: the only one it does not refuse, or itself if it refuses all others.
fn held_by(world: &World, name: &str, status: &Status, claimants: &[String]) -> Result<String, String> {
    let mut held = Vec::new();
    for claimant in claimants.iter().filter(|claimant| *claimant != name) {
        let seen = find(world, status, claimant).ok_or_else(|| format!("{name} does not know {claimant}"))?;
        if !seen.refused {
            held.push(claimant.clone());
        }
    }
    if held.is_empty() && claimants.iter().any(|claimant| claimant == name) {
        held.push(name.to_owned());
    }
    match &held[..] {
        [one] => Ok(one.clone()),
        _ => Err(format!("{name} sees {} holders", held.len())),
    }
}

fn list(world: &World, pairs: &[(String, String)]) -> String {
    let shown = |(from, to): &(String, String)| {
        let status = world.node(from).status().ok();
        let why = status.as_ref().and_then(|status| find(world, status, to)).map(|peer| peer.why.clone());
        format!("{from} > {to} ({})", why.unwrap_or_else(|| "unknown to it".to_owned()))
    };
    let mut text = pairs.iter().take(NAMED).map(shown).collect::<Vec<_>>().join(", ");
    if pairs.len() > NAMED {
        text.push_str(&format!(" and {} more", pairs.len() - NAMED));
    }
    text
}
