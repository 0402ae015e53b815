//! What the map must show at every size, and that it stays in place.

use wgnet_api::MeshNode;

use super::*;
use crate::view::testing::{link, mesh_of, node, text};

const SCREEN: Rect = Rect { x: 0, y: 0, width: 80, height: 24 };
const SIZES: [(u16, u16); 12] =
    [(1, 1), (2, 1), (1, 3), (7, 7), (20, 5), (40, 10), (80, 24), (120, 40), (160, 50), (300, 100), (300, 1), (1, 100)];

fn drawn(mesh: &Mesh, selected: Option<&str>, dead: &[(String, String)], area: Rect, glyphs: Glyphs) -> Buffer {
    let path = selected.and_then(|to| crate::graph::way(mesh, "alice", to)).map(|way| way.nodes).unwrap_or_default();
    let mut buf = Buffer::empty(area);
    let theme = Theme::dark();
    (&MapView { mesh, own: "alice", selected, path: &path, dead, theme: &theme, glyphs }).render(area, &mut buf);
    buf
}

fn gone(a: &str, b: &str) -> Vec<(String, String)> {
    vec![(a.to_owned(), b.to_owned())]
}

#[test]
fn four_sixty_and_two_hundred_nodes_at_80x24() {
    for (count, selected) in [(4, "bob"), (60, "nina-3"), (200, "heidi-10")] {
        let buf = drawn(&mesh_of(count), Some(selected), &[], SCREEN, Glyphs::Unicode);
        insta::assert_snapshot!(format!("map_{count}"), text(&buf));
    }
}

#[test]
fn eight_nodes_in_ascii() {
    let mut mesh = mesh_of(8);
    let mut lost = node("gone-laptop", false);
    lost.state = NodeState::Apart;
    let mut refused = node("impostor", false);
    refused.state = NodeState::Refused;
    mesh.nodes.extend([lost, refused]);
    let text = text(&drawn(&mesh, Some("dave"), &gone("paris", "gone-laptop"), SCREEN, Glyphs::Ascii));
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("map_ascii", text);
}

#[test]
fn a_dead_link_is_seen_by_its_characters_and_by_its_colour() {
    let mut mesh = mesh_of(8);
    let crosses = |mesh: &Mesh, dead: &[(String, String)]| {
        let buf = drawn(mesh, None, dead, SCREEN, Glyphs::Unicode);
        let map = (0..80).flat_map(|x| (0..22).map(move |y| (x, y)));
        map.filter(|at| buf[*at].symbol() == "✗").map(|at| buf[at].fg).collect::<Vec<_>>()
    };
    let bad = Theme::dark().bad.fg.expect("a colour");
    assert_eq!(crosses(&mesh, &[]), []);
    assert_eq!(crosses(&mesh, &gone("paris", "carol")), [bad; 3], "a link that was there lately");
    let down = mesh.links.iter_mut().find(|link| link.a == "paris" && link.b == "berlin");
    down.expect("gateways are in a full mesh").up = false;
    assert_eq!(crosses(&mesh, &[]), [bad; 3], "a link that is down");
}

#[test]
fn a_gateway_that_died_shows_as_one_node_and_not_as_all_its_links() {
    let mut mesh = mesh_of(60);
    let dead: Vec<(String, String)> = mesh
        .links
        .iter()
        .filter(|link| link.a == "paris" || link.b == "paris")
        .map(|link| (link.a.clone(), link.b.clone()))
        .collect();
    mesh.links.retain(|link| link.a != "paris" && link.b != "paris");
    for node in mesh.nodes.iter_mut().filter(|node| node.name == "paris") {
        node.state = NodeState::Apart;
    }
    let theme = Theme::dark();
    let glyphs = Glyphs::Unicode;
    let view = MapView { mesh: &mesh, own: "alice", selected: None, path: &[], dead: &dead, theme: &theme, glyphs };
    let layout = layout(&mesh, "alice", &dead, 160, 48);
    let drawing = Drawing::new(&view, &layout, Rect::new(0, 0, 160, 48));
    let drawn = drawing.stretches.iter().filter(|stretch| stretch.stroke == Stroke::Dead);
    let drawn: Vec<[&MeshNode; 2]> =
        drawn.map(|stretch| [stretch.a, stretch.b].map(|end| layout.placed[end].node)).collect();
    assert!(dead.len() > 10 && drawn.len() < dead.len() / 2, "{} of {} dead links", drawn.len(), dead.len());
    let is_told =
        |ends: &[&MeshNode; 2]| ends.iter().all(|end| end.gateway) || ends.iter().any(|end| end.name == "alice");
    assert!(drawn.iter().all(is_told), "links between gateways, and of this node");
    assert_eq!(drawn.iter().filter(|ends| ends.iter().all(|end| end.gateway)).count(), 5, "to every other gateway");
    let buf = drawn_at(&mesh, &dead);
    let paris = layout.placed.iter().find(|placed| placed.node.name == "paris").expect("it keeps its place");
    let cell = &buf[(paris.x, paris.y)];
    assert_eq!((cell.symbol(), Some(cell.fg)), ("○", theme.bad.fg));
}

fn drawn_at(mesh: &Mesh, dead: &[(String, String)]) -> Buffer {
    drawn(mesh, None, dead, Rect::new(0, 0, 160, 50), Glyphs::Unicode)
}

#[test]
fn what_is_measured_moves_nothing() {
    let mesh = mesh_of(60);
    let mut other = mesh.clone();
    for link in &mut other.links {
        // Every cost grows alike, so that each leaf keeps its gateway.
        link.cost = link.cost.map(|cost| cost * 3);
        link.rtt_ms = None;
    }
    other.nodes.reverse();
    other.links.reverse();
    assert_eq!(places(&mesh, &[]), places(&other, &[]));
}

fn places(mesh: &Mesh, dead: &[(String, String)]) -> BTreeMap<String, (u16, u16)> {
    let layout = layout(mesh, "alice", dead, 160, 48);
    layout.placed.iter().map(|placed| (placed.node.name.clone(), (placed.x, placed.y))).collect()
}

#[test]
fn a_leaf_that_goes_hardly_moves_the_others() {
    let mesh = mesh_of(60);
    let before = places(&mesh, &[]);
    for gone in ["alice", "kim-2", "walter"] {
        let mut without = mesh.clone();
        without.nodes.retain(|node| node.name != gone);
        for (name, (x, y)) in places(&without, &[]) {
            let (old_x, old_y) = before[&name];
            let moved = f64::from(x.abs_diff(old_x)).hypot(2.0 * f64::from(y.abs_diff(old_y)));
            assert!(moved <= 17.0, "{name} moved {moved:.0} cells when {gone} went");
        }
    }
}

#[test]
fn a_leaf_that_lost_its_last_link_stays_where_it_was_as_long_as_that_is_told() {
    let mut mesh = mesh_of(12);
    let before = places(&mesh, &[]);
    let home = homes(&holders(&mesh), &mesh, &[])["heidi"].to_owned();
    mesh.links.retain(|link| link.a != "heidi" && link.b != "heidi");
    for node in mesh.nodes.iter_mut().filter(|node| node.name == "heidi") {
        node.state = NodeState::Apart;
    }
    assert_eq!(places(&mesh, &gone(&home, "heidi")), before);
    let later = text(&drawn(&mesh, None, &[], SCREEN, Glyphs::Unicode));
    assert!(later.contains("apart  ○ heidi"), "{later}");
}

#[test]
fn labels_overlap_neither_each_other_nor_nodes() {
    for count in [2, 4, 8, 60, 200] {
        let mesh = mesh_of(count);
        for (width, height) in SIZES {
            let theme = Theme::dark();
            let (own, selected) = ("alice", mesh.nodes.last().map(|node| node.name.as_str()));
            let glyphs = Glyphs::Unicode;
            let view = MapView { mesh: &mesh, own, selected, path: &[], dead: &[], theme: &theme, glyphs };
            let layout = layout(&mesh, own, &[], width, height);
            let drawing = Drawing::new(&view, &layout, Rect::new(0, 0, width, height));
            let raster = Raster::new(width, height, glyphs);
            let mut taken: BTreeSet<(u16, u16)> = drawing.shown_nodes().map(|placed| (placed.x, placed.y)).collect();
            for label in drawing.labels(&raster, &drawing.clusters()).placed {
                assert!(label.x + label.width <= width && label.y < height);
                for x in label.x..label.x + label.width {
                    assert!(taken.insert((x, label.y)), "{count} nodes, {width}x{height}: {label:?}");
                }
            }
        }
    }
}

#[test]
fn this_node_the_selected_one_and_all_gateways_have_their_names_at_80x24() {
    for (count, selected) in [(4, "bob"), (8, "dave"), (60, "nina-3"), (200, "heidi-10")] {
        let mesh = mesh_of(count);
        let text = text(&drawn(&mesh, Some(selected), &[], SCREEN, Glyphs::Unicode));
        let gateways = mesh.nodes.iter().filter(|node| node.gateway).map(|node| node.name.as_str());
        for name in gateways.chain(["alice", selected, "⌂"]) {
            assert!(text.contains(name), "{count} nodes: no {name} in\n{text}");
        }
    }
}

#[test]
fn leaves_that_are_not_shown_are_counted() {
    let mesh = mesh_of(200);
    let theme = Theme::dark();
    let glyphs = Glyphs::Unicode;
    let view = MapView { mesh: &mesh, own: "alice", selected: None, path: &[], dead: &[], theme: &theme, glyphs };
    let layout = layout(&mesh, "alice", &[], 80, 22);
    let drawing = Drawing::new(&view, &layout, Rect::new(0, 0, 80, 22));
    let hidden: usize = drawing.clusters().iter().map(|(.., hidden)| hidden).sum();
    assert_eq!(hidden + drawing.shown_nodes().count(), 200);
    assert_eq!(drawing.shown_nodes().filter(|placed| !placed.node.gateway).count(), 1, "this node only");
}

#[test]
fn the_cursor_walks_over_every_name_once_gateways_before_their_leaves() {
    let mut mesh = mesh_of(60);
    let mut refused = node("bob", false);
    (refused.state, refused.id) = (NodeState::Refused, "other".to_owned());
    let mut silent = node("aaa", true);
    silent.state = NodeState::Silent;
    mesh.nodes.extend([refused, silent]);
    let order = order(&mesh);
    assert_eq!(order.len(), 61);
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 61);
    assert_eq!((order[0].as_str(), order[60].as_str()), ("berlin", "aaa"));
    let homes = homes(&holders(&mesh), &mesh, &[]);
    let at = |name: &str| order.iter().position(|other| other == name).expect("in the order");
    for (leaf, home) in homes {
        let between = &order[at(home) + 1..at(leaf)];
        assert!(between.iter().all(|name| !mesh.nodes.iter().any(|node| node.gateway && node.name == *name)));
    }
}

#[test]
fn no_size_no_name_and_no_mesh_breaks_it() {
    let mut odd = mesh_of(8);
    let names = ["名前の長いノード", "e\u{301}\u{301}", "a\u{1b}[31mb", "", "👩‍👩‍👧", "\u{202e}x", "alice"];
    for (node, name) in odd.nodes.iter_mut().zip(names) {
        node.name = name.to_owned();
    }
    for link in &mut odd.links {
        link.a = if link.a == "paris" { names[0].to_owned() } else { names[2].to_owned() };
    }
    odd.links.extend([link("ghost", "nobody", 5), link("alice", "ghost", 5), link("alice", "alice", 5)]);
    let dead = [gone("ghost", "alice"), gone("alice", "alice"), gone("x", "y")].concat();
    let meshes = [0, 1, 2, 4, 8, 60, 200].map(mesh_of);
    for mesh in meshes.iter().chain([&odd]) {
        let selected = mesh.nodes.last().map(|node| node.name.clone());
        for (width, height) in SIZES {
            for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
                let buf = drawn(mesh, selected.as_deref(), &dead, Rect::new(2, 1, width, height), glyphs);
                assert!(!text(&buf).contains(|c: char| c.is_control() && c != '\n'));
            }
        }
    }
}
