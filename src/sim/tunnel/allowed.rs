//! Allowed IPs: where a packet goes, and from whom one may come.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::mesh::time::Time;

/// How long the embedded tunnel accepts a moved prefix from its old owner too.
const GRACE: Duration = Duration::from_secs(2);

/// The cryptokey routing table of one tunnel. One prefix has one owner.
#[derive(Clone, Debug, Default)]
pub(super) struct AllowedIps {
    /// Prefixes of full length: nearly all there are.
    hosts: BTreeMap<IpAddr, usize>,
    /// Shorter prefixes, longest first.
    nets: Vec<(IpNet, usize)>,
    /// Prefixes that moved away from this peer, accepted from it until then.
    moved: Vec<(IpNet, usize, Time)>,
    /// Prefixes whose move is announced, accepted from this peer already.
    announced: Vec<(IpNet, usize)>,
}

impl AllowedIps {
    /// The peer that owns the longest prefix with this address.
    pub(super) fn owner(&self, address: IpAddr) -> Option<usize> {
        let host = self.hosts.get(&address).copied();
        host.or_else(|| self.nets.iter().find(|(net, _)| net.contains(&address)).map(|(_, peer)| *peer))
    }

    /// Whether a packet with this source may come from this peer. `grace`: the embedded tunnel, which tolerates moves.
    pub(super) fn accepts(&self, now: Time, source: IpAddr, peer: usize, grace: bool) -> bool {
        if self.owner(source) == Some(peer) {
            return true;
        }
        let moved = || self.moved.iter().any(|(net, old, until)| *old == peer && *until > now && net.contains(&source));
        let announced = || self.announced.iter().any(|(net, new)| *new == peer && net.contains(&source));
        grace && (moved() || announced())
    }

    /// Replaces the table; what changes its owner keeps the old one for the time of grace.
    pub(super) fn replace(&mut self, now: Time, prefixes: Vec<(IpNet, usize)>, announced: Vec<(IpNet, usize)>) {
        let before = std::mem::take(&mut self.hosts).into_iter().map(|(address, peer)| (IpNet::from(address), peer));
        let before: BTreeMap<IpNet, usize> = before.chain(std::mem::take(&mut self.nets)).collect();
        self.moved.retain(|(_, _, until)| *until > now);
        for (net, peer) in prefixes {
            if let Some(old) = before.get(&net).filter(|old| **old != peer) {
                self.moved.push((net, *old, now + GRACE));
            }
            if net.prefix_len() == net.max_prefix_len() {
                self.hosts.insert(net.addr(), peer);
            } else {
                self.nets.push((net, peer));
            }
        }
        self.nets.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        self.announced = announced;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(prefixes: &[(&str, usize)]) -> Vec<(IpNet, usize)> {
        prefixes.iter().map(|(net, peer)| (net.parse().expect("a prefix"), *peer)).collect()
    }

    #[test]
    fn the_longest_prefix_owns_an_address() {
        let mut allowed = AllowedIps::default();
        allowed.replace(Time::ZERO, table(&[("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("10.1.1.1/32", 3)]), Vec::new());
        let owner = |text: &str| allowed.owner(text.parse().expect("an address"));
        assert_eq!((owner("10.1.1.1"), owner("10.1.1.2"), owner("10.2.0.1")), (Some(3), Some(2), Some(1)));
        assert_eq!(owner("11.0.0.1"), None);
        let source = "10.1.1.1".parse().expect("an address");
        assert!(!allowed.accepts(Time::ZERO, source, 1, true), "only the longest prefix counts");
    }

    #[test]
    fn a_moved_prefix_is_accepted_from_both_for_two_seconds() {
        let mut allowed = AllowedIps::default();
        let source = "10.1.1.1".parse().expect("an address");
        allowed.replace(Time::ZERO, table(&[("10.1.1.1/32", 1)]), table(&[("10.1.1.1/32", 2)]));
        assert!(allowed.accepts(Time::ZERO, source, 2, true), "announced");
        assert!(!allowed.accepts(Time::ZERO, source, 2, false), "the kernel knows no announcements");
        allowed.replace(Time::from_secs(5), table(&[("10.1.1.1/32", 2)]), Vec::new());
        assert!(allowed.accepts(Time::from_secs(6), source, 2, true));
        assert!(allowed.accepts(Time::from_secs(6), source, 1, true));
        assert!(!allowed.accepts(Time::from_secs(6), source, 1, false));
        assert!(!allowed.accepts(Time::from_secs(8), source, 1, true));
    }
}
