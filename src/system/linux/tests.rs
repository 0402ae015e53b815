//! In network namespaces of their own: each test's thread leaves the machine's namespace, makes a veth pair whose one
//! end stands for the tunnel's interface, and looks at it through a netlink socket of its own. Without root they pass
//! unrun.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::TryStreamExt;
use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteMetric, RouteProtocol};
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::*;
use crate::mesh::io::LocalAddress;

/// Runs `test` in a fresh network namespace where `wg0` (down) and `lo` are all there is.
fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce(Handle) -> F + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (connection, netlink, _) = rtnetlink::new_connection().expect("netlink");
            tokio::spawn(connection);
            add_interface(&netlink, "wg0").await;
            test(netlink).await;
        });
    });
    thread.join().expect("the test in the namespace");
}

async fn add_interface(netlink: &Handle, name: &str) {
    let far = format!("{name}-far");
    netlink.link().add(LinkVeth::new(name, &far).build()).execute().await.expect("a veth pair");
    let far = index(netlink, &far).await;
    netlink.link().set(LinkUnspec::new_with_index(far).up().build()).execute().await.expect("up");
}

async fn index(netlink: &Handle, name: &str) -> u32 {
    let mut links = netlink.link().get().match_name(name.to_owned()).execute();
    links.try_next().await.expect("netlink").expect("there").header.index
}

async fn set_up(netlink: &Handle, name: &str, address: &str, prefix: u8) {
    let index = index(netlink, name).await;
    netlink.address().add(index, ip(address), prefix).execute().await.expect("address");
    netlink.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.expect("up");
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn desired(addresses: &[&str], routes: &[&str]) -> DesiredSystem {
    DesiredSystem {
        addresses: addresses.iter().map(|a| ip(a)).collect(),
        routes: routes.iter().map(|r| r.parse().expect("a prefix")).collect(),
        mtu: 1420,
        path_mtus: Vec::new(),
        forwarding: false,
    }
}

/// Every address of the interface but link-local ones.
async fn addresses(netlink: &Handle, name: &str) -> Vec<String> {
    let index = index(netlink, name).await;
    let all: Vec<_> =
        netlink.address().get().set_link_index_filter(index).execute().try_collect().await.expect("addresses");
    let mut texts: Vec<_> = all
        .iter()
        .filter(|m| m.header.scope == rtnetlink::packet_route::address::AddressScope::Universe)
        .map(|m| format!("{}/{}", address::address_of(m).expect("an address"), m.header.prefix_len))
        .collect();
    texts.sort();
    texts
}

async fn all_routes(netlink: &Handle) -> Vec<RouteMessage> {
    let mut all = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        all.extend(netlink.route().get(request).execute().try_collect::<Vec<_>>().await.expect("routes"));
    }
    all
}

/// Whether all our routes make connections offer ECN (`features ecn`).
async fn our_routes_offer_ecn(netlink: &Handle) -> bool {
    let offers = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Metrics(metrics) if metrics.contains(&RouteMetric::Features(1)));
    let all = all_routes(netlink).await;
    let mut ours = all.iter().filter(|route| route.header.protocol == RouteProtocol::Other(PROTOCOL));
    ours.all(|route| route.attributes.iter().any(offers))
}

/// Our routes as `prefix via index src source`.
async fn our_routes(netlink: &Handle) -> Vec<String> {
    let mut texts = Vec::new();
    for route in all_routes(netlink).await {
        if route.header.protocol != RouteProtocol::Other(PROTOCOL) {
            continue;
        }
        let (mut prefix, mut source) = (String::new(), String::new());
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Destination(a) => prefix = address_text(a),
                RouteAttribute::PrefSource(a) => source = address_text(a),
                _ => {}
            }
        }
        texts.push(format!("{prefix}/{} src {source}", route.header.destination_prefix_length));
    }
    texts.sort();
    texts
}

fn address_text(address: &rtnetlink::packet_route::route::RouteAddress) -> String {
    use rtnetlink::packet_route::route::RouteAddress;
    match address {
        RouteAddress::Inet(a) => a.to_string(),
        RouteAddress::Inet6(a) => a.to_string(),
        other => format!("{other:?}"),
    }
}

fn open() -> LinuxSystem {
    LinuxSystem::open("wg0").expect("netlink")
}

#[test]
fn the_interface_gets_mtu_addresses_and_routes_and_comes_up() {
    in_namespace(async |netlink| {
        let mut system = open();
        let wanted = desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "fdaa::/48"]);
        system.set(&wanted).await.expect("set");
        let link = system.link().await.expect("there");
        assert!(link.up);
        assert_eq!(link.mtu, Some(1420));
        assert_eq!(addresses(&netlink, "wg0").await, ["10.1.1.1/32", "fdaa::1/128"]);
        assert_eq!(our_routes(&netlink).await, ["10.0.0.0/8 src 10.1.1.1", "fdaa::/48 src fdaa::1"]);
        // Usable at once: an address in duplicate address detection could not be bound to.
        std::net::UdpSocket::bind("[fdaa::1]:0").expect("no duplicate address detection");

        system.set(&wanted).await.expect("the same again changes nothing");
        assert_eq!(our_routes(&netlink).await.len(), 2);
    });
}

#[test]
fn connections_over_our_routes_offer_ecn_those_of_an_earlier_version_too() {
    in_namespace(async |netlink| {
        let mut system = open();
        system.set(&desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "fdaa::/48"])).await.expect("set");
        assert!(our_routes_offer_ecn(&netlink).await);
        let earlier = RouteMessageBuilder::<IpAddr>::new()
            .output_interface(index(&netlink, "wg0").await)
            .protocol(RouteProtocol::Other(PROTOCOL))
            .scope(rtnetlink::packet_route::route::RouteScope::Link)
            .destination_prefix(ip("10.9.0.0"), 16)
            .and_then(|route| route.pref_source(ip("10.1.1.1")))
            .expect("a route")
            .build();
        netlink.route().add(earlier).execute().await.expect("added");
        assert!(!our_routes_offer_ecn(&netlink).await);
        let wanted = desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "10.9.0.0/16", "fdaa::/48"]);
        system.set(&wanted).await.expect("set");
        assert!(our_routes_offer_ecn(&netlink).await);
        assert_eq!(our_routes(&netlink).await.len(), 3);
    });
}

#[test]
fn host_bits_of_a_subnet_do_no_harm() {
    in_namespace(async |netlink| {
        let mut system = open();
        system.set(&desired(&["10.1.1.1"], &["10.1.1.0/8"])).await.expect("set");
        assert_eq!(our_routes(&netlink).await, ["10.0.0.0/8 src 10.1.1.1"]);
    });
}

#[test]
fn what_is_no_longer_wanted_goes_and_what_a_person_added_stays() {
    in_namespace(async |netlink| {
        let mut system = open();
        system.set(&desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "fdaa::/48"])).await.expect("set");
        let wg0 = index(&netlink, "wg0").await;
        netlink.address().add(wg0, ip("192.0.2.7"), 32).execute().await.expect("by hand");
        let by_hand = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(ip("198.51.100.0"), 24)
            .expect("a prefix")
            .output_interface(wg0)
            .build();
        netlink.route().add(by_hand).execute().await.expect("by hand");

        system.set(&desired(&["10.1.1.2"], &["10.1.0.0/16"])).await.expect("set");
        assert_eq!(addresses(&netlink, "wg0").await, ["10.1.1.2/32", "192.0.2.7/32"]);
        assert_eq!(our_routes(&netlink).await, ["10.1.0.0/16 src 10.1.1.2"]);
        let routes = all_routes(&netlink).await;
        assert!(routes.iter().any(|r| r.header.protocol == RouteProtocol::Static), "the route added by hand is kept");
    });
}

#[test]
fn a_route_takes_the_new_source_when_the_address_changes() {
    in_namespace(async |netlink| {
        let mut system = open();
        system.set(&desired(&["10.1.1.1"], &["10.0.0.0/8"])).await.expect("set");
        system.set(&desired(&["10.1.1.2"], &["10.0.0.0/8"])).await.expect("set");
        assert_eq!(our_routes(&netlink).await, ["10.0.0.0/8 src 10.1.1.2"]);
    });
}

#[test]
fn leavings_of_a_crashed_run_are_recognised() {
    in_namespace(async |netlink| {
        open().set(&desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "fdaa::/48"])).await.expect("set");
        // The next run knows nothing of the first but what stands on the interface.
        let mut next = open();
        next.set(&desired(&["10.9.9.9"], &["10.9.0.0/16"])).await.expect("set");
        assert_eq!(our_routes(&netlink).await, ["10.9.0.0/16 src 10.9.9.9"]);
        assert_eq!(addresses(&netlink, "wg0").await, ["10.9.9.9/32"]);
    });
}

#[test]
fn clean_up_leaves_nothing_of_ours_and_minds_no_missing_interface() {
    in_namespace(async |netlink| {
        let mut system = open();
        let mut wanted = desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "fdaa::/48"]);
        wanted.forwarding = true;
        system.set(&wanted).await.expect("set");
        system.clean_up().await.expect("clean");
        assert_eq!(addresses(&netlink, "wg0").await, Vec::<String>::new());
        assert_eq!(our_routes(&netlink).await, Vec::<String>::new());
        assert_eq!(forwarding("ipv4"), "0");
        netlink.link().del(index(&netlink, "wg0").await).execute().await.expect("delete");
        system.clean_up().await.expect("nothing left to clean");
        let error = system.set(&wanted).await.expect_err("no interface");
        assert!(error.to_string().contains("cannot find interface wg0"), "{error}");
    });
}

#[test]
fn a_route_of_someone_else_is_named() {
    in_namespace(async |netlink| {
        add_interface(&netlink, "eth0").await;
        set_up(&netlink, "eth0", "10.20.0.5", 16).await;
        let mut system = open();
        let error = system.set(&desired(&["10.20.0.9"], &["10.20.0.0/16"])).await;
        // The kernel's own route of eth0 has metric 0, as ours would.
        let error = error.expect_err("taken").to_string();
        assert!(error.contains("10.20.0.0/16 leads to eth0 already (by kernel)"), "{error}");
        assert_eq!(addresses(&netlink, "wg0").await, ["10.20.0.9/32"], "the rest is done all the same");
    });
}

#[test]
fn two_networks_with_one_subnet_name_each_other() {
    in_namespace(async |netlink| {
        add_interface(&netlink, "wg1").await;
        let mut other = LinuxSystem::open("wg1").expect("netlink");
        other.set(&desired(&["10.1.1.1"], &["10.0.0.0/8"])).await.expect("set");
        let error = open().set(&desired(&["10.1.1.2"], &["10.0.0.0/8"])).await.expect_err("taken").to_string();
        assert!(error.contains("leads to wg1 already (by another wgnet)"), "{error}");
        assert_eq!(our_routes(&netlink).await, ["10.0.0.0/8 src 10.1.1.1"], "the other network is untouched");
    });
}

fn forwarding(family: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/{family}/conf/wg0/forwarding")).expect("/proc").trim().to_owned()
}

#[test]
fn a_gateway_forwards_on_its_interface_only() {
    in_namespace(async |_netlink| {
        let mut system = open();
        let mut wanted = desired(&["10.1.1.1"], &["10.0.0.0/8"]);
        system.set(&wanted).await.expect("set");
        assert_eq!((forwarding("ipv4").as_str(), forwarding("ipv6").as_str()), ("0", "0"));
        wanted.forwarding = true;
        system.set(&wanted).await.expect("set");
        assert_eq!((forwarding("ipv4").as_str(), forwarding("ipv6").as_str()), ("1", "1"));
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/conf/lo/forwarding").expect("/proc").trim(), "0");
        wanted.forwarding = false;
        system.set(&wanted).await.expect("set");
        assert_eq!((forwarding("ipv4").as_str(), forwarding("ipv6").as_str()), ("0", "0"));
    });
}

/// Where a packet goes that came in by `interface`: the route's interface, or why there is none.
async fn forwarded(netlink: &Handle, interface: &str, to: &str) -> Result<u32, Errno> {
    let IpAddr::V4(to) = ip(to) else { panic!("an IPv4 address") };
    let mut request = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(to, 32)
        .source_prefix("10.1.1.2".parse().expect("an address"), 32)
        .input_interface(index(netlink, interface).await)
        .build();
    // A question for one destination wants the family and the addresses only.
    request.header.table = 0;
    request.header.protocol = RouteProtocol::Unspec;
    request.header.kind = rtnetlink::packet_route::route::RouteType::Unspec;
    match netlink.route().get(request).execute().try_next().await {
        Ok(route) => Ok(route.and_then(|route| route::interface_of(&route)).unwrap_or(0)),
        Err(e) => Err(errno(&e).unwrap_or(Errno::IO)),
    }
}

#[test]
fn what_a_gateway_forwards_stays_inside_the_mesh() {
    in_namespace(async |netlink| {
        add_interface(&netlink, "eth0").await;
        set_up(&netlink, "eth0", "192.0.2.1", 24).await;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("/proc");
        let mut system = open();
        let mut wanted = desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "fdaa::/48"]);
        wanted.forwarding = true;
        system.set(&wanted).await.expect("set");
        let wg0 = index(&netlink, "wg0").await;
        assert_eq!(forwarded(&netlink, "wg0", "10.1.1.3").await, Ok(wg0));
        assert_eq!(forwarded(&netlink, "wg0", "192.0.2.9").await, Err(Errno::HOSTUNREACH));
        // A next run finds what was left, and takes it away when it does not forward.
        let mut next = open();
        wanted.forwarding = false;
        next.set(&wanted).await.expect("set");
        assert_ne!(forwarded(&netlink, "wg0", "192.0.2.9").await, Err(Errno::HOSTUNREACH), "as the machine has it");
        next.clean_up().await.expect("clean");
        assert_eq!(our_routes(&netlink).await, Vec::<String>::new());
    });
}

#[test]
fn without_ipv6_the_ipv4_half_works() {
    in_namespace(async |netlink| {
        std::fs::write("/proc/sys/net/ipv6/conf/wg0/disable_ipv6", "1").expect("/proc");
        let mut system = open();
        system.set(&desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "fdaa::/48"])).await.expect("degraded, no error");
        assert_eq!(addresses(&netlink, "wg0").await, ["10.1.1.1/32"]);
        assert_eq!(our_routes(&netlink).await, ["10.0.0.0/8 src 10.1.1.1"]);
    });
}

#[test]
fn local_network_lists_the_underlay_alone() {
    in_namespace(async |netlink| {
        for name in ["eth0", "eth1", "wg1"] {
            add_interface(&netlink, name).await;
        }
        set_up(&netlink, "lo", "192.0.2.1", 32).await;
        set_up(&netlink, "eth0", "192.168.1.7", 24).await;
        let eth0 = index(&netlink, "eth0").await;
        let mut global = netlink.address().add(eth0, ip("2001:db8::7"), 64);
        global.message_mut().header.flags |= rtnetlink::packet_route::address::AddressHeaderFlags::Nodad;
        global.execute().await.expect("address");
        // An interface that is down.
        netlink.address().add(index(&netlink, "eth1").await, ip("192.168.2.7"), 24).execute().await.expect("address");
        let mut other = LinuxSystem::open("wg1").expect("netlink");
        other.set(&desired(&["10.9.1.1"], &["10.9.0.0/16"])).await.expect("another network's interface");
        let mut system = open();
        system.set(&desired(&["10.1.1.1", "fdaa::1"], &["10.1.0.0/16"])).await.expect("set");

        let network = system.local_network().await.expect("network");
        let local = |address: &str, prefix| LocalAddress { address: ip(address), prefix };
        assert_eq!(network.addresses, [local("192.168.1.7", 24), local("2001:db8::7", 64)]);
        // The far ends of the pairs are here, too, and up; the loopback, what is down and the overlays are none.
        let lans: Vec<_> = network.lans.iter().map(|lan| (lan.index, &lan.addresses[..])).collect();
        assert!(lans.contains(&(eth0, &network.addresses[..])), "{lans:?}");
        for other in ["lo", "eth1", "wg0", "wg1"] {
            let other = index(&netlink, other).await;
            assert!(lans.iter().all(|(index, _)| *index != other), "{lans:?}");
        }
    });
}

#[test]
fn a_new_address_is_noticed() {
    in_namespace(async |netlink| {
        let mut system = open();
        add_interface(&netlink, "eth0").await;
        // What was before is noticed too; wait until it has settled.
        while tokio::time::timeout(Duration::from_millis(200), system.network_changed()).await.is_ok() {}
        // A `network_changed` that is dropped halfway loses nothing.
        set_up(&netlink, "eth0", "192.168.1.7", 24).await;
        let _ = tokio::time::timeout(Duration::from_millis(5), system.network_changed()).await;
        let noticed = tokio::time::timeout(Duration::from_secs(2), system.network_changed()).await;
        assert!(noticed.is_ok(), "well before the 5 s of polling");
        assert_eq!(system.local_network().await.expect("network").addresses.len(), 1);
    });
}

#[test]
fn a_destination_behind_a_narrow_way_has_a_route_of_its_own_with_its_mtu() {
    in_namespace(async |netlink| {
        let mut system = open();
        let mtu_of = async |prefix: &str| {
            let address: IpAddr = prefix.parse().expect("an address");
            let length = if address.is_ipv4() { 32 } else { 128 };
            let routes = all_routes(&netlink).await;
            let is_it = |route: &&RouteMessage| {
                route.header.protocol == RouteProtocol::Other(PROTOCOL)
                    && route.header.destination_prefix_length == length
                    && route
                        .attributes
                        .iter()
                        .any(|a| matches!(a, RouteAttribute::Destination(to) if address_text(to) == prefix))
            };
            let route = routes.iter().find(is_it)?;
            route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Metrics(metrics) => metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                }),
                _ => None,
            })
        };
        let mut wanted = desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "fdaa::/48"]);
        wanted.path_mtus =
            vec![("10.1.1.9/32".parse().expect("a prefix"), 1_360), ("fdaa::9/128".parse().expect("a prefix"), 1_296)];
        system.set(&wanted).await.expect("set");
        assert_eq!((mtu_of("10.1.1.9").await, mtu_of("fdaa::9").await), (Some(1_360), Some(1_296)));
        let before = our_routes(&netlink).await;
        system.set(&wanted).await.expect("set again");
        assert_eq!(our_routes(&netlink).await, before);
        wanted.path_mtus[0].1 = 1_376;
        wanted.path_mtus.pop();
        system.set(&wanted).await.expect("changed");
        assert_eq!((mtu_of("10.1.1.9").await, mtu_of("fdaa::9").await), (Some(1_376), None));
        assert!(our_routes_offer_ecn(&netlink).await);
        // What a gateway forwards is looked up elsewhere.
        let confined = async || {
            let index = index(&netlink, "wg0").await;
            let all = all_routes(&netlink).await;
            let narrow = RouteAttribute::Metrics(vec![RouteMetric::Mtu(1_376)]);
            let is_it = |r: &&RouteMessage| route::table(r) == 0x5747_0000 + index && r.attributes.contains(&narrow);
            all.iter().filter(is_it).count()
        };
        assert_eq!(confined().await, 0);
        wanted.forwarding = true;
        system.set(&wanted).await.expect("a gateway");
        assert_eq!(confined().await, 1);
        wanted.path_mtus.clear();
        system.set(&wanted).await.expect("mended");
        assert_eq!(confined().await, 0);
        wanted.forwarding = false;
        system.set(&wanted).await.expect("mended");
        assert_eq!(our_routes(&netlink).await, ["10.0.0.0/8 src 10.1.1.1", "fdaa::/48 src fdaa::1"]);
    });
}

#[test]
fn the_underlay_carries_what_its_narrowest_way_out_carries() {
    in_namespace(async |netlink| {
        let mut system = open();
        let peers = [ip("192.168.2.9"), ip("127.0.0.1"), ip("fd02::9"), ip("203.0.113.5")];
        assert_eq!(system.underlay_mtu(&peers).await.expect("asked"), None, "there is no way out");
        for (name, address, mtu) in [("eth0", "192.168.1.7", 1_492), ("eth1", "192.168.2.7", 1_400)] {
            add_interface(&netlink, name).await;
            set_up(&netlink, name, address, 24).await;
            let change = LinkUnspec::new_with_index(index(&netlink, name).await).mtu(mtu).build();
            netlink.link().set(change).execute().await.expect("an MTU");
        }
        assert_eq!(system.underlay_mtu(&peers[1..]).await.expect("asked"), None, "nobody is in these networks");
        assert_eq!(system.underlay_mtu(&peers).await.expect("asked"), Some(("eth1".to_owned(), 1_400)));
        let way_out = RouteMessageBuilder::<IpAddr>::new().output_interface(index(&netlink, "eth0").await);
        let way_out = way_out.destination_prefix(ip("0.0.0.0"), 0).expect("a prefix").build();
        netlink.route().add(way_out).execute().await.expect("a default route");
        assert_eq!(system.underlay_mtu(&[]).await.expect("asked"), Some(("eth0".to_owned(), 1_492)));
        assert_eq!(system.underlay_mtu(&peers).await.expect("asked"), Some(("eth1".to_owned(), 1_400)));
    });
}
