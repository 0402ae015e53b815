//! Single values: what is written to what is meant. The same rules for files, options and variables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::diagnostic::{Findings, Located, Origin, quoted};
use super::document::{Kind, Node};
use crate::mesh::config::HostPort;
use crate::mesh::ids::Name;

/// Longest name of a network interface in bytes: Linux's IFNAMSIZ (16) less the final NUL.
pub(crate) const INTERFACE_MAX: usize = 15;

/// The text of a scalar; quotes around it make no difference.
pub(crate) fn text<'a>(node: &'a Node, name: &str, findings: &mut Findings) -> Option<&'a str> {
    match &node.kind {
        Kind::Scalar { text, .. } => Some(text.trim()),
        _ => findings.error(
            &node.origin,
            format!("{name} must be a single value, not {}", node.kind_name()),
            "compare with the sample files in examples/",
        ),
    }
}

/// One scalar, or a list of them.
pub(crate) fn texts<'a>(node: &'a Node, name: &str, findings: &mut Findings) -> Option<Vec<Located<&'a str>>> {
    let Kind::Sequence(items) = &node.kind else {
        return text(node, name, findings).map(|text| vec![Located::new(text, node.origin.clone())]);
    };
    if items.is_empty() {
        return findings.error(&node.origin, format!("{name} is an empty list"), "give it at least one value");
    }
    // Every bad item is named; one is enough to refuse the list.
    let read: Vec<_> = items
        .iter()
        .map(|item| text(item, name, findings).map(|text| Located::new(text, item.origin.clone())))
        .collect();
    read.into_iter().collect()
}

/// A whole number within `range`, both ends included.
pub(crate) fn number(node: &Node, name: &str, range: (u32, u32), findings: &mut Findings) -> Option<u32> {
    let written = text(node, name, findings)?;
    if matches!(node.kind, Kind::Scalar { plain: false, .. }) && written.parse::<u32>().is_ok() {
        return findings.error(
            &node.origin,
            format!("{name} must be a number, and in quotes it is text"),
            "remove the quotes",
        );
    }
    number_text(&Located::new(written, node.origin.clone()), name, range, findings)
}

/// As [`number`], from the text of an option or variable.
pub(crate) fn number_text(
    written: &Located<&str>,
    name: &str,
    (low, high): (u32, u32),
    findings: &mut Findings,
) -> Option<u32> {
    // Digits only: no sign, and no leading zero, which YAML 1.1 would read as octal.
    let digits =
        written.value.bytes().all(|c| c.is_ascii_digit()) && (written.value == "0" || !written.value.starts_with('0'));
    match written.value.parse() {
        Ok(number) if digits && (low..=high).contains(&number) => Some(number),
        _ => findings.error(
            &written.origin,
            format!("{name} cannot be {}", quoted(written.value)),
            format!("write a whole number from {low} to {high}"),
        ),
    }
}

/// A port, 1 to 65535.
pub(crate) fn port(node: &Node, name: &str, findings: &mut Findings) -> Option<u16> {
    let number = number(node, name, (1, 65535), findings)?;
    u16::try_from(number).ok()
}

/// As [`port`], from the text of an option or variable.
pub(crate) fn port_text(written: &Located<&str>, name: &str, findings: &mut Findings) -> Option<u16> {
    let number = number_text(written, name, (1, 65535), findings)?;
    u16::try_from(number).ok()
}

/// Address and port of a TCP listener that speaks no TLS: this machine's own programs may reach it, and nobody else.
pub(crate) fn loopback_port(written: &Located<&str>, name: &str, findings: &mut Findings) -> Option<SocketAddr> {
    let remedy = "write 127.0.0.1:9080 or [::1]:9080; from another machine, `ssh -L 9080:127.0.0.1:9080` leads to it";
    let Some(address) = written.value.parse::<SocketAddr>().ok().filter(|address| address.port() != 0) else {
        let wrong = format!("{name} cannot be {}: it is an IP address and a port", quoted(written.value));
        return findings.error(&written.origin, wrong, remedy);
    };
    if !address.ip().is_loopback() {
        let wrong = format!("{name} {address} can be reached from other machines, and there is no TLS to protect it");
        return findings.error(&written.origin, wrong, remedy);
    }
    Some(address)
}

/// `true` or `false`, without quotes. YAML 1.1's `yes` and `on` are refused, because parsers disagree on them.
pub(crate) fn boolean(node: &Node, name: &str, findings: &mut Findings) -> Option<bool> {
    match &node.kind {
        Kind::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "True" | "TRUE") => Some(true),
        Kind::Scalar { text, plain: true } if matches!(text.as_str(), "false" | "False" | "FALSE") => Some(false),
        _ => {
            let written = text(node, name, findings)?;
            findings.error(
                &node.origin,
                format!("{name} cannot be {}", quoted(written)),
                "write true or false, without quotes",
            )
        }
    }
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(node: &Node, name: &str, words: &[(&str, T)], findings: &mut Findings) -> Option<T> {
    let written = text(node, name, findings)?;
    match words.iter().find(|(word, _)| *word == written) {
        Some((_, value)) => Some(*value),
        None => {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            findings.error(
                &node.origin,
                format!("{name} cannot be {}", quoted(written)),
                format!("write one of: {}", words.join(", ")),
            )
        }
    }
}

/// A node's or a network's name: one DNS label.
pub(crate) fn name(written: &Located<&str>, what: &str, findings: &mut Findings) -> Option<Name> {
    match written.value.parse() {
        Ok(name) => Some(name),
        // The error of the type quotes the text; here it passes the filter for secrets.
        Err(_) => {
            let rule = "1 to 63 lower-case letters, digits and inner hyphens, such as box-1";
            let lower = written.value.to_ascii_lowercase();
            let remedy = match lower.parse::<Name>() {
                Ok(_) => format!("use {}: {rule}", quoted(&lower)),
                Err(_) => format!("use {rule}"),
            };
            findings.error(&written.origin, format!("{what} cannot be {}", quoted(written.value)), remedy)
        }
    }
}

/// The name of a network interface.
pub(crate) fn interface(written: &Located<&str>, findings: &mut Findings) -> Option<String> {
    let text = written.value;
    let (problem, remedy) = if text.is_empty() {
        ("the interface has an empty name".to_owned(), "give it a name such as wg0")
    } else if text.len() > INTERFACE_MAX {
        (
            format!("interface {} has {} bytes, and at most {INTERFACE_MAX} are possible", quoted(text), text.len()),
            "choose a shorter name such as wg0",
        )
    } else if matches!(text, "." | ".." | "lo" | "all" | "default") {
        (format!("interface {} is a reserved name", quoted(text)), "choose another name such as wg0")
    } else if text.starts_with('-') || !text.chars().all(|c| c.is_ascii_graphic() && !"/:%\\\"'".contains(c)) {
        (
            format!("interface {} has a character that cannot be in the name of one", quoted(text)),
            "use letters, digits, '-', '_' and '.', such as wg0",
        )
    } else {
        return Some(text.to_owned());
    };
    findings.error(&written.origin, problem, remedy)
}

/// An overlay address that one node can hold. Whether it lies in the subnet is asked later.
pub(crate) fn address(written: &Located<&str>, what: &str, findings: &mut Findings) -> Option<IpAddr> {
    let shown = quoted(written.value);
    let Ok(address) = written.value.parse::<IpAddr>() else {
        let remedy = if written.value.contains('/') {
            "write the address alone; the prefix length stands in subnet"
        } else {
            "write it as 10.1.1.1 or fd00::1"
        };
        return findings.error(&written.origin, format!("{what} {shown} is no IP address"), remedy);
    };
    match unusable(address) {
        Some(why) => findings.error(
            &written.origin,
            format!("{what} {address} is {why}"),
            "give the node an address of its own inside the subnet",
        ),
        None => Some(address),
    }
}

/// Why no single node can hold `address`.
fn unusable(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("the unspecified address"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_multicast() => Some("a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("an IPv4 address written as IPv6"),
        _ => None,
    }
}

/// The addresses of one node: one IPv4, one IPv6, or one of each.
pub(crate) fn addresses(
    written: &[Located<&str>],
    what: &str,
    findings: &mut Findings,
) -> Option<Vec<Located<IpAddr>>> {
    let read: Vec<_> =
        written.iter().map(|text| address(text, what, findings).map(|address| text.with(address))).collect();
    let read: Vec<Located<IpAddr>> = read.into_iter().collect::<Option<_>>()?;
    for (index, address) in read.iter().enumerate() {
        let family = if address.value.is_ipv4() { "IPv4" } else { "IPv6" };
        if read[..index].iter().any(|earlier| earlier.value.is_ipv4() == address.value.is_ipv4()) {
            return findings.error(
                &address.origin,
                format!("{what} {} is a second {family} address of the same node", address.value),
                "give one IPv4 address, one IPv6 address, or one of each",
            );
        }
    }
    Some(read)
}

/// A subnet in CIDR form. Host bits may be set (wg_netmanager's sample has `10.1.1.0/8`) and are cleared.
pub(crate) fn subnet(written: &Located<&str>, findings: &mut Findings) -> Option<IpNet> {
    let shown = quoted(written.value);
    let form = "write an address and a prefix length, such as 10.1.1.0/24";
    let net = match written.value.parse::<IpNet>() {
        Ok(net) => net.trunc(),
        Err(_) if written.value.parse::<IpAddr>().is_ok() => {
            return findings.error(&written.origin, format!("subnet {shown} has no prefix length"), form);
        }
        Err(_) => return findings.error(&written.origin, format!("subnet {shown} is no network"), form),
    };
    let reserved = [
        ("127.0.0.0/8", "the loopback network"),
        ("169.254.0.0/16", "the link-local network"),
        ("224.0.0.0/4", "the multicast network"),
        ("::/127", "the loopback network"),
        ("::ffff:0:0/96", "the network of IPv4 addresses written as IPv6"),
        ("fe80::/10", "the link-local network"),
        ("ff00::/8", "the multicast network"),
    ];
    if net.prefix_len() == 0 {
        return findings.error(
            &written.origin,
            format!("subnet {net} is the whole internet"),
            "choose a private range such as 10.1.1.0/24",
        );
    }
    for (range, what) in reserved {
        let range: IpNet = range.parse().expect("the table holds networks");
        if range.contains(&net) || net.contains(&range) {
            return findings.error(
                &written.origin,
                format!("subnet {net} overlaps {what} {range}"),
                "choose a private range such as 10.1.1.0/24",
            );
        }
    }
    Some(net)
}

/// `host:port` or `[IPv6]:port`.
pub(crate) fn endpoint(written: &Located<&str>, findings: &mut Findings) -> Option<HostPort> {
    let shown = quoted(written.value);
    let form = "write host:port, such as vpn.example.org:50000, 192.0.2.1:50000 or [2001:db8::1]:50000";
    let Some((host, port)) = written.value.rsplit_once(':') else {
        return findings.error(&written.origin, format!("endPoint {shown} has no port"), form);
    };
    let bracketed = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    if bracketed.is_none() && host.contains(':') {
        return findings.error(
            &written.origin,
            format!("endPoint {shown} has an IPv6 address without brackets"),
            "write [2001:db8::1]:50000",
        );
    }
    let port = match port.parse::<u16>() {
        Ok(port) if port != 0 && port_digits(written.value) => port,
        _ => {
            return findings.error(
                &written.origin,
                format!("endPoint {shown} has no valid port"),
                "end it with a port from 1 to 65535",
            );
        }
    };
    let host = match (bracketed.map(str::parse::<Ipv6Addr>), host.parse::<Ipv4Addr>()) {
        (Some(Ok(v6)), _) => Ok(IpAddr::V6(v6)),
        (None, Ok(v4)) => Ok(IpAddr::V4(v4)),
        (None, Err(_)) if is_host_name(host) => Err(host.to_ascii_lowercase()),
        _ => return findings.error(&written.origin, format!("endPoint {shown} has no valid host"), form),
    };
    match host {
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() => findings.error(
            &written.origin,
            format!("endPoint {shown} is no address that packets can be sent to"),
            "give the address or name under which the other nodes reach this peer",
        ),
        Ok(ip) => Some(HostPort { host: ip.to_string(), port }),
        Err(name) => Some(HostPort { host: name, port }),
    }
}

/// Whether what follows the last colon is digits without a sign.
fn port_digits(text: &str) -> bool {
    text.rsplit(':').next().is_some_and(|port| port.bytes().all(|c| c.is_ascii_digit()))
}

/// A name that a resolver may be asked for (RFC 1123, and underscores, which home routers invent). Digits and dots
/// alone are a mistyped address.
fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    host.len() <= 253 && host.split('.').all(label) && !host.bytes().all(|c| c.is_ascii_digit() || c == b'.')
}

/// Last byte of an address: what the default ports are counted from.
pub(crate) fn last_octet(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    }
}

/// WireGuard's port of a node that the file does not list: 50000 + last octet, as in wg_netmanager.
pub(crate) fn default_wg_port(address: IpAddr) -> u16 {
    50_000 + u16::from(last_octet(address))
}

/// The control port where none is given: 50500 + last octet, as in wg_netmanager.
pub(crate) fn default_admin_port(address: IpAddr) -> u16 {
    50_500 + u16::from(last_octet(address))
}

/// Whether `address` names the network itself or all of it, and thus no node. IPv4 only, and only where a network is
/// large enough to have such addresses (RFC 3021: a /31 has none).
pub(crate) fn reserved_in(subnets: &[Located<IpNet>], address: IpAddr) -> Option<&'static str> {
    subnets.iter().find_map(|subnet| match (subnet.value, address) {
        (IpNet::V4(net), IpAddr::V4(address)) if net.prefix_len() <= 30 => {
            if address == net.network() {
                Some("the address of the network itself")
            } else if address == net.broadcast() {
                Some("the broadcast address of the network")
            } else {
                None
            }
        }
        _ => None,
    })
}

/// Names an address that no node of the network can hold: outside every subnet, or reserved in one.
pub(crate) fn check_inside(
    subnets: &[Located<IpNet>],
    address: &Located<IpAddr>,
    what: &str,
    findings: &mut Findings,
) -> bool {
    let origin: &Origin = &address.origin;
    let value = address.value;
    if !subnets.iter().any(|subnet| subnet.value.contains(&value)) {
        let nets: Vec<_> = subnets.iter().map(|subnet| subnet.value.to_string()).collect();
        findings.error::<()>(
            origin,
            format!("{what} {value} is outside the subnet {}", nets.join(", ")),
            "choose an address inside it, or widen subnet in the network file of all nodes",
        );
        return false;
    }
    if let Some(why) = reserved_in(subnets, value) {
        findings.error::<()>(origin, format!("{what} {value} is {why}"), "choose another address inside the subnet");
        return false;
    }
    true
}
