//! Makes the recording that `wgnet tui --demo` plays: minutes of a mesh of 60 nodes, lived through in the simulator and
//! seen from a laptop at home. The same program always makes the same file.
//!
//!     cargo run --profile sim --example record_demo -- examples/demo.jsonl
//!
//! [`cast`] says who is there and where, [`plot`] what happens, [`camera`] what is recorded of it.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod camera;
mod cast;
mod plot;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        println!("where to? record_demo FILE");
        return ExitCode::FAILURE;
    };
    let recording = match camera::record() {
        Ok(recording) => recording,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = std::fs::write(&path, &recording) {
        println!("{path}: {error}");
        return ExitCode::FAILURE;
    }
    println!("{path}: {} kB, {} lines", recording.len() / 1_000, recording.iter().filter(|b| **b == b'\n').count());
    ExitCode::SUCCESS
}
