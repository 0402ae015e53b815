//! Two or three devices, wired by hand: every message is delivered at once unless a test drops it.

use std::net::SocketAddr;

use rand_core::SeedableRng;

use super::*;
use crate::mesh::io::{DesiredPeer, EndpointHint};

/// Wall clock of a device whose clock is right, microseconds.
const RIGHT: i64 = 1_700_000_000_000_000;

fn key(node: usize) -> WgPublicKey {
    WgPublicKey([u8::try_from(node).expect("few nodes") + 1; 32])
}

fn place(node: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(node).expect("few nodes")], 50_000))
}

fn address(node: usize) -> IpAddr {
    IpAddr::from([10, 1, 1, u8::try_from(node).expect("few nodes")])
}

fn device(own: usize, wall: i64, start: u64) -> VirtualTunnel {
    let keys = (0..4).map(key).collect();
    VirtualTunnel::new(own, keys, true, wall, ChaCha8Rng::seed_from_u64(start * 10 + own as u64))
}

fn peer(node: usize, allowed: &[usize]) -> DesiredPeer {
    DesiredPeer {
        public_key: key(node),
        link: std::net::Ipv6Addr::UNSPECIFIED,
        endpoint: Some(EndpointHint { address: place(node), serial: 1 }),
        keepalive: None,
        allowed: allowed.iter().map(|node| IpNet::from(address(*node))).collect(),
        accept: Vec::new(),
        generation: 0,
    }
}

fn desired(peers: Vec<DesiredPeer>) -> DesiredTunnel {
    DesiredTunnel { peers, forward: true, ..DesiredTunnel::default() }
}

fn ping(from: usize, to: usize) -> Packet {
    Packet { src: address(from), dst: address(to), ttl: TTL, born: Time::ZERO, waited: 0, payload: Payload::Ping(0) }
}

/// Delivers all messages until none is left; gives what came out of the tunnels as (node, from peer), and at which
/// nodes a packet failed the source check.
fn settle(now: Time, devices: &mut [VirtualTunnel], from: usize, acts: Vec<Act>) -> (Vec<(usize, usize)>, Vec<usize>) {
    let (mut out, mut foreign) = (Vec::new(), Vec::new());
    let mut todo: VecDeque<(usize, Act)> = acts.into_iter().map(|act| (from, act)).collect();
    while let Some((at, act)) = todo.pop_front() {
        match act {
            Act::Transmit(dst, message) => {
                let to = (0..devices.len()).find(|node| place(*node) == dst).expect("a device's place");
                let mut acts = Vec::new();
                devices[to].receive(now, place(at), message, &mut acts);
                todo.extend(acts.into_iter().map(|act| (to, act)));
            }
            Act::Receive(peer, packet) if devices[at].accepts(now, &packet, peer) => out.push((at, peer)),
            Act::Receive(..) => foreign.push(at),
            Act::Connected => {}
        }
    }
    (out, foreign)
}

fn pair() -> Vec<VirtualTunnel> {
    let mut devices = vec![device(0, RIGHT, 0), device(1, RIGHT, 0)];
    let mut acts = Vec::new();
    devices[0].set(Time::ZERO, &desired(vec![peer(1, &[1])]), &mut acts);
    devices[1].set(Time::ZERO, &desired(vec![peer(0, &[0])]), &mut acts);
    assert!(acts.is_empty(), "nothing to send, nothing sent");
    devices
}

fn send(now: Time, devices: &mut [VirtualTunnel], from: usize, to: usize) -> Vec<(usize, usize)> {
    let mut acts = Vec::new();
    assert!(devices[from].send(now, ping(from, to), &mut acts));
    settle(now, devices, from, acts).0
}

/// Lets a device's time pass until it does something.
fn next_deed(device: &mut VirtualTunnel) -> (Time, Vec<Act>) {
    for _ in 0..10 {
        let now = device.next_timeout().expect("something to do");
        let mut acts = Vec::new();
        device.handle_timeout(now, &mut acts);
        if !acts.is_empty() {
            return (now, acts);
        }
    }
    panic!("ten deadlines without a deed");
}

#[test]
fn the_first_packet_makes_a_session_and_arrives() {
    let mut devices = pair();
    assert_eq!(send(Time::ZERO, &mut devices, 0, 1), [(1, 0)]);
    assert_eq!(send(Time::ZERO, &mut devices, 1, 0), [(0, 1)]);
    let report = devices[0].report(Time::from_secs(3));
    assert_eq!(report.peers[0].handshake_age, Some(Duration::from_secs(3)));
    assert_eq!(report.peers[0].data_packets, 2);
}

#[test]
fn a_lost_initiation_is_tried_again() {
    let mut devices = pair();
    let mut acts = Vec::new();
    devices[0].send(Time::ZERO, ping(0, 1), &mut acts);
    assert_eq!(acts.len(), 1);
    let retry = devices[0].next_timeout().expect("a retry");
    assert_eq!(retry, Time::from_millis(250));
    acts.clear();
    devices[0].handle_timeout(retry, &mut acts);
    assert_eq!(settle(retry, &mut devices, 0, acts).0, [(1, 0)], "the packet waited");
}

#[test]
fn after_a_restart_the_other_side_notices_silence_within_fifteen_seconds() {
    let mut devices = pair();
    send(Time::ZERO, &mut devices, 0, 1);
    devices[1] = device(1, RIGHT, 1);
    devices[1].set(Time::ZERO, &desired(vec![peer(0, &[0])]), &mut Vec::new());
    let now = Time::from_secs(1);
    assert_eq!(send(now, &mut devices, 0, 1), [], "the session is gone");
    let (now, acts) = next_deed(&mut devices[0]);
    assert_eq!(now, Time::from_secs(15));
    settle(now, &mut devices, 0, acts);
    assert_eq!(send(Time::from_secs(15), &mut devices, 0, 1), [(1, 0)]);
}

#[test]
fn a_clock_that_went_back_is_refused_until_the_peer_is_made_anew() {
    let mut devices = pair();
    send(Time::ZERO, &mut devices, 0, 1);
    devices[0] = device(0, RIGHT - 86_400_000_000, 1);
    devices[0].set(Time::from_secs(1), &desired(vec![peer(1, &[1])]), &mut Vec::new());
    assert_eq!(send(Time::from_secs(1), &mut devices, 0, 1), []);
    assert_eq!(devices[1].stale_initiations, 1);
    let anew = DesiredPeer { generation: 1, ..peer(0, &[0]) };
    devices[1].set(Time::from_secs(2), &desired(vec![anew]), &mut Vec::new());
    let mut acts = Vec::new();
    devices[0].handle_timeout(Time::from_secs(2), &mut acts);
    assert_eq!(settle(Time::from_secs(2), &mut devices, 0, acts).0, [(1, 0)]);
}

#[test]
fn a_packet_from_the_wrong_peer_is_foreign_and_a_gateway_route_is_not() {
    let mut devices = vec![device(0, RIGHT, 0), device(1, RIGHT, 0), device(2, RIGHT, 0)];
    let mut acts = Vec::new();
    devices[0].set(Time::ZERO, &desired(vec![peer(1, &[1])]), &mut acts);
    devices[1].set(Time::ZERO, &desired(vec![peer(0, &[0, 2])]), &mut acts);
    let mut spoof = ping(2, 1);
    devices[0].send(Time::ZERO, spoof.clone(), &mut acts);
    assert_eq!(settle(Time::ZERO, &mut devices, 0, acts), (vec![(1, 0)], vec![]));
    spoof.src = address(3);
    let mut acts = Vec::new();
    devices[0].send(Time::ZERO, spoof, &mut acts);
    assert_eq!(settle(Time::ZERO, &mut devices, 0, acts), (vec![], vec![1]));
}

#[test]
fn an_endpoint_learned_by_roaming_stays_until_a_newer_hint() {
    let mut devices = pair();
    send(Time::ZERO, &mut devices, 0, 1);
    let session = devices[1].peers[&0].current.as_ref().expect("connected").local;
    let (counter, packet) = (99, Some(ping(0, 1)));
    let elsewhere = SocketAddr::from(([203, 0, 113, 7], 7));
    devices[1].receive(Time::ZERO, elsewhere, Message::Data { receiver: session, counter, packet }, &mut Vec::new());
    assert_eq!(devices[1].report(Time::ZERO).peers[0].endpoint, Some(elsewhere));
    devices[1].set(Time::ZERO, &desired(vec![peer(0, &[0])]), &mut Vec::new());
    assert_eq!(devices[1].report(Time::ZERO).peers[0].endpoint, Some(elsewhere), "the old hint says nothing new");
    let mut newer = peer(0, &[0]);
    newer.endpoint = Some(EndpointHint { address: place(0), serial: 2 });
    devices[1].set(Time::ZERO, &desired(vec![newer]), &mut Vec::new());
    assert_eq!(devices[1].report(Time::ZERO).peers[0].endpoint, Some(place(0)));
}

#[test]
fn persistent_keepalive_connects_by_itself_and_renews_the_session() {
    let mut devices = pair();
    let mut acts = Vec::new();
    let kept = DesiredPeer { keepalive: Some(25), ..peer(1, &[1]) };
    devices[0].set(Time::ZERO, &desired(vec![kept]), &mut acts);
    settle(Time::ZERO, &mut devices, 0, acts);
    assert!(devices[1].report(Time::ZERO).peers[0].handshake_age.is_some());
    let mut now = Time::ZERO;
    while now < Time::from_secs(300) {
        let deed = next_deed(&mut devices[0]);
        now = deed.0;
        settle(now, &mut devices, 0, deed.1);
    }
    let age = devices[0].report(now).peers[0].handshake_age.expect("connected");
    assert!(age <= Duration::from_secs(150), "{age:?}");
}
