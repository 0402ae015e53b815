//! A system and a router that only remember: for tests of whatever drives a [`System`] and a [`PortMapper`].

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::port_mapping::{PortMapper, Wanted};
use super::{System, SystemError};
use crate::mesh::io::{DesiredSystem, LocalNetwork, PortMapping};

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
    router: Option<Ipv4Addr>,
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

    /// Puts a router before the machine, which counts from the next change of its addresses on.
    pub fn put_behind(&self, router: Ipv4Addr) {
        self.memory().router = Some(router);
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

    async fn router(&mut self) -> Result<Option<Ipv4Addr>, SystemError> {
        Ok(self.memory().router)
    }

    async fn network_changed(&mut self) {
        self.changed.notified().await;
    }

    async fn clean_up(&mut self) -> Result<(), SystemError> {
        self.memory().cleaned = true;
        Ok(())
    }
}

/// A router that maps what a test says. Clones share one memory.
#[derive(Clone, Debug)]
pub struct FakeMapper {
    wanted: Arc<Mutex<Vec<Option<Wanted>>>>,
    achieved: mpsc::Sender<Option<PortMapping>>,
}

impl FakeMapper {
    /// The mapper, and where what it achieves comes from.
    pub fn new() -> (Self, mpsc::Receiver<Option<PortMapping>>) {
        let (achieved, answers) = mpsc::channel(4);
        (Self { wanted: Arc::default(), achieved }, answers)
    }

    /// Everything different that it was told, in order.
    pub fn wanted(&self) -> Vec<Option<Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the router map this, or take it back.
    pub fn achieve(&self, mapping: Option<PortMapping>) {
        // Who does not listen has ended.
        let _ = self.achieved.try_send(mapping);
    }
}

impl PortMapper for FakeMapper {
    fn set(&mut self, wanted: Option<Wanted>) {
        let mut all = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if all.last() != Some(&wanted) {
            all.push(wanted);
        }
        if wanted.is_none() {
            self.achieve(None);
        }
    }

    fn ask_again(&mut self) {}
}
