//! The routes, as the crate documentation of [`wgnet_api`] lists them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRef, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::mpsc::Sender;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use wgnet_api::{
    Done, Drain, Forget, GatewayCost, Journal, LinkCost, LogFilter, Mesh, OPENAPI, Plan, PlanRequest, Probe, Reload,
    ReloadRequest, SetLogLevel, Snapshot, Status, Why, WhyQuery,
};

use super::Request;
use super::log_level::LogControl;
use super::metrics::metrics;
use super::refused::Refused;
use super::stream::{slots, stream};
use crate::config::COST_RANGE;
use crate::daemon::reload::LONGEST_CONFIRMATION;
use crate::mesh::io::Command;

/// Bytes of a request's body.
const BODY: usize = 64 << 10;
/// The loop answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(4);

/// The loop's end for requests.
pub(super) type Loop = Sender<Request>;

/// What the routes need.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) requests: Loop,
    /// Room for streams.
    pub(super) streams: Arc<Semaphore>,
    log: LogControl,
}

impl FromRef<Admin> for Loop {
    fn from_ref(admin: &Admin) -> Self {
        admin.requests.clone()
    }
}

/// The routes of a daemon whose loop takes requests from the other end of `requests`; `log` sets what it logs.
pub fn router(requests: Loop, log: LogControl) -> Router {
    let router = Router::new();
    #[cfg(feature = "drill")]
    let router = router
        .route("/v1/drill", post(drill))
        .route("/v1/drill-end", post(end_drill))
        .route("/v1/drill-report", get(drill_report));
    router
        .route("/v1/status", get(status))
        .route("/v1/mesh", get(mesh))
        .route("/v1/snapshot", get(snapshot))
        .route("/v1/stream", get(stream))
        .route("/v1/journal", get(journal))
        .route("/v1/why", get(why))
        .route("/v1/plan", post(plan))
        .route("/v1/link-cost", post(link_cost))
        .route("/v1/gateway-cost", post(gateway_cost))
        .route("/v1/drain", post(drain))
        .route("/v1/probe", post(probe))
        .route("/v1/forget", post(forget))
        .route("/v1/reload", post(reload))
        .route("/v1/confirm", post(confirm))
        .route("/v1/log-level", post(log_level))
        .route("/v1/openapi.json", get(openapi))
        .route("/metrics", get(metrics))
        .fallback(no_such_route)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(Admin { requests, streams: slots(), log })
}

async fn status(State(requests): State<Loop>) -> Result<Json<Status>, Refused> {
    ask(&requests, Request::Status).await.map(Json)
}

async fn mesh(State(requests): State<Loop>) -> Result<Json<Mesh>, Refused> {
    ask(&requests, Request::Mesh).await.map(Json)
}

async fn snapshot(State(requests): State<Loop>) -> Result<Json<Snapshot>, Refused> {
    ask(&requests, Request::Snapshot).await.map(Json)
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
    let remedy = "ask for at most 64 changes, with costs from 1 to 1000000";
    let wrong = |wrong| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, wrong, remedy);
    let changes = super::plan::what_if(changes).map_err(wrong)?;
    ask(&requests, |reply| Request::Plan(changes, reply)).await?.map(Json).map_err(Refused::from)
}

async fn link_cost(
    State(requests): State<Loop>,
    body: Result<Json<LinkCost>, JsonRejection>,
) -> Result<Json<Done>, Refused> {
    let Json(LinkCost { peer, cost }) = body?;
    check_cost(cost)?;
    command(&requests, Command::LinkCost { peer, cost }).await
}

async fn gateway_cost(
    State(requests): State<Loop>,
    body: Result<Json<GatewayCost>, JsonRejection>,
) -> Result<Json<Done>, Refused> {
    let Json(GatewayCost { cost }) = body?;
    check_cost(cost)?;
    command(&requests, Command::GatewayCost { cost }).await
}

fn check_cost(cost: Option<u32>) -> Result<(), Refused> {
    let (low, high) = COST_RANGE;
    if cost.is_none_or(|cost| (low..=high).contains(&cost)) {
        return Ok(());
    }
    let error = format!("a cost is a whole number from {low} to {high}");
    Err(Refused::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        error,
        "give such a cost, or null to go back to the measured one",
    ))
}

async fn drain(State(requests): State<Loop>, body: Result<Json<Drain>, JsonRejection>) -> Result<Json<Done>, Refused> {
    let Json(Drain { drain }) = body?;
    command(&requests, Command::Drain { drain }).await
}

#[cfg(feature = "drill")]
async fn drill(
    State(requests): State<Loop>,
    body: Result<Json<wgnet_api::DrillRequest>, JsonRejection>,
) -> Result<Json<Done>, Refused> {
    let Json(wgnet_api::DrillRequest { gateway, for_s, force }) = body?;
    if !(1..=300).contains(&for_s) {
        let wrong = "a drill takes at least one second and at most five minutes";
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, wrong, "30 is a good number of seconds"));
    }
    let lasts = Duration::from_secs(u64::from(for_s));
    command(&requests, Command::Drill { gateway, lasts, force }).await
}

#[cfg(feature = "drill")]
async fn end_drill(State(requests): State<Loop>) -> Result<Json<Done>, Refused> {
    command(&requests, Command::EndDrill).await
}

#[cfg(feature = "drill")]
async fn drill_report(State(requests): State<Loop>) -> Result<Json<wgnet_api::DrillReport>, Refused> {
    let report = ask(&requests, Request::DrillReport).await?;
    let none = || Refused::new(StatusCode::NOT_FOUND, "this node measured no drill", "POST /v1/drill begins one");
    report.map(Json).ok_or_else(none)
}

async fn probe(State(requests): State<Loop>, body: Result<Json<Probe>, JsonRejection>) -> Result<Json<Done>, Refused> {
    let Json(Probe { peer }) = body?;
    command(&requests, Command::Probe { peer }).await
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

async fn log_level(
    State(Admin { log, .. }): State<Admin>,
    body: Result<Json<SetLogLevel>, JsonRejection>,
) -> Result<Json<LogFilter>, Refused> {
    let Json(SetLogLevel { level }) = body?;
    Ok(Json(LogFilter { filter: log.set(level) }))
}

async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn no_such_route() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "no such route", "/v1/openapi.json lists the routes")
}

async fn other_method() -> Refused {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "this route takes another method", "GET to read, POST to change")
}

async fn command(requests: &Loop, command: Command) -> Result<Json<Done>, Refused> {
    ask(requests, |reply| Request::Command(command, reply)).await??;
    Ok(Json(Done {}))
}

pub(super) async fn ask<A>(requests: &Loop, request: impl FnOnce(oneshot::Sender<A>) -> Request) -> Result<A, Refused> {
    let (reply, answer) = oneshot::channel();
    let busy = || Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy", "try again");
    requests.try_send(request(reply)).map_err(|_| busy())?;
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping", "")),
        Err(_) => Err(busy()),
    }
}

#[cfg(test)]
mod tests;
