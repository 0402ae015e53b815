//! What is wanted of the embedded tunnel, and whether this run met it. A goal is told only when everything that it compares
//! was measured.

use crate::programs::Kind;
use crate::table::{Figures, Line, Rounds, number};

/// What a figure is held against: its median, where nothing else is said.
enum Goal {
    /// So many times that of the program whose name begins so.
    AtLeastTimes(f64, &'static str),
    AtMostTimes(f64, &'static str),
    /// The same of what is left when that of the bare cables is taken off both.
    AtMostTimesWithoutCables(f64, &'static str),
    AtLeast(f64),
    AtMost(f64),
    /// 0 in every round.
    Never,
    /// 1 in every round.
    Always,
}

const GOALS: [(Line, Goal); 18] = [
    (Line::TcpOne, Goal::AtLeastTimes(5.0, "gotatun-cli")),
    (Line::TcpOne, Goal::AtLeastTimes(10.0, "boringtun-cli")),
    (Line::TcpOne, Goal::AtLeastTimes(2.0, "wireguard-go 0.0.2025")),
    (Line::OffOne, Goal::AtLeastTimes(1.6, "gotatun-cli")),
    (Line::OffOne, Goal::AtLeastTimes(1.5, "wireguard-go 0.0.2025")),
    (Line::CpuPrograms, Goal::AtMostTimes(0.4, "gotatun-cli")),
    (Line::CpuMachine, Goal::AtMostTimes(0.4, "gotatun-cli")),
    (Line::CpuMachine, Goal::AtMostTimesWithoutCables(0.4, "gotatun-cli")),
    (Line::PingMiddle, Goal::AtMostTimes(0.9, "boringtun-cli")),
    (Line::PingSlow, Goal::AtMostTimes(0.9, "boringtun-cli")),
    (Line::PingBeside, Goal::AtMost(5.0)),
    (Line::GatewayShare, Goal::AtLeast(0.6)),
    (Line::Memory, Goal::AtMost(12.0)),
    (Line::Missed, Goal::Never),
    (Line::Dropped, Goal::Never),
    (Line::ReceiveBuffers, Goal::Never),
    (Line::SendBuffers, Goal::Never),
    (Line::Payload, Goal::Always),
];

pub(crate) fn drawn(results: &[(Kind, Figures)]) -> String {
    let lines = GOALS.iter().filter_map(|(line, goal)| {
        let verdict = goal.judged(*line, results)?;
        let met = if verdict.met { "met" } else { "MISSED" };
        Some(format!("| {} | {} | {} | {met} |\n", line.title(), verdict.wanted, verdict.found))
    });
    let lines = lines.collect::<String>();
    if lines.is_empty() { lines } else { format!("| goal | wanted | found | |\n|---|---|---|---|\n{lines}") }
}

struct Verdict {
    wanted: String,
    found: String,
    met: bool,
}

impl Goal {
    fn judged(&self, line: Line, results: &[(Kind, Figures)]) -> Option<Verdict> {
        let of = |wanted: &dyn Fn(&Kind) -> bool| {
            results.iter().find(|(kind, _)| wanted(kind)).and_then(|(_, figures)| figures.get(line))
        };
        let ours = of(&|kind| *kind == Kind::Wgnet)?;
        let other = |name: &str| of(&|kind| kind.name().starts_with(name)).map(|rounds| rounds.median);
        let verdict = |wanted: String, found: String, met| Some(Verdict { wanted, found, met });
        let Rounds { median, least, most } = ours;
        match *self {
            Self::AtLeastTimes(times, name) => {
                let ratio = median / other(name)?;
                verdict(format!("at least {times} x {name}"), format!("{ratio:.2} x"), ratio >= times)
            }
            Self::AtMostTimes(times, name) => {
                let ratio = median / other(name)?;
                verdict(format!("at most {times} x {name}"), format!("{ratio:.2} x"), ratio <= times)
            }
            Self::AtMostTimesWithoutCables(times, name) => {
                let bare = of(&|kind| *kind == Kind::Bare)?.median;
                let ratio = (median - bare) / (other(name)? - bare);
                let wanted = format!("at most {times} x {name}, the cables' own taken off both");
                verdict(wanted, format!("{ratio:.2} x"), ratio <= times)
            }
            Self::AtLeast(bound) => verdict(format!("at least {bound}"), number(median), median >= bound),
            Self::AtMost(bound) => verdict(format!("at most {bound}"), number(median), median <= bound),
            Self::Never => verdict("0 in every round".to_owned(), number(most), most == 0.0),
            Self::Always => {
                let met = least == 1.0;
                verdict("in every round".to_owned(), if met { "yes" } else { "no" }.to_owned(), met)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn measured(kind: Kind, line: Line, rounds: &[f64]) -> (Kind, Figures) {
        let mut figures = Figures::default();
        rounds.iter().for_each(|figure| figures.add(line, *figure));
        (kind, figures)
    }

    fn gotatun(line: Line, rounds: &[f64]) -> (Kind, Figures) {
        let kind = Kind::Device { name: "gotatun-cli 0.10.2".to_owned(), path: PathBuf::new(), options: &[] };
        measured(kind, line, rounds)
    }

    #[test]
    fn medians_are_compared() {
        let line = Line::TcpOne;
        let results = [measured(Kind::Wgnet, line, &[1.0, 5.2, 9.0]), gotatun(line, &[1.0])];
        assert!(drawn(&results).contains("| at least 5 x gotatun-cli | 5.20 x | met |"), "{}", drawn(&results));
        let results = [measured(Kind::Wgnet, line, &[4.9]), gotatun(line, &[1.0])];
        assert!(drawn(&results).contains("| 4.90 x | MISSED |"), "{}", drawn(&results));
    }

    #[test]
    fn nothing_is_judged_that_was_not_measured_on_both_sides() {
        let line = Line::TcpOne;
        assert_eq!(drawn(&[measured(Kind::Wgnet, line, &[4.9])]), "");
        assert_eq!(drawn(&[measured(Kind::Plain, line, &[4.9]), gotatun(line, &[1.0])]), "");
    }

    #[test]
    fn one_bad_round_misses_what_is_wanted_in_every_round() {
        let lost = drawn(&[measured(Kind::Wgnet, Line::Dropped, &[0.0, 0.0, 3.0])]);
        assert!(lost.contains("| 0 in every round | 3 | MISSED |"), "{lost}");
        let changed = drawn(&[measured(Kind::Wgnet, Line::Payload, &[1.0, 0.0, 1.0])]);
        assert!(changed.contains("| in every round | no | MISSED |"), "{changed}");
    }

    #[test]
    fn the_cables_own_is_taken_off_both() {
        let line = Line::CpuMachine;
        let results = [measured(Kind::Bare, line, &[0.5]), measured(Kind::Wgnet, line, &[0.75]), gotatun(line, &[1.5])];
        let text = drawn(&results);
        assert!(text.contains("cables' own taken off both | 0.25 x | met |"), "{text}");
    }
}
