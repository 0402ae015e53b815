//! Lets the mesh live, and records what its one node sees.

use std::collections::BTreeMap;
use std::time::Duration;

use wgnet::admin::{mesh, status, why};
use wgnet::daemon::journal::Journal;
use wgnet::mesh::config::MeshConfig;
use wgnet::mesh::io::TunnelReport;
use wgnet::mesh::time::Time;
use wgnet::sim::world::{Hosts, World};
use wgnet_api::{Event, Header, Item, Line, MeshLink, PathKind, Peer, Recorder, Snapshot};

use crate::cast::{SEEN_BY, scene};
use crate::plot::{BEFORE, LENGTH, TALKS, events};

/// Everything is drawn from this number.
const SEED: u64 = 60;
/// The wall clock at the recording's begin: 2026-01-01T00:00:00Z, in milliseconds since 1970.
const WALL_MS: u64 = 1_767_225_600_000;
/// Measurements that moved by themselves are told every so many seconds, of each peer and link in its turn: the file ships
/// with the program.
const PEER_TURNS: u64 = 3;
/// See [`PEER_TURNS`].
const LINK_TURNS: u64 = 12;
/// Explanations are recorded at the begin, and of these peers also whenever their path is another one.
const EXPLAINED: [&str; 12] = [
    "fra",
    "ams",
    "lon",
    "nyc",
    "sgp",
    "nas-anna",
    "web-fra",
    "db-nyc",
    "git-ams",
    "laptop-erik",
    "desktop-ben",
    "cdn-tokyo",
];
/// Journal entries from before the begin that are told.
const BEFORE_BEGIN: u64 = 60;
/// Pings are sent this often at most.
const STEP: Duration = Duration::from_millis(25);

/// The whole recording, as a file has it.
///
/// # Errors
/// The scene is no proper scenario, or something broke a rule of the mesh.
pub(crate) fn record() -> Result<Vec<u8>, String> {
    let mut stage = Stage::set()?;
    let begin = Time::ZERO + BEFORE;
    stage.play_until(begin)?;
    let mut camera = Camera::start(&mut stage, begin)?;
    let mut pending = events().into_iter().peekable();
    for second in 0..=LENGTH.as_secs() {
        stage.play_until(begin + Duration::from_secs(second))?;
        if second > 0 {
            camera.look(&mut stage, second * 1_000)?;
        }
        while let Some((_, action)) = pending.next_if(|(at, _)| *at <= second) {
            stage.world.apply(&action).map_err(|error| error.to_string())?;
        }
    }
    Ok(camera.recorder.into_inner())
}

/// The world and those who talk in it.
struct Stage {
    world: World,
    own: usize,
    config: MeshConfig,
    talks: Vec<(usize, usize, u32, u32)>,
    /// For each talk: thousandths of a packet that are due.
    due: Vec<u32>,
}

impl Stage {
    fn set() -> Result<Self, String> {
        let scenario = scene()?;
        let mut world = World::new(&scenario, SEED, Hosts::default());
        let number = |world: &World, name: &str| world.number(name).ok_or_else(|| format!("nobody is called {name}"));
        let own = number(&world, SEEN_BY)?;
        world.listen_to(own);
        let keys = scenario.nodes.keys().cloned().zip((0..world.len()).map(|node| world.key(node))).collect();
        let config = scenario.mesh_config(SEEN_BY, &keys);
        let mut talks = Vec::new();
        for (from, to, rate, wave) in TALKS {
            talks.push((number(&world, from)?, number(&world, to)?, rate, wave));
        }
        for (node, it) in scenario.nodes.values().enumerate() {
            if it.start.is_some() {
                world.start_daemon(node);
            }
        }
        let due = vec![0; talks.len()];
        Ok(Self { world, own, config, talks, due })
    }

    fn play_until(&mut self, end: Time) -> Result<(), String> {
        while self.world.now() < end {
            let next = (self.world.now() + STEP).min(end);
            self.world.run_until(next);
            self.talk();
        }
        self.world.forget_pings_before(self.world.now());
        self.world.violations().first().map_or(Ok(()), |violation| Err(violation.to_string()))
    }

    /// Everyone says what is due: much at the crest of their wave, a fifth of it in the trough.
    fn talk(&mut self) {
        let now_ms = self.world.now().as_micros() / 1_000;
        for (index, (from, to, rate, wave)) in self.talks.iter().copied().enumerate() {
            let wave_ms = u64::from(wave) * 1_000;
            let place = (now_ms + index as u64 * 7_000) % wave_ms;
            // A triangle from 0 to 1000 and back.
            let height = u32::try_from(1_000 - (place * 2_000 / wave_ms).abs_diff(1_000)).unwrap_or(0);
            self.due[index] += rate * (200 + height * 4 / 5) / 40;
            while self.due[index] >= 1_000 {
                self.due[index] -= 1_000;
                if self.world.runs(from) {
                    self.world.ping(from, to);
                }
            }
        }
    }

    /// What the node shows, as its daemon would.
    fn snapshot(&self, at_ms: u64) -> Result<Snapshot, String> {
        let (engine, _) = self.world.engine(self.own).ok_or("the camera's own node does not run")?;
        let view = engine.view();
        let own = status::Own {
            config: &self.config,
            interface: "wg0",
            public_key: self.world.key(self.own),
            link_address: engine.link_address(),
            tunnel: "kernel",
            uptime: self.world.now().since(Time::ZERO),
            health: &[],
        };
        // Of the tunnel's report, the engine's view holds everything but foreign peers, and there are none.
        Ok(Snapshot {
            time_ms: WALL_MS + at_ms,
            status: status::status(&own, &view, &TunnelReport::default()),
            mesh: mesh::mesh(engine.mesh()),
            counters: view.counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        })
    }

    fn why(&self, to: &str) -> Option<Item> {
        let (engine, now) = self.world.engine(self.own)?;
        engine.why(now, None, to).ok().map(|told| Item::Why(Box::new(why::why(told))))
    }
}

/// The recorder and what it saw last.
struct Camera {
    recorder: Recorder<Vec<u8>>,
    journal: Journal,
    /// Journal entries that are recorded.
    told: u64,
    last: Snapshot,
    begin: Time,
}

impl Camera {
    fn start(stage: &mut Stage, begin: Time) -> Result<Self, String> {
        let header = Header::new(env!("CARGO_PKG_VERSION"), WALL_MS);
        let recorder = Recorder::new(Vec::new(), &header).map_err(|error| error.to_string())?;
        let last = stage.snapshot(0)?;
        let mut camera = Self { recorder, journal: Journal::default(), told: 0, last, begin };
        camera.put(0, Item::Event(Event::Snapshot(Box::new(camera.last.clone()))))?;
        camera.hear(stage);
        camera.told = (camera.journal.entries().len() as u64).saturating_sub(BEFORE_BEGIN);
        camera.put_journal()?;
        let peers: Vec<_> = camera.last.status.peers.iter().map(|peer| peer.name.clone()).collect();
        for peer in peers {
            camera.put_why(stage, 0, &peer)?;
        }
        Ok(camera)
    }

    /// Records what is different now, what happened since, and why paths lead elsewhere.
    fn look(&mut self, stage: &mut Stage, at_ms: u64) -> Result<(), String> {
        self.hear(stage);
        self.put_journal()?;
        let mut now = stage.snapshot(at_ms)?;
        self.leave_out(&mut now, at_ms / 1_000);
        let path = |snapshot: &Snapshot| -> BTreeMap<String, (PathKind, Option<String>)> {
            snapshot.status.peers.iter().map(|peer| (peer.name.clone(), (peer.path, peer.via.clone()))).collect()
        };
        let (before, after) = (path(&self.last), path(&now));
        self.put(at_ms, Item::Event(Event::Difference(Box::new(self.last.difference(&now)))))?;
        self.last = now;
        for (name, path) in &after {
            if EXPLAINED.contains(&&**name) && before.get(name) != Some(path) {
                self.put_why(stage, at_ms, name)?;
            }
        }
        Ok(())
    }

    /// Peers and links of which nothing but measurements moved, and whose turn it is not, stay as they were.
    fn leave_out(&self, now: &mut Snapshot, second: u64) {
        let elapsed_s = (now.time_ms - self.last.time_ms) / 1_000;
        let before: BTreeMap<&str, &Peer> = self.last.status.peers.iter().map(|peer| (&*peer.id, peer)).collect();
        for (turn, peer) in (0..).zip(&mut now.status.peers) {
            let Some(old) = before.get(&*peer.id).filter(|_| !(second + turn).is_multiple_of(PEER_TURNS)) else {
                continue;
            };
            let measured = Peer {
                handshake_age_s: peer.handshake_age_s,
                rtt_ms: peer.rtt_ms,
                loss: peer.loss,
                probes: peer.probes,
                rx_bytes: peer.rx_bytes,
                tx_bytes: peer.tx_bytes,
                ..(*old).clone()
            };
            if measured == *peer {
                *peer = Peer { handshake_age_s: old.handshake_age_s.map(|age| age + elapsed_s), ..(*old).clone() };
            }
        }
        let before: BTreeMap<(&str, &str), &MeshLink> =
            self.last.mesh.links.iter().map(|link| ((&*link.a, &*link.b), link)).collect();
        for (turn, link) in (0..).zip(&mut now.mesh.links) {
            let Some(old) = before.get(&(&*link.a, &*link.b)).filter(|_| !(second + turn).is_multiple_of(LINK_TURNS))
            else {
                continue;
            };
            if (MeshLink { rtt_ms: link.rtt_ms, loss: link.loss, ..(*old).clone() }) == *link {
                *link = (*old).clone();
            }
        }
    }

    fn put(&mut self, at_ms: u64, item: Item) -> Result<(), String> {
        self.recorder.record(&Line { at_ms, item }).map_err(|error| error.to_string())
    }

    fn put_why(&mut self, stage: &Stage, at_ms: u64, to: &str) -> Result<(), String> {
        stage.why(to).map_or(Ok(()), |item| self.put(at_ms, item))
    }

    fn hear(&mut self, stage: &mut Stage) {
        let begin_us = self.begin.as_micros();
        for (at, event) in stage.world.heard() {
            let wall = Duration::from_millis(WALL_MS) + Duration::from_micros(at.as_micros());
            self.journal.add(wall - Duration::from_micros(begin_us), event);
        }
    }

    /// What happened before the recording began is told at its begin.
    fn put_journal(&mut self) -> Result<(), String> {
        for entry in status::journal(self.journal.entries()).entries {
            if entry.number >= self.told {
                self.told = entry.number + 1;
                let at_ms = entry.time_ms.saturating_sub(WALL_MS);
                self.put(at_ms, Item::Event(Event::Journal(entry)))?;
            }
        }
        Ok(())
    }
}
