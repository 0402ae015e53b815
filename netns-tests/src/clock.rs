//! Wall clocks that are wrong: Debian's libfaketime, preloaded. The monotonic clock stays right, as on a real machine.

use std::path::PathBuf;

use crate::process::Program;

/// The same program with its wall clock off by `offset`, in libfaketime's words: `-1d`, `+3600`.
pub fn offset(program: Program, offset: &str) -> Program {
    let library = library().expect("libfaketime is installed (Debian's package faketime)");
    program.env("LD_PRELOAD", library.display()).env("FAKETIME", offset).env("DONT_FAKE_MONOTONIC", "1")
}

/// `/usr/lib/<triplet>/faketime/libfaketimeMT.so.1`: the one for programs with threads.
pub fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let candidates =
        folders.chain([PathBuf::from("/usr/lib")]).map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    candidates.into_iter().find(|path| path.is_file())
}
