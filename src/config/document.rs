//! A YAML file as a tree in which every value knows its line and column.
//!
//! The parser is saphyr-parser, which gives events with positions; this file only stacks them. A tree instead of
//! typed structs, because one run must name *every* mistake of a file with the position of the offending value, and
//! a typed deserializer stops at the first one and knows no positions afterwards.
//!
//! Anchors, aliases and merge keys (`<<`) work. Depth and size are bounded, so that no file, however made, costs more
//! than its own size in time, memory or stack.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use zeroize::Zeroizing;

use super::diagnostic::{Diagnostic, Findings, Origin, quoted};

/// Largest file that is read, in bytes: some ten thousand peers.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// Most nodes of a tree, aliases counted with all they stand for ("billion laughs" would be 10^9).
const MAX_NODES: usize = 100_000;
/// Deepest nesting; the files have three levels.
const MAX_DEPTH: usize = 16;

/// One value.
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) kind: Kind,
    /// Count of nodes in it, aliases counted with all they stand for.
    size: usize,
}

/// What a value is. No `Debug`: scalars may be secrets.
pub(crate) enum Kind {
    /// No value at all, `~` or `null`.
    Null,
    /// Text; `plain` when it stands without quotes, so that it may also be a number or a boolean.
    Scalar { text: Zeroizing<String>, plain: bool },
    /// A list.
    Sequence(Vec<Rc<Node>>),
    /// Keys and values, in the order of the text.
    Mapping(Vec<(Rc<Node>, Rc<Node>)>),
}

impl Node {
    /// What the value is, for messages.
    pub(crate) fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a set of keys",
        }
    }
}

/// Parses `text`. `None` when there is nothing in it or when `findings` tells why it cannot be used.
pub(crate) fn parse(text: &[u8], file: &Arc<str>, findings: &mut Findings) -> Option<Rc<Node>> {
    let at = |line, column| Origin::File { file: Arc::clone(file), line, column };
    if text.len() > MAX_BYTES {
        return findings.error(
            &Origin::WholeFile(Arc::clone(file)),
            format!("is larger than {MAX_BYTES} bytes"),
            "is it the right file?",
        );
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&text[..error.valid_up_to()]);
            let line = valid.matches('\n').count() + 1;
            let column = valid.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            return findings.error(&at(line, column), "is not UTF-8 text", "save the file as UTF-8");
        }
    };
    // A mark of the byte order is allowed at the start only, and is no character of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder { file, anchors: BTreeMap::new(), open: Vec::new(), nodes: 0, root: None };
    match builder.run(text) {
        Ok(()) => builder.root,
        Err(diagnostic) => {
            findings.push(*diagnostic);
            None
        }
    }
}

/// A collection whose end has not come yet.
struct Open {
    mark: Marker,
    anchor: usize,
    size: usize,
    kind: OpenKind,
}

enum OpenKind {
    Sequence(Vec<Rc<Node>>),
    Mapping { entries: Vec<(Rc<Node>, Rc<Node>)>, key: Option<Rc<Node>> },
}

struct Builder<'a> {
    file: &'a Arc<str>,
    anchors: BTreeMap<usize, Rc<Node>>,
    open: Vec<Open>,
    nodes: usize,
    root: Option<Rc<Node>>,
}

impl Builder<'_> {
    fn run(&mut self, text: &str) -> Result<(), Box<Diagnostic>> {
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| self.syntax_error(text, *error.marker(), error.info()))?;
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), span.start)?;
                    let plain = style == ScalarStyle::Plain;
                    let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                    let text = Zeroizing::new(text.into_owned());
                    let kind = if null { Kind::Null } else { Kind::Scalar { text, plain } };
                    self.close(span.start, anchor, 1, kind)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), span.start)?;
                    self.open(span.start, anchor, OpenKind::Sequence(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), span.start)?;
                    self.open(span.start, anchor, OpenKind::Mapping { entries: Vec::new(), key: None })?;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(open) = self.open.pop() {
                        let kind = match open.kind {
                            OpenKind::Sequence(items) => Kind::Sequence(items),
                            OpenKind::Mapping { entries, .. } => Kind::Mapping(merged(entries)),
                        };
                        self.close(open.mark, open.anchor, open.size, kind)?;
                    }
                }
                Event::Alias(anchor) => {
                    let Some(node) = self.anchors.get(&anchor).cloned() else {
                        return Err(self.error(span.start, "this alias stands inside its own anchor", "write it out"));
                    };
                    self.count(span.start, node.size)?;
                    self.attach(node);
                }
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.error(
                            span.start,
                            "a second YAML document begins here",
                            "keep one document in the file; remove the line \"---\"",
                        ));
                    }
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, mark: Marker, anchor: usize, kind: OpenKind) -> Result<(), Box<Diagnostic>> {
        if self.open.len() == MAX_DEPTH {
            return Err(self.error(
                mark,
                format!("is nested deeper than {MAX_DEPTH} levels"),
                "compare with the sample files in examples/",
            ));
        }
        self.open.push(Open { mark, anchor, size: 1, kind });
        Ok(())
    }

    fn close(&mut self, mark: Marker, anchor: usize, size: usize, kind: Kind) -> Result<(), Box<Diagnostic>> {
        self.count(mark, 1)?;
        let node = Rc::new(Node { origin: self.origin(mark), kind, size });
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.attach(node);
        Ok(())
    }

    fn attach(&mut self, node: Rc<Node>) {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        parent.size += node.size;
        match &mut parent.kind {
            OpenKind::Sequence(items) => items.push(node),
            OpenKind::Mapping { entries, key } => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(node),
            },
        }
    }

    fn count(&mut self, mark: Marker, nodes: usize) -> Result<(), Box<Diagnostic>> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(self.error(
                mark,
                format!("the file has more than {MAX_NODES} values"),
                "is it the right file?",
            ));
        }
        Ok(())
    }

    fn refuse_tag(&self, tag: Option<&Tag>, mark: Marker) -> Result<(), Box<Diagnostic>> {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() => {
                Err(self.error(mark, "YAML tags (\"!...\") mean nothing here", "remove the tag, or quote the value"))
            }
            _ => Ok(()),
        }
    }

    fn syntax_error(&self, text: &str, mark: Marker, info: &str) -> Box<Diagnostic> {
        if info.contains("tab")
            && let Some(mark) = indenting_tab(text, mark)
        {
            return self.error(mark, "a tab indents this line", "indent with spaces: YAML allows no tabs there");
        }
        self.error(mark, format!("is not valid YAML: {info}"), "compare with the sample files in examples/")
    }

    fn error(&self, mark: Marker, message: impl Into<String>, remedy: &str) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(self.origin(mark), message, remedy))
    }

    /// saphyr counts lines from 1 and columns from 0.
    fn origin(&self, mark: Marker) -> Origin {
        Origin::File { file: Arc::clone(self.file), line: mark.line().max(1), column: mark.col() + 1 }
    }
}

/// The first tab that indents a line from `mark` on: the parser names the value before it, which is not where to look.
fn indenting_tab(text: &str, mark: Marker) -> Option<Marker> {
    let first = mark.line().max(1);
    text.lines().enumerate().skip(first - 1).find_map(|(index, line)| {
        let column = line.chars().take_while(|c| matches!(c, ' ' | '\t')).position(|c| c == '\t')?;
        Some(Marker::new(0, index + 1, column))
    })
}

/// Replaces merge keys (`<<: *base`, `<<: [*a, *b]`) by the entries they bring; a key of the mapping itself wins, then
/// the earlier one of the list. A `<<` that brings anything but mappings is kept, and refused later as an unknown key.
fn merged(entries: Vec<(Rc<Node>, Rc<Node>)>) -> Vec<(Rc<Node>, Rc<Node>)> {
    let is_merge = |key: &Node| matches!(&key.kind, Kind::Scalar { text, plain: true } if text.as_str() == "<<");
    if !entries.iter().any(|(key, _)| is_merge(key)) {
        return entries;
    }
    let mut own = Vec::new();
    let mut brought = Vec::new();
    for (key, value) in entries {
        let sources = match &value.kind {
            _ if !is_merge(&key) => None,
            Kind::Mapping(_) => Some(vec![Rc::clone(&value)]),
            Kind::Sequence(items) if items.iter().all(|item| matches!(item.kind, Kind::Mapping(_))) => {
                Some(items.clone())
            }
            _ => None,
        };
        match sources {
            Some(sources) => brought.extend(sources),
            None => own.push((key, value)),
        }
    }
    let mut known: BTreeSet<String> = own.iter().filter_map(|(key, _)| key_text(key)).collect();
    for source in brought {
        let Kind::Mapping(entries) = &source.kind else { continue };
        for (key, value) in entries {
            if key_text(key).is_none_or(|text| known.insert(text)) {
                own.push((Rc::clone(key), Rc::clone(value)));
            }
        }
    }
    own
}

fn key_text(key: &Node) -> Option<String> {
    match &key.kind {
        Kind::Scalar { text, .. } => Some(text.to_string()),
        _ => None,
    }
}

/// The keys of one mapping while they are read: each is taken once, and what is left over is unknown.
pub(crate) struct Keys {
    pub(crate) origin: Origin,
    entries: Vec<(String, Origin, Rc<Node>)>,
    known: Vec<&'static str>,
    written: BTreeSet<String>,
}

impl Keys {
    /// Opens the mapping `node`, which is the value of `name`. Names duplicate keys and keys that are no text.
    pub(crate) fn open(node: &Node, name: &str, findings: &mut Findings) -> Option<Self> {
        let Kind::Mapping(pairs) = &node.kind else {
            let found = node.kind_name();
            return findings.error(
                &node.origin,
                format!("{name} must be a set of keys, not {found}"),
                "compare with the sample files in examples/",
            );
        };
        let mut entries = Vec::with_capacity(pairs.len());
        let mut first = BTreeMap::new();
        for (key, value) in pairs {
            let Some(text) = key_text(key) else {
                findings.push(Diagnostic::error(
                    key.origin.clone(),
                    format!("{} is no key", key.kind_name()),
                    "a key is one word followed by a colon",
                ));
                continue;
            };
            if let Some(earlier) = first.insert(text.clone(), key.origin.clone()) {
                let shown = shown_key(&text);
                findings.push(Diagnostic::error(
                    key.origin.clone(),
                    format!("{shown} is given twice, first at {earlier}"),
                    "remove one of the two",
                ));
                first.insert(text, earlier);
                continue;
            }
            entries.push((text, key.origin.clone(), Rc::clone(value)));
        }
        let written = first.into_keys().collect();
        Some(Self { origin: node.origin.clone(), entries, known: Vec::new(), written })
    }

    /// Takes the value of `key`, if it is there. A key without a value counts as absent, with an error.
    pub(crate) fn take(&mut self, key: &'static str, findings: &mut Findings) -> Option<Rc<Node>> {
        self.known.push(key);
        let index = self.entries.iter().position(|(text, _, _)| text == key)?;
        let (_, origin, value) = self.entries.swap_remove(index);
        if matches!(value.kind, Kind::Null) {
            return findings.error(&origin, format!("{key} has no value"), "give it one or remove the line");
        }
        Some(value)
    }

    /// Whether `key`, already taken, was written in the file (perhaps without a value).
    pub(crate) fn had(&self, key: &str) -> bool {
        self.written.contains(key)
    }

    /// Names every key that nothing took, each with the nearest one that is known here.
    pub(crate) fn close(self, place: &str, findings: &mut Findings) {
        for (text, origin, _) in self.entries {
            let remedy = match nearest(&text, &self.known) {
                Some(key) => format!("did you mean {key}?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            findings.push(Diagnostic::error(origin, format!("unknown key {} in {place}", shown_key(&text)), remedy));
        }
    }
}

/// A key for a message. A text without the space after its colon (`sharedKey:YDUB...`) reads as one long key.
fn shown_key(text: &str) -> String {
    let word = text.len() <= 24 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if word { text.to_owned() } else { quoted(text) }
}

/// The known key with the smallest edit distance, if that is small enough for a slip.
fn nearest(text: &str, known: &[&'static str]) -> Option<&'static str> {
    // Underscores and hyphens are another spelling habit, not a slip; a long text is no key at all.
    let folded: String =
        text.chars().take(40).filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect();
    known
        .iter()
        .map(|key| (strsim::damerau_levenshtein(&folded, &key.to_lowercase()), *key))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, key)| *distance * 2 <= key.len().max(folded.len()) && *distance <= 5)
        .map(|(_, key)| key)
}
