//! A running daemon as a source: one thread reads its stream and comes back when it ends, another one asks and commands,
//! so that an answer that takes its time holds up nothing.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use wgnet_api::{Client, Error, Place, Tape};

use super::Source;
use crate::clock::Clock;
use crate::message::{Answer, Control, Message, Outcome, Refused, Request};

/// The first pause before the daemon is tried again, in milliseconds; each further one is twice as long.
const FIRST_PAUSE_MS: u64 = 500;
/// The longest one.
const LONGEST_PAUSE_MS: u64 = 5_000;

/// Watches the daemon behind a client.
pub struct Live {
    client: Client,
    record: Option<PathBuf>,
    requests: Option<Sender<Request>>,
    /// Hung up when the source is dropped: then the thread in its pause ends.
    awake: Option<Sender<()>>,
}

impl Live {
    /// Nothing is opened before [`Source::start`]. With `record`, what comes is also written to that file.
    pub fn new(client: Client, record: Option<PathBuf>) -> Self {
        Self { client, record, requests: None, awake: None }
    }
}

impl Source for Live {
    fn start(&mut self, messages: Sender<Message>, clock: Clock) {
        let (requests, to_do) = mpsc::channel();
        self.requests = Some(requests);
        let client = self.client.clone();
        let answers = messages.clone();
        thread::spawn(move || work(&client, &to_do, &answers));
        let (awake, asleep) = mpsc::channel();
        self.awake = Some(awake);
        let watcher = Watcher {
            client: self.client.clone(),
            messages,
            clock,
            asleep,
            place: None,
            pause_ms: FIRST_PAUSE_MS,
            tape: self.record.take().map(Tape::new),
        };
        thread::spawn(move || watcher.run());
    }

    fn ask(&mut self, request: Request) {
        if let Some(requests) = &self.requests {
            // The thread ends with the dashboard only.
            requests.send(request).unwrap_or_default();
        }
    }

    fn steer(&mut self, _: Control) {}
}

/// Reads the stream, again and again.
struct Watcher {
    client: Client,
    messages: Sender<Message>,
    clock: Clock,
    asleep: Receiver<()>,
    place: Option<Place>,
    pause_ms: u64,
    tape: Option<Tape>,
}

impl Watcher {
    fn run(mut self) {
        loop {
            let why = match self.watch() {
                Ok(()) => "the daemon ended the stream".to_owned(),
                Err(Ended::Nobody) => return,
                Err(Ended::Broken(error)) => error.to_string(),
            };
            if self.tape(|tape, now_ms| tape.gone(now_ms, &why)).is_err() {
                return;
            }
            let retry_at = self.clock.now_ms() + self.pause_ms;
            if self.messages.send(Message::Disconnected { why, retry_at: Some(retry_at) }).is_err() {
                return;
            }
            let pause = Duration::from_millis(self.pause_ms);
            if self.asleep.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            self.pause_ms = (2 * self.pause_ms).min(LONGEST_PAUSE_MS);
        }
    }

    fn watch(&mut self) -> Result<(), Ended> {
        let stream = self.client.stream(self.place).map_err(Ended::Broken)?;
        let place = self.client.address().to_string();
        self.messages.send(Message::Connected { place }).map_err(|_| Ended::Nobody)?;
        for event in stream {
            let (place, event) = event.map_err(Ended::Broken)?;
            self.place = Some(place);
            self.pause_ms = FIRST_PAUSE_MS;
            self.tape(|tape, now_ms| tape.take(now_ms, &event))?;
            self.messages.send(Message::Stream(event)).map_err(|_| Ended::Nobody)?;
        }
        Ok(())
    }

    /// Writes on the tape, if there is one. A tape that cannot be written is told once, and over.
    fn tape(&mut self, write: impl FnOnce(&mut Tape, u64) -> io::Result<()>) -> Result<(), Ended> {
        let Some(mut tape) = self.tape.take() else { return Ok(()) };
        match write(&mut tape, self.clock.now_ms()) {
            Ok(()) => self.tape = Some(tape),
            Err(error) => {
                let saved = Message::Saved { path: tape.path().to_owned(), result: Err(error.to_string()) };
                self.messages.send(saved).map_err(|_| Ended::Nobody)?;
            }
        }
        Ok(())
    }
}

/// Why the stream is not read any more.
enum Ended {
    /// The dashboard has ended.
    Nobody,
    /// The connection has.
    Broken(Error),
}

/// Carries out requests one after the other until the dashboard ends.
fn work(client: &Client, requests: &Receiver<Request>, messages: &Sender<Message>) {
    for request in requests {
        let outcome = carry_out(client, &request).map_err(refused);
        if messages.send(Message::Answer(Answer { request, outcome })).is_err() {
            return;
        }
    }
}

fn carry_out(client: &Client, request: &Request) -> Result<Outcome, Error> {
    let done = |()| Outcome::Done;
    match request {
        Request::Why { from, to } => client.why(from.as_deref(), to).map(|why| Outcome::Why(Box::new(why))),
        Request::Plan(changes) => client.plan(changes).map(Outcome::Plan),
        Request::LinkCost { peer, cost } => client.link_cost(peer, *cost).map(done),
        Request::GatewayCost(cost) => client.gateway_cost(*cost).map(done),
        Request::Drain(drain) => client.drain(*drain).map(done),
        Request::Probe(peer) => client.probe(peer.as_deref()).map(done),
        Request::Forget(name) => client.forget(name).map(done),
        Request::Reload(reload) => client.reload(reload).map(Outcome::Reload),
        Request::Confirm => client.confirm().map(done),
        Request::LogLevel(level) => client.log_level(*level).map(|_| Outcome::Done),
    }
}

fn refused(error: Error) -> Refused {
    match error {
        Error::Refused { refusal, .. } => Refused { error: refusal.error, remedy: refusal.remedy },
        error => Refused { error: error.to_string(), remedy: String::new() },
    }
}

#[cfg(test)]
mod tests {
    use wgnet_api::{Event, Item};

    use super::*;
    use crate::fixture;
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    /// Answers a client with a stream of one snapshot that ends at once.
    fn serve_once(mut stream: UnixStream) {
        let mut asked = [0; 4_096];
        let length = stream.read(&mut asked).expect("a request");
        assert!(String::from_utf8_lossy(&asked[..length]).starts_with("GET /v1/stream "));
        let snapshot = serde_json::to_string(&fixture::snapshot(1)).expect("JSON");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let event = format!("event: snapshot\ndata: {snapshot}\nid: 00000000000000ff-1\n\n");
        stream.write_all(format!("{head}{event}").as_bytes()).expect("a client");
    }

    #[test]
    fn a_daemon_that_comes_back_is_watched_again_and_what_came_is_recorded() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let socket = dir.path().join("wg0.sock");
        let tape = dir.path().join("tape.jsonl");
        let listener = UnixListener::bind(&socket).expect("bind");
        let daemon = thread::spawn(move || {
            for _ in 0..2 {
                serve_once(listener.accept().expect("a client").0);
            }
        });
        let (sender, messages) = mpsc::channel();
        let mut live = Live::new(Client::new(&socket), Some(tape.clone()));
        live.start(sender, Clock::start());
        for _ in 0..2 {
            assert!(matches!(messages.recv(), Ok(Message::Connected { .. })));
            assert!(matches!(messages.recv(), Ok(Message::Stream(Event::Snapshot(_)))));
            assert!(matches!(messages.recv(), Ok(Message::Disconnected { retry_at: Some(_), .. })));
        }
        daemon.join().expect("the daemon");
        let recording = wgnet_api::Recording::open(&tape).expect("a recording");
        assert_eq!(recording.lines.iter().filter(|line| matches!(line.item, Item::Event(_))).count(), 2);
    }

    #[test]
    fn nobody_there_is_told_with_the_next_try() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (sender, messages) = mpsc::channel();
        let mut live = Live::new(Client::new(dir.path().join("wg0.sock")), None);
        live.start(sender, Clock::start());
        let Ok(Message::Disconnected { why, retry_at: Some(_) }) = messages.recv() else { panic!("nobody is there") };
        assert!(why.starts_with("no daemon answers"), "{why}");
        live.ask(Request::Probe(None));
        let answer = messages.iter().find_map(|message| match message {
            Message::Answer(answer) => Some(answer),
            _ => None,
        });
        assert!(answer.expect("an answer").outcome.expect_err("nobody").error.starts_with("no daemon answers"));
    }
}
