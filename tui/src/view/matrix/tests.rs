//! What the matrix shows, and that it scrolls.

use super::*;
use crate::view::map::order;
use crate::view::testing::{Draw, link, mesh_of, node, text};

fn drawn(mesh: &Mesh, names: &[String], cursor: (usize, usize), metric: Metric, area: Rect, glyphs: Glyphs) -> Buffer {
    let mut buf = Buffer::empty(area);
    let theme = Theme::dark();
    (&MatrixView { mesh, metric, cursor, names, theme: &theme, glyphs }).render(area, &mut buf);
    buf
}

const SCREEN: Rect = Rect { x: 0, y: 0, width: 80, height: 24 };

#[test]
fn twelve_and_sixty_nodes_at_80x24() {
    for count in [12, 60] {
        let mesh = mesh_of(count);
        let names = order(&mesh);
        let buf = drawn(&mesh, &names, (5, 2), Metric::Rtt, SCREEN, Glyphs::Unicode);
        insta::assert_snapshot!(format!("matrix_{count}"), text(&buf));
    }
}

#[test]
fn loss_in_ascii() {
    let mut mesh = mesh_of(8);
    let mut draw = Draw(3);
    for link in &mut mesh.links {
        link.loss = Some(draw.below(200) as f64 / 1_000.0);
    }
    let buf = drawn(&mesh, &order(&mesh), (1, 7), Metric::Loss, SCREEN, Glyphs::Ascii);
    let text = text(&buf);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("matrix_loss_ascii", text);
}

fn chain() -> (Mesh, Vec<String>) {
    let nodes = ["alice", "beta", "gamma", "delta"].map(|name| node(name, name != "alice" && name != "delta")).to_vec();
    let mut nodes = nodes;
    nodes.push(node("lost", false));
    let links = vec![link("alice", "beta", 150), link("beta", "gamma", 150), link("gamma", "delta", 262)];
    let names = nodes.iter().map(|node| node.name.clone()).collect();
    (Mesh { nodes, links }, names)
}

#[test]
fn the_cell_under_the_cursor_is_told_in_words() {
    let (mesh, names) = chain();
    let words = |cursor| text(&drawn(&mesh, &names, cursor, Metric::Rtt, SCREEN, Glyphs::Unicode));
    assert!(words((0, 3)).contains("alice → delta  41.2 ms over beta, gamma (composed)"), "{}", words((0, 3)));
    assert!(words((0, 1)).contains("alice → beta  10.0 ms on their link (measured)"));
    assert!(words((0, 4)).contains("alice → lost  no path"));
    assert!(words((2, 2)).contains("gamma  the node itself"));
    assert!(words((99, 99)).contains("lost  the node itself"));
}

#[test]
fn measured_and_composed_values_differ_without_colour() {
    let (mesh, names) = chain();
    let buf = drawn(&mesh, &names, (4, 4), Metric::Rtt, SCREEN, Glyphs::Unicode);
    // First row below the heads: alice to beta is a link, alice to delta is not.
    let row: Vec<_> = (0..80).map(|x| &buf[(x, 1)]).collect();
    let filled: String = row.iter().filter(|cell| is_filled(cell)).map(|cell| cell.symbol()).collect();
    let bare: String = row.iter().filter(|cell| !is_filled(cell)).map(|cell| cell.symbol()).collect();
    assert!(filled.contains("10.0") && !filled.contains("41.2"), "{filled}");
    assert!(bare.contains("41.2") && bare.contains('✗'), "{bare}");
}

fn is_filled(cell: &ratatui::buffer::Cell) -> bool {
    cell.modifier.contains(Modifier::REVERSED)
}

#[test]
fn the_cell_under_the_cursor_is_always_seen() {
    let mesh = mesh_of(200);
    let names = order(&mesh);
    for cursor in [(0, 0), (100, 3), (3, 100), (199, 199), (77, 140)] {
        for (width, height) in [(40, 10), (80, 24), (160, 50)] {
            let buf = drawn(&mesh, &names, cursor, Metric::Rtt, Rect::new(0, 0, width, height), Glyphs::Unicode);
            let text = text(&buf);
            let row = text.lines().find(|line| line.starts_with('▸')).expect("the row of the cursor");
            assert!(row.contains(&names[cursor.0][..4]), "{row}");
            assert!(row.contains('[') && row.contains(']'), "{width}x{height} {cursor:?}: {row}");
        }
    }
}

#[test]
fn a_figure_never_takes_more_than_its_cells() {
    for value in [0.0, 0.04, 9.94, 9.96, 99.94, 99.96, 999.4, 999.6, 9_960.0, 99_600.0, 1e9, f64::INFINITY, f64::NAN] {
        for cells in [3, 4] {
            assert!(figure(value, cells).len() <= cells, "{value} {cells}: {}", figure(value, cells));
        }
    }
    assert_eq!([0.3, 41.2, 123.4, 1_234.0].map(|value| figure(value, 4)), ["0.3", "41.2", "123", "1.2k"]);
    assert_eq!([0.3, 41.2, 123.4, 12_345.0].map(|value| figure(value, 3)), ["0.3", "41", "123", "12k"]);
}

#[test]
fn no_size_no_name_and_no_mesh_breaks_it() {
    let mut odd = mesh_of(8);
    for (node, name) in
        odd.nodes.iter_mut().zip(["名前の長いノード", "e\u{301}\u{301}", "a\u{1b}[31mb", "", "👩‍👩‍👧", "\u{202e}x"])
    {
        node.name = name.to_owned();
    }
    odd.links.push(link("ghost", "nobody", 5));
    for mesh in [Mesh::default(), mesh_of(1), mesh_of(2), odd, mesh_of(60)] {
        let mut names = order(&mesh);
        names.push("not in the mesh".to_owned());
        for (width, height) in [(1, 1), (2, 2), (3, 9), (20, 5), (40, 10), (80, 24), (300, 100), (1, 100), (300, 1)] {
            for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
                let area = Rect::new(2, 1, width, height);
                drawn(&mesh, &names, (names.len() / 2, 9), Metric::Rtt, area, glyphs);
                drawn(&mesh, &[], (0, 0), Metric::Loss, area, glyphs);
            }
        }
    }
}
