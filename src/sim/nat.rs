//! Boxes that change or stop packets on their way: NAT routers and stateful firewalls.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

use super::scenario::{Filtering, Mapping};
use crate::mesh::time::Time;

/// How long Linux keeps a UDP flow that saw packets one way only.
const UNREPLIED: Duration = Duration::from_secs(30);
/// How long Linux keeps a UDP flow that saw packets both ways.
const REPLIED: Duration = Duration::from_secs(120);
/// Number of entries above which expired ones are looked for.
const CROWDED: usize = 256;
/// The lowest port a NAT gives out when it cannot keep the host's own.
const FIRST_PORT: u16 = 1024;

/// A stateful firewall: what goes out opens the way for its replies, nothing else comes in.
#[derive(Clone, Debug, Default)]
pub(super) struct Firewall {
    flows: BTreeMap<(SocketAddr, SocketAddr), Flow>,
}

#[derive(Clone, Copy, Debug)]
struct Flow {
    last: Time,
    replied: bool,
}

impl Flow {
    fn alive(&self, now: Time) -> bool {
        now.since(self.last) <= if self.replied { REPLIED } else { UNREPLIED }
    }
}

impl Firewall {
    /// A packet leaves.
    pub(super) fn outbound(&mut self, now: Time, inside: SocketAddr, outside: SocketAddr) {
        if self.flows.len() > CROWDED {
            self.flows.retain(|_, flow| flow.alive(now));
        }
        let flow = self.flows.entry((inside, outside)).or_insert(Flow { last: now, replied: false });
        if !flow.alive(now) {
            flow.replied = false;
        }
        flow.last = now;
    }

    /// A packet wants in; says whether it may.
    pub(super) fn inbound(&mut self, now: Time, inside: SocketAddr, outside: SocketAddr) -> bool {
        let Some(flow) = self.flows.get_mut(&(inside, outside)).filter(|flow| flow.alive(now)) else { return false };
        *flow = Flow { last: now, replied: true };
        true
    }

    /// Forgets every flow.
    pub(super) fn flush(&mut self) {
        self.flows.clear();
    }
}

/// What of the destination a mapping belongs to.
type Scope = (Option<IpAddr>, u16);

/// The translation table of a NAT router.
#[derive(Clone, Debug)]
pub(super) struct Nat {
    mapping: Mapping,
    filtering: Filtering,
    timeout: Duration,
    outside: IpAddr,
    ports: BTreeMap<(SocketAddr, Scope), u16>,
    entries: BTreeMap<u16, Entry>,
    /// The flows of a router that maps nothing (`mapping: none`).
    plain: Firewall,
    /// Ports that hosts inside asked for, which lead there whoever sends.
    forwards: BTreeMap<u16, Forward>,
}

#[derive(Clone, Debug)]
struct Forward {
    inside: SocketAddr,
    /// Who sent there, and when last: answers leave by the same port.
    flows: BTreeMap<SocketAddr, Time>,
}

#[derive(Clone, Debug)]
struct Entry {
    inside: SocketAddr,
    scope: Scope,
    last: Time,
    /// Who was sent to, and when last.
    sent: BTreeMap<SocketAddr, Time>,
}

impl Nat {
    pub(super) fn new(mapping: Mapping, filtering: Filtering, timeout: Duration, outside: IpAddr) -> Self {
        let (ports, entries, plain) = (BTreeMap::new(), BTreeMap::new(), Firewall::default());
        Self { mapping, filtering, timeout, outside, ports, entries, plain, forwards: BTreeMap::new() }
    }

    /// A host asks for a port (PCP and the like): gives what leads to it from now on. Outside it is the same one where
    /// that is free.
    pub(super) fn forward(&mut self, now: Time, inside: SocketAddr, rng: &mut ChaCha8Rng) -> SocketAddr {
        let known = self.forwards.iter().find(|(_, forward)| forward.inside == inside).map(|(port, _)| *port);
        let port = known.unwrap_or_else(|| {
            let others = |port: u16| self.entries.get(&port).is_some_and(|entry| entry.inside != inside);
            let own = (!self.forwards.contains_key(&inside.port()) && !others(inside.port())).then(|| inside.port());
            let port = own.unwrap_or_else(|| self.free_port(now, rng));
            self.forwards.insert(port, Forward { inside, flows: BTreeMap::new() });
            port
        });
        SocketAddr::new(self.outside, port)
    }

    /// The asked-for port by which a packet leaves: the one that it answers to, or the host's only one for everyone.
    fn forwarded(&mut self, now: Time, src: SocketAddr, dst: SocketAddr) -> Option<u16> {
        let (timeout, for_all) = (self.timeout, self.mapping == Mapping::EndpointIndependent);
        let (port, forward) = self.forwards.iter_mut().find(|(_, forward)| forward.inside == src)?;
        let answers = forward.flows.get(&dst).is_some_and(|at| now.since(*at) <= timeout);
        if answers {
            forward.flows.insert(dst, now);
        }
        (answers || for_all).then_some(*port)
    }

    /// Whether addresses behind it are seen from outside.
    pub(super) fn is_plain(&self) -> bool {
        self.mapping == Mapping::None
    }

    /// Whether anyone outside may begin to speak with a host inside (which only a plain, open router allows).
    pub(super) fn is_open(&self) -> bool {
        self.is_plain() && self.filtering == Filtering::EndpointIndependent
    }

    /// A packet leaves: gives the source that the outside sees.
    pub(super) fn outbound(&mut self, now: Time, src: SocketAddr, dst: SocketAddr, rng: &mut ChaCha8Rng) -> SocketAddr {
        if let Some(port) = self.forwarded(now, src, dst) {
            return SocketAddr::new(self.outside, port);
        }
        let scope = match self.mapping {
            Mapping::None => {
                self.plain.outbound(now, src, dst);
                return src;
            }
            Mapping::EndpointIndependent => (None, 0),
            Mapping::AddressDependent => (Some(dst.ip()), 0),
            Mapping::Symmetric => (Some(dst.ip()), dst.port()),
        };
        if self.entries.len() > CROWDED {
            self.purge(now);
        }
        let known = self.ports.get(&(src, scope)).copied().filter(|port| self.alive(*port, now));
        let port = known.unwrap_or_else(|| self.open(now, src, scope, rng));
        let entry = self.entries.get_mut(&port).expect("BUG: a port without an entry");
        entry.last = now;
        entry.sent.insert(dst, now);
        SocketAddr::new(self.outside, port)
    }

    /// A packet wants in; gives the host inside that it is for.
    pub(super) fn inbound(&mut self, now: Time, src: SocketAddr, dst: SocketAddr) -> Option<SocketAddr> {
        if self.mapping == Mapping::None {
            return (self.is_open() || self.plain.inbound(now, dst, src)).then_some(dst);
        }
        if let Some(forward) = self.forwards.get_mut(&dst.port()).filter(|_| dst.ip() == self.outside) {
            if forward.flows.len() > CROWDED {
                let timeout = self.timeout;
                forward.flows.retain(|_, at| now.since(*at) <= timeout);
            }
            forward.flows.insert(src, now);
            return Some(forward.inside);
        }
        if dst.ip() != self.outside || !self.alive(dst.port(), now) {
            return None;
        }
        let (filtering, timeout) = (self.filtering, self.timeout);
        let entry = self.entries.get_mut(&dst.port())?;
        let fresh = |at: &Time| now.since(*at) <= timeout;
        let welcome = match filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => entry.sent.iter().any(|(to, at)| to.ip() == src.ip() && fresh(at)),
            Filtering::AddressAndPortDependent => entry.sent.get(&src).is_some_and(fresh),
        };
        if !welcome {
            return None;
        }
        entry.last = now;
        if let Some(at) = entry.sent.get_mut(&src) {
            *at = now;
        }
        Some(entry.inside)
    }

    /// Forgets every mapping and flow: the router rebooted.
    pub(super) fn flush(&mut self) {
        self.ports.clear();
        self.entries.clear();
        self.forwards.clear();
        self.plain.flush();
    }

    fn alive(&self, port: u16, now: Time) -> bool {
        self.entries.get(&port).is_some_and(|entry| now.since(entry.last) <= self.timeout)
    }

    fn purge(&mut self, now: Time) {
        let timeout = self.timeout;
        let ports = &mut self.ports;
        self.entries.retain(|_, entry| {
            let alive = now.since(entry.last) <= timeout;
            if !alive {
                ports.remove(&(entry.inside, entry.scope));
            }
            alive
        });
    }

    fn open(&mut self, now: Time, inside: SocketAddr, scope: Scope, rng: &mut ChaCha8Rng) -> u16 {
        let taken = self.alive(inside.port(), now) || self.forwards.contains_key(&inside.port());
        let own = (self.mapping != Mapping::Symmetric && !taken).then(|| inside.port());
        let port = own.unwrap_or_else(|| self.free_port(now, rng));
        let entry = Entry { inside, scope, last: now, sent: BTreeMap::new() };
        if let Some(old) = self.entries.insert(port, entry) {
            self.ports.remove(&(old.inside, old.scope));
        }
        self.ports.insert((inside, scope), port);
        port
    }

    fn free_port(&self, now: Time, rng: &mut ChaCha8Rng) -> u16 {
        loop {
            // Below 2^16 by the shift.
            let port = u16::try_from(rng.next_u32() >> 16).unwrap_or(u16::MAX);
            if port >= FIRST_PORT && !self.alive(port, now) && !self.forwards.contains_key(&port) {
                return port;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn nat(mapping: Mapping, filtering: Filtering) -> (Nat, ChaCha8Rng) {
        let outside = "198.51.100.9".parse().expect("an address");
        (Nat::new(mapping, filtering, Duration::from_secs(60), outside), ChaCha8Rng::seed_from_u64(1))
    }

    #[test]
    fn endpoint_independent_mapping_shows_one_port_to_all() {
        let (mut nat, mut rng) = nat(Mapping::EndpointIndependent, Filtering::AddressAndPortDependent);
        let (host, a, b) = (at("10.0.0.2:5000"), at("1.1.1.1:1"), at("2.2.2.2:2"));
        let seen = nat.outbound(Time::ZERO, host, a, &mut rng);
        assert_eq!(seen, at("198.51.100.9:5000"));
        assert_eq!(nat.inbound(Time::ZERO, b, seen), None, "nobody sent to b yet");
        assert_eq!(nat.outbound(Time::ZERO, host, b, &mut rng), seen);
        assert_eq!(nat.inbound(Time::ZERO, b, seen), Some(host));
        let other = nat.outbound(Time::ZERO, at("10.0.0.3:5000"), a, &mut rng);
        assert_ne!(other, seen, "the port is taken");
    }

    #[test]
    fn symmetric_mapping_shows_each_peer_another_port() {
        let (mut nat, mut rng) = nat(Mapping::Symmetric, Filtering::AddressAndPortDependent);
        let (host, a, b) = (at("10.0.0.2:5000"), at("1.1.1.1:1"), at("1.1.1.1:2"));
        let (to_a, to_b) = (nat.outbound(Time::ZERO, host, a, &mut rng), nat.outbound(Time::ZERO, host, b, &mut rng));
        assert_ne!(to_a, to_b);
        assert_eq!(nat.outbound(Time::ZERO, host, a, &mut rng), to_a);
        assert_eq!(nat.inbound(Time::ZERO, b, to_a), None);
    }

    #[test]
    fn an_idle_mapping_ends() {
        let (mut nat, mut rng) = nat(Mapping::EndpointIndependent, Filtering::EndpointIndependent);
        let (host, a) = (at("10.0.0.2:5000"), at("1.1.1.1:1"));
        let seen = nat.outbound(Time::ZERO, host, a, &mut rng);
        assert_eq!(nat.inbound(Time::from_secs(60), at("3.3.3.3:3"), seen), Some(host), "any sender, still alive");
        assert_eq!(nat.inbound(Time::from_secs(121), a, seen), None);
        nat.outbound(Time::from_secs(122), host, a, &mut rng);
        nat.flush();
        assert_eq!(nat.inbound(Time::from_secs(122), a, seen), None);
    }

    #[test]
    fn a_port_that_was_asked_for_lets_everyone_in_and_answers_leave_by_it() {
        let (mut nat, mut rng) = nat(Mapping::Symmetric, Filtering::AddressAndPortDependent);
        let (host, stranger, other) = (at("10.0.0.2:5000"), at("1.1.1.1:1"), at("2.2.2.2:2"));
        let asked = nat.forward(Time::ZERO, host, &mut rng);
        assert_eq!((asked, nat.forward(Time::ZERO, host, &mut rng)), (at("198.51.100.9:5000"), asked));
        assert_eq!(nat.inbound(Time::from_secs(500), stranger, asked), Some(host));
        assert_eq!(nat.outbound(Time::from_secs(501), host, stranger, &mut rng), asked);
        assert_ne!(nat.outbound(Time::from_secs(501), host, other, &mut rng), asked, "what the host begins");
        let neighbour = nat.forward(Time::from_secs(501), at("10.0.0.3:5000"), &mut rng);
        assert_ne!(neighbour, asked, "the port is taken");
        nat.flush();
        assert_eq!(nat.inbound(Time::from_secs(502), stranger, asked), None);
    }

    #[test]
    fn a_firewall_lets_only_replies_in() {
        let mut firewall = Firewall::default();
        let (host, peer) = (at("10.0.0.2:5000"), at("1.1.1.1:1"));
        assert!(!firewall.inbound(Time::ZERO, host, peer));
        firewall.outbound(Time::ZERO, host, peer);
        assert!(!firewall.inbound(Time::from_secs(31), host, peer), "30 s without a reply");
        firewall.outbound(Time::from_secs(40), host, peer);
        assert!(firewall.inbound(Time::from_secs(41), host, peer));
        assert!(firewall.inbound(Time::from_secs(160), host, peer), "120 s once replied");
        assert!(!firewall.inbound(Time::from_secs(160), host, at("1.1.1.1:2")));
    }
}
