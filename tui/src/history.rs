//! What a peer's link was like: round trips, missed probes, path changes and rates, each in a ring of bounded size.
//!
//! Times are the daemon's wall clock in milliseconds, as in [`wgnet_api::Snapshot::time_ms`], so that a frozen moment
//! cuts every curve at the same point.

use std::collections::VecDeque;

use wgnet_api::{PathKind, Peer};

/// Probes kept a peer: ten minutes at one a second.
const SAMPLES: usize = 600;
/// Path changes kept a peer.
const CHANGES: usize = 32;
/// Rates kept a peer.
const RATES: usize = 300;
/// How long a counter that stands still says nothing: it is read every few seconds. In milliseconds.
const STILL_MS: u64 = 3_000;

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample {
    /// Answered after so many milliseconds.
    Rtt(f32),
    /// Given up.
    Missed,
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Received.
    pub rx: f64,
    /// Sent.
    pub tx: f64,
}

/// What is remembered of one peer.
#[derive(Clone, Debug, Default)]
pub struct PeerHistory {
    samples: VecDeque<(u64, Sample)>,
    changes: VecDeque<(u64, PathKind, Option<String>)>,
    rates: VecDeque<(u64, Rate)>,
    last: Option<Last>,
}

/// What the moment before said.
#[derive(Clone, Debug)]
struct Last {
    /// When one of the counters of bytes was last seen to differ.
    moved_ms: u64,
    answered: u64,
    missed: u64,
    rx_bytes: u64,
    tx_bytes: u64,
    path: PathKind,
    via: Option<String>,
}

impl PeerHistory {
    /// Takes in what a moment says of the peer. The first one only sets the marks.
    pub fn observe(&mut self, time_ms: u64, peer: &Peer) {
        let probes = peer.probes.unwrap_or_default();
        let mut moved_ms = time_ms;
        if let Some(last) = self.last.take() {
            self.count_probes(time_ms, &last, peer);
            if (last.path, &last.via) != (peer.path, &peer.via) {
                push(&mut self.changes, CHANGES, (time_ms, peer.path, peer.via.clone()));
            }
            moved_ms = self.count_bytes(time_ms, &last, peer);
        }
        self.last = Some(Last {
            moved_ms,
            answered: probes.answered,
            missed: probes.missed,
            rx_bytes: peer.rx_bytes,
            tx_bytes: peer.tx_bytes,
            path: peer.path,
            via: peer.via.clone(),
        });
    }

    /// Bytes a second since the counters last moved, but over no more than [`STILL_MS`]: what was sent before that was seen
    /// then. Returns when they moved.
    fn count_bytes(&mut self, time_ms: u64, last: &Last, peer: &Peer) -> u64 {
        let has_moved = (peer.rx_bytes, peer.tx_bytes) != (last.rx_bytes, last.tx_bytes);
        let elapsed_ms = time_ms.saturating_sub(last.moved_ms).min(STILL_MS);
        if !has_moved || elapsed_ms == 0 {
            return last.moved_ms;
        }
        // Bytes are told while packets go straight to the peer: when they do so again, the first figure is no rate.
        if peer.path == PathKind::Direct && last.path != PathKind::Direct {
            return time_ms;
        }
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 * 1_000.0 / elapsed_ms as f64;
        let rate = Rate { rx: rate(peer.rx_bytes, last.rx_bytes), tx: rate(peer.tx_bytes, last.tx_bytes) };
        push(&mut self.rates, RATES, (time_ms, rate));
        time_ms
    }

    /// Counters that went back belong to another start of the daemon.
    fn count_probes(&mut self, time_ms: u64, last: &Last, peer: &Peer) {
        let Some(probes) = peer.probes else { return };
        let missed = probes.missed.saturating_sub(last.missed).min(SAMPLES as u64);
        for _ in 0..missed {
            push(&mut self.samples, SAMPLES, (time_ms, Sample::Missed));
        }
        if probes.answered > last.answered
            && let Some(rtt) = probes.last_ms.or(peer.rtt_ms)
        {
            push(&mut self.samples, SAMPLES, (time_ms, Sample::Rtt(rtt as f32)));
        }
    }

    /// Every probe that is kept, oldest first: when its outcome was known, and what it was.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = (u64, Sample)> + '_ {
        self.samples.iter().copied()
    }

    /// Every path change that is kept, oldest first: when, the new path, and the next hop of a gateway path.
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = (u64, PathKind, Option<&str>)> + '_ {
        self.changes.iter().map(|(time_ms, path, via)| (*time_ms, *path, via.as_deref()))
    }

    /// Every rate that is kept, oldest first.
    pub fn rates(&self) -> impl DoubleEndedIterator<Item = (u64, Rate)> + '_ {
        self.rates.iter().copied()
    }

    /// The last `count` probes up to a time, oldest first, as `RttSpark` takes
    /// them: a missed one is `None`.
    pub fn recent(&self, until_ms: u64, count: usize) -> Vec<Option<f32>> {
        let known = self.samples.iter().rev().filter(|(time_ms, _)| *time_ms <= until_ms);
        let mut recent: Vec<_> = known.take(count).map(|(_, sample)| sample.rtt()).collect();
        recent.reverse();
        recent
    }

    /// The rate at a time; zero where nothing was told for three seconds, since a daemon tells what changes.
    pub fn rate(&self, at_ms: u64) -> Rate {
        let last = self.rates.iter().rev().find(|(time_ms, _)| *time_ms <= at_ms);
        last.filter(|(time_ms, _)| at_ms - time_ms <= STILL_MS).map_or_else(Rate::default, |(_, rate)| *rate)
    }
}

impl Sample {
    /// Its round trip in milliseconds.
    pub fn rtt(self) -> Option<f32> {
        match self {
            Self::Rtt(ms) => Some(ms),
            Self::Missed => None,
        }
    }
}

/// Appends, and forgets the oldest beyond `most`.
fn push<T>(ring: &mut VecDeque<T>, most: usize, item: T) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(item);
}

/// What the whole node received and sent a second, in a ring.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    rates: VecDeque<(u64, Rate)>,
}

impl Totals {
    /// Takes in the sum of all peers' rates at a moment. Sums of their counters would not do: a peer that comes brings
    /// what it counted before, one that goes takes it away.
    pub fn observe(&mut self, time_ms: u64, rate: Rate) {
        if self.rates.back().is_none_or(|(last_ms, _)| *last_ms < time_ms) {
            push(&mut self.rates, SAMPLES, (time_ms, rate));
        }
    }

    /// The last `count` rates up to a time, oldest first.
    pub fn recent(&self, until_ms: u64, count: usize) -> Vec<Rate> {
        let known = self.rates.iter().rev().filter(|(time_ms, _)| *time_ms <= until_ms);
        let mut recent: Vec<_> = known.take(count).map(|(_, rate)| *rate).collect();
        recent.reverse();
        recent
    }

    /// The rate at a time; zero where nothing was told for three seconds.
    pub fn rate(&self, at_ms: u64) -> Rate {
        let last = self.rates.iter().rev().find(|(time_ms, _)| *time_ms <= at_ms);
        last.filter(|(time_ms, _)| at_ms - time_ms <= STILL_MS).map_or_else(Rate::default, |(_, rate)| *rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use wgnet_api::Probes;

    #[test]
    fn probes_become_samples_and_missed_ones_gaps() {
        let mut history = PeerHistory::default();
        let mut peer = fixture::peer(1);
        for (second, (answered, missed, last_ms)) in
            [(5, 0, 4.0), (6, 0, 5.0), (6, 1, 5.0), (7, 1, 9.0)].into_iter().enumerate()
        {
            peer.probes = Some(Probes { answered, missed, last_ms: Some(last_ms) });
            history.observe(second as u64 * 1_000, &peer);
        }
        assert_eq!(history.recent(u64::MAX, 10), [Some(5.0), None, Some(9.0)]);
        assert_eq!(history.recent(2_000, 10), [Some(5.0), None], "cut at a time");
        assert_eq!(history.recent(u64::MAX, 1), [Some(9.0)], "the newest are kept");
    }

    #[test]
    fn a_daemon_that_starts_anew_brings_no_absurd_figures() {
        let mut history = PeerHistory::default();
        let mut peer = fixture::peer(1);
        peer.probes = Some(Probes { answered: 900, missed: 80, last_ms: Some(4.0) });
        (peer.rx_bytes, peer.tx_bytes) = (10_000, 5_000);
        history.observe(1_000, &peer);
        peer.probes = Some(Probes { answered: 1, missed: 0, last_ms: Some(4.0) });
        (peer.rx_bytes, peer.tx_bytes) = (0, 0);
        history.observe(2_000, &peer);
        assert_eq!(history.recent(u64::MAX, 10), []);
        assert_eq!(history.rate(2_000), Rate::default());
    }

    #[test]
    fn rates_are_bytes_a_second_and_fall_to_zero_in_silence() {
        let mut history = PeerHistory::default();
        let mut peer = fixture::peer(1);
        (peer.rx_bytes, peer.tx_bytes) = (0, 0);
        history.observe(10_000, &peer);
        (peer.rx_bytes, peer.tx_bytes) = (4_000, 1_000);
        history.observe(12_000, &peer);
        assert_eq!(history.rate(12_500), Rate { rx: 2_000.0, tx: 500.0 });
        assert_eq!(history.rate(15_001), Rate::default());
    }

    #[test]
    fn counters_that_are_read_every_three_seconds_give_an_even_rate() {
        let mut history = PeerHistory::default();
        let mut peer = fixture::peer(1);
        for second in 0..10 {
            peer.rx_bytes = second / 3 * 9_000;
            history.observe(second * 1_000, &peer);
        }
        for second in 3..10 {
            assert_eq!(history.rate(second * 1_000).rx, 3_000.0, "at {second} s");
        }
    }

    #[test]
    fn a_tunnel_that_is_used_again_brings_no_burst() {
        let mut history = PeerHistory::default();
        let mut peer = fixture::peer(1);
        let moments = [(PathKind::Direct, 2_000_000), (PathKind::Gateway, 0), (PathKind::Direct, 2_000_100)];
        for (second, (path, rx_bytes)) in (1..).zip(moments) {
            (peer.path, peer.rx_bytes) = (path, rx_bytes);
            history.observe(second * 1_000, &peer);
            assert_eq!(history.rate(second * 1_000).rx, 0.0, "at {second} s");
        }
        peer.rx_bytes += 500;
        history.observe(4_000, &peer);
        assert_eq!(history.rate(4_000).rx, 500.0);
    }

    #[test]
    fn a_changed_path_is_remembered_with_its_next_hop() {
        let mut history = PeerHistory::default();
        let mut peer = fixture::peer(1);
        history.observe(1_000, &peer);
        (peer.path, peer.via) = (PathKind::Gateway, Some("beta".into()));
        history.observe(2_000, &peer);
        history.observe(3_000, &peer);
        assert_eq!(history.changes().collect::<Vec<_>>(), [(2_000, PathKind::Gateway, Some("beta"))]);
    }
}
