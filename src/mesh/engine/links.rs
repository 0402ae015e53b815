//! Links and neighbours: which ones this node seeks, asks, counts on.

use super::super::config::Class;
use super::super::event::{EventKind, Severity};
use super::super::ids::NodeId;
use super::super::io::{CommandError, EndpointHint};
use super::super::link::{ACTIVE_INTERVAL, IDLE_INTERVAL, LinkChange, Probe};
use super::super::record::{Key, ShortId};
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::wire::{Hello, Message};
use super::{Engine, FLOOD_FROM, MAX_UPLINKS, Neighbour};
use std::collections::BTreeSet;
use std::time::Duration;

/// A link to a gateway that is no uplink is kept for so long.
const SPARE: Duration = Duration::from_secs(30);

impl Engine {
    /// Sets the interval of questions by what the link carries.
    pub(super) fn set_interval(&mut self, now: Time, id: NodeId) {
        let both_gateways = self.standing.is_gateway(&self.id) && self.standing.is_gateway(&id);
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        let active = both_gateways || neighbour.is_active(now);
        let interval = if active { ACTIVE_INTERVAL } else { IDLE_INTERVAL };
        if neighbour.link.interval() == interval {
            return;
        }
        neighbour.link.set_interval(interval, now);
        self.arm_probe(now, id);
        self.arm_size(now, id);
    }

    /// Sets the timer of a neighbour's next question.
    pub(in super::super) fn arm_probe(&mut self, now: Time, id: NodeId) {
        let Some(neighbour) = self.neighbours.get(&id) else { return };
        let installed = self.standing.admitted.contains(&id) && self.standing.admitted.contains(&self.id);
        let tried = neighbour.hint.is_some() && neighbour.link.attempts() < 60;
        let seeks = neighbour.link.is_up() || neighbour.wanted || tried || neighbour.link.fell_lately(now);
        if installed && seeks && !self.left {
            self.timers.set(Timer::Probe(id), neighbour.link.next().max(now));
        } else {
            self.timers.stop(Timer::Probe(id));
        }
    }

    pub(super) fn probe(&mut self, now: Time, id: NodeId) {
        let jitter = self.jitter();
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        let (change, probe) = neighbour.link.poll(now, jitter);
        if change == LinkChange::Down {
            self.link_down(now, id, "its echoes stopped");
        }
        if let Some(probe) = probe {
            self.try_next_endpoint(now, id);
            self.send_hello(now, id, probe);
        }
        self.arm_probe(now, id);
    }

    pub(super) fn send_hello(&mut self, now: Time, id: NodeId, probe: Probe) {
        let own = Key::Node(self.id, 0);
        let Some(neighbour) = self.neighbours.get(&id) else { return };
        let tells_item =
            !neighbour.link.is_up() || neighbour.link.up_since().is_some_and(|at| now.since(at).as_millis() < 500);
        let hello = Hello {
            seq: probe.seq,
            echo: probe.echo,
            wants_reply: probe.wants_reply,
            uplink: self.is_uplink(&id),
            floods: self.wants_floods(&id),
            switched: neighbour.direct.switched(),
            digest: self.lsdb.digest(),
            item: if tells_item { self.lsdb.get(&own).map(|stored| self.lsdb.carried(stored, now)) } else { None },
            seen: if tells_item { None } else { self.seen_at(&id) },
        };
        let to = self.tunnel_address(&id);
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.floods_told = hello.floods;
        }
        self.count("hellos_sent");
        if let Some(to) = to {
            self.send(&Message::Hello(hello), &id, to);
        }
    }

    pub(super) fn link_changed(&mut self, now: Time, id: NodeId, change: LinkChange) {
        match change {
            LinkChange::None => {}
            LinkChange::Up => self.link_up(now, id),
            LinkChange::Down => self.link_down(now, id, "it started anew"),
        }
    }

    pub(super) fn link_up(&mut self, now: Time, id: NodeId) {
        let name = self.name_of(&id);
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        neighbour.reconciled = None;
        neighbour.outbox.clear();
        // Only who is part of the mesh has a tunnel.
        self.refusals.remove(&id);
        let rtt = neighbour.link.cost.rtt().unwrap_or_default();
        let text = format!(
            "the link to {name} is up: echoes in both directions, round trip {:.1} ms",
            rtt.as_secs_f64() * 1e3
        );
        self.event(Severity::Info, EventKind::Link, &name, text);
        self.fix_cost(id);
        self.set_interval(now, id);
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.path_mtu.link_up(now);
        }
        self.arm_size(now, id);
        self.timers.stop(Timer::Confirm(id));
        self.dirty.own = true;
        self.dirty.plan = true;
        self.announce_ready("the first link is up");
        self.save_within(now, Duration::from_secs(1));
        if let Some(index) = self.standing.static_of(&id) {
            self.timers.stop(Timer::Join(index));
            self.statics[index].start_over();
        }
        self.timers.set_no_later(Timer::Direct(id), now);
    }

    pub(super) fn link_down(&mut self, now: Time, id: NodeId, why: &str) {
        let name = self.name_of(&id);
        // A leaf that has its uplinks lets go of further gateways.
        let missed = self.is_uplink(&id) || self.neighbours.get(&id).is_some_and(|neighbour| neighbour.direct.is_on());
        let severity = if missed { Severity::Warning } else { Severity::Info };
        self.event(severity, EventKind::Link, &name, format!("the link to {name} is down: {why}"));
        self.count("links_lost");
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        if !missed {
            neighbour.link.let_go();
        }
        neighbour.outbox.clear();
        neighbour.uplink_theirs = false;
        neighbour.path_mtu.link_down();
        self.timers.stop(Timer::Size(id));
        self.uplinks.remove(&id);
        self.timers.stop(Timer::Retransmit(id));
        self.forget_sighting(now, &id);
        self.end_direct(now, id, "the link is dead");
        self.miss_near(now, id);
        self.dirty.own = true;
        self.dirty.plan = true;
        self.wake_leaves_of(now, &id);
        if let Some(index) = self.standing.static_of(&id) {
            self.statics[index].start_over();
            self.timers.set_no_later(Timer::Join(index), now);
        }
        self.refresh_wanted(now);
    }

    /// The link with another gateway is dead. If that gateway is, leaves that hear the news from it alone do not know: a
    /// hello tells those that this node shares with it that there is something to hear.
    fn wake_leaves_of(&mut self, now: Time, gateway: &NodeId) {
        if !(self.is_large() && self.standing.is_gateway(&self.id) && self.standing.is_gateway(gateway)) {
            return;
        }
        let short = ShortId::from(gateway);
        let shared = |neighbour: &&Neighbour| {
            neighbour.uplink_theirs && self.lsdb.links_of(&neighbour.id).any(|(to, _)| to == short)
        };
        let shared: Vec<NodeId> = self.neighbours.iter().filter(shared).map(|neighbour| neighbour.id).collect();
        for id in shared {
            if let Some(neighbour) = self.neighbours.get_mut(&id) {
                neighbour.link.ask_within(now, Duration::ZERO);
            }
            self.arm_probe(now, id);
        }
    }

    /// Probes one peer, or every neighbour and silent static peer, without waiting for what is due.
    pub(super) fn probe_now(&mut self, now: Time, peer: Option<&str>) -> Result<(), CommandError> {
        let one = peer.map(|peer| self.find_node(peer)).transpose()?;
        if let (Some(id), Some(name)) = (&one, peer)
            && self.neighbours.get(id).is_none()
        {
            return Err(CommandError::NotNeighbour(name.to_owned()));
        }
        for id in self.neighbours.ids().into_iter().filter(|id| one.is_none_or(|one| one == *id)) {
            if let Some(neighbour) = self.neighbours.get_mut(&id) {
                neighbour.link.hurry(now);
            }
            self.arm_probe(now, id);
            self.measure_size(now, id);
        }
        for index in 0..self.statics.len() {
            let silent = self.standing.statics.get(&index).is_none_or(|id| !self.paths.contains_key(id));
            if silent && one.is_none_or(|one| self.standing.statics.get(&index) == Some(&one)) {
                self.statics[index].start_over();
                self.timers.set_no_later(Timer::Join(index), now);
            }
        }
        Ok(())
    }

    /// A cost from the network file or from a command, in place of the measured one.
    pub(super) fn fix_cost(&mut self, id: NodeId) {
        let file = self.standing.static_of(&id).and_then(|index| self.config.static_peers[index].cost);
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            let cost = neighbour.cost_set.or(file);
            neighbour.link.cost.fix(cost);
        }
    }

    /// Whether this node counts the link to `id` as one of its links, or would if it were up.
    pub(super) fn is_uplink(&self, id: &NodeId) -> bool {
        let (me, other) = (self.standing.is_gateway(&self.id), self.standing.is_gateway(id));
        match (me, other) {
            (true, true) => true,
            (false, true) => {
                self.uplinks.contains(id) || self.uplinks.len() < self.max_uplinks() && self.may_be_uplink(id)
            }
            // A gateway leaves it to the leaf.
            (true, false) => self.neighbours.get(id).is_some_and(|neighbour| neighbour.uplink_theirs),
            (false, false) => false,
        }
    }

    /// In a small mesh every gateway is an uplink, so that leaf and gateway are direct without leaving the graph. (A
    /// link outside the graph would not do: a gateway forwards for others, and their packets would take it one way only.)
    pub(super) fn max_uplinks(&self) -> usize {
        match self.config.class {
            Class::Mobile => 1,
            _ if self.direct_on => usize::MAX,
            _ => MAX_UPLINKS,
        }
    }

    /// Whether news from `id` shall come at once. Gateways flood among each other; a leaf needs the news twice, not once
    /// from every gateway; a link outside the graph carries none while there is one.
    pub(in super::super) fn wants_floods(&self, id: &NodeId) -> bool {
        match (self.standing.is_gateway(&self.id), self.standing.is_gateway(id)) {
            (true, true) => true,
            (false, true) => {
                let sources = if self.is_large() { 1 } else { FLOOD_FROM };
                self.uplinks.is_empty() || self.uplinks.iter().take(sources).any(|uplink| uplink == id)
            }
            (true, false) => self.neighbours.get(id).is_some_and(|neighbour| neighbour.floods_theirs),
            // Where no gateway is, leaves pass news on among themselves: two laptops on one LAN, say.
            (false, false) => self.uplinks.is_empty(),
        }
    }

    /// Whether a neighbour gets news from here at once.
    pub(in super::super) fn floods_to(&self, id: &NodeId) -> bool {
        let both_leaves = !self.standing.is_gateway(&self.id) && !self.standing.is_gateway(id);
        let asks = both_leaves && self.neighbours.get(id).is_some_and(|neighbour| neighbour.floods_theirs);
        asks || self.wants_floods(id)
    }

    /// Tells gateways at once which of them are uplinks now. They count such a link, and send news, only when a hello says
    /// so, and an idle link is asked seldom.
    pub(super) fn tell_uplinks(&mut self, now: Time) {
        let mut tell = BTreeSet::new();
        if self.uplinks != self.uplinks_told {
            let before = std::mem::replace(&mut self.uplinks_told, self.uplinks.clone());
            tell.extend(before.union(&self.uplinks_told));
            // Those that were tried besides are wanted no longer.
            self.refresh_wanted(now);
            if self.uplinks.is_empty() {
                // Whoever is near may be all that is left.
                self.look_around(now);
            }
        }
        if !self.standing.is_gateway(&self.id) {
            // Whoever is direct gives news to a leaf without uplinks, or need not any more.
            let wrong = |n: &&Neighbour| n.link.is_up() && n.floods_told != self.wants_floods(&n.id);
            tell.extend(self.neighbours.iter().filter(wrong).map(|neighbour| neighbour.id));
        }
        for id in tell {
            if let Some(neighbour) = self.neighbours.get_mut(&id) {
                neighbour.link.ask_within(now, Duration::ZERO);
            }
            self.arm_probe(now, id);
        }
    }

    /// A leaf that has its uplinks for a while lets go of the links to further gateways: each costs as much as an uplink.
    pub(super) fn release_spare_gateways(&mut self, now: Time) {
        if self.standing.is_gateway(&self.id) || self.uplinks.len() < self.max_uplinks() {
            return;
        }
        let lasts = |at: Option<Time>| at.is_some_and(|at| now.since(at) >= SPARE);
        let settled = |id: &NodeId| self.neighbours.get(id).is_some_and(|uplink| lasts(uplink.link.up_since()));
        if !self.uplinks.iter().all(settled) {
            return;
        }
        let spare = |neighbour: &&Neighbour| {
            let id = &neighbour.id;
            self.standing.is_gateway(id)
                && !self.uplinks.contains(id)
                && !neighbour.direct.is_on()
                && lasts(neighbour.link.up_since())
        };
        let spare: Vec<NodeId> = self.neighbours.iter().filter(spare).map(|neighbour| neighbour.id).collect();
        for id in spare {
            self.forget_sighting(now, &id);
            self.drop_neighbour(&id);
        }
    }

    /// Which neighbours this node seeks by itself.
    pub(super) fn refresh_wanted(&mut self, now: Time) {
        let gateway = self.standing.is_gateway(&self.id);
        let up = self.uplinks.len();
        let sought = if gateway { BTreeSet::new() } else { self.sought_gateways() };
        for (index, id) in self.standing.statics.clone() {
            if id == self.id || !self.standing.admitted.contains(&id) {
                continue;
            }
            let wanted = gateway || self.uplinks.contains(&id) || (up < self.max_uplinks() && sought.contains(&id));
            if wanted {
                self.ensure_neighbour(now, id);
            }
            let Some(neighbour) = self.neighbours.get_mut(&id) else { continue };
            let is_new = wanted && !neighbour.wanted && !neighbour.link.is_up();
            neighbour.wanted = wanted || neighbour.direct.is_on();
            if is_new {
                // It must hear that this node wants the link, too.
                self.timers.set_no_later(Timer::Join(index), now);
            }
            let Some(neighbour) = self.neighbours.get_mut(&id) else { continue };
            if wanted && neighbour.hint.is_none() {
                self.hint_static(now, index, id);
            }
            self.arm_probe(now, id);
        }
        // Gateways that the file does not list (policy `any`) are sought at the endpoints of their records.
        let unlisted = |id: &&NodeId| **id != self.id && self.standing.static_of(id).is_none();
        for id in self.standing.gateways.iter().filter(unlisted).copied().collect::<Vec<NodeId>>() {
            let room = gateway || self.uplinks.contains(&id) || (up < self.max_uplinks() && sought.contains(&id));
            if room && !self.usable_endpoints(&id).is_empty() {
                self.ensure_neighbour(now, id);
                let Some(neighbour) = self.neighbours.get_mut(&id) else { continue };
                neighbour.wanted = true;
                if neighbour.hint.is_none() {
                    self.hint_record(now, id, 0);
                }
                self.arm_probe(now, id);
            }
        }
    }

    /// Makes a neighbour of a node that the LSDB knows.
    pub(in super::super) fn ensure_neighbour(&mut self, now: Time, id: NodeId) {
        if id == self.id || self.neighbours.get(&id).is_some() || self.lsdb.about(&id).is_none() {
            return;
        }
        let mut neighbour = Neighbour::new(id, id.link_address(&self.network), id < self.id, now);
        if let Some(endpoint) = self.endpoints.get(&id) {
            self.hint_serial += 1;
            neighbour.hint = Some(EndpointHint { address: *endpoint, serial: self.hint_serial });
        }
        self.neighbours.insert(neighbour);
        self.fix_cost(id);
        self.dirty.plan = true;
    }

    /// After a restart: seek the nodes that were neighbours before.
    pub(super) fn seek_again(&mut self, now: Time, restored: &[NodeId]) {
        for id in restored {
            if self.standing.admitted.contains(id) {
                self.ensure_neighbour(now, *id);
                self.arm_probe(now, *id);
            }
        }
    }

    /// Whether this node wants a link to static peer number `index`.
    pub(in super::super) fn seeks_static(&self, index: usize) -> bool {
        let known = self.standing.statics.get(&index);
        // One that is away may be back at any moment, and is a gateway again then.
        let away = |id: &NodeId| !self.standing.admitted.contains(id) && self.uplinks.len() < self.max_uplinks();
        self.standing.is_gateway(&self.id) || known.is_none_or(|id| away(id) || self.seeks_node(id))
    }

    /// Whether this node wants a link to `id` for the graph.
    pub(in super::super) fn seeks_node(&self, id: &NodeId) -> bool {
        let gateway = self.standing.is_gateway(id);
        match self.standing.is_gateway(&self.id) {
            true => gateway || self.standing.static_of(id).is_some(),
            false => {
                let has_room = || self.uplinks.len() < self.max_uplinks();
                gateway && (self.uplinks.contains(id) || has_room() && self.sought_gateways().contains(id))
            }
        }
    }
}
