//! The overview: this node, how it reaches the others, what is wrong and what to do about it, what changed last.
//!
//! ```text
//! +-- this node ----------++-- reach -------------+
//! | name, address, key    || bar of paths, rates  |
//! +-----------------------++----------------------+
//! | health: cause and remedy, worst first         |
//! +-----------------------------------------------+
//! | last changes                                  |
//! +-----------------------------------------------+
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wgnet_api::{Health, Node, PathKind, Peer, Severity, Snapshot};

use super::fold::folded;
use super::journal;
use super::paint::{Row, bars, rows, section, wrapped};
use crate::history::Rate;
use crate::model::{Explained, Model};
use crate::text;

/// Draws the screen.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(shown) = model.data.shown() else { return };
    let is_wide = area.width >= 70;
    // The right one carries a legend of fixed length.
    let half = Rect { width: (area.width / 2).saturating_sub(if area.width < 100 { 6 } else { 0 }), ..area };
    let other = Rect { x: area.x + half.width, width: area.width - half.width, ..area };
    let gap = u16::from(area.height >= 16);
    if area.height < 6 {
        // What matters in three lines: what is wrong, else that all is well, then what happened.
        let mut lines = health(model, shown, area.width, usize::from(area.height));
        lines.extend(changes(model, area.width, usize::from(area.height).saturating_sub(lines.len())));
        return rows(buffer, area, &lines);
    }
    let mut y = area.y;
    let place =
        |y: u16, part: Rect, height: u16| Rect { y, height: height.min(area.bottom().saturating_sub(y)), ..part };
    if is_wide {
        let (left, right) =
            (node(model, &shown.status.node, half.width.saturating_sub(2)), reach(model, shown, other.width));
        let height = left.len().max(right.len()) as u16;
        rows(buffer, place(y, Rect { width: half.width.saturating_sub(2), ..half }, height), &left);
        rows(buffer, place(y, other, height), &right);
        y += height + gap;
    } else if area.height >= 14 {
        let lines = reach(model, shown, area.width);
        rows(buffer, place(y, area, lines.len() as u16), &lines);
        y += lines.len() as u16 + gap;
    }
    // The last changes keep a few rows; what is wrong takes what it needs of the others.
    let left = usize::from(area.bottom().saturating_sub(y));
    let for_changes = (left / 3).max(3);
    let lines = health(model, shown, area.width, left.saturating_sub(for_changes).max(2));
    rows(buffer, place(y, area, lines.len() as u16), &lines);
    y = (y + lines.len() as u16 + gap).min(area.bottom());
    let left = usize::from(area.bottom() - y);
    if left >= 2 {
        let mut lines = vec![section(&model.look.theme, "LAST CHANGES", "", area.width)];
        lines.extend(changes(model, area.width, left - 1));
        rows(buffer, place(y, area, left as u16), &lines);
    }
}

fn node(model: &Model, node: &Node, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let pair =
        |label: &str, value: &str| Row::new().with(format!(" {label:<10} "), theme.muted).with(value, theme.text);
    let role = match (node.gateway, node.draining) {
        (true, true) => "gateway, being drained",
        (true, false) => "gateway",
        (false, _) => "leaf",
    };
    let tunnel = match node.tunnel.as_str() {
        "kernel" => "kernel module",
        "userspace" => "embedded tunnel",
        "existing" => "adopted interface",
        other => other,
    };
    let older = model.data.older_s(model.now_ms);
    let mut lines = vec![
        section(theme, "THIS NODE", "", width),
        pair("name", &node.name),
        pair("addresses", &node.addresses.join(" ")),
        pair("interface", &format!("{}, MTU {}", node.interface, node.mtu)),
        pair("tunnel", tunnel),
        pair("key", &node.public_key),
        pair("role", role),
        pair("running", &format!("{}, wgnet {}", text::age(node.uptime_s + older), node.version)),
    ];
    if let Some(seen) = node.seen_from_outside() {
        lines.push(pair("outside", &seen));
    }
    if let Some(cost) = node.gateway_cost {
        lines.push(pair("cost", &format!("at least {cost}, as set")));
    }
    lines
}

fn reach(model: &Model, shown: &Snapshot, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let glyphs = model.look.glyphs;
    let peers = &shown.status.peers;
    let count = |path| peers.iter().filter(|peer| peer.path == path).count();
    let kinds = [PathKind::Direct, PathKind::Gateway, PathKind::Unreachable].map(|path| (path, count(path)));
    let note = if peers.len() == 1 { "1 peer".to_owned() } else { format!("{} peers", peers.len()) };
    let mut lines = vec![section(theme, "REACH", &note, width)];
    let cells = usize::from(width).saturating_sub(2).min(72);
    let mut bar = Row::new().with(" ", theme.text);
    for (path, cells) in shares(&kinds, cells) {
        // Each kind has its own filling, so that it is told without colour, too.
        let filling = match path {
            PathKind::Direct => "█",
            PathKind::Gateway => "▓",
            PathKind::Unreachable => "░",
        };
        bar.push(filling.repeat(cells), theme.path(path));
    }
    if peers.is_empty() {
        bar.push("no other node is known yet", theme.muted);
    }
    lines.push(bar);
    let mut legend = Row::new().with(" ", theme.text);
    for ((path, count), word) in kinds.into_iter().zip(["direct", "via gateway", "unreachable"]) {
        let style = if count == 0 { theme.muted } else { theme.path(path) };
        let gap = if path == PathKind::Direct { "" } else { "  " };
        legend.push(format!("{gap}{} {count}", glyphs.path(path)), style);
        legend.push(format!(" {word}"), theme.muted);
    }
    lines.push(legend);
    lines.push(Row::new());
    let time_ms = model.time_ms();
    let recent = model.data.totals().recent(time_ms, cells);
    let now = model.data.totals().rate(time_ms);
    let sums = peers.iter().fold((0, 0), |(rx, tx), peer| (rx + peer.rx_bytes, tx + peer.tx_bytes));
    for (label, style, now, sum, pick) in [
        ("received", theme.rx, now.rx, sums.0, (|rate: &Rate| rate.rx) as fn(&Rate) -> f64),
        ("sent", theme.tx, now.tx, sums.1, |rate: &Rate| rate.tx),
    ] {
        let curve: Vec<f64> = recent.iter().map(pick).collect();
        let taken = 1 + 9 + 9 + 1 + 8;
        let row = Row::new()
            .with(format!(" {label:<9}"), theme.muted)
            .with(format!("{} ", text::fit_right(&text::rate(now), 9)), style)
            .with(bars(&curve, usize::from(width).saturating_sub(taken + 1).min(48), glyphs), style)
            .with(format!(" {}", text::fit_right(&text::bytes(sum), 7)), theme.muted);
        lines.push(row);
    }
    lines
}

/// Cells of a bar by count; who is there has at least one, and all together fill the bar.
fn shares(kinds: &[(PathKind, usize); 3], cells: usize) -> Vec<(PathKind, usize)> {
    let all: usize = kinds.iter().map(|(_, count)| count).sum();
    if all == 0 || cells < 3 {
        return Vec::new();
    }
    let mut shares: Vec<(PathKind, usize)> = kinds
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(path, count)| (*path, (count * cells / all).max(1)))
        .collect();
    let sum = |shares: &[(PathKind, usize)]| shares.iter().map(|(_, cells)| cells).sum::<usize>();
    while sum(&shares) != cells {
        let too_many = sum(&shares) > cells;
        let Some((_, largest)) = shares.iter_mut().max_by_key(|(_, cells)| *cells) else { break };
        *largest = if too_many { *largest - 1 } else { *largest + 1 };
    }
    shares
}

/// What is wrong, each with its remedy, in at most so many rows.
fn health(model: &Model, shown: &Snapshot, width: u16, most: usize) -> Vec<Row> {
    let theme = &model.look.theme;
    let health = problems(model, shown);
    let note = match health.len() {
        0 => String::new(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let mut lines = Vec::new();
    if most >= 4 {
        lines.push(section(theme, "HEALTH", &note, width));
    }
    if health.is_empty() {
        let glyph = if model.look.glyphs == crate::glyph::Glyphs::Ascii { "ok:" } else { "✓" };
        lines.push(Row::new().with(format!(" {glyph} "), theme.ok).with("all is well", theme.text));
        return lines;
    }
    let cells = usize::from(width).saturating_sub(4);
    for (number, line) in health.iter().enumerate() {
        let mut of_this = Vec::new();
        for (n, part) in wrapped(&line.text, cells).into_iter().enumerate() {
            let glyph = if n == 0 { model.look.glyphs.severity(line.severity) } else { " " };
            of_this.push(Row::new().with(format!(" {glyph} "), theme.severity(line.severity)).with(part, theme.text));
        }
        for (n, part) in wrapped(&line.remedy, cells.saturating_sub(2)).into_iter().enumerate() {
            let arrow = if n == 0 { "→" } else { " " };
            of_this.push(Row::new().with(format!("   {arrow} "), theme.accent).with(part, theme.muted));
        }
        let is_last = number + 1 == health.len();
        if lines.len() + of_this.len() + usize::from(!is_last) > most && number > 0 {
            let more = health.len() - number;
            lines.push(Row::new().with(format!("   and {more} more: `wgnet status` lists all"), theme.muted));
            break;
        }
        lines.extend(of_this);
    }
    lines.truncate(most.max(1));
    lines
}

/// The last events, the newest first; what happened to many at once is one line.
fn changes(model: &Model, width: u16, most: usize) -> Vec<Row> {
    let theme = &model.look.theme;
    let folds = folded(model.data.journal().rev(), most);
    let name_cells = journal::name_cells(width);
    let subjects = folds.iter().map(|fold| {
        let more = match (fold.more, width) {
            (0, _) => String::new(),
            (more, 100..) => format!(" and {more} more"),
            (more, _) => format!(" +{more}"),
        };
        let name = &fold.newest.subject;
        let cells = if name_cells == 0 { text::width(name) } else { text::width(name).min(name_cells) };
        text::fit(name, cells) + &more
    });
    let subjects: Vec<String> = subjects.collect();
    // The column is as wide as it must be, so that more of what happened fits.
    let widest = subjects.iter().map(|subject| text::width(subject)).max().filter(|_| name_cells > 0);
    let mut lines: Vec<Row> = Vec::new();
    for (fold, subject) in folds.iter().zip(subjects) {
        let subject = widest.map_or_else(|| subject.clone(), |cells| text::fit(&subject, cells));
        let head = journal::head(model, fold.newest, fold.severity, &subject, width, false);
        lines.push(head.with(journal::told(fold.newest), theme.text));
    }
    if lines.is_empty() && most > 0 {
        lines.push(Row::new().with(" nothing yet", theme.muted));
    }
    lines
}

/// What is wrong as the daemon tells it and, of peers that cannot be reached, what it does not tell there.
pub(super) fn problems(model: &Model, shown: &Snapshot) -> Vec<Health> {
    let mut problems = shown.status.health.clone();
    // Names are DNS labels: `ams` is not told by a line about `git-ams`.
    let is_named = |text: &str, name: &str| {
        text.split(|letter: char| !letter.is_alphanumeric() && letter != '-').any(|word| word == name)
    };
    // Such a line tells of all of its kind, though it names a few.
    let is_of_all = |line: &Health, peer: &Peer| match line.code.as_str() {
        "no-link" | "node-unreachable" => true,
        "gateway-unreachable" => peer.gateway,
        _ => false,
    };
    let tells = |line: &Health, peer: &Peer| is_of_all(line, peer) || is_named(&line.text, &peer.name);
    let is_told = |peer: &Peer| shown.status.health.iter().any(|line| tells(line, peer));
    let is_lost = |peer: &&Peer| peer.path == PathKind::Unreachable && !peer.refused && !is_told(peer);
    let mut lost: BTreeMap<&str, Vec<&Peer>> = BTreeMap::new();
    for peer in shown.status.peers.iter().filter(is_lost) {
        lost.entry(&peer.why).or_default().push(peer);
    }
    for (why, peers) in lost {
        let first = peers[0];
        let text = match peers.len() {
            1 => format!("{} is unreachable: {why}", first.name),
            2 => format!("{} and {} are unreachable: {why}", first.name, peers[1].name),
            count => format!("{}, {} and {} more are unreachable: {why}", first.name, peers[1].name, count - 2),
        };
        let explained = match model.explanation(&shown.status.node.name, &first.name) {
            Some(Explained::Known(why)) => model.data.veiled_why(why).missing,
            _ => None,
        };
        let remedy = explained.map_or_else(|| "its page tells more: Peers (2), Enter on it".to_owned(), |it| it.remedy);
        problems.push(Health { severity: Severity::Error, code: "unreachable".to_owned(), text, remedy });
    }
    problems.sort_by_key(|line| Reverse(line.severity)); // stable: the daemon's order stays
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_and_shows_everyone() {
        use PathKind::{Direct, Gateway, Unreachable};
        assert_eq!(
            shares(&[(Direct, 498), (Gateway, 1), (Unreachable, 1)], 20),
            [(Direct, 18), (Gateway, 1), (Unreachable, 1)]
        );
        assert_eq!(shares(&[(Direct, 1), (Gateway, 1), (Unreachable, 0)], 9), [(Direct, 4), (Gateway, 5)]);
        assert!(shares(&[(Direct, 0), (Gateway, 0), (Unreachable, 0)], 9).is_empty());
    }
}
