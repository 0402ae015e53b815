//! A change on its way: chosen, filled in, weighed, asked about, done.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;
use wgnet_api::Severity;

use super::screens;
use crate::admin::{Blank, Deed, Form, Stage, Weighing, weigh, words};
use crate::keys::Action;
use crate::message::{Effect, Outcome, Refused, Request};
use crate::model::{Forecast, Model, Screen};

/// Moves in the list of actions, or scrolls what is to be read.
pub(super) fn step(model: &mut Model, action: Action) {
    match model.admin.stage {
        Stage::Choose => {
            let by = screens::distance(action, Deed::ALL.len(), model.body_height());
            model.admin.chosen = model.admin.chosen.saturating_add_signed(by).min(Deed::ALL.len() - 1);
        }
        _ => {
            let rows = crate::view::admin_rows(model);
            let by = screens::distance(action, rows, model.body_height());
            model.admin.scroll = model.admin.scroll.saturating_add_signed(by).min(rows.saturating_sub(1));
        }
    }
}

/// Begins a change, whatever was under way.
pub(super) fn begin(model: &mut Model, deed: Deed, effects: &mut Vec<Effect>) {
    model.admin.chosen = Deed::ALL.iter().position(|known| *known == deed).unwrap_or_default();
    model.admin.scroll = 0;
    if !deed.blanks().is_empty() {
        model.admin.stage = Stage::Fill(Form::new(deed));
        return;
    }
    match deed.request(&[]) {
        Ok(request) => ask(model, request, effects),
        Err(mistake) => model.say(Severity::Warning, mistake, 5),
    }
}

/// Begins the chosen change; goes back to the list from its result.
pub(super) fn open(model: &mut Model, effects: &mut Vec<Effect>) {
    match &model.admin.stage {
        Stage::Choose => begin(model, Deed::ALL[model.admin.chosen], effects),
        Stage::Done { .. } => model.admin.stage = Stage::Choose,
        Stage::Fill(_) | Stage::Weighing(_) | Stage::Asking { .. } | Stage::Doing(_) => {}
    }
}

/// One step back; `false`: there is none.
pub(super) fn back(model: &mut Model) -> bool {
    let was_choosing = matches!(model.admin.stage, Stage::Choose);
    model.admin.stage = Stage::Choose;
    model.admin.scroll = 0;
    !was_choosing
}

/// The blank that is typed in.
pub(super) fn focused(model: &mut Model) -> Option<&mut Input> {
    match &mut model.admin.stage {
        Stage::Fill(form) if model.screen == Screen::Admin => form.inputs.get_mut(form.focus),
        _ => None,
    }
}

/// A key in a form.
pub(super) fn fill(model: &mut Model, event: KeyEvent, effects: &mut Vec<Effect>) {
    let Stage::Fill(mut form) = std::mem::take(&mut model.admin.stage) else { return };
    let last = form.inputs.len().saturating_sub(1);
    match event.code {
        KeyCode::Esc => return,
        KeyCode::Up | KeyCode::BackTab => form.focus = form.focus.saturating_sub(1),
        KeyCode::Tab if complete(model, &mut form) => {}
        KeyCode::Down | KeyCode::Tab => form.focus = if form.focus == last { 0 } else { form.focus + 1 },
        KeyCode::Enter if form.focus < last => form.focus += 1,
        KeyCode::Enter => {
            let values: Vec<&str> = form.inputs.iter().map(Input::value).collect();
            match form.deed.request(&values) {
                Ok(request) => return ask(model, really(model, request), effects),
                Err(mistake) => form.mistake = Some(mistake),
            }
        }
        _ => {
            form.mistake = None;
            form.inputs[form.focus].handle_event(&Event::Key(event));
        }
    }
    model.admin.stage = Stage::Fill(form);
}

/// Puts the first name that begins as typed; `false` where none does, or it is whole already.
fn complete(model: &Model, form: &mut Form) -> bool {
    let blank: Blank = form.deed.blanks()[form.focus];
    let input = &mut form.inputs[form.focus];
    let choices = blank.choices(model.data.shown());
    match choices.into_iter().find(|choice| choice.starts_with(input.value())) {
        Some(choice) if choice != input.value() && !input.value().is_empty() => {
            *input = Input::from(choice);
            true
        }
        _ => false,
    }
}

/// With the names that the daemon knows, where pseudonyms are shown.
fn really(model: &Model, request: Request) -> Request {
    match request {
        Request::LinkCost { peer, cost } => Request::LinkCost { peer: model.data.real_name(&peer), cost },
        Request::Probe(Some(peer)) => Request::Probe(Some(model.data.real_name(&peer))),
        Request::Forget(name) => Request::Forget(model.data.real_name(&name)),
        other => other,
    }
}

fn ask(model: &mut Model, request: Request, effects: &mut Vec<Effect>) {
    model.admin.scroll = 0;
    model.admin.stage = match weigh(&request, model.data.live()) {
        Weighing::Harmless => {
            effects.push(Effect::Ask(request.clone()));
            Stage::Doing(request)
        }
        Weighing::Ask(question) => {
            effects.push(Effect::Ask(question));
            Stage::Weighing(request)
        }
        Weighing::Unknown(why) => Stage::Asking { request, forecast: Forecast::None(why) },
    };
}

/// The user wants it.
pub(super) fn yes(model: &mut Model, effects: &mut Vec<Effect>) {
    if let Stage::Asking { request, .. } = std::mem::take(&mut model.admin.stage) {
        model.admin.scroll = 0;
        effects.push(Effect::Ask(request.clone()));
        model.admin.stage = Stage::Doing(request);
    }
}

/// The user does not want it.
pub(super) fn no(model: &mut Model) {
    model.admin.stage = Stage::Choose;
    model.say(Severity::Info, "nothing was changed", 4);
}

/// An answer that is no explanation: a forecast that was waited for, or the result of a change.
pub(super) fn answered(model: &mut Model, request: Request, outcome: Result<Outcome, Refused>) {
    let is_question = matches!(&request, Request::Plan(_)) || matches!(&request, Request::Reload(r) if r.dry_run);
    match &model.admin.stage {
        Stage::Weighing(wanted) if is_question => {
            let wanted = wanted.clone();
            weighed(model, wanted, outcome);
        }
        Stage::Doing(doing) if *doing == request => model.admin.stage = Stage::Done { request, outcome },
        // Asked from elsewhere, such as a probe from the list of peers, or not waited for any more.
        _ if is_question => {}
        _ => match outcome {
            Ok(_) => model.say(Severity::Info, format!("done: {}", words(&request)), 5),
            Err(refused) => model.say(Severity::Error, one_line(&refused), 10),
        },
    }
}

fn weighed(model: &mut Model, request: Request, outcome: Result<Outcome, Refused>) {
    let is_reload = matches!(request, Request::Reload(_));
    let forecast = match outcome {
        Ok(Outcome::Plan(plan)) => Forecast::Plan(plan),
        Ok(Outcome::Reload(reload)) => Forecast::Reload(reload),
        Ok(Outcome::Done | Outcome::Why(_)) => Forecast::None("the daemon told nothing"),
        // A file that cannot be read cannot be loaded either.
        Err(refused) if is_reload => {
            model.admin.stage = Stage::Done { request, outcome: Err(refused) };
            return;
        }
        Err(refused) => Forecast::Refused(refused),
    };
    // Nothing is different: there is nothing to ask about.
    model.admin.stage = match forecast {
        Forecast::Reload(reload) if reload.differences.is_empty() => {
            Stage::Done { request, outcome: Ok(Outcome::Reload(reload)) }
        }
        forecast => Stage::Asking { request, forecast },
    };
}

fn one_line(refused: &Refused) -> String {
    if refused.remedy.is_empty() { refused.error.clone() } else { format!("{}: {}", refused.error, refused.remedy) }
}
