//! Which gateways a leaf tries: in a mesh with dozens of them, a few.
//!
//! Were each leaf to ask every gateway, thirty of them would make thirty handshakes a leaf, and answer each join thirty
//! times. So a leaf looks at them in an order of its own, drawn from its identity and theirs: at the first few, and at one
//! more for each of those that does not answer. The cheapest of these become its uplinks.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::super::config::MeshConfig;
use super::super::ids::NodeId;
use super::Engine;

/// How many gateways a leaf tries at once.
const SOUGHT: usize = 6;
/// A gateway that left so many questions without an echo makes room for another.
const PATIENCE: u32 = 20;
/// How long the first few static peers have to answer before the next few are asked.
const TURN: Duration = Duration::from_secs(1);

impl Engine {
    /// Whether the network file lists so few static peers that the mesh may be small: then all pairs begin direct, and each
    /// static peer is asked for everything.
    pub(in super::super) fn begins_small(&self) -> bool {
        begins_small(&self.config)
    }

    /// The gateways that this leaf tries, besides its uplinks. All of them where pairs are direct anyway.
    pub(super) fn sought_gateways(&self) -> BTreeSet<NodeId> {
        let gateways = self.standing.gateways.iter().copied().filter(|id| *id != self.id);
        if self.direct_on || self.standing.gateways.len() <= SOUGHT {
            return gateways.collect();
        }
        let mut order: Vec<(u64, NodeId)> = gateways.map(|id| (place(&self.id, &id.0), id)).collect();
        order.sort_unstable();
        let is_silent =
            |id: &NodeId| self.neighbours.get(id).is_some_and(|n| !n.link.is_up() && n.link.attempts() >= PATIENCE);
        let mut answering = 0;
        let sought = order.into_iter().map(|(_, id)| id).take_while(|id| {
            let room = answering < SOUGHT;
            answering += usize::from(!is_silent(id));
            room
        });
        sought.collect()
    }

    /// How long after its start this node asks static peer number `index` to let it join.
    pub(super) fn turn_of_static(&self, index: usize) -> Duration {
        let peers = &self.config.static_peers;
        if self.config.own_static().is_some() || peers.len() <= SOUGHT {
            return Duration::ZERO;
        }
        let of = |index: usize| place(&self.id, peers[index].addresses[0].to_string().as_bytes());
        let before = (0..peers.len()).filter(|other| of(*other) < of(index)).count();
        TURN * u32::try_from(before / SOUGHT).unwrap_or(u32::MAX)
    }
}

/// The same before there is an engine.
pub(super) fn begins_small(config: &MeshConfig) -> bool {
    config.static_peers.len() <= SOUGHT
}

/// A number in an order that each node draws for itself.
fn place(id: &NodeId, of: &[u8]) -> u64 {
    let digest = Sha256::new().chain_update(b"wgnet sought").chain_update(id.0).chain_update(of).finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
}
