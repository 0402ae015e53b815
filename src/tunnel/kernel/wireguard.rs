//! The kernel's WireGuard by generic netlink: reading a device whole, and changing its peers in messages that fit.
//!
//! Nothing here is ever printed: the messages hold keys.

use std::io;
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute, WireguardCmd,
    WireguardMessage, WireguardPeer, WireguardPeerAttribute, WireguardPeerFlags,
};
use netlink_sys::protocols::NETLINK_GENERIC;
use nix::libc;
use zeroize::Zeroizing;

use super::netlink::Netlink;
use crate::mesh::ids::WgPublicKey;
use crate::tunnel::device::{Action, Device, DeviceState, PeerChange, Preshared};

/// Bytes of peers in one message: lengths of attributes have 16 bits, and the kernel must allocate it in one piece.
const MESSAGE: usize = 16 << 10;

/// Bytes of one peer without its prefixes, at most, and of one prefix.
const PEER: usize = 160;
const PREFIX: usize = 48;

/// How often a dump is read again that others changed meanwhile.
const READS: usize = 5;

/// The kernel's WireGuard, asked about one interface.
pub(super) struct KernelDevice {
    netlink: Netlink,
    family: u16,
    interface: String,
}

impl KernelDevice {
    /// Asks about that interface, which need not exist yet.
    ///
    /// # Errors
    /// `NotFound` when the kernel has no WireGuard, or the module is not loaded; netlink sockets are not to be had.
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        let mut netlink = Netlink::open(NETLINK_GENERIC)?;
        let request = GenlMessage::from_payload(GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName("wireguard".to_owned())],
        });
        let mut family = None;
        netlink.ask(request, NLM_F_REQUEST | NLM_F_ACK, |answer| {
            family = answer.payload.nlas.iter().find_map(|attribute| match attribute {
                GenlCtrlAttrs::FamilyId(id) => Some(*id),
                _ => None,
            });
        })?;
        let family = family.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { netlink, family, interface: interface.to_owned() })
    }

    fn message(&self, cmd: WireguardCmd, mut attributes: Vec<WireguardAttribute>) -> GenlMessage<WireguardMessage> {
        attributes.insert(0, WireguardAttribute::IfName(self.interface.clone()));
        let mut message = GenlMessage::from_payload(WireguardMessage { cmd, attributes });
        message.set_resolved_family_id(self.family);
        message
    }

    fn tell(&mut self, attributes: Vec<WireguardAttribute>) -> io::Result<()> {
        let message = self.message(WireguardCmd::SetDevice, attributes);
        self.netlink.ask(message, NLM_F_REQUEST | NLM_F_ACK, drop).map_err(gone)
    }
}

/// The kernel says "no such device" of interfaces that are gone or of another kind.
fn gone(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::EOPNOTSUPP) => io::Error::new(io::ErrorKind::NotFound, error),
        _ => error,
    }
}

impl Device for KernelDevice {
    fn read(&mut self) -> io::Result<DeviceState> {
        let mut tries = 0;
        loop {
            let message = self.message(WireguardCmd::GetDevice, Vec::new());
            let mut state = DeviceState::default();
            let read = self.netlink.ask(message, NLM_F_REQUEST | NLM_F_DUMP, |part| {
                take(part.payload.attributes, &mut state);
            });
            match read {
                Err(e) if e.kind() == io::ErrorKind::Interrupted && tries < READS => tries += 1,
                other => return other.map(|()| state).map_err(gone),
            }
        }
    }

    fn change(&mut self, changes: &[PeerChange]) -> io::Result<()> {
        for peers in messages(changes) {
            self.tell(vec![WireguardAttribute::Peers(peers)])?;
        }
        Ok(())
    }

    fn set_own(&mut self, private_key: Option<&[u8; 32]>, port: Option<u16>) -> io::Result<()> {
        let key = private_key.map(|key| WireguardAttribute::PrivateKey(*key));
        let port = port.map(WireguardAttribute::ListenPort);
        self.tell(key.into_iter().chain(port).collect())
    }
}

/// Takes one part of a dump. A peer with many prefixes goes on in the next part.
fn take(attributes: Vec<WireguardAttribute>, state: &mut DeviceState) {
    for attribute in attributes {
        match attribute {
            WireguardAttribute::PublicKey(key) => state.public_key = Some(WgPublicKey(key)),
            WireguardAttribute::ListenPort(port) => state.port = port,
            WireguardAttribute::Peers(peers) => peers.into_iter().for_each(|peer| take_peer(peer.0, state)),
            _ => {}
        }
    }
}

fn take_peer(attributes: Vec<WireguardPeerAttribute>, state: &mut DeviceState) {
    let key = attributes.iter().find_map(|attribute| match attribute {
        WireguardPeerAttribute::PublicKey(key) => Some(WgPublicKey(*key)),
        _ => None,
    });
    let Some(key) = key else { return };
    let peer = state.peers.entry(key).or_default();
    for attribute in attributes {
        match attribute {
            WireguardPeerAttribute::PresharedKey(key) if key != [0; 32] => {
                peer.preshared = Some(Preshared(Zeroizing::new(key)));
            }
            WireguardPeerAttribute::Endpoint(endpoint) => peer.endpoint = Some(endpoint),
            WireguardPeerAttribute::PersistentKeepalive(seconds) => peer.keepalive = seconds,
            WireguardPeerAttribute::LastHandshake(at) => {
                let nanoseconds = u32::try_from(at.nano_seconds).unwrap_or(0).min(999_999_999);
                peer.last_handshake = Duration::new(at.seconds.try_into().unwrap_or(0), nanoseconds);
            }
            WireguardPeerAttribute::RxBytes(bytes) => peer.rx_bytes = bytes,
            WireguardPeerAttribute::TxBytes(bytes) => peer.tx_bytes = bytes,
            WireguardPeerAttribute::AllowedIps(allowed) => peer.allowed.extend(allowed.iter().filter_map(prefix_of)),
            _ => {}
        }
    }
}

fn prefix_of(allowed: &WireguardAllowedIp) -> Option<IpNet> {
    let (mut address, mut length) = (None, None);
    for attribute in &allowed.0 {
        match attribute {
            WireguardAllowedIpAttr::IpAddr(ip) => address = Some(*ip),
            WireguardAllowedIpAttr::Cidr(bits) => length = Some(*bits),
            _ => {}
        }
    }
    IpNet::new(address?, length?).ok()
}

/// Puts the changes into messages that fit, in order.
fn messages(changes: &[PeerChange]) -> Vec<Vec<WireguardPeer>> {
    let mut messages: Vec<Vec<WireguardPeer>> = Vec::new();
    let mut room = 0;
    for change in changes {
        let mut first = true;
        let mut rest = &change.allowed[..];
        loop {
            if room < PEER + PREFIX {
                messages.push(Vec::new());
                room = MESSAGE;
            }
            let (now, later) = rest.split_at(rest.len().min((room - PEER) / PREFIX));
            room -= PEER + now.len() * PREFIX;
            let peer = if first { peer_of(change, now) } else { continued(change, now) };
            messages.last_mut().expect("one was just made").push(peer);
            (first, rest) = (false, later);
            if rest.is_empty() {
                break;
            }
        }
    }
    messages
}

fn peer_of(change: &PeerChange, allowed: &[IpNet]) -> WireguardPeer {
    let flags = match change.action {
        Action::Add => None,
        Action::Update => Some(WireguardPeerFlags::UpdateOnly),
        Action::Remove => Some(WireguardPeerFlags::RemoveMe),
    };
    let mut peer = vec![WireguardPeerAttribute::PublicKey(change.key.0)];
    peer.extend(flags.map(WireguardPeerAttribute::Flags));
    peer.extend(change.preshared.as_ref().map(|key| WireguardPeerAttribute::PresharedKey(*key.0)));
    peer.extend(change.endpoint.map(WireguardPeerAttribute::Endpoint));
    peer.extend(change.keepalive.map(WireguardPeerAttribute::PersistentKeepalive));
    peer.extend(prefixes(allowed));
    WireguardPeer(peer)
}

/// The rest of a peer whose prefixes did not fit into one message.
fn continued(change: &PeerChange, allowed: &[IpNet]) -> WireguardPeer {
    let mut peer = vec![
        WireguardPeerAttribute::PublicKey(change.key.0),
        WireguardPeerAttribute::Flags(WireguardPeerFlags::UpdateOnly),
    ];
    peer.extend(prefixes(allowed));
    WireguardPeer(peer)
}

fn prefixes(allowed: &[IpNet]) -> Option<WireguardPeerAttribute> {
    let family = |prefix: &IpNet| match prefix {
        IpNet::V4(_) => WireguardAddressFamily::Ipv4,
        IpNet::V6(_) => WireguardAddressFamily::Ipv6,
    };
    let one = |prefix: &IpNet| {
        WireguardAllowedIp(vec![
            WireguardAllowedIpAttr::Family(family(prefix)),
            WireguardAllowedIpAttr::IpAddr(prefix.addr()),
            WireguardAllowedIpAttr::Cidr(prefix.prefix_len()),
        ])
    };
    (!allowed.is_empty()).then(|| WireguardPeerAttribute::AllowedIps(allowed.iter().map(one).collect()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use netlink_packet_core::NetlinkMessage;

    use super::*;

    fn change(key: u8, prefixes: std::ops::Range<u32>) -> PeerChange {
        PeerChange {
            key: WgPublicKey([key; 32]),
            action: Action::Add,
            endpoint: Some("192.0.2.1:51820".parse().expect("an address")),
            keepalive: Some(25),
            preshared: None,
            allowed: prefixes.map(|n| IpNet::new(Ipv4Addr::from(n).into(), 32).expect("a prefix")).collect(),
        }
    }

    /// What a device has after these changes, if it keeps to what the messages say.
    fn carried_out(changes: &[PeerChange]) -> DeviceState {
        let mut state = DeviceState::default();
        for peers in messages(changes) {
            let message =
                WireguardMessage { cmd: WireguardCmd::SetDevice, attributes: vec![WireguardAttribute::Peers(peers)] };
            let message = NetlinkMessage::from(GenlMessage::from_payload(message.clone()));
            assert!(message.buffer_len() < 2 * MESSAGE, "{} bytes", message.buffer_len());
            let netlink_packet_core::NetlinkPayload::InnerMessage(inner) = message.payload else { unreachable!() };
            take(inner.payload.attributes, &mut state);
        }
        state
    }

    #[test]
    fn changes_are_split_into_messages_that_fit_and_nothing_is_lost() {
        let state = carried_out(&[change(1, 0..0), change(2, 0..3_000), change(3, 3_000..3_010)]);
        let counts: Vec<usize> = state.peers.values().map(|peer| peer.allowed.len()).collect();
        assert_eq!(counts, [0, 3_000, 10]);
        assert!(state.peers.values().all(|peer| peer.keepalive == 25 && peer.endpoint.is_some()));
        for count in 0..700 {
            assert_eq!(carried_out(&[change(1, 0..count)]).peers[&WgPublicKey([1; 32])].allowed.len(), count as usize);
        }
    }
}
