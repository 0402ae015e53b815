//! The rules of the house that no compiler checks, read from the sources themselves.

use std::path::{Path, PathBuf};

pub(crate) fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("the source can be read");
                found.push((path, text));
            }
        }
    }
    found
}

/// Lines of code that contain one of `words`; comments do not count.
fn naming(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(folder) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = words.iter().find(|word| code.contains(**word)) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    found
}

#[test]
fn engine_and_simulator_touch_no_clock_socket_file_or_thread() {
    let banned = [
        "tokio",
        "std::net::UdpSocket",
        "std::net::Tcp",
        "UdpSocket::",
        "std::fs",
        "std::thread",
        "Instant::now",
        "SystemTime",
        "HashMap",
        "HashSet",
        "OsRng",
        "thread_rng",
        "std::process",
        "std::env",
    ];
    for folder in ["src/mesh", "src/sim"] {
        assert_eq!(naming(folder, &banned), [""; 0], "{folder} must stay pure");
    }
}

#[test]
fn dependencies_point_one_way() {
    let layers: [(&str, &[&str]); 7] = [
        (
            "src/mesh",
            &[
                "crate::sim",
                "crate::tunnel",
                "crate::system",
                "crate::daemon",
                "crate::admin",
                "crate::cli",
                "crate::config",
                "wgnet_api",
            ],
        ),
        ("src/sim", &["crate::tunnel", "crate::system", "crate::daemon", "crate::admin", "crate::cli", "wgnet_api"]),
        ("src/tunnel", &["crate::daemon", "crate::admin", "crate::cli", "crate::sim", "wgnet_api"]),
        ("src/system", &["crate::daemon", "crate::admin", "crate::cli", "crate::sim", "wgnet_api"]),
        ("src/config", &["crate::daemon", "crate::admin", "crate::cli", "crate::sim", "crate::tunnel", "wgnet_api"]),
        ("api/src", &["wgnet::"]),
        ("tui/src", &["wgnet::", "tokio"]),
    ];
    for (folder, banned) in layers {
        assert_eq!(naming(folder, banned), [""; 0], "{folder} must not know those");
    }
}

#[test]
fn each_file_opens_with_its_story_and_ends_before_it_is_two() {
    for folder in ["src", "api/src", "tui/src", "netns-tests/src", "netns-tests/tests", "examples"] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//!"), "{} must open with what it is", path.display());
            let lines = text.lines().count();
            assert!(lines <= 820, "{} has {lines} lines: two concepts", path.display());
        }
    }
}

#[test]
fn no_module_is_a_drawer() {
    let drawers = ["util", "utils", "common", "helpers", "shared", "misc", "manager"];
    for folder in ["src", "api/src", "tui/src", "netns-tests/src"] {
        for (path, _) in sources(folder) {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            assert!(!drawers.contains(&stem), "{}: say what is in it", path.display());
        }
    }
}
