//! `wgnet tui`: the dashboard of the running daemon, of a recording, or of the demonstration mesh; on the terminal, or one
//! screen of it as text, picture or JSON.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use wgnet_api::redact::Pseudonyms;
use wgnet_api::{Item, JournalEntry, Recording, Snapshot};
use wgnet_tui::depth::Depth;
use wgnet_tui::export::{json, svg, text};
use wgnet_tui::model::Screen;
use wgnet_tui::source::demo;
use wgnet_tui::terminal::{self, Options, Watch};
use wgnet_tui::update::hide;
use wgnet_tui::{once, theme};

use super::args::{Export, TuiArgs};
use super::terminal as output;

/// Where the demonstration is looked at as a picture, unless `--at` says otherwise: one gateway has just died.
const DEMO_AT_MS: u64 = 150_000;

/// Shows the dashboard. Exit code 0; 1: it cannot be shown; 2: no daemon answers.
pub(super) fn run(args: &TuiArgs) -> ExitCode {
    match show(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Daemon(error)) => {
            output::complain(format_args!("wgnet: {error}"));
            ExitCode::from(2)
        }
        Err(Failure::Other(text)) => {
            output::complain(format_args!("wgnet: {text}"));
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Daemon(wgnet_api::Error),
    Other(String),
}

impl From<wgnet_api::Error> for Failure {
    fn from(error: wgnet_api::Error) -> Self {
        Self::Daemon(error)
    }
}

fn show(args: &TuiArgs) -> Result<(), Failure> {
    let mut options = Options::new(watch(args)?);
    options.screen = args.screen.as_deref().and_then(Screen::named).unwrap_or_default();
    options.theme = theme::NAMES.into_iter().find(|name| args.theme.as_deref() == Some(*name));
    options.privacy = args.privacy;
    options.record.clone_from(&args.record);
    if args.once || args.export.is_some() {
        return print(args, options);
    }
    options.at_ms = args.at.map_or(0, milliseconds);
    options.until = Some(signals().map_err(|e| Failure::Other(format!("cannot listen for signals: {e}")))?);
    terminal::run(options).map_err(|e| Failure::Other(e.to_string()))
}

fn watch(args: &TuiArgs) -> Result<Watch, Failure> {
    if let Some(path) = &args.replay {
        let place = path.display().to_string();
        let recording = Recording::open(path).map_err(|e| Failure::Other(format!("{place}: {e}")))?;
        return Ok(Watch::Recording { place, recording });
    }
    if args.demo {
        return Ok(Watch::Recording { place: demo::PLACE.to_owned(), recording: demo::recording() });
    }
    Ok(Watch::Daemon(args.daemon.client()?))
}

/// Prints one screen.
fn print(args: &TuiArgs, mut options: Options) -> Result<(), Failure> {
    let to_terminal = io::stdout().is_terminal();
    if args.export == Some(Export::Svg) {
        options.depth = Depth::True;
    } else if !to_terminal {
        options.depth = Depth::None;
    }
    let look = options.look();
    let light = look.name == "light";
    let (mut model, moment) = match options.watch {
        Watch::Daemon(client) => {
            let (snapshot, journal) = (client.snapshot()?, client.journal()?.entries);
            (once::moment(&snapshot, &journal, look), Some((snapshot, journal)))
        }
        Watch::Recording { place, recording } => {
            let start = if args.demo { DEMO_AT_MS } else { recording.length_ms() };
            let at = args.at.map_or(start, milliseconds);
            (once::recorded(&recording, &place, at, look), moment_of(&recording, at))
        }
    };
    if options.privacy {
        hide(&mut model);
    }
    if args.export == Some(Export::Json) {
        let (mut snapshot, mut journal) = moment.ok_or_else(|| Failure::Other("the recording is empty".to_owned()))?;
        if options.privacy {
            let mut names = Pseudonyms::new();
            snapshot = names.snapshot(&snapshot);
            journal = journal.iter().map(|entry| names.entry(entry)).collect();
        }
        output::say_bytes(json::json(&snapshot, &journal).as_bytes());
        return Ok(());
    }
    let (width, height) = args.size.unwrap_or_else(|| size(to_terminal));
    let buffer = once::draw(&mut model, options.screen, width, height);
    let printed = match args.export {
        Some(_) => svg::svg(&buffer, "wgnet", &if light { svg::Look::light() } else { svg::Look::dark() }),
        // The colours of the theme are already such as the terminal has.
        None if options.depth == Depth::None => text::plain_text(&buffer),
        None => text::ansi(&buffer, |colour| colour),
    };
    io::stdout().lock().write_all(printed.as_bytes()).map_err(|e| Failure::Other(e.to_string()))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The moment in a recording, and what had happened until then.
fn moment_of(recording: &Recording, at_ms: u64) -> Option<(Snapshot, Vec<JournalEntry>)> {
    let (mut now, mut journal): (Option<Snapshot>, Vec<JournalEntry>) = (None, Vec::new());
    for line in recording.lines.iter().take_while(|line| line.at_ms <= at_ms) {
        match &line.item {
            Item::Event(wgnet_api::Event::Snapshot(snapshot)) => now = Some(snapshot.as_ref().clone()),
            Item::Event(wgnet_api::Event::Difference(difference)) => {
                if let Some(now) = &mut now {
                    now.apply(difference.as_ref().clone());
                }
            }
            Item::Event(wgnet_api::Event::Journal(entry)) => journal.push(entry.clone()),
            Item::Why(_) | Item::Gone(_) => {}
        }
    }
    now.map(|now| (now, journal))
}

/// The terminal's size, else what every terminal has.
fn size(to_terminal: bool) -> (u16, u16) {
    terminal::size().filter(|_| to_terminal).unwrap_or((80, 24))
}

/// SIGTERM and SIGHUP end the dashboard as `q` does. Ctrl-C comes as a key.
fn signals() -> io::Result<Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (send, receive) = mpsc::channel();
    let guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(guard);
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        // The dashboard may have ended meanwhile.
        let _ = send.send(());
    });
    Ok(receive)
}
