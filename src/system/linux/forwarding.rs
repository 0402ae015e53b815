//! Per-interface forwarding of a gateway, through /proc: never the machine-wide switch.

use std::fs;
use std::path::PathBuf;

/// The switches of one interface and what they were before we touched them.
pub(super) struct Forwarding {
    files: [PathBuf; 2],
    /// What `set` applied last. Fresh interfaces take over the machine's default, so the first state is applied too
    /// when it is on; off is left as the machine has it.
    applied: bool,
    before: Vec<(PathBuf, String)>,
}

impl Forwarding {
    pub(super) fn new(interface: &str) -> Self {
        let files = ["ipv4", "ipv6"].map(|family| format!("/proc/sys/net/{family}/conf/{interface}/forwarding").into());
        Self { files, applied: false, before: Vec::new() }
    }

    /// Switches forwarding on or off when that is a change. What cannot be written is a warning: the embedded tunnel
    /// forwards by itself, and a container's /proc is often read-only.
    pub(super) fn set(&mut self, on: bool) {
        if on == self.applied {
            return;
        }
        self.applied = on;
        for file in &self.files {
            // An address family that the machine does not have.
            let Ok(now) = fs::read_to_string(file) else { continue };
            let wanted = if on { "1" } else { "0" };
            if now.trim() == wanted {
                continue;
            }
            match fs::write(file, wanted) {
                Ok(()) if !self.before.iter().any(|(path, _)| path == file) => {
                    self.before.push((file.clone(), now.trim().to_owned()));
                }
                Ok(()) => {}
                Err(e) => {
                    tracing::warn!("cannot write {wanted} to {}: {e} (this node cannot forward there)", file.display())
                }
            }
        }
    }

    /// Puts everything back as it was. An interface that is gone took its switches with it.
    pub(super) fn restore(&mut self) {
        for (file, before) in self.before.drain(..) {
            let _ = fs::write(file, before);
        }
        self.applied = false;
    }
}
