//! What a scenario's events do to the world.

use std::net::IpAddr;

use super::network::happens;
use super::scenario::{Action, Between, Nodes};
use super::world::{LEAVE_WITHIN, Thing, World};
use crate::mesh::config::MeshConfig;
use crate::mesh::io::{Command, CommandError};

impl World {
    /// The numbers of a set of nodes; `all` are those that run and are honest.
    pub fn select(&self, nodes: &Nodes) -> Vec<usize> {
        match nodes {
            Nodes::All => (0..self.len()).filter(|node| self.runs(*node) && self.is_honest(*node)).collect(),
            Nodes::These(names) => names.iter().filter_map(|name| self.number(name)).collect(),
        }
    }

    /// Lets an event happen now. An error is the engine's answer to a command: the scenario asks for what it refuses.
    pub fn apply(&mut self, action: &Action) -> Result<(), CommandError> {
        self.journal.write(self.now, "world", format!("{action:?}"));
        // A changed cost must not keep anyone apart, so it grants no time for it.
        if !matches!(action, Action::Cost(_)) {
            self.watch.disturbed(self.now);
        }
        match action {
            Action::Start(nodes) => {
                // `all` means those that run, everywhere but here.
                let nodes = if *nodes == Nodes::All { (0..self.len()).collect() } else { self.select(nodes) };
                nodes.into_iter().for_each(|node| self.start(node));
            }
            Action::Stop(nodes) => self.select(nodes).into_iter().for_each(|node| self.leave(node)),
            Action::Kill(nodes) => self.select(nodes).into_iter().for_each(|node| self.kill(node)),
            Action::Restart(nodes) => {
                let nodes = self.select(nodes);
                nodes.iter().for_each(|node| self.kill(*node));
                nodes.iter().for_each(|node| self.start(*node));
            }
            Action::Cut(between) => self.block(between, true),
            Action::Heal(between) => self.block(between, false),
            Action::Drop(lost) => {
                if let (Some(from), Some(to)) = (self.number(&lost.from), self.number(&lost.to)) {
                    self.underlay.lose(from, to, lost.packets);
                }
            }
            Action::Impair(impairment) => {
                for node in self.every(&impairment.nodes) {
                    self.underlay.impair(node, impairment.link);
                }
            }
            Action::Clock(jump) => {
                for node in self.every(&jump.nodes) {
                    self.machines[node].clock = jump.offset;
                }
            }
            Action::Cost(cost) => {
                if let Some(node) = self.number(&cost.node) {
                    return self.command(node, Command::LinkCost { peer: cost.peer.clone(), cost: cost.cost });
                }
            }
            Action::Renumber(new) => {
                if let Some(node) = self.number(&new.node) {
                    self.renumber(node, &new.segment, new.address);
                }
            }
            Action::Flush(routers) => routers.iter().for_each(|router| self.underlay.flush(router)),
        }
        Ok(())
    }

    /// Gives a running engine a command. A node that does not run takes none.
    pub fn command(&mut self, node: usize, command: Command) -> Result<(), CommandError> {
        let Some(daemon) = &mut self.machines[node].daemon else { return Ok(()) };
        let now = daemon.engine_time(self.now);
        let answer = daemon.engine.handle_command(now, command);
        self.drain(node);
        answer
    }

    /// Pulls the plug of a node on a segment, or puts it back; its system tells the daemon.
    pub fn plug(&mut self, node: usize, segment: &str, plugged: bool) {
        self.watch.disturbed(self.now);
        self.journal.write(self.now, &self.machines[node].name, format!("plugged into {segment}: {plugged}"));
        self.underlay.plug(node, segment, plugged);
        self.network_changed(node);
    }

    /// Gives a node another network file. One that does not run finds it when it starts.
    pub fn edit_file(&mut self, node: usize, edit: impl FnOnce(&mut MeshConfig)) {
        let machine = &mut self.machines[node];
        edit(&mut machine.config);
        let config = machine.config.clone();
        let Some(daemon) = &mut self.machines[node].daemon else { return };
        let now = daemon.engine_time(self.now);
        daemon.engine.handle_config(now, config);
        self.drain(node);
    }

    /// A node's disk is full, or has room again.
    pub fn fill_disk(&mut self, node: usize, full: bool) {
        self.journal.write(self.now, &self.machines[node].name, format!("disk full: {full}"));
        self.machines[node].disk.set_full(full);
    }

    /// Draws from the world's own randomness: true with this probability.
    pub fn draw(&mut self, probability: f64) -> bool {
        happens(&mut self.rng, probability)
    }

    fn every(&self, nodes: &Nodes) -> Vec<usize> {
        if *nodes == Nodes::All { (0..self.len()).collect() } else { self.select(nodes) }
    }

    fn leave(&mut self, node: usize) {
        let Some(daemon) = self.machines[node].daemon.as_mut().filter(|daemon| !daemon.leaving) else { return };
        daemon.leaving = true;
        self.watch.changed(node);
        let start = self.machines[node].starts;
        self.queue.push(self.now + LEAVE_WITHIN, Thing::LeaveEnds(node, start));
        // Leaving is never refused.
        self.command(node, Command::Leave).unwrap_or_default();
    }

    pub(super) fn kill(&mut self, node: usize) {
        if self.machines[node].daemon.is_some() {
            self.machines[node].disk.crash(&mut self.rng);
            self.end(node);
        }
    }

    fn block(&mut self, between: &Between, blocked: bool) {
        let (from, to) = (self.every(&between.from), self.every(&between.to));
        for a in &from {
            for b in to.iter().filter(|b| *b != a) {
                self.underlay.set_blocked(*a, *b, blocked);
                if !between.one_way {
                    self.underlay.set_blocked(*b, *a, blocked);
                }
            }
        }
    }

    fn renumber(&mut self, node: usize, segment: &str, address: IpAddr) {
        self.underlay.renumber(node, segment, address);
        self.network_changed(node);
    }
}
