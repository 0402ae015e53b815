//! What a daemon takes, and how it answers.

use serde::{Deserialize, Serialize};

/// `POST /v1/link-cost`: the cost of this node's link to a neighbour, in place of the measured one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkCost {
    /// The neighbour's name.
    pub peer: String,
    /// The cost; `null` goes back to the measured one.
    pub cost: Option<u32>,
}

/// `POST /v1/forget`: let a name and its addresses go to another identity. Only at a gateway of the network file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// The name of the node that was reinstalled or is gone.
    pub name: String,
}

/// A command was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// A request was refused; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong.
    pub error: String,
    /// What to do about it; empty when there is nothing to say.
    pub remedy: String,
}
