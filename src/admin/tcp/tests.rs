//! Who is let in at the TCP port, who is not, and that the latter changes nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wgnet_api::{Client, Error, Journal, Token};

use super::*;
use crate::admin::log_level::LogControl;
use crate::admin::{self, routes};

/// Longer than anything here may take, shorter than a person's patience.
const SOON: Duration = Duration::from_secs(20);

struct Port {
    dir: tempfile::TempDir,
    address: SocketAddr,
    token: String,
    /// Requests that reached the loop.
    reached: Arc<AtomicUsize>,
}

/// A port whose loop knows an empty journal and nothing else.
async fn serve(limits: Limits) -> Port {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let tcp = bind((std::net::Ipv4Addr::LOCALHOST, 0).into(), dir.path()).await.expect("bind");
    let address = tcp.address();
    let (requests, mut inbox): (_, mpsc::Receiver<admin::Request>) = admin::channel();
    let log = LogControl::new(|level| format!("{level:?}"));
    tokio::spawn(async move { tcp.serve_within(routes::router(requests, log), limits).await });
    let reached = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reached);
    tokio::spawn(async move {
        while let Some(request) = inbox.recv().await {
            count.fetch_add(1, Ordering::Relaxed);
            if let admin::Request::Journal(reply) = request {
                drop(reply.send(Journal::default()));
            }
        }
    });
    let token = fs::read_to_string(dir.path().join(TOKEN_FILE)).expect("a token").trim().to_owned();
    Port { dir, address, token, reached }
}

impl Port {
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        stream.write_all(request).await.expect("write");
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer)).await.expect("soon").expect("read");
        answer
    }

    fn request(&self, headers: &str) -> String {
        format!("GET /v1/journal HTTP/1.1\r\n{headers}\r\n")
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }

    async fn asks(&self, host: String, token: &str) -> Result<Journal, Error> {
        let client = Client::tcp(host, Token::new(token).expect("a token"));
        tokio::task::spawn_blocking(move || client.journal()).await.expect("no panic")
    }
}

#[tokio::test]
async fn the_token_is_private_stays_and_opens_the_port() {
    let port = serve(Limits::default()).await;
    let path = port.dir.path().join(TOKEN_FILE);
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(port.token.len(), TOKEN_LENGTH);
    assert_eq!(port.asks(port.address.to_string(), &port.token).await.expect("let in"), Journal::default());
    let localhost = format!("localhost:{}", port.address.port());
    assert_eq!(port.asks(localhost, &port.token).await.expect("let in"), Journal::default());
    assert_eq!(**token(&path).expect("the same"), port.token);

    // A part of a token is none; one that others could read is no secret any more.
    fs::write(&path, "abc").expect("write");
    let new = token(&path).expect("a new one");
    assert!(new.len() == TOKEN_LENGTH && **new != port.token);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("permissions");
    let error = token(&path).expect_err("exposed").to_string();
    assert!(error.contains("may be read by others (mode 644): remove it") && !error.contains(&**new), "{error}");
}

#[tokio::test]
async fn who_has_no_token_is_refused() {
    let port = serve(Limits::default()).await;
    let host = format!("Host: {}\r\n", port.address);
    let half = &port.token[..20];
    for authorization in [
        String::new(),
        "Authorization: Bearer\r\n".to_owned(),
        format!("Authorization: Bearer {half}\r\n"),
        format!("Authorization: Bearer {}x\r\n", port.token),
        format!("Authorization: Basic {}\r\n", port.token),
        format!("Authorization: {}\r\n", port.token),
        format!("Authorization: Bearer x\r\n{}", port.bearer()),
    ] {
        let answer = port.raw(port.request(&format!("{host}{authorization}")).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{authorization}: {answer}");
        assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
        assert!(!answer.contains(&port.token), "{answer}");
    }
    let error = port.asks(port.address.to_string(), "wrong").await.expect_err("refused").to_string();
    assert!(error.starts_with("the token is missing or wrong (give the token in api.token"), "{error}");
    assert_eq!(port.reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn pages_of_a_browser_are_refused() {
    let port = serve(Limits::default()).await;
    let (host, bearer) = (format!("Host: {}\r\n", port.address), port.bearer());
    let address = port.address;
    for (headers, status) in [
        (format!("Host: evil.example:{}\r\n{bearer}", address.port()), "421"),
        (format!("Host: 127.0.0.1\r\n{bearer}"), "421"),
        (format!("Host: {address}.evil.example\r\n{bearer}"), "421"),
        (format!("{host}Host: evil.example\r\n{bearer}"), "421"),
        (bearer.clone(), "421"),
        (format!("{host}{bearer}Origin: http://{address}\r\n"), "403"),
        (format!("{host}{bearer}Origin: null\r\n"), "403"),
        (format!("{host}Origin: http://evil.example\r\n"), "403"),
        (format!("{host}{bearer}"), "200"),
    ] {
        let answer = port.raw(port.request(&headers).as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
        assert!(!answer.contains("access-control"), "{answer}");
    }
    let absolute = format!("GET http://evil.example/v1/journal HTTP/1.1\r\n{host}{bearer}\r\n");
    assert!(port.raw(absolute.as_bytes()).await.starts_with("HTTP/1.1 421 "));
    let preflight = format!("OPTIONS /v1/journal HTTP/1.1\r\n{host}Origin: http://evil.example\r\n\r\n");
    assert!(port.raw(preflight.as_bytes()).await.starts_with("HTTP/1.1 403 "));
    assert_eq!(port.reached.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_asked_wrongly_gets_the_right_status_and_nothing_else_happens() {
    let port = serve(Limits::default()).await;
    let head = format!("Host: {}\r\n{}", port.address, port.bearer());
    let post = |length: usize, body: &str| {
        format!(
            "POST /v1/link-cost HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let large = format!("{{\"peer\":\"{}\"}}", "a".repeat(65 << 10));
    for (request, status) in [
        (post(1, "{"), "400"),
        (post(large.len(), &large), "413"),
        (format!("GET /v1/nothing HTTP/1.1\r\n{head}\r\n"), "404"),
        ("GET /v1/journal HTTP/9.9\r\n\r\n".to_owned(), "400"),
        ("\x16\x03\x01\x02\r\n\r\n".to_owned(), "400"),
        (format!("GET /v1/journal HTTP/1.1\r\n{}\r\n\r\n", "x: y\r\n".repeat(4_000)), "431"),
    ] {
        let answer = port.raw(request.as_bytes()).await;
        let start: String = request.chars().take(40).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{start:?}: {answer}");
    }
    assert_eq!(port.reached.load(Ordering::Relaxed), 0);
    assert!(port.asks(port.address.to_string(), &port.token).await.is_ok());
}

#[tokio::test]
async fn slow_clients_and_a_flood_of_them_are_outlasted() {
    let port = serve(Limits { lifetime: Duration::from_millis(200), ..Limits::default() }).await;
    let mut held = Vec::new();
    for number in 0..4 * CONNECTIONS {
        let mut stream = TcpStream::connect(port.address).await.expect("connect");
        // Some say nothing, some half of a head, some half of a body.
        let part = match number % 3 {
            0 => String::new(),
            1 => "GET /v1/jour".to_owned(),
            _ => format!(
                "POST /v1/drain HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{",
                port.address,
                port.bearer()
            ),
        };
        stream.write_all(part.as_bytes()).await.expect("write");
        held.push(stream);
    }
    let answer = timeout(SOON, port.asks(port.address.to_string(), &port.token)).await.expect("soon");
    assert_eq!(answer.expect("served after those before were cut off"), Journal::default());
    assert_eq!(port.reached.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_taken_port_is_an_error_with_a_remedy() {
    let port = serve(Limits::default()).await;
    let error = bind(port.address, port.dir.path()).await.expect_err("taken").to_string();
    assert!(error.starts_with(&format!("cannot listen at {}", port.address)), "{error}");
    assert!(error.contains("--api-listen"), "{error}");
}
