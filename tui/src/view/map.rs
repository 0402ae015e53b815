//! The topology, drawn: gateways in the middle with the links between them, leaves around them.
//!
//! ```text
//!   leaf ●                                    ● leaf
//!          ╲                                ╱
//!   leaf ●───◆ gateway ────── gateway ◆───⌂ this node
//!          ╱     ╲   12 ms      ╱           ╲
//!   leaf ●         ◆ gateway               ● leaf
//!
//!   apart: ○ name   refused: ⊘ name   silent: ? name
//!   ⌂ this node  ◆ gateway  ● leaf  ┄✗┄ dead   cost ...
//! ```

mod label;
mod layout;
mod raster;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use wgnet_api::{Mesh, MeshLink, NodeState};

use crate::cost;
use crate::glyph::Glyphs;
use crate::graph::{counts, holders};
use crate::text;
use crate::theme::Theme;
use label::Labels;
use layout::{Layout, Placed, homes, layout};
use raster::{Raster, Stroke};

/// From this height on (rows), two rows below the map are always kept for the strip and the legend, so that a node that
/// goes apart does not move the others.
const ROOMY: u16 = 16;
/// From this height on, one row is.
const LOW: u16 = 8;
/// In meshes of up to so many nodes every uplink is drawn, in larger ones only the one that a leaf uses.
const FEW: usize = 24;
/// A figure beside a link wants so many cells of the map for itself.
const FIGURE: usize = 170;
/// Up to so many links between gateways are drawn alike; of more, only the cheapest of each gateway are strong ...
const ALIKE: usize = 15;
/// ... and beyond so many, only those are drawn at all (and those of this node and of the one under the cursor).
const DRAWN: usize = 36;
/// How many cheapest links of a gateway these are.
const NEAREST: usize = 3;
/// Cells for a name that is not cut, and that one is cut to.
const NAME: usize = 24;
const LEAF_NAME: usize = 12;
const CUT: usize = 9;

/// The map of the mesh.
pub struct MapView<'a> {
    /// The mesh.
    pub mesh: &'a Mesh,
    /// Name of this node.
    pub own: &'a str,
    /// Name of the node under the cursor.
    pub selected: Option<&'a str>,
    /// Names of the nodes of the path to highlight.
    pub path: &'a [String],
    /// Both ends of links that were there lately and are gone.
    pub dead: &'a [(String, String)],
    /// Colours.
    pub theme: &'a Theme,
    /// Characters.
    pub glyphs: Glyphs,
}

/// Names in the order in which a cursor walks over the map: each gateway and then its leaves, then what has no place in
/// the graph. Every name once.
pub fn order(mesh: &Mesh) -> Vec<String> {
    let holders = holders(mesh);
    let homes = homes(&holders, mesh, &[]);
    let rank = |name: &str| {
        let node = holders[name];
        let linked = node.state == NodeState::Linked;
        match homes.get(name).filter(|_| linked && !node.gateway) {
            Some(home) if holders[home].state == NodeState::Linked => (0, (*home).to_owned(), 1),
            _ if linked && node.gateway => (0, name.to_owned(), 0),
            _ => (1, String::new(), 0),
        }
    };
    let mut names: Vec<&str> = holders.keys().copied().collect();
    names.sort_by_cached_key(|name| rank(name)); // stable: those of one rank stay sorted by name
    names.into_iter().map(str::to_owned).collect()
}

impl Widget for &MapView<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        if area.is_empty() {
            return;
        }
        let below = match area.height {
            ROOMY.. => 2,
            LOW.. => 1,
            _ => 0,
        };
        let map = Rect { height: area.height - below, ..area };
        let layout = layout(self.mesh, self.own, self.dead, map.width, map.height);
        let drawing = Drawing::new(self, &layout, map);
        drawing.draw(buf);
        let row = |up: u16| Rect { y: area.bottom() - up, height: 1, ..area };
        match below {
            2 => {
                self.strip(&layout, row(2), buf);
                self.legend(drawing.left_out, row(1), buf);
            }
            1 if layout.outside.is_empty() => self.legend(drawing.left_out, row(1), buf),
            1 => self.strip(&layout, row(1), buf),
            _ => {}
        }
    }
}

impl MapView<'_> {
    /// Nodes without a place, as many as there is room for.
    fn strip(&self, layout: &Layout<'_>, row: Rect, buf: &mut Buffer) {
        let mut spans: Vec<Span<'_>> = Vec::new();
        let mut room = usize::from(row.width);
        let mut left = layout.outside.len();
        for (state, title) in [
            (NodeState::Refused, "refused"),
            (NodeState::Apart, "apart"),
            (NodeState::Linked, "unplaced"),
            (NodeState::Silent, "silent"),
        ] {
            let mut title = Some(title);
            for node in layout.outside.iter().filter(|node| node.state == state) {
                let glyph = self.glyphs.node(false, state);
                let name = text::fit(&node.name, text::width(&node.name).min(LEAF_NAME));
                let head = title.map_or(0, |title| title.len() + 2);
                // Behind this one, "+123" must still fit.
                if head + text::width(&name) + 4 + 5 > room {
                    break;
                }
                room -= head + text::width(&name) + 4;
                left -= 1;
                if let Some(title) = title.take() {
                    spans.push(Span::styled(format!("{title}  "), self.theme.muted));
                }
                let style = match state {
                    NodeState::Refused | NodeState::Apart => self.theme.bad,
                    _ => self.theme.muted,
                };
                spans.push(Span::styled(format!("{glyph} "), style));
                let style = if self.selected == Some(node.name.as_str()) {
                    self.theme.text.patch(self.theme.selected)
                } else if node.name == self.own {
                    self.theme.accent
                } else {
                    self.theme.text
                };
                spans.push(Span::styled(name, style));
                spans.push(Span::raw("  "));
            }
        }
        if left > 0 {
            spans.push(Span::styled(format!("+{left}"), self.theme.muted));
        }
        Line::from(spans).render(row, buf);
    }

    fn legend(&self, left_out: usize, row: Rect, buf: &mut Buffer) {
        let theme = self.theme;
        let ascii = self.glyphs == Glyphs::Ascii;
        let mut parts: Vec<Vec<Span<'_>>> = Vec::new();
        let word = |glyph: &'static str, style: Style, word: &'static str| {
            vec![Span::styled(glyph, style), Span::styled(format!(" {word}"), theme.muted)]
        };
        parts.push(word(own_glyph(self.glyphs), theme.accent, "this node"));
        parts.push(word(self.glyphs.node(true, NodeState::Linked), theme.gateway, "gateway"));
        parts.push(word(self.glyphs.node(false, NodeState::Linked), theme.text, "leaf"));
        parts.push(word(if ascii { "~X~" } else { "┄✗┄" }, theme.bad, "dead"));
        let line = if ascii { "--" } else { "━━" };
        let mut scale = vec![Span::styled("cost ", theme.muted)];
        for (style, limit) in theme.heat.iter().zip(cost::COST.map(Some).into_iter().chain([None])) {
            scale.push(Span::styled(line, *style));
            scale.push(Span::styled(limit.map_or_else(String::new, |limit| format!(" {limit} ")), theme.muted));
        }
        parts.push(scale);
        if left_out > 0 {
            parts.push(vec![Span::styled(format!("+{left_out} dear links"), theme.muted)]);
        }
        let width = |part: &[Span<'_>]| part.iter().map(|span| text::width(&span.content)).sum::<usize>();
        let mut spans: Vec<Span<'_>> = Vec::new();
        for part in parts {
            if width(&spans) + width(&part) <= usize::from(row.width) {
                spans.extend(part);
                spans.push(Span::raw("  "));
            }
        }
        Line::from(spans).render(row, buf);
    }
}

fn own_glyph(glyphs: Glyphs) -> &'static str {
    match glyphs {
        Glyphs::Unicode => "⌂",
        Glyphs::Ascii => "@",
    }
}

/// A line between two placed nodes.
struct Stretch<'a> {
    a: usize,
    b: usize,
    link: Option<&'a MeshLink>,
    stroke: Stroke,
    style: Style,
}

/// The map itself while it is being drawn.
struct Drawing<'a> {
    view: &'a MapView<'a>,
    layout: &'a Layout<'a>,
    area: Rect,
    /// Whether each placed node is shown, and not only counted.
    shown: Vec<bool>,
    on_path: BTreeSet<&'a str>,
    stretches: Vec<Stretch<'a>>,
    left_out: usize,
}

impl<'a> Drawing<'a> {
    fn new(view: &'a MapView<'a>, layout: &'a Layout<'a>, area: Rect) -> Self {
        let on_path = view.path.iter().map(String::as_str).collect();
        let mut drawing = Self { view, layout, area, shown: Vec::new(), on_path, stretches: Vec::new(), left_out: 0 };
        drawing.shown = layout.placed.iter().map(|placed| drawing.is_shown(placed)).collect();
        (drawing.stretches, drawing.left_out) = drawing.stretches();
        for stretch in drawing.stretches.iter().filter(|stretch| stretch.stroke == Stroke::Dead) {
            drawing.shown[stretch.a] = true;
            drawing.shown[stretch.b] = true;
        }
        drawing
    }

    fn is_marked(&self, name: &str) -> bool {
        self.view.own == name || self.view.selected == Some(name)
    }

    fn is_shown(&self, placed: &Placed<'_>) -> bool {
        let name = placed.node.name.as_str();
        !self.layout.is_crowded
            || placed.home.is_none()
            || self.is_marked(name)
            || self.on_path.contains(name)
            || placed.node.state != NodeState::Linked
    }

    /// Whether a dead link says more than its ends do: of a node that has no link left all are dead, and the node itself
    /// shows that. Those between gateways carried the traffic of others, and those of this node its own.
    fn is_news(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.layout.placed[a].node, self.layout.placed[b].node);
        let are_linked = a.state == NodeState::Linked && b.state == NodeState::Linked;
        are_linked || (a.gateway && b.gateway) || a.name == self.view.own || b.name == self.view.own
    }

    /// Every line, in the order in which they are drawn, and how many links between gateways are left out.
    fn stretches(&self) -> (Vec<Stretch<'a>>, usize) {
        let (placed, theme) = (&self.layout.placed, self.view.theme);
        let index = self.layout.index();
        let find = |name: &str| index.get(name).copied();
        let links = || {
            let ends = |link: &'a MeshLink| Some(((find(&link.a)?, find(&link.b)?), link));
            self.view.mesh.links.iter().filter_map(ends)
        };
        let in_core = |a: usize, b: usize| placed[a].node.gateway && placed[b].node.gateway;
        let core = links().filter(|((a, b), link)| in_core(*a, *b) && counts(link)).count();
        let nearest = self.nearest(links().filter(|((a, b), _)| core > ALIKE && in_core(*a, *b)));
        let (mut stretches, mut left_out) = (Vec::new(), 0);
        let mut live = BTreeMap::new();
        for ((a, b), link) in links() {
            if link.up {
                live.insert((a.min(b), a.max(b)), link);
            } else if !self.is_news(a, b) {
                continue;
            }
            let is_home = placed[a].home == Some(b) || placed[b].home == Some(a);
            let is_marked = self.is_marked(&placed[a].node.name) || self.is_marked(&placed[b].node.name);
            let stroke = match in_core(a, b) {
                _ if !link.up => Stroke::Dead,
                _ if link.cost.is_none() => Stroke::Faint,
                true if core <= ALIKE || nearest.contains(&(a, b)) => Stroke::Plain,
                true if core <= DRAWN || is_marked => Stroke::Faint,
                true => {
                    left_out += 1;
                    continue;
                }
                false if is_home && placed.len() <= FEW => Stroke::Plain,
                false if is_home => Stroke::Thin,
                false if is_marked || placed.len() <= FEW => Stroke::Faint,
                false => continue,
            };
            if stroke != Stroke::Dead && !(self.shown[a] && self.shown[b]) {
                continue;
            }
            let heat = link.cost.map_or(theme.muted, |cost| theme.heat[cost::of_cost(cost.into())]);
            let style = if stroke == Stroke::Dead { theme.bad } else { heat };
            stretches.push(Stretch { a, b, link: Some(link), stroke, style });
        }
        for (a, b) in self.view.dead {
            let (Some(a), Some(b)) = (find(a), find(b)) else { continue };
            if !live.contains_key(&(a.min(b), a.max(b))) && self.is_news(a, b) {
                stretches.push(Stretch { a, b, link: None, stroke: Stroke::Dead, style: theme.bad });
            }
        }
        for pair in self.view.path.windows(2) {
            let (Some(a), Some(b)) = (find(&pair[0]), find(&pair[1])) else { continue };
            let link = live.get(&(a.min(b), a.max(b))).copied();
            stretches.push(Stretch { a, b, link, stroke: Stroke::Thick, style: theme.highlight });
        }
        // Cheap over dear, strong over faint: of two lines in one cell the later one gives the colour.
        let dear = |stretch: &Stretch<'_>| stretch.link.and_then(|link| link.cost).unwrap_or(0);
        stretches.sort_by_key(|stretch| (stretch.stroke, Reverse(dear(stretch)), stretch.a, stretch.b));
        (stretches, left_out)
    }

    /// Of links between gateways, those that are among the cheapest of one of their ends.
    fn nearest(&self, links: impl Iterator<Item = ((usize, usize), &'a MeshLink)>) -> BTreeSet<(usize, usize)> {
        let mut sorted: Vec<_> = links.filter(|(_, link)| counts(link)).collect();
        sorted.sort_by_key(|(ends, link)| (link.cost, *ends));
        let mut drawn: BTreeMap<usize, usize> = BTreeMap::new();
        let mut is_near = |end: usize| {
            let count = drawn.entry(end).or_default();
            *count += 1;
            *count <= NEAREST
        };
        // Both ends count, whatever the first one says.
        sorted.retain(|((a, b), _)| is_near(*a) | is_near(*b));
        sorted.into_iter().map(|(ends, _)| ends).collect()
    }

    fn draw(&self, buf: &mut Buffer) {
        let placed = &self.layout.placed;
        let mut raster = Raster::new(self.area.width, self.area.height, self.view.glyphs);
        for stretch in &self.stretches {
            let (a, b) = (&placed[stretch.a], &placed[stretch.b]);
            raster.link((a.x, a.y), (b.x, b.y), stretch.stroke, stretch.style);
        }
        let clusters = self.clusters();
        for cluster in &clusters {
            let gateway = &placed[cluster.0];
            raster.link((gateway.x, gateway.y), (cluster.1, cluster.2), Stroke::Thin, self.view.theme.border);
        }
        raster.draw(self.area, buf);
        let (x, y) = (self.area.x, self.area.y);
        for placed in self.shown_nodes() {
            let (glyph, style) = self.glyph(placed);
            if let Some(cell) = buf.cell_mut((x + placed.x, y + placed.y)) {
                cell.reset();
                cell.set_symbol(glyph).set_style(style);
            }
        }
        for label in self.labels(&raster, &clusters).placed {
            for cell in label.x..label.x + label.width {
                if let Some(cell) = buf.cell_mut((x + cell, y + label.y)) {
                    cell.reset();
                }
            }
            buf.set_stringn(x + label.x, y + label.y, &label.text, label.width.into(), label.style);
        }
    }

    fn shown_nodes(&self) -> impl Iterator<Item = &Placed<'a>> {
        self.layout.placed.iter().zip(&self.shown).filter(|(_, shown)| **shown).map(|(placed, _)| placed)
    }

    /// For each gateway whose leaves are not all shown: its index, the place, and how many are not.
    fn clusters(&self) -> Vec<(usize, u16, u16, usize)> {
        let hidden = |gateway: usize| {
            let leaves = self.layout.placed.iter().zip(&self.shown);
            leaves.filter(|(placed, shown)| placed.home == Some(gateway) && !**shown).count()
        };
        let clusters = self.layout.clusters.iter().map(|c| (c.gateway, c.x, c.y, hidden(c.gateway)));
        clusters.filter(|(.., hidden)| *hidden > 0).collect()
    }

    fn glyph(&self, placed: &Placed<'_>) -> (&'static str, Style) {
        let (theme, node) = (self.view.theme, placed.node);
        let style = match node.state {
            NodeState::Linked if node.name == self.view.own => theme.accent.add_modifier(Modifier::BOLD),
            NodeState::Linked if self.on_path.contains(node.name.as_str()) => theme.highlight,
            NodeState::Linked if node.gateway => theme.gateway,
            NodeState::Linked => theme.text,
            _ => theme.bad,
        };
        let glyph = match node.name == self.view.own {
            true => own_glyph(self.view.glyphs),
            false => self.view.glyphs.node(node.gateway, node.state),
        };
        let style = if self.view.selected == Some(node.name.as_str()) { style.patch(theme.selected) } else { style };
        (glyph, style)
    }

    /// Names and figures, the most important first.
    fn labels(&self, raster: &Raster, clusters: &[(usize, u16, u16, usize)]) -> Labels {
        let theme = self.view.theme;
        let mut labels = Labels::new(self.area.width, self.area.height);
        let is_line = |x, y| raster.is_set(x, y);
        for placed in self.shown_nodes() {
            labels.take(placed.x, placed.y);
        }
        for (x, y) in &raster.crosses {
            labels.take(*x, *y);
        }
        for (_, x, y, hidden) in clusters {
            labels.centred(*x, *y, &format!("+{hidden}"), theme.text);
        }
        let mut nodes: Vec<(u8, &Placed<'_>)> = self.shown_nodes().map(|placed| (self.rank(placed), placed)).collect();
        nodes.sort_by_key(|(rank, _)| *rank);
        for (rank, placed) in nodes {
            let name = &placed.node.name;
            let style = self.name_style(placed);
            let lengths: &[usize] = if rank < 4 { &[NAME, CUT, 4] } else { &[LEAF_NAME, CUT] };
            let whole = text::width(name);
            let mut tried = usize::MAX;
            for length in lengths.iter().map(|length| whole.min(*length)) {
                if length < tried && labels.beside(placed, &text::fit(name, length), style, is_line) {
                    break;
                }
                tried = length;
            }
        }
        self.figures(&mut labels);
        labels
    }

    fn rank(&self, placed: &Placed<'_>) -> u8 {
        let name = placed.node.name.as_str();
        match placed.node {
            _ if self.view.own == name => 0,
            _ if self.view.selected == Some(name) => 1,
            node if node.gateway => 2,
            _ if self.on_path.contains(name) => 3,
            node if node.state != NodeState::Linked => 3,
            _ => 4,
        }
    }

    fn name_style(&self, placed: &Placed<'_>) -> Style {
        let (theme, name) = (self.view.theme, placed.node.name.as_str());
        let style = match placed.node {
            node if node.state != NodeState::Linked => theme.bad,
            _ if self.view.own == name => theme.accent.add_modifier(Modifier::BOLD),
            _ if self.on_path.contains(name) => theme.highlight,
            node if node.gateway => theme.text.add_modifier(Modifier::BOLD),
            _ => theme.muted,
        };
        if self.view.selected == Some(name) { style.patch(theme.text).patch(theme.selected) } else { style }
    }

    /// Round trips beside the middle of links: those of the path, then those between gateways, then uplinks, where
    /// there is room.
    fn figures(&self, labels: &mut Labels) {
        let placed = &self.layout.placed;
        let in_core = |stretch: &Stretch<'_>| placed[stretch.a].node.gateway && placed[stretch.b].node.gateway;
        let core = self.stretches.iter().filter(|stretch| in_core(stretch)).count();
        let room = usize::from(self.area.width) * usize::from(self.area.height) / FIGURE;
        let wanted = |stretch: &&Stretch<'_>| match stretch.stroke {
            Stroke::Thick => true,
            Stroke::Plain if in_core(stretch) => core <= room.min(ALIKE),
            Stroke::Plain => self.stretches.len() <= 2 * room,
            Stroke::Thin | Stroke::Faint | Stroke::Dead => false,
        };
        let mut stretches: Vec<&Stretch<'_>> = self.stretches.iter().filter(wanted).collect();
        stretches.sort_by_key(|stretch| (Reverse(stretch.stroke), !in_core(stretch)));
        let mut done = BTreeSet::new();
        for stretch in stretches {
            let Some(rtt_ms) = stretch.link.and_then(|link| link.rtt_ms) else { continue };
            if !done.insert((stretch.a.min(stretch.b), stretch.a.max(stretch.b))) {
                continue;
            }
            let figure = if rtt_ms < 9.95 { format!("{rtt_ms:.1} ms") } else { format!("{rtt_ms:.0} ms") };
            let ((ax, ay), (bx, by)) = (at(&placed[stretch.a]), at(&placed[stretch.b]));
            for along in [0.5, 0.42, 0.58, 0.34, 0.66] {
                let (x, y) = (ax + (bx - ax) * along, ay + (by - ay) * along);
                if labels.centred(x.round() as u16, y.round() as u16, &figure, stretch.style) {
                    break;
                }
            }
        }
    }
}

fn at(placed: &Placed<'_>) -> (f64, f64) {
    (f64::from(placed.x), f64::from(placed.y))
}

#[cfg(test)]
mod tests;
