//! Forecasts as clients ask for and see them.

use wgnet_api as api;

use crate::config::COST_RANGE;
use crate::mesh::config::GatewayPolicy;
use crate::mesh::view;

/// Most changes thought through at once: each takes a look at the whole graph, between two inputs of the engine.
const MOST: usize = 64;

/// Most static peers of a file that is thought through.
const MOST_PEERS: usize = 1_000;

/// The changes as the engine thinks of them.
///
/// # Errors
/// What is wrong with the question.
pub fn what_if(changes: Vec<api::Change>) -> Result<Vec<view::WhatIf>, String> {
    if changes.len() > MOST {
        return Err(format!("{} changes at once are too many", changes.len()));
    }
    changes.into_iter().map(one).collect()
}

fn one(change: api::Change) -> Result<view::WhatIf, String> {
    Ok(match change {
        api::Change::Without(name) => view::WhatIf::Without(name),
        api::Change::Cost { a, b, cost } => view::WhatIf::Cost { a, b, cost: in_range(cost)? },
        api::Change::Drain(name) => view::WhatIf::Drain(name),
        api::Change::GatewayCost { name, cost } => view::WhatIf::GatewayCost { name, cost: in_range(cost)? },
        api::Change::File(file) => {
            if file.peers.len() > MOST_PEERS {
                return Err(format!("{} static peers are too many", file.peers.len()));
            }
            let gateways = if file.any_gateways { GatewayPolicy::Any } else { GatewayPolicy::Static };
            view::WhatIf::File { gateways, peers: file.peers.into_iter().map(peer).collect::<Result<_, _>>()? }
        }
    })
}

fn peer(peer: api::FilePeer) -> Result<view::FilePeer, String> {
    let address = |text: &String| text.parse().map_err(|_| format!("{text:?} is no IP address"));
    Ok(view::FilePeer {
        addresses: peer.addresses.iter().map(address).collect::<Result<_, _>>()?,
        gateway: peer.gateway,
        cost: peer.cost.map(in_range).transpose()?,
    })
}

fn in_range(cost: u32) -> Result<u32, String> {
    let (low, high) = COST_RANGE;
    if (low..=high).contains(&cost) { Ok(cost) } else { Err(format!("a cost is a whole number from {low} to {high}")) }
}

/// One forecast.
pub fn plan(forecast: view::Forecast) -> api::Plan {
    let moved =
        |moved: view::Move| api::Moved { from: moved.from, to: moved.to, before: moved.before, after: moved.after };
    let load = |load: view::GatewayLoad| api::Load { name: load.name, before: load.before, after: load.after };
    api::Plan {
        moved: forecast.moved.into_iter().map(moved).collect(),
        broken: forecast.broken.into_iter().map(|(from, to)| api::Pair { from, to }).collect(),
        gateways: forecast.gateways.into_iter().map(load).collect(),
        all_pairs: forecast.all_pairs,
        notes: forecast.notes,
    }
}
