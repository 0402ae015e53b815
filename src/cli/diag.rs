//! `wgnet diag`: everything a person needs who shall say what is wrong, in one text without what tells whose mesh it is.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use wgnet_api::redact::Pseudonyms;
use wgnet_api::{Client, Error, JournalEntry, PathKind, Snapshot, Why};

use super::args::DiagArgs;
use super::{journal, status, terminal, why};

/// Paths that are explained: the unreachable ones first.
const EXPLAINED: usize = 20;

/// Writes the report. Exit code 0; 1: the file cannot be written; 2: no daemon answers.
pub(super) fn run(args: &DiagArgs) -> ExitCode {
    let report = match gathered(&args.daemon).map(|gathered| gathered.report()) {
        Ok(report) => report,
        Err(error) => {
            terminal::complain(format_args!("wgnet: {error}"));
            return ExitCode::from(2);
        }
    };
    let Some(path) = &args.output else {
        terminal::say_bytes(report.as_bytes());
        return ExitCode::SUCCESS;
    };
    match write(path, &report) {
        Ok(()) => {
            terminal::say(format_args!("{}: written; read it before you post it", path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            terminal::complain(format_args!("wgnet: {}: {error}{}", path.display(), remedy(&error)));
            ExitCode::FAILURE
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::AlreadyExists { " (remove it, or choose another name)" } else { "" }
}

/// Never over another file.
fn write(path: &Path, report: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(report.as_bytes())
}

/// What a daemon tells.
struct Gathered {
    snapshot: Snapshot,
    journal: Vec<JournalEntry>,
    whys: Vec<Why>,
}

fn gathered(daemon: &super::args::SocketArgs) -> Result<Gathered, Error> {
    let client: Client = daemon.client()?;
    let snapshot = client.snapshot()?;
    let mut peers: Vec<_> = snapshot.status.peers.iter().filter(|peer| !peer.foreign).collect();
    peers.sort_by_key(|peer| match peer.path {
        PathKind::Unreachable => 0,
        PathKind::Gateway => 1,
        PathKind::Direct => 2,
    });
    let whys = peers.iter().take(EXPLAINED).filter_map(|peer| client.why(None, &peer.name).ok()).collect();
    let journal = client.journal()?.entries;
    Ok(Gathered { snapshot, journal, whys })
}

impl Gathered {
    /// The report, with pseudonyms that are the same throughout.
    fn report(&self) -> String {
        let mut names = Pseudonyms::new();
        names.learn(&self.snapshot);
        let snapshot = names.snapshot(&self.snapshot);
        let entries: Vec<JournalEntry> = self.journal.iter().map(|entry| names.entry(entry)).collect();
        let whys: Vec<Why> = self.whys.iter().map(|why| names.why(why)).collect();
        let mut text = String::new();
        let mut section = |title: &str, body: &str| {
            // Writing into a string cannot fail.
            let _ = write!(text, "== {title} ==\n{}\n\n", body.trim_end());
        };
        let node = &snapshot.status.node;
        section(
            "wgnet diag",
            &format!(
                "version {}, {} tunnel, up {} s, mtu {}, {}\n\
                 Names, addresses, keys and ports are pseudonyms, the same throughout this text. No secret is in it.",
                node.version,
                node.tunnel,
                node.uptime_s,
                node.mtu,
                if node.gateway { "gateway" } else { "leaf" },
            ),
        );
        section("status", &status::text(&snapshot.status));
        let explained: Vec<String> = whys.iter().map(why::text).collect();
        section("why", &explained.join("\n"));
        let nodes = snapshot.mesh.nodes.iter().map(|node| {
            format!(
                "{} {} {:?}{} {}",
                node.name,
                node.address,
                node.state,
                if node.gateway { " gateway" } else { "" },
                node.class
            )
        });
        section("nodes", &nodes.collect::<Vec<_>>().join("\n"));
        let number =
            |value: Option<f64>, unit: &str| value.map_or_else(|| "-".to_owned(), |value| format!("{value}{unit}"));
        let cost = |cost: Option<u32>| cost.map_or_else(|| "-".to_owned(), |cost| cost.to_string());
        let links = snapshot.mesh.links.iter().map(|link| {
            format!(
                "{} - {}: cost {} ({} / {}), {}, loss {}, {}",
                link.a,
                link.b,
                cost(link.cost),
                cost(link.cost_a),
                cost(link.cost_b),
                number(link.rtt_ms, " ms"),
                number(link.loss, ""),
                if link.up { "up" } else { "down" }
            )
        });
        section("links", &links.collect::<Vec<_>>().join("\n"));
        let counters = snapshot.counters.iter().map(|(name, count)| format!("{name} {count}"));
        section("counters", &counters.collect::<Vec<_>>().join("\n"));
        let lines: Vec<String> = entries.iter().map(journal::line).collect();
        section("journal", &lines.join("\n"));
        text
    }
}
