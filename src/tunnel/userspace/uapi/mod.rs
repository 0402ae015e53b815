//! The userspace API of WireGuard: a unix socket on which `wg` asks and sets, one text request and one text answer at a
//! time (<https://www.wireguard.com/xplatform/>).
//!
//! [`parse`] turns bytes into a request and touches nothing; [`answer`] writes what `get=1` shows; [`server`] moves
//! bytes over non-blocking sockets that the device loop polls, so that a slow client never holds up a packet.

pub(super) mod answer;
pub mod parse;
pub(super) mod server;
