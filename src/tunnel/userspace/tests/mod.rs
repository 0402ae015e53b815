//! The embedded tunnel under test: its data plane in memory, in a [`world`] ([`plane`]; [`trains`] of datagrams, and the
//! [`differential`] between them and single ones), and whole devices in network namespaces, alone ([`devices`],
//! [`offloads`], [`refusals`]) and with `wg` and another implementation ([`wireguard_tools`]). What needs root fails
//! loudly without it.

mod devices;
mod differential;
mod lab;
mod offloads;
mod plane;
mod refusals;
mod trains;
mod transfer;
mod wireguard_tools;
mod world;
