//! Trust: who holds a name or an address, who is a static peer, who is a gateway.
//!
//! Refusal is selection, not deletion: every validly signed record is stored and flooded, and [`Standing`] is a pure
//! function of what is stored, the network file and the static peers this node has challenged itself.
//!
//! * A **static peer** of the file is the identity that answered a fresh challenge at the file's endpoint (a *pin*), or
//!   that a static peer known in this way votes for. Never merely the first to claim its address.
//! * Any other **name or address** belongs to the identity with most votes of static peers, even while it is away;
//!   without votes to the present claimant that ranks first by hash.
//! * A **gateway** is a node that claims the role and is granted it by the files of all file-listed gateways present.

mod standing;
#[cfg(test)]
mod tests;
mod vote;

pub(super) use standing::may_forward;
pub use standing::{Conflict, Standing, claims_of};
pub use vote::votes_to_cast;
