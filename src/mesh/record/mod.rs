//! What nodes say, signed: **items**, and the link-state database (LSDB) that holds the newest of each.
//!
//! ```text
//! Item = author (Ed25519 key) + signature + body
//!   Node    what a node says of itself: name, addresses, WireGuard key, endpoints, role, and its links
//!           (fragment 0; further links stand in fragments 1.. that are ordered and refreshed alone)
//!   Vote    "I saw this identity claim that name or address first" (file-listed gateways; never lapses)
//!   Forget  "votes for this identity up to that start of it are void" (file-listed gateways; never lapses)
//! ```
//!
//! A Node item is ordered by (epoch, seq): the epoch is persisted and rises with each start, the sequence with each
//! change. No rule here reads a clock: an item carries its **age**, added to while it is held and passed on; the
//! smallest age wins, and at 24 h the item is gone.
//!
//! **Hold.** A link's cost change must act at the same moment on every node. So a link carries the cost that acts now
//! (`was`) beside the new one, and the item travels with the milliseconds that remain until the new one acts. Whoever
//! holds the item counts down. The *effective* LSDB is therefore a pure function of what is stored and the time.

mod item;
mod lsdb;
mod node;

pub use item::{Body, CheckSignature, Forget, InvalidItem, Item, Key, Signer, Strict, Subject, Verifier, Vote};
pub use lsdb::{Carried, Insert, Lsdb, MAX_AGE, Pending, REFRESH, Stored, Summary, acts_at};
pub use node::{About, LinkAdvert, NodeRecord, Quality, ShortId, Version, Was, grant_of};
