//! The same routes on a TCP port of a loopback address, where the kernel does not tell who asks: a token does.
//!
//! The token is made at first use and lies in the state directory, readable by the daemon's user alone. A browser on this
//! machine must not be led here by a page from elsewhere (DNS rebinding): a request is answered only under the very
//! address that was given to `--api-listen` or `localhost`, and not at all when it comes from a page (`Origin`).

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::{OsRng, RngCore as _};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::refused::Refused;
use super::server::{CONNECTIONS, Limits, take};

/// The token's file in the state directory.
pub const TOKEN_FILE: &str = "api.token";
/// Bytes of a token before base64.
const TOKEN_BYTES: usize = 32;
/// Characters of a token.
const TOKEN_LENGTH: usize = 43;

/// Why the port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TcpError {
    /// The system gives no such port.
    #[error("cannot listen at {address}: {source} (choose another with --api-listen)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The token cannot be read or kept.
    #[error("cannot {what} {}: {source}", .path.display())]
    Token {
        /// What was tried.
        what: &'static str,
        /// The token's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may have read the token.
    #[error("{} may be read by others (mode {mode:o}): remove it, and a new token is made at the next start",
        .path.display())]
    Exposed {
        /// The token's file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// A bound port with its token.
#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    guard: Guard,
}

/// Listens at `address` with the token of `state_dir`, which is made if there is none.
///
/// # Errors
/// The port is taken or not allowed, or the token cannot be had.
pub async fn bind(address: SocketAddr, state_dir: &Path) -> Result<Tcp, TcpError> {
    let listen = |source| TcpError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let path = state_dir.join(TOKEN_FILE);
    let token = token(&path)?;
    tracing::info!("the admin protocol is served at {address}, too; its token is in {}", path.display());
    Ok(Tcp { listener, guard: Guard::new(address, token) })
}

impl Tcp {
    /// Serves `routes` until it is dropped.
    pub async fn serve(self, routes: Router) -> Infallible {
        self.serve_within(routes, Limits::default()).await
    }

    pub(super) async fn serve_within(self, routes: Router, limits: Limits) -> Infallible {
        let Self { listener, guard } = self;
        let routes = routes.layer(from_fn_with_state(guard, admit));
        // Slots of its own: what happens here never keeps the unix socket from answering.
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, _)) => {
                    // An answer is one write, and an event of a stream must not wait for the next one.
                    let _ = stream.set_nodelay(true);
                    take(stream, slot, &routes, limits);
                }
                Err(e) => {
                    tracing::debug!("admin port: {e}");
                    // Out of file descriptors, most likely: that passes.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }
}

/// Who is let in.
#[derive(Clone)]
struct Guard {
    /// The names that this port answers to.
    hosts: Arc<[String; 2]>,
    token: Arc<Zeroizing<String>>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Guard {
    fn new(address: SocketAddr, token: Zeroizing<String>) -> Self {
        let hosts = [address.to_string(), format!("localhost:{}", address.port())];
        Self { hosts: Arc::new(hosts), token: Arc::new(token) }
    }

    /// # Errors
    /// The request is not for us, or not of somebody who holds the token.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        if headers.contains_key(ORIGIN) {
            let remedy = "use `wgnet`, or a program of your own";
            return Err(Refused::new(StatusCode::FORBIDDEN, "pages of a browser are not answered", remedy));
        }
        let [address, localhost] = &*self.hosts;
        let ours = |host: &str| host == address || host.eq_ignore_ascii_case(localhost);
        let mut hosts = headers.get_all(HOST).iter();
        let named = matches!((hosts.next(), hosts.next()), (Some(host), None) if host.to_str().is_ok_and(ours));
        // A request may name its host a second time, in its first line.
        if !named || !uri.authority().is_none_or(|authority| ours(authority.as_str())) {
            let remedy = format!("ask for {address} or {localhost}, word for word");
            return Err(Refused::new(StatusCode::MISDIRECTED_REQUEST, "this port answers to no such name", remedy));
        }
        let mut given = headers.get_all(AUTHORIZATION).iter();
        match (given.next(), given.next()) {
            (Some(given), None) if self.is_token(given) => Ok(()),
            _ => {
                let remedy = format!("give the token in {TOKEN_FILE} of the daemon's state directory (--token-file)");
                Err(Refused::new(StatusCode::UNAUTHORIZED, "the token is missing or wrong", remedy))
            }
        }
    }

    fn is_token(&self, given: &HeaderValue) -> bool {
        let Some((scheme, given)) = given.to_str().ok().and_then(|text| text.split_once(' ')) else { return false };
        // Equal lengths are no secret; the characters are compared in constant time.
        scheme.eq_ignore_ascii_case("bearer") && bool::from(given.trim().as_bytes().ct_eq(self.token.as_bytes()))
    }
}

async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => {
            let mut response = refused.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

/// The token in `path`; a new one if there is none, or only a part of one (the machine went down while it was written).
fn token(path: &Path) -> Result<Zeroizing<String>, TcpError> {
    let failed = |what| move |source| TcpError::Token { what, path: path.to_owned(), source };
    match File::open(path) {
        Ok(file) => {
            let mode = file.metadata().map_err(failed("read"))?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(TcpError::Exposed { path: path.to_owned(), mode });
            }
            let mut text = Zeroizing::new(String::with_capacity(TOKEN_LENGTH + 1));
            file.take(TOKEN_LENGTH as u64 + 1).read_to_string(&mut text).map_err(failed("read"))?;
            let known = text.trim_end();
            if known.len() == TOKEN_LENGTH && URL_SAFE_NO_PAD.decode(known).is_ok() {
                return Ok(Zeroizing::new(known.to_owned()));
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(failed("read")(e)),
    }
    let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
    OsRng.fill_bytes(&mut *bytes);
    let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
    write(path, &token).map_err(failed("write"))?;
    Ok(token)
}

fn write(path: &Path, token: &str) -> io::Result<()> {
    let new = path.with_extension("token.tmp");
    match fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests;
