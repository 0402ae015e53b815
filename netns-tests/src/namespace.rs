//! A network namespace and a mount namespace with a thread that lives in them.
//!
//! Neither has a name or a file: they exist as long as this thread, what it started, or a socket of theirs does.
//! So the kernel itself removes everything (links, rules, files on the private tmpfs) when the test process ends, however it ends.
//!
//! ```text
//! test thread --- run(closure) ---> the namespace's thread (own net, own /run, /var/lib, /sys)
//!             <----- result -------        |-- processes (killed by the kernel when this thread ends)
//!                                          '-- threads it spawns live in the same namespaces
//! ```

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

type Job = Box<dyn FnOnce() + Send>;

/// The two namespaces and the thread in them.
pub struct Namespace {
    name: String,
    tid: i32,
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Namespace {
    /// Makes the namespaces: loopback up, private tmpfs on `/run` and `/var/lib`, a `/sys` that shows this network.
    pub fn new(name: &str) -> Self {
        let (jobs, inbox) = channel::<Job>();
        let (ready, made) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("ns-{name}"))
            .spawn(move || {
                let outcome = enter_new();
                let usable = outcome.is_ok();
                ready.send(outcome.map(|()| gettid().as_raw())).expect("the maker waits");
                while let (true, Ok(job)) = (usable, inbox.recv()) {
                    job();
                }
            })
            .expect("a thread can be started");
        let tid = made.recv().expect("the namespace's thread answers").unwrap_or_else(|error| {
            panic!("cannot make namespace {name}: {error} (network namespaces need root and CONFIG_NET_NS)")
        });
        let made = Self { name: name.to_owned(), tid, jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) };
        made.command("ip", &["link", "set", "lo", "up"]);
        made
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Thread id of the thread that lives here: `ip ... netns TID`, `nsenter -t TID -n -m`.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Runs `job` in the namespaces and gives back what it returns. A panic in it goes on in the caller.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, result) = sync_channel::<Result<T, Box<dyn Any + Send>>>(1);
        let job = Box::new(move || {
            // The caller may have gone (a panic elsewhere): then nobody wants the answer.
            drop(answer.send(catch_unwind(AssertUnwindSafe(job))));
        });
        let sender = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.expect("the namespace is in use").send(job).expect("the namespace's thread lives");
        match result.recv().expect("the namespace's thread answers") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Starts a thread that lives in the namespaces.
    pub fn spawn<T: Send + 'static>(&self, name: &str, job: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let name = format!("{}-{name}", self.name);
        self.run(move || std::thread::Builder::new().name(name).spawn(job).expect("a thread can be started"))
    }

    /// Runs a program to its end and gives back what it printed; panics with its errors when it fails.
    pub fn command(&self, program: &str, args: &[&str]) -> String {
        self.feed(program, args, "")
    }

    /// Like [`Self::command`], with standard input: for `nft -f -` and `ip -batch -`.
    pub fn feed(&self, program: &str, args: &[&str], input: &str) -> String {
        let outcome = self.attempt(program, args, input);
        outcome.unwrap_or_else(|error| panic!("in namespace {}: {error}", self.name))
    }

    /// Like [`Self::feed`], but gives back the failure as text.
    pub fn attempt(&self, program: &str, args: &[&str], input: &str) -> Result<String, String> {
        let output = self.output(program, args, input)?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program} {}: {}\n{stdout}{stderr}{input}", args.join(" "), output.status))
    }

    /// Runs a program to its end; an error only if it could not be started.
    pub fn output(&self, program: &str, args: &[&str], input: &str) -> Result<Output, String> {
        let shown = format!("{program} {}", args.join(" "));
        let (program, args) = (program.to_owned(), args.iter().map(ToString::to_string).collect::<Vec<_>>());
        let input = input.to_owned();
        self.run(move || {
            let mut command = Command::new(&program);
            let piped = command.args(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = piped.spawn().map_err(|error| format!("cannot run {shown}: {error}"))?;
            // A program that ends before it has read everything says by its status whether that was right.
            drop(std::io::Write::write_all(&mut child.stdin.take().expect("piped"), input.as_bytes()));
            child.wait_with_output().map_err(|error| format!("{shown}: {error}"))
        })
    }

    /// Sets a kernel parameter of this network, such as `net.ipv4.ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let (shown, value) = (format!("{key}={value}"), value.to_owned());
        self.run(move || std::fs::write(path, value)).unwrap_or_else(|error| panic!("sysctl {shown}: {error}"));
    }

    /// How the file `path` of these namespaces is reached from the test process.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let inside = path.as_ref().strip_prefix("/").expect("an absolute path").to_owned();
        PathBuf::from(format!("/proc/self/task/{}/root", self.tid)).join(inside)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(thread.join());
        }
    }
}

fn enter_new() -> std::io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let tmpfs =
        |at: &str| mount(Some("lab"), at, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=755"));
    tmpfs("/run")?;
    if !Path::new("/var/run").is_symlink() {
        tmpfs("/var/run")?;
    }
    tmpfs("/var/lib")?;
    mount(Some("lab"), "/sys", Some("sysfs"), MsFlags::empty(), none)?;
    Ok(())
}
