//! Direct links on demand: in a mesh too large to link every pair, those get one that exchange traffic.
//!
//! The tunnel counts what this node sends to leaves behind gateways. A pair with more than 20 packets or 32 kB within some
//! ten seconds is wanted: it is tried like any other (`direct`), and the other end takes part when it is asked. After ten
//! minutes without traffic the link is let go; the gateway path was beneath all the time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::super::config::DirectMode;
use super::super::engine::Engine;
use super::super::ids::NodeId;
use super::super::io::Sent;
use super::super::time::Time;
use super::super::timer::Timer;

/// Traffic is looked at in windows of this length ...
const WINDOW: Duration = Duration::from_secs(10);
/// ... and is worth a link when it has more packets than this ...
const PACKETS: u64 = 20;
/// ... or more bytes than this.
const BYTES: u64 = 32_000;
/// A link without traffic for so long is let go.
const IDLE: Duration = Duration::from_secs(600);
/// Most links on demand at a time: each costs keepalives, and a place in the tables of home routers.
const MOST: usize = 64;

/// Who is wanted, and what was sent to whom.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Demand {
    /// Nodes that are worth a link, and since when nothing more was heard of that.
    wanted: BTreeMap<NodeId, Time>,
    /// What was sent to each address at the beginning of its window, and when that was.
    windows: BTreeMap<IpAddr, (Sent, Time)>,
}

impl Demand {
    /// Whether the pair is worth a link.
    pub(in super::super) fn wants(&self, id: &NodeId) -> bool {
        self.wanted.contains_key(id)
    }

    /// Whether so much was sent to an address lately.
    fn is_enough(&mut self, now: Time, sent: Sent) -> bool {
        let window = self.windows.entry(sent.to).or_insert((sent, now));
        let before = window.0;
        // Another tunnel counts from zero.
        if sent.packets < before.packets || sent.bytes < before.bytes {
            *window = (sent, now);
            return false;
        }
        let enough = sent.packets - before.packets > PACKETS || sent.bytes - before.bytes > BYTES;
        if enough || now.since(window.1) >= WINDOW {
            *window = (sent, now);
        }
        enough
    }
}

impl Engine {
    /// Whether a pair may get a direct link when there is traffic for one.
    pub(in super::super) fn is_on_demand(&self, id: &NodeId) -> bool {
        let leaves = !self.standing.is_gateway(id) && !self.standing.is_gateway(&self.id());
        let both = self.standing.admitted.contains(id) && self.standing.admitted.contains(&self.id());
        self.config.direct != DirectMode::Never && leaves && both && !self.is_always_direct(id)
    }

    /// Addresses of leaves behind gateways that would get a direct link on demand, sorted.
    pub(in super::super) fn watched(&self) -> Vec<IpAddr> {
        if self.config.direct == DirectMode::Never || self.standing.is_gateway(&self.id()) {
            return Vec::new();
        }
        let direct = |id: &NodeId| self.neighbours.get(id).is_some_and(|neighbour| neighbour.direct.is_active());
        let nodes =
            self.standing.admitted.iter().filter(|id| **id != self.id() && !direct(id) && self.is_on_demand(id));
        let mut addresses: Vec<IpAddr> =
            nodes.filter_map(|id| self.lsdb.about(id)).flat_map(|about| about.addresses.iter().copied()).collect();
        addresses.sort_unstable();
        addresses
    }

    /// The tunnel tells what was sent to the watched addresses.
    pub(in super::super) fn hear_sent(&mut self, now: Time, sent: &[Sent]) {
        self.demand.windows.retain(|_, (_, since)| now.since(*since) < IDLE);
        for one in sent {
            if !self.demand.is_enough(now, *one) {
                continue;
            }
            let holds = |id: &&NodeId| self.lsdb.about(id).is_some_and(|about| about.addresses.contains(&one.to));
            let Some(id) = self.standing.admitted.iter().find(holds).copied() else { continue };
            self.want_direct(now, id);
        }
    }

    /// There is traffic for a link with a node, here or at the other end. Says whether it may be one.
    pub(in super::super) fn want_direct(&mut self, now: Time, id: NodeId) -> bool {
        if !self.is_on_demand(&id) || !self.demand.wants(&id) && self.demand.wanted.len() >= MOST {
            return false;
        }
        if self.demand.wanted.insert(id, now).is_none() {
            self.count("links_on_demand");
        }
        let off = self.neighbours.get(&id).is_none_or(|neighbour| !neighbour.direct.is_on());
        if off && !self.usable_endpoints(&id).is_empty() {
            let not_before = self.neighbours.get(&id).map_or(now, |neighbour| neighbour.direct.not_before());
            self.timers.set_no_later(Timer::Direct(id), not_before.max(now));
        }
        true
    }

    /// Lets go of the links on demand that carried nothing for long.
    pub(in super::super) fn review_demand(&mut self, now: Time) {
        let used = |id: &NodeId| self.neighbours.get(id).and_then(|neighbour| neighbour.data_at);
        let idle = |id: &NodeId, since: Time| now.since(used(id).map_or(since, |at| at.max(since))) >= IDLE;
        let over: Vec<NodeId> =
            self.demand.wanted.iter().filter(|(id, since)| idle(id, **since)).map(|(id, _)| *id).collect();
        for id in over {
            self.demand.wanted.remove(&id);
            if !self.is_always_direct(&id) {
                self.end_direct(now, id, "nothing passed for ten minutes");
                self.release_soon(now, id);
            }
        }
    }
}
