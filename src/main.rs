//! The program `wgnet`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    wgnet::cli::main()
}
