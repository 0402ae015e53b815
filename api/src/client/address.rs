//! Where a daemon listens, and connections to it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket: the kernel tells the daemon who asks.
    Socket(PathBuf),
    /// A TCP port: a token tells it.
    Tcp {
        /// Host and port: `127.0.0.1:9080`, as the daemon was given it.
        host: String,
        /// What the daemon keeps in its state directory.
        token: Token,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tcp { host, .. } => f.write_str(host),
        }
    }
}

/// The secret that opens a daemon's TCP port. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token as it stands in its file; line ends around it do not count.
    ///
    /// `None` if it holds anything that no token holds: then the file is another one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (!text.is_empty() && text.bytes().all(known)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Address {
    /// Opens a connection; connecting, sending and each read take at most `patience`.
    pub(crate) fn connect(&self, patience: Duration) -> io::Result<Connection> {
        let connection = match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(patience))?;
                Connection::Unix(stream)
            }
            Self::Tcp { host, .. } => {
                let stream = connect_to_any(host, patience)?;
                stream.set_write_timeout(Some(patience))?;
                stream.set_nodelay(true)?;
                Connection::Tcp(stream)
            }
        };
        connection.set_read_timeout(patience)?;
        Ok(connection)
    }

    /// The headers that say whom the request is for, and who asks.
    pub(crate) fn headers(&self) -> String {
        match self {
            Self::Socket(_) => "Host: wgnet\r\n".to_owned(),
            Self::Tcp { host, token } => format!("Host: {host}\r\nAuthorization: Bearer {}\r\n", token.0),
        }
    }
}

fn connect_to_any(host: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// One open connection.
#[derive(Debug)]
pub(crate) enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    pub(crate) fn set_read_timeout(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(Some(patience)),
            Self::Tcp(stream) => stream.set_read_timeout(Some(patience)),
        }
    }

    /// A second handle of the same connection.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    /// Ends the connection in both directions; whoever reads from it wakes.
    pub(crate) fn shut(&self) {
        // One that is closed already is closed enough.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_never_shown() {
        let token = Token::new("kR-_09\n").expect("a token");
        assert_eq!(format!("{token:?}"), "Token(..)");
        let address = Address::Tcp { host: "127.0.0.1:9080".to_owned(), token };
        assert!(!format!("{address:?} {address}").contains("kR"));
        assert_eq!(address.headers(), "Host: 127.0.0.1:9080\r\nAuthorization: Bearer kR-_09\r\n");
        for wrong in ["", "\n", "two words", "a\r\nHost: evil", "ä"] {
            assert_eq!(Token::new(wrong), None, "{wrong:?}");
        }
    }
}
