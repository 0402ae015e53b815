//! Forecasts as clients ask for and see them.

use wgnet_api as api;

use crate::mesh::view;

/// A change as the engine thinks of it.
pub fn what_if(change: api::Change) -> view::WhatIf {
    match change {
        api::Change::Without(name) => view::WhatIf::Without(name),
        // As the limits of a cost that is set.
        api::Change::Cost { a, b, cost } => view::WhatIf::Cost { a, b, cost: cost.clamp(1, 1_000_000) },
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
