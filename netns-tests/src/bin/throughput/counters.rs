//! What the kernel counted: segments sent again, packets lost on the way, and time on processors.

use std::ops::Sub;
use std::time::{Duration, Instant};

use netns_tests::Machine;

/// What is to stay as it is while a tunnel is well, over all machines.
#[derive(Clone, Copy, Default)]
pub(crate) struct Losses {
    /// TCP segments, for whatever reason: a sender that hears nothing for a while sends the last one again to ask.
    pub(crate) sent_again: u64,
    /// TCP segments that were sent again because they, or later ones, had not come in time or in order.
    pub(crate) missed: u64,
    /// Packets that interfaces, of tunnels and of cables, dropped or found wrong.
    pub(crate) dropped: u64,
    /// Datagrams that found the receive buffer of their socket full.
    pub(crate) receive_buffers: u64,
    /// Datagrams that the send buffer had no room for.
    pub(crate) send_buffers: u64,
}

impl Losses {
    /// So far.
    pub(crate) fn of(machines: &[Machine]) -> Self {
        let count = |machine: &Machine| machine.namespace().run(Self::here);
        machines.iter().map(count).fold(Self::default(), |sum, one| Self {
            sent_again: sum.sent_again + one.sent_again,
            missed: sum.missed + one.missed,
            dropped: sum.dropped + one.dropped,
            receive_buffers: sum.receive_buffers + one.receive_buffers,
            send_buffers: sum.send_buffers + one.send_buffers,
        })
    }

    /// Of the namespace that the calling thread lives in.
    fn here() -> Self {
        let read = |file| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).expect("counters");
        let (both, more, v6) = (read("snmp"), read("netstat"), read("snmp6"));
        let udp = |name: &str| column(&both, "Udp", name) + line(&v6, &format!("Udp6{name}"));
        Self {
            sent_again: column(&both, "Tcp", "RetransSegs"),
            missed: ["TCPFastRetrans", "TCPSlowStartRetrans", "TCPTimeouts"]
                .map(|name| column(&more, "TcpExt", name))
                .iter()
                .sum(),
            dropped: dropped_here(),
            receive_buffers: udp("RcvbufErrors"),
            send_buffers: udp("SndbufErrors"),
        }
    }
}

impl Sub for Losses {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            sent_again: self.sent_again - before.sent_again,
            missed: self.missed - before.missed,
            dropped: self.dropped - before.dropped,
            receive_buffers: self.receive_buffers - before.receive_buffers,
            send_buffers: self.send_buffers - before.send_buffers,
        }
    }
}

/// A counter of /proc/net/snmp or netstat: for each protocol a line of names, then a line of values.
fn column(text: &str, protocol: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let found = names.split(' ').zip(values.split(' ')).find(|(known, _)| *known == name);
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or_else(|| panic!("{protocol} has {name}"))
}

/// A counter of /proc/net/snmp6: one a line. None of them without IPv6.
fn line(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().map(str::split_whitespace);
    let found = lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next())?);
    found.map_or(0, |value| value.parse().expect("a number"))
}

fn dropped_here() -> u64 {
    let interfaces = std::fs::read_dir("/sys/class/net").expect("interfaces").flatten().map(|entry| entry.path());
    let of = |interface: std::path::PathBuf| {
        let counters = ["rx_dropped", "tx_dropped", "rx_errors", "tx_errors"];
        let read = |name| std::fs::read_to_string(interface.join("statistics").join(name)).expect("a counter");
        counters.map(|name| read(name).trim().parse::<u64>().expect("a number")).iter().sum::<u64>()
    };
    interfaces.filter(|interface| interface.join("statistics").is_dir()).map(of).sum()
}

/// How many of the processors are busy, on average over `time` from now on.
pub(crate) fn busy_over(time: Duration) -> f64 {
    let (before, start) = (busy(), Instant::now());
    std::thread::sleep(time);
    (busy() - before).as_secs_f64() / start.elapsed().as_secs_f64()
}

/// Time that all processors of the computer were busy so far, whoever with: programs, the kernel, interrupts; not what
/// a host took from them ([`stolen`]), in which nothing was done.
pub(crate) fn busy() -> Duration {
    // user, nice, system, irq, softirq; guests are users already.
    spent_on(&[0, 1, 2, 5, 6])
}

/// Time that all processors of a virtual machine had work so far, but were not there: its host used them otherwise.
pub(crate) fn stolen() -> Duration {
    spent_on(&[7])
}

/// What the columns of all processors in /proc/stat sum up to: user, nice, system, idle, iowait, irq, softirq, steal, ...
fn spent_on(columns: &[usize]) -> Duration {
    /// USER_HZ, in which the kernel tells times to programs.
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/stat").expect("the kernel's counters");
    let first = text.lines().next().expect("a line of all processors");
    let ticks = first.split_whitespace().skip(1).map(|value| value.parse::<u64>().expect("a number"));
    let sum = ticks.enumerate().filter(|(column, _)| columns.contains(column)).map(|(_, ticks)| ticks).sum::<u64>();
    Duration::from_secs_f64(sum as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let snmp = "Ip: Forwarding\nIp: 1\nUdp: InErrors RcvbufErrors\nUdp: 7 9\nUdpLite: InErrors\nUdpLite: 3\n";
        assert_eq!(column(snmp, "Udp", "RcvbufErrors"), 9);
        let snmp6 = "Ip6InReceives   \t12\nUdp6RcvbufErrors  \t4\n";
        assert_eq!((line(snmp6, "Udp6RcvbufErrors"), line("", "Udp6RcvbufErrors")), (4, 0));
    }
}
