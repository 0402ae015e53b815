//! Watchers over the real server: what they get, in which order, and that none can hold up the rest.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wgnet_api::{Client, Error, Event, Mesh, Node, PathKind, Peer, Status};

use super::*;
use crate::admin::log_level::LogControl;
use crate::admin::server::{Limits, serve_within};
use crate::admin::stream::STREAMS;
use crate::admin::{Request, channel, routes, socket};
use crate::mesh::event;

/// Longer than anything here may take, shorter than a person's patience.
const SOON: Duration = Duration::from_secs(20);
const START: u64 = 0xabc;

fn snapshot(time_s: u64, rx_bytes: u64) -> Snapshot {
    let peer = Peer {
        id: "0123456789abcdef".to_owned(),
        name: "bob".to_owned(),
        address: "10.1.1.2".to_owned(),
        addresses: vec!["10.1.1.2".to_owned()],
        path: PathKind::Direct,
        via: None,
        hops: 1,
        cost: Some(50),
        endpoint: None,
        lan: false,
        handshake_age_s: Some(time_s),
        rtt_ms: None,
        loss: None,
        probes: None,
        runner_up: None,
        rx_bytes,
        tx_bytes: 0,
        public_key: None,
        gateway: false,
        refused: false,
        foreign: false,
        why: String::new(),
    };
    let node = Node {
        name: "alice".to_owned(),
        address: "10.1.1.1".to_owned(),
        addresses: vec!["10.1.1.1".to_owned()],
        interface: "wg0".to_owned(),
        public_key: String::new(),
        identity: String::new(),
        link_address: String::new(),
        tunnel: "fake".to_owned(),
        version: String::new(),
        uptime_s: time_s,
        gateway: true,
        mtu: 1_420,
        gateway_cost: None,
        draining: false,
        effective_lsdb: String::new(),
        nat: wgnet_api::Nat::default(),
        outside: Vec::new(),
        port_mapping: None,
    };
    Snapshot {
        time_ms: time_s * 1_000,
        status: Status { node, peers: vec![peer], health: vec![], gateways: vec![] },
        mesh: Mesh::default(),
        counters: [].into(),
    }
}

fn log_control() -> LogControl {
    LogControl::new(|_| panic!("nobody asks for it here"))
}

fn second(number: u64) -> Time {
    Time::ZERO + Duration::from_secs(number)
}

fn happened(journal: &mut Journal) {
    let text = format!("event {}", journal.next());
    let kind = event::EventKind::Link;
    journal
        .add(Duration::ZERO, event::Event { severity: event::Severity::Info, kind, subject: "bob".to_owned(), text });
}

/// What a test makes the daemon do.
enum Order {
    /// So many events, each in a turn of its own.
    Events(u64),
    /// The next second has come: so many bytes were received from the peer.
    Second(u64),
    /// How many watch?
    Watchers(oneshot::Sender<usize>),
}

/// A daemon's loop of which only the publisher is real, behind the real server.
struct Daemon {
    _dir: tempfile::TempDir,
    path: PathBuf,
    orders: mpsc::Sender<Order>,
}

async fn serve(limits: Limits) -> Daemon {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("wg0.sock");
    let (listener, file) = socket::bind(&path).expect("bind");
    let (requests, mut inbox) = channel();
    let (orders, mut ordered) = mpsc::channel(1);
    tokio::spawn(async move { serve_within(listener, routes::router(requests, log_control()), limits).await });
    tokio::spawn(async move {
        let _file = file;
        let (mut publisher, mut journal, mut now, mut rx) = (Publisher::new(START), Journal::default(), 0, 0);
        loop {
            tokio::select! {
                Some(request) = inbox.recv() => match request {
                    Request::Status(reply) => drop(reply.send(snapshot(now, rx).status)),
                    Request::Subscribe(after, reply) => {
                        if publisher.is_stale(second(now)) {
                            publisher.tell_moment(second(now), snapshot(now, rx));
                        }
                        drop(reply.send(publisher.subscribe(after, &journal).expect("a moment")));
                    }
                    other => panic!("{other:?} is not asked here"),
                },
                Some(order) = ordered.recv() => match order {
                    Order::Events(count) => for _ in 0..count {
                        happened(&mut journal);
                        publisher.tell_events(&journal);
                        tokio::task::yield_now().await;
                    },
                    Order::Second(bytes) => {
                        (now, rx) = (now + 1, bytes);
                        publisher.tell_events(&journal);
                        if publisher.is_due(second(now)) {
                            publisher.tell_moment(second(now), snapshot(now, rx));
                        }
                    }
                    Order::Watchers(reply) => {
                        publisher.tell_events(&journal);
                        let _ = reply.send(publisher.watchers());
                    }
                },
                else => return,
            }
        }
    });
    Daemon { _dir: dir, path, orders }
}

impl Daemon {
    async fn order(&self, order: Order) {
        assert!(self.orders.send(order).await.is_ok(), "the loop runs");
    }

    async fn watchers(&self) -> usize {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Watchers(reply)).await;
        answer.await.expect("an answer")
    }

    async fn until_watchers_are(&self, count: usize) {
        let counted = async {
            while self.watchers().await != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, counted).await.expect("as many watchers soon");
    }

    /// A client's events, one by one.
    async fn watch(&self, after: Option<Place>) -> mpsc::Receiver<Result<(Place, Event), Error>> {
        let (send, receive) = mpsc::channel(1);
        let client = Client::new(&self.path);
        let stream = tokio::task::spawn_blocking(move || client.stream(after)).await.expect("no panic");
        let stream = stream.expect("a stream");
        tokio::task::spawn_blocking(move || stream.map(|event| send.blocking_send(event)).all(|sent| sent.is_ok()));
        receive
    }

    /// A client that asked for the stream and reads nothing of it.
    async fn stuck(&self) -> UnixStream {
        let mut stream = UnixStream::connect(&self.path).await.expect("connect");
        stream.write_all(b"GET /v1/stream HTTP/1.1\r\nHost: wgnet\r\n\r\n").await.expect("write");
        stream
    }
}

async fn next(events: &mut mpsc::Receiver<Result<(Place, Event), Error>>) -> (Place, Event) {
    tokio::time::timeout(SOON, events.recv()).await.expect("soon").expect("not over").expect("an event")
}

/// The numbers of the next so many journal entries.
async fn numbers(events: &mut mpsc::Receiver<Result<(Place, Event), Error>>, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let (place, event) = next(events).await;
        let Event::Journal(entry) = event else { panic!("{event:?} is no journal entry") };
        assert_eq!(place, Place { start: START, next: entry.number + 1 });
        numbers.push(entry.number);
    }
    numbers
}

#[tokio::test]
async fn a_watcher_gets_the_moment_then_the_journal_then_what_follows() {
    let daemon = serve(Limits::default()).await;
    daemon.order(Order::Events(3)).await;
    let mut events = daemon.watch(None).await;
    let (place, first) = next(&mut events).await;
    assert_eq!((place.next, first), (0, Event::Snapshot(Box::new(snapshot(0, 0)))));
    assert_eq!(numbers(&mut events, 3).await, [0, 1, 2]);
    daemon.order(Order::Second(7)).await;
    let (place, event) = next(&mut events).await;
    let Event::Difference(difference) = event else { panic!("{event:?}") };
    assert_eq!((place.next, difference.peers[0].rx_bytes), (3, 7));
    daemon.order(Order::Events(2)).await;
    assert_eq!(numbers(&mut events, 2).await, [3, 4]);
    // A second in which nothing but time went by is not told.
    daemon.order(Order::Second(7)).await;
    daemon.order(Order::Events(1)).await;
    assert_eq!(numbers(&mut events, 1).await, [5]);
}

#[tokio::test]
async fn who_comes_back_goes_on_where_he_was() {
    let daemon = serve(Limits::default()).await;
    daemon.order(Order::Events(1_200)).await;
    for (after, first) in [
        (Some(Place { start: START, next: 1_150 }), 1_150),
        (Some(Place { start: START, next: 100 }), 200),
        (Some(Place { start: START, next: 9_999 }), 200),
        (Some(Place { start: START + 1, next: 1_150 }), 200),
        (None, 200),
    ] {
        let mut events = daemon.watch(after).await;
        let (place, event) = next(&mut events).await;
        assert!(matches!(event, Event::Snapshot(_)) && place.next == first, "{place:?} after {after:?}");
        let expected: Vec<u64> = (first..1_200).collect();
        assert_eq!(numbers(&mut events, expected.len()).await, expected);
    }
    let mut events = daemon.watch(Some(Place { start: START, next: 1_200 })).await;
    assert!(matches!(next(&mut events).await.1, Event::Snapshot(_)));
    daemon.order(Order::Events(1)).await;
    assert_eq!(numbers(&mut events, 1).await, [1_200], "nothing is told twice");
}

#[tokio::test]
async fn who_falls_behind_gets_the_moment_anew_and_the_journal_from_where_he_was() {
    let patient = Limits { write: SOON, ..Limits::default() };
    let daemon = serve(patient).await;
    let mut stream = daemon.stuck().await;
    daemon.until_watchers_are(1).await;
    // About 2 MB, ten times what the socket takes.
    daemon.order(Order::Events(10_000)).await;
    // The loop has time for others all along, and what it keeps for the one is bounded by the queue.
    let client = Client::new(&daemon.path);
    tokio::task::spawn_blocking(move || client.status()).await.expect("no panic").expect("status");
    let mut text = String::new();
    let reading: JoinHandle<String> = tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while !text.contains("event 9999\"") {
            let length = stream.read(&mut buffer).await.expect("read");
            assert_ne!(length, 0, "the stream ended");
            text.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
        }
        text
    });
    let text = tokio::time::timeout(SOON, reading).await.expect("soon").expect("no panic");
    assert!(text.matches("event: snapshot").count() > 1);
    let number = |line: &str| line.split_once("\"number\":")?.1.split(',').next()?.parse::<u64>().ok();
    let numbers: Vec<u64> = text.lines().filter_map(number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order and none twice");
    let last = &numbers[numbers.len() - 1_000..];
    assert_eq!((last[0], last[999]), (9_000, 9_999), "all that is kept");
}

#[tokio::test]
async fn who_reads_nothing_is_shown_the_door_and_nobody_else_notices() {
    let daemon = serve(Limits { write: Duration::from_millis(200), ..Limits::default() }).await;
    let mut events = daemon.watch(None).await;
    assert!(matches!(next(&mut events).await.1, Event::Snapshot(_)));
    let reading = tokio::spawn(async move {
        let mut last = 0;
        while last < 9_999 {
            match next(&mut events).await.1 {
                Event::Journal(entry) => last = entry.number,
                Event::Snapshot(_) => {}
                other @ Event::Difference(_) => panic!("{other:?}"),
            }
        }
        events
    });
    let _stuck = daemon.stuck().await;
    daemon.until_watchers_are(2).await;
    daemon.order(Order::Events(10_000)).await;
    daemon.until_watchers_are(1).await;
    let _events = tokio::time::timeout(SOON, reading).await.expect("soon").expect("the other one gets all");
}

#[tokio::test]
async fn a_stream_lasts_and_takes_no_slot_of_a_request() {
    let daemon = serve(Limits { lifetime: Duration::from_millis(100), ..Limits::default() }).await;
    let mut events = daemon.watch(None).await;
    assert!(matches!(next(&mut events).await.1, Event::Snapshot(_)));
    // A half request that came later is cut off; the stream is not.
    let mut half = UnixStream::connect(&daemon.path).await.expect("connect");
    half.write_all(b"GET /v1/sta").await.expect("write");
    let cut = tokio::time::timeout(SOON, half.read(&mut [0; 64])).await.expect("soon");
    assert!(matches!(cut, Ok(0) | Err(_)), "{cut:?}");
    daemon.order(Order::Events(1)).await;
    assert_eq!(numbers(&mut events, 1).await, [0]);
}

#[tokio::test]
async fn one_stream_too_many_is_refused_and_its_place_is_free_again() {
    let daemon = serve(Limits::default()).await;
    let mut streams = Vec::new();
    for count in 1..=STREAMS {
        streams.push(daemon.stuck().await);
        daemon.until_watchers_are(count).await;
    }
    let client = Client::new(&daemon.path);
    let refused = tokio::task::spawn_blocking(move || client.stream(None)).await.expect("no panic");
    let error = refused.expect_err("one too many");
    assert!(matches!(error, Error::Refused { status: 503, .. }) && error.is_passing(), "{error}");
    assert!(error.to_string().contains("close a dashboard"), "{error}");
    drop(streams.pop());
    daemon.until_watchers_are(STREAMS - 1).await;
    let mut events = daemon.watch(None).await;
    assert!(matches!(next(&mut events).await.1, Event::Snapshot(_)));
}

#[test]
fn nobody_watches_nothing_is_due() {
    let (mut publisher, mut journal) = (Publisher::new(START), Journal::default());
    assert_eq!((publisher.next_timeout(), publisher.is_due(second(9))), (None, false));
    publisher.tell_moment(second(9), snapshot(9, 0));
    let subscription = publisher.subscribe(None, &journal).expect("a moment");
    assert_eq!(publisher.next_timeout(), Some(second(10)));
    drop(subscription);
    happened(&mut journal);
    publisher.tell_events(&journal);
    assert_eq!(publisher.next_timeout(), None);
    assert!(publisher.is_stale(second(9)), "the moment is let go of");
}

#[test]
fn the_moments_bytes_are_shared_and_the_queue_is_bounded() {
    let (mut publisher, mut journal) = (Publisher::new(START), Journal::default());
    publisher.tell_moment(second(1), snapshot(1, 0));
    let first = publisher.subscribe(None, &journal).expect("a moment");
    let other = publisher.subscribe(None, &journal).expect("a moment");
    assert_eq!(first.snapshot.as_ptr(), other.snapshot.as_ptr());
    for _ in 0..10_000 {
        happened(&mut journal);
        publisher.tell_events(&journal);
    }
    assert_eq!(publisher.live.len(), KEPT);
}
