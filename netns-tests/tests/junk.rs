//! Junk, truncated, bit-flipped and replayed datagrams at 50,000 a second leave the mesh working and memory flat.
//!
//! ```text
//!   alice (hub)   bob   charlie   mallory
//!       |          |       |         |        mallory hears everything on the segment and sends to the ports of alice
//!       '----------+-------+---------'        and bob, in her own name and in everyone else's
//! ```

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use netns_tests::datagrams::{Capture, Datagram, Forger};
use netns_tests::topology::{network_of_row, row};
use netns_tests::{Flow, Lab, Load, Random, until};

const SOON: Duration = Duration::from_secs(10);
const PER_SECOND: usize = 50_000;
/// How long the flood lasts.
const FLOOD: Duration = Duration::from_secs(20);
/// Datagrams sent in one go: a millisecond of the flood.
const BURST: usize = 50;

/// One datagram of the flood, made from what was heard.
fn hostile(heard: &[Datagram], targets: &[SocketAddrV4], mallory: Ipv4Addr, dice: &mut Random) -> Datagram {
    let mut datagram = heard[dice.below(heard.len())].clone();
    match dice.below(5) {
        0 => {
            // Plain junk, sometimes with a plausible first byte.
            let length = dice.below(1400);
            datagram.payload = (0..length).map(|_| dice.bits() as u8).collect();
            if let Some(first) = datagram.payload.first_mut().filter(|_| dice.chance(0.5)) {
                *first = 1 + dice.below(4) as u8;
            }
            datagram.to = targets[dice.below(targets.len())];
        }
        1 => datagram.payload.truncate(dice.below(datagram.payload.len() + 1)),
        2 if !datagram.payload.is_empty() => {
            let at = dice.below(datagram.payload.len());
            datagram.payload[at] ^= 1 << dice.below(8);
        }
        // A replay to where it went, or to somebody else.
        3 => {}
        _ => datagram.to = targets[dice.below(targets.len())],
    }
    if dice.chance(0.5) {
        datagram.from = SocketAddrV4::new(mallory, 1024 + dice.below(60000) as u16);
    }
    datagram
}

#[test]
fn fifty_thousand_hostile_datagrams_a_second_leave_the_mesh_working_and_memory_flat() {
    let lab = Lab::new("junk", Load::Alone);
    let lan = row(&lab, lab.bridge("lan"), 3, &network_of_row(1));
    let mallory = lab.machine_on(&lan.segment, "mallory", &["192.0.2.66/24"]);
    let capture = Capture::start(lan.segment.hub(), 2000);
    lab.start_all(&lan.nodes);
    lab.all_pairs_pass(&lan.nodes, SOON);
    let [alice, bob, charlie] = &lan.nodes[..] else { unreachable!("three nodes") };
    let flows =
        [(bob, alice), (charlie, alice), (bob, charlie)].map(|(from, to)| from.flow_to(to, Duration::from_millis(10)));
    Flow::all_clean_for(&flows, Duration::from_secs(2), SOON);
    let heard = until(SOON, || Some(capture.seen()).filter(|seen| seen.len() >= 500)).expect("traffic is heard");
    drop(capture);
    let targets = ["192.0.2.1:50000", "192.0.2.1:55555", "192.0.2.2:50002", "192.0.2.2:50502"];
    let targets = targets.map(|text| text.parse::<SocketAddrV4>().expect("an endpoint"));
    for target in &targets[..2] {
        assert!(heard.iter().any(|datagram| datagram.to == *target), "nothing to {target} was heard");
    }

    let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let flood = mallory.namespace().spawn("flood", {
        let (stop, sent, forger) = (Arc::clone(&stop), Arc::clone(&sent), Forger::new(&mallory));
        move || {
            let mut dice = Random::new(1);
            // Made beforehand, so that making them does not take the daemons' time.
            let hostile = (0..20_000)
                .map(|_| hostile(&heard, &targets, Ipv4Addr::new(192, 0, 2, 66), &mut dice))
                .collect::<Vec<_>>();
            let start = Instant::now();
            for burst in hostile.chunks(BURST).cycle() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                burst.iter().for_each(|datagram| forger.send(datagram));
                let total = sent.fetch_add(burst.len(), Ordering::Relaxed) + burst.len();
                let due = Duration::from_secs_f64(total as f64 / PER_SECOND as f64);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
        }
    });
    until(SOON, || (sent.load(Ordering::Relaxed) >= 3 * PER_SECOND).then_some(())).expect("the flood is on");
    let flooded = Instant::now();
    let resident = || [alice, bob, charlie].map(|node| node.with_process(|process| process.resident_bytes()));
    let before = resident();
    until(FLOOD + SOON, || (flooded.elapsed() >= FLOOD).then_some(()));
    let during = lab.all_pairs_pass(&lan.nodes, SOON);
    let (after, end) = (resident(), Instant::now());
    let rate = sent.load(Ordering::Relaxed) as f64 / (flooded.elapsed() + Duration::from_secs(3)).as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    flood.join().expect("the flood ends in order");

    assert!(rate > 0.8 * PER_SECOND as f64, "this machine sends only {rate:.0} datagrams a second");
    assert!(during < Duration::from_secs(2), "{during:?}");
    for (node, (before, after)) in lan.nodes.iter().zip(before.iter().zip(&after)) {
        let grown = after.saturating_sub(*before);
        assert!(grown < 1 << 20, "{} grew by {grown} bytes from {before}", node.name());
        assert!(*after < 32 << 20, "{} takes {after} bytes", node.name());
    }
    for flow in flows {
        let report = flow.stop();
        let lost = report.lost_between(flooded, end);
        let share = lost as f64 / report.sent() as f64;
        assert!(share < 0.02, "{lost} lost in the flood: {report}");
    }
    for node in &lan.nodes {
        let status = node.status().expect("it answers");
        assert_eq!(status.peers.len(), 2, "no peer was made up: {:?}", status.peers);
        let endpoints = status.peers.iter().filter_map(|peer| peer.endpoint.as_deref());
        assert!(
            endpoints.clone().all(|endpoint| !endpoint.contains("192.0.2.66")),
            "{:?}",
            endpoints.collect::<Vec<_>>()
        );
    }
}
