//! The daemon's stream of events, as an iterator that blocks.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Error;
use super::address::{Address, Connection};
use crate::http::body::Chunks;
use crate::http::{Head, read_some};
use crate::sse::{Message, Messages};
use crate::{Event, Place};

/// A daemon shows every 15 s that it lives; one that is silent for longer is gone.
const SILENCE: Duration = Duration::from_secs(20);
/// Bytes of one read.
const READ: usize = 64 << 10;

/// What a daemon streams: first the present moment, then what the journal kept, then what happens.
///
/// Each event comes with the [`Place`] from which [`Client::stream`](super::Client::stream) goes on after it. The
/// iterator blocks; it ends after the first error, and without one when its [`Closer`] was used.
#[derive(Debug)]
pub struct Stream {
    at: Address,
    connection: Connection,
    closed: Arc<AtomicBool>,
    over: bool,
    /// `None` where the body ends with the connection.
    chunks: Option<Chunks>,
    messages: Messages,
    ready: VecDeque<Message>,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

impl Stream {
    /// Goes on after the head of an answer; `start` is what was read of its body.
    pub(super) fn new(at: Address, connection: Connection, head: &Head, start: &[u8]) -> Result<Self, Error> {
        connection.set_read_timeout(SILENCE).map_err(|e| Error::garbled(&at, e))?;
        let mut this = Self {
            at,
            connection,
            closed: Arc::default(),
            over: false,
            chunks: head.chunked.then(Chunks::default),
            messages: Messages::default(),
            ready: VecDeque::new(),
            buffer: vec![0; READ],
            body: Vec::new(),
        };
        this.receive(start).map_err(|e| Error::garbled(&this.at, e))?;
        Ok(this)
    }

    /// A handle that ends this stream from another thread.
    ///
    /// # Errors
    /// This process has too many files open.
    pub fn closer(&self) -> io::Result<Closer> {
        Ok(Closer { connection: self.connection.try_clone()?, closed: Arc::clone(&self.closed) })
    }

    fn receive(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.chunks {
            None => self.messages.feed(bytes, &mut self.ready),
            Some(chunks) => {
                self.body.clear();
                chunks.feed(bytes, &mut self.body)?;
                self.messages.feed(&self.body, &mut self.ready)
            }
        }
    }

    /// Reads once.
    fn read(&mut self) -> Result<(), Error> {
        if self.chunks.as_ref().is_some_and(Chunks::is_over) {
            return Err(Error::Ended { at: self.at.clone() });
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = match read_some(&mut self.connection, &mut buffer) {
            Ok(0) => Err(Error::Ended { at: self.at.clone() }),
            Ok(length) => self.receive(&buffer[..length]).map_err(|e| Error::garbled(&self.at, e)),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout { at: self.at.clone() },
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Error::Ended { at: self.at.clone() },
                _ => Error::garbled(&self.at, error),
            }),
        };
        self.buffer = buffer;
        outcome
    }
}

impl Iterator for Stream {
    type Item = Result<(Place, Event), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            let outcome = match self.ready.pop_front() {
                Some(message) => understood(&message).map_err(|e| Error::garbled(&self.at, e)).transpose(),
                None => self.read().err().map(Err),
            };
            // A closed stream ends, whatever its connection says to that.
            self.over = self.closed.load(Ordering::Acquire) || matches!(outcome, Some(Err(_)));
            match outcome {
                _ if self.closed.load(Ordering::Acquire) => return None,
                None => {}
                some => return some,
            }
        }
        None
    }
}

/// The event of a message; `None` for a kind that only newer clients know.
fn understood(message: &Message) -> io::Result<Option<(Place, Event)>> {
    let event = match message.kind.as_str() {
        "snapshot" => Event::Snapshot(serde_json::from_slice(&message.data)?),
        "difference" => Event::Difference(serde_json::from_slice(&message.data)?),
        "journal" => Event::Journal(serde_json::from_slice(&message.data)?),
        _ => return Ok(None),
    };
    let no_place = |()| io::Error::new(io::ErrorKind::InvalidData, "an event has no place");
    Ok(Some((message.id.parse().map_err(no_place)?, event)))
}

/// Ends a [`Stream`] from another thread; also one that waits for the next event.
#[derive(Debug)]
pub struct Closer {
    connection: Connection,
    closed: Arc<AtomicBool>,
}

impl Closer {
    /// Ends the stream. A second call changes nothing.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.connection.shut();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    use super::*;
    use crate::{JournalEntry, Severity};

    /// A stream, and the daemon's end of it.
    fn pair(chunked: bool) -> (Stream, UnixStream) {
        let (here, there) = UnixStream::pair().expect("a pair of sockets");
        let head = Head { status: 200, length: None, chunked };
        let at = Address::Socket(PathBuf::from("wg0.sock"));
        (Stream::new(at, Connection::Unix(here), &head, b"").expect("a stream"), there)
    }

    fn entry(number: u64) -> JournalEntry {
        JournalEntry {
            number,
            time_ms: 1_500,
            severity: Severity::Info,
            kind: "link".to_owned(),
            subject: "bob".to_owned(),
            text: "the link to bob is up".to_owned(),
        }
    }

    fn sent(number: u64) -> String {
        let place = Place { start: 0xabc, next: number + 1 };
        let data = serde_json::to_string(&entry(number)).expect("JSON");
        format!("event: journal\nid: {place}\ndata: {data}\n\n")
    }

    #[test]
    fn events_come_with_their_places_and_unknown_kinds_are_passed_over() {
        let (stream, mut daemon) = pair(false);
        let text = format!("{}:\n\nevent: dream\nid: 0000000000000abc-9\ndata: sheep\n\n{}", sent(7), sent(8));
        daemon.write_all(text.as_bytes()).expect("write");
        drop(daemon);
        let mut events: Vec<_> = stream.collect();
        assert!(matches!(events.pop(), Some(Err(Error::Ended { .. }))));
        let events: Vec<_> = events.into_iter().map(|event| event.expect("an event")).collect();
        let expected = |number| (Place { start: 0xabc, next: number + 1 }, Event::Journal(entry(number)));
        assert_eq!(events, [expected(7), expected(8)]);
    }

    #[test]
    fn an_event_that_comes_byte_by_byte_is_whole() {
        let (mut stream, mut daemon) = pair(true);
        let event = sent(7);
        let text = format!("{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", 5, &event[..5], event.len() - 5, &event[5..]);
        let writer = std::thread::spawn(move || {
            for byte in text.as_bytes() {
                daemon.write_all(&[*byte]).expect("write");
            }
            daemon
        });
        let (place, event) = stream.next().expect("not over").expect("an event");
        assert_eq!((place.next, event), (8, Event::Journal(entry(7))));
        assert!(matches!(stream.next(), Some(Err(Error::Ended { .. }))), "the last chunk ends it");
        assert!(stream.next().is_none());
        drop(writer.join());
    }

    #[test]
    fn what_makes_no_sense_ends_the_stream_with_a_reason() {
        for text in ["event: journal\nid: 1-1\ndata: {}\n\n".to_owned(), sent(1).replace("id: ", "di: ")] {
            let (mut stream, mut daemon) = pair(false);
            daemon.write_all(text.as_bytes()).expect("write");
            assert!(matches!(stream.next(), Some(Err(Error::Garbled { .. }))), "{text}");
            assert!(stream.next().is_none());
        }
    }

    #[test]
    fn a_stream_is_closed_from_another_thread_while_it_waits() {
        let (stream, _daemon) = pair(false);
        let closer = stream.closer().expect("a second handle");
        let reader = std::thread::spawn(move || stream.count());
        closer.close();
        closer.close();
        assert_eq!(reader.join().expect("no panic"), 0, "closing is no error");
    }
}
