//! Mistakes in `network:`.

use crate::config::tests::{KEY, SAMPLE, expect_lines, expect_one, parsed, said, sample_with};
use crate::mesh::config::{DirectMode, GatewayPolicy};

#[test]
fn wg_netmanagers_sample_is_taken_with_a_warning_about_its_published_key() {
    let text = "\
network:
  sharedKey: YDUBM6FhERePZ4gPlxzAbCN7K61BPjy7HApWYL+P128=
  subnet: 10.1.1.0/8
peers:
  - endPoint: 192.168.1.70:50000
    adminPort: 55555
    wgIp: 10.1.1.1
";
    expect_lines(&said(text), &["net.yaml:2:14: warning: sharedKey is the published sample key"]);
}

#[test]
fn host_bits_of_the_subnet_are_cleared_and_the_rest_gets_defaults() {
    let file = parsed(SAMPLE);
    assert_eq!(file.subnets[0].value.to_string(), "10.0.0.0/8");
    assert_eq!(file.mtu, None);
    assert_eq!(file.direct, DirectMode::Auto);
    assert_eq!(file.gateways, GatewayPolicy::Static);
    assert_eq!(file.name, None);
    let peer = &file.peers[0].peer;
    assert_eq!(peer.endpoint.to_string(), "192.168.1.70:50000");
    assert_eq!(peer.admin_port, 55555);
    assert_eq!(peer.addresses, ["10.1.1.1".parse::<std::net::IpAddr>().expect("an address")]);
    assert_eq!((peer.gateway, peer.cost, peer.name.clone(), peer.public_key), (None, None, None, None));
}

#[test]
fn every_optional_key_is_read() {
    let subnet = "  subnet: [10.1.1.0/24, \"fd01::/64\"]\n  name: home\n  mtu: 1280\n  direct: never\n  gateways: any";
    let file = parsed(&sample_with(&[(3, subnet)]));
    assert_eq!(file.name.map(String::from).as_deref(), Some("home"));
    assert_eq!(file.mtu, Some(1280));
    assert_eq!(file.direct, DirectMode::Never);
    assert_eq!(file.gateways, GatewayPolicy::Any);
    assert_eq!(file.subnets[1].value.to_string(), "fd01::/64");
    assert_eq!(file.subnets[1].origin.to_string(), "net.yaml:3:25");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let line = |text: &str| format!("  subnet: 10.1.1.0/8\n{text}");
    expect_lines(
        &said(&sample_with(&[(3, &line("  sharedkeyfile: net.key"))])),
        &["net.yaml:4:3: unknown key sharedkeyfile in network (did you mean sharedKeyFile?)"],
    );
    expect_one(
        &[(3, &line("  gateway: any"))],
        "net.yaml:4:3: unknown key gateway in network (did you mean gateways?)",
    );
    expect_one(
        &[(3, &line("  shared_key_file: x"))],
        "net.yaml:4:3: unknown key shared_key_file in network (did you mean sharedKeyFile?)",
    );
    expect_one(&[(3, &line("  zzz: any"))], "net.yaml:4:3: unknown key zzz in network (known here: sharedKey, ");
    expect_one(
        &[(1, "networks: {}\nnetwork:")],
        "net.yaml:1:1: unknown key networks in the network file (did you mean network?)",
    );
}

#[test]
fn a_misspelt_required_key_is_two_findings_at_most() {
    expect_lines(
        &said(&sample_with(&[(3, "  subnett: 10.1.1.0/8")])),
        &["net.yaml:2:3: subnet is missing", "net.yaml:3:3: unknown key subnett in network (did you mean subnet?)"],
    );
}

#[test]
fn a_missing_section_or_key_is_named() {
    expect_lines(
        &said("peers: []"),
        &["net.yaml:1:1: the section network is missing", "net.yaml:1:8: warning: no static"],
    );
    expect_one(&[(2, "")], "net.yaml:3:3: sharedKey is missing (make one with `wgnet genkey`");
    expect_one(&[(3, "")], "net.yaml:2:3: subnet is missing");
    expect_one(&[(3, "  subnet:")], "net.yaml:3:3: subnet has no value");
    expect_one(&[(2, "  sharedKey: ~")], "net.yaml:2:3: sharedKey has no value");
}

#[test]
fn a_shared_key_that_is_no_key_is_refused_and_never_shown() {
    let at = |what: &str| format!("net.yaml:2:14: sharedKey {what}");
    let line = |key: &str| format!("  sharedKey: {key}");
    let short = &KEY[..40];
    expect_one(&[(2, &line(short))], &at("has 40 characters, and the base64 of 32 bytes has 44"));
    expect_one(&[(2, &line(&format!("{KEY}{KEY}")))], &at("has 88 characters"));
    expect_one(&[(2, &line(&KEY.replace('=', "-")))], &at("is not base64: character 44 cannot be in a key"));
    expect_one(&[(2, &line(&KEY.replace('=', "A")))], &at("is not the base64 of 32 bytes"));
    expect_one(&[(2, &line("\"\""))], &at("has 0 characters"));
    expect_one(&[(2, "  sharedKey: [a]")], &at("must be a single value, not a list"));
}

#[test]
fn a_shared_key_that_protects_nothing_is_refused() {
    let zeros = format!("  sharedKey: {}=", "A".repeat(43));
    expect_one(&[(2, &zeros)], "net.yaml:2:14: sharedKey is all zeros");
    // 0x41 thirty-two times, and "abcd" eight times.
    expect_one(
        &[(2, "  sharedKey: QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=")],
        "net.yaml:2:14: sharedKey repeats a few bytes",
    );
    expect_one(
        &[(2, "  sharedKey: YWJjZGFiY2RhYmNkYWJjZGFiY2RhYmNkYWJjZGFiY2Q=")],
        "net.yaml:2:14: sharedKey repeats a few bytes",
    );
}

#[test]
fn a_key_in_the_wrong_place_is_not_shown() {
    let subnet = |extra: &str| format!("  subnet: 10.1.1.0/8\n{extra}");
    for extra in [
        format!("  name: {KEY}"),
        format!("  direct: {KEY}"),
        format!("  mtu: {KEY}"),
        format!("  {KEY}: 1"),
        format!("  \"sharedKey:{KEY}\": 1"),
    ] {
        let said = said(&sample_with(&[(3, &subnet(&extra))]));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(!said[0].contains(&KEY[..8]) && said[0].contains("hidden"), "{said:?}");
    }
    expect_one(&[(2, &format!("  sharedKeyFile: {KEY}"))], "net.yaml:2:18: sharedKeyFile holds a key, not the path");
    let said = said(&sample_with(&[(2, &format!("  sharedKey:{KEY}"))]));
    assert!(!said.is_empty() && said.iter().all(|line| !line.contains(&KEY[..8])), "{said:?}");
}

#[test]
fn a_key_and_a_key_file_together_are_refused() {
    expect_one(
        &[(3, "  sharedKeyFile: net.key\n  subnet: 10.1.1.0/8")],
        "net.yaml:3:18: sharedKey and sharedKeyFile are both given (keep one of the two)",
    );
}

#[test]
fn debug_output_holds_no_key() {
    let file = parsed(SAMPLE);
    let shown = format!("{file:?}");
    assert!(!shown.contains(&KEY[..8]) && shown.contains("NetworkKey(..)"), "{shown}");
}

#[test]
fn a_subnet_that_is_no_private_network_is_refused_or_warned_of() {
    let at = |what: &str| format!("net.yaml:3:11: {what}");
    let line = |net: &str| format!("  subnet: {net}");
    // The peer's address would be outside: give it up, the subnet is the matter here.
    let alone = |net: &str| said(&format!("network:\n  sharedKey: {KEY}\n{}\npeers: []\n", line(net)));
    let expect = |net: &str, what: &str| expect_lines(&alone(net)[..1], &[&at(what)]);
    expect("10.1.1.0", "subnet \"10.1.1.0\" has no prefix length (write an address and a prefix length");
    expect("10.1.1.0/33", "subnet \"10.1.1.0/33\" is no network");
    expect("ten", "subnet \"ten\" is no network");
    expect("0.0.0.0/0", "subnet 0.0.0.0/0 is the whole internet");
    expect("\"::/0\"", "subnet ::/0 is the whole internet");
    expect("127.1.0.0/16", "subnet 127.1.0.0/16 overlaps the loopback network");
    expect("0.0.0.0/1", "subnet 0.0.0.0/1 overlaps the loopback network 127.0.0.0/8");
    expect("224.0.0.0/8", "subnet 224.0.0.0/8 overlaps the multicast network");
    expect("\"fe80::/64\"", "subnet fe80::/64 overlaps the link-local network");
    expect("8.8.8.0/24", "warning: subnet 8.8.8.0/24 holds public addresses");
    expect("\"2a00::/32\"", "warning: subnet 2a00::/32 holds public addresses");
    expect("{a: b}", "subnet must be a single value, not a set of keys");
    expect("[]", "subnet is an empty list");
}

#[test]
fn overlapping_subnets_are_refused_at_the_second() {
    expect_one(
        &[(3, "  subnet: [10.0.0.0/8, 10.1.0.0/16]")],
        "net.yaml:3:24: subnet 10.1.0.0/16 overlaps 10.0.0.0/8, given at net.yaml:3:12",
    );
}

#[test]
fn a_long_list_of_subnets_is_refused() {
    let nets: Vec<String> = (0..17).map(|n| format!("10.{n}.0.0/16")).collect();
    let list = format!("  subnet:\n    - {}", nets.join("\n    - "));
    expect_one(&[(3, &list)], "net.yaml:20:7: subnet lists 17 networks, and at most 16 are possible");
}

#[test]
fn a_value_of_the_wrong_type_or_size_is_refused() {
    let line = |extra: &str| format!("  subnet: 10.1.1.0/8\n{extra}");
    expect_one(
        &[(3, &line("  mtu: 1279"))],
        "net.yaml:4:8: mtu cannot be \"1279\" (write a whole number from 1280 to 9000)",
    );
    expect_one(&[(3, &line("  mtu: 9001"))], "net.yaml:4:8: mtu cannot be");
    expect_one(&[(3, &line("  mtu: 01420"))], "net.yaml:4:8: mtu cannot be");
    expect_one(&[(3, &line("  mtu: 0x600"))], "net.yaml:4:8: mtu cannot be");
    expect_one(&[(3, &line("  mtu: 1420.0"))], "net.yaml:4:8: mtu cannot be");
    expect_one(&[(3, &line("  mtu: +1420"))], "net.yaml:4:8: mtu cannot be");
    expect_one(&[(3, &line("  mtu: 99999999999999999999"))], "net.yaml:4:8: mtu cannot be");
    expect_one(
        &[(3, &line("  mtu: \"1420\""))],
        "net.yaml:4:8: mtu must be a number, and in quotes it is text (remove the quotes)",
    );
    expect_one(&[(3, &line("  mtu: [1420]"))], "net.yaml:4:8: mtu must be a single value, not a list");
    expect_one(
        &[(3, &line("  direct: sometimes"))],
        "net.yaml:4:11: direct cannot be \"sometimes\" (write one of: auto, always, on-demand, never)",
    );
    expect_one(
        &[(3, &line("  gateways: none"))],
        "net.yaml:4:13: gateways cannot be \"none\" (write one of: static, any)",
    );
    expect_one(&[(3, &line("  name: My Net"))], "net.yaml:4:9: the network's name cannot be \"My Net\"");
}

#[test]
fn all_mistakes_are_named_at_once_in_the_order_of_the_text() {
    let text = sample_with(&[
        (2, "  sharedKey: short"),
        (5, "  - endPoint: nowhere"),
        (6, "    adminPort: 0"),
        (7, "    wgIp: 11.1.1.1"),
    ]);
    expect_lines(
        &said(&text),
        &[
            "net.yaml:2:14: sharedKey has 5 characters",
            "net.yaml:5:15: endPoint \"nowhere\" has no port",
            "net.yaml:6:16: adminPort cannot be \"0\"",
            "net.yaml:7:11: wgIp 11.1.1.1 is outside the subnet 10.0.0.0/8",
        ],
    );
}
