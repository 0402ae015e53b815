//! A hub and its leaves, each on a cable of its own, with tunnels made by any of the programs that are compared.
//!
//! ```text
//!          hub 192.0.2.1, 10.1.1.1             one leaf: two machines side by side; two: a gateway between them;
//!      eth0 |        | eth1                    more: a busy server
//!      eth0 |        | eth0
//!  192.0.2.2 leaf    leaf 192.0.2.3            addresses are point to point: on the underlay a leaf has no way but
//!  10.1.1.2            10.1.1.3                to the hub
//! ```

use std::net::IpAddr;
use std::time::Duration;

use netns_tests::{Device, Lab, Load, Machine, NetworkFile, Node, Process, device, until};
use wgnet_api::PathKind;

use crate::programs::Kind;

const SOON: Duration = Duration::from_secs(30);

/// Underlay address of machine number `n`; the hub is number 0.
fn outside(n: usize) -> String {
    format!("192.0.2.{}", n + 1)
}

/// Overlay address of machine number `n`.
fn inside(n: usize) -> String {
    format!("10.1.1.{}", n + 1)
}

/// All machines, up: pings pass between the hub and every leaf, and from leaf to leaf.
pub(crate) struct Star {
    machines: Vec<Machine>,
    addresses: Vec<IpAddr>,
    running: Running,
    _lab: Lab,
}

enum Running {
    Nothing,
    Daemons(Vec<Node>),
    Devices(Vec<Device>),
}

/// Where traffic begins or ends.
#[derive(Clone, Copy)]
pub(crate) struct End<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) address: IpAddr,
}

impl Star {
    /// Starts `kind` on a hub and so many leaves. Without `segmentation` the cables take no datagrams that the kernel
    /// would split later (UDP segmentation offload), as most real network cards.
    pub(crate) fn start(kind: &Kind, leaves: usize, segmentation: bool) -> Self {
        let lab = Lab::new("throughput", Load::Alone);
        let name = |n| if n == 0 { "hub".to_owned() } else { format!("leaf-{n}") };
        let machines = (0..=leaves).map(|n| lab.machine(&name(n))).collect::<Vec<_>>();
        cable(&machines, segmentation);
        let running = match kind {
            Kind::Bare => {
                forward(&machines[0]);
                for leaf in &machines[1..] {
                    leaf.ip(&format!("route add 192.0.2.0/24 via {}", outside(0)));
                }
                Running::Nothing
            }
            Kind::Wgnet | Kind::Plain => Running::Daemons(daemons(&lab, &machines, *kind == Kind::Plain)),
            Kind::Device { path, options, .. } => {
                forward(&machines[0]);
                Running::Devices(devices(&machines, |machine| Device::start(machine, "wg0", path, options)))
            }
        };
        let address = if *kind == Kind::Bare { outside } else { inside };
        let addresses = (0..=leaves).map(|n| address(n).parse().expect("an address")).collect();
        let star = Self { machines, addresses, running, _lab: lab };
        for leaf in 1..=leaves {
            star.passes(0, leaf);
            star.passes(leaf, if leaf == 1 { leaves } else { 1 });
        }
        star
    }

    /// The hub (0) or a leaf (from 1 on).
    pub(crate) fn end(&self, n: usize) -> End<'_> {
        End { machine: &self.machines[n], address: self.addresses[n] }
    }

    pub(crate) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Processor time of all programs so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.each(Process::cpu_time).into_iter().sum()
    }

    /// The most memory that one of them held so far, in bytes; nothing without programs.
    pub(crate) fn peak_resident_bytes(&self) -> Option<u64> {
        self.each(Process::peak_resident_bytes).into_iter().max()
    }

    fn passes(&self, from: usize, to: usize) {
        let target = self.addresses[to].to_string();
        let ping = || self.machines[from].namespace().attempt("ping", &["-c1", "-W1", &target], "").ok();
        until(SOON, ping).unwrap_or_else(|| panic!("no ping passes from {} to {target}", self.machines[from].name()));
    }

    fn each<T>(&self, what: impl Fn(&Process) -> T) -> Vec<T> {
        match &self.running {
            Running::Nothing => Vec::new(),
            Running::Daemons(nodes) => nodes.iter().map(|node| node.with_process(&what)).collect(),
            Running::Devices(devices) => devices.iter().map(|device| what(device.process())).collect(),
        }
    }
}

fn cable(machines: &[Machine], segmentation: bool) {
    for machine in machines {
        // The kernel's defaults, whatever this machine was tuned to: 4 MB under way are far more than paths of 0.2 ms
        // need, and what is beyond that only waits in queues.
        machine.namespace().sysctl("net.ipv4.tcp_rmem", "4096 131072 6291456");
        machine.namespace().sysctl("net.ipv4.tcp_wmem", "4096 16384 4194304");
    }
    let (hub, leaves) = machines.split_first().expect("a hub");
    for (port, leaf) in leaves.iter().enumerate() {
        let (near, far, home) = (outside(0), outside(port + 1), leaf.namespace().tid());
        // The ends' numbers differ, or the kernel's link watch takes them for one device and up to a second to start it.
        let index = 1000 + port;
        hub.ip(&format!("link add eth{port} type veth peer name eth0 index {index} netns {home}"));
        hub.ip(&format!("addr add {near} peer {far} dev eth{port}\nlink set eth{port} up"));
        leaf.ip(&format!("addr add {far} peer {near} dev eth0\nlink set eth0 up"));
        if !segmentation {
            for (machine, interface) in [(hub, format!("eth{port}")), (leaf, "eth0".to_owned())] {
                machine.command("ethtool", &["-K", &interface, "tx-udp-segmentation", "off"]);
            }
        }
    }
}

/// The hub's kernel forwards between the leaves. Called before there are tunnels: their interfaces inherit.
fn forward(hub: &Machine) {
    for interfaces in ["all", "default"] {
        // What leaves by the interface that it came by is not to be reported to its sender.
        hub.namespace().sysctl(&format!("net.ipv4.conf.{interfaces}.send_redirects"), "0");
    }
    hub.namespace().sysctl("net.ipv4.ip_forward", "1");
}

fn daemons(lab: &Lab, machines: &[Machine], plain: bool) -> Vec<Node> {
    let network = NetworkFile::new("10.1.1.0/24").peer(&inside(0), &outside(0));
    let node = |(n, machine): (usize, &Machine)| lab.node(machine, &network, machine.name(), &[&inside(n)]);
    let nodes = machines.iter().enumerate().map(node).collect::<Vec<_>>();
    if plain {
        nodes.iter().for_each(|node| node.set_env("WGNET_OFFLOAD", "off"));
    }
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    for other in nodes.iter().skip(2) {
        let path = nodes[1].peer(other.address()).map(|peer| peer.path);
        assert_eq!(path, Some(PathKind::Gateway), "from leaf to leaf");
    }
    nodes
}

fn devices(machines: &[Machine], start: impl Fn(&Machine) -> Device) -> Vec<Device> {
    let devices = machines.iter().map(start).collect::<Vec<_>>();
    let endpoint = |n| format!("{}:{}", outside(n), device::PORT);
    let (hub, leaves) = devices.split_first().expect("a hub");
    for (n, leaf) in (1..).zip(leaves) {
        hub.add_peer(leaf.public_key(), &endpoint(n), &format!("{}/32", inside(n)), &[]);
        leaf.add_peer(hub.public_key(), &endpoint(0), "10.1.1.0/24", &[]);
    }
    for (n, device) in devices.iter().enumerate() {
        device.set_up(&[&format!("{}/24", inside(n))]);
    }
    devices
}
