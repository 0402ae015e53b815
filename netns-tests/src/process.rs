//! A program running on a machine: its log kept line by line, ended with the lab, never outliving the test process.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::namespace::Namespace;
use crate::wait::until;

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    path: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Program {
    /// The program at `path`, or of that name in `PATH`.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), args: Vec::new(), env: Vec::new() }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: ToString>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.to_string()));
        self
    }

    /// The same, started by another program that is given it as its last arguments, such as `setpriv`.
    #[must_use]
    pub fn under(mut self, outer: &[&str]) -> Self {
        let inner = std::mem::replace(&mut self.path, outer[0].to_owned());
        let before = outer[1..].iter().map(ToString::to_string).chain([inner]);
        self.args = before.chain(std::mem::take(&mut self.args)).collect();
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl ToString) -> Self {
        self.env.push((key.to_owned(), value.to_string()));
        self
    }

    /// Starts it in `namespace`.
    pub fn start(&self, namespace: &Namespace) -> Process {
        let shown = format!("{} {}", self.path, self.args.join(" "));
        let program = self.clone();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let (child, started) = namespace.run(move || {
            let mut command = Command::new(&program.path);
            command.args(&program.args).envs(program.env.iter().map(|(key, value)| (key, value)));
            command.stdin(Stdio::null());
            command.stdout(writer.try_clone().expect("a second writing end")).stderr(writer);
            end_with_parent_thread(&mut command);
            let started = Instant::now();
            (command.spawn(), started)
        });
        let child = child.unwrap_or_else(|error| panic!("cannot run {shown} in {}: {error}", namespace.name()));
        let log = Log::default();
        let lines = log.clone();
        let reading = std::thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        });
        Process { shown, pid: child.id(), child: Mutex::new(child), started, log, reading: Mutex::new(Some(reading)) }
    }
}

/// The kernel ends the child when the thread that started it is gone: the namespace's, which lives as long as the machine.
fn end_with_parent_thread(command: &mut Command) {
    let die = || {
        #[expect(unsafe_code, reason = "std offers no parent-death signal; one async-signal-safe call after fork")]
        // SAFETY: prctl with these arguments touches no memory of this process.
        let refused = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0;
        if refused { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    #[expect(unsafe_code, reason = "the only way to run code between fork and exec")]
    // SAFETY: `die` only makes a system call; it neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(die);
    }
}

/// A running, or ended, program. Dropped, it is killed.
pub struct Process {
    shown: String,
    pid: u32,
    child: Mutex<Child>,
    started: Instant,
    log: Log,
    reading: Mutex<Option<JoinHandle<()>>>,
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Just before it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// What it printed.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its exit status, if it has ended.
    pub fn ended(&self) -> Option<ExitStatus> {
        lock(&self.child).try_wait().expect("own child can be waited for")
    }

    /// Sends SIGTERM and waits for the end; panics when it takes longer than `within`.
    pub fn stop(&self, within: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait(within)
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&self) {
        let mut child = lock(&self.child);
        if child.try_wait().expect("own child can be waited for").is_none() {
            child.kill().expect("own child can be killed");
            child.wait().expect("own child can be waited for");
        }
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.ended().is_none() {
            let pid = Pid::from_raw(i32::try_from(self.pid).expect("process ids fit"));
            kill(pid, signal).expect("own child can be signalled");
        }
    }

    /// Waits for its end; panics with its log when that takes longer than `within`.
    pub fn wait(&self, within: Duration) -> ExitStatus {
        let ended = until(within, || self.ended());
        let status =
            ended.unwrap_or_else(|| panic!("{} still runs after {within:?}:\n{}", self.shown, self.log.text()));
        // What it wrote last is still on its way to the log.
        if let Some(reading) = lock(&self.reading)
            .take_if(|reading| until(Duration::from_secs(1), || reading.is_finished().then_some(())).is_some())
        {
            drop(reading.join());
        }
        status
    }

    /// Waits for a line that contains `text`; panics with the log when it does not come `within`, or the program ends.
    pub fn wait_for_line(&self, text: &str, within: Duration) -> String {
        let found = until(within, || {
            let over = self.ended().is_some();
            let line = self.log.find(text);
            if line.is_some() { Some(line) } else { over.then_some(None) }
        });
        found
            .flatten()
            .unwrap_or_else(|| panic!("{}: no line with {text:?} within {within:?}:\n{}", self.shown, self.log.text()))
    }

    /// Resident memory in bytes (VmRSS).
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory so far in bytes (VmHWM).
    pub fn peak_resident_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a running process has memory");
        let kib = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB");
        kib * 1024
    }

    /// Time on a processor since the start, all threads, to the nanosecond.
    pub fn cpu_time(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).expect("a running process has threads");
        let on_cpu = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse::<u64>().ok()).unwrap_or(0)
        };
        Duration::from_nanos(tasks.flatten().map(on_cpu).sum())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Lines that a program printed, each with the moment it came.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<(Instant, String)>>>);

impl Log {
    pub(crate) fn push(&self, line: String) {
        lock(&self.0).push((Instant::now(), line));
    }

    /// The first line that contains `text`.
    pub fn find(&self, text: &str) -> Option<String> {
        lock(&self.0).iter().find(|(_, line)| line.contains(text)).map(|(_, line)| line.clone())
    }

    /// All lines.
    pub fn text(&self) -> String {
        lock(&self.0).iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The last `count` lines, each after the seconds since `zero`.
    pub fn tail(&self, count: usize, zero: Instant) -> String {
        let lines = lock(&self.0);
        let skipped = lines.len().saturating_sub(count);
        let mut text = if skipped > 0 { format!("  ... {skipped} lines before\n") } else { String::new() };
        for (at, line) in &lines[skipped..] {
            text.push_str(&format!("  {:>9.3} {line}\n", at.saturating_duration_since(zero).as_secs_f64()));
        }
        text
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
