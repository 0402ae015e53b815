//! `wgnet forget` and `wgnet cost`: commands to the running daemon.

use std::process::ExitCode;

use wgnet_api::{Client, Error, Peer, Status, find_socket};

use super::args::{CostArgs, CostChange, ForgetArgs};
use super::terminal;

/// Lets go of a name. Exit code 1 when the daemon refuses or none answers.
pub fn forget(args: &ForgetArgs) -> ExitCode {
    tell(forgotten(args))
}

/// Shows or sets the cost of the link to a peer. Exit code 1 when the daemon refuses or none answers.
pub fn cost(args: &CostArgs) -> ExitCode {
    tell(costed(args))
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
    client(args.daemon.socket.as_deref())?.forget(&args.name)?;
    Ok(format!("{} is forgotten: the next node that claims its name and addresses gets them", args.name))
}

fn costed(args: &CostArgs) -> Result<String, Error> {
    let client = client(args.daemon.socket.as_deref())?;
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

fn client(socket: Option<&std::path::Path>) -> Result<Client, Error> {
    find_socket(socket).map(Client::new)
}
