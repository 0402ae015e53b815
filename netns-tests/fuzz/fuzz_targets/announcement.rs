#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netns_tests::decoders::announcement(input));
