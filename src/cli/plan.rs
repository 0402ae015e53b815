//! `wgnet plan`: asks the running daemon what changes would bring.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use wgnet_api::{Change, Error, FileChange, FilePeer, Plan, Status};

use super::args::PlanArgs;
use super::terminal;
use crate::config::{COST_RANGE, ListedPeer, parse_network};
use crate::mesh::config::GatewayPolicy;

/// Prints the forecast. Exit code 0: no pair breaks; 1: some do, or the question is wrong; 2: no daemon answers.
pub(super) fn run(args: &PlanArgs) -> ExitCode {
    let plan = match forecast(args) {
        Ok(plan) => plan,
        Err(Failure::Question(text)) => {
            terminal::complain(format_args!("wgnet: {text}"));
            return ExitCode::from(1);
        }
        Err(Failure::Daemon(error)) => {
            terminal::complain(format_args!("wgnet: {error}"));
            return ExitCode::from(if matches!(error, Error::Refused { .. }) { 1 } else { 2 });
        }
    };
    match (args.json, serde_json::to_string_pretty(&plan)) {
        (true, Ok(json)) => terminal::say(json),
        (true, Err(error)) => {
            terminal::complain(format_args!("wgnet: {error}"));
            return ExitCode::from(2);
        }
        (false, _) => terminal::say(text(&plan).trim_end()),
    }
    ExitCode::from(u8::from(!plan.broken.is_empty()))
}

enum Failure {
    Question(String),
    Daemon(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Daemon(error)
    }
}

fn forecast(args: &PlanArgs) -> Result<Plan, Failure> {
    let client = args.daemon.client()?;
    let mut changes: Vec<Change> = args.without.iter().cloned().map(Change::Without).collect();
    if !args.cost.is_empty() {
        let status = client.status()?;
        for text in &args.cost {
            changes.push(cost(text, &names(&status)).map_err(Failure::Question)?);
        }
    }
    changes.extend(args.drain.iter().cloned().map(Change::Drain));
    if let Some(path) = &args.file {
        changes.push(file(path)?);
    }
    Ok(client.plan(&changes)?)
}

/// What of a network file paths depend on. The file itself, and its secret, stay here.
fn file(path: &Path) -> Result<Change, Failure> {
    let unreadable = |error| Failure::Question(format!("{}: {error}", path.display()));
    let text = zeroize::Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
    let (file, _) = parse_network(&text, &path.display().to_string())
        .map_err(|wrong| Failure::Question(terminal::lines(&wrong).collect::<Vec<_>>().join("\nwgnet: ")))?;
    let peer = |listed: &ListedPeer| FilePeer {
        addresses: listed.peer.addresses.iter().map(ToString::to_string).collect(),
        gateway: listed.peer.gateway,
        cost: listed.peer.cost,
    };
    let any_gateways = file.gateways == GatewayPolicy::Any;
    Ok(Change::File(FileChange { any_gateways, peers: file.peers.iter().map(peer).collect() }))
}

fn names(status: &Status) -> Vec<&str> {
    let members = status.peers.iter().filter(|peer| !peer.foreign).map(|peer| peer.name.as_str());
    std::iter::once(status.node.name.as_str()).chain(members).collect()
}

/// Reads `alice-beta=500`. Names may hold hyphens too, so the known names say where one ends.
fn cost(text: &str, names: &[&str]) -> Result<Change, String> {
    let (low, high) = COST_RANGE;
    let usage =
        format!("--cost {text}: write NODE-NODE=COST, such as alice-beta=500, with a cost from {low} to {high}");
    let (link, cost) = text.split_once('=').ok_or(usage.as_str())?;
    let cost = cost.parse().ok().filter(|cost| (low..=high).contains(cost)).ok_or(usage.as_str())?;
    let splits = link.match_indices('-').map(|(at, _)| (&link[..at], &link[at + 1..]));
    let known: Vec<(&str, &str)> = splits.filter(|(a, b)| names.contains(a) && names.contains(b)).collect();
    match known[..] {
        [(a, b)] => Ok(Change::Cost { a: a.to_owned(), b: b.to_owned(), cost }),
        [] => Err(format!("--cost {text}: no two nodes of these names are known (`wgnet status` lists the names)")),
        _ => Err(format!("--cost {text}: this can be read as two different pairs of nodes; rename one of them")),
    }
}

fn text(plan: &Plan) -> String {
    let mut text = String::new();
    let way = |gateways: &[String]| if gateways.is_empty() { "direct".to_owned() } else { gateways.join(" > ") };
    let scope = if plan.all_pairs { "" } else { " of this node's" };
    let _ = writeln!(text, "{} pairs{scope} break, {} move", plan.broken.len(), plan.moved.len());
    for pair in &plan.broken {
        let _ = writeln!(text, "  breaks: {} - {}", pair.from, pair.to);
    }
    if !plan.broken.is_empty() {
        text.push_str(
            "  (two leaves that agreed on a direct link keep it; of others' agreements this node does not know)\n",
        );
    }
    for moved in &plan.moved {
        let _ = writeln!(
            text,
            "  moves:  {} - {}: {} instead of {}",
            moved.from,
            moved.to,
            way(&moved.after),
            way(&moved.before)
        );
    }
    for load in plan.gateways.iter().filter(|load| load.before != load.after) {
        let _ = writeln!(text, "  {} carries {} pairs instead of {}", load.name, load.after, load.before);
    }
    for note in &plan.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use wgnet_api::{Load, Moved, Pair};

    use super::*;

    #[test]
    fn a_link_is_two_known_names_and_a_cost() {
        let names = ["alice", "beta", "box-1", "box", "1-beta", "x"];
        let change = |a: &str, b: &str| Ok(Change::Cost { a: a.to_owned(), b: b.to_owned(), cost: 500 });
        assert_eq!(cost("alice-beta=500", &names), change("alice", "beta"));
        assert_eq!(cost("x-box-1=500", &names), change("x", "box-1"));
        assert!(cost("box-1-beta=500", &names).expect_err("two ways to read it").contains("two different pairs"));
        assert!(cost("alice-eve=500", &names).expect_err("unknown").contains("no two nodes"));
        for wrong in ["alice-beta", "alice-beta=", "alice-beta=0", "alice-beta=1000001", "alice-beta=x"] {
            assert!(cost(wrong, &names).expect_err("no cost").contains("NODE-NODE=COST"), "{wrong}");
        }
    }

    #[test]
    fn a_person_reads_what_breaks_what_moves_and_who_carries_more() {
        let name = str::to_owned;
        let plan = Plan {
            moved: vec![Moved {
                from: name("alice"),
                to: name("delta"),
                before: vec![name("beta")],
                after: vec![name("gamma"), name("eta")],
            }],
            broken: vec![Pair { from: name("alice"), to: name("charlie") }],
            gateways: vec![
                Load { name: name("eta"), before: 0, after: 1 },
                Load { name: name("zeta"), before: 4, after: 4 },
            ],
            all_pairs: true,
            notes: vec![name("nothing is known of 10.1.1.9 yet")],
        };
        let expected = "\
1 pairs break, 1 move
  breaks: alice - charlie
  (two leaves that agreed on a direct link keep it; of others' agreements this node does not know)
  moves:  alice - delta: gamma > eta instead of beta
  eta carries 1 pairs instead of 0
  note: nothing is known of 10.1.1.9 yet
";
        assert_eq!(text(&plan), expected);
    }
}
