//! Takes connections within limits, so that no client can hold the daemon up or fill its memory.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::geteuid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::patience::Impatient;

/// Connections at a time, streams apart; others wait in the kernel's queue.
pub const CONNECTIONS: usize = 32;
/// For the request line and headers.
const HEADERS: Duration = Duration::from_secs(5);
/// Bytes of a request line and headers together.
const HEAD_BYTES: usize = 16 << 10;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For its one request and the answer, unless that is a stream.
    pub(crate) lifetime: Duration,
    /// For taking a byte of what waits for it.
    pub(crate) write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // No honest client takes this long.
        Self { lifetime: Duration::from_secs(10), write: Duration::from_secs(5) }
    }
}

/// Serves until it is dropped.
pub async fn serve(listener: UnixListener, routes: Router) -> Infallible {
    serve_within(listener, routes, Limits::default()).await
}

pub(crate) async fn serve_within(listener: UnixListener, routes: Router, limits: Limits) -> Infallible {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::debug!("admin socket: {e}");
                // Out of file descriptors, most likely: that passes.
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if !is_allowed(&stream) {
            continue;
        }
        take(stream, slot, &routes, limits);
    }
}

/// Serves one connection, which holds `slot`, in a task of its own.
pub(super) fn take<S>(stream: S, slot: OwnedSemaphorePermit, routes: &Router, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let lease = Lease(Arc::new(Mutex::new(Some(slot))));
    let service = Leased { routes: TowerToHyperService::new(routes.clone()), lease: lease.clone() };
    tokio::spawn(async move {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(HEAD_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(Impatient::new(stream, limits.write)), service);
        // A client that breaks off or is too slow concerns nobody else.
        tokio::select! {
            _ = connection => {}
            () = lease.runs_out(limits.lifetime) => {}
        }
    });
}

/// A connection's right to one of the slots, for as long as one request may take.
#[derive(Clone, Debug)]
pub(super) struct Lease(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Lease {
    /// The connection became a stream: it may last, and its slot is another's.
    pub(super) fn make_endless(&self) {
        drop(self.slot().take());
    }

    fn slot(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn runs_out(&self, lifetime: Duration) {
        sleep(lifetime).await;
        if self.slot().is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The routes, told to which connection a request belongs.
struct Leased {
    routes: TowerToHyperService<Router>,
    lease: Lease,
}

impl Service<Request<Incoming>> for Leased {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = Infallible;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.lease.clone());
        self.routes.call(request)
    }
}

/// Root and the daemon's own user, by the kernel's word.
fn is_allowed(stream: &UnixStream) -> bool {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 || peer.uid() == geteuid().as_raw() => true,
        Ok(peer) => {
            tracing::warn!("admin socket: user {} is not allowed", peer.uid());
            false
        }
        Err(_) => false,
    }
}
