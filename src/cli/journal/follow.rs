//! `wgnet journal --follow`: what happens, as it happens, over restarts of the daemon; recorded, if that is wanted.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use wgnet_api::{Client, Error, Event, Place, Tape};

use super::{terminal, text};
use crate::cli::args::JournalArgs;

/// How long to wait before the next attempt: at first ...
const SHORTEST: Duration = Duration::from_millis(250);
/// ... and, doubled each time, at most.
const LONGEST: Duration = Duration::from_secs(5);

/// Prints the entries from number `first` on, and whatever comes, until the reader goes away.
///
/// # Errors
/// The daemon refuses in a way that no waiting mends.
pub(super) fn run(args: &JournalArgs, client: &Client, first: u64) -> Result<ExitCode, Error> {
    #[expect(clippy::disallowed_methods, reason = "a recording says when each thing came")]
    let began = Instant::now();
    let tape = args.record.as_ref().map(Tape::new);
    let mut following = Following { args, first, after: None, tape, began };
    let mut wait = SHORTEST;
    loop {
        let error = match client.stream(following.after) {
            Err(error) => error,
            Ok(stream) => {
                let mut last = None;
                for event in stream {
                    match event.map(|(place, event)| following.take(place, event)) {
                        Ok(ControlFlow::Continue(())) => wait = SHORTEST,
                        Ok(ControlFlow::Break(code)) => return Ok(code),
                        Err(error) => last = Some(error),
                    }
                }
                last.unwrap_or_else(|| Error::Ended { at: client.address().clone() })
            }
        };
        if !error.is_passing() {
            return Err(error);
        }
        if wait == SHORTEST {
            terminal::complain(format_args!("wgnet: {error}; reconnecting"));
            if let ControlFlow::Break(code) = following.tape(|tape, now_ms| tape.gone(now_ms, &error.to_string())) {
                return Ok(code);
            }
        }
        pause(wait);
        wait = (wait * 2).min(LONGEST);
    }
}

#[expect(clippy::disallowed_methods, reason = "a daemon that is away sends no event to wait for")]
fn pause(wait: Duration) {
    std::thread::sleep(wait);
}

struct Following<'a> {
    args: &'a JournalArgs,
    /// Number of the first entry to print; of the start of the daemon that is there now.
    first: u64,
    after: Option<Place>,
    tape: Option<Tape>,
    began: Instant,
}

impl Following<'_> {
    /// Takes one event. Ends when nobody reads any more, or the recording cannot be kept.
    fn take(&mut self, place: Place, event: Event) -> ControlFlow<ExitCode> {
        if self.after.is_some_and(|after| after.start != place.start) {
            // Another start counts from the beginning, and all of it is news.
            self.first = 0;
        }
        self.after = Some(place);
        if let Event::Journal(entry) = &event
            && entry.number >= self.first
            && terminal::try_say(text(entry, self.args.json)).is_err()
        {
            return ControlFlow::Break(ExitCode::SUCCESS);
        }
        self.tape(|tape, now_ms| tape.take(now_ms, &event))
    }

    /// Writes on the tape, if there is one.
    fn tape(&mut self, write: impl FnOnce(&mut Tape, u64) -> std::io::Result<()>) -> ControlFlow<ExitCode> {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some(tape) = &mut self.tape else { return ControlFlow::Continue(()) };
        let Err(error) = write(tape, now_ms) else { return ControlFlow::Continue(()) };
        terminal::complain(format_args!("wgnet: cannot record into {}: {error}", tape.path().display()));
        ControlFlow::Break(ExitCode::FAILURE)
    }
}
