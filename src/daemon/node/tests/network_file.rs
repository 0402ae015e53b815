//! The network file is changed while the node runs.

use wgnet_api::{Reload, ReloadRequest};

use super::*;
use crate::daemon::reload::at_start;

async fn ask(ends: &Ends, dry_run: bool, confirm_s: Option<u32>) -> Result<Reload, ReloadRefused> {
    let (reply, answer) = oneshot::channel();
    let request = ReloadRequest { dry_run, confirm_s };
    ends.requests.send(Request::Reload(request, reply)).await.expect("the loop runs");
    timeout(SOON, answer).await.expect("an answer soon").expect("an answer")
}

async fn confirm(ends: &Ends) -> Result<(), ReloadRefused> {
    let (reply, answer) = oneshot::channel();
    ends.requests.send(Request::Confirm(reply)).await.expect("the loop runs");
    timeout(SOON, answer).await.expect("an answer soon").expect("an answer")
}

/// Names of the peers that the node knows.
async fn peers(ends: &Ends) -> Vec<String> {
    status(ends).await.peers.into_iter().map(|peer| peer.name).collect()
}

fn dir(ends: &Ends) -> &Path {
    ends._dir.path()
}

#[tokio::test]
async fn what_differs_acts_and_is_told() {
    let (ends, _running) = start().await;
    assert_eq!(peers(&ends).await, ["10.213.77.2"]);
    let same = ask(&ends, false, None).await.expect("no mistake");
    assert_eq!((same.differences.len(), same.applied), (0, false));
    write(dir(&ends), &listing(&[3, 4]));
    let dry = ask(&ends, true, None).await.expect("no mistake");
    let told = |reload: &Reload| {
        reload.differences.iter().map(|d| format!("{}: {} -> {}", d.what, d.before, d.after)).collect::<Vec<_>>()
    };
    assert!(!dry.applied);
    assert_eq!(peers(&ends).await, ["10.213.77.2"], "a dry run touches nothing");
    let done = ask(&ends, false, None).await.expect("no mistake");
    assert!(done.applied);
    assert_eq!(told(&done), told(&dry));
    assert_eq!(
        told(&done),
        [
            "peers 10.213.77.2: at 127.0.0.1:40002 -> ",
            "peers 10.213.77.3:  -> at 127.0.0.1:40003",
            "peers 10.213.77.4:  -> at 127.0.0.1:40004"
        ]
    );
    assert_eq!(peers(&ends).await, ["10.213.77.3", "10.213.77.4"]);
}

#[tokio::test]
async fn a_mistake_or_a_difference_that_needs_a_restart_changes_nothing() {
    let (ends, _running) = start().await;
    write(dir(&ends), "network: { subnet: 10.213.77.0/24, mtuu: 1400 }\n");
    let wrong = ask(&ends, false, None).await.expect_err("mistakes").to_string();
    assert!(wrong.contains("net.yaml:1:") && wrong.contains("mtuu") && wrong.contains("sharedKey"), "{wrong}");
    write(dir(&ends), &listing(&[2, 3]).replace("subnet:", "mtu: 1400, subnet:"));
    let held = ask(&ends, false, None).await.expect("no mistake");
    assert!(!held.applied);
    let restart: Vec<_> = held.differences.iter().filter(|d| d.needs_restart).map(|d| d.what.as_str()).collect();
    assert_eq!(restart, ["network.mtu"]);
    assert_eq!(peers(&ends).await, ["10.213.77.2"], "nothing is half applied");
}

#[tokio::test]
async fn another_shared_key_is_told_without_showing_either() {
    let (ends, _running) = start().await;
    let other = "O2C5H1RWc66N7QJJyPC3WN1gQNbrMgea1EUo96U1BAg=";
    write(dir(&ends), &listing(&[2]).replace("03qfoT9vOyM8412+EUkW8l/J4ISWrCmS/h0rm06Y51M=", other));
    let held = ask(&ends, false, None).await.expect("no mistake");
    let json = serde_json::to_string(&held).expect("plain data");
    assert!(!held.applied && json.contains("network.sharedKey"), "{json}");
    assert!(!json.contains("O2C5") && !json.contains("03qf"), "{json}");
}

#[tokio::test]
async fn a_hangup_reads_the_file_again() {
    let (ends, _running) = start().await;
    write(dir(&ends), &listing(&[3]));
    ends.signals.send(Signal::Reload).await.expect("the loop runs");
    let changed = async {
        while peers(&ends).await != ["10.213.77.3"] {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, changed).await.expect("soon");
}

#[tokio::test]
async fn what_is_confirmed_stays_also_after_a_restart() {
    let (ends, running) = start().await;
    assert_eq!(confirm(&ends).await, Err(ReloadRefused::NothingToConfirm));
    write(dir(&ends), &listing(&[3]));
    let done = ask(&ends, false, Some(600)).await.expect("no mistake");
    assert_eq!((done.applied, done.confirm_within_s), (true, Some(600)));
    write(dir(&ends), &listing(&[4]));
    assert_eq!(ask(&ends, false, None).await, Err(ReloadRefused::Awaiting), "one thing at a time");
    write(dir(&ends), &listing(&[3]));
    confirm(&ends).await.expect("confirmed");
    ends.signals.send(Signal::Stop).await.expect("the loop runs");
    outcome(running).await.expect("a clean end");
    let store = Store::open(dir(&ends), "wg0").expect("the lock is free");
    let on_disk = crate::config::load(&given(dir(&ends), 50_501)).expect("no mistakes").0;
    let found = at_start(on_disk, &store, Duration::from_secs(1 << 40)).expect("readable");
    assert!(!found.rolled_back && found.unconfirmed.is_none());
    assert_eq!(found.config.mesh.static_peers[0].addresses[0].to_string(), "10.213.77.3");
}

#[tokio::test]
async fn what_nobody_confirms_is_taken_back_and_the_file_stays_rejected() {
    let (ends, running) = start().await;
    write(dir(&ends), &listing(&[3]));
    ask(&ends, false, Some(1)).await.expect("no mistake");
    let back = async {
        while peers(&ends).await != ["10.213.77.2"] {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, back).await.expect("after a second");
    let line = |status: &wgnet_api::Status| status.health.iter().any(|line| line.code == "rolled-back");
    assert!(line(&status(&ends).await), "people are told");
    ask(&ends, false, None).await.expect("asked for once more, it is taken");
    assert_eq!(peers(&ends).await, ["10.213.77.3"]);
    assert!(!line(&status(&ends).await));
    assert!(!running.is_finished());
}

#[test]
fn a_daemon_killed_before_the_confirmation_comes_back_to_what_was_before() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    let before = config(path, 50_501);
    let store = Store::open(path, "wg0").expect("open");
    write(path, &listing(&[3]));
    let on_disk = || crate::config::load(&given(path, 50_501)).expect("no mistakes").0;
    let kept = crate::daemon::store::Kept {
        previous: before.network_text,
        file: crate::daemon::store::Kept::hash(&on_disk().network_text),
        until: Some(Duration::from_secs(1_000)),
    };
    store.keep_network(Some(&kept)).expect("durable");
    let first = |config: &Config| config.mesh.static_peers[0].addresses[0].to_string();
    let start = |wall: u64| at_start(on_disk(), &store, Duration::from_secs(wall)).expect("readable");

    let in_time = start(940);
    assert_eq!(first(&in_time.config), "10.213.77.3");
    let unconfirmed = in_time.unconfirmed.expect("still to be confirmed");
    assert_eq!((unconfirmed.left, first(&unconfirmed.previous).as_str()), (Duration::from_secs(60), "10.213.77.2"));

    let late = start(1_001);
    assert!(late.rolled_back && late.unconfirmed.is_none());
    assert_eq!(first(&late.config), "10.213.77.2");
    // The clock went back a day: rejected is rejected.
    assert!(start(5).rolled_back);

    write(path, &listing(&[4]));
    let changed = start(1_002);
    assert_eq!(
        (first(&changed.config).as_str(), changed.rolled_back),
        ("10.213.77.4", false),
        "someone mended the file"
    );
    write(path, &listing(&[3]));
    assert!(!start(1_003).rolled_back, "and that ends the matter");
}
