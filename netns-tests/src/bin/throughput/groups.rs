//! What is measured: groups of lines of the table, each on its own or after another one.

use std::time::Duration;

use netns_tests::latency::round_trips;

use crate::counters::{Losses, busy, busy_over};
use crate::load::{Flows, datagrams};
use crate::payload::arrives_unchanged;
use crate::programs::Kind;
use crate::star::{End, Star};
use crate::table::{Figures, Line};

/// The load at which processor time is compared, in bits per second.
const FIXED: f64 = 500e6;
/// Payload that fills a packet of the tunnel's MTU, and one of speech; bytes.
const LARGE: usize = 1372;
const SMALL: usize = 64;
/// What share of datagrams may be lost for a rate to count as passed.
const LOSS: f64 = 0.001;
/// Where the highest rate is looked for, in bits per second, and in how many steps: the last one is 4 % of the rate.
const RANGE: (f64, f64) = (50e6, 8e9);
const STEPS: u32 = 7;
/// With so many processors busy with something else, what a flow takes besides cannot be told: they would take it less.
const CROWDED: f64 = 0.25;
/// A mesh that has just formed has much to tell: nothing is called idle before this time is over.
const SETTLED: Duration = Duration::from_secs(3);
/// Leaves of a busy hub.
const MANY: usize = 8;

/// Lines that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Tcp,
    Off,
    Reverse,
    Udp,
    Cpu,
    Ping,
    Gateway,
    Many,
    Hash,
}

impl Group {
    pub(crate) const ALL: [Self; 9] =
        [Self::Tcp, Self::Off, Self::Reverse, Self::Udp, Self::Cpu, Self::Ping, Self::Gateway, Self::Many, Self::Hash];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Off => "off",
            Self::Reverse => "reverse",
            Self::Udp => "udp",
            Self::Cpu => "cpu",
            Self::Ping => "ping",
            Self::Gateway => "gateway",
            Self::Many => "many",
            Self::Hash => "hash",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Tcp => "1 and 4 flows; what was lost beside 1; the most memory after all groups between two machines",
            Self::Off => {
                "1 and 4 flows while the kernel splits datagrams before the cable, as most network cards want it"
            }
            Self::Reverse => "1 flow the other way; 1 each way together",
            Self::Udp => "the highest rate of large datagrams that passes; small ones as fast as they go",
            Self::Cpu => "processor time at a fixed rate, of the programs alone and of all that ran",
            Self::Ping => "round trips alone and beside a flow",
            Self::Gateway => {
                "1 flow between two machines that reach each other by a third one only; needs 1 flow of tcp"
            }
            Self::Many => "a hub sends to eight machines at the same time",
            Self::Hash => "a gigabyte's SHA-256 at both ends",
        }
    }
}

/// One program's turn in one round.
pub(crate) struct Round<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) groups: &'a [Group],
    /// How long each flow is measured.
    pub(crate) time: Duration,
    pub(crate) figures: &'a mut Figures,
}

impl Round<'_> {
    pub(crate) fn measure(&mut self) {
        if self.wants(&[Group::Off]) {
            let pair = Star::start(self.kind, 1, false);
            let (hub, leaf) = (pair.end(0), pair.end(1));
            self.rate(Line::OffOne, &[(hub, leaf)]);
            self.rate(Line::OffFour, &[(hub, leaf); 4]);
        }
        let side_by_side = [Group::Many, Group::Off];
        if self.groups.iter().any(|group| !side_by_side.contains(group)) {
            self.two_machines();
        }
        if self.wants(&[Group::Many]) {
            let star = Star::start(self.kind, MANY, true);
            let flows = (1..=MANY).map(|leaf| (star.end(0), star.end(leaf))).collect::<Vec<_>>();
            self.rate(Line::Many, &flows);
        }
    }

    fn wants(&self, any_of: &[Group]) -> bool {
        self.groups.iter().any(|group| any_of.contains(group))
    }

    /// Measures how much arrives between these ends; bits per second.
    fn rate(&mut self, line: Line, between: &[(End<'_>, End<'_>)]) -> f64 {
        let rate = Flows::start(between, None).rate_over(self.time);
        self.figures.add(line, rate / 1e9);
        rate
    }

    /// Everything between two machines. The same programs serve all of it, so that their memory is that of all of it.
    fn two_machines(&mut self) {
        let pair = Star::start(self.kind, 1, true);
        let (hub, leaf) = (pair.end(0), pair.end(1));
        if self.wants(&[Group::Ping]) {
            self.ping(hub, leaf);
        }
        if self.wants(&[Group::Cpu]) {
            self.cpu(&pair);
        }
        let mut direct = None;
        if self.wants(&[Group::Tcp, Group::Gateway]) {
            direct = Some(self.one_flow(&pair));
        }
        if self.wants(&[Group::Tcp]) {
            self.rate(Line::TcpFour, &[(hub, leaf); 4]);
        }
        if self.wants(&[Group::Reverse]) {
            self.rate(Line::Reverse, &[(leaf, hub)]);
            self.rate(Line::Both, &[(hub, leaf), (leaf, hub)]);
        }
        if self.wants(&[Group::Udp]) {
            self.figures.add(Line::UdpLarge, goodput(hub, leaf) / 1e9);
            let (_, received) = datagrams(hub, leaf, SMALL, None, self.time);
            self.figures.add(Line::UdpSmall, received as f64 / self.time.as_secs_f64() / 1e3);
        }
        if self.wants(&[Group::Hash]) {
            self.hash(hub, leaf);
        }
        if let (true, Some(bytes)) = (self.wants(&[Group::Tcp]), pair.peak_resident_bytes()) {
            self.figures.add(Line::Memory, bytes as f64 / 1e6);
        }
        drop(pair);
        if let (true, Some(direct)) = (self.wants(&[Group::Gateway]), direct) {
            let star = Star::start(self.kind, 2, true);
            let through = self.rate(Line::Gateway, &[(star.end(1), star.end(2))]);
            self.figures.add(Line::GatewayShare, through / direct);
        }
    }

    /// A flow, and whether anything was lost since before it began.
    fn one_flow(&mut self, pair: &Star) -> f64 {
        let before = Losses::of(pair.machines());
        let flow = Flows::start(&[(pair.end(0), pair.end(1))], None);
        let rate = flow.rate_over(self.time);
        // Its end, with data under way, is none of the tunnel's business.
        let losses = Losses::of(pair.machines()) - before;
        drop(flow);
        self.figures.add(Line::TcpOne, rate / 1e9);
        self.figures.add(Line::SentAgain, losses.sent_again as f64);
        self.figures.add(Line::Missed, losses.missed as f64);
        self.figures.add(Line::Dropped, losses.dropped as f64);
        self.figures.add(Line::ReceiveBuffers, losses.receive_buffers as f64);
        self.figures.add(Line::SendBuffers, losses.send_buffers as f64);
        rate
    }

    fn ping(&mut self, from: End<'_>, to: End<'_>) {
        std::thread::sleep(SETTLED);
        let ping = |count, interval| round_trips(from.machine, (from.address, to.address), count, interval).0;
        let idle = ping(500, Duration::from_millis(5));
        self.figures.add(Line::PingMiddle, percentile(&idle, 50) * 1e6);
        self.figures.add(Line::PingSlow, percentile(&idle, 99) * 1e6);
        let _flow = Flows::start(&[(from, to)], None);
        let beside = ping(300, Duration::from_millis(10));
        self.figures.add(Line::PingBeside, percentile(&beside, 99) * 1e3);
    }

    /// Processor time per payload. The programs' own is exact but leaves out what the kernel does for them in interrupts,
    /// which is charged to whoever was interrupted; the machine's has it all, with both ends of the flow besides.
    fn cpu(&mut self, pair: &Star) {
        let idle = busy_over(self.time);
        let flow = Flows::start(&[(pair.end(0), pair.end(1))], Some(FIXED));
        let (programs, machine) = (pair.cpu_time(), busy());
        let (bits, took) = flow.bits_over(self.time);
        let (programs, machine) = (pair.cpu_time() - programs, busy() - machine);
        let (gigabits, took) = (bits / 1e9, took.as_secs_f64());
        if *self.kind != Kind::Bare {
            self.figures.add(Line::CpuPrograms, programs.as_secs_f64() / gigabits);
        }
        if idle < CROWDED {
            self.figures.add(Line::CpuMachine, (machine.as_secs_f64() - idle * took) / gigabits);
        } else {
            eprintln!("    {} left out: {idle:.2} processors are busy with something else", Line::CpuMachine.title());
        }
        self.figures.add(Line::Paced, gigabits / took);
    }

    fn hash(&mut self, from: End<'_>, to: End<'_>) {
        let outcome = arrives_unchanged(from, to, 0x7767_6e65_7400);
        if let Err(difference) = &outcome {
            eprintln!("FAILED: {}: the payload is not what was sent: {difference}", self.kind.name());
        }
        self.figures.add(Line::Payload, if outcome.is_ok() { 1.0 } else { 0.0 });
    }
}

/// The highest rate of large datagrams that passes, in bits per second, by bisection of its logarithm; 0 if none does.
fn goodput(from: End<'_>, to: End<'_>) -> f64 {
    let passes = |rate: f64| {
        let (sent, received) = datagrams(from, to, LARGE, Some(rate), Duration::from_secs(1));
        let reached = (sent as usize * LARGE) as f64 * 8.0;
        (received as f64 >= sent as f64 * (1.0 - LOSS)).then_some(reached)
    };
    let ((mut low, mut high), mut best) = (RANGE, 0.0_f64);
    for _ in 0..STEPS {
        let middle = f64::sqrt(low * high);
        match passes(middle) {
            // The source itself may be slower than it was told to be.
            Some(reached) => (low, best) = (middle, best.max(reached.min(middle))),
            None => high = middle,
        }
    }
    best
}

fn percentile(times: &[Duration], share: usize) -> f64 {
    let last = times.len().checked_sub(1).expect("pings pass");
    times[last * share / 100].as_secs_f64()
}
