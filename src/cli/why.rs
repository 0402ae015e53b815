//! `wgnet why`: asks the running daemon why packets between two nodes travel as they do.

use std::fmt::Write as _;
use std::process::ExitCode;

use wgnet_api::{Hop, Why};

use super::args::WhyArgs;
use super::terminal;

/// Prints the explanation. Exit code 0: there is a path; 1: there is none, or a name is unknown; 2: no daemon answers.
pub(super) fn run(args: &WhyArgs) -> ExitCode {
    let (from, to) = match &args.nodes[..] {
        [to] => (None, to),
        [from, to, ..] => (Some(from.as_str()), to),
        [] => return ExitCode::FAILURE,
    };
    let answer = args.daemon.client().and_then(|client| client.why(from, to));
    let why = match answer {
        Ok(why) => why,
        Err(error) => {
            terminal::complain(format_args!("wgnet: {error}"));
            return ExitCode::from(if matches!(error, wgnet_api::Error::Refused { .. }) { 1 } else { 2 });
        }
    };
    if args.json {
        match serde_json::to_string_pretty(&why) {
            Ok(json) => terminal::say(json),
            Err(error) => {
                terminal::complain(format_args!("wgnet: {error}"));
                return ExitCode::from(2);
            }
        }
    } else {
        terminal::say(text(&why).trim_end());
    }
    ExitCode::from(u8::from(why.hops.is_empty()))
}

pub(super) fn text(why: &Why) -> String {
    let mut text = String::new();
    if let Some(missing) = &why.missing {
        let _ = writeln!(text, "{} does not reach {}: {}", why.from, why.to, missing.reason);
        let _ = writeln!(text, "  remedy: {}", missing.remedy);
        return text;
    }
    let way: Vec<&str> = std::iter::once(why.from.as_str()).chain(why.hops.iter().map(|hop| hop.to.as_str())).collect();
    let cost = why.cost.map_or_else(String::new, |cost| format!(", cost {cost}"));
    let tunnels = if why.hops.len() == 1 { "1 tunnel".to_owned() } else { format!("{} tunnels", why.hops.len()) };
    let _ = writeln!(text, "{}  ({tunnels}{cost}, MTU {})", way.join(" > "), why.mtu);
    for hop in &why.hops {
        let _ = writeln!(text, "  {} > {}: {}", hop.from, hop.to, measured(hop));
    }
    match &why.readers[..] {
        [] => text.push_str("nobody on the way can read this traffic\n"),
        readers => {
            let _ = writeln!(text, "can read this traffic: {} (a gateway's tunnels end at it)", readers.join(", "));
        }
    }
    if why.candidates.is_empty() {
        text.push_str("there is no other way\n");
    } else {
        text.push_str("the other ways:\n");
    }
    for candidate in &why.candidates {
        let _ = writeln!(text, "  {}", candidate.text);
    }
    if let Some(note) = &why.note {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn measured(hop: &Hop) -> String {
    let cost = hop.cost.map(|cost| format!("cost {cost}"));
    let rtt = hop.rtt_ms.map(|rtt| format!("round trip {rtt:.1} ms"));
    let loss = hop.loss.map(|loss| format!("loss {:.0} %", loss * 100.0));
    let known: Vec<String> = [cost, rtt, loss].into_iter().flatten().collect();
    if known.is_empty() { "not measured yet".to_owned() } else { known.join(", ") }
}

#[cfg(test)]
mod tests {
    use wgnet_api::{Candidate, Missing, Rule};

    use super::*;

    fn why() -> Why {
        Why {
            from: "alice".to_owned(),
            to: "delta".to_owned(),
            hops: Vec::new(),
            cost: None,
            candidates: Vec::new(),
            missing: None,
            mtu: 1_420,
            readers: Vec::new(),
            note: None,
        }
    }

    #[test]
    fn a_person_reads_the_path_who_sees_the_traffic_and_what_lost() {
        let hop = |from: &str, to: &str, rtt_ms| Hop {
            from: from.to_owned(),
            to: to.to_owned(),
            cost: Some(50),
            rtt_ms,
            loss: rtt_ms.map(|_| 0.02),
        };
        let candidate = Candidate {
            via: "gamma".to_owned(),
            cost: Some(140),
            margin: Some(40),
            rule: Rule::Dearer,
            text: "gamma > delta costs 40 more".to_owned(),
        };
        let path = Why {
            hops: vec![hop("alice", "beta", Some(1.25)), hop("beta", "delta", None)],
            cost: Some(100),
            candidates: vec![candidate],
            readers: vec!["beta".to_owned()],
            ..why()
        };
        let expected = "\
alice > beta > delta  (2 tunnels, cost 100, MTU 1420)
  alice > beta: cost 50, round trip 1.2 ms, loss 2 %
  beta > delta: cost 50
can read this traffic: beta (a gateway's tunnels end at it)
the other ways:
  gamma > delta costs 40 more
";
        assert_eq!(text(&path), expected);
    }

    #[test]
    fn a_missing_path_comes_with_its_remedy() {
        let missing = Missing { reason: "delta left the mesh".to_owned(), remedy: "start it again".to_owned() };
        let shown = text(&Why { missing: Some(missing), ..why() });
        assert_eq!(shown, "alice does not reach delta: delta left the mesh\n  remedy: start it again\n");
    }
}
