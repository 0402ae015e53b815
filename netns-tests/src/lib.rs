//! `Lab`: machines as network namespaces on one computer, with real daemons in them.
//!
//! A test reads as the situation it is about: it makes [`segment::Segment`]s (cables and switches), [`machine::Machine`]s on
//! them, [`router`]s between them, and [`node::Node`]s (daemons); it starts, kills, cuts, heals and impairs; and it asserts what
//! a user notices: which pings pass ([`all_pairs`]), how long traffic was out ([`flow`]), what `wgnet status` says. It waits for
//! events with a deadline, never for a fixed time.
//!
//! ```text
//! lab.rs         makes everything, prints logs on failure          flow.rs       probes at an interval: loss, outages, recovery
//! namespace.rs   a thread in its own net and mount namespaces      all_pairs.rs  who reaches whom, and from when on
//! machine.rs     interfaces, addresses, firewall, files            node.rs       the daemon: start, stop, kill, status
//! segment.rs     bridge or impaired switch; cuts                   clock.rs      wrong wall clocks
//! forwarder.rs   the impaired switch: delay, loss, order           slots.rs      how many labs run at once
//! router.rs      NAT and stateful firewalls                        topology.rs   the networks that several tests use
//! scenario/      runs the simulator's scenario files with daemons  datagrams.rs  what an attacker hears and forges
//! latency.rs     round trips of single packets                     device.rs     other people's WireGuard
//! swarm.rs       hundreds of leaves in one thread                  screen.rs     the dashboard on a terminal
//! decoders/      what must hold for any bytes: fuzz/ and a test
//! ```
//!
//! Nothing is left behind, however a test ends: see [`namespace`].

#![allow(
    clippy::disallowed_methods,
    reason = "a test crate: it measures real time, waits for it, and runs the programs that make a network"
)]

pub mod all_pairs;
pub mod clock;
pub mod datagrams;
pub mod decoders;
pub mod device;
mod echo;
pub mod flow;
mod forwarder;
pub mod lab;
pub mod latency;
pub mod machine;
pub mod namespace;
pub mod network_file;
pub mod node;
pub mod process;
pub mod random;
pub mod router;
pub mod scenario;
pub mod screen;
pub mod segment;
pub mod slots;
pub mod swarm;
pub mod topology;
pub mod wait;

pub use all_pairs::Reach;
pub use device::Device;
pub use flow::{Flow, FlowReport};
pub use forwarder::Impairment;
pub use lab::Lab;
pub use machine::Machine;
pub use network_file::NetworkFile;
pub use node::Node;
pub use process::{Process, Program};
pub use random::Random;
pub use router::{Miniupnpd, Nat, Speaks};
pub use segment::Segment;
pub use slots::Load;
pub use swarm::Swarm;
pub use wait::{allowed, until};
