//! A node that asks the router before it for a port.

use super::*;
use crate::mesh::io::{LocalAddress, MappingProtocol};
use crate::system::port_mapping::Wanted;

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 254);
const WANTED: Wanted = Wanted { router: ROUTER, port: 50_001 };

fn at(address: &str) -> LocalNetwork {
    let address = address.parse().expect("an address");
    LocalNetwork { addresses: vec![LocalAddress { address, prefix: 24 }], lans: Vec::new() }
}

fn mapping(external: &str) -> Option<PortMapping> {
    let external = external.parse().expect("an endpoint");
    Some(PortMapping { protocol: MappingProtocol::Upnp, external })
}

/// A node at home, whose router mapped its port.
async fn at_home() -> (Ends, JoinHandle<Result<(), DaemonError>>) {
    let (ends, running) = start().await;
    ends.system.put_behind(ROUTER);
    ends.system.change_network(at("192.168.1.7"));
    until("the router is asked", async || ends.mapper.wanted().last() == Some(&Some(WANTED))).await;
    ends.mapper.achieve(mapping("198.51.100.20:50001"));
    until("it is shown", async || status(&ends).await.node.port_mapping.is_some()).await;
    (ends, running)
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waits = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, waits).await.unwrap_or_else(|_| panic!("{what} within {SOON:?}"));
}

#[tokio::test]
async fn at_home_the_mapped_port_is_shown_and_a_stop_gives_it_back() {
    let (ends, running) = at_home().await;
    let node = status(&ends).await.node;
    assert_eq!(node.outside, ["198.51.100.20:50001"]);
    let seen = node.seen_from_outside().expect("something to say");
    assert_eq!(seen, "198.51.100.20:50001, a port that the router maps (UPnP)");
    ends.mapper.achieve(mapping("100.64.3.9:50001"));
    until("a carrier's NAT is named", async || {
        let status = status(&ends).await;
        status.node.outside.is_empty() && status.health.iter().any(|line| line.code == "double-nat")
    })
    .await;
    ends.signals.send(Signal::Stop).await.expect("the loop runs");
    outcome(running).await.expect("a clean end");
    assert_eq!(ends.mapper.wanted().last(), Some(&None));
}

#[tokio::test]
async fn who_detaches_leaves_the_port_to_the_next_start() {
    let (ends, running) = at_home().await;
    ends.signals.send(Signal::Detach).await.expect("the loop runs");
    outcome(running).await.expect("a clean end");
    assert_eq!(ends.mapper.wanted().last(), Some(&Some(WANTED)));
}

#[tokio::test]
async fn with_a_public_address_nobody_is_asked_any_more() {
    let (ends, _running) = at_home().await;
    ends.system.change_network(at("198.51.100.7"));
    until("the port is given back", async || ends.mapper.wanted().last() == Some(&None)).await;
    until("it is not shown", async || status(&ends).await.node.port_mapping.is_none()).await;
}
