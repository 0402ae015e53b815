//! Many leaves of one gateway in one thread: the real engine, real WireGuard and real sockets, but no device.
//!
//! A daemon that is measured with hundreds of peers needs hundreds of nodes beside it, which must not cost more than it
//! does. Each member has an underlay address of its own out of [`NETWORK`], all of which is local to the swarm's machine.
//!
//! ```text
//!   hub 192.0.2.1 ---- segment ---- 192.0.2.2 swarm: 10.77.0.1, 10.77.0.2, ...   overlay 10.1.0.0/16
//! ```

mod member;

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use wgnet::mesh::config::{HostPort, StaticPeer};
use wgnet::sim::signatures::Signatures;

use crate::lab::Lab;
use crate::network_file::NetworkFile;
use crate::node::Node;
use crate::wait::until;
use member::{Kind, Member};

/// The most members that there are addresses for.
pub const MOST: usize = 60_000;
/// Where the members are on the underlay.
pub const NETWORK: &str = "10.77.0.0/16";
/// The overlay.
const SUBNET: &str = "10.1.0.0/16";
const HUB: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const HUB_UNDERLAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Ports of the network file's sample, of the hub and of all members.
const WG_PORT: u16 = 50_000;
const ADMIN_PORT: u16 = 55_555;
/// From one member's start to the next at least ...
const BETWEEN_STARTS: Duration = Duration::from_millis(20);
/// ... and only while the thread is not busy for more than this share of its time: each newcomer is news for all, and
/// members who are late to answer would be taken for gone, which is news for all as well.
const BUSY: f64 = 0.6;
/// The longest time between two looks at the members' timers.
const TICK: Duration = Duration::from_millis(10);

/// A hub, not started, and its members, who start one after the other from now on. Dropped, the members are gone without a word.
pub struct Swarm {
    hub: Node,
    joined: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Swarm {
    /// Makes the machines and lets `count` members start.
    ///
    /// # Panics
    /// With more members than [`MOST`].
    pub fn start(lab: &Lab, count: usize) -> Self {
        assert!(count <= MOST, "{count} members, and there are addresses for {MOST}");
        let segment = lab.bridge("lan");
        let hub = lab.machine_on(&segment, "hub", &["192.0.2.1/24"]);
        let home = lab.machine_on(&segment, "swarm", &["192.0.2.2/24"]);
        hub.ip(&format!("route add {NETWORK} via 192.0.2.2"));
        home.ip(&format!("route add local {NETWORK} dev lo"));
        let file = NetworkFile::new(SUBNET).option("direct: never").peer(&HUB.to_string(), &HUB_UNDERLAY.to_string());
        let hub = lab.node(&hub, &file, "hub", &[&HUB.to_string()]);
        let (joined, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (seen, over) = (Arc::clone(&joined), Arc::clone(&stop));
        let thread = home.namespace().spawn("swarm", move || {
            // The segment lives as long as its members.
            let _segment = segment;
            live(count, &seen, &over);
        });
        Self { hub, joined, stop, thread: Some(thread) }
    }

    /// The gateway of all members.
    pub fn hub(&self) -> &Node {
        &self.hub
    }

    /// Waits until so many members hold a session with the hub.
    ///
    /// # Panics
    /// When that takes longer than `within`.
    pub fn wait_for(&self, count: usize, within: Duration) {
        let joined = || self.joined.load(Ordering::Relaxed);
        let enough = until(within, || (joined() >= count).then_some(()));
        assert!(enough.is_some(), "{} of {count} members joined within {within:?}", joined());
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn live(count: usize, joined: &AtomicUsize, stop: &AtomicBool) {
    let check = Arc::<Signatures>::default();
    let mut members = Vec::<Member>::with_capacity(count);
    let (mut started, mut busy) = (Instant::now(), 0.0);
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let ready = readable(&members);
        let woke = Instant::now();
        if members.len() < count && busy < BUSY && started.elapsed() >= BETWEEN_STARTS {
            started = woke;
            members.push(member(members.len(), Arc::clone(&check)));
        }
        for (index, kind) in ready {
            members[index].receive(kind);
        }
        members.iter_mut().for_each(Member::tick);
        joined.store(members.iter().filter(|member| member.holds_session()).count(), Ordering::Relaxed);
        // Smoothed over about a fifth of a second.
        let (took, worked) = (begin.elapsed().as_secs_f64(), woke.elapsed().as_secs_f64());
        busy += (worked / took - busy) * (took / 0.2).min(1.0);
    }
}

fn member(index: usize, check: Arc<Signatures>) -> Member {
    let number = u16::try_from(index + 256).expect("no more than MOST").to_be_bytes();
    let hub = StaticPeer {
        addresses: vec![IpAddr::V4(HUB)],
        endpoint: HostPort { host: HUB_UNDERLAY.to_string(), port: WG_PORT },
        admin_port: ADMIN_PORT,
        name: None,
        public_key: None,
        gateway: None,
        cost: None,
        weight: None,
    };
    let overlay = Ipv4Addr::new(10, 1, number[0], number[1]);
    let underlay = Ipv4Addr::new(10, 77, number[0], number[1]);
    Member::start(index, overlay, underlay, SUBNET, (hub, check))
}

/// Which sockets have something to read, once one has or some time has passed.
fn readable(members: &[Member]) -> Vec<(usize, Kind)> {
    let sockets =
        || members.iter().enumerate().flat_map(|(index, member)| member.sockets().map(|(kind, s)| (index, kind, s)));
    let mut asked = sockets().map(|(_, _, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect::<Vec<_>>();
    let timeout = PollTimeout::try_from(TICK).expect("a short time");
    if poll(&mut asked, timeout).is_err() {
        return Vec::new();
    }
    sockets().zip(&asked).filter(|(_, fd)| fd.any() == Some(true)).map(|((index, kind, _), _)| (index, kind)).collect()
}
