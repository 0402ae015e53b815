//! Durations, shares and sets of nodes as scenario files write them.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Units of time, longest name first so that `ms` is not read as `m` and a stray `s`.
const UNITS: [(&str, u64); 6] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000)];

/// Parses a duration such as `150ms`, `4s`, `2m`, `1h` or `1d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write a whole number and a unit, such as 150ms, 4s, 2m, 1h or 1d");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    number.checked_mul(*micros).map(Duration::from_micros).ok_or_else(wrong)
}

/// Parses a signed duration in microseconds, such as `-1d` or `+1h`.
pub(super) fn parse_offset(text: &str) -> Result<i64, String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let micros = i64::try_from(parse_duration(rest)?.as_micros()).map_err(|_| format!("{text:?} is too long"))?;
    Ok(sign * micros)
}

/// For `#[serde(deserialize_with)]`: a duration.
pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(from)?).map_err(de::Error::custom)
}

/// For `#[serde(deserialize_with)]`: a duration that may be left out.
pub(super) fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

/// For `#[serde(deserialize_with)]`: a signed duration in microseconds.
pub(super) fn offset<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    parse_offset(&String::deserialize(from)?).map_err(de::Error::custom)
}

/// A set of nodes: `all`, one name, or a list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// Every node that runs at that moment and is no adversary (has no `claims`).
    All,
    /// These nodes.
    These(Vec<String>),
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NodesVisitor;
        impl<'de> Visitor<'de> for NodesVisitor {
            type Value = Nodes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all`, the name of a node, or a list of names")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Nodes, E> {
                Ok(if text == "all" { Nodes::All } else { Nodes::These(vec![text.to_owned()]) })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Nodes, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Nodes::These(names))
            }
        }
        from.deserialize_any(NodesVisitor)
    }
}

/// Ordered pairs of nodes: each of `from` with each of `to`, itself left out. Written `all` or `{ from: .., to: .. }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// Who begins.
    pub from: Nodes,
    /// Who is meant.
    pub to: Nodes,
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all` or a map `{ from: .., to: .. }`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pairs, E> {
                match text {
                    "all" => Ok(Pairs { from: Nodes::All, to: Nodes::All }),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let (mut from, mut to) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "from" => from = Some(map.next_value()?),
                        "to" => to = Some(map.next_value()?),
                        _ => return Err(de::Error::unknown_field(&key, &["from", "to"])),
                    }
                }
                let from = from.ok_or_else(|| de::Error::missing_field("from"))?;
                let to = to.ok_or_else(|| de::Error::missing_field("to"))?;
                Ok(Pairs { from, to })
            }
        }
        from.deserialize_any(PairsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("150ms"), Ok(Duration::from_millis(150)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("1d"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "5", "s", "1.5s", "4 s", "-1s", "99999999999999999999s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn offsets_have_a_sign() {
        assert_eq!(parse_offset("-1d"), Ok(-86_400_000_000));
        assert_eq!(parse_offset("+1h"), Ok(3_600_000_000));
        assert_eq!(parse_offset("30s"), Ok(30_000_000));
        assert!(parse_offset("--1d").is_err());
    }
}
