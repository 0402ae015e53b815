//! Mistakes in `peers:`.

use crate::config::tests::{KEY, OTHER_KEY, SAMPLE, expect_lines, expect_one, parsed, said, sample_with};

/// The sample and a second peer (its first line is 8).
fn with_second(item: &str) -> String {
    format!("{SAMPLE}{item}")
}

#[track_caller]
fn expect_second(item: &str, expected: &[&str]) {
    expect_lines(&said(&with_second(item)), expected);
}

#[test]
fn every_optional_key_is_read() {
    let item = format!(
        "  - endPoint: \"[2001:db8::1]:51820\"\n    wgIp: [10.1.1.2]\n    name: box-1\n    publicKey: {OTHER_KEY}\n    gateway: false\n    cost: 1000000\n"
    );
    let file = parsed(&with_second(&item));
    let peer = &file.peers[1].peer;
    assert_eq!(peer.endpoint.to_string(), "[2001:db8::1]:51820");
    assert_eq!(peer.endpoint.host, "2001:db8::1");
    assert_eq!(peer.admin_port, 50502, "50500 + last octet");
    assert_eq!(peer.name.as_ref().map(|name| name.as_str()), Some("box-1"));
    assert_eq!(peer.public_key.map(|key| key.to_string()).as_deref(), Some(OTHER_KEY));
    assert_eq!((peer.gateway, peer.cost), (Some(false), Some(1_000_000)));
}

#[test]
fn a_peer_may_have_an_address_of_each_family() {
    let text = sample_with(&[(3, "  subnet: [10.0.0.0/8, \"fd01::/64\"]"), (7, "    wgIp: [\"fd01::7\", 10.1.1.1]")]);
    let text = text.replace("    adminPort: 55555\n", "");
    let file = parsed(&text);
    assert_eq!(file.peers[0].peer.addresses.len(), 2);
    assert_eq!(file.peers[0].peer.admin_port, 50507, "the first address counts");
    expect_one(
        &[(7, "    wgIp: [10.1.1.1, 10.1.1.2]")],
        "net.yaml:7:22: wgIp 10.1.1.2 is a second IPv4 address of the same node",
    );
}

#[test]
fn an_empty_or_missing_list_is_a_warning() {
    let head: String = SAMPLE.lines().take(3).map(|line| format!("{line}\n")).collect();
    expect_lines(&said(&head), &["net.yaml:1:1: warning: no static peer is listed, so no node can find another"]);
    expect_lines(&said(&format!("{head}peers: []\n")), &["net.yaml:4:8: warning: no static peer is listed"]);
    expect_lines(&said(&format!("{head}peers:\n")), &["net.yaml:4:1: peers has no value"]);
    expect_lines(&said(&format!("{head}peers: alice\n")), &["net.yaml:4:8: peers must be a list, not a single value"]);
    expect_lines(
        &said(&format!("{head}peers: [alice]\n")),
        &["net.yaml:4:9: a peer must be a set of keys, not a single value"],
    );
}

#[test]
fn what_a_peer_needs_is_named_when_missing() {
    expect_one(&[(5, "  -"), (6, "    adminPort: 55555")], "net.yaml:6:5: this peer has no endPoint");
    expect_one(&[(7, "")], "net.yaml:5:5: this peer has no wgIp");
    expect_one(&[(7, "    wgIp:")], "net.yaml:7:5: wgIp has no value");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    expect_one(
        &[(6, "    adminport: 55555")],
        "net.yaml:6:5: unknown key adminport in a peer (did you mean adminPort?)",
    );
    expect_one(
        &[(6, "    admin_port: 55555")],
        "net.yaml:6:5: unknown key admin_port in a peer (did you mean adminPort?)",
    );
    expect_one(&[(6, "    pubkey: x")], "net.yaml:6:5: unknown key pubkey in a peer (did you mean publicKey?)");
    expect_one(&[(6, "    sharedKey: x")], "net.yaml:6:5: unknown key sharedKey in a peer (");
}

#[test]
fn an_endpoint_that_nothing_can_be_sent_to_is_refused() {
    let expect = |endpoint: &str, what: &str| {
        expect_one(&[(5, &format!("  - endPoint: {endpoint}"))], &format!("net.yaml:5:15: endPoint {what}"));
    };
    expect("192.168.1.70", "\"192.168.1.70\" has no port");
    expect("\"192.168.1.70:\"", "\"192.168.1.70:\" has no valid port");
    expect("192.168.1.70:0", "\"192.168.1.70:0\" has no valid port");
    expect("192.168.1.70:65536", "\"192.168.1.70:65536\" has no valid port");
    expect("192.168.1.70:+50", "\"192.168.1.70:+50\" has no valid port");
    expect("192.168.1.370:50000", "\"192.168.1.370:50000\" has no valid host");
    expect("2001:db8::1:50000", "\"2001:db8::1:50000\" has an IPv6 address without brackets");
    expect("\"[2001:db8::1]\"", "\"[2001:db8::1]\" has an IPv6 address without brackets");
    expect("\"[10.0.0.1]:50000\"", "\"[10.0.0.1]:50000\" has no valid host");
    expect("\"two words:50000\"", "\"two words:50000\" has no valid host");
    expect("\":50000\"", "\":50000\" has no valid host");
    expect("0.0.0.0:50000", "\"0.0.0.0:50000\" is no address that packets can be sent to");
    expect("{host: x}", "must be a single value, not a set of keys");
}

#[test]
fn host_names_are_taken_in_lower_case() {
    let file = parsed(&sample_with(&[(5, "  - endPoint: My_Box.Example.org:50000")]));
    assert_eq!(file.peers[0].peer.endpoint.host, "my_box.example.org");
}

#[test]
fn an_address_that_no_node_can_hold_is_refused() {
    let expect = |address: &str, what: &str| {
        expect_one(&[(7, &format!("    wgIp: {address}"))], &format!("net.yaml:7:11: wgIp {what}"));
    };
    expect("10.1.1.300", "\"10.1.1.300\" is no IP address (write it as 10.1.1.1 or fd00::1)");
    expect("10.1.1.1/8", "\"10.1.1.1/8\" is no IP address (write the address alone");
    expect("11.1.1.1", "11.1.1.1 is outside the subnet 10.0.0.0/8");
    expect("\"fd00::1\"", "fd00::1 is outside the subnet 10.0.0.0/8");
    expect("10.0.0.0", "10.0.0.0 is the address of the network itself");
    expect("10.255.255.255", "10.255.255.255 is the broadcast address of the network");
    expect("127.0.0.1", "127.0.0.1 is a loopback address");
    expect("\"::ffff:10.1.1.1\"", "::ffff:10.1.1.1 is an IPv4 address written as IPv6");
    expect("224.0.0.1", "224.0.0.1 is a multicast address");
}

#[test]
fn a_duplicate_address_points_to_both_places() {
    expect_second(
        "  - endPoint: 192.168.1.71:50000\n    wgIp: 10.1.1.1\n",
        &["net.yaml:9:11: wgIp 10.1.1.1 is already used by the peer at net.yaml:7:11 (give each node"],
    );
}

#[test]
fn a_copied_peer_is_one_error() {
    expect_second(
        "  - endPoint: 192.168.1.70:50000\n    adminPort: 55555\n    wgIp: 10.1.1.1\n",
        &["net.yaml:10:11: wgIp 10.1.1.1 is already used by the peer at net.yaml:7:11"],
    );
}

#[test]
fn a_duplicate_name_or_key_points_to_both_places() {
    let text = format!(
        "{SAMPLE}    name: box\n    publicKey: {OTHER_KEY}\n  - endPoint: a.example:50000\n    wgIp: 10.1.1.2\n    name: box\n    publicKey: {OTHER_KEY}\n"
    );
    expect_lines(
        &said(&text),
        &[
            "net.yaml:12:11: name box is already used by the peer at net.yaml:8:11",
            "net.yaml:13:16: this publicKey is already used by the peer at net.yaml:9:16",
        ],
    );
}

#[test]
fn a_duplicate_endpoint_points_to_both_places() {
    expect_second(
        "  - endPoint: 192.168.1.70:50000\n    wgIp: 10.1.1.2\n",
        &["net.yaml:8:15: endPoint 192.168.1.70:50000 is already the one of the peer at net.yaml:5:15"],
    );
}

#[test]
fn ports_that_clash_on_one_host_are_refused() {
    expect_one(
        &[(6, "    adminPort: 50000")],
        "net.yaml:6:16: adminPort 50000 on host 192.168.1.70 clashes with the endPoint at net.yaml:5:15",
    );
    expect_second(
        "  - endPoint: 192.168.1.70:50001\n    adminPort: 55555\n    wgIp: 10.1.1.2\n",
        &["net.yaml:9:16: adminPort 55555 on host 192.168.1.70 clashes with the adminPort at net.yaml:6:16"],
    );
    expect_second(
        "  - endPoint: 192.168.1.70:55555\n    wgIp: 10.1.1.2\n",
        &["net.yaml:8:15: endPoint 55555 on host 192.168.1.70 clashes with the adminPort at net.yaml:6:16"],
    );
    expect_second(
        "  - endPoint: b.example:50502\n    wgIp: 10.1.1.2\n",
        &[
            "net.yaml:9:11: adminPort 50502 (default: 50500 + last octet of wgIp) on host b.example clashes with the endPoint at net.yaml:8:15",
        ],
    );
    // The same ports on different hosts are what one expects.
    parsed(&with_second("  - endPoint: 192.168.1.71:50000\n    adminPort: 55555\n    wgIp: 10.1.1.2\n"));
}

#[test]
fn a_public_key_that_is_no_key_is_refused() {
    let line = |key: &str| format!("    wgIp: 10.1.1.1\n    publicKey: {key}");
    expect_one(&[(7, &line("abc"))], "net.yaml:8:16: publicKey has 3 characters, and the base64 of 32 bytes has 44");
    expect_one(&[(7, &line(&format!("{}=", "A".repeat(43))))], "net.yaml:8:16: publicKey is no key of any node");
    expect_one(&[(7, &line(&KEY.replace('=', "!")))], "net.yaml:8:16: publicKey is not base64: character 44");
}

#[test]
fn a_value_of_the_wrong_type_or_size_is_refused() {
    let line = |extra: &str| format!("    wgIp: 10.1.1.1\n{extra}");
    expect_one(
        &[(7, &line("    cost: 0"))],
        "net.yaml:8:11: cost cannot be \"0\" (write a whole number from 1 to 1000000)",
    );
    expect_one(&[(7, &line("    cost: 1000001"))], "net.yaml:8:11: cost cannot be");
    expect_one(
        &[(7, &line("    gateway: yes"))],
        "net.yaml:8:14: gateway cannot be \"yes\" (write true or false, without quotes)",
    );
    expect_one(&[(7, &line("    gateway: \"true\""))], "net.yaml:8:14: gateway cannot be \"true\"");
    expect_one(&[(7, &line("    gateway: [true]"))], "net.yaml:8:14: gateway must be a single value, not a list");
    expect_one(
        &[(7, &line("    name: Box"))],
        "net.yaml:8:11: a node's name cannot be \"Box\" (use \"box\": 1 to 63 lower-case",
    );
    expect_one(
        &[(6, "    adminPort: 70000")],
        "net.yaml:6:16: adminPort cannot be \"70000\" (write a whole number from 1 to 65535)",
    );
}

#[test]
fn a_weight_is_a_whole_number_of_a_gateway() {
    let item = |options: &str| format!("  - endPoint: 192.0.2.2:50000\n    wgIp: 10.1.1.2\n{options}");
    assert_eq!(parsed(&with_second(&item("    weight: 0\n"))).peers[1].peer.weight, Some(0));
    assert_eq!(parsed(&with_second(&item(""))).peers[1].peer.weight, None);
    for wrong in ["-1", "1001", "1.5", "heavy"] {
        let remedy = "write a whole number from 0 to 1000";
        let expected = format!("net.yaml:10:13: weight cannot be \"{wrong}\" ({remedy})");
        expect_second(&item(&format!("    weight: {wrong}\n")), &[&expected]);
    }
    expect_second(
        &item("    gateway: false\n    weight: 2\n"),
        &["net.yaml:11:13: weight is a gateway's share of the leaves, and this peer is no gateway (remove it, or \
           gateway: false)"],
    );
}
