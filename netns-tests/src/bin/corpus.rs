//! Writes the fuzz targets' corpus anew, from what the encoders make now: `cargo run -p netns-tests --bin corpus`.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (decoder, name, bytes) in netns_tests::decoders::samples::all() {
        std::fs::create_dir_all(folder.join(decoder))?;
        std::fs::write(folder.join(decoder).join(name), bytes)?;
        println!("{decoder}/{name}");
    }
    Ok(())
}
