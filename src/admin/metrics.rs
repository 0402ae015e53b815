//! `GET /metrics`: figures for Prometheus as OpenMetrics text. Every name begins with `wgnet_`.
//!
//! They come from the same moment that a dashboard sees. Only how long the engine takes for a step is counted as it
//! happens ([`StepTimes`]).

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};
use wgnet_api::{PathKind, Peer, Severity, Snapshot};

use super::Request;
use super::refused::Refused;
use super::routes::{Loop, ask};

type Labels = Vec<(&'static str, String)>;
type Figure = Gauge<f64, AtomicU64>;

/// How long the engine takes for one input with all that it asks for. Clones count together.
#[derive(Clone, Debug)]
pub struct StepTimes(Histogram);

impl Default for StepTimes {
    fn default() -> Self {
        // From 10 us, where most lie, to 2.6 s, which nobody should see.
        Self(Histogram::new(exponential_buckets(10e-6, 4.0, 10)))
    }
}

impl StepTimes {
    /// Counts one step.
    pub fn took(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }
}

/// What the figures are made of.
#[derive(Debug)]
pub struct Figures {
    /// The present moment.
    pub snapshot: Snapshot,
    /// How many follow the stream.
    pub subscribers: usize,
    /// The engine's steps since the start.
    pub step_times: StepTimes,
}

/// The counters of the engine and the daemon: all are shown, also those that never moved.
const COUNTERS: [(&str, &str); 40] = [
    ("announcements_dropped", "Announcements from no LAN of this machine, or too many in a second"),
    ("announcements_foreign", "Announcements of other networks, and junk in their place"),
    ("announcements_heard", "Announcements of other nodes heard on LANs"),
    ("announcements_repeated", "Announcements heard before, or older than one heard"),
    ("announcements_sent", "Announcements of this node on its LANs"),
    ("announcements_unasked", "Announcements that would have brought too many questions in a second"),
    ("claims_refused", "Claims of a name, an address or a role that were refused"),
    ("datagrams_impostor", "Control datagrams whose sender is another than it says"),
    ("datagrams_malformed", "Control datagrams that cannot be opened or read"),
    ("datagrams_received", "Control datagrams received"),
    ("datagrams_sent", "Control datagrams sent"),
    ("datagrams_stale", "Control datagrams that came a second time, or of an earlier start"),
    ("datagrams_unexpected", "Control datagrams that came by a way they may not come"),
    ("direct_switches", "Switches to a direct link and back"),
    ("drills_refused", "Requests to withdraw for a drill that this gateway refused"),
    ("hellos_sent", "Hellos sent"),
    ("items_bad_signature", "Flooded records and statements with a wrong signature"),
    ("items_malformed", "Flooded records and statements that cannot be read"),
    ("items_new", "Flooded records and statements that were news"),
    ("items_refused", "Flooded records and statements that were refused"),
    ("join_replies_forged", "Replies to join requests that somebody forged"),
    ("join_replies_unasked", "Replies to join requests that were never sent"),
    ("joins_answered", "Join requests answered"),
    ("joins_sent", "Join requests sent"),
    ("joins_unanswered", "Join requests left unanswered to protect others"),
    ("links_lost", "Links that went down"),
    ("links_on_demand", "Pairs whose traffic was worth a direct link"),
    ("path_changes", "Changes of the path to a node"),
    ("path_computations", "Computations of all paths"),
    ("reconciliations", "Comparisons of databases with a neighbour after their digests differed"),
    ("records_told", "Versions of its own record that this node told"),
    ("size_probes_sent", "Questions and answers of how large a packet a link carries, sent"),
    ("statements_forged", "Signed statements that somebody forged"),
    ("statements_relayed", "Signed statements passed on for others"),
    ("statements_stale", "Signed statements that were overtaken"),
    ("statements_untimely", "Signed statements that came when they mean nothing"),
    ("uplinks_changed", "Changes of the gateway that this leaf uses first"),
    ("underlay_oversized", "Datagrams on the admin port that were too large"),
    ("underlay_receive_errors", "Failed attempts to receive on the admin port"),
    ("underlay_send_errors", "Datagrams that the system refused to send from the admin port"),
];

pub(super) async fn metrics(State(requests): State<Loop>) -> Result<Response, Refused> {
    let figures = ask(&requests, Request::Metrics).await?;
    let text = render(&figures).map_err(|_| {
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "the figures cannot be written", "please report this")
    })?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

/// The text of one scrape.
///
/// # Errors
/// Never, as far as the library writes into memory.
pub fn render(figures: &Figures) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("wgnet");
    node(&mut registry, figures);
    peers(&mut registry, &figures.snapshot.status.peers);
    mesh(&mut registry, &figures.snapshot);
    counters(&mut registry, &figures.snapshot);
    let steps = figures.step_times.0.clone();
    let help = "How long the engine takes for one input with all that it asks for";
    registry.register_with_unit("engine_step", help, Unit::Seconds, steps);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn node(registry: &mut Registry, Figures { snapshot, subscribers, .. }: &Figures) {
    let node = &snapshot.status.node;
    let info = [("version", node.version.clone()), ("node", node.name.clone()), ("tunnel", node.tunnel.clone())];
    registry.register("build", "Version of the daemon, its node and its tunnel", Info::new(info.to_vec()));
    let uptime = figure(node.uptime_s as f64);
    registry.register_with_unit("uptime", "Time since the daemon started", Unit::Seconds, uptime);
    registry.register("draining", "Whether traffic of others is led around this gateway", figure(node.draining.into()));
    registry.register("subscribers", "Dashboards and other followers of the stream", figure(*subscribers as f64));
    let health = Family::<Labels, Figure>::default();
    for (word, severity) in [("info", Severity::Info), ("warning", Severity::Warning), ("error", Severity::Error)] {
        let lines = snapshot.status.health.iter().filter(|line| line.severity == severity).count();
        health.get_or_create(&vec![("severity", word.to_owned())]).set(lines as f64);
    }
    registry.register("health_lines", "Things that are wrong, by severity", health);
}

fn peers(registry: &mut Registry, peers: &[Peer]) {
    let by_path = Family::<Labels, Figure>::default();
    for (word, path) in
        [("direct", PathKind::Direct), ("gateway", PathKind::Gateway), ("unreachable", PathKind::Unreachable)]
    {
        let count = peers.iter().filter(|peer| peer.path == path).count();
        by_path.get_or_create(&vec![("path", word.to_owned())]).set(count as f64);
    }
    registry.register("peers", "Other nodes, by how packets for them travel", by_path);

    let (age, rtt, loss) = (Family::<Labels, Figure>::default(), Family::default(), Family::default());
    let (received, sent) = (Family::<Labels, Counter>::default(), Family::<Labels, Counter>::default());
    let set = |family: &Family<Labels, Figure>, labels: &Labels, value: Option<f64>| {
        if let Some(value) = value {
            family.get_or_create(labels).set(value);
        }
    };
    // Of two that claim one name the one that holds it is shown: a series belongs to one peer.
    let mut named = BTreeSet::new();
    for peer in peers.iter().filter(|peer| !peer.refused && named.insert(&peer.name)) {
        let labels = vec![("peer", peer.name.clone())];
        set(&age, &labels, peer.handshake_age_s.map(|age| age as f64));
        set(&rtt, &labels, peer.rtt_ms.map(|ms| ms / 1e3));
        set(&loss, &labels, peer.loss);
        received.get_or_create(&labels).inc_by(peer.rx_bytes);
        sent.get_or_create(&labels).inc_by(peer.tx_bytes);
    }
    let help = "Time since the last handshake with a direct peer";
    registry.register_with_unit("peer_handshake_age", help, Unit::Seconds, age);
    registry.register_with_unit("peer_rtt", "Smoothed round trip to a direct peer", Unit::Seconds, rtt);
    registry.register_with_unit("peer_loss", "Smoothed share of lost probes to a direct peer", Unit::Ratios, loss);
    registry.register_with_unit("peer_received", "Bytes received from a peer", Unit::Bytes, received);
    registry.register_with_unit("peer_sent", "Bytes sent to a peer", Unit::Bytes, sent);
}

fn mesh(registry: &mut Registry, snapshot: &Snapshot) {
    registry.register("nodes", "Nodes of the mesh, this one among them", figure(snapshot.mesh.nodes.len() as f64));
    let links = Family::<Labels, Figure>::default();
    for (word, up) in [("up", true), ("down", false)] {
        let count = snapshot.mesh.links.iter().filter(|link| link.up == up).count();
        links.get_or_create(&vec![("state", word.to_owned())]).set(count as f64);
    }
    registry.register("links", "Links of the mesh, by state", links);
}

fn counters(registry: &mut Registry, snapshot: &Snapshot) {
    let mut register = |name: &str, help: &str, count: u64| {
        let counter = <Counter>::default();
        counter.inc_by(count);
        registry.register(name, help, counter);
    };
    for (name, help) in COUNTERS {
        register(name, help, snapshot.counters.get(name).copied().unwrap_or_default());
    }
    let is_known = |name: &str| COUNTERS.iter().any(|(known, _)| *known == name);
    for (name, count) in snapshot.counters.iter().filter(|(name, _)| !is_known(name)) {
        register(name, "A counter of the engine", *count);
    }
}

fn figure(value: f64) -> impl Metric {
    let gauge = Figure::default();
    gauge.set(value);
    gauge
}
