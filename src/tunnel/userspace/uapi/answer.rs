//! What `get=1` shows of the interface.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::tunnel::userspace::plane::DataPlane;

/// The lines of the interface and of every peer, without the closing `errno`. It holds the private key, as the protocol
/// demands (the socket is the owner's alone), so its memory is wiped.
pub(in crate::tunnel::userspace) fn interface(
    plane: &DataPlane,
    port: u16,
    fwmark: u32,
    now: Instant,
) -> Zeroizing<String> {
    let mut prefixes = plane.prefixes();
    // Room enough that it never grows, which would leave a copy of the key behind.
    let room: usize =
        plane.table.peers.iter().map(|_| 512).sum::<usize>() + prefixes.values().map(Vec::len).sum::<usize>() * 64;
    let mut text = Zeroizing::new(String::with_capacity(room + 512));
    text.push_str("private_key=");
    push_hex(&mut text, &Zeroizing::new(plane.secret.to_bytes())[..]);
    let _ = write!(text, "\nlisten_port={port}\n");
    if fwmark != 0 {
        let _ = writeln!(text, "fwmark={fwmark}");
    }
    for (slot, peer) in plane.table.peers.iter() {
        let peer = peer.lock();
        text.push_str("public_key=");
        push_hex(&mut text, &peer.key.0);
        text.push_str("\npreshared_key=");
        push_hex(&mut text, &peer.preshared.clone().unwrap_or_default()[..]);
        text.push_str("\nprotocol_version=1\n");
        if let Some(endpoint) = peer.endpoint {
            let _ = writeln!(text, "endpoint={}", endpoint.remote);
        }
        let handshake = peer.last_handshake.map_or(Duration::ZERO, |at| wall_clock(now.duration_since(at)));
        let _ = writeln!(text, "last_handshake_time_sec={}", handshake.as_secs());
        let _ = writeln!(text, "last_handshake_time_nsec={}", handshake.subsec_nanos());
        let _ = writeln!(text, "tx_bytes={}\nrx_bytes={}", peer.tx_bytes, peer.rx_bytes);
        let _ = writeln!(text, "persistent_keepalive_interval={}", peer.keepalive.unwrap_or(0));
        for prefix in prefixes.remove(&slot).unwrap_or_default() {
            let _ = writeln!(text, "allowed_ip={prefix}");
        }
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "the protocol shows the last handshake as a time of the wall clock")]
fn wall_clock(age: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(age)
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}
