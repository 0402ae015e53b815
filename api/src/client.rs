//! A small blocking client: one request, one connection.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::{Answer, read_answer, request};
use crate::{
    Change, Done, Drain, Forget, GatewayCost, Journal, LinkCost, LogLevel, Mesh, Plan, PlanRequest, Probe, Refusal,
    Reload, ReloadRequest, SetLogLevel, Snapshot, Status, Why,
};

/// A daemon answers within milliseconds; one that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens at the socket.
    #[error("no daemon answers at {} (is it running? start it with `wgnet -c net.yaml ...`)", .path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
    },
    /// The socket may not be opened.
    #[error("not allowed to open {} (run as root, or as the user the daemon runs as)", .path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// The socket's directory cannot be read.
    #[error("cannot look for daemons in {}: {source} (run as root, or give the socket with --socket)", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no socket to choose.
    #[error("no wgnet daemon is running: no socket in {} (give another place with --socket)", .directory.display())]
    NoneRunning {
        /// Where sockets were looked for.
        directory: PathBuf,
    },
    /// There is more than one daemon.
    #[error("several daemons are running, which one? give one of these with --socket: {}", list(.sockets))]
    WhichOne {
        /// Their sockets.
        sockets: Vec<PathBuf>,
    },
    /// The daemon took the connection and then did not answer in time.
    #[error("the daemon at {} does not answer", .path.display())]
    Timeout {
        /// The socket.
        path: PathBuf,
    },
    /// The connection broke, or something else than a wgnet daemon listens there.
    #[error("no proper answer from {}: {source} (are `wgnet` and the daemon of the same version?)", .path.display())]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The daemon refused. Nothing changed.
    #[error("{}{}", .refusal.error, remedy(.refusal))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its reason.
        refusal: Refusal,
    },
}

/// A value in a query (RFC 3986): names and addresses stay as they are.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn list(sockets: &[PathBuf]) -> String {
    sockets.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn remedy(refusal: &Refusal) -> String {
    if refusal.remedy.is_empty() { String::new() } else { format!(" ({})", refusal.remedy) }
}

/// Speaks to the daemon behind one socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    patience: Duration,
}

impl Client {
    /// A client of the daemon at `socket`. Nothing is opened before the first request.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), patience: PATIENCE }
    }

    /// The same client with another limit for connecting, sending and each read.
    pub fn with_timeout(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where the daemon listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// This node, its peers, what is wrong.
    pub fn status(&self) -> Result<Status, Error> {
        self.get("/v1/status")
    }

    /// The whole mesh: nodes and links.
    pub fn mesh(&self) -> Result<Mesh, Error> {
        self.get("/v1/mesh")
    }

    /// Everything a dashboard shows, at one moment.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        self.get("/v1/snapshot")
    }

    /// The last events.
    pub fn journal(&self) -> Result<Journal, Error> {
        self.get("/v1/journal")
    }

    /// Why packets between two nodes travel as they do; without `from`, from the node that answers.
    pub fn why(&self, from: Option<&str>, to: &str) -> Result<Why, Error> {
        let from = from.map_or_else(String::new, |from| format!("from={}&", encoded(from)));
        self.get(&format!("/v1/why?{from}to={}", encoded(to)))
    }

    /// What changes would bring; nothing is touched.
    pub fn plan(&self, changes: &[Change]) -> Result<Plan, Error> {
        self.post("/v1/plan", &PlanRequest { changes: changes.to_vec() })
    }

    /// Sets (`Some`) or clears (`None`) the cost of the link to a neighbour.
    pub fn link_cost(&self, peer: &str, cost: Option<u32>) -> Result<(), Error> {
        self.post("/v1/link-cost", &LinkCost { peer: peer.to_owned(), cost }).map(|Done {}| ())
    }

    /// Sets (`Some`) or clears (`None`) the least cost of every link of this gateway.
    pub fn gateway_cost(&self, cost: Option<u32>) -> Result<(), Error> {
        self.post("/v1/gateway-cost", &GatewayCost { cost }).map(|Done {}| ())
    }

    /// Leads the traffic of others around this gateway, or takes it back.
    pub fn drain(&self, drain: bool) -> Result<(), Error> {
        self.post("/v1/drain", &Drain { drain }).map(|Done {}| ())
    }

    /// Probes one peer, or all of them, at once.
    pub fn probe(&self, peer: Option<&str>) -> Result<(), Error> {
        self.post("/v1/probe", &Probe { peer: peer.map(str::to_owned) }).map(|Done {}| ())
    }

    /// Reads the network file again.
    pub fn reload(&self, request: &ReloadRequest) -> Result<Reload, Error> {
        self.post("/v1/reload", request)
    }

    /// Keeps what a reload brought.
    pub fn confirm(&self) -> Result<(), Error> {
        self.post("/v1/confirm", &Done {}).map(|Done {}| ())
    }

    /// Sets how much the daemon logs.
    pub fn log_level(&self, level: LogLevel) -> Result<(), Error> {
        self.post("/v1/log-level", &SetLogLevel { level }).map(|Done {}| ())
    }

    /// Lets the name of a reinstalled or lost node go to another identity.
    pub fn forget(&self, name: &str) -> Result<(), Error> {
        self.post("/v1/forget", &Forget { name: name.to_owned() }).map(|Done {}| ())
    }

    fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, Error> {
        self.ask(&request("GET", path, None))
    }

    fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, Error> {
        let body = serde_json::to_vec(body).map_err(|e| self.garbled(e.into()))?;
        self.ask(&request("POST", path, Some(&body)))
    }

    fn ask<A: DeserializeOwned>(&self, request: &[u8]) -> Result<A, Error> {
        let stream = UnixStream::connect(&self.socket).map_err(|e| self.unopened(e))?;
        let answer = self.exchange(stream, request).map_err(|e| self.broken(e))?;
        if !(200..300).contains(&answer.status) {
            let refusal = serde_json::from_slice(&answer.body).unwrap_or_else(|_| Refusal {
                error: format!("the daemon refused with HTTP status {}", answer.status),
                remedy: String::new(),
            });
            return Err(Error::Refused { status: answer.status, refusal });
        }
        serde_json::from_slice(&answer.body).map_err(|e| self.garbled(e.into()))
    }

    fn exchange(&self, mut stream: UnixStream, request: &[u8]) -> io::Result<Answer> {
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        stream.write_all(request)?;
        read_answer(&stream)
    }

    fn unopened(&self, error: io::Error) -> Error {
        let path = self.socket.clone();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::NoDaemon { path },
            io::ErrorKind::PermissionDenied => Error::NotAllowed { path },
            _ => Error::Garbled { path, source: error },
        }
    }

    fn broken(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout { path: self.socket.clone() },
            // A daemon closes at once on whom it does not know.
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Error::NotAllowed { path: self.socket.clone() }
            }
            _ => self.garbled(error),
        }
    }

    fn garbled(&self, source: io::Error) -> Error {
        Error::Garbled { path: self.socket.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_missing_or_stale_socket_means_no_daemon() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("wg0.sock");
        let client = Client::new(&path);
        let missing = client.status().expect_err("nothing there").to_string();
        assert!(missing.starts_with(&format!("no daemon answers at {} (is it running?", path.display())), "{missing}");
        drop(UnixListener::bind(&path).expect("bind"));
        assert!(matches!(client.status(), Err(Error::NoDaemon { .. })));
    }

    #[test]
    fn a_daemon_that_hangs_is_given_up() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("wg0.sock");
        let _listener = UnixListener::bind(&path).expect("bind");
        let client = Client::new(&path).with_timeout(Duration::from_millis(20));
        assert!(matches!(client.status(), Err(Error::Timeout { .. })));
    }

    #[test]
    fn a_refusal_carries_its_remedy() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("wg0.sock");
        let listener = UnixListener::bind(&path).expect("bind");
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let body = r#"{"error":"no node named \"bob\" is known","remedy":"`wgnet status` lists the names"}"#;
            let answer = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).expect("write");
            // Read what was asked before closing, or the client may see a reset.
            let mut asked = [0; 1_024];
            let length = io::Read::read(&mut stream, &mut asked).expect("read");
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let error = Client::new(&path).forget("bob").expect_err("refused");
        assert_eq!(error.to_string(), "no node named \"bob\" is known (`wgnet status` lists the names)");
        assert!(daemon.join().expect("daemon").starts_with("POST /v1/forget HTTP/1.1\r\n"));
    }
}
