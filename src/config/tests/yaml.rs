//! Files that are no YAML, or more of it than one expects.

use crate::config::network::parse_network;
use crate::config::tests::{KEY, SAMPLE, expect_lines, expect_one, parsed, said, sample_with};

fn said_of_bytes(bytes: &[u8]) -> Vec<String> {
    parse_network(bytes, "net.yaml").expect_err("mistakes").iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_file_says_so() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "~"] {
        expect_lines(&said(text), &["net.yaml: is empty (copy examples/net.yaml"]);
    }
}

#[test]
fn a_file_that_is_no_set_of_keys_says_so() {
    expect_lines(&said("- a\n- b\n"), &["net.yaml:1:1: the network file must be a set of keys, not a list"]);
    expect_lines(&said("hello"), &["net.yaml:1:1: the network file must be a set of keys, not a single value"]);
}

#[test]
fn tabs_and_broken_syntax_are_told_with_their_position() {
    expect_one(&[(3, "\tsubnet: 10.1.1.0/8")], "net.yaml:3:1: a tab indents this line (indent with spaces");
    expect_one(&[(6, "  \t  adminPort: 55555")], "net.yaml:6:3: a tab indents this line (indent with spaces");
    expect_one(&[(3, "  subnet: [10.1.1.0/8")], "net.yaml:4:6: is not valid YAML: ");
    expect_one(&[(3, "   subnet: 10.1.1.0/8")], "net.yaml:3:10: is not valid YAML: ");
    expect_one(&[(7, "    wgIp: \"10.1.1.1")], "net.yaml:7:11: is not valid YAML: ");
    expect_one(
        &[(7, "    wgIp: *nowhere")],
        "net.yaml:7:11: is not valid YAML: while parsing node, found unknown anchor",
    );
}

#[test]
fn text_that_is_not_utf_8_is_told_with_its_position() {
    let mut bytes = b"network:\n  name: caf".to_vec();
    bytes.extend([0xe9, b'\n']);
    expect_lines(&said_of_bytes(&bytes), &["net.yaml:2:12: is not UTF-8 text (save the file as UTF-8)"]);
    let utf_16: Vec<u8> = [0xff, 0xfe].into_iter().chain(SAMPLE.bytes().flat_map(|c| [c, 0])).collect();
    expect_lines(&said_of_bytes(&utf_16), &["net.yaml:1:1: is not UTF-8 text"]);
}

#[test]
fn columns_count_characters_and_lines_may_end_as_on_windows() {
    expect_one(&[(3, "  subnet: 10.1.1.0/8 # \u{e9}\n  name: \"\u{e9}\u{e9}\"")], "net.yaml:4:9: the network's name");
    let windows = sample_with(&[(7, "    wgIp: 11.1.1.1")]).replace('\n', "\r\n");
    expect_lines(&said(&windows), &["net.yaml:7:11: wgIp 11.1.1.1 is outside"]);
    parsed(&format!("\u{feff}{SAMPLE}"));
}

#[test]
fn a_key_given_twice_points_to_both_places() {
    expect_one(
        &[(6, "    adminPort: 55555\n    adminPort: 55556")],
        "net.yaml:7:5: adminPort is given twice, first at net.yaml:6:5",
    );
    expect_one(
        &[(1, "peers: [{endPoint: a.example:1, wgIp: 10.1.1.1}]\nnetwork:")],
        "net.yaml:5:1: peers is given twice, first at net.yaml:1:1",
    );
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let text = format!(
        "{}  - <<: *first\n    wgIp: 10.1.1.2\n    endPoint: b.example:50000\n",
        sample_with(&[(5, "  - &first\n    endPoint: &place 192.168.1.70:50000")])
    );
    let file = parsed(&text);
    assert_eq!(file.peers[1].peer.admin_port, 55555, "from the first peer");
    assert_eq!(file.peers[1].peer.endpoint.host, "b.example", "its own");
    let list = sample_with(&[(3, "  subnet: &net [10.1.1.0/8]\n  <<: [{mtu: 1300}, {mtu: 1400, name: x}]")]);
    let file = parsed(&list);
    assert_eq!(file.mtu, Some(1300), "the earlier one wins");
    assert_eq!(file.name.map(String::from).as_deref(), Some("x"));
    expect_one(&[(3, "  subnet: 10.1.1.0/8\n  <<: 3")], "net.yaml:4:3: ");
}

#[test]
fn an_alias_inside_its_own_anchor_is_refused() {
    expect_lines(&said("network: &a\n  name: *a\n"), &["net.yaml:2:9: "]);
}

#[test]
fn tags_and_second_documents_are_refused() {
    expect_one(&[(3, "  subnet: !net 10.1.1.0/8")], "net.yaml:3:");
    parsed(&sample_with(&[(3, "  subnet: !!str 10.1.1.0/8")]));
    expect_lines(&said(&format!("{SAMPLE}---\n{SAMPLE}")), &["net.yaml:8:1: a second YAML document begins here"]);
}

#[test]
fn a_key_that_is_no_text_is_refused() {
    expect_one(&[(1, "? [a, b]\n: c\nnetwork:")], "net.yaml:1:3: a list is no key");
}

#[test]
fn quotes_and_block_scalars_make_no_difference_to_text() {
    parsed(&sample_with(&[(2, &format!("  sharedKey: \"{KEY}\"")), (7, "    wgIp: '10.1.1.1'")]));
    parsed(&sample_with(&[(2, &format!("  sharedKey: |\n    {KEY}"))]));
    parsed(&sample_with(&[(7, "    wgIp: 10.1.1.1\n    name: 007")]));
}

#[test]
fn no_file_costs_more_than_its_own_size() {
    let laughs = (0..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        let next = n + 1;
        format!("{text}a{next}: &a{next} [{}]\n", vec![format!("*a{n}"); 9].join(","))
    });
    expect_lines(&said(&laughs), &["net.yaml:6:"]);
    assert!(said(&laughs)[0].contains("more than 100000 values"));
    expect_lines(&said(&"[".repeat(100_000)), &["net.yaml:1:256: is not valid YAML: recursion limit exceeded"]);
    expect_lines(&said(&"- ".repeat(100_000)), &["net.yaml:1:33: is nested deeper than 16 levels"]);
    expect_lines(&said(&" ".repeat(2 << 20)), &["net.yaml: is larger than 1048576 bytes"]);
}

/// Two parsers that read a file differently would be two meshes. serde_yaml is wg_netmanager's parser.
#[test]
fn serde_yaml_reads_the_same_values() {
    let samples = [SAMPLE, include_str!("../../../examples/net.yaml")];
    for text in samples {
        let tree: serde_yaml::Value = serde_yaml::from_str(text).expect("YAML");
        let (file, _) = parse_network(text.as_bytes(), "net.yaml").expect("a network file");
        let peer = &tree["peers"][0];
        assert_eq!(peer["endPoint"].as_str(), Some(file.peers[0].peer.endpoint.to_string().as_str()));
        assert_eq!(peer["adminPort"].as_u64(), Some(file.peers[0].peer.admin_port.into()));
        assert_eq!(peer["wgIp"].as_str(), Some(file.peers[0].peer.addresses[0].to_string().as_str()));
    }
}
