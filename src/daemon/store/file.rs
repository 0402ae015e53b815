//! One small file that survives crashes: header, checksum, an atomic replace, and the previous version beside it.
//!
//! ```text
//! 0        5      6         8           12             44
//! +--------+------+---------+-----------+--------------+---------+
//! | wgnet  | kind | version | length    | SHA-256      | payload |
//! +--------+------+---------+-----------+--------------+---------+
//!                   u16 LE    u32 LE      of all else
//! ```
//!
//! Written as `NAME.tmp` (created exclusively, 0600), flushed to the disk, renamed to `NAME` while the old content
//! stays as `NAME.bak`, and the directory is flushed: after a crash at any point `NAME` or `NAME.bak` holds one
//! whole version. A damaged `NAME` is set aside as `NAME.corrupt`, so that it never replaces a good `NAME.bak`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::StoreError;

const MAGIC: &[u8; 5] = b"wgnet";
const VERSION: u16 = 1;
const HEADER: usize = 12;
const CHECKSUM: usize = 32;
/// A state file of 1,000 nodes takes about 1 MB; whatever is larger than this was not written by us.
const LARGEST: u64 = 64 << 20;

/// What a file holds; part of its header, so that files never take each other's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The identity seed and the WireGuard private key.
    Identity,
    /// The number of the last start.
    Epoch,
    /// The engine's state.
    Mesh,
    /// A network file that acts, or will, in place of the one on disk.
    Network,
}

impl Kind {
    /// The file's name in the state directory.
    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Epoch => "epoch",
            Self::Mesh => "mesh",
            Self::Network => "network",
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Identity => b'I',
            Self::Epoch => b'E',
            Self::Mesh => b'M',
            Self::Network => b'N',
        }
    }
}

/// What was found under a name.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing, and no previous version either.
    Nothing,
    /// The content.
    Good(Zeroizing<Vec<u8>>),
    /// The file is damaged or missing; this is the version before it. The text says what was wrong.
    Previous(Zeroizing<Vec<u8>>, String),
    /// The file is damaged and there is no whole previous version.
    Damaged(String),
}

/// Reads the newest whole version of `kind` in `dir`.
///
/// # Errors
/// A file that a newer wgnet wrote, one that others may read, or a failing disk.
pub(super) fn load(dir: &Path, kind: Kind) -> Result<Found, StoreError> {
    let path = dir.join(kind.file_name());
    let backup = backup_of(&path);
    let damage = match read_one(&path, kind)? {
        One::Good(payload) => return Ok(Found::Good(payload)),
        One::Missing => None,
        One::Damaged(why) => Some(why),
    };
    match (read_one(&backup, kind)?, damage) {
        (One::Good(payload), damage) => {
            if damage.is_some() {
                let aside = path.with_extension("corrupt");
                fs::rename(&path, &aside).map_err(|e| StoreError::io("set aside", &path, e))?;
            }
            let why = damage.unwrap_or_else(|| "is missing".to_owned());
            Ok(Found::Previous(payload, format!("{} {why}", path.display())))
        }
        (One::Missing, None) => Ok(Found::Nothing),
        (One::Missing, Some(why)) => {
            Ok(Found::Damaged(format!("{} {why}, and no previous version is beside it", path.display())))
        }
        (One::Damaged(older), damage) => {
            let why = damage.unwrap_or_else(|| "is missing".to_owned());
            Ok(Found::Damaged(format!(
                "{} {why}, and its previous version {} {older}",
                path.display(),
                backup.display()
            )))
        }
    }
}

/// Replaces the content of `kind` in `dir`; durable when it returns.
///
/// # Errors
/// The disk refused (full, read-only, failing). The former content is then still in place.
pub(super) fn save(dir: &Path, kind: Kind, payload: &[u8]) -> Result<(), StoreError> {
    let path = dir.join(kind.file_name());
    let temporary = path.with_extension("tmp");
    remove_if_there(&temporary).map_err(|e| StoreError::io("remove", &temporary, e))?;
    let written = write_new(&temporary, &encode(kind, payload));
    if let Err(e) = written {
        let _ = fs::remove_file(&temporary);
        return Err(StoreError::io("write", &temporary, e));
    }
    keep_previous(&path).map_err(|e| StoreError::io("keep the previous version of", &path, e))?;
    fs::rename(&temporary, &path).map_err(|e| StoreError::io("replace", &path, e))?;
    flush_directory(dir).map_err(|e| StoreError::io("flush", dir, e))
}

/// Flushes the names in `dir` to the disk.
pub(super) fn flush_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn backup_of(path: &Path) -> PathBuf {
    path.with_extension("bak")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives the present content a second name, `NAME.bak`, without a moment in which `NAME` is missing.
fn keep_previous(path: &Path) -> io::Result<()> {
    let backup = backup_of(path);
    let linked = path.with_extension("bak.tmp");
    remove_if_there(&linked)?;
    match fs::hard_link(path, &linked) {
        Ok(()) => {
            fs::rename(&linked, &backup)?;
            // rename(2) does nothing when both names are the same file already: a crash between the two renames.
            remove_if_there(&linked)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        // A file system without hard links (vfat): for a moment only the previous version stands; `load` takes that.
        Err(_) => fs::rename(path, &backup),
    }
}

fn encode(kind: Kind, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = u32::try_from(payload.len()).expect("state files are far below 4 GiB");
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER + CHECKSUM + payload.len()));
    bytes.extend_from_slice(MAGIC);
    bytes.push(kind.byte());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    let checksum = checksum(&bytes, payload);
    bytes.extend_from_slice(&checksum);
    bytes.extend_from_slice(payload);
    bytes
}

fn checksum(header: &[u8], payload: &[u8]) -> [u8; CHECKSUM] {
    Sha256::new().chain_update(header).chain_update(payload).finalize().into()
}

enum One {
    Missing,
    Good(Zeroizing<Vec<u8>>),
    Damaged(String),
}

fn read_one(path: &Path, kind: Kind) -> Result<One, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(One::Missing),
        Err(e) => return Err(StoreError::io("read", path, e)),
    };
    let metadata = file.metadata().map_err(|e| StoreError::io("read", path, e))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StoreError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len().min(LARGEST)).unwrap_or(0)));
    file.take(LARGEST).read_to_end(&mut bytes).map_err(|e| StoreError::io("read", path, e))?;
    match decode(&bytes, kind) {
        Ok(payload) => Ok(One::Good(Zeroizing::new(payload.to_vec()))),
        Err(Wrong::Newer(version)) => Err(StoreError::Newer { path: path.to_owned(), found: version, known: VERSION }),
        Err(Wrong::Damaged(why)) => Ok(One::Damaged(why.to_owned())),
    }
}

enum Wrong {
    Newer(u16),
    Damaged(&'static str),
}

fn decode(bytes: &[u8], kind: Kind) -> Result<&[u8], Wrong> {
    if bytes.len() < HEADER || &bytes[..5] != MAGIC {
        return Err(Wrong::Damaged("is not a state file of wgnet"));
    }
    let version = u16::from_le_bytes([bytes[6], bytes[7]]);
    if version > VERSION {
        return Err(Wrong::Newer(version));
    }
    if bytes[5] != kind.byte() {
        return Err(Wrong::Damaged("holds another kind of state"));
    }
    let length = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    let payload = bytes.get(HEADER + CHECKSUM..).ok_or(Wrong::Damaged("is cut short"))?;
    if usize::try_from(length).ok() != Some(payload.len()) {
        return Err(Wrong::Damaged("is cut short"));
    }
    if checksum(&bytes[..HEADER], payload) != bytes[HEADER..HEADER + CHECKSUM] {
        return Err(Wrong::Damaged("fails its checksum"));
    }
    Ok(payload)
}
