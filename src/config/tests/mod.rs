//! Every mistake a user can make, and the line and column it is told with.

mod machine;
mod network_section;
mod node;
mod on_disk;
mod peers;
mod random;
mod yaml;

use super::network::{NetworkFile, parse_network};

/// A key that is nobody's.
pub(super) const KEY: &str = "03qfoT9vOyM8412+EUkW8l/J4ISWrCmS/h0rm06Y51M=";
/// Another.
pub(super) const OTHER_KEY: &str = "O2C5H1RWc66N7QJJyPC3WN1gQNbrMgea1EUo96U1BAg=";

/// wg_netmanager's sample with a key of its own. Tests change single lines of it.
pub(super) const SAMPLE: &str = "\
network:
  sharedKey: 03qfoT9vOyM8412+EUkW8l/J4ISWrCmS/h0rm06Y51M=
  subnet: 10.1.1.0/8
peers:
  - endPoint: 192.168.1.70:50000
    adminPort: 55555
    wgIp: 10.1.1.1
";

/// The sample with other text in place of the given lines (counted from 1; a text may be several lines).
pub(super) fn sample_with(changes: &[(usize, &str)]) -> String {
    let mut text = String::new();
    for (index, line) in SAMPLE.lines().enumerate() {
        let changed = changes.iter().find(|(number, _)| *number == index + 1);
        text.push_str(changed.map_or(line, |(_, other)| other));
        text.push('\n');
    }
    text
}

/// Everything that is said about `text`, a line each.
pub(super) fn said(text: &str) -> Vec<String> {
    let diagnostics = match parse_network(text.as_bytes(), "net.yaml") {
        Ok((_, warnings)) => warnings,
        Err(diagnostics) => diagnostics,
    };
    diagnostics.iter().map(ToString::to_string).collect()
}

/// The content of a text without mistakes.
#[track_caller]
pub(super) fn parsed(text: &str) -> NetworkFile {
    match parse_network(text.as_bytes(), "net.yaml") {
        Ok((file, warnings)) => {
            assert!(warnings.is_empty(), "{warnings:#?}");
            file
        }
        Err(diagnostics) => panic!("{diagnostics:#?}\n{text}"),
    }
}

/// That exactly these things are said, in this order: each line begins with the expected text.
#[track_caller]
pub(super) fn expect_lines(said: &[String], expected: &[&str]) {
    let fits = said.len() == expected.len() && said.iter().zip(expected).all(|(line, start)| line.starts_with(start));
    assert!(fits, "said: {said:#?}\nexpected: {expected:#?}");
    for line in said {
        assert!(!line.contains('\n') && line.ends_with(')'), "one line with a remedy: {line}");
        for key in [KEY, OTHER_KEY] {
            assert!(!line.contains(&key[..12]), "shows a key: {line}");
        }
    }
}

/// That the sample with these changes is refused, or warned of, by exactly one line that begins so.
#[track_caller]
pub(super) fn expect_one(changes: &[(usize, &str)], expected: &str) {
    expect_lines(&said(&sample_with(changes)), &[expected]);
}
