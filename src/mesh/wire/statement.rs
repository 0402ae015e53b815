//! Statements: what acts between two nodes, signed by its author, so that it may pass through others' hands.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::super::ids::NodeId;
use super::super::record::{Signer, Verifier};
use super::message::signature_bytes;

/// What is said: about the direct link of two nodes that are no neighbours in the graph, or about a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectWord {
    /// "I try to reach you; try me at these endpoints."
    Ask(Vec<SocketAddr>),
    /// "The link is proven on my side; move my prefixes onto it as number N."
    Propose(u64),
    /// "I moved your prefixes; move mine."
    Accept(u64),
    /// "Number N is over; I moved your prefixes back."
    End(u64),
    /// See [`DrillWord`]. A version of wgnet that does not know it drops it, and never answers.
    Drill(DrillWord),
}

/// A word about a drill: a gateway that withdraws for a while, to see how the mesh does without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DrillWord {
    /// "Withdraw for so many milliseconds, though nodes are cut off meanwhile if `force`."
    Withdraw {
        /// How long.
        millis: u32,
        /// Whether nodes may be cut off.
        force: bool,
    },
    /// "I shall, in a moment."
    Agreed,
    /// "I shall not."
    Refused(DrillRefusal),
    /// "Be back."
    Restore,
    /// "A drill of mine lasts for so many milliseconds": one at a time in a mesh.
    Announced {
        /// How long.
        millis: u32,
    },
}

/// Why a gateway does not withdraw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DrillRefusal {
    /// Its network file does not list who asks.
    NotListed,
    /// It is no gateway.
    NotGateway,
    /// A drill goes on, here or at another gateway, or one has just ended here.
    Busy,
    /// So many nodes would be cut off.
    CutsOff(u16),
}

/// A signed word from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Author.
    pub from: NodeId,
    /// Addressee.
    pub to: NodeId,
    /// The author's epoch.
    pub epoch: u64,
    /// The addressee's epoch as the author knows it: a statement to an earlier start is void.
    pub to_epoch: u64,
    /// Rises with each statement of the author in this epoch: an older one is a replay.
    pub number: u64,
    /// What is said.
    pub word: DirectWord,
    #[serde(with = "signature_bytes")]
    pub(super) signature: [u8; 64],
}

impl Statement {
    /// Signs a statement.
    pub fn sign(signer: &Signer, to: NodeId, epochs: (u64, u64), number: u64, word: DirectWord) -> Self {
        let mut statement =
            Self { from: signer.id(), to, epoch: epochs.0, to_epoch: epochs.1, number, word, signature: [0; 64] };
        statement.signature = signer.sign(b"statement", &statement.content());
        statement
    }

    /// Whether its author signed it.
    pub fn is_signed(&self, verifier: &Verifier) -> bool {
        verifier.is_signed(&self.from, b"statement", &self.content(), &self.signature)
    }

    fn content(&self) -> Vec<u8> {
        let content = (&self.to, self.epoch, self.to_epoch, self.number, &self.word);
        postcard::to_allocvec(&content).expect("statements have known lengths")
    }
}
