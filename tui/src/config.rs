//! The user's own theme, characters, mouse and keys: `$XDG_CONFIG_HOME/wgnet/tui.yaml`, or `~/.config/wgnet/tui.yaml`.
//!
//! ```yaml
//! theme: light          # dark, light, colour-blind, mono
//! glyphs: ascii         # unicode, ascii
//! mouse: true           # taken from the start
//! keys:
//!   freeze: [F, ctrl+f] # the name of an action and its keys, in place of the built-in ones
//! ```
//!
//! What is wrong is told with its place, and everything else still counts: a broken file does not keep the dashboard
//! from starting.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use crate::glyph::Glyphs;
use crate::keys::{Key, Keymap, TABLE};
use crate::theme;

/// What the user wants.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Name of the theme.
    pub theme: Option<&'static str>,
    /// Which characters.
    pub glyphs: Option<Glyphs>,
    /// Whether the mouse is taken from the start.
    pub mouse: bool,
    /// The keys.
    pub keymap: Keymap,
}

/// One thing that is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1; `None`: the file as a whole.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file.display(), self.text),
            None => write!(f, "{}: {}", self.file.display(), self.text),
        }
    }
}

/// Where the file is, by the environment variables `XDG_CONFIG_HOME` and `HOME`.
pub fn path(xdg_config_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    // The XDG base directory specification: a relative path is to be ignored.
    let xdg = xdg_config_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = xdg.or_else(|| home.map(|home| Path::new(home).join(".config")))?;
    Some(folder.join("wgnet/tui.yaml"))
}

/// Reads the file. None at all is fine.
pub fn read(path: &Path) -> (Config, Vec<Mistake>) {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Default::default(),
        Err(error) => {
            let mistake = Mistake { file: path.to_owned(), place: None, text: format!("cannot be read: {error}") };
            (Config::default(), vec![mistake])
        }
    }
}

/// What the text of the file says, and all that is wrong with it.
pub fn parse(file: &Path, text: &str) -> (Config, Vec<Mistake>) {
    let mut reader = Reader { file, text, at: 0, config: Config::default(), mistakes: Vec::new() };
    match serde_yaml::from_str::<Value>(text) {
        Ok(Value::Null) => {}
        Ok(Value::Mapping(all)) => reader.all(&all),
        Ok(_) => reader.mistake_at(Some((1, 1)), "a mapping is expected: `theme: light`".to_owned()),
        Err(error) => {
            let place = error.location().map(|location| (location.line(), location.column()));
            reader.mistake_at(place, format!("no proper YAML: {error}"));
        }
    }
    (reader.config, reader.mistakes)
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    /// Byte after the last key that was read: keys are looked for from there on, as they come in the order of the file.
    at: usize,
    config: Config,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn all(&mut self, all: &Mapping) {
        for (key, value) in all {
            let key = scalar(key);
            self.seek(&key);
            match key.as_str() {
                "theme" => {
                    let named = scalar(value);
                    self.config.theme = theme::NAMES.into_iter().find(|name| *name == named).or(self.config.theme);
                    if !theme::NAMES.contains(&named.as_str()) {
                        self.unknown("theme", &named, &theme::NAMES);
                    }
                }
                "glyphs" => match scalar(value).as_str() {
                    "unicode" => self.config.glyphs = Some(Glyphs::Unicode),
                    "ascii" => self.config.glyphs = Some(Glyphs::Ascii),
                    other => self.unknown("set of glyphs", other, &["unicode", "ascii"]),
                },
                "mouse" => match value {
                    Value::Bool(mouse) => self.config.mouse = *mouse,
                    other => self.mistake(&scalar(other), "`mouse` is `true` or `false`".to_owned()),
                },
                "keys" => match value {
                    Value::Mapping(keys) => self.keys(keys),
                    Value::Null => {}
                    _ => self.mistake("keys", "`keys` is a mapping: `freeze: [F]`".to_owned()),
                },
                other => self.unknown("key", other, &["theme", "glyphs", "mouse", "keys"]),
            }
        }
    }

    fn keys(&mut self, keys: &Mapping) {
        let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
        for (name, value) in keys {
            let name = scalar(name);
            self.seek(&name);
            if !names.contains(&name.as_str()) {
                self.unknown("action", &name, &names);
                continue;
            }
            let texts = match value {
                Value::Sequence(all) => all.iter().map(scalar).collect(),
                one => vec![scalar(one)],
            };
            let mut parsed = Vec::new();
            for text in texts {
                match Key::parse(&text) {
                    Some(key) => parsed.push((text, key)),
                    None => self
                        .mistake(&text, format!("there is no key `{text}`; examples: `G`, `ctrl+r`, `pageup`, `f5`")),
                }
            }
            if !parsed.is_empty()
                && let Err(clash) = self.config.keymap.rebind(&name, &parsed)
            {
                self.mistake(&name, clash);
            }
        }
    }

    /// Goes on to a key.
    fn seek(&mut self, key: &str) {
        if let Some(found) = find_word(&self.text[self.at..], key) {
            self.at += found;
        }
    }

    fn unknown(&mut self, what: &str, word: &str, known: &[&str]) {
        let text = match nearest(word, known) {
            Some(near) => format!("there is no {what} `{word}`; did you mean `{near}`?"),
            None => format!("there is no {what} `{word}`; there are {}", known.join(", ")),
        };
        self.mistake(word, text);
    }

    /// A mistake at a word after the present key.
    fn mistake(&mut self, word: &str, text: String) {
        let at = self.at + find_word(&self.text[self.at..], word).unwrap_or_default();
        let before = &self.text[..at];
        let line_begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let place = (before.matches('\n').count() + 1, before[line_begin..].chars().count() + 1);
        self.mistake_at(Some(place), text);
    }

    fn mistake_at(&mut self, place: Option<(usize, usize)>, text: String) {
        self.mistakes.push(Mistake { file: self.file.to_owned(), place, text });
    }
}

/// Where a word stands alone.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    let stands_alone = |at: &usize| {
        let (before, after) = (text[..*at].chars().next_back(), text[at + word.len()..].chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    };
    (!word.is_empty()).then(|| text.match_indices(word).map(|(at, _)| at).find(stands_alone)).flatten()
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => String::new(),
    }
}

/// The known word that is at most two letters away.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let best = known.iter().map(|other| (distance(word, other), *other)).min()?;
    (best.0 <= 2 && best.0 < word.chars().count()).then_some(best.1)
}

/// Letters to put in, leave out or change (Levenshtein 1965).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Action, Context};
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn told(text: &str) -> Vec<String> {
        parse(Path::new("tui.yaml"), text).1.iter().map(Mistake::to_string).collect()
    }

    #[test]
    fn a_proper_file_acts() {
        let text = "theme: light\nglyphs: ascii\nmouse: true\nkeys:\n  freeze: [F, ctrl+x]\n  quit: Q\n";
        let (config, mistakes) = parse(Path::new("tui.yaml"), text);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!((config.theme, config.glyphs, config.mouse), (Some("light"), Some(Glyphs::Ascii), true));
        let pressed = KeyEvent::new(KeyCode::Char('Q'), KeyModifiers::SHIFT);
        assert_eq!(config.keymap.action(&[Context::Global], pressed), Some(Action::Quit));
    }

    #[test]
    fn mistakes_are_told_with_their_place_and_the_nearest_word_and_the_rest_counts() {
        let text = "theme: lihgt\nmous: true\nglyphs: ascii\nkeys:\n  freez: F\n  sort: hyper+x\n  quit: f\n";
        assert_eq!(
            told(text),
            [
                "tui.yaml:1:8: there is no theme `lihgt`; did you mean `light`?",
                "tui.yaml:2:1: there is no key `mous`; did you mean `mouse`?",
                "tui.yaml:5:3: there is no action `freez`; did you mean `freeze`?",
                "tui.yaml:6:9: there is no key `hyper+x`; examples: `G`, `ctrl+r`, `pageup`, `f5`",
                "tui.yaml:7:3: `f` is already the key of `freeze`",
            ]
        );
        assert_eq!(parse(Path::new("tui.yaml"), text).0.glyphs, Some(Glyphs::Ascii));
    }

    #[test]
    fn a_file_that_is_no_yaml_says_where() {
        assert!(told("theme: [light\nmouse").first().expect("a mistake").starts_with("tui.yaml:"));
        assert_eq!(told("- theme"), ["tui.yaml:1:1: a mapping is expected: `theme: light`"]);
        assert!(told("").is_empty());
    }

    #[test]
    fn the_file_is_where_the_desktop_specification_says() {
        let path = |xdg: Option<&str>, home: Option<&str>| path(xdg.map(OsStr::new), home.map(OsStr::new));
        assert_eq!(path(Some("/c"), Some("/h")), Some("/c/wgnet/tui.yaml".into()));
        assert_eq!(path(Some("c"), Some("/h")), Some("/h/.config/wgnet/tui.yaml".into()));
        assert_eq!(path(None, None), None);
    }
}
