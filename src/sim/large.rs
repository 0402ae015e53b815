//! Large meshes: hundreds and thousands of nodes in the mix of places that a provider of such a mesh would see.
//!
//! Gateways stand in the internet. Of the leaves a fifth does too, a tenth behind firewalls that let replies in only, and
//! the rest at home, one to four behind a router: most routers keep one port for all destinations, some take one for each
//! address or each flow, and some homes lie behind a carrier's router besides. Homes number their LANs alike.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::scenario::{
    Attachment, Filtering, Gateways, Link, Mapping, Network, Node, Place, Router, Scenario, Segment,
};
use crate::mesh::config::{Class, DirectMode};

/// The network behind a carrier's router.
const CARRIER: &str = "carrier";
/// The network of public addresses.
const INTERNET: &str = "internet";

/// Draws a mesh of `gateways` gateways `g1`, `g2` ... and `leaves` leaves `l1`, `l2` ..., where each line loses the share
/// `loss` of its packets. Nothing happens in it by itself, and no daemon starts.
///
/// # Panics
///
/// At more than 60,000 nodes, for which there are no addresses.
pub fn scenario(seed: u64, gateways: usize, leaves: usize, loss: f64) -> Scenario {
    assert!(gateways + leaves <= 60_000, "addresses for 60,000 nodes at most");
    let mut draw = ChaCha8Rng::seed_from_u64(seed ^ 0x006c_6172_6765_0001);
    let mut scenario = Scenario {
        name: format!("large-{seed}"),
        about: "drawn from a seed".to_owned(),
        simulator_only: true,
        duration: Duration::ZERO,
        network: Network {
            subnet: vec!["10.64.0.0/10".parse().expect("a prefix")],
            direct: DirectMode::Auto,
            gateways: Gateways::Static,
        },
        segments: BTreeMap::new(),
        routers: BTreeMap::new(),
        nodes: BTreeMap::new(),
        events: Vec::new(),
        expect: Vec::new(),
        flows: Vec::new(),
        bounds: None,
    };
    for (name, prefix) in [(INTERNET, "198.18.0.0/15"), (CARRIER, "100.64.0.0/16")] {
        scenario.segments.insert(name.to_owned(), Segment { prefix: prefix.parse().expect("a prefix"), lan: false });
    }
    let carrier = Place { segment: CARRIER.to_owned(), address: public(100, 64, 0) };
    let outside = Place { segment: INTERNET.to_owned(), address: public(198, 19, 65_000) };
    scenario.routers.insert(CARRIER.to_owned(), router(carrier, outside, Mapping::EndpointIndependent));
    for number in 1..=gateways {
        let line = Link { latency: millis(&mut draw, 1, 30), loss, ..Link::default() };
        let mut node = node(public(10, 64, number), INTERNET, public(198, 18, number), line);
        node.is_static = true;
        scenario.nodes.insert(format!("g{number}"), node);
    }
    // The home that is being filled: its segment, how many live there, how many will.
    let mut home: Option<(String, usize, usize)> = None;
    for number in 1..=leaves {
        let line = Link { latency: millis(&mut draw, 5, 60), loss, ..Link::default() };
        let overlay = public(10, 65, number);
        let place = draw.next_u64() % 100;
        let mut leaf = if place < 30 && home.is_none() {
            node(overlay, INTERNET, public(198, 18, gateways + number), line)
        } else {
            let (segment, lives, will) = home.take().unwrap_or_else(|| {
                let name = format!("home{number}");
                add_home(&mut scenario, &mut draw, &name, number, place);
                (name, 0, 1 + usize::try_from(draw.next_u64() % 4).unwrap_or(0))
            });
            let address = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1 + u8::try_from(lives).unwrap_or(0)));
            let leaf = node(overlay, &segment, address, line);
            home = (lives + 1 < will).then_some((segment, lives + 1, will));
            leaf
        };
        leaf.firewall = leaf.attach[0].segment == INTERNET && place >= 20;
        leaf.class = if place % 5 == 0 { Class::Roaming } else { Class::Server };
        scenario.nodes.insert(format!("l{number}"), leaf);
    }
    scenario
}

/// Address number `number` of the /16 that begins with these two.
fn public(a: u8, b: u8, number: usize) -> IpAddr {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes([a, b, 0, 0]) + number))
}

fn millis(draw: &mut ChaCha8Rng, low: u64, high: u64) -> Duration {
    Duration::from_millis(low + draw.next_u64() % (high - low + 1))
}

fn add_home(scenario: &mut Scenario, draw: &mut ChaCha8Rng, name: &str, number: usize, place: u64) {
    scenario
        .segments
        .insert(name.to_owned(), Segment { prefix: "192.168.0.0/24".parse().expect("a prefix"), lan: false });
    let inside = Place { segment: name.to_owned(), address: IpAddr::V4(Ipv4Addr::new(192, 168, 0, 254)) };
    let (segment, address) =
        if place >= 93 { (CARRIER, public(100, 64, number)) } else { (INTERNET, public(198, 19, number)) };
    let mapping = match draw.next_u64() % 10 {
        0 => Mapping::AddressDependent,
        1 => Mapping::Symmetric,
        _ => Mapping::EndpointIndependent,
    };
    let outside = Place { segment: segment.to_owned(), address };
    scenario.routers.insert(format!("router-{name}"), router(inside, outside, mapping));
}

fn router(inside: Place, outside: Place, mapping: Mapping) -> Router {
    Router {
        inside,
        outside,
        mapping,
        filtering: Filtering::AddressAndPortDependent,
        timeout: Duration::from_secs(60),
        hairpin: false,
        maps: false,
        link: Link::default(),
    }
}

fn node(overlay: IpAddr, segment: &str, address: IpAddr, link: Link) -> Node {
    Node {
        address: vec![overlay],
        attach: vec![Attachment { segment: segment.to_owned(), address, link }],
        is_static: false,
        gateway: None,
        cost: None,
        weight: None,
        pinned: false,
        host_name: None,
        firewall: false,
        clock: 0,
        class: Class::Server,
        start: None,
        reaches: Vec::new(),
        wg_port: 50_000,
        admin_port: 50_500,
        claims: None,
    }
}
