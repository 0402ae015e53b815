//! Who is who: identities, WireGuard keys, link addresses, names.

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A node's identity: its Ed25519 verifying key (32 bytes). Everything a node says of itself is signed by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 32]);

impl NodeId {
    /// The ULA /128 by which this node is reached on a direct link, whatever its overlay addresses are routed through.
    ///
    /// `fd` + 40 bits of the network + 80 bits of the identity, so that one /48 route covers a network.
    pub fn link_address(&self, network: &NetworkId) -> Ipv6Addr {
        let mut octets = [0_u8; 16];
        octets[..6].copy_from_slice(&network.prefix());
        let hash = Sha256::new().chain_update(b"wgnet link address").chain_update(self.0).finalize();
        octets[6..].copy_from_slice(&hash[..10]);
        Ipv6Addr::from(octets)
    }

    /// The order in which identities win a tie: a hash, so that nobody is first by the look of the key alone.
    pub fn rank(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"wgnet rank").chain_update(self.0).finalize().into()
    }

    /// The first 8 hexadecimal digits: enough for people to tell nodes apart.
    pub fn short(&self) -> String {
        self.0[..4].iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// The order of the bytes, word by word: keys differ in the first word, and maps by identity are what the engine uses
/// most.
fn by_bytes(a: &[u8; 32], b: &[u8; 32]) -> Ordering {
    let word =
        |key: &[u8; 32], at: usize| u64::from_be_bytes(key[at..at + 8].try_into().expect("the slice has eight bytes"));
    [0, 8, 16, 24]
        .into_iter()
        .map(|at| word(a, at).cmp(&word(b, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

impl Ord for NodeId {
    fn cmp(&self, other: &Self) -> Ordering {
        by_bytes(&self.0, &other.0)
    }
}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WgPublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        by_bytes(&self.0, &other.0)
    }
}

impl PartialOrd for WgPublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.short())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A WireGuard public key (X25519, 32 bytes); shown in base64 as `wg` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WgPublicKey(pub [u8; 32]);

impl fmt::Debug for WgPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WgPublicKey({self})")
    }
}

impl fmt::Display for WgPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

impl FromStr for WgPublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        decode_key(text).map(Self)
    }
}

/// A text that is not the base64 of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key: expected the base64 of 32 bytes (44 characters ending in '=', as `wgnet genkey` prints)")]
pub struct InvalidKey;

/// Decodes the base64 of exactly 32 bytes.
pub fn decode_key(text: &str) -> Result<[u8; 32], InvalidKey> {
    let bytes = BASE64.decode(text).map_err(|_| InvalidKey)?;
    bytes.try_into().map_err(|_| InvalidKey)
}

/// What tells one network from another: derived from the network key, without revealing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkId(pub [u8; 16]);

impl NetworkId {
    /// The /48 unique local prefix (RFC 4193) that holds every link address of the network: `fd` and 40 bits.
    pub fn prefix(&self) -> [u8; 6] {
        [0xfd, self.0[0], self.0[1], self.0[2], self.0[3], self.0[4]]
    }

    /// The same prefix as a network, for the one route that covers all link addresses.
    pub fn link_network(&self) -> ipnet::Ipv6Net {
        let mut octets = [0_u8; 16];
        octets[..6].copy_from_slice(&self.prefix());
        ipnet::Ipv6Net::new(Ipv6Addr::from(octets), 48).expect("48 is a valid IPv6 prefix length")
    }
}

/// A node's name: one DNS label of lower-case letters, digits and hyphens, 1 to 63 characters.
///
/// Names reach logs, terminals and (later) hosts files of other machines: nothing else is accepted (CVE-2026-105429).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let label = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fits = (1..=63).contains(&text.len()) && text.bytes().all(label);
        if !fits || text.starts_with('-') || text.ends_with('-') {
            return Err(InvalidName(text.chars().take(63).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A text that is no DNS label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a node's name: use 1 to 63 lower-case letters, digits and inner hyphens, such as \"box-1\"")]
pub struct InvalidName(String);

/// A prefix that holds exactly one address.
pub fn host_prefix(address: IpAddr) -> ipnet::IpNet {
    ipnet::IpNet::from(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_their_bytes() {
        for place in 0..32 {
            let (mut low, mut high) = ([7; 32], [7; 32]);
            (low[place], high[place]) = (0x7f, 0x80);
            assert!(NodeId(low) < NodeId(high) && WgPublicKey(high) > WgPublicKey(low), "byte {place}");
        }
        assert_eq!(NodeId([7; 32]).cmp(&NodeId([7; 32])), Ordering::Equal);
    }
}
