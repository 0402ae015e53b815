//! What happened: a hash over everything, to compare runs, and the last lines for people.

use std::collections::VecDeque;
use std::fmt;

use crate::mesh::time::Time;

/// How many lines are kept. Older ones are of little use to find what broke a rule just now.
const LINES: usize = 20_000;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: Time,
    /// At which node, or `world`.
    pub node: String,
    /// What.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>14.6} s  {:<12} {}", self.at.as_micros() as f64 / 1e6, self.node, self.text)
    }
}

/// The record of a run.
#[derive(Debug)]
pub(super) struct Journal {
    hash: u64,
    lines: VecDeque<Line>,
}

impl Journal {
    pub(super) fn new() -> Self {
        // The offset basis of FNV-1a.
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new() }
    }

    /// Mixes numbers into the hash (FNV-1a over words, rotated so that high bits matter too).
    pub(super) fn note(&mut self, words: &[u64]) {
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    /// Adds a line, and mixes it into the hash.
    pub(super) fn write(&mut self, at: Time, node: &str, text: String) {
        self.note(&[at.as_micros(), node.len() as u64, text.len() as u64]);
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { at, node: node.to_owned(), text });
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }
}
