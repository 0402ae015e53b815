//! `GET /v1/stream`: one subscriber, from its request to its end.
//!
//! The loop gives a [`Subscription`]: the present moment, the journal from the place where the client was, and a queue
//! of what follows. A task of the subscriber's own hands them to its connection, the next one when the last was taken.
//! A client that does not keep up finds the queue has moved on; it gets the present moment anew, and the journal from
//! where it was. One that takes nothing at all loses its connection ([`super::patience`]). At any time a subscriber
//! holds one moment (whose bytes all subscribers share), the kept journal and no more.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
pub use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use wgnet_api::Place;

use super::Request;
use super::refused::Refused;
use super::routes::{Admin, Loop, ask};
use super::server::Lease;

/// Streams at a time.
pub const STREAMS: usize = 16;
/// A quiet stream shows so often that the daemon lives.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Something that was just told to all subscribers.
#[derive(Clone, Debug)]
pub struct Live {
    /// Where a client is that has read it.
    pub place: Place,
    /// One or more whole events, as they go over the wire.
    pub bytes: Bytes,
}

/// What a subscriber gets: without a gap, and nothing twice.
#[derive(Debug)]
pub struct Subscription {
    /// The present moment as JSON.
    pub snapshot: Bytes,
    /// Where a client is that has read the moment: the journal goes on here.
    pub from: Place,
    /// The journal from there on, as it goes over the wire.
    pub events: Bytes,
    /// Where a client is that has read this, too.
    pub place: Place,
    /// What follows.
    pub live: broadcast::Receiver<Live>,
}

/// One event as it goes over the wire; `json` holds no line end.
pub fn event(kind: &str, place: Place, json: &[u8]) -> Vec<u8> {
    let mut bytes = opening(kind, place).into_bytes();
    bytes.reserve_exact(json.len() + 2);
    bytes.extend_from_slice(json);
    bytes.extend_from_slice(b"\n\n");
    bytes
}

fn opening(kind: &str, place: Place) -> String {
    format!("event: {kind}\nid: {place}\ndata: ")
}

pub(super) async fn stream(
    State(Admin { requests, streams, .. }): State<Admin>,
    lease: Option<Extension<Lease>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let Ok(permit) = Arc::clone(&streams).try_acquire_owned() else {
        let error = format!("{STREAMS} streams are open already");
        return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, error, "close a dashboard, or try again"));
    };
    // A place that makes no sense is as good as none: then all of the journal comes.
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.trim().parse().ok());
    let subscription = ask(&requests, |reply| Request::Subscribe(after, reply)).await?;
    if let Some(Extension(lease)) = lease {
        lease.make_endless();
    }
    let (sender, parts) = mpsc::channel(1);
    tokio::spawn(feed(requests, subscription, sender));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(Events { parts, _permit: permit })).into_response())
}

/// Hands over what there is, part by part, until the client is gone or the daemon ends.
async fn feed(requests: Loop, mut subscription: Subscription, sender: mpsc::Sender<Bytes>) {
    while let Some(place) = follow(subscription, &sender).await {
        let (reply, answer) = oneshot::channel();
        let asked = requests.send(Request::Subscribe(Some(place), reply)).await;
        match answer.await {
            Ok(next) if asked.is_ok() => subscription = next,
            _ => return,
        }
    }
}

/// Hands over one subscription. Returns the client's place when it fell behind, nothing when it or the daemon is gone.
async fn follow(subscription: Subscription, sender: &mpsc::Sender<Bytes>) -> Option<Place> {
    let Subscription { snapshot, from, events, mut place, mut live } = subscription;
    for part in [opening("snapshot", from).into(), snapshot, Bytes::from_static(b"\n\n"), events] {
        if !part.is_empty() {
            sender.send(part).await.ok()?;
        }
    }
    loop {
        // First the room, then what goes there: whoever is slow falls behind in the queue that all share.
        let room = sender.reserve().await.ok()?;
        let next = tokio::select! {
            next = timeout(KEEPALIVE, live.recv()) => next,
            () = sender.closed() => return None,
        };
        match next {
            Ok(Ok(live)) => {
                place = live.place;
                room.send(live.bytes);
            }
            Ok(Err(RecvError::Lagged(_))) => return Some(place),
            Ok(Err(RecvError::Closed)) => return None,
            Err(_) => room.send(Bytes::from_static(b":\n\n")),
        }
    }
}

/// The body of the answer.
struct Events {
    parts: mpsc::Receiver<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.parts.poll_recv(cx).map(|part| part.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Room for all streams of a daemon.
pub(super) fn slots() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(STREAMS))
}
