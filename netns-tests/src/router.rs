//! Routers: what stands between a home or an office and the rest.
//!
//! ```text
//!   LAN --- eth1 [ router ] eth0 --- outside
//!                forwards LAN -> outside; outside -> LAN only replies; IPv4 sources rewritten as `Nat` says
//! ```
//!
//! What comes to the router itself from outside is dropped, as OpenWrt does. Otherwise the packet of a stranger would occupy
//! a mapping, and the port of a later flow to that stranger would change.

use crate::machine::Machine;

/// How a router rewrites the sources of packets that leave. What comes in must answer something that went out (but `Open`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Not at all, and whoever is outside may begin: a plain router.
    Open,
    /// Not at all: a firewall.
    None,
    /// To the router's address, keeping the port where it is free: the same outside endpoint for every destination
    /// (most home routers; RFC 4787 calls it endpoint-independent mapping).
    KeepsPorts,
    /// To the router's address and a random port per destination (symmetric; many carriers' and companies' routers).
    RandomPorts,
}

/// Makes a router of a machine whose `eth0` is outside and whose further interfaces are inside.
pub(crate) fn make_router(machine: &Machine, nat: Nat) {
    machine.namespace().sysctl("net.ipv4.ip_forward", "1");
    machine.namespace().sysctl("net.ipv6.conf.all.forwarding", "1");
    let masquerade = match nat {
        Nat::Open | Nat::None => "",
        Nat::KeepsPorts => "oifname \"eth0\" meta nfproto ipv4 masquerade",
        Nat::RandomPorts => "oifname \"eth0\" meta nfproto ipv4 masquerade random,fully-random",
    };
    let inward = if nat == Nat::Open { "accept" } else { "" };
    machine.nft(&format!(
        "table inet router {{
            chain forward {{ type filter hook forward priority 0; policy drop;
                ct state established,related accept
                iifname != \"eth0\" accept
                {inward}
            }}
            chain input {{ type filter hook input priority 0;
                iifname \"eth0\" meta l4proto {{ udp, tcp }} ct state new drop
            }}
            chain postrouting {{ type nat hook postrouting priority 100;
                {masquerade}
            }}
        }}"
    ));
}
