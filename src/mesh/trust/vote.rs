//! Which votes a static peer casts: for the first claimant of each name, address and key that it saw.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::super::config::MeshConfig;
use super::super::ids::NodeId;
use super::super::record::{About, Body, Key, Lsdb, Subject, Vote};
use super::standing::{Standing, claims_of, static_subject};

/// How many votes a claim needs before further static peers save theirs: a few, so that votes survive lost disks, and
/// not one per static peer, so that the LSDB grows with the nodes alone.
const ENOUGH: usize = 3;

/// The votes that `me`, a static peer, shall cast now. A vote that counts is never given to another claimant; where
/// others voted already, it follows the holder that results from theirs.
///
/// `firm`: this node has listened long enough since its start to know whom others saw first. Before, its votes yield.
///
/// Static peers that are in touch (`in_touch`) share the work: a claim is for those of them that come first in an order
/// drawn from the name, so that thirty of them do not all vote before they hear of each other's votes.
pub fn votes_to_cast(
    config: &MeshConfig,
    me: NodeId,
    lsdb: &Lsdb,
    standing: &Standing,
    firm: bool,
    in_touch: impl Fn(&NodeId) -> bool,
) -> Vec<Vote> {
    let voters: BTreeSet<NodeId> = standing.statics.values().copied().collect();
    let is_forgotten = |claimant: &NodeId, epoch: u64| {
        voters.iter().any(|voter| match lsdb.get(&Key::Forget(*voter, *claimant)).map(|stored| stored.item.body()) {
            Some(Body::Forget(forget)) => epoch <= forget.epoch,
            _ => false,
        })
    };
    let mut own: BTreeMap<NodeId, Vote> = BTreeMap::new();
    let mut others: BTreeMap<NodeId, Vec<&Vote>> = BTreeMap::new();
    for (voter, vote) in lsdb.votes().filter(|(voter, _)| voters.contains(voter) || *voter == me) {
        if voter == me {
            own.insert(vote.claimant, vote.clone());
        } else if !is_forgotten(&vote.claimant, vote.epoch) {
            others.entry(vote.claimant).or_default().push(vote);
        }
    }
    // What this node's own votes give away already.
    let mut given: BTreeSet<Subject> = BTreeSet::new();
    let mut cast = Vec::new();
    for vote in own.values_mut().filter(|vote| !is_forgotten(&vote.claimant, vote.epoch)) {
        // A static peer that was challenged anew under another identity takes what is its own along.
        let keeps = |subject: &Subject| match static_subject(config, subject) {
            Some(index) => standing.statics.get(&index) == Some(&vote.claimant),
            None => true,
        };
        let mut kept: Vec<Subject> = vote.subjects.iter().filter(|subject| keeps(subject)).cloned().collect();
        let settles = firm && !vote.firm;
        if settles && !standing.admitted.contains(&vote.claimant) {
            // Others saw someone else first.
            kept.retain(|subject| !is_held(subject, &vote.claimant, &others));
        }
        if settles || kept.len() < vote.subjects.len() {
            *vote = Vote { subjects: kept, seq: vote.seq + 1, firm: vote.firm || firm, ..vote.clone() };
            cast.push(vote.clone());
        }
        given.extend(vote.subjects.iter().cloned());
    }
    // Admitted nodes first: where two claim the same at once, votes follow the holder.
    let present: Vec<(NodeId, &About)> = lsdb.abouts().filter(|(_, about)| !about.left).collect();
    let (admitted, refused): (Vec<_>, Vec<_>) = present.into_iter().partition(|(id, _)| standing.admitted.contains(id));
    for (id, about) in admitted.into_iter().chain(refused) {
        let Some(epoch) = lsdb.version(&id).map(|version| version.epoch) else { continue };
        if is_forgotten(&id, epoch) || !about.addresses.iter().all(|address| config.in_subnet(*address)) {
            continue;
        }
        let claimed = claims_of(about);
        let mine = own.get(&id).filter(|vote| !is_forgotten(&id, vote.epoch));
        if mine.is_some_and(|vote| vote.subjects == claimed) {
            continue;
        }
        let may_vote = claimed.iter().all(|subject| match static_subject(config, subject) {
            Some(index) => standing.statics.get(&index) == Some(&id),
            None => !given.contains(subject) || mine.is_some_and(|vote| vote.subjects.contains(subject)),
        });
        let voted = others
            .get(&id)
            .map_or(0, |votes| votes.iter().filter(|vote| vote.firm && vote.subjects == claimed).count());
        // Whoever others hold for the holder is not voted against.
        let is_rival = !standing.admitted.contains(&id) && claimed.iter().any(|subject| is_held(subject, &id, &others));
        if !may_vote || voted >= ENOUGH || is_rival {
            continue;
        }
        // The votes of a few are enough, as long as those few are there.
        let place = |voter: &NodeId| {
            let digest = Sha256::new().chain_update(about.name.as_str()).chain_update(voter.0).finalize();
            <[u8; 8]>::try_from(&digest[..8]).expect("a SHA-256 has 32 bytes")
        };
        let rivals = voters.iter().filter(|voter| **voter != me && in_touch(voter));
        if mine.is_none() && rivals.filter(|voter| place(voter) < place(&me)).count() >= ENOUGH {
            continue;
        }
        given.extend(claimed.iter().cloned());
        let seq = own.get(&id).map_or(0, |vote| vote.seq + 1);
        cast.push(Vote { claimant: id, epoch, seq, firm, subjects: claimed });
    }
    cast
}

/// Whether others' votes give `subject` to someone else than `id`.
fn is_held(subject: &Subject, id: &NodeId, others: &BTreeMap<NodeId, Vec<&Vote>>) -> bool {
    others.iter().any(|(claimant, votes)| claimant != id && votes.iter().any(|vote| vote.subjects.contains(subject)))
}
