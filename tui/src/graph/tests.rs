//! Ways against brute force, and the rules that every way keeps.

use super::*;
use crate::view::testing::{Draw, link, node};

/// Every way without a loop whose inner nodes are gateways; the cheapest cost.
fn brute(mesh: &Mesh, at: &str, to: &str, seen: &mut Vec<String>) -> Option<u64> {
    if at == to {
        return Some(0);
    }
    if seen.len() > 1 && !mesh.nodes.iter().any(|node| node.name == at && node.gateway) {
        return None;
    }
    let mut best = None;
    for link in mesh.links.iter().filter(|link| link.up) {
        let next = if link.a == at { &link.b } else { &link.a };
        let Some(cost) = link.cost.filter(|_| link.a == at || link.b == at) else { continue };
        if seen.contains(next) {
            continue;
        }
        seen.push(next.clone());
        let rest = brute(mesh, next, to, seen);
        seen.pop();
        if let Some(rest) = rest {
            let cost = u64::from(cost) + rest;
            best = Some(best.map_or(cost, |best: u64| best.min(cost)));
        }
    }
    best
}

fn random_mesh(seed: u64) -> Mesh {
    let mut draw = Draw(seed);
    let count = 2 + draw.below(6);
    let name = |i: u64| format!("n{i}");
    let nodes = (0..count).map(|i| node(&name(i), draw.below(2) == 0)).collect();
    let mut links = Vec::new();
    for a in 0..count {
        for b in a + 1..count {
            if draw.below(100) < 45 {
                let mut link = link(&name(a), &name(b), 1 + draw.below(9) as u32);
                link.up = draw.below(8) != 0;
                if draw.below(10) == 0 {
                    link.cost = None;
                }
                links.push(link);
            }
        }
    }
    Mesh { nodes, links }
}

#[test]
fn a_way_costs_what_trying_all_ways_finds() {
    let mut found = 0;
    for seed in 0..400 {
        let mesh = random_mesh(seed);
        for from in &mesh.nodes {
            let all = ways_from(&mesh, &from.name);
            for to in &mesh.nodes {
                let way = way(&mesh, &from.name, &to.name);
                let expected = brute(&mesh, &from.name, &to.name, &mut vec![from.name.clone()]);
                assert_eq!(way.as_ref().map(|way| way.cost), expected, "seed {seed}: {} to {}", from.name, to.name);
                if from.name != to.name {
                    assert_eq!(all.get(&to.name), way.as_ref(), "seed {seed}");
                }
                found += usize::from(way.is_some_and(|way| way.nodes.len() > 2));
            }
        }
    }
    assert!(found > 1_000, "only {found} ways had an inner node");
}

#[test]
fn a_way_is_a_chain_of_its_links_and_no_leaf_is_inside_it() {
    for seed in 0..400 {
        let mesh = random_mesh(seed);
        for from in &mesh.nodes {
            for (to, way) in ways_from(&mesh, &from.name) {
                assert_eq!((way.nodes.first(), way.nodes.last()), (Some(&from.name), Some(&to)));
                let inner = &way.nodes[1..way.nodes.len() - 1];
                assert!(inner.iter().all(|name| mesh.nodes.iter().any(|node| node.name == *name && node.gateway)));
                let (mut cost, mut rtt_ms) = (0, 0.0);
                for pair in way.nodes.windows(2) {
                    let joins = |link: &&MeshLink| {
                        counts(link) && [(&link.a, &link.b), (&link.b, &link.a)].contains(&(&pair[0], &pair[1]))
                    };
                    let link = mesh.links.iter().find(joins).expect("neighbours on a way have a link");
                    cost += u64::from(link.cost.expect("it counts"));
                    rtt_ms += link.rtt_ms.expect("measured");
                }
                assert_eq!(way.cost, cost);
                assert!((way.rtt_ms.expect("all measured") - rtt_ms).abs() < 1e-9);
            }
        }
    }
}

#[test]
fn loss_adds_up_as_chances_do_and_what_is_not_measured_stays_unknown() {
    let nodes = vec![node("a", false), node("b", true), node("c", false)];
    let mut links = vec![link("a", "b", 5), link("b", "c", 5)];
    (links[0].loss, links[1].loss) = (Some(0.5), Some(0.1));
    let mesh = Mesh { nodes: nodes.clone(), links: links.clone() };
    let loss = way(&mesh, "a", "c").expect("a way").loss.expect("measured");
    assert!((loss - 0.55).abs() < 1e-9, "{loss}");
    links[1].rtt_ms = None;
    let way = way(&Mesh { nodes, links }, "a", "c").expect("a way");
    assert_eq!((way.rtt_ms, way.cost), (None, 10));
}

#[test]
fn names_and_links_that_lead_nowhere_are_no_way() {
    let mesh = Mesh { nodes: vec![node("a", true)], links: vec![link("a", "ghost", 1), link("x", "y", 1)] };
    assert_eq!(way(&mesh, "a", "ghost"), None);
    assert_eq!(way(&mesh, "nobody", "a"), None);
    assert!(ways_from(&mesh, "nobody").is_empty());
    assert_eq!(way(&mesh, "a", "a").map(|way| way.nodes), Some(vec!["a".to_owned()]));
}

#[test]
fn of_ways_of_one_cost_the_shorter_one_is_taken_then_by_name() {
    let nodes = ["a", "b", "c", "d", "e"].map(|name| node(name, true)).to_vec();
    let links = vec![link("a", "c", 2), link("c", "d", 2), link("a", "b", 2), link("b", "d", 2), link("a", "d", 4)];
    let mut mesh = Mesh { nodes, links };
    assert_eq!(way(&mesh, "a", "d").expect("a way").nodes, ["a", "d"]);
    mesh.links.pop();
    assert_eq!(way(&mesh, "a", "d").expect("a way").nodes, ["a", "b", "d"]);
}
