//! The lab: makes segments, machines, routers and daemons, and takes everything down again.

use std::panic::Location;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::all_pairs::{AllPairs, Party};
use crate::machine::Machine;
use crate::network_file::NetworkFile;
use crate::node::Node;
use crate::process::lock;
use crate::router::{Nat, make_router};
use crate::segment::Segment;
use crate::slots::{Load, Slots};

/// A set of machines for one test. When the test fails, the logs of all daemons are printed.
pub struct Lab {
    name: String,
    started: Instant,
    nodes: Mutex<Vec<Node>>,
    _slots: Slots,
}

impl Lab {
    /// Waits until the machine has room for a lab of this weight.
    #[track_caller]
    pub fn new(name: &str, load: Load) -> Self {
        let caller = Location::caller();
        assert!(
            nix::unistd::geteuid().is_root(),
            "{}:{}: labs make network namespaces and need root; netns-tests/run says more",
            caller.file(),
            caller.line()
        );
        let slots = Slots::take(load);
        Self { name: name.to_owned(), started: Instant::now(), nodes: Mutex::default(), _slots: slots }
    }

    /// A segment on a kernel bridge.
    pub fn bridge(&self, name: &str) -> Segment {
        Segment::bridge(name)
    }

    /// A segment that can delay, lose, double and reorder; what it does to which packet is drawn from `seed`.
    pub fn impaired(&self, name: &str, seed: u64) -> Segment {
        Segment::impaired(name, seed)
    }

    /// A machine without interfaces.
    pub fn machine(&self, name: &str) -> Machine {
        Machine::new(name)
    }

    /// A machine on `segment` with these addresses.
    pub fn machine_on(&self, segment: &Segment, name: &str, addresses: &[&str]) -> Machine {
        let machine = Machine::new(name);
        machine.plug(segment, addresses);
        machine
    }

    /// A router with `eth0` on `outside` and `eth1` on `inside`.
    pub fn router(&self, name: &str, outside: (&Segment, &[&str]), inside: (&Segment, &[&str]), nat: Nat) -> Machine {
        let router = self.machine_on(outside.0, name, outside.1);
        router.plug(inside.0, inside.1);
        make_router(&router, nat);
        router
    }

    /// A daemon on `machine` with interface `wg0`, not started yet.
    pub fn node(&self, machine: &Machine, network: &NetworkFile, name: &str, addresses: &[&str]) -> Node {
        self.node_with_interface(machine, network, name, "wg0", addresses)
    }

    /// A daemon whose interface is called otherwise: a second network on the same machine.
    pub fn node_with_interface(
        &self,
        machine: &Machine,
        network: &NetworkFile,
        name: &str,
        interface: &str,
        addresses: &[&str],
    ) -> Node {
        let node = Node::new(machine, name, interface, addresses);
        node.set_network(network);
        self.adopt(&node);
        node
    }

    /// Takes charge of a daemon: its log is printed when the test fails, and it is ended with the lab.
    pub(crate) fn adopt(&self, node: &Node) {
        let mut nodes = lock(&self.nodes);
        if let Some(tunnel) = tunnel_of(nodes.len()) {
            node.set_env("WGNET_TUNNEL", &tunnel);
        }
        // Most segments stand for the internet, where nobody hears everyone.
        node.announces(false);
        nodes.push(node.clone());
    }

    /// Starts all these daemons, one right after the other; gives back the moment just before the last one's start.
    ///
    /// # Panics
    /// Without any.
    pub fn start_all<'a>(&self, nodes: impl IntoIterator<Item = &'a Node>) -> Instant {
        nodes.into_iter().map(Node::start).last().expect("at least one daemon")
    }

    /// Starts to ping every directed pair of these daemons' first addresses, each 10 ms (50 ms above six of them).
    pub fn watch_pairs<'a>(&self, nodes: impl IntoIterator<Item = &'a Node>) -> AllPairs {
        let party = |node: &Node| Party {
            machine: node.machine().clone(),
            address: node.address(),
            name: node.name().to_owned(),
        };
        let parties = nodes.into_iter().map(party).collect::<Vec<_>>();
        let interval = Duration::from_millis(if parties.len() > 6 { 50 } else { 10 });
        AllPairs::start(parties, interval)
    }

    /// Asserts that every directed pair passes `within`; gives back how long it took.
    pub fn all_pairs_pass<'a>(&self, nodes: impl IntoIterator<Item = &'a Node>, within: Duration) -> Duration {
        let start = Instant::now();
        self.watch_pairs(nodes).finish(within).complete_after(start)
    }

    /// Asserts that none of these directed pairs passes during `time`.
    pub fn none_pass(&self, from: &Node, to: &Node, time: Duration) {
        let reach = self.watch_pairs([from, to]).look_on(time);
        assert_eq!(reach.passed(), 0, "{reach}");
    }
}

/// What `WGNET_TEST_TUNNELS` says of a lab's daemon number `number`: the words, such as `kernel,userspace`, in turn.
fn tunnel_of(number: usize) -> Option<String> {
    let words = std::env::var("WGNET_TEST_TUNNELS").ok()?;
    words.split(',').cycle().nth(number).map(ToOwned::to_owned)
}

/// Whether daemons of labs use the kernel's tunnel, as `WGNET_TEST_TUNNELS` says.
pub(crate) fn kernels_take_part() -> bool {
    std::env::var("WGNET_TEST_TUNNELS").is_ok_and(|words| words.split(',').any(|word| word == "kernel"))
}

impl Drop for Lab {
    fn drop(&mut self) {
        let nodes = std::mem::take(&mut *lock(&self.nodes));
        if std::thread::panicking() {
            let lines = std::env::var("WGNET_LAB_LINES").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
            eprintln!("---- lab {:?} failed after {:.3} s", self.name, self.started.elapsed().as_secs_f64());
            for node in &nodes {
                eprintln!("{}", node.tail(lines, self.started));
                match node.status() {
                    Ok(status) => eprintln!("{}", serde_json::to_string(&status).unwrap_or_default()),
                    Err(error) => eprintln!("{error}"),
                }
            }
        }
        for node in &nodes {
            node.end();
        }
    }
}
