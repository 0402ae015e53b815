//! How many handshakes a second are worth their Diffie-Hellman: beyond that the sender must show a cookie, and each
//! source has its own small budget.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Handshake messages a second that are answered without a cookie. A handshake costs about 0.3 ms, so this is at most
/// 6 % of a core.
const FREE_PER_SECOND: u32 = 200;

/// The same figure for boringtun's own limiter, which sees each initiation twice: when its peer is looked for and when
/// that peer answers it.
pub(super) const LIMITER_COUNT: u64 = 2 * FREE_PER_SECOND as u64;

/// Under load each source may have this many handshakes a second, and this many at once (as the kernel's module).
const SOURCE_PER_SECOND: u32 = 20;
const SOURCE_BURST: u8 = 5;

/// Sources are told apart by a keyed hash; two that meet in one slot share a budget, so memory stays flat.
const SOURCES: usize = 1024;

/// The budget of handshakes.
pub(super) struct HandshakeLoad {
    second: Instant,
    seen: u32,
    keys: RandomState,
    sources: Box<[Source]>,
}

#[derive(Clone, Copy)]
struct Source {
    left: u8,
    since: Option<Instant>,
}

impl HandshakeLoad {
    pub(super) fn new(now: Instant) -> Self {
        let fresh = Source { left: SOURCE_BURST, since: None };
        Self { second: now, seen: 0, keys: RandomState::new(), sources: vec![fresh; SOURCES].into_boxed_slice() }
    }

    /// Whether the handshake message from `source`, whose MACs were right, is worth its work.
    pub(super) fn admit(&mut self, source: IpAddr, now: Instant) -> bool {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.seen = 0;
        }
        self.seen = self.seen.saturating_add(1);
        self.seen <= FREE_PER_SECOND || self.take(source, now)
    }

    fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let slot = self.keys.hash_one(network(source)) as usize % SOURCES;
        let source = &mut self.sources[slot];
        let since = *source.since.get_or_insert(now);
        let each = Duration::from_secs(1) / SOURCE_PER_SECOND;
        let earned = now.duration_since(since).as_nanos() / each.as_nanos();
        if earned > 0 {
            source.left = (u128::from(source.left) + earned).min(u128::from(SOURCE_BURST)) as u8;
            source.since = Some(now);
        }
        let some = source.left > 0;
        source.left = source.left.saturating_sub(1);
        some
    }
}

/// One customer's network: an IPv4 address or an IPv6 /64.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as the start of a virtual clock")]
mod tests {
    use super::*;

    #[test]
    fn below_the_load_everyone_is_admitted_and_above_it_each_source_has_its_budget() {
        let now = Instant::now();
        let mut load = HandshakeLoad::new(now);
        let (flooder, neighbour): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().expect("an address"), "192.0.2.2".parse().expect("an address"));
        let admitted = (0..10_000).filter(|_| load.admit(flooder, now)).count();
        assert_eq!(admitted, (FREE_PER_SECOND + u32::from(SOURCE_BURST)) as usize);
        assert!(load.admit(neighbour, now));
        assert!(!load.admit(flooder, now));
        assert!(load.admit(flooder, now + Duration::from_millis(60)));
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_source() {
        let one = network("2001:db8::1".parse().expect("an address"));
        assert_eq!(one, network("2001:db8::ffff:1".parse().expect("an address")));
        assert_ne!(one, network("2001:db8:0:1::1".parse().expect("an address")));
    }
}
