//! What must be true of paths on any mesh: they are the same in both directions, and one lies inside the other.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::super::config::Class;
use super::super::ids::{NetworkId, NodeId, WgPublicKey};
use super::super::record::{About, Body, LinkAdvert, Lsdb, NodeRecord, Quality, ShortId, Signer, Version, Was};
use super::super::time::Time;
use super::super::trust::Standing;
use super::*;

const NETWORK: NetworkId = NetworkId([7; 16]);

/// A mesh by hand: everyone is admitted, the first `gateways` nodes forward, links as given (a, b, cost at a, cost at b).
pub(super) struct Mesh {
    signers: Vec<Signer>,
    pub(super) lsdb: Lsdb,
    pub(super) standing: Standing,
}

impl Mesh {
    pub(super) fn new(nodes: usize, gateways: usize, links: &[(usize, usize, u32, u32)]) -> Self {
        let seed = |node: usize| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&(node as u64 + 1).to_le_bytes());
            seed
        };
        let signers: Vec<Signer> = (0..nodes).map(|node| Signer::new(&seed(node), NETWORK)).collect();
        let mut mesh = Self { signers, lsdb: Lsdb::new(), standing: Standing::default() };
        for node in 0..nodes {
            let mut own: Vec<(usize, u32)> = Vec::new();
            for (a, b, at_a, at_b) in links {
                if *a == node {
                    own.push((*b, *at_a));
                } else if *b == node {
                    own.push((*a, *at_b));
                }
            }
            mesh.tell(node, &own);
        }
        mesh.standing.admitted = mesh.signers.iter().map(Signer::id).collect();
        mesh.standing.gateways = mesh.signers.iter().take(gateways).map(Signer::id).collect();
        mesh
    }

    fn tell(&mut self, node: usize, links: &[(usize, u32)]) {
        let advert = |(to, cost): &(usize, u32)| LinkAdvert {
            to: ShortId::from(&self.signers[*to].id()),
            cost: *cost,
            was: Was::Settled,
            quality: Quality::default(),
        };
        let mut adverts: Vec<LinkAdvert> = links.iter().map(advert).collect();
        adverts.sort_by_key(|link| link.to);
        adverts.dedup_by_key(|link| link.to);
        let mut fragment = 0;
        let mut rest = &adverts[..];
        loop {
            let (here, later) = rest.split_at(rest.len().min(NodeRecord::max_links(fragment)));
            let record = NodeRecord {
                fragment,
                version: Version { epoch: 1, seq: u64::from(fragment) + 1 },
                about: (fragment == 0).then(|| about(node)),
                links: here.to_vec(),
            };
            let item = self.signers[node].item(Body::Node(record));
            self.lsdb.insert(item, Duration::ZERO, &[], Time::ZERO);
            if later.is_empty() {
                return;
            }
            rest = later;
            fragment += 1;
        }
    }

    pub(super) fn id(&self, node: usize) -> NodeId {
        self.signers[node].id()
    }

    pub(super) fn graph(&self) -> Graph {
        Graph::at(&self.lsdb, &self.standing, &[Time::ZERO]).remove(0)
    }
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
        gateway: false,
        class: Class::Server,
        left: false,
        algorithm: ALGORITHM,
        file: 1,
        grants: Vec::new(),
        grants_any: false,
        endpoints: Vec::new(),
    }
}

/// Follows every node's own table from `from` to `to`.
fn walk(tables: &std::collections::BTreeMap<NodeId, Paths>, from: NodeId, to: NodeId) -> Option<Vec<NodeId>> {
    let mut way = vec![from];
    while *way.last()? != to {
        let here = *way.last()?;
        way.push(tables[&here].get(&to)?.next);
        assert!(way.len() <= tables.len() + 1, "the tables circulate");
    }
    Some(way)
}

#[test]
fn leaves_do_not_forward() {
    // g0 - l2 - g1: the leaf in the middle joins nothing.
    let mesh = Mesh::new(3, 2, &[(0, 2, 1, 1), (1, 2, 1, 1)]);
    let paths = mesh.graph().paths(&mesh.id(0));
    assert!(paths.contains_key(&mesh.id(2)));
    assert!(!paths.contains_key(&mesh.id(1)), "no way leads through a leaf");
}

#[test]
fn a_link_counts_when_both_ends_tell_of_it_and_costs_what_the_dearer_end_says() {
    let mut mesh = Mesh::new(2, 2, &[(0, 1, 10, 70)]);
    assert_eq!(mesh.graph().paths(&mesh.id(0))[&mesh.id(1)].cost(), 70);
    let record =
        NodeRecord { fragment: 0, version: Version { epoch: 1, seq: 9 }, about: Some(about(1)), links: vec![] };
    let item = mesh.signers[1].item(Body::Node(record));
    mesh.lsdb.insert(item, Duration::ZERO, &[], Time::ZERO);
    assert!(mesh.graph().paths(&mesh.id(0)).is_empty());
}

#[test]
fn a_change_on_hold_acts_when_the_hold_has_run_out_and_a_loss_at_once() {
    let mut mesh = Mesh::new(3, 3, &[(0, 1, 50, 50), (1, 2, 50, 50), (0, 2, 500, 500)]);
    let to = |node: usize| ShortId::from(&mesh.signers[node].id());
    let mut links = vec![
        LinkAdvert { to: to(1), cost: 50, was: Was::Settled, quality: Quality::default() },
        LinkAdvert { to: to(2), cost: 60, was: Was::Cost(500), quality: Quality::default() },
    ];
    links.sort_by_key(|link| link.to);
    let holds: Vec<u16> = links.iter().map(|link| if link.was == Was::Settled { 0 } else { 2_000 }).collect();
    let record = |version, links| NodeRecord { fragment: 0, version, about: Some(about(0)), links };
    let item = mesh.signers[0].item(Body::Node(record(Version { epoch: 1, seq: 5 }, links)));
    mesh.lsdb.insert(item, Duration::ZERO, &holds, Time::from_secs(10));
    let hops = |mesh: &Mesh, at: Time| {
        Graph::at(&mesh.lsdb, &mesh.standing, &[at])[0].paths(&mesh.id(0)).get(&mesh.id(2)).map(|route| route.hops)
    };
    // The other end still says 500, so even then the way through node 1 is shorter; its own cost shows in the edge.
    assert_eq!(hops(&mesh, Time::from_secs(11)), Some(2));
    assert_eq!(mesh.lsdb.advance(Time::from_secs(11)).next, Some(Time::from_secs(12)));
    let lost = record(
        Version { epoch: 1, seq: 6 },
        vec![LinkAdvert { to: to(2), cost: 60, was: Was::Settled, quality: Quality::default() }],
    );
    let item = mesh.signers[0].item(Body::Node(lost));
    mesh.lsdb.insert(item, Duration::ZERO, &[0], Time::from_secs(11));
    assert_eq!(hops(&mesh, Time::from_secs(11)), Some(1), "the lost link is gone at once");
}

/// Links drawn at random, each pair of ends once.
fn distinct_links(picks: Vec<(usize, usize, u32)>, nodes: usize) -> Vec<(usize, usize, u32, u32)> {
    let mut seen = std::collections::BTreeSet::new();
    let links = picks.into_iter().map(|(a, b, cost)| (a % nodes, b % nodes, cost, cost));
    links.filter(|(a, b, ..)| a != b && seen.insert((*a.min(b), *a.max(b)))).collect()
}

/// The way of a packet while some nodes have moved to the second of two plans and others have not: `late` says who.
fn cross(
    plans: &[(&Graph, &std::collections::BTreeMap<NodeId, Paths>); 2],
    crossings: &std::collections::BTreeMap<NodeId, Crossings>,
    late: &dyn Fn(&NodeId) -> bool,
    (from, to): (usize, usize),
    ids: &[NodeId],
) -> Result<(), String> {
    let number = |key: WgPublicKey| usize::from(key.0[0]);
    let key = |node: usize| about(node).wg_key;
    let address = |node: usize| about(node).addresses[0];
    let own_plan = |node: usize| plans[usize::from(!late(&ids[node]))].1;
    let next = |paths: &Paths, to: usize| paths.get(&ids[to]).map(|route| route.next);
    let Some(first) = next(&own_plan(from)[&ids[from]], to) else { return Ok(()) };
    let mut way = vec![from, ids.iter().position(|id| *id == first).expect("a node")];
    while way[way.len() - 1] != to {
        let (before, here) = (way[way.len() - 2], way[way.len() - 1]);
        let by_table = || next(&own_plan(here)[&ids[here]], to).and_then(|next| ids.iter().position(|id| *id == next));
        let on = match crossings.get(&ids[here]) {
            Some(crossings) => crossings.way(&key(before), address(from), address(to)).map(number),
            None => by_table(),
        };
        way.push(on.ok_or_else(|| format!("dropped after {way:?}"))?);
        if way.len() > ids.len() {
            return Err(format!("goes round: {way:?}"));
        }
    }
    let accepted = plans.iter().any(|(_, tables)| next(&tables[&ids[to]], from) == Some(ids[way[way.len() - 2]]));
    accepted.then_some(()).ok_or_else(|| format!("refused at its end: {way:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_packet_arrives_while_only_some_nodes_have_moved_to_new_paths(
        gateways in 2_usize..8,
        leaves in 0_usize..12,
        picks in prop::collection::vec((0_usize..20, 0_usize..20, 1_u32..4), 5..60),
        dearer in prop::collection::vec(0_usize..60, 1..4),
        late in any::<u64>(),
    ) {
        let nodes = gateways + leaves;
        let mut links = distinct_links(picks, nodes);
        let before = Mesh::new(nodes, gateways, &links).graph();
        let count = links.len();
        for index in dearer {
            if let Some((_, _, at_a, _)) = links.get_mut(index % count.max(1)) {
                *at_a += 5;
            }
        }
        let mesh = Mesh::new(nodes, gateways, &links);
        let after = mesh.graph();
        let ids: Vec<NodeId> = (0..nodes).map(|node| mesh.id(node)).collect();
        let tables = |graph: &Graph| ids.iter().map(|id| (*id, graph.paths(id))).collect();
        let (old, new): (std::collections::BTreeMap<_, _>, std::collections::BTreeMap<_, _>) =
            (tables(&before), tables(&after));
        let late = |id: &NodeId| late >> ids.iter().position(|other| other == id).unwrap_or(0) & 1 == 1;
        let abouts: Vec<About> = (0..nodes).map(about).collect();
        let known = || ids.iter().zip(&abouts).map(|(id, about)| (*id, about.wg_key, &about.addresses[..]));
        let mut crossings = std::collections::BTreeMap::new();
        for id in ids.iter().take(gateways) {
            let mut plans = [(&after, &new[id]), (&before, &old[id])];
            if late(id) {
                plans.reverse();
            }
            crossings.extend(Crossings::new(id, &plans, known()).map(|found| (*id, found)));
        }
        for from in 0..nodes {
            for to in (0..nodes).filter(|to| *to != from) {
                let plans = [(&before, &old), (&after, &new)];
                if let Err(error) = cross(&plans, &crossings, &late, (from, to), &ids) {
                    prop_assert!(false, "{} to {}: {}", from, to, error);
                }
            }
        }
    }

    #[test]
    fn every_way_is_its_way_back_reversed(
        gateways in 1_usize..8,
        leaves in 0_usize..20,
        // Few different costs make many ties: exactly where tables without unique paths disagree.
        picks in prop::collection::vec((0_usize..28, 0_usize..28, 1_u32..4, 1_u32..4), 5..120),
    ) {
        let nodes = gateways + leaves;
        let mut seen = std::collections::BTreeSet::new();
        let links: Vec<_> = picks
            .into_iter()
            .map(|(a, b, x, y)| (a % nodes, b % nodes, x, y))
            .filter(|(a, b, ..)| a != b && seen.insert((*a.min(b), *a.max(b))))
            .collect();
        let mesh = Mesh::new(nodes, gateways, &links);
        let graph = mesh.graph();
        let tables: std::collections::BTreeMap<NodeId, Paths> =
            (0..nodes).map(|node| (mesh.id(node), graph.paths(&mesh.id(node)))).collect();
        let forwards: std::collections::BTreeSet<NodeId> = graph.gateways().collect();
        for (source, paths) in &tables {
            let distance = |id: &NodeId| if id == source { Some(0) } else { paths.get(id).map(|route| route.distance) };
            for (a, b, weight) in graph.edges() {
                for (from, to) in [(a, b), (b, a)] {
                    if from == *source || forwards.contains(&from) {
                        let (Some(from), Some(to)) = (distance(&from), distance(&to)) else {
                            prop_assert_eq!(distance(&from), None, "a way that is not found");
                            continue;
                        };
                        prop_assert!(to <= from + weight, "a shorter way");
                    }
                }
            }
        }
        for a in 0..nodes {
            for b in 0..nodes {
                let there = walk(&tables, mesh.id(a), mesh.id(b));
                let back = walk(&tables, mesh.id(b), mesh.id(a)).map(|mut way| { way.reverse(); way });
                prop_assert_eq!(&there, &back);
                if let (Some(way), true) = (&there, a != b) {
                    prop_assert_eq!(way.len() - 1, tables[&mesh.id(a)][&mesh.id(b)].hops as usize);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_explanation_is_the_path_that_packets_take_and_nothing_that_lost_is_better(
        gateways in 1_usize..7,
        leaves in 0_usize..10,
        picks in prop::collection::vec((0_usize..17, 0_usize..17, 1_u32..4), 5..60),
    ) {
        let nodes = gateways + leaves;
        let links = distinct_links(picks, nodes);
        let mesh = Mesh::new(nodes, gateways, &links);
        let graph = mesh.graph();
        let ids: Vec<NodeId> = (0..nodes).map(|node| mesh.id(node)).collect();
        let tables: std::collections::BTreeMap<NodeId, Paths> = ids.iter().map(|id| (*id, graph.paths(id))).collect();
        for from in &ids {
            for to in ids.iter().filter(|to| *to != from) {
                let walked = walk(&tables, *from, *to);
                let Some(explanation) = explain(&graph, from, to) else {
                    prop_assert!(walked.is_none());
                    continue;
                };
                let way: Vec<NodeId> =
                    std::iter::once(*from).chain(explanation.way.iter().map(|(id, _)| *id)).collect();
                prop_assert_eq!(Some(way), walked);
                let cost: u64 = explanation.way.iter().map(|(_, cost)| cost).sum();
                prop_assert_eq!(cost, tables[from][to].cost());
                prop_assert_eq!(explanation.others.len() + 1, graph.neighbours(from).count());
                for other in &explanation.others {
                    match &other.verdict {
                        Verdict::Dearer(dearer, way) => {
                            prop_assert!(*dearer > cost);
                            prop_assert_eq!(way.last().map(|(id, _)| *id), Some(*to));
                        }
                        Verdict::Tied(same, _) => prop_assert_eq!(*same, cost),
                        Verdict::Leaf => prop_assert!(!graph.gateways().any(|id| id == other.first)),
                        Verdict::NoWayOn => prop_assert!(other.first != *to),
                    }
                }
            }
        }
    }
}

#[test]
fn a_thousand_nodes_have_paths_to_all_others() {
    let gateways = 30;
    let backbone = (0..gateways).flat_map(|a| (a + 1..gateways).map(move |b| (a, b, 50 + (a * b) as u32 % 90, 50)));
    let uplinks =
        (gateways..1_000).flat_map(|leaf| (0..3).map(move |k| (leaf, (leaf * 7 + k * 11) % gateways, 60, 55)));
    let links: Vec<(usize, usize, u32, u32)> = backbone.chain(uplinks).collect();
    let mesh = Mesh::new(1_000, gateways, &links);
    let paths = mesh.graph().paths(&mesh.id(999));
    assert_eq!(paths.len(), 999);
    assert!(paths.values().all(|route| route.hops <= 4));
}

#[test]
fn a_change_that_acted_is_not_on_hold_again_when_its_node_tells_another_one() {
    let mut mesh = Mesh::new(3, 3, &[]);
    let link = |node: usize| LinkAdvert {
        to: ShortId::from(&mesh.signers[node].id()),
        cost: 50,
        was: Was::Absent,
        quality: Quality::default(),
    };
    let (old, new) = (link(1), link(2));
    let mut tell = |seq, mut links: Vec<(LinkAdvert, u16)>, now| {
        links.sort_by_key(|(link, _)| link.to);
        let holds: Vec<u16> = links.iter().map(|(_, hold)| *hold).collect();
        let links = links.into_iter().map(|(link, _)| link).collect();
        let version = Version { epoch: 1, seq };
        let record = NodeRecord { fragment: 0, version, about: Some(about(0)), links };
        mesh.lsdb.insert(mesh.signers[0].item(Body::Node(record)), Duration::ZERO, &holds, now);
        mesh.lsdb.advance(now);
        let id = mesh.signers[0].id();
        mesh.lsdb.links_of(&id).filter(|(_, acts)| *acts).map(|(to, _)| to).collect::<Vec<_>>()
    };
    assert!(tell(5, vec![(old, 2_000)], Time::from_secs(10)).is_empty());
    let now = Time::from_micros(12_000_200);
    // The origin's clock is a little behind: for it there is still a millisecond to go.
    assert_eq!(tell(6, vec![(old, 1), (new, 2_000)], now), [old.to]);
    assert_eq!(tell(7, vec![(old, 0), (new, 1_500)], now + Duration::from_millis(2_001)).len(), 2);
}
