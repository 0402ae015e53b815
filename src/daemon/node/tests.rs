//! The loop with a fake tunnel and a fake system, real sockets and a real state directory.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::config::{Given, Located, Origin};
use crate::daemon::reload::ReloadRefused;
use crate::daemon::store::Store;
use crate::mesh::engine::Identity;
use crate::mesh::io::PeerReport;
use crate::system::SystemError;
use crate::system::fake::{FakeMapper, FakeSystem};
use crate::tunnel::fake::FakeTunnel;

/// Longer than anything here may take, shorter than a person's patience.
const SOON: Duration = Duration::from_secs(10);

/// A node, and the ends of it that a test holds.
struct Bench {
    node: Node<FakeSystem>,
    ends: Ends,
}

struct Ends {
    _dir: TempDir,
    tunnel: FakeTunnel,
    system: FakeSystem,
    mapper: FakeMapper,
    control: mpsc::Sender<ControlDatagram>,
    requests: mpsc::Sender<Request>,
    signals: mpsc::Sender<Signal>,
    port: u16,
}

/// A range that no machine's networks touch.
const NETWORK: &str = "network: { sharedKey: 03qfoT9vOyM8412+EUkW8l/J4ISWrCmS/h0rm06Y51M=, subnet: 10.213.77.0/24 }\n";

fn write(dir: &Path, text: &str) {
    let path = dir.join("net.yaml");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("kept private");
}

/// The network file with static peers at these last bytes of their addresses.
fn listing(peers: &[u8]) -> String {
    let peer = |n: &u8| {
        format!(
            "  - {{ wgIp: 10.213.77.{n}, endPoint: \"127.0.0.1:{}\", adminPort: {} }}\n",
            40_000 + u32::from(*n),
            41_000 + u32::from(*n)
        )
    };
    format!("{NETWORK}peers:\n{}", peers.iter().map(peer).collect::<String>())
}

fn given(dir: &Path, admin_port: u16) -> Given {
    let value = |text: &str| Located::new(text.to_owned(), Origin::Unknown);
    Given {
        network_file: Some(dir.join("net.yaml")),
        node_file: Some(dir.join("node.yaml")),
        interface: Some(value("wg0")),
        addresses: vec![value("10.213.77.1")],
        name: Some(value("alice")),
        wg_port: Some(value("50001")),
        admin_port: Some(value(&admin_port.to_string())),
        tunnel: None,
        lan: Some(Located::new(false, Origin::Unknown)),
        state_dir: Some(Located::new(dir.to_owned(), Origin::Unknown)),
        socket: None,
        api_listen: None,
        port_mapping: None,
        verbosity: 0,
    }
}

fn config(dir: &Path, admin_port: u16) -> Config {
    write(dir, &listing(&[2]));
    std::fs::write(dir.join("node.yaml"), "").expect("written");
    crate::config::load(&given(dir, admin_port)).expect("no mistakes").0
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path(), "wg0").expect("open");
    let loaded = store.load(0).expect("load");
    let underlay = Underlay::bind(0).expect("bind");
    let port = underlay.port();
    let config = config(dir.path(), port);
    let clock = Clock::start();
    let public_key = WgPublicKey([1; 32]);
    let identity = Identity { seed: loaded.keys.seed, wg_public: public_key, epoch: loaded.epoch };
    let engine = Engine::new(config.mesh.clone(), identity, None, [3; 32], clock.now());
    let (tunnel, system) = (FakeTunnel::default(), FakeSystem::default());
    let (mapper, answers) = FakeMapper::new();
    let (control, control_queue) = mpsc::channel(8);
    let (requests, inbox) = admin::channel();
    let (signals, signal_queue) = mpsc::channel(4);
    let node = Node {
        config,
        clock,
        engine,
        public_key,
        underlay,
        tunnel: Box::new(tunnel.clone()),
        control: control_queue,
        system: system.clone(),
        mapper: Mapper { mapper: Some(Box::new(mapper.clone())), answers },
        saver: Saver::new(store.clone()),
        store,
        unconfirmed: None,
        rolled_back: false,
        requests: inbox,
        signals: signal_queue,
        warnings: vec!["the epoch was mended".to_owned()],
    };
    Bench { node, ends: Ends { _dir: dir, tunnel, system, mapper, control, requests, signals, port } }
}

/// Runs the node; returns when it is ready.
async fn start() -> (Ends, JoinHandle<Result<(), DaemonError>>) {
    let Bench { node, ends } = bench();
    let (announce, ready) = oneshot::channel();
    let running = tokio::spawn(run(node, || announce.send(()).expect("the test waits")));
    timeout(SOON, ready).await.expect("ready soon").expect("announced");
    (ends, running)
}

fn foreign_peer() -> PeerReport {
    PeerReport {
        public_key: WgPublicKey([9; 32]),
        endpoint: None,
        handshake_age: None,
        rx_bytes: 0,
        tx_bytes: 0,
        data_packets: 0,
        allowed: vec!["10.7.0.0/24".parse().expect("a prefix")],
    }
}

async fn outcome(running: JoinHandle<Result<(), DaemonError>>) -> Result<(), DaemonError> {
    timeout(SOON, running).await.expect("it ends").expect("no panic")
}

async fn status(ends: &Ends) -> wgnet_api::Status {
    let (reply, answer) = oneshot::channel();
    ends.requests.send(Request::Status(reply)).await.expect("the loop runs");
    timeout(SOON, answer).await.expect("an answer soon").expect("an answer")
}

#[tokio::test]
async fn a_stop_takes_everything_down() {
    let (ends, running) = start().await;
    ends.signals.send(Signal::Stop).await.expect("the loop runs");
    outcome(running).await.expect("a clean end");
    assert!(ends.tunnel.record().closed);
    assert!(ends.system.is_clean());
}

#[tokio::test]
async fn a_second_stop_ends_at_once_and_cleans_up_all_the_same() {
    let (ends, running) = start().await;
    for _ in 0..2 {
        ends.signals.send(Signal::Stop).await.expect("the loop runs");
    }
    outcome(running).await.expect("a clean end");
    assert!(ends.tunnel.record().closed && ends.system.is_clean());
}

mod network_file;
mod port_mapping;

#[tokio::test]
async fn a_lost_device_ends_the_daemon_with_its_reason() {
    let (ends, running) = start().await;
    ends.tunnel.set_broken(Some("wg0 was deleted"));
    drop(ends.control);
    let error = outcome(running).await.expect_err("no tunnel, no node").to_string();
    assert!(error.contains("wg0 was deleted"), "{error}");
    assert!(ends.tunnel.record().closed && ends.system.is_clean());
}

#[tokio::test]
async fn status_shows_foreign_peers_of_the_tunnel() {
    let (ends, _running) = start().await;
    ends.tunnel.set_report(TunnelReport { peers: vec![foreign_peer()], sent: Vec::new() });
    let seen = async {
        while !status(&ends).await.peers.iter().any(|peer| peer.foreign) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, seen).await.expect("within the next report");
    assert_eq!(status(&ends).await.node.tunnel, "fake");
}

#[tokio::test]
async fn who_watches_hears_of_changes_and_events() {
    let (ends, _running) = start().await;
    let (reply, answer) = oneshot::channel();
    ends.requests.send(Request::Subscribe(None, reply)).await.expect("the loop runs");
    let mut subscription = timeout(SOON, answer).await.expect("an answer soon").expect("an answer");
    let present: wgnet_api::Snapshot = serde_json::from_slice(&subscription.snapshot).expect("a snapshot");
    assert_eq!(present.status.node.name, "alice");
    assert!(String::from_utf8_lossy(&subscription.events).contains("the epoch was mended"));
    assert_eq!(subscription.from.next, 0);
    ends.tunnel.set_report(TunnelReport { peers: vec![foreign_peer()], sent: Vec::new() });
    let heard = async {
        loop {
            let live = subscription.live.recv().await.expect("the daemon runs");
            let text = String::from_utf8_lossy(&live.bytes).into_owned();
            if text.starts_with("event: difference\n") && text.contains("10.7.0.0/24") {
                return;
            }
        }
    };
    timeout(SOON, heard).await.expect("within the next moments");
}

#[tokio::test]
async fn what_was_mended_at_the_start_is_in_the_journal() {
    let (ends, _running) = start().await;
    let (reply, answer) = oneshot::channel();
    ends.requests.send(Request::Journal(reply)).await.expect("the loop runs");
    let journal = timeout(SOON, answer).await.expect("soon").expect("an answer");
    assert_eq!(
        (journal.entries[0].kind.as_str(), journal.entries[0].text.as_str()),
        ("storage", "the epoch was mended")
    );
}

#[tokio::test]
async fn a_flood_of_junk_starves_nobody() {
    let (ends, running) = start().await;
    let port = ends.port;
    let flood = std::thread::spawn(move || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        for i in 0..100_000_u32 {
            let junk = [i as u8; 200];
            // A full buffer at the other end is what this is about.
            let _ = socket.send_to(&junk, (Ipv4Addr::LOCALHOST, port));
        }
    });
    let mut answers = 0;
    while !flood.is_finished() {
        status(&ends).await;
        answers += 1;
    }
    assert!(answers > 1, "answers in the middle of the flood");
    flood.join().expect("the flood");
    ends.signals.send(Signal::Stop).await.expect("the loop runs");
    outcome(running).await.expect("a clean end");
}

#[tokio::test]
async fn what_the_system_refuses_is_a_health_line_until_it_gives_in() {
    let Bench { node, ends } = bench();
    let mut this = Loop::new(node);
    this.desired_system = Some(DesiredSystem { forwarding: true, mtu: 1420, ..DesiredSystem::default() });
    ends.system.refuse(Some(SystemError {
        what: "cannot add route 10.0.0.0/8 dev wg0".to_owned(),
        reason: "taken".to_owned(),
        remedy: "choose another subnet".to_owned(),
    }));
    this.apply_system().await;
    let status = this.status();
    let line = status.health.iter().find(|line| line.code == "system").expect("a line");
    assert_eq!(line.remedy, "choose another subnet");
    ends.system.refuse(None);
    this.apply_system().await;
    assert!(!this.health.has("system"));
    assert!(ends.system.states().iter().all(|state| state.forwarding), "no embedded tunnel: the kernel forwards");
}

#[tokio::test]
async fn a_tunnel_that_is_late_is_a_health_line_until_it_answers() {
    let Bench { node, ends } = bench();
    let mut this = Loop::new(node);
    ends.tunnel.set_late(true);
    this.apply_tunnel(DesiredTunnel::default());
    this.look_at_tunnel().await;
    assert!(this.health.has("tunnel-late"));
    assert!(this.ended.is_none());
    ends.tunnel.set_late(false);
    this.look_at_tunnel().await;
    assert!(!this.health.has("tunnel-late"));
}

#[tokio::test]
async fn a_full_disk_is_a_health_line_and_no_reason_to_end() {
    let Bench { node, ends } = bench();
    let mut this = Loop::new(node);
    // A directory where the temporary file shall be: the write fails, as on a full disk.
    std::fs::create_dir(ends._dir.path().join("wg0/mesh.tmp")).expect("in the way");
    this.node.saver.save(1, b"state".to_vec());
    let saved = this.node.saver.next().await;
    this.saved(saved).await;
    assert!(this.health.has("storage"));
    assert!(this.ended.is_none());
    std::fs::remove_dir(ends._dir.path().join("wg0/mesh.tmp")).expect("out of the way");
    this.node.saver.save(2, b"state".to_vec());
    let saved = this.node.saver.next().await;
    this.saved(saved).await;
    assert!(!this.health.has("storage"));
}

#[tokio::test]
async fn a_new_peer_is_watched_closely_until_it_has_shaken_hands() {
    let Bench { node, ends } = bench();
    let mut this = Loop::new(node);
    let key = WgPublicKey([9; 32]);
    let peer = crate::mesh::io::DesiredPeer {
        public_key: key,
        link: "fd00::9".parse().expect("an address"),
        endpoint: None,
        keepalive: None,
        allowed: vec![],
        accept: vec![],
        generation: 0,
    };
    this.apply_tunnel(DesiredTunnel { peers: vec![peer], forward: false, ..DesiredTunnel::default() });
    this.look_at_tunnel().await;
    assert!(this.next_look.since(this.now()) <= QUICK_REPORT);
    let seen = PeerReport {
        public_key: key,
        endpoint: None,
        handshake_age: Some(Duration::ZERO),
        rx_bytes: 0,
        tx_bytes: 0,
        data_packets: 0,
        allowed: vec![],
    };
    ends.tunnel.set_report(TunnelReport { peers: vec![seen], sent: Vec::new() });
    this.look_at_tunnel().await;
    assert!(this.next_look.since(this.now()) > QUICK_REPORT);
    assert_eq!(this.report.peers.len(), 1, "the engine hears of a handshake at once");
}

#[test]
fn only_time_passing_is_no_news() {
    let at = |age: u64, port: u16| TunnelReport {
        peers: vec![PeerReport {
            public_key: WgPublicKey([9; 32]),
            endpoint: Some((Ipv4Addr::LOCALHOST, port).into()),
            handshake_age: Some(Duration::from_secs(age)),
            rx_bytes: age,
            tx_bytes: 0,
            data_packets: 0,
            allowed: vec![],
        }],
        sent: vec![],
    };
    assert!(!is_news(&at(5, 1), &at(6, 1)));
    assert!(is_news(&at(5, 1), &at(0, 1)), "a new handshake");
    assert!(is_news(&at(5, 1), &at(6, 2)), "a new endpoint");
    assert!(is_news(&TunnelReport::default(), &at(0, 1)), "a new peer");
}
