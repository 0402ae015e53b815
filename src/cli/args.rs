//! What can be written on the command line.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};
use wgnet_api::{Client, Error, LogLevel, find_socket};

use crate::config::{COST_RANGE, TunnelMode};

const EXAMPLES: &str = "\
Examples:
  wgnet genkey                            a shared key for a new network file
  wgnet check -c net.yaml                 is the network file right?
  wgnet -c net.yaml wg0 10.1.1.1 alice    start a node
  wgnet -c net.yaml -i wg0 -a 10.1.1.1,fd01::1 -n alice
  wgnet                                   the same from /etc/wgnet: net.yaml and node.yaml
  wgnet status                            ask the running node for its peers and paths

Each value comes from the first of: command line, environment (WGNET_...), node.yaml, default.
The shared key comes from the network file only: arguments and environment are public on a machine.
The embedded tunnel reads two variables more: WGNET_OFFLOAD=off for kernels whose offloads are broken, and
WGNET_THREADS=1, 2 or 3 where the number of cores is a bad guide.";

/// A WireGuard mesh from one YAML file, without a coordinator.
///
/// Starts this machine's node of the mesh and runs until SIGINT or SIGTERM; then it leaves the mesh and removes the
/// interface. Needs root (or CAP_NET_ADMIN).
#[derive(Debug, Parser)]
#[command(name = "wgnet", version, after_help = EXAMPLES, max_term_width = 110)]
#[command(override_usage = "wgnet [OPTIONS] [INTERFACE ADDRESS NAME]\n       wgnet <COMMAND>")]
pub struct Cli {
    /// The node to run when no subcommand is given.
    #[command(flatten)]
    pub node: NodeArgs,
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the network file and, as far as given, this node's values; touch nothing.
    ///
    /// Prints each mistake as FILE:LINE:COLUMN. Exits with 0 when there are none but warnings, with 1 otherwise.
    #[command(after_help = "\
Examples:
  wgnet check -c net.yaml
  wgnet check -c net.yaml wg0 10.1.1.1 alice")]
    #[command(override_usage = "wgnet check [OPTIONS] [INTERFACE ADDRESS NAME]")]
    Check(Box<CheckArgs>),
    /// Print a new shared key for a network file (base64 of 32 random bytes).
    #[command(
        after_help = "Example:\n  (umask 077; wgnet genkey > net.key)     and in net.yaml: sharedKeyFile: net.key"
    )]
    Genkey,
    /// Show the running node: its peers, the path to each, and what is wrong.
    Status(StatusArgs),
    /// Show the dashboard: peers, paths and why, live in the terminal.
    ///
    /// Attaches to the running node, as often as you like; `?` shows the keys. Needs no daemon with --demo or --replay.
    #[cfg(feature = "tui")]
    #[command(after_help = "\
Examples:
  wgnet tui                                       attach to the running node
  wgnet tui --demo                                a recorded mesh of sixty nodes
  wgnet tui --once --screen peers                 print one screen
  wgnet tui --export svg --size 120x40 > wgnet.svg
  wgnet tui --record monday.jsonl                 keep what is seen
  wgnet tui --replay monday.jsonl                 and look at it again")]
    Tui(TuiArgs),
    /// Write a report for others to look at: status, paths, mesh and journal, with pseudonyms and without secrets.
    #[command(after_help = "\
Example:
  wgnet diag -o report.txt")]
    Diag(DiagArgs),
    /// Show what happened: links, paths, refusals, each with its cause.
    #[command(after_help = "\
Examples:
  wgnet journal -n 20       the last twenty events
  wgnet journal --json      all that are kept, one JSON object a line
  wgnet journal --follow    and what happens from now on
  wgnet journal -f --record today.jsonl")]
    Journal(JournalArgs),
    /// Explain how packets travel to a node, or between any two, and what decided.
    #[command(after_help = "\
Examples:
  wgnet why delta           from this node to delta
  wgnet why charlie delta   between two others, by name or overlay address")]
    Why(WhyArgs),
    /// Forecast what changes would bring: routes that move, pairs that break, what gateways carry. Touches nothing.
    #[command(after_help = "\
Examples:
  wgnet plan --without beta              if beta were gone
  wgnet plan --cost alice-beta=500       if their link cost 500
  wgnet plan --without beta --cost alice-gamma=10
  wgnet plan --drain beta                if beta let go of its traffic
  wgnet plan --file new.yaml             if all nodes had this network file")]
    Plan(PlanArgs),
    /// Have the running node read its network file again: print what is different, and apply it.
    ///
    /// A file with a mistake, or with a difference that needs a restart, changes nothing. SIGHUP does the same.
    /// Exits with 0 when the file acts (or is as it was), else with 1.
    #[command(after_help = "\
Examples:
  wgnet reload --dry-run        what is different?
  wgnet reload                  apply it
  wgnet reload --confirm 120s   apply it, and take it back unless `wgnet confirm` comes within two minutes")]
    Reload(ReloadArgs),
    /// Keep what `wgnet reload --confirm` brought.
    Confirm(SocketArgs),
    /// At a gateway: let go of a name, so that a reinstalled machine can take it again.
    Forget(ForgetArgs),
    /// Show or set the cost of the link to a peer, in place of the measured one.
    #[command(after_help = "\
Examples:
  wgnet cost beta          show it
  wgnet cost beta 500      set it; a higher cost makes a path less attractive
  wgnet cost beta clear    measure it again")]
    Cost(CostArgs),
    /// At a gateway: show or set the least cost of all its links, so that traffic of others prefers another gateway.
    #[command(after_help = "\
Examples:
  wgnet gateway-cost         show it
  wgnet gateway-cost 500     no link of this gateway costs less
  wgnet gateway-cost clear   each costs what is measured")]
    GatewayCost(GatewayCostArgs),
    /// At a gateway: lead the traffic of others around it, as far as there is another way, before it goes.
    #[command(after_help = "\
Examples:
  wgnet drain
  wgnet drain --undo    take the traffic back")]
    Drain(DrainArgs),
    /// Try out how the mesh does without a gateway: it withdraws for a while, as if it had died, and comes back by itself.
    ///
    /// Run it at a node that the network file lists and that has a link of its own to the gateway. That node sends echoes
    /// to all others and reports what was lost, and how soon each left the gateway. The gateway refuses whoever its file does
    /// not list, a second drill, and one that would cut nodes off. Ctrl-C calls it back.
    /// Exits with 0 when no node was out for longer than 4 s, with 1 when one was or the drill was refused, with 2 when no
    /// daemon answers.
    #[cfg(feature = "drill")]
    #[command(after_help = "\
Examples:
  wgnet plan --without beta           what would happen?
  wgnet drill gateway beta            30 s without it
  wgnet drill gateway beta --for 10s --json")]
    Drill(DrillArgs),
    /// Probe the link to a peer, or all links and static peers, now instead of when it is due.
    #[command(after_help = "\
Examples:
  wgnet probe
  wgnet probe beta")]
    Probe(ProbeArgs),
    /// Set how much the daemon logs, until it is restarted.
    #[command(after_help = "\
Example:
  wgnet log-level debug")]
    LogLevel(LogLevelArgs),
    /// Print the systemd unit of a node, or write what a machine with systemd needs to run wgnet at boot.
    ///
    /// Without --write it touches nothing. With it, writes wgnet.service, wgnet@.service for further meshes, the user
    /// wgnet (sysusers.d) and the modes of /etc/wgnet (tmpfiles.d), and prints the commands that remain.
    #[cfg(feature = "workstation")]
    #[command(after_help = "\
Examples:
  wgnet install                       print wgnet.service
  wgnet install --write               write the files below /etc, and print the next steps
  wgnet install --write --root /mnt   the same into an image that is mounted there")]
    Install(InstallArgs),
    /// Print the completion script of a shell.
    #[cfg(feature = "workstation")]
    #[command(after_help = "\
Examples:
  wgnet completions bash > /etc/bash_completion.d/wgnet
  wgnet completions zsh  > /usr/local/share/zsh/site-functions/_wgnet
  wgnet completions fish > ~/.config/fish/completions/wgnet.fish")]
    Completions(CompletionsArgs),
    /// Write the manual, one page for each subcommand, into a directory.
    #[cfg(feature = "packaging")]
    #[command(hide = true)]
    Manual(ManualArgs),
}

/// Everything that makes a node.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// This node's interface, address and name, as a short form of -i, -a and -n.
    #[arg(value_names = ["INTERFACE", "ADDRESS", "NAME"], num_args = 0..=3, hide_possible_values = true)]
    pub positional: Vec<String>,
    /// The network file, the same on all nodes [default: /etc/wgnet/net.yaml].
    #[arg(short = 'c', long, visible_alias = "config", alias = "network_config")]
    #[arg(value_name = "FILE", env = "WGNET_CONFIG", hide_env_values = true, value_parser = path())]
    pub network_config: Option<PathBuf>,
    /// The node file, this machine's own values [default: /etc/wgnet/node.yaml, if it exists].
    #[arg(short = 'p', long, alias = "peer_config")]
    #[arg(value_name = "FILE", env = "WGNET_PEER_CONFIG", hide_env_values = true, value_parser = path())]
    pub peer_config: Option<PathBuf>,
    /// Name of the WireGuard interface, at most 15 bytes; node.yaml: wgInterface.
    #[arg(short = 'i', long, value_name = "NAME", env = "WGNET_INTERFACE", hide_env_values = true)]
    pub wireguard_interface: Option<String>,
    /// Overlay address: one IPv4, one IPv6, or both separated by a comma; node.yaml: wgIp.
    #[arg(short = 'a', long, value_name = "IP", value_delimiter = ',', action = ArgAction::Append)]
    #[arg(env = "WGNET_ADDRESS", hide_env_values = true)]
    pub wireguard_address: Vec<String>,
    /// Name of this node: lower-case letters, digits and hyphens; node.yaml: name.
    #[arg(short = 'n', long, value_name = "NAME", env = "WGNET_NAME", hide_env_values = true)]
    pub name: Option<String>,
    /// UDP port of WireGuard [default: the one of the network file, else 50000 + last byte of the address].
    #[arg(short = 'w', long, value_name = "PORT", env = "WGNET_WIREGUARD_PORT", hide_env_values = true)]
    pub wireguard_port: Option<String>,
    /// UDP port of control traffic [default: the one of the network file, else 50500 + last byte of the address].
    #[arg(short = 'u', long, value_name = "PORT", env = "WGNET_ADMIN_PORT", hide_env_values = true)]
    pub admin_port: Option<String>,
    /// What carries the packets [default: auto]; node.yaml: tunnel.
    #[arg(long, value_name = "MODE", env = "WGNET_TUNNEL", hide_env_values = true, value_parser = tunnel_words())]
    pub tunnel: Option<String>,
    /// Use an interface that someone else made; the same as --tunnel existing.
    #[arg(short = 'e', long)]
    pub existing_wg: bool,
    /// Whether to announce this node on its LANs (UDP port 50490), and to listen there [default: on]; node.yaml: lan.
    #[arg(long, value_name = "on|off", env = "WGNET_LAN", hide_env_values = true, hide_possible_values = true)]
    #[arg(value_parser = ["on", "off", ""])]
    pub lan: Option<String>,
    /// Where keys and state are kept, one directory per interface [default: /var/lib/wgnet].
    #[arg(long, value_name = "DIR", env = "WGNET_STATE_DIR", hide_env_values = true, value_parser = path())]
    pub state_dir: Option<PathBuf>,
    /// The admin socket [default: /run/wgnet/INTERFACE.sock].
    #[arg(long, value_name = "PATH", env = "WGNET_SOCKET", hide_env_values = true, value_parser = path())]
    pub socket: Option<PathBuf>,
    /// Serve the admin protocol on this loopback address and port, too; node.yaml: apiListen.
    ///
    /// Whoever asks there needs the token in the file api.token of the state directory.
    #[arg(long, value_name = "IP:PORT", env = "WGNET_API_LISTEN", hide_env_values = true)]
    pub api_listen: Option<String>,
    /// Do not ask the router before this machine to let WireGuard's port through; node.yaml: portMapping.
    #[arg(long)]
    pub no_port_mapping: bool,
    /// Tell more: once for debugging, twice for every packet of control traffic. RUST_LOG overrides it.
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The words for a tunnel, and nothing, which an empty variable holds.
fn tunnel_words() -> PossibleValuesParser {
    let words = TunnelMode::WORDS.map(|(word, mode)| {
        PossibleValue::new(word).help(match mode {
            TunnelMode::Auto => "the kernel's WireGuard where it works, else the embedded tunnel",
            TunnelMode::Userspace => "the embedded tunnel",
            TunnelMode::Kernel => "the kernel's WireGuard",
            TunnelMode::Existing => "an interface that someone else made",
        })
    });
    PossibleValuesParser::new(words.into_iter().chain([PossibleValue::new("").hide(true)]))
}

/// A path; unlike clap's own parser it lets an empty variable pass, which then counts as not set.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// `wgnet check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The node to check.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Which running daemon a command speaks to.
#[derive(Clone, Debug, Default, Args)]
pub struct SocketArgs {
    /// The daemon's admin socket [default: the only one in /run/wgnet].
    #[arg(long, value_name = "PATH", env = "WGNET_SOCKET", hide_env_values = true, value_parser = path())]
    pub socket: Option<PathBuf>,
    /// The daemon behind a TCP port in place of a socket; the address as it was given with --api-listen.
    #[arg(long, value_name = "IP:PORT", requires = "token_file")]
    pub connect: Option<String>,
    /// The file that holds its token: api.token in the daemon's state directory, or a copy.
    #[arg(long, value_name = "FILE", requires = "connect")]
    pub token_file: Option<PathBuf>,
}

impl SocketArgs {
    /// A client of the daemon that is meant.
    ///
    /// # Errors
    /// No socket or more than one is found, or the token file cannot be read.
    pub fn client(&self) -> Result<Client, Error> {
        match (&self.connect, &self.token_file) {
            (Some(address), Some(file)) => Client::tcp_with_token_file(address, file),
            _ => find_socket(self.socket.as_deref()).map(Client::new),
        }
    }
}

/// `wgnet status`.
#[derive(Clone, Debug, Default, Args)]
pub struct StatusArgs {
    /// Print JSON for scripts.
    #[arg(long)]
    pub json: bool,
    /// The daemon to ask.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet tui`.
#[cfg(feature = "tui")]
#[derive(Clone, Debug, Args)]
pub struct TuiArgs {
    /// The screen to begin with.
    #[arg(long, value_name = "SCREEN", value_parser = ["overview", "peers", "routes", "map", "matrix", "journal", "admin"])]
    pub screen: Option<String>,
    /// Colours [default: those of the configuration file, else dark].
    #[arg(long, value_name = "THEME", value_parser = wgnet_tui::theme::NAMES)]
    pub theme: Option<String>,
    /// Show pseudonyms in place of names, addresses and keys.
    #[arg(long)]
    pub privacy: bool,
    /// Keep what the daemon tells in this file, too.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["replay", "demo", "once", "export"])]
    pub record: Option<PathBuf>,
    /// Look at a recording instead of a daemon.
    #[arg(long, value_name = "FILE", group = "recording")]
    pub replay: Option<PathBuf>,
    /// Look at a recorded mesh of sixty nodes that comes with wgnet.
    #[arg(long, group = "recording")]
    pub demo: bool,
    /// Print one screen and end.
    #[arg(long)]
    pub once: bool,
    /// Print one screen as a picture (svg), or what it shows (json), and end.
    #[arg(long, value_name = "FORMAT")]
    pub export: Option<Export>,
    /// Columns and rows of the screen that is printed [default: those of the terminal, else 80x24].
    #[arg(long, value_name = "COLUMNSxROWS", value_parser = screen_size)]
    pub size: Option<(u16, u16)>,
    /// Where to begin in a recording: how long after its begin, such as 90s [default: its begin; with --once and
    /// --export its end].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "recording")]
    pub at: Option<std::time::Duration>,
    /// The daemon to attach to.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// How a screen is printed.
#[cfg(feature = "tui")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Export {
    /// A picture.
    Svg,
    /// The moment and the journal.
    Json,
}

/// `120x40`, at most what a dashboard has ever been seen on.
#[cfg(feature = "tui")]
fn screen_size(text: &str) -> Result<(u16, u16), String> {
    let sizes = text.split_once('x').and_then(|(columns, rows)| Some((columns.parse().ok()?, rows.parse().ok()?)));
    sizes
        .filter(|(columns, rows)| (1..=1_000).contains(columns) && (1..=1_000).contains(rows))
        .ok_or_else(|| "write columns and rows, such as 120x40".to_owned())
}

/// `wgnet diag`.
#[derive(Clone, Debug, Args)]
pub struct DiagArgs {
    /// A new file for the report [default: print it].
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The daemon to ask.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet journal`.
#[derive(Clone, Debug, Args)]
pub struct JournalArgs {
    /// Only the last so many events.
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub lines: Option<usize>,
    /// Print JSON lines for scripts.
    #[arg(long)]
    pub json: bool,
    /// Go on with what happens, also over restarts of the daemon.
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// With --follow: record everything that a dashboard shows into this new file.
    #[arg(long, value_name = "FILE", requires = "follow")]
    pub record: Option<PathBuf>,
    /// The daemon to ask.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet why`.
#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// Names or overlay addresses; with one, from this node.
    #[arg(value_names = ["FROM", "TO"], num_args = 1..=2, required = true)]
    pub nodes: Vec<String>,
    /// Print JSON for scripts.
    #[arg(long)]
    pub json: bool,
    /// The daemon to ask.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet plan`.
#[derive(Clone, Debug, Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true).args(["without", "cost", "drain", "file"])))]
pub struct PlanArgs {
    /// A node that would be gone (name or overlay address); may be given again.
    #[arg(long, value_name = "NODE")]
    pub without: Vec<String>,
    /// A link's ends and the cost it would have; may be given again.
    #[arg(long, value_name = "A-B=COST")]
    pub cost: Vec<String>,
    /// A gateway that would be drained (name or overlay address); may be given again.
    #[arg(long, value_name = "GATEWAY")]
    pub drain: Vec<String>,
    /// A network file that all nodes would have; only its peers, gateways and costs count, and its key stays here.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print JSON for scripts.
    #[arg(long)]
    pub json: bool,
    /// The daemon to ask.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet reload`.
#[derive(Clone, Debug, Args)]
pub struct ReloadArgs {
    /// Only print what is different.
    #[arg(long, conflicts_with = "confirm")]
    pub dry_run: bool,
    /// Take it back after this time (1s to 1h) unless `wgnet confirm` comes before, even if the daemon is killed meanwhile.
    #[arg(long, value_name = "TIME", value_parser = super::reload::seconds)]
    pub confirm: Option<u32>,
    /// Print JSON for scripts.
    #[arg(long)]
    pub json: bool,
    /// The daemon to tell.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet forget`.
#[derive(Clone, Debug, Args)]
pub struct ForgetArgs {
    /// The name to let go of.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The daemon to tell.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet cost`.
#[derive(Clone, Debug, Args)]
pub struct CostArgs {
    /// Name or address of the peer.
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// The new cost, 1 to 1000000, or "clear"; nothing shows the present one.
    #[arg(value_name = "COST|clear", value_parser = parse_cost)]
    pub cost: Option<CostChange>,
    /// The daemon to tell.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet gateway-cost`.
#[derive(Clone, Debug, Args)]
pub struct GatewayCostArgs {
    /// The new least cost, 1 to 1000000, or "clear"; nothing shows the present one.
    #[arg(value_name = "COST|clear", value_parser = parse_cost)]
    pub cost: Option<CostChange>,
    /// The gateway to tell.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet drain`.
#[derive(Clone, Debug, Args)]
pub struct DrainArgs {
    /// Take the traffic back.
    #[arg(long)]
    pub undo: bool,
    /// The gateway to tell.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet drill`.
#[cfg(feature = "drill")]
#[derive(Clone, Debug, Args)]
pub struct DrillArgs {
    /// What is tried out.
    #[command(subcommand)]
    pub what: DrillWhat,
}

/// What can be tried out.
#[cfg(feature = "drill")]
#[derive(Clone, Debug, Subcommand)]
pub enum DrillWhat {
    /// The death of a gateway.
    Gateway(DrillGatewayArgs),
}

/// `wgnet drill gateway`.
#[cfg(feature = "drill")]
#[derive(Clone, Debug, Args)]
pub struct DrillGatewayArgs {
    /// Name or overlay address of the gateway.
    #[arg(value_name = "NAME")]
    pub gateway: String,
    /// How long it is away, 1s to 5min.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = drill_seconds)]
    pub duration: u32,
    /// Although nodes are cut off meanwhile.
    #[arg(long)]
    pub force: bool,
    /// Print JSON for scripts.
    #[arg(long)]
    pub json: bool,
    /// The daemon that measures.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

#[cfg(feature = "drill")]
fn drill_seconds(text: &str) -> Result<u32, String> {
    let seconds = humantime::parse_duration(text).ok().and_then(|time| u32::try_from(time.as_secs()).ok());
    seconds.filter(|seconds| (1..=300).contains(seconds)).ok_or_else(|| "write a time from 1s to 5min".to_owned())
}

/// `wgnet probe`.
#[derive(Clone, Debug, Args)]
pub struct ProbeArgs {
    /// Name or overlay address of the peer; nothing probes all of them.
    #[arg(value_name = "PEER")]
    pub peer: Option<String>,
    /// The daemon to tell.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

/// `wgnet log-level`.
#[derive(Clone, Debug, Args)]
pub struct LogLevelArgs {
    /// How much.
    #[arg(value_name = "LEVEL", value_parser = log_levels())]
    pub level: LogLevel,
    /// The daemon to tell.
    #[command(flatten)]
    pub daemon: SocketArgs,
}

fn log_levels() -> impl TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(LOG_LEVELS.map(|(word, _)| word)).map(|given| {
        let level = LOG_LEVELS.into_iter().find(|(word, _)| *word == given);
        level.map_or(LogLevel::Info, |(_, level)| level)
    })
}

const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// What becomes of a link's cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostChange {
    /// This cost, whatever is measured.
    Set(u32),
    /// The measured one.
    Clear,
}

fn parse_cost(text: &str) -> Result<CostChange, String> {
    let (low, high) = COST_RANGE;
    match text.parse() {
        _ if text == "clear" => Ok(CostChange::Clear),
        Ok(cost) if (low..=high).contains(&cost) => Ok(CostChange::Set(cost)),
        _ => Err(format!("write a whole number from {low} to {high}, or \"clear\"")),
    }
}

/// `wgnet install`.
#[cfg(feature = "workstation")]
#[derive(Clone, Debug, Args)]
pub struct InstallArgs {
    /// Write the files.
    #[arg(long)]
    pub write: bool,
    /// The root directory of the machine, if it is not this one that runs.
    #[arg(long, value_name = "DIR", requires = "write")]
    pub root: Option<PathBuf>,
    /// Replace files of an earlier installation that were changed since.
    #[arg(long, requires = "write")]
    pub force: bool,
}

/// `wgnet completions`.
#[cfg(feature = "workstation")]
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// `wgnet manual`.
#[cfg(feature = "packaging")]
#[derive(Clone, Debug, Args)]
pub struct ManualArgs {
    /// An existing directory for the pages.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cost_is_a_number_in_range_or_clear() {
        assert_eq!(parse_cost("clear"), Ok(CostChange::Clear));
        assert_eq!(parse_cost("1"), Ok(CostChange::Set(1)));
        assert_eq!(parse_cost("1000000"), Ok(CostChange::Set(1_000_000)));
        for wrong in ["0", "1000001", "-1", "", "auto"] {
            assert!(parse_cost(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn interface_address_and_name_come_by_place() {
        let cli = Cli::try_parse_from(["wgnet", "-c", "net.yaml", "wg0", "10.1.1.1", "alice"]).expect("a command line");
        assert_eq!(cli.node.positional, ["wg0", "10.1.1.1", "alice"]);
        assert!(cli.command.is_none());
    }

    #[test]
    fn wg_netmanagers_options_are_understood() {
        let line = "wgnet --network_config n -p p -i wg0 -a 10.1.1.1 -n a -e -w 1 -u 2 -vvv";
        let cli = Cli::try_parse_from(line.split(' ')).expect("a command line");
        assert_eq!(cli.node.network_config.as_deref(), Some(std::path::Path::new("n")));
        assert!(cli.node.existing_wg);
        assert_eq!(cli.node.verbose, 3);
    }

    #[test]
    fn an_address_may_be_given_twice_or_with_a_comma() {
        for line in ["wgnet -a 10.1.1.1,fd01::1", "wgnet -a 10.1.1.1 -a fd01::1"] {
            let cli = Cli::try_parse_from(line.split(' ')).expect("a command line");
            assert_eq!(cli.node.wireguard_address, ["10.1.1.1", "fd01::1"], "{line}");
        }
    }
}
