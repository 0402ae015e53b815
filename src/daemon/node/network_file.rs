//! The loop's part in a reload: what was read acts, waits for its confirmation, or is taken back.

use tokio::sync::oneshot;
use wgnet_api::{Reload, ReloadRequest};

use super::Loop;
use crate::config::Config;
use crate::daemon::clock::wall;
use crate::daemon::reload::{Asked, Read, Ready, ReloadRefused};
use crate::daemon::store::Kept;
use crate::mesh::event::{Event, EventKind, Severity};
use crate::mesh::time::Time;
use crate::system::System;

/// Code of the health line while the file on disk does not act.
const ROLLED_BACK: &str = "rolled-back";

/// A reload that acts and may still be taken back.
pub(in crate::daemon) struct Unconfirmed {
    /// What acted before.
    pub(in crate::daemon) previous: Config,
    /// When it acts again.
    pub(in crate::daemon) until: Time,
}

impl<S: System> Loop<S> {
    /// Someone wants the network file to be read again.
    pub(super) fn ask_reload(
        &mut self,
        request: ReloadRequest,
        reply: Option<oneshot::Sender<Result<Reload, ReloadRefused>>>,
    ) {
        let asked = Asked { request, reply };
        if self.unconfirmed.is_some() && !asked.request.dry_run {
            return asked.answer(Err(ReloadRefused::Awaiting));
        }
        self.reader.start(asked, &self.node.config, &self.node.store, wall());
    }

    /// The file was read.
    pub(super) async fn file_read(&mut self, read: Read) {
        let Read { asked, outcome } = read;
        let ready = match outcome {
            Ok(ready) => ready,
            Err(refused) => return asked.answer(Err(refused)),
        };
        let told = ready.told(&asked.request);
        if ready.applies {
            let confirm = asked.request.confirm_s;
            self.take_over(ready, confirm).await;
        } else if !asked.request.dry_run && ready.differences.is_empty() {
            self.health.over(ROLLED_BACK);
        }
        asked.answer(Ok(told));
    }

    async fn take_over(&mut self, ready: Ready, confirm_s: Option<u32>) {
        let what: Vec<_> = ready.differences.iter().map(|difference| difference.what.as_str()).collect();
        let until =
            confirm_s.map_or_else(String::new, |s| format!("; it is taken back in {s} s unless it is confirmed"));
        let text = format!("the network file was read again and acts: {} differ{until}", what.join(", "));
        self.tell(Severity::Info, text);
        self.health.over(ROLLED_BACK);
        let now = self.now();
        let previous = std::mem::replace(&mut self.node.config, ready.config);
        self.unconfirmed = confirm_s
            .map(|seconds| Unconfirmed { previous, until: now + std::time::Duration::from_secs(seconds.into()) });
        self.act_on_config(now).await;
    }

    /// What a reload brought shall stay.
    pub(super) fn confirm(&mut self, reply: oneshot::Sender<Result<(), ReloadRefused>>) {
        if self.unconfirmed.take().is_none() {
            return drop(reply.send(Err(ReloadRefused::NothingToConfirm)));
        }
        self.tell(Severity::Info, "the network file read last is confirmed".to_owned());
        let store = self.node.store.clone();
        // Answered once it is durable: else a daemon killed now would go back all the same.
        tokio::spawn(self.reader.turns.next(move || {
            let kept = store.keep_network(None).map_err(|e| ReloadRefused::Storage(e.to_string()));
            drop(reply.send(kept));
        }));
    }

    /// Nobody confirmed in time.
    pub(super) async fn roll_back(&mut self) {
        let Some(Unconfirmed { previous, .. }) = self.unconfirmed.take() else { return };
        let rejected = std::mem::replace(&mut self.node.config, previous);
        let kept = Kept {
            previous: self.node.config.network_text.clone(),
            file: Kept::hash(&rejected.network_text),
            until: None,
        };
        let store = self.node.store.clone();
        // Until this is on the disk, the time kept there is over: a start comes to the same end.
        tokio::spawn(self.reader.turns.next(move || {
            if let Err(error) = store.keep_network(Some(&kept)) {
                tracing::warn!("that the network file was taken back cannot be kept: {error}");
            }
        }));
        self.tell(
            Severity::Warning,
            "the network file read last was not confirmed: what was before acts again".to_owned(),
        );
        self.rejected();
        let now = self.now();
        self.act_on_config(now).await;
    }

    /// The file on disk does not act, and people shall know.
    pub(super) fn rejected(&mut self) {
        let file = self.node.config.network_file.display();
        let text = format!("{file} was not confirmed after its reload: what it held before acts");
        let remedy = "mend it and run `wgnet reload`, or run `wgnet reload` to take it as it is";
        self.health.trouble(Severity::Warning, ROLLED_BACK, text, remedy);
    }

    async fn act_on_config(&mut self, now: Time) {
        if !self.node.config.mtu_given {
            // The tunnel keeps what the underlay carried at the start.
            self.node.config.mesh.mtu = self.node.engine.config().mtu;
        }
        self.node.engine.handle_config(now, self.node.config.mesh.clone());
        self.drain(now).await;
    }

    fn tell(&mut self, severity: Severity, text: String) {
        let subject = self.node.config.mesh.name.to_string();
        self.journal.add(wall(), Event { severity, kind: EventKind::Config, subject, text });
    }
}
