//! The shared key: read, judged, and never shown.

use std::path::Path;

use zeroize::Zeroizing;

use super::diagnostic::{Findings, Origin};
use crate::mesh::config::NetworkKey;
use crate::mesh::ids::decode_key;

/// The key that wg_netmanager's README and this project's samples use: everyone has it.
pub(crate) const SAMPLE_KEY: &str = "YDUBM6FhERePZ4gPlxzAbCN7K61BPjy7HApWYL+P128=";

/// A shared key and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct SharedKey {
    pub(crate) key: NetworkKey,
    /// Whether it is the published sample: then nothing of it is worth hiding.
    pub(crate) is_sample: bool,
}

/// Decodes the base64 `text` of a shared key that stands at `origin`, and names a key that protects nothing.
pub(crate) fn shared_key(text: &str, origin: &Origin, what: &str, findings: &mut Findings) -> Option<SharedKey> {
    let text = text.trim();
    let remedy = "make one with `wgnet genkey`, and put the same one on all nodes";
    let Ok(bytes) = decode_key(text).map(Zeroizing::new) else {
        return findings.error(origin, format!("{what} {}", why_undecodable(text)), remedy);
    };
    if bytes.iter().all(|byte| *byte == 0) {
        return findings.error(origin, format!("{what} is all zeros"), remedy);
    }
    if is_repetition(&*bytes) {
        return findings.error(origin, format!("{what} repeats a few bytes and can be guessed"), remedy);
    }
    let is_sample = text == SAMPLE_KEY;
    if is_sample {
        findings.warn(
            origin,
            format!("{what} is the published sample key: anyone can join this network"),
            "for a network of your own, replace it by the output of `wgnet genkey`",
        );
    }
    Some(SharedKey { key: NetworkKey::new(*bytes), is_sample })
}

/// Tells a wrong length from a wrong character, without showing either.
pub(crate) fn why_undecodable(text: &str) -> String {
    let alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let length = text.chars().count();
    if let Some(position) = text.chars().position(|c| !alphabet(c)) {
        return format!("is not base64: character {} cannot be in a key", position + 1);
    }
    if length != 44 {
        return format!("has {length} characters, and the base64 of 32 bytes has 44");
    }
    "is not the base64 of 32 bytes".to_owned()
}

/// Whether the bytes are one piece of at most four bytes again and again: typed by hand, not drawn at random.
/// The chance of a random key is below 2^-200.
pub(crate) fn is_repetition(bytes: &[u8]) -> bool {
    (1..=4).any(|period| bytes.iter().zip(&bytes[period..]).all(|(a, b)| a == b))
}

/// Warns when others than the owner can read the file at `path`, which holds the secret written at `origin`.
pub(crate) fn check_readers(path: &Path, mode: u32, origin: &Origin, findings: &mut Findings) {
    // Group members are let in by intent (a service's group, say); "others" is everyone on the machine.
    if mode & 0o004 != 0 {
        findings.warn(
            origin,
            format!("the shared key stands in {}, which every user of this machine can read", path.display()),
            format!("chmod 600 {}", path.display()),
        );
    }
}
