//! The embedded tunnel under test: its data plane in memory ([`plane`], in a [`world`]), and whole devices in network namespaces, alone
//! ([`devices`], [`refusals`]) and with `wg` and another implementation ([`wireguard_tools`]). What needs root fails
//! loudly without it.

mod devices;
mod lab;
mod plane;
mod refusals;
mod wireguard_tools;
mod world;
