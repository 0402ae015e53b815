//! Why there is no answer, in words for people.

use std::io;
use std::path::{Path, PathBuf};

use super::address::Address;
use crate::Refusal;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("no daemon answers at {at} (is it running? start it with `wgnet -c net.yaml ...`)")]
    NoDaemon {
        /// Where.
        at: Address,
    },
    /// The socket may not be opened.
    #[error("not allowed to open {at} (run as root, or as the user the daemon runs as)")]
    NotAllowed {
        /// Where.
        at: Address,
    },
    /// The socket's directory cannot be read.
    #[error("cannot look for daemons in {}: {source} (run as root, or give the socket with --socket)", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no socket to choose.
    #[error("no wgnet daemon is running: no socket in {} (give another place with --socket)", .directory.display())]
    NoneRunning {
        /// Where sockets were looked for.
        directory: PathBuf,
    },
    /// There is more than one daemon.
    #[error("several daemons are running, which one? give one of these with --socket: {}", list(.sockets))]
    WhichOne {
        /// Their sockets.
        sockets: Vec<PathBuf>,
    },
    /// The token file cannot be used.
    #[error("cannot use the token file {}: {reason} (the daemon's log names its own: api.token in its state directory)",
        .path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The daemon took the connection and then did not answer in time, or a stream fell silent.
    #[error("the daemon at {at} does not answer")]
    Timeout {
        /// Where.
        at: Address,
    },
    /// A stream ended: the daemon stopped, or this client was too slow for it.
    #[error("the daemon at {at} ended the stream")]
    Ended {
        /// Where.
        at: Address,
    },
    /// The connection broke, or something else than a wgnet daemon listens there.
    #[error("no proper answer from {at}: {source} (are `wgnet` and the daemon of the same version?)")]
    Garbled {
        /// Where.
        at: Address,
        /// What went wrong.
        source: io::Error,
    },
    /// The daemon refused. Nothing changed.
    #[error("{}{}", .refusal.error, remedy(.refusal))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its reason.
        refusal: Refusal,
    },
}

impl Error {
    /// Whether the same request may well succeed later: the daemon is away, busy or starting.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoDaemon { .. } | Self::NoneRunning { .. } | Self::Timeout { .. } | Self::Ended { .. } => true,
            // A daemon that stops breaks its connections anywhere.
            Self::Garbled { source, .. } => source.kind() != io::ErrorKind::InvalidData,
            Self::Refused { status, .. } => *status == 503,
            Self::NotAllowed { .. } | Self::Directory { .. } | Self::WhichOne { .. } | Self::TokenFile { .. } => false,
        }
    }

    /// No connection came about.
    pub(super) fn unopened(at: &Address, source: io::Error) -> Self {
        let at = at.clone();
        match source.kind() {
            io::ErrorKind::NotFound if matches!(at, Address::Socket(_)) => Self::NoDaemon { at },
            io::ErrorKind::ConnectionRefused => Self::NoDaemon { at },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { at },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout { at },
            _ => Self::Garbled { at, source },
        }
    }

    /// A connection broke before its answer.
    pub(super) fn broken(at: &Address, source: io::Error) -> Self {
        let at = at.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout { at },
            // A daemon closes its socket at once on whom it does not know.
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset if matches!(at, Address::Socket(_)) => {
                Self::NotAllowed { at }
            }
            _ => Self::Garbled { at, source },
        }
    }

    /// An answer makes no sense.
    pub(super) fn garbled(at: &Address, source: impl Into<io::Error>) -> Self {
        Self::Garbled { at: at.clone(), source: source.into() }
    }

    /// The token file cannot be used.
    pub(super) fn token_file(path: &Path, reason: impl ToString) -> Self {
        Self::TokenFile { path: path.to_owned(), reason: reason.to_string() }
    }
}

fn list(sockets: &[PathBuf]) -> String {
    sockets.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn remedy(refusal: &Refusal) -> String {
    if refusal.remedy.is_empty() { String::new() } else { format!(" ({})", refusal.remedy) }
}
