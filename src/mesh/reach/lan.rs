//! Nodes on one LAN find each other without any gateway: each announces itself, and whoever hears that asks.
//!
//! ```text
//!   A                                           B
//!   announcement ---- to everyone here ------>  hears it, from A's address
//!   item of B, knows its key  <-------- Join(challenge)
//!   JoinReply(signature, token) ------------->  A's address is proven: pointed at, links, direct link
//!   B's address is proven  <----------- Join(token)
//! ```
//!
//! An announcement alone does nothing but that question: it may be a recorded one, and it may come from an address that
//! is forged. Questions are counted, and go to addresses of this machine's own LANs only. A node announces itself a few
//! times when it starts or its network changes, then seldom, and not at all while enough others do: what one of them
//! tells brings all. While somebody who was here a moment ago is missing it does so every few seconds.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand_core::RngCore;
use subtle::ConstantTimeEq;

use super::super::config::{DirectMode, NetworkKey};
use super::super::engine::{Engine, Neighbour};
use super::super::event::{EventKind, Severity};
use super::super::ids::NodeId;
use super::super::io::Output;
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::wire::{Announcement, Announcer, JoinReply};
use super::candidates::is_on_link;

/// Milliseconds after the first announcements ...
const QUICK: [u64; 5] = [200, 500, 1_000, 1_500, 2_000];
/// ... after those while somebody is missed (and up to half as much more) ...
const MISSED: u64 = 4_000;
/// ... and after all others (and up to twice as much): 30 to 60 s.
const SLOW: u64 = 30_000;
/// A change of the network brings the next announcement no sooner than this after the last.
const LEAST: Duration = Duration::from_secs(1);
/// Somebody whose link died is missed for so long.
const MISSED_FOR: Duration = Duration::from_secs(120);
/// So many announcements of others are enough: this node's own is left out ...
const ENOUGH: u32 = 3;
/// ... but not more often than this in a row.
const LEFT_OUT: u32 = 2;
/// Most announcements opened in one second: each costs some microseconds, whoever sent it.
const OPENED: u32 = 200;
/// Most nodes asked in one second.
const ASKED: u32 = 20;
/// A node is asked at one of its addresses at a time.
const AT_A_TIME: Duration = Duration::from_millis(300);
/// Nodes that are remembered, and addresses of each.
const NODES: usize = 256;
const PLACES: usize = 4;
/// A link that is up elsewhere is led onto the LAN at most so often: there a firewall may let control traffic pass alone.
const MOVE_AGAIN: Duration = Duration::from_secs(300);

/// What this node knows of its LANs.
pub(in super::super) struct Nearby {
    announcer: Announcer,
    /// Number of the last announcement.
    number: u64,
    /// When that was.
    announced: Option<Time>,
    /// Announcements since the network changed.
    told: usize,
    /// Announcements of others since this node's own was due last, and how often that was left out.
    others: u32,
    left_out: u32,
    heard: BTreeMap<NodeId, Heard>,
    /// What the present second cost so far.
    second: u64,
    opened: u32,
    asked: u32,
}

/// A node that announced itself.
#[derive(Debug, Default)]
struct Heard {
    /// Epoch and number of its last announcement.
    last: (u64, u64),
    at: Time,
    asked_at: Option<Time>,
    /// When its link died.
    lost_at: Option<Time>,
    /// When its link was led onto the LAN.
    moved_at: Option<Time>,
    places: Vec<Place>,
}

/// Where it may be.
#[derive(Debug)]
struct Place {
    /// Its admin port.
    admin: SocketAddr,
    at: Time,
    challenge: Option<[u8; 16]>,
    /// Whether that went with a token, so that this node's address is proven there, too.
    confirms: bool,
    /// Whether it ever answered a challenge, or gave back a token, there ...
    known: bool,
    /// ... and no link died since.
    proven: bool,
}

impl Nearby {
    pub(in super::super) fn new(key: &NetworkKey) -> Self {
        Self {
            announcer: Announcer::new(key),
            number: 0,
            announced: None,
            told: 0,
            others: 0,
            left_out: 0,
            heard: BTreeMap::new(),
            second: 0,
            opened: 0,
            asked: 0,
        }
    }

    fn begin_second(&mut self, now: Time) {
        let second = now.as_micros() / 1_000_000;
        if second != self.second {
            (self.second, self.opened, self.asked) = (second, 0, 0);
        }
    }

    /// Remembers who was heard where. `false`: that was heard before, or is older than what was.
    fn note(&mut self, now: Time, announcement: &Announcement, admin: SocketAddr) -> bool {
        let number = (announcement.epoch, announcement.number);
        self.make_room(&announcement.sender);
        let heard = self.heard.entry(announcement.sender).or_default();
        if number < heard.last {
            return false;
        }
        if number > heard.last {
            self.others = self.others.saturating_add(1);
        } else if heard.places.iter().any(|place| place.admin == admin && place.at >= heard.at) {
            return false;
        }
        if number > heard.last {
            (heard.last, heard.at) = (number, now);
        }
        heard.place(now, admin).is_some()
    }

    fn make_room(&mut self, id: &NodeId) {
        if self.heard.len() >= NODES && !self.heard.contains_key(id) {
            let oldest = self.heard.iter().min_by_key(|(_, heard)| heard.at).map(|(id, _)| *id);
            oldest.map(|id| self.heard.remove(&id));
        }
    }
}

impl Heard {
    /// The entry of an address, in place of the one that was heard longest ago; `None` when all were heard at once.
    fn place(&mut self, now: Time, admin: SocketAddr) -> Option<&mut Place> {
        let known = self.places.iter().position(|place| place.admin == admin);
        let index = match known {
            Some(index) => index,
            None if self.places.len() < PLACES => {
                self.places.push(Place {
                    admin,
                    at: now,
                    challenge: None,
                    confirms: false,
                    known: false,
                    proven: false,
                });
                self.places.len() - 1
            }
            None => {
                let (index, oldest) = self.places.iter().enumerate().min_by_key(|(_, place)| place.at)?;
                if oldest.at >= self.at {
                    return None;
                }
                self.places[index] =
                    Place { admin, at: now, challenge: None, confirms: false, known: false, proven: false };
                index
            }
        };
        let place = &mut self.places[index];
        place.at = now;
        Some(place)
    }
}

impl Engine {
    /// This node's surroundings are others now: it announces itself as after a start.
    pub(in super::super) fn look_around(&mut self, now: Time) {
        // In the middle of the first ones it just goes on.
        if self.nearby.told > QUICK.len() {
            self.nearby.told = 0;
        }
        let at = self.nearby.announced.map_or(now, |at| now.max(at + LEAST));
        self.timers.set_no_later(Timer::Announce, at);
    }

    /// Announces this node, or leaves that to others.
    pub(in super::super) fn announce(&mut self, now: Time) {
        if !self.config.lan || self.leaving() || self.local.lans.is_empty() {
            return;
        }
        let misses = self
            .nearby
            .heard
            .iter()
            .any(|(id, heard)| heard.lost_at.is_some_and(|at| now.since(at) < MISSED_FOR) && self.needs_lan(id));
        let pause = QUICK.get(self.nearby.told).copied();
        let jitter = self.jitter();
        let spread = |least: u64, more: u64| least + (more as f64 * jitter) as u64;
        let pause = pause.map_or_else(
            || if misses { spread(MISSED, MISSED / 2) } else { spread(SLOW, SLOW) },
            |pause| spread(pause, pause / 5),
        );
        self.timers.set(Timer::Announce, now + Duration::from_millis(pause));
        let nearby = &mut self.nearby;
        let settled = nearby.told >= QUICK.len() && !misses;
        nearby.told += 1;
        if std::mem::take(&mut nearby.others) >= ENOUGH && settled && nearby.left_out < LEFT_OUT {
            nearby.left_out += 1;
            return;
        }
        nearby.left_out = 0;
        nearby.number += 1;
        nearby.announced = Some(now);
        let announcement = Announcement {
            sender: self.id(),
            epoch: self.epoch,
            number: self.nearby.number,
            wg_port: self.config.wg_port,
            admin_port: self.config.admin_port,
        };
        let bytes = self.nearby.announcer.seal(&announcement, &mut self.rng);
        self.count("announcements_sent");
        self.push_output(Output::Announce(bytes));
    }

    /// Somebody announces itself on a LAN of this machine.
    pub(in super::super) fn hear_announcement(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        if !self.config.lan || self.leaving() {
            return;
        }
        self.nearby.begin_second(now);
        if !self.is_near(&from) || self.nearby.opened >= OPENED {
            self.count("announcements_dropped");
            return;
        }
        self.nearby.opened += 1;
        let Some(announcement) = self.nearby.announcer.open(bytes) else {
            self.count("announcements_foreign");
            return;
        };
        let id = announcement.sender;
        if id == self.id() {
            return;
        }
        let epoch = self.lsdb.version(&id).map(|version| version.epoch);
        let mut admin = from;
        admin.set_port(announcement.admin_port);
        if epoch.is_some_and(|epoch| announcement.epoch < epoch) || !self.nearby.note(now, &announcement, admin) {
            self.count("announcements_repeated");
            return;
        }
        self.count("announcements_heard");
        if epoch != Some(announcement.epoch) || self.needs_lan(&id) {
            self.ask_at(now, id, admin);
        }
    }

    /// Asks a node at all its addresses here that it was heard at lately; once where nobody answered.
    pub(super) fn ask_near(&mut self, now: Time, id: NodeId) {
        let Some(heard) = self.nearby.heard.get_mut(&id) else { return };
        let lately = |place: &&Place| {
            !place.proven && (place.known || place.challenge.is_none()) && now.since(place.at) < MISSED_FOR
        };
        let places: Vec<SocketAddr> = heard.places.iter().filter(lately).map(|place| place.admin).collect();
        for admin in places {
            if let Some(heard) = self.nearby.heard.get_mut(&id) {
                heard.asked_at = None;
            }
            self.ask_at(now, id, admin);
        }
    }

    fn ask_at(&mut self, now: Time, id: NodeId, admin: SocketAddr) {
        let mut challenge = [0; 16];
        self.rng.fill_bytes(&mut challenge);
        self.nearby.begin_second(now);
        let Some(heard) = self.nearby.heard.get_mut(&id) else { return };
        let asked = heard.asked_at.is_some_and(|at| now.since(at) < AT_A_TIME);
        let Some(place) = heard.places.iter_mut().find(|place| place.admin == admin).filter(|_| !asked) else { return };
        if self.nearby.asked >= ASKED {
            self.count("announcements_unasked");
            return;
        }
        self.nearby.asked += 1;
        (place.challenge, place.confirms) = (Some(challenge), false);
        heard.asked_at = Some(now);
        self.send_join(now, challenge, None, admin);
    }

    /// A reply to a join request that went to no static peer.
    pub(super) fn receive_near_reply(&mut self, now: Time, from: NodeId, reply: &JoinReply, address: SocketAddr) {
        let signed = [&reply.challenge[..], &self.id().0].concat();
        let heard = self.nearby.heard.get_mut(&from);
        let place = heard.and_then(|heard| heard.places.iter_mut().find(|place| place.admin == address));
        let expected =
            |place: &&mut Place| place.challenge.is_some_and(|challenge| bool::from(challenge.ct_eq(&reply.challenge)));
        let Some(place) = place.filter(expected) else {
            self.count("join_replies_unasked");
            return;
        };
        if !self.verifier.is_signed(&from, b"join", &signed, &reply.signature) {
            self.count("join_replies_forged");
            return;
        }
        place.challenge = None;
        if place.confirms {
            return;
        }
        self.receive_own_item_of(now, from, &reply.item);
        if self.lsdb.about(&from).is_none() {
            return;
        }
        self.settle_before_reply(now);
        self.ensure_neighbour(now, from);
        if let Some(neighbour) = self.neighbours.get_mut(&from).filter(|neighbour| !neighbour.link.is_up()) {
            neighbour.underlay = Some(address);
        }
        let name = self.name_of(&from);
        let text = format!("{name} answered a challenge at {address}: it was found by announcement on a LAN");
        self.event(Severity::Info, EventKind::Link, &name, text);
        let mut challenge = [0; 16];
        self.rng.fill_bytes(&mut challenge);
        let heard = self.nearby.heard.get_mut(&from);
        if let Some(place) = heard.and_then(|heard| heard.places.iter_mut().find(|place| place.admin == address)) {
            (place.challenge, place.confirms) = (Some(challenge), true);
        }
        self.send_join(now, challenge, Some(reply.token), address);
        self.prove_near(now, from, address);
        self.compare_digest(now, from, reply.digest);
    }

    /// A node receives at an address: if that is on a LAN of this machine, its tunnel is led there.
    pub(super) fn prove_near(&mut self, now: Time, id: NodeId, admin: SocketAddr) {
        if !self.config.lan || !self.is_near(&admin) {
            return;
        }
        let Some(about) = self.lsdb.about(&id) else { return };
        let mut endpoint = admin;
        endpoint.set_port(about.wg_port);
        self.nearby.make_room(&id);
        let heard = self.nearby.heard.entry(id).or_default();
        let Some(place) = heard.place(now, admin) else { return };
        (place.known, place.proven) = (true, true);
        let moved_at = heard.moved_at;
        let Some(neighbour) = self.neighbours.get(&id) else { return };
        if self.is_by_lan(neighbour) {
            return;
        }
        let (up, wanted) = (neighbour.link.is_up(), neighbour.wanted);
        if up && moved_at.is_some_and(|at| now.since(at) < MOVE_AGAIN) {
            return;
        }
        if up && let Some(heard) = self.nearby.heard.get_mut(&id) {
            heard.moved_at = Some(now);
        }
        if !up {
            self.try_again(now, id);
            if self.may_be_direct(&id) {
                self.timers.set_no_later(Timer::Direct(id), now);
            }
        }
        let Some(neighbour) = self.neighbours.get_mut(&id).filter(|_| up || wanted) else { return };
        let learned = neighbour.report.as_ref().and_then(|report| report.endpoint);
        let pointed =
            neighbour.hint.is_some_and(|hint| hint.address == endpoint) && learned.is_none_or(|at| at == endpoint);
        neighbour.link.hurry(now);
        if !pointed {
            self.hint(now, id, endpoint);
        }
        self.arm_probe(now, id);
    }

    /// The link with a node died: if it was here, it is asked whether it still is.
    pub(in super::super) fn miss_near(&mut self, now: Time, id: NodeId) {
        if self.leaving() || !self.standing.admitted.contains(&id) {
            return;
        }
        let Some(heard) = self.nearby.heard.get_mut(&id) else { return };
        heard.lost_at = Some(now);
        heard.places.iter_mut().for_each(|place| place.proven = false);
        let places: Vec<SocketAddr> = heard.places.iter().map(|place| place.admin).collect();
        if let Some(neighbour) = self.neighbours.get_mut(&id)
            && neighbour.underlay.is_some_and(|underlay| places.contains(&underlay))
        {
            neighbour.underlay = None;
        }
        self.ask_near(now, id);
        self.timers.set_no_later(Timer::Announce, now + Duration::from_millis(MISSED));
    }

    /// Where the tunnel of a node on a LAN of this machine may be: addresses that are proven.
    pub(super) fn near_endpoints(&self, id: &NodeId) -> Vec<SocketAddr> {
        let (Some(heard), Some(about)) = (self.nearby.heard.get(id), self.lsdb.about(id)) else { return Vec::new() };
        let proven = heard.places.iter().filter(|place| place.proven && self.is_near(&place.admin));
        let mut endpoints: Vec<SocketAddr> = proven.map(|place| place.admin).collect();
        endpoints.iter_mut().for_each(|endpoint| endpoint.set_port(about.wg_port));
        endpoints.sort_by_key(|endpoint| is_link_local(&endpoint.ip()));
        endpoints
    }

    /// Whether the link with a neighbour is up, and over a LAN where the two found each other.
    pub(in super::super) fn is_by_lan(&self, neighbour: &Neighbour) -> bool {
        let endpoint = neighbour.report.as_ref().and_then(|report| report.endpoint);
        let heard = self.nearby.heard.get(&neighbour.id);
        let (Some(endpoint), Some(heard)) = (endpoint, heard.filter(|_| neighbour.link.is_up())) else { return false };
        heard.places.iter().any(|place| place.proven && place.admin.ip() == endpoint.ip())
    }

    /// Whether a node that was heard on a LAN is reached by nothing else.
    pub(super) fn is_only_near(&self, id: &NodeId) -> bool {
        let proven = self.nearby.heard.get(id).is_some_and(|heard| heard.places.iter().any(|place| place.proven));
        proven && !self.paths.contains_key(id)
    }

    /// Whether a link over a LAN would be of use.
    fn needs_lan(&self, id: &NodeId) -> bool {
        if self.lsdb.about(id).is_none() {
            return true;
        }
        let neighbour = self.neighbours.get(id);
        if !self.standing.admitted.contains(id) || neighbour.is_some_and(|neighbour| self.is_by_lan(neighbour)) {
            return false;
        }
        let apart = !self.paths.contains_key(id) && self.config.direct != DirectMode::Never;
        let used = neighbour.is_some_and(|neighbour| neighbour.wanted || neighbour.link.is_up());
        apart || used || self.may_be_direct(id) || self.seeks_node(id)
    }

    /// Whether an address belongs to a LAN of this machine, and to another one there.
    fn is_near(&self, address: &SocketAddr) -> bool {
        self.local.lans.iter().any(|lan| match address {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id() == lan.index,
            _ => lan.addresses.iter().any(|own| is_on_link(own, &address.ip()) && own.address != address.ip()),
        })
    }
}

/// Whether an address means nothing beyond its link.
pub(in super::super) fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
