//! A node's disk: what survives a crash. Only the epoch is durable before it is used; a state file may be torn.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

/// A virtual disk with one state file, its previous version beside it.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    epoch: u64,
    durable: Option<Vec<u8>>,
    writing: Option<(u64, Vec<u8>)>,
    /// The newest state that came while another was being written; it replaces any older one that waits.
    waiting: Option<(u64, Vec<u8>)>,
    full: bool,
}

impl Disk {
    /// Counts a start: durable before the engine is made.
    pub(super) fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    /// What a start finds.
    pub(super) fn saved(&self) -> Option<&[u8]> {
        self.durable.as_deref()
    }

    /// Begins to write; gives the time that takes, or `None` if it must wait for the write before it.
    pub(super) fn write(&mut self, token: u64, bytes: Vec<u8>, rng: &mut ChaCha8Rng) -> Option<Duration> {
        if self.writing.is_some() {
            self.waiting = Some((token, bytes));
            return None;
        }
        self.writing = Some((token, bytes));
        Some(sync_time(rng))
    }

    /// The write has ended: its token, whether it is durable, and how long the next one takes, if one waited.
    pub(super) fn written(&mut self, rng: &mut ChaCha8Rng) -> Option<(u64, bool, Option<Duration>)> {
        let (token, bytes) = self.writing.take()?;
        if !self.full {
            self.durable = Some(bytes);
        }
        self.writing = self.waiting.take();
        let next = self.writing.as_ref().map(|_| sync_time(rng));
        Some((token, !self.full, next))
    }

    /// Power is lost in the middle of whatever was being written. One in three finds the new file complete. Of the others
    /// nothing is left, or a torn file: the daemon knows it by its checksum and takes the previous version.
    pub(super) fn crash(&mut self, rng: &mut ChaCha8Rng) {
        self.waiting = None;
        if let Some((_, bytes)) = self.writing.take()
            && !self.full
            && rng.next_u32().is_multiple_of(3)
        {
            self.durable = Some(bytes);
        }
    }

    /// The process ended in good order: what was being written is there.
    pub(super) fn close(&mut self) {
        let last = self.waiting.take().or_else(|| self.writing.take());
        self.writing = None;
        if let Some((_, bytes)) = last
            && !self.full
        {
            self.durable = Some(bytes);
        }
    }

    /// Fills the disk or makes room again.
    pub(super) fn set_full(&mut self, full: bool) {
        self.full = full;
    }
}

/// An fsync of a small file: 1 to 20 ms.
fn sync_time(rng: &mut ChaCha8Rng) -> Duration {
    Duration::from_micros(1_000 + u64::from(rng.next_u32() % 19_000))
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_crash_leaves_the_last_or_the_new_version() {
        let mut outcomes = [0, 0];
        for seed in 0..30 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut disk = Disk::default();
            assert!(disk.write(1, vec![1], &mut rng).is_some());
            assert_eq!(disk.written(&mut rng), Some((1, true, None)));
            assert!(disk.write(2, vec![2], &mut rng).is_some());
            assert!(disk.write(3, vec![3], &mut rng).is_none(), "waits");
            disk.crash(&mut rng);
            match disk.saved() {
                Some([1]) => outcomes[0] += 1,
                Some([2]) => outcomes[1] += 1,
                other => panic!("{other:?}"),
            }
            assert_eq!(disk.written(&mut rng), None, "the writer died");
        }
        assert!(outcomes.iter().all(|n| *n > 3), "{outcomes:?}");
    }

    #[test]
    fn a_full_disk_says_so_and_keeps_what_it_has() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut disk = Disk::default();
        disk.write(1, vec![1], &mut rng);
        disk.written(&mut rng);
        disk.set_full(true);
        disk.write(2, vec![2], &mut rng);
        disk.write(3, vec![3], &mut rng);
        assert!(matches!(disk.written(&mut rng), Some((2, false, Some(_)))));
        assert!(matches!(disk.written(&mut rng), Some((3, false, None))));
        assert_eq!(disk.saved(), Some(&[1][..]));
        assert_eq!((disk.next_epoch(), disk.next_epoch()), (1, 2));
    }
}
