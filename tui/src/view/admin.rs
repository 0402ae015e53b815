//! Changes: what can be done, the form, the forecast and the question, the result.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wgnet_api::{ConfigDifference, Plan, Reload};

use super::overlay::typed;
use super::paint::{Row, rows, section, wrapped};
use crate::admin::{Deed, Form, Stage, words};
use crate::layout;
use crate::message::{Outcome, Refused, Request};
use crate::model::{Forecast, Model};
use crate::text;

/// Pairs that are listed of each kind.
const MOST_PAIRS: usize = 200;

/// Draws the screen.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let is_choosing = matches!(model.admin.stage, Stage::Choose);
    // Beside the list where there is room, else in its place.
    let is_wide = area.width >= 90;
    let list = Rect { width: if is_wide { 38 } else { area.width }, ..area };
    if is_choosing || is_wide {
        draw_list(model, list, !is_wide, buffer);
    }
    let panel = match (is_wide, is_choosing) {
        (true, _) => Rect { x: area.x + 40, width: area.width - 40, ..area },
        (false, true) => return,
        (false, false) => area,
    };
    let lines = lines(model, panel.width);
    let question = question(model, panel.width);
    // The question stays in sight, however long the forecast is.
    let room = usize::from(panel.height).saturating_sub(question.len());
    let scroll = model.admin.scroll.min(lines.len().saturating_sub(room));
    let seen = &lines[scroll..lines.len().min(scroll + room)];
    rows(buffer, panel, seen);
    let y = panel.y + seen.len() as u16;
    rows(buffer, Rect { y, height: panel.bottom() - y, ..panel }, &question);
}

/// `is_alone`: what a change does is told here, because nothing beside the list tells it.
fn draw_list(model: &Model, area: Rect, is_alone: bool, buffer: &mut Buffer) {
    let theme = &model.look.theme;
    let head = u16::from(area.height >= 6);
    if head > 0 {
        section(theme, "CHANGES", "", area.width).draw(buffer, area, 0);
    }
    let has_help = is_alone && area.height >= Deed::ALL.len() as u16 + 4;
    let list = Rect { y: area.y + head, height: area.height - head - if has_help { 3 } else { 0 }, ..area };
    let height = usize::from(list.height);
    let first = (model.admin.chosen + 1).saturating_sub(height);
    for (y, deed) in Deed::ALL.iter().skip(first).take(height).enumerate() {
        let mut row = Row::new().with(format!("  {}", text::fit(deed.title(), 34)), theme.text);
        if list.width >= 76 {
            row.push(format!(" {}", deed.help()), theme.muted);
        }
        row.draw(buffer, list, y);
        if first + y == model.admin.chosen {
            buffer.set_style(Rect { y: list.y + y as u16, height: 1, ..list }, theme.selected);
        }
    }
    if has_help {
        let lines = wrapped(Deed::ALL[model.admin.chosen].help(), usize::from(area.width).saturating_sub(2));
        let below = Rect { y: list.bottom() + 1, height: area.bottom().saturating_sub(list.bottom() + 1), ..area };
        let lines: Vec<Row> = lines.into_iter().map(|line| Row::new().with(format!(" {line}"), theme.muted)).collect();
        rows(buffer, below, &lines);
    }
}

/// Rows that can be scrolled.
pub(crate) fn admin_rows(model: &Model) -> usize {
    lines(model, layout::frame(model.area()).body.width).len()
}

fn lines(model: &Model, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let title = |request: &Request| section(theme, &words(&shown(model, request)).to_uppercase(), "", width);
    match &model.admin.stage {
        Stage::Choose => {
            let deed = Deed::ALL[model.admin.chosen];
            let mut lines = vec![section(theme, &deed.title().to_uppercase(), "", width)];
            lines.extend(
                wrapped(deed.help(), usize::from(width).saturating_sub(2))
                    .into_iter()
                    .map(|line| Row::new().with(format!(" {line}"), theme.text)),
            );
            lines.push(Row::new());
            lines.push(Row::new().with(" enter", theme.accent).with(" begins", theme.muted));
            lines
        }
        Stage::Fill(form) => form_lines(model, form, width),
        Stage::Weighing(request) => {
            vec![title(request), Row::new().with(" what would change? the daemon is asked ...", theme.muted)]
        }
        Stage::Asking { request, forecast } => {
            let mut lines = vec![title(request)];
            lines.extend(forecast_lines(model, forecast, width));
            lines
        }
        Stage::Doing(request) => vec![title(request), Row::new().with(" the daemon is told ...", theme.muted)],
        Stage::Done { request, outcome } => {
            let mut lines = vec![title(request)];
            lines.extend(outcome_lines(model, outcome, width));
            lines.push(Row::new());
            lines.push(
                Row::new()
                    .with(" enter", theme.accent)
                    .with(" or ", theme.muted)
                    .with("esc", theme.accent)
                    .with(" goes back to the list", theme.muted),
            );
            lines
        }
    }
}

/// With the names that are shown.
fn shown(model: &Model, request: &Request) -> Request {
    let name = |name: &str| model.data.shown_name(name);
    match request {
        Request::LinkCost { peer, cost } => Request::LinkCost { peer: name(peer), cost: *cost },
        Request::Probe(Some(peer)) => Request::Probe(Some(name(peer))),
        Request::Forget(forgotten) => Request::Forget(name(forgotten)),
        other => other.clone(),
    }
}

fn question(model: &Model, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let Stage::Asking { request, .. } = &model.admin.stage else { return Vec::new() };
    let asked = format!("{}?", capital(&words(&shown(model, request))));
    let mut lines = vec![Row::new()];
    for line in wrapped(&asked, usize::from(width).saturating_sub(2)) {
        lines.push(Row::new().with(format!(" {line}"), theme.highlight));
    }
    lines.push(
        Row::new()
            .with(" y", theme.bad)
            .with(" yes, do it    ", theme.text)
            .with("n", theme.accent)
            .with(" no", theme.text),
    );
    lines
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn form_lines(model: &Model, form: &Form, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let cells = usize::from(width).saturating_sub(2);
    let mut lines = vec![section(theme, &form.deed.title().to_uppercase(), "", width)];
    lines.extend(
        wrapped(form.deed.help(), cells).into_iter().map(|line| Row::new().with(format!(" {line}"), theme.muted)),
    );
    lines.push(Row::new());
    for (number, (blank, input)) in form.deed.blanks().iter().zip(&form.inputs).enumerate() {
        let is_focused = number == form.focus;
        let style = if is_focused { theme.accent } else { theme.muted };
        let label = Row::new().with(format!(" {}: ", blank.label()), style);
        lines.push(match is_focused {
            true => typed(label, input, width, theme),
            false => label.with(input.value(), theme.text),
        });
        if is_focused {
            let choices = blank.choices(model.data.shown());
            let fits: Vec<&str> =
                choices.iter().map(String::as_str).filter(|choice| choice.starts_with(input.value())).collect();
            if !fits.is_empty() {
                let names = text::fit(&fits.join("  "), cells.saturating_sub(7));
                lines.push(Row::new().with("   tab: ", theme.accent).with(names, theme.muted));
            }
        }
    }
    lines.push(Row::new());
    if let Some(mistake) = &form.mistake {
        lines.push(Row::new().with(format!(" {mistake}"), theme.bad));
    }
    lines.push(
        Row::new()
            .with(" enter", theme.accent)
            .with(" goes on, ", theme.muted)
            .with("esc", theme.accent)
            .with(" goes back", theme.muted),
    );
    lines
}

fn forecast_lines(model: &Model, forecast: &Forecast, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    match forecast {
        Forecast::Plan(plan) => plan_lines(model, plan, width),
        Forecast::Reload(reload) => reload_lines(model, reload, width),
        Forecast::None(why) => vec![Row::new().with(format!(" There is no forecast: {why}."), theme.muted)],
        Forecast::Refused(refused) => {
            let mut lines = vec![Row::new().with(" There is no forecast:", theme.warn)];
            lines.extend(refused_lines(model, refused, width));
            lines
        }
    }
}

fn plan_lines(model: &Model, plan: &Plan, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let name = |name: &String| model.data.shown_name(name);
    let way = |gateways: &[String]| match gateways {
        [] => "direct".to_owned(),
        gateways => format!("via {}", gateways.iter().map(name).collect::<Vec<_>>().join(", ")),
    };
    let mut lines = Vec::new();
    if !plan.all_pairs {
        lines.push(Row::new().with(" only the pairs of this node were compared", theme.muted));
    }
    for note in plan.notes.iter().flat_map(|note| wrapped(note, usize::from(width).saturating_sub(2))) {
        lines.push(Row::new().with(format!(" {note}"), theme.muted));
    }
    if plan.moved.is_empty() && plan.broken.is_empty() {
        lines.push(Row::new().with(" ✓ ", theme.ok).with("no path would move", theme.text));
    }
    if !plan.broken.is_empty() {
        let glyph = model.look.glyphs.path(wgnet_api::PathKind::Unreachable);
        let told = format!(" {glyph} {} would lose each other", pairs(plan.broken.len()));
        lines.push(Row::new().with(told, theme.bad));
        for pair in plan.broken.iter().take(MOST_PAIRS) {
            lines.push(Row::new().with(format!("     {} – {}", name(&pair.from), name(&pair.to)), theme.text));
        }
    }
    if !plan.moved.is_empty() {
        lines.push(Row::new().with(format!(" {} would move", pairs(plan.moved.len())), theme.warn));
        for moved in plan.moved.iter().take(MOST_PAIRS) {
            let pair = format!("     {} – {}  ", name(&moved.from), name(&moved.to));
            lines.push(
                Row::new()
                    .with(pair, theme.text)
                    .with(way(&moved.before), theme.muted)
                    .with(" → ", theme.accent)
                    .with(way(&moved.after), theme.text),
            );
        }
    }
    let busy: Vec<_> = plan.gateways.iter().filter(|load| load.before != load.after).collect();
    if !busy.is_empty() {
        lines.push(Row::new());
        lines.push(section(theme, "GATEWAYS", "pairs that they carry", width));
    }
    for load in busy {
        lines.push(
            Row::new()
                .with(format!(" {} ", text::fit(&name(&load.name), 20)), theme.text)
                .with(text::fit_right(&load.before.to_string(), 6), theme.muted)
                .with(" → ", theme.accent)
                .with(text::fit_right(&load.after.to_string(), 6), theme.text),
        );
    }
    lines
}

fn pairs(count: usize) -> String {
    if count == 1 { "1 pair".to_owned() } else { format!("{count} pairs") }
}

fn reload_lines(model: &Model, reload: &Reload, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let mut lines = Vec::new();
    let cells = usize::from(width).saturating_sub(4);
    for warning in reload.warnings.iter().flat_map(|warning| wrapped(warning, cells)) {
        lines.push(Row::new().with(format!(" ! {warning}"), theme.warn));
    }
    if reload.differences.is_empty() {
        lines.push(Row::new().with(" ✓ ", theme.ok).with("the file says what acts already", theme.text));
    }
    let or_nothing = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
    for ConfigDifference { what, before, after, needs_restart } in &reload.differences {
        let mut row = Row::new()
            .with(format!(" {what}  "), theme.text)
            .with(or_nothing(before), theme.muted)
            .with(" → ", theme.accent)
            .with(or_nothing(after), theme.text);
        if *needs_restart {
            row.push("  needs a restart", theme.bad);
        }
        lines.push(row);
    }
    lines
}

fn outcome_lines(model: &Model, outcome: &Result<Outcome, Refused>, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    match outcome {
        Ok(Outcome::Done | Outcome::Why(_)) => {
            vec![Row::new().with(" ✓ ", theme.ok).with("done", theme.text)]
        }
        Ok(Outcome::Plan(plan)) => plan_lines(model, plan, width),
        Ok(Outcome::Reload(reload)) => {
            let mut lines = reload_lines(model, reload, width);
            if reload.applied {
                lines.push(Row::new().with(" ✓ ", theme.ok).with("the differences act now", theme.text));
            } else if !reload.differences.is_empty() {
                lines.push(Row::new().with(" nothing was changed: restart the daemon for these", theme.warn));
            }
            if let Some(seconds) = reload.confirm_within_s {
                let told = format!(" they are undone in {seconds} s unless you choose \"Keep the reloaded file\"");
                lines.push(Row::new().with(told, theme.highlight));
            }
            lines
        }
        Err(refused) => refused_lines(model, refused, width),
    }
}

fn refused_lines(model: &Model, refused: &Refused, width: u16) -> Vec<Row> {
    let theme = &model.look.theme;
    let cells = usize::from(width).saturating_sub(6);
    let glyph = model.look.glyphs.severity(wgnet_api::Severity::Error);
    let mut lines = Vec::new();
    for (number, line) in wrapped(&refused.error, cells).into_iter().enumerate() {
        let glyph = if number == 0 { glyph } else { " " };
        lines.push(Row::new().with(format!(" {glyph} "), theme.bad).with(line, theme.text));
    }
    for (number, line) in wrapped(&refused.remedy, cells).into_iter().enumerate() {
        let arrow = if number == 0 { "→" } else { " " };
        lines.push(Row::new().with(format!("   {arrow} "), theme.accent).with(line, theme.text));
    }
    lines
}
