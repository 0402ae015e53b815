//! Drills as clients see them.

use std::time::Duration;

use wgnet_api as api;

use crate::mesh::view;

/// One report.
pub fn report(report: view::DrillReport) -> api::DrillReport {
    let state = match report.state {
        view::DrillState::Before => api::DrillState::Before,
        view::DrillState::Asked => api::DrillState::Asked,
        view::DrillState::Away => api::DrillState::Away,
        view::DrillState::Returning => api::DrillState::Returning,
        view::DrillState::Over => api::DrillState::Over,
    };
    let outage = report.nodes.iter().map(|node| node.outage).max().unwrap_or_default();
    let went_well = report.problem.is_none() && state == api::DrillState::Over && report.away.is_some();
    let node = |node: view::DrillNode| api::DrillNode {
        name: node.name,
        measured: node.answers,
        sent: node.sent,
        lost: node.lost,
        outage_s: seconds(node.outage),
        linked: node.linked,
        let_go_s: node.let_go.map(seconds),
    };
    api::DrillReport {
        gateway: report.gateway,
        state,
        problem: report.problem,
        for_s: u32::try_from(report.lasts.as_secs()).unwrap_or(u32::MAX),
        away_s: report.away.map(seconds),
        goal_s: seconds(report.goal),
        outage_s: seconds(outage),
        met: went_well && outage <= report.goal,
        nodes: report.nodes.into_iter().map(node).collect(),
    }
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}
