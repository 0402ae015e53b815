//! Reach: how nodes find each other's endpoints, prove who is there, and open direct links outside the graph.
//!
//! * `statics`: joining at the static peers of the network file, by challenge, for ever, with a capped back-off.
//! * `lan`: nodes on one LAN find each other by announcements, where no gateway is near, too.
//! * `sighting`: gateways tell where they see a node, which shows its NAT and the endpoint that others may try.
//! * `mapping`: a port that the router before this node leads to it is an endpoint for everyone, if the router's word holds.
//! * `candidates`: which endpoints of another node are worth a try from here, and in which order.
//! * `demand`: which pairs of a large mesh are worth a direct link, by their traffic.
//! * `direct`: two nodes that are no neighbours in the graph try each other's endpoints, prove the link in both
//!   directions, and agree to move each other's prefixes onto it. The gateway path stays beneath.

mod candidates;
mod demand;
mod direct;
mod lan;
mod mapping;
mod sighting;
mod statics;

pub(super) use candidates::is_public;
pub(super) use demand::Demand;
pub(super) use direct::Direct;
pub(super) use lan::{Nearby, is_link_local};
pub(super) use mapping::Mapped;
pub(super) use sighting::{Outside, Sightings};
pub(super) use statics::{Answers, Refused, StaticState, told};
