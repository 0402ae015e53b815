//! A few nodes in memory: their data planes, a network that a test can cut, and a clock that it turns.
//!
//! boringtun reads its own clock, which stands nearly still here; so these tests turn what is ours (retries, keepalives,
//! moves), not what is boringtun's (expiry and renewal of keys).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::x25519::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::super::inbound::{Inbound, Received};
use super::super::offload::VnetHeader;
use super::super::offload::coalesce::{Coalescer, SCRATCH};
use super::super::offload::segment::Segments;
use super::super::outbound::Outbound;
use super::super::outbox::Outbox;
use super::super::packet::UDP;
use super::super::packet::tests::ipv4;
use super::super::plane::DataPlane;
use super::super::table::{Drops, Own, Table};
use super::super::uapi::parse::{Request, parse};
use super::super::{Endpoint, Ports, SPARE};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredPeer, DesiredTunnel, EndpointHint, PeerReport};
use crate::tunnel::ControlDatagram;

pub(super) const MTU: u16 = 1420;
pub(super) const CONTROL: u16 = 50_500;

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) to: SocketAddr,
    pub(super) tos: u8,
    pub(super) bytes: Vec<u8>,
}

/// What one node sent.
#[derive(Default)]
pub(super) struct Out {
    outbox: Outbox,
    pub(super) datagrams: VecDeque<Sent>,
    /// Packets for the kernel, as it sees them once superpackets are split.
    pub(super) delivered: Vec<Vec<u8>>,
    /// How many packets were in each write to the TUN.
    pub(super) writes: Vec<usize>,
    pub(super) control: Vec<ControlDatagram>,
    /// TOS and number of datagrams of each run that went to the network.
    pub(super) runs: Vec<(u8, usize)>,
    handshakes: Vec<(Endpoint, Vec<u8>)>,
    /// How many handshake messages were queued for the control thread.
    pub(super) queued: usize,
    attention: bool,
}

impl Ports for Out {
    fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    fn flush(&mut self) {
        for run in self.outbox.runs() {
            self.runs.push((run.tos, run.count));
            let datagrams = self.outbox.datagrams(run);
            self.datagrams.extend(datagrams.map(|bytes| Sent {
                to: run.to.remote,
                tos: run.tos,
                bytes: bytes.to_vec(),
            }));
        }
        self.outbox.clear();
    }

    fn deliver(&mut self, packet: &[u8]) {
        self.delivered.push(packet.to_vec());
    }

    fn write(&mut self, merged: &Coalescer, arena: &[u8]) {
        for write in merged.writes() {
            self.writes.push(write.count());
            let mut scratch = [0; SCRATCH];
            let length = write.header(arena, &mut scratch);
            let mut whole = scratch[..length].to_vec();
            write.payloads().for_each(|range| whole.extend(&arena[range]));
            self.delivered.extend(kernel_splits(&whole));
        }
    }

    fn control(&mut self, datagram: ControlDatagram) {
        self.control.push(datagram);
    }

    fn handshake(&mut self, from: Endpoint, message: &[u8]) {
        self.queued += 1;
        self.handshakes.push((from, message.to_vec()));
    }

    fn attend(&mut self) {
        self.attention = true;
    }
}

pub(super) struct Node {
    pub(super) plane: DataPlane,
    outbound: Outbound,
    inbound: Inbound,
    pub(super) key: WgPublicKey,
    pub(super) at: SocketAddr,
    pub(super) v4: Ipv4Addr,
    pub(super) link: Ipv6Addr,
    pub(super) out: Out,
}

impl Node {
    /// What the device loop does after the data threads: handshakes, and peers that need care. Then all is sent.
    fn settle(&mut self, now: Instant) {
        for (from, message) in std::mem::take(&mut self.out.handshakes) {
            self.plane.handle_handshake(from, &message, now, self.out.outbox());
        }
        if std::mem::take(&mut self.out.attention) {
            self.plane.attend(now, self.out.outbox());
        }
        self.out.flush();
    }

    pub(super) fn drops(&self) -> &Drops {
        &self.plane.shared().drops
    }
}

/// Nodes 0, 1, 2, ... with overlay addresses 10.1.1.1, .2, .3, ... on one network.
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) now: Instant,
    /// Datagrams wait for long before the nodes look at them.
    pub(super) crowded: bool,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "the start of the virtual clock")]
    pub(super) fn new(count: u8) -> Self {
        let now = Instant::now();
        let node = |number: u8| {
            let private = Zeroizing::new([number + 1; 32]);
            let key = WgPublicKey(PublicKey::from(&StaticSecret::from(*private)).to_bytes());
            let (v4, link) =
                (Ipv4Addr::new(10, 1, 1, number + 1), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into()));
            let addresses = vec![IpAddr::V4(v4), IpAddr::V6(link)];
            let own = Own { addresses, link, control_port: CONTROL, mtu: MTU };
            let at = SocketAddr::from(([192, 0, 2, number + 1], 51_820));
            let plane = DataPlane::new(&private, own, now);
            let (outbound, inbound) = (Outbound::new(plane.shared()), Inbound::new(plane.shared(), (true, true), 4));
            Node { plane, outbound, inbound, key, at, v4, link, out: Out::default() }
        };
        Self { nodes: (0..count).map(node).collect(), now, crowded: false }
    }

    /// Two nodes that know each other.
    pub(super) fn pair() -> Self {
        let mut world = Self::new(2);
        for (node, peer) in [(0, 1), (1, 0)] {
            let wanted = world.peer(peer);
            world.set(node, vec![wanted], false);
        }
        world
    }

    /// 0 and 2 reach each other through the gateway 1.
    pub(super) fn chain() -> Self {
        let mut world = Self::new(3);
        for (leaf, other) in [(0, 2), (2, 0)] {
            let mut gateway = world.peer(1);
            gateway.allowed.push(host(world.nodes[other].v4));
            world.set(leaf, vec![gateway], false);
        }
        let leaves = vec![world.peer(0), world.peer(2)];
        world.set(1, leaves, true);
        world
    }

    /// Whether the kernels of all nodes take merged packets.
    pub(super) fn merging(mut self, merges: bool) -> Self {
        self.nodes.iter_mut().for_each(|node| node.inbound.set_merging((merges, merges)));
        self
    }

    /// How any other node would describe `number`: its overlay address, its link address, its endpoint.
    pub(super) fn peer(&self, number: usize) -> DesiredPeer {
        let node = &self.nodes[number];
        DesiredPeer {
            public_key: node.key,
            link: node.link,
            endpoint: Some(EndpointHint { address: node.at, serial: 1 }),
            keepalive: None,
            allowed: vec![host(node.v4), host(node.link)],
            accept: Vec::new(),
            generation: 0,
        }
    }

    pub(super) fn set(&mut self, node: usize, peers: Vec<DesiredPeer>, forward: bool) {
        let node = &mut self.nodes[node];
        let desired = DesiredTunnel { peers, forward, ..DesiredTunnel::default() };
        node.plane.set(&desired, self.now, node.out.outbox());
        node.out.flush();
    }

    /// A gateway whose ways on carry no more than so many bytes.
    pub(super) fn set_narrow(&mut self, node: usize, peers: Vec<DesiredPeer>, path_mtus: Vec<(ipnet::IpNet, u16)>) {
        let node = &mut self.nodes[node];
        let desired = DesiredTunnel { peers, forward: true, path_mtus, ..DesiredTunnel::default() };
        node.plane.set(&desired, self.now, node.out.outbox());
        node.out.flush();
    }

    pub(super) fn wg_set(&mut self, node: usize, lines: &str) {
        let Ok(Request::Set(request)) = parse(format!("set=1\n{lines}").as_bytes()) else { panic!("a bad request") };
        let node = &mut self.nodes[node];
        node.plane.apply(&request, self.now, node.out.outbox());
        node.out.flush();
    }

    /// A packet comes out of the node's TUN.
    pub(super) fn tun(&mut self, node: usize, packet: &[u8]) {
        self.tun_offloaded(node, &VnetHeader::default(), packet);
    }

    /// A packet, or many as one, comes out of the node's TUN.
    pub(super) fn tun_offloaded(&mut self, node: usize, offload: &VnetHeader, packet: &[u8]) {
        let table = self.table(node);
        self.tun_by(node, &table, offload, packet);
    }

    /// The table that stands.
    pub(super) fn table(&self, node: usize) -> Arc<Table> {
        self.nodes[node].plane.shared().table.load_full()
    }

    /// It comes while the node's data thread still holds that table.
    pub(super) fn tun_by(&mut self, node: usize, table: &Table, offload: &VnetHeader, packet: &[u8]) {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + SPARE, 0xaa);
        let node = &mut self.nodes[node];
        node.outbound.handle(table, offload, (&mut buffer, packet.len()), self.now, &mut node.out);
        node.out.flush();
        node.settle(self.now);
    }

    pub(super) fn send_control(&mut self, node: usize, to: usize, payload: &[u8]) {
        let to = SocketAddrV6::new(self.nodes[to].link, CONTROL, 0, 0);
        let node = &mut self.nodes[node];
        node.plane.send_control(to, payload, self.now, node.out.outbox());
        node.out.flush();
    }

    pub(super) fn datagram(&mut self, node: usize, from: SocketAddr, datagram: &[u8]) {
        self.train(node, from, 0, &[datagram.to_vec()]);
    }

    /// Datagrams of one length (the last may be shorter) come as one.
    pub(super) fn train(&mut self, node: usize, from: SocketAddr, tos: u8, datagrams: &[Vec<u8>]) {
        let table = self.table(node);
        self.trains_by(node, &table, from, &[(tos, datagrams.to_vec())]);
    }

    /// Many trains, each with its TOS, come by one system call, while the node's data thread still holds that table.
    pub(super) fn trains_by(&mut self, node: usize, table: &Table, from: SocketAddr, trains: &[(u8, Vec<Vec<u8>>)]) {
        let node = &mut self.nodes[node];
        for (tos, datagrams) in trains {
            let bytes = datagrams.concat();
            let received = Received {
                from: from.into(),
                tos: *tos,
                segment: datagrams[0].len(),
                late: self.crowded,
                bytes: &bytes,
            };
            node.inbound.handle(table, &received, self.now, &mut node.out);
        }
        node.inbound.finish(&mut node.out);
        node.out.flush();
        node.settle(self.now);
    }

    /// What the node has sent, in the trains that a network of kernels hands over.
    pub(super) fn take_trains(&mut self, node: usize) -> Vec<(SocketAddr, u8, Vec<Vec<u8>>)> {
        let mut outbox = Outbox::default();
        for Sent { to, tos, bytes } in self.nodes[node].out.datagrams.drain(..) {
            outbox.push(to.into(), tos, &bytes);
        }
        let datagrams = |run| outbox.datagrams(run).map(<[u8]>::to_vec).collect();
        outbox.runs().iter().map(|run| (run.to.remote, run.tos, datagrams(run))).collect()
    }

    /// Carries datagrams in trains until all is quiet.
    pub(super) fn run_in_trains(&mut self) {
        while let Some(from) = self.nodes.iter().position(|node| !node.out.datagrams.is_empty()) {
            let source = self.nodes[from].at;
            let sent = self.take_trains(from);
            for addressee in 0..self.nodes.len() {
                let (at, table) = (self.nodes[addressee].at, self.table(addressee));
                let trains = sent.iter().filter(|(to, ..)| *to == at);
                let trains: Vec<_> = trains.map(|(_, tos, datagrams)| (*tos, datagrams.clone())).collect();
                self.trains_by(addressee, &table, source, &trains);
            }
        }
    }

    /// Carries datagrams until all is quiet; those that `lost` says are not.
    pub(super) fn run_losing(&mut self, mut lost: impl FnMut(usize, &[u8]) -> bool) {
        while let Some(from) = self.nodes.iter().position(|node| !node.out.datagrams.is_empty()) {
            let Some(Sent { to, tos, bytes }) = self.nodes[from].out.datagrams.pop_front() else { continue };
            let addressee = self.nodes.iter().position(|node| node.at == to);
            if let Some(addressee) = addressee.filter(|_| !lost(from, &bytes)) {
                let source = self.nodes[from].at;
                self.train(addressee, source, tos, &[bytes]);
            }
        }
    }

    pub(super) fn run(&mut self) {
        self.run_losing(|_, _| false);
    }

    /// Turns the clock, and lets every node see it.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        for node in &mut self.nodes {
            if node.plane.next_tick().is_some_and(|due| due <= self.now) {
                node.plane.tick(self.now, node.out.outbox());
                node.out.flush();
            }
        }
    }

    pub(super) fn delivered(&mut self, node: usize) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.nodes[node].out.delivered)
    }

    pub(super) fn control(&mut self, node: usize) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.nodes[node].out.control).into_iter().map(|datagram| datagram.payload).collect()
    }

    pub(super) fn report(&self, node: usize, peer: usize) -> PeerReport {
        let report = self.nodes[node].plane.report(self.now);
        let found = report.peers.into_iter().find(|report| report.public_key == self.nodes[peer].key);
        found.expect("the peer is there")
    }

    pub(super) fn hex(&self, node: usize) -> String {
        self.nodes[node].key.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A UDP packet from one node's overlay address to another's.
    pub(super) fn packet(&self, from: usize, to: usize, payload: &[u8]) -> Vec<u8> {
        ipv4(self.nodes[from].v4, self.nodes[to].v4, 64, UDP, payload)
    }
}

/// The packets that a kernel makes of a write to the TUN: a vnet header and what follows it.
pub(super) fn kernel_splits(written: &[u8]) -> Vec<Vec<u8>> {
    let header = VnetHeader::read(written.first_chunk().expect("a vnet header"));
    let mut packet = written[VnetHeader::LENGTH..].to_vec();
    let mut segments = Segments::new(&header, &mut packet).expect("a kernel takes it");
    let mut packets = Vec::new();
    while let Some(range) = segments.next(&mut packet) {
        packets.push(packet[range].to_vec());
    }
    packets
}

pub(super) fn host(address: impl Into<IpAddr>) -> ipnet::IpNet {
    ipnet::IpNet::from(address.into())
}

pub(super) fn kinds(out: &Out) -> Vec<u8> {
    out.datagrams.iter().map(|sent| sent.bytes[0]).collect()
}
