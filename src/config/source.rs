//! The files on the disk: found, read and, where they hold a secret, looked at for who else can read them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::diagnostic::{Findings, Origin};
use super::document::MAX_BYTES;
use super::network::{KeySource, NetworkFile, parse_network};
use super::node::{self, NodeValues};
use super::secret::{self, SharedKey};
use crate::mesh::config::NetworkKey;

/// A network file with its key at hand.
#[derive(Clone, Debug)]
pub(crate) struct LoadedNetwork {
    pub(crate) file: NetworkFile,
    pub(crate) key: NetworkKey,
    pub(crate) text: NetworkText,
}

/// A network file, word for word. It may hold the shared key: never shown, wiped from memory with its last owner.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NetworkText(Arc<Zeroizing<Vec<u8>>>);

impl NetworkText {
    /// Takes the bytes of a file.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for NetworkText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkText(..)")
    }
}

/// The bytes of a file and its permission bits, if it is a regular file.
struct Content {
    bytes: Zeroizing<Vec<u8>>,
    mode: Option<u32>,
}

/// Reads the network file at `path` (or takes `text` for its content) and, if it names one, its key file.
pub(crate) fn network(
    path: &Path,
    is_default: bool,
    text: Option<&NetworkText>,
    findings: &mut Findings,
) -> Option<LoadedNetwork> {
    let content = match text.map_or_else(|| read(path), |text| Ok(Content { bytes: (*text.0).clone(), mode: None })) {
        Ok(content) => content,
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::NotFound if is_default => {
                    "name the network file with -c, or put it there; examples/net.yaml is a sample".to_owned()
                }
                _ => remedy(&error, path, "name the network file with -c; examples/net.yaml is a sample"),
            };
            return findings.error(&Origin::whole_file(path), problem(&error), remedy);
        }
    };
    let file = match parse_network(&content.bytes, &path.display().to_string()) {
        Ok((file, warnings)) => {
            findings.extend(warnings);
            file
        }
        Err(diagnostics) => {
            findings.extend(diagnostics);
            return None;
        }
    };
    let key = match &file.key {
        KeySource::Inline(key) => {
            check_readers(path, content.mode, &key.value, &key.origin, findings);
            key.value.key.clone()
        }
        KeySource::File(named) => {
            // As a compiler's include: a relative path starts where the file that names it is.
            let key_path = path.parent().unwrap_or_else(|| Path::new("")).join(&named.value);
            key_file(&key_path, &named.origin, findings)?.key
        }
    };
    Some(LoadedNetwork { file, key, text: NetworkText(Arc::new(content.bytes)) })
}

/// Reads the node file at `path`. A default one that does not exist is no error and says nothing; `None` is one that
/// cannot be used at all.
pub(crate) fn node(path: &Path, is_default: bool, findings: &mut Findings) -> Option<NodeValues> {
    match read(path) {
        Ok(content) => node::read_text(&content.bytes, &path.display().to_string(), findings),
        Err(error) if is_default && error.kind() == io::ErrorKind::NotFound => Some(NodeValues::default()),
        Err(error) => {
            let remedy = remedy(&error, path, "name the node file with -p; examples/node.yaml is a sample");
            findings.error(&Origin::whole_file(path), problem(&error), remedy)
        }
    }
}

fn key_file(path: &Path, named_at: &Origin, findings: &mut Findings) -> Option<SharedKey> {
    let content = match read(path) {
        Ok(content) => content,
        Err(error) => {
            return findings.error(
                named_at,
                format!("sharedKeyFile {}: {}", path.display(), problem(&error)),
                remedy(&error, path, "write the output of `wgnet genkey` into it"),
            );
        }
    };
    let start = Origin::File { file: path.display().to_string().into(), line: 1, column: 1 };
    let Ok(text) = std::str::from_utf8(&content.bytes) else {
        return findings.error(&start, "is not text", "write the output of `wgnet genkey` into it");
    };
    let key = secret::shared_key(text, &start, "the shared key", findings)?;
    check_readers(path, content.mode, &key, &start, findings);
    Some(key)
}

/// The published sample key is no secret: its own warning says all there is to say.
fn check_readers(path: &Path, mode: Option<u32>, key: &SharedKey, origin: &Origin, findings: &mut Findings) {
    if let Some(mode) = mode.filter(|_| !key.is_sample) {
        secret::check_readers(path, mode, origin, findings);
    }
}

/// Reads at most one byte more than any file may have; the parser names what is too long. Pipes work, too.
fn read(path: &Path) -> io::Result<Content> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    // One allocation: growing would leave copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES.min(metadata.len() as usize) + 64));
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Content { bytes, mode: mode(&metadata) })
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.is_file().then(|| metadata.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_: &std::fs::Metadata) -> Option<u32> {
    None
}

fn problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory, not a file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

fn remedy(error: &io::Error, path: &Path, otherwise: &str) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let path = path.display();
            format!(
                "run wgnet as root or as the owner of {path}; for the service: chgrp wgnet {path}; chmod 640 {path}"
            )
        }
        io::ErrorKind::IsADirectory => "name a file inside it".to_owned(),
        _ => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_the_disk_has_its_words() {
        let words = |kind| {
            let error = io::Error::from(kind);
            format!("{} ({})", problem(&error), remedy(&error, Path::new("net.yaml"), "otherwise"))
        };
        let denied = "may not be read by this user (run wgnet as root or as the owner of net.yaml; for the service: \
                      chgrp wgnet net.yaml; chmod 640 net.yaml)";
        assert_eq!(words(io::ErrorKind::PermissionDenied), denied);
        assert_eq!(words(io::ErrorKind::NotFound), "there is no such file (otherwise)");
        assert_eq!(words(io::ErrorKind::IsADirectory), "is a directory, not a file (name a file inside it)");
        assert!(words(io::ErrorKind::TimedOut).starts_with("cannot be read: "));
    }
}
