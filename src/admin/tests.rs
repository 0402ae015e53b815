//! The admin protocol over a real socket.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use wgnet_api::{Client, Error};

use super::server::CONNECTIONS;
use super::*;
use crate::daemon::journal::Journal;
use crate::daemon::reload::ReloadRefused;
use crate::mesh::config::{Class, DirectMode, GatewayPolicy, MeshConfig, NetworkKey};
use crate::mesh::event::{Event, EventKind, Severity};
use crate::mesh::ids::{NodeId, WgPublicKey};
use crate::mesh::io::{PeerReport, TunnelReport};
use crate::mesh::view::{self, HealthLine, NatKind, NodeView, PathKind, View};

const SECRET: [u8; 32] = [0x5a; 32];

fn config() -> MeshConfig {
    MeshConfig {
        key: NetworkKey::new(SECRET),
        subnets: vec!["10.0.0.0/8".parse().expect("a prefix")],
        static_peers: vec![],
        gateways: GatewayPolicy::Static,
        direct: DirectMode::Auto,
        mtu: 1420,
        name: "alice".parse().expect("a name"),
        addresses: vec!["10.1.1.1".parse().expect("an address")],
        class: Class::Server,
        offer_gateway: false,
        lan: false,
        wg_port: 50_001,
        admin_port: 50_501,
    }
}

fn member(name: &str, key: u8) -> NodeView {
    NodeView {
        id: Some(NodeId([key; 32])),
        name: name.to_owned(),
        addresses: vec!["10.1.1.2".parse().expect("an address")],
        public_key: Some(WgPublicKey([key; 32])),
        path: PathKind::Gateway,
        via: Some("beta".to_owned()),
        hops: 2,
        cost: Some(70),
        endpoint: None,
        lan: false,
        handshake_age: None,
        rtt: Some(Duration::from_micros(1_234)),
        loss: Some(0.1),
        probes: None,
        runner_up: None,
        rx_bytes: 10,
        tx_bytes: 20,
        gateway: false,
        refused: false,
        prefixes: vec![],
        why: "no direct way".to_owned(),
    }
}

fn report(key: u8) -> PeerReport {
    PeerReport {
        public_key: WgPublicKey([key; 32]),
        endpoint: Some("192.0.2.1:51820".parse().expect("an endpoint")),
        handshake_age: Some(Duration::from_secs(5)),
        rx_bytes: 1,
        tx_bytes: 2,
        data_packets: 3,
        allowed: vec!["10.7.0.0/24".parse().expect("a prefix")],
    }
}

fn line(severity: Severity, code: &'static str) -> HealthLine {
    HealthLine { severity, code, text: "text".to_owned(), remedy: "remedy".to_owned() }
}

fn sample_status() -> wgnet_api::Status {
    let config = config();
    let own = status::Own {
        config: &config,
        interface: "wg0",
        public_key: WgPublicKey([1; 32]),
        link_address: "fd00::1".parse().expect("an address"),
        tunnel: "userspace",
        uptime: Duration::from_secs(9),
        health: &[line(Severity::Error, "storage")],
    };
    let view = View {
        gateway_cost: None,
        draining: false,
        shares: Vec::new(),
        id: NodeId([1; 32]),
        gateway: true,
        nodes: vec![member("bob", 2)],
        health: vec![line(Severity::Warning, "name-conflict"), line(Severity::Warning, "storage")],
        effective_hash: 0xabc,
        nat: NatKind::EndpointIndependent,
        outside: vec![([198, 51, 100, 20], 50_001).into()],
        mapped: None,
        tunnel_keys: vec![],
        counters: vec![],
    };
    status::status(&own, &view, &TunnelReport { peers: vec![report(2), report(3)], sent: Vec::new() })
}

#[test]
fn status_shows_members_foreigners_and_the_worst_health_first() {
    let status = sample_status();
    assert_eq!((status.node.name.as_str(), status.node.address.as_str()), ("alice", "10.1.1.1"));
    assert_eq!(status.node.effective_lsdb, "0000000000000abc");
    let [bob, foreign] = &status.peers[..] else { panic!("{:?}", status.peers) };
    assert_eq!((bob.name.as_str(), bob.via.as_deref(), bob.foreign), ("bob", Some("beta"), false));
    assert_eq!((bob.rtt_ms, bob.loss), (Some(1.234), Some(0.1)));
    assert_eq!(
        (foreign.foreign, foreign.address.as_str(), foreign.path),
        (true, "10.7.0.0/24", wgnet_api::PathKind::Direct)
    );
    assert_eq!(foreign.handshake_age_s, Some(5));
    let codes: Vec<_> = status.health.iter().map(|line| line.code.as_str()).collect();
    assert_eq!(codes, ["storage", "name-conflict"], "the daemon's own word on the disk stands for the engine's");
}

/// A server in a temporary directory, with a loop that answers as the daemon's would.
struct Served {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn serve(lifetime: Duration) -> Served {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("run/wg0.sock");
    let (listener, file) = socket::bind(&path).expect("bind");
    let (requests, mut inbox) = channel();
    let limits = server::Limits { lifetime, ..server::Limits::default() };
    tokio::spawn(async move { server::serve_within(listener, routes::router(requests, log_control()), limits).await });
    tokio::spawn(async move {
        let _file = file;
        let mut events = Journal::default();
        events.add(
            Duration::from_millis(1_500),
            Event {
                severity: Severity::Info,
                kind: EventKind::Link,
                subject: "bob".to_owned(),
                text: "link to bob is up: three echoes both ways".to_owned(),
            },
        );
        while let Some(request) = inbox.recv().await {
            match request {
                Request::Status(reply) => drop(reply.send(sample_status())),
                #[cfg(feature = "drill")]
                Request::DrillReport(reply) => drop(reply.send(None)),
                Request::Mesh(reply) => drop(reply.send(mesh::mesh(sample_mesh()))),
                Request::Snapshot(reply) => drop(reply.send(sample_snapshot())),
                Request::Subscribe(_, reply) => drop(reply),
                Request::Metrics(reply) => {
                    let figures = metrics::Figures {
                        snapshot: sample_snapshot(),
                        subscribers: 0,
                        step_times: Default::default(),
                    };
                    drop(reply.send(figures));
                }
                Request::Journal(reply) => drop(reply.send(status::journal(events.entries()))),
                Request::Why(_, to, reply) if to != "bob" => drop(reply.send(Err(CommandError::UnknownName(to)))),
                Request::Why(from, to, reply) => {
                    let from = from.unwrap_or_else(|| "alice".to_owned());
                    drop(reply.send(Ok(sample_why(&from, &to))));
                }
                Request::Plan(changes, reply) => {
                    let broken = changes.len().min(1);
                    let broken = vec![("alice".to_owned(), "bob".to_owned()); broken];
                    let forecast =
                        view::Forecast { moved: vec![], broken, gateways: vec![], all_pairs: true, notes: vec![] };
                    drop(reply.send(Ok(plan::plan(forecast))));
                }
                Request::Command(Command::LinkCost { peer, .. }, reply) if peer != "bob" => {
                    drop(reply.send(Err(CommandError::UnknownName(peer))));
                }
                Request::Command(Command::Probe { peer: Some(peer) }, reply) => {
                    drop(reply.send(Err(CommandError::UnknownName(peer))));
                }
                Request::Command(Command::Forget { .. }, reply) => drop(reply.send(Err(CommandError::NotGateway))),
                Request::Command(_, reply) => drop(reply.send(Ok(()))),
                Request::Reload(request, reply) if request.dry_run => {
                    drop(reply.send(Err(ReloadRefused::Wrong(vec!["net.yaml:3:1: unknown key".to_owned()]))));
                }
                Request::Reload(_, reply) => drop(reply.send(Ok(wgnet_api::Reload::default()))),
                Request::Confirm(reply) => drop(reply.send(Err(ReloadRefused::NothingToConfirm))),
            }
        }
    });
    Served { _dir: dir, path }
}

fn log_control() -> log_level::LogControl {
    log_level::LogControl::new(|level| format!("{level:?}").to_lowercase())
}

fn sample_mesh() -> view::Mesh {
    let node = view::MeshNode {
        id: Some(NodeId([2; 32])),
        name: "bob".to_owned(),
        addresses: vec!["10.1.1.2".parse().expect("an address")],
        gateway: false,
        state: view::NodeState::Linked,
        class: Some(Class::Mobile),
    };
    let link = view::MeshLink {
        a: "alice".to_owned(),
        b: "bob".to_owned(),
        cost: Some(60),
        cost_a: Some(50),
        cost_b: Some(60),
        rtt_us: Some(1_234),
        loss_percent: Some(7),
        up: true,
    };
    view::Mesh { nodes: vec![node], links: vec![link] }
}

pub(super) fn sample_snapshot() -> wgnet_api::Snapshot {
    wgnet_api::Snapshot {
        time_ms: 1_500,
        status: sample_status(),
        mesh: mesh::mesh(sample_mesh()),
        counters: [("path_changes".to_owned(), 3)].into(),
    }
}

fn sample_why(from: &str, to: &str) -> wgnet_api::Why {
    let hop = view::Hop {
        from: from.to_owned(),
        to: to.to_owned(),
        cost: Some(50),
        rtt_us: Some(1_234),
        loss_percent: Some(7),
    };
    why::why(view::Why {
        from: from.to_owned(),
        to: to.to_owned(),
        hops: vec![hop],
        cost: Some(50),
        candidates: Vec::new(),
        missing: None,
        mtu: 1_420,
        readers: Vec::new(),
        note: None,
    })
}

async fn with_client<A: Send + 'static>(path: &Path, ask: impl FnOnce(Client) -> A + Send + 'static) -> A {
    let client = Client::new(path);
    tokio::task::spawn_blocking(move || ask(client)).await.expect("the client")
}

/// One raw exchange: status line, headers and body as text.
async fn raw(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.expect("connect");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

#[tokio::test]
async fn client_and_server_agree_on_every_route() {
    let served = serve(Duration::from_secs(5));
    let status = with_client(&served.path, |client| client.status()).await.expect("status");
    assert_eq!(status, sample_status());
    let mesh = with_client(&served.path, |client| client.mesh()).await.expect("mesh");
    assert_eq!((mesh.nodes[0].class.as_str(), mesh.nodes[0].state), ("mobile", wgnet_api::NodeState::Linked));
    assert_eq!((mesh.links[0].cost, mesh.links[0].rtt_ms, mesh.links[0].loss), (Some(60), Some(1.234), Some(0.07)));
    let snapshot = with_client(&served.path, |client| client.snapshot()).await.expect("snapshot");
    assert_eq!(snapshot, sample_snapshot());
    let journal = with_client(&served.path, |client| client.journal()).await.expect("journal");
    assert_eq!((journal.entries[0].kind.as_str(), journal.entries[0].time_ms), ("link", 1_500));
    let why = with_client(&served.path, |client| client.why(None, "bob")).await.expect("explained");
    assert_eq!((why.from.as_str(), why.hops[0].rtt_ms, why.hops[0].loss), ("alice", Some(1.234), Some(0.07)));
    let why = with_client(&served.path, |client| client.why(Some("fd00::1&to=x"), "bob")).await.expect("explained");
    assert_eq!(why.from, "fd00::1&to=x", "a value stays one value");
    let unknown = with_client(&served.path, |client| client.why(None, "eve")).await.expect_err("unknown");
    assert!(matches!(unknown, Error::Refused { status: 404, .. }), "{unknown}");
    let changes = [wgnet_api::Change::Without("beta".to_owned())];
    let plan = with_client(&served.path, move |client| client.plan(&changes)).await.expect("forecast");
    assert_eq!(plan.broken, [wgnet_api::Pair { from: "alice".to_owned(), to: "bob".to_owned() }]);
    let cost = |cost| wgnet_api::Change::Cost { a: "alice".to_owned(), b: "bob".to_owned(), cost };
    for changes in [vec![cost(0)], vec![cost(1_000_001)], vec![cost(1); 65]] {
        let refused = with_client(&served.path, move |client| client.plan(&changes)).await.expect_err("wrong");
        assert!(matches!(refused, Error::Refused { status: 422, .. }), "{refused}");
    }
    with_client(&served.path, |client| client.link_cost("bob", Some(5))).await.expect("set");
    with_client(&served.path, |client| client.link_cost("bob", None)).await.expect("cleared");
    let unknown = with_client(&served.path, |client| client.link_cost("eve", None)).await.expect_err("unknown");
    assert_eq!(unknown.to_string(), "no node named \"eve\" is known (`wgnet status` lists the names)");
    for cost in [0, 1_000_001] {
        let link = with_client(&served.path, move |client| client.link_cost("bob", Some(cost))).await;
        let gateway = with_client(&served.path, move |client| client.gateway_cost(Some(cost))).await;
        for refused in [link, gateway] {
            assert!(matches!(refused, Err(Error::Refused { status: 422, .. })), "{refused:?}");
        }
    }
    with_client(&served.path, |client| client.gateway_cost(Some(500))).await.expect("set");
    with_client(&served.path, |client| client.drain(true)).await.expect("drained");
    with_client(&served.path, |client| client.probe(None)).await.expect("all probed");
    let unknown = with_client(&served.path, |client| client.probe(Some("eve"))).await.expect_err("unknown");
    assert!(matches!(unknown, Error::Refused { status: 404, .. }), "{unknown}");
    let log = with_client(&served.path, |client| client.log_level(wgnet_api::LogLevel::Trace)).await.expect("set");
    assert_eq!(log.filter, "trace");
    let refused = with_client(&served.path, |client| client.forget("bob")).await.expect_err("no gateway");
    assert!(matches!(refused, Error::Refused { status: 409, .. }), "{refused}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_json() {
    let served = serve(Duration::from_secs(5));
    let post = |body: &str| {
        let length = body.len();
        format!(
            "POST /v1/link-cost HTTP/1.1\r\nHost: wgnet\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let large = format!("{{\"peer\":\"{}\"}}", "a".repeat(65 << 10));
    for (request, status) in [
        ("GET /v1/nothing HTTP/1.1\r\nHost: wgnet\r\n\r\n".to_owned(), "404"),
        ("GET /v1/why?from=bob HTTP/1.1\r\nHost: wgnet\r\n\r\n".to_owned(), "400"),
        ("DELETE /v1/status HTTP/1.1\r\nHost: wgnet\r\n\r\n".to_owned(), "405"),
        (post("{"), "400"),
        (post("{\"peer\":\"bob\",\"cost\":-1}"), "422"),
        (post("{\"peer\":\"bob\",\"cots\":1}"), "422"),
        (post(&large), "413"),
    ] {
        let answer = raw(&served.path, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let refusal: wgnet_api::Refusal = serde_json::from_str(body).expect("a refusal in JSON");
        assert!(!refusal.error.is_empty() && !refusal.remedy.is_empty(), "{refusal:?}");
    }
}

#[tokio::test]
async fn no_answer_holds_a_secret() {
    let served = serve(Duration::from_secs(5));
    use base64::Engine as _;
    let secrets = [base64::engine::general_purpose::STANDARD.encode(SECRET), "5a".repeat(32)];
    for route in ["/v1/status", "/v1/mesh", "/v1/snapshot", "/v1/journal", "/metrics"] {
        let answer = raw(&served.path, &format!("GET {route} HTTP/1.1\r\nHost: wgnet\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(secrets.iter().all(|secret| !answer.contains(secret)), "{answer}");
    }
}

#[tokio::test]
async fn stuck_clients_are_shown_the_door() {
    let served = serve(Duration::from_millis(300));
    // As many as there are slots, each in the middle of its request line.
    let mut stuck = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = UnixStream::connect(&served.path).await.expect("connect");
        stream.write_all(b"GET /v1/sta").await.expect("write");
        stuck.push(stream);
    }
    let status = with_client(&served.path, |client| client.status()).await.expect("served after they were cut off");
    assert_eq!(status.node.name, "alice");
}

#[tokio::test]
async fn socket_is_private_and_vanishes_with_its_owner() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("run/wg0.sock");
    let (listener, file) = socket::bind(&path).expect("bind");
    let metadata = std::fs::metadata(&path).expect("there");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    drop((listener, file));
    assert!(!path.exists());
    assert!(!dir.path().join("run").exists(), "the directory that was made for it goes too");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("wg0.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a daemon that was killed"));
    let (_listener, _file) = socket::bind(&path).expect("replaced");
    let error = socket::bind(&path).map(|_| ()).expect_err("live").to_string();
    assert!(error.contains("another daemon answers at"), "{error}");
    let other = dir.path().join("notes.txt");
    std::fs::write(&other, "precious").expect("write");
    let error = socket::bind(&other).map(|_| ()).expect_err("no socket").to_string();
    assert!(error.contains("is no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&other).expect("kept"), "precious");
}

#[tokio::test]
async fn a_reload_that_cannot_be_is_told_with_its_reason() {
    let served = serve(Duration::from_secs(5));
    let client = Client::new(&served.path);
    let (wrong, long, unasked) = tokio::task::spawn_blocking(move || {
        let request = |dry_run, confirm_s| wgnet_api::ReloadRequest { dry_run, confirm_s };
        client.reload(&request(false, Some(60))).expect("taken");
        let wrong = client.reload(&request(true, None)).expect_err("mistakes");
        let long = client.reload(&request(false, Some(3_601))).expect_err("too long");
        (wrong, long, client.confirm().expect_err("nothing waits"))
    })
    .await
    .expect("no panic");
    let status = |error: &Error| match error {
        Error::Refused { status, .. } => *status,
        other => panic!("{other}"),
    };
    assert_eq!([&wrong, &long, &unasked].map(status), [422, 422, 409]);
    assert!(wrong.to_string().contains("net.yaml:3:1: unknown key"), "{wrong}");
}
