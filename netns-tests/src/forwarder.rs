//! A switch in user space: one TAP device per machine, one thread that reads frames, decides and writes them.
//!
//! The kernel hands complete frames to a TAP device, checksums included, so nothing has to be mended on the way. Decisions
//! (loss, delay, order, copies) are drawn from a seed per directed pair of ports. ARP and neighbour discovery always pass.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::namespace::Namespace;
use crate::process::lock;
use crate::random::Random;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// From which port to which port.
pub(crate) type Pair = (usize, usize);

/// What packets meet on their way in one direction. The default is a perfect link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Time each packet takes.
    pub delay: Duration,
    /// Up to this much more, drawn for each packet; the order is kept.
    pub jitter: Duration,
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
    /// Share of packets that arrive twice, 0 to 1.
    pub duplicates: f64,
    /// Share of packets that later ones overtake (held for 1 to 10 ms more), 0 to 1.
    pub reordering: f64,
    /// Largest packet in bytes, IP header and all: a larger one, and every fragment, vanishes without a word.
    pub largest: Option<usize>,
}

impl Impairment {
    /// A clean link that takes `delay` one way.
    pub fn delay(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// A link without delay that loses this share of packets.
    pub fn loss(loss: f64) -> Self {
        Self { loss, ..Self::default() }
    }
}

/// The switch. Dropped, it ends its thread, and its TAP devices vanish.
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    taps: Mutex<Vec<Arc<File>>>,
    rules: Mutex<Rules>,
    wake: PipeWriter,
    stop: AtomicBool,
}

#[derive(Default)]
struct Rules {
    all: Impairment,
    pairs: BTreeMap<Pair, Impairment>,
    cuts: BTreeMap<Pair, bool>,
    losing: BTreeMap<Pair, u32>,
}

impl Forwarder {
    pub(crate) fn start(name: &str, seed: u64) -> Self {
        let (woken, wake) = std::io::pipe().expect("a pipe");
        let rules = Mutex::default();
        let shared = Arc::new(Shared { taps: Mutex::default(), rules, wake, stop: AtomicBool::new(false) });
        let mine = Arc::clone(&shared);
        let run = move || Switch::new(mine, seed).run(woken);
        let thread =
            std::thread::Builder::new().name(format!("switch-{name}")).spawn(run).expect("a thread can be started");
        Self { shared, thread: Some(thread) }
    }

    /// Makes the TAP device `interface` in `namespace` and takes its frames from now on.
    pub(crate) fn plug(&self, namespace: &Namespace, interface: &str) {
        let name = interface.to_owned();
        let tap = namespace.run(move || open_tap(&name));
        let tap = tap.unwrap_or_else(|error| panic!("cannot make a TAP device for {}: {error}", namespace.name()));
        lock(&self.shared.taps).push(Arc::new(tap));
        self.shared.wake();
    }

    pub(crate) fn impair(&self, pair: Pair, impairment: Impairment) {
        lock(&self.shared.rules).pairs.insert(pair, impairment);
    }

    pub(crate) fn impair_all(&self, impairment: Impairment) {
        lock(&self.shared.rules).all = impairment;
    }

    pub(crate) fn cut(&self, pair: Pair, cut: bool) {
        lock(&self.shared.rules).cuts.insert(pair, cut);
    }

    pub(crate) fn heal_all(&self) {
        lock(&self.shared.rules).cuts.clear();
    }

    pub(crate) fn lose_next(&self, pair: Pair, count: u32) {
        lock(&self.shared.rules).losing.insert(pair, count);
    }

    pub(crate) fn still_to_lose(&self, pair: Pair) -> u32 {
        lock(&self.shared.rules).losing.get(&pair).copied().unwrap_or(0)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn wake(&self) {
        (&self.wake).write_all(&[0]).expect("the switch reads its pipe as long as it lives");
    }
}

/// A frame on its way, ordered by the moment it arrives.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    due: Instant,
    number: u64,
    to: usize,
    frame: Vec<u8>,
}

/// The thread's own state.
struct Switch {
    shared: Arc<Shared>,
    seed: u64,
    learned: BTreeMap<[u8; 6], usize>,
    dice: BTreeMap<Pair, Random>,
    /// When the last frame of a pair that keeps its order arrives.
    last: BTreeMap<Pair, Instant>,
    flying: BinaryHeap<Reverse<Flying>>,
    number: u64,
}

impl Switch {
    fn new(shared: Arc<Shared>, seed: u64) -> Self {
        let (learned, dice, last) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { shared, seed, learned, dice, last, flying: BinaryHeap::new(), number: 0 }
    }

    fn run(mut self, mut woken: PipeReader) {
        // Packets must not wait for the daemons' processor time.
        let me = nix::unistd::gettid().to_string();
        drop(std::process::Command::new("renice").args(["-n", "-20", "-p", &me]).output());
        let mut buffer = vec![0; 65536];
        while !self.shared.stop.load(Ordering::Relaxed) {
            let taps = lock(&self.shared.taps).clone();
            let mut fds = taps.iter().map(|tap| PollFd::new(tap.as_fd(), PollFlags::POLLIN)).collect::<Vec<_>>();
            fds.push(PollFd::new(woken.as_fd(), PollFlags::POLLIN));
            let now = Instant::now();
            let wait = self.flying.peek().map(|Reverse(next)| TimeSpec::from(next.due.saturating_duration_since(now)));
            let _ = ppoll(&mut fds, wait, None);
            let readable = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect::<Vec<_>>();
            drop(fds);
            if readable[taps.len()] {
                drop(woken.read(&mut buffer));
            }
            for (from, tap) in taps.iter().enumerate().filter(|(from, _)| readable[*from]) {
                // A bound, so that one flooding machine does not hold up the others.
                for _ in 0..64 {
                    let Ok(length) = (&**tap).read(&mut buffer) else { break };
                    self.take(from, &buffer[..length], &taps);
                }
            }
            self.deliver(&taps);
        }
    }

    fn take(&mut self, from: usize, frame: &[u8], taps: &[Arc<File>]) {
        let (Some(destination), Some(source)) = (frame.first_chunk::<6>(), frame.get(6..12)) else { return };
        self.learned.insert(source.try_into().expect("six bytes"), from);
        match self.learned.get(destination) {
            Some(&to) if to == from => {}
            Some(&to) => self.send((from, to), frame, taps),
            None => (0..taps.len()).filter(|to| *to != from).for_each(|to| self.send((from, to), frame, taps)),
        }
    }

    fn send(&mut self, pair: Pair, frame: &[u8], taps: &[Arc<File>]) {
        let plain = !resolves_neighbours(frame);
        let shared = Arc::clone(&self.shared);
        let mut rules = lock(&shared.rules);
        let impairment = if plain { *rules.pairs.get(&pair).unwrap_or(&rules.all) } else { Impairment::default() };
        if plain && rules.cuts.get(&pair).copied().unwrap_or(false) {
            return;
        }
        if let Some(losing) = rules.losing.get_mut(&pair).filter(|losing| **losing > 0 && is_udp(frame)) {
            *losing -= 1;
            return;
        }
        drop(rules);
        if impairment == Impairment::default() && !self.last.contains_key(&pair) {
            drop((&*taps[pair.1]).write(frame));
            return;
        }
        let seed = self.seed ^ ((pair.0 as u64) << 32 | pair.1 as u64);
        let dice = self.dice.entry(pair).or_insert_with(|| Random::new(seed));
        let black_hole = impairment.largest.is_some_and(|most| frame.len() > ETHERNET + most || is_fragment(frame));
        if black_hole || dice.chance(impairment.loss) {
            return;
        }
        let copies = if dice.chance(impairment.duplicates) { 2 } else { 1 };
        let mut due = Instant::now() + impairment.delay + impairment.jitter.mul_f64(dice.share());
        if dice.chance(impairment.reordering) {
            due += Duration::from_millis(1) + Duration::from_millis(9).mul_f64(dice.share());
        } else {
            let last = self.last.entry(pair).or_insert(due);
            due = due.max(*last);
            *last = due;
        }
        for _ in 0..copies {
            self.number += 1;
            self.flying.push(Reverse(Flying { due, number: self.number, to: pair.1, frame: frame.to_vec() }));
        }
    }

    fn deliver(&mut self, taps: &[Arc<File>]) {
        let now = Instant::now();
        while self.flying.peek().is_some_and(|Reverse(next)| next.due <= now) {
            let Reverse(next) = self.flying.pop().expect("just seen");
            // A machine whose interface is down loses the frame, as on a wire.
            drop((&*taps[next.to]).write(&next.frame));
        }
    }
}

/// ARP, or IPv6 neighbour and router discovery.
fn resolves_neighbours(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x06]) => true,
        Some([0x86, 0xdd]) => frame.get(20) == Some(&58) && matches!(frame.get(54), Some(133..=137)),
        _ => false,
    }
}

/// A part of a packet that was too large for something.
fn is_fragment(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        // "More fragments", or an offset.
        Some([0x08, 0x00]) => frame.get(20..22).is_some_and(|field| field[0] & 0x3f != 0 || field[1] != 0),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&44),
        _ => false,
    }
}

fn is_udp(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&17),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&17),
        _ => false,
    }
}

/// Opens a TAP device of that name in the calling thread's network namespace.
fn open_tap(name: &str) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    assert!(name.len() < libc::IFNAMSIZ, "interface name {name} is too long");
    #[expect(unsafe_code, reason = "TUNSETIFF has no safe wrapper; an all-zero ifreq is a valid one")]
    // SAFETY: `ifreq` is plain data; the kernel reads and writes only within it, and the fd is open.
    let refused = unsafe {
        let mut request = std::mem::zeroed::<libc::ifreq>();
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
        libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) != 0
    };
    if refused { Err(std::io::Error::last_os_error()) } else { Ok(file) }
}
