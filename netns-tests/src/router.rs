//! Routers: what stands between a home or an office and the rest.
//!
//! ```text
//!   LAN --- eth1 [ router ] eth0 --- outside
//!                forwards LAN -> outside; outside -> LAN only replies; IPv4 sources rewritten as `Nat` says
//! ```
//!
//! What comes to the router itself from outside is dropped, as OpenWrt does. Otherwise the packet of a stranger would occupy
//! a mapping, and the port of a later flow to that stranger would change.
//!
//! [`Miniupnpd`] lets those inside ask the router for ports, as most home routers do.

use std::time::Duration;

use crate::machine::Machine;
use crate::process::{Process, Program};

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

/// A protocol by which a router can be asked for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// PCP, and NAT-PMP with it.
    Pcp,
    /// NAT-PMP alone: questions by PCP vanish.
    NatPmp,
    /// UPnP.
    Upnp,
}

/// miniupnpd on a router. Dropped, it is gone, and what it mapped stays.
pub struct Miniupnpd {
    router: Machine,
    process: Process,
}

/// The chains that miniupnpd fills.
const CHAINS: [&str; 3] = ["upnp", "upnp_in", "upnp_out"];

impl Miniupnpd {
    /// Starts it on a router of [`crate::Lab::router`]; it has mapped nothing, whatever was there before. `lines` are added to
    /// its configuration.
    pub fn start(router: &Machine, speaks: Speaks, lines: &[&str]) -> Self {
        let pcp_vanishes =
            if speaks == Speaks::NatPmp { "iifname \"eth1\" udp dport 5351 @th,64,8 2 drop" } else { "" };
        // The first time, what is deleted must be there.
        router.nft(&format!(
            "table inet router {{
                chain upnp {{ }}
                chain upnp_in {{ }}
                chain upnp_out {{ }}
                chain upnp_forward {{ }}
                chain upnp_asked {{ }}
                chain upnp_prerouting {{ }}
            }}
            delete chain inet router upnp_forward
            delete chain inet router upnp_asked
            delete chain inet router upnp_prerouting
            flush chain inet router upnp
            flush chain inet router upnp_in
            flush chain inet router upnp_out
            table inet router {{
                chain upnp_asked {{ type filter hook input priority -10;
                    {pcp_vanishes}
                }}
                chain upnp_prerouting {{ type nat hook prerouting priority -100;
                    jump upnp_in
                }}
            }}"
        ));
        if !router.command("nft", &["list", "chain", "inet", "router", "forward"]).contains("jump upnp") {
            router.command("nft", &["insert", "rule", "inet", "router", "forward", "jump", "upnp"]);
        }
        let [forward, inward, outward] = CHAINS;
        let word = |on: bool| if on { "yes" } else { "no" };
        let configuration = format!(
            "ext_ifname=eth0\nlistening_ip=eth1\nhttp_port=0\nenable_natpmp={}\nenable_upnp={}\nsecure_mode=yes\n\
             upnp_table_name=router\nupnp_nat_table_name=router\nupnp_forward_chain={forward}\nupnp_nat_chain={inward}\n\
             upnp_nat_postrouting_chain={outward}\nuuid=fc4ec57e-b051-11db-88f8-0060085db3f6\n{}\n\
             allow 1024-65535 0.0.0.0/0 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n",
            word(speaks != Speaks::Upnp),
            word(speaks == Speaks::Upnp),
            lines.join("\n"),
        );
        router.write("/run/lab/miniupnpd.conf", &configuration);
        let program =
            Program::new("miniupnpd").args(["-d", "-f", "/run/lab/miniupnpd.conf", "-P", "/run/lab/miniupnpd.pid"]);
        let process = router.start(&program);
        let ready = if speaks == Speaks::Upnp { "HTTP listening on port" } else { "Listening for NAT-PMP/PCP" };
        process.wait_for_line(ready, Duration::from_secs(10));
        Self { router: router.clone(), process }
    }

    /// The ports that it maps now, as nftables shows them.
    pub fn rules(&self) -> String {
        self.router.command("nft", &["list", "chain", "inet", "router", CHAINS[1]])
    }

    /// Kills it, as when a router loses its power.
    pub fn kill(self) {
        self.process.kill();
    }
}
