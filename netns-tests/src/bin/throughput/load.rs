//! Traffic between the two ends of a pair, and what it takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::tunnels::Pair;

/// Flows find their window before anything is counted.
const WARM_UP: Duration = Duration::from_secs(1);
/// Bytes of one write and one read.
const BLOCK: usize = 256 << 10;
/// Bytes of one write of a flow that is held to a rate: a millisecond of 500 Mbit/s.
const PACED_BLOCK: usize = 64 << 10;

/// TCP flows under way.
pub(crate) struct Flows {
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Flows {
    /// Starts `count` flows from end `from` of the pair to the other one, each as fast as it goes or, together, at `rate`
    /// bits per second.
    pub(crate) fn start(pair: &Pair, from: usize, count: u32, rate: Option<f64>) -> Self {
        let (received, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let mut threads = Vec::new();
        let (here, there) = (&pair.machines[from], &pair.machines[1 - from]);
        let to = SocketAddr::new(pair.addresses()[1 - from], 0);
        for _ in 0..count {
            let listener = there.namespace().run(move || TcpListener::bind(to)).expect("a free port");
            let target = listener.local_addr().expect("bound");
            let (counter, over) = (Arc::clone(&received), Arc::clone(&stop));
            threads.push(there.namespace().spawn("sink", move || {
                let (mut stream, _) = listener.accept().expect("the source connects");
                stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
                let mut block = vec![0; BLOCK];
                while !over.load(Ordering::Relaxed) {
                    if let Ok(length) = stream.read(&mut block) {
                        counter.fetch_add(length as u64, Ordering::Relaxed);
                    }
                }
            }));
            let (over, rate) = (Arc::clone(&stop), rate.map(|rate| rate / f64::from(count)));
            threads.push(here.namespace().spawn("source", move || {
                let mut stream = TcpStream::connect(target).expect("the sink listens");
                // Of the algorithms that every kernel has the one that does not pace: pacing would be what is measured.
                socket2::SockRef::from(&stream).set_tcp_congestion(b"cubic").expect("cubic");
                stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
                source(&mut stream, rate, &over);
            }));
        }
        Self { received, stop, threads }
    }

    /// Bits per second over that time, after a warm-up.
    pub(crate) fn rate_over(&self, time: Duration) -> f64 {
        std::thread::sleep(WARM_UP);
        let (before, start) = (self.received.load(Ordering::Relaxed), Instant::now());
        std::thread::sleep(time);
        (self.received.load(Ordering::Relaxed) - before) as f64 * 8.0 / start.elapsed().as_secs_f64()
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn source(stream: &mut TcpStream, rate: Option<f64>, over: &AtomicBool) {
    let block = vec![0x5a; if rate.is_some() { PACED_BLOCK } else { BLOCK }];
    let (start, mut sent) = (Instant::now(), 0_u64);
    while !over.load(Ordering::Relaxed) {
        // A timeout: the path is full, or the sink is about to end.
        sent += stream.write(&block).unwrap_or(0) as u64;
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(sent as f64 * 8.0 / rate);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
}

/// Sends UDP datagrams of `size` bytes from the first end to the second one, at `rate` bits per second or as fast as it
/// goes. Gives back how many were sent and received.
pub(crate) fn datagrams(pair: &Pair, size: usize, rate: Option<f64>, time: Duration) -> (u64, u64) {
    let [from, to] = pair.addresses();
    let bind = |address| move || UdpSocket::bind(SocketAddr::new(address, 0)).expect("a free port");
    let sink = pair.machines[1].namespace().run(bind(to));
    let target = sink.local_addr().expect("bound");
    sink.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let _ = socket2::SockRef::from(&sink).set_recv_buffer_size(8 << 20);
    let source = pair.machines[0].namespace().run(bind(from));
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
