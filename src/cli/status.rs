//! `wgnet status`: asks the running daemon for its peers, paths and health.

use std::fmt::Write as _;
use std::process::ExitCode;

use wgnet_api::{Gateway, PathKind, Peer, Severity, Status};

use super::args::StatusArgs;
use super::terminal;

/// Prints the status, or why no daemon gives one. Exit code 0: all is well; 1: a warning or an error is among the
/// health lines; 2: no daemon answers.
pub fn run(args: &StatusArgs) -> ExitCode {
    let answer = args.daemon.client().and_then(|client| client.status());
    let status = match answer {
        Ok(status) => status,
        Err(error) => {
            terminal::complain(format_args!("wgnet: {error}"));
            return ExitCode::from(2);
        }
    };
    if args.json {
        match serde_json::to_string_pretty(&status) {
            Ok(json) => terminal::say(json),
            Err(error) => {
                terminal::complain(format_args!("wgnet: {error}"));
                return ExitCode::from(2);
            }
        }
    } else {
        terminal::say(text(&status).trim_end());
    }
    ExitCode::from(u8::from(is_degraded(&status)))
}

fn is_degraded(status: &Status) -> bool {
    status.health.iter().any(|line| line.severity >= Severity::Warning)
}

pub(super) fn text(status: &Status) -> String {
    let node = &status.node;
    let role = if node.gateway { ", gateway" } else { "" };
    let mut text = format!(
        "{} {} on {} ({} tunnel{role}), up {}\n",
        node.name,
        node.addresses.join(" "),
        node.interface,
        node.tunnel,
        duration(node.uptime_s)
    );
    if let Some(seen) = node.seen_from_outside() {
        let _ = writeln!(text, "from outside: {seen}");
    }
    if status.peers.is_empty() {
        text.push_str("no other node is known yet\n");
    } else {
        text.push('\n');
        table(&mut text, &status.peers);
    }
    if status.gateways.iter().any(|gateway| gateway.weight != 1) {
        text.push('\n');
        shares(&mut text, &status.gateways);
    }
    if !status.health.is_empty() {
        text.push('\n');
    }
    for line in &status.health {
        let severity = match line.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let remedy = if line.remedy.is_empty() { String::new() } else { format!(" ({})", line.remedy) };
        let _ = writeln!(text, "{severity}: {}{remedy} [{}]", line.text, line.code);
    }
    text
}

/// What each gateway carries of the leaves, where the network file gives weights.
fn shares(text: &mut String, gateways: &[Gateway]) {
    let leaves: usize = gateways.iter().map(|gateway| gateway.leaves).sum();
    for gateway in gateways {
        let role = match gateway {
            Gateway { first: true, .. } => ", this node's first gateway",
            Gateway { uplink: true, .. } => ", one of this node's gateways",
            _ => "",
        };
        let Gateway { name, weight, leaves: own, .. } = gateway;
        let _ = writeln!(text, "gateway {name}: weight {weight}, first for {own} of {leaves} leaves{role}");
    }
}

const COLUMNS: [&str; 9] = ["NAME", "ADDRESS", "PATH", "HOPS", "ENDPOINT", "HANDSHAKE", "RTT", "LOSS", "RX/TX"];

fn table(text: &mut String, peers: &[Peer]) {
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(peers.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(width);
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn row(peer: &Peer) -> [String; COLUMNS.len()] {
    let none = || "-".to_owned();
    let path = match (peer.path, &peer.via) {
        (PathKind::Direct, _) if peer.foreign => "foreign".to_owned(),
        (PathKind::Direct, _) if peer.lan => "direct, LAN".to_owned(),
        (PathKind::Direct, _) => "direct".to_owned(),
        (PathKind::Gateway, Some(via)) => format!("via {via}"),
        (PathKind::Gateway, None) => "gateway".to_owned(),
        (PathKind::Unreachable, _) if peer.refused => "refused".to_owned(),
        (PathKind::Unreachable, _) => "unreachable".to_owned(),
    };
    [
        peer.name.clone(),
        if peer.address.is_empty() { none() } else { peer.address.clone() },
        path,
        if peer.hops == 0 { none() } else { peer.hops.to_string() },
        peer.endpoint.clone().unwrap_or_else(none),
        peer.handshake_age_s.map_or_else(none, |age| format!("{} ago", duration(age))),
        peer.rtt_ms.map_or_else(none, |rtt| format!("{rtt:.1} ms")),
        peer.loss.map_or_else(none, |loss| format!("{:.0} %", loss * 100.0)),
        format!("{}/{}", bytes(peer.rx_bytes), bytes(peer.tx_bytes)),
    ]
}

/// `45 s`, `3 min`, `7 h`, `12 d`
fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `512 B`, `1.5 KiB`, `20 MiB`
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1_024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for larger in units {
        if value < 1_000.0 {
            break;
        }
        value /= 1_024.0;
        unit = larger;
    }
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use wgnet_api::{Health, Node};

    use super::*;

    fn peer(name: &str, path: PathKind, via: Option<&str>) -> Peer {
        Peer {
            id: String::new(),
            probes: None,
            runner_up: None,
            name: name.to_owned(),
            address: "10.1.1.2".to_owned(),
            addresses: vec!["10.1.1.2".to_owned()],
            path,
            via: via.map(str::to_owned),
            hops: match path {
                PathKind::Direct => 1,
                PathKind::Gateway => 2,
                PathKind::Unreachable => 0,
            },
            cost: None,
            endpoint: None,
            lan: false,
            handshake_age_s: None,
            rtt_ms: None,
            loss: None,
            rx_bytes: 0,
            tx_bytes: 0,
            public_key: None,
            gateway: false,
            refused: false,
            foreign: false,
            why: String::new(),
        }
    }

    fn status(peers: Vec<Peer>, severity: Option<Severity>) -> Status {
        let node = Node {
            mtu: 1420,
            gateway_cost: None,
            draining: false,
            name: "alice".to_owned(),
            address: "10.1.1.1".to_owned(),
            addresses: vec!["10.1.1.1".to_owned(), "fd00::1".to_owned()],
            interface: "wg0".to_owned(),
            public_key: String::new(),
            identity: String::new(),
            link_address: String::new(),
            tunnel: "userspace".to_owned(),
            version: String::new(),
            uptime_s: 200,
            gateway: true,
            effective_lsdb: String::new(),
            nat: wgnet_api::Nat::default(),
            outside: Vec::new(),
            port_mapping: None,
        };
        let health = severity.map(|severity| Health {
            severity,
            code: "storage".to_owned(),
            text: "the state cannot be kept".to_owned(),
            remedy: "free some space".to_owned(),
        });
        Status { node, peers, health: health.into_iter().collect(), gateways: Vec::new() }
    }

    #[test]
    fn a_person_sees_who_is_reached_how() {
        let direct = Peer {
            endpoint: Some("192.0.2.1:50002".to_owned()),
            lan: false,
            handshake_age_s: Some(45),
            rtt_ms: Some(12.34),
            loss: Some(0.05),
            rx_bytes: 1_536,
            tx_bytes: 100,
            ..peer("beta", PathKind::Direct, None)
        };
        let near = Peer { lan: true, ..peer("bob", PathKind::Direct, None) };
        let peers = vec![
            direct,
            near,
            peer("charlie", PathKind::Gateway, Some("beta")),
            peer("delta", PathKind::Unreachable, None),
        ];
        let expected = "\
alice 10.1.1.1 fd00::1 on wg0 (userspace tunnel, gateway), up 3 min

NAME     ADDRESS   PATH         HOPS  ENDPOINT         HANDSHAKE  RTT      LOSS  RX/TX
beta     10.1.1.2  direct       1     192.0.2.1:50002  45 s ago   12.3 ms  5 %   1.5 KiB/100 B
bob      10.1.1.2  direct, LAN  1     -                -          -        -     0 B/0 B
charlie  10.1.1.2  via beta     2     -                -          -        -     0 B/0 B
delta    10.1.1.2  unreachable  -     -                -          -        -     0 B/0 B

warning: the state cannot be kept (free some space) [storage]
";
        assert_eq!(text(&status(peers, Some(Severity::Warning))), expected);
        assert!(text(&status(vec![], None)).ends_with("no other node is known yet\n"));
    }

    #[test]
    fn warnings_and_errors_degrade_and_hints_do_not() {
        assert!(!is_degraded(&status(vec![], None)));
        assert!(!is_degraded(&status(vec![], Some(Severity::Info))));
        assert!(is_degraded(&status(vec![], Some(Severity::Warning))));
        assert!(is_degraded(&status(vec![], Some(Severity::Error))));
    }

    #[test]
    fn counts_are_short() {
        let shown: Vec<_> = [0, 1_023, 1_024, 20 << 20, 999 << 10, 1_000 << 10, u64::MAX].map(bytes).to_vec();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "20 MiB", "999 KiB", "1.0 MiB", "16384 PiB"]);
        let shown: Vec<_> = [0, 119, 120, 7_200, 172_800].map(duration).to_vec();
        assert_eq!(shown, ["0 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
