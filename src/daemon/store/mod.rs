//! The state directory: what a node must remember to stay the same node.
//!
//! `<state_dir>/<interface>/` is 0700 and holds small files (0600) and a lock:
//!
//! * `identity`: the Ed25519 seed and the WireGuard private key, made at the first start. Lost, the node is another
//!   node; so a damaged one with no previous version beside it is an error, never a new identity.
//! * `epoch`: the number of this start. Durable before the engine is made, so that records of two runs never tie.
//! * `mesh`: the engine's state. Lost, it is learned again from the neighbours.
//! * `network`: the network file before a reload that waits for its confirmation, or that was rolled back.
//! * `lock`: held while a daemon runs; names its process.
//!
//! How one file is written and read back is told in [`file`].

mod file;
mod network;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_core::{OsRng, RngCore};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use file::{Found, Kind};
pub use network::Kept;

/// How far the epoch jumps when its newest value was lost: more starts than can have happened unrecorded.
const EPOCH_JUMP: u64 = 16;

/// Why the state directory could not be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {what} {}: {source}{}", .path.display(), remedy_of(.source))]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon holds the lock.
    #[error(
        "another wgnet daemon{} already runs this interface (lock {}): stop it first, or choose another interface name",
        .pid.map_or_else(String::new, |pid| format!(" (pid {pid})")), .path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it, if it said so.
        pid: Option<u32>,
    },
    /// A key file that other users may read.
    #[error("{} may be read by other users (mode {mode:03o}): run `chmod 600 {}`, or delete it if it may have leaked", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A state directory of someone else.
    #[error("{} belongs to user {uid}, and wgnet runs as user {own}: run `chown -R {own}` on it, or choose another with --state-dir", .path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Who this process runs as.
        own: u32,
    },
    /// A file that a newer wgnet wrote.
    #[error("{} was written by a newer wgnet (format {found}, this one reads {known}): run that version, or choose another --state-dir", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in its header.
        found: u16,
        /// The newest version this program reads.
        known: u16,
    },
    /// The identity is lost and nothing stands in for it.
    #[error(
        "{0}: restore it from a copy; or delete both to become a new node, and run `wgnet forget NAME` at a gateway so that it gets its name back"
    )]
    IdentityLost(String),
}

impl StoreError {
    fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), source }
    }
}

fn remedy_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => " (free some space)",
        io::ErrorKind::PermissionDenied => " (run as root, or choose a directory of your own with --state-dir)",
        io::ErrorKind::ReadOnlyFilesystem => " (choose a writable directory with --state-dir)",
        _ => "",
    }
}

/// The keys of a node. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    /// Ed25519 seed of the identity.
    pub seed: [u8; 32],
    /// X25519 private key of WireGuard.
    pub wg_private: [u8; 32],
}

impl Keys {
    fn generate() -> Self {
        let mut keys = Self { seed: [0; 32], wg_private: [0; 32] };
        OsRng.fill_bytes(&mut keys.seed);
        OsRng.fill_bytes(&mut keys.wg_private);
        // Clamped as RFC 7748 section 5 says, so that `wg show` prints the same key that is stored.
        keys.wg_private[0] &= 248;
        keys.wg_private[31] = (keys.wg_private[31] & 127) | 64;
        keys
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (seed, wg_private) = bytes.split_at_checked(32)?;
        Some(Self { seed: seed.try_into().ok()?, wg_private: wg_private.try_into().ok()? })
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// The open, locked state directory of one interface. The lock lives as long as any clone of this.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    /// The topmost directory that `open` had to make.
    created: Option<PathBuf>,
    _lock: Arc<File>,
}

/// What [`Store::load`] found or made.
#[derive(Debug)]
pub struct Loaded {
    /// The node's keys, made now if this is the first start.
    pub keys: Keys,
    /// The number of this start, already durable.
    pub epoch: u64,
    /// The engine's state of the former run.
    pub mesh: Option<Vec<u8>>,
    /// What was damaged and how it was mended, for the log.
    pub warnings: Vec<String>,
}

impl Store {
    /// Opens and locks `<state_dir>/<interface>`, making it (0700) if it is not there.
    pub fn open(state_dir: &Path, interface: &str) -> Result<Self, StoreError> {
        let dir = state_dir.join(interface);
        let created = dir.ancestors().take_while(|ancestor| !ancestor.exists()).last().map(Path::to_owned);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|e| StoreError::io("create", &dir, e))?;
        keep_private(&dir)?;
        let lock = lock(&dir.join("lock")).inspect_err(|_| remove_created(&dir, created.as_deref()))?;
        Ok(Self { dir, created, _lock: Arc::new(lock) })
    }

    /// Reads keys and state, makes what is missing, and counts this start.
    ///
    /// `wall_seconds` (since 1970) is used for one thing: as an epoch surely higher than any before when the file
    /// that counts the starts is lost though the identity is not.
    pub fn load(&self, wall_seconds: u64) -> Result<Loaded, StoreError> {
        let mut warnings = Vec::new();
        let (keys, first_start) = self.load_keys(&mut warnings)?;
        let epoch = match file::load(&self.dir, Kind::Epoch)? {
            Found::Good(bytes) => epoch_from(&bytes).map(|last| last + 1),
            Found::Previous(bytes, why) => {
                warnings.push(format!("{why}: counting on from the previous version"));
                epoch_from(&bytes).map(|last| last + EPOCH_JUMP)
            }
            Found::Nothing if first_start => Some(1),
            Found::Nothing => {
                warnings.push(format!("{} is missing: counting on from the clock", self.dir.join("epoch").display()));
                None
            }
            Found::Damaged(why) => {
                warnings.push(format!("{why}: counting on from the clock"));
                None
            }
        };
        let epoch = epoch.unwrap_or_else(|| wall_seconds.max(1));
        file::save(&self.dir, Kind::Epoch, &epoch.to_le_bytes())?;
        let mesh = match file::load(&self.dir, Kind::Mesh)? {
            Found::Nothing => None,
            Found::Good(bytes) => Some(bytes.to_vec()),
            Found::Previous(bytes, why) => {
                warnings.push(format!("{why}: using the previous version"));
                Some(bytes.to_vec())
            }
            Found::Damaged(why) => {
                warnings.push(format!("{why}: the mesh is learned again from its members"));
                None
            }
        };
        Ok(Loaded { keys, epoch, mesh, warnings })
    }

    /// Makes the engine's state durable. Blocks for as long as the disk takes.
    pub fn save_mesh(&self, bytes: &[u8]) -> Result<(), StoreError> {
        file::save(&self.dir, Kind::Mesh, bytes)
    }

    /// Removes what `open` made in this very start: one that failed leaves nothing behind.
    pub fn discard_if_new(&self) {
        remove_created(&self.dir, self.created.as_deref());
    }

    fn load_keys(&self, warnings: &mut Vec<String>) -> Result<(Keys, bool), StoreError> {
        let path = self.dir.join(Kind::Identity.file_name());
        let unreadable = || StoreError::IdentityLost(format!("{} holds no keys", path.display()));
        match file::load(&self.dir, Kind::Identity)? {
            Found::Good(bytes) => Ok((Keys::from_bytes(&bytes).ok_or_else(unreadable)?, false)),
            Found::Previous(bytes, why) => {
                let keys = Keys::from_bytes(&bytes).ok_or_else(unreadable)?;
                warnings.push(format!("{why}: restored from the previous version"));
                self.save_keys(&keys)?;
                Ok((keys, false))
            }
            Found::Damaged(why) => Err(StoreError::IdentityLost(why)),
            Found::Nothing => {
                let keys = Keys::generate();
                self.save_keys(&keys)?;
                Ok((keys, true))
            }
        }
    }

    /// Writes the keys twice, so that a previous version stands beside them from the first start on.
    fn save_keys(&self, keys: &Keys) -> Result<(), StoreError> {
        let mut bytes = zeroize::Zeroizing::new([0_u8; 64]);
        bytes[..32].copy_from_slice(&keys.seed);
        bytes[32..].copy_from_slice(&keys.wg_private);
        file::save(&self.dir, Kind::Identity, &*bytes)?;
        file::save(&self.dir, Kind::Identity, &*bytes)
    }
}

fn remove_created(dir: &Path, topmost: Option<&Path>) {
    let Some(topmost) = topmost else { return };
    let _ = fs::remove_dir_all(dir);
    // Its parents only when they are empty: someone else may have moved in.
    for parent in dir.ancestors().skip(1).take_while(|parent| parent.starts_with(topmost)) {
        let _ = fs::remove_dir(parent);
    }
}

fn epoch_from(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// Refuses a directory that others could look into; mends its mode if it is ours.
fn keep_private(dir: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(dir).map_err(|e| StoreError::io("read", dir, e))?;
    let own = geteuid().as_raw();
    if metadata.uid() != own {
        return Err(StoreError::NotOurs { path: dir.to_owned(), uid: metadata.uid(), own });
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(|e| StoreError::io("protect", dir, e))?;
    }
    Ok(())
}

/// Takes the lock; it is the kernel's and lasts as long as the file is open.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| StoreError::io("open", path, e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            // The process number is for people only.
            let _ = file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
            Ok(file)
        }
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            Err(StoreError::Locked { path: path.to_owned(), pid: text.trim().parse().ok() })
        }
        Err(errno) => Err(StoreError::io("lock", path, errno.into())),
    }
}
