//! The shell: threads, the clock, and the bytes that go to the terminal.
//!
//! ```text
//!   event thread ---.
//!   source threads --+--> one channel --> update, until it is empty --> view --> only what changed --> terminal
//!   a tick a second -'
//! ```
//!
//! A frame is drawn into a buffer and compared with the one before. If they are equal nothing is written, not even a
//! flush; else the cells that differ, within a synchronized update, so that no terminal shows half a frame.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;

use base64::Engine as _;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event,
};
use ratatui::crossterm::style::{Attribute, Print, SetAttribute};
use ratatui::crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use ratatui::crossterm::{cursor, execute, queue};
use ratatui::layout::Rect;
use wgnet_api::{Client, Recording, Severity};

use crate::clock::Clock;
use crate::config::{Config, Mistake};
use crate::depth::Depth;
use crate::export::svg;
use crate::glyph::Glyphs;
use crate::message::{Control, Effect, Message};
use crate::model::{Look, Model, Screen};
use crate::source::Source;
use crate::source::live::Live;
use crate::source::replay::Replay;
use crate::theme;
use crate::update::update;
use crate::view::view;

/// Messages that are taken before the next frame, so that a flood of them cannot keep the screen from changing.
const MOST_BETWEEN_FRAMES: usize = 2_000;

/// What is shown, and how.
pub struct Options {
    /// What is watched.
    pub watch: Watch,
    /// The screen to begin with.
    pub screen: Screen,
    /// Whether pseudonyms are shown from the start.
    pub privacy: bool,
    /// What comes from a daemon is written to this file, too.
    pub record: Option<PathBuf>,
    /// The user's configuration, and what is wrong with it.
    pub config: (Config, Vec<Mistake>),
    /// A theme in place of the configured one; one of [`theme::NAMES`].
    pub theme: Option<&'static str>,
    /// Where a recording begins to play: milliseconds after its begin.
    pub at_ms: u64,
    /// How many colours the terminal has.
    pub depth: Depth,
    /// Something that comes here ends the dashboard as `q` does: the program's signals.
    pub until: Option<Receiver<()>>,
}

/// What is watched.
pub enum Watch {
    /// A running daemon.
    Daemon(Client),
    /// A recording; `place` says in words which.
    Recording {
        /// A file's name, `demo`.
        place: String,
        /// What was recorded.
        recording: Recording,
    },
}

impl Options {
    /// Watches something with all else as the user configured it, by this process's environment.
    pub fn new(watch: Watch) -> Self {
        let config = crate::config::path(var("XDG_CONFIG_HOME").as_deref(), var("HOME").as_deref())
            .map(|path| crate::config::read(&path))
            .unwrap_or_default();
        Self {
            watch,
            screen: Screen::Overview,
            privacy: false,
            record: None,
            config,
            theme: None,
            at_ms: 0,
            depth: depth(),
            until: None,
        }
    }

    /// Colours and characters as the options have them.
    pub fn look(&self) -> Look {
        let config = &self.config.0;
        let name = self.theme.or(config.theme).unwrap_or(theme::NAMES[0]);
        Look::new(name, self.depth, config.glyphs.unwrap_or(Glyphs::Unicode))
    }
}

fn var(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

/// Columns and rows of this process's terminal, if it has one.
pub fn size() -> Option<(u16, u16)> {
    terminal::size().ok()
}

/// How many colours this process's terminal has, by its environment.
pub fn depth() -> Depth {
    let text = |name: &str| var(name).map(|value| value.to_string_lossy().into_owned());
    Depth::of(text("NO_COLOR").as_deref(), text("COLORTERM").as_deref(), text("TERM").as_deref())
}

/// Why the dashboard did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no terminal to draw on.
    #[error("the output is no terminal (print one screen with `--once`)")]
    NoTerminal,
    /// The terminal is gone, or does not do what terminals do.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
}

/// Shows the dashboard until the user ends it. The terminal is left as it was found, also after a panic.
///
/// # Errors
///
/// The output is no terminal, or it went away.
pub fn run(options: Options) -> Result<(), Error> {
    if !io::stdout().is_terminal() {
        return Err(Error::NoTerminal);
    }
    let clock = Clock::start();
    let mut model = Model::new(options.look(), options.config.0.keymap.clone());
    model.screen = options.screen;
    model.mouse = options.config.0.mouse;
    if options.privacy {
        model.data.set_private(true);
    }
    match options.config.1.as_slice() {
        [] => {}
        [mistake] => model.say(Severity::Warning, mistake.to_string(), 20),
        [first, others @ ..] => {
            model.say(Severity::Warning, format!("{first} (and {} more)", others.len()), 20);
        }
    }
    let mut source: Box<dyn Source> = match options.watch {
        Watch::Daemon(client) => {
            model.place = client.address().to_string();
            Box::new(Live::new(client, options.record))
        }
        Watch::Recording { place, recording } => Box::new(Replay::new(place, recording)),
    };
    let _raw = Raw::enter(model.mouse)?;
    let (width, height) = terminal::size()?;
    model.size = (width, height);
    let mut surface = Surface::new(CrosstermBackend::new(io::stdout()), width, height);
    // Something is seen before anything is waited for.
    surface.draw(&model)?;
    let (sender, messages) = mpsc::channel();
    listen(sender.clone());
    if let Some(until) = options.until {
        let closed = sender.clone();
        thread::spawn(move || {
            // Hung up without a word: the program does not want to end it.
            if until.recv().is_ok() {
                closed.send(Message::Closed).unwrap_or_default();
            }
        });
    }
    source.start(sender.clone(), clock);
    if options.at_ms > 0 {
        source.steer(Control::Seek(options.at_ms));
    }
    let mut shell = Shell { model, surface, source, sender };
    loop {
        let now_ms = clock.now_ms();
        let tick = clock.until((now_ms / 1_000 + 1) * 1_000);
        let first = match messages.recv_timeout(tick) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => Message::Tick,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let all = std::iter::once(first).chain(messages.try_iter()).take(MOST_BETWEEN_FRAMES);
        for message in all {
            if shell.take(message, clock.now_ms())? {
                return Ok(());
            }
        }
        shell.surface.draw(&shell.model)?;
    }
}

/// Keys, mouse and sizes come from a thread of their own, until the terminal is gone.
fn listen(messages: Sender<Message>) {
    thread::spawn(move || {
        loop {
            let message = match event::read() {
                Ok(Event::Key(key)) => Message::Key(key),
                Ok(Event::Mouse(mouse)) => Message::Mouse(mouse),
                Ok(Event::Paste(text)) => Message::Paste(text),
                Ok(Event::Resize(width, height)) => Message::Resize(width, height),
                Ok(Event::FocusGained | Event::FocusLost) => continue,
                Err(_) => Message::Closed,
            };
            let is_last = message == Message::Closed;
            if messages.send(message).is_err() || is_last {
                return;
            }
        }
    });
}

/// Carries out effects.
struct Shell<W: Write> {
    model: Model,
    surface: Surface<W>,
    source: Box<dyn Source>,
    sender: Sender<Message>,
}

impl<W: Write> Shell<W> {
    /// Takes in a message; `true`: it is over.
    fn take(&mut self, message: Message, now_ms: u64) -> io::Result<bool> {
        if let Message::Resize(width, height) = message {
            self.surface.resize(width, height)?;
        }
        for effect in update(&mut self.model, message, now_ms) {
            match effect {
                Effect::Quit => return Ok(true),
                Effect::Ask(request) => self.source.ask(request),
                Effect::Copy(text) => self.surface.copy(&text)?,
                Effect::Save { path, text } => self.save(path, &text),
                Effect::SaveScreen { path } => {
                    let look = if self.model.look.name == "light" { svg::Look::light() } else { svg::Look::dark() };
                    let text = svg::svg(&self.surface.shown, "wgnet", &look);
                    self.save(path, &text);
                }
                Effect::ToggleMouse(on) => self.surface.mouse(on)?,
                Effect::Replay(control) => self.source.steer(control),
            }
        }
        Ok(false)
    }

    /// The result comes as a message; this very shell takes it, so it does take it.
    fn save(&self, path: PathBuf, text: &str) {
        let result = write_new(&path, text).map_err(|error| error.to_string());
        self.sender.send(Message::Saved { path, result }).unwrap_or_default();
    }
}

/// Writes a file that only its owner may read, as it may hold every name and address of a mesh, and overwrites none.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // Half a picture is none: a full disk leaves nothing that stands in the way of the next attempt.
    file.write_all(text.as_bytes()).inspect_err(|_| drop(std::fs::remove_file(path)))
}

/// What the terminal shows, and the way to change it.
pub struct Surface<W: Write> {
    backend: CrosstermBackend<W>,
    shown: Buffer,
    next: Buffer,
}

impl<W: Write> Surface<W> {
    /// A blank terminal.
    pub fn new(backend: CrosstermBackend<W>, width: u16, height: u16) -> Self {
        let blank = Buffer::empty(Rect::new(0, 0, width, height));
        Self { backend, shown: blank.clone(), next: blank }
    }

    /// Draws a frame, and writes what differs from the one before: nothing, if nothing does.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        self.next.reset();
        view(model, self.next.area, &mut self.next);
        if self.next == self.shown {
            return Ok(());
        }
        queue!(self.backend, BeginSynchronizedUpdate)?;
        self.backend.draw(self.shown.diff(&self.next).into_iter())?;
        queue!(self.backend, EndSynchronizedUpdate)?;
        Write::flush(&mut self.backend)?;
        std::mem::swap(&mut self.shown, &mut self.next);
        Ok(())
    }

    /// After a change of size nobody knows what the terminal shows: it is blanked.
    fn resize(&mut self, width: u16, height: u16) -> io::Result<()> {
        let area = Rect::new(0, 0, width, height);
        (self.shown, self.next) = (Buffer::empty(area), Buffer::empty(area));
        queue!(self.backend, SetAttribute(Attribute::Reset), Clear(ClearType::All))
    }

    /// OSC 52: the terminal puts it into its user's clipboard, also over ssh.
    fn copy(&mut self, text: &str) -> io::Result<()> {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        execute!(self.backend, Print(format!("\x1b]52;c;{encoded}\x07")))
    }

    fn mouse(&mut self, on: bool) -> io::Result<()> {
        if on { execute!(self.backend, EnableMouseCapture) } else { execute!(self.backend, DisableMouseCapture) }
    }
}

/// The terminal as the dashboard needs it; as it was when this is dropped, or when something panics.
struct Raw;

impl Raw {
    fn enter(mouse: bool) -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            before(panic);
        }));
        terminal::enable_raw_mode()?;
        let raw = Self;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide, Clear(ClearType::All))?;
        if mouse {
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        leave();
    }
}

/// A terminal that is gone needs no restoring, so errors say nothing.
fn leave() {
    let mut out = io::stdout();
    let restored = execute!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        SetAttribute(Attribute::Reset),
        LeaveAlternateScreen,
        cursor::Show
    );
    drop(restored);
    drop(terminal::disable_raw_mode());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::once;

    /// What a terminal gets, shared with the surface that writes it.
    #[derive(Clone, Default)]
    struct Wire(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Wire {
        fn take(&self) -> Vec<u8> {
            std::mem::take(&mut *self.0.lock().expect("nobody panicked"))
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_export_is_its_owners_alone_and_overwrites_nothing() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wgnet-map-1.svg");
        write_new(&path, "<svg/>").expect("written");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = write_new(&path, "other").expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "<svg/>");
    }

    #[test]
    fn nothing_is_written_while_nothing_changes() {
        let wire = Wire::default();
        let mut surface = Surface::new(CrosstermBackend::new(wire.clone()), 80, 24);
        let mut model = once::moment(&fixture::snapshot(8), &fixture::journal(), Look::default());
        surface.draw(&model).expect("a frame");
        let first = String::from_utf8_lossy(&wire.take()).into_owned();
        assert!(first.starts_with("\x1b[?2026h") && first.contains("alice"), "a synchronized update");
        assert!(first.ends_with("\x1b[?2026l"));
        update(&mut model, Message::Tick, 200);
        surface.draw(&model).expect("a frame");
        assert_eq!(wire.take(), b"", "not even a flush or a cursor move");
        update(&mut model, Message::Tick, 1_000);
        surface.draw(&model).expect("a frame");
        let later = wire.take();
        assert!(!later.is_empty() && later.len() < 400, "only the ages changed: {} bytes", later.len());
    }

    #[test]
    fn what_is_copied_goes_to_the_terminals_clipboard() {
        let wire = Wire::default();
        let mut surface = Surface::new(CrosstermBackend::new(wire.clone()), 80, 24);
        surface.copy("10.1.0.2").expect("written");
        assert_eq!(wire.take(), b"\x1b]52;c;MTAuMS4wLjI=\x07");
    }
}
