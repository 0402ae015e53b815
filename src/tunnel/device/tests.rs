//! A device that others change, too: what the mesh wants comes to stand, what persons set stays, and nothing that works
//! is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::difference::Wishes;
use super::observation::{Observations, Times};
use super::{Action, DeviceState, PeerChange, PeerState};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredPeer, DesiredTunnel, EndpointHint};

const NOW: Duration = Duration::from_secs(1_800_000_000);
/// Long after the start.
const LATER: Times = Times { wall: NOW, steady: Duration::from_secs(1_000) };
/// By then nothing lingers of what was found at `LATER`.
const OVER: Times = Times { wall: NOW, steady: Duration::from_secs(1_020) };
const PARKING: WgPublicKey = WgPublicKey([0xff; 32]);

fn links() -> Ipv6Net {
    "fd11:2233:4455::/48".parse().expect("a network")
}

fn link(peer: u8) -> IpNet {
    format!("fd11:2233:4455::{peer:x}/128").parse().expect("a prefix")
}

fn overlay(n: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new(Ipv4Addr::new(10, 1, 1, n), 32).expect("a prefix"))
}

fn key(peer: u8) -> WgPublicKey {
    WgPublicKey([peer; 32])
}

fn wanted(peer: u8, prefixes: &[u8]) -> DesiredPeer {
    let IpNet::V6(own) = link(peer) else { unreachable!("it is IPv6") };
    DesiredPeer {
        public_key: key(peer),
        link: own.addr(),
        endpoint: Some(EndpointHint {
            address: format!("192.0.2.{peer}:50000").parse().expect("an address"),
            serial: 1,
        }),
        keepalive: Some(25),
        allowed: std::iter::once(link(peer)).chain(prefixes.iter().map(|n| overlay(*n))).collect(),
        accept: Vec::new(),
        generation: 0,
    }
}

fn desired(peers: &[(u8, &[u8])]) -> DesiredTunnel {
    let peers = peers.iter().map(|(peer, prefixes)| wanted(*peer, prefixes)).collect();
    DesiredTunnel { peers, ..DesiredTunnel::default() }
}

/// What WireGuard does with changes; counts the peers that lost their state.
fn apply(state: &mut DeviceState, changes: &[PeerChange]) -> BTreeSet<WgPublicKey> {
    let mut removed = BTreeSet::new();
    for change in changes {
        match change.action {
            Action::Remove => {
                state.peers.remove(&change.key);
                removed.insert(change.key);
                continue;
            }
            Action::Update if !state.peers.contains_key(&change.key) => continue,
            Action::Add | Action::Update => {}
        }
        for peer in state.peers.values_mut() {
            peer.allowed.retain(|prefix| !change.allowed.contains(prefix));
        }
        let peer = state.peers.entry(change.key).or_default();
        peer.allowed.extend(change.allowed.iter().copied());
        peer.endpoint = change.endpoint.or(peer.endpoint);
        peer.keepalive = change.keepalive.unwrap_or(peer.keepalive);
        peer.preshared = change.preshared.clone().or_else(|| peer.preshared.take());
    }
    removed.remove(&PARKING);
    removed
}

/// Sets what is wanted, and waits until nothing of a former run lingers. Gives back the peers that lost their state.
fn set(wishes: &mut Wishes, state: &mut DeviceState, wanted: DesiredTunnel) -> BTreeSet<WgPublicKey> {
    wishes.want(&wanted, None);
    let mut removed = BTreeSet::new();
    for time in [LATER, OVER] {
        let changes = wishes.changes(state, PARKING, time);
        removed.append(&mut apply(state, &changes));
        assert_eq!(wishes.changes(state, PARKING, time), [], "a second look finds nothing to do");
    }
    removed
}

fn allowed(state: &DeviceState, peer: u8) -> Vec<IpNet> {
    state.peers.get(&key(peer)).map(|peer| peer.allowed.iter().copied().collect()).unwrap_or_default()
}

#[test]
fn peers_come_with_their_prefixes_and_go_and_what_did_not_change_is_not_mentioned() {
    let (mut wishes, mut state) = (Wishes::new(links()), DeviceState::default());
    set(&mut wishes, &mut state, desired(&[(1, &[1, 3]), (2, &[2])]));
    assert_eq!(allowed(&state, 1), [overlay(1), overlay(3), link(1)]);
    assert_eq!((state.peers[&key(1)].keepalive, state.peers.len()), (25, 2));

    wishes.want(&desired(&[(1, &[1]), (2, &[2, 3])]), None);
    let changes = wishes.changes(&state, PARKING, LATER);
    assert_eq!(changes, [PeerChange { allowed: vec![overlay(3)], ..PeerChange::update(key(2)) }]);
    assert!(apply(&mut state, &changes).is_empty());
    assert_eq!(allowed(&state, 1), [overlay(1), link(1)]);

    let removed = set(&mut wishes, &mut state, desired(&[(1, &[1])]));
    assert_eq!(Vec::from_iter(removed), [key(2)]);
    assert_eq!(Vec::from_iter(state.peers.keys()), [&key(1)]);
}

#[test]
fn a_prefix_that_nobody_wants_leaves_its_peer_and_the_peer_keeps_its_session() {
    let (mut wishes, mut state) = (Wishes::new(links()), DeviceState::default());
    set(&mut wishes, &mut state, desired(&[(1, &[1, 3])]));
    let removed = set(&mut wishes, &mut state, desired(&[(1, &[1])]));
    assert!(removed.is_empty());
    assert_eq!(allowed(&state, 1), [overlay(1), link(1)]);
    assert_eq!(state.peers.len(), 1, "the parking peer is gone");
}

#[test]
fn what_a_person_set_stays_and_gets_its_prefix_back() {
    let (mut wishes, mut state) = (Wishes::new(links()), DeviceState::default());
    let foreign = PeerState { allowed: [overlay(3), overlay(77)].into(), keepalive: 5, ..PeerState::default() };
    state.peers.insert(key(9), foreign.clone());
    set(&mut wishes, &mut state, desired(&[(1, &[1, 3])]));
    assert_eq!(allowed(&state, 9), [overlay(77)]);
    // A person gives one of our peers something more.
    state.peers.get_mut(&key(1)).expect("it is there").allowed.insert(overlay(88));
    set(&mut wishes, &mut state, desired(&[(1, &[1])]));
    assert_eq!(allowed(&state, 1), [overlay(1), overlay(88), link(1)]);
    assert_eq!(state.peers[&key(9)], foreign);
    let removed = set(&mut wishes, &mut state, desired(&[]));
    assert_eq!((Vec::from_iter(removed), &state.peers[&key(9)]), (vec![key(1)], &foreign));
}

#[test]
fn what_another_program_took_away_is_put_back() {
    let (mut wishes, mut state) = (Wishes::new(links()), DeviceState::default());
    let all = desired(&[(1, &[1]), (2, &[2])]);
    set(&mut wishes, &mut state, all.clone());
    let whole = state.clone();
    // `wg syncconf` with another file, `wg set peer ... remove`, `wg set ... allowed-ips`.
    state.peers.remove(&key(1));
    let peer = state.peers.get_mut(&key(2)).expect("it is there");
    (peer.keepalive, peer.allowed) = (0, [overlay(99)].into());
    set(&mut wishes, &mut state, all);
    assert_eq!(state.peers[&key(1)], whole.peers[&key(1)]);
    assert_eq!(allowed(&state, 2), [overlay(2), overlay(99), link(2)], "and what it added stays");
}

#[test]
fn an_endpoint_is_set_once_per_hint_and_never_over_one_that_works() {
    let (mut wishes, mut state) = (Wishes::new(links()), DeviceState::default());
    set(&mut wishes, &mut state, desired(&[(1, &[1])]));
    let roamed = "198.51.100.7:1234".parse().expect("an address");
    state.peers.get_mut(&key(1)).expect("it is there").endpoint = Some(roamed);
    set(&mut wishes, &mut state, desired(&[(1, &[1, 3])]));
    assert_eq!(state.peers[&key(1)].endpoint, Some(roamed));
    let mut newer = desired(&[(1, &[1, 3])]);
    let hint = newer.peers[0].endpoint.as_mut().expect("it has one");
    hint.serial = 2;
    let told = hint.address;
    set(&mut wishes, &mut state, newer.clone());
    assert_eq!(state.peers[&key(1)].endpoint, Some(told));

    // A peer that was known before there was a hint gets the first one, whatever its number.
    let mut other = desired(&[(2, &[])]);
    other.peers[0].endpoint = None;
    set(&mut wishes, &mut state, other.clone());
    other.peers[0].endpoint = Some(EndpointHint { address: told, serial: 0 });
    set(&mut wishes, &mut state, other);
    assert_eq!(state.peers[&key(2)].endpoint, Some(told));
    set(&mut wishes, &mut state, newer.clone());

    // After a restart the same peer is found with a session: its endpoint works.
    let peer = state.peers.get_mut(&key(1)).expect("it is there");
    (peer.endpoint, peer.last_handshake) = (Some(roamed), NOW - Duration::from_secs(100));
    let mut next = Wishes::new(links());
    assert!(set(&mut next, &mut state, newer.clone()).is_empty());
    assert_eq!(state.peers[&key(1)].endpoint, Some(roamed));
    // Without one it does not.
    state.peers.get_mut(&key(1)).expect("it is there").last_handshake = NOW - Duration::from_secs(1_000);
    set(&mut Wishes::new(links()), &mut state, newer);
    assert_eq!(state.peers[&key(1)].endpoint, Some(told));
}

#[test]
fn a_peer_without_a_session_asks_a_new_endpoint_at_once_and_one_with_a_session_keeps_it() {
    let (mut wishes, mut state) = (Wishes::new(links()), DeviceState::default());
    set(&mut wishes, &mut state, desired(&[(1, &[1])]));
    let to = |port: u16, serial: u64| {
        let mut newer = desired(&[(1, &[1])]);
        let address = ([192, 0, 2, 9], port).into();
        newer.peers[0].endpoint = Some(EndpointHint { address, serial });
        (newer, Some(address))
    };
    let (newer, address) = to(7, 2);
    // WireGuard asks a peer that was made anew without the wait of 5 s.
    assert_eq!(Vec::from_iter(set(&mut wishes, &mut state, newer)), [key(1)]);
    assert_eq!((state.peers[&key(1)].endpoint, allowed(&state, 1)), (address, vec![overlay(1), link(1)]));
    state.peers.get_mut(&key(1)).expect("it is there").last_handshake = NOW - Duration::from_secs(9);
    let (newer, address) = to(8, 3);
    assert!(set(&mut wishes, &mut state, newer).is_empty());
    assert_eq!(state.peers[&key(1)].endpoint, address);
}

#[test]
fn a_restart_takes_over_its_peers_and_removes_those_that_are_gone() {
    let mut state = DeviceState::default();
    set(&mut Wishes::new(links()), &mut state, desired(&[(1, &[1, 3]), (2, &[2])]));
    state.peers.insert(key(9), PeerState { allowed: [overlay(77)].into(), ..PeerState::default() });
    // Nothing is taken away while the links come up.
    let (mut next, left) = (Wishes::new(links()), state.clone());
    for (second, wanted) in [(0, desired(&[])), (1, desired(&[(1, &[])])), (2, desired(&[(1, &[1])]))] {
        next.want(&wanted, None);
        let changes = next.changes(&state, PARKING, Times { steady: Duration::from_secs(second), ..LATER });
        assert!(apply(&mut state, &changes).is_empty());
        let prefixes = |state: &DeviceState| [1, 2, 9].map(|peer| allowed(state, peer));
        assert_eq!(prefixes(&state), prefixes(&left));
    }
    let changes = next.changes(&state, PARKING, LATER);
    let removed = apply(&mut state, &changes);
    assert_eq!(Vec::from_iter(removed), [key(2)]);
    assert_eq!(allowed(&state, 1), [overlay(1), link(1)]);
    assert_eq!(allowed(&state, 9), [overlay(77)]);
}

#[test]
fn a_new_generation_makes_a_peer_anew_and_keeps_endpoint_and_preshared_key() {
    let (mut wishes, mut state) = (Wishes::new(links()), DeviceState::default());
    set(&mut wishes, &mut state, desired(&[(1, &[1])]));
    let roamed = Some("198.51.100.7:1234".parse().expect("an address"));
    let preshared = Some(super::Preshared(zeroize::Zeroizing::new([7; 32])));
    let peer = state.peers.get_mut(&key(1)).expect("it is there");
    (peer.endpoint, peer.preshared) = (roamed, preshared.clone());
    let mut newer = desired(&[(1, &[1])]);
    newer.peers[0].generation = 1;
    let removed = set(&mut wishes, &mut state, newer);
    assert_eq!(Vec::from_iter(removed), [key(1)]);
    let peer = &state.peers[&key(1)];
    assert_eq!((peer.endpoint, &peer.preshared, peer.allowed.len()), (roamed, &preshared, 2));
}

#[test]
fn handshakes_have_an_age_that_a_clock_which_is_set_does_not_change() {
    let mut observations = Observations::default();
    let mut state = DeviceState::default();
    let peer = PeerState { last_handshake: NOW - Duration::from_secs(30), ..PeerState::default() };
    state.peers.insert(key(1), peer);
    let age = |observations: &mut Observations, state: &DeviceState, wall: u64, steady: u64| {
        let times = Times { wall: Duration::from_secs(wall), steady: Duration::from_secs(steady) };
        observations.look(state, &BTreeMap::new(), times)[0].handshake_age.map(|age| age.as_secs())
    };
    let now = NOW.as_secs();
    assert_eq!(age(&mut observations, &state, now, 1_000), Some(30));
    assert_eq!(age(&mut observations, &state, now + 100_000, 1_001), Some(31), "the clock was set");
    state.peers.get_mut(&key(1)).expect("it is there").last_handshake = NOW + Duration::from_secs(100_000);
    assert_eq!(age(&mut observations, &state, now, 1_002), Some(0), "and set back");
    state.peers.get_mut(&key(1)).expect("it is there").last_handshake = NOW - Duration::from_secs(5_000);
    assert_eq!(age(&mut observations, &state, now, 1_003), Some(1), "a new one is not older than the last look");
}

#[test]
fn users_packets_are_told_from_the_meshs_own() {
    let mut observations = Observations::default();
    let mut state = DeviceState::default();
    state.peers.insert(key(1), PeerState { allowed: [link(1)].into(), rx_bytes: 5_000_000, ..PeerState::default() });
    let mut control = BTreeMap::new();
    let mut second = 0;
    let mut look = |state: &DeviceState, control: &BTreeMap<_, _>| {
        second += 1;
        let times = Times { wall: NOW, steady: Duration::from_secs(second) };
        observations.look(state, control, times)[0].data_packets
    };
    assert_eq!(look(&state, &control), 0, "what was before is not news");
    let peer = |state: &mut DeviceState, rx, handshake| {
        let peer = state.peers.get_mut(&key(1)).expect("it is there");
        peer.rx_bytes += rx;
        peer.last_handshake += Duration::from_secs(handshake);
    };
    peer(&mut state, 32 + 148 + 92, 120);
    assert_eq!(look(&state, &control), 0, "a handshake and a keepalive");
    let IpNet::V6(own) = link(1) else { unreachable!("it is IPv6") };
    control.insert(own.addr(), 4_000);
    peer(&mut state, 4_000, 0);
    assert_eq!(look(&state, &control), 0, "hellos");
    peer(&mut state, 100_000, 0);
    assert_eq!(look(&state, &control), 100);
    peer(&mut state, 4 * 128, 0);
    assert_eq!(look(&state, &control), 101, "a few pings");
}

proptest! {
    /// Whatever the mesh wanted before and whatever others did: what it wants now stands after one pass, no peer that stays
    /// wanted loses its session, and foreign peers stay.
    #[test]
    fn any_state_becomes_what_is_wanted(
        steps in prop::collection::vec((
            prop::collection::btree_map(1_u8..6, prop::collection::btree_set(1_u8..12, 0..5), 0..5),
            prop::collection::vec((1_u8..9, prop::collection::btree_set(1_u8..12, 0..3), any::<bool>()), 0..3),
        ), 1..8),
    ) {
        let (mut wishes, mut state) = (Wishes::new(links()), DeviceState::default());
        let mut before = BTreeSet::new();
        for (wants, meddling) in steps {
            for (peer, prefixes, remove) in meddling {
                let action = if remove { Action::Remove } else { Action::Add };
                let allowed = prefixes.iter().map(|n| overlay(*n)).collect();
                apply(&mut state, &[PeerChange { allowed, ..PeerChange::new(key(peer), action) }]);
                before.remove(&key(peer));
            }
            let foreign: Vec<_> = state.peers.keys().filter(|key| key.0[0] > 5).copied().collect();
            let mut taken = BTreeSet::new();
            let peers = wants.iter().map(|(peer, prefixes)| {
                let free: Vec<u8> = prefixes.iter().copied().filter(|n| taken.insert(*n)).collect();
                wanted(*peer, &free)
            });
            let all = DesiredTunnel { peers: peers.collect(), ..DesiredTunnel::default() };
            let removed = set(&mut wishes, &mut state, all.clone());
            for peer in &all.peers {
                let there = &state.peers[&peer.public_key];
                prop_assert!(peer.allowed.iter().all(|prefix| there.allowed.contains(prefix)));
                prop_assert!(!removed.contains(&peer.public_key) || !before.contains(&peer.public_key));
            }
            prop_assert!(foreign.iter().all(|key| state.peers.contains_key(key)));
            prop_assert!(!state.peers.contains_key(&PARKING));
            before = all.peers.iter().map(|peer| peer.public_key).collect();
        }
    }
}
