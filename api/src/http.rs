//! As much of HTTP/1.1 (RFC 9112) as one request over one unix socket needs: the daemon answers with `Content-Length`
//! and closes.

use std::io::{self, Read};

/// No answer of a daemon is larger; a thousand nodes make about 1 MB.
const LARGEST: u64 = 64 << 20;

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, body: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: wgnet\r\nConnection: close\r\n").into_bytes();
    if let Some(body) = body {
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        bytes.extend_from_slice(headers.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// A status code and a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Reads an answer up to the end of the stream.
pub(crate) fn read_answer(stream: impl Read) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    stream.take(LARGEST).read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1.1, or cut short"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let body = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let mut status_line = lines.next()?.split(' ');
    status_line.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = status_line.next()?.parse().ok()?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim().parse::<usize>());
    let body = match length {
        Some(length) => body.get(..length.ok()?)?,
        None => body,
    };
    Some(Answer { status, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(read_answer(&bytes[..]).expect("whole"), Answer { status: 200, body: b"{}".to_vec() });
    }

    #[test]
    fn an_answer_cut_short_anywhere_is_an_error() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\": 1 }";
        for length in 0..bytes.len() {
            assert!(read_answer(&bytes[..length]).is_err(), "cut at {length}");
        }
        assert!(read_answer(&b"SSH-2.0-OpenSSH\r\n\r\n"[..]).is_err());
    }
}
