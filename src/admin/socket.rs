//! The admin socket's file.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Why the admin socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A daemon lives there.
    #[error("another daemon answers at {}: stop it first, or choose another socket with --socket", .0.display())]
    Live(PathBuf),
    /// Something else has that name.
    #[error("{} is no socket: remove it, or choose another socket with --socket", .0.display())]
    InTheWay(PathBuf),
    /// The operating system refused.
    #[error("cannot {what} {}: {source}{}", .path.display(), remedy(.source))]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            " (run as root, or choose a socket in a directory of your own with --socket)"
        }
        io::ErrorKind::InvalidInput => " (a socket's path has at most 107 bytes: choose a shorter one with --socket)",
        _ => "",
    }
}

/// The file of a listening socket; removed when dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: another daemon's file of the same name is not ours to remove.
    identity: Option<(u64, u64)>,
    /// The directory, if this daemon made it.
    directory: Option<PathBuf>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity_of(&self.path) == self.identity {
            let _ = fs::remove_file(&self.path);
        }
        if let Some(directory) = &self.directory {
            // Fails when another daemon's socket is in it, as it should.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Listens at `path`: its directory is made (0755) if missing, a dead daemon's socket is replaced.
///
/// # Errors
/// A daemon lives there, something else is in the way, or the system refuses.
pub fn bind(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let io_error = |what| move |source| SocketError::Io { what, path: path.to_owned(), source };
    let mut file = SocketFile { path: path.to_owned(), identity: None, directory: None };
    if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty() && !d.exists()) {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(io_error("create the directory of"))?;
        file.directory = Some(directory.to_owned());
    }
    remove_stale(path)?;
    // Until the mode is set the umask rules; whoever connects meanwhile is still asked for its credentials.
    let listener = UnixListener::bind(path).map_err(io_error("listen at"))?;
    file.identity = identity_of(path);
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io_error("protect"))?;
    Ok((listener, file))
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::InTheWay(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|source| SocketError::Io { what: "remove the stale socket", path: path.to_owned(), source }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        // Even one that is too busy to take the connection lives.
        _ => Err(SocketError::Live(path.to_owned())),
    }
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
