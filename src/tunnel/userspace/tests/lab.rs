//! Network namespaces on one bridge, with a device in each. Everything goes with its owner; names are unique to the
//! process, so labs run in parallel.
//!
//! ```text
//!   host 1        host 2        host 3
//!   eth0          eth0          eth0         192.0.2.N/24, 2001:db8::N/64
//!     |             |             |
//!   --+-------------+-------------+--  br0, in the namespace of the lab
//! ```

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use boringtun::x25519::{PublicKey, StaticSecret};
use ipnet::IpNet;
use rand_core::{OsRng, RngCore};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use zeroize::Zeroizing;

use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredPeer, DesiredTunnel, EndpointHint, PeerReport};
use crate::tunnel::userspace::{Threads, UAPI_DIRECTORY, Userspace, UserspaceConfig};
use crate::tunnel::{ControlDatagram, Tunnel as _, TunnelError};

pub(super) const PORT: u16 = 51_820;
pub(super) const CONTROL: u16 = 50_500;
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Which addresses the outer datagrams use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Underlay {
    V4,
    V6,
}

#[expect(clippy::disallowed_methods, reason = "a test may run programs")]
pub(super) fn command(program: &str) -> Command {
    Command::new(program)
}

#[expect(clippy::disallowed_methods, reason = "a test's patience ends by the clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Looks again and again, at short intervals, until `look` finds something.
///
/// # Panics
/// When it does not within [`PATIENCE`].
#[expect(clippy::disallowed_methods, reason = "the world outside this process does not tell when it changed")]
pub(super) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A name that no other test, in this process or another, uses: at most 15 bytes.
pub(super) fn unique_name(prefix: &str) -> String {
    format!("{prefix}{:x}-{:x}", std::process::id() & 0xf_ffff, unique())
}

fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let Output { status, stdout, stderr } = output;
    assert!(status.success(), "{command:?}: {status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

fn ip(arguments: &str) -> String {
    let mut ip = command("ip");
    ip.args(arguments.split_whitespace());
    succeed(ip)
}

/// A network namespace.
pub(super) struct Namespace {
    pub(super) name: String,
}

impl Namespace {
    pub(super) fn new() -> Self {
        let root = rustix::process::geteuid().is_root();
        assert!(root, "this test makes network namespaces: run it as root");
        let name = unique_name("wgn");
        ip(&format!("netns add {name}"));
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    pub(super) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name))
    }

    /// A command that runs inside.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = command("ip");
        command.args(["netns", "exec", &self.name]).args(line.split_whitespace());
        command
    }

    /// Runs a command inside, which must succeed.
    pub(super) fn run(&self, line: &str) -> String {
        succeed(self.command(line))
    }

    /// Runs `work` on a thread inside. Threads that it starts are inside as well.
    pub(super) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let handle = File::open(format!("/run/netns/{}", self.name)).expect("the namespace is there");
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network)).expect("it can be entered");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sends one echo request; whether it was answered within a second.
    pub(super) fn pings(&self, to: impl Into<IpAddr>) -> bool {
        let to = to.into();
        self.command(&format!("ping -n -c 1 -W 1 {to}")).output().expect("ping runs").status.success()
    }

    /// Waits until `to` answers, then demands that twenty requests in a row are answered.
    pub(super) fn must_ping(&self, to: impl Into<IpAddr>) {
        let to = to.into();
        eventually(&format!("{} pings {to}", self.name), || self.pings(to).then_some(()));
        self.run(&format!("ping -n -q -c 20 -i 0.01 -W 2 -s 1000 {to}"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = command("ip").args(["netns", "del", &self.name]).output();
    }
}

/// The bridge.
pub(super) struct Lab {
    middle: Namespace,
}

impl Lab {
    pub(super) fn new() -> Self {
        let middle = Namespace::new();
        middle.ip("link add br0 type bridge forward_delay 0 mcast_snooping 0");
        middle.ip("link set br0 up");
        Self { middle }
    }

    /// A namespace on the bridge, with the underlay addresses of `number`.
    pub(super) fn namespace(&self, number: u8) -> Namespace {
        let namespace = Namespace::new();
        let port = format!("port{number}");
        self.middle.ip(&format!("link add {port} type veth peer name eth0 netns {}", namespace.name));
        self.middle.ip(&format!("link set {port} master br0 up"));
        namespace.ip(&format!("addr add 192.0.2.{number}/24 dev eth0"));
        namespace.ip(&format!("addr add 2001:db8::{number}/64 dev eth0 nodad"));
        namespace.ip("link set eth0 up");
        namespace
    }

    /// A host with a device of its own.
    pub(super) fn host(&self, number: u8) -> Host {
        self.host_with(number, true, Threads::Three)
    }

    /// With offloads or without, and so many threads.
    pub(super) fn host_with(&self, number: u8, offload: bool, threads: Threads) -> Host {
        Host::new(self.namespace(number), number, offload, threads)
    }
}

/// A namespace with an embedded tunnel, and how others know it. The overlay addresses of `number` are 10.1.1.N and
/// fd01::N, the link address fd02::N.
pub(super) struct Host {
    pub(super) number: u8,
    pub(super) interface: String,
    pub(super) key: WgPublicKey,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
    pub(super) link: Ipv6Addr,
    pub(super) control: Receiver<ControlDatagram>,
    /// Before the namespace, so that it is closed first.
    pub(super) tunnel: Userspace,
    pub(super) namespace: Namespace,
}

/// Addresses of a node inside the tunnel.
pub(super) fn overlay(number: u8) -> (Ipv4Addr, Ipv6Addr, Ipv6Addr) {
    let v6 = |first| Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, number.into());
    (Ipv4Addr::new(10, 1, 1, number), v6(0xfd01), v6(0xfd02))
}

pub(super) fn random_key() -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut *key);
    key
}

/// What a test device is made of.
pub(super) fn config(interface: &str, number: u8) -> (UserspaceConfig, Receiver<ControlDatagram>) {
    let (sender, control) = mpsc::channel();
    let (v4, v6, link) = overlay(number);
    let config = UserspaceConfig {
        interface: interface.to_owned(),
        private_key: random_key(),
        listen_port: PORT,
        mtu: 1420,
        addresses: vec![v4.into(), v6.into(), link.into()],
        link_address: link,
        control_port: CONTROL,
        fwmark: None,
        control: Box::new(move |datagram| {
            let _ = sender.send(datagram);
        }),
        offload: true,
        threads: Threads::Three,
        uapi_dir: PathBuf::from(UAPI_DIRECTORY),
    };
    (config, control)
}

impl Host {
    fn new(namespace: Namespace, number: u8, offload: bool, threads: Threads) -> Self {
        let interface = unique_name("wg");
        let (config, control) = config(&interface, number);
        let config = UserspaceConfig { offload, threads, ..config };
        let key = WgPublicKey(PublicKey::from(&StaticSecret::from(*config.private_key)).to_bytes());
        let tunnel = namespace.enter(|| Userspace::open(config)).expect("a device");
        let (v4, v6, link) = overlay(number);
        let host = Self { number, interface, key, v4, v6, link, control, tunnel, namespace };
        host.namespace.ip(&format!("addr add {v4}/24 dev {}", host.interface));
        host.namespace.ip(&format!("addr add {v6}/64 dev {} nodad", host.interface));
        host.namespace.ip(&format!("addr add {link}/64 dev {} nodad", host.interface));
        host.namespace.ip(&format!("link set {} up", host.interface));
        host
    }

    pub(super) fn underlay(&self, family: Underlay) -> SocketAddr {
        let address: IpAddr = match family {
            Underlay::V4 => Ipv4Addr::new(192, 0, 2, self.number).into(),
            Underlay::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.number.into()).into(),
        };
        SocketAddr::new(address, PORT)
    }

    /// This host as a peer of another, with its own addresses.
    pub(super) fn as_peer(&self, family: Underlay) -> DesiredPeer {
        DesiredPeer {
            public_key: self.key,
            link: self.link,
            endpoint: Some(EndpointHint { address: self.underlay(family), serial: 1 }),
            keepalive: None,
            allowed: vec![prefix(self.v4), prefix(self.v6), prefix(self.link)],
            accept: Vec::new(),
            generation: 0,
        }
    }

    pub(super) fn set(&mut self, peers: Vec<DesiredPeer>, forward: bool) {
        self.tunnel.set(&DesiredTunnel { peers, forward, ..DesiredTunnel::default() }).expect("the loop runs");
    }

    pub(super) fn report(&mut self, peer: WgPublicKey) -> PeerReport {
        let report = self.tunnel.report().expect("the loop runs");
        report.peers.into_iter().find(|report| report.public_key == peer).expect("the peer is there")
    }

    /// `wg` with these arguments, inside.
    pub(super) fn wg(&self, arguments: &str) -> String {
        self.namespace.run(&format!("wg {arguments}"))
    }
}

/// Lets two hosts know each other.
pub(super) fn connect(a: &mut Host, b: &mut Host, family: Underlay) {
    a.set(vec![b.as_peer(family)], false);
    b.set(vec![a.as_peer(family)], false);
}

pub(super) fn prefix(address: impl Into<IpAddr>) -> IpNet {
    IpNet::from(address.into())
}

/// The text of a refusal.
pub(super) fn refusal(opened: Result<Userspace, TunnelError>) -> String {
    opened.err().expect("it is refused").to_string()
}
