//! Per-interface forwarding of a gateway, through /proc: never the machine-wide switch.

use std::fs;
use std::path::PathBuf;

/// The switches of one interface and what they were before we touched them.
pub(super) struct Forwarding {
    files: [PathBuf; 3],
    interface: String,
    /// What `set` applied last. Fresh interfaces take over the machine's default, so the first state is applied too
    /// when it is on; off is left as the machine has it.
    applied: bool,
    before: Vec<(PathBuf, String)>,
}

impl Forwarding {
    pub(super) fn new(interface: &str) -> Self {
        // Kernels before 6.17 have no switch of one interface that lets IPv6 through; see `explain_ipv6`.
        let files = ["ipv4/conf/%/forwarding", "ipv6/conf/%/forwarding", "ipv6/conf/%/force_forwarding"]
            .map(|file| format!("/proc/sys/net/{}", file.replace('%', interface)).into());
        Self { files, interface: interface.to_owned(), applied: false, before: Vec::new() }
    }

    /// Switches forwarding on or off when that is a change. What cannot be written is a warning: the embedded tunnel
    /// forwards by itself, and a container's /proc is often read-only.
    pub(super) fn set(&mut self, on: bool) {
        if on == self.applied {
            return;
        }
        self.applied = on;
        if on {
            self.explain_ipv6();
        }
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

    /// Says what is missing where only the machine-wide switch, which is not ours to turn, lets IPv6 through.
    fn explain_ipv6(&self) {
        let all = fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding");
        if all.is_ok_and(|text| text.trim() == "0") && !self.files[2].exists() {
            tracing::warn!(
                "this kernel forwards no IPv6 packets between the peers of {}: allow it with `sysctl -w \
                 net.ipv6.conf.all.forwarding=1` (and accept_ra=2 where this machine takes router advertisements), or use \
                 --tunnel userspace",
                self.interface
            );
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
