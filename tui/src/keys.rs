//! The one table of keys. It drives what a key does, the footer, the help, the command palette, the user's own keys and
//! the table in the README.

use std::fmt::Write as _;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::model::Screen;

/// Where a key means something. What is more special is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Everywhere.
    Global,
    /// On the list of peers.
    Peers,
    /// On the page of one peer.
    Peer,
    /// On the list of routes.
    Routes,
    /// On the matrix.
    Matrix,
    /// On the journal.
    Journal,
    /// Where a question waits for yes or no.
    Confirm,
    /// While a moment is held.
    Frozen,
    /// While a recording plays.
    Replay,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// End the dashboard.
    Quit,
    /// Show or hide all keys.
    Help,
    /// Open the command palette.
    Palette,
    /// Show a screen.
    Go(Screen),
    /// Show the next screen.
    NextScreen,
    /// Show the screen before.
    LastScreen,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One column to the left.
    Left,
    /// One column to the right.
    Right,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Open what is under the cursor.
    Open,
    /// Close what is open.
    Back,
    /// Hold this moment, or go on.
    Freeze,
    /// To the moment before.
    Earlier,
    /// To the moment after.
    Later,
    /// Put what is under the cursor into the clipboard.
    Copy,
    /// Hide names, addresses and keys, or show them.
    Privacy,
    /// The next theme.
    Theme,
    /// Take the mouse, or leave it to the terminal.
    Mouse,
    /// Write the screen as SVG.
    Export,
    /// Write what is known at this moment as JSON.
    ExportJson,
    /// Edit the filter.
    Filter,
    /// Sort by the next column.
    Sort,
    /// Sort by the column before.
    SortBack,
    /// Turn the order around.
    Reverse,
    /// Probe the peer.
    Probe,
    /// Round trips or loss.
    Metric,
    /// Hold the journal, or follow it.
    Hold,
    /// Ages or times of day.
    Times,
    /// Yes.
    Yes,
    /// No.
    No,
    /// Stop or play the recording.
    Play,
    /// Play slower.
    Slower,
    /// Play faster.
    Faster,
    /// Ten seconds back in the recording.
    SeekBack,
    /// Ten seconds on in the recording.
    SeekOn,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Where it holds.
    pub context: Context,
    /// Its keys as users write them, the one to show first.
    pub keys: &'static [&'static str],
    /// What it does.
    pub action: Action,
    /// The word for it in the user's configuration and the palette.
    pub name: &'static str,
    /// One or two words for the footer.
    pub label: &'static str,
    /// A sentence for the help.
    pub help: &'static str,
    /// How much it deserves a place in the footer; 0: none.
    pub priority: u8,
    /// Whether it changes the mesh.
    pub dangerous: bool,
}

const fn key(
    context: Context,
    keys: &'static [&'static str],
    action: Action,
    name: &'static str,
    label: &'static str,
    help: &'static str,
    priority: u8,
) -> Binding {
    Binding { context, keys, action, name, label, help, priority, dangerous: false }
}

/// Every key there is.
#[rustfmt::skip]
pub const TABLE: &[Binding] = &[
    key(Context::Global, &["?", "f1"], Action::Help, "help", "help", "Show or hide all keys.", 100),
    key(Context::Global, &["q", "ctrl+c"], Action::Quit, "quit", "quit", "End the dashboard; the daemon goes on.", 99),
    key(Context::Global, &[":"], Action::Palette, "palette", "command", "Run a command by name: `peer NAME`, `why A B`, `goto SCREEN`, or any action.", 60),
    key(Context::Global, &["1"], Action::Go(Screen::Overview), "overview", "overview", "Show this node, its health and what changed last.", 0),
    key(Context::Global, &["2"], Action::Go(Screen::Peers), "peers", "peers", "Show every peer and the path to it.", 0),
    key(Context::Global, &["3"], Action::Go(Screen::Routes), "routes", "routes", "Show next hops, costs and the second best ways.", 0),
    key(Context::Global, &["4"], Action::Go(Screen::Map), "map", "map", "Show the mesh as a drawing.", 0),
    key(Context::Global, &["5"], Action::Go(Screen::Matrix), "matrix", "matrix", "Show round trips or loss between all nodes.", 0),
    key(Context::Global, &["6"], Action::Go(Screen::Journal), "journal", "journal", "Show what happened.", 0),
    key(Context::Global, &["7"], Action::Go(Screen::Admin), "admin", "admin", "Change something, with a forecast first.", 0),
    key(Context::Global, &["tab"], Action::NextScreen, "next-screen", "next", "Show the next screen.", 0),
    key(Context::Global, &["shift+tab"], Action::LastScreen, "last-screen", "previous", "Show the screen before.", 0),
    key(Context::Global, &["enter"], Action::Open, "open", "open", "Open what is under the cursor.", 70),
    key(Context::Global, &["esc", "backspace"], Action::Back, "back", "back", "Close what is open, clear the filter, let a held moment go.", 0),
    key(Context::Global, &["up", "k"], Action::Up, "up", "up", "One row up.", 0),
    key(Context::Global, &["down", "j"], Action::Down, "down", "down", "One row down.", 0),
    key(Context::Global, &["left", "h"], Action::Left, "left", "left", "One column to the left.", 0),
    key(Context::Global, &["right", "l"], Action::Right, "right", "right", "One column to the right.", 0),
    key(Context::Global, &["pageup", "ctrl+b"], Action::PageUp, "page-up", "page up", "One page up.", 0),
    key(Context::Global, &["pagedown", "ctrl+f"], Action::PageDown, "page-down", "page down", "One page down.", 0),
    key(Context::Global, &["home", "g"], Action::First, "first", "first", "To the first row.", 0),
    key(Context::Global, &["end", "G"], Action::Last, "last", "last", "To the last row.", 0),
    key(Context::Global, &["f"], Action::Freeze, "freeze", "freeze", "Hold this moment, or go on with the present.", 50),
    key(Context::Global, &["["], Action::Earlier, "earlier", "earlier", "Hold the moment before.", 0),
    key(Context::Global, &["]"], Action::Later, "later", "later", "Hold the moment after.", 0),
    key(Context::Global, &["y"], Action::Copy, "copy", "copy", "Copy what is under the cursor (needs a terminal that knows OSC 52).", 20),
    key(Context::Global, &["p"], Action::Privacy, "privacy", "privacy", "Show pseudonyms instead of names, addresses and keys, or the real ones again.", 15),
    key(Context::Global, &["t"], Action::Theme, "theme", "theme", "The next theme: dark, light, colour-blind, mono.", 12),
    key(Context::Global, &["m"], Action::Mouse, "mouse", "mouse", "Take the mouse for rows and tabs, or leave it to the terminal, which can select text then.", 10),
    key(Context::Global, &["e"], Action::Export, "export", "export", "Write this screen as an SVG file into the working directory.", 8),
    key(Context::Global, &["E"], Action::ExportJson, "export-json", "JSON", "Write what is known at this moment as a JSON file into the working directory.", 0),

    key(Context::Peers, &["/"], Action::Filter, "filter", "filter", "Show only some: `path:gateway rtt>50 loss>1 name`.", 80),
    key(Context::Peers, &["s"], Action::Sort, "sort", "sort", "Sort by the next column.", 75),
    key(Context::Peers, &["S"], Action::SortBack, "sort-back", "sort back", "Sort by the column before.", 0),
    key(Context::Peers, &["r"], Action::Reverse, "reverse", "reverse", "Turn the order around.", 40),
    key(Context::Peers, &["n"], Action::Probe, "probe", "probe now", "Probe the peer now instead of when it is due.", 30),

    key(Context::Peer, &["n"], Action::Probe, "probe", "probe now", "Probe the peer now instead of when it is due.", 70),

    key(Context::Routes, &["/"], Action::Filter, "filter", "filter", "Show only some: `path:gateway rtt>50 loss>1 name`.", 80),

    key(Context::Matrix, &["x"], Action::Metric, "metric", "RTT/loss", "Show round trips or loss.", 80),

    key(Context::Journal, &["/"], Action::Filter, "filter", "filter", "Show only some: a word, or `kind:path severity:warning`.", 80),
    key(Context::Journal, &["z"], Action::Hold, "hold", "hold", "Hold the list still, or follow what happens.", 75),
    key(Context::Journal, &["a"], Action::Times, "times", "times", "Show ages, or times of day (UTC).", 40),

    Binding { context: Context::Confirm, keys: &["y"], action: Action::Yes, name: "yes", label: "yes, do it", help: "Do what was asked for.", priority: 98, dangerous: true },
    key(Context::Confirm, &["n", "esc"], Action::No, "no", "no", "Do nothing.", 97),

    key(Context::Frozen, &["left"], Action::Earlier, "earlier", "earlier", "Hold the moment before.", 85),
    key(Context::Frozen, &["right"], Action::Later, "later", "later", "Hold the moment after.", 84),

    key(Context::Replay, &["space"], Action::Play, "play", "play/pause", "Stop or play the recording.", 90),
    key(Context::Replay, &["-"], Action::Slower, "slower", "slower", "Play at half the speed.", 22),
    key(Context::Replay, &["+", "="], Action::Faster, "faster", "faster", "Play at twice the speed.", 24),
    key(Context::Replay, &["<", ","], Action::SeekBack, "seek-back", "-10s", "Ten seconds back in the recording.", 21),
    key(Context::Replay, &[">", "."], Action::SeekOn, "seek-on", "+10s", "Ten seconds on in the recording.", 23),
];

/// A key with what is held down with it. Shift is part of the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Key {
    /// The key of an event.
    pub fn of(event: KeyEvent) -> Self {
        let held = event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT);
        match event.code {
            KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => {
                Self { code: KeyCode::BackTab, modifiers: held }
            }
            code => Self { code, modifiers: held },
        }
    }

    /// The key that people write `ctrl+r`, `pageup`, `G`; `None` if there is none of that name.
    pub fn parse(text: &str) -> Option<Self> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((held, after)) = rest.split_once('+').filter(|(_, after)| !after.is_empty()) {
            modifiers |= match held {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" if after == "tab" => KeyModifiers::NONE,
                _ => return None,
            };
            rest = if held == "shift" { "backtab" } else { after };
        }
        let mut letters = rest.chars();
        let code = match (letters.next()?, letters.next()) {
            (letter, None) if !letter.is_control() && letter != ' ' => KeyCode::Char(letter),
            _ => match rest {
                "enter" => KeyCode::Enter,
                "esc" => KeyCode::Esc,
                "tab" => KeyCode::Tab,
                "backtab" => KeyCode::BackTab,
                "backspace" => KeyCode::Backspace,
                "space" => KeyCode::Char(' '),
                "up" => KeyCode::Up,
                "down" => KeyCode::Down,
                "left" => KeyCode::Left,
                "right" => KeyCode::Right,
                "home" => KeyCode::Home,
                "end" => KeyCode::End,
                "pageup" => KeyCode::PageUp,
                "pagedown" => KeyCode::PageDown,
                "insert" => KeyCode::Insert,
                "delete" => KeyCode::Delete,
                _ => KeyCode::F(rest.strip_prefix('f')?.parse().ok().filter(|number| (1..=12).contains(number))?),
            },
        };
        Some(Self { code, modifiers })
    }
}

/// The table with the user's own keys.
#[derive(Clone, Debug)]
pub struct Keymap {
    rows: Vec<(Binding, Vec<(String, Key)>)>,
}

impl Default for Keymap {
    fn default() -> Self {
        let parsed = |text: &&str| Key::parse(text).map(|key| ((*text).to_owned(), key));
        Self { rows: TABLE.iter().map(|row| (row.clone(), row.keys.iter().filter_map(parsed).collect())).collect() }
    }
}

impl Keymap {
    /// Gives an action other keys, in every context where it has some.
    ///
    /// # Errors
    ///
    /// A key that means something else where the action has its place; nothing is changed then.
    pub fn rebind(&mut self, name: &str, keys: &[(String, Key)]) -> Result<(), String> {
        let contexts: Vec<_> =
            self.rows.iter().filter(|(row, _)| row.name == name).map(|(row, _)| row.context).collect();
        for (row, theirs) in self.rows.iter().filter(|(row, _)| row.name != name && contexts.contains(&row.context)) {
            if let Some((text, _)) = keys.iter().find(|(_, key)| theirs.iter().any(|(_, taken)| taken == key)) {
                return Err(format!("`{text}` is already the key of `{}`", row.name));
            }
        }
        for (_, theirs) in self.rows.iter_mut().filter(|(row, _)| row.name == name) {
            theirs.clear();
            theirs.extend_from_slice(keys);
        }
        Ok(())
    }

    /// What a key does; the first context in which it means something decides.
    pub fn action(&self, contexts: &[Context], event: KeyEvent) -> Option<Action> {
        let pressed = Key::of(event);
        contexts.iter().find_map(|context| {
            let here = self.rows.iter().filter(|(row, _)| row.context == *context);
            here.into_iter().find(|(_, keys)| keys.iter().any(|(_, key)| *key == pressed)).map(|(row, _)| row.action)
        })
    }

    /// The rows of these contexts, each with its keys; those of the first context first. What a more special context
    /// takes over is left out.
    pub fn rows(&self, contexts: &[Context]) -> Vec<(&Binding, Vec<&str>)> {
        let mut rows: Vec<(&Binding, Vec<&str>)> = Vec::new();
        for context in contexts {
            for (row, keys) in self.rows.iter().filter(|(row, _)| row.context == *context) {
                let keys: Vec<&str> = keys.iter().map(|(text, _)| text.as_str()).collect();
                let is_free = |key: &&&str| !rows.iter().any(|(_, theirs)| theirs.contains(*key));
                let keys: Vec<&str> = keys.iter().filter(is_free).copied().collect();
                if !keys.is_empty() {
                    rows.push((row, keys));
                }
            }
        }
        rows
    }
}

/// The table as Markdown, for the README.
pub fn markdown() -> String {
    let mut out = String::from("| where | key | what it does |\n|---|---|---|\n");
    for row in TABLE {
        let keys = row.keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" ");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {} | {keys} | {} |", row.context.name(), row.help);
    }
    out
}

impl Context {
    /// As the help and the README call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Global => "everywhere",
            Self::Peers => "peers",
            Self::Peer => "one peer",
            Self::Routes => "routes",
            Self::Matrix => "matrix",
            Self::Journal => "journal",
            Self::Confirm => "a question",
            Self::Frozen => "a held moment",
            Self::Replay => "a replay",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_readme_has_this_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let readme = std::fs::read_to_string(&path).expect("there is a README");
        let (head, rest) = readme.split_once("writes this table -->\n").expect("a place for the table");
        let (table, tail) = rest.split_once("<!-- end of keys -->").expect("an end of the table");
        if std::env::var_os("WGNET_UPDATE_SCREENS").is_some() {
            let text = format!("{head}writes this table -->\n{}<!-- end of keys -->{tail}", markdown());
            std::fs::write(&path, text).expect("the README can be written");
            return;
        }
        assert_eq!(table, markdown(), "run `WGNET_UPDATE_SCREENS=1 cargo test -p wgnet-tui readme`");
    }

    #[test]
    fn no_key_means_two_things_in_one_context() {
        let mut seen = BTreeSet::new();
        for row in TABLE {
            for key in row.keys {
                assert!(seen.insert((row.context, *key)), "{key} clashes in {:?}", row.context);
            }
        }
    }

    #[test]
    fn every_action_has_a_key_that_exists_a_label_and_help() {
        for row in TABLE {
            assert!(!row.keys.is_empty() && !row.label.is_empty(), "{}", row.name);
            assert!(row.help.ends_with('.') && row.help.len() > 3, "{}", row.name);
            for key in row.keys {
                assert!(Key::parse(key).is_some(), "{key} of {}", row.name);
            }
        }
    }

    #[test]
    fn one_name_is_one_action() {
        for row in TABLE {
            for other in TABLE.iter().filter(|other| other.name == row.name) {
                assert_eq!(row.action, other.action, "{}", row.name);
            }
        }
    }

    #[test]
    fn every_screen_has_a_key() {
        for screen in Screen::ALL {
            assert!(TABLE.iter().any(|row| row.action == Action::Go(screen)), "{screen:?}");
        }
    }

    #[test]
    fn keys_are_read_as_people_write_them() {
        let press = |code, modifiers| Key::of(KeyEvent::new(code, modifiers));
        assert_eq!(Key::parse("G"), Some(press(KeyCode::Char('G'), KeyModifiers::SHIFT)));
        assert_eq!(Key::parse("ctrl+c"), Some(press(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert_eq!(Key::parse("shift+tab"), Some(press(KeyCode::BackTab, KeyModifiers::SHIFT)));
        assert_eq!(Key::parse("+"), Some(press(KeyCode::Char('+'), KeyModifiers::SHIFT)));
        assert_eq!(Key::parse("f12"), Some(press(KeyCode::F(12), KeyModifiers::NONE)));
        for nonsense in ["", "f13", "hyper+x", "pgup", "ctrl+", "xx"] {
            assert_eq!(Key::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_users_keys_replace_the_built_in_ones() {
        let mut keymap = Keymap::default();
        let key = |text: &str| (text.to_owned(), Key::parse(text).expect("a key"));
        let pressed = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE);
        keymap.rebind("freeze", &[key("b")]).expect("free");
        assert_eq!(keymap.action(&[Context::Global], pressed('b')), Some(Action::Freeze));
        assert_eq!(keymap.action(&[Context::Global], pressed('f')), None);
        let refused = keymap.rebind("freeze", &[key("q")]).expect_err("taken");
        assert_eq!(refused, "`q` is already the key of `quit`");
        assert_eq!(keymap.action(&[Context::Global], pressed('q')), Some(Action::Quit));
    }

    #[test]
    fn the_readmes_table_names_every_key() {
        let table = markdown();
        assert!(TABLE.iter().all(|row| row.keys.iter().all(|key| table.contains(&format!("`{key}`")))));
    }
}
