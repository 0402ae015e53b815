//! The routes, as the crate documentation of [`wgnet_api`] lists them.

use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wgnet_api::{
    Done, Forget, Journal, LinkCost, Plan, PlanRequest, Refusal, Reload, ReloadRequest, Status, Why, WhyQuery,
};

use super::Request;
use crate::daemon::reload::{LONGEST_CONFIRMATION, ReloadRefused};
use crate::mesh::io::{Command, CommandError};

/// Bytes of a request's body.
const BODY: usize = 64 << 10;
/// The loop answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(4);

type Loop = Sender<Request>;

/// The routes of a daemon whose loop takes requests from the other end of `requests`.
pub fn router(requests: Loop) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/journal", get(journal))
        .route("/v1/why", get(why))
        .route("/v1/plan", post(plan))
        .route("/v1/link-cost", post(link_cost))
        .route("/v1/forget", post(forget))
        .route("/v1/reload", post(reload))
        .route("/v1/confirm", post(confirm))
        .fallback(no_such_route)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(requests)
}

async fn status(State(requests): State<Loop>) -> Result<Json<Status>, Refused> {
    ask(&requests, Request::Status).await.map(Json)
}

async fn journal(State(requests): State<Loop>) -> Result<Json<Journal>, Refused> {
    ask(&requests, Request::Journal).await.map(Json)
}

async fn why(
    State(requests): State<Loop>,
    query: Result<Query<WhyQuery>, QueryRejection>,
) -> Result<Json<Why>, Refused> {
    let Query(WhyQuery { from, to }) = query?;
    ask(&requests, |reply| Request::Why(from, to, reply)).await?.map(Json).map_err(Refused::from)
}

async fn plan(
    State(requests): State<Loop>,
    body: Result<Json<PlanRequest>, JsonRejection>,
) -> Result<Json<Plan>, Refused> {
    let Json(PlanRequest { changes }) = body?;
    if let Some(wrong) = super::plan::wrong(&changes) {
        let remedy = "ask for at most 64 changes, with costs from 1 to 1000000";
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, wrong, remedy));
    }
    ask(&requests, |reply| Request::Plan(changes, reply)).await?.map(Json).map_err(Refused::from)
}

async fn link_cost(
    State(requests): State<Loop>,
    body: Result<Json<LinkCost>, JsonRejection>,
) -> Result<Json<Done>, Refused> {
    let Json(LinkCost { peer, cost }) = body?;
    command(&requests, Command::LinkCost { peer, cost }).await
}

async fn forget(
    State(requests): State<Loop>,
    body: Result<Json<Forget>, JsonRejection>,
) -> Result<Json<Done>, Refused> {
    let Json(Forget { name }) = body?;
    command(&requests, Command::Forget { name }).await
}

async fn reload(
    State(requests): State<Loop>,
    body: Result<Json<ReloadRequest>, JsonRejection>,
) -> Result<Json<Reload>, Refused> {
    let Json(request) = body?;
    let longest = LONGEST_CONFIRMATION.as_secs();
    if request.confirm_s.is_some_and(|seconds| seconds == 0 || u64::from(seconds) > longest) {
        let wrong = "a confirmation takes at least one second and at most an hour";
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, wrong, "120 is a good number of seconds"));
    }
    ask(&requests, |reply| Request::Reload(request, reply)).await?.map(Json).map_err(Refused::from)
}

async fn confirm(State(requests): State<Loop>) -> Result<Json<Done>, Refused> {
    ask(&requests, Request::Confirm).await??;
    Ok(Json(Done {}))
}

async fn no_such_route() -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        "no such route",
        "the routes are /v1/status, /v1/journal, /v1/why, /v1/plan, /v1/link-cost, /v1/forget, /v1/reload, /v1/confirm",
    )
}

async fn other_method() -> Refused {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "this route takes another method", "GET to read, POST to change")
}

async fn command(requests: &Loop, command: Command) -> Result<Json<Done>, Refused> {
    ask(requests, |reply| Request::Command(command, reply)).await??;
    Ok(Json(Done {}))
}

async fn ask<A>(requests: &Loop, request: impl FnOnce(oneshot::Sender<A>) -> Request) -> Result<A, Refused> {
    let (reply, answer) = oneshot::channel();
    let busy = || Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy", "try again");
    requests.try_send(request(reply)).map_err(|_| busy())?;
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping", "")),
        Err(_) => Err(busy()),
    }
}

/// A refusal with its HTTP status.
struct Refused {
    status: StatusCode,
    refusal: Refusal,
}

impl Refused {
    fn new(status: StatusCode, error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, refusal: Refusal { error: error.into(), remedy: remedy.into() } }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(self.refusal)).into_response()
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        let remedy = "send a JSON object with Content-Type: application/json; the fields are in crate wgnet-api";
        Self::new(rejection.status(), rejection.body_text(), remedy)
    }
}

impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), "write /v1/why?to=NAME or /v1/why?from=NAME&to=NAME")
    }
}

impl From<ReloadRefused> for Refused {
    fn from(refused: ReloadRefused) -> Self {
        let (status, remedy) = match &refused {
            ReloadRefused::Wrong(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "nothing changed; mend the file and run `wgnet reload` again")
            }
            ReloadRefused::Awaiting => {
                (StatusCode::CONFLICT, "run `wgnet confirm` to keep it, or wait until it is taken back")
            }
            ReloadRefused::Busy => (StatusCode::CONFLICT, "try again"),
            ReloadRefused::NothingToConfirm => (StatusCode::CONFLICT, "`wgnet journal` tells what became of it"),
            ReloadRefused::Storage(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "free space in the state directory, or reload without --confirm")
            }
        };
        Self::new(status, refused.to_string(), remedy)
    }
}

impl From<CommandError> for Refused {
    fn from(error: CommandError) -> Self {
        let (status, remedy) = match &error {
            CommandError::UnknownName(_) => (StatusCode::NOT_FOUND, "`wgnet status` lists the names"),
            CommandError::NotNeighbour(_) => (StatusCode::CONFLICT, "run this at one of the two ends of the link"),
            CommandError::NotGateway => (StatusCode::CONFLICT, "run this at a gateway that the network file lists"),
            CommandError::NoGateway => (StatusCode::CONFLICT, "run this at a gateway; `wgnet status` shows which are"),
            CommandError::Itself => (StatusCode::CONFLICT, "run this at another gateway"),
            CommandError::SameNode(_) => (StatusCode::CONFLICT, "name two nodes"),
            CommandError::NoLink(..) => (StatusCode::CONFLICT, "name the two ends of a link; `wgnet why` shows links"),
        };
        let error = match error {
            CommandError::UnknownName(name) => format!("no node named {name:?} is known"),
            CommandError::NotNeighbour(name) => {
                format!("{name:?} is no neighbour of this node: there is no link to cost")
            }
            CommandError::NotGateway => "this node is no gateway that the network file lists".to_owned(),
            CommandError::Itself => "this node cannot forget itself".to_owned(),
            CommandError::NoLink(..) | CommandError::NoGateway => error.to_string(),
            CommandError::SameNode(name) => format!("{name:?} is at both ends: there is no path to explain"),
        };
        Self::new(status, error, remedy)
    }
}
