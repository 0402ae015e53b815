//! Opening datagrams and handing each message to the part it is for.

use std::time::Duration;

use super::super::ids::NodeId;
use super::super::io::{Destination, Via};
use super::super::link::Probe;
use super::super::record::{Carried, Item};
use super::super::time::Time;
use super::super::timer::Timer;
use super::super::wire::{Header, Hello, Kind, Message, OpenError};
use super::Engine;

impl Engine {
    pub(super) fn receive(&mut self, now: Time, via: Via, bytes: &[u8]) {
        let opened = match self.sealer.open(bytes) {
            Ok(opened) => opened,
            Err(error) => {
                self.count(match error {
                    OpenError::Foreign => "datagrams_foreign",
                    OpenError::Own => "datagrams_own",
                    OpenError::Seal => "datagrams_unsealed",
                });
                return;
            }
        };
        let header = opened.header;
        let Some(message) = Message::decode(header.kind, &opened.plaintext) else {
            self.count("datagrams_malformed");
            return;
        };
        self.count("datagrams_received");
        if self.is_mute(&message) {
            return;
        }
        let from = header.sender;
        if let Via::Tunnel(link) = via
            && self.neighbours.by_link(&link) != Some(from)
        {
            // WireGuard says who the peer is; a member of the network says it is someone else.
            self.count("datagrams_impostor");
            return;
        }
        // These prove themselves by signatures and may come from a start that the LSDB does not know yet.
        let (hello_item, proves_itself) = match &message {
            Message::Hello(hello) => (hello.item.as_ref(), false),
            Message::Join(_) | Message::JoinReply(_) | Message::Items(_) => (None, true),
            _ => (None, false),
        };
        if let Some(carried) = hello_item {
            self.receive_own_item_of(now, from, carried);
        }
        match self.freshness(&header, via) {
            Freshness::Fresh => {}
            Freshness::Unknown if proves_itself => {}
            Freshness::Stale if matches!(message, Message::Join(_)) => {}
            _ => {
                self.count("datagrams_stale");
                return;
            }
        }
        let back = match via {
            Via::Tunnel(_) => self.tunnel_address(&from),
            Via::Underlay(address) => {
                let proven = self.neighbours.get(&from).is_some_and(|n| n.underlay == Some(address));
                proven.then_some(Destination::Underlay(address))
            }
        };
        match (message, via, back) {
            (Message::Join(join), Via::Underlay(address), _) => self.receive_join(now, from, &join, address),
            (Message::JoinReply(reply), Via::Underlay(address), _) => {
                self.receive_join_reply(now, from, &reply, address)
            }
            (Message::Hello(hello), Via::Tunnel(_), _) => self.receive_hello(now, &header, &hello),
            (Message::Items(items), _, back) => self.receive_items(now, from, &items, back),
            (Message::Ack(entries), _, Some(_)) => self.receive_ack(now, from, &entries),
            (Message::Summary(bucket, list), _, Some(to)) => self.receive_summary(now, from, bucket, &list, to),
            (Message::Buckets(sums), _, Some(to)) => self.receive_buckets(from, &sums, to),
            (Message::Request(keys), _, Some(to)) => self.receive_request(now, from, &keys, to),
            (Message::Relay(relay), Via::Tunnel(_), _) => self.receive_relay(now, from, relay),
            (Message::Direct(statement), Via::Tunnel(_), _) => self.receive_statement(now, &statement, true),
            (Message::Size(probe), Via::Tunnel(_), _) => self.receive_size(now, from, probe, bytes.len()),
            #[cfg(feature = "drill")]
            (Message::Echo(echo), Via::Underlay(address), _) => self.receive_echo(now, from, echo, address),
            _ => self.count("datagrams_unexpected"),
        }
    }

    /// Whether a datagram belongs to the sender's present start and was not seen before.
    ///
    /// Only what came out of the sender's own tunnel moves the replay window: on the underlay any member could forge a
    /// datagram with a high counter, and the window would then refuse the sender's own. What is taken from the underlay
    /// is either proof against replays by itself (challenges, signed items) or comes from an address that echoed one.
    fn freshness(&mut self, header: &Header, via: Via) -> Freshness {
        let Some(version) = self.lsdb.version(&header.sender) else { return Freshness::Unknown };
        if header.epoch > version.epoch {
            return Freshness::Unknown;
        }
        if header.epoch < version.epoch {
            return Freshness::Stale;
        }
        if matches!(via, Via::Underlay(_)) {
            return Freshness::Fresh;
        }
        let (epoch, window) = self.windows.entry(header.sender).or_default();
        if *epoch != version.epoch {
            *epoch = version.epoch;
            *window = super::super::wire::ReplayWindow::default();
        }
        if !window.accept(header.counter) {
            return Freshness::Replayed;
        }
        // A datagram for this node's former start answers questions that this start never asked.
        let for_this_start = [0, self.epoch].contains(&header.recipient_epoch) || header.kind == Kind::Items;
        if for_this_start { Freshness::Fresh } else { Freshness::Replayed }
    }

    /// Stores the item that a node tells of itself beside another message.
    pub(in super::super) fn receive_own_item_of(&mut self, now: Time, from: NodeId, carried: &Carried) {
        let Ok(item) = Item::parse(&carried.bytes) else { return };
        if item.author() == from {
            self.store(now, item, Duration::from_secs(u64::from(carried.age)), &carried.holds, Some(from));
        }
    }

    fn receive_ack(&mut self, now: Time, from: NodeId, entries: &[(u64, u64)]) {
        let Some(neighbour) = self.neighbours.get_mut(&from) else { return };
        entries.iter().for_each(|(key, _)| neighbour.outbox.acknowledge(*key));
        match neighbour.outbox.next() {
            Some(next) => self.timers.set(Timer::Retransmit(from), next.max(now)),
            None => self.timers.stop(Timer::Retransmit(from)),
        }
    }

    fn receive_hello(&mut self, now: Time, header: &Header, hello: &Hello) {
        let id = header.sender;
        if !self.standing.admitted.contains(&id) {
            return;
        }
        self.timers.stop(Timer::Confirm(id));
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        if neighbour.uplink_theirs != hello.uplink {
            neighbour.uplink_theirs = hello.uplink;
            self.dirty.own = true;
        }
        neighbour.floods_theirs = hello.floods;
        if hello.digest == self.lsdb.digest() {
            // It has everything, whatever acknowledgements got lost.
            neighbour.outbox.acknowledge_all();
            match neighbour.outbox.next() {
                Some(next) => self.timers.set(Timer::Retransmit(id), next.max(now)),
                None => self.timers.stop(Timer::Retransmit(id)),
            }
        }
        let probe = Probe { seq: hello.seq, echo: hello.echo, wants_reply: hello.wants_reply };
        let (change, reply) = neighbour.link.received(now, probe);
        self.link_changed(now, id, change);
        if let Some(seen) = hello.seen {
            self.hear_seen(now, id, seen);
        }
        if let Some(reply) = reply {
            self.send_hello(now, id, reply);
        }
        self.compare_digest(now, id, hello.digest);
        self.hear_switched(now, id, hello.switched);
        self.arm_probe(now, id);
    }
}

/// What a datagram's header tells about its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    /// Of the sender's present start, for this node's present start, and new.
    Fresh,
    /// The LSDB does not know the sender, or not this start of it.
    Unknown,
    /// Of a former start.
    Stale,
    /// Seen before, or for a former start of this node.
    Replayed,
}
