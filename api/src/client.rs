//! A small blocking client: one request, one connection.

mod address;
mod error;
mod stream;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::{Answer, Head, read_answer, read_rest, request};
use crate::{
    Change, Done, Drain, DrillReport, DrillRequest, Forget, GatewayCost, Journal, LinkCost, LogFilter, LogLevel, Mesh,
    Place, Plan, PlanRequest, Probe, Refusal, Reload, ReloadRequest, SetLogLevel, Snapshot, Status, Why,
};

use address::Connection;
pub use address::{Address, Token};
pub use error::Error;
pub use stream::{Closer, Stream};

/// A daemon answers within milliseconds; one that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// A value in a query (RFC 3986): names and addresses stay as they are.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Speaks to one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    at: Address,
    patience: Duration,
}

impl Client {
    /// A client of the daemon at the unix socket `path`. Nothing is opened before the first request.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { at: Address::Socket(path.into()), patience: PATIENCE }
    }

    /// A client of the daemon that listens at a TCP port: `host` is what it was given with `--api-listen`, word for
    /// word, because it answers to that name only.
    pub fn tcp(host: impl Into<String>, token: Token) -> Self {
        Self { at: Address::Tcp { host: host.into(), token }, patience: PATIENCE }
    }

    /// The same with the token in a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no token.
    pub fn tcp_with_token_file(host: impl Into<String>, token_file: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(token_file).map_err(|e| Error::token_file(token_file, e))?;
        let token = Token::new(&text).ok_or_else(|| Error::token_file(token_file, "there is no token in it"))?;
        Ok(Self::tcp(host, token))
    }

    /// The same client with another limit for connecting, sending and each read.
    pub fn with_timeout(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where the daemon listens.
    pub fn address(&self) -> &Address {
        &self.at
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

    /// Has a gateway withdraw for a while, measured from the node that is asked; [`Self::drill_report`] tells how it goes.
    pub fn drill(&self, request: &DrillRequest) -> Result<(), Error> {
        self.post("/v1/drill", request).map(|Done {}| ())
    }

    /// Calls the gateway of the drill back.
    pub fn end_drill(&self) -> Result<(), Error> {
        self.post("/v1/drill-end", &Done {}).map(|Done {}| ())
    }

    /// The drill that goes on, or the last one.
    pub fn drill_report(&self) -> Result<DrillReport, Error> {
        self.get("/v1/drill-report")
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

    /// Sets how much the daemon logs; returns what is in force.
    pub fn log_level(&self, level: LogLevel) -> Result<LogFilter, Error> {
        self.post("/v1/log-level", &SetLogLevel { level })
    }

    /// Lets the name of a reinstalled or lost node go to another identity.
    pub fn forget(&self, name: &str) -> Result<(), Error> {
        self.post("/v1/forget", &Forget { name: name.to_owned() }).map(|Done {}| ())
    }

    /// Everything a dashboard shows as it changes, and the journal: from `after` on, where a former stream ended, or
    /// all that is kept.
    ///
    /// # Errors
    /// As for every request; what goes wrong later comes out of the iterator.
    pub fn stream(&self, after: Option<Place>) -> Result<Stream, Error> {
        let after = after.map_or_else(String::new, |place| format!("Last-Event-ID: {place}\r\n"));
        let headers = format!("{}Accept: text/event-stream\r\n{after}", self.at.headers());
        let mut connection = self.connect()?;
        let sent = connection.write_all(&request("GET", "/v1/stream", &headers, None));
        let (head, start) = sent.and_then(|()| Head::read(&mut connection)).map_err(|e| Error::broken(&self.at, e))?;
        if !is_success(head.status) {
            let answer = read_rest(&head, start, connection).map_err(|e| Error::broken(&self.at, e))?;
            return Err(refused(&answer));
        }
        Stream::new(self.at.clone(), connection, &head, &start)
    }

    fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, Error> {
        self.ask(&request("GET", path, &self.at.headers(), None))
    }

    fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, Error> {
        let body = serde_json::to_vec(body).map_err(|e| Error::garbled(&self.at, e))?;
        self.ask(&request("POST", path, &self.at.headers(), Some(&body)))
    }

    fn ask<A: DeserializeOwned>(&self, request: &[u8]) -> Result<A, Error> {
        let answer = exchange(self.connect()?, request).map_err(|e| Error::broken(&self.at, e))?;
        if !is_success(answer.status) {
            return Err(refused(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|e| Error::garbled(&self.at, e))
    }

    fn connect(&self) -> Result<Connection, Error> {
        self.at.connect(self.patience).map_err(|e| Error::unopened(&self.at, e))
    }
}

fn exchange(mut connection: Connection, request: &[u8]) -> io::Result<Answer> {
    let sent = connection.write_all(request);
    match read_answer(connection) {
        // A daemon may refuse before it has read all, and its reason counts more than that.
        Ok(answer) => Ok(answer),
        Err(error) => Err(sent.err().unwrap_or(error)),
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

fn refused(answer: &Answer) -> Error {
    let status = answer.status;
    let refusal = serde_json::from_slice(&answer.body).unwrap_or_else(|_| Refusal {
        error: format!("the daemon refused with HTTP status {status}"),
        remedy: String::new(),
    });
    Error::Refused { status, refusal }
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
