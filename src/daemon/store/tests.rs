//! Disks that tear, fill up, forget and lie.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::file::{self, Found, Kind};
use super::{EPOCH_JUMP, Store, StoreError};

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn good(dir: &Path, kind: Kind) -> Vec<u8> {
    match file::load(dir, kind).expect("readable") {
        Found::Good(bytes) => bytes.to_vec(),
        other => panic!("expected a good file, found {other:?}"),
    }
}

fn flip_last_byte(path: &Path) {
    let mut bytes = fs::read(path).expect("there");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(path, bytes).expect("writable");
}

#[test]
fn first_start_makes_keys_and_the_second_finds_them() {
    let base = temporary();
    let first = Store::open(base.path(), "wg0").expect("open").load(1_000).expect("load");
    assert_eq!((first.epoch, first.mesh, first.warnings.len()), (1, None, 0));
    let store = Store::open(base.path(), "wg0").expect("open again");
    store.save_mesh(b"lsdb").expect("save");
    let second = store.load(1_000).expect("load");
    assert_eq!(second.keys, first.keys);
    assert_eq!((second.epoch, second.mesh.as_deref()), (2, Some(&b"lsdb"[..])));
}

#[test]
fn directory_is_0700_and_files_are_0600() {
    let base = temporary();
    let store = Store::open(base.path(), "wg0").expect("open");
    store.load(0).expect("load");
    store.save_mesh(b"a").expect("save");
    store.save_mesh(b"b").expect("save");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let dir = base.path().join("wg0");
    assert_eq!(mode(&dir), 0o700);
    let mut names: Vec<_> = fs::read_dir(&dir).expect("list").map(|e| e.expect("entry").path()).collect();
    names.sort();
    assert!(names.iter().all(|path| mode(path) == 0o600), "{names:?}");
    let names: Vec<_> = names.iter().filter_map(|p| p.file_name()?.to_str()).collect();
    assert_eq!(names, ["epoch", "identity", "identity.bak", "lock", "mesh", "mesh.bak"]);
}

#[test]
fn a_second_daemon_on_the_same_interface_hears_the_pid_of_the_first() {
    let base = temporary();
    let _first = Store::open(base.path(), "wg0").expect("open");
    let second = Store::open(base.path(), "wg0").expect_err("locked");
    assert!(second.to_string().contains(&format!("(pid {})", std::process::id())), "{second}");
    Store::open(base.path(), "wg1").expect("another interface is free");
}

#[test]
fn damaged_state_falls_back_to_the_version_before_it() {
    let base = temporary();
    let store = Store::open(base.path(), "wg0").expect("open");
    store.load(0).expect("load");
    store.save_mesh(b"older").expect("save");
    store.save_mesh(b"newer").expect("save");
    let dir = base.path().join("wg0");
    flip_last_byte(&dir.join("mesh"));
    let loaded = store.load(0).expect("load");
    assert_eq!(loaded.mesh.as_deref(), Some(&b"older"[..]));
    assert!(loaded.warnings.iter().any(|w| w.contains("fails its checksum")), "{:?}", loaded.warnings);
    // The damaged file must not become the previous version of the next one.
    store.save_mesh(b"newest").expect("save");
    flip_last_byte(&dir.join("mesh"));
    assert_eq!(store.load(0).expect("load").mesh.as_deref(), Some(&b"older"[..]));
}

#[test]
fn a_mesh_state_that_is_lost_twice_is_learned_again() {
    let base = temporary();
    let store = Store::open(base.path(), "wg0").expect("open");
    store.load(0).expect("load");
    store.save_mesh(b"one").expect("save");
    store.save_mesh(b"two").expect("save");
    let dir = base.path().join("wg0");
    fs::write(dir.join("mesh"), b"").expect("write");
    fs::write(dir.join("mesh.bak"), b"wgnetM").expect("write");
    let loaded = store.load(0).expect("load");
    assert_eq!(loaded.mesh, None);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
}

#[test]
fn every_torn_write_is_noticed() {
    let dir = temporary();
    file::save(dir.path(), Kind::Mesh, b"the state of the mesh").expect("save");
    let whole = fs::read(dir.path().join("mesh")).expect("read");
    for length in 0..whole.len() {
        fs::write(dir.path().join("mesh"), &whole[..length]).expect("write");
        let found = file::load(dir.path(), Kind::Mesh).expect("readable");
        assert!(matches!(found, Found::Damaged(_)), "cut at {length}: {found:?}");
    }
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x01;
        fs::write(dir.path().join("mesh"), &bytes).expect("write");
        // A flipped version byte reads as a newer version: an error, never a good file.
        assert!(!matches!(file::load(dir.path(), Kind::Mesh), Ok(Found::Good(_))), "flipped at {position}");
    }
}

#[test]
fn a_crash_at_any_step_of_a_write_leaves_a_whole_version() {
    let dir = temporary();
    let path = |name: &str| dir.path().join(name);
    file::save(dir.path(), Kind::Mesh, b"one").expect("save");

    // Before the rename: a half-written temporary file is in the way of nothing.
    fs::write(path("mesh.tmp"), b"wgn").expect("write");
    assert_eq!(good(dir.path(), Kind::Mesh), b"one");
    file::save(dir.path(), Kind::Mesh, b"two").expect("save");
    assert_eq!(good(dir.path(), Kind::Mesh), b"two");

    // Between the two renames: file and previous version are one and the same.
    fs::remove_file(path("mesh.bak")).expect("remove");
    fs::hard_link(path("mesh"), path("mesh.bak")).expect("link");
    file::save(dir.path(), Kind::Mesh, b"three").expect("save");
    assert_eq!(good(dir.path(), Kind::Mesh), b"three");
    assert!(!path("mesh.bak.tmp").exists());

    // Without hard links: only the previous version stands.
    fs::remove_file(path("mesh")).expect("remove");
    let found = file::load(dir.path(), Kind::Mesh).expect("readable");
    assert!(matches!(&found, Found::Previous(bytes, _) if ***bytes == *b"two"), "{found:?}");
}

#[test]
fn damaged_keys_come_back_from_their_previous_version() {
    let base = temporary();
    let store = Store::open(base.path(), "wg0").expect("open");
    let keys = store.load(0).expect("load").keys;
    let dir = base.path().join("wg0");
    flip_last_byte(&dir.join("identity"));
    let again = store.load(0).expect("load");
    assert_eq!(again.keys, keys);
    assert_eq!(again.warnings.len(), 1);
    assert_eq!(store.load(0).expect("mended").warnings.len(), 0);
}

#[test]
fn keys_that_are_lost_twice_are_never_replaced() {
    let base = temporary();
    let store = Store::open(base.path(), "wg0").expect("open");
    store.load(0).expect("load");
    let dir = base.path().join("wg0");
    flip_last_byte(&dir.join("identity"));
    flip_last_byte(&dir.join("identity.bak"));
    let error = store.load(0).expect_err("lost");
    assert!(matches!(error, StoreError::IdentityLost(_)), "{error}");
    assert!(error.to_string().contains("wgnet forget"), "{error}");
}

#[test]
fn a_newer_version_is_an_error_that_says_so() {
    let base = temporary();
    let store = Store::open(base.path(), "wg0").expect("open");
    store.load(0).expect("load");
    let path = base.path().join("wg0/identity");
    let mut bytes = fs::read(&path).expect("read");
    bytes[6] = 9;
    fs::write(&path, bytes).expect("write");
    let error = store.load(0).expect_err("newer");
    assert!(error.to_string().contains("newer wgnet (format 9, this one reads 1)"), "{error}");
}

#[test]
fn the_epoch_never_goes_back() {
    let base = temporary();
    let store = Store::open(base.path(), "wg0").expect("open");
    for expected in 1..=3 {
        assert_eq!(store.load(5_000).expect("load").epoch, expected);
    }
    let dir = base.path().join("wg0");
    flip_last_byte(&dir.join("epoch"));
    assert_eq!(store.load(5_000).expect("load").epoch, 2 + EPOCH_JUMP, "counted on from the previous version");
    fs::remove_file(dir.join("epoch")).expect("remove");
    fs::remove_file(dir.join("epoch.bak")).expect("remove");
    assert_eq!(store.load(5_000).expect("load").epoch, 5_000, "counted on from the clock");
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let base = temporary();
    let store = Store::open(base.path(), "wg0").expect("open");
    store.load(0).expect("load");
    let path = base.path().join("wg0/identity");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
    let error = store.load(0).expect_err("exposed");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn a_directory_open_to_others_is_closed() {
    let base = temporary();
    let dir = base.path().join("wg0");
    fs::create_dir(&dir).expect("mkdir");
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("chmod");
    Store::open(base.path(), "wg0").expect("open");
    assert_eq!(fs::metadata(&dir).expect("there").permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_failed_first_start_leaves_nothing_and_a_failed_later_one_keeps_all() {
    let base = temporary();
    let state_dir = base.path().join("var/lib/wgnet");
    let store = Store::open(&state_dir, "wg0").expect("open");
    store.load(0).expect("load");
    store.discard_if_new();
    assert_eq!(fs::read_dir(base.path()).expect("list").count(), 0);
    drop(store);
    Store::open(&state_dir, "wg0").expect("open").load(0).expect("load");
    let store = Store::open(&state_dir, "wg0").expect("open");
    store.discard_if_new();
    assert!(state_dir.join("wg0/identity").exists());
}

/// A tmpfs of 64 KiB in a mount namespace of this thread's own.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_the_former_state_stays() {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};

    if !rustix::process::geteuid().is_root() {
        return;
    }
    let base = temporary();
    let path = base.path().to_owned();
    let full = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some("size=64k,mode=0700")).expect("tmpfs");
        let store = Store::open(&path, "wg0").expect("open");
        store.load(0).expect("load");
        store.save_mesh(b"small").expect("fits");
        let error = store.save_mesh(&[7; 100_000]).expect_err("does not fit");
        assert!(error.to_string().contains("free some space"), "{error}");
        assert!(!path.join("wg0/mesh.tmp").exists(), "the attempt is cleared away");
        assert_eq!(store.load(0).expect("load").mesh.as_deref(), Some(&b"small"[..]));
        store.save_mesh(b"smaller").expect("fits again");

        let mut filler = OpenOptions::new().write(true).create_new(true).open(path.join("filler")).expect("filler");
        let _ = std::io::copy(&mut std::io::repeat(0), &mut filler);
        Store::open(&path, "wg1").and_then(|store| store.load(0)).expect_err("a first start needs space").to_string()
    });
    let error = full.join().expect("no panic in the namespace");
    assert!(error.contains("free some space"), "{error}");
}
