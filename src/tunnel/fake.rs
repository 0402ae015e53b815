//! A tunnel that carries nothing: it records what was wanted and reports what a test put in.

use std::net::SocketAddrV6;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Tunnel, TunnelError};
use crate::mesh::io::{DesiredTunnel, TunnelReport};

/// A [`Tunnel`] for tests. Clones share one record, so a test keeps one and gives the other away.
#[derive(Clone, Debug, Default)]
pub struct FakeTunnel {
    record: Arc<Mutex<Record>>,
}

/// What was done to a [`FakeTunnel`], and what it answers.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Every desired state, in order.
    pub desired: Vec<DesiredTunnel>,
    /// Every control datagram that was sent, in order.
    pub control: Vec<(SocketAddrV6, Vec<u8>)>,
    /// What `report` answers.
    pub report: TunnelReport,
    /// Why `set` and `report` fail from now on; the desired state is recorded all the same.
    pub broken: Option<String>,
    /// Whether `set` and `report` get no answer from now on.
    pub late: bool,
    /// Whether it was closed.
    pub closed: bool,
}

impl FakeTunnel {
    /// What was done so far.
    pub fn record(&self) -> Record {
        self.with(|record| record.clone())
    }

    /// Sets what it reports from now on.
    pub fn set_report(&self, report: TunnelReport) {
        self.with(|record| record.report = report);
    }

    /// Lets it fail from now on (`Some`: why) or work again.
    pub fn set_broken(&self, reason: Option<&str>) {
        self.with(|record| record.broken = reason.map(str::to_owned));
    }

    /// Lets it give no answer from now on, or answer again.
    pub fn set_late(&self, late: bool) {
        self.with(|record| record.late = late);
    }

    fn with<T>(&self, look: impl FnOnce(&mut Record) -> T) -> T {
        look(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn works(&self) -> Result<(), TunnelError> {
        if self.with(|record| record.late) {
            return Err(TunnelError::Late(Duration::from_secs(5)));
        }
        self.with(|record| record.broken.clone()).map_or(Ok(()), |reason| Err(TunnelError::Ended(reason)))
    }
}

impl Tunnel for FakeTunnel {
    fn set(&mut self, desired: &DesiredTunnel) -> Result<(), TunnelError> {
        self.with(|record| record.desired.push(desired.clone()));
        self.works()
    }

    fn report(&mut self) -> Result<TunnelReport, TunnelError> {
        self.works()?;
        Ok(self.with(|record| record.report.clone()))
    }

    fn send_control(&mut self, to: SocketAddrV6, payload: &[u8]) {
        self.with(|record| record.control.push((to, payload.to_vec())));
    }

    fn kind(&self) -> &'static str {
        "fake"
    }

    fn close(self: Box<Self>) {
        self.with(|record| record.closed = true);
    }

    fn detach(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_records_what_was_wanted_and_fails_when_told_to() {
        let watched = FakeTunnel::default();
        let mut tunnel: Box<dyn Tunnel> = Box::new(watched.clone());
        let desired = DesiredTunnel { forward: true, ..DesiredTunnel::default() };
        tunnel.set(&desired).expect("it works");
        watched.set_broken(Some("pulled out"));
        assert!(matches!(tunnel.report(), Err(TunnelError::Ended(reason)) if reason == "pulled out"));
        tunnel.send_control("[fd00::1]:50501".parse().expect("an address"), b"hello");
        tunnel.close();
        let record = watched.record();
        assert_eq!(record.desired, [desired]);
        assert_eq!(record.control[0].1, b"hello");
        assert!(record.closed);
    }
}
