//! The dashboard's whole state. [`crate::update`] changes it, [`crate::view`] draws it.

use std::collections::BTreeMap;

use ratatui::layout::Rect;
use tui_input::Input;
use wgnet_api::{JournalEntry, Peer, Plan, Reload, Severity, Why};

use crate::admin::Admin;
use crate::data::Data;
use crate::depth::Depth;
use crate::filter::Filter;
use crate::glyph::Glyphs;
use crate::keys::{Context, Keymap};
use crate::layout;
use crate::list::Cursor;
use crate::message::{Playing, Refused};
use crate::peers::Sort;
use crate::theme::Theme;

/// The screens, in the order of their tabs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Screen {
    /// This node, its health, what changed last.
    #[default]
    Overview,
    /// Every peer.
    Peers,
    /// Next hops and costs.
    Routes,
    /// The mesh as a drawing.
    Map,
    /// Round trips and loss between all nodes.
    Matrix,
    /// What happened.
    Journal,
    /// What can be changed.
    Admin,
}

impl Screen {
    /// Every one, in the order of the tabs.
    pub const ALL: [Self; 7] =
        [Self::Overview, Self::Peers, Self::Routes, Self::Map, Self::Matrix, Self::Journal, Self::Admin];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Peers => "Peers",
            Self::Routes => "Routes",
            Self::Map => "Map",
            Self::Matrix => "Matrix",
            Self::Journal => "Journal",
            Self::Admin => "Admin",
        }
    }

    /// The screen of a title, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|screen| screen.title().eq_ignore_ascii_case(name))
    }
}

/// How the dashboard hangs on its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Not there yet.
    Connecting,
    /// Told as it happens.
    Live,
    /// Gone.
    Lost {
        /// Why.
        why: String,
        /// Since when, in the dashboard's milliseconds.
        since_ms: u64,
        /// When it is tried again.
        retry_at: Option<u64>,
    },
}

/// What things look like here.
#[derive(Clone, Debug)]
pub struct Look {
    /// Name of the theme.
    pub name: &'static str,
    /// The theme, reduced to what the terminal shows.
    pub theme: Theme,
    /// What the terminal shows.
    pub depth: Depth,
    /// Which characters it has.
    pub glyphs: Glyphs,
}

impl Look {
    /// A theme for a terminal.
    pub fn new(name: &'static str, depth: Depth, glyphs: Glyphs) -> Self {
        let theme = Theme::named(name).unwrap_or_else(Theme::dark).reduced(depth);
        Self { name, theme, depth, glyphs }
    }
}

impl Default for Look {
    fn default() -> Self {
        Self::new("dark", Depth::True, Glyphs::Unicode)
    }
}

/// A line for the user that goes away by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What to say.
    pub text: String,
    /// How bad it is.
    pub severity: Severity,
    /// Until when, in the dashboard's milliseconds.
    pub until_ms: u64,
}

/// A page that lies on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// One peer, by its identity.
    Peer {
        /// [`Peer::id`], as shown.
        id: String,
        /// Rows scrolled away.
        scroll: usize,
    },
    /// Why packets between two nodes travel as they do.
    Why {
        /// Name of the first node, as shown.
        from: String,
        /// Name of the last one.
        to: String,
        /// Rows scrolled away.
        scroll: usize,
    },
}

/// What is laid over everything.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// All keys, scrolled by so many rows.
    Help(usize),
    /// The command palette: what was typed, and which suggestion is chosen.
    Palette(Input, usize),
    /// The filter is edited: what was typed, and the filter before.
    Filter(Input, String),
}

/// What is filtered, with its text.
#[derive(Clone, Debug, Default)]
pub struct Sieve {
    /// As typed.
    pub text: String,
    /// As understood; the last one that was while the text is not.
    pub filter: Filter,
    /// What is wrong with the text.
    pub mistake: Option<String>,
}

impl Sieve {
    /// Takes what was typed.
    pub fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        match Filter::parse(text) {
            Ok(filter) => (self.filter, self.mistake) = (filter, None),
            Err(mistake) => self.mistake = Some(mistake.to_string()),
        }
    }
}

/// The list of peers.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// Which one is chosen.
    pub cursor: Cursor,
    /// By what they are sorted.
    pub sort: Sort,
    /// Whether the other way around.
    pub reverse: bool,
    /// Which are shown.
    pub sieve: Sieve,
}

/// The list of routes.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// Which one is chosen.
    pub cursor: Cursor,
    /// Which are shown.
    pub sieve: Sieve,
}

/// The journal.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Which event is chosen, by its time and number; `None` follows the last one.
    pub cursor: Option<Cursor>,
    /// Which are shown.
    pub sieve: Sieve,
    /// The number of events when it was held.
    pub held_at: Option<(u64, u64)>,
    /// Whether times of day are shown.
    pub absolute: bool,
}

/// The matrix.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// Row and column of the cursor.
    pub cursor: (usize, usize),
    /// Whether loss is shown rather than round trips.
    pub loss: bool,
}

/// An explanation that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Explained {
    /// It is on its way.
    Asked,
    /// It came.
    Known(Box<Why>),
    /// It was refused.
    Refused(Refused),
}

/// A forecast or a dry run.
#[derive(Clone, Debug, PartialEq)]
pub enum Forecast {
    /// What would move.
    Plan(Plan),
    /// What would be different.
    Reload(Reload),
    /// There is nothing to forecast, and why.
    None(&'static str),
    /// It was refused.
    Refused(Refused),
}

/// Everything.
pub struct Model {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The dashboard's clock at the last message, in milliseconds.
    pub now_ms: u64,
    /// Colours and characters.
    pub look: Look,
    /// The keys.
    pub keymap: Keymap,
    /// Where what is shown comes from, in words.
    pub place: String,
    /// Whether it comes.
    pub connection: Connection,
    /// How far a replay is; `None`: it is no replay.
    pub playing: Option<Playing>,
    /// What is known.
    pub data: Data,
    /// Which screen is shown.
    pub screen: Screen,
    /// Pages on it, the last one is seen.
    pub pages: Vec<Page>,
    /// What is laid over everything.
    pub overlay: Option<Overlay>,
    /// A line for the user.
    pub notice: Option<Notice>,
    /// Whether the mouse is taken.
    pub mouse: bool,
    /// The list of peers.
    pub peers: Peers,
    /// The list of routes.
    pub routes: Routes,
    /// Name of the node that is chosen on the map.
    pub chosen_node: Option<String>,
    /// The matrix.
    pub matrix: Matrix,
    /// The journal.
    pub journal: Journal,
    /// What is being changed.
    pub admin: Admin,
    /// Explanations by real names of both ends.
    pub explained: BTreeMap<(String, String), Explained>,
}

impl Model {
    /// A dashboard that knows nothing yet.
    pub fn new(look: Look, keymap: Keymap) -> Self {
        Self {
            size: (80, 24),
            now_ms: 0,
            look,
            keymap,
            place: String::new(),
            connection: Connection::Connecting,
            playing: None,
            data: Data::default(),
            screen: Screen::default(),
            pages: Vec::new(),
            overlay: None,
            notice: None,
            mouse: false,
            peers: Peers::default(),
            routes: Routes::default(),
            chosen_node: None,
            matrix: Matrix::default(),
            journal: Journal::default(),
            admin: Admin::default(),
            explained: BTreeMap::new(),
        }
    }

    /// The whole terminal.
    pub fn area(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }

    /// The daemon's wall clock at the shown moment, in milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        self.data.time_ms(self.now_ms)
    }

    /// Where keys mean something now, the most special place first.
    pub fn contexts(&self) -> Vec<Context> {
        let mut contexts = Vec::new();
        if self.screen == Screen::Admin && self.admin.is_asking() {
            contexts.push(Context::Confirm);
        }
        match (self.pages.last(), self.screen) {
            (Some(Page::Peer { .. }), _) => contexts.push(Context::Peer),
            (Some(Page::Why { .. }), _) => {}
            (None, Screen::Peers) => contexts.push(Context::Peers),
            (None, Screen::Routes) => contexts.push(Context::Routes),
            (None, Screen::Matrix) => contexts.push(Context::Matrix),
            (None, Screen::Journal) => contexts.push(Context::Journal),
            (None, Screen::Overview | Screen::Map | Screen::Admin) => {}
        }
        // On the map and the matrix the arrows move the cursor.
        let arrows_are_free = !self.pages.is_empty() || !matches!(self.screen, Screen::Map | Screen::Matrix);
        if self.data.is_held() && arrows_are_free {
            contexts.push(Context::Frozen);
        }
        if self.playing.is_some() {
            contexts.push(Context::Replay);
        }
        contexts.push(Context::Global);
        contexts
    }

    /// The peers that are listed, in their order.
    pub fn listed_peers(&self) -> Vec<&Peer> {
        let Some(shown) = self.data.shown() else { return Vec::new() };
        let mut peers = self.sifted(&shown.status.peers, &self.peers.sieve);
        self.peers.sort.apply(&mut peers, &self.data, self.time_ms());
        if self.peers.reverse {
            peers.reverse();
        }
        peers
    }

    /// The peers whose routes are listed.
    pub fn listed_routes(&self) -> Vec<&Peer> {
        let Some(shown) = self.data.shown() else { return Vec::new() };
        self.sifted(&shown.status.peers, &self.routes.sieve)
    }

    fn sifted<'a>(&self, peers: &'a [Peer], sieve: &Sieve) -> Vec<&'a Peer> {
        peers.iter().filter(|peer| sieve.filter.matches(peer, self.data.figures(peer))).collect()
    }

    /// The events that are listed, oldest first.
    pub fn listed_events(&self) -> Vec<&JournalEntry> {
        let until = self.journal.held_at.unwrap_or((u64::MAX, u64::MAX));
        let is_listed = |entry: &&JournalEntry| {
            (entry.time_ms, entry.number) <= until && self.journal.sieve.filter.matches_entry(entry)
        };
        self.data.journal().filter(is_listed).collect()
    }

    /// Names of the nodes in the order of the matrix.
    pub fn matrix_names(&self) -> Vec<String> {
        let nodes = self.data.shown().map(|shown| shown.mesh.nodes.as_slice()).unwrap_or_default();
        nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// The explanation of the way between two shown names.
    pub fn explanation(&self, from: &str, to: &str) -> Option<&Explained> {
        self.explained.get(&(self.data.real_name(from), self.data.real_name(to)))
    }

    /// Says something for so many seconds.
    pub fn say(&mut self, severity: Severity, text: impl Into<String>, seconds: u64) {
        self.notice = Some(Notice { text: text.into(), severity, until_ms: self.now_ms + seconds * 1_000 });
    }

    /// Rows of the body, as the layout has them.
    pub fn body_height(&self) -> usize {
        usize::from(layout::frame(self.area()).body.height)
    }
}

/// What tells an event from all others, also across starts of the daemon.
pub fn event_id(entry: &JournalEntry) -> String {
    format!("{}-{}", entry.time_ms, entry.number)
}
