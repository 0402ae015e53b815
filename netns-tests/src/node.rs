//! A wgnet daemon on a machine: started, ended, asked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use wgnet_api::{Peer, Status};

use crate::clock;
use crate::flow::Flow;
use crate::machine::Machine;
use crate::network_file::NetworkFile;
use crate::process::{Log, Process, Program, lock};
use crate::wait::until;

/// How long a daemon may take to leave the mesh and end.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A daemon, running or not. Clones are the same daemon.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    machine: Machine,
    name: String,
    addresses: Vec<IpAddr>,
    interface: String,
    settings: Mutex<Settings>,
    process: Mutex<Option<Process>>,
    /// What each start printed, in order.
    logs: Mutex<Vec<(Instant, Log)>>,
}

#[derive(Default)]
struct Settings {
    clock: Option<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Node {
    pub(crate) fn new(machine: &Machine, name: &str, interface: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().expect("an overlay address")).collect();
        let (machine, name, interface) = (machine.clone(), name.to_owned(), interface.to_owned());
        let (settings, process, logs) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { machine, name, addresses, interface, settings, process, logs }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its first overlay address.
    pub fn address(&self) -> IpAddr {
        self.0.addresses[0]
    }

    /// All its overlay addresses.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.0.addresses
    }

    /// Its machine.
    pub fn machine(&self) -> &Machine {
        &self.0.machine
    }

    /// Its interface.
    pub fn interface(&self) -> &str {
        &self.0.interface
    }

    /// Where its network file is, as the machine sees it.
    pub fn network_file(&self) -> String {
        format!("/run/lab/{}/net.yaml", self.interface())
    }

    /// Where its state is, as the machine sees it.
    pub fn state_dir(&self) -> String {
        format!("/run/lab/{}/state", self.interface())
    }

    /// Its admin socket, as the machine sees it.
    pub fn socket(&self) -> String {
        format!("/run/wgnet/{}.sock", self.interface())
    }

    /// Writes its network file; the next start reads it.
    pub fn set_network(&self, network: &NetworkFile) {
        self.set_network_text(&network.to_string());
    }

    /// Writes the text of its network file; the next start reads it.
    pub fn set_network_text(&self, text: &str) {
        self.machine().write(&self.network_file(), text);
    }

    /// From the next start on, the daemon's wall clock is off by this much, in libfaketime's words: `-1d`, `+3600`.
    /// Its monotonic clock is not.
    pub fn set_clock(&self, offset: Option<&str>) {
        lock(&self.0.settings).clock = offset.map(ToOwned::to_owned);
    }

    /// Adds an argument for the next starts.
    pub fn add_args(&self, args: &[&str]) {
        lock(&self.0.settings).args.extend(args.iter().map(ToString::to_string));
    }

    /// Sets an environment variable for the next starts.
    pub fn set_env(&self, key: &str, value: &str) {
        lock(&self.0.settings).env.push((key.to_owned(), value.to_owned()));
    }

    /// From the next start on, whether it announces itself on its segments and listens there; daemons of labs do not
    /// unless they are told to.
    pub fn announces(&self, announces: bool) {
        self.set_env("WGNET_LAN", if announces { "on" } else { "off" });
    }

    /// The command line of its next start.
    pub fn program(&self) -> Program {
        let settings = lock(&self.0.settings);
        let address = self.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (network, state, socket) = (self.network_file(), self.state_dir(), self.socket());
        let mut program = Program::new(binary().display().to_string())
            .args(["-c", &network, self.interface(), &address, self.name()])
            .args(["--state-dir", &state, "--socket", &socket])
            .args(&settings.args);
        for (key, value) in &settings.env {
            program = program.env(key, value);
        }
        settings.clock.iter().fold(program, |program, offset| clock::offset(program, offset))
    }

    /// Starts the daemon and does not wait for anything. Gives back the moment just before.
    pub fn start(&self) -> Instant {
        let mut process = lock(&self.0.process);
        assert!(process.as_ref().is_none_or(|process| process.ended().is_some()), "{} runs already", self.name());
        let started = self.machine().start(&self.program());
        let moment = started.started();
        lock(&self.0.logs).push((moment, started.log().clone()));
        *process = Some(started);
        moment
    }

    /// Ends the daemon by SIGTERM: it leaves the mesh. Panics when it takes longer than [`STOP_WITHIN`].
    pub fn stop(&self) -> ExitStatus {
        self.with_process(|process| process.stop(STOP_WITHIN))
    }

    /// Asks the daemon by SIGTERM to leave the mesh, and does not wait.
    pub fn ask_to_stop(&self) {
        self.with_process(|process| process.signal(Signal::SIGTERM));
    }

    /// Ends the daemon by SIGUSR1, as a service that restarts does: it leaves what the kernel carries as it is.
    pub fn detach(&self) -> ExitStatus {
        self.with_process(|process| {
            process.signal(Signal::SIGUSR1);
            process.wait(STOP_WITHIN)
        })
    }

    /// Ends the daemon by SIGKILL. Gives back the moment just before.
    pub fn kill(&self) -> Instant {
        let moment = Instant::now();
        self.with_process(Process::kill);
        moment
    }

    /// Whether the daemon runs.
    pub fn runs(&self) -> bool {
        lock(&self.0.process).as_ref().is_some_and(|process| process.ended().is_none())
    }

    /// Does something with the process of the last start.
    pub fn with_process<T>(&self, what: impl FnOnce(&Process) -> T) -> T {
        let process = lock(&self.0.process);
        what(process.as_ref().unwrap_or_else(|| panic!("{} was never started", self.name())))
    }

    /// What the last start printed.
    pub fn log(&self) -> Log {
        lock(&self.0.logs).last().map(|(_, log)| log.clone()).unwrap_or_default()
    }

    /// What `wgnet status --json` says. Its exit code tells whether all is well, so it is no error here.
    pub fn status(&self) -> Result<Status, String> {
        let program = binary().display().to_string();
        let args = ["status", "--json", "--socket", &self.socket()];
        let output = self.machine().namespace().output(&program, &args, "")?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = [output.stdout, output.stderr].concat();
            format!("no status of {}: {error}\n{}", self.name(), String::from_utf8_lossy(&said))
        })
    }

    /// Waits until the status is as `wish` says; panics with the last one when that takes longer than `within`.
    pub fn wait_for(&self, what: &str, within: Duration, wish: impl Fn(&Status) -> bool) -> Status {
        let mut last = Err("not asked yet".to_owned());
        let good = until(within, || {
            last = self.status();
            last.as_ref().ok().filter(|status| wish(status)).cloned()
        });
        good.unwrap_or_else(|| panic!("{}: not within {within:?}: {what}\n{}", self.name(), shown(&last)))
    }

    /// Waits until the daemon answers `wgnet status`; panics with its log when it ends before.
    pub fn is_ready(&self, within: Duration) -> Status {
        let ready = until(within, || self.status().ok().map(Some).or_else(|| (!self.runs()).then_some(None)));
        ready
            .flatten()
            .unwrap_or_else(|| panic!("{} is not ready within {within:?}:\n{}", self.name(), self.log().text()))
    }

    /// What the status says of the node at `address`.
    pub fn peer(&self, address: IpAddr) -> Option<Peer> {
        let address = address.to_string();
        self.status().ok()?.peers.into_iter().find(|peer| peer.addresses.contains(&address) || peer.address == address)
    }

    /// Starts a measuring flow to `other`, one probe each `interval`.
    pub fn flow_to(&self, other: &Self, interval: Duration) -> Flow {
        let v6 = |address: &&IpAddr| address.is_ipv6() == other.address().is_ipv6();
        let source = self.addresses().iter().find(v6).expect("both have an address of the same family");
        Flow::start(self.machine(), *source, other.address(), interval)
    }

    pub(crate) fn end(&self) {
        drop(lock(&self.0.process).take());
    }

    /// The end of the log of each start, for the report of a failed test.
    pub(crate) fn tail(&self, lines: usize, zero: Instant) -> String {
        let mut text = String::new();
        for (number, (moment, log)) in lock(&self.0.logs).iter().enumerate() {
            let at = moment.saturating_duration_since(zero).as_secs_f64();
            text.push_str(&format!("---- {} ({}), start {} at {at:.3} s\n", self.name(), self.address(), number + 1));
            text.push_str(&log.tail(lines, zero));
        }
        text
    }
}

fn shown(status: &Result<Status, String>) -> String {
    match status {
        Ok(status) => serde_json::to_string_pretty(status).expect("a status can be written"),
        Err(error) => error.clone(),
    }
}

/// What [`use_binary`] was told.
static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

/// From now on this program is the daemon under test.
///
/// # Panics
/// When it was said before.
pub fn use_binary(path: PathBuf) {
    CHOSEN.set(path).expect("the daemon is chosen once");
}

/// The daemon under test: as chosen by [`use_binary`] or `WGNET_BIN`, else the `wgnet` beside the running test.
pub fn binary() -> PathBuf {
    if let Some(path) = CHOSEN.get() {
        return path.clone();
    }
    if let Some(path) = std::env::var_os("WGNET_BIN") {
        return PathBuf::from(path);
    }
    let mine = std::env::current_exe().expect("a running program has a path");
    let beside = mine.ancestors().skip(1).take(2).map(|folder| folder.join("wgnet")).find(|path| path.is_file());
    beside.unwrap_or_else(|| {
        panic!(
            "no wgnet beside {}: run `cargo build --bin wgnet` with the same profile, or set WGNET_BIN",
            mine.display()
        )
    })
}
