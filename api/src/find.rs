//! Finds the running daemon when nobody says which.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::Error;

/// Where daemons put their sockets: `<interface>.sock`.
pub const SOCKET_DIRECTORY: &str = "/run/wgnet";

/// The given socket or, without one, the only one in [`SOCKET_DIRECTORY`] that a daemon answers at.
///
/// # Errors
/// There is none, or more than one (the error lists them).
pub fn find_socket(given: Option<&Path>) -> Result<PathBuf, Error> {
    // An empty variable (WGNET_SOCKET=) is one that is not set.
    let given = given.filter(|path| !path.as_os_str().is_empty());
    given.map_or_else(|| find_in(Path::new(SOCKET_DIRECTORY)), |path| Ok(path.to_owned()))
}

fn find_in(directory: &Path) -> Result<PathBuf, Error> {
    let mut sockets: Vec<PathBuf> = match fs::read_dir(directory) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
            .collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(Error::Directory { path: directory.to_owned(), source }),
    };
    sockets.sort();
    if sockets.len() > 1 {
        // A daemon that was killed leaves its socket behind: it is no answer to "which one?".
        let live: Vec<_> = sockets.iter().filter(|path| !is_stale(path)).cloned().collect();
        if !live.is_empty() {
            sockets = live;
        }
    }
    match sockets.len() {
        0 => Err(Error::NoneRunning { directory: directory.to_owned() }),
        1 => Ok(sockets.remove(0)),
        _ => Err(Error::WhichOne { sockets }),
    }
}

fn is_stale(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[test]
    fn nothing_running_is_said_so() {
        let dir = directory();
        let error = find_in(dir.path()).expect_err("nothing there");
        assert!(error.to_string().contains("no wgnet daemon is running"), "{error}");
        let error = find_in(&dir.path().join("missing")).expect_err("no directory");
        assert!(matches!(error, Error::NoneRunning { .. }), "{error}");
    }

    #[test]
    fn the_only_socket_is_taken_and_two_are_a_question() {
        let dir = directory();
        let first = dir.path().join("wg0.sock");
        let _first = UnixListener::bind(&first).expect("bind");
        fs::write(dir.path().join("notes.txt"), "").expect("write");
        assert_eq!(find_in(dir.path()).expect("one"), first);
        let _second = UnixListener::bind(dir.path().join("wg1.sock")).expect("bind");
        let error = find_in(dir.path()).expect_err("two").to_string();
        assert!(error.contains("which one?") && error.contains("wg0.sock") && error.contains("wg1.sock"), "{error}");
    }

    #[test]
    fn the_socket_of_a_killed_daemon_is_passed_over() {
        let dir = directory();
        drop(UnixListener::bind(dir.path().join("wg0.sock")).expect("bind"));
        let live = dir.path().join("wg1.sock");
        let _live = UnixListener::bind(&live).expect("bind");
        assert_eq!(find_in(dir.path()).expect("one is live"), live);
    }
}
