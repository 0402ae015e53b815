//! Traffic between machines.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::star::End;

/// Flows find their window before anything is counted.
const WARM_UP: Duration = Duration::from_secs(1);
/// Bytes of one write and one read.
const BLOCK: usize = 256 << 10;
/// Bytes of one write of a flow that is held to a rate: a millisecond of 500 Mbit/s.
const PACED_BLOCK: usize = 64 << 10;
/// After this time threads look whether their flow is over.
const LOOK: Duration = Duration::from_millis(200);

/// TCP flows under way. Dropped, they end.
pub(crate) struct Flows {
    received: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Flows {
    /// Starts a flow between each of these ends, from the first to the second, as fast as it goes or, all of them
    /// together, at `rate` bits per second; and lets them warm up.
    pub(crate) fn start(between: &[(End<'_>, End<'_>)], rate: Option<f64>) -> Self {
        let (received, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let rate = rate.map(|rate| rate / between.len() as f64);
        let mut threads = Vec::new();
        for (from, to) in between {
            let (mut source, mut sink) = connection(*from, *to);
            source.set_write_timeout(Some(LOOK)).expect("a timeout");
            sink.set_read_timeout(Some(LOOK)).expect("a timeout");
            let (counter, stop) = (Arc::clone(&received), Arc::clone(&over));
            threads.push(std::thread::spawn(move || receive(&mut sink, &counter, &stop)));
            let stop = Arc::clone(&over);
            threads.push(std::thread::spawn(move || send(&mut source, rate, &stop)));
        }
        std::thread::sleep(WARM_UP);
        Self { received, over, threads }
    }

    /// How many bits arrive from now on until `time` is over, and how long that was to the nanosecond.
    pub(crate) fn bits_over(&self, time: Duration) -> (f64, Duration) {
        let (before, start) = (self.received.load(Ordering::Relaxed), Instant::now());
        std::thread::sleep(time);
        ((self.received.load(Ordering::Relaxed) - before) as f64 * 8.0, start.elapsed())
    }

    /// Bits per second from now on until `time` is over.
    pub(crate) fn rate_over(&self, time: Duration) -> f64 {
        let (bits, took) = self.bits_over(time);
        bits / took.as_secs_f64()
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// A connection: what the one end sends with, and what the other one receives with.
pub(crate) fn connection(from: End<'_>, to: End<'_>) -> (TcpStream, TcpStream) {
    let address = SocketAddr::new(to.address, 0);
    let listener = to.machine.namespace().run(move || TcpListener::bind(address)).expect("a free port");
    let target = listener.local_addr().expect("bound");
    let connect = move || TcpStream::connect_timeout(&target, Duration::from_secs(10));
    let source = from.machine.namespace().run(connect).expect("the sink is reached");
    // Of the algorithms that every kernel has the one that does not pace: pacing would be what is measured.
    socket2::SockRef::from(&source).set_tcp_congestion(b"cubic").expect("cubic");
    (source, listener.accept().expect("the source is connected").0)
}

/// Whether a read or write only ran into its timeout.
fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn receive(sink: &mut TcpStream, received: &AtomicU64, over: &AtomicBool) {
    let mut block = vec![0; BLOCK];
    while !over.load(Ordering::Relaxed) {
        match sink.read(&mut block) {
            Ok(0) => break,
            Ok(length) => drop(received.fetch_add(length as u64, Ordering::Relaxed)),
            Err(error) if is_timeout(&error) => {}
            Err(_) => break,
        }
    }
}

fn send(source: &mut TcpStream, rate: Option<f64>, over: &AtomicBool) {
    let block = vec![0x5a; if rate.is_some() { PACED_BLOCK } else { BLOCK }];
    let (start, mut sent) = (Instant::now(), 0_u64);
    while !over.load(Ordering::Relaxed) {
        match source.write(&block) {
            Ok(length) => sent += length as u64,
            Err(error) if is_timeout(&error) => {}
            Err(_) => break,
        }
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(sent as f64 * 8.0 / rate);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
}

/// Sends UDP datagrams of `size` bytes at `rate` bits per second or as fast as it goes. Gives back how many were sent and
/// received.
pub(crate) fn datagrams(from: End<'_>, to: End<'_>, size: usize, rate: Option<f64>, time: Duration) -> (u64, u64) {
    let socket = |end: End<'_>| {
        let address = SocketAddr::new(end.address, 0);
        end.machine.namespace().run(move || UdpSocket::bind(address)).expect("a free port")
    };
    let (source, sink) = (socket(from), socket(to));
    let target = sink.local_addr().expect("bound");
    sink.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let _ = socket2::SockRef::from(&sink).set_recv_buffer_size(8 << 20);
    let receiving = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        let mut count = 0;
        while sink.recv(&mut buffer).is_ok() {
            count += 1;
        }
        count
    });
    let (start, payload, mut sent) = (Instant::now(), vec![0x5a; size], 0_u64);
    while start.elapsed() < time {
        // In small bursts, as media streams come.
        for _ in 0..8 {
            sent += u64::from(source.send_to(&payload, target).is_ok());
        }
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64((sent * size as u64) as f64 * 8.0 / rate);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    (sent, receiving.join().expect("counted"))
}
