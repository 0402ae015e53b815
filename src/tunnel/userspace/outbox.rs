//! Sealed datagrams on their way to the socket: written once, one behind the other, in the runs by which the kernel
//! takes them.
//!
//! Datagrams of one length to one address, one behind the other, are a run: with UDP segmentation offload the kernel
//! takes a run as one (`UDP_SEGMENT`), without it the run's datagrams go singly. Nothing is copied in between: a packet
//! is sealed right into its place.

use super::Endpoint;

/// Most datagrams of a run: what kernels since 4.18 take.
pub(super) const MOST_SEGMENTS: usize = 64;

/// Room that stands ready: two of the kernel's largest packets, sealed. Beyond it the outbox grows, and shrinks when it
/// was emptied.
pub(super) const CAPACITY: usize = 160 << 10;

/// The least that boringtun wants to write into.
const LEAST_SLOT: usize = 148;

/// Most bytes of a run: the largest payload of UDP over IPv4. (Over IPv6 20 bytes more would do.)
const MOST_BYTES: usize = 65_507;

/// Datagrams of one length to one address; the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) to: Endpoint,
    /// TOS or traffic class of the outer packets.
    pub(super) tos: u8,
    /// Where the run begins in the buffer, and its length, in bytes.
    start: usize,
    length: usize,
    /// Length of each datagram, in bytes.
    pub(super) segment: usize,
    /// How many datagrams.
    pub(super) count: usize,
}

/// The datagrams that wait.
pub(super) struct Outbox {
    buffer: Vec<u8>,
    used: usize,
    runs: Vec<Run>,
}

impl Default for Outbox {
    fn default() -> Self {
        // Not with_capacity and resize, but zeroed by the system: memory that is never used is never touched.
        Self { buffer: vec![0; CAPACITY], used: 0, runs: Vec::new() }
    }
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether `bytes` more fit without growing.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.used + bytes <= CAPACITY
    }

    /// Place for the next datagram: at least `length` bytes.
    pub(super) fn slot(&mut self, length: usize) -> &mut [u8] {
        let end = self.used + length.max(LEAST_SLOT);
        if self.buffer.len() < end {
            self.buffer.resize(end.next_power_of_two(), 0);
        }
        &mut self.buffer[self.used..]
    }

    /// The first `length` bytes of the last slot are a datagram.
    pub(super) fn commit(&mut self, to: Endpoint, tos: u8, length: usize) {
        let start = self.used;
        self.used += length;
        if let Some(run) = self.runs.last_mut()
            && (run.to, run.tos) == (to, tos)
            && run.count < MOST_SEGMENTS
            // A shorter one has ended the run.
            && run.length == run.count * run.segment
            && length <= run.segment
            && run.length + length <= MOST_BYTES
        {
            run.count += 1;
            run.length += length;
            return;
        }
        self.runs.push(Run { to, tos, start, length, segment: length, count: 1 });
    }

    /// Writes a datagram that was made elsewhere.
    pub(super) fn push(&mut self, to: Endpoint, tos: u8, datagram: &[u8]) {
        self.slot(datagram.len())[..datagram.len()].copy_from_slice(datagram);
        self.commit(to, tos, datagram.len());
    }

    /// All runs, in order.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The bytes of a run: its datagrams one behind the other.
    pub(super) fn bytes(&self, run: &Run) -> &[u8] {
        &self.buffer[run.start..run.start + run.length]
    }

    /// The datagrams of a run.
    #[cfg(test)]
    pub(super) fn datagrams(&self, run: &Run) -> std::slice::Chunks<'_, u8> {
        self.bytes(run).chunks(run.segment)
    }

    /// Forgets everything: it was sent.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.used = 0;
        if self.buffer.len() > CAPACITY {
            self.buffer.truncate(CAPACITY);
            self.buffer.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn to(last: u8) -> Endpoint {
        SocketAddr::from(([192, 0, 2, last], 51_820)).into()
    }

    fn runs(lengths: &[(u8, u8, usize)]) -> Vec<(usize, usize)> {
        let mut outbox = Outbox::default();
        for (last, tos, length) in lengths {
            outbox.push(to(*last), *tos, &vec![*last; *length]);
        }
        assert!(outbox.runs().iter().all(|run| outbox.datagrams(run).len() == run.count));
        outbox.runs().iter().map(|run| (run.segment, run.count)).collect()
    }

    #[test]
    fn datagrams_of_one_length_to_one_address_are_a_run_and_a_shorter_one_ends_it() {
        assert_eq!(
            runs(&[(1, 0, 100), (1, 0, 100), (1, 0, 60), (1, 0, 60), (1, 0, 100)]),
            [(100, 3), (60, 1), (100, 1)]
        );
    }

    #[test]
    fn another_address_or_congestion_mark_begins_a_run() {
        assert_eq!(runs(&[(1, 0, 80), (2, 0, 80), (2, 2, 80), (2, 2, 80)]), [(80, 1), (80, 1), (80, 2)]);
    }

    #[test]
    fn a_run_is_never_longer_than_the_kernel_takes() {
        assert_eq!(runs(&[(1, 0, 148); 70]), [(148, 64), (148, 6)]);
        assert_eq!(runs(&[(1, 0, 1452); 48]), [(1452, 45), (1452, 3)]);
    }

    #[test]
    fn it_grows_for_more_than_it_holds_and_shrinks_when_emptied() {
        let mut outbox = Outbox::default();
        for number in 0..200_u8 {
            outbox.push(to(1), 0, &[number; 1452]);
        }
        assert!(!outbox.has_room(0));
        let sent: Vec<u8> =
            outbox.runs().iter().flat_map(|run| outbox.datagrams(run)).map(|datagram| datagram[1451]).collect();
        assert_eq!(sent, (0..200).collect::<Vec<u8>>());
        outbox.clear();
        assert_eq!((outbox.buffer.len(), outbox.is_empty()), (CAPACITY, true));
    }
}
