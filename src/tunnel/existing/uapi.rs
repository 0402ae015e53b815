//! The client's side of the userspace API (the cross-platform interface of wireguard.com): another program's device behind
//! a unix socket, one request a connection.

use std::collections::BTreeSet;
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
        let state = self.read()?;
        let present = |change: &PeerChange| state.peers.get(&change.key).filter(|_| change.action == Action::Update);
        let whole = changes.iter().flat_map(|change| match present(change) {
            Some(peer) => anew(change, peer),
            None => vec![change.clone()],
        });
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

/// A change as a peer that is removed and made anew.
fn anew(change: &PeerChange, peer: &PeerState) -> Vec<PeerChange> {
    let allowed: BTreeSet<_> = peer.allowed.iter().chain(&change.allowed).copied().collect();
    let remove = PeerChange {
        action: Action::Remove,
        endpoint: None,
        keepalive: None,
        preshared: None,
        allowed: Vec::new(),
        ..change.clone()
    };
    let add = PeerChange {
        action: Action::Add,
        endpoint: change.endpoint.or(peer.endpoint),
        keepalive: Some(change.keepalive.unwrap_or(peer.keepalive)),
        preshared: change.preshared.clone().or_else(|| peer.preshared.clone()),
        allowed: allowed.into_iter().collect(),
        ..change.clone()
    };
    vec![remove, add]
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
