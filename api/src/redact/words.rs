//! Free texts, word by word.

use std::net::{IpAddr, SocketAddr};

use super::Pseudonyms;

/// What words are made of besides letters and digits: whole addresses, keys, names and paths are one word each.
const INSIDE: &str = "-_.:/+=@%[]";

/// Signs that join words into one, in the order in which they are taken apart.
const JOINTS: [char; 8] = ['=', '@', '%', '/', '+', ':', '.', '-'];

/// Endings of file names, which look like host names.
const ENDINGS: [&str; 12] =
    ["yaml", "yml", "sock", "json", "jsonl", "toml", "service", "rs", "conf", "log", "txt", "pid"];

impl Pseudonyms {
    /// Any text.
    pub fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let is_inside = |c: char| c.is_alphanumeric() || INSIDE.contains(c);
        while let Some(begin) = rest.find(is_inside) {
            out.push_str(&rest[..begin]);
            rest = &rest[begin..];
            let end = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
            self.word(&rest[..end], &mut out);
            rest = &rest[end..];
        }
        out.push_str(rest);
        out
    }

    /// A word and the signs around it: a full stop belongs to the sentence, an equals sign may belong to a key.
    fn word(&mut self, word: &str, out: &mut String) {
        if let Some(told) = self.whole(word) {
            out.push_str(&told);
            return;
        }
        let core = word.trim_end_matches(['.', ':', '-', '=', '/']);
        let (core, after) = (core, &word[core.len()..]);
        match self.whole(core) {
            Some(told) => out.push_str(&told),
            None => self.parts(core, out),
        }
        out.push_str(after);
    }

    /// What is joined by signs, part by part.
    fn parts(&mut self, word: &str, out: &mut String) {
        let Some(joint) = JOINTS.into_iter().find(|joint| word.contains(*joint)) else {
            out.push_str(word);
            return;
        };
        if joint == '-' {
            // A name may contain it: only two whole things with it between them are taken apart.
            let ends = word.match_indices('-').find_map(|(at, _)| {
                let (left, right) = (&word[..at], &word[at + 1..]);
                Some((self.whole_known(left)?, self.whole_known(right)?))
            });
            match ends {
                Some((left, right)) => out.push_str(&format!("{left}-{right}")),
                None => out.push_str(word),
            }
            return;
        }
        let mut before = "";
        for (number, part) in word.split(joint).enumerate() {
            if number > 0 {
                out.push(joint);
            }
            // Whose home directory it is.
            let is_home = joint == '/' && matches!(before, "home" | "Users") && !part.is_empty();
            match if is_home { Some("user".to_owned()) } else { self.whole(part) } {
                Some(told) => out.push_str(&told),
                None => self.parts(part, out),
            }
            before = part;
        }
    }

    /// Only what can be told without giving out a new pseudonym, or is an address.
    fn whole_known(&mut self, word: &str) -> Option<String> {
        let is_address = word.parse::<IpAddr>().is_ok();
        if is_address { self.whole(word) } else { self.names.get(word).cloned().or_else(|| self.known_id(word)) }
    }

    /// What a word is told as, if it is one thing that has a pseudonym.
    fn whole(&mut self, word: &str) -> Option<String> {
        if let Some(known) = self.names.get(word) {
            return Some(known.clone());
        }
        if let Ok(address) = word.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Some(self.endpoint_host(address));
        }
        if let Ok(endpoint) = word.parse::<SocketAddr>() {
            return Some(self.endpoint(endpoint));
        }
        if let Some((host, length)) = word.split_once('/')
            && let (Ok(host), Ok(_)) = (host.parse::<IpAddr>(), length.parse::<u8>())
        {
            return Some(format!("{}/{length}", self.endpoint_host(host)));
        }
        if is_key(word) {
            return Some(self.key(word));
        }
        if is_identity(word) {
            return Some(self.identity(word));
        }
        if let Some(known) = self.known_id(word) {
            return Some(known);
        }
        if let Some((host, port)) = word.rsplit_once(':')
            && let (true, Ok(port)) = (is_host(host), port.parse())
        {
            return Some(format!("{}:{}", self.host(host), self.port(port)));
        }
        is_host(word).then(|| self.host(word))
    }
}

/// 32 bytes in base64.
pub(super) fn is_key(word: &str) -> bool {
    let bare = word.strip_suffix('=').unwrap_or(word);
    bare.len() == 43 && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Eight hexadecimal digits and more, not all of one kind: no plain number, and no plain word.
fn is_identity(word: &str) -> bool {
    word.len() >= 8
        && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Labels with dots between them, the last one of letters.
fn is_host(word: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    word.rsplit_once('.').is_some_and(|(labels, last)| {
        last.len() >= 2
            && last.bytes().all(|byte| byte.is_ascii_alphabetic())
            && !ENDINGS.contains(&last)
            && labels.split('.').all(is_label)
            // `e.g` is none.
            && labels.len() >= 2
    })
}
