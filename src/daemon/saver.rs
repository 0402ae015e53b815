//! Keeps the engine's state on the disk without ever making the loop wait for it: one write at a time on a blocking
//! thread; of those that come meanwhile only the newest is kept.

use tokio::task::JoinHandle;

use super::store::{Store, StoreError};

/// The end of one write.
#[derive(Debug)]
pub struct Saved {
    /// The engine's token.
    pub token: u64,
    /// Whether it is durable.
    pub result: Result<(), StoreError>,
}

/// One write in progress, and the newest one waiting.
pub struct Saver {
    store: Store,
    running: Option<JoinHandle<Saved>>,
    waiting: Option<(u64, Vec<u8>)>,
}

impl Saver {
    /// Writes into `store`.
    pub fn new(store: Store) -> Self {
        Self { store, running: None, waiting: None }
    }

    /// Starts the write, or puts it in the place of the one that waits (which is then never reported).
    pub fn save(&mut self, token: u64, bytes: Vec<u8>) {
        self.waiting = Some((token, bytes));
        if self.running.is_none() {
            self.start();
        }
    }

    /// Waits for the end of a write; for ever when there is none. May be dropped and called again.
    pub async fn next(&mut self) -> Saved {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let saved = match running.await {
            Ok(saved) => saved,
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        };
        self.running = None;
        self.start();
        saved
    }

    /// Whether nothing is being written or waits.
    pub fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    fn start(&mut self) {
        if let Some((token, bytes)) = self.waiting.take() {
            let store = self.store.clone();
            self.running = Some(tokio::task::spawn_blocking(move || Saved { token, result: store.save_mesh(&bytes) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_of_many_saves_wins() {
        let base = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(base.path(), "wg0").expect("open");
        store.load(0).expect("load");
        let mut saver = Saver::new(store.clone());
        for token in 0..=9 {
            saver.save(token, vec![u8::try_from(token).expect("small")]);
        }
        let mut tokens = Vec::new();
        while !saver.is_idle() {
            let saved = saver.next().await;
            saved.result.expect("durable");
            tokens.push(saved.token);
        }
        assert_eq!(tokens, [0, 9]);
        assert_eq!(store.load(0).expect("load").mesh, Some(vec![9]));
    }
}
