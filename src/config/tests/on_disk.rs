//! Files that are missing, unreadable, or read by too many.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::config::tests::{KEY, SAMPLE, expect_lines};
use crate::config::{Given, check};

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).expect("a file");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("permissions");
    }

    fn check(&self, network: &Path) -> Vec<String> {
        self.write("node.yaml", "", 0o600);
        let given = Given {
            network_file: Some(network.to_owned()),
            node_file: Some(self.path("node.yaml")),
            ..Given::default()
        };
        self.said(&given)
    }

    fn said(&self, given: &Given) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        check(given, &[]).iter().map(|diagnostic| diagnostic.to_string().replace(&directory, "")).collect()
    }
}

#[test]
fn a_missing_file_or_a_directory_is_named() {
    let files = Files::new();
    expect_lines(
        &files.check(&files.path("net.yaml")),
        &["net.yaml: there is no such file (name the network file with -c"],
    );
    fs::create_dir(files.path("d")).expect("a directory");
    expect_lines(&files.check(&files.path("d")), &["d: is a directory, not a file"]);
    files.write("empty", "", 0o600);
    expect_lines(&files.check(&files.path("empty")), &["empty: is empty"]);
    files.write("net.yaml", SAMPLE, 0o600);
    let given = Given {
        network_file: Some(files.path("net.yaml")),
        node_file: Some(files.path("absent.yaml")),
        ..Given::default()
    };
    expect_lines(&files.said(&given), &["absent.yaml: there is no such file (name the node file with -p"]);
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let files = Files::new();
    files.write("net.yaml", SAMPLE, 0o000);
    if fs::read(files.path("net.yaml")).is_ok() {
        return; // root reads everything
    }
    expect_lines(&files.check(&files.path("net.yaml")), &["net.yaml: may not be read by this user (run wgnet as root"]);
}

#[test]
fn a_secret_that_everyone_can_read_is_a_warning_at_the_secret() {
    let files = Files::new();
    files.write("net.yaml", SAMPLE, 0o644);
    let said = files.check(&files.path("net.yaml"));
    expect_lines(
        &said,
        &[
            "net.yaml:2:14: warning: the shared key stands in net.yaml, which every user of this machine can read (chmod 600",
        ],
    );
    files.write("net.yaml", SAMPLE, 0o640);
    assert_eq!(files.check(&files.path("net.yaml")), [""; 0]);
}

#[test]
fn the_published_sample_has_one_warning_only() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/net.yaml");
    let files = Files::new();
    let said = files.check(&sample);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("published sample key"), "{said:?}");
}

#[test]
fn the_sample_node_file_has_no_mistake() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let given = Given {
        network_file: Some(examples.join("net.yaml")),
        node_file: Some(examples.join("node.yaml")),
        ..Given::default()
    };
    let (config, _) = crate::config::load(&given).expect("no mistake");
    assert_eq!((config.mesh.name.as_str(), config.mesh.wg_port, config.mesh.admin_port), ("alice", 50_000, 55_555));
}

#[test]
fn a_key_file_is_found_beside_the_network_file_and_checked_like_a_key() {
    let files = Files::new();
    let network = SAMPLE.replace(&format!("sharedKey: {KEY}"), "sharedKeyFile: net.key");
    files.write("net.yaml", &network, 0o644);
    let path = files.path("net.yaml");
    expect_lines(
        &files.check(&path),
        &["net.yaml:2:18: sharedKeyFile net.key: there is no such file (write the output of `wgnet genkey`"],
    );
    files.write("net.key", &format!("{KEY}\n"), 0o600);
    assert_eq!(files.check(&path), [""; 0]);
    files.write("net.key", &format!("{KEY}\n"), 0o644);
    expect_lines(&files.check(&path), &["net.key:1:1: warning: the shared key stands in net.key, which every user"]);
    files.write("net.key", &KEY[..20], 0o600);
    expect_lines(&files.check(&path), &["net.key:1:1: the shared key has 20 characters"]);
    fs::write(files.path("net.key"), [0xff; 32]).expect("a file");
    expect_lines(&files.check(&path), &["net.key:1:1: is not text"]);
    files.write("net.key", "YDUBM6FhERePZ4gPlxzAbCN7K61BPjy7HApWYL+P128=", 0o644);
    expect_lines(&files.check(&path), &["net.key:1:1: warning: the shared key is the published sample key"]);
}
