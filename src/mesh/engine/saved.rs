//! What survives a restart: the LSDB, the pins, the endpoints under which nodes were last reached.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::event::{EventKind, Severity};
use super::super::ids::NodeId;
use super::super::io::Output;
use super::super::record::{Body, Item, Key, ShortId};
use super::super::time::Time;
use super::super::timer::Timer;
use super::Engine;

/// Version of the encoding.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u8,
    /// Highest epoch this identity was ever heard with.
    epoch: u64,
    /// Items and their ages in seconds. The time the machine is off does not count: no clock is read.
    items: Vec<(Vec<u8>, u32)>,
    /// Static peers by first address.
    pins: Vec<(IpAddr, NodeId)>,
    endpoints: Vec<(NodeId, SocketAddr)>,
}

impl Engine {
    /// Sees to it that the state is kept within `wait`.
    pub(in super::super) fn save_within(&mut self, now: Time, wait: Duration) {
        self.timers.set_no_later(Timer::Save, now + wait);
    }

    pub(super) fn save(&mut self, now: Time) {
        self.timers.stop(Timer::Save);
        let age = |stored: &super::super::record::Stored| u32::try_from(stored.age(now).as_secs()).unwrap_or(u32::MAX);
        let pins = self.pins.iter().map(|(index, id)| (self.config.static_peers[*index].addresses[0], *id));
        let saved = Saved {
            version: VERSION,
            epoch: self.epoch,
            items: self.lsdb.iter().map(|(_, stored)| (stored.item.bytes(), age(stored))).collect(),
            pins: pins.collect(),
            endpoints: self.endpoints.iter().map(|(id, endpoint)| (*id, *endpoint)).collect(),
        };
        self.save_token += 1;
        let bytes = postcard::to_allocvec(&saved).expect("the state has known lengths");
        self.outputs.push_back(Output::Save { token: self.save_token, bytes });
    }

    /// Takes over a saved state. Returns the nodes that were neighbours.
    pub(super) fn restore(&mut self, now: Time, bytes: &[u8]) -> Vec<NodeId> {
        let saved = match postcard::from_bytes::<Saved>(bytes) {
            Ok(saved) if saved.version == VERSION => saved,
            _ => {
                let text = "the kept state of the mesh is damaged or of another version: the mesh is discovered anew";
                self.event(Severity::Warning, EventKind::Storage, "state", text.to_owned());
                return Vec::new();
            }
        };
        if saved.epoch >= self.epoch {
            self.epoch = saved.epoch + 1;
            self.sealer.set_epoch(self.epoch);
        }
        let mut own_links: Vec<ShortId> = Vec::new();
        let mut items: Vec<(Item, u32)> =
            saved.items.iter().filter_map(|(bytes, age)| Some((Item::parse(bytes).ok()?, *age))).collect();
        // Descriptions of nodes first: statements and further fragments count only from nodes that are known.
        items.sort_by_key(|(item, _)| item.key());
        for (item, age) in items {
            if let (Body::Node(record), true) = (item.body(), item.author() == self.id) {
                own_links.extend(record.links.iter().map(|link| link.to));
            }
            if let Key::Node(id, _) = item.key() {
                self.sealer.remember(id);
            }
            self.lsdb.insert(item, Duration::from_secs(u64::from(age)), &[], now);
        }
        for (address, id) in saved.pins {
            let index = self.config.static_peers.iter().position(|peer| peer.addresses.contains(&address));
            if let Some(index) = index {
                self.pins.insert(index, id);
            }
        }
        self.endpoints = saved.endpoints.into_iter().collect();
        let known = self.endpoints.keys().copied();
        let linked = self.lsdb.abouts().map(|(id, _)| id).filter(|id| own_links.contains(&ShortId::from(id)));
        let mut neighbours: Vec<NodeId> = known.chain(linked).collect();
        neighbours.sort_unstable();
        neighbours.dedup();
        neighbours
    }
}
