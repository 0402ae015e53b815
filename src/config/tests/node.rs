//! node.yaml, options and variables: mistakes, precedence, and contradictions to the network file.

use std::fs;

use tempfile::TempDir;

use crate::config::tests::{KEY, SAMPLE, expect_lines};
use crate::config::{Config, Given, Located, Origin, TunnelMode, check, load};
use crate::mesh::config::Class;

/// A directory with a network file and a node file.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new(network: &str, node: &str) -> Self {
        let files = Self { directory: tempfile::tempdir().expect("a directory") };
        files.write("net.yaml", network);
        files.write("node.yaml", node);
        files
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    }

    fn given(&self) -> Given {
        Given {
            network_file: Some(self.directory.path().join("net.yaml")),
            node_file: Some(self.directory.path().join("node.yaml")),
            ..Given::default()
        }
    }

    /// What is said when the daemon would start; the directory's name left out.
    fn said(&self, given: &Given) -> Vec<String> {
        let diagnostics = match load(given) {
            Ok((_, warnings)) => warnings,
            Err(diagnostics) => diagnostics,
        };
        let directory = format!("{}/", self.directory.path().display());
        diagnostics.iter().map(|diagnostic| diagnostic.to_string().replace(&directory, "")).collect()
    }

    #[track_caller]
    fn load(&self, given: &Given) -> Config {
        load(given).map_err(|_| self.said(given)).expect("no mistake").0
    }
}

fn option(text: &str, name: &'static str) -> Located<String> {
    Located::new(text.to_owned(), Origin::Option(name))
}

const NODE: &str = "wgInterface: wg0\nwgIp: 10.1.1.9\nname: alice\n";

#[track_caller]
fn expect_node(node: &str, expected: &[&str]) {
    let files = Files::new(SAMPLE, node);
    expect_lines(&files.said(&files.given()), expected);
}

#[test]
fn node_yaml_alone_makes_a_node() {
    let files = Files::new(SAMPLE, NODE);
    let config = files.load(&files.given());
    assert_eq!(config.interface, "wg0");
    assert_eq!(config.mesh.name.as_str(), "alice");
    assert_eq!(config.mesh.addresses, ["10.1.1.9".parse::<std::net::IpAddr>().expect("an address")]);
    assert_eq!((config.mesh.wg_port, config.mesh.admin_port), (50_009, 50_509), "50000 and 50500 + last octet");
    assert_eq!((config.tunnel, config.port_mapping), (TunnelMode::Auto, true));
    assert_eq!(config.mesh.class, Class::Server);
    assert!(!config.mesh.offer_gateway && config.mesh.lan);
    assert_eq!(config.state_dir.display().to_string(), "/var/lib/wgnet");
    assert_eq!(config.interface_state_dir().display().to_string(), "/var/lib/wgnet/wg0");
    assert!(config.socket.ends_with("wgnet/wg0.sock"));
    assert!(config.mesh.own_static().is_none());
}

#[test]
fn every_key_of_node_yaml_is_read() {
    let node = format!(
        "{NODE}class: mobile\ngateway: true\nwgPort: 1\nadminPort: 65535\ntunnel: userspace\nstateDir: /s\nsocket: /r/x.sock\nexistingInterface: false\nportMapping: false\nlan: false\n"
    );
    let files = Files::new(SAMPLE, &node);
    let config = files.load(&files.given());
    assert_eq!((config.mesh.wg_port, config.mesh.admin_port), (1, 65535));
    assert_eq!(config.mesh.class, Class::Mobile);
    assert!(config.mesh.offer_gateway && !config.port_mapping && !config.mesh.lan);
    assert_eq!(config.tunnel, TunnelMode::Userspace);
    assert_eq!((config.state_dir.to_str(), config.socket.to_str()), (Some("/s"), Some("/r/x.sock")));
}

#[test]
fn what_is_given_wins_over_node_yaml_value_by_value() {
    let files = Files::new(SAMPLE, &format!("{NODE}tunnel: kernel\nwgPort: 7\nportMapping: true\n"));
    let given = Given {
        name: Some(option("bob", "NAME")),
        addresses: vec![option("10.1.1.8", "ADDRESS")],
        tunnel: Some(Located::new(TunnelMode::Userspace, Origin::Option("--tunnel"))),
        state_dir: Some(Located::new("/elsewhere".into(), Origin::Variable("WGNET_STATE_DIR"))),
        port_mapping: Some(Located::new(false, Origin::Option("--no-port-mapping"))),
        ..files.given()
    };
    let config = files.load(&given);
    assert_eq!(config.mesh.name.as_str(), "bob");
    assert_eq!(config.mesh.addresses[0].to_string(), "10.1.1.8");
    assert!(!config.port_mapping);
    assert_eq!(config.interface, "wg0", "from node.yaml");
    assert_eq!(config.mesh.wg_port, 7, "from node.yaml");
    assert_eq!(config.mesh.admin_port, 50_508, "default of the address that won");
    assert_eq!(config.tunnel, TunnelMode::Userspace);
    assert_eq!(config.state_dir.to_str(), Some("/elsewhere"));
}

#[test]
fn a_static_peer_takes_its_ports_and_addresses_from_the_network_file() {
    let network = SAMPLE
        .replace("10.1.1.0/8", "[10.1.1.0/8, \"fd01::/64\"]")
        .replace("wgIp: 10.1.1.1", "wgIp: [10.1.1.1, \"fd01::1\"]\n    name: alice");
    let files = Files::new(&network, "wgInterface: wg0\nwgIp: 10.1.1.1\nname: alice\n");
    let config = files.load(&files.given());
    assert_eq!((config.mesh.wg_port, config.mesh.admin_port), (50_000, 55_555));
    let addresses: Vec<String> = config.mesh.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.1.1.1", "fd01::1"]);
    assert!(config.mesh.own_static().is_some());
    let given = Given { wg_port: Some(option("4000", "--wireguard-port")), ..files.given() };
    assert_eq!(files.load(&given).mesh.wg_port, 4000);
}

#[test]
fn what_is_missing_is_one_line_with_the_three_ways_to_give_it() {
    let files = Files::new(SAMPLE, "");
    let said = files.said(&files.given());
    expect_lines(&said, &["wgnet: this node's interface, address and name are missing (on the command line: "]);
    for way in ["wgnet -c net.yaml wg0 10.1.1.1 alice", "-i, -a, -n", "wgInterface, wgIp, name", "WGNET_ADDRESS"] {
        assert!(said[0].contains(way), "{said:?}");
    }
    expect_node("wgInterface: wg0\nwgIp: 10.1.1.9\n", &["wgnet: this node's name is missing (on the command line: "]);
    expect_node("name: alice\n", &["wgnet: this node's interface and address are missing ("]);
}

#[test]
fn a_wrong_value_is_not_called_missing_too() {
    expect_node("wgInterface: wg0\nwgIp: 10.1.1\nname: alice\n", &["node.yaml:2:7: wgIp \"10.1.1\" is no IP address"]);
    expect_node("wgInterface: wg0\nwgIp:\nname: alice\n", &["node.yaml:2:1: wgIp has no value"]);
    let files = Files::new(SAMPLE, NODE);
    let given = Given { name: Some(option("Alice", "NAME")), ..files.given() };
    expect_lines(&files.said(&given), &["NAME: a node's name cannot be \"Alice\" (use \"alice\": "]);
}

#[test]
fn mistakes_in_node_yaml_are_told_with_their_position() {
    let with = |extra: &str| format!("{NODE}{extra}\n");
    expect_node(&with("wgport: 1"), &["node.yaml:4:1: unknown key wgport in the node file (did you mean wgPort?)"]);
    expect_node(&with("wgPort: 0"), &["node.yaml:4:9: wgPort cannot be \"0\""]);
    expect_node(
        &with("class: laptop"),
        &["node.yaml:4:8: class cannot be \"laptop\" (write one of: server, roaming, mobile)"],
    );
    expect_node(&with("gateway: on"), &["node.yaml:4:10: gateway cannot be \"on\""]);
    expect_node(
        &with("tunnel: fast"),
        &["node.yaml:4:9: tunnel cannot be \"fast\" (write one of: auto, userspace, kernel, existing)"],
    );
    expect_node(&with("stateDir: here"), &["node.yaml:4:11: stateDir is no absolute path"]);
    expect_node(&with("socket: ''"), &["node.yaml:4:9: socket is no absolute path"]);
    expect_node(&with("name: bob"), &["node.yaml:4:1: name is given twice, first at node.yaml:3:1"]);
    expect_node(&with("\twgPort: 1"), &["node.yaml:4:1: a tab indents this line (indent with spaces"]);
    expect_node(&with(&format!("sharedKey: {KEY}")), &["node.yaml:4:1: unknown key sharedKey in the node file ("]);
}

#[test]
fn existing_interface_is_another_word_for_tunnel_existing() {
    let files = Files::new(SAMPLE, &format!("{NODE}existingInterface: true\n"));
    assert_eq!(files.load(&files.given()).tunnel, TunnelMode::Existing);
    expect_node(
        &format!("{NODE}existingInterface: true\ntunnel: kernel\n"),
        &["node.yaml:4:20: existingInterface: true contradicts tunnel: kernel"],
    );
}

#[test]
fn an_interface_name_that_the_system_refuses_is_refused() {
    let expect = |name: &str, what: &str| {
        expect_node(
            &format!("wgInterface: {name}\nwgIp: 10.1.1.9\nname: alice\n"),
            &[&format!("node.yaml:1:14: {what}")],
        );
    };
    expect("sixteen-bytes-xx", "interface \"sixteen-bytes-xx\" has 16 bytes, and at most 15 are possible");
    expect("wg/0", "interface \"wg/0\" has a character that cannot be in the name of one");
    expect("wg 0", "interface \"wg 0\" has a character");
    expect("wg%d", "interface \"wg%d\" has a character");
    expect("\"wg:0\"", "interface \"wg:0\" has a character");
    expect("w\u{e4}g", "interface \"w\u{e4}g\" has a character");
    expect("..", "interface \"..\" is a reserved name");
    expect("lo", "interface \"lo\" is a reserved name");
    expect("\"\"", "the interface has an empty name");
}

#[test]
fn an_address_outside_the_subnet_is_told_where_it_was_given() {
    expect_node(
        "wgInterface: wg0\nwgIp: 11.1.1.9\nname: alice\n",
        &["node.yaml:2:7: the address 11.1.1.9 is outside the subnet 10.0.0.0/8"],
    );
    let files = Files::new(SAMPLE, NODE);
    let given = Given {
        addresses: vec![Located::new("11.1.1.9".to_owned(), Origin::Variable("WGNET_ADDRESS"))],
        ..files.given()
    };
    expect_lines(&files.said(&given), &["WGNET_ADDRESS: the address 11.1.1.9 is outside the subnet"]);
    let given = Given { addresses: vec![option("10.1.1.9", "-a"), option("10.1.1.8", "-a")], ..files.given() };
    expect_lines(&files.said(&given), &["-a: the address 10.1.1.8 is a second IPv4 address of the same node"]);
}

#[test]
fn own_ports_must_differ() {
    expect_node(
        &format!("{NODE}wgPort: 50509\n"),
        &["node.yaml:4:9: WireGuard's port and the admin port are both 50509"],
    );
    let files = Files::new(SAMPLE, NODE);
    let given = Given { admin_port: Some(option("50009", "--admin-port")), ..files.given() };
    expect_lines(&files.said(&given), &["--admin-port: WireGuard's port and the admin port are both 50009"]);
    let given = Given { wg_port: Some(option("70000", "--wireguard-port")), ..files.given() };
    expect_lines(&files.said(&given), &["--wireguard-port: the WireGuard port cannot be \"70000\""]);
}

#[test]
fn a_name_or_address_that_the_file_gives_to_another_is_refused() {
    let network = format!("{SAMPLE}    name: alpha\n");
    let node = |address: &str, name: &str| format!("wgInterface: wg0\nwgIp: {address}\nname: {name}\n");
    let expect = |node: &str, expected: &str| {
        let files = Files::new(&network, node);
        expect_lines(&files.said(&files.given()), &[expected]);
    };
    expect(
        &node("10.1.1.9", "alpha"),
        "node.yaml:3:7: the name alpha belongs to the peer with 10.1.1.1 (at net.yaml:8:11)",
    );
    expect(
        &node("10.1.1.1", "bob"),
        "node.yaml:3:7: the network file calls the node with this address alpha (at net.yaml:8:11), not bob",
    );
    let files = Files::new(&network, &node("10.1.1.1", "alpha"));
    files.load(&files.given());
}

#[test]
fn addresses_of_two_peers_are_no_node() {
    let network = SAMPLE.replace("10.1.1.0/8", "[10.1.1.0/8, \"fd01::/64\"]")
        + "  - endPoint: b.example:50000\n    wgIp: \"fd01::2\"\n";
    let files = Files::new(&network, "wgInterface: wg0\nwgIp: [10.1.1.1, \"fd01::2\"]\nname: x\n");
    expect_lines(&files.said(&files.given()), &["node.yaml:2:18: the node's addresses belong to two peers"]);
}

#[test]
fn mistakes_of_both_files_and_the_command_line_are_named_at_once() {
    let files = Files::new(&SAMPLE.replace("50000", "0"), &NODE.replace("wg0", "wg/0"));
    let given = Given { wg_port: Some(option("x", "--wireguard-port")), ..files.given() };
    expect_lines(&files.said(&given), &["net.yaml:5:15: ", "node.yaml:1:14: ", "--wireguard-port: "]);
}

#[test]
fn check_asks_for_no_node_but_judges_what_is_given() {
    let files = Files::new(SAMPLE, "wgIp: 11.1.1.1\n");
    let said: Vec<String> = check(&files.given(), &[]).iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("node.yaml:1:7: the address 11.1.1.1 is outside"), "{said:?}");
    let files = Files::new(SAMPLE, "");
    assert_eq!(check(&files.given(), &[]), []);
}

#[test]
fn debug_output_of_a_configuration_holds_no_key() {
    let files = Files::new(SAMPLE, NODE);
    let shown = format!("{:?}", files.load(&files.given()));
    assert!(!shown.contains(&KEY[..8]), "{shown}");
}
