//! The wg_netmanager README's four boxes; the drawing is at [`netns_tests::topology::FourBoxes`].

#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use netns_tests::topology::FourBoxes;
use netns_tests::{Lab, Load, Node, allowed, node};
use wgnet_api::{PathKind, Status, Why};

const SOON: Duration = Duration::from_secs(10);

fn goes(status: &Status, to: &Node, path: PathKind, via: Option<&str>) -> bool {
    let address = to.address().to_string();
    status.peers.iter().any(|peer| peer.address == address && peer.path == path && peer.via.as_deref() == via)
}

/// Whether the tunnel of `status` for `to` leads to this underlay address.
fn leads(status: &Status, to: &Node, endpoint: &str) -> bool {
    let address = to.address().to_string();
    let peer = status.peers.iter().find(|peer| peer.address == address);
    peer.and_then(|peer| peer.endpoint.as_deref()).is_some_and(|text| text.starts_with(&format!("{endpoint}:")))
}

#[test]
fn all_pings_pass_at_once_then_the_two_at_home_go_direct_and_then_every_pair() {
    let lab = Lab::new("four boxes", Load::Light);
    let boxes = FourBoxes::new(&lab);
    let FourBoxes { alpha, beta, charlie, delta, .. } = &boxes;
    // As some distributions have it: a packet must come in where an answer would go out.
    for node in boxes.nodes() {
        node.machine().command("sh", &["-c", "echo 1 | tee /proc/sys/net/ipv4/conf/*/rp_filter"]);
    }
    let pairs = lab.watch_pairs(boxes.nodes());
    let last = lab.start_all(boxes.nodes());
    let took = pairs.finish(SOON).complete_after(last);
    // Five times the figure that the benchmark measures.
    assert!(took < allowed(Duration::from_secs(5)), "{took:?}");
    for leaf in [alpha, charlie, delta] {
        leaf.wait_for("beta is direct", SOON, |status| goes(status, beta, PathKind::Direct, None));
        beta.wait_for("every leaf is direct", SOON, |status| goes(status, leaf, PathKind::Direct, None));
    }
    for (from, to, endpoint) in [(charlie, delta, "192.168.1.4"), (delta, charlie, "192.168.1.3")] {
        from.wait_for("the two at home use the home network", Duration::from_secs(5), |status| {
            goes(status, to, PathKind::Direct, None) && leads(status, to, endpoint)
        });
    }
    // Beta tells the two at home where it sees them, and alpha's firewall lets in what answers.
    for home in [charlie, delta] {
        alpha.wait_for("the two at home are direct", Duration::from_secs(15), |status| {
            goes(status, home, PathKind::Direct, None) && leads(status, home, "198.51.100.20")
        });
        home.wait_for("alpha is direct", Duration::from_secs(15), |status| {
            goes(status, alpha, PathKind::Direct, None) && leads(status, alpha, "198.51.100.1")
        });
        let seen = home.status().expect("it runs").node.outside;
        assert!(seen.iter().all(|endpoint| endpoint.starts_with("198.51.100.20:")) && !seen.is_empty(), "{seen:?}");
    }
    // No gateway is left on any way between leaves.
    boxes.beta.kill();
    lab.all_pairs_pass([alpha, charlie, delta], SOON);
}

#[test]
fn why_names_the_path_who_reads_the_traffic_and_the_reason_for_a_missing_one() {
    let lab = Lab::new("four boxes why", Load::Light);
    let boxes = FourBoxes::through_beta(&lab);
    lab.start_all(boxes.nodes());
    lab.all_pairs_pass(boxes.nodes(), SOON);
    let FourBoxes { alpha, beta, delta, .. } = &boxes;
    alpha.wait_for("delta is behind beta", SOON, |status| goes(status, delta, PathKind::Gateway, Some("beta")));
    let binary = node::binary().display().to_string();
    let why = |at: &Node, args: &[&str]| {
        let socket = at.socket();
        let args = [&["why", "--json", "--socket", &socket][..], args].concat();
        // Without a path the exit code is 1, and the explanation is printed all the same.
        at.machine().namespace().attempt(&binary, &args, "")
    };
    let from_alpha: Why = serde_json::from_str(&why(alpha, &["delta"]).expect("there is a path")).expect("JSON");
    let hops = from_alpha.hops.iter().map(|hop| (hop.from.as_str(), hop.to.as_str())).collect::<Vec<_>>();
    assert_eq!(hops, [("alpha", "beta"), ("beta", "delta")]);
    assert_eq!(from_alpha.readers, ["beta"]);
    assert!(from_alpha.hops.iter().all(|hop| hop.cost.is_some() && hop.rtt_ms.is_some()), "{from_alpha:?}");
    // By address, and asked of a third node: the same path.
    let from_beta = why(beta, &["10.1.1.1", "10.1.1.4"]).expect("there is a path");
    let from_beta: Why = serde_json::from_str(&from_beta).expect("JSON");
    assert_eq!((from_beta.hops.len(), from_beta.cost, &from_beta.readers), (2, from_alpha.cost, &from_alpha.readers));
    let unknown = why(alpha, &["nobody"]).expect_err("there is no such node");
    assert!(unknown.contains("no node named"), "{unknown}");
    boxes.delta.stop();
    alpha.wait_for("delta is gone", SOON, |status| !goes(status, delta, PathKind::Gateway, Some("beta")));
    let missing = why(alpha, &["delta"]).expect_err("there is no path");
    assert!(missing.contains("left the mesh"), "{missing}");
}

#[test]
fn traffic_between_leaves_passes_the_gateway_without_loss() {
    let lab = Lab::new("four boxes traffic", Load::Light);
    let boxes = FourBoxes::through_beta(&lab);
    lab.start_all(boxes.nodes());
    lab.all_pairs_pass(boxes.nodes(), SOON);
    let flows = [(&boxes.alpha, &boxes.delta), (&boxes.charlie, &boxes.alpha)]
        .map(|(from, to)| from.flow_to(to, Duration::from_millis(10)));
    flows[0].is_clean_for(Duration::from_secs(3), Duration::from_secs(20));
    for flow in flows {
        let report = flow.stop();
        // The first seconds may see a path change.
        assert!(report.lost() <= report.sent() / 50, "{report}");
    }
}

#[test]
fn a_ping_through_the_gateway_loses_one_of_its_time_to_live_and_traceroute_sees_it() {
    let lab = Lab::new("four boxes TTL", Load::Light);
    let boxes = FourBoxes::through_beta(&lab);
    lab.start_all(boxes.nodes());
    lab.all_pairs_pass(boxes.nodes(), SOON);
    boxes.alpha.wait_for("charlie is behind beta", SOON, |status| {
        goes(status, &boxes.charlie, PathKind::Gateway, Some("beta"))
    });
    let ping = boxes.alpha.machine().command("ping", &["-c1", "-W1", "10.1.1.3"]);
    assert!(ping.contains("ttl=63"), "{ping}");
    let died = boxes.alpha.machine().namespace().attempt("ping", &["-c1", "-W1", "-t1", "10.1.1.3"], "");
    assert!(
        died.as_ref().is_err_and(|text| text.contains("From 10.1.1.2") && text.contains("Time to live exceeded")),
        "{died:?}"
    );
}

#[test]
fn the_home_router_reboots_and_everything_passes_again() {
    let lab = Lab::new("four boxes reboot", Load::Light);
    let boxes = FourBoxes::new(&lab);
    lab.start_all(boxes.nodes());
    lab.all_pairs_pass(boxes.nodes(), SOON);
    // Masquerading forgets its mappings when the address goes.
    boxes.router.ip("addr del 198.51.100.20/24 dev eth0\naddr add 198.51.100.20/24 dev eth0");
    let rebooted = Instant::now();
    let flow = boxes.alpha.flow_to(&boxes.charlie, Duration::from_millis(100));
    flow.passes_after(rebooted, Duration::from_secs(30));
    lab.all_pairs_pass(boxes.nodes(), Duration::from_secs(30));
}
