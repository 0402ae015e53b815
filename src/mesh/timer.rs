//! Every deadline of the engine, in one place.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::NodeId;
use super::time::Time;

/// What there is to wait for. Each timer runs at most once at a time; setting it again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Ask a static peer (by its index in the file) to let this node join, while no link to it is up.
    Join(usize),
    /// Ask a neighbour for an echo, or find its link dead.
    Probe(NodeId),
    /// Send a neighbour what it has not acknowledged.
    Retransmit(NodeId),
    /// A neighbour's new start should have shown inside the tunnel by now; else its clock went back, WireGuard refuses
    /// its handshakes, and the tunnel's peer must be made anew.
    Confirm(NodeId),
    /// A node that left has had time to hear the last acknowledgement.
    Parted(NodeId),
    /// Take the next step towards (or away from) a direct link with a node that is no neighbour in the graph.
    Direct(NodeId),
    /// A link's change on hold acts now.
    Hold,
    /// Nobody uses the paths that were any more.
    Past,
    /// Look at advertised costs, damped links and uplinks again.
    Review,
    /// Give the own items a fresh age.
    Refresh,
    /// Drop what is 24 h old.
    Expire,
    /// Keep the state on disk.
    Save,
    /// The neighbours had time enough to hear that this node leaves.
    Leave,
}

/// The deadlines that are set.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    at: BTreeMap<Timer, Time>,
    order: BTreeSet<(Time, Timer)>,
}

impl Timers {
    /// Sets or moves a timer.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        self.stop(timer);
        self.at.insert(timer, at);
        self.order.insert((at, timer));
    }

    /// Sets a timer unless it would ring earlier anyway.
    pub(super) fn set_no_later(&mut self, timer: Timer, at: Time) {
        if self.at.get(&timer).is_none_or(|set| *set > at) {
            self.set(timer, at);
        }
    }

    /// Stops a timer.
    pub(super) fn stop(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Time> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the next timer that is due.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Timer> {
        let (at, timer) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.stop(timer);
        Some(timer)
    }
}
