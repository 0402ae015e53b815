//! A program sends anything to the userspace API socket.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: &[u8]| {
    let _ = wgnet::tunnel::userspace::uapi::parse::parse(request);
});
