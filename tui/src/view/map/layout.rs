//! Where the nodes of the map stand.
//!
//! Every gateway owns a sector of the outline, a rectangle with round corners just inside the area, as long as it has
//! leaves; sectors follow each other by name, from the left on. The gateway stands on the way from the centre to the
//! middle of its sector, its leaves on the sector, by name. Nothing here depends on costs but the choice of the
//! gateway that a leaf belongs to, so what is measured moves nothing, and a node that goes moves the others by a small
//! part of the outline.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use wgnet_api::{Mesh, MeshNode, NodeState};

use crate::graph::{counts, holders};

/// Points of the outline that are looked at.
const POINTS: usize = 720;
/// Cells across that count as much on the outline as one cell down: a node needs a row for itself or the width of its
/// name; less than that here, because names may stand below each other at the top and at the bottom, too.
const ACROSS: f64 = 4.0;
/// The outline is a superellipse of this degree: 2 is an ellipse, more is nearer to a rectangle.
const DEGREE: f64 = 3.5;
/// How far out gateways stand that have leaves beyond them, as a share of the outline.
const INNER: f64 = 0.52;
/// The same where no node is a leaf.
const ALONE: f64 = 0.86;
/// Second row of leaves where one is too narrow.
const SECOND: f64 = 0.80;
/// Widest margin beside the outline, for names.
const MARGIN: u16 = 11;

/// A node with a place.
#[derive(Clone, Debug)]
pub(super) struct Placed<'a> {
    pub(super) node: &'a MeshNode,
    /// Cells from the left.
    pub(super) x: u16,
    /// Cells from the top.
    pub(super) y: u16,
    /// For a leaf, the index of the gateway that it belongs to.
    pub(super) home: Option<usize>,
    /// Which way is out, in cells as people see them (twice as high as wide).
    pub(super) out: (f64, f64),
}

/// Where the leaves of a gateway stand when they are shown as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster {
    /// Index of the gateway.
    pub(super) gateway: usize,
    pub(super) x: u16,
    pub(super) y: u16,
}

/// The whole map.
#[derive(Debug, Default)]
pub(super) struct Layout<'a> {
    /// Gateways by name, then leaves by gateway and name.
    pub(super) placed: Vec<Placed<'a>>,
    /// Nodes that have no place in the graph, by name.
    pub(super) outside: Vec<&'a MeshNode>,
    /// One for each gateway with leaves.
    pub(super) clusters: Vec<Cluster>,
    /// Whether there are more leaves than places for them.
    pub(super) is_crowded: bool,
}

impl<'a> Layout<'a> {
    /// The index of each node that has a place, by name.
    pub(super) fn index(&self) -> BTreeMap<&'a str, usize> {
        self.placed.iter().enumerate().map(|(i, placed)| (placed.node.name.as_str(), i)).collect()
    }
}

/// The gateway that each leaf with a link belongs to: that of the cheapest link which counts, else by name of the links
/// that are down, else of those that are gone.
pub(super) fn homes<'a>(
    holders: &BTreeMap<&str, &MeshNode>,
    mesh: &'a Mesh,
    dead: &'a [(String, String)],
) -> BTreeMap<&'a str, &'a str> {
    let live = mesh.links.iter().map(|link| {
        let class = if counts(link) { 0 } else { 1 };
        (link.a.as_str(), link.b.as_str(), (class, link.cost.unwrap_or(u32::MAX)))
    });
    let dead = dead.iter().map(|(a, b)| (a.as_str(), b.as_str(), (2, u32::MAX)));
    let mut best: BTreeMap<&str, ((u8, u32), &str)> = BTreeMap::new();
    for (a, b, quality) in live.chain(dead) {
        let is_gateway = |name| holders.get(name).map(|node| node.gateway);
        let (leaf, gateway) = match (is_gateway(a), is_gateway(b)) {
            (Some(false), Some(true)) => (a, b),
            (Some(true), Some(false)) => (b, a),
            _ => continue,
        };
        let candidate = (quality, gateway);
        best.entry(leaf).and_modify(|known| *known = candidate.min(*known)).or_insert(candidate);
    }
    best.into_iter().map(|(leaf, (_, gateway))| (leaf, gateway)).collect()
}

/// Places every node of `mesh` in `width` by `height` cells.
pub(super) fn layout<'a>(
    mesh: &'a Mesh,
    own: &str,
    dead: &'a [(String, String)],
    width: u16,
    height: u16,
) -> Layout<'a> {
    let holders = holders(mesh);
    let homes = homes(&holders, mesh, dead);
    let is_in = |node: &&&MeshNode| matches!(node.state, NodeState::Linked | NodeState::Apart);
    let gateways: Vec<&MeshNode> = holders.values().filter(is_in).filter(|node| node.gateway).copied().collect();
    let mut leaves: Vec<Vec<&MeshNode>> = vec![Vec::new(); gateways.len()];
    let place = |name: &str| gateways.binary_search_by_key(&name, |node| &node.name).ok();
    for node in holders.values().filter(is_in).filter(|node| !node.gateway) {
        if let Some(gateway) = homes.get(node.name.as_str()).and_then(|home| place(home)) {
            leaves[gateway].push(node);
        }
    }
    let total: usize = leaves.iter().map(Vec::len).sum();
    let frame = Frame::new(width, height);
    let mut layout = Layout::default();
    let mut taken = Taken::new(width, height);

    // The least share of a gateway without leaves: half of the average.
    let least = 1.0 + total as f64 / (2 * gateways.len().max(1)) as f64;
    let weights: Vec<f64> = leaves.iter().map(|leaves| least + leaves.len() as f64).collect();
    let sum: f64 = weights.iter().sum();
    // Few gateways: the first one is at the left. More: the first two sectors meet there.
    let mut at = if gateways.len() <= 3 { weights.first().map_or(0.0, |first| -first / sum / 2.0) } else { 0.0 };
    let mut sectors = Vec::new();
    for weight in &weights {
        sectors.push((at, weight / sum));
        at += weight / sum;
    }

    let radius = match (gateways.len(), total) {
        (1, _) => 0.0,
        (_, 0) => ALONE,
        _ => INNER,
    };
    for (node, (start, share)) in gateways.iter().zip(&sectors) {
        let (at, out) = frame.point(start + share / 2.0, radius);
        let (x, y) = taken.nearest(at);
        layout.placed.push(Placed { node, x, y, home: None, out });
    }
    let spacing = frame.length / (total as f64 + weights.len() as f64).max(1.0);
    // Of two gateways the link between them is on the line through the centre: a leaf on it would hide it.
    let middle = if gateways.len() == 2 { 0.3 } else { 0.5 };
    let levels = if spacing < 1.3 { 2 } else { 1 };
    layout.is_crowded = spacing * f64::from(levels) < 1.0;
    for (gateway, leaves) in leaves.iter().enumerate().filter(|(_, leaves)| !leaves.is_empty()) {
        let (start, share) = sectors[gateway];
        let (at, _) = frame.point(start + share / 2.0, if layout.is_crowded { 0.92 } else { 1.0 });
        let (x, y) = frame.cell(at);
        layout.clusters.push(Cluster { gateway, x, y });
        for (i, node) in leaves.iter().enumerate() {
            // Which row is a matter of the name, so that a node that goes does not make its neighbours change rows.
            let is_second = levels == 2 && hash(&node.name) % 2 == 1;
            let slot = start + share * (i as f64 + middle) / leaves.len() as f64;
            let (at, out) = frame.point(slot, if is_second { SECOND } else { 1.0 });
            let (x, y) = if layout.is_crowded { frame.cell(at) } else { taken.nearest(at) };
            layout.placed.push(Placed { node, x, y, home: Some(gateway), out });
        }
    }
    // A mesh without gateways still has this node in its middle.
    if let Some(node) = holders.get(own).filter(|_| gateways.is_empty()) {
        let (x, y) = taken.nearest(frame.centre);
        layout.placed.push(Placed { node, x, y, home: None, out: (1.0, 0.0) });
    }
    let mut outside: Vec<&MeshNode> = mesh.nodes.iter().collect();
    let index = layout.index();
    outside.retain(|node| index.get(node.name.as_str()).is_none_or(|i| !std::ptr::eq(layout.placed[*i].node, *node)));
    outside.sort_by_key(|node| (&node.name, &node.id));
    layout.outside = outside;
    layout
}

/// The outline and how far along it each of its points is.
struct Frame {
    width: u16,
    height: u16,
    centre: (f64, f64),
    half: (f64, f64),
    /// For each point, the way to it from the left, clockwise; the last is the whole.
    along: Vec<f64>,
    length: f64,
}

impl Frame {
    fn new(width: u16, height: u16) -> Self {
        let (w, h) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let margin = f64::from(MARGIN.min(width / 7));
        let mut frame = Self {
            width,
            height,
            centre: ((w - 1.0) / 2.0, (h - 1.0) / 2.0),
            half: (((w - 1.0) / 2.0 - margin).max(0.0), (h - 1.0) / 2.0),
            along: Vec::with_capacity(POINTS + 1),
            length: 0.0,
        };
        let mut before = frame.at(0);
        for i in 0..=POINTS {
            let (x, y) = frame.at(i);
            frame.length += (x - before.0).abs() / ACROSS + (y - before.1).abs();
            frame.along.push(frame.length);
            before = (x, y);
        }
        frame
    }

    /// Offset of a point of the outline from the centre.
    fn at(&self, i: usize) -> (f64, f64) {
        let angle = TAU * (i as f64 / POINTS as f64 + 0.5);
        let bent = |c: f64| c.signum() * c.abs().powf(2.0 / DEGREE);
        (self.half.0 * bent(angle.cos()), self.half.1 * bent(angle.sin()))
    }

    /// The point a share (0 to 1, and around) of the way along the outline, drawn in towards the centre by `radius`,
    /// and which way is out there.
    fn point(&self, share: f64, radius: f64) -> ((f64, f64), (f64, f64)) {
        let goal = share.rem_euclid(1.0) * self.length;
        let i = self.along.partition_point(|along| *along < goal).min(POINTS);
        let (x, y) = self.at(i);
        let length = x.hypot(2.0 * y).max(1e-9);
        ((self.centre.0 + x * radius, self.centre.1 + y * radius), (x / length, 2.0 * y / length))
    }

    fn cell(&self, at: (f64, f64)) -> (u16, u16) {
        cell(at, self.width, self.height)
    }
}

fn cell((x, y): (f64, f64), width: u16, height: u16) -> (u16, u16) {
    // Casts of floats to integers saturate.
    ((x.round() as u16).min(width.saturating_sub(1)), (y.round() as u16).min(height.saturating_sub(1)))
}

/// Cells that hold a node.
struct Taken {
    width: u16,
    height: u16,
    cells: Vec<bool>,
}

impl Taken {
    fn new(width: u16, height: u16) -> Self {
        Self { width, height, cells: vec![false; usize::from(width) * usize::from(height)] }
    }

    /// Takes the free cell nearest to a point, within a few cells; where none is free, nodes share one.
    fn nearest(&mut self, at: (f64, f64)) -> (u16, u16) {
        const NEAR: i32 = 4;
        let (x, y) = cell(at, self.width, self.height);
        let free = |dx: i32, dy: i32| {
            let (x, y) = (i32::from(x) + dx, i32::from(y) + dy);
            let inside = x >= 0 && y >= 0 && x < i32::from(self.width) && y < i32::from(self.height);
            (inside && !self.cells[(y * i32::from(self.width) + x) as usize]).then_some((x as u16, y as u16))
        };
        let mut best = None;
        for dy in -NEAR..=NEAR {
            for dx in -NEAR..=NEAR {
                let distance = dx * dx + 4 * dy * dy;
                if best.is_none_or(|(least, _)| distance < least)
                    && let Some(cell) = free(dx, dy)
                {
                    best = Some((distance, cell));
                }
            }
        }
        let (x, y) = best.map_or((x, y), |(_, cell)| cell);
        if let Some(cell) = self.cells.get_mut(usize::from(y) * usize::from(self.width) + usize::from(x)) {
            *cell = true;
        }
        (x, y)
    }
}

/// A number that a name always has (FNV-1a).
fn hash(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    hash ^ (hash >> 29)
}
