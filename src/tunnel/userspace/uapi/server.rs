//! The socket of the userspace API: bytes in, requests out, answers back, all without ever blocking.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};
use zeroize::Zeroizing;

use crate::tunnel::TunnelError;

/// Clients served at a time; more wait in the listen queue. The device loop polls one descriptor for each.
pub(in crate::tunnel::userspace) const MOST_CLIENTS: usize = 8;

/// Longest request in bytes: about 5,000 peers with a few prefixes each.
const LONGEST_REQUEST: usize = 1 << 20;

/// A client that neither sends nor reads for this long is dropped.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes read from one client before others have their turn.
const TURN: usize = 64 * 1024;

/// Serves the socket file, which is removed with it.
pub(in crate::tunnel::userspace) struct Server {
    path: PathBuf,
    listener: UnixListener,
    clients: Vec<Client>,
}

impl Server {
    /// Makes `<directory>/<interface>.sock` (0600), in place of one that nobody serves.
    ///
    /// # Errors
    /// When another process serves it, or the directory cannot be written.
    pub(in crate::tunnel::userspace) fn bind(directory: &Path, interface: &str) -> Result<Self, TunnelError> {
        let path = directory.join(format!("{interface}.sock"));
        let refused = |source: io::Error| {
            let remedy = match source.kind() {
                ErrorKind::PermissionDenied => "run as root",
                ErrorKind::AddrInUse => "another process serves this interface: stop it or choose another name",
                _ => "",
            };
            let what = format!("cannot make the socket {}", path.display());
            TunnelError::System { what, source, remedy: remedy.to_owned() }
        };
        fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(refused)?;
        let listener = listen(&path).map_err(refused)?;
        Ok(Self { path, listener, clients: Vec::new() })
    }

    /// What to poll for.
    pub(in crate::tunnel::userspace) fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let accepting = self.clients.len() < MOST_CLIENTS;
        let listener = accepting.then(|| (self.listener.as_fd(), PollFlags::IN));
        listener.into_iter().chain(self.clients.iter().map(|client| (client.stream.as_fd(), client.interest())))
    }

    /// When the next silent client is to be dropped.
    pub(in crate::tunnel::userspace) fn deadline(&self) -> Option<Instant> {
        self.clients.iter().map(|client| client.last + PATIENCE).min()
    }

    /// Goes on with every client as far as it goes. `answer` is called for each whole request.
    pub(in crate::tunnel::userspace) fn advance(
        &mut self,
        now: Instant,
        mut answer: impl FnMut(&[u8]) -> Zeroizing<String>,
    ) {
        while self.clients.len() < MOST_CLIENTS {
            let Ok((stream, _)) = self.listener.accept() else { break };
            if stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client::new(stream, now));
            }
        }
        self.clients.retain_mut(|client| {
            let alive = client.advance(now, &mut answer).unwrap_or(false);
            alive && now.duration_since(client.last) < PATIENCE
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Before the bind, so that the file never has wider rights.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_stale(path) => {
            fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        other => other?,
    }
    if let Err(error) = socket.listen(16).and_then(|()| socket.set_nonblocking(true)) {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(UnixListener::from(std::os::fd::OwnedFd::from(socket)))
}

/// A socket file that nobody listens on: its process died.
fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

struct Client {
    stream: UnixStream,
    /// What it sent and what is not answered yet.
    input: Zeroizing<Vec<u8>>,
    /// How much of `input` is known to hold no end of a request.
    searched: usize,
    output: Zeroizing<Vec<u8>>,
    written: usize,
    /// Closed once `output` is written.
    closing: bool,
    last: Instant,
}

impl Client {
    fn new(stream: UnixStream, now: Instant) -> Self {
        Self {
            stream,
            input: Zeroizing::default(),
            searched: 0,
            output: Zeroizing::default(),
            written: 0,
            closing: false,
            last: now,
        }
    }

    fn interest(&self) -> PollFlags {
        if self.output.is_empty() { PollFlags::IN } else { PollFlags::OUT }
    }

    /// Reads, answers and writes until one of them would block. `false` when the client is done.
    fn advance(&mut self, now: Instant, answer: &mut impl FnMut(&[u8]) -> Zeroizing<String>) -> io::Result<bool> {
        let mut chunk = Zeroizing::new([0; 4096]);
        let mut turn = 0;
        loop {
            while self.written < self.output.len() {
                match self.stream.write(&self.output[self.written..]) {
                    Ok(written) => self.written += written,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
                self.last = now;
            }
            self.output = Zeroizing::default();
            self.written = 0;
            if self.closing {
                return Ok(false);
            }
            if let Some(request) = self.take_request() {
                self.output = Zeroizing::new(answer(&request).as_bytes().to_vec());
                continue;
            }
            // What is left makes the descriptor ready again.
            if turn >= TURN {
                return Ok(true);
            }
            match self.stream.read(&mut chunk[..]) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    turn += length;
                    self.input.extend_from_slice(&chunk[..length]);
                    self.last = now;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.input.len() > LONGEST_REQUEST {
                self.output = Zeroizing::new(refusal(rustix::io::Errno::TOOBIG).into_bytes());
                self.closing = true;
            }
        }
    }

    /// The next whole request: its lines without the empty one that ends it.
    fn take_request(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let from = self.searched.saturating_sub(1);
        let Some(at) = self.input[from..].windows(2).position(|pair| pair == b"\n\n") else {
            self.searched = self.input.len();
            return None;
        };
        let end = from + at;
        let request = Zeroizing::new(self.input[..end].to_vec());
        self.input = Zeroizing::new(self.input[end + 2..].to_vec());
        self.searched = 0;
        Some(request)
    }
}

/// The answer that says why not: the negative number, as `wg` and wireguard-go read and write it.
pub(in crate::tunnel::userspace) fn refusal(errno: rustix::io::Errno) -> String {
    format!("errno={}\n\n", -errno.raw_os_error())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the clients' patience is measured against a clock that tests start")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn echo(request: &[u8]) -> Zeroizing<String> {
        Zeroizing::new(format!("<{}>\n", String::from_utf8_lossy(request)))
    }

    fn read_some(stream: &mut UnixStream) -> String {
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let mut buffer = [0; 256];
        let length = stream.read(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn the_socket_is_the_owners_alone_and_goes_with_the_server() {
        let directory = tempfile::tempdir().expect("a directory");
        let within = directory.path().join("made");
        let server = Server::bind(&within, "wg0").expect("a server");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&within.join("wg0.sock")), 0o600);
        drop(server);
        assert!(!within.join("wg0.sock").exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        drop(UnixListener::bind(directory.path().join("wg0.sock")).expect("a stale socket"));
        let server = Server::bind(directory.path(), "wg0").expect("the stale one is replaced");
        let error = Server::bind(directory.path(), "wg0").err().expect("a live one").to_string();
        assert!(error.contains("another process serves this interface"), "{error}");
        assert!(directory.path().join("wg0.sock").exists());
        drop(server);
        fs::write(directory.path().join("wg0.sock"), "not a socket").expect("a file");
        assert!(Server::bind(directory.path(), "wg0").is_err(), "a plain file is not ours to remove");
    }

    #[test]
    fn requests_come_in_pieces_and_several_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut server = Server::bind(directory.path(), "wg0").expect("a server");
        let now = Instant::now();
        let mut client = UnixStream::connect(directory.path().join("wg0.sock")).expect("a client");
        client.write_all(b"get=").expect("sent");
        server.advance(now, echo);
        client.write_all(b"1\n").expect("sent");
        server.advance(now, echo);
        client.write_all(b"\nset=1\na=b\n\n").expect("sent");
        server.advance(now, echo);
        assert_eq!(read_some(&mut client), "<get=1>\n<set=1\na=b>\n");
    }

    #[test]
    fn an_endless_request_and_a_silent_client_are_dropped() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut server = Server::bind(directory.path(), "wg0").expect("a server");
        let now = Instant::now();
        let path = directory.path().join("wg0.sock");
        let _silent = UnixStream::connect(&path).expect("a client");
        let mut endless = UnixStream::connect(&path).expect("a client");
        endless.set_nonblocking(true).expect("non-blocking");
        server.advance(now, echo);
        assert_eq!(server.clients.len(), 2);
        for _ in 0..1000 {
            let _ = endless.write(&[b'x'; 4096]);
            server.advance(now, echo);
        }
        assert_eq!(server.clients.len(), 1, "the endless one is gone");
        assert_eq!(server.deadline(), Some(now + PATIENCE));
        server.advance(now + PATIENCE, echo);
        assert!(server.clients.is_empty());
    }
}
