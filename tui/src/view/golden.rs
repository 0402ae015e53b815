//! Pictures as golden files: colours, weights and lines, which snapshots of text do not see.

use std::fs;
use std::path::PathBuf;

use crate::export::svg::{self, svg};
use crate::model::{Look, Screen};
use crate::once;
use crate::source::demo;

/// A gateway died half a minute before.
const AT_MS: u64 = 150_000;
/// Set to anything, it writes the pictures of the screens anew.
const UPDATE: &str = "WGNET_UPDATE_SCREENS";

/// What `wgnet tui --demo --export svg` prints.
fn drawn(screen: Screen, width: u16, height: u16) -> String {
    let mut model = once::recorded(&demo::recording(), demo::PLACE, AT_MS, Look::default());
    svg(&once::draw(&mut model, screen, width, height), "wgnet", &svg::Look::dark())
}

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_screen_of_the_demo_looks_as_it_did() {
    let mut others = Vec::new();
    let mut bytes = 0;
    for screen in Screen::ALL {
        let name = screen.title().to_lowercase();
        let path = file(&format!("src/view/snapshots/demo_{name}_80x24.svg"));
        let now = drawn(screen, 80, 24);
        bytes += now.len();
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, &now).expect("the sources can be written");
        } else if fs::read_to_string(&path).ok().is_none_or(|before| before != now) {
            others.push(format!("tui/src/view/snapshots/demo_{name}_80x24.svg"));
        }
    }
    assert!(
        others.is_empty(),
        "these look otherwise now: {}\nif they should, run `{UPDATE}=1 cargo test -p wgnet-tui golden` and look at them",
        others.join(", ")
    );
    assert!(bytes < 600_000, "{bytes} bytes of pictures");
}

#[test]
fn the_picture_of_the_readme_is_what_the_dashboard_draws() {
    let kept = fs::read_to_string(file("../examples/dashboard.svg")).unwrap_or_default();
    assert!(
        kept == drawn(Screen::Map, 120, 36),
        "examples/dashboard.svg is out of date: `cargo run --release -- tui --demo --export svg --screen map --size 120x36 \
         --at 150s > examples/dashboard.svg` draws it anew"
    );
}
