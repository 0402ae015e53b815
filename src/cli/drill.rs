//! `wgnet drill`: tries out how the mesh does without a gateway.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use wgnet_api::{Client, DrillReport, DrillRequest, DrillState, Error};

use super::args::{DrillArgs, DrillWhat};
use super::terminal;

/// How often the daemon is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);
/// The gateway may take so long to return, and is watched for a while: no drill takes longer than its time and this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a drill and prints what it found. Exit code 0: the goals were met; 1: they were not, or the drill was refused;
/// 2: no daemon answers.
pub(super) fn run(args: &DrillArgs) -> ExitCode {
    let DrillWhat::Gateway(args) = &args.what;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::complain(format_args!("wgnet: {error}"));
            return ExitCode::from(2);
        }
    };
    let client = match args.daemon.client() {
        Ok(client) => client,
        Err(error) => return failed(&error),
    };
    let request = DrillRequest { gateway: args.gateway.clone(), for_s: args.duration, force: args.force };
    if let Err(error) = client.drill(&request) {
        return failed(&error);
    }
    let narrates = !args.json;
    let report = match runtime.block_on(follow(&client, args.duration, narrates)) {
        Ok(report) => report,
        Err(error) => return failed(&error),
    };
    match (args.json, serde_json::to_string_pretty(&report)) {
        (true, Ok(json)) => terminal::say(json),
        (true, Err(error)) => {
            terminal::complain(format_args!("wgnet: {error}"));
            return ExitCode::from(2);
        }
        (false, _) => terminal::say(text(&report).trim_end()),
    }
    ExitCode::from(u8::from(!report.met))
}

fn failed(error: &Error) -> ExitCode {
    terminal::complain(format_args!("wgnet: {error}"));
    ExitCode::from(if matches!(error, Error::Refused { .. }) { 1 } else { 2 })
}

/// Waits for the end of the drill. Ctrl-C calls the gateway back; a second one ends the wait.
async fn follow(client: &Client, seconds: u32, narrates: bool) -> Result<DrillReport, Error> {
    let mut state = None;
    let mut looks = (Duration::from_secs(u64::from(seconds)) + PATIENCE).as_millis() / LOOK.as_millis();
    let mut called_back = false;
    loop {
        let report = client.drill_report()?;
        looks = looks.saturating_sub(1);
        if report.state == DrillState::Over || looks == 0 {
            return Ok(report);
        }
        if state.replace(report.state) != Some(report.state) && narrates {
            terminal::say(stage(&report));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                if std::mem::replace(&mut called_back, true) {
                    return Ok(report);
                }
                client.end_drill()?;
            }
        }
    }
}

fn stage(report: &DrillReport) -> String {
    let name = &report.gateway;
    match report.state {
        DrillState::Before => format!("measuring how {} nodes do with {name}", report.nodes.len()),
        DrillState::Asked => format!("asking {name} to withdraw"),
        DrillState::Away => format!("{name} is withdrawn for {} s; Ctrl-C calls it back", report.for_s),
        DrillState::Returning => format!("{name} returns"),
        DrillState::Over => "over".to_owned(),
    }
}

fn text(report: &DrillReport) -> String {
    let mut text = String::new();
    if let Some(problem) = &report.problem {
        let _ = writeln!(text, "{problem}");
    }
    let Some(away) = report.away_s else { return text };
    let width = report.nodes.iter().map(|node| node.name.len()).max().unwrap_or(0).max(4);
    let _ = writeln!(text, "{} was away for {away:.1} s\n", report.gateway);
    let _ = writeln!(text, "{:width$}  SENT  LOST  OUT FOR  LEFT IT AFTER", "NODE");
    for node in &report.nodes {
        let name = &node.name;
        if !node.measured {
            let _ = writeln!(text, "{name:width$}  not measured: it answers no echoes");
            continue;
        }
        let left = match (node.linked, node.let_go_s) {
            (true, Some(seconds)) => format!("{seconds:.1} s"),
            (true, None) => "never".to_owned(),
            (false, _) => "no link".to_owned(),
        };
        let out = format!("{:.1} s", node.outage_s);
        let _ = writeln!(text, "{name:width$}  {:4}  {:4}  {out:>7}  {left}", node.sent, node.lost);
    }
    let verdict = if report.met { "met" } else { "missed" };
    let _ = writeln!(text, "\nno node out for longer than {} s: {verdict} ({:.1} s)", report.goal_s, report.outage_s);
    text
}

#[cfg(test)]
mod tests {
    use wgnet_api::DrillNode;

    use super::*;

    fn node(name: &str, lost: u32, outage_s: f64) -> DrillNode {
        let let_go_s = (lost > 0).then_some(2.25);
        DrillNode { name: name.to_owned(), measured: true, sent: 300, lost, outage_s, linked: true, let_go_s }
    }

    #[test]
    fn a_person_reads_what_each_node_lost_and_whether_the_goal_is_met() {
        let mut report = DrillReport {
            gateway: "hub-1".to_owned(),
            state: DrillState::Over,
            problem: None,
            for_s: 30,
            away_s: Some(30.1),
            goal_s: 4.0,
            outage_s: 2.4,
            met: true,
            nodes: vec![node("hub-2", 0, 0.0), node("left", 24, 2.4)],
        };
        let expected = "\
hub-1 was away for 30.1 s

NODE   SENT  LOST  OUT FOR  LEFT IT AFTER
hub-2   300     0    0.0 s  never
left    300    24    2.4 s  2.2 s

no node out for longer than 4 s: met (2.4 s)
";
        assert_eq!(text(&report), expected);
        (report.away_s, report.problem) = (None, Some("hub-1 refuses: it is no gateway".to_owned()));
        assert_eq!(text(&report), "hub-1 refuses: it is no gateway\n");
    }
}
