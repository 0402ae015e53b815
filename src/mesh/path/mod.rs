//! Paths: symmetric shortest paths over the effective LSDB, and the tables that follow from them.
//!
//! WireGuard drops a packet whose source address does not belong to the peer it came from. So the way back must be the
//! way there, reversed, at every hop. Three things make it so:
//!
//! * only gateways forward, and an edge counts only when both its ends advertise it;
//! * the weight of an edge is the larger of its two costs, and below it a hash of the edge, in integers: so the shortest
//!   path between two nodes is *unique*, hence the same in both directions and on every node;
//! * the path is a pure function of the effective LSDB. Hysteresis lives in the adverts (`link/`), never here.
//!
//! `explain` tells why a path is as it is, `change` why it moved. While nodes move from one path to the next, `crossing` keeps each packet on the path on which it set out.

mod change;
mod crossing;
mod explain;
mod graph;
#[cfg(test)]
mod tests;

pub use change::{Cause, Step};
pub use crossing::Crossings;
pub use explain::{Explanation, Other, Verdict, explain};
pub use graph::{ALGORITHM, Graph, Paths, Route, Tree};
