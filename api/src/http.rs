//! As much of HTTP/1.1 (RFC 9112) as one request on one connection needs: the daemon answers with `Content-Length`, or
//! streams in chunks, and closes.

pub(crate) mod body;

use std::io::{self, Read};

/// No answer of a daemon is larger; a thousand nodes make about 1 MB.
const LARGEST: u64 = 64 << 20;
/// Nor is the head of one.
const LARGEST_HEAD: usize = 64 << 10;

/// The bytes of a request; `headers` are whole lines.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n").into_bytes();
    if let Some(body) = body {
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        bytes.extend_from_slice(headers.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// What stands before a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// `Content-Length` in bytes, if it is told.
    pub(crate) length: Option<u64>,
    /// Whether the body comes in chunks.
    pub(crate) chunked: bool,
}

impl Head {
    /// Reads a head; also gives what was read of the body.
    pub(crate) fn read(mut stream: impl Read) -> io::Result<(Self, Vec<u8>)> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4 << 10];
        loop {
            let length = read_some(&mut stream, &mut buffer)?;
            if length == 0 {
                return Err(no_http());
            }
            // The end may lie across two reads.
            let from = bytes.len().saturating_sub(3);
            bytes.extend_from_slice(&buffer[..length]);
            if let Some(end) = bytes[from..].windows(4).position(|window| window == b"\r\n\r\n") {
                let body = bytes.split_off(from + end + 4);
                let head = Self::parse(&bytes).ok_or_else(no_http)?;
                return Ok((head, body));
            }
            if bytes.len() > LARGEST_HEAD {
                return Err(no_http());
            }
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.split("\r\n");
        let mut status_line = lines.next()?.split(' ');
        status_line.next().filter(|version| version.starts_with("HTTP/1."))?;
        let mut head = Self { status: status_line.next()?.parse().ok()?, length: None, chunked: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.length = Some(value.trim().parse().ok()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
        }
        Some(head)
    }
}

/// A status code and a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Reads an answer to its end.
pub(crate) fn read_answer(mut stream: impl Read) -> io::Result<Answer> {
    let (head, start) = Head::read(&mut stream)?;
    read_rest(&head, start, stream)
}

/// Reads the body of an answer whose head was read.
pub(crate) fn read_rest(head: &Head, start: Vec<u8>, stream: impl Read) -> io::Result<Answer> {
    let too_large = || io::Error::new(io::ErrorKind::InvalidData, "the answer is larger than any of a daemon");
    let mut body = start;
    match head.length {
        Some(length) if length > LARGEST => return Err(too_large()),
        Some(length) => {
            let missing = length.saturating_sub(body.len() as u64);
            stream.take(missing).read_to_end(&mut body)?;
            if (body.len() as u64) < length {
                return Err(cut_short());
            }
            body.truncate(usize::try_from(length).map_err(|_| too_large())?);
        }
        None => {
            stream.take(LARGEST).read_to_end(&mut body)?;
            if head.chunked {
                let mut chunks = body::Chunks::default();
                let mut whole = Vec::new();
                chunks.feed(&body, &mut whole)?;
                if !chunks.is_over() {
                    return Err(cut_short());
                }
                body = whole;
            }
        }
    }
    Ok(Answer { status: head.status, body })
}

/// One read, which a signal does not disturb.
pub(crate) fn read_some(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn no_http() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1.1, or cut short")
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(read_answer(&bytes[..]).expect("whole"), Answer { status: 200, body: b"{}".to_vec() });
        let bytes = b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(read_answer(&bytes[..]).expect("whole"), Answer { status: 404, body: b"{}".to_vec() });
    }

    #[test]
    fn an_answer_cut_short_anywhere_is_an_error() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\": 1 }"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"a\": 1 }\r\n0\r\n\r\n",
        ] {
            for length in 0..bytes.len() {
                assert!(read_answer(&bytes[..length]).is_err(), "cut at {length}");
            }
            assert!(read_answer(bytes).is_ok());
        }
        assert!(read_answer(&b"SSH-2.0-OpenSSH\r\n\r\n"[..]).is_err());
        assert!(read_answer(&b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"[..]).is_err());
        assert!(read_answer(&[b'a'; 100 << 10][..]).is_err());
    }
}
