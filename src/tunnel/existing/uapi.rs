//! The client's side of the userspace API (the cross-platform interface of wireguard.com): another program's device behind
//! a unix socket, one request a connection.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::mesh::ids::WgPublicKey;
use crate::tunnel::device::{Action, Device, DeviceState, PeerChange, PeerState, Preshared};

/// A program that does not answer for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer that is read: 100,000 peers of a few prefixes.
const LONGEST: u64 = 64 << 20;

/// How an answer ends when all is well; otherwise it tells an errno.
const OK: &str = "errno=0";

/// A device of wireguard-go, boringtun, gotatun or another program.
pub(super) struct UserspaceDevice {
    socket: PathBuf,
    /// boringtun tells its public key and knows no change of a peer that exists: it ends itself. Such peers are removed and
    /// made anew.
    replaces: bool,
}

impl UserspaceDevice {
    /// The device behind the socket `<directory>/<interface>.sock`, if there is one.
    pub(super) fn find(directory: &Path, interface: &str) -> Option<Self> {
        let socket = directory.join(format!("{interface}.sock"));
        socket.exists().then_some(Self { socket, replaces: false })
    }

    fn ask(&self, request: &str) -> io::Result<Zeroizing<String>> {
        let mut stream = UnixStream::connect(&self.socket).map_err(|e| match e.kind() {
            // The file outlives a program that was killed.
            io::ErrorKind::ConnectionRefused => io::Error::new(io::ErrorKind::NotFound, e),
            _ => e,
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Zeroizing::new(Vec::new());
        let mut part = Zeroizing::new([0; 4096]);
        // Some programs close after the answer, others wait for more: an empty line ends it.
        while !answer.ends_with(b"\n\n") {
            match stream.read(&mut *part)? {
                0 => break,
                length => answer.extend_from_slice(&part[..length]),
            }
            if answer.len() as u64 > LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer has no end"));
            }
        }
        let text = std::str::from_utf8(&answer).map_err(|_| io::ErrorKind::InvalidData)?;
        let errno = text.lines().rev().find(|line| line.starts_with("errno="));
        match errno {
            Some(OK) => Ok(Zeroizing::new(text.to_owned())),
            Some(other) => {
                let number = other["errno=".len()..].parse::<i32>().unwrap_or(0).saturating_abs();
                Err(io::Error::from_raw_os_error(number))
            }
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the program gave no whole answer")),
        }
    }
}

impl Device for UserspaceDevice {
    fn read(&mut self) -> io::Result<DeviceState> {
        let answer = self.ask("get=1\n\n")?;
        let (state, is_boringtun) = parse(&answer).ok_or(io::ErrorKind::InvalidData)?;
        self.replaces = is_boringtun;
        Ok(state)
    }

    fn change(&mut self, changes: &[PeerChange]) -> io::Result<()> {
        if !self.replaces {
            return self.ask(&request(changes)).map(drop);
        }
        let mut state = self.read()?;
        let whole = changes.iter().flat_map(|change| in_whole_peers(change, &mut state));
        // It takes over from one peer of a request to the next what is not said again: one peer at a time.
        whole.collect::<Vec<_>>().iter().try_for_each(|one| self.ask(&request(std::slice::from_ref(one))).map(drop))
    }

    fn set_own(&mut self, private_key: Option<&[u8; 32]>, port: Option<u16>) -> io::Result<()> {
        let mut text = Zeroizing::new("set=1\n".to_owned());
        if let Some(key) = private_key {
            let _ = writeln!(text, "private_key={}", *hex(key));
        }
        if let Some(port) = port {
            let _ = writeln!(text, "listen_port={port}");
        }
        text.push('\n');
        self.ask(&text).map(drop)
    }
}

/// A change as peers that are removed and made anew: the one that it is about, and those that a prefix moves away from
/// (boringtun goes on to tell it of them). `state` is what there is before, and then after it.
fn in_whole_peers(change: &PeerChange, state: &mut DeviceState) -> Vec<PeerChange> {
    let mut whole = Vec::new();
    let mut make = |key: WgPublicKey, peer: &PeerState| {
        whole.push(PeerChange::new(key, Action::Remove));
        whole.push(PeerChange {
            endpoint: peer.endpoint,
            keepalive: Some(peer.keepalive),
            preshared: peer.preshared.clone(),
            allowed: peer.allowed.iter().copied().collect(),
            ..PeerChange::new(key, Action::Add)
        });
    };
    for (key, peer) in state.peers.iter_mut().filter(|(key, _)| **key != change.key) {
        let before = peer.allowed.len();
        peer.allowed.retain(|prefix| !change.allowed.contains(prefix));
        if peer.allowed.len() < before {
            make(*key, peer);
        }
    }
    if change.action == Action::Remove {
        state.peers.remove(&change.key);
        return vec![change.clone()];
    }
    if change.action == Action::Update && !state.peers.contains_key(&change.key) {
        return whole;
    }
    let peer = state.peers.entry(change.key).or_default();
    peer.endpoint = change.endpoint.or(peer.endpoint);
    peer.keepalive = change.keepalive.unwrap_or(peer.keepalive);
    peer.preshared = change.preshared.clone().or_else(|| peer.preshared.take());
    peer.allowed.extend(&change.allowed);
    make(change.key, peer);
    whole
}

fn request(changes: &[PeerChange]) -> Zeroizing<String> {
    let mut text = Zeroizing::new("set=1\n".to_owned());
    for change in changes {
        let _ = writeln!(text, "public_key={}", *hex(&change.key.0));
        match change.action {
            Action::Remove => {
                text.push_str("remove=true\n");
                continue;
            }
            Action::Update => text.push_str("update_only=true\n"),
            Action::Add => {}
        }
        if let Some(key) = &change.preshared {
            let _ = writeln!(text, "preshared_key={}", *hex(&key.0));
        }
        if let Some(endpoint) = change.endpoint {
            let _ = writeln!(text, "endpoint={endpoint}");
        }
        if let Some(keepalive) = change.keepalive {
            let _ = writeln!(text, "persistent_keepalive_interval={keepalive}");
        }
        for prefix in &change.allowed {
            let _ = writeln!(text, "allowed_ip={prefix}");
        }
    }
    text.push('\n');
    text
}

fn hex(key: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(64));
    for byte in key {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(key)
}

/// Reads an answer to `get=1`; whether it is boringtun's. `None` when it is none. Unknown lines are left out.
fn parse(text: &str) -> Option<(DeviceState, bool)> {
    let mut state = DeviceState::default();
    let mut is_boringtun = false;
    let mut current = None;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=')?;
        match name {
            "private_key" => {
                let secret = StaticSecret::from(*key(value)?);
                state.public_key = Some(WgPublicKey(PublicKey::from(&secret).to_bytes()));
            }
            "own_public_key" => {
                state.public_key = Some(WgPublicKey(*key(value)?));
                is_boringtun = true;
            }
            "listen_port" => state.port = value.parse().ok()?,
            "public_key" => {
                let key = WgPublicKey(*key(value)?);
                state.peers.insert(key, PeerState::default());
                current = Some(key);
            }
            _ => {
                if let Some(peer) = current.as_ref().and_then(|key| state.peers.get_mut(key)) {
                    take(peer, name, value)?;
                }
            }
        }
    }
    Some((state, is_boringtun))
}

fn take(peer: &mut PeerState, name: &str, value: &str) -> Option<()> {
    match name {
        "preshared_key" => {
            let key = key(value)?;
            peer.preshared = (*key != [0; 32]).then_some(Preshared(key));
        }
        "endpoint" => peer.endpoint = Some(value.parse().ok()?),
        "persistent_keepalive_interval" => peer.keepalive = value.parse().ok()?,
        "allowed_ip" => drop(peer.allowed.insert(value.parse().ok()?)),
        "last_handshake_time_sec" => peer.last_handshake += Duration::from_secs(value.parse().ok()?),
        "last_handshake_time_nsec" => peer.last_handshake += Duration::from_nanos(value.parse().ok()?),
        "rx_bytes" => peer.rx_bytes = value.parse().ok()?,
        "tx_bytes" => peer.tx_bytes = value.parse().ok()?,
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33";

    fn one(n: u8, allowed: &[&str]) -> PeerChange {
        let allowed = allowed.iter().map(|prefix| prefix.parse().expect("a prefix")).collect();
        PeerChange { allowed, ..PeerChange::new(WgPublicKey([n; 32]), Action::Update) }
    }

    #[test]
    fn an_answer_is_read_whatever_program_it_is_of() {
        let text = format!(
            "own_public_key={KEY}\nlisten_port=51820\nfwmark=7\npublic_key={KEY}\npreshared_key={KEY}\nendpoint=[2001:db8::1]:7\n\
             persistent_keepalive_interval=25\nallowed_ip=10.1.1.2/32\nallowed_ip=fd00::/8\nlast_handshake_time_sec=9\n\
             last_handshake_time_nsec=5\nrx_bytes=1\ntx_bytes=2\nprotocol_version=1\nerrno=0\n\n"
        );
        let (state, is_boringtun) = parse(&text).expect("an answer");
        assert!(is_boringtun && state.port == 51_820 && state.public_key.is_some());
        let peer = state.peers.values().next().expect("a peer");
        assert_eq!((peer.allowed.len(), peer.keepalive, peer.rx_bytes, peer.tx_bytes), (2, 25, 1, 2));
        assert_eq!((peer.last_handshake, peer.preshared.is_some()), (Duration::new(9, 5), true));
        let private = text.replace("own_public_key", "private_key");
        assert!(!parse(&private).expect("an answer").1);
        for wrong in
            ["public_key=12", "listen_port=x", "no line", &format!("public_key={KEY}\nallowed_ip=10.1.1.300/32")]
        {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn peers_of_boringtun_are_made_anew_with_all_they_have() {
        let mut state = DeviceState::default();
        for n in [1, 2] {
            let allowed = [format!("10.1.1.{n}/32").parse().expect("a prefix")].into();
            state.peers.insert(WgPublicKey([n; 32]), PeerState { keepalive: 5, allowed, ..PeerState::default() });
        }
        let whole = in_whole_peers(&one(1, &["10.1.1.2/32"]), &mut state);
        let told: Vec<_> = whole.iter().map(|change| (change.key.0[0], change.action, change.allowed.len())).collect();
        use Action::{Add, Remove};
        assert_eq!(told, [(2, Remove, 0), (2, Add, 0), (1, Remove, 0), (1, Add, 2)]);
        assert!(whole.iter().filter(|change| change.action == Add).all(|change| change.keepalive == Some(5)));
        assert_eq!(in_whole_peers(&one(9, &[]), &mut state), [], "a peer that is gone is not made by a change");
    }
}
