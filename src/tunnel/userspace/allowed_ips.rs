//! Allowed IPs: which peer owns which prefix, over the whole device. The longest prefix that holds an address decides,
//! both where a packet goes and from whom it is accepted.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use ipnet::IpNet;

use super::peers::PeerSlot;

/// Longest-prefix table of the device.
#[derive(Clone, Debug, Default)]
pub(super) struct AllowedIps {
    v4: Family<u32>,
    v6: Family<u128>,
}

/// The peer that owns an address, and the length of the prefix that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) slot: PeerSlot,
    pub(super) length: u8,
}

impl AllowedIps {
    /// Gives `prefix` to `slot`; returns the peer that owned it before.
    pub(super) fn insert(&mut self, prefix: IpNet, slot: PeerSlot) -> Option<PeerSlot> {
        match prefix {
            IpNet::V4(net) => self.v4.insert(net.network().to_bits(), net.prefix_len(), slot),
            IpNet::V6(net) => self.v6.insert(net.network().to_bits(), net.prefix_len(), slot),
        }
    }

    /// Takes `prefix` away from whoever owns it.
    pub(super) fn remove(&mut self, prefix: IpNet) {
        match prefix {
            IpNet::V4(net) => self.v4.remove(net.network().to_bits(), net.prefix_len()),
            IpNet::V6(net) => self.v6.remove(net.network().to_bits(), net.prefix_len()),
        }
    }

    /// The peer with the longest prefix that holds `address`.
    pub(super) fn lookup(&self, address: IpAddr) -> Option<Owner> {
        match address {
            IpAddr::V4(address) => self.v4.lookup(address.to_bits()),
            IpAddr::V6(address) => self.v6.lookup(address.to_bits()),
        }
    }

    /// Every prefix with its owner, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, PeerSlot)> + '_ {
        let v4 = self.v4.iter().map(|(bits, length, slot)| (prefix(IpAddr::V4(bits.into()), length), slot));
        let v6 = self.v6.iter().map(|(bits, length, slot)| (prefix(IpAddr::V6(bits.into()), length), slot));
        v4.chain(v6)
    }
}

fn prefix(address: IpAddr, length: u8) -> IpNet {
    IpNet::new(address, length).expect("BUG: a stored prefix has a length of its family")
}

/// The prefixes of one address family: one map for each length in use, the longest first. A mesh uses few lengths
/// (hosts, the subnet, a default route), so a lookup is a handful of hashes whatever the number of peers.
#[derive(Clone, Debug)]
struct Family<K> {
    lengths: Vec<(u8, HashMap<K, PeerSlot>)>,
}

impl<K> Default for Family<K> {
    fn default() -> Self {
        Self { lengths: Vec::new() }
    }
}

impl<K: Bits> Family<K> {
    fn insert(&mut self, network: K, length: u8, slot: PeerSlot) -> Option<PeerSlot> {
        let at = self.lengths.partition_point(|(other, _)| *other > length);
        if self.lengths.get(at).is_none_or(|(other, _)| *other != length) {
            self.lengths.insert(at, (length, HashMap::new()));
        }
        self.lengths[at].1.insert(network.masked(length), slot)
    }

    fn remove(&mut self, network: K, length: u8) {
        if let Some(at) = self.lengths.iter().position(|(other, _)| *other == length) {
            self.lengths[at].1.remove(&network.masked(length));
            if self.lengths[at].1.is_empty() {
                self.lengths.remove(at);
            }
        }
    }

    fn lookup(&self, address: K) -> Option<Owner> {
        self.lengths.iter().find_map(|(length, networks)| {
            networks.get(&address.masked(*length)).map(|slot| Owner { slot: *slot, length: *length })
        })
    }

    fn iter(&self) -> impl Iterator<Item = (K, u8, PeerSlot)> + '_ {
        self.lengths
            .iter()
            .flat_map(|(length, networks)| networks.iter().map(|(network, slot)| (*network, *length, *slot)))
    }
}

/// An address as a number.
trait Bits: Copy + Eq + Hash {
    /// The first `length` bits, the others zero.
    fn masked(self, length: u8) -> Self;
}

impl Bits for u32 {
    fn masked(self, length: u8) -> Self {
        self & Self::MAX.checked_shl(Self::BITS - Self::from(length)).unwrap_or(0)
    }
}

impl Bits for u128 {
    fn masked(self, length: u8) -> Self {
        self & Self::MAX.checked_shl(Self::BITS - u32::from(length)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a prefix")
    }

    #[test]
    fn the_longest_prefix_owns_the_address() {
        let mut table = AllowedIps::default();
        table.insert(net("0.0.0.0/0"), PeerSlot(0));
        table.insert(net("10.1.0.0/16"), PeerSlot(1));
        table.insert(net("10.1.1.7/32"), PeerSlot(2));
        let owner = |text: &str| table.lookup(text.parse().expect("an address")).map(|owner| owner.slot.0);
        assert_eq!(owner("10.1.1.7"), Some(2));
        assert_eq!(owner("10.1.1.8"), Some(1));
        assert_eq!(owner("192.0.2.1"), Some(0));
        assert_eq!(owner("fd00::1"), None);
    }

    #[test]
    fn a_prefix_has_one_owner() {
        let mut table = AllowedIps::default();
        assert_eq!(table.insert(net("fd00::/48"), PeerSlot(1)), None);
        assert_eq!(table.insert(net("fd00::/48"), PeerSlot(2)), Some(PeerSlot(1)));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(net("fd00::/48"), PeerSlot(2))]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(IpNet, u32),
        Remove(IpNet),
    }

    /// Addresses and prefixes from few bits, so that they meet often.
    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u8>().prop_map(|bits| IpAddr::V4(Ipv4Addr::new(10, bits & 0xc0, 0, bits & 3))),
            any::<u8>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(
                (0xfd_u128 << 120) | (u128::from(bits & 0xc0) << 60) | u128::from(bits & 3)
            ))),
        ]
    }

    fn prefixes() -> impl Strategy<Value = IpNet> {
        (address(), 0_u8..=128).prop_map(|(address, length)| {
            let most = if address.is_ipv4() { 32 } else { 128 };
            IpNet::new(address, length.min(most)).expect("a length of its family").trunc()
        })
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (prefixes(), 0_u32..5).prop_map(|(prefix, slot)| Step::Insert(prefix, slot)),
            1 => prefixes().prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_that_is_searched_through(
            steps in proptest::collection::vec(step(), 0..60),
            addresses in proptest::collection::vec(address(), 1..20),
        ) {
            let mut table = AllowedIps::default();
            let mut list: Vec<(IpNet, PeerSlot)> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(prefix, slot) => {
                        table.insert(prefix, PeerSlot(slot));
                        list.retain(|(other, _)| *other != prefix);
                        list.push((prefix, PeerSlot(slot)));
                    }
                    Step::Remove(prefix) => {
                        table.remove(prefix);
                        list.retain(|(other, _)| *other != prefix);
                    }
                }
            }
            for address in addresses {
                let expected = list
                    .iter()
                    .filter(|(prefix, _)| prefix.contains(&address))
                    .max_by_key(|(prefix, _)| prefix.prefix_len())
                    .map(|(prefix, slot)| Owner { slot: *slot, length: prefix.prefix_len() });
                prop_assert_eq!(table.lookup(address), expected);
            }
            let mut all: Vec<_> = table.iter().collect();
            all.sort();
            list.sort();
            prop_assert_eq!(all, list);
        }
    }
}
