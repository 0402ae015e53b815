//! One member: an engine, one WireGuard session with the hub, two sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use wgnet::mesh::config::{Class, DirectMode, GatewayPolicy, MeshConfig, NetworkKey, StaticPeer};
use wgnet::mesh::engine::{Engine, Identity};
use wgnet::mesh::ids::{Name, WgPublicKey};
use wgnet::mesh::io::{DesiredPeer, Destination, LocalAddress, LocalNetwork, Output, PeerReport, TunnelReport, Via};
use wgnet::mesh::time::Time;
use wgnet::sim::signatures::Signatures;

use super::{ADMIN_PORT, WG_PORT};
use crate::network_file::shared_key;

const MTU: u16 = 1420;
/// How often the engine hears of the session, as in the daemon.
const REPORT: Duration = Duration::from_secs(1);
/// How often WireGuard's own timers are looked at.
const SESSION_TICK: Duration = Duration::from_millis(250);

/// Which of a member's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// WireGuard's.
    Tunnel,
    /// The engine's.
    Admin,
}

/// A leaf that runs.
pub(super) struct Member {
    start: Instant,
    secret: StaticSecret,
    engine: Engine,
    tunnel: UdpSocket,
    admin: UdpSocket,
    session: Option<Session>,
    next_report: Instant,
    next_session_tick: Instant,
    /// Where a datagram is read or made, and where it is sealed or opened.
    read: Vec<u8>,
    made: Vec<u8>,
}

/// What it has with the hub.
struct Session {
    key: WgPublicKey,
    noise: Tunn,
    endpoint: Option<SocketAddr>,
    serial: u64,
    received: u64,
    sent: u64,
}

impl Member {
    /// Starts number `index` at these addresses; `hub` is the network's only static peer, and
    /// what one member has checked, `check` knows for all.
    pub(super) fn start(
        index: usize,
        overlay: Ipv4Addr,
        underlay: Ipv4Addr,
        subnet: &str,
        (hub, check): (StaticPeer, Arc<Signatures>),
    ) -> Self {
        let bind = |port| {
            let socket = UdpSocket::bind((underlay, port)).expect("an address of the swarm's machine");
            socket.set_nonblocking(true).expect("a socket can be told not to wait");
            socket
        };
        // Known to nobody but this run, and not worth more.
        let mut seed = [0x5a; 32];
        // Not at the ends: Curve25519 does without some bits of a secret key there.
        seed[8..16].copy_from_slice(&(index as u64).to_le_bytes());
        let secret = StaticSecret::from(seed);
        let wg_public = WgPublicKey(PublicKey::from(&secret).to_bytes());
        let config = MeshConfig {
            key: NetworkKey::new(shared_key()),
            subnets: vec![subnet.parse().expect("a prefix")],
            static_peers: vec![hub],
            gateways: GatewayPolicy::Static,
            direct: DirectMode::Never,
            mtu: MTU,
            name: format!("leaf{index}").parse::<Name>().expect("a name"),
            addresses: vec![IpAddr::V4(overlay)],
            class: Class::Server,
            offer_gateway: false,
            lan: false,
            wg_port: WG_PORT,
            admin_port: ADMIN_PORT,
        };
        let now = Instant::now();
        let engine =
            Engine::new(config, Identity { seed, wg_public, epoch: 1 }, None, seed, Time::ZERO).checking_by(check);
        let mut member = Self {
            start: now,
            secret,
            engine,
            tunnel: bind(WG_PORT),
            admin: bind(ADMIN_PORT),
            session: None,
            next_report: now + REPORT,
            next_session_tick: now + SESSION_TICK,
            read: vec![0; 2048],
            made: vec![0; 2048],
        };
        let address = LocalAddress { address: IpAddr::V4(underlay), prefix: 16 };
        member.engine.handle_network(Time::ZERO, LocalNetwork { addresses: vec![address], lans: Vec::new() });
        member.drain();
        member
    }

    /// Its sockets.
    pub(super) fn sockets(&self) -> [(Kind, &UdpSocket); 2] {
        [(Kind::Tunnel, &self.tunnel), (Kind::Admin, &self.admin)]
    }

    /// Whether packets can pass between it and the hub.
    pub(super) fn holds_session(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.noise.time_since_last_handshake().is_some())
    }

    /// Takes all that waits at one of its sockets.
    pub(super) fn receive(&mut self, kind: Kind) {
        let mut read = std::mem::take(&mut self.read);
        loop {
            let received = match kind {
                Kind::Tunnel => self.tunnel.recv_from(&mut read),
                Kind::Admin => self.admin.recv_from(&mut read),
            };
            let Ok((length, from)) = received else { break };
            match kind {
                Kind::Tunnel => self.open(from, &read[..length]),
                Kind::Admin => self.engine.handle_datagram(self.now(), Via::Underlay(from), &read[..length]),
            }
            self.drain();
        }
        self.read = read;
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self) {
        let now = self.now();
        if self.engine.next_timeout().is_some_and(|due| due <= now) {
            self.engine.handle_timeout(now);
            self.drain();
        }
        let moment = Instant::now();
        if self.next_session_tick <= moment {
            self.next_session_tick = moment + SESSION_TICK;
            if let Some(session) = &mut self.session
                && let TunnResult::WriteToNetwork(datagram) = session.noise.update_timers(&mut self.made)
            {
                session.sent += send(&self.tunnel, session.endpoint, datagram);
            }
        }
        if self.next_report <= moment {
            self.next_report = moment + REPORT;
            self.report();
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(self.start.elapsed().as_micros() as u64)
    }

    fn report(&mut self) {
        let peer = |session: &Session| PeerReport {
            public_key: session.key,
            endpoint: session.endpoint,
            handshake_age: session.noise.time_since_last_handshake(),
            rx_bytes: session.received,
            tx_bytes: session.sent,
            data_packets: 0,
            allowed: Vec::new(),
        };
        let report = TunnelReport { peers: self.session.iter().map(peer).collect(), sent: Vec::new() };
        self.engine.handle_tunnel(self.now(), report);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Send { to: Destination::Underlay(to), bytes } => drop(self.admin.send_to(&bytes, to)),
                Output::Send { to: Destination::Tunnel(to), bytes } => self.seal(to, &bytes),
                Output::Tunnel(desired) => self.set(desired.peers.first()),
                Output::Save { token, .. } => self.engine.handle_saved(self.now(), token, true),
                Output::System(_) | Output::Event(_) | Output::Resolve { .. } | Output::Announce(_) | Output::Left => {}
            }
        }
    }

    /// The hub is the only peer that a leaf without direct links has.
    fn set(&mut self, desired: Option<&DesiredPeer>) {
        let Some(desired) = desired else {
            self.session = None;
            return;
        };
        if self.session.as_ref().is_none_or(|session| session.key != desired.public_key) {
            let public = PublicKey::from(desired.public_key.0);
            let noise = Tunn::new(self.secret.clone(), public, None, desired.keepalive, 0, None);
            let key = desired.public_key;
            self.session = Some(Session { key, noise, endpoint: None, serial: 0, received: 0, sent: 0 });
        }
        let session = self.session.as_mut().expect("just made");
        if let Some(hint) = desired.endpoint.filter(|hint| hint.serial > session.serial) {
            (session.endpoint, session.serial) = (Some(hint.address), hint.serial);
        }
    }

    /// Sends a control datagram inside the tunnel.
    fn seal(&mut self, to: SocketAddrV6, payload: &[u8]) {
        let from = self.engine.link_address();
        let Some(session) = &mut self.session else { return };
        let packet = PacketBuilder::ipv6(from.octets(), to.ip().octets(), 64).udp(ADMIN_PORT, to.port());
        let mut bytes = Vec::with_capacity(packet.size(payload.len()));
        packet.write(&mut bytes, payload).expect("a control datagram fits");
        if let TunnResult::WriteToNetwork(datagram) = session.noise.encapsulate(&bytes, &mut self.made) {
            session.sent += send(&self.tunnel, session.endpoint, datagram);
        }
    }

    /// A datagram came to WireGuard's port.
    fn open(&mut self, from: SocketAddr, datagram: &[u8]) {
        let Some(session) = &mut self.session else { return };
        session.received += datagram.len() as u64;
        let mut result = session.noise.decapsulate(Some(from.ip()), datagram, &mut self.made);
        // What waited for the session comes out one by one.
        while let TunnResult::WriteToNetwork(reply) = result {
            session.sent += send(&self.tunnel, session.endpoint, reply);
            result = session.noise.decapsulate(None, &[], &mut self.made);
        }
        let TunnResult::WriteToTunnelV6(packet, source) = result else { return };
        let Ok(SlicedPacket { transport: Some(TransportSlice::Udp(udp)), .. }) = SlicedPacket::from_ip(packet) else {
            return;
        };
        let payload = udp.payload().to_vec();
        self.engine.handle_datagram(self.now(), Via::Tunnel(source), &payload);
    }
}

/// Sends, and gives back how many bytes that were. A full queue loses it, as a network does.
fn send(socket: &UdpSocket, to: Option<SocketAddr>, datagram: &[u8]) -> u64 {
    to.and_then(|to| socket.send_to(datagram, to).ok()).unwrap_or(0) as u64
}
