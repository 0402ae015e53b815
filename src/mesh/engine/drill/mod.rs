//! Drills: a gateway withdraws for a while, as if its cables were cut, and another node measures how the mesh does
//! without it.
//!
//! ```text
//!   the node that measures (file-listed)            the gateway (file-listed or granted)
//!   echoes to every node, 1.5 s
//!   Withdraw(30 s) ------ inside the tunnel ------> listed? alone? would nodes be cut off?
//!                  <----------- Agreed ------------  tells the other gateways; half a second later
//!   echoes go on: lost ones, longest outage          sends nothing, hears nothing, forwards nothing
//!   Restore, or nothing at all ------------------->  is back, after 30 s at the latest
//! ```
//!
//! * **Who may.** Only a node that the gateway's own network file lists, as with `forget`, and by its own signature: the
//!   shared key of a member switches nothing off. The word goes over the link of the two and is not relayed.
//! * **It ends by itself.** The time is at most five minutes and runs at the gateway, whatever becomes of the node that
//!   asked; a gateway that is started anew is not withdrawn. Before the next drill it is in service for as long.
//! * **One at a time.** The gateway tells the other gateways before it falls silent, and they refuse until it is over; of
//!   two that begin within the same half second the one with the smaller identity goes on.
//! * **Nobody is cut off** unless that is asked for: both ends look at the graph without the gateway.
//! * **What is measured.** Echoes between overlay addresses take the way of users' packets. Besides, the link-state
//!   database tells when each node let go of its link to the gateway.

mod run;
mod withdrawal;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::super::ids::NodeId;
use super::super::io::Destination;
use super::super::time::Time;
use super::super::wire::{DirectWord, DrillWord, Echo, Message, Statement};
use super::Engine;
use run::Run;
use withdrawal::Withdrawal;

/// A drill lasts at least and at most so long.
pub(super) const SHORTEST: Duration = Duration::from_secs(1);
/// See [`SHORTEST`].
pub(super) const LONGEST: Duration = Duration::from_secs(300);
/// Between its word and its silence: the other gateways hear of it, and can object.
const NOTICE: Duration = Duration::from_millis(500);

/// All about drills that this node takes part in.
#[derive(Debug, Default)]
pub(super) struct Drills {
    /// This gateway's own withdrawal.
    withdrawal: Option<Withdrawal>,
    /// When this gateway may withdraw again.
    not_before: Time,
    /// The gateway that announced a drill last, and until when that lasts.
    elsewhere: Option<(NodeId, Time)>,
    /// The drill that this node measures, or measured last.
    run: Option<Run>,
}

impl Engine {
    /// Whether this gateway is withdrawn now: it neither says nor hears anything but what is about the drill.
    pub(in super::super) fn is_withdrawn(&self) -> bool {
        self.drills.withdrawal.as_ref().is_some_and(|withdrawal| withdrawal.silent)
    }

    /// A word about a drill, signed by `author` for this node, inside that node's own tunnel.
    pub(in super::super) fn receive_drill(&mut self, now: Time, author: NodeId, word: &DrillWord) {
        match word {
            DrillWord::Withdraw { millis, force } => self.asked_to_withdraw(now, author, *millis, *force),
            DrillWord::Restore => self.asked_to_return(now, author),
            DrillWord::Announced { millis } => self.hear_of_drill(now, author, *millis),
            DrillWord::Agreed => self.withdrawal_agreed(now, author),
            DrillWord::Refused(why) => self.withdrawal_refused(now, author, *why),
        }
    }

    /// Whether a datagram with this message may be sent, or heard, while this gateway is withdrawn.
    pub(in super::super) fn is_of_drill(message: &Message) -> bool {
        matches!(message, Message::Direct(Statement { word: DirectWord::Drill(_), .. }))
    }

    /// Signs a word and sends it inside the tunnel, whether or not the link is up.
    fn say_drill(&mut self, id: NodeId, word: DrillWord) {
        let Some(epoch) = self.lsdb.version(&id).map(|version| version.epoch) else { return };
        let Some(to) = self.tunnel_address(&id) else { return };
        self.statement_number += 1;
        let word = DirectWord::Drill(word);
        let statement = Statement::sign(&self.signer, id, (self.epoch, epoch), self.statement_number, word);
        self.send(&Message::Direct(statement), &id, to);
    }

    /// A gateway other than `gateway` that goes on with a drill.
    fn drill_elsewhere(&self, now: Time, gateway: &NodeId) -> Option<NodeId> {
        self.drills.elsewhere.filter(|(id, until)| id != gateway && now < *until).map(|(id, _)| id)
    }

    /// The nodes that nobody could reach any more without this gateway.
    fn cut_off_without(&self, gateway: &NodeId) -> BTreeSet<NodeId> {
        let others = self.graph.ids().iter().filter(|id| *id != gateway);
        let without = self.graph.without(gateway);
        // Seen from the gateway that reaches most without it, or from this node where there is none.
        let mut left: BTreeSet<NodeId> = BTreeSet::new();
        for start in without.gateways().filter(|id| id != gateway).chain([self.id]) {
            let mut reached: BTreeSet<NodeId> = without.paths(&start).into_keys().collect();
            reached.insert(start);
            left = if reached.len() > left.len() { reached } else { left };
        }
        let reached_now = self.graph.paths(gateway);
        others.filter(|id| reached_now.contains_key(*id) && !left.contains(*id)).copied().collect()
    }

    /// An echo came to an overlay address of this node: the answer goes back to where it came from.
    pub(in super::super) fn receive_echo(&mut self, now: Time, from: NodeId, echo: Echo, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let is_its_own = self.lsdb.about(&from).is_some_and(|about| about.addresses.contains(&address.ip()));
        if !is_its_own || !self.standing.admitted.contains(&from) {
            self.count("datagrams_unexpected");
        } else if echo.is_answer {
            self.echo_answered(now, from, echo.number);
        } else {
            let answer = Echo { is_answer: true, ..echo };
            self.send(&Message::Echo(answer), &from, Destination::Underlay(address));
        }
    }
}
