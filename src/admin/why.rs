//! The engine's explanation of a path as clients see it.

use wgnet_api as api;

use super::status::{milliseconds, round_to};
use crate::mesh::view;

/// One explanation.
pub fn why(why: view::Why) -> api::Why {
    api::Why {
        from: why.from,
        to: why.to,
        hops: why.hops.into_iter().map(hop).collect(),
        cost: why.cost,
        candidates: why.candidates.into_iter().map(candidate).collect(),
        missing: why.missing.map(|missing| api::Missing { reason: missing.reason, remedy: missing.remedy }),
        mtu: why.mtu,
        readers: why.readers,
        note: why.note,
    }
}

fn hop(hop: view::Hop) -> api::Hop {
    api::Hop {
        from: hop.from,
        to: hop.to,
        cost: hop.cost,
        rtt_ms: hop.rtt_us.map(|rtt| milliseconds(std::time::Duration::from_micros(u64::from(rtt)))),
        loss: hop.loss_percent.map(|loss| round_to(f64::from(loss) / 100.0, 1e4)),
    }
}

fn candidate(candidate: view::Candidate) -> api::Candidate {
    api::Candidate {
        via: candidate.via,
        cost: candidate.cost,
        margin: candidate.margin,
        rule: match candidate.rule {
            view::Rule::Dearer => api::Rule::Dearer,
            view::Rule::Tied => api::Rule::Tied,
            view::Rule::Leaf => api::Rule::Leaf,
            view::Rule::NoWayOn => api::Rule::NoWayOn,
            view::Rule::Beneath => api::Rule::Beneath,
        },
        text: candidate.text,
    }
}
