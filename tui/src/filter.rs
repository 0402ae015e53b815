//! The filter behind `/`: words separated by blanks, all of which must match.
//!
//! | word | matches |
//! |---|---|
//! | `berlin` | name, address, endpoint or next hop contains it; in the journal: text, subject or kind |
//! | `path:gateway` | the path: `direct`, `gateway`, `unreachable`, `refused`, `foreign` |
//! | `name:al` `via:beta` `address:10.1` `endpoint:192.0` | that field contains it |
//! | `role:leaf` | `gateway` or `leaf` |
//! | `rtt>50` `loss>1` `age>3m` | milliseconds, percent, time since the handshake |
//! | `cost>100` `hops>=2` `rx>1M` `tx<10k` | numbers; k, M, G, T are powers of 1000 |
//! | `kind:link` `severity:warning` | journal: the kind contains it; this severity or a worse one |
//! | `!word` | the opposite |
//! | `"two words"` | blanks and signs as they are; `name:"two words"` likewise |
//!
//! Case does not matter. What is not known (no round trip was measured, on its link or along the way) matches no comparison, and a word about peers
//! matches nothing in the journal; their opposites do match. A word of the list may be cut short (`path:g`), so that a
//! filter can act while it is typed.

use std::fmt;

use wgnet_api::{JournalEntry, PathKind, Peer, Severity};

use crate::data::Figures;

/// What can stand before `:`, `<` or `>`, and what it means: for the help.
pub const KEYS: &[(&str, &str)] = &[
    ("path:", "direct, gateway, unreachable, refused or foreign"),
    ("name:", "part of the name; in the journal, of the subject"),
    ("via:", "part of the next hop's name"),
    ("address:", "part of an overlay address"),
    ("endpoint:", "part of the endpoint"),
    ("role:", "gateway or leaf"),
    ("kind:", "journal: part of the kind"),
    ("severity:", "journal: info, warning or error, and worse"),
    ("rtt>", "round trip in ms"),
    ("loss>", "lost probes in percent"),
    ("age>", "time since the last handshake: 180, 3m, 2h"),
    ("cost>", "cost of the path"),
    ("hops>", "tunnels on the way"),
    ("rx>", "bytes received: 500k, 1.5M, 2G"),
    ("tx>", "bytes sent"),
];

/// A parsed filter. The empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
}

/// What is wrong with the text of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What.
    pub message: String,
    /// The known word nearest to the one that is not known.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)?;
        self.nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean `{nearest}`?"))
    }
}

impl std::error::Error for FilterError {}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    negated: bool,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// Any field contains it, lower-case.
    Any(String),
    /// One field contains it, lower-case.
    Field(Field, String),
    Path(PathWord),
    Gateway(bool),
    Severity(Severity),
    Number(Number, Comparison, f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Via,
    Address,
    Endpoint,
    Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathWord {
    Kind(PathKind),
    Refused,
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Rtt,
    Loss,
    Age,
    Cost,
    Hops,
    Rx,
    Tx,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

const FIELDS: &[(&str, Field)] = &[
    ("name", Field::Name),
    ("via", Field::Via),
    ("address", Field::Address),
    ("endpoint", Field::Endpoint),
    ("kind", Field::Kind),
];

const PATHS: &[(&str, PathWord)] = &[
    ("direct", PathWord::Kind(PathKind::Direct)),
    ("gateway", PathWord::Kind(PathKind::Gateway)),
    ("unreachable", PathWord::Kind(PathKind::Unreachable)),
    ("refused", PathWord::Refused),
    ("foreign", PathWord::Foreign),
];

const ROLES: &[(&str, bool)] = &[("gateway", true), ("leaf", false)];

const SEVERITIES: &[(&str, Severity)] =
    &[("info", Severity::Info), ("warning", Severity::Warning), ("error", Severity::Error)];

const NUMBERS: &[(&str, Number)] = &[
    ("rtt", Number::Rtt),
    ("loss", Number::Loss),
    ("age", Number::Age),
    ("cost", Number::Cost),
    ("hops", Number::Hops),
    ("rx", Number::Rx),
    ("tx", Number::Tx),
];

impl Filter {
    /// Reads the text of a filter.
    ///
    /// # Errors
    /// A word that is not known, or a value that is missing or no number; the error names the column.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let terms = words(text).iter().map(Word::term).collect::<Result<_, _>>()?;
        Ok(Self { terms })
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether `peer` passes. Round trip and loss are those that are shown of it, composed ones, too.
    pub fn matches(&self, peer: &Peer, figures: Figures) -> bool {
        self.terms.iter().all(|term| term.test.peer(peer, figures) != term.negated)
    }

    /// Whether `entry` passes.
    pub fn matches_entry(&self, entry: &JournalEntry) -> bool {
        self.terms.iter().all(|term| term.test.entry(entry) != term.negated)
    }
}

impl Test {
    fn peer(&self, peer: &Peer, figures: Figures) -> bool {
        match self {
            Self::Any(text) => {
                [Field::Name, Field::Address, Field::Endpoint, Field::Via].iter().any(|field| field.peer(peer, text))
            }
            Self::Field(field, text) => field.peer(peer, text),
            Self::Path(PathWord::Kind(kind)) => peer.path == *kind,
            Self::Path(PathWord::Refused) => peer.refused,
            Self::Path(PathWord::Foreign) => peer.foreign,
            Self::Gateway(gateway) => peer.gateway == *gateway,
            Self::Severity(_) => false,
            Self::Number(number, comparison, value) => {
                number.of(peer, figures).is_some_and(|known| comparison.holds(known, *value))
            }
        }
    }

    fn entry(&self, entry: &JournalEntry) -> bool {
        match self {
            Self::Any(text) => [&entry.text, &entry.subject, &entry.kind].iter().any(|field| contains(field, text)),
            Self::Field(Field::Name, text) => contains(&entry.subject, text),
            Self::Field(Field::Kind, text) => contains(&entry.kind, text),
            Self::Severity(severity) => entry.severity >= *severity,
            Self::Field(..) | Self::Path(_) | Self::Gateway(_) | Self::Number(..) => false,
        }
    }
}

impl Field {
    fn peer(self, peer: &Peer, text: &str) -> bool {
        let has = |field: Option<&String>| field.is_some_and(|field| contains(field, text));
        match self {
            Self::Name => contains(&peer.name, text),
            Self::Via => has(peer.via.as_ref()),
            Self::Address => {
                contains(&peer.address, text) || peer.addresses.iter().any(|address| contains(address, text))
            }
            Self::Endpoint => has(peer.endpoint.as_ref()),
            Self::Kind => false,
        }
    }
}

impl Number {
    fn of(self, peer: &Peer, figures: Figures) -> Option<f64> {
        match self {
            Self::Rtt => figures.rtt_ms,
            Self::Loss => figures.loss.map(|share| share * 100.0),
            Self::Age => peer.handshake_age_s.map(|age| age as f64),
            Self::Cost => peer.cost.map(|cost| cost as f64),
            Self::Hops => (peer.path != PathKind::Unreachable).then_some(f64::from(peer.hops)),
            Self::Rx => Some(peer.rx_bytes as f64),
            Self::Tx => Some(peer.tx_bytes as f64),
        }
    }

    /// What a unit after the number multiplies it by.
    fn unit(self, unit: &str) -> Option<f64> {
        match (self, unit) {
            (_, "") => Some(1.0),
            (Self::Rtt, "ms") | (Self::Loss, "%") | (Self::Age, "s") => Some(1.0),
            (Self::Rtt, "s") => Some(1e3),
            (Self::Age, "m" | "min") => Some(60.0),
            (Self::Age, "h") => Some(3_600.0),
            (Self::Age, "d") => Some(86_400.0),
            (Self::Rx | Self::Tx, _) => match unit.trim_end_matches(['b', 'B']) {
                "" => Some(1.0),
                "k" | "K" => Some(1e3),
                "m" | "M" => Some(1e6),
                "g" | "G" => Some(1e9),
                "t" | "T" => Some(1e12),
                _ => None,
            },
            _ => None,
        }
    }

    /// Units for the error about one that is not known.
    fn units(self) -> &'static str {
        match self {
            Self::Rtt => "ms or s",
            Self::Loss => "%",
            Self::Age => "s, m, h or d",
            Self::Cost | Self::Hops => "no unit",
            Self::Rx | Self::Tx => "k, M, G or T",
        }
    }
}

impl Comparison {
    fn holds(self, known: f64, value: f64) -> bool {
        match self {
            Self::Less => known < value,
            Self::AtMost => known <= value,
            Self::Equal => known == value,
            Self::AtLeast => known >= value,
            Self::More => known > value,
        }
    }
}

/// Whether `text` contains `part`, which is lower-case, in any case.
fn contains(text: &str, part: &str) -> bool {
    if text.is_ascii() && part.is_ascii() {
        let (text, part) = (text.as_bytes(), part.as_bytes());
        return part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    }
    text.to_lowercase().contains(part)
}

/// One word of the text: its characters, each with whether it stood in quotes.
struct Word {
    column: usize,
    characters: Vec<(char, bool)>,
}

/// Splits at blanks outside of quotes. A quote left open ends with the text: it is being typed.
fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut quoted, mut inside) = (false, false);
    for (at, character) in text.chars().enumerate() {
        if character == '"' {
            quoted = !quoted;
        }
        if character.is_whitespace() && !quoted {
            inside = false;
            continue;
        }
        if !inside {
            words.push(Word { column: at + 1, characters: Vec::new() });
            inside = true;
        }
        if character != '"'
            && let Some(word) = words.last_mut()
        {
            word.characters.push((character, quoted));
        }
    }
    words.retain(|word| !word.characters.is_empty());
    words
}

impl Word {
    fn term(&self) -> Result<Term, FilterError> {
        let negated = self.characters[0] == ('!', false);
        let rest = &self.characters[usize::from(negated)..];
        let column = self.column + usize::from(negated);
        if rest.is_empty() {
            return Err(error(column, "what must not match is missing"));
        }
        Ok(Term { negated, test: test(rest, column)? })
    }
}

fn test(word: &[(char, bool)], column: usize) -> Result<Test, FilterError> {
    let text = |part: &[(char, bool)]| part.iter().map(|(character, _)| *character).collect::<String>();
    let sign = word.iter().position(|(character, quoted)| !quoted && matches!(character, ':' | '<' | '>' | '='));
    // An address (`fd00::1`, `192.0.2.1:51820`) is searched for, not taken apart.
    let is_address = word.iter().all(|(character, _)| character.is_ascii_hexdigit() || matches!(character, ':' | '.'));
    let Some(sign) = sign.filter(|sign| *sign > 0 && !is_address) else {
        return Ok(Test::Any(text(word).to_lowercase()));
    };
    let key = text(&word[..sign]).to_lowercase();
    let (comparison, length) = match (word[sign].0, word.get(sign + 1)) {
        ('<', Some(('=', false))) => (Comparison::AtMost, 2),
        ('>', Some(('=', false))) => (Comparison::AtLeast, 2),
        ('<', _) => (Comparison::Less, 1),
        ('>', _) => (Comparison::More, 1),
        _ => (Comparison::Equal, 1),
    };
    let value = text(&word[sign + length..]);
    let place = column + sign + length;
    if value.is_empty() {
        return Err(error(place, format!("a value is missing after `{}`", text(word))));
    }
    if let Some((_, number)) = NUMBERS.iter().find(|(name, _)| *name == key) {
        return Ok(Test::Number(*number, comparison, quantity(*number, &value, place)?));
    }
    if comparison != Comparison::Equal {
        return Err(unknown(column, &key, NUMBERS, "number to compare"));
    }
    let value = value.to_lowercase();
    if let Some((_, field)) = FIELDS.iter().find(|(name, _)| *name == key) {
        return Ok(Test::Field(*field, value));
    }
    match key.as_str() {
        "path" => one_of(&value, PATHS, place, "path").map(Test::Path),
        "role" => one_of(&value, ROLES, place, "role").map(Test::Gateway),
        "severity" => one_of(&value, SEVERITIES, place, "severity").map(Test::Severity),
        _ => {
            let known: Vec<(&str, ())> = KEYS.iter().map(|(word, _)| (word.trim_end_matches([':', '>']), ())).collect();
            Err(unknown(column, &key, &known, "word to filter by (in quotes, it is searched for as text)"))
        }
    }
}

fn quantity(number: Number, text: &str, column: usize) -> Result<f64, FilterError> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let amount: f64 = amount.parse().map_err(|_| error(column, format!("`{text}` is not a number")))?;
    let factor = number.unit(unit).ok_or_else(|| {
        error(column + digits, format!("the unit `{unit}` does not fit here: {} would", number.units()))
    })?;
    Ok(amount * factor)
}

/// The meaning of a word of a list, which may be cut short.
fn one_of<T: Copy>(
    value: &str,
    list: &[(&'static str, T)],
    column: usize,
    what: &'static str,
) -> Result<T, FilterError> {
    let found = list.iter().find(|(word, _)| word.starts_with(value));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| unknown(column, value, list, what))
}

fn error(column: usize, message: impl Into<String>) -> FilterError {
    FilterError { column, message: message.into(), nearest: None }
}

fn unknown<T>(column: usize, word: &str, known: &[(&'static str, T)], what: &str) -> FilterError {
    let nearest = known.iter().map(|(name, _)| (distance(word, name), *name)).min();
    let nearest = nearest.filter(|(distance, name)| *distance * 2 < name.len()).map(|(_, name)| name);
    FilterError { column, message: format!("`{word}` is no {what}"), nearest }
}

/// Letters to insert, drop, replace or swap with the next one until `a` is `b` (optimal string alignment distance).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests;
