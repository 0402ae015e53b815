//! How data threads ask the control thread to look after peers: the one thing between threads that neither a lock nor a
//! queue guards.
//!
//! A data thread notes in the peer, under its lock, that it needs care, and *then* calls. The control thread takes the
//! call and *then* looks at all peers. Whoever calls while a call stands need not wake anybody: the call is not taken
//! yet, so what it noted will be seen.

use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is exchanged as one step.
pub(super) trait Flag {
    fn exchange(&self, value: bool) -> bool;
}

impl Flag for AtomicBool {
    fn exchange(&self, value: bool) -> bool {
        self.swap(value, Ordering::AcqRel)
    }
}

/// Whether the control thread is called.
#[derive(Debug, Default)]
pub(super) struct Attention<F = AtomicBool> {
    called: F,
}

impl<F: Flag> Attention<F> {
    /// Calls, after what needs care was noted; `true` when the control thread is to be woken.
    #[must_use]
    pub(super) fn call(&self) -> bool {
        !self.called.exchange(true)
    }

    /// Takes the call; `true` when there was one: then all that was noted before is to be looked for.
    #[must_use]
    pub(super) fn take(&self) -> bool {
        self.called.exchange(false)
    }
}

#[cfg(test)]
mod tests {
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::*;

    struct LoomFlag(loom::sync::atomic::AtomicBool);

    impl Flag for LoomFlag {
        fn exchange(&self, value: bool) -> bool {
            self.0.swap(value, Ordering::AcqRel)
        }
    }

    /// Two data threads note something each, and call; the control thread looks whenever it was woken. In whatever order
    /// that happens, at the end everything was seen or a wake-up is still to come.
    #[test]
    fn nothing_that_was_noted_is_overlooked() {
        loom::model(|| {
            let attention = Arc::new(Attention { called: LoomFlag(loom::sync::atomic::AtomicBool::new(false)) });
            let peers = Arc::new([Mutex::new(false), Mutex::new(false)]);
            let wakes = Arc::new(AtomicUsize::new(0));
            let callers: Vec<_> = [0, 1]
                .into_iter()
                .map(|peer| {
                    let (attention, peers, wakes) = (attention.clone(), peers.clone(), wakes.clone());
                    thread::spawn(move || {
                        *peers[peer].lock().expect("no panic") = true;
                        if attention.call() {
                            wakes.fetch_add(1, Ordering::Release);
                        }
                    })
                })
                .collect();
            let look = || {
                if attention.take() {
                    peers.iter().for_each(|peer| *peer.lock().expect("no panic") = false);
                }
            };
            // A wake-up may have come by now; one that comes later makes it look again.
            let seen = wakes.load(Ordering::Acquire);
            if seen > 0 {
                look();
            }
            for caller in callers {
                caller.join().expect("no panic");
            }
            if wakes.load(Ordering::Acquire) > seen {
                look();
            }
            assert!(peers.iter().all(|peer| !*peer.lock().expect("no panic")), "a peer waits for ever");
        });
    }
}
