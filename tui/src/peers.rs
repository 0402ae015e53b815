//! The columns of the list of peers: how wide they are, which go first in a narrow terminal, how they sort.

use std::net::IpAddr;

use wgnet_api::{PathKind, Peer};

use crate::data::Data;
use crate::layout::Column;

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A glyph.
    State,
    /// Its name.
    Name,
    /// Its first overlay address.
    Address,
    /// How packets travel: direct, or through which gateway.
    Path,
    /// Round trip.
    Rtt,
    /// The last round trips.
    Spark,
    /// Share of lost probes.
    Loss,
    /// Age of the last handshake.
    Handshake,
    /// Bytes received a second.
    Rx,
    /// Bytes sent a second.
    Tx,
    /// Where WireGuard sends to.
    Endpoint,
    /// Sum of the costs on the way.
    Cost,
}

const fn column(what: Field, least: u16, most: u16, rank: u8) -> Column<Field> {
    Column { what, least, most, rank }
}

/// The columns from left to right.
pub const COLUMNS: [Column<Field>; 12] = [
    column(Field::State, 1, 1, 11),
    column(Field::Name, 11, 24, 12),
    column(Field::Path, 13, 20, 10),
    column(Field::Rtt, 7, 7, 9),
    column(Field::Loss, 5, 5, 7),
    column(Field::Spark, 10, 32, 5),
    column(Field::Handshake, 6, 6, 4),
    column(Field::Address, 13, 15, 6),
    column(Field::Rx, 8, 8, 3),
    column(Field::Tx, 8, 8, 2),
    column(Field::Cost, 6, 6, 0),
    column(Field::Endpoint, 21, 44, 1),
];

impl Field {
    /// The column's head.
    pub fn head(self) -> &'static str {
        match self {
            Self::State => "",
            Self::Name => "NAME",
            Self::Address => "ADDRESS",
            Self::Path => "PATH",
            Self::Rtt => "RTT",
            Self::Spark => "LATELY",
            Self::Loss => "LOSS",
            Self::Handshake => "SHAKE",
            Self::Rx => "RX",
            Self::Tx => "TX",
            Self::Endpoint => "ENDPOINT",
            Self::Cost => "COST",
        }
    }

    /// Whether figures stand in it, to the right.
    pub fn is_figure(self) -> bool {
        matches!(self, Self::Rtt | Self::Loss | Self::Handshake | Self::Rx | Self::Tx | Self::Cost)
    }
}

/// By what the peers are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort(pub Field);

/// What can be sorted by, in the order of the columns.
const ORDERS: [Field; 10] = [
    Field::State,
    Field::Name,
    Field::Path,
    Field::Rtt,
    Field::Loss,
    Field::Handshake,
    Field::Address,
    Field::Rx,
    Field::Tx,
    Field::Cost,
];

impl Default for Sort {
    fn default() -> Self {
        Self(Field::Address)
    }
}

impl Sort {
    /// The column so many further.
    pub fn step(self, by: isize) -> Self {
        let at = ORDERS.iter().position(|field| *field == self.0).unwrap_or_default();
        Self(ORDERS[(at as isize + by).rem_euclid(ORDERS.len() as isize) as usize])
    }

    /// Sorts: what needs attention first (unreachable, slow, lossy, busy), names and addresses from the first on. What
    /// is equal goes by address.
    pub fn apply(self, peers: &mut [&Peer], data: &Data, time_ms: u64) {
        let rate = |peer: &Peer| data.history(peer).map(|history| history.rate(time_ms)).unwrap_or_default();
        match self.0 {
            Field::State => peers.sort_by_cached_key(|peer| (state(peer), address(peer))),
            Field::Name => peers.sort_by_cached_key(|peer| (peer.name.to_lowercase(), address(peer))),
            Field::Path => peers.sort_by_cached_key(|peer| (state(peer), peer.via.clone(), address(peer))),
            Field::Rtt => by_figure(peers, |peer| (data.figures(peer).rtt_ms, data.figures(peer).are_composed)),
            Field::Loss => by_figure(peers, |peer| (data.figures(peer).loss, data.figures(peer).are_composed)),
            Field::Handshake => descending(peers, |peer| peer.handshake_age_s.map(|age| age as f64)),
            Field::Rx => by_rate(peers, |peer| rate(peer).rx),
            Field::Tx => by_rate(peers, |peer| rate(peer).tx),
            Field::Cost => descending(peers, |peer| peer.cost.map(|cost| cost as f64)),
            Field::Address | Field::Spark | Field::Endpoint => peers.sort_by_cached_key(|peer| address(peer)),
        }
    }
}

/// Rates are looked up once a peer, not once a comparison.
fn by_rate(peers: &mut [&Peer], rate: impl Fn(&Peer) -> f64) {
    peers.sort_by_cached_key(|peer| (std::cmp::Reverse(rate(peer).max(0.0) as u64), address(peer)));
}

fn descending(peers: &mut [&Peer], figure: impl Fn(&Peer) -> Option<f64>) {
    by_figure(peers, |peer| (figure(peer), false));
}

/// The highest first, what is not known last; of equal figures a measured one before a composed one.
fn by_figure(peers: &mut [&Peer], figure: impl Fn(&Peer) -> (Option<f64>, bool)) {
    peers.sort_by_cached_key(|peer| address(peer));
    let mut ranked: Vec<_> = peers.iter().map(|peer| (figure(peer), *peer)).collect();
    ranked.sort_by(|((a, a_is_composed), _), ((b, b_is_composed), _)| match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(a).then(a_is_composed.cmp(b_is_composed)),
        _ => b.is_some().cmp(&a.is_some()),
    });
    for (place, (_, peer)) in peers.iter_mut().zip(ranked) {
        *place = peer;
    }
}

fn state(peer: &Peer) -> u8 {
    match peer.path {
        PathKind::Unreachable => 0,
        PathKind::Gateway => 1,
        PathKind::Direct => 2,
    }
}

/// By address as numbers; those of one's own peers before foreign ones.
fn address(peer: &Peer) -> (bool, Option<IpAddr>, String) {
    let address: Option<IpAddr> = peer.address.split('/').next().unwrap_or_default().parse().ok();
    (peer.foreign || address.is_none(), address, peer.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::layout::columns;

    fn sorted(field: Field) -> Vec<String> {
        let all: Vec<Peer> = (1..=8).map(fixture::peer).collect();
        let mut peers: Vec<&Peer> = all.iter().rev().collect();
        Sort(field).apply(&mut peers, &Data::default(), 0);
        peers.iter().map(|peer| peer.name.clone()).collect()
    }

    #[test]
    fn what_needs_attention_comes_first() {
        assert_eq!(sorted(Field::State)[..3], ["heidi", "erin", "grace"], "unreachable, through gateways, direct");
        assert_eq!(sorted(Field::Loss)[0], "frank");
        assert_eq!(sorted(Field::Rtt)[0], "ivan");
        assert_eq!(sorted(Field::Rtt)[7], "heidi", "who has no figure comes last");
        assert_eq!(sorted(Field::Name)[0], "beta");
        assert_eq!(sorted(Field::Address)[7], "ivan");
    }

    #[test]
    fn every_order_comes_round_again() {
        let mut sort = Sort::default();
        for _ in 0..ORDERS.len() {
            sort = sort.step(1);
        }
        assert_eq!(sort, Sort::default());
        assert_eq!(sort.step(1).step(-1), sort);
    }

    #[test]
    fn narrow_terminals_keep_name_path_and_round_trip_longest() {
        let kept = |width| columns(&COLUMNS, width).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
        assert_eq!(kept(20), [Field::State, Field::Name]);
        assert_eq!(kept(40), [Field::State, Field::Name, Field::Path, Field::Rtt]);
        assert!(!kept(100).contains(&Field::Endpoint));
        assert_eq!(kept(200).len(), 12);
    }
}
