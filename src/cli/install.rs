//! `wgnet install`: what a machine with systemd needs to run wgnet at boot. The files are those of packaging/systemd,
//! which distributions' packages bring, too; here they go below /etc, where an administrator's own files are.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::InstallArgs;
use super::terminal;

/// Where the units expect the program.
const PACKAGED: &str = "/usr/bin/wgnet";
/// Where a program belongs that no package brought.
const LOCAL: &str = "/usr/local/bin/wgnet";
/// Where a unit sees nothing, or something else: ProtectHome and PrivateTmp.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

const UNIT: &str = include_str!("../../packaging/systemd/wgnet.service");
const FILES: [(&str, &str); 4] = [
    ("etc/systemd/system/wgnet.service", UNIT),
    ("etc/systemd/system/wgnet@.service", include_str!("../../packaging/systemd/wgnet@.service")),
    ("etc/sysusers.d/wgnet.conf", include_str!("../../packaging/systemd/wgnet.sysusers")),
    ("etc/tmpfiles.d/wgnet.conf", include_str!("../../packaging/systemd/wgnet.tmpfiles")),
];

/// A file that could not be written; those before it were.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error("{} has other content: keep your changes in a drop-in (`systemctl edit wgnet`), then use --force", .0.display())]
    Changed(PathBuf),
    #[error("there is no directory {}: create it, or mount the image there", .0.display())]
    NoRoot(PathBuf),
    #[error("cannot {what} {}: {source}{}", .path.display(), remedy(.source))]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (run it as root, or write into a directory of your own with --root)",
        io::ErrorKind::ReadOnlyFilesystem => " (write into another directory with --root)",
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => " (remove what is in the way)",
        _ => "",
    }
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    New,
    Same,
    Replaced,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "written",
            Self::Same => "as it was",
            Self::Replaced => "replaced",
        })
    }
}

/// Prints the unit, or writes the files.
pub(super) fn run(args: &InstallArgs) -> ExitCode {
    let this = std::env::current_exe().ok();
    let program = program(this.as_deref(), args.root.as_deref());
    if !args.write {
        terminal::say_bytes(for_program(UNIT, &program).as_bytes());
        return ExitCode::SUCCESS;
    }
    let root = args.root.as_deref().unwrap_or_else(|| Path::new("/"));
    match write(root, &program, args.force) {
        Ok(written) => {
            for (path, written) in written {
                terminal::say(format_args!("{}: {written}", path.display()));
            }
            terminal::say(next_steps(args.root.as_deref(), this.as_deref(), &program));
            ExitCode::SUCCESS
        }
        Err(error) => {
            terminal::complain(format_args!("wgnet: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The path that the units start: this program's where a unit can see it and no unit file reads it otherwise.
fn program(this: Option<&Path>, root: Option<&Path>) -> String {
    let in_root = match root {
        None => this.map(Path::to_owned),
        // In an image: where this program is in it, else where its package would put it.
        Some(root) => match this.and_then(|this| this.strip_prefix(root.canonicalize().ok()?).ok()) {
            Some(inside) => Some(Path::new("/").join(inside)),
            None => return PACKAGED.to_owned(),
        },
    };
    let plain = |text: &&str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c));
    match in_root.as_deref().and_then(Path::to_str).filter(plain) {
        Some(path) if !HIDDEN.iter().any(|hidden| Path::new(path).starts_with(hidden)) => path.to_owned(),
        _ => LOCAL.to_owned(),
    }
}

fn for_program(text: &str, program: &str) -> String {
    text.replace(&format!("ExecStart={PACKAGED} "), &format!("ExecStart={program} "))
}

fn write(root: &Path, program: &str, force: bool) -> Result<Vec<(PathBuf, Written)>, InstallError> {
    if !root.is_dir() {
        return Err(InstallError::NoRoot(root.to_owned()));
    }
    let files = FILES.map(|(path, text)| (root.join(path), for_program(text, program)));
    // Looked at before the first is written, so that a refusal leaves everything as it was.
    let mut before = Vec::new();
    for (path, text) in &files {
        before.push(match fs::read(path) {
            Ok(present) if present == text.as_bytes() => Written::Same,
            Ok(_) if force => Written::Replaced,
            Ok(_) => return Err(InstallError::Changed(path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Written::New,
            Err(source) => return Err(InstallError::Io { what: "read", path: path.clone(), source }),
        });
    }
    let mut written = Vec::new();
    for ((path, text), before) in files.into_iter().zip(before) {
        if before != Written::Same {
            put(&path, text.as_bytes())?;
        }
        written.push((path, before));
    }
    Ok(written)
}

/// Writes a file that everyone may read, whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> Result<(), InstallError> {
    let failed = |what, path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Io { what, path, source }
    };
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed("create", directory))?;
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let outcome = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    outcome.map_err(|source: io::Error| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            return failed("create", &new)(source);
        }
        let _ = fs::remove_file(&new);
        failed("write", path)(source)
    })
}

/// The commands that remain.
fn next_steps(root: Option<&Path>, this: Option<&Path>, program: &str) -> String {
    let mut steps = vec!["\nNext steps:".to_owned()];
    // What sd_booted(3) looks at.
    if root.is_none() && !Path::new("/run/systemd/system").is_dir() {
        steps.push(
            "  (systemd does not run on this machine now: for other init systems see packaging/README.md)".to_owned(),
        );
    }
    let inside = match (root, this) {
        (None, Some(this)) if this != Path::new(program) => {
            steps.push(format!("  install -m 755 {} {program}", this.display()));
            ""
        }
        (None, _) => "",
        (Some(root), _) => {
            steps.push(format!("  put the program at {}{program}, start that machine, and there:", root.display()));
            "  "
        }
    };
    let commands = [
        "systemd-sysusers wgnet.conf",
        "systemd-tmpfiles --create wgnet.conf",
        "put net.yaml and node.yaml into /etc/wgnet (`wgnet check` says whether they are right), then:",
        "systemd-tmpfiles --create wgnet.conf",
        "systemctl daemon-reload",
        "systemctl enable --now wgnet",
    ];
    steps.extend(commands.map(|command| format!("  {inside}{command}")));
    steps.push(
        "A second mesh: /etc/wgnet/wg1.yaml and wg1.node.yaml, and `systemctl enable --now wgnet@wg1`.".to_owned(),
    );
    steps.join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn exposed(text: &str) -> Vec<&str> {
        text.lines().skip_while(|line| *line != "[Unit]").collect()
    }

    #[test]
    fn the_template_is_the_unit_for_another_interface() {
        let template = FILES[1].1;
        let expected = UNIT.replace("without a coordinator", "without a coordinator, on %i").replace(
            "/etc/wgnet/net.yaml -p /etc/wgnet/node.yaml",
            "/etc/wgnet/%i.yaml -p /etc/wgnet/%i.node.yaml -i %i",
        );
        assert_eq!(exposed(template), exposed(&expected));
    }

    #[test]
    fn units_start_the_program_where_it_is_if_a_unit_can_see_it() {
        let at = |path: &str| program(Some(Path::new(path)), None);
        assert_eq!(at("/usr/bin/wgnet"), PACKAGED);
        assert_eq!(at("/opt/wgnet/wgnet"), "/opt/wgnet/wgnet");
        for hidden in ["/home/alice/wgnet", "/root/wgnet", "/tmp/wgnet", "/opt/with space/wgnet", "/opt/100%/wgnet"] {
            assert_eq!(at(hidden), LOCAL, "{hidden}");
        }
        let text = for_program(UNIT, "/opt/wgnet/wgnet");
        assert!(text.contains("ExecStart=/opt/wgnet/wgnet -c /etc/wgnet/net.yaml"), "{text}");
        assert!(!text.contains(PACKAGED), "{text}");
    }

    #[test]
    fn in_an_image_the_program_is_the_one_inside_it() {
        let root = tempfile::tempdir().expect("a directory");
        let inside = root.path().canonicalize().expect("a path").join("usr/sbin/wgnet");
        assert_eq!(program(Some(&inside), Some(root.path())), "/usr/sbin/wgnet");
        assert_eq!(program(Some(Path::new("/opt/wgnet")), Some(root.path())), PACKAGED);
    }

    #[test]
    fn files_are_written_once_and_changes_are_not_overwritten() {
        let root = tempfile::tempdir().expect("a directory");
        let outcomes = |force| {
            let written = write(root.path(), PACKAGED, force).expect("files");
            written.into_iter().map(|(_, written)| written).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(false), [Written::New; 4]);
        for (path, text) in FILES {
            let path = root.path().join(path);
            assert_eq!(fs::read_to_string(&path).expect("a file"), text);
            assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o7777, 0o644);
        }
        assert_eq!(outcomes(false), [Written::Same; 4]);

        fs::write(root.path().join(FILES[2].0), "u other -\n").expect("a file");
        fs::remove_file(root.path().join(FILES[0].0)).expect("a file");
        let refusal = write(root.path(), PACKAGED, false).expect_err("a changed file").to_string();
        assert!(refusal.contains("sysusers.d/wgnet.conf has other content"), "{refusal}");
        assert!(!root.path().join(FILES[0].0).exists(), "a refusal leaves everything as it was");
        assert_eq!(outcomes(true), [Written::New, Written::Same, Written::Replaced, Written::Same]);
    }

    #[test]
    fn each_failure_says_where_and_what_to_do() {
        let root = tempfile::tempdir().expect("a directory");
        let absent = write(&root.path().join("absent"), PACKAGED, false).expect_err("no root").to_string();
        assert!(absent.contains("there is no directory") && absent.contains("create it"), "{absent}");
        fs::write(root.path().join("etc"), "").expect("a file");
        let in_the_way = write(root.path(), PACKAGED, false).expect_err("a file in the way").to_string();
        assert!(in_the_way.contains("remove what is in the way"), "{in_the_way}");
    }
}
