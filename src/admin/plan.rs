//! Forecasts as clients ask for and see them.

use wgnet_api as api;

use crate::config::COST_RANGE;
use crate::mesh::view;

/// Most changes thought through at once: each takes a look at the whole graph, between two inputs of the engine.
const MOST: usize = 64;

/// What is wrong with a question, if anything.
pub fn wrong(changes: &[api::Change]) -> Option<String> {
    let (low, high) = COST_RANGE;
    let outside =
        |change: &api::Change| matches!(change, api::Change::Cost { cost, .. } if !(low..=high).contains(cost));
    if changes.len() > MOST {
        Some(format!("{} changes at once are too many", changes.len()))
    } else if changes.iter().any(outside) {
        Some(format!("a cost is a whole number from {low} to {high}"))
    } else {
        None
    }
}

/// A change as the engine thinks of it.
pub fn what_if(change: api::Change) -> view::WhatIf {
    match change {
        api::Change::Without(name) => view::WhatIf::Without(name),
        api::Change::Cost { a, b, cost } => view::WhatIf::Cost { a, b, cost },
    }
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
    }
}
