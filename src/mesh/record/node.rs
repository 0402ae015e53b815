//! What a node says of itself.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::config::Class;
use super::super::ids::{Name, NodeId, WgPublicKey};

/// Order of the items of one node: the start first, then the change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Number of the node's start: persisted, +1 per start.
    pub epoch: u64,
    /// Number of the change within the start.
    pub seq: u64,
}

/// The first 16 bytes of an identity: enough to name it inside a link list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ShortId(pub [u8; 16]);

impl From<&NodeId> for ShortId {
    fn from(id: &NodeId) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&id.0[..16]);
        Self(short)
    }
}

/// What acted before the hold of a link's change began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Was {
    /// No change is on hold.
    Settled,
    /// The link did not count.
    Absent,
    /// The link had this cost.
    Cost(u32),
}

/// One link, as one of its two ends sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAdvert {
    /// The other end.
    pub to: ShortId,
    /// The cost; it acts when the hold has run out.
    pub cost: u32,
    /// What acts until then.
    pub was: Was,
    /// What was measured when this was told; for people only, paths do not depend on it.
    pub quality: Quality,
}

/// A link as its owner measures it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub struct Quality {
    /// Smoothed round trip in microseconds, at most 8.3 s; 0: not measured.
    pub rtt_us: u32,
    /// Smoothed share of lost probes in percent, there or back.
    pub loss_percent: u8,
    /// The largest packet that passes, in bytes, where that is less than the MTU of the owner's tunnel: 1280 and so many
    /// times 16.
    pub mtu: Option<u16>,
}

/// [`Quality`] on the wire. Versions that know no `mtu` have a round trip in all 32 bits, and accept whatever is there; no
/// link that is up takes the 8.4 s that the upper 9 bits begin at. So there is room for the MTU in them.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Packed {
    rtt_and_mtu: u32,
    loss_percent: u8,
}

const RTT_BITS: u32 = 23;
const LEAST_MTU: u16 = 1280;
const MTU_STEP: u16 = 16;

impl From<Packed> for Quality {
    fn from(packed: Packed) -> Self {
        let step = u16::try_from(packed.rtt_and_mtu >> RTT_BITS).unwrap_or(0);
        let mtu = step.checked_sub(1).map(|above| LEAST_MTU + above * MTU_STEP);
        Self { rtt_us: packed.rtt_and_mtu & ((1 << RTT_BITS) - 1), loss_percent: packed.loss_percent, mtu }
    }
}

impl From<Quality> for Packed {
    fn from(quality: Quality) -> Self {
        let most = (1 << (u32::BITS - RTT_BITS)) - 1;
        let step = |mtu: u16| (u32::from(mtu.saturating_sub(LEAST_MTU) / MTU_STEP) + 1).min(most);
        let rtt = quality.rtt_us.min((1 << RTT_BITS) - 1);
        Self { rtt_and_mtu: quality.mtu.map_or(0, step) << RTT_BITS | rtt, loss_percent: quality.loss_percent }
    }
}

/// One fragment of a node's record. Fragment 0 describes the node; every fragment lists links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Number of this fragment.
    pub fragment: u8,
    /// Order among the versions of this fragment.
    pub version: Version,
    /// What the node is; `Some` exactly in fragment 0.
    pub about: Option<About>,
    /// Links, at most [`NodeRecord::max_links`].
    pub links: Vec<LinkAdvert>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The name it claims.
    pub name: Name,
    /// The overlay addresses it claims, one or two.
    pub addresses: Vec<IpAddr>,
    /// Its WireGuard key.
    pub wg_key: WgPublicKey,
    /// UDP port of its WireGuard on the underlay.
    pub wg_port: u16,
    /// UDP port of its control traffic, on the underlay and inside the tunnel.
    pub admin_port: u16,
    /// Whether it claims to be a gateway.
    pub gateway: bool,
    /// Its class.
    pub class: Class,
    /// Set when it left on purpose: it is gone from all tables at once.
    pub left: bool,
    /// Version of the path algorithm it computes with.
    pub algorithm: u8,
    /// Hash of what must be equal in all network files (0 never occurs).
    pub file: u32,
    /// Gateways: [`grant_of`] the first address of each static peer that its file makes a gateway, sorted.
    pub grants: Vec<u32>,
    /// Gateways: whether its file says `gateways: any`.
    pub grants_any: bool,
    /// Underlay addresses and WireGuard port where it may be reached, best first.
    pub endpoints: Vec<SocketAddr>,
}

/// Limits that keep an item within one datagram of 1200 bytes.
impl NodeRecord {
    /// Most fragments of one node: 1 + 63 x 20 links.
    pub const MAX_FRAGMENTS: u8 = 64;
    /// Most endpoints in a record.
    pub const MAX_ENDPOINTS: usize = 8;
    /// Most grants in a record: more gateways than that need the `any` policy.
    pub const MAX_GRANTS: usize = 64;

    /// Most links in fragment `fragment`: the first one shares its datagram with [`About`].
    pub const fn max_links(fragment: u8) -> usize {
        if fragment == 0 { 6 } else { 20 }
    }

    /// Whether the record keeps the limits and the shape that every node accepts.
    pub(super) fn is_well_formed(&self) -> bool {
        let links = &self.links;
        let sorted = links.windows(2).all(|pair| pair[0].to < pair[1].to);
        let about = match (&self.about, self.fragment) {
            (Some(about), 0) => about.is_well_formed(),
            (None, 1..Self::MAX_FRAGMENTS) => true,
            _ => false,
        };
        about
            && sorted
            && links.len() <= Self::max_links(self.fragment)
            && links.iter().all(|link| link.cost > 0 && link.quality.loss_percent <= 100)
    }
}

/// Four bytes that stand for a gateway's address in a grant.
pub fn grant_of(address: &IpAddr) -> u32 {
    let digest = Sha256::new().chain_update(b"wgnet grant").chain_update(address.to_string()).finalize();
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

impl About {
    /// Whether another version claims the same: all but where and with what the node is reached.
    pub fn claims_the_same(&self, other: &Self) -> bool {
        let claims =
            |about: &Self| (about.gateway, about.left, about.wg_key, about.grants_any, about.algorithm, about.file);
        claims(self) == claims(other)
            && self.name == other.name
            && self.addresses == other.addresses
            && self.grants == other.grants
    }

    fn is_well_formed(&self) -> bool {
        let families = |v4: bool| self.addresses.iter().filter(|a| a.is_ipv4() == v4).count();
        (1..=2).contains(&self.addresses.len())
            && families(true) <= 1
            && families(false) <= 1
            && self.endpoints.len() <= NodeRecord::MAX_ENDPOINTS
            && self.grants.len() <= NodeRecord::MAX_GRANTS
            && self.addresses.iter().all(|a| !a.is_unspecified() && !a.is_multicast() && !a.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quality_has_one_encoding_and_older_versions_read_it() {
        let encoded = |quality: Quality| postcard::to_allocvec(&quality).expect("known length");
        let plain = Quality { rtt_us: 20_300, loss_percent: 2, mtu: None };
        assert_eq!(encoded(plain), postcard::to_allocvec(&(20_300_u32, 2_u8)).expect("known length"));
        for (mtu, told) in [(1280, 1280), (1360, 1360), (1412, 1408), (9000, 9000 - 9000 % 16), (1000, 1280)] {
            let bytes = encoded(Quality { mtu: Some(mtu), ..plain });
            assert_eq!(postcard::from_bytes(&bytes), Ok(Quality { mtu: Some(told), ..plain }));
            assert!(postcard::from_bytes::<(u32, u8)>(&bytes).is_ok());
        }
        for any in [0, 1, (1 << 23) - 1, 1 << 23, 0x1234_5678, u32::MAX] {
            let bytes = postcard::to_allocvec(&(any, 7_u8)).expect("known length");
            assert_eq!(encoded(postcard::from_bytes(&bytes).expect("whatever is there")), bytes);
        }
    }
}
