//! From parsed arguments to what `config/` reads: each value with the option or variable that it came from.

use std::path::PathBuf;

use clap::ArgMatches;
use clap::error::ErrorKind;
use clap::parser::ValueSource;

use super::args::NodeArgs;
use crate::config::{Given, Located, Origin, TunnelMode};

/// A command line that cannot be understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) kind: ErrorKind,
    pub(super) text: String,
}

impl Usage {
    fn conflict(text: impl Into<String>) -> Self {
        Self { kind: ErrorKind::ArgumentConflict, text: text.into() }
    }
}

/// A value that can be written as an option or a variable.
struct Value {
    id: &'static str,
    option: &'static str,
    variable: &'static str,
}

const INTERFACE: Value =
    Value { id: "wireguard_interface", option: "--wireguard-interface", variable: "WGNET_INTERFACE" };
const ADDRESS: Value = Value { id: "wireguard_address", option: "--wireguard-address", variable: "WGNET_ADDRESS" };
const NAME: Value = Value { id: "name", option: "--name", variable: "WGNET_NAME" };
const WG_PORT: Value = Value { id: "wireguard_port", option: "--wireguard-port", variable: "WGNET_WIREGUARD_PORT" };
const ADMIN_PORT: Value = Value { id: "admin_port", option: "--admin-port", variable: "WGNET_ADMIN_PORT" };
const TUNNEL: Value = Value { id: "tunnel", option: "--tunnel", variable: "WGNET_TUNNEL" };
const LAN: Value = Value { id: "lan", option: "--lan", variable: "WGNET_LAN" };
const STATE_DIR: Value = Value { id: "state_dir", option: "--state-dir", variable: "WGNET_STATE_DIR" };
const SOCKET: Value = Value { id: "socket", option: "--socket", variable: "WGNET_SOCKET" };
const API_LISTEN: Value = Value { id: "api_listen", option: "--api-listen", variable: "WGNET_API_LISTEN" };
const NETWORK_FILE: Value = Value { id: "network_config", option: "--network-config", variable: "WGNET_CONFIG" };
const NODE_FILE: Value = Value { id: "peer_config", option: "--peer-config", variable: "WGNET_PEER_CONFIG" };
const ALL: [&Value; 12] = [
    &INTERFACE,
    &ADDRESS,
    &NAME,
    &WG_PORT,
    &ADMIN_PORT,
    &TUNNEL,
    &LAN,
    &STATE_DIR,
    &SOCKET,
    &API_LISTEN,
    &NETWORK_FILE,
    &NODE_FILE,
];

/// The options of a node at one level of the command line, before or after a subcommand.
#[derive(Clone, Copy)]
pub(super) struct Level<'a> {
    pub(super) args: &'a NodeArgs,
    pub(super) matches: &'a ArgMatches,
}

impl Level<'_> {
    fn writes(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    fn origin(&self, value: &Value) -> Origin {
        if self.writes(value.id) { Origin::Option(value.option) } else { Origin::Variable(value.variable) }
    }

    /// `text` with its origin. An empty variable is one that is not set: service files often have such lines.
    fn text(&self, text: &str, value: &Value) -> Option<Located<String>> {
        let is_set = self.writes(value.id) || !text.trim().is_empty();
        is_set.then(|| Located::new(text.to_owned(), self.origin(value)))
    }

    fn path(&self, path: Option<&PathBuf>, value: &Value) -> Option<Located<PathBuf>> {
        let path = path.filter(|path| self.writes(value.id) || !path.as_os_str().is_empty())?;
        Some(Located::new(path.clone(), self.origin(value)))
    }
}

/// Reads the options and positional arguments of a node. Of several levels the first one that writes a value gives it,
/// so `wgnet -c net.yaml check` and `wgnet check -c net.yaml` are the same.
///
/// # Errors
///
/// When a value is given twice, or two contradict each other.
pub(super) fn read(levels: &[Level<'_>]) -> Result<Given, Usage> {
    // The environment is the same at every level, so any will do for what no level writes.
    let at = |id: &str| levels.iter().find(|level| level.writes(id)).unwrap_or(&levels[0]);
    let text = |value: &Value, get: fn(&NodeArgs) -> Option<&String>| {
        let level = at(value.id);
        get(level.args).and_then(|text| level.text(text, value))
    };
    let path = |value: &Value, get: fn(&NodeArgs) -> Option<&PathBuf>| {
        let level = at(value.id);
        level.path(get(level.args), value)
    };
    let positional = &at("positional").args.positional;
    let place = |index: usize, value: &Value, name: &'static str| match positional.get(index) {
        Some(_) if at(value.id).writes(value.id) => {
            Err(Usage::conflict(format!("the {name} is given twice: by its place and as {}", value.option)))
        }
        Some(text) => Ok(Some(Located::new(text.clone(), Origin::Option(name)))),
        None => Ok(None),
    };
    let interface = place(0, &INTERFACE, "INTERFACE")?;
    let address = place(1, &ADDRESS, "ADDRESS")?;
    let name = place(2, &NAME, "NAME")?;
    let addresses = match address {
        Some(both) => both.value.split(',').map(|one| Located::new(one.to_owned(), both.origin.clone())).collect(),
        None => {
            let level = at(ADDRESS.id);
            level.args.wireguard_address.iter().filter_map(|text| level.text(text, &ADDRESS)).collect()
        }
    };
    let existing = levels.iter().any(|level| level.args.existing_wg);
    let level = at(TUNNEL.id);
    let word = level.args.tunnel.as_deref();
    let mode = TunnelMode::WORDS.into_iter().find(|(known, _)| word == Some(known)).map(|(_, mode)| mode);
    let tunnel = match mode {
        Some(mode) if existing && level.writes(TUNNEL.id) && mode != TunnelMode::Existing => {
            return Err(Usage::conflict(format!("--existing-wg contradicts --tunnel {}", mode.word())));
        }
        _ if existing => Some(Located::new(TunnelMode::Existing, Origin::Option("--existing-wg"))),
        mode => mode.map(|mode| Located::new(mode, level.origin(&TUNNEL))),
    };
    let level = at(LAN.id);
    let word = level.args.lan.as_deref().filter(|word| !word.is_empty());
    let lan = word.map(|word| Located::new(word == "on", level.origin(&LAN)));
    Ok(Given {
        network_file: path(&NETWORK_FILE, |args| args.network_config.as_ref()).map(|path| path.value),
        node_file: path(&NODE_FILE, |args| args.peer_config.as_ref()).map(|path| path.value),
        interface: interface.or_else(|| text(&INTERFACE, |args| args.wireguard_interface.as_ref())),
        addresses,
        name: name.or_else(|| text(&NAME, |args| args.name.as_ref())),
        wg_port: text(&WG_PORT, |args| args.wireguard_port.as_ref()),
        admin_port: text(&ADMIN_PORT, |args| args.admin_port.as_ref()),
        tunnel,
        lan,
        state_dir: path(&STATE_DIR, |args| args.state_dir.as_ref()),
        socket: path(&SOCKET, |args| args.socket.as_ref()),
        api_listen: text(&API_LISTEN, |args| args.api_listen.as_ref()),
        port_mapping: levels
            .iter()
            .any(|level| level.args.no_port_mapping)
            .then(|| Located::new(false, Origin::Option("--no-port-mapping"))),
        verbosity: levels.iter().map(|level| level.args.verbose).max().unwrap_or_default(),
    })
}

/// Names an option of a node that stands before a subcommand for which it means nothing.
///
/// # Errors
///
/// When there is one.
pub(super) fn refuse_before_subcommand(level: Level<'_>) -> Result<(), Usage> {
    let value = ALL.into_iter().find(|value| level.writes(value.id)).map(|value| value.option);
    let args = level.args;
    let flags = [(args.existing_wg, "--existing-wg"), (args.no_port_mapping, "--no-port-mapping")];
    let flag = flags.into_iter().find_map(|(given, flag)| given.then_some(flag));
    let place = level.args.positional.first().map(|_| "INTERFACE");
    match value.or(flag).or(place) {
        Some(option) => {
            Err(Usage::conflict(format!("{option} before a subcommand means nothing; write options after it")))
        }
        None => Ok(()),
    }
}
