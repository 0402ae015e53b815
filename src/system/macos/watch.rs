//! Notices when addresses or interfaces of the machine change, by what the kernel tells every routing socket.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::UnixDatagram;
use tokio::time::{Instant, sleep_until};

use super::message::may_matter;

/// Joining a wireless network makes a burst of messages: one look at the end of it is enough.
const SETTLE: Duration = Duration::from_millis(50);
/// How often to look where the socket fails.
const POLL: Duration = Duration::from_secs(5);

/// Longer than any message.
const LONGEST: usize = 4096;

pub(super) struct Watch {
    /// A routing socket. It gives whole messages, as a datagram socket does, and is read as one.
    socket: UnixDatagram,
    /// When to report, kept here so that a `changed` that is dropped halfway loses nothing.
    due: Option<Instant>,
}

impl Watch {
    /// Watches a routing socket that does not block. Needs a tokio runtime around it.
    pub(super) fn over(socket: OwnedFd) -> Result<Self, Errno> {
        match UnixDatagram::from_std(socket.into()) {
            Ok(socket) => Ok(Self { socket, due: None }),
            Err(e) => Err(Errno::from_io_error(&e).unwrap_or(Errno::IO)),
        }
    }

    pub(super) async fn changed(&mut self) {
        loop {
            let heard = match self.due {
                None => self.hear().await,
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {
                        self.due = None;
                        return;
                    }
                    heard = self.hear() => heard,
                },
            };
            let wait = if heard { SETTLE } else { POLL };
            self.due.get_or_insert_with(|| Instant::now() + wait);
            if !heard {
                // A socket that fails would do so again at once.
                sleep_until(self.due.unwrap_or_else(Instant::now)).await;
            }
        }
    }

    /// Waits for a message that may matter; false when the socket fails.
    async fn hear(&self) -> bool {
        let mut buffer = [0; LONGEST];
        loop {
            match self.socket.recv(&mut buffer).await {
                Ok(0) => return false,
                Ok(length) if may_matter(&buffer[..length]) => return true,
                Ok(_) => {}
                // Messages were lost: whatever they said is seen by looking.
                Err(e) => return Errno::from_io_error(&e) == Some(Errno::NOBUFS),
            }
        }
    }
}
