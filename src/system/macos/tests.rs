//! What is asked of the kernel of macOS, for a kernel that understands the same bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::message::tests::{dumped, read_change};
use super::watch::Watch;
use super::*;

/// A Mac with a tunnel interface, and with another network card; clones are the same one.
#[derive(Clone, Default)]
struct Mac(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    interfaces: Vec<String>,
    held: Vec<Held>,
    routes: Vec<(Route, Option<IpAddr>)>,
    mtu: u32,
    flags: u16,
    /// What each system call that changes something was, in order.
    calls: Vec<String>,
    refusal: Option<Errno>,
}

impl Mac {
    fn new() -> Self {
        let mac = Self::default();
        mac.with(|inside| inside.interfaces = ["lo0", "en0", "utun7", "utun8"].map(ToOwned::to_owned).into());
        mac
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        look(&mut self.0.lock().expect("no test holds it and fails"))
    }

    fn give(&self, interface: &str, address: &str, prefix: u8) {
        let local = LocalAddress { address: ip(address), prefix };
        let underlay = interface != "lo0";
        self.with(|inside| inside.held.push(Held { interface: interface.to_owned(), local, underlay }));
    }

    fn add_route(&self, prefix: &str, interface: &str, ours: bool) {
        let index = self.index(interface).expect("an interface").into();
        self.with(|inside| inside.routes.push((Route { prefix: net(prefix), index, next_hop: None, ours }, None)));
    }

    fn addresses_of(&self, interface: &str) -> Vec<String> {
        let of = |held: &&Held| held.interface == interface;
        self.with(|inside| inside.held.iter().filter(of).map(|held| held.local.address.to_string()).collect())
    }

    fn routes(&self) -> Vec<String> {
        let text = |(route, source): &(Route, Option<IpAddr>)| {
            let source = source.map(|source| format!(" from {source}")).unwrap_or_default();
            format!("{} to {}{source}", route.prefix, route.index)
        };
        self.with(|inside| inside.routes.iter().map(text).collect())
    }

    fn calls(&self) -> Vec<String> {
        self.with(|inside| std::mem::take(&mut inside.calls))
    }
}

/// Name and address in a structure.
fn named_address(bytes: &[u8]) -> (String, IpAddr) {
    let name = bytes[..16].split(|byte| *byte == 0).next().unwrap_or_default();
    let address = match bytes[17] {
        2 => IpAddr::from(Ipv4Addr::from(*bytes[20..].first_chunk::<4>().expect("four bytes"))),
        30 => IpAddr::from(Ipv6Addr::from(*bytes[24..].first_chunk::<16>().expect("sixteen bytes"))),
        other => panic!("family {other}"),
    };
    (String::from_utf8(name.to_vec()).expect("a name"), address)
}

impl Kernel for Mac {
    fn index(&self, interface: &str) -> Result<u16, Errno> {
        let position = self.with(|inside| inside.interfaces.iter().position(|name| name == interface));
        position.map(|at| at as u16 + 1).ok_or(Errno::NXIO)
    }

    fn name(&self, index: u32) -> Option<String> {
        self.with(|inside| inside.interfaces.get(index as usize - 1).cloned())
    }

    fn addresses(&self) -> Result<Vec<Held>, Errno> {
        Ok(self.with(|inside| inside.held.clone()))
    }

    fn mtu(&self, interface: &str) -> Result<u32, Errno> {
        Ok(match interface {
            "lo0" => 16_384,
            "en0" => 1_492,
            _ => self.with(|inside| inside.mtu),
        })
    }

    fn flags(&self, _: &str) -> Result<u16, Errno> {
        Ok(self.with(|inside| inside.flags))
    }

    fn request(&self, request: &Request) -> Result<(), Errno> {
        self.with(|inside| {
            if let Some(errno) = inside.refusal {
                return Err(errno);
            }
            let call = match request {
                Request::AddV4(_) | Request::AddV6(_) => {
                    let (interface, address) = match request {
                        Request::AddV4(bytes) => named_address(bytes),
                        Request::AddV6(bytes) => named_address(bytes),
                        _ => unreachable!("matched above"),
                    };
                    let call = format!("add {address}");
                    let prefix = if address.is_ipv4() { 32 } else { 128 };
                    inside.held.push(Held { interface, local: LocalAddress { address, prefix }, underlay: true });
                    call
                }
                Request::RemoveV4(bytes) => forget(inside, named_address(bytes)),
                Request::RemoveV6(bytes) => forget(inside, named_address(bytes)),
                Request::SetMtu(bytes) => {
                    inside.mtu = request::number(bytes);
                    format!("mtu {}", inside.mtu)
                }
                Request::SetFlags(bytes) => {
                    inside.flags = request::number(bytes) as u16;
                    format!("flags {:#x}", inside.flags)
                }
            };
            inside.calls.push(call);
            Ok(())
        })
    }

    fn route(&self, message: &[u8]) -> Result<(), Errno> {
        let (change, route) = read_change(message);
        self.with(|inside| {
            if let Some(errno) = inside.refusal {
                return Err(errno);
            }
            let there = inside.routes.iter().position(|(other, _)| other.prefix == route.prefix);
            match (change, there) {
                (Change::Add(_), Some(_)) => return Err(Errno::EXIST),
                (Change::Add(source), None) => {
                    inside.calls.push(format!("route {}", route.prefix));
                    inside.routes.push((route, source));
                }
                (Change::Remove, None) => return Err(Errno::SRCH),
                (Change::Remove, Some(at)) => {
                    inside.calls.push(format!("no route {}", route.prefix));
                    inside.routes.remove(at);
                }
            }
            Ok(())
        })
    }

    fn table(&self) -> Result<Vec<u8>, Errno> {
        let message = |(route, _): &(Route, Option<IpAddr>)| {
            dumped(route.prefix, route.index as u16, if route.ours { message::OURS } else { 0 })
        };
        Ok(self.with(|inside| inside.routes.iter().flat_map(message).collect()))
    }

    async fn changed(&mut self) {
        std::future::pending().await
    }
}

fn forget(inside: &mut Inside, (interface, address): (String, IpAddr)) -> String {
    inside.held.retain(|held| held.interface != interface || held.local.address != address);
    format!("remove {address}")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn desired(addresses: &[&str], routes: &[&str]) -> DesiredSystem {
    DesiredSystem {
        addresses: addresses.iter().map(|address| ip(address)).collect(),
        routes: routes.iter().map(|route| net(route)).collect(),
        mtu: 1420,
        ..DesiredSystem::default()
    }
}

#[tokio::test]
async fn an_interface_gets_everything_once() {
    let mac = Mac::new();
    let mut system = MacSystem::new("utun7", mac.clone());
    let wanted = desired(&["10.1.1.1", "fdaa::1"], &["10.1.1.0/8", "fdaa::/48"]);
    system.set(&wanted).await.expect("set");
    assert_eq!(
        mac.calls(),
        ["mtu 1420", "add 10.1.1.1", "add fdaa::1", "flags 0x1", "route 10.0.0.0/8", "route fdaa::/48"]
    );
    assert_eq!(mac.routes(), ["10.0.0.0/8 to 3 from 10.1.1.1", "fdaa::/48 to 3 from fdaa::1"]);
    system.set(&wanted).await.expect("the same again");
    assert!(mac.calls().is_empty(), "it changes nothing");
}

#[tokio::test]
async fn what_is_no_longer_wanted_goes_and_what_a_person_added_stays() {
    let mac = Mac::new();
    let mut system = MacSystem::new("utun7", mac.clone());
    system.set(&desired(&["10.1.1.1", "fdaa::1"], &["10.0.0.0/8", "fdaa::/48"])).await.expect("set");
    mac.give("utun7", "192.0.2.7", 32);
    mac.add_route("198.51.100.0/24", "utun7", false);
    mac.add_route("203.0.113.0/24", "utun8", true);
    mac.calls();

    system.set(&desired(&["10.1.1.2"], &["10.0.0.0/8", "10.2.0.0/16"])).await.expect("set");
    assert_eq!(
        mac.calls(),
        [
            "add 10.1.1.2",
            "no route 10.0.0.0/8",
            "route 10.0.0.0/8",
            "route 10.2.0.0/16",
            "no route fdaa::/48",
            "remove 10.1.1.1",
            "remove fdaa::1"
        ],
        "a route whose source went is made anew"
    );
    assert_eq!(mac.addresses_of("utun7"), ["192.0.2.7", "10.1.1.2"]);

    system.clean_up().await.expect("clean");
    assert_eq!(mac.addresses_of("utun7"), ["192.0.2.7"]);
    assert_eq!(mac.routes(), ["198.51.100.0/24 to 3", "203.0.113.0/24 to 4"]);
}

#[tokio::test]
async fn a_route_of_someone_else_is_named_and_the_rest_is_done() {
    for (ours, by) in [(false, ""), (true, " (by another wgnet)")] {
        let mac = Mac::new();
        mac.add_route("10.0.0.0/8", "utun8", ours);
        let mut system = MacSystem::new("utun7", mac.clone());
        let error = system.set(&desired(&["10.1.1.1"], &["10.0.0.0/8", "10.2.0.0/16"])).await.expect_err("taken");
        let said = error.to_string();
        assert!(said.starts_with("cannot add route 10.0.0.0/8 to utun7: "), "{said}");
        assert!(said.contains(&format!("leads to utun8 already{by} (choose another subnet")), "{said}");
        assert_eq!(mac.routes().len(), 2);
    }
}

#[tokio::test]
async fn a_persons_own_route_into_the_interface_will_do() {
    let mac = Mac::new();
    mac.add_route("10.0.0.0/8", "utun7", false);
    let mut system = MacSystem::new("utun7", mac.clone());
    system.set(&desired(&["10.1.1.1"], &["10.0.0.0/8"])).await.expect("set");
    system.clean_up().await.expect("clean");
    assert_eq!(mac.routes(), ["10.0.0.0/8 to 3"], "it was not ours to remove");
}

#[tokio::test]
async fn missing_rights_and_missing_interfaces_are_told_with_their_remedy() {
    let mac = Mac::new();
    mac.with(|inside| inside.refusal = Some(Errno::PERM));
    let mut system = MacSystem::new("utun7", mac.clone());
    let said = system.set(&desired(&["10.1.1.1"], &["10.0.0.0/8"])).await.expect_err("refused").to_string();
    assert!(said.starts_with("cannot set the MTU of utun7 to 1420") && said.ends_with("(run as root)"), "{said}");

    mac.with(|inside| inside.interfaces.clear());
    let said = system.set(&desired(&[], &[])).await.expect_err("gone").to_string();
    assert!(said.starts_with("cannot find interface utun7") && said.contains("start wgnet again"), "{said}");
    system.clean_up().await.expect("nothing is left to clean");
}

#[tokio::test]
async fn local_network_lists_the_underlay_alone() {
    let mac = Mac::new();
    mac.give("lo0", "127.0.0.1", 8);
    mac.give("en0", "192.168.1.7", 24);
    mac.give("en0", "fe80::7", 64);
    mac.give("en0", "2001:db8::7", 64);
    mac.give("utun8", "10.9.1.1", 32);
    mac.add_route("10.9.0.0/16", "utun8", true);
    let mut system = MacSystem::new("utun7", mac.clone());
    system.set(&desired(&["10.1.1.1"], &["10.1.0.0/16"])).await.expect("set");
    let local = |address: &str, prefix| LocalAddress { address: ip(address), prefix };
    let network = system.local_network().await.expect("network");
    assert_eq!(network.addresses, [local("192.168.1.7", 24), local("2001:db8::7", 64)]);
}

#[tokio::test]
async fn the_underlay_carries_what_the_ways_to_others_carry() {
    let mac = Mac::new();
    let mut system = MacSystem::new("utun7", mac.clone());
    system.set(&desired(&["10.1.1.1"], &["10.0.0.0/8"])).await.expect("set");
    mac.add_route("127.0.0.0/8", "lo0", false);
    let peers = [ip("198.51.100.1"), ip("127.0.0.1"), ip("10.1.1.2")];
    assert_eq!(system.underlay_mtu(&peers).await.expect("read"), None, "nothing but loopback and the tunnel itself");
    mac.add_route("0.0.0.0/0", "en0", false);
    assert_eq!(system.underlay_mtu(&peers).await.expect("read"), Some(("en0".to_owned(), 1_492)));
}

#[tokio::test]
async fn a_new_address_is_noticed_after_the_burst_and_a_route_is_not() {
    let (watched, kernel) = std::os::unix::net::UnixDatagram::pair().expect("sockets");
    watched.set_nonblocking(true).expect("a socket");
    let mut watch = Watch::over(watched.into()).expect("a watch");
    let (new_address, route_added) = ([8, 0, 5, 0xc, 0, 0, 0, 0], [8, 0, 5, 0x1, 0, 0, 0, 0]);
    kernel.send(&route_added).expect("room");
    assert!(tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_err(), "a route");
    for _ in 0..3 {
        kernel.send(&new_address).expect("room");
    }
    // A `changed` that is dropped halfway loses nothing.
    let _ = tokio::time::timeout(Duration::from_millis(5), watch.changed()).await;
    let noticed = tokio::time::timeout(Duration::from_secs(2), watch.changed()).await;
    assert!(noticed.is_ok(), "well before the 5 s of polling");
    assert!(tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_err(), "one burst, one look");
}
