//! The overlay against the networks of the machine.

use crate::config::conflict::{LocalRoute, Overlay, conflicts};
use crate::config::local::tables::{parse_v4, parse_v6};
use crate::config::tests::{SAMPLE, expect_lines, parsed};
use crate::config::{Located, Origin};

fn lan(network: &str, interface: &str) -> LocalRoute {
    LocalRoute { interface: interface.to_owned(), network: network.parse().expect("a network"), on_link: true }
}

fn routed(network: &str) -> LocalRoute {
    LocalRoute { on_link: false, ..lan(network, "eth0") }
}

/// What is said of a file whose subnet is `subnet`, with a peer at `endpoint` and `wg_ip`, started as `own`.
fn said(subnet: &str, endpoint: &str, wg_ip: &str, own: &str, local: &[LocalRoute]) -> Vec<String> {
    let text = SAMPLE.replace("10.1.1.0/8", subnet).replace("192.168.1.70:50000", endpoint);
    let file = parsed(&text.replace("wgIp: 10.1.1.1", &format!("wgIp: {wg_ip}")));
    let own = Located::new(own.parse().expect("an address"), Origin::Option("ADDRESS"));
    let overlay = Overlay::new(&file, Some("wg0"), &[own]);
    conflicts(&overlay, local).iter().map(ToString::to_string).collect()
}

const ENDPOINT: &str = "192.168.1.70:50000";

#[test]
fn networks_apart_from_the_overlay_are_no_conflict() {
    let local =
        [lan("192.168.1.0/24", "eth0"), lan("172.17.0.0/16", "docker0"), routed("0.0.0.0/0"), lan("fd00::/64", "eth0")];
    assert_eq!(said("10.1.1.0/8", ENDPOINT, "10.1.1.1", "10.1.1.9", &local), [""; 0]);
}

#[test]
fn routes_of_the_own_interface_are_left_over_from_an_earlier_run() {
    let local = [lan("10.0.0.0/8", "wg0"), lan("10.1.1.1/32", "wg0")];
    assert_eq!(said("10.1.1.0/8", ENDPOINT, "10.1.1.1", "10.1.1.9", &local), [""; 0]);
}

#[test]
fn an_overlay_that_is_or_lies_inside_the_lan_is_refused() {
    let say =
        |subnet: &str, lan_network: &str| said(subnet, ENDPOINT, "10.1.1.1", "10.1.1.9", &[lan(lan_network, "eth0")]);
    expect_lines(
        &say("10.1.1.0/8", "10.0.0.0/8"),
        &["net.yaml:3:11: the overlay 10.0.0.0/8 is this machine's network 10.0.0.0/8 (eth0) and would take"],
    );
    expect_lines(
        &say("10.1.1.0/24", "10.0.0.0/8"),
        &["net.yaml:3:11: the overlay 10.1.1.0/24 lies inside this machine's network 10.0.0.0/8 (eth0)"],
    );
}

#[test]
fn a_smaller_lan_inside_the_overlay_keeps_priority_with_one_warning() {
    let local = [lan("10.5.0.0/24", "eth0"), lan("10.6.0.0/24", "wlan0")];
    expect_lines(
        &said("10.1.1.0/8", ENDPOINT, "10.1.1.1", "10.1.1.9", &local),
        &[
            "net.yaml:3:11: warning: the overlay 10.0.0.0/8 covers this machine's 10.5.0.0/24 (eth0), 10.6.0.0/24 (wlan0), which keep",
        ],
    );
    let many: Vec<LocalRoute> = (0..9).map(|n| lan(&format!("10.5.{n}.0/24"), "eth0")).collect();
    assert!(
        said("10.1.1.0/8", ENDPOINT, "10.1.1.1", "10.1.1.9", &many)[0].contains("10.5.3.0/24 (eth0) and 5 more, which")
    );
}

#[test]
fn a_node_whose_address_lies_in_the_lan_is_refused() {
    let local = [lan("10.5.0.0/24", "eth0")];
    let warning = "net.yaml:3:11: warning: the overlay 10.0.0.0/8 covers";
    expect_lines(
        &said("10.1.1.0/8", ENDPOINT, "10.5.0.1", "10.1.1.9", &local),
        &[
            warning,
            "net.yaml:7:11: 10.5.0.1 lies in this machine's network 10.5.0.0/24 (eth0), which keeps its addresses",
        ],
    );
    expect_lines(
        &said("10.1.1.0/8", ENDPOINT, "10.1.1.1", "10.5.0.9", &local),
        &[warning, "ADDRESS: 10.5.0.9 lies in this machine's network 10.5.0.0/24 (eth0)"],
    );
}

#[test]
fn an_endpoint_inside_the_overlay_is_refused_unless_a_local_route_leads_to_it() {
    let endpoint = "10.9.9.9:50000";
    expect_lines(
        &said("10.1.1.0/8", endpoint, "10.1.1.1", "10.1.1.9", &[lan("192.168.0.0/16", "eth0")]),
        &[
            "net.yaml:5:15: the overlay 10.0.0.0/8 contains this endpoint: packets to 10.9.9.9 would loop into the tunnel (choose a smaller subnet",
        ],
    );
    let warning = ["net.yaml:3:11: warning: the overlay 10.0.0.0/8 covers this machine's 10.9.0.0/16 (eth0)"];
    expect_lines(&said("10.1.1.0/8", endpoint, "10.1.1.1", "10.1.1.9", &[lan("10.9.0.0/16", "eth0")]), &warning);
    expect_lines(&said("10.1.1.0/8", endpoint, "10.1.1.1", "10.1.1.9", &[routed("10.9.0.0/16")]), &warning);
    // The own endpoint is not sent to.
    assert_eq!(said("10.1.1.0/8", endpoint, "10.1.1.1", "10.1.1.1", &[]), [""; 0]);
    // A name may resolve to anything.
    assert_eq!(said("10.1.1.0/8", "a.example:50000", "10.1.1.1", "10.1.1.9", &[]), [""; 0]);
}

#[test]
fn one_mistake_is_one_error_even_if_it_has_several_effects() {
    let local = [lan("10.0.0.0/8", "eth0"), lan("10.1.0.0/16", "eth1")];
    expect_lines(
        &said("10.1.1.0/24", "10.1.1.70:50000", "10.1.1.1", "10.1.1.9", &local),
        &["net.yaml:3:11: the overlay 10.1.1.0/24 lies inside this machine's network 10.1.0.0/16 (eth1)"],
    );
}

#[test]
fn a_routed_network_around_the_overlay_is_a_warning_and_the_same_one_an_error() {
    expect_lines(
        &said("10.1.1.0/24", ENDPOINT, "10.1.1.1", "10.1.1.9", &[routed("10.0.0.0/8")]),
        &[
            "net.yaml:3:11: warning: the overlay 10.1.1.0/24 takes addresses from this machine's route to 10.0.0.0/8 by eth0",
        ],
    );
    expect_lines(
        &said("10.1.1.0/24", ENDPOINT, "10.1.1.1", "10.1.1.9", &[routed("10.1.1.0/24")]),
        &["net.yaml:3:11: this machine has a route to the overlay 10.1.1.0/24 already, by eth0"],
    );
}

#[test]
fn the_kernels_ipv4_table_is_read() {
    let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                 eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                 eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                 eth0\t0000000A\t010200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n\
                 *\t0000100A\t00000000\t0200\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                 short\n";
    if cfg!(target_endian = "little") {
        let expected = [routed("0.0.0.0/0"), lan("192.0.2.0/24", "eth0"), routed("10.0.0.0/8")];
        assert_eq!(parse_v4(table), expected);
    }
    assert_eq!(parse_v4(""), []);
}

#[test]
fn the_kernels_ipv6_table_is_read_without_what_every_machine_has() {
    let zeros = "0".repeat(32);
    let line = |destination: &str, length: &str, gateway: &str, flags: &str, interface: &str| {
        format!(
            "{destination:0<32} {length} {zeros} 00 {gateway:0<32} 00000100 00000001 00000000 {flags} {interface}\n"
        )
    };
    let table = [
        line("fd00", "40", "", "00000001", "eth0"),
        line("fd01", "30", "fd000000000000000000000000000001", "00000003", "eth0"),
        line("fe80", "40", "", "00000001", "eth0"),
        line("ff00", "08", "", "00000001", "eth0"),
        line("fd000000000000000000000000000002", "80", "", "80200001", "eth0"),
        line("", "00", "fd000000000000000000000000000001", "00000003", "eth0"),
        line("", "00", "", "00200200", "lo"),
    ]
    .concat();
    let expected = [lan("fd00::/64", "eth0"), routed("fd01::/48"), routed("::/0")];
    assert_eq!(parse_v6(&table), expected);
}

#[test]
fn this_machines_routes_can_be_read() {
    crate::config::local_routes().expect("routes, or none");
}
