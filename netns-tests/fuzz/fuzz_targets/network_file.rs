//! A person writes anything into the network file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let _ = wgnet::config::parse_network(text, "net.yaml");
});
