//! Flooding: every node gets every item, each once over each link, and again until it is acknowledged.
//!
//! A new item goes to every neighbour but the one it came from, and is sent again after 1 s, 2 s, 4 s, 8 s ... until
//! acknowledged. Every hello carries a **digest** of the sender's LSDB. Two neighbours whose digests differ reconcile:
//! up to 50 items they compare whole lists of (key, content) hashes; beyond that 256 bucket sums first, then the lists
//! of the buckets that differ. What one lacks it asks for, what the other lacks it sends. So a partition of any length
//! heals by itself, and a lost flood costs at most the time to the next hello.

mod exchange;
mod outbox;

pub(super) use outbox::Outbox;
