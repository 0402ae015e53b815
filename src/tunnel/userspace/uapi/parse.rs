//! Requests of the userspace API, read from bytes. Pure: the same bytes give the same request.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::mesh::ids::WgPublicKey;

/// Longest line in bytes; the longest key of the protocol with its longest value is half of it.
pub const LONGEST_LINE: usize = 256;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Show the interface with all its peers.
    Get,
    /// Change it.
    Set(SetRequest),
}

/// `set=1`: what to change of the interface. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetRequest {
    /// The own key; zeros mean none.
    pub private_key: Option<Secret>,
    /// UDP port.
    pub listen_port: Option<u16>,
    /// Mark of the outer datagrams; 0 means none.
    pub fwmark: Option<u32>,
    /// The peers below are all there shall be.
    pub replace_peers: bool,
    /// Peers in the order of the request; one may come twice.
    pub peers: Vec<SetPeer>,
}

/// What to change of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPeer {
    /// Which one.
    pub public_key: WgPublicKey,
    /// Remove it; nothing else counts.
    pub remove: bool,
    /// Do nothing if there is no such peer.
    pub update_only: bool,
    /// Preshared key; zeros mean none.
    pub preshared_key: Option<Secret>,
    /// Where to send.
    pub endpoint: Option<SocketAddr>,
    /// Persistent keepalive in seconds; 0 means none.
    pub keepalive: Option<u16>,
    /// The prefixes below are all it shall have.
    pub replace_allowed_ips: bool,
    /// Prefixes to add or remove, in order.
    pub allowed_ips: Vec<AllowedIpChange>,
}

/// A prefix to add to a peer, or to remove from it (`allowed_ip=-10.1.1.1/32`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedIpChange {
    /// Without host bits.
    pub prefix: IpNet,
    /// Remove it.
    pub remove: bool,
}

/// 32 secret bytes: wiped from memory with their owner, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    pub(in crate::tunnel::userspace) fn bytes(&self) -> &Zeroizing<[u8; 32]> {
        &self.0
    }

    /// Whether it is all zeros, which stands for "none".
    pub fn is_zero(&self) -> bool {
        *self.0 == [0; 32]
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A request that cannot be understood. Nothing changed. It never quotes a value, which could be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The request is neither `get=1` nor `set=1`.
    #[error("a request begins with get=1 or set=1")]
    Operation,
    /// A line that cannot be read.
    #[error("line {line}: not \"key=value\" in UTF-8 of at most {LONGEST_LINE} bytes")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A key that is unknown, or not known at this place.
    #[error("line {line}: unknown key {key:?}, or one that does not belong here")]
    Key {
        /// Counted from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A value that does not fit its key.
    #[error("line {line}: {key} must be {expected}")]
    Value {
        /// Counted from 1.
        line: usize,
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// Reads one request: its lines without the empty one that ends it.
pub fn parse(input: &[u8]) -> Result<Request, ParseError> {
    let mut lines = input.split(|byte| *byte == b'\n').enumerate().map(|(at, line)| (at + 1, line));
    let operation = lines.next().map(|(_, line)| line);
    let rest = lines.filter(|(_, line)| !line.is_empty());
    match operation {
        Some(b"get=1") => parse_get(rest),
        Some(b"set=1") => parse_set(rest),
        _ => Err(ParseError::Operation),
    }
}

fn parse_get<'a>(mut rest: impl Iterator<Item = (usize, &'a [u8])>) -> Result<Request, ParseError> {
    match rest.next() {
        None => Ok(Request::Get),
        Some((line, text)) => {
            let (key, _) = pair(line, text)?;
            Err(ParseError::Key { line, key: key.to_owned() })
        }
    }
}

fn parse_set<'a>(rest: impl Iterator<Item = (usize, &'a [u8])>) -> Result<Request, ParseError> {
    let mut request = SetRequest::default();
    for (line, text) in rest {
        let (key, value) = pair(line, text)?;
        match key {
            "public_key" => {
                let key = WgPublicKey(*hex(value).ok_or_else(|| invalid(line, "public_key", HEX_KEY))?);
                request.peers.push(SetPeer::new(key));
            }
            _ => match request.peers.last_mut() {
                Some(peer) => parse_peer_line(peer, line, key, value)?,
                None => parse_interface_line(&mut request, line, key, value)?,
            },
        }
    }
    Ok(Request::Set(request))
}

fn parse_interface_line(request: &mut SetRequest, line: usize, key: &str, value: &str) -> Result<(), ParseError> {
    match key {
        "private_key" => {
            let key = hex(value).map(Secret);
            request.private_key =
                Some(key.ok_or_else(|| invalid(line, "private_key", "a private key: 64 hexadecimal digits"))?);
        }
        "listen_port" => request.listen_port = Some(number(line, "listen_port", "a port from 0 to 65535", value)?),
        "fwmark" => request.fwmark = Some(number(line, "fwmark", "a mark from 0 to 4294967295", value)?),
        "replace_peers" => request.replace_peers = truth(line, "replace_peers", value)?,
        _ => return Err(ParseError::Key { line, key: key.to_owned() }),
    }
    Ok(())
}

fn parse_peer_line(peer: &mut SetPeer, line: usize, key: &str, value: &str) -> Result<(), ParseError> {
    match key {
        "remove" => peer.remove = truth(line, "remove", value)?,
        "update_only" => peer.update_only = truth(line, "update_only", value)?,
        "preshared_key" => {
            peer.preshared_key = Some(hex(value).map(Secret).ok_or_else(|| invalid(line, "preshared_key", HEX_KEY))?);
        }
        "endpoint" => {
            peer.endpoint =
                Some(number(line, "endpoint", "an address and a port: 192.0.2.1:51820 or [2001:db8::1]:51820", value)?);
        }
        "persistent_keepalive_interval" => {
            let expected = "seconds from 0 to 65535";
            peer.keepalive = Some(number(line, "persistent_keepalive_interval", expected, value)?);
        }
        "replace_allowed_ips" => peer.replace_allowed_ips = truth(line, "replace_allowed_ips", value)?,
        "allowed_ip" => {
            let (remove, text) = value.strip_prefix('-').map_or((false, value), |rest| (true, rest));
            let prefix: IpNet = number(line, "allowed_ip", "a prefix such as 10.1.1.0/24", text)?;
            peer.allowed_ips.push(AllowedIpChange { prefix: prefix.trunc(), remove });
        }
        "protocol_version" if value == "1" => {}
        "protocol_version" => return Err(invalid(line, "protocol_version", "1")),
        _ => return Err(ParseError::Key { line, key: key.to_owned() }),
    }
    Ok(())
}

impl SetPeer {
    fn new(public_key: WgPublicKey) -> Self {
        Self {
            public_key,
            remove: false,
            update_only: false,
            preshared_key: None,
            endpoint: None,
            keepalive: None,
            replace_allowed_ips: false,
            allowed_ips: Vec::new(),
        }
    }
}

const HEX_KEY: &str = "a key: 64 hexadecimal digits";

fn invalid(line: usize, key: &'static str, expected: &'static str) -> ParseError {
    ParseError::Value { line, key, expected }
}

fn pair(line: usize, text: &[u8]) -> Result<(&str, &str), ParseError> {
    let text = Some(text).filter(|text| text.len() <= LONGEST_LINE).and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.split_once('=')).ok_or(ParseError::Line { line })
}

fn number<T: FromStr>(line: usize, key: &'static str, expected: &'static str, value: &str) -> Result<T, ParseError> {
    value.parse().map_err(|_| invalid(line, key, expected))
}

fn truth(line: usize, key: &'static str, value: &str) -> Result<bool, ParseError> {
    if value == "true" { Ok(true) } else { Err(invalid(line, key, "\"true\"")) }
}

fn hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = text.as_bytes();
    let mut key = Zeroizing::new([0; 32]);
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33";

    fn set(lines: &str) -> Result<SetRequest, ParseError> {
        match parse(format!("set=1\n{lines}").as_bytes())? {
            Request::Set(request) => Ok(request),
            Request::Get => panic!("not a get"),
        }
    }

    #[test]
    fn the_example_of_the_specification_is_understood() {
        let request = set(&format!(
            "private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a\nfwmark=0\n\
             listen_port=12912\nreplace_peers=true\npublic_key={KEY}\n\
             preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52\nreplace_allowed_ips=true\n\
             allowed_ip=192.168.4.4/32\nendpoint=[abcd:23::33%2]:51820\n\
             public_key=58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376\n\
             replace_allowed_ips=true\nallowed_ip=192.168.4.6/32\npersistent_keepalive_interval=111\n\
             endpoint=182.122.22.19:3233\n\
             public_key=662e14fd594556f522604703340351258903b64f35553763f19426ab2a515c58\nremove=true\n"
        ))
        .expect("a valid request");
        assert_eq!((request.listen_port, request.fwmark, request.replace_peers), (Some(12_912), Some(0), true));
        assert_eq!(request.peers.len(), 3);
        assert_eq!(request.peers[0].public_key.0[0], 0xb8);
        assert_eq!(request.peers[0].endpoint.map(|endpoint| endpoint.port()), Some(51_820));
        assert_eq!(request.peers[1].keepalive, Some(111));
        assert_eq!(request.peers[1].allowed_ips[0].prefix.to_string(), "192.168.4.6/32");
        assert!(request.peers[2].remove && !request.peers[1].remove);
    }

    #[test]
    fn get_is_understood_and_takes_nothing_else() {
        assert_eq!(parse(b"get=1"), Ok(Request::Get));
        assert_eq!(parse(b"get=1\n"), Ok(Request::Get));
        assert!(matches!(parse(b"get=1\nlisten_port=1"), Err(ParseError::Key { line: 2, .. })));
        assert_eq!(parse(b"get=2"), Err(ParseError::Operation));
        assert_eq!(parse(b""), Err(ParseError::Operation));
    }

    #[test]
    fn each_mistake_is_named_with_its_line_and_what_was_expected() {
        let said = |lines: &str| set(lines).expect_err("a mistake").to_string();
        assert_eq!(said("listen_port=65536"), "line 2: listen_port must be a port from 0 to 65535");
        assert_eq!(said("fwmark=0\nreplace_peers=yes"), "line 3: replace_peers must be \"true\"");
        assert_eq!(said("endpoint=1.2.3.4:5"), "line 2: unknown key \"endpoint\", or one that does not belong here");
        assert_eq!(
            said(&format!("public_key={KEY}\nallowed_ip=10.0.0.0/33")),
            "line 3: allowed_ip must be a prefix such as 10.1.1.0/24"
        );
        assert_eq!(said(&format!("public_key={KEY}\nprotocol_version=2")), "line 3: protocol_version must be 1");
        assert_eq!(said("listen_port"), "line 2: not \"key=value\" in UTF-8 of at most 256 bytes");
        assert_eq!(said(&format!("public_key={KEY}0")), "line 2: public_key must be a key: 64 hexadecimal digits");
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let shown = format!("{:?}", set(&format!("private_key={KEY}")).expect("a valid request"));
        assert!(!shown.contains("b8") && !shown.contains("184"), "{shown}");
        let error = set(&format!("private_key={KEY}x")).expect_err("too long").to_string();
        assert!(!error.contains(KEY), "{error}");
    }

    #[test]
    fn host_bits_are_dropped_and_a_minus_removes() {
        let request =
            set(&format!("public_key={KEY}\nallowed_ip=10.1.1.7/24\nallowed_ip=-fd00::1/128")).expect("valid");
        let allowed = &request.peers[0].allowed_ips;
        assert_eq!((allowed[0].prefix.to_string().as_str(), allowed[0].remove), ("10.1.1.0/24", false));
        assert_eq!((allowed[1].prefix.to_string().as_str(), allowed[1].remove), ("fd00::1/128", true));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"set=1\n", bytes.as_slice()].concat());
        }

        #[test]
        fn any_lines_of_known_keys_are_read_without_panic(lines in proptest::collection::vec(("(private_key|public_key|preshared_key|endpoint|allowed_ip|remove|fwmark|listen_port)", "[ -~]{0,80}"), 0..20)) {
            let text: String = lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
            let _ = parse(format!("set=1\n{text}").as_bytes());
        }
    }
}
