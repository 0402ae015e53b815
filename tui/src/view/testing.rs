//! Meshes for the tests of what is drawn.

use ratatui::buffer::Buffer;
use wgnet_api::{Mesh, MeshLink, MeshNode, NodeState};

/// Numbers that look random and are the same each time: splitmix64 (Steele, Lea and Flood 2014).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

pub(crate) fn node(name: &str, gateway: bool) -> MeshNode {
    MeshNode {
        id: name.to_owned(),
        name: name.to_owned(),
        address: "10.1.0.1".to_owned(),
        gateway,
        state: NodeState::Linked,
        class: "server".to_owned(),
    }
}

pub(crate) fn link(a: &str, b: &str, cost: u32) -> MeshLink {
    let rtt_ms = Some(f64::from(cost.saturating_sub(50)) / 10.0);
    MeshLink {
        a: a.to_owned(),
        b: b.to_owned(),
        cost: Some(cost),
        cost_a: Some(cost),
        cost_b: Some(cost),
        rtt_ms,
        loss: Some(0.0),
        up: true,
    }
}

const CITIES: [&str; 16] = [
    "paris", "berlin", "oslo", "madrid", "tokyo", "lima", "dakar", "osaka", "quito", "delhi", "perth", "cairo",
    "hanoi", "milan", "porto", "seoul",
];
const PEOPLE: [&str; 20] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "kim", "leo", "mallory",
    "nina", "olivia", "peggy", "rupert", "sybil", "trent", "walter",
];

/// A mesh of `count` nodes such as people run: gateways in a full mesh, leaves with two uplinks, the same each time.
pub(crate) fn mesh_of(count: usize) -> Mesh {
    let mut draw = Draw(count as u64);
    let gateways = match count {
        0..=1 => 0,
        2..=3 => 1,
        4..=7 => 2,
        8..=15 => 3,
        16..=99 => 6,
        _ => 12,
    };
    let far = |a: usize, b: usize| 70 + 240 * (a.abs_diff(b).min(gateways - a.abs_diff(b))) as u32;
    let (mut nodes, mut links) = (Vec::new(), Vec::new());
    for (i, name) in CITIES.iter().enumerate().take(gateways) {
        nodes.push(node(name, true));
        for (j, other) in CITIES.iter().enumerate().take(i) {
            links.push(link(other, name, far(i, j) + draw.below(90) as u32));
        }
    }
    for i in 0..count - gateways {
        let round = i / PEOPLE.len();
        let person = PEOPLE[i % PEOPLE.len()];
        let name = if round == 0 { person.to_owned() } else { format!("{person}-{}", round + 1) };
        if gateways > 0 {
            let home = draw.below(gateways as u64) as usize;
            links.push(link(CITIES[home], &name, 60 + draw.below(300) as u32));
            let spare = (home + 1 + draw.below(gateways as u64) as usize) % gateways;
            if spare != home {
                links.push(link(CITIES[spare], &name, 380 + draw.below(900) as u32));
            }
        }
        nodes.push(node(&name, false));
    }
    for node in nodes.iter_mut().filter(|_| gateways == 0) {
        node.state = NodeState::Apart;
    }
    links.sort_by(|a, b| (&a.a, &a.b).cmp(&(&b.a, &b.b)));
    Mesh { nodes, links }
}

/// What a buffer shows, line by line, without colours.
pub(crate) fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut line = String::new();
        let mut skip = 0;
        for x in buffer.area.left()..buffer.area.right() {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = crate::text::width(symbol).max(1);
            }
            skip -= 1;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
