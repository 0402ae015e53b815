//! What gateways see of this node: where each one's tunnel sends to it, and what that tells of the NAT between.
//!
//! A NAT that shows one endpoint to two gateways shows it to everyone (endpoint-independent mapping, RFC 4787): two such
//! nodes meet by sending to each other at the same time. One that shows each gateway another port shows every node
//! another: nobody can begin to speak with whoever is behind it. Its endpoint is told all the same, as a NAT at the other
//! end may let in whoever has an address that was sent to, at any port.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::engine::Engine;
use super::super::ids::NodeId;
use super::super::io::LocalNetwork;
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::view::NatKind;
use super::Mapped;

/// Two gateways contradict each other only when both spoke again so long after the later one's news: a router that was
/// restarted shows all of them another port, and not all notice at the same moment.
const NEWS: Duration = Duration::from_secs(3);

/// What each gateway sees.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Sightings {
    by: BTreeMap<NodeId, Sighting>,
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    seen: SocketAddr,
    /// The gateway's own address.
    gateway: IpAddr,
    since: Time,
    told: Time,
}

/// What the sightings mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Outside {
    /// The NAT between this node and the gateways.
    pub(in super::super) nat: NatKind,
    /// Where others may reach this node through its NAT: the port that the router maps, then the others, sorted.
    pub(in super::super) endpoints: Vec<SocketAddr>,
    /// The addresses of its NAT, sorted.
    pub(in super::super) addresses: Vec<IpAddr>,
    /// Whether gateways contradict each other, and it is too early to believe that.
    pub(in super::super) unsettled: bool,
    /// What the router says that it maps.
    pub(in super::super) mapped: Option<Mapped>,
}

impl Sightings {
    /// A gateway tells where it sees this node.
    pub(in super::super) fn tell(&mut self, now: Time, by: NodeId, seen: SocketAddr, gateway: IpAddr) {
        let before = self.by.get(&by).filter(|before| before.seen == seen && before.gateway == gateway);
        let since = before.map_or(now, |before| before.since);
        self.by.insert(by, Sighting { seen, gateway, since, told: now });
    }

    /// This node is somewhere else now.
    pub(in super::super) fn clear(&mut self) {
        self.by.clear();
    }

    /// What they mean for a machine with these addresses.
    pub(in super::super) fn judge(&self, local: &LocalNetwork) -> Outside {
        let is_own = |address: &IpAddr| local.addresses.iter().any(|own| own.address == *address);
        let mut nats: BTreeMap<IpAddr, Vec<&Sighting>> = BTreeMap::new();
        for sighting in self.by.values().filter(|sighting| !is_own(&sighting.seen.ip())) {
            nats.entry(sighting.seen.ip()).or_default().push(sighting);
        }
        let mut outside = Outside { addresses: nats.keys().copied().collect(), ..Outside::default() };
        if nats.is_empty() && !self.by.is_empty() {
            outside.nat = NatKind::None;
        }
        for sightings in nats.values() {
            // The latest news, and of equally old ones always the same.
            let newest = sightings.iter().max_by_key(|sighting| (sighting.since, sighting.seen));
            outside.endpoints.extend(newest.map(|sighting| sighting.seen));
            let (kind, unsettled) = kind_of(sightings);
            outside.nat = outside.nat.max(kind);
            outside.unsettled |= unsettled;
        }
        outside.endpoints.sort_unstable();
        outside
    }
}

impl Engine {
    /// Where this gateway sees a neighbour that cannot know it by itself: the file's static peers can.
    pub(in super::super) fn seen_at(&self, id: &NodeId) -> Option<SocketAddr> {
        let tells = self.standing.is_gateway(&self.id()) && self.standing.static_of(id).is_none();
        self.neighbours.get(id).filter(|_| tells)?.report.as_ref()?.endpoint
    }

    /// A neighbour tells where it sees this node: inside the tunnel, so it is that neighbour's word.
    pub(in super::super) fn hear_seen(&mut self, now: Time, id: NodeId, seen: SocketAddr) {
        let report = self.neighbours.get(&id).and_then(|neighbour| neighbour.report.as_ref());
        let Some(gateway) = report.and_then(|report| report.endpoint).filter(|_| self.standing.is_gateway(&id)) else {
            return;
        };
        self.sightings.tell(now, id, SocketAddr::new(seen.ip().to_canonical(), seen.port()), gateway.ip());
        self.look_outside(now);
    }

    /// Gateways contradicted each other a moment ago: asks them again.
    pub(in super::super) fn ask_sightings(&mut self, now: Time) {
        for id in self.sightings.by.keys().copied().collect::<Vec<NodeId>>() {
            if let Some(neighbour) = self.neighbours.get_mut(&id) {
                neighbour.link.hurry(now);
            }
            self.arm_probe(now, id);
        }
    }

    /// The link to a gateway is gone, and with it the mapping that it saw.
    pub(in super::super) fn forget_sighting(&mut self, now: Time, by: &NodeId) {
        if self.sightings.by.remove(by).is_some() {
            self.look_outside(now);
        }
    }

    /// Works out anew how this node looks from outside, and tells the others where to try.
    pub(in super::super) fn look_outside(&mut self, now: Time) {
        let mut outside = self.sightings.judge(&self.local);
        outside.mapped = self.judge_mapping(&outside.addresses);
        if let Some(mapped) = outside.mapped.and_then(|mapped| mapped.endpoint()) {
            outside.endpoints.retain(|endpoint| *endpoint != mapped);
            outside.endpoints.insert(0, mapped);
        }
        if outside == self.outside {
            return;
        }
        let before = std::mem::replace(&mut self.outside, outside);
        if self.outside.unsettled {
            self.timers.set_no_later(Timer::Sightings, now + NEWS);
        }
        if before.endpoints != self.outside.endpoints {
            self.describe_self_again();
            self.try_all_again(now);
        }
    }
}

/// The kind of one NAT that several gateways look at, and whether they contradict each other too early.
fn kind_of(sightings: &[&Sighting]) -> (NatKind, bool) {
    let (mut kind, mut unsettled) = (NatKind::Unknown, false);
    for (number, one) in sightings.iter().enumerate() {
        for other in sightings.iter().skip(number + 1).filter(|other| other.gateway != one.gateway) {
            let settled = one.told.min(other.told) >= one.since.max(other.since) + NEWS;
            if one.seen == other.seen {
                kind = kind.max(NatKind::EndpointIndependent);
            } else if settled {
                return (NatKind::AddressDependent, false);
            } else {
                unsettled = true;
            }
        }
    }
    (kind, unsettled)
}

#[cfg(test)]
mod tests {
    use super::super::super::io::LocalAddress;
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an endpoint")
    }

    fn home() -> LocalNetwork {
        let address = "192.168.1.2".parse().expect("an address");
        LocalNetwork { addresses: vec![LocalAddress { address, prefix: 24 }], lans: Vec::new() }
    }

    /// Gateways one, two, ... tell at each of these seconds what they see.
    fn seen(told: &[(u64, u8, &str)]) -> Outside {
        let mut sightings = Sightings::default();
        for (second, gateway, endpoint) in told {
            let address = IpAddr::from([203, 0, 113, *gateway]);
            sightings.tell(Time::from_secs(*second), NodeId([*gateway; 32]), at(endpoint), address);
        }
        sightings.judge(&home())
    }

    #[test]
    fn one_port_for_two_gateways_is_one_for_all_and_two_ports_are_one_for_each() {
        let same = seen(&[(1, 1, "198.51.100.20:5000"), (1, 2, "198.51.100.20:5000")]);
        assert_eq!((same.nat, &same.endpoints[..]), (NatKind::EndpointIndependent, &[at("198.51.100.20:5000")][..]));
        let other = seen(&[
            (1, 1, "198.51.100.20:5000"),
            (1, 2, "198.51.100.20:5001"),
            (9, 1, "198.51.100.20:5000"),
            (9, 2, "198.51.100.20:5001"),
        ]);
        assert_eq!((other.nat, &other.endpoints[..]), (NatKind::AddressDependent, &[at("198.51.100.20:5001")][..]));
        assert_eq!(other.addresses, [at("198.51.100.20:1").ip()]);
    }

    #[test]
    fn one_gateway_alone_tells_an_endpoint_and_no_kind_and_an_own_address_tells_that_there_is_no_nat() {
        assert_eq!(seen(&[]), Outside::default());
        let one = seen(&[(1, 1, "198.51.100.20:5000")]);
        assert_eq!((one.nat, one.endpoints.len()), (NatKind::Unknown, 1));
        assert_eq!(seen(&[(1, 1, "192.168.1.2:5000"), (1, 2, "192.168.1.2:5000")]).nat, NatKind::None);
    }

    #[test]
    fn a_restarted_router_is_no_contradiction_until_both_spoke_again() {
        let steady = [(1, 1, "198.51.100.20:5000"), (1, 2, "198.51.100.20:5000")];
        let news = [&steady[..], &[(60, 1, "198.51.100.20:6000"), (61, 2, "198.51.100.20:5000")]].concat();
        let between = seen(&news);
        assert_eq!((between.nat, &between.endpoints[..]), (NatKind::Unknown, &[at("198.51.100.20:6000")][..]));
        let after = seen(&[&news[..], &[(70, 1, "198.51.100.20:6000"), (70, 2, "198.51.100.20:6000")]].concat());
        assert_eq!((after.nat, after.endpoints.len()), (NatKind::EndpointIndependent, 1));
    }

    #[test]
    fn nested_routers_show_an_endpoint_at_each_level() {
        let nested = seen(&[(1, 1, "100.64.0.9:5000"), (1, 2, "198.51.100.30:7000")]);
        assert_eq!((nested.nat, nested.endpoints.len()), (NatKind::Unknown, 2));
    }
}
