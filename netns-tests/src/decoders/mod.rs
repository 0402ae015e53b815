//! Every decoder that reads what others wrote, each with what must hold for any bytes. The fuzz targets (`fuzz/`) and a
//! test that replays their corpus call these.

mod offload;
pub mod samples;

use std::time::Duration;

use wgnet::mesh::config::NetworkKey;
use wgnet::mesh::ids::NodeId;
use wgnet::mesh::path::Graph;
use wgnet::mesh::record::{Item, Lsdb};
use wgnet::mesh::time::Time;
use wgnet::mesh::trust::Standing;
use wgnet::mesh::wire::{Announcement, Announcer, Kind, Message, Sealer};

pub use self::offload::{coalescing, segmentation};

/// Takes any bytes; panics when it must not.
pub type Decoder = fn(&[u8]);

/// All of them, by name.
pub const ALL: [(&str, Decoder); 7] = [
    ("datagram", datagram),
    ("announcement", announcement),
    ("record", record),
    ("network_file", network_file),
    ("userspace_api", userspace_api),
    ("segmentation", segmentation),
    ("coalescing", coalescing),
];

/// A member of the network sends any plaintext (the first byte is its kind); anyone else sends any datagram.
pub fn datagram(input: &[u8]) {
    if let Some((kind, bytes)) = input.split_first()
        && let Some(kind) = Kind::from_number(*kind)
        && let Some(message) = Message::decode(kind, bytes)
    {
        assert_eq!(Message::decode(kind, &message.encode()), Some(message), "what is read is written the same");
    }
    let opened = Sealer::new(NetworkKey::new([1; 32]), NodeId([2; 32]), 1).open(input);
    assert!(opened.is_err(), "nobody without the key can make a datagram");
}

/// The same for announcements on a LAN.
pub fn announcement(input: &[u8]) {
    if let Some(announcement) = Announcement::decode(input) {
        assert_eq!(
            Announcement::decode(&announcement.encode()),
            Some(announcement),
            "what is read is written the same"
        );
    }
    let opened = Announcer::new(&NetworkKey::new([1; 32])).open(input);
    assert!(opened.is_none(), "nobody without the key can make an announcement");
}

/// Items come from anyone who knows the network key, and from the disk. The first byte says how many holds travel
/// beside.
pub fn record(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else { return };
    let (holds, bytes) = rest.split_at(rest.len().min(2 * usize::from(*count)));
    let holds = holds.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect::<Vec<_>>();
    let Ok(item) = Item::parse(bytes) else { return };
    assert_eq!(item.bytes(), bytes, "one encoding per item");
    let now = Time::from_secs(10);
    let mut lsdb = Lsdb::new();
    lsdb.insert(item, Duration::from_secs(1), &holds, now);
    let standing = Standing { admitted: lsdb.abouts().map(|(id, _)| id).collect(), ..Standing::default() };
    let pending = lsdb.advance(now);
    assert!(pending.acts.iter().all(|at| *at <= now + Duration::from_secs(2)), "no hold is longer than two seconds");
    let graph = Graph::at(&lsdb, &standing, &[lsdb.acted(), now + Duration::from_secs(3)]);
    assert!(graph.iter().all(|graph| graph.edges().count() == 0), "one node alone makes no edge");
}

/// A person writes anything into the network file.
pub fn network_file(input: &[u8]) {
    let _ = wgnet::config::parse_network(input, "net.yaml");
}

/// A program sends anything to the userspace API socket.
pub fn userspace_api(input: &[u8]) {
    let _ = wgnet::tunnel::userspace::uapi::parse::parse(input);
}
