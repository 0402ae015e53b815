//! How long a node of a large mesh takes to find its paths anew.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use wgnet::mesh::config::Class;
use wgnet::mesh::ids::{NetworkId, WgPublicKey};
use wgnet::mesh::path::{ALGORITHM, Graph};
use wgnet::mesh::record::{About, Body, LinkAdvert, Lsdb, NodeRecord, Quality, ShortId, Signer, Version, Was};
use wgnet::mesh::time::Time;
use wgnet::mesh::trust::Standing;

/// Thirty gateways that all see each other, and leaves with two or three uplinks each: 3,000 links in all.
const GATEWAYS: usize = 30;
const NODES: usize = 1_000;
const LINKS: usize = 3_000;

/// Reads the link-state database of 1,000 nodes and 3,000 links into a graph and finds the paths of one node, so many
/// times.
pub(crate) fn times(rounds: usize) -> Vec<Duration> {
    let (lsdb, standing, id) = mesh();
    let mut times = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            let graph = Graph::at(black_box(&lsdb), &standing, &[Time::ZERO]).remove(0);
            let paths = black_box(graph.paths(&id));
            let time = start.elapsed();
            assert_eq!((paths.len(), graph.edges().count()), (NODES - 1, LINKS), "every node is reached by every link");
            time
        })
        .collect::<Vec<_>>();
    times.sort_unstable();
    times
}

fn mesh() -> (Lsdb, Standing, wgnet::mesh::ids::NodeId) {
    let network = NetworkId([7; 16]);
    let signer = |node: usize| {
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&(node as u64).to_le_bytes());
        Signer::new(&seed, network)
    };
    let signers = (0..NODES).map(signer).collect::<Vec<_>>();
    let mut ends: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let backbone = (0..GATEWAYS).flat_map(|a| (a + 1..GATEWAYS).map(move |b| (a, b)));
    let uplinks = (0..3).flat_map(|nth| (GATEWAYS..NODES).map(move |leaf| (leaf, (leaf * 7 + nth * 11) % GATEWAYS)));
    for (a, b) in backbone.chain(uplinks).take(LINKS) {
        ends.entry(a).or_default().push(b);
        ends.entry(b).or_default().push(a);
    }
    let mut lsdb = Lsdb::new();
    for (node, others) in ends {
        let mut links = others
            .iter()
            .map(|other| LinkAdvert {
                to: ShortId::from(&signers[*other].id()),
                cost: 50 + (node * other % 90) as u32,
                was: Was::Settled,
                quality: Quality::default(),
            })
            .collect::<Vec<_>>();
        links.sort_by_key(|link| link.to);
        let mut rest = &links[..];
        for fragment in 0.. {
            let (here, later) = rest.split_at(rest.len().min(NodeRecord::max_links(fragment)));
            let record = NodeRecord {
                fragment,
                version: Version { epoch: 1, seq: u64::from(fragment) + 1 },
                about: (fragment == 0).then(|| about(node)),
                links: here.to_vec(),
            };
            lsdb.insert(signers[node].item(Body::Node(record)), Duration::ZERO, &[], Time::ZERO);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
    }
    let standing = Standing {
        admitted: signers.iter().map(Signer::id).collect(),
        gateways: signers.iter().take(GATEWAYS).map(Signer::id).collect(),
        ..Standing::default()
    };
    (lsdb, standing, signers[NODES - 1].id())
}

fn about(node: usize) -> About {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&(node as u64).to_le_bytes());
    About {
        name: format!("n{node}").parse().expect("a name"),
        addresses: vec![IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + node as u32))],
        wg_key: WgPublicKey(key),
        wg_port: 50_000,
        admin_port: 50_500,
        gateway: node < GATEWAYS,
        class: Class::Server,
        left: false,
        algorithm: ALGORITHM,
        file: 1,
        grants: Vec::new(),
        grants_any: false,
        endpoints: Vec::new(),
    }
}
