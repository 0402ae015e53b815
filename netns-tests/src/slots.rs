//! How many labs run at once on this machine, across processes: locks on files, freed by the kernel when a process ends.
//!
//! There are three slots per processor, as labs mostly wait. A light lab takes one, a heavy one takes three, and one that
//! measures times takes all: it runs alone. Whoever waits holds the gate, so a lab that needs many slots is not overtaken for ever.

use std::fs::{File, OpenOptions};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

/// What a lab asks of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// A few daemons, mostly waiting.
    Light,
    /// Many daemons, or traffic.
    Heavy,
    /// Measures times: no other lab beside it.
    Alone,
}

/// Slots held; freed by dropping.
pub struct Slots(#[expect(dead_code, reason = "held for their locks")] Vec<Flock<File>>);

impl Slots {
    /// Waits until the machine has room.
    pub fn take(load: Load) -> Self {
        let total = 3 * std::thread::available_parallelism().map_or(2, usize::from);
        let wanted = match load {
            Load::Light => 1,
            Load::Heavy => 3,
            Load::Alone => total,
        };
        let gate = Flock::lock(open("gate"), FlockArg::LockExclusive).expect("a file lock can be waited for");
        let mut held = Vec::new();
        for slot in (0..total).cycle() {
            match Flock::lock(open(&format!("slot{slot}")), FlockArg::LockExclusiveNonblock) {
                Ok(lock) => held.push(lock),
                Err(_) if slot + 1 == total => std::thread::sleep(Duration::from_millis(20)),
                Err(_) => {}
            }
            if held.len() == wanted {
                break;
            }
        }
        drop(gate);
        Self(held)
    }
}

fn open(name: &str) -> File {
    let path = std::env::temp_dir().join(format!("wgnet-lab-{name}"));
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    opened.unwrap_or_else(|error| panic!("{}: {error} (labs need root)", path.display()))
}
