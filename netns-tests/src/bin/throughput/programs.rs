//! What is compared, and where it comes from.

use std::path::{Path, PathBuf};
use std::process::Command;

use netns_tests::node;

/// What carries the packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: the cables themselves, the limit of the whole set-up.
    Bare,
    /// Our daemon.
    Wgnet,
    /// Our daemon without segmentation offloads.
    Plain,
    /// A program that makes a device when called with `-f NAME`, and the options it needs besides.
    Device { name: String, path: PathBuf, options: &'static [&'static str] },
}

impl Kind {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Bare => "no tunnel",
            Self::Wgnet => "wgnet",
            Self::Plain => "wgnet, offload off",
            Self::Device { name, .. } => name,
        }
    }
}

/// A release of another implementation, built once by cargo.
pub(crate) struct Release {
    package: &'static str,
    version: &'static str,
    binary: &'static str,
}

const RELEASES: [Release; 2] = [
    Release { package: "boringtun-cli", version: "0.7.1", binary: "boringtun-cli" },
    Release { package: "gotatun-cli", version: "0.10.2", binary: "gotatun" },
];

/// What can be asked for.
pub(crate) enum Candidate {
    Here(Kind),
    Release(&'static Release),
}

/// Everything that can be compared on this machine. Nothing is built yet.
pub(crate) fn candidates() -> Vec<Candidate> {
    let mut candidates = [Kind::Bare, Kind::Wgnet, Kind::Plain].map(Candidate::Here).into_iter().collect::<Vec<_>>();
    candidates.extend(RELEASES.iter().map(Candidate::Release));
    candidates.extend(wireguard_go().map(Candidate::Here));
    candidates
}

impl Candidate {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Here(Kind::Plain) => "plain".to_owned(),
            Self::Here(kind) => kind.name().to_owned(),
            Self::Release(Release { package, version, .. }) => format!("{package} {version}"),
        }
    }

    /// Whether somebody who says `word` means this one.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.name().contains(word)
    }

    /// Whether it is measured unless somebody says what they want.
    pub(crate) fn by_default(&self) -> bool {
        !matches!(self, Self::Here(Kind::Plain))
    }

    /// The program, built if need be; says so when it cannot be had.
    pub(crate) fn made(&self) -> Option<Kind> {
        match self {
            Self::Here(kind) => Some(kind.clone()),
            Self::Release(release) => match release.installed() {
                Ok(path) => Some(Kind::Device { name: self.name(), path, options: &["--disable-drop-privileges"] }),
                Err(why) => {
                    eprintln!("without {}: {why}", self.name());
                    None
                }
            },
        }
    }
}

impl Release {
    fn installed(&self) -> Result<PathBuf, String> {
        let Self { package, version, binary } = self;
        // Beside the daemon's own folder, each in one of its own: versions are told apart, and nothing is built twice.
        let target = node::binary().parent().and_then(Path::parent).map_or_else(PathBuf::new, Path::to_owned);
        let folder = target.join("peers").join(format!("{package}-{version}"));
        let path = folder.join("bin").join(binary);
        if !path.is_file() {
            eprintln!("building {package} {version}");
            let mut cargo = Command::new("cargo");
            cargo.args(["install", "--quiet", "--locked", "--root"]).arg(&folder).arg(format!("{package}@{version}"));
            let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
            if !status.success() {
                return Err(format!("cargo install: {status}"));
            }
        }
        path.is_file().then_some(path.clone()).ok_or_else(|| format!("there is no {}", path.display()))
    }
}

/// The one on PATH, or that WIREGUARD_GO names.
fn wireguard_go() -> Option<Kind> {
    let path = std::env::var_os("WIREGUARD_GO").map_or_else(|| PathBuf::from("wireguard-go"), PathBuf::from);
    let said = Command::new(&path).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = text.split_whitespace().find(|word| word.starts_with(['v', '0'])).unwrap_or("");
    let name = format!("wireguard-go {}", version.trim_start_matches('v'));
    Some(Kind::Device { name: name.trim_end().to_owned(), path, options: &[] })
}

/// How many processors there are.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The computer, and what its environment tells the daemons.
pub(crate) fn described() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (release, cpus) = (read("/proc/sys/kernel/osrelease"), read("/proc/cpuinfo"));
    let models = cpus.lines().filter_map(|line| line.strip_prefix("model name")).collect::<Vec<_>>();
    let model = models.first().map_or("of no known model", |model| model.trim_start_matches([' ', '\t', ':']));
    let count = processors();
    let settings = std::env::vars().filter(|(key, _)| key.starts_with("WGNET_") && key != "WGNET_BIN");
    let settings = settings.map(|(key, value)| format!(", {key}={value}")).collect::<String>();
    format!("Linux {}, {count} processors {model}{settings}", release.trim())
}
