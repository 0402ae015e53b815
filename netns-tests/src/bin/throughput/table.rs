//! The table: a line for each figure, a column for each program.

use std::collections::BTreeMap;

use crate::groups::Group;
use crate::programs::Kind;

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    TcpOne,
    SentAgain,
    Missed,
    Dropped,
    ReceiveBuffers,
    SendBuffers,
    TcpFour,
    Memory,
    OffOne,
    OffFour,
    Reverse,
    Both,
    UdpLarge,
    UdpSmall,
    CpuPrograms,
    CpuMachine,
    Paced,
    PingMiddle,
    PingSlow,
    PingBeside,
    Gateway,
    GatewayShare,
    Many,
    Payload,
}

impl Line {
    pub(crate) const ALL: [Self; 24] = [
        Self::TcpOne,
        Self::SentAgain,
        Self::Missed,
        Self::Dropped,
        Self::ReceiveBuffers,
        Self::SendBuffers,
        Self::TcpFour,
        Self::Memory,
        Self::OffOne,
        Self::OffFour,
        Self::Reverse,
        Self::Both,
        Self::UdpLarge,
        Self::UdpSmall,
        Self::CpuPrograms,
        Self::CpuMachine,
        Self::Paced,
        Self::PingMiddle,
        Self::PingSlow,
        Self::PingBeside,
        Self::Gateway,
        Self::GatewayShare,
        Self::Many,
        Self::Payload,
    ];

    /// The group that it is measured with.
    pub(crate) fn group(self) -> Group {
        match self {
            Self::TcpOne
            | Self::SentAgain
            | Self::Missed
            | Self::Dropped
            | Self::ReceiveBuffers
            | Self::SendBuffers
            | Self::TcpFour
            | Self::Memory => Group::Tcp,
            Self::OffOne | Self::OffFour => Group::Off,
            Self::Reverse | Self::Both => Group::Reverse,
            Self::UdpLarge | Self::UdpSmall => Group::Udp,
            Self::CpuPrograms | Self::CpuMachine | Self::Paced => Group::Cpu,
            Self::PingMiddle | Self::PingSlow | Self::PingBeside => Group::Ping,
            Self::Gateway | Self::GatewayShare => Group::Gateway,
            Self::Many => Group::Many,
            Self::Payload => Group::Hash,
        }
    }

    /// Whether it tells something to divide one program's figure by another's.
    fn is_compared(self) -> bool {
        !matches!(
            self,
            Self::SentAgain
                | Self::Missed
                | Self::Dropped
                | Self::ReceiveBuffers
                | Self::SendBuffers
                | Self::Paced
                | Self::GatewayShare
                | Self::Payload
        )
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::TcpOne => "TCP, 1 flow, Gbit/s",
            Self::SentAgain => "segments sent again by that flow",
            Self::Missed => "segments sent again for loss or a wrong order",
            Self::Dropped => "packets dropped by interfaces beside it",
            Self::ReceiveBuffers => "datagrams that found a full receive buffer",
            Self::SendBuffers => "datagrams that found a full send buffer",
            Self::TcpFour => "TCP, 4 flows, Gbit/s",
            Self::Memory => "most memory under load, MB",
            Self::OffOne => "TCP, 1 flow, segmentation off, Gbit/s",
            Self::OffFour => "TCP, 4 flows, segmentation off, Gbit/s",
            Self::Reverse => "TCP, reverse, Gbit/s",
            Self::Both => "TCP, both directions together, Gbit/s",
            Self::UdpLarge => "UDP of 1372 bytes with less than 0.1 % loss, Gbit/s",
            Self::UdpSmall => "UDP of 64 bytes, thousands a second",
            Self::CpuPrograms => "processor seconds per Gbit at 500 Mbit/s (programs)",
            Self::CpuMachine => "processor seconds per Gbit at 500 Mbit/s (whole machine)",
            Self::Paced => "TCP held to 500 Mbit/s, Gbit/s",
            Self::PingMiddle => "idle ping p50, us",
            Self::PingSlow => "idle ping p99, us",
            Self::PingBeside => "ping p99 beside a TCP flow, ms",
            Self::Gateway => "TCP through a gateway, Gbit/s",
            Self::GatewayShare => "gateway as a share of direct",
            Self::Many => "TCP to 8 peers at the same time, Gbit/s",
            Self::Payload => "payload of 1 GB arrives unchanged",
        }
    }
}

/// The middle of all rounds, the least and the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rounds {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// Figures of one program: all rounds of each.
#[derive(Clone, Default)]
pub(crate) struct Figures(BTreeMap<Line, Vec<f64>>);

impl Figures {
    /// Adds the figure of one more round, and shows it.
    pub(crate) fn add(&mut self, line: Line, figure: f64) {
        eprintln!("    {}: {figure:.3}", line.title());
        self.0.entry(line).or_default().push(figure);
    }

    pub(crate) fn get(&self, line: Line) -> Option<Rounds> {
        let mut sorted = self.0.get(&line)?.clone();
        sorted.sort_by(f64::total_cmp);
        Some(Rounds { median: sorted[sorted.len() / 2], least: *sorted.first()?, most: *sorted.last()? })
    }
}

pub(crate) fn drawn(results: &[(Kind, Figures)]) -> String {
    let names = results.iter().map(|(kind, _)| kind.name()).collect::<Vec<_>>();
    let mut text = format!("| | {} |\n|---{}|\n", names.join(" | "), "|---".repeat(names.len()));
    for line in Line::ALL {
        let all = results.iter().map(|(_, figures)| figures.get(line)).collect::<Vec<_>>();
        if all.iter().all(Option::is_none) {
            continue;
        }
        let ours = results.iter().zip(&all).find(|((kind, _), _)| *kind == Kind::Wgnet).and_then(|(_, rounds)| *rounds);
        let cell = |((kind, _), rounds): (&(Kind, Figures), &Option<Rounds>)| {
            let Some(rounds) = rounds else { return String::new() };
            match line {
                Line::Payload if rounds.least == 1.0 => "yes".to_owned(),
                Line::Payload => "NO".to_owned(),
                _ => spread(*rounds, ours.filter(|_| *kind != Kind::Wgnet && line.is_compared())),
            }
        };
        let cells = results.iter().zip(&all).map(cell).collect::<Vec<_>>();
        text.push_str(&format!("| {} | {} |\n", line.title(), cells.join(" | ")));
    }
    text
}

fn spread(Rounds { median, least, most }: Rounds, ours: Option<Rounds>) -> String {
    let range = (least != most).then(|| format!("{} to {}", number(least), number(most)));
    let ratio = ours.filter(|_| median > 0.0).map(|ours| format!("wgnet {:.2} x", ours.median / median));
    let notes = range.into_iter().chain(ratio).collect::<Vec<_>>();
    if notes.is_empty() { number(median) } else { format!("{} ({})", number(median), notes.join(", ")) }
}

/// With the digits that mean something: three of them, or the whole number.
pub(crate) fn number(figure: f64) -> String {
    if figure.fract() == 0.0 || figure >= 100.0 {
        format!("{figure:.0}")
    } else if figure >= 10.0 {
        format!("{figure:.1}")
    } else if figure >= 1.0 {
        format!("{figure:.2}")
    } else {
        format!("{figure:.3}")
    }
}
