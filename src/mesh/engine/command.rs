//! What people ask of a running engine.

use std::time::Duration;

use super::super::event::{EventKind, Severity};
use super::super::io::{Command, CommandError};
use super::super::record::{Body, Forget};
use super::super::time::Time;
use super::Engine;

impl Engine {
    pub(super) fn obey(&mut self, now: Time, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Leave => self.leave(now),
            Command::LinkCost { peer, cost } => {
                let id = self.find_name(&peer)?;
                let Some(neighbour) = self.neighbours.get_mut(&id) else {
                    return Err(CommandError::NotNeighbour(peer));
                };
                neighbour.cost_set = cost;
                self.fix_cost(id);
                let told = cost.map_or_else(|| "is measured again".to_owned(), |cost| format!("is set to {cost}"));
                self.event(
                    Severity::Info,
                    EventKind::Cost,
                    &peer,
                    format!("the cost of the link to {peer} {told} by command"),
                );
                self.dirty.own = true;
            }
            Command::GatewayCost { cost } => {
                if !self.standing.is_gateway(&self.id) {
                    return Err(CommandError::NoGateway);
                }
                self.gateway_cost = cost;
                let told = cost.map_or_else(
                    || "links cost what is measured again".to_owned(),
                    |cost| format!("every link of this gateway costs at least {cost}"),
                );
                self.own_cost_changed(format!("{told}, by command"));
            }
            Command::Drain { drain } => {
                if !self.standing.is_gateway(&self.id) {
                    return Err(CommandError::NoGateway);
                }
                self.draining = drain;
                self.own_cost_changed(match drain {
                    true => "drained by command: traffic of others takes another way where there is one".to_owned(),
                    false => "takes traffic of others again, by command".to_owned(),
                });
            }
            #[cfg(feature = "drill")]
            Command::Drill { gateway, lasts, force } => self.begin_drill(now, &gateway, lasts, force)?,
            #[cfg(feature = "drill")]
            Command::EndDrill => self.end_drill(now)?,
            Command::Probe { peer } => self.probe_now(now, peer.as_deref())?,
            Command::Forget { name } => {
                let identity = self.find_name(&name)?;
                if identity == self.id {
                    return Err(CommandError::Itself);
                }
                if self.standing.static_of(&self.id).is_none() {
                    return Err(CommandError::NotGateway);
                }
                let epoch = self.lsdb.version(&identity).map_or(u64::MAX - 1, |version| version.epoch);
                let item = self.signer.item(Body::Forget(Forget { identity, epoch }));
                let summary = (item.key().hash(), item.hash());
                self.lsdb.insert(item, Duration::ZERO, &[], now);
                self.flood(now, summary, None);
                self.dirty.standing = true;
                self.save_within(now, Duration::ZERO);
                let text =
                    format!("{name} ({}) is forgotten by command: its name and addresses are free", identity.short());
                self.event(Severity::Info, EventKind::Identity, &name, text);
            }
        }
        Ok(())
    }

    fn own_cost_changed(&mut self, text: String) {
        let name = self.config.name.to_string();
        self.event(Severity::Info, EventKind::Cost, &name, text);
        self.dirty.own = true;
    }
}
