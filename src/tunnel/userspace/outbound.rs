//! Packets from the TUN to the network.
//!
//! ```text
//!   read(2) ─► one superpacket ─► longest prefix of the destination: which peer? ─► locked for 16 packets at a time:
//!                                  next segment, header written in place ─► padded ─► sealed into the outbox
//! ```

use std::sync::Arc;
use std::time::Instant;

use parking_lot::MutexGuard;

use super::answers::{Answers, Sender};
use super::icmp::Reason;
use super::offload::VnetHeader;
use super::offload::segment::Segments;
use super::packet::{Header, congestion};
use super::peer::Traffic;
use super::table::{Shared, Table};
use super::{BATCH, Ports, SPARE, padded};

/// The way of packets from the TUN to the network.
pub(super) struct Outbound {
    shared: Arc<Shared>,
    answers: Answers,
}

impl Outbound {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), answers: Answers::default() }
    }

    /// Handles what one read of the TUN gave: `length` bytes at the front of `buffer`, with [`SPARE`] bytes behind them.
    pub(super) fn handle(
        &mut self,
        table: &Table,
        offload: &VnetHeader,
        (buffer, length): (&mut [u8], usize),
        now: Instant,
        ports: &mut impl Ports,
    ) {
        let whole = Header::parse(&buffer[..length]);
        let Some((header, mut segments)) =
            whole.and_then(|header| Some((header, Segments::new(offload, &mut buffer[..header.length]).ok()?)))
        else {
            self.shared.drops.undeliverable.add(1);
            return;
        };
        let owner = table.allowed.lookup(header.destination);
        let Some(peer) = owner.and_then(|owner| table.peers.get(owner.slot)) else {
            let packet = &buffer[..header.length];
            // The routing table of macOS leads what a machine sends to itself into the tunnel, too.
            if cfg!(target_os = "macos") && table.own.addresses.contains(&header.destination) {
                return ports.deliver(packet);
            }
            let why = Reason::Unreachable;
            return self.answers.answer(&self.shared, table, (packet, &header), why, Sender::Local, now, ports);
        };
        table.note_sent(&header.destination, header.length);
        let mtu = table.mtu_to(header.destination);
        // Linux has routes with an MTU for these, which nothing larger takes.
        if cfg!(target_os = "macos") && header.length > usize::from(mtu) && header.dont_fragment {
            let (packet, why) = (&buffer[..header.length], Reason::TooBig(mtu));
            return self.answers.answer(&self.shared, table, (packet, &header), why, Sender::Local, now, ports);
        }
        let tos = congestion(buffer);
        let (mut passed, mut more) = (0, true);
        while more {
            let mut locked = peer.lock();
            if locked.endpoint.is_none() {
                drop(locked);
                let packet = &buffer[..header.length];
                let why = Reason::Unreachable;
                return self.answers.answer(&self.shared, table, (packet, &header), why, Sender::Local, now, ports);
            }
            let ready = locked.is_ready();
            for _ in 0..BATCH {
                if !ports.outbox().has_room(usize::from(table.own.mtu) + SPARE) {
                    break;
                }
                let Some(packet) = segments.next(&mut buffer[..header.length]) else {
                    more = false;
                    break;
                };
                padded(buffer, packet, table.own.mtu, |packet| {
                    if ready {
                        locked.seal(packet, tos, now, ports.outbox());
                    } else {
                        locked.stage(packet, Traffic::Data);
                    }
                });
                passed += 1;
            }
            let needs_care = locked.needs_care();
            // Whoever waits for the other direction has its turn.
            MutexGuard::unlock_fair(locked);
            if needs_care {
                ports.attend();
            }
            if !ports.outbox().has_room(usize::from(table.own.mtu) + SPARE) {
                ports.flush();
            }
        }
        peer.count(passed);
    }
}
