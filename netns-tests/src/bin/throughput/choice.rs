//! The command line: how long, what of the table, and which programs.

use std::time::Duration;

use crate::groups::Group;
use crate::programs::Candidate;
use crate::table::Line;

/// What is to be measured.
pub(crate) struct Choice {
    /// How often every program has its turn.
    pub(crate) rounds: u64,
    /// How long each flow is measured.
    pub(crate) time: Duration,
    pub(crate) groups: Vec<Group>,
    /// Parts of programs' names; none: all that are measured by default.
    names: Vec<String>,
}

impl Choice {
    pub(crate) fn wants(&self, candidate: &Candidate) -> bool {
        if self.names.is_empty() { candidate.by_default() } else { self.names.iter().any(|name| candidate.is(name)) }
    }
}

/// What somebody who calls the program wants of it.
pub(crate) enum Wish {
    Measure(Choice),
    /// To know what would be measured.
    List(Choice),
    Help,
}

/// Reads the words of a command line; an error is a sentence about the first word that is wrong.
pub(crate) fn read(words: impl Iterator<Item = String>, candidates: &[Candidate]) -> Result<Wish, String> {
    let mut choice = Choice { rounds: 5, time: Duration::from_secs(5), groups: Group::ALL.to_vec(), names: Vec::new() };
    let (mut numbers, mut list, mut words) = (0, false, words);
    while let Some(word) = words.next() {
        match (word.as_str(), word.parse::<u64>()) {
            ("-h" | "--help", _) => return Ok(Wish::Help),
            ("--list", _) => list = true,
            // What `cargo run` may leave.
            ("--", _) => {}
            ("--only", _) => choice.groups = groups(&words.next().ok_or("--only needs groups")?)?,
            (_, Ok(0)) => return Err("ROUNDS and SECONDS are at least 1".to_owned()),
            (_, Ok(number)) if numbers == 0 => (choice.rounds, numbers) = (number, 1),
            (_, Ok(number)) if numbers == 1 => (choice.time, numbers) = (Duration::from_secs(number), 2),
            _ if candidates.iter().any(|candidate| candidate.is(&word)) => choice.names.push(word),
            _ => return Err(format!("{word:?} is neither an option nor a part of a program's name")),
        }
    }
    Ok(if list { Wish::List(choice) } else { Wish::Measure(choice) })
}

/// Those named, in the order in which they are measured.
fn groups(text: &str) -> Result<Vec<Group>, String> {
    let names = text.split(',').collect::<Vec<_>>();
    if let Some(stranger) = names.iter().find(|name| Group::ALL.iter().all(|group| group.name() != **name)) {
        return Err(format!("{stranger:?} is no group"));
    }
    Ok(Group::ALL.into_iter().filter(|group| names.contains(&group.name())).collect())
}

/// What would be measured, and of whom.
pub(crate) fn listed(choice: &Choice, candidates: &[Candidate]) -> String {
    let mut text = format!("{} rounds of {} s\n", choice.rounds, choice.time.as_secs_f64());
    for group in &choice.groups {
        text.push_str(&format!("\n{}\n", group.name()));
        let lines = Line::ALL.into_iter().filter(|line| line.group() == *group);
        text.extend(lines.map(|line| format!("  {}\n", line.title())));
    }
    let names = candidates.iter().filter(|candidate| choice.wants(candidate)).map(Candidate::name);
    text + "\n" + &names.collect::<Vec<_>>().join(", ")
}

pub(crate) fn help(candidates: &[Candidate]) -> String {
    let names = candidates.iter().map(Candidate::name).collect::<Vec<_>>().join(", ");
    let groups = Group::ALL.map(|group| format!("    {:<9} {}", group.name(), group.about())).join("\n");
    format!(
        "throughput [ROUNDS [SECONDS]] [NAME...] [--only GROUP,...] [--list]

  ROUNDS    every program has its turn in each round; 5
  SECONDS   how long each flow is measured; 5
  NAME      a part of the name of a program that is to be measured; without any, all but \"plain\":
            {names}
  --only    measures these groups alone:
{groups}
  --list    tells what would be measured"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::Kind;

    fn wish(words: &str) -> Result<Wish, String> {
        let candidates = [Kind::Bare, Kind::Wgnet, Kind::Plain].map(Candidate::Here);
        read(words.split_whitespace().map(ToOwned::to_owned), &candidates)
    }

    fn choice(words: &str) -> Choice {
        match wish(words) {
            Ok(Wish::Measure(choice)) => choice,
            _ => panic!("{words:?} is to be measured"),
        }
    }

    #[test]
    fn numbers_are_rounds_and_seconds_and_names_choose_programs() {
        let choice = choice("3 2 wgnet");
        assert_eq!((choice.rounds, choice.time, choice.groups.len()), (3, Duration::from_secs(2), Group::ALL.len()));
        let wanted = [Kind::Bare, Kind::Wgnet, Kind::Plain].map(|kind| choice.wants(&Candidate::Here(kind)));
        assert_eq!(wanted, [false, true, false]);
    }

    #[test]
    fn the_daemon_without_offloads_is_measured_only_when_asked_for() {
        assert!(!choice("").wants(&Candidate::Here(Kind::Plain)));
        assert!(choice("plain").wants(&Candidate::Here(Kind::Plain)));
    }

    #[test]
    fn groups_are_measured_in_their_own_order() {
        assert_eq!(choice("--only hash,tcp 1").groups, [Group::Tcp, Group::Hash]);
    }

    #[test]
    fn a_word_that_means_nothing_is_named() {
        for (words, named) in
            [("wgnot", "wgnot"), ("1 2 3", "3"), ("0", "ROUNDS"), ("--only", "--only"), ("--only tcp,tcq", "tcq")]
        {
            assert!(wish(words).is_err_and(|mistake| mistake.contains(named)), "{words:?}");
        }
    }

    #[test]
    fn every_line_is_listed_with_its_group() {
        let text = listed(&choice(""), &[]);
        assert!(Line::ALL.iter().all(|line| text.contains(line.title())), "{text}");
    }
}
