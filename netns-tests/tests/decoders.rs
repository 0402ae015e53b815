//! The fuzz targets' corpus, and what lies near it: no bytes make a decoder panic.

use std::path::Path;

use netns_tests::decoders;

/// Changed copies of each file of the corpus.
const COPIES: usize = 300;

/// A small generator (xorshift64*), so that a failure can be repeated.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap_or(0) % limit.max(1)
    }
}

fn changed(bytes: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    for _ in 0..=draw.below(4) {
        let at = draw.below(copy.len() + 1);
        let byte = u8::try_from(draw.below(256)).unwrap_or(0);
        match draw.below(4) {
            0 => copy.truncate(at),
            1 => copy.insert(at, byte),
            2 if at < copy.len() => copy[at] ^= 1 << (byte % 8),
            _ if at < copy.len() => copy[at] = byte,
            _ => copy.push(byte),
        }
    }
    copy
}

#[test]
fn no_bytes_make_a_decoder_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, decode) in decoders::ALL {
        let files = std::fs::read_dir(corpus.join(name)).expect("each decoder has a corpus");
        let mut files = files.map(|entry| entry.expect("a file").path()).collect::<Vec<_>>();
        files.sort();
        assert!(!files.is_empty(), "{name}: the corpus is empty");
        let mut draw = Draw(7);
        for file in files {
            let bytes = std::fs::read(&file).expect("a file");
            decode(&bytes);
            (0..COPIES).for_each(|_| decode(&changed(&bytes, &mut draw)));
        }
    }
}

#[test]
fn the_corpus_is_what_the_encoders_make_now() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (decoder, name, bytes) in decoders::samples::all() {
        let file = std::fs::read(corpus.join(decoder).join(name)).unwrap_or_default();
        assert!(file == bytes, "{decoder}/{name} is outdated: `cargo run -p netns-tests --bin corpus` writes it anew");
    }
}
