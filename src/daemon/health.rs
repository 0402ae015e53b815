//! What is wrong outside the engine: disk, operating system, tunnel. One line per code, while it lasts.

use crate::mesh::event::Severity;
use crate::mesh::view::HealthLine;

/// The present troubles, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Health {
    lines: Vec<HealthLine>,
}

impl Health {
    /// The lines for `status`.
    pub(super) fn lines(&self) -> &[HealthLine] {
        &self.lines
    }

    /// Whether a trouble of this code lasts.
    pub(super) fn has(&self, code: &str) -> bool {
        self.lines.iter().any(|line| line.code == code)
    }

    /// Takes note of a trouble; the log hears of it when it is new or says something else than before.
    pub(super) fn trouble(&mut self, severity: Severity, code: &'static str, text: String, remedy: &str) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.code == code) {
            if line.text == text {
                return;
            }
            line.text.clone_from(&text);
        } else {
            self.lines.push(HealthLine { severity, code, text: text.clone(), remedy: remedy.to_owned() });
        }
        match severity {
            Severity::Error => tracing::error!("{text}"),
            _ => tracing::warn!("{text}"),
        }
    }

    /// The trouble of this code is over, if there was one.
    pub(super) fn over(&mut self, code: &str) {
        if self.has(code) {
            self.lines.retain(|line| line.code != code);
            tracing::info!("{code}: works again");
        }
    }
}
