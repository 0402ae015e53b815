//! A member of the network sends any plaintext; anyone else sends any datagram.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wgnet::mesh::config::NetworkKey;
use wgnet::mesh::ids::NodeId;
use wgnet::mesh::wire::{Kind, Message, Sealer};

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    if let Some(kind) = Kind::from_number(kind)
        && let Some(message) = Message::decode(kind, bytes)
    {
        assert_eq!(Message::decode(kind, &message.encode()), Some(message), "what is read is written the same");
    }
    let _ = Sealer::new(NetworkKey::new([1; 32]), NodeId([2; 32]), 1).open(bytes);
});
