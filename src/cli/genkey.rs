//! `wgnet genkey`: a shared key for a new network.

use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use super::terminal;

/// Prints 32 bytes of the operating system's randomness in base64.
pub(super) fn run() -> ExitCode {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    if let Err(error) = OsRng.try_fill_bytes(&mut *bytes) {
        terminal::complain(format_args!("wgnet: the system gives no random bytes: {error}"));
        return ExitCode::FAILURE;
    }
    terminal::say(&*Zeroizing::new(BASE64.encode(*bytes)));
    ExitCode::SUCCESS
}
