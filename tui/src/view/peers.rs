//! The list of peers: only the rows that are seen are built.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget;
use wgnet_api::{PathKind, Peer};

use super::paint::Row;
use crate::data::Figures;
use crate::layout::columns;
use crate::model::{Model, Overlay, Sieve};
use crate::peers::{COLUMNS, Field};
use crate::text;
use crate::widget::sparkline::RttSpark;

/// Rows above the first one of a list: its head, and its filter where there is one.
pub(crate) fn list_above(model: &Model, height: u16) -> usize {
    let sieve = match model.screen {
        crate::model::Screen::Peers => &model.peers.sieve,
        crate::model::Screen::Routes => &model.routes.sieve,
        crate::model::Screen::Journal => &model.journal.sieve,
        _ => return 0,
    };
    let has_head = model.screen != crate::model::Screen::Journal && height >= 3;
    usize::from(has_head) + usize::from(has_filter_line(model, sieve, height))
}

/// Rows below the last one of a list: of the journal the chosen event is told in full there where rows are too short.
pub(crate) fn list_below(model: &Model, body: Rect) -> usize {
    let is_short = model.screen == crate::model::Screen::Journal && body.width < 120;
    if is_short && body.height >= 12 { 3 } else { 0 }
}

fn has_filter_line(model: &Model, sieve: &Sieve, height: u16) -> bool {
    let is_edited = matches!(model.overlay, Some(Overlay::Filter(..)));
    height >= 3 && (is_edited || !sieve.text.is_empty())
}

/// What is filtered, how much is left, and what is wrong with the filter. Returns the rows it took.
pub(super) fn filter_line(
    model: &Model,
    sieve: &Sieve,
    (listed, all): (usize, usize),
    area: Rect,
    buffer: &mut Buffer,
) -> u16 {
    if !has_filter_line(model, sieve, area.height) {
        return 0;
    }
    let theme = &model.look.theme;
    let mut row = Row::new().with(" filter ", theme.head).with(sieve.text.clone(), theme.highlight);
    match &sieve.mistake {
        Some(mistake) => row.push(format!("  {mistake}"), theme.bad),
        None => row.push(format!("  {listed} of {all}"), theme.muted),
    }
    row.draw(buffer, area, 0);
    1
}

/// Draws the screen.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(shown) = model.data.shown() else { return };
    let theme = &model.look.theme;
    let peers = model.listed_peers();
    let filter = filter_line(model, &model.peers.sieve, (peers.len(), shown.status.peers.len()), area, buffer);
    let table = Rect { y: area.y + filter, height: area.height - filter, ..area };
    let inset = u16::from(table.width >= 40);
    let widths = columns(&COLUMNS, table.width.saturating_sub(2 * inset));
    let head = u16::from(area.height >= 3);
    if head > 0 {
        let mut row = Row::new().with(" ".repeat(usize::from(inset)), theme.head);
        for (field, cells) in &widths {
            let is_sorted = *field == model.peers.sort.0;
            let arrow = match (is_sorted, model.peers.reverse) {
                (true, false) => "↓",
                (true, true) => "↑",
                (false, _) => "",
            };
            let title = format!("{}{arrow}", field.head());
            let style = if is_sorted { theme.accent } else { theme.head };
            row.push(aligned(*field, &title, *cells), style);
            row.push(" ", theme.head);
        }
        row.draw(buffer, table, 0);
    }
    let list = Rect { y: table.y + head, height: table.height - head, ..table };
    let ids: Vec<&str> = peers.iter().map(|peer| peer.id.as_str()).collect();
    let Some(chosen) = model.peers.cursor.index(&ids) else {
        let told = if shown.status.peers.is_empty() {
            "This node knows no other one yet."
        } else {
            "No peer fits the filter: Esc clears it."
        };
        return Row::new().with(format!(" {told}"), theme.muted).draw(buffer, list, 0);
    };
    let height = usize::from(list.height);
    let offset = model.peers.cursor.offset(chosen, ids.len(), height);
    for (y, peer) in peers.iter().skip(offset).take(height).enumerate() {
        let line = Rect { y: list.y + y as u16, height: 1, ..list };
        peer_row(model, peer, &widths, Rect { x: line.x + inset, width: line.width - inset, ..line }, buffer);
        if offset + y == chosen {
            buffer.set_style(line, theme.selected);
        }
    }
}

fn aligned(field: Field, content: &str, cells: u16) -> String {
    let cells = usize::from(cells);
    if field.is_figure() { text::fit_right(content, cells) } else { text::fit(content, cells) }
}

fn peer_row(model: &Model, peer: &Peer, widths: &[(Field, u16)], line: Rect, buffer: &mut Buffer) {
    let mut x = line.x;
    for (field, cells) in widths {
        let at = Rect { x, width: (*cells).min(line.right().saturating_sub(x)), ..line };
        if *field == Field::Spark {
            let until = model.time_ms();
            let samples = model.data.history(peer).map(|history| history.recent(until, usize::from(at.width)));
            let (theme, glyphs) = (&model.look.theme, model.look.glyphs);
            if let Some(samples) = samples.filter(|_| peer.probes.is_some()) {
                RttSpark { samples: &samples, theme, glyphs }.render(at, buffer);
            }
        } else {
            let (content, style) = content(model, peer, *field);
            Row::new().with(aligned(*field, &content, at.width), style).draw(buffer, at, 0);
        }
        x = (x + cells + 1).min(line.right());
    }
}

fn content(model: &Model, peer: &Peer, field: Field) -> (String, Style) {
    let theme = &model.look.theme;
    let none = || ("-".to_owned(), theme.muted);
    let is_down = peer.path == PathKind::Unreachable;
    let quiet = if is_down { theme.muted } else { theme.text };
    match field {
        Field::State => (model.look.glyphs.path(peer.path).to_owned(), theme.path(peer.path)),
        Field::Name => (peer.name.clone(), if is_down { theme.unreachable } else { theme.text }),
        Field::Address => (peer.address.clone(), theme.muted),
        Field::Path => (path_words(peer), theme.path(peer.path)),
        Field::Rtt => match model.data.figures(peer) {
            Figures { rtt_ms: Some(ms), are_composed: true, .. } => (format!("~{}", milliseconds(ms)), theme.muted),
            Figures { rtt_ms: Some(ms), .. } => (milliseconds(ms), theme.rtt(ms)),
            _ => none(),
        },
        Field::Loss => match model.data.figures(peer) {
            Figures { loss: Some(share), are_composed: true, .. } => (format!("~{}", percent(share)), theme.muted),
            Figures { loss: Some(share), .. } => (percent(share), theme.loss(share)),
            _ => none(),
        },
        Field::Handshake => peer.handshake_age_s.map_or_else(none, |age| {
            let age = age + model.data.older_s(model.now_ms);
            // WireGuard drops a session after 180 s without a handshake (REJECT_AFTER_TIME).
            (text::age(age), if age > 180 { theme.warn } else { theme.muted })
        }),
        Field::Rx | Field::Tx => {
            let rate = model.data.history(peer).map(|history| history.rate(model.time_ms())).unwrap_or_default();
            let (bytes, style) = if field == Field::Rx { (rate.rx, theme.rx) } else { (rate.tx, theme.tx) };
            if bytes < 0.5 { none() } else { (text::rate(bytes), style) }
        }
        Field::Endpoint => peer.endpoint.clone().map_or_else(none, |endpoint| (endpoint, theme.muted)),
        Field::Cost => peer.cost.map_or_else(none, |cost| (cost.to_string(), quiet)),
        Field::Spark => (String::new(), quiet),
    }
}

/// How packets travel, in a word or two.
pub(super) fn path_words(peer: &Peer) -> String {
    match (&peer.path, &peer.via) {
        _ if peer.refused => "refused".to_owned(),
        (PathKind::Direct, _) if peer.foreign => "foreign".to_owned(),
        (PathKind::Direct, _) if peer.lan => "direct, LAN".to_owned(),
        (PathKind::Direct, _) => "direct".to_owned(),
        (PathKind::Gateway, Some(via)) => format!("via {via}"),
        (PathKind::Gateway, None) => "via gateway".to_owned(),
        (PathKind::Unreachable, _) => "unreachable".to_owned(),
    }
}

/// A round trip: `0.4 ms`, `12 ms`, `1.3 s`.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        _ if !ms.is_finite() || ms < 0.0 => "-".to_owned(),
        _ if ms < 9.95 => format!("{ms:.1} ms"),
        _ if ms < 999.5 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1_000.0),
    }
}

/// A share: `0%`, `3.4%`, `12%`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if !percent.is_finite() || percent < 0.0 => "-".to_owned(),
        _ if percent < 0.05 => "0%".to_owned(),
        _ if percent < 9.95 => format!("{percent:.1}%"),
        _ => format!("{percent:.0}%"),
    }
}
