//! What the operating system tells a daemon: stop, or read your network file again.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// A request from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM or SIGINT: leave the mesh and end; the second one: end at once.
    Stop,
    /// SIGUSR1: end, but leave behind what goes on without this process; the next start takes it over.
    Detach,
    /// SIGHUP: read the network file again.
    Reload,
}

/// Signals from now on. None is lost that comes while the daemon still starts.
pub(super) fn signals() -> io::Result<mpsc::Receiver<Signal>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut detach = signal(SignalKind::user_defined1())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (send, receive) = mpsc::channel(4);
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                _ = terminate.recv() => Signal::Stop,
                _ = interrupt.recv() => Signal::Stop,
                _ = detach.recv() => Signal::Detach,
                _ = hangup.recv() => Signal::Reload,
            };
            if send.send(signal).await.is_err() {
                return;
            }
        }
    });
    Ok(receive)
}
