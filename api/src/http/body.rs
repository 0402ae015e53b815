//! A body as it arrives: the chunked transfer coding (RFC 9112, section 7.1), cut anywhere.

use std::io;

/// Bytes of a line between chunks: a size, extensions, a trailer.
const LARGEST_LINE: usize = 8 << 10;

/// Takes the chunks apart.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: State,
    /// The line read so far, without its end.
    line: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// A line with the size of a chunk.
    #[default]
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The line end after a chunk.
    DataEnd,
    /// Lines after the last chunk, up to an empty one.
    Trailer,
    /// Nothing.
    Over,
}

impl Chunks {
    /// Whether the last chunk and what follows it were read.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Takes the next bytes; the body's own are added to `body`. Bytes after the end are passed over.
    ///
    /// # Errors
    /// These are no chunks.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() && self.state != State::Over {
            if let State::Data(left) = &mut self.state {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                body.extend_from_slice(&bytes[..length]);
                bytes = &bytes[length..];
                *left -= length as u64;
                if *left == 0 {
                    self.state = State::DataEnd;
                }
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                self.extend_line(bytes)?;
                return Ok(());
            };
            self.extend_line(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            self.end_line()?;
        }
        Ok(())
    }

    fn extend_line(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.line.len() + bytes.len() > LARGEST_LINE {
            return Err(no_chunks());
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        self.state = match self.state {
            State::Size => match size(line).ok_or_else(no_chunks)? {
                0 => State::Trailer,
                size => State::Data(size),
            },
            State::DataEnd if line.is_empty() => State::Size,
            State::Trailer if line.is_empty() => State::Over,
            State::Trailer => State::Trailer,
            State::DataEnd | State::Data(_) | State::Over => return Err(no_chunks()),
        };
        Ok(())
    }
}

/// The hexadecimal number before any extension.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    // `from_str_radix` would take a sign, too.
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

fn no_chunks() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer's chunks make no sense")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODED: &[u8] = b"5\r\nhello\r\nA;name=value\r\n, wide wor\r\n2\r\nld\r\n0\r\nTrailer: x\r\n\r\n";

    #[test]
    fn chunks_may_be_cut_anywhere() {
        for first in 0..CODED.len() {
            for second in first..CODED.len() {
                let (mut chunks, mut body) = (Chunks::default(), Vec::new());
                for part in [&CODED[..first], &CODED[first..second], &CODED[second..]] {
                    assert!(!chunks.is_over());
                    chunks.feed(part, &mut body).expect("chunks");
                }
                assert!(chunks.is_over());
                assert_eq!(body, b"hello, wide world");
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let long = "1".repeat(LARGEST_LINE + 1);
        for wrong in ["x\r\n", "+5\r\nhello", "\r\n", "5\r\nhellooo\r\n", "fffffffffffffffff\r\n", long.as_str()] {
            let (mut chunks, mut body) = (Chunks::default(), Vec::new());
            assert!(chunks.feed(wrong.as_bytes(), &mut body).is_err(), "{wrong:.20}");
        }
    }
}
