//! A segment: machines that see each other at layer 2, and what is wrong between them.
//!
//! ```text
//!   alice eth0 ---veth--- p0 [ bridge in its own namespace ] p1 ---veth--- eth0 bob      Segment::bridge: as fast as the kernel
//!   alice eth0 = tap ------- [ a thread of this process    ] ------- tap = eth0 bob      Segment::impaired: delay, loss, order
//! ```
//!
//! A cut drops IP packets and leaves ARP and neighbour discovery alone, as a failure somewhere in the internet does:
//! no interface goes down and nobody is told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::forwarder::{Forwarder, Impairment};
use crate::machine::Machine;
use crate::namespace::Namespace;
use crate::process::lock;
use crate::wait::until;

/// Machines that see each other at layer 2.
pub struct Segment {
    name: String,
    kind: Kind,
    /// Name of the machine of each port.
    ports: Mutex<BTreeMap<String, usize>>,
}

enum Kind {
    Bridge(Namespace),
    Forwarder(Forwarder),
}

const RULES: &str = r#"
table bridge lab {
    set cut { type ifname . ifname; }
    chain forward {
        type filter hook forward priority 0;
        ether type arp accept
        icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept
        iifname . oifname @cut drop
    }
}
"#;

impl Segment {
    /// A kernel bridge: no delay, can be cut.
    pub(crate) fn bridge(name: &str) -> Self {
        let hub = Namespace::new(name);
        // Bridged packets are the machines' own: the hub's IP layer leaves them alone.
        for table in ["arp", "ip", "ip6"] {
            let key = format!("net.bridge.bridge-nf-call-{table}tables");
            if std::path::Path::new(&format!("/proc/sys/{}", key.replace('.', "/"))).exists() {
                hub.sysctl(&key, "0");
            }
        }
        hub.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
        hub.feed(
            "ip",
            &["-batch", "-"],
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set br0 up\n",
        );
        hub.feed("nft", &["-f", "-"], RULES);
        Self { name: name.to_owned(), kind: Kind::Bridge(hub), ports: Mutex::default() }
    }

    /// A switch in this process that delays, loses, doubles and reorders what it forwards; the same seed decides the same way.
    pub(crate) fn impaired(name: &str, seed: u64) -> Self {
        Self { name: name.to_owned(), kind: Kind::Forwarder(Forwarder::start(name, seed)), ports: Mutex::default() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `machine` is plugged in here.
    pub fn has(&self, machine: &Machine) -> bool {
        lock(&self.ports).contains_key(machine.name())
    }

    /// Plugs `machine` in by its new interface `interface`.
    pub(crate) fn plug(&self, machine: &Machine, interface: &str) {
        let mut ports = lock(&self.ports);
        let port = ports.len();
        assert!(
            ports.insert(machine.name().to_owned(), port).is_none(),
            "{} is plugged into {} twice",
            machine.name(),
            self.name
        );
        match &self.kind {
            Kind::Bridge(hub) => {
                let (peer, home) = (port_name(port), hub.tid().to_string());
                // A pair whose ends have the same index looks like a single device to the kernel's link watch, which
                // then takes up to a second to start it: the bridge's ends get numbers of their own.
                let index = 1000 + port;
                machine.ip(&format!("link add {interface} type veth peer name {peer} index {index} netns {home}\nlink set {interface} up"));
                hub.feed("ip", &["-batch", "-"], &format!("link set {peer} master br0\nlink set {peer} up\n"));
                let state = format!("/sys/class/net/{peer}/brport/state");
                let forwards = || {
                    hub.run({
                        let state = state.clone();
                        move || std::fs::read_to_string(state)
                    })
                    .is_ok_and(|state| state.trim() == "3")
                };
                until(Duration::from_secs(5), || forwards().then_some(())).expect("the bridge takes a new port");
            }
            Kind::Forwarder(forwarder) => {
                forwarder.plug(machine.namespace(), interface);
                machine.ip(&format!("link set {interface} up"));
            }
        }
    }

    /// Nothing of `from` reaches `to` any more; the other direction stays.
    pub fn cut_one_way(&self, from: &Machine, to: &Machine) {
        self.set_cuts(&[(self.port(from), self.port(to))], true);
    }

    /// Packets from `from` reach `to` again; the other direction stays as it is.
    pub fn heal_one_way(&self, from: &Machine, to: &Machine) {
        self.set_cuts(&[(self.port(from), self.port(to))], false);
    }

    /// Nothing passes between `a` and `b`.
    pub fn cut(&self, a: &Machine, b: &Machine) {
        self.partition(&[a], &[b]);
    }

    /// Everything passes between `a` and `b` again.
    pub fn heal(&self, a: &Machine, b: &Machine) {
        self.set_cuts(&self.pairs(&[a], &[b]), false);
    }

    /// Nothing passes between the machines of `left` and those of `right`.
    pub fn partition(&self, left: &[&Machine], right: &[&Machine]) {
        self.set_cuts(&self.pairs(left, right), true);
    }

    /// Nothing passes between the two machines of each pair.
    pub fn cut_pairs(&self, pairs: &[(&Machine, &Machine)]) {
        let directed = |(a, b): &(&Machine, &Machine)| [(self.port(a), self.port(b)), (self.port(b), self.port(a))];
        self.set_cuts(&pairs.iter().flat_map(directed).collect::<Vec<_>>(), true);
    }

    /// Every cut is healed.
    pub fn heal_all(&self) {
        match &self.kind {
            Kind::Bridge(hub) => drop(hub.feed("nft", &["-f", "-"], "flush set bridge lab cut\n")),
            Kind::Forwarder(forwarder) => forwarder.heal_all(),
        }
    }

    /// From now on this is what packets from `from` to `to` meet; the other direction stays as it is.
    ///
    /// # Panics
    /// On a bridge: only a segment made by `Lab::impaired` can do it.
    pub fn impair(&self, from: &Machine, to: &Machine, impairment: Impairment) {
        self.forwarder().impair((self.port(from), self.port(to)), impairment);
    }

    /// From now on this is what all packets of the segment meet, those of pairs set by [`Self::impair`] apart.
    pub fn impair_all(&self, impairment: Impairment) {
        self.forwarder().impair_all(impairment);
    }

    /// Loses the next `count` UDP datagrams from `from` to `to`.
    pub fn lose_next(&self, from: &Machine, to: &Machine, count: u32) {
        self.forwarder().lose_next((self.port(from), self.port(to)), count);
    }

    /// How many UDP datagrams [`Self::lose_next`] has still to lose.
    pub fn still_to_lose(&self, from: &Machine, to: &Machine) -> u32 {
        self.forwarder().still_to_lose((self.port(from), self.port(to)))
    }

    /// The namespace of the bridge, where every frame passes: for captures.
    ///
    /// # Panics
    /// On a segment made by `Lab::impaired`.
    pub fn hub(&self) -> &Namespace {
        match &self.kind {
            Kind::Bridge(hub) => hub,
            Kind::Forwarder(_) => panic!("{} is no bridge", self.name),
        }
    }

    /// Frames that machines sent into the bridge so far; one to everyone counts once.
    ///
    /// # Panics
    /// On a segment made by `Lab::impaired`.
    pub fn frames(&self) -> u64 {
        let ports = lock(&self.ports).len();
        let counter = |port| format!("/sys/class/net/{}/statistics/rx_packets", port_name(port));
        let files: Vec<String> = (0..ports).map(counter).collect();
        let read = move || files.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>();
        let texts = self.hub().run(read).expect("the bridge counts");
        texts.iter().map(|text| text.trim().parse::<u64>().expect("a number")).sum()
    }

    fn forwarder(&self) -> &Forwarder {
        match &self.kind {
            Kind::Bridge(_) => panic!("{} is a bridge: make it with Lab::impaired", self.name),
            Kind::Forwarder(forwarder) => forwarder,
        }
    }

    fn port(&self, machine: &Machine) -> usize {
        let port = lock(&self.ports).get(machine.name()).copied();
        port.unwrap_or_else(|| panic!("{} is not plugged into {}", machine.name(), self.name))
    }

    /// Both directions of every pair.
    fn pairs(&self, left: &[&Machine], right: &[&Machine]) -> Vec<(usize, usize)> {
        let one_way = left.iter().flat_map(|a| right.iter().map(|b| (self.port(a), self.port(b))));
        one_way.flat_map(|(a, b)| [(a, b), (b, a)]).collect()
    }

    fn set_cuts(&self, pairs: &[(usize, usize)], cut: bool) {
        if pairs.is_empty() {
            return;
        }
        match &self.kind {
            Kind::Bridge(hub) => {
                let element = |&(from, to): &(usize, usize)| format!("\"{}\" . \"{}\"", port_name(from), port_name(to));
                let elements = pairs.iter().map(element).collect::<Vec<_>>().join(", ");
                // Adding first makes the removal of an element that is not there harmless.
                let mut rules = format!("add element bridge lab cut {{ {elements} }}\n");
                if !cut {
                    rules.push_str(&format!("delete element bridge lab cut {{ {elements} }}\n"));
                }
                hub.feed("nft", &["-f", "-"], &rules);
            }
            Kind::Forwarder(forwarder) => pairs.iter().for_each(|&pair| forwarder.cut(pair, cut)),
        }
    }
}

fn port_name(port: usize) -> String {
    format!("p{port}")
}
