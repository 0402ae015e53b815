//! "Why this path?", for any two nodes.

use super::super::ids::NodeId;
use super::super::io::CommandError;
use super::super::path::{Explanation, Other, Verdict, explain};
use super::super::time::Time;
use super::super::view::{Candidate, Hop, Missing, Rule, Why};
use super::Engine;

impl Engine {
    /// Explains how packets travel between two nodes, named by name or overlay address (`from` is this node when it is
    /// not given).
    pub fn why(&self, now: Time, from: Option<&str>, to: &str) -> Result<Why, CommandError> {
        let from = from.map_or_else(|| Ok(self.id()), |from| self.find_node(from))?;
        let to = self.find_node(to)?;
        if from == to {
            return Err(CommandError::SameNode(self.name_of(&to)));
        }
        let explanation = explain(&self.graph, &from, &to);
        let other_end = if from == self.id() { Some(to) } else { Some(from).filter(|_| to == self.id()) };
        let direct = other_end.filter(|id| self.neighbours.get(id).is_some_and(|n| n.direct.is_active()));
        let mut why = Why {
            from: self.name_of(&from),
            to: self.name_of(&to),
            hops: Vec::new(),
            cost: None,
            candidates: Vec::new(),
            missing: None,
            mtu: self.config.mtu,
            readers: Vec::new(),
            note: None,
        };
        if let Some(id) = direct {
            why.mtu = self.link_mtu(&from, &to);
            why.hops = vec![self.hop(from, to, self.neighbours.get(&id).map(|n| u64::from(n.link.cost.measured())))];
            why.candidates.extend(explanation.as_ref().map(|explanation| self.beneath(&from, explanation)));
            let since = self.neighbours.get(&id).and_then(|neighbour| neighbour.link.up_since());
            let age = since.map_or(0, |since| now.since(since).as_secs());
            why.note = Some(format!("{}; up for {age} s", self.agreed(&id)));
            return Ok(why);
        }
        let Some(explanation) = explanation else {
            why.missing = Some(self.missing(from, to));
            return Ok(why);
        };
        let mut at = from;
        for (next, cost) in &explanation.way {
            why.hops.push(self.hop(at, *next, Some(*cost)));
            why.mtu = why.mtu.min(self.link_mtu(&at, next));
            if *next != to {
                why.readers.push(self.name_of(next));
            }
            at = *next;
        }
        let cost = explanation.way.iter().map(|(_, cost)| cost).sum();
        why.cost = Some(cost);
        why.candidates = explanation.others.iter().map(|other| self.candidate(other, cost)).collect();
        let leaves = !self.standing.is_gateway(&from) && !self.standing.is_gateway(&to);
        why.note = match other_end {
            Some(id) => self.why_not_direct(now, &id),
            None if leaves => Some("the two may have agreed on a direct link: only they know, ask there".to_owned()),
            None => None,
        };
        if let Some((first, _)) = explanation.way.first().filter(|_| from == self.id())
            && let Some(text) = self.why_first(first)
        {
            why.note = Some(why.note.map_or_else(|| text.clone(), |note| format!("{note}; {text}")));
        }
        Ok(why)
    }

    /// A node by its name or by an overlay address.
    pub(super) fn find_node(&self, wanted: &str) -> Result<NodeId, CommandError> {
        if self.config.name.as_str() == wanted {
            return Ok(self.id());
        }
        let address = wanted.parse().ok();
        let claims = |id: &&NodeId| {
            self.lsdb.about(id).is_some_and(|about| address.is_some_and(|address| about.addresses.contains(&address)))
        };
        let holder = self.standing.admitted.iter().find(claims).copied();
        holder.map_or_else(|| self.find_name(wanted), Ok)
    }

    fn hop(&self, from: NodeId, to: NodeId, cost: Option<u64>) -> Hop {
        let own = [(from, to), (to, from)].into_iter().find(|(end, _)| *end == self.id()).map(|(_, other)| other);
        let measured = own.and_then(|other| self.neighbours.get(&other)).map(|n| n.link.cost.quality());
        let told = || [(from, to), (to, from)].iter().find_map(|(a, b)| Some(self.lsdb.advert(a, b)?.quality));
        let quality = measured.or_else(told).filter(|quality| quality.rtt_us > 0);
        Hop {
            from: self.name_of(&from),
            to: self.name_of(&to),
            cost,
            rtt_us: quality.map(|quality| quality.rtt_us),
            loss_percent: quality.map(|quality| quality.loss_percent),
        }
    }

    fn names(&self, way: &[(NodeId, u64)]) -> String {
        way.iter().map(|(id, _)| self.name_of(id)).collect::<Vec<_>>().join(" > ")
    }

    fn candidate(&self, other: &Other, chosen: u64) -> Candidate {
        let via = self.name_of(&other.first);
        let (cost, rule, text) = match &other.verdict {
            Verdict::Dearer(cost, way) => {
                (Some(*cost), Rule::Dearer, format!("{} costs {} more", self.names(way), cost - chosen))
            }
            Verdict::Tied(cost, way) => {
                let text = format!("{} costs the same; the tie is broken the same way on every node", self.names(way));
                (Some(*cost), Rule::Tied, text)
            }
            Verdict::Leaf => (None, Rule::Leaf, format!("{via} is a leaf, and leaves do not forward")),
            Verdict::NoWayOn => (None, Rule::NoWayOn, format!("{via} has no way on that does not lead back here")),
        };
        Candidate { via, cost, margin: cost.map(|cost| cost - chosen), rule, text }
    }

    /// The path through gateways that lies beneath a direct link.
    fn beneath(&self, from: &NodeId, explanation: &Explanation) -> Candidate {
        let cost = explanation.way.iter().map(|(_, cost)| cost).sum();
        let first = explanation.way.first().map_or(*from, |(first, _)| *first);
        let text = format!("{} lies beneath, and takes over when the direct link dies", self.names(&explanation.way));
        Candidate { via: self.name_of(&first), cost: Some(cost), margin: None, rule: Rule::Beneath, text }
    }

    fn missing(&self, from: NodeId, to: NodeId) -> Missing {
        let told = |reason: String, remedy: &str| Missing { reason, remedy: remedy.to_owned() };
        for id in [from, to] {
            let name = self.name_of(&id);
            if let Some(conflict) = self.standing.conflicts.iter().find(|conflict| conflict.claimant == id) {
                return told(
                    format!("{name} is refused: {}", conflict.text),
                    "give it a name and address of its own; if it was reinstalled, run `wgnet forget NAME` at a gateway",
                );
            }
            if self.lsdb.about(&id).is_none_or(|about| about.left) {
                return told(format!("{name} left the mesh"), "start it again");
            }
            if self.graph.neighbours(&id).next().is_none() {
                let told_of = self.lsdb.links_of(&id).count();
                let reason = match told_of {
                    0 => format!("{name} has no link to any gateway"),
                    n => format!("{name} tells of {n} links, but no other end confirms one"),
                };
                let remedy = if id == self.id {
                    "check that a static peer runs, and that UDP to its endPoint and adminPort passes from here"
                } else {
                    "check that it runs, and that UDP passes between it and a static peer"
                };
                return told(reason, remedy);
            }
        }
        let side = |id: &NodeId| {
            let paths = self.graph.paths(id);
            let gateways = self.graph.gateways().filter(|gateway| gateway == id || paths.contains_key(gateway));
            gateways.map(|gateway| self.name_of(&gateway)).collect::<Vec<_>>().join(", ")
        };
        told(
            format!("the mesh is in two parts: one with {}, one with {}", side(&from), side(&to)),
            "check that UDP passes between gateways of the two parts",
        )
    }
}
