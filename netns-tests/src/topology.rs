//! The networks that several tests, the figures and the lab example use.

use std::time::Duration;

use wgnet_api::PathKind;

use crate::lab::Lab;
use crate::machine::Machine;
use crate::network_file::NetworkFile;
use crate::node::Node;
use crate::router::Nat;
use crate::segment::Segment;
use crate::wait::until;

/// The overlay of every topology.
pub const SUBNET: &str = "10.1.1.0/24";

/// Names of nodes, in order.
pub const NAMES: [&str; 12] =
    ["alice", "bob", "charlie", "dora", "emil", "frida", "gustav", "heidi", "ivan", "judy", "karl", "laura"];

/// Machines side by side, the first ones static peers of the network file.
///
/// ```text
///   alice     bob     charlie  ...        underlay 192.0.2.N, 2001:db8::N
///     |        |         |                overlay 10.1.1.N
///     '--------+---------'
///            segment
/// ```
pub struct Row {
    /// Where all are plugged in.
    pub segment: Segment,
    /// Alice, bob and so on; not started.
    pub nodes: Vec<Node>,
}

/// The machine number `n` of a row, counted from 1, on `segment`.
pub fn machine_of_row(lab: &Lab, segment: &Segment, n: usize) -> Machine {
    lab.machine_on(segment, NAMES[n - 1], &[&format!("192.0.2.{n}/24"), &format!("2001:db8::{n}/64")])
}

/// A network file that lists the first `listed` machines of a row.
pub fn network_of_row(listed: usize) -> NetworkFile {
    (1..=listed).fold(NetworkFile::new(SUBNET), |file, n| file.peer(&format!("10.1.1.{n}"), &format!("192.0.2.{n}")))
}

/// `count` nodes on `segment`, configured by `network`.
pub fn row(lab: &Lab, segment: Segment, count: usize, network: &NetworkFile) -> Row {
    let node = |n: usize| lab.node(&machine_of_row(lab, &segment, n), network, NAMES[n - 1], &[&format!("10.1.1.{n}")]);
    let nodes = (1..=count).map(node).collect();
    Row { segment, nodes }
}

/// The wg_netmanager README's four boxes.
///
/// ```text
///   alpha 198.51.100.1        beta 198.51.100.2 (static peer)
///   [firewall]                  |
///     |                         |
///     '--------- internet ------'
///                   |
///               [router] 198.51.100.20, NAT
///                   |
///     .-- home -----+-----------.
///   charlie 192.168.1.3       delta 192.168.1.4
/// ```
pub struct FourBoxes {
    /// Alpha, beta and the router's outside.
    pub internet: Segment,
    /// Charlie, delta and the router's inside.
    pub home: Segment,
    /// The home router.
    pub router: Machine,
    /// Behind a firewall that lets only replies in; 10.1.1.1.
    pub alpha: Node,
    /// Public; 10.1.1.2.
    pub beta: Node,
    /// At home; 10.1.1.3.
    pub charlie: Node,
    /// At home, too; 10.1.1.4.
    pub delta: Node,
}

impl FourBoxes {
    /// Builds it; nobody is started.
    pub fn new(lab: &Lab) -> Self {
        Self::with(lab, &[])
    }

    /// The same, but leaves speak through beta alone.
    pub fn through_beta(lab: &Lab) -> Self {
        Self::with(lab, &["direct: never"])
    }

    fn with(lab: &Lab, options: &[&str]) -> Self {
        let (internet, home) = (lab.bridge("internet"), lab.bridge("home"));
        let network = NetworkFile::new(SUBNET).peer("10.1.1.2", "198.51.100.2");
        let network = NetworkFile { options: options.iter().map(ToString::to_string).collect(), ..network };
        let outside = (&internet, ["198.51.100.20/24"]);
        let router = lab.router("router", (outside.0, &outside.1), (&home, &["192.168.1.254/24"]), Nat::KeepsPorts);
        let public = |name: &str, address: &str| lab.machine_on(&internet, name, &[address]);
        let private = |name: &str, address: &str| {
            let machine = lab.machine_on(&home, name, &[address]);
            machine.ip("route add default via 192.168.1.254");
            machine
        };
        let machine = public("alpha", "198.51.100.1/24");
        machine.firewall("eth0");
        let alpha = lab.node(&machine, &network, "alpha", &["10.1.1.1"]);
        let beta = lab.node(&public("beta", "198.51.100.2/24"), &network, "beta", &["10.1.1.2"]);
        let charlie = lab.node(&private("charlie", "192.168.1.3/24"), &network, "charlie", &["10.1.1.3"]);
        let delta = lab.node(&private("delta", "192.168.1.4/24"), &network, "delta", &["10.1.1.4"]);
        Self { internet, home, router, alpha, beta, charlie, delta }
    }

    /// All four, in the order of the alphabet.
    pub fn nodes(&self) -> [&Node; 4] {
        [&self.alpha, &self.beta, &self.charlie, &self.delta]
    }
}

/// Two public hubs, and two leaves that cannot reach each other.
///
/// ```text
///   hub-1 192.0.2.1    hub-2 192.0.2.2        both static peers
///     |                  |
///     '------ internet --+-------.
///        |                       |
///      left 192.0.2.11         right 192.0.2.12
///      [firewall]              [firewall]
/// ```
pub struct TwoHubs {
    /// Where all are.
    pub internet: Segment,
    /// 10.1.1.1 and 10.1.1.2.
    pub hubs: [Node; 2],
    /// 10.1.1.11.
    pub left: Node,
    /// 10.1.1.12.
    pub right: Node,
}

impl TwoHubs {
    /// Builds it; nobody is started. The leaves speak through hubs alone.
    pub fn new(lab: &Lab) -> Self {
        Self::with(lab, "direct: never")
    }

    /// The same with this line in the network file.
    pub fn with(lab: &Lab, line: &str) -> Self {
        let internet = lab.bridge("internet");
        let network = network_of_row(2).option(line);
        let node = |name: &str, n: usize, firewall: bool| {
            let machine = lab.machine_on(&internet, name, &[&format!("192.0.2.{n}/24")]);
            if firewall {
                machine.firewall("eth0");
            }
            lab.node(&machine, &network, name, &[&format!("10.1.1.{n}")])
        };
        let hubs = [node("hub-1", 1, false), node("hub-2", 2, false)];
        let (left, right) = (node("left", 11, true), node("right", 12, true));
        Self { internet, hubs, left, right }
    }

    /// All four.
    pub fn nodes(&self) -> [&Node; 4] {
        [&self.hubs[0], &self.hubs[1], &self.left, &self.right]
    }

    /// Which of the hubs carries traffic between left and right, once both agree on it; panics when they do not `within`.
    pub fn carrier(&self, within: Duration) -> usize {
        let via = |from: &Node, to: &Node| {
            from.peer(to.address()).filter(|peer| peer.path == PathKind::Gateway).and_then(|peer| peer.via)
        };
        let agreed = until(within, || {
            let there = via(&self.left, &self.right)?;
            (via(&self.right, &self.left)? == there).then_some(there)
        });
        let agreed = agreed.expect("both leaves use the same hub");
        self.hubs.iter().position(|hub| hub.name() == agreed).expect("a hub carries the traffic")
    }
}

/// Six gateways in a ring of equal cost, and twelve leaves with two uplinks each.
///
/// ```text
///            g1 --- g2
///           /          \          leaf-1 reaches g1 and g2, leaf-2 g2 and g3, ... leaf-6 g6 and g1,
///         g6            g3        leaf-7 again g1 and g2, and so on.
///           \          /          Nobody else reaches anybody: a leaf's packets cross up to four tunnels.
///            g5 --- g4
/// ```
pub struct Ring {
    /// One bridge; who may not reach whom is cut.
    pub segment: Segment,
    /// `g1` to `g6`, 10.1.1.1 to 10.1.1.6; static peers.
    pub gateways: Vec<Node>,
    /// `leaf-1` to `leaf-12`, 10.1.1.11 to 10.1.1.22.
    pub leaves: Vec<Node>,
}

impl Ring {
    /// Builds it; nobody is started.
    pub fn new(lab: &Lab) -> Self {
        let segment = lab.bridge("ring");
        let network = network_of_row(6).option("direct: never");
        let node = |name: String, n: usize| {
            let machine = lab.machine_on(&segment, &name, &[&format!("192.0.2.{n}/24")]);
            lab.node(&machine, &network, &name, &[&format!("10.1.1.{n}")])
        };
        let gateways = (1..=6).map(|n| node(format!("g{n}"), n)).collect::<Vec<_>>();
        let leaves = (1..=12).map(|n| node(format!("leaf-{n}"), 10 + n)).collect::<Vec<_>>();
        let everyone = gateways.iter().chain(&leaves).collect::<Vec<_>>();
        let apart = |(a, b): &(usize, usize)| match (*a, *b) {
            (a, b) if b < 6 => !matches!(b - a, 1 | 5),
            (a, b) if a < 6 => !(a == (b - 6) % 6 || a == (b - 5) % 6),
            _ => true,
        };
        let pairs = (0..18).flat_map(|a| (a + 1..18).map(move |b| (a, b))).filter(apart);
        let machines = pairs.map(|(a, b)| (everyone[a].machine(), everyone[b].machine())).collect::<Vec<_>>();
        segment.cut_pairs(&machines);
        Self { segment, gateways, leaves }
    }

    /// All eighteen.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.gateways.iter().chain(&self.leaves)
    }
}
