//! The network file of a lab.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The key of every lab: labs never meet another network.
pub const SHARED_KEY: &str = "YNbnx65Zxj/AnBlG/GAxkSvdOKnmRjA44XECFGmmHn8=";

/// The bytes of [`SHARED_KEY`].
pub fn shared_key() -> [u8; 32] {
    let bytes = BASE64_STANDARD.decode(SHARED_KEY).expect("base64");
    bytes.try_into().expect("32 bytes")
}

/// A network file, to be changed until it is as the test wants it.
#[derive(Clone, Debug)]
pub struct NetworkFile {
    /// `sharedKey`.
    pub shared_key: String,
    /// `subnet`: one prefix or several.
    pub subnets: Vec<String>,
    /// Further lines below `network:`, without indentation, such as `direct: never`.
    pub options: Vec<String>,
    /// The static peers.
    pub peers: Vec<StaticPeer>,
}

/// One static peer.
#[derive(Clone, Debug)]
pub struct StaticPeer {
    /// `wgIp`.
    pub addresses: Vec<IpAddr>,
    /// Host and WireGuard port.
    pub endpoint: String,
    /// `adminPort`.
    pub admin_port: u16,
    /// Further lines of the entry, such as `publicKey: ...`.
    pub options: Vec<String>,
}

impl NetworkFile {
    /// A network of this subnet without static peers.
    pub fn new(subnet: &str) -> Self {
        let (shared_key, subnets) = (SHARED_KEY.to_owned(), vec![subnet.to_owned()]);
        Self { shared_key, subnets, options: Vec::new(), peers: Vec::new() }
    }

    /// Adds a static peer: overlay address, host, ports 50000 (WireGuard) and 55555 (admin) as in the README's sample.
    #[must_use]
    pub fn peer(mut self, address: &str, host: &str) -> Self {
        let endpoint = if host.contains(':') { format!("[{host}]:50000") } else { format!("{host}:50000") };
        let addresses = vec![address.parse().expect("an overlay address")];
        self.peers.push(StaticPeer { addresses, endpoint, admin_port: 55555, options: Vec::new() });
        self
    }

    /// Adds a line below `network:`.
    #[must_use]
    pub fn option(mut self, line: &str) -> Self {
        self.options.push(line.to_owned());
        self
    }
}

impl fmt::Display for NetworkFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "network:\n  sharedKey: {}", self.shared_key)?;
        writeln!(f, "  subnet: {}", one_or_list(&self.subnets))?;
        self.options.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        writeln!(f, "peers:{}", if self.peers.is_empty() { " []" } else { "" })?;
        for peer in &self.peers {
            writeln!(f, "  - endPoint: \"{}\"\n    adminPort: {}", peer.endpoint, peer.admin_port)?;
            let addresses = peer.addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>();
            writeln!(f, "    wgIp: {}", one_or_list(&addresses))?;
            peer.options.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

fn one_or_list(values: &[String]) -> String {
    match values {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}
