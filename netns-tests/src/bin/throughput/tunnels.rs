//! Two machines on one cable with a tunnel between them, made by any of the programs that are compared.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use netns_tests::{Lab, Load, Machine, NetworkFile, Node, Process, Program, node, until};

const SOON: Duration = Duration::from_secs(20);
const MTU: u16 = 1420;
/// Overlay addresses of both ends.
const INSIDE: [&str; 2] = ["10.1.1.1", "10.1.1.2"];
/// Underlay addresses of both ends.
const OUTSIDE: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

/// What carries the packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: the cable itself, the limit of the whole set-up.
    Bare,
    /// Our daemon.
    Wgnet,
    /// A program that makes a device when called with `-f NAME`, and the options it needs besides.
    Device { name: String, path: PathBuf, options: &'static [&'static str] },
}

impl Kind {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Bare => "no tunnel",
            Self::Wgnet => "wgnet",
            Self::Device { name, .. } => name,
        }
    }
}

/// A release of another implementation, built once by cargo.
struct Peer {
    package: &'static str,
    version: &'static str,
    binary: &'static str,
    options: &'static [&'static str],
}

const PEERS: [Peer; 2] = [
    Peer {
        package: "boringtun-cli",
        version: "0.7.1",
        binary: "boringtun-cli",
        options: &["--disable-drop-privileges"],
    },
    Peer { package: "gotatun-cli", version: "0.10.2", binary: "gotatun", options: &["--disable-drop-privileges"] },
];

/// Everything wanted (by name) that can be compared on this machine. Builds what is missing; says what cannot be had.
pub(crate) fn all(is_wanted: impl Fn(&str) -> bool) -> Vec<Kind> {
    let mut kinds = vec![Kind::Bare, Kind::Wgnet];
    let root =
        node::binary().parent().and_then(Path::parent).map_or_else(|| "peers".into(), |target| target.join("peers"));
    for Peer { package, version, binary, options } in PEERS {
        let name = format!("{package} {version}");
        if !is_wanted(&name) {
            continue;
        }
        match installed(&root, package, version, binary) {
            Ok(path) => kinds.push(Kind::Device { name, path, options }),
            Err(why) => eprintln!("without {package}: {why}"),
        }
    }
    let go = std::env::var_os("WIREGUARD_GO").map_or_else(|| PathBuf::from("wireguard-go"), PathBuf::from);
    match Command::new(&go).arg("--version").output() {
        Ok(said) => {
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            let version = text.split_whitespace().find(|word| word.starts_with(['v', '0'])).unwrap_or("").to_owned();
            let name = format!("wireguard-go {}", version.trim_start_matches('v'));
            kinds.push(Kind::Device { name: name.trim_end().to_owned(), path: go, options: &[] });
        }
        Err(error) => eprintln!("without wireguard-go ({}, or name one by WIREGUARD_GO): {error}", go.display()),
    }
    kinds.retain(|kind| is_wanted(kind.name()));
    kinds
}

fn installed(root: &Path, package: &str, version: &str, binary: &str) -> Result<PathBuf, String> {
    // Each in a folder of its own: versions are told apart, and nothing is built twice.
    let folder = root.join(format!("{package}-{version}"));
    let path = folder.join("bin").join(binary);
    if !path.is_file() {
        eprintln!("building {package} {version}");
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--quiet", "--locked", "--root"]).arg(&folder).arg(format!("{package}@{version}"));
        let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Err(format!("cargo install: {status}"));
        }
    }
    path.is_file().then_some(path.clone()).ok_or_else(|| format!("there is no {}", path.display()))
}

/// Both ends, up: pings pass.
pub(crate) struct Pair {
    pub(crate) machines: [Machine; 2],
    addresses: [IpAddr; 2],
    running: Running,
    _lab: Lab,
}

enum Running {
    Nothing,
    Daemons(Vec<Node>),
    Devices(Vec<Process>),
}

impl Pair {
    /// Starts `kind` on two machines. Without `segmentation` the cable takes no datagrams that the kernel would split
    /// later (UDP segmentation offload), as most real network cards.
    pub(crate) fn start(kind: &Kind, segmentation: bool) -> Self {
        let lab = Lab::new("throughput", Load::Alone);
        let machines = [lab.machine("left"), lab.machine("right")];
        let right = machines[1].namespace().tid();
        machines[0].ip(&format!("link add eth0 type veth peer name eth0 netns {right}"));
        for (machine, address) in machines.iter().zip(OUTSIDE) {
            machine.ip(&format!("addr add {address}/24 dev eth0\nlink set eth0 up"));
            // Small buffers would be what is measured.
            machine.namespace().sysctl("net.ipv4.tcp_rmem", "4096 131072 16777216");
            machine.namespace().sysctl("net.ipv4.tcp_wmem", "4096 131072 16777216");
            if !segmentation {
                machine.command("ethtool", &["-K", "eth0", "tx-udp-segmentation", "off"]);
            }
        }
        let running = match kind {
            Kind::Bare => Running::Nothing,
            Kind::Wgnet => Running::Daemons(daemons(&lab, &machines)),
            Kind::Device { path, options, .. } => Running::Devices(devices(&machines, path, options)),
        };
        let addresses =
            if *kind == Kind::Bare { OUTSIDE } else { INSIDE }.map(|text| text.parse().expect("an address"));
        let pair = Self { machines, addresses, running, _lab: lab };
        let target = pair.addresses[1].to_string();
        let passes = || pair.machines[0].namespace().attempt("ping", &["-c1", "-W1", &target], "").ok();
        until(SOON, passes).unwrap_or_else(|| panic!("{}: no ping passes", kind.name()));
        pair
    }

    /// The addresses that traffic goes between.
    pub(crate) fn addresses(&self) -> [IpAddr; 2] {
        self.addresses
    }

    /// Processor time of both programs so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.each(Process::cpu_time).into_iter().sum()
    }

    /// The most memory that one of them held so far, in bytes.
    pub(crate) fn peak_resident_bytes(&self) -> u64 {
        self.each(Process::peak_resident_bytes).into_iter().max().unwrap_or(0)
    }

    /// TCP segments that the first machine sent again so far.
    pub(crate) fn retransmits(&self) -> u64 {
        let read = || std::fs::read_to_string("/proc/thread-self/net/snmp").expect("the kernel's counters");
        let text = self.machines[0].namespace().run(read);
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
        let found = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "RetransSegs");
        found.and_then(|(_, value)| value.parse().ok()).expect("RetransSegs")
    }

    /// Packets that the tunnel's interfaces dropped so far.
    pub(crate) fn drops(&self) -> u64 {
        let interface = if matches!(self.running, Running::Nothing) { "eth0" } else { "wg0" };
        let of = |machine: &Machine| {
            let read = move || {
                let counters = ["rx_dropped", "tx_dropped", "rx_errors", "tx_errors"];
                let path = |name| format!("/sys/class/net/{interface}/statistics/{name}");
                let text = counters.map(|name| std::fs::read_to_string(path(name)).expect("a counter"));
                text.iter().map(|text| text.trim().parse::<u64>().expect("a number")).sum::<u64>()
            };
            machine.namespace().run(read)
        };
        self.machines.iter().map(of).sum()
    }

    fn each<T>(&self, what: impl Fn(&Process) -> T + Copy) -> Vec<T> {
        match &self.running {
            Running::Nothing => Vec::new(),
            Running::Daemons(nodes) => nodes.iter().map(|node| node.with_process(what)).collect(),
            Running::Devices(processes) => processes.iter().map(what).collect(),
        }
    }
}

fn daemons(lab: &Lab, machines: &[Machine; 2]) -> Vec<Node> {
    let network = NetworkFile::new("10.1.1.0/24").peer(INSIDE[0], OUTSIDE[0]);
    let nodes = [0, 1].map(|end| lab.node(&machines[end], &network, ["left", "right"][end], &[INSIDE[end]]));
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    nodes.into()
}

fn devices(machines: &[Machine; 2], path: &Path, options: &[&str]) -> Vec<Process> {
    let processes = [0, 1].map(|end: usize| {
        std::fs::create_dir_all(machines[end].path("/run/wireguard")).expect("a folder for sockets");
        let program = Program::new(path.display().to_string()).args(options).args(["-f", "wg0"]);
        machines[end].start(&program)
    });
    let keys = machines.each_ref().map(|machine| {
        machine.write("/run/key", machine.command("wg", &["genkey"]).trim());
        machine.command("sh", &["-c", "wg pubkey < /run/key"]).trim().to_owned()
    });
    for (end, machine) in machines.iter().enumerate() {
        let other = 1 - end;
        until(SOON, || machine.namespace().attempt("wg", &["show", "wg0"], "").ok()).expect("the interface appears");
        let (endpoint, allowed) = (format!("{}:51820", OUTSIDE[other]), format!("{}/32", INSIDE[other]));
        let own = ["set", "wg0", "listen-port", "51820", "private-key", "/run/key"];
        let peer = ["peer", keys[other].as_str(), "endpoint", &endpoint, "allowed-ips", &allowed];
        machine.command("wg", &[&own[..], &peer].concat());
        machine.ip(&format!("addr add {}/24 dev wg0\nlink set wg0 mtu {MTU}\nlink set wg0 up", INSIDE[end]));
    }
    processes.into()
}
