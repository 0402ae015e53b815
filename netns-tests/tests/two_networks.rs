//! Two networks on one machine, side by side: they neither disturb nor reach each other.
//!
//! ```text
//!   alice wg0 10.1.1.1 --.            .-- 10.1.1.2 wg0 bob       network one
//!                         [one cable]
//!   alice wg1 10.2.2.1 --'            '-- 10.2.2.2 wg1 bob       network two
//! ```

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::{machine_of_row, network_of_row};
use netns_tests::{Lab, Load, NetworkFile, node};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn two_networks_on_one_host_work_side_by_side() {
    let lab = Lab::new("two networks", Load::Light);
    let segment = lab.bridge("lan");
    let machines = [1, 2].map(|n| machine_of_row(&lab, &segment, n));
    let one = network_of_row(1);
    let mut two = NetworkFile::new("10.2.2.0/24").peer("10.2.2.1", "192.0.2.1");
    two.shared_key = "hyHf3tJ8nzAVPnWVFcXRg8AfSqFRxrWuQU3m1YCBGQk=".to_owned();
    two.peers[0].endpoint = "192.0.2.1:50100".to_owned();
    two.peers[0].admin_port = 55655;
    let names = ["alice", "bob"];
    let first =
        [0, 1].map(|n| lab.node_with_interface(&machines[n], &one, names[n], "wg0", &[&format!("10.1.1.{}", n + 1)]));
    let second =
        [0, 1].map(|n| lab.node_with_interface(&machines[n], &two, names[n], "wg1", &[&format!("10.2.2.{}", n + 1)]));
    second[1].add_args(&["-w", "50102", "-u", "50602"]);
    lab.start_all(first.iter().chain(&second));
    lab.all_pairs_pass(&first, SOON);
    lab.all_pairs_pass(&second, SOON);
    for node in first.iter().chain(&second) {
        let status = node.status().expect("it runs");
        assert_eq!(status.node.interface, node.interface());
        assert_eq!(status.peers.len(), 1, "it knows its own network only: {:?}", status.peers);
    }

    // Without --socket there are two to choose from, and it says which.
    let binary = node::binary().display().to_string();
    let asked = machines[0].namespace().attempt(&binary, &["status"], "");
    assert!(asked.as_ref().is_err_and(|text| text.contains("wg0") && text.contains("wg1")), "{asked:?}");

    let flow = first[0].flow_to(&first[1], Duration::from_millis(20));
    flow.is_clean_for(Duration::from_secs(1), SOON);
    let stopped = Instant::now();
    assert!(second[0].stop().success());
    assert!(second[1].stop().success());
    assert!(!machines[0].interfaces().contains(&"wg1".to_owned()));
    flow.is_clean_for(Duration::from_secs(2), SOON);
    let report = flow.stop();
    assert_eq!(
        report.lost_between(stopped, Instant::now()),
        0,
        "the end of one network is nothing to the other: {report}"
    );
}
