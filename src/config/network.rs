//! net.yaml: the one file that all nodes share.
//!
//! [`parse_network`] is pure: text in, a checked file or every mistake out. What needs the disk (the key file, who may
//! read the secret) is in `source.rs`; what needs the machine's routes is in `conflict.rs`.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use super::diagnostic::{Checked, Findings, Located, Origin};
use super::document::{self, Keys, Kind, Node};
use super::peers::{self, ListedPeer};
use super::secret::{self, SharedKey};
use super::value;
use crate::mesh::config::{DirectMode, GatewayPolicy};
use crate::mesh::ids::Name;

/// MTU of the tunnel in bytes where neither the file nor the underlay says more: Ethernet's 1500 less [`OVERHEAD`].
pub const DEFAULT_MTU: u16 = 1420;
/// What the underlay carries around a packet of the tunnel in bytes: IPv6, UDP and WireGuard.
pub const OVERHEAD: u16 = 80;
/// Smallest and largest MTU in bytes: IPv6 needs 1280 (RFC 8200), and jumbo frames end at 9000.
pub const MTU_RANGE: (u16, u16) = (1280, 9000);
/// Smallest and largest cost that a file may give a link.
pub const COST_RANGE: (u32, u32) = (1, 1_000_000);
/// Smallest and largest weight of a gateway.
pub(super) const WEIGHT_RANGE: (u32, u32) = (0, 1_000);

/// Most networks in `subnet`: each address is compared with each.
const MAX_SUBNETS: usize = 16;

/// Ranges that belong to nobody on the internet: RFC 1918, 6598, 2544, 5737, 4193, 3849.
const PRIVATE_RANGES: [&str; 10] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "198.18.0.0/15",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "fc00::/7",
    "2001:db8::/32",
];

/// The content of a network file, checked in itself.
#[derive(Clone, Debug)]
pub struct NetworkFile {
    /// The shared key, or where it stands.
    pub(crate) key: KeySource,
    /// `network.name`.
    pub name: Option<Name>,
    /// `network.subnet`, host bits cleared; disjoint.
    pub subnets: Vec<Located<IpNet>>,
    /// `network.mtu` in bytes; `None`: what the underlay carries decides.
    pub mtu: Option<u16>,
    /// `network.direct`.
    pub direct: DirectMode,
    /// `network.gateways`.
    pub gateways: GatewayPolicy,
    /// `peers`.
    pub peers: Vec<ListedPeer>,
}

/// Where the shared key is.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// `sharedKey`: in the file itself.
    Inline(Located<SharedKey>),
    /// `sharedKeyFile`: a path, relative to the directory of the network file.
    File(Located<PathBuf>),
}

/// Reads a network file from its text. `file_name` is what diagnostics call it.
///
/// # Errors
///
/// Every mistake in the text, in its order. Whatever the text, this neither panics nor takes more time or memory
/// than a small multiple of its size.
pub fn parse_network(text: &[u8], file_name: &str) -> Checked<NetworkFile> {
    let file: Arc<str> = file_name.into();
    let mut findings = Findings::default();
    let root = document::parse(text, &file, &mut findings);
    let network = match root {
        Some(root) if !matches!(root.kind, Kind::Null) => read(&root, &mut findings),
        _ if findings.count() > 0 => None,
        _ => findings.error(
            &Origin::WholeFile(file),
            "is empty",
            "copy examples/net.yaml and put the output of `wgnet genkey` into it",
        ),
    };
    findings.conclude(network)
}

fn read(root: &Node, findings: &mut Findings) -> Option<NetworkFile> {
    let mut keys = Keys::open(root, "the network file", findings)?;
    let section = match keys.take("network", findings) {
        Some(section) => Some(section),
        None if keys.had("network") => None,
        None => findings.error(
            &keys.origin,
            "the section network is missing",
            "it holds sharedKey and subnet; see examples/net.yaml",
        ),
    };
    let section = section.and_then(|section| read_section(&section, findings));
    let subnets = section.as_ref().map_or(&[][..], |section| &section.subnets);
    let listed = keys.take("peers", findings);
    let peers = match listed {
        Some(list) => peers::read(&list, subnets, findings),
        None => {
            if !keys.had("peers") {
                peers::warn_alone(&keys.origin, findings);
            }
            Vec::new()
        }
    };
    keys.close("the network file", findings);
    let section = section?;
    Some(NetworkFile {
        key: section.key?,
        name: section.name,
        subnets: section.subnets,
        mtu: section.mtu,
        direct: section.direct,
        gateways: section.gateways,
        peers,
    })
}

/// `network:`, as far as it could be read.
struct Section {
    key: Option<KeySource>,
    name: Option<Name>,
    subnets: Vec<Located<IpNet>>,
    mtu: Option<u16>,
    direct: DirectMode,
    gateways: GatewayPolicy,
}

fn read_section(node: &Node, findings: &mut Findings) -> Option<Section> {
    let mut keys = Keys::open(node, "network", findings)?;
    let key = read_key(&mut keys, findings);
    let subnets = read_subnets(&mut keys, findings);
    let name = keys.take("name", findings).and_then(|node| {
        let text = value::text(&node, "name", findings)?;
        value::name(&Located::new(text, node.origin.clone()), "the network's name", findings)
    });
    let mtu = keys.take("mtu", findings).and_then(|node| {
        let (low, high) = MTU_RANGE;
        value::number(&node, "mtu", (low.into(), high.into()), findings)
    });
    let direct = keys.take("direct", findings).and_then(|node| {
        let words = [
            ("auto", DirectMode::Auto),
            ("always", DirectMode::Always),
            ("on-demand", DirectMode::OnDemand),
            ("never", DirectMode::Never),
        ];
        value::choice(&node, "direct", &words, findings)
    });
    let gateways = keys.take("gateways", findings).and_then(|node| {
        let words = [("static", GatewayPolicy::Static), ("any", GatewayPolicy::Any)];
        value::choice(&node, "gateways", &words, findings)
    });
    keys.close("network", findings);
    Some(Section {
        key,
        name,
        subnets,
        mtu: mtu.and_then(|mtu| u16::try_from(mtu).ok()),
        direct: direct.unwrap_or_default(),
        gateways: gateways.unwrap_or_default(),
    })
}

fn read_key(keys: &mut Keys, findings: &mut Findings) -> Option<KeySource> {
    let inline = keys.take("sharedKey", findings);
    let file = keys.take("sharedKeyFile", findings);
    match (inline, file) {
        (Some(_), Some(file)) => {
            findings.error(&file.origin, "sharedKey and sharedKeyFile are both given", "keep one of the two")
        }
        (Some(node), None) => {
            let text = value::text(&node, "sharedKey", findings)?;
            let key = secret::shared_key(text, &node.origin, "sharedKey", findings)?;
            Some(KeySource::Inline(Located::new(key, node.origin.clone())))
        }
        (None, Some(node)) => {
            let text = value::text(&node, "sharedKeyFile", findings)?;
            if crate::mesh::ids::decode_key(text).is_ok() {
                return findings.error(
                    &node.origin,
                    "sharedKeyFile holds a key, not the path of a file",
                    "write the key as sharedKey",
                );
            }
            if text.is_empty() || text.contains('\0') {
                return findings.error(&node.origin, "sharedKeyFile is no path", "name the file that holds the key");
            }
            Some(KeySource::File(Located::new(text.into(), node.origin.clone())))
        }
        (None, None) if keys.had("sharedKey") || keys.had("sharedKeyFile") => None,
        (None, None) => findings.error(
            &keys.origin,
            "sharedKey is missing",
            "make one with `wgnet genkey`, and put the same one on all nodes",
        ),
    }
}

fn read_subnets(keys: &mut Keys, findings: &mut Findings) -> Vec<Located<IpNet>> {
    let Some(node) = keys.take("subnet", findings) else {
        if !keys.had("subnet") {
            findings.error::<()>(
                &keys.origin,
                "subnet is missing",
                "give the range of the overlay's addresses, such as 10.1.1.0/24",
            );
        }
        return Vec::new();
    };
    let written = value::texts(&node, "subnet", findings).unwrap_or_default();
    if let Some(beyond) = written.get(MAX_SUBNETS) {
        findings.error::<()>(
            &beyond.origin,
            format!("subnet lists {} networks, and at most {MAX_SUBNETS} are possible", written.len()),
            "name one larger network around them",
        );
        return Vec::new();
    }
    let mut subnets: Vec<Located<IpNet>> = Vec::new();
    for written in written {
        let Some(net) = value::subnet(&written, findings) else { continue };
        let overlaps = |other: &&Located<IpNet>| other.value.contains(&net) || net.contains(&other.value);
        if let Some(other) = subnets.iter().find(overlaps) {
            findings.error::<()>(
                &written.origin,
                format!("subnet {net} overlaps {}, given at {}", other.value, other.origin),
                "remove one of the two",
            );
            continue;
        }
        let private =
            PRIVATE_RANGES.iter().any(|range| range.parse::<IpNet>().expect("the table holds networks").contains(&net));
        if !private {
            findings.warn(
                &written.origin,
                format!("subnet {net} holds public addresses, which cannot be reached while wgnet runs"),
                "choose a private range such as 10.1.1.0/24",
            );
        }
        subnets.push(written.with(net));
    }
    subnets
}
