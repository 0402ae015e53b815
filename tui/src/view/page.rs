//! The page of one peer, and the page of one explanation: how packets travel, hop by hop, and why not otherwise.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use wgnet_api::{PathKind, Peer, Rule, Why};

use super::paint::{Row, rows, section, wrapped};
use super::peers::{milliseconds, path_words, percent};
use crate::layout;
use crate::model::{Explained, Model, Page};
use crate::text;
use crate::widget::chart::RttChart;

/// Draws the page in front.
pub(super) fn draw(model: &Model, page: &Page, area: Rect, buffer: &mut Buffer) {
    let lines = lines(model, page, area.width);
    let (Page::Peer { scroll, .. } | Page::Why { scroll, .. }) = page;
    let chart = chart_height(model, page, area);
    if let (Page::Peer { id, .. }, true) = (page, chart > 0)
        && let Some(peer) = model.data.peer(id)
    {
        // The title stays above the chart, the rest scrolls below it.
        rows(buffer, Rect { height: 2, ..area }, &lines[..lines.len().min(2)]);
        draw_chart(model, peer, Rect { y: area.y + 2, height: chart, ..area }, buffer);
        let below = Rect { y: area.y + 2 + chart, height: area.height - 2 - chart, ..area };
        let first = (2 + scroll).min(lines.len());
        return rows(buffer, below, &lines[first..]);
    }
    rows(buffer, area, &lines[(*scroll).min(lines.len())..]);
}

/// Rows for the chart: a third of the page, where there is something to draw.
fn chart_height(model: &Model, page: &Page, area: Rect) -> u16 {
    let Page::Peer { id, .. } = page else { return 0 };
    let has_probes = model.data.peer(id).is_some_and(|peer| peer.probes.is_some());
    if has_probes && area.height >= 16 && area.width >= 40 { (area.height / 3).clamp(5, 14) } else { 0 }
}

/// Rows that scroll.
pub(crate) fn page_height(model: &Model) -> usize {
    let body = layout::frame(model.area()).body;
    let chart = model.pages.last().map_or(0, |page| chart_height(model, page, body));
    let fixed = if chart > 0 { chart + 2 } else { 0 };
    usize::from(body.height.saturating_sub(fixed))
}

/// Rows of the page in front that scroll.
pub(crate) fn page_rows(model: &Model) -> usize {
    let body = layout::frame(model.area()).body;
    let Some(page) = model.pages.last() else { return 0 };
    let fixed = if chart_height(model, page, body) > 0 { 2 } else { 0 };
    lines(model, page, body.width).len().saturating_sub(fixed)
}

/// The page in front as text.
pub(crate) fn page_text(model: &Model) -> String {
    let lines = model.pages.last().map(|page| lines(model, page, 100)).unwrap_or_default();
    lines.iter().map(|line| line.text() + "\n").collect()
}

fn draw_chart(model: &Model, peer: &Peer, area: Rect, buffer: &mut Buffer) {
    let Some(history) = model.data.history(peer) else { return };
    let now_ms = model.time_ms();
    let samples: Vec<(u64, Option<f32>)> = history
        .samples()
        .filter(|(time_ms, _)| *time_ms <= now_ms)
        .map(|(time_ms, sample)| (time_ms, sample.rtt()))
        .collect();
    let label = |path: PathKind, via: Option<&str>| match (path, via) {
        (PathKind::Direct, _) => "direct".to_owned(),
        (PathKind::Gateway, Some(via)) => format!("via {}", model.data.shown_name(via)),
        (PathKind::Gateway, None) => "via gateway".to_owned(),
        (PathKind::Unreachable, _) => "unreachable".to_owned(),
    };
    let changes: Vec<(u64, String)> = history
        .changes()
        .filter(|(time_ms, _, _)| *time_ms <= now_ms)
        .map(|(time_ms, path, via)| (time_ms, label(path, via)))
        .collect();
    let (theme, glyphs) = (&model.look.theme, model.look.glyphs);
    RttChart { samples: &samples, changes: &changes, now_ms, theme, glyphs }.render(area, buffer);
}

fn lines(model: &Model, page: &Page, width: u16) -> Vec<Row> {
    match page {
        Page::Peer { id, .. } => match model.data.peer(id) {
            Some(peer) => peer_lines(model, peer, width),
            None => vec![Row::new().with(" This peer is gone; Esc goes back.", model.look.theme.muted)],
        },
        Page::Why { from, to, .. } => {
            let theme = &model.look.theme;
            let title = Row::new().with(format!(" {from} to {to}"), theme.accent);
            let mut lines = vec![title, Row::new()];
            lines.extend(why_lines(model, model.explanation(from, to), width));
            lines
        }
    }
}

fn peer_lines(model: &Model, peer: &Peer, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let mut title = Row::new()
        .with(format!(" {} ", model.look.glyphs.path(peer.path)), theme.path(peer.path))
        .with(peer.name.clone(), theme.accent)
        .with(format!("  {}  ", peer.address), theme.text)
        .with(path_words(peer), theme.path(peer.path));
    let mut facts = Vec::new();
    if peer.hops > 1 {
        facts.push(format!("{} hops", peer.hops));
    }
    facts.extend(peer.cost.map(|cost| format!("cost {cost}")));
    let figures = model.data.figures(peer);
    let about = if figures.are_composed { "~" } else { "" };
    facts.extend(figures.rtt_ms.map(|ms| format!("{about}{}", milliseconds(ms))));
    facts.extend(figures.loss.map(|share| format!("{about}{} lost", percent(share))));
    title.push(format!("  {}", facts.join(", ")), theme.muted);
    let mut lines = vec![title, Row::new()];
    let reason = wrapped(&peer.why, usize::from(width).saturating_sub(2));
    if !reason.is_empty() {
        lines.push(section(theme, "WHY", "", width));
        lines.extend(reason.into_iter().map(|line| Row::new().with(format!(" {line}"), theme.text)));
        lines.push(Row::new());
    }
    let own = model.data.shown().map(|shown| shown.status.node.name.clone()).unwrap_or_default();
    if !peer.foreign {
        lines.extend(why_lines(model, model.explanation(&own, &peer.name), width));
    }
    lines.push(section(theme, "FACTS", "", width));
    lines.extend(facts_lines(model, peer));
    lines
}

fn facts_lines(model: &Model, peer: &Peer) -> Vec<Row> {
    let theme = &model.look.theme;
    let pair =
        |label: &str, value: String| Row::new().with(format!(" {label:<10} "), theme.muted).with(value, theme.text);
    let rate = model.data.history(peer).map(|history| history.rate(model.time_ms())).unwrap_or_default();
    let older = model.data.older_s(model.now_ms);
    let mut lines = vec![pair("addresses", peer.addresses.join(" "))];
    let figures = model.data.figures(peer);
    if let (true, Some(ms)) = (figures.are_composed, figures.rtt_ms) {
        lines.push(pair("round trip", format!("~{}: the sum of the links on the way", milliseconds(ms))));
    }
    let shake = peer.handshake_age_s.map(|age| format!(", handshake {} ago", text::age(age + older)));
    lines.extend(peer.endpoint.as_ref().map(|to| pair("endpoint", to.clone() + shake.as_deref().unwrap_or(""))));
    lines.extend(peer.probes.map(|probes| {
        let last = probes.last_ms.map(|ms| format!(", the last took {}", milliseconds(ms))).unwrap_or_default();
        pair("probes", format!("{} answered, {} missed{last}", probes.answered, probes.missed))
    }));
    let received = format!("{}, {} now", text::bytes(peer.rx_bytes), text::rate(rate.rx));
    let sent = format!("{}, {} now", text::bytes(peer.tx_bytes), text::rate(rate.tx));
    lines.push(pair("received", received));
    lines.push(pair("sent", sent));
    let role = match (peer.foreign, peer.refused, peer.gateway) {
        (true, _, _) => "added by a person with `wg set`: kept, not part of the mesh",
        (_, true, _) => "its claims are refused: the journal says why",
        (_, _, true) => "gateway: forwards for others",
        (_, _, false) => "leaf: does not forward",
    };
    lines.push(pair("role", role.to_owned()));
    lines.extend(peer.public_key.as_ref().map(|key| pair("key", key.clone())));
    lines.push(pair("identity", peer.id.clone()));
    lines
}

fn why_lines(model: &Model, explained: Option<&Explained>, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let mut lines = match explained {
        None | Some(Explained::Asked) => {
            vec![section(theme, "PATH", "", width), Row::new().with(" the daemon is asked why ...", theme.muted)]
        }
        Some(Explained::Refused(refused)) => {
            let mut lines = vec![section(theme, "PATH", "", width)];
            lines.push(Row::new().with(format!(" {}", refused.error), theme.bad));
            if !refused.remedy.is_empty() {
                lines.push(Row::new().with("   → ", theme.accent).with(refused.remedy.clone(), theme.text));
            }
            lines
        }
        Some(Explained::Known(why)) => known_lines(model, why, width),
    };
    lines.push(Row::new());
    lines
}

/// Names in an explanation come from the daemon; they are shown as everything else is.
fn known_lines(model: &Model, why: &Why, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let why = &model.data.veiled_why(why);
    let cells = usize::from(width).saturating_sub(5);
    let note = match (why.hops.len(), why.cost) {
        (0, _) => String::new(),
        (1, Some(cost)) => format!("1 hop, cost {cost}, packets up to {} bytes", why.mtu),
        (1, None) => format!("1 hop, packets up to {} bytes", why.mtu),
        (hops, cost) => {
            let cost = cost.map(|cost| format!(", cost {cost}")).unwrap_or_default();
            format!("{hops} hops{cost}, packets up to {} bytes", why.mtu)
        }
    };
    let mut lines = vec![section(theme, "PATH", &note, width)];
    if let Some(missing) = &why.missing {
        let glyph = model.look.glyphs.path(PathKind::Unreachable);
        for (number, line) in wrapped(&missing.reason, cells).into_iter().enumerate() {
            let glyph = if number == 0 { glyph } else { " " };
            lines.push(Row::new().with(format!(" {glyph} "), theme.bad).with(line, theme.text));
        }
        for (number, line) in wrapped(&missing.remedy, cells).into_iter().enumerate() {
            let arrow = if number == 0 { "→" } else { " " };
            lines.push(Row::new().with(format!("   {arrow} "), theme.accent).with(line, theme.text));
        }
    }
    let name_cells = usize::from(width / 5).clamp(6, 20);
    for hop in &why.hops {
        let mut row = Row::new()
            .with(format!(" {} ", text::fit(&hop.from, name_cells)), theme.text)
            .with("→", theme.accent)
            .with(format!(" {} ", text::fit(&hop.to, name_cells)), theme.text);
        let rtt = hop.rtt_ms.map(|ms| (milliseconds(ms), theme.rtt(ms)));
        let (rtt, style) = rtt.unwrap_or_else(|| ("-".to_owned(), theme.muted));
        row.push(format!("{} ", text::fit_right(&rtt, 8)), style);
        let loss = hop.loss.map(|share| (percent(share), theme.loss(share)));
        let (loss, style) = loss.unwrap_or_else(|| ("-".to_owned(), theme.muted));
        row.push(format!("{} lost", text::fit_right(&loss, 5)), style);
        row.push(hop.cost.map(|cost| format!("  cost {cost}")).unwrap_or_default(), theme.muted);
        lines.push(row);
    }
    if !why.hops.is_empty() {
        let readers = match why.readers.as_slice() {
            [] => Row::new().with(" only both ends can read this traffic", theme.ok),
            readers => Row::new()
                .with(" can read this traffic, besides both ends: ", theme.warn)
                .with(readers.join(", "), theme.text),
        };
        lines.push(readers);
    }
    for line in why.note.as_deref().map(|note| wrapped(note, cells)).unwrap_or_default() {
        lines.push(Row::new().with(format!(" {line}"), theme.muted));
    }
    if !why.candidates.is_empty() {
        lines.push(Row::new());
        lines.push(section(theme, "WAYS THAT LOST", "the best first", width));
    }
    for candidate in &why.candidates {
        let cost = candidate.cost.map(|cost| cost.to_string()).unwrap_or_else(|| "-".to_owned());
        let margin = candidate.margin.map(|margin| format!("+{margin}")).unwrap_or_default();
        let head = Row::new()
            .with(format!(" via {} ", text::fit(&candidate.via, name_cells)), theme.text)
            .with(text::fit_right(&cost, 6), theme.text)
            .with(format!(" {} ", text::fit_right(&margin, 7)), theme.warn)
            .with(format!("{} ", text::fit(rule(candidate.rule), 11)), theme.accent);
        let taken = head.width();
        let beside = usize::from(width).saturating_sub(taken + 1);
        if beside >= 24 {
            let mut parts = wrapped(&candidate.text, beside).into_iter();
            lines.push(head.with(parts.next().unwrap_or_default(), theme.muted));
            lines.extend(parts.map(|part| Row::new().with(" ".repeat(taken), theme.text).with(part, theme.muted)));
        } else {
            lines.push(head);
            let parts = wrapped(&candidate.text, cells).into_iter();
            lines.extend(parts.map(|part| Row::new().with(format!("     {part}"), theme.muted)));
        }
    }
    lines
}

fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::Dearer => "dearer",
        Rule::Tied => "tie-break",
        Rule::Leaf => "leaf",
        Rule::NoWayOn => "no way on",
        Rule::Beneath => "beneath",
    }
}
