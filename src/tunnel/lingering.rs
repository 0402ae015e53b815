//! What loses its way stays where it is for a while, in every kind of tunnel.
//!
//! While a neighbour's daemon starts again its links are down and come up one by one, but its device goes on, or will in a
//! moment, and its sessions stand: packets pass if nobody takes their prefixes away meanwhile. A prefix that is wanted
//! elsewhere moves at once, and so does everything leave a peer that shall go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV6;
use std::time::Duration;

use ipnet::IpNet;

use super::device::Times;
use super::{Tunnel, TunnelError};
use crate::mesh::ids::WgPublicKey;
use crate::mesh::io::{DesiredTunnel, TunnelReport};

/// So long a prefix that the mesh wants nowhere stays where it is: a start, and the links that come up after it.
pub(super) const LINGER: Duration = Duration::from_secs(20);

/// A tunnel in which prefixes linger.
pub struct Lingering {
    tunnel: Box<dyn Tunnel>,
    prefixes: Prefixes,
    /// Whether the tunnel could not take up what it was told last: each report tries that again.
    behind: bool,
}

impl Lingering {
    /// Around a tunnel in which nothing was set yet.
    pub fn new(tunnel: Box<dyn Tunnel>) -> Self {
        Self { tunnel, prefixes: Prefixes::default(), behind: false }
    }

    fn tell(&mut self, desired: &DesiredTunnel) -> Result<(), TunnelError> {
        self.behind = true;
        self.tunnel.set(desired)?;
        self.behind = false;
        Ok(())
    }
}

impl Tunnel for Lingering {
    fn set(&mut self, desired: &DesiredTunnel) -> Result<(), TunnelError> {
        let all = self.prefixes.want(desired, Times::now().steady);
        self.tell(&all)
    }

    fn report(&mut self) -> Result<TunnelReport, TunnelError> {
        if self.prefixes.expire(Times::now().steady) || self.behind {
            self.tell(&self.prefixes.all())?;
        }
        self.tunnel.report()
    }

    fn send_control(&mut self, to: SocketAddrV6, payload: &[u8]) {
        self.tunnel.send_control(to, payload);
    }

    fn kind(&self) -> &'static str {
        self.tunnel.kind()
    }

    fn close(self: Box<Self>) {
        self.tunnel.close();
    }

    fn detach(self: Box<Self>) {
        self.tunnel.detach();
    }
}

/// Where prefixes are, and which of them are wanted there no more.
#[derive(Debug, Default)]
struct Prefixes {
    wanted: DesiredTunnel,
    /// At which peer, and until when.
    lingering: BTreeMap<IpNet, (WgPublicKey, Duration)>,
}

impl Prefixes {
    /// What the tunnel shall have when the mesh wants this.
    fn want(&mut self, desired: &DesiredTunnel, now: Duration) -> DesiredTunnel {
        let owned: BTreeSet<IpNet> = desired.peers.iter().flat_map(|peer| peer.allowed.iter().copied()).collect();
        let stay: BTreeSet<WgPublicKey> = desired.peers.iter().map(|peer| peer.public_key).collect();
        for peer in &self.wanted.peers {
            for prefix in &peer.allowed {
                self.lingering.entry(*prefix).or_insert((peer.public_key, now + LINGER));
            }
        }
        self.lingering.retain(|prefix, (key, until)| {
            *until > now && !desired.at_once && !owned.contains(prefix) && stay.contains(key)
        });
        self.wanted = desired.clone();
        self.all()
    }

    /// Whether some prefix has lingered long enough, so that the tunnel shall have something else from now on.
    fn expire(&mut self, now: Duration) -> bool {
        let before = self.lingering.len();
        self.lingering.retain(|_, (_, until)| *until > now);
        self.lingering.len() < before
    }

    /// What the tunnel shall have.
    fn all(&self) -> DesiredTunnel {
        let mut all = self.wanted.clone();
        for (prefix, (key, _)) in &self.lingering {
            let peer = all.peers.iter_mut().find(|peer| peer.public_key == *key);
            peer.expect("it stays only while its peer does").allowed.push(*prefix);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::io::DesiredPeer;
    use crate::tunnel::fake::FakeTunnel;

    fn desired(peers: &[(u8, &[u8])]) -> DesiredTunnel {
        let prefix = |n: &u8| format!("10.1.1.{n}/32").parse().expect("a prefix");
        let peer = |(key, prefixes): &(u8, &[u8])| DesiredPeer {
            public_key: WgPublicKey([*key; 32]),
            link: "fd11::1".parse().expect("an address"),
            endpoint: None,
            keepalive: None,
            allowed: prefixes.iter().map(prefix).collect(),
            accept: Vec::new(),
            generation: 0,
        };
        DesiredTunnel { peers: peers.iter().map(peer).collect(), ..DesiredTunnel::default() }
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_prefix_whose_way_is_lost_stays_for_20_s_and_no_longer() {
        let mut prefixes = Prefixes::default();
        let whole = desired(&[(1, &[1, 3]), (2, &[2])]);
        assert_eq!(prefixes.want(&whole, second(1)), whole);
        let lost = desired(&[(1, &[1]), (2, &[2])]);
        assert_eq!(prefixes.want(&lost, second(2)), whole);
        assert_eq!(prefixes.want(&lost, second(12)), whole, "wanting the same again prolongs nothing");
        assert!(!prefixes.expire(second(21)));
        assert!(prefixes.expire(second(22)) && prefixes.all() == lost);
        assert!(!prefixes.expire(second(23)), "that was told");
        assert_eq!(prefixes.want(&lost, second(24)), lost);
    }

    #[test]
    fn nothing_lingers_where_a_node_withdraws() {
        let mut prefixes = Prefixes::default();
        prefixes.want(&desired(&[(1, &[1, 3]), (2, &[2])]), second(1));
        prefixes.want(&desired(&[(1, &[1]), (2, &[2])]), second(2));
        let withdrawn = DesiredTunnel { at_once: true, ..desired(&[(1, &[]), (2, &[])]) };
        assert_eq!(prefixes.want(&withdrawn, second(3)), withdrawn);
    }

    #[test]
    fn a_prefix_that_is_wanted_elsewhere_moves_at_once() {
        let mut prefixes = Prefixes::default();
        prefixes.want(&desired(&[(1, &[1, 3]), (2, &[2])]), second(1));
        prefixes.want(&desired(&[(1, &[1]), (2, &[2])]), second(2));
        let moved = desired(&[(1, &[1]), (2, &[2, 3])]);
        assert_eq!(prefixes.want(&moved, second(3)), moved);
        let back = desired(&[(1, &[1, 3]), (2, &[2])]);
        assert_eq!(prefixes.want(&back, second(4)), back);
    }

    #[test]
    fn a_peer_that_shall_go_does_so_at_once_with_all_it_had() {
        let mut prefixes = Prefixes::default();
        prefixes.want(&desired(&[(1, &[1, 3]), (2, &[2])]), second(1));
        prefixes.want(&desired(&[(1, &[1]), (2, &[2])]), second(2));
        let gone = desired(&[(2, &[2])]);
        assert_eq!(prefixes.want(&gone, second(3)), gone);
        let new = desired(&[(1, &[]), (2, &[2])]);
        assert_eq!(prefixes.want(&new, second(4)), new, "and comes back without them");
    }

    #[test]
    fn what_the_tunnel_could_not_take_up_is_told_again() {
        let watched = FakeTunnel::default();
        let mut tunnel = Lingering::new(Box::new(watched.clone()));
        watched.set_late(true);
        let wanted = desired(&[(1, &[1, 3])]);
        assert!(tunnel.set(&wanted).is_err() && tunnel.report().is_err());
        watched.set_late(false);
        tunnel.report().expect("it works");
        tunnel.report().expect("it works");
        assert_eq!(watched.record().desired, [wanted.clone(), wanted.clone(), wanted]);
    }

    #[test]
    fn the_tunnel_is_told_what_lingers() {
        let watched = FakeTunnel::default();
        let mut tunnel = Box::new(Lingering::new(Box::new(watched.clone())));
        let (whole, lost) = (desired(&[(1, &[1, 3])]), desired(&[(1, &[1])]));
        tunnel.set(&whole).expect("it works");
        tunnel.set(&lost).expect("it works");
        tunnel.report().expect("it works");
        assert_eq!(watched.record().desired, [whole.clone(), whole]);
        tunnel.close();
        assert!(watched.record().closed);
    }
}
