//! Real bytes for each decoder, where fuzzing starts. They are made by the encoders, so they are always current; the
//! files in `fuzz/corpus` are copies of them (`cargo run -p netns-tests --bin corpus` writes them).

use etherparse::PacketBuilder;
use wgnet::mesh::config::Class;
use wgnet::mesh::ids::{NetworkId, WgPublicKey};
use wgnet::mesh::link::{Passing, SizeProbe};
use wgnet::mesh::record::{
    About, Body, Carried, Forget, Item, LinkAdvert, NodeRecord, Quality, ShortId, Signer, Version, Was,
};
use wgnet::mesh::wire::{Announcement, DirectWord, DrillWord, Echo, Hello, Join, Message, Statement};
use wgnet::tunnel::userspace::offload::segment::Segments;
use wgnet::tunnel::userspace::offload::{self, VnetHeader};

/// Decoder, file name, bytes.
pub fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (alice, bob) = (Signer::new(&[5; 32], NetworkId([1; 16])), Signer::new(&[6; 32], NetworkId([1; 16])));
    let node = alice.item(Body::Node(record(&bob)));
    let forget = alice.item(Body::Forget(Forget { identity: bob.id(), epoch: 9 }));
    let mut samples = vec![
        ("record", "node", record_input(&[2_000], &node)),
        ("record", "forget", record_input(&[], &forget)),
        ("network_file", "sample", include_bytes!("../../../examples/net.yaml").to_vec()),
        ("userspace_api", "get", b"get=1\n\n".to_vec()),
        ("userspace_api", "set", SET.as_bytes().to_vec()),
    ];
    let carried = Carried { bytes: node.bytes(), age: 3, holds: vec![2_000] };
    let hello = Hello {
        seq: 1,
        echo: Some((1, 2)),
        wants_reply: true,
        uplink: true,
        floods: false,
        switched: None,
        digest: 4,
        item: Some(carried.clone()),
        seen: Some(([198, 51, 100, 20], 50_000).into()),
    };
    let join = Join { challenge: [1; 16], token: None, digest: 5, item: carried.clone() };
    let found = Some(Passing { passes: 1_360, lost: Some(1_376) });
    let size = SizeProbe { number: 6, is_answer: true, size: 1_360, mtu: 1_420, found };
    let word = DirectWord::Drill(DrillWord::Withdraw { millis: 30_000, force: false });
    let statement = Statement::sign(&alice, bob.id(), (1, 2), 3, word);
    let messages = [
        ("hello", Message::Hello(hello)),
        ("join", Message::Join(join)),
        ("items", Message::Items(vec![carried])),
        ("ack", Message::Ack(vec![(1, 2), (u64::MAX, 4)])),
        ("request", Message::Request(vec![1, 2])),
        ("summary", Message::Summary(Some(3), vec![(1, 2)])),
        ("buckets", Message::Buckets(vec![1; 256])),
        ("size", Message::Size(size)),
        ("echo", Message::Echo(Echo { number: 7, is_answer: false })),
        ("direct", Message::Direct(statement)),
    ];
    for (name, message) in messages {
        samples.push(("datagram", name, [&[message.kind() as u8][..], &message.encode()].concat()));
    }
    let (sender, epoch) = (alice.id(), 7);
    let announcement = Announcement { sender, epoch, number: 300, wg_port: 50_001, admin_port: 50_501 };
    samples.push(("announcement", "announcement", announcement.encode()));
    for (name, header, packet) in superpackets() {
        samples.push(("segmentation", name, [&header.bytes()[..], &packet].concat()));
        samples.push(("coalescing", name, split(&header, packet)));
    }
    samples
}

/// What a TUN gives: three packets of each kind in one, and one whose checksum is not finished.
fn superpackets() -> [(&'static str, VnetHeader, Vec<u8>); 5] {
    let payload = [7; 250];
    let v4 = || PacketBuilder::ipv4([10, 1, 1, 1], [10, 1, 1, 2], 64);
    let v6 = || PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64);
    let mut packets: [Vec<u8>; 4] = Default::default();
    v4().tcp(1, 2, u32::MAX, 4).ack(5).psh().write(&mut packets[0], &payload).expect("written to memory");
    v6().tcp(1, 2, u32::MAX, 4).ack(5).psh().write(&mut packets[1], &payload).expect("written to memory");
    v4().udp(1, 2).write(&mut packets[2], &payload).expect("written to memory");
    v6().udp(1, 2).write(&mut packets[3], &payload).expect("written to memory");
    let [tcp4, tcp6, udp4, udp6] = packets;
    let header = |gso_type, checksum_start, checksum_offset| VnetHeader {
        flags: offload::NEEDS_CSUM,
        gso_type,
        header_length: 0,
        gso_size: 100,
        checksum_start,
        checksum_offset,
    };
    [
        ("one", header(offload::GSO_NONE, 20, 16), tcp4.clone()),
        ("tcp_over_ipv4", header(offload::GSO_TCPV4, 20, 16), tcp4),
        ("tcp_over_ipv6", header(offload::GSO_TCPV6 | offload::GSO_ECN, 40, 16), tcp6),
        ("udp_over_ipv4", header(offload::GSO_UDP_L4, 20, 6), udp4),
        ("udp_over_ipv6", header(offload::GSO_UDP_L4, 40, 6), udp6),
    ]
}

/// The packets in it, with the length of each before it.
fn split(header: &VnetHeader, mut packet: Vec<u8>) -> Vec<u8> {
    let mut segments = Segments::new(header, &mut packet).expect("what a TUN gives");
    let mut packets = Vec::new();
    while let Some(range) = segments.next(&mut packet) {
        packets.extend(u16::try_from(range.len()).unwrap_or(0).to_le_bytes());
        packets.extend(&packet[range]);
    }
    packets
}

fn record_input(holds: &[u16], item: &Item) -> Vec<u8> {
    let count = u8::try_from(holds.len()).unwrap_or(u8::MAX);
    let holds = holds.iter().flat_map(|hold| hold.to_le_bytes()).collect::<Vec<u8>>();
    [&[count][..], &holds, &item.bytes()].concat()
}

fn record(other: &Signer) -> NodeRecord {
    let about = About {
        name: "alice".parse().expect("a name"),
        addresses: vec!["10.1.1.1".parse().expect("an address"), "fd00::1".parse().expect("an address")],
        wg_key: WgPublicKey([3; 32]),
        wg_port: 50_000,
        admin_port: 50_500,
        gateway: true,
        class: Class::Roaming,
        left: false,
        algorithm: 1,
        file: 7,
        grants: vec![1, 2],
        grants_any: false,
        endpoints: ["192.0.2.1:50000", "[2001:db8::1]:5"].map(|text| text.parse().expect("an endpoint")).to_vec(),
    };
    let quality = Quality { rtt_us: 1_234, loss_percent: 5, mtu: None };
    let link = LinkAdvert { to: ShortId::from(&other.id()), cost: 50, was: Was::Absent, quality };
    NodeRecord { fragment: 0, version: Version { epoch: 1, seq: 2 }, about: Some(about), links: vec![link] }
}

/// From the description of the cross-platform userspace interface, shortened.
const SET: &str = "set=1
private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a
listen_port=12912
replace_peers=true
public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33
preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52
replace_allowed_ips=true
allowed_ip=192.168.4.4/32
endpoint=[abcd:23::33]:51820
persistent_keepalive_interval=111
update_only=true

";
