//! The command palette: every action by name, and commands with names of nodes behind them. What is typed is matched
//! loosely: `nxs` finds `next-screen`.

use crate::admin::Deed;
use crate::keys::{Action, TABLE};
use crate::model::{Model, Screen};
use crate::theme;

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What a key does.
    Do(Action),
    /// Open the page of a peer, by its shown name.
    Peer(String),
    /// Explain the way between two nodes, by their shown names.
    Why(String, String),
    /// Show a screen.
    Goto(Screen),
    /// Take a theme.
    Theme(&'static str),
    /// Begin a change.
    Change(Deed),
    /// Not a command yet: put this into the line, and go on.
    Type(String),
}

/// One line of the palette.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What would be run.
    pub text: String,
    /// What it does.
    pub help: String,
    /// The same for the dashboard.
    pub command: Command,
}

impl Suggestion {
    fn new(text: impl Into<String>, help: impl Into<String>, command: Command) -> Self {
        Self { text: text.into(), help: help.into(), command }
    }
}

/// Suggestions that are shown.
const MOST: usize = 50;

/// What could be meant, the best first.
pub fn suggestions(model: &Model, typed: &str) -> Vec<Suggestion> {
    let (word, rest) = typed.trim_start().split_once(' ').unwrap_or_else(|| (typed.trim(), ""));
    let has_argument = typed.trim_start().contains(' ');
    let mut found = match word {
        "peer" if has_argument => peers(model, rest),
        "why" if has_argument => whys(model, rest),
        "goto" if has_argument => {
            let screens = Screen::ALL.into_iter().map(|screen| {
                let title = screen.title().to_lowercase();
                Suggestion::new(format!("goto {title}"), "Show this screen.", Command::Goto(screen))
            });
            ranked(screens, rest, |text| text.trim_start_matches("goto "))
        }
        "theme" if has_argument => {
            let themes = theme::NAMES
                .into_iter()
                .map(|name| Suggestion::new(format!("theme {name}"), "Take this theme.", Command::Theme(name)));
            ranked(themes, rest, |text| text.trim_start_matches("theme "))
        }
        _ => actions(typed.trim()),
    };
    found.truncate(MOST);
    found
}

fn actions(typed: &str) -> Vec<Suggestion> {
    let templates = [
        ("peer ", "Open the page of a peer: `peer NAME`."),
        ("why ", "Why do packets travel as they do? `why TO` or `why FROM TO`."),
        ("goto ", "Show a screen: `goto SCREEN`."),
        ("theme ", "Take a theme: `theme NAME`."),
    ];
    let templates = templates.into_iter().map(|(text, help)| Suggestion::new(text, help, Command::Type(text.into())));
    let mut seen = Vec::new();
    let actions = TABLE.iter().filter(|row| {
        let is_useful = !matches!(row.action, Action::Palette | Action::Yes | Action::No);
        let is_new = !seen.contains(&row.name);
        seen.push(row.name);
        is_useful && is_new
    });
    let actions = actions.map(|row| Suggestion::new(row.name, row.help, Command::Do(row.action)));
    let deeds = Deed::ALL.map(|deed| Suggestion::new(deed.word(), deed.title(), Command::Change(deed)));
    ranked(templates.chain(deeds).chain(actions), typed, |text| text)
}

fn names(model: &Model) -> Vec<String> {
    let Some(shown) = model.data.shown() else { return Vec::new() };
    let mut names: Vec<String> = vec![shown.status.node.name.clone()];
    names.extend(shown.status.peers.iter().filter(|peer| !peer.foreign).map(|peer| peer.name.clone()));
    names
}

fn peers(model: &Model, typed: &str) -> Vec<Suggestion> {
    let peers = model.data.shown().map(|shown| shown.status.peers.as_slice()).unwrap_or_default();
    let all = peers.iter().map(|peer| {
        Suggestion::new(format!("peer {}", peer.name), peer.address.clone(), Command::Peer(peer.name.clone()))
    });
    ranked(all, typed.trim(), |text| text.trim_start_matches("peer "))
}

/// With one name typed, the ways from this node; with two, those between them.
fn whys(model: &Model, typed: &str) -> Vec<Suggestion> {
    let names = names(model);
    let Some(own) = names.first().cloned() else { return Vec::new() };
    let words: Vec<&str> = typed.split_whitespace().collect();
    let begins_next = typed.ends_with(' ');
    let between = |from: &str, to: &str| {
        Suggestion::new(format!("why {from} {to}"), "Explain this way.", Command::Why(from.to_owned(), to.to_owned()))
    };
    match words.as_slice() {
        [from, to] => {
            let all = names.iter().filter(|name| name != from).map(|to| between(from, to));
            ranked(all, to, |text| text.rsplit(' ').next().unwrap_or_default())
        }
        [from] if begins_next => names.iter().filter(|name| name != from).map(|to| between(from, to)).collect(),
        _ => {
            let typed = words.first().copied().unwrap_or_default();
            let all = names.iter().filter(|name| **name != own).map(|to| between(&own, to));
            ranked(all, typed, |text| text.rsplit(' ').next().unwrap_or_default())
        }
    }
}

/// Those whose key has all letters of `typed` in its order, the best match first.
fn ranked(all: impl Iterator<Item = Suggestion>, typed: &str, key: impl Fn(&str) -> &str) -> Vec<Suggestion> {
    let mut found: Vec<(i32, Suggestion)> =
        all.filter_map(|suggestion| Some((score(key(&suggestion.text), typed)?, suggestion))).collect();
    // With nothing typed all are equal, and stand as the table has them.
    if !typed.is_empty() {
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    }
    found.into_iter().map(|(_, suggestion)| suggestion).collect()
}

/// How well `typed` matches; `None` if not at all. Letters at the begin of a word and letters in a row count more, and
/// short texts before long ones.
fn score(text: &str, typed: &str) -> Option<i32> {
    let mut score = 0;
    let mut run = 0;
    let mut last = ' ';
    let mut wanted = typed.chars().flat_map(char::to_lowercase).peekable();
    for letter in text.chars().flat_map(char::to_lowercase) {
        if wanted.peek() == Some(&letter) {
            wanted.next();
            run += 1;
            score += 2 * run + if last.is_alphanumeric() { 0 } else { 6 };
        } else {
            run = 0;
        }
        last = letter;
    }
    let whole = if text.eq_ignore_ascii_case(typed) { 100 } else { 0 };
    wanted.peek().is_none().then(|| score * 4 + whole - text.len().min(40) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keymap;
    use crate::model::Look;
    use crate::update::update;
    use crate::{fixture, message::Message};

    fn model() -> Model {
        let mut model = Model::new(Look::default(), Keymap::default());
        let snapshot = wgnet_api::Event::Snapshot(Box::new(fixture::snapshot(8)));
        update(&mut model, Message::Stream(snapshot), 0);
        model
    }

    fn first(typed: &str) -> Command {
        suggestions(&model(), typed).remove(0).command
    }

    #[test]
    fn actions_are_found_by_a_few_of_their_letters() {
        assert_eq!(first("nxs"), Command::Do(Action::NextScreen));
        assert_eq!(first("quit"), Command::Do(Action::Quit));
        assert_eq!(first("freeze"), Command::Do(Action::Freeze));
        assert_eq!(first("wh"), Command::Type("why ".into()));
        assert!(suggestions(&model(), "zzz").is_empty());
    }

    #[test]
    fn names_complete_commands() {
        assert_eq!(first("peer gra"), Command::Peer("grace".into()));
        assert_eq!(first("why er"), Command::Why("alice".into(), "erin".into()));
        assert_eq!(first("why erin gr"), Command::Why("erin".into(), "grace".into()));
        assert_eq!(first("goto jou"), Command::Goto(Screen::Journal));
        assert_eq!(first("theme li"), Command::Theme("light"));
    }

    #[test]
    fn every_action_is_in_the_palette() {
        let all = actions("");
        for row in TABLE.iter().filter(|row| !matches!(row.action, Action::Palette | Action::Yes | Action::No)) {
            assert!(all.iter().any(|suggestion| suggestion.command == Command::Do(row.action)), "{}", row.name);
        }
    }
}
