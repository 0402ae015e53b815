//! The network file is read again: on SIGHUP, and by `wgnet reload`.
//!
//! ```text
//!   asked --> read, compared, kept on disk --> applied --> confirmed ............. done
//!             (a thread of its own: disks                  |
//!             may be slow)                                 +-> not confirmed in time: the content before acts again,
//!                                                              and the file on disk is rejected until it changes or
//!                                                              is asked for once more
//! ```
//!
//! Nothing is half applied: a file with a mistake, or with a difference that needs a restart, changes nothing at all.
//! The content before is on disk before the new one acts, so that a daemon that is killed meanwhile comes back to it in
//! time: at its start, when the time is over, else when it is.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wgnet_api::{ConfigDifference, Reload, ReloadRequest};

use super::store::{Kept, Store, StoreError};
use crate::config::{self, Config, Diagnostic, Difference};

/// Longest time that a confirmation may take.
pub const LONGEST_CONFIRMATION: Duration = Duration::from_secs(3_600);

/// Why a reload or a confirmation was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadRefused {
    /// The file, or the node's own values, are wrong: each mistake with its place.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
    /// An earlier reload waits for its confirmation.
    #[error("an earlier reload waits for a confirmation")]
    Awaiting,
    /// Another reload is being read.
    #[error("the file is being read already")]
    Busy,
    /// There is nothing to confirm.
    #[error("no reload waits for a confirmation")]
    NothingToConfirm,
    /// What acted before could not be kept, so that it could not be gone back to.
    #[error("the present network file cannot be kept, to go back to: {0}")]
    Storage(String),
}

/// Who asked, and for what.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: ReloadRequest,
    /// `None`: a signal, which waits for no answer.
    pub(super) reply: Option<oneshot::Sender<Result<Reload, ReloadRefused>>>,
}

impl Asked {
    /// Answers whoever waits, and logs for those who cannot.
    pub(super) fn answer(self, outcome: Result<Reload, ReloadRefused>) {
        match &outcome {
            Err(refused) => tracing::warn!("the network file is not taken: {refused}"),
            Ok(reload) if !reload.applied && !self.request.dry_run => {
                let restart = reload.differences.iter().filter(|difference| difference.needs_restart);
                let restart: Vec<_> = restart.map(|difference| difference.what.as_str()).collect();
                match restart.as_slice() {
                    [] => tracing::info!("the network file is as it was"),
                    restart => tracing::warn!("nothing is taken over: {} needs a restart", restart.join(", ")),
                }
            }
            Ok(_) => {}
        }
        if let Some(reply) = self.reply {
            drop(reply.send(outcome));
        }
    }
}

/// A file that was read and compared.
pub(super) struct Read {
    pub(super) asked: Asked,
    pub(super) outcome: Result<Ready, ReloadRefused>,
}

/// What the file asks for.
pub(super) struct Ready {
    pub(super) config: Config,
    pub(super) differences: Vec<Difference>,
    pub(super) warnings: Vec<String>,
    /// Whether it shall act now.
    pub(super) applies: bool,
}

impl Ready {
    pub(super) fn told(&self, request: &ReloadRequest) -> Reload {
        let told = |difference: &Difference| ConfigDifference {
            what: difference.what.clone(),
            before: difference.before.clone(),
            after: difference.after.clone(),
            needs_restart: difference.needs_restart,
        };
        Reload {
            differences: self.differences.iter().map(told).collect(),
            applied: self.applies,
            warnings: self.warnings.clone(),
            confirm_within_s: request.confirm_s.filter(|_| self.applies),
        }
    }
}

/// Work with the disk, off the loop: each piece starts when the one before has ended, so that what is kept last is what
/// was decided last.
#[derive(Default)]
pub(super) struct Turns {
    /// Ends when the last piece has.
    last: Option<oneshot::Receiver<()>>,
}

impl Turns {
    pub(super) fn next<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let (ended, end) = oneshot::channel();
        let before = self.last.replace(end);
        async move {
            if let Some(before) = before {
                // Nothing is ever sent: the other end is dropped.
                let _ = before.await;
            }
            let done = tokio::task::spawn_blocking(work).await;
            drop(ended);
            done.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
        }
    }
}

/// Files that are being read; one at a time.
#[derive(Default)]
pub(super) struct Reader {
    running: JoinSet<Read>,
    pub(super) turns: Turns,
}

impl Reader {
    /// Reads the file that `acting` came from. `wall` is the time since 1970.
    pub(super) fn start(&mut self, asked: Asked, acting: &Config, store: &Store, wall: Duration) {
        if !self.running.is_empty() {
            return asked.answer(Err(ReloadRefused::Busy));
        }
        let (acting, store) = (acting.clone(), store.clone());
        let read = self.turns.next(move || {
            let outcome = read(&acting, &store, &asked.request, wall);
            Read { asked, outcome }
        });
        self.running.spawn(read);
    }

    /// Waits for a file; for ever when none is being read. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Read {
        match self.running.join_next().await {
            None => std::future::pending().await,
            Some(Ok(read)) => read,
            Some(Err(e)) => std::panic::resume_unwind(e.into_panic()),
        }
    }
}

fn read(acting: &Config, store: &Store, request: &ReloadRequest, wall: Duration) -> Result<Ready, ReloadRefused> {
    let (config, mut diagnostics) = config::load(&acting.given).map_err(|wrong| wrong_lines(&wrong))?;
    match config::local_routes() {
        Ok(routes) => diagnostics.extend(config.conflicts(&routes)),
        Err(error) => tracing::warn!("this machine's routes cannot be read: {error}"),
    }
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(wrong_lines(&diagnostics));
    }
    let differences = config::differences(acting, &config);
    let restart = differences.iter().any(|difference| difference.needs_restart);
    let applies = !request.dry_run && !restart && !differences.is_empty();
    if applies {
        let kept = request.confirm_s.map(|seconds| Kept {
            previous: acting.network_text.clone(),
            file: Kept::hash(&config.network_text),
            until: Some(wall + Duration::from_secs(seconds.into())),
        });
        store.keep_network(kept.as_ref()).map_err(|e| ReloadRefused::Storage(e.to_string()))?;
    }
    Ok(Ready { config, differences, warnings: diagnostics.iter().map(ToString::to_string).collect(), applies })
}

fn wrong_lines(diagnostics: &[Diagnostic]) -> ReloadRefused {
    ReloadRefused::Wrong(diagnostics.iter().map(ToString::to_string).collect())
}

/// A reload of a former run that acts and may still be taken back.
#[derive(Clone, Debug)]
pub(super) struct StillUnconfirmed {
    /// What acted before.
    pub(super) previous: Config,
    /// How long it may act unconfirmed, from now.
    pub(super) left: Duration,
}

/// What a start finds of an earlier reload.
#[derive(Debug)]
pub(super) struct Found {
    /// What acts now.
    pub(super) config: Config,
    /// A confirmation is still awaited.
    pub(super) unconfirmed: Option<StillUnconfirmed>,
    /// The file on disk is rejected: `config` is what acted before.
    pub(super) rolled_back: bool,
}

/// At a start: does the file on disk act, or what was before it? `wall` is the time since 1970.
pub(super) fn at_start(config: Config, store: &Store, wall: Duration) -> Result<Found, StoreError> {
    let plain = |config| Found { config, unconfirmed: None, rolled_back: false };
    let Some(kept) = store.kept_network()? else { return Ok(plain(config)) };
    if kept.file != Kept::hash(&config.network_text) {
        // The file was changed since: whoever did that wants it to act.
        store.keep_network(None)?;
        return Ok(plain(config));
    }
    let Ok((previous, _)) = config::load_text(&config.given, &kept.previous) else {
        tracing::warn!("what acted before the last reload does not fit this node any more: the file on disk acts");
        store.keep_network(None)?;
        return Ok(plain(config));
    };
    // A clock that went back must not give an unconfirmed file more time than anyone may ask for.
    let left = kept.until.and_then(|until| until.checked_sub(wall)).filter(|left| *left <= LONGEST_CONFIRMATION);
    match left.filter(|left| !left.is_zero()) {
        Some(left) => Ok(Found { config, unconfirmed: Some(StillUnconfirmed { previous, left }), rolled_back: false }),
        None => {
            store.keep_network(Some(&Kept { until: None, ..kept }))?;
            Ok(Found { config: previous, unconfirmed: None, rolled_back: true })
        }
    }
}
