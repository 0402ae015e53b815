//! Which daemon a client command speaks to: the one that `--socket` names, else the only one that runs here.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::DEFAULT_SOCKET_DIR;

/// Why there is no daemon to speak to, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum NoDaemon {
    /// No socket is in the directory.
    #[error("no node runs on this machine: {} holds no socket (start one, or name its socket with --socket)", .0.display())]
    None(PathBuf),
    /// More than one network runs here.
    #[error("several nodes run on this machine (choose one: {})", choices(.0))]
    Several(Vec<PathBuf>),
    /// The directory cannot be read.
    #[error("{} cannot be read: {error} (run this as root, or name a socket with --socket)", .directory.display())]
    Unreadable {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

fn choices(sockets: &[PathBuf]) -> String {
    let each: Vec<String> = sockets.iter().map(|socket| format!("--socket {}", socket.display())).collect();
    each.join(" or ")
}

/// The socket to speak to. Whether a daemon answers there shows when it is opened.
///
/// # Errors
///
/// Without `given`, when not exactly one socket is in the default directory.
pub fn find(given: Option<&Path>) -> Result<PathBuf, NoDaemon> {
    match given {
        Some(path) => Ok(path.to_owned()),
        None => only_one(Path::new(DEFAULT_SOCKET_DIR)),
    }
}

fn only_one(directory: &Path) -> Result<PathBuf, NoDaemon> {
    let unreadable = |error| NoDaemon::Unreadable { directory: directory.to_owned(), error };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NoDaemon::None(directory.to_owned())),
        Err(error) => return Err(unreadable(error)),
    };
    let mut sockets = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "sock") {
            sockets.push(path);
        }
    }
    sockets.sort();
    match (sockets.pop(), sockets.is_empty()) {
        (None, _) => Err(NoDaemon::None(directory.to_owned())),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            sockets.push(last);
            Err(NoDaemon::Several(sockets))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn without_a_choice_the_only_socket_is_taken() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(matches!(only_one(directory.path()), Err(NoDaemon::None(_))));
        assert!(matches!(only_one(&directory.path().join("absent")), Err(NoDaemon::None(_))));
        fs::write(directory.path().join("wg0.sock"), "").expect("a file");
        fs::write(directory.path().join("wg0.lock"), "").expect("a file");
        assert_eq!(only_one(directory.path()).expect("one"), directory.path().join("wg0.sock"));
        fs::write(directory.path().join("wg1.sock"), "").expect("a file");
        let error = only_one(directory.path()).expect_err("two").to_string();
        assert!(error.contains("wg0.sock or --socket"), "{error}");
    }

    #[test]
    fn a_named_socket_is_taken_as_it_is() {
        assert_eq!(find(Some(Path::new("/x"))).expect("the path"), Path::new("/x"));
    }
}
