//! Server-sent events as they arrive (HTML Living Standard, section 9.2.6), cut anywhere.

use std::collections::VecDeque;
use std::io;

/// Bytes of one event: a snapshot of a thousand nodes has about 2 MB.
const LARGEST: usize = 64 << 20;

/// One event, not yet understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The `event:` line; empty when there was none.
    pub(crate) kind: String,
    /// The last `id:` line, of this event or of one before.
    pub(crate) id: String,
    /// The `data:` lines.
    pub(crate) data: Vec<u8>,
}

/// Takes a stream of events apart.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    line: Vec<u8>,
    /// The last line ended with a carriage return, which may have a line feed with it.
    after_return: bool,
    kind: String,
    id: String,
    data: Vec<u8>,
    has_data: bool,
}

impl Messages {
    /// Takes the next bytes; whole events go to `ready`.
    ///
    /// # Errors
    /// An event is larger than any of a daemon.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], ready: &mut VecDeque<Message>) -> io::Result<()> {
        if self.after_return && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        if !bytes.is_empty() {
            self.after_return = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            self.extend_line(&bytes[..end])?;
            let after = &bytes[end + 1..];
            self.after_return = bytes[end] == b'\r' && after.is_empty();
            bytes = if bytes[end] == b'\r' { after.strip_prefix(b"\n").unwrap_or(after) } else { after };
            ready.extend(self.end_line());
        }
        self.extend_line(bytes)
    }

    fn extend_line(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.data.len() + self.line.len() + bytes.len() > LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an event is larger than any of a daemon"));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Understands one line; an empty one ends an event.
    fn end_line(&mut self) -> Option<Message> {
        let mut line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let kind = std::mem::take(&mut self.kind);
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then(|| Message { kind, id: self.id.clone(), data });
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = (colon + 1).min(line.len());
        let value = value + usize::from(line.get(value) == Some(&b' '));
        match &line[..colon] {
            b"event" => self.kind = String::from_utf8_lossy(&line[value..]).into_owned(),
            b"id" if !line[value..].contains(&0) => self.id = String::from_utf8_lossy(&line[value..]).into_owned(),
            b"data" if self.has_data => {
                self.data.push(b'\n');
                self.data.extend_from_slice(&line[value..]);
            }
            b"data" => {
                // Most events are one line, and a snapshot is a long one: it is moved, not copied.
                line.drain(..value);
                (self.data, self.has_data) = (line, true);
            }
            // Comments begin with the colon; what else there may be is for newer clients.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, id: &str, data: &str) -> Message {
        Message { kind: kind.to_owned(), id: id.to_owned(), data: data.as_bytes().to_vec() }
    }

    #[test]
    fn events_may_be_cut_anywhere_and_lines_end_in_three_ways() {
        let text = "event: snapshot\nid: 01-5\ndata: {\"a\":1}\n\n:\n:still here\n\nevent:journal\rdata:x\rdata: y\r\r\
                    id: 01-6\r\nretry: 5\r\ndata\r\n\r\nevent: lost\n\ndata: z\n\ndata: never ended\n";
        let expected = [
            message("snapshot", "01-5", "{\"a\":1}"),
            message("journal", "01-5", "x\ny"),
            message("", "01-6", ""),
            message("", "01-6", "z"),
        ];
        for first in 0..text.len() {
            for second in [first, (first + 1).min(text.len()), (first + 9).min(text.len())] {
                let (mut messages, mut ready) = (Messages::default(), VecDeque::new());
                for part in [&text[..first], &text[first..second], &text[second..]] {
                    messages.feed(part.as_bytes(), &mut ready).expect("small");
                }
                assert_eq!(ready, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn an_event_without_end_is_given_up() {
        let (mut messages, mut ready) = (Messages::default(), VecDeque::new());
        let part = vec![b'a'; LARGEST / 4];
        messages.feed(b"data: ", &mut ready).expect("small");
        let outcome = (0..5).try_for_each(|_| messages.feed(&part, &mut ready));
        assert!(outcome.is_err() && ready.is_empty());
    }
}
