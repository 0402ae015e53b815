//! The kernel's WireGuard by generic netlink: reading a device whole, and changing its peers in messages that fit.
//!
//! Nothing here is ever printed: the messages hold keys.

use std::io;
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_core::{Emitable as _, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, Nla};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlHeader, GenlMessage};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute, WireguardCmd,
    WireguardMessage, WireguardPeerAttribute, WireguardPeerFlags,
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
        for message in messages(&self.interface, changes) {
            self.netlink.tell::<GenlMessage<WireguardMessage>>(self.family, &message.0).map_err(gone)?;
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

/// A message of generic netlink without netlink's header, written attribute by attribute: the crate's own encoder works
/// the lengths out anew at each of five levels, which takes most of the time of a large change.
struct Written(Zeroizing<Vec<u8>>);

/// Marks an attribute that holds others (`NLA_F_NESTED` of linux/netlink.h).
const NESTED: u16 = 1 << 15;

impl Written {
    /// One that sets `interface`.
    fn new(interface: &str) -> Self {
        // The longest that `messages` makes, so that no keys are left behind by growing.
        let mut this = Self(Zeroizing::new(Vec::with_capacity(2 * MESSAGE)));
        let mut header = [0; 4];
        GenlHeader { cmd: WireguardCmd::SetDevice.into(), version: 1 }.emit(&mut header);
        this.0.extend(header);
        this.put(&WireguardAttribute::IfName(interface.to_owned()));
        this
    }

    fn put(&mut self, attribute: &impl Nla) {
        let at = self.0.len();
        self.0.resize(at + attribute.buffer_len(), 0);
        attribute.emit(&mut self.0[at..]);
    }

    fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) {
        let at = self.0.len();
        self.0.extend([[0; 2], (kind | NESTED).to_ne_bytes()].as_flattened());
        inside(self);
        let length = u16::try_from(self.0.len() - at).expect("messages are split before they are so long");
        self.0[at..at + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn put_prefixes(&mut self, prefixes: &[IpNet]) {
        if prefixes.is_empty() {
            return;
        }
        self.nest(WireguardPeerAttribute::AllowedIps(Vec::new()).kind(), |this| {
            for prefix in prefixes {
                let family = match prefix {
                    IpNet::V4(_) => WireguardAddressFamily::Ipv4,
                    IpNet::V6(_) => WireguardAddressFamily::Ipv6,
                };
                this.nest(0, |this| {
                    this.put(&WireguardAllowedIpAttr::Family(family));
                    this.put(&WireguardAllowedIpAttr::IpAddr(prefix.addr()));
                    this.put(&WireguardAllowedIpAttr::Cidr(prefix.prefix_len()));
                });
            }
        });
    }

    /// One peer with some of its prefixes, the `first` of them or further ones.
    fn put_peer(&mut self, change: &PeerChange, prefixes: &[IpNet], first: bool) {
        let flags = match change.action {
            Action::Add if first => None,
            Action::Add | Action::Update => Some(WireguardPeerFlags::UpdateOnly),
            Action::Remove => Some(WireguardPeerFlags::RemoveMe),
        };
        self.nest(0, |this| {
            this.put(&WireguardPeerAttribute::PublicKey(change.key.0));
            flags.into_iter().for_each(|flags| this.put(&WireguardPeerAttribute::Flags(flags)));
            if first {
                let preshared = change.preshared.as_ref().map(|key| WireguardPeerAttribute::PresharedKey(*key.0));
                let endpoint = change.endpoint.map(WireguardPeerAttribute::Endpoint);
                let keepalive = change.keepalive.map(WireguardPeerAttribute::PersistentKeepalive);
                [preshared, endpoint, keepalive].into_iter().flatten().for_each(|attribute| this.put(&attribute));
            }
            this.put_prefixes(prefixes);
        });
    }
}

/// Puts the changes into messages that fit, in order.
fn messages(interface: &str, changes: &[PeerChange]) -> Vec<Written> {
    let mut parts: Vec<Vec<(&PeerChange, &[IpNet], bool)>> = Vec::new();
    let mut room = 0;
    for change in changes {
        let mut first = true;
        let mut rest = &change.allowed[..];
        loop {
            if room < PEER + PREFIX {
                parts.push(Vec::new());
                room = MESSAGE;
            }
            let (now, later) = rest.split_at(rest.len().min((room - PEER) / PREFIX));
            room -= PEER + now.len() * PREFIX;
            parts.last_mut().expect("one was just made").push((change, now, first));
            (first, rest) = (false, later);
            if rest.is_empty() {
                break;
            }
        }
    }
    let written = |peers: Vec<(&PeerChange, &[IpNet], bool)>| {
        let mut message = Written::new(interface);
        message.nest(WireguardAttribute::Peers(Vec::new()).kind(), |message| {
            peers.into_iter().for_each(|(change, prefixes, first)| message.put_peer(change, prefixes, first));
        });
        message
    };
    parts.into_iter().map(written).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use netlink_packet_core::{NetlinkDeserializable as _, NetlinkHeader};

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
        for message in messages("wg0", changes) {
            assert!(message.0.len() < 2 * MESSAGE, "{} bytes", message.0.len());
            let message = GenlMessage::<WireguardMessage>::deserialize(&NetlinkHeader::default(), &message.0);
            let message = message.expect("as the crate writes it, it reads it");
            assert_eq!(message.payload.cmd, WireguardCmd::SetDevice);
            assert!(message.payload.attributes.contains(&WireguardAttribute::IfName("wg0".to_owned())));
            take(message.payload.attributes, &mut state);
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
