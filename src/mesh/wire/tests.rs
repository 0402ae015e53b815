//! What a datagram keeps out.

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::super::config::NetworkKey;
use super::super::ids::NodeId;
use super::super::link::SizeProbe;
use super::super::record::Carried;
use super::*;

fn sealer(key: u8, node: u8) -> Sealer {
    Sealer::new(NetworkKey::new([key; 32]), NodeId([node; 32]), 3)
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

fn join() -> Message {
    let item = Carried { bytes: vec![1; 300], age: 0, holds: vec![] };
    Message::Join(Join { challenge: [1; 16], token: None, digest: 5, item })
}

#[test]
fn what_is_sealed_for_a_node_opens_there_and_nowhere_else() {
    let message = Message::Ack(vec![(1, 2), (u64::MAX, 4)]);
    let bytes = sealer(1, 1).seal(&message, Some((&NodeId([2; 32]), 9)), &mut rng());
    let opened = sealer(1, 2).open(&bytes).expect("it is for this node");
    assert_eq!((opened.header.sender, opened.header.epoch, opened.header.recipient_epoch), (NodeId([1; 32]), 3, 9));
    assert_eq!(Message::decode(opened.header.kind, &opened.plaintext), Some(message));
    assert_eq!(sealer(1, 3).open(&bytes).map(|o| o.header), Err(OpenError::Seal), "another node");
    assert_eq!(sealer(2, 2).open(&bytes).map(|o| o.header), Err(OpenError::Foreign), "another network");
    assert_eq!(sealer(1, 1).open(&bytes).map(|o| o.header), Err(OpenError::Own), "its own sender");
}

#[test]
fn a_join_request_fills_its_datagram_so_that_no_reply_is_longer() {
    let bytes = sealer(1, 1).seal(&join(), None, &mut rng());
    assert_eq!(bytes.len(), MAX_DATAGRAM);
    let opened = sealer(1, 2).open(&bytes).expect("anyone of the network opens it");
    assert_eq!(Message::decode(opened.header.kind, &opened.plaintext), Some(join()));
}

#[test]
fn where_a_gateway_sees_a_node_is_padding_to_versions_that_do_not_know_it() {
    let hello = |seen| Hello {
        seq: 1,
        echo: Some((2, 3)),
        wants_reply: true,
        uplink: true,
        floods: false,
        switched: None,
        digest: 4,
        item: None,
        seen,
    };
    let decoded = |bytes: &[u8]| Message::decode(Kind::Hello, bytes);
    let without = Message::Hello(hello(None)).encode();
    for seen in ["198.51.100.20:50003", "[2001:db8::7]:1"] {
        let message = Message::Hello(hello(Some(seen.parse().expect("an endpoint"))));
        let bytes = message.encode();
        assert!(bytes.starts_with(&without), "what they know is where it was");
        assert_eq!(decoded(&bytes), Some(message));
        // Cut short it is none, and harms nothing else.
        assert_eq!(decoded(&bytes[..bytes.len() - 1]), Some(Message::Hello(hello(None))));
    }
    for padding in [&[][..], &[0], &[0; 40], &[7; 40], &[0xff; 3]] {
        assert_eq!(decoded(&[&without[..], padding].concat()), Some(Message::Hello(hello(None))), "{padding:?}");
    }
}

#[test]
fn a_question_of_size_fills_the_packet_that_it_names_and_nothing_else_is_as_long() {
    for size in [256, 1280, 1420, 9000] {
        let probe = SizeProbe { number: 7, is_answer: false, size, mtu: 1420, found: None };
        let bytes = sealer(1, 1).seal(&Message::Size(probe), Some((&NodeId([2; 32]), 9)), &mut rng());
        assert_eq!(bytes.len() + TUNNEL_HEADERS, usize::from(size));
        let opened = sealer(1, 2).open(&bytes).expect("it is for this node");
        assert_eq!(Message::decode(opened.header.kind, &opened.plaintext), Some(Message::Size(probe)));
    }
    let bytes = sealer(1, 1).seal(&Message::Request(vec![u64::MAX; 200]), Some((&NodeId([2; 32]), 9)), &mut rng());
    assert!(bytes.len() > MAX_DATAGRAM);
    assert_eq!(sealer(1, 2).open(&bytes).map(|o| o.header), Err(OpenError::Foreign));
}

#[test]
fn an_announcement_is_for_members_and_tells_others_nothing() {
    let announcer = |key: u8| Announcer::new(&NetworkKey::new([key; 32]));
    let announcement =
        Announcement { sender: NodeId([1; 32]), epoch: 3, number: 4, wg_port: 51_820, admin_port: 50_501 };
    let mut rng = rng();
    let [one, two] = [0; 2].map(|_| announcer(1).seal(&announcement, &mut rng));
    assert_eq!((one.len(), announcer(1).open(&one)), (ANNOUNCEMENT, Some(announcement)));
    assert_eq!(announcer(2).open(&one), None, "another network");
    let same = one.iter().zip(&two).filter(|(a, b)| a == b).count();
    assert!(same < 30, "{same} bytes of two are the same, of 1200 random ones about 5 would be");
    for at in [0, 23, 24, 100, ANNOUNCEMENT - 1] {
        let mut damaged = one.clone();
        damaged[at] ^= 1;
        assert_eq!(announcer(1).open(&damaged), None, "byte {at}");
    }
    assert_eq!(announcer(1).open(&one[..ANNOUNCEMENT - 1]), None);
    // A later version may say more.
    let longer = [&announcement.encode()[..], &[7; 9]].concat();
    assert_eq!(Announcement::decode(&longer), Some(announcement));
}

#[test]
fn nonces_do_not_repeat() {
    let mut sealer = sealer(1, 1);
    let mut rng = rng();
    let mut nonces = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let bytes = sealer.seal(&Message::Request(vec![]), Some((&NodeId([2; 32]), 0)), &mut rng);
        assert!(nonces.insert(bytes[62..86].to_vec()));
    }
}

#[test]
fn a_statement_is_its_authors_for_one_addressee_and_start() {
    use super::super::ids::NetworkId;
    use super::super::record::{Signer, Strict, Verifier};
    let verifier = |network: u8| Verifier::new(NetworkId([network; 16]), std::sync::Arc::new(Strict));
    let network = NetworkId([1; 16]);
    let signer = Signer::new(&[5; 32], network);
    let statement = Statement::sign(&signer, NodeId([2; 32]), (1, 2), 3, DirectWord::Propose(4));
    assert!(statement.is_signed(&verifier(1)));
    assert!(!statement.is_signed(&verifier(2)), "another network");
    for forged in [
        Statement { to: NodeId([3; 32]), ..statement.clone() },
        Statement { to_epoch: 7, ..statement.clone() },
        Statement { number: 9, ..statement.clone() },
        Statement { word: DirectWord::End(4), ..statement.clone() },
    ] {
        assert!(!forged.is_signed(&verifier(1)));
    }
}

proptest! {
    #[test]
    fn a_damaged_datagram_never_opens(at in 0_usize..1200, bit in 0_u8..8) {
        let mut bytes = sealer(1, 1).seal(&join(), None, &mut rng());
        bytes[at] ^= 1 << bit;
        prop_assert!(sealer(1, 2).open(&bytes).is_err());
    }

    #[test]
    fn no_plaintext_breaks_a_decoder(kind in 1_u8..12, bytes in prop::collection::vec(any::<u8>(), 0..1300)) {
        if let Some(kind) = Kind::from_number(kind) {
            let _ = Message::decode(kind, &bytes);
        }
        let _ = sealer(1, 2).open(&bytes);
        let _ = super::super::record::Item::parse(&bytes);
    }
}
