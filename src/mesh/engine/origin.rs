//! What this node says of itself: its own record, told anew whenever it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::super::config::GatewayPolicy;
use super::super::ids::NodeId;
use super::super::path::ALGORITHM;
use super::super::record::{About, Body, LinkAdvert, NodeRecord, Quality, ShortId, Version, Was, acts_at, grant_of};
use super::super::time::Time;
use super::super::trust::may_forward;
use super::{Engine, Neighbour};

/// How long a link's change is on hold: long enough for the record to reach every node first.
const HOLD: Duration = Duration::from_secs(2);

/// In a large mesh a node tells what is no loss (new links, other costs, other endpoints) at most this often: everyone hears it.
const TELL_GAP: Duration = Duration::from_secs(2);

/// What a link that flaps too often costs more: it is used where there is no other way, and nowhere else.
const DAMPED_COST: u32 = 100_000;
/// What every link of a drained gateway costs more: a damped link is still better.
pub(super) const DRAINED_COST: u32 = 10_000_000;

/// The state of the own record between its versions.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnRecord {
    seq: u64,
    about: Option<About>,
    adverts: BTreeMap<NodeId, Advert>,
    /// Fragments told so far in this start.
    told: BTreeSet<u8>,
    again: bool,
    told_at: Option<Time>,
    /// What `about` is made of changed: the machine's addresses, or that this node leaves.
    about_changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Advert {
    cost: u32,
    was: Was,
    acts: Time,
    fragment: u8,
    /// What the link carries, where that is less than the tunnel's MTU.
    mtu: Option<u16>,
}

impl OwnRecord {
    /// Tell everything again, with a fresh age.
    pub(super) fn refresh(&mut self) {
        self.again = true;
    }

    /// What the node is changed.
    pub(super) fn describe_again(&mut self) {
        self.about_changed = true;
    }

    /// Tell everything again, above `seq`.
    pub(super) fn jump(&mut self, seq: u64) {
        self.seq = self.seq.max(seq) + 1;
        self.again = true;
    }
}

impl Engine {
    /// Tells what changed since the record was last told.
    pub(super) fn originate(&mut self, now: Time) {
        let told_lately = self.own.told_at.is_some_and(|at| now.since(at) < TELL_GAP);
        let patient = told_lately && self.is_large() && !self.leaving;
        let mut changed = self.update_adverts(now, patient);
        let waits = patient && self.own.about_changed;
        if waits {
            self.own.about_changed = false;
        }
        let about = match self.own.about.take().filter(|_| !self.own.about_changed) {
            Some(about) => about,
            None => self.about_self(),
        };
        // What waits is looked at again with the next review.
        let about_changed = std::mem::replace(&mut self.own.about_changed, waits);
        let again = std::mem::take(&mut self.own.again);
        if again {
            changed.extend(self.own.told.iter().copied());
        }
        if about_changed || again || self.own.told.is_empty() {
            changed.insert(0);
            self.dirty.standing = true;
        }
        self.own.about = Some(about);
        for fragment in changed {
            self.tell(now, fragment);
        }
    }

    fn tell(&mut self, now: Time, fragment: u8) {
        self.own.seq += 1;
        self.own.told_at = Some(now);
        self.own.told.insert(fragment);
        let mut links: Vec<(LinkAdvert, u16)> = Vec::new();
        for (id, advert) in self.own.adverts.iter_mut().filter(|(_, advert)| advert.fragment == fragment) {
            let quality = self.neighbours.get(id).map_or_else(Quality::default, |n| n.link.cost.quality());
            let quality = Quality { mtu: advert.mtu, ..quality };
            let link = LinkAdvert { to: ShortId::from(id), cost: advert.cost, was: advert.was, quality };
            let hold = self.lsdb.hold_left(advert.acts, now);
            // As the others will count, in whole milliseconds.
            advert.acts = advert.acts.min(acts_at(hold, now));
            links.push((link, hold));
        }
        links.sort_by_key(|(link, _)| link.to);
        let holds: Vec<u16> = links.iter().map(|(_, hold)| *hold).collect();
        let record = NodeRecord {
            fragment,
            version: Version { epoch: self.epoch, seq: self.own.seq },
            about: if fragment == 0 { self.own.about.clone() } else { None },
            links: links.into_iter().map(|(link, _)| link).collect(),
        };
        let item = self.signer.item(Body::Node(record));
        let summary = (item.key().hash(), item.hash());
        self.lsdb.insert(item, Duration::ZERO, &holds, now);
        self.count("records_told");
        self.flood(now, summary, None);
        self.dirty.graph = true;
    }

    /// Compares the links that shall be advertised with those that are. Returns the fragments that changed. A `patient` node
    /// leaves all but lost links, and its first one, for later.
    fn update_adverts(&mut self, now: Time, patient: bool) -> BTreeSet<u8> {
        let is_gateway = self.standing.is_gateway(&self.id);
        let least = self.gateway_cost.filter(|_| is_gateway).unwrap_or(0);
        let drained = if self.draining && is_gateway { DRAINED_COST } else { 0 };
        let (standing, uplinks) = (&self.standing, &self.uplinks);
        let is_advertised = |neighbour: &Neighbour| {
            let id = &neighbour.id;
            neighbour.link.is_up()
                && standing.admitted.contains(id)
                && match (is_gateway, standing.is_gateway(id)) {
                    (true, true) => true,
                    (false, true) => uplinks.contains(id),
                    (true, false) => neighbour.uplink_theirs,
                    (false, false) => false,
                }
        };
        let own_mtu = self.config.mtu;
        let mut links: Vec<(NodeId, (u32, Option<u16>))> = Vec::with_capacity(self.own.adverts.len());
        for neighbour in self.neighbours.iter_mut().filter(|_| !self.leaving) {
            if is_advertised(neighbour) {
                let damped = if neighbour.link.damping.is_suppressed(now) { DAMPED_COST } else { 0 };
                let cost = neighbour.link.cost.advertise(now).max(least);
                let mtu = Some(neighbour.path_mtu.limit(own_mtu)).filter(|mtu| *mtu < own_mtu);
                links.push((neighbour.id, (cost + damped + drained, mtu)));
            }
        }
        if !is_gateway {
            for (id, (cost, _)) in &mut links {
                let is_fixed = self.neighbours.get(id).is_some_and(|neighbour| neighbour.link.cost.is_fixed());
                *cost = self.told_cost(id, *cost, is_fixed);
            }
        }
        // Looked at each second; nearly always nothing changed.
        let told = self.own.adverts.iter().map(|(id, advert)| (id, (advert.cost, advert.mtu)));
        if told.eq(links.iter().map(|(id, link)| (id, *link))) {
            return BTreeSet::new();
        }
        let links: BTreeMap<NodeId, (u32, Option<u16>)> = links.into_iter().collect();
        let new = links.keys().filter(|id| !self.own.adverts.contains_key(*id));
        let at_once: BTreeSet<NodeId> = new.filter(|id| self.acts_at_once(id)).copied().collect();
        let mut changed = BTreeSet::new();
        let acted = self.lsdb.acted();
        let adverts = &mut self.own.adverts;
        adverts.retain(|id, advert| {
            let stays = links.contains_key(id);
            if !stays {
                changed.insert(advert.fragment);
            }
            stays
        });
        let patient = patient && !adverts.is_empty();
        for (id, (cost, mtu)) in links.into_iter().filter(|_| !patient) {
            match adverts.get_mut(&id) {
                Some(advert) => {
                    if std::mem::replace(&mut advert.mtu, mtu) != mtu {
                        changed.insert(advert.fragment);
                    }
                    if advert.cost == cost {
                        continue;
                    }
                    if advert.acts <= acted {
                        advert.was = Was::Cost(advert.cost);
                    }
                    advert.cost = cost;
                    advert.acts = now + HOLD;
                    changed.insert(advert.fragment);
                }
                None => {
                    let (was, acts) =
                        if at_once.contains(&id) { (Was::Settled, Time::ZERO) } else { (Was::Absent, now + HOLD) };
                    let Some(fragment) = fragment_with_room(adverts) else { continue };
                    adverts.insert(id, Advert { cost, was, acts, fragment, mtu });
                    changed.insert(fragment);
                }
            }
        }
        changed
    }

    /// Whether a new link needs no hold, because no path in use can move when it appears.
    ///
    /// An edge acts when both its ends say so. Of a leaf's edge the gateway decides: a leaf that tells of no other link
    /// has no traffic to move. Between gateways it must join what is apart, and be the only one to do so for now: two
    /// edges at once would make the newcomer a bridge for others.
    fn acts_at_once(&self, id: &NodeId) -> bool {
        let me = ShortId::from(&self.id);
        match (self.standing.is_gateway(&self.id), self.standing.is_gateway(id)) {
            (false, _) => true,
            (true, false) => self.lsdb.links_of(id).all(|(to, _)| to == me),
            (true, true) => {
                let free = self.own.adverts.values().all(|advert| advert.acts > self.lsdb.acted());
                let newcomer = self.lsdb.links_of(id).all(|(to, acts)| to == me || !acts);
                !self.paths.contains_key(id) && (free || newcomer)
            }
        }
    }

    fn about_self(&self) -> About {
        let config = &self.config;
        let own_static = config.own_static();
        let gateway = own_static.is_some_and(|peer| may_forward(config, peer))
            || (config.gateways == GatewayPolicy::Any && config.offer_gateway);
        let mut grants: Vec<u32> = config
            .static_peers
            .iter()
            .filter(|peer| gateway && may_forward(config, peer))
            .map(|peer| grant_of(&peer.addresses[0]))
            .collect();
        grants.sort_unstable();
        grants.dedup();
        grants.truncate(NodeRecord::MAX_GRANTS);
        About {
            name: config.name.clone(),
            addresses: config.addresses.clone(),
            wg_key: self.wg_public,
            wg_port: config.wg_port,
            admin_port: config.admin_port,
            gateway,
            class: config.class,
            left: self.leaving,
            algorithm: ALGORITHM,
            file: self.file_hash(),
            grants,
            grants_any: gateway && config.gateways == GatewayPolicy::Any,
            endpoints: self.own_endpoints(),
        }
    }

    /// Where this node may be reached: its static endpoint, then its public addresses, then where gateways see it, then
    /// its private addresses.
    fn own_endpoints(&self) -> Vec<SocketAddr> {
        let config = &self.config;
        let named =
            config.own_static().and_then(|peer| Some((peer.endpoint.host.parse::<IpAddr>().ok()?, peer.endpoint.port)));
        let mut local: Vec<IpAddr> = self
            .local
            .addresses
            .iter()
            .map(|local| local.address)
            .filter(|address| !config.addresses.contains(address))
            .collect();
        local.sort_unstable();
        let (public, private): (Vec<IpAddr>, Vec<IpAddr>) = local.into_iter().partition(super::super::reach::is_public);
        let at_port =
            |addresses: Vec<IpAddr>| addresses.into_iter().map(|address| SocketAddr::new(address, config.wg_port));
        let named = named.map(SocketAddr::from).into_iter();
        let outside = self.outside.endpoints.iter().copied();
        let mut endpoints: Vec<SocketAddr> =
            named.chain(at_port(public)).chain(outside).chain(at_port(private)).collect();
        let mut seen = BTreeSet::new();
        endpoints.retain(|endpoint| seen.insert(*endpoint));
        endpoints.truncate(NodeRecord::MAX_ENDPOINTS);
        endpoints
    }

    /// What must be equal in the network files of all nodes, as one number.
    fn file_hash(&self) -> u32 {
        let config = &self.config;
        let mut lines: Vec<String> = config.subnets.iter().map(|net| format!("subnet {}", net.trunc())).collect();
        lines.extend(
            config.static_peers.iter().map(|peer| format!("peer {:?} {}", peer.addresses, may_forward(config, peer))),
        );
        // A file without weights has the number that versions without them give it.
        let weighed = config.static_peers.iter().filter_map(|peer| Some((&peer.addresses, peer.weight?)));
        lines.extend(weighed.map(|(addresses, weight)| format!("weight {addresses:?} {weight}")));
        lines.push(format!("gateways {:?}", config.gateways));
        lines.sort();
        let digest = Sha256::digest(lines.join("\n"));
        u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]).max(1)
    }
}

/// The first fragment that can take one more link. A link keeps its fragment, so that adding one never moves another:
/// for a moment it would be missing, and a missing link acts at once.
fn fragment_with_room(adverts: &BTreeMap<NodeId, Advert>) -> Option<u8> {
    let used = |fragment: u8| adverts.values().filter(|advert| advert.fragment == fragment).count();
    (0..NodeRecord::MAX_FRAGMENTS).find(|fragment| used(*fragment) < NodeRecord::max_links(*fragment))
}
