//! A machine: a namespace with interfaces, addresses, routes, a firewall, files of its own, and programs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::namespace::Namespace;
use crate::process::{Process, Program};
use crate::segment::Segment;

/// A machine of the lab. Clones are the same machine.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

struct Inner {
    namespace: Namespace,
    interfaces: AtomicUsize,
}

impl Machine {
    pub(crate) fn new(name: &str) -> Self {
        let namespace = Namespace::new(name);
        namespace.sysctl("net.ipv6.conf.default.accept_dad", "0");
        namespace.sysctl("net.ipv6.conf.all.accept_dad", "0");
        namespace.sysctl("net.ipv6.conf.default.accept_ra", "0");
        Self(Arc::new(Inner { namespace, interfaces: AtomicUsize::new(0) }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.namespace.name()
    }

    /// Where it lives.
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// Plugs the machine into `segment`; its new interface (`eth0`, `eth1`, ...) gets these addresses with prefix lengths.
    pub fn plug(&self, segment: &Segment, addresses: &[&str]) -> String {
        let interface = format!("eth{}", self.0.interfaces.fetch_add(1, Ordering::Relaxed));
        segment.plug(self, &interface);
        let add = |address: &&str| {
            format!("addr add {address} dev {interface}{}\n", if address.contains(':') { " nodad" } else { "" })
        };
        self.ip(&addresses.iter().map(add).collect::<String>());
        interface
    }

    /// Runs lines of `ip` commands, such as `route add default via 192.168.1.1`.
    pub fn ip(&self, lines: &str) {
        if !lines.is_empty() {
            self.0.namespace.feed("ip", &["-batch", "-"], &format!("{}\n", lines.trim_end()));
        }
    }

    /// Loads nftables rules.
    pub fn nft(&self, rules: &str) {
        self.0.namespace.feed("nft", &["-f", "-"], rules);
    }

    /// Runs a program to its end and gives back what it printed; panics when it fails.
    pub fn command(&self, program: &str, args: &[&str]) -> String {
        self.0.namespace.command(program, args)
    }

    /// Starts a program.
    pub fn start(&self, program: &Program) -> Process {
        program.start(&self.0.namespace)
    }

    /// Loses everything that goes to (`outward`) or comes from an underlay address, silently, or lets it pass again.
    /// For machines that share no segment; those that do are cut in [`Segment`].
    pub fn block(&self, address: IpAddr, outward: bool, block: bool) {
        let hook = if outward { "egress" } else { "ingress" };
        let (family, field) = if address.is_ipv6() { ("ipv6_addr", "ip6") } else { ("ipv4_addr", "ip") };
        let field = format!("{field} {}", if outward { "daddr" } else { "saddr" });
        let set = format!("{hook}_{family}");
        let mut rules = String::new();
        for number in 0..self.0.interfaces.load(Ordering::Relaxed) {
            let table = format!("cut_{set}_{number}");
            rules.push_str(&format!(
                "table netdev {table} {{ set {set} {{ type {family}; }}
                chain cut {{ type filter hook {hook} device \"eth{number}\" priority 0; }}
                }}
                flush chain netdev {table} cut
                add rule netdev {table} cut {field} @{set} drop
                add element netdev {table} {set} {{ {address} }}\n"
            ));
            if !block {
                rules.push_str(&format!("delete element netdev {table} {set} {{ {address} }}\n"));
            }
        }
        self.nft(&rules);
    }

    /// Lets only replies in by `interface` (`eth*` means all), as the firewall of a rented server does. ICMP errors and neighbour discovery pass.
    pub fn firewall(&self, interface: &str) {
        self.nft(&format!(
            "table inet firewall {{ chain input {{ type filter hook input priority 0;
                iifname != \"{interface}\" accept
                ct state established,related accept
                icmpv6 type {{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }} accept
                drop
            }}
            }}"
        ));
    }

    /// From now on the names of `entries` resolve to these addresses here, and nothing else does but `localhost`.
    pub fn hosts(&self, entries: &[(&str, IpAddr)]) {
        let lines = entries.iter().map(|(name, address)| format!("{address} {name}\n")).collect::<String>();
        self.write("/run/hosts", &format!("127.0.0.1 localhost\n::1 localhost\n{lines}"));
        let mounts = self.command("cat", &["/proc/self/mounts"]);
        if !mounts.lines().any(|line| line.split(' ').nth(1) == Some("/etc/hosts")) {
            self.command("mount", &["--bind", "/run/hosts", "/etc/hosts"]);
        }
    }

    /// How the test process reaches the file that the machine sees at `path`.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.namespace.path(path)
    }

    /// Writes a file of the machine, mode 0600, and the directories above it, mode 0700.
    pub fn write(&self, path: &str, content: &str) {
        use std::io::Write as _;
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        let outside = self.path(path);
        let folder = outside.parent().expect("a file has a folder");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("a folder on the machine");
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&outside);
        let written = opened.and_then(|mut file| file.write_all(content.as_bytes()));
        written.unwrap_or_else(|error| panic!("cannot write {path} on {}: {error}", self.name()));
    }

    /// Names of the machine's interfaces.
    pub fn interfaces(&self) -> Vec<String> {
        let text = self.command("ip", &["-o", "link"]);
        let name = |line: &str| line.split(": ").nth(1).map(|name| name.split('@').next().unwrap_or(name).to_owned());
        text.lines().filter_map(name).collect()
    }

    /// Everything that a daemon might leave behind, as text: interfaces, addresses, all routes and rules, forwarding flags,
    /// nftables rules, files below `/run` and `/var/lib`.
    pub fn footprint(&self) -> String {
        let script =
            "ip -o addr | sed 's/ valid_lft.*//'; for f in -4 -6; do ip $f rule; ip $f route show table all; done;
            nft list ruleset; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding;
            find /run /var/lib -mindepth 1 | sort";
        self.command("sh", &["-c", script])
    }
}
