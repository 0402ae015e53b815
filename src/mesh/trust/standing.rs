//! Who holds what: computed anew from the LSDB whenever a claim, a vote or a pin changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::config::{GatewayPolicy, MeshConfig, StaticPeer};
use super::super::ids::{NodeId, WgPublicKey};
use super::super::record::{About, Lsdb, Subject, grant_of};
use super::super::wire::Refusal;

/// A claim that is refused, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// Who claims.
    pub claimant: NodeId,
    /// The name it goes by.
    pub claimant_name: String,
    /// A stable word: `name-conflict`, `address-conflict`, `key-conflict`, `address-outside`, `role-refused`.
    pub code: &'static str,
    /// What is refused and why, one sentence.
    pub text: String,
    /// Who holds it instead, if anyone.
    pub holder: Option<NodeId>,
}

impl Conflict {
    /// The same in one word, to tell the claimant.
    pub fn refusal(&self) -> Refusal {
        match self.code {
            "name-conflict" => Refusal::Name,
            "key-conflict" => Refusal::Key,
            "address-outside" => Refusal::Outside,
            "role-refused" => Refusal::Role,
            _ => Refusal::Address,
        }
    }
}

/// Who holds what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Nodes that hold their name and all their addresses and have not left: the nodes of the graph.
    pub admitted: BTreeSet<NodeId>,
    /// Admitted nodes that may forward for others.
    pub gateways: BTreeSet<NodeId>,
    /// For each static peer of the file (by its index), the identity that is it.
    pub statics: BTreeMap<usize, NodeId>,
    /// Refused claims, sorted by claimant.
    pub conflicts: Vec<Conflict>,
}

/// A firm vote weighs more than all votes together that are not.
const FIRM: u32 = 10_000;

/// What the static peers' votes say: for each subject, the identities voted for and with what weight.
type Tally<'a> = BTreeMap<&'a Subject, BTreeMap<NodeId, u32>>;

impl Standing {
    /// Computes who holds what. `pins`: static peers (by index in the file) that this node challenged itself.
    pub fn compute(config: &MeshConfig, me: NodeId, lsdb: &Lsdb, pins: &BTreeMap<usize, NodeId>) -> Self {
        let forgotten = forgotten(lsdb);
        let statics = static_identities(config, me, lsdb, pins, &forgotten);
        let voters: BTreeSet<NodeId> = statics.values().copied().collect();
        let tally = tally(lsdb, &voters, &forgotten, |_| true);
        let mut standing = Self { statics, ..Self::default() };
        let present: Vec<(NodeId, &About, Vec<Subject>)> =
            lsdb.abouts().filter(|(_, about)| !about.left).map(|(id, about)| (id, about, claims_of(about))).collect();
        let mut claimants: Vec<(&Subject, NodeId)> =
            present.iter().flat_map(|(id, _, claimed)| claimed.iter().map(|subject| (subject, *id))).collect();
        claimants.sort_unstable();
        let listed = listed_subjects(config);
        for (id, about, claimed) in &present {
            let refused = standing.refusals(config, lsdb, (*id, about, claimed), &listed, &tally, &claimants);
            if refused.is_empty() {
                standing.admitted.insert(*id);
            }
            standing.conflicts.extend(refused);
        }
        standing.gateways = standing.granted_gateways(config, lsdb, &present);
        for (id, about, _) in &present {
            let refused = about.gateway && standing.admitted.contains(id) && !standing.gateways.contains(id);
            if refused {
                standing.conflicts.push(Conflict {
                    claimant: *id,
                    claimant_name: about.name.to_string(),
                    code: "role-refused",
                    text: format!("{} claims to be a gateway, which the network file does not grant", about.name),
                    holder: None,
                });
            }
        }
        standing
    }

    /// Whether `id` is an admitted gateway.
    pub fn is_gateway(&self, id: &NodeId) -> bool {
        self.gateways.contains(id)
    }

    /// The static peer of the file that `id` is, if any.
    pub fn static_of(&self, id: &NodeId) -> Option<usize> {
        self.statics.iter().find(|(_, holder)| *holder == id).map(|(index, _)| *index)
    }

    /// Every reason to refuse what `id` claims.
    fn refusals(
        &self,
        config: &MeshConfig,
        lsdb: &Lsdb,
        (id, about, claimed): (NodeId, &About, &[Subject]),
        listed: &BTreeMap<Subject, usize>,
        tally: &Tally<'_>,
        claimants: &[(&Subject, NodeId)],
    ) -> Vec<Conflict> {
        let mut refused = Vec::new();
        let mut refuse = |code, text, holder| {
            refused.push(Conflict { claimant: id, claimant_name: about.name.to_string(), code, text, holder });
        };
        for address in about.addresses.iter().filter(|address| !config.in_subnet(**address)) {
            let text = format!("{} claims the address {address}, which lies outside the overlay's subnet", about.name);
            refuse("address-outside", text, None);
        }
        for subject in claimed {
            let code = match subject {
                Subject::Name(_) => "name-conflict",
                Subject::Address(_) => "address-conflict",
                Subject::Key(_) => "key-conflict",
            };
            if let Some(&index) = listed.get(subject) {
                let holder = self.statics.get(&index).copied();
                if holder != Some(id) {
                    let peer = &config.static_peers[index];
                    let text = format!(
                        "{} ({}) claims the {subject} of the static peer at {}, but did not answer a challenge there",
                        about.name,
                        id.short(),
                        peer.endpoint
                    );
                    refuse(code, text, holder);
                }
                continue;
            }
            let first = claimants.partition_point(|(claimed, _)| *claimed < subject);
            let rivals = claimants[first..].iter().take_while(|(claimed, _)| *claimed == subject).map(|(_, id)| *id);
            let holder = holder(tally.get(subject), rivals);
            if holder != Some(id) {
                let who = holder.map_or_else(|| "nobody".to_owned(), |h| h.short());
                let there = holder.is_some_and(|h| lsdb.about(&h).is_some_and(|about| !about.left));
                let away = if there { "" } else { ", which is away" };
                let text =
                    format!("{} ({}) claims the {subject}, which belongs to {who}{away}", about.name, id.short());
                refuse(code, text, holder);
            }
        }
        refused
    }

    /// A gateway counts only while all file-listed gateways that are present grant it.
    fn granted_gateways(
        &self,
        config: &MeshConfig,
        lsdb: &Lsdb,
        present: &[(NodeId, &About, Vec<Subject>)],
    ) -> BTreeSet<NodeId> {
        let listed = |index: &usize| may_forward(config, &config.static_peers[*index]);
        let live = self.statics.iter().filter(|(index, id)| listed(index) && self.admitted.contains(*id));
        let granting: Vec<&About> =
            live.filter_map(|(_, id)| lsdb.about(id)).filter(|about| about.gateway && !about.left).collect();
        let is_granted = |id: &NodeId| {
            let Some(about) = lsdb.about(id) else { return false };
            let own_file = match self.static_of(id) {
                Some(index) => may_forward(config, &config.static_peers[index]),
                // Not in this node's file: then at least one file-listed gateway must grant it.
                None => config.gateways == GatewayPolicy::Any || !granting.is_empty(),
            };
            let grants = |g: &&About| g.grants_any || about.addresses.iter().any(|a| g.grants.contains(&grant_of(a)));
            own_file && granting.iter().all(grants)
        };
        let claims = present.iter().filter(|(id, about, _)| about.gateway && self.admitted.contains(id));
        claims.map(|(id, ..)| *id).filter(is_granted).collect()
    }
}

/// Whether the network file makes `peer` a gateway.
pub(in super::super) fn may_forward(config: &MeshConfig, peer: &StaticPeer) -> bool {
    match config.gateways {
        GatewayPolicy::Static => peer.gateway.unwrap_or(true),
        GatewayPolicy::Any => peer.gateway != Some(false),
    }
}

/// The name, the addresses and the key that a node claims, sorted.
pub fn claims_of(about: &About) -> Vec<Subject> {
    let addresses = about.addresses.iter().copied().map(Subject::Address);
    let mut subjects: Vec<Subject> =
        addresses.chain([Subject::Name(about.name.clone()), Subject::Key(about.wg_key)]).collect();
    subjects.sort();
    subjects
}

/// What the static peers of the file own, each with the first of them that does: a look-up for all claims of a large mesh.
fn listed_subjects(config: &MeshConfig) -> BTreeMap<Subject, usize> {
    let mut listed = BTreeMap::new();
    for (index, peer) in config.static_peers.iter().enumerate().rev() {
        let addresses = peer.addresses.iter().copied().map(Subject::Address);
        let subjects = addresses.chain(peer.name.clone().map(Subject::Name)).chain(peer.public_key.map(Subject::Key));
        listed.extend(subjects.map(|subject| (subject, index)));
    }
    listed
}

/// The static peer of the file whose name or address `subject` is.
pub(super) fn static_subject(config: &MeshConfig, subject: &Subject) -> Option<usize> {
    config.static_peers.iter().position(|peer| match subject {
        Subject::Name(name) => peer.name.as_ref() == Some(name),
        Subject::Address(address) => peer.addresses.contains(address),
        Subject::Key(key) => peer.public_key.as_ref() == Some(key),
    })
}

/// For each identity that was forgotten: by whom, and up to which of its epochs. A statement counts where its author is
/// a voter.
fn forgotten(lsdb: &Lsdb) -> BTreeMap<NodeId, Vec<(NodeId, u64)>> {
    let mut forgotten: BTreeMap<NodeId, Vec<(NodeId, u64)>> = BTreeMap::new();
    for (author, forget) in lsdb.forgets() {
        forgotten.entry(forget.identity).or_default().push((author, forget.epoch));
    }
    forgotten
}

type Forgotten = BTreeMap<NodeId, Vec<(NodeId, u64)>>;

fn is_void(forgotten: &Forgotten, voters: &BTreeSet<NodeId>, claimant: &NodeId, epoch: u64) -> bool {
    let statements = forgotten.get(claimant).map_or(&[][..], Vec::as_slice);
    statements.iter().any(|(author, until)| voters.contains(author) && epoch <= *until)
}

/// Votes of `voters` for `wanted` subjects that are not void.
fn tally<'a>(
    lsdb: &'a Lsdb,
    voters: &BTreeSet<NodeId>,
    forgotten: &Forgotten,
    wanted: impl Fn(&Subject) -> bool,
) -> Tally<'a> {
    let mut tally = Tally::new();
    let valid = lsdb.votes().filter(|(voter, _)| voters.contains(voter));
    for (_, vote) in valid.filter(|(_, vote)| !is_void(forgotten, voters, &vote.claimant, vote.epoch)) {
        for subject in vote.subjects.iter().filter(|subject| wanted(subject)) {
            let weight = if vote.firm { FIRM } else { 1 };
            *tally.entry(subject).or_default().entry(vote.claimant).or_default() += weight;
        }
    }
    tally
}

/// Who holds a subject that no static peer owns: most votes, then the first by hash; without votes the first present.
pub(super) fn holder(
    votes: Option<&BTreeMap<NodeId, u32>>,
    mut present: impl Iterator<Item = NodeId>,
) -> Option<NodeId> {
    let voted = votes.and_then(|votes| votes.iter().max_by_key(|(id, count)| (**count, std::cmp::Reverse(id.rank()))));
    voted.map(|(id, _)| *id).or_else(|| {
        let first = present.next()?;
        // A rank is a hash: most claims have no rival.
        match present.next() {
            None => Some(first),
            Some(second) => [first, second].into_iter().chain(present).min_by_key(NodeId::rank),
        }
    })
}

/// The identity of each static peer: pinned by this node's own challenge, or voted for by one that is known.
fn static_identities(
    config: &MeshConfig,
    me: NodeId,
    lsdb: &Lsdb,
    pins: &BTreeMap<usize, NodeId>,
    forgotten: &Forgotten,
) -> BTreeMap<usize, NodeId> {
    let mut statics = pins.clone();
    if let Some(own) = config.static_peers.iter().position(|peer| is_same(peer, &config.addresses)) {
        statics.insert(own, me);
    }
    let fits = |index: usize, id: &NodeId| {
        let key: Option<WgPublicKey> = config.static_peers[index].public_key;
        key.is_none_or(|key| lsdb.about(id).is_some_and(|about| about.wg_key == key))
    };
    statics.retain(|index, id| *id == me || fits(*index, id));
    // A static peer that only other static peers can reach is known through their votes; its own votes then count too.
    while statics.len() < config.static_peers.len() {
        let voters: BTreeSet<NodeId> = statics.values().copied().collect();
        let unknown: BTreeSet<IpAddr> = config
            .static_peers
            .iter()
            .enumerate()
            .filter(|(index, _)| !statics.contains_key(index))
            .map(|(_, peer)| peer.addresses[0])
            .collect();
        let is_unknown = |subject: &Subject| matches!(subject, Subject::Address(a) if unknown.contains(a));
        let tally = tally(lsdb, &voters, forgotten, is_unknown);
        let before = statics.len();
        for (index, peer) in config.static_peers.iter().enumerate() {
            if statics.contains_key(&index) {
                continue;
            }
            let subject = Subject::Address(peer.addresses[0]);
            let votes: Option<BTreeMap<NodeId, u32>> = tally
                .get(&subject)
                .map(|votes| votes.iter().filter(|(id, _)| fits(index, id)).map(|(id, n)| (*id, *n)).collect());
            if let Some(id) = holder(votes.as_ref().filter(|votes| !votes.is_empty()), std::iter::empty()) {
                statics.insert(index, id);
            }
        }
        if statics.len() == before {
            break;
        }
    }
    statics
}

fn is_same(peer: &StaticPeer, addresses: &[IpAddr]) -> bool {
    peer.addresses.iter().any(|address| addresses.contains(address))
}
