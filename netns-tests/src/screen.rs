//! A program on a terminal of its own: what it draws is read by a terminal emulator, what a person types is written.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::machine::Machine;
use crate::process::lock;
use crate::wait::until;

/// A pseudo-terminal and the program on it; both end with this.
pub struct Screen {
    emulator: Arc<Mutex<vt100::Parser>>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    _terminal: Box<dyn MasterPty + Send>,
}

impl Screen {
    /// Starts `program` with `args` on `machine`, on a terminal of so many rows and columns.
    pub fn start(machine: &Machine, program: &str, args: &[&str], (rows, columns): (u16, u16)) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env_remove("NO_COLOR");
        let slave = pair.slave;
        let child = machine.namespace().run(move || slave.spawn_command(command)).expect("the program starts");
        let mut reader = pair.master.try_clone_reader().expect("a reading end");
        let keyboard = pair.master.take_writer().expect("a writing end");
        let emulator = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(columns), 0)));
        let drawn = Arc::clone(&emulator);
        std::thread::spawn(move || {
            let mut bytes = [0; 16_384];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                lock(&drawn).process(&bytes[..count]);
            }
        });
        Self { emulator, keyboard, child, _terminal: pair.master }
    }

    /// Types something; `\r` is Enter, `\x1b` is Esc.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).and_then(|()| self.keyboard.flush()).expect("the terminal takes keys");
    }

    /// What is on the screen now.
    pub fn text(&self) -> String {
        lock(&self.emulator).screen().contents()
    }

    /// Waits until the screen is as `wish` says; panics with the last one when that takes longer than `within`.
    pub fn wait_for(&self, what: &str, within: Duration, wish: impl Fn(&str) -> bool) -> String {
        let seen = until(within, || Some(self.text()).filter(|text| wish(text)));
        seen.unwrap_or_else(|| panic!("not within {within:?}: {what}\n{}", self.text()))
    }

    /// Waits for the program's end and tells whether it succeeded.
    pub fn ends(&mut self, within: Duration) -> bool {
        let ended = until(within, || self.child.try_wait().expect("our own child"));
        ended.unwrap_or_else(|| panic!("still running after {within:?}\n{}", self.text())).success()
    }

    /// Whether the program took the whole screen for itself.
    pub fn is_alternate(&self) -> bool {
        lock(&self.emulator).screen().alternate_screen()
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has rows and columns")
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
