//! A way that drops large packets without a word: it is found, told, and no packet is sent that would be lost on it.

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_tests::topology::{Row, network_of_row, row};
use netns_tests::{Impairment, Lab, Load, Node, allowed, until};
use wgnet_api::Status;

const SOON: Duration = Duration::from_secs(10);
/// A size is lost when that was seen several times, and there are some sizes to try.
const MEASURED: Duration = Duration::from_secs(40);
/// Packets of 1360 bytes in the tunnel are 1420 on an IPv4 underlay.
const LARGEST: usize = 1_420;
/// Some thousand packets.
const TRANSFER: usize = 4 << 20;
const PORT: u16 = 5_001;

fn black_hole(status: &Status) -> Option<String> {
    status.health.iter().find(|line| line.code == "mtu-black-hole").map(|line| format!("{} {}", line.text, line.remedy))
}

/// The MTU of the route to `to`, where it has one of its own.
fn route_mtu(node: &Node, to: IpAddr) -> Option<String> {
    let route = node.machine().command("ip", &["route", "show", &to.to_string()]);
    let mut words = route.split_whitespace();
    words.find(|word| *word == "mtu").and_then(|_| words.next()).map(ToOwned::to_owned)
}

fn ping(from: &Node, to: IpAddr, size: &str) -> Result<String, String> {
    let args = ["-c2", "-i0.2", "-W1", "-M", "do", "-s", size, &to.to_string()];
    from.machine().namespace().attempt("ping", &args, "")
}

/// Sends [`TRANSFER`] bytes by TCP; gives back how long that took.
fn transfer(from: &Node, to: &Node) {
    let (source, target) = (from.address(), SocketAddr::new(to.address(), PORT));
    let listener = to.machine().namespace().spawn("listen", move || TcpListener::bind(target).expect("a free port"));
    let listener = listener.join().expect("a listener");
    let receiver = to.machine().namespace().spawn("receive", move || {
        let (mut stream, peer) = listener.accept().expect("a connection");
        assert_eq!(peer.ip(), source);
        stream.set_read_timeout(Some(allowed(SOON))).expect("a timeout");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map(|_| bytes.len())
    });
    let sender = from.machine().namespace().spawn("send", move || {
        let mut stream = TcpStream::connect_timeout(&target, allowed(SOON)).expect("small packets pass");
        stream.set_write_timeout(Some(allowed(SOON))).expect("a timeout");
        stream.write_all(&vec![7; TRANSFER])?;
        stream.shutdown(Shutdown::Write)
    });
    sender.join().expect("the sender").expect("all is sent");
    assert_eq!(receiver.join().expect("the receiver").expect("all arrives"), TRANSFER);
}

/// ```text
///   bob ----- alice (hub) ===== charlie
///       1420                1500
/// ```
#[test]
fn a_way_that_drops_large_packets_is_found_and_told_and_carries_what_fits() {
    let lab = Lab::new("small path", Load::Light);
    let network = network_of_row(1).option("direct: never");
    let Row { nodes, segment } = row(&lab, lab.impaired("internet", 1), 3, &network);
    let [alice, bob, charlie] = &nodes[..] else { unreachable!("three nodes") };
    let narrow = Impairment { largest: Some(LARGEST), ..Impairment::default() };
    segment.impair(alice.machine(), bob.machine(), narrow);
    segment.impair(bob.machine(), alice.machine(), narrow);
    lab.start_all(&nodes);
    lab.all_pairs_pass(&nodes, SOON);
    assert!(ping(bob, alice.address(), "1200").is_ok(), "small ones pass");
    for node in [alice, bob] {
        let status = node.wait_for("the black hole is told", MEASURED, |status| black_hole(status).is_some());
        let told = black_hole(&status).expect("just seen");
        assert!(told.contains("1360 bytes") && told.contains("1376") && told.contains("mtu: 1360"), "{told}");
    }
    // Two links away as well.
    for (from, to) in [(alice, bob), (charlie, bob), (bob, alice), (bob, charlie)] {
        let mtu = until(SOON, || route_mtu(from, to.address()));
        assert_eq!(mtu.as_deref(), Some("1360"), "{} to {}", from.name(), to.name());
    }
    assert_eq!(route_mtu(charlie, alice.address()), None, "that way is a wide one");
    let refused = ping(charlie, bob.address(), "1333");
    assert!(refused.as_ref().is_err_and(|text| text.contains("1360")), "{refused:?}");
    assert!(ping(charlie, bob.address(), "1332").is_ok(), "1332 bytes, 8 of ICMP and 20 of IPv4");
    for (from, to) in [(charlie, bob), (bob, charlie), (bob, alice)] {
        transfer(from, to);
    }

    segment.impair(alice.machine(), bob.machine(), Impairment::default());
    segment.impair(bob.machine(), alice.machine(), Impairment::default());
    for node in [alice, bob] {
        let program = netns_tests::node::binary().display().to_string();
        node.machine().command(&program, &["probe", "--socket", &node.socket()]);
    }
    for node in [alice, bob] {
        node.wait_for("it is mended", MEASURED, |status| black_hole(status).is_none());
    }
    until(SOON, || route_mtu(charlie, bob.address()).is_none().then_some(())).expect("whole packets again");
    assert!(ping(charlie, bob.address(), "1392").is_ok());
}
