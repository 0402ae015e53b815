//! `wgnet forget`, `cost`, `gateway-cost`, `drain`, `probe` and `log-level`: commands to the running daemon.

use std::process::ExitCode;

use wgnet_api::{Error, Peer, Status};

use super::args::{CostArgs, CostChange, DrainArgs, ForgetArgs, GatewayCostArgs, LogLevelArgs, ProbeArgs};
use super::terminal;

/// Lets go of a name. Exit code 1 when the daemon refuses or none answers.
pub fn forget(args: &ForgetArgs) -> ExitCode {
    tell(forgotten(args))
}

/// Shows or sets the cost of the link to a peer. Exit code 1 when the daemon refuses or none answers.
pub fn cost(args: &CostArgs) -> ExitCode {
    tell(costed(args))
}

/// Shows or sets the least cost of a gateway's links. Exit code 1 when the daemon refuses or none answers.
pub(super) fn gateway_cost(args: &GatewayCostArgs) -> ExitCode {
    tell(gateway_costed(args))
}

/// Leads traffic around a gateway, or takes it back. Exit code 1 when the daemon refuses or none answers.
pub(super) fn drain(args: &DrainArgs) -> ExitCode {
    tell(args.daemon.client().and_then(|client| client.drain(!args.undo)).map(|()| {
        match args.undo {
            true => "this gateway takes the traffic of others again".to_owned(),
            false => {
                "the traffic of others is led around this gateway, where there is another way; `wgnet drain --undo` \
                  takes it back"
                    .to_owned()
            }
        }
    }))
}

/// Probes now. Exit code 1 when the daemon refuses or none answers.
pub(super) fn probe(args: &ProbeArgs) -> ExitCode {
    let peer = args.peer.as_deref();
    tell(args.daemon.client().and_then(|client| client.probe(peer)).map(|()| match peer {
        Some(peer) => format!("{peer} is probed; `wgnet why {peer}` shows what came of it"),
        None => "all links are probed; `wgnet status` shows what came of it".to_owned(),
    }))
}

/// Sets how much the daemon logs. Exit code 1 when it refuses or none answers.
pub(super) fn log_level(args: &LogLevelArgs) -> ExitCode {
    let answer = args.daemon.client().and_then(|client| client.log_level(args.level));
    tell(answer.map(|in_force| format!("the daemon logs {} until it is restarted", in_force.filter)))
}

fn gateway_costed(args: &GatewayCostArgs) -> Result<String, Error> {
    let client = args.daemon.client()?;
    match args.cost {
        Some(CostChange::Set(cost)) => {
            client.gateway_cost(Some(cost))?;
            Ok(format!("no link of this gateway costs less than {cost} from now on"))
        }
        Some(CostChange::Clear) => {
            client.gateway_cost(None)?;
            Ok("each link of this gateway costs what is measured".to_owned())
        }
        None => Ok(match client.status()?.node {
            node if !node.gateway => format!("{} is no gateway", node.name),
            node => match node.gateway_cost {
                Some(cost) => format!("no link of {} costs less than {cost}", node.name),
                None => format!("each link of {} costs what is measured", node.name),
            },
        }),
    }
}

fn tell(outcome: Result<String, Error>) -> ExitCode {
    match outcome {
        Ok(text) => {
            terminal::say(text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            terminal::complain(format_args!("wgnet: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn forgotten(args: &ForgetArgs) -> Result<String, Error> {
    args.daemon.client()?.forget(&args.name)?;
    Ok(format!("{} is forgotten: the next node that claims its name and addresses gets them", args.name))
}

fn costed(args: &CostArgs) -> Result<String, Error> {
    let client = args.daemon.client()?;
    let status = client.status()?;
    let peer = find(&status, &args.peer);
    let name = peer.map_or(args.peer.as_str(), |peer| peer.name.as_str());
    match (args.cost, peer) {
        (Some(CostChange::Set(cost)), _) => {
            client.link_cost(name, Some(cost))?;
            Ok(format!("the link to {name} costs {cost} from now on; `wgnet cost {name} clear` measures it again"))
        }
        (Some(CostChange::Clear), _) => {
            client.link_cost(name, None)?;
            Ok(format!("the cost of the link to {name} is measured again"))
        }
        (None, Some(peer)) => Ok(present_cost(peer)),
        // The daemon says it best; clearing what is not known changes nothing.
        (None, None) => client.link_cost(name, None).map(|()| String::new()),
    }
}

fn present_cost(peer: &Peer) -> String {
    match (peer.cost, peer.hops) {
        (Some(cost), 1) => format!("the link to {} costs {cost}", peer.name),
        (Some(cost), hops) => {
            format!("the path to {} costs {cost}, over {hops} links; this node has no link of its own there", peer.name)
        }
        (None, _) => format!("{} cannot be reached: there is no cost", peer.name),
    }
}

/// The peer by name or by one of its addresses.
fn find<'a>(status: &'a Status, wanted: &str) -> Option<&'a Peer> {
    let members = || status.peers.iter().filter(|peer| !peer.foreign);
    members()
        .find(|peer| peer.name == wanted)
        .or_else(|| members().find(|peer| peer.addresses.iter().any(|address| address == wanted)))
}
