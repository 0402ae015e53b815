//! Takes connections within limits, so that no client can hold the daemon up or fill its memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at a time; others wait in the kernel's queue.
pub const CONNECTIONS: usize = 32;
/// A connection carries one request, and no honest one takes this long.
const LIFETIME: Duration = Duration::from_secs(10);
/// For the request line and headers.
const HEADERS: Duration = Duration::from_secs(5);
/// Bytes of a request line and headers together.
const HEAD_BYTES: usize = 16 << 10;

/// Serves until it is dropped.
pub async fn serve(listener: UnixListener, routes: Router) -> Infallible {
    serve_within(listener, routes, LIFETIME).await
}

pub(super) async fn serve_within(listener: UnixListener, routes: Router, lifetime: Duration) -> Infallible {
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
        let routes = routes.clone();
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS)
                .max_buf_size(HEAD_BYTES)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
            // A client that breaks off or is too slow concerns nobody else.
            let _ = timeout(lifetime, connection).await;
            drop(slot);
        });
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
