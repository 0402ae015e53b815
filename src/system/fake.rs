//! A system that only remembers: for tests of whatever drives a [`System`].

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{System, SystemError};
use crate::mesh::io::{DesiredSystem, LocalNetwork};

/// Remembers every desired state. Clones share one memory, so that a test keeps one and gives one away.
#[derive(Clone, Debug, Default)]
pub struct FakeSystem {
    memory: Arc<Mutex<Memory>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Memory {
    set: Vec<DesiredSystem>,
    network: LocalNetwork,
    refusal: Option<SystemError>,
    cleaned: bool,
}

impl FakeSystem {
    /// Every state that `set` was given, in order.
    pub fn states(&self) -> Vec<DesiredSystem> {
        self.memory().set.clone()
    }

    /// Whether `clean_up` was called.
    pub fn is_clean(&self) -> bool {
        self.memory().cleaned
    }

    /// Gives the machine other addresses, as if a cable were plugged in.
    pub fn change_network(&self, network: LocalNetwork) {
        self.memory().network = network;
        self.changed.notify_one();
    }

    /// Lets every `set` from now on fail with this error, or succeed again.
    pub fn refuse(&self, refusal: Option<SystemError>) {
        self.memory().refusal = refusal;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl System for FakeSystem {
    async fn set(&mut self, desired: &DesiredSystem) -> Result<(), SystemError> {
        let mut memory = self.memory();
        memory.set.push(desired.clone());
        memory.refusal.clone().map_or(Ok(()), Err)
    }

    async fn local_network(&mut self) -> Result<LocalNetwork, SystemError> {
        Ok(self.memory().network.clone())
    }

    async fn underlay_mtu(&mut self, _: &[IpAddr]) -> Result<Option<(String, u32)>, SystemError> {
        Ok(None)
    }

    async fn network_changed(&mut self) {
        self.changed.notified().await;
    }

    async fn clean_up(&mut self) -> Result<(), SystemError> {
        self.memory().cleaned = true;
        Ok(())
    }
}
