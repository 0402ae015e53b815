//! Who holds what, claim by claim.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::super::config::{Class, DirectMode, GatewayPolicy, HostPort, MeshConfig, NetworkKey, StaticPeer};
use super::super::ids::{NetworkId, NodeId, WgPublicKey};
use super::super::record::{About, Body, Forget, Lsdb, NodeRecord, Signer, Version, grant_of};
use super::super::time::Time;
use super::*;

fn network() -> NetworkId {
    NetworkKey::new([1; 32]).network_id()
}

fn signer(number: u8) -> Signer {
    Signer::new(&[number; 32], network())
}

fn id(number: u8) -> NodeId {
    signer(number).id()
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A file with two static peers, 10.1.1.1 and 10.1.1.2, seen by a leaf 10.1.1.9.
fn config() -> MeshConfig {
    let peer = |last: u8| StaticPeer {
        addresses: vec![address(&format!("10.1.1.{last}"))],
        endpoint: HostPort { host: format!("192.0.2.{last}"), port: 50_000 },
        admin_port: 50_500,
        name: None,
        public_key: None,
        gateway: None,
        cost: None,
        weight: None,
    };
    MeshConfig {
        key: NetworkKey::new([1; 32]),
        subnets: vec!["10.1.1.0/24".parse().expect("a prefix")],
        static_peers: vec![peer(1), peer(2)],
        gateways: GatewayPolicy::Static,
        direct: DirectMode::Auto,
        mtu: 1420,
        name: "leaf".parse().expect("a name"),
        addresses: vec![address("10.1.1.9")],
        class: Class::Server,
        offer_gateway: false,
        lan: false,
        wg_port: 1,
        admin_port: 2,
    }
}

fn about(name: &str, at: &str, number: u8) -> About {
    About {
        name: name.parse().expect("a name"),
        addresses: vec![address(at)],
        wg_key: WgPublicKey([number; 32]),
        wg_port: 1,
        admin_port: 2,
        gateway: false,
        class: Class::Server,
        left: false,
        algorithm: 1,
        file: 1,
        grants: Vec::new(),
        grants_any: false,
        endpoints: Vec::new(),
    }
}

fn gateway(name: &str, at: &str, number: u8) -> About {
    let mut grants = vec![grant_of(&address("10.1.1.1")), grant_of(&address("10.1.1.2"))];
    grants.sort_unstable();
    About { gateway: true, grants, ..about(name, at, number) }
}

fn claim(lsdb: &mut Lsdb, number: u8, epoch: u64, about: About) {
    let record = NodeRecord { fragment: 0, version: Version { epoch, seq: 1 }, about: Some(about), links: vec![] };
    lsdb.insert(signer(number).item(Body::Node(record)), Duration::ZERO, &[], Time::ZERO);
}

/// Static peer `voter` votes for what it sees now.
fn vote(lsdb: &mut Lsdb, voter: u8, firm: bool) {
    let config = MeshConfig { addresses: vec![address(&format!("10.1.1.{voter}"))], ..config() };
    let pins = BTreeMap::from([(0, id(1)), (1, id(2))]);
    let standing = Standing::compute(&config, id(voter), lsdb, &pins);
    for vote in votes_to_cast(&config, id(voter), lsdb, &standing, firm, |_| true) {
        lsdb.insert(signer(voter).item(Body::Vote(vote)), Duration::ZERO, &[], Time::ZERO);
    }
}

fn hubs() -> Lsdb {
    let mut lsdb = Lsdb::new();
    claim(&mut lsdb, 1, 1, gateway("hub1", "10.1.1.1", 1));
    claim(&mut lsdb, 2, 1, gateway("hub2", "10.1.1.2", 2));
    lsdb
}

/// As the leaf sees it that challenged hub1 only.
fn seen(lsdb: &Lsdb) -> Standing {
    Standing::compute(&config(), id(9), lsdb, &BTreeMap::from([(0, id(1))]))
}

fn codes(standing: &Standing, claimant: u8) -> Vec<&'static str> {
    standing.conflicts.iter().filter(|c| c.claimant == id(claimant)).map(|c| c.code).collect()
}

#[test]
fn a_static_peer_out_of_reach_is_known_through_the_votes_of_one_in_reach() {
    let mut lsdb = hubs();
    assert!(!seen(&lsdb).admitted.contains(&id(2)), "nobody vouches for hub2 yet");
    vote(&mut lsdb, 1, true);
    let standing = seen(&lsdb);
    assert!(standing.admitted.contains(&id(2)));
    assert!(standing.is_gateway(&id(2)));
}

#[test]
fn a_static_address_is_not_for_whoever_claims_it_first() {
    let mut lsdb = Lsdb::new();
    claim(&mut lsdb, 1, 1, gateway("hub1", "10.1.1.1", 1));
    claim(&mut lsdb, 66, 1, gateway("hub2", "10.1.1.2", 66));
    vote(&mut lsdb, 66, true);
    let standing = seen(&lsdb);
    assert!(!standing.admitted.contains(&id(66)), "its own vote counts for nothing");
    assert!(codes(&standing, 66).contains(&"address-conflict"));
}

#[test]
fn the_first_claimant_keeps_its_name_though_another_ranks_before_it() {
    for (first, second) in [(20, 21), (21, 20)] {
        let mut lsdb = hubs();
        claim(&mut lsdb, first, 1, about("amy", "10.1.1.20", first));
        vote(&mut lsdb, 1, true);
        claim(&mut lsdb, second, 1, about("amy", "10.1.1.21", second));
        vote(&mut lsdb, 2, true);
        let standing = seen(&lsdb);
        assert!(standing.admitted.contains(&id(first)) && !standing.admitted.contains(&id(second)));
        assert_eq!(codes(&standing, second), ["name-conflict"]);
    }
}

#[test]
fn a_fresh_static_peer_does_not_outvote_one_that_listened() {
    let mut lsdb = hubs();
    claim(&mut lsdb, 20, 1, about("amy", "10.1.1.20", 20));
    vote(&mut lsdb, 1, true);
    // hub2 starts, hears the impostor first, and has not heard hub1's votes.
    let mut fresh = hubs();
    claim(&mut fresh, 21, 1, about("amy", "10.1.1.21", 21));
    vote(&mut fresh, 2, false);
    for (_, stored) in fresh.iter() {
        lsdb.insert(stored.item.clone(), Duration::ZERO, &[], Time::ZERO);
    }
    assert!(seen(&lsdb).admitted.contains(&id(20)));
    vote(&mut lsdb, 2, true);
    let standing = seen(&lsdb);
    assert!(standing.admitted.contains(&id(20)) && !standing.admitted.contains(&id(21)));
}

#[test]
fn a_name_stays_with_its_holder_while_it_is_away_until_it_is_forgotten() {
    let mut lsdb = hubs();
    claim(&mut lsdb, 20, 4, about("amy", "10.1.1.20", 20));
    vote(&mut lsdb, 1, true);
    claim(&mut lsdb, 20, 5, About { left: true, ..about("amy", "10.1.1.20", 20) });
    // The machine comes back reinstalled, as another identity.
    claim(&mut lsdb, 21, 1, about("amy", "10.1.1.20", 21));
    assert!(!seen(&lsdb).admitted.contains(&id(21)));
    let forget = Forget { identity: id(20), epoch: 5 };
    lsdb.insert(signer(1).item(Body::Forget(forget)), Duration::ZERO, &[], Time::ZERO);
    vote(&mut lsdb, 1, true);
    assert!(seen(&lsdb).admitted.contains(&id(21)));
}

#[test]
fn only_a_static_peer_can_make_the_mesh_forget() {
    let mut lsdb = hubs();
    claim(&mut lsdb, 20, 1, about("amy", "10.1.1.20", 20));
    vote(&mut lsdb, 1, true);
    claim(&mut lsdb, 21, 1, about("amy", "10.1.1.21", 21));
    let forget = Forget { identity: id(20), epoch: 9 };
    lsdb.insert(signer(21).item(Body::Forget(forget)), Duration::ZERO, &[], Time::ZERO);
    assert!(seen(&lsdb).admitted.contains(&id(20)));
}

#[test]
fn addresses_outside_keys_of_others_and_the_gateway_role_are_refused() {
    let mut lsdb = hubs();
    claim(&mut lsdb, 20, 1, about("amy", "10.1.1.20", 20));
    vote(&mut lsdb, 1, true);
    claim(&mut lsdb, 30, 1, about("far", "8.8.8.8", 30));
    claim(&mut lsdb, 31, 1, about("thief", "10.1.1.31", 20));
    claim(&mut lsdb, 32, 1, About { gateway: true, ..about("boss", "10.1.1.32", 32) });
    vote(&mut lsdb, 1, true);
    let standing = seen(&lsdb);
    assert_eq!(codes(&standing, 30), ["address-outside"]);
    assert_eq!(codes(&standing, 31), ["key-conflict"]);
    assert_eq!(codes(&standing, 32), ["role-refused"]);
    assert!(!standing.admitted.contains(&id(30)) && !standing.admitted.contains(&id(31)));
    assert!(standing.admitted.contains(&id(32)) && !standing.is_gateway(&id(32)), "a leaf like others");
}

#[test]
fn a_gateway_counts_only_while_all_file_listed_gateways_grant_it() {
    let mut lsdb = hubs();
    vote(&mut lsdb, 1, true);
    assert!(seen(&lsdb).is_gateway(&id(2)));
    let alone = About { grants: vec![grant_of(&address("10.1.1.1"))], ..gateway("hub1", "10.1.1.1", 1) };
    claim(&mut lsdb, 1, 2, alone);
    assert!(!seen(&lsdb).is_gateway(&id(2)), "hub1's file does not list hub2");
    assert!(seen(&lsdb).is_gateway(&id(1)));
}
