//! The loop: one input at a time into the engine, and everything it asks for done before the next.

mod network_file;
mod port_mapping;
#[cfg(test)]
mod tests;

use std::time::Duration;

use rand_core::{OsRng, RngCore as _};
use tokio::sync::mpsc;

pub(super) use network_file::Unconfirmed;
pub(super) use port_mapping::Mapper;

use super::DaemonError;
use super::clock::{Clock, Jumps, wall};
use super::health::Health;
use super::journal::Journal;
use super::lan::{self, Lan};
use super::publisher::Publisher;
use super::reload::{Read, Reader};
use super::resolver::{Resolved, Resolver};
use super::saver::{Saved, Saver};
use super::signal::Signal;
use super::store::Store;
use super::underlay::{BATCH, Family, Received, Underlay};
use super::watchdog::Watchdog;
use crate::admin::metrics::{Figures, StepTimes};
use crate::admin::{self, Request};
use crate::config::Config;
use crate::mesh::engine::Engine;
use crate::mesh::event::{Event, EventKind, Severity};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{Command, DesiredSystem, DesiredTunnel, Destination, LocalNetwork, Output, PortMapping};
use crate::mesh::io::{TunnelReport, Via};
use crate::mesh::time::Time;
use crate::mesh::view::View;
use crate::system::System;
use crate::tunnel::device::Times;
use crate::tunnel::{ControlDatagram, Tunnel, TunnelError};

/// How often the engine hears of the tunnel's counters.
const REPORT: Duration = Duration::from_secs(1);
/// How often the tunnel is looked at while a new peer's first handshake is awaited ...
const QUICK_REPORT: Duration = Duration::from_millis(20);
/// ... and for how long: a peer that is not there must not keep the daemon awake.
const QUICK: Duration = Duration::from_secs(2);
/// How long the engine may take to leave the mesh, and the disk to take the last state.
const LEAVE: Duration = Duration::from_secs(1);
/// How often what the system refused is tried again: whoever holds our route may let go of it.
const RETRY_SYSTEM: Duration = Duration::from_secs(10);

/// A started node: everything the loop needs.
pub(super) struct Node<S> {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) engine: Engine,
    pub(super) public_key: WgPublicKey,
    pub(super) underlay: Underlay,
    pub(super) tunnel: Box<dyn Tunnel>,
    pub(super) control: mpsc::Receiver<ControlDatagram>,
    pub(super) system: S,
    pub(super) mapper: Mapper,
    pub(super) saver: Saver,
    pub(super) store: Store,
    /// A reload of a former run that is still to be confirmed.
    pub(super) unconfirmed: Option<Unconfirmed>,
    /// Whether the network file on disk does not act, because nobody confirmed it.
    pub(super) rolled_back: bool,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) signals: mpsc::Receiver<Signal>,
    /// What was mended at the start, for the journal.
    pub(super) warnings: Vec<String>,
}

/// What woke the loop.
enum Wake {
    Timer,
    Underlay(Family),
    Lan(Family),
    Control(Option<ControlDatagram>),
    Request(Request),
    Saved(Saved),
    Resolved(Resolved),
    Network,
    Mapped(Option<PortMapping>),
    Signal(Signal),
    FileRead(Box<Read>),
}

/// The node, and what the loop remembers between two inputs.
struct Loop<S> {
    node: Node<S>,
    lan: Lan,
    resolver: Resolver,
    reader: Reader,
    unconfirmed: Option<Unconfirmed>,
    journal: Journal,
    publisher: Publisher,
    step_times: StepTimes,
    health: Health,
    /// What the engine heard last.
    network: Option<LocalNetwork>,
    report: TunnelReport,
    /// When the tunnel is looked at next.
    next_look: Time,
    /// When the engine last heard a report.
    reported: Time,
    /// Until when a first handshake is awaited.
    quick_until: Time,
    desired_tunnel: DesiredTunnel,
    desired_system: Option<DesiredSystem>,
    next_system_retry: Time,
    /// What the router maps.
    mapped: Option<PortMapping>,
    /// When to look who the router is.
    next_router_look: Time,
    leaving: Option<Time>,
    /// Whether what goes on without this process is left behind.
    detaches: bool,
    watchdog: Watchdog,
    jumps: Jumps,
    ended: Option<Result<(), DaemonError>>,
}

/// Runs until the engine has left the mesh or the tunnel is gone; then takes everything down again.
///
/// # Errors
/// The tunnel's device is gone.
pub(super) async fn run<S: System>(node: Node<S>, announce: impl FnOnce()) -> Result<(), DaemonError> {
    let mut this = Loop::new(node);
    for text in std::mem::take(&mut this.node.warnings) {
        let subject = this.node.config.mesh.name.to_string();
        this.journal.add(wall(), Event { severity: Severity::Warning, kind: EventKind::Storage, subject, text });
    }
    if this.node.rolled_back {
        this.rejected();
    }
    let now = this.now();
    this.drain(now).await;
    this.look_at_network().await;
    announce();
    while this.ended.is_none() {
        this.turn().await;
    }
    this.finish().await
}

impl<S: System> Loop<S> {
    fn new(mut node: Node<S>) -> Self {
        Self {
            unconfirmed: node.unconfirmed.take(),
            node,
            lan: Lan::default(),
            resolver: Resolver::default(),
            reader: Reader::default(),
            journal: Journal::default(),
            publisher: Publisher::new(OsRng.next_u64()),
            step_times: StepTimes::default(),
            health: Health::default(),
            network: None,
            report: TunnelReport::default(),
            next_look: Time::ZERO + REPORT,
            reported: Time::ZERO,
            quick_until: Time::ZERO,
            desired_tunnel: DesiredTunnel::default(),
            desired_system: None,
            next_system_retry: Time::ZERO,
            mapped: None,
            next_router_look: Time::ZERO,
            leaving: None,
            detaches: false,
            watchdog: Watchdog::from_environment(),
            jumps: Jumps::default(),
            ended: None,
        }
    }

    fn now(&self) -> Time {
        self.node.clock.now()
    }

    /// Waits for something to happen, then gives the engine what did and what is due besides.
    async fn turn(&mut self) {
        let wake = self.wait().await;
        self.handle(wake).await;
        let now = self.now();
        if self.node.engine.next_timeout().is_some_and(|deadline| deadline <= now) {
            self.node.engine.handle_timeout(now);
            self.drain(now).await;
        }
        if self.next_look <= now {
            self.look_at_tunnel().await;
        }
        if self.health.has("system") && self.next_system_retry <= now {
            self.apply_system().await;
        }
        if self.next_router_look <= now && self.leaving.is_none() {
            self.look_at_router().await;
        }
        if self.unconfirmed.as_ref().is_some_and(|unconfirmed| unconfirmed.until <= now) {
            self.roll_back().await;
        }
        if self.leaving.is_some_and(|deadline| deadline <= now) {
            self.end(Ok(()));
        }
        self.publisher.tell_events(&self.journal);
        if self.publisher.is_due(now) {
            self.publisher.tell_moment(now, self.snapshot());
        }
    }

    async fn wait(&mut self) -> Wake {
        let deadline = [
            self.node.engine.next_timeout(),
            Some(self.next_look),
            self.leaving,
            self.unconfirmed.as_ref().map(|u| u.until),
            self.publisher.next_timeout(),
        ];
        let deadline = deadline.into_iter().flatten().min().unwrap_or(self.next_look);
        let node = &mut self.node;
        tokio::select! {
            () = tokio::time::sleep_until(node.clock.instant(deadline)) => Wake::Timer,
            family = node.underlay.readable() => Wake::Underlay(family),
            family = self.lan.readable() => Wake::Lan(family),
            datagram = node.control.recv() => Wake::Control(datagram),
            Some(request) = node.requests.recv() => Wake::Request(request),
            saved = node.saver.next() => Wake::Saved(saved),
            resolved = self.resolver.next() => Wake::Resolved(resolved),
            () = node.system.network_changed() => Wake::Network,
            mapping = node.mapper.next() => Wake::Mapped(mapping),
            Some(signal) = node.signals.recv() => Wake::Signal(signal),
            read = self.reader.next() => Wake::FileRead(Box::new(read)),
        }
    }

    async fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Timer => {}
            Wake::Underlay(family) => self.receive(family).await,
            Wake::Lan(family) => self.listen(family).await,
            Wake::Control(Some(first)) => self.receive_control(first).await,
            Wake::Control(None) => {
                let why = self.node.tunnel.report().err().map_or_else(|| "it ended".to_owned(), |e| e.to_string());
                self.end(Err(DaemonError(format!("the tunnel is gone: {why}"))));
            }
            Wake::Request(request) => self.answer(request).await,
            Wake::Saved(saved) => self.saved(saved).await,
            Wake::Resolved(Resolved { host, addresses }) => {
                let now = self.now();
                self.node.engine.handle_resolved(now, &host, &addresses);
                self.drain(now).await;
            }
            Wake::Network => self.look_at_network().await,
            Wake::Mapped(mapping) => self.mapped(mapping).await,
            Wake::Signal(Signal::Stop) => self.stop().await,
            Wake::Signal(Signal::Detach) => self.detach(),
            Wake::Signal(Signal::Reload) => self.ask_reload(wgnet_api::ReloadRequest::default(), None),
            Wake::FileRead(read) => self.file_read(*read).await,
        }
    }

    async fn receive(&mut self, family: Family) {
        for _ in 0..BATCH {
            let now = self.now();
            match self.node.underlay.receive(family) {
                Received::Datagram(from, bytes) => self.node.engine.handle_datagram(now, Via::Underlay(from), bytes),
                Received::Useless => continue,
                Received::Nothing => return,
            }
            self.drain(now).await;
        }
        // A flood: let the admin server's and netlink's tasks have their turn, too.
        tokio::task::yield_now().await;
    }

    async fn listen(&mut self, family: Family) {
        for _ in 0..BATCH {
            let now = self.now();
            match self.lan.receive(family) {
                Received::Datagram(from, bytes) => self.node.engine.handle_announcement(now, from, bytes),
                Received::Useless => continue,
                Received::Nothing => return,
            }
            self.drain(now).await;
        }
        tokio::task::yield_now().await;
    }

    async fn receive_control(&mut self, first: ControlDatagram) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(ControlDatagram { from, payload }) = next else { return };
            let now = self.now();
            self.node.engine.handle_datagram(now, Via::Tunnel(from), &payload);
            self.drain(now).await;
            next = self.node.control.try_recv().ok();
        }
        if let Some(ControlDatagram { from, payload }) = next {
            let now = self.now();
            self.node.engine.handle_datagram(now, Via::Tunnel(from), &payload);
            self.drain(now).await;
        }
        tokio::task::yield_now().await;
    }

    /// Does everything the engine asks for, in its order, after the input that it took at `began`.
    async fn drain(&mut self, began: Time) {
        while let Some(output) = self.node.engine.poll_output() {
            match output {
                Output::Send { to: Destination::Underlay(to), bytes } => self.node.underlay.send(to, &bytes),
                Output::Send { to: Destination::Tunnel(to), bytes } => self.node.tunnel.send_control(to, &bytes),
                Output::Tunnel(desired) => self.apply_tunnel(desired),
                Output::System(desired) => {
                    self.desired_system = Some(desired);
                    self.apply_system().await;
                }
                Output::Save { token, bytes } => self.node.saver.save(token, bytes),
                Output::Announce(bytes) => self.lan.announce(&bytes),
                Output::Resolve { host } => self.resolver.ask(host),
                Output::Event(event) => self.journal.add(wall(), event),
                Output::Left => self.end(Ok(())),
            }
        }
        self.step_times.took(self.now().since(began));
    }

    fn apply_tunnel(&mut self, desired: DesiredTunnel) {
        match self.node.tunnel.set(&desired) {
            Ok(()) => self.tunnel_works(),
            Err(error) => self.tunnel_trouble(error),
        }
        let known = |key: WgPublicKey| self.desired_tunnel.peers.iter().any(|peer| peer.public_key == key);
        if desired.peers.iter().any(|peer| !known(peer.public_key)) {
            let now = self.now();
            self.quick_until = now + QUICK;
            self.next_look = now + QUICK_REPORT;
        }
        self.desired_tunnel = desired;
    }

    fn tunnel_works(&mut self) {
        self.health.over("tunnel");
        self.health.over("tunnel-late");
    }

    fn tunnel_trouble(&mut self, error: TunnelError) {
        let text = error.to_string();
        match error {
            TunnelError::Ended(_) => self.end(Err(DaemonError(text))),
            TunnelError::Late(_) => {
                self.health.trouble(
                    Severity::Warning,
                    "tunnel-late",
                    text,
                    "see what keeps this machine's processors busy",
                );
            }
            _ => self.health.trouble(Severity::Error, "tunnel", text, "see the daemon's log"),
        }
    }

    async fn apply_system(&mut self) {
        let Some(mut desired) = self.desired_system.clone() else { return };
        // The embedded tunnel forwards from peer to peer by itself. With the kernel's forwarding on as well, a peer
        // could reach whatever else this machine routes to.
        desired.forwarding &= self.node.tunnel.kind() != "userspace";
        match self.node.system.set(&desired).await {
            Ok(()) => self.health.over("system"),
            Err(error) => {
                let remedy = error.remedy.clone();
                self.health.trouble(Severity::Error, "system", error.to_string(), &remedy);
                self.next_system_retry = self.now() + RETRY_SYSTEM;
            }
        }
    }

    /// Tells the engine about the tunnel: each second, and at once when a handshake or an endpoint is new.
    async fn look_at_tunnel(&mut self) {
        let now = self.now();
        self.look_at_clocks(now).await;
        let report = match self.node.tunnel.report() {
            Ok(report) => report,
            Err(error) => {
                self.next_look = now + REPORT;
                return self.tunnel_trouble(error);
            }
        };
        self.tunnel_works();
        let waits = now < self.quick_until && !all_have_shaken_hands(&self.desired_tunnel, &report);
        let due = now.since(self.reported) >= REPORT;
        if due || is_news(&self.report, &report) {
            self.reported = now;
            self.report.clone_from(&report);
            self.node.engine.handle_tunnel(now, report);
            self.drain(now).await;
        }
        self.next_look = now + if waits { QUICK_REPORT } else { REPORT };
        self.watchdog.feed(now);
    }

    /// Notices that the machine slept, or that its clock was set.
    async fn look_at_clocks(&mut self, now: Time) {
        let seen = self.jumps.look(Times::now(), now);
        let subject = self.node.config.mesh.name.to_string();
        if let Some(slept) = seen.slept {
            let text = format!("this machine slept for {} s: every link is asked at once", slept.as_secs());
            let subject = subject.clone();
            self.journal.add(wall(), Event { severity: Severity::Info, kind: EventKind::Link, subject, text });
            // There may be no link to ask yet.
            let _ = self.node.engine.handle_command(now, Command::Probe { peer: None });
            self.node.mapper.ask_again();
            self.drain(now).await;
        }
        if let Some(set) = seen.set_back {
            let text = format!(
                "this machine's clock was set back by {} s: peers refuse handshakes that look older than the last one, \
                 until its time is over or their sessions are made anew",
                set.as_secs()
            );
            self.journal.add(wall(), Event { severity: Severity::Warning, kind: EventKind::Link, subject, text });
        }
    }

    async fn look_at_network(&mut self) {
        match self.node.system.local_network().await {
            Ok(network) if self.network.as_ref() != Some(&network) => {
                tracing::debug!(?network, "the machine's addresses");
                self.network = Some(network.clone());
                self.listen_on(&network);
                let now = self.now();
                self.node.engine.handle_network(now, network);
                self.drain(now).await;
                self.look_at_router().await;
                self.node.mapper.ask_again();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("{error}"),
        }
    }

    /// Listens for announcements on the machine's LANs.
    fn listen_on(&mut self, network: &LocalNetwork) {
        if !self.node.config.mesh.lan {
            return;
        }
        match self.lan.set(&network.lans) {
            Ok(()) => self.health.over("lan"),
            Err(error) => {
                let text = format!("cannot use UDP port {} for announcements on LANs: {error}", lan::PORT);
                let remedy = "end the program that has it, or say lan: false in node.yaml";
                self.health.trouble(Severity::Warning, "lan", text, remedy);
            }
        }
    }

    async fn saved(&mut self, saved: Saved) {
        let durable = saved.result.is_ok();
        match saved.result {
            Ok(()) => self.health.over("storage"),
            Err(error) => {
                let text = format!("the state of the mesh cannot be kept: {error}");
                let remedy = "the mesh works all the same, but after a restart this node must discover it anew";
                self.health.trouble(Severity::Warning, "storage", text, remedy);
            }
        }
        let now = self.now();
        self.node.engine.handle_saved(now, saved.token, durable);
        self.drain(now).await;
    }

    async fn answer(&mut self, request: Request) {
        // A client that went away in between is no concern of ours.
        match request {
            Request::Status(reply) => drop(reply.send(self.status())),
            Request::Mesh(reply) => drop(reply.send(admin::mesh::mesh(self.node.engine.mesh()))),
            Request::Snapshot(reply) => drop(reply.send(self.snapshot())),
            Request::Metrics(reply) => {
                let (snapshot, subscribers) = (self.snapshot(), self.publisher.watchers());
                drop(reply.send(Figures { snapshot, subscribers, step_times: self.step_times.clone() }));
            }
            Request::Subscribe(after, reply) => {
                let now = self.now();
                if self.publisher.is_stale(now) {
                    self.publisher.tell_moment(now, self.snapshot());
                }
                let subscription = self.publisher.subscribe(after, &self.journal);
                drop(reply.send(subscription.expect("a moment was just taken where there was none")));
            }
            Request::Journal(reply) => drop(reply.send(admin::status::journal(self.journal.entries()))),
            Request::Why(from, to, reply) => {
                let why = self.node.engine.why(self.now(), from.as_deref(), &to);
                drop(reply.send(why.map(admin::why::why)));
            }
            Request::Plan(changes, reply) => {
                drop(reply.send(self.node.engine.what_if(&changes).map(admin::plan::plan)));
            }
            #[cfg(feature = "drill")]
            Request::DrillReport(reply) => {
                let report = self.node.engine.drill_report(self.now());
                drop(reply.send(report.map(admin::drill::report)));
            }
            Request::Reload(request, reply) => self.ask_reload(request, Some(reply)),
            Request::Confirm(reply) => self.confirm(reply),
            Request::Command(command, reply) => {
                let now = self.now();
                if command == (Command::Probe { peer: None }) {
                    self.node.mapper.ask_again();
                }
                let outcome = self.node.engine.handle_command(now, command);
                self.drain(now).await;
                drop(reply.send(outcome));
            }
        }
    }

    /// Everything a dashboard shows, now.
    fn snapshot(&self) -> wgnet_api::Snapshot {
        let view = self.node.engine.view();
        let underlay = self.node.underlay.counters();
        let own = [
            ("underlay_send_errors", underlay.send_errors),
            ("underlay_receive_errors", underlay.receive_errors),
            ("underlay_oversized", underlay.oversized),
        ];
        wgnet_api::Snapshot {
            time_ms: u64::try_from(wall().as_millis()).unwrap_or(u64::MAX),
            status: self.status_of(&view),
            mesh: admin::mesh::mesh(self.node.engine.mesh()),
            counters: view.counters.iter().copied().chain(own).map(|(name, count)| (name.to_owned(), count)).collect(),
        }
    }

    fn status(&self) -> wgnet_api::Status {
        self.status_of(&self.node.engine.view())
    }

    fn status_of(&self, view: &View) -> wgnet_api::Status {
        let node = &self.node;
        let own = admin::status::Own {
            config: &node.config.mesh,
            interface: &node.config.interface,
            public_key: node.public_key,
            link_address: node.engine.link_address(),
            tunnel: node.tunnel.kind(),
            uptime: node.clock.uptime(),
            health: self.health.lines(),
        };
        admin::status::status(&own, view, &self.report)
    }

    async fn stop(&mut self) {
        if self.leaving.is_some() {
            tracing::info!("stopping at once");
            return self.end(Ok(()));
        }
        tracing::info!("leaving the mesh");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let now = self.now();
        self.leaving = Some(now + LEAVE);
        if let Err(error) = self.node.engine.handle_command(now, Command::Leave) {
            tracing::warn!("cannot leave the mesh: {error}");
            self.end(Ok(()));
        }
        self.drain(now).await;
    }

    /// Ends without a word to the mesh: the next run goes on where this one ends.
    fn detach(&mut self) {
        tracing::info!("detaching: the next start takes over");
        self.detaches = true;
        self.end(Ok(()));
    }

    /// The first end counts.
    fn end(&mut self, outcome: Result<(), DaemonError>) {
        self.ended.get_or_insert(outcome);
    }

    async fn finish(self) -> Result<(), DaemonError> {
        let Node { mut saver, tunnel, mut system, mut signals, underlay, mapper, .. } = self.node;
        if !self.detaches {
            mapper.give_back(self.mapped.is_some()).await;
        }
        let last_save = async {
            while !saver.is_idle() {
                if let Err(error) = saver.next().await.result {
                    tracing::warn!("the state of the mesh cannot be kept: {error}");
                }
            }
        };
        tokio::select! {
            () = last_save => {}
            () = tokio::time::sleep(LEAVE) => tracing::warn!("the disk does not take the state of the mesh"),
            Some(_) = signals.recv() => {}
        }
        if self.detaches {
            tunnel.detach();
        } else {
            tunnel.close();
            if let Err(error) = system.clean_up().await {
                tracing::warn!("{error}");
            }
        }
        tracing::debug!(counters = ?underlay.counters(), "underlay");
        tracing::info!("stopped");
        self.ended.unwrap_or(Ok(()))
    }
}

/// Whether a report tells more than that time has passed.
fn is_news(old: &TunnelReport, new: &TunnelReport) -> bool {
    old.peers.len() != new.peers.len()
        || old.peers.iter().zip(&new.peers).any(|(old, new)| {
            let shaken = match (old.handshake_age, new.handshake_age) {
                (Some(old), Some(new)) => new < old,
                (old, new) => old.is_some() != new.is_some(),
            };
            shaken || old.public_key != new.public_key || old.endpoint != new.endpoint
        })
}

fn all_have_shaken_hands(desired: &DesiredTunnel, report: &TunnelReport) -> bool {
    desired
        .peers
        .iter()
        .all(|peer| report.peers.iter().any(|seen| seen.public_key == peer.public_key && seen.handshake_age.is_some()))
}
