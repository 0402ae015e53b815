//! ICMP errors for packets that cannot be passed on: to a local program through the TUN, to a peer through its tunnel.

use std::net::IpAddr;
use std::time::Instant;

use super::icmp::{self, Reason};
use super::packet::Header;
use super::peer::Traffic;
use super::peers::SharedPeer;
use super::table::{Shared, Table};
use super::{Ports, SPARE, padded};

/// Whom an error is for.
#[derive(Clone, Copy)]
pub(super) enum Sender<'a> {
    /// A local program.
    Local,
    Peer(&'a SharedPeer),
}

/// Makes the errors.
pub(super) struct Answers {
    built: Box<[u8]>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { built: vec![0; icmp::LONGEST + SPARE].into_boxed_slice() }
    }
}

impl Answers {
    /// Counts a packet as dropped and tells its sender why, if it may be told. No peer is locked.
    #[expect(clippy::too_many_arguments, reason = "the packet, why, for whom; and the world, which is nobody's field")]
    pub(super) fn answer(
        &mut self,
        shared: &Shared,
        table: &Table,
        (packet, header): (&[u8], &Header),
        reason: Reason,
        to: Sender<'_>,
        now: Instant,
        ports: &mut impl Ports,
    ) {
        shared.drops.undeliverable.add(1);
        let source: Option<IpAddr> = match to {
            // The kernel drops what claims to come from one of its own addresses ("martian"), so to a local program
            // the destination itself says that it is not there.
            Sender::Local => Some(header.destination),
            Sender::Peer(_) => table.own_address_like(header.source),
        };
        let Some(source) = source.filter(|_| icmp::may_answer(packet, header)) else { return };
        if !shared.errors.lock().take(now) {
            return;
        }
        let Some(length) = icmp::write_error(&mut self.built, reason, source, packet, header) else { return };
        let Sender::Peer(peer) = to else { return ports.deliver(&self.built[..length]) };
        let mut locked = peer.lock();
        if locked.endpoint.is_some() {
            padded(&mut self.built, 0..length, table.own.mtu, |packet| {
                locked.send(packet, Traffic::Data, now, ports.outbox());
            });
        }
        let needs_care = locked.needs_care();
        drop(locked);
        if needs_care {
            ports.attend();
        }
    }
}
