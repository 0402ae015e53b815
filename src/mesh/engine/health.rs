//! What is wrong with the mesh, as far as this node knows: each line says what to do about it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::event::Severity;
use super::super::ids::NodeId;
use super::super::io::LocalAddress;
use super::super::path::ALGORITHM;
use super::super::reach::told;
use super::super::view::HealthLine;
use super::Engine;

/// So many nodes are named in one line.
const NAMED: usize = 5;

impl Engine {
    /// What is wrong, worst first.
    pub(super) fn health(&self) -> Vec<HealthLine> {
        let mut lines = Vec::new();
        let mut add = |severity, code, text: String, remedy: &str| {
            lines.push(HealthLine { severity, code, text, remedy: remedy.to_owned() });
        };
        for conflict in &self.standing.conflicts {
            let own = conflict.claimant == self.id;
            let concerned = own || conflict.holder == Some(self.id) || self.standing.static_of(&self.id).is_some();
            if !concerned {
                continue;
            }
            let remedy = match (own, conflict.code) {
                (_, "address-outside") => "give that node an address inside the subnet",
                (_, "role-refused") => {
                    "list it in the network file of every gateway, or take `gateway` from its node.yaml"
                }
                (true, _) => {
                    "choose another name or address; if this machine was reinstalled, run `wgnet forget NAME` at a gateway"
                }
                (false, _) => {
                    "if that node was reinstalled, run `wgnet forget NAME` at a gateway; else it must choose another"
                }
            };
            let severity = if own { Severity::Error } else { Severity::Warning };
            add(severity, conflict.code, conflict.text.clone(), remedy);
        }
        for (id, refused) in self.refusals.iter().filter(|(_, refused)| refused.told) {
            let name = self.name_of(id);
            for refusal in &refused.what {
                let text = format!("{name} refuses this node: {}", told(*refusal));
                add(
                    Severity::Error,
                    "refused",
                    text,
                    "use the network file of the others, and a name and address of its own",
                );
            }
        }
        let me_static = self.config.own_static().is_some();
        let alone = self.config.static_peers.iter().all(|peer| self.config.own_static() == Some(peer));
        if self.paths.is_empty() && !alone {
            let severity = if me_static { Severity::Info } else { Severity::Error };
            let lost: Vec<&NodeId> = self.away().collect();
            let goes_on = lost.len() + 1 < self.standing.admitted.len();
            let text = match (goes_on, lost.is_empty()) {
                (true, true) => "no gateway is reachable: only direct links go on".to_owned(),
                (true, false) => {
                    let lost = self.named(&lost);
                    format!("no gateway is reachable: direct links go on, and {lost} cannot be reached")
                }
                (false, _) => "no other node is reachable".to_owned(),
            };
            add(
                severity,
                "no-link",
                text,
                "check that a static peer runs and that UDP to its endPoint and adminPort passes",
            );
        }
        for (index, peer) in self.config.static_peers.iter().enumerate() {
            let silent = !self.standing.statics.contains_key(&index);
            if silent {
                let text = format!("the static peer {} at {} has not answered yet", peer.addresses[0], peer.endpoint);
                add(Severity::Info, "static-silent", text, "start it, or take it out of the network file");
            }
        }
        if !self.paths.is_empty() {
            lines.extend(self.unreachable());
        }
        #[cfg(feature = "drill")]
        lines.extend(self.withdrawal_health());
        lines.extend(self.shadowed());
        lines.extend(self.black_holes());
        lines.extend(self.useless_mapping());
        let mut add = |severity, code, text: String, remedy: &str| {
            lines.push(HealthLine { severity, code, text, remedy: remedy.to_owned() });
        };
        let own = self.lsdb.about(&self.id);
        for (id, about) in self.lsdb.abouts().filter(|(id, about)| self.standing.admitted.contains(id) && !about.left) {
            if own.is_some_and(|own| own.file != about.file) {
                let text = format!("the network file of {} differs from this node's", self.name_of(&id));
                add(Severity::Warning, "file-differs", text, "use the same network file on all nodes");
            }
            if about.algorithm != ALGORITHM {
                let text =
                    format!("{} computes paths by version {} of the algorithm", self.name_of(&id), about.algorithm);
                add(Severity::Warning, "version-differs", text, "run the same version of wgnet on all nodes");
            }
        }
        if self.clone_alarms.len() > 3 {
            let text = "another machine uses this node's identity".to_owned();
            add(Severity::Error, "cloned-identity", text, "stop one of them and remove its state directory");
        }
        if self.save_failed {
            let text = "the mesh's state cannot be kept on disk".to_owned();
            add(Severity::Warning, "storage", text, "free space in the state directory");
        }
        lines.sort_by_key(|line| std::cmp::Reverse(line.severity));
        lines
    }

    /// Nodes that are part of the mesh and cannot be reached.
    fn away(&self) -> impl Iterator<Item = &NodeId> {
        let is_direct = |id: &NodeId| self.neighbours.get(id).is_some_and(|neighbour| neighbour.direct.is_active());
        let others = self.standing.admitted.iter().filter(|id| **id != self.id);
        others.filter(move |id| !is_direct(id) && !self.paths.contains_key(*id))
    }

    /// Some names in words, the rest as their number.
    pub(super) fn named(&self, ids: &[&NodeId]) -> String {
        let mut names: Vec<String> = ids.iter().map(|id| self.name_of(id)).collect();
        names.sort_unstable();
        names.truncate(NAMED);
        if ids.len() > NAMED {
            names.push(format!("{} more", ids.len() - NAMED));
        }
        match &names[..] {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            names => names.concat(),
        }
    }

    /// What cannot be reached, if something can. Static peers and gateways shall always run; others sleep and travel.
    fn unreachable(&self) -> Vec<HealthLine> {
        let is_static = |id: &&NodeId| self.standing.static_of(id).is_some() || self.standing.is_gateway(id);
        let (servers, others): (Vec<&NodeId>, Vec<&NodeId>) = self.away().partition(is_static);
        let line = |severity, code, ids: &[&NodeId], remedy: &str| HealthLine {
            severity,
            code,
            text: format!("{} cannot be reached", self.named(ids)),
            remedy: remedy.to_owned(),
        };
        let servers = (!servers.is_empty()).then(|| {
            let remedy =
                "check that it runs, and that UDP to its endPoint and adminPort passes; `wgnet why NAME` says more";
            line(Severity::Warning, "gateway-unreachable", &servers, remedy)
        });
        let others = (!others.is_empty()).then(|| {
            line(Severity::Info, "node-unreachable", &others, "it may be off or asleep; `wgnet why NAME` says more")
        });
        servers.into_iter().chain(others).collect()
    }

    /// Nodes whose address lies in a network that this machine is part of: its packets go there, not into the mesh.
    fn shadowed(&self) -> Option<HealthLine> {
        let mut shadowed = self.standing.admitted.iter().filter(|id| **id != self.id).filter_map(|id| {
            let about = self.lsdb.about(id)?;
            let local = &self.local.addresses;
            let net = about.addresses.iter().find_map(|address| shadow(&self.config.subnets, local, *address))?;
            Some((self.name_of(id), net))
        });
        let (name, net) = shadowed.next()?;
        let more = match shadowed.count() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Some(HealthLine {
            severity: Severity::Warning,
            code: "route-shadowed",
            text: format!("{name}{more} has an address in {net}, a network of this machine: packets for it stay there"),
            remedy: "give the node another address, or the overlay another subnet".to_owned(),
        })
    }
}

/// The network of this machine to which packets for an address of the overlay go instead: the one that holds it and is
/// narrower than the overlay's subnet around it, whose route leads into the mesh.
fn shadow(subnets: &[IpNet], local: &[LocalAddress], address: IpAddr) -> Option<IpNet> {
    let subnet = subnets.iter().find(|subnet| subnet.contains(&address))?;
    let nets = local.iter().filter_map(|local| IpNet::new(local.address, local.prefix).ok());
    nets.map(|net| net.trunc()).find(|net| net.contains(&address) && net.prefix_len() > subnet.prefix_len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_a_narrower_network_of_this_machine_is_shadowed() {
        let subnets = ["10.1.0.0/16", "fd01::/64"].map(|net| net.parse().expect("a prefix"));
        let local = |address: &str, prefix| LocalAddress { address: address.parse().expect("an address"), prefix };
        let lan = [local("10.1.2.7", 24), local("192.168.1.7", 24), local("fd01::1:7", 112)];
        let hit = |address: &str| {
            let net = shadow(&subnets, &lan, address.parse().expect("an address"));
            net.map(|net| net.to_string())
        };
        assert_eq!(hit("10.1.2.9").as_deref(), Some("10.1.2.0/24"), "though the other subnet is narrower than that");
        assert_eq!(hit("fd01::1:9").as_deref(), Some("fd01::1:0/112"));
        assert_eq!([hit("10.1.3.9"), hit("fd01::2:9"), hit("192.168.1.9")], [None, None, None]);
        assert_eq!(shadow(&subnets, &[local("10.9.9.9", 8)], "10.1.2.9".parse().expect("an address")), None, "wider");
    }
}
