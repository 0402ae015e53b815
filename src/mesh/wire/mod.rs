//! Datagrams: at most 1200 bytes, sealed with a key that only members of the network can derive.
//!
//! ```text
//! 0        version (1)                       62  nonce, 24 random bytes
//! 1        kind                              86  ciphertext: the message in postcard, then 16 bytes of tag
//! 2..6     key id: which network key         Associated data: bytes 0..62 and the recipient's identity (zeros in a
//! 6..38    sender's identity                 join request, whose sender does not know it yet). Little endian.
//! 38..46   sender's epoch
//! 46..54   recipient's epoch, 0 if unknown
//! 54..62   counter, +1 per datagram
//! ```
//!
//! The network key proves membership and no more: any member could forge another's datagram. So whatever acts is signed
//! by its identity (items, join replies, [`Statement`]s) or comes out of that peer's own tunnel.
//!
//! Announcements on a LAN look otherwise: see [`Announcement`].
//!
//! Only the datagrams that measure how large a packet a link carries are longer than 1200 bytes.

mod announcement;
mod message;
mod replay;
mod seal;
mod statement;
#[cfg(test)]
mod tests;

pub use announcement::{ANNOUNCEMENT, Announcement, Announcer};
pub(super) use message::MAX_HOPS;
pub use message::{
    Echo, Entry, Hello, Join, JoinReply, Kind, MAX_DATAGRAM, MAX_PADDED, Message, Refusal, Relay, TUNNEL_HEADERS,
};
pub use replay::ReplayWindow;
pub use seal::{Header, OpenError, Opened, Sealer, join_overhead};
pub use statement::{DirectWord, DrillRefusal, DrillWord, Statement};
