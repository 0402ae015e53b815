//! Whatever the text, the parsers answer, show no key and stay within the file.

use proptest::prelude::*;

use crate::config::diagnostic::{Findings, Origin};
use crate::config::node;
use crate::config::tests::{KEY, SAMPLE, parsed};
use crate::config::{Diagnostic, parse_network};

const EXAMPLE: &str = include_str!("../../../examples/net.yaml");
const NODE: &str = include_str!("../../../examples/node.yaml");

/// Pieces that mean something to YAML or to the files.
const PIECES: [&str; 28] = [
    "\n",
    "  ",
    "\t",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: *a\n",
    "? ",
    "| \n",
    "> ",
    "\"",
    "'",
    "#",
    "!x ",
    "--- ",
    "~",
    "%YAML",
    "\u{feff}",
    "10.1.1.2",
    "wgIp: ",
    "network:\n",
    "peers:\n",
    "\r\n",
];

/// One change of a text: at a relative place, remove some bytes and insert a piece or any bytes.
fn change() -> impl Strategy<Value = (f64, usize, Vec<u8>)> {
    let piece = prop_oneof![
        3 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    (0.0..1.0, 0..12_usize, piece)
}

fn changed(text: &str, changes: &[(f64, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, removed, piece) in changes {
        let start = (place * bytes.len() as f64) as usize;
        let end = (start + removed).min(bytes.len());
        bytes.splice(start..end, piece.iter().copied());
    }
    bytes
}

fn check_lines(diagnostics: &[Diagnostic], text: &[u8]) {
    let lines =
        text.iter().filter(|byte| **byte == b'\n').count() + 2 + text.iter().filter(|byte| **byte == b'\r').count();
    for diagnostic in diagnostics {
        let shown = diagnostic.to_string();
        assert!(!shown.contains('\n'), "one line: {shown:?}");
        assert!(!shown.contains(&KEY[4..40]), "shows the key: {shown}");
        if let Origin::File { line, column, .. } = &diagnostic.origin {
            assert!((1..=lines).contains(line) && *column >= 1, "outside the file: {shown}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn mutated_network_files_are_read_or_refused(
        example in any::<bool>(),
        changes in prop::collection::vec(change(), 0..8),
    ) {
        let bytes = changed(if example { EXAMPLE } else { SAMPLE }, &changes);
        match parse_network(&bytes, "net.yaml") {
            Ok((_, warnings)) => {
                prop_assert!(warnings.iter().all(|diagnostic| !diagnostic.is_error()));
                check_lines(&warnings, &bytes);
            }
            Err(diagnostics) => {
                prop_assert!(diagnostics.iter().any(Diagnostic::is_error));
                check_lines(&diagnostics, &bytes);
            }
        }
    }

    #[test]
    fn mutated_node_files_are_read_or_refused(changes in prop::collection::vec(change(), 0..8)) {
        let bytes = changed(NODE, &changes);
        let mut findings = Findings::default();
        node::read_text(&bytes, "node.yaml", &mut findings);
        check_lines(&findings.into_sorted(), &bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let said = parse_network(&bytes, "net.yaml");
        prop_assert!(said.is_err());
    }

    /// What both parsers take for a network file, they take for the same one.
    #[test]
    fn serde_yaml_agrees_on_what_both_accept(changes in prop::collection::vec(change(), 0..3)) {
        let bytes = changed(SAMPLE, &changes);
        let tree = serde_yaml::from_slice::<serde_yaml::Value>(&bytes);
        if let (Ok((file, _)), Ok(mut tree)) = (parse_network(&bytes, "net.yaml"), tree) {
            let _ = tree.apply_merge();
            let listed = tree["peers"].as_sequence().map_or(0, Vec::len);
            prop_assert_eq!(listed, file.peers.len());
            for (peer, node) in file.peers.iter().zip(tree["peers"].as_sequence().into_iter().flatten()) {
                let port = node["adminPort"].as_u64();
                prop_assert!(port.is_none_or(|port| port == u64::from(peer.peer.admin_port)));
                let address = node["wgIp"].as_str().map(str::trim);
                prop_assert!(address.is_none_or(|text| text.parse() == Ok(peer.peer.addresses[0])));
            }
        }
    }
}

#[test]
fn the_unchanged_sample_is_read() {
    assert_eq!(parsed(SAMPLE).peers.len(), 1);
}
