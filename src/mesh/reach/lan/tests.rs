//! What announcements of others, and of those who repeat them, bring from one engine.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::mesh::config::{Class, GatewayPolicy, MeshConfig};
use crate::mesh::engine::Identity;
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{Destination, LanInterface, LocalAddress, LocalNetwork};
use crate::mesh::wire::ANNOUNCEMENT;

const NOW: Time = Time::ZERO;

/// Node `number`, at 192.168.1.`number` and alone; another `key` is another network.
fn node(key: u8, number: u8) -> Engine {
    let config = MeshConfig {
        key: NetworkKey::new([key; 32]),
        subnets: vec!["10.1.0.0/16".parse().expect("a prefix")],
        static_peers: Vec::new(),
        gateways: GatewayPolicy::Static,
        direct: DirectMode::Auto,
        mtu: 1420,
        name: format!("n{number}").parse().expect("a name"),
        addresses: vec![IpAddr::from([10, 1, 1, number])],
        class: Class::Server,
        offer_gateway: false,
        lan: true,
        wg_port: 51_820,
        admin_port: 51_821,
    };
    let identity = Identity { seed: [number; 32], wg_public: WgPublicKey([number; 32]), epoch: 3 };
    let mut engine = Engine::new(config, identity, None, [number; 32], NOW);
    let address = LocalAddress { address: IpAddr::from([192, 168, 1, number]), prefix: 24 };
    let lans = vec![LanInterface { index: 2, addresses: vec![address] }];
    engine.handle_network(NOW, LocalNetwork { addresses: vec![address], lans });
    engine
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// What it announces by then, and whom it asks on the underlay with how many bytes.
fn outputs(engine: &mut Engine, until: Time) -> (Vec<Vec<u8>>, Vec<(SocketAddr, usize)>) {
    let (mut announced, mut asked) = (Vec::new(), Vec::new());
    loop {
        while let Some(output) = engine.poll_output() {
            match output {
                Output::Announce(bytes) => announced.push(bytes),
                Output::Send { to: Destination::Underlay(to), bytes } => asked.push((to, bytes.len())),
                _ => {}
            }
        }
        match engine.next_timeout().filter(|next| *next <= until) {
            Some(next) => engine.handle_timeout(next),
            None => return (announced, asked),
        }
    }
}

fn counted(engine: &Engine, name: &str) -> u64 {
    engine.view().counters.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
}

fn announcement(number: u8) -> Vec<u8> {
    outputs(&mut node(1, number), NOW).0.remove(0)
}

#[test]
fn an_announcement_brings_one_question_to_the_address_that_it_comes_from_and_no_more_bytes_than_it_has() {
    let mut bob = node(1, 2);
    outputs(&mut bob, NOW);
    let bytes = announcement(1);
    // By multicast, by broadcast, and again.
    for _ in 0..3 {
        bob.handle_announcement(NOW, at("192.168.1.1:50490"), &bytes);
    }
    let (_, asked) = outputs(&mut bob, NOW);
    assert_eq!(asked, [(at("192.168.1.1:51821"), ANNOUNCEMENT)]);
    assert_eq!((counted(&bob, "announcements_heard"), counted(&bob, "announcements_repeated")), (1, 2));
    assert!(bob.view().nodes.is_empty(), "nothing is believed yet");
}

#[test]
fn a_recorded_announcement_from_elsewhere_brings_at_most_one_question_there() {
    let mut bob = node(1, 2);
    outputs(&mut bob, NOW);
    let bytes = announcement(1);
    let later = |seconds| NOW + Duration::from_secs(seconds);
    bob.handle_announcement(NOW, at("192.168.1.1:50490"), &bytes);
    outputs(&mut bob, NOW);
    for second in 1..100 {
        bob.handle_announcement(later(second), at("192.168.1.66:50490"), &bytes);
        bob.handle_announcement(later(second), at("203.0.113.5:50490"), &bytes);
    }
    let (_, asked) = outputs(&mut bob, later(100));
    assert_eq!(asked, [(at("192.168.1.66:51821"), ANNOUNCEMENT)], "and nobody who is not on a LAN of this machine");
    // A liar with thousands of addresses there.
    for last in 70..200 {
        bob.handle_announcement(later(200), SocketAddr::from(([192, 168, 1, last], 50_490)), &bytes);
    }
    assert!(outputs(&mut bob, later(200)).1.len() <= PLACES);
}

#[test]
fn a_flood_of_junk_costs_a_bounded_number_of_attempts_and_other_networks_are_not_asked() {
    let mut bob = node(1, 2);
    outputs(&mut bob, NOW);
    bob.handle_announcement(NOW, at("192.168.1.1:50490"), &outputs(&mut node(7, 1), NOW).0[0]);
    for number in 0..5_000_u32 {
        let mut junk = vec![0x5a; ANNOUNCEMENT];
        junk[..4].copy_from_slice(&number.to_le_bytes());
        bob.handle_announcement(NOW, at("192.168.1.66:50490"), &junk);
    }
    assert!(outputs(&mut bob, NOW).1.is_empty());
    assert_eq!(counted(&bob, "announcements_foreign"), u64::from(OPENED));
    assert_eq!(counted(&bob, "announcements_dropped"), 5_001 - u64::from(OPENED));
    // A second later it hears again.
    let later = NOW + Duration::from_secs(1);
    bob.handle_announcement(later, at("192.168.1.1:50490"), &announcement(1));
    assert_eq!(outputs(&mut bob, later).1.len(), 1);
}

#[test]
fn many_who_announce_themselves_at_once_are_asked_little_by_little() {
    let mut bob = node(1, 250);
    outputs(&mut bob, NOW);
    for number in 1..=60 {
        bob.handle_announcement(NOW, SocketAddr::from(([192, 168, 1, number], 50_490)), &announcement(number));
    }
    assert_eq!(outputs(&mut bob, NOW).1.len(), ASKED as usize);
    assert_eq!(counted(&bob, "announcements_unasked"), 60 - u64::from(ASKED));
}

#[test]
fn it_announces_itself_often_at_first_then_seldom_and_leaves_it_to_others_where_there_are_enough() {
    let mut bob = node(1, 2);
    let (first, _) = outputs(&mut bob, NOW + Duration::from_secs(8));
    assert_eq!(first.len(), QUICK.len() + 1);
    let (then, _) = outputs(&mut bob, NOW + Duration::from_secs(608));
    assert!((10..=20).contains(&then.len()), "{} in ten minutes", then.len());
    // Four others that have found it, and each other.
    let mut others: Vec<Engine> = (3..7).map(|number| node(1, number)).collect();
    let mut told = 0;
    for minute in 11..=40 {
        let now = NOW + Duration::from_secs(60 * minute);
        for (other, number) in others.iter_mut().zip(3..) {
            for bytes in outputs(other, now).0 {
                bob.handle_announcement(now, SocketAddr::from(([192, 168, 1, number], 50_490)), &bytes);
            }
        }
        told += outputs(&mut bob, now).0.len();
    }
    assert!((5..=20).contains(&told), "{told} in half an hour");
}

#[test]
fn a_network_that_changes_all_the_time_brings_no_storm() {
    let mut bob = node(1, 2);
    let mut told = outputs(&mut bob, NOW).0.len();
    for tenth in 1..=100 {
        let now = NOW + Duration::from_millis(100 * tenth);
        let mut network = bob.local.clone();
        network.lans[0].index = 3 + tenth as u32 % 2;
        bob.handle_network(now, network);
        told += outputs(&mut bob, now).0.len();
    }
    assert!(told <= 15, "{told} in ten seconds");
}

#[test]
fn who_is_told_not_to_neither_announces_itself_nor_listens() {
    let mut quiet = node(1, 2);
    quiet.config.lan = false;
    outputs(&mut quiet, NOW);
    quiet.handle_announcement(NOW, at("192.168.1.1:50490"), &announcement(1));
    assert_eq!(outputs(&mut quiet, NOW + Duration::from_secs(300)), (Vec::new(), Vec::new()));
}
