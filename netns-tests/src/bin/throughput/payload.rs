//! A gigabyte that no offload, buffer or cipher may change: no part of it is like another one, so that a segment that is
//! lost, doubled, moved or taken from the wrong buffer shows.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use netns_tests::Random;
use sha2::{Digest, Sha256};

use crate::load::connection;
use crate::star::End;

/// Bytes.
pub(crate) const LENGTH: usize = 1_000_000_000;
/// Bytes of one write and one read.
const BLOCK: usize = 256 << 10;
/// A flow that stands still for so long is lost.
const STILL: Duration = Duration::from_secs(20);

/// What one end saw of it.
type Seen = std::io::Result<(usize, [u8; 32])>;

/// Sends it in one TCP flow and compares what both ends saw; the error says what is different.
pub(crate) fn arrives_unchanged(from: End<'_>, to: End<'_>, seed: u64) -> Result<(), String> {
    let (mut source, mut sink) = connection(from, to);
    source.set_write_timeout(Some(STILL)).expect("a timeout");
    sink.set_read_timeout(Some(STILL)).expect("a timeout");
    let sending = std::thread::spawn(move || send(&mut source, seed));
    let received = receive(&mut sink);
    // A source that still waits for the sink learns that nobody is there.
    drop(sink);
    let sent = sending.join().expect("the source ends").map_err(|error| format!("sending: {error}"))?;
    let received = received.map_err(|error| format!("receiving: {error}"))?;
    if sent == received {
        return Ok(());
    }
    let shown = |(length, hash): (usize, [u8; 32])| {
        let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("{length} bytes with SHA-256 {hash}")
    };
    Err(format!("sent {}, received {}", shown(sent), shown(received)))
}

fn send(source: &mut TcpStream, seed: u64) -> Seen {
    let (mut random, mut hash, mut block) = (Random::new(seed), Sha256::new(), vec![0; BLOCK]);
    let mut sent = 0;
    while sent < LENGTH {
        let block = &mut block[..BLOCK.min(LENGTH - sent)];
        for word in block.chunks_mut(8) {
            word.copy_from_slice(&random.bits().to_le_bytes()[..word.len()]);
        }
        hash.update(&*block);
        source.write_all(block)?;
        sent += block.len();
    }
    source.shutdown(Shutdown::Write)?;
    Ok((sent, hash.finalize().into()))
}

fn receive(sink: &mut TcpStream) -> Seen {
    let (mut hash, mut block, mut received) = (Sha256::new(), vec![0; BLOCK], 0);
    loop {
        let length = sink.read(&mut block)?;
        if length == 0 {
            return Ok((received, hash.finalize().into()));
        }
        hash.update(&block[..length]);
        received += length;
    }
}
