//! What makes one machine's node: its interface, address, name, ports. From the command line, the environment and
//! node.yaml, in this order of precedence.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::TunnelMode;
use super::diagnostic::{Findings, Located, Origin};
use super::document::{self, Keys, Kind, Node};
use super::value;
use crate::mesh::config::Class;
use crate::mesh::ids::Name;

/// One value of a node: not written, written wrongly (and named so already), or known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Field<T> {
    #[default]
    Absent,
    Bad,
    Known(Located<T>),
}

impl<T> Field<T> {
    /// A value that was written; `None` if it is wrong.
    fn written(read: Option<Located<T>>) -> Self {
        read.map_or(Self::Bad, Self::Known)
    }

    /// This one, or `lower` where this one was not written at all.
    fn or(self, lower: Self) -> Self {
        match self {
            Self::Absent => lower,
            written => written,
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(crate) fn known(&self) -> Option<&Located<T>> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }
}

/// What is known of the node, each value checked in itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeValues {
    pub(crate) interface: Field<String>,
    /// One or two; the origin is the first one's.
    pub(crate) addresses: Field<Vec<Located<IpAddr>>>,
    pub(crate) name: Field<Name>,
    pub(crate) wg_port: Field<u16>,
    pub(crate) admin_port: Field<u16>,
    pub(crate) tunnel: Field<TunnelMode>,
    pub(crate) state_dir: Field<PathBuf>,
    pub(crate) socket: Field<PathBuf>,
    pub(crate) api_listen: Field<SocketAddr>,
    pub(crate) class: Field<Class>,
    pub(crate) gateway: Field<bool>,
    pub(crate) port_mapping: Field<bool>,
    pub(crate) lan: Field<bool>,
}

impl NodeValues {
    /// These values, and those of `lower` where they say nothing.
    pub(crate) fn or(self, lower: Self) -> Self {
        Self {
            interface: self.interface.or(lower.interface),
            addresses: self.addresses.or(lower.addresses),
            name: self.name.or(lower.name),
            wg_port: self.wg_port.or(lower.wg_port),
            admin_port: self.admin_port.or(lower.admin_port),
            tunnel: self.tunnel.or(lower.tunnel),
            state_dir: self.state_dir.or(lower.state_dir),
            socket: self.socket.or(lower.socket),
            api_listen: self.api_listen.or(lower.api_listen),
            class: self.class.or(lower.class),
            gateway: self.gateway.or(lower.gateway),
            port_mapping: self.port_mapping.or(lower.port_mapping),
            lan: self.lan.or(lower.lan),
        }
    }
}

/// What the command line and the environment say, as it was written.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `-c`: the network file; else [`super::DEFAULT_NETWORK_FILE`].
    pub network_file: Option<PathBuf>,
    /// `-p`: the node file; else [`super::DEFAULT_NODE_FILE`] if it exists.
    pub node_file: Option<PathBuf>,
    /// `-i`.
    pub interface: Option<Located<String>>,
    /// `-a`; empty when not given.
    pub addresses: Vec<Located<String>>,
    /// `-n`.
    pub name: Option<Located<String>>,
    /// `-w`.
    pub wg_port: Option<Located<String>>,
    /// `-u`.
    pub admin_port: Option<Located<String>>,
    /// `--tunnel` or `-e`.
    pub tunnel: Option<Located<TunnelMode>>,
    /// `--lan`.
    pub lan: Option<Located<bool>>,
    /// `--state-dir`.
    pub state_dir: Option<Located<PathBuf>>,
    /// `--socket`.
    pub socket: Option<Located<PathBuf>>,
    /// `--api-listen`.
    pub api_listen: Option<Located<String>>,
    /// `--no-port-mapping`, which gives `false`.
    pub port_mapping: Option<Located<bool>>,
    /// Count of `-v`.
    pub verbosity: u8,
}

impl Given {
    /// Checks each value in itself.
    pub(crate) fn read(&self, findings: &mut Findings) -> NodeValues {
        let text = |value: &Located<String>| Located::new(value.value.trim().to_owned(), value.origin.clone());
        let mut values = NodeValues::default();
        if let Some(given) = self.interface.as_ref().map(text) {
            let written = given.with(given.value.as_str());
            values.interface = Field::written(value::interface(&written, findings).map(|v| written.with(v)));
        }
        if let Some(first) = self.addresses.first() {
            let given: Vec<_> = self.addresses.iter().map(text).collect();
            let written: Vec<_> = given.iter().map(|address| address.with(address.value.as_str())).collect();
            let read = value::addresses(&written, "the address", findings);
            values.addresses = Field::written(read.map(|v| first.with(v)));
        }
        if let Some(given) = self.name.as_ref().map(text) {
            let written = given.with(given.value.as_str());
            let read = value::name(&written, "a node's name", findings);
            values.name = Field::written(read.map(|v| written.with(v)));
        }
        if let Some(given) = self.wg_port.as_ref().map(text) {
            let written = given.with(given.value.as_str());
            let read = value::port_text(&written, "the WireGuard port", findings);
            values.wg_port = Field::written(read.map(|v| written.with(v)));
        }
        if let Some(given) = self.admin_port.as_ref().map(text) {
            let written = given.with(given.value.as_str());
            let read = value::port_text(&written, "the admin port", findings);
            values.admin_port = Field::written(read.map(|v| written.with(v)));
        }
        if let Some(given) = self.api_listen.as_ref().map(text) {
            let written = given.with(given.value.as_str());
            let read = value::loopback_port(&written, "the admin protocol's address", findings);
            values.api_listen = Field::written(read.map(|v| written.with(v)));
        }
        values.tunnel = self.tunnel.clone().map_or(Field::Absent, Field::Known);
        values.lan = self.lan.clone().map_or(Field::Absent, Field::Known);
        values.state_dir = self.state_dir.clone().map_or(Field::Absent, Field::Known);
        values.socket = self.socket.clone().map_or(Field::Absent, Field::Known);
        values.port_mapping = self.port_mapping.clone().map_or(Field::Absent, Field::Known);
        values
    }
}

/// Reads a node file from its text; `file_name` is what diagnostics call it. An empty file says nothing, and is no
/// error. What is right in a file with mistakes is used on, so that a wrong port in it is one error, and not one more
/// about a missing name.
///
/// `None` when the text is no set of keys at all, so that nobody knows what it would have said.
pub(crate) fn read_text(text: &[u8], file_name: &str, findings: &mut Findings) -> Option<NodeValues> {
    let file: Arc<str> = file_name.into();
    let known = findings.count();
    match document::parse(text, &file, findings) {
        Some(root) if !matches!(root.kind, Kind::Null) => read(&root, findings),
        _ if findings.count() > known => None,
        _ => Some(NodeValues::default()),
    }
}

fn read(root: &Node, findings: &mut Findings) -> Option<NodeValues> {
    let mut keys = Keys::open(root, "the node file", findings)?;
    let interface = take(&mut keys, "wgInterface", findings, |node, findings| {
        let text = value::text(node, "wgInterface", findings)?;
        value::interface(&Located::new(text, node.origin.clone()), findings)
    });
    let addresses = take(&mut keys, "wgIp", findings, |node, findings| {
        let written = value::texts(node, "wgIp", findings)?;
        value::addresses(&written, "wgIp", findings)
    });
    let name = take(&mut keys, "name", findings, |node, findings| {
        let text = value::text(node, "name", findings)?;
        value::name(&Located::new(text, node.origin.clone()), "a node's name", findings)
    });
    let wg_port = take(&mut keys, "wgPort", findings, |node, findings| value::port(node, "wgPort", findings));
    let admin_port = take(&mut keys, "adminPort", findings, |node, findings| value::port(node, "adminPort", findings));
    let tunnel = read_tunnel(&mut keys, findings);
    let state_dir = take(&mut keys, "stateDir", findings, |node, findings| path(node, "stateDir", findings));
    let socket = take(&mut keys, "socket", findings, |node, findings| path(node, "socket", findings));
    let api_listen = take(&mut keys, "apiListen", findings, |node, findings| {
        let text = value::text(node, "apiListen", findings)?;
        value::loopback_port(&Located::new(text, node.origin.clone()), "apiListen", findings)
    });
    let class = take(&mut keys, "class", findings, |node, findings| {
        let words = [("server", Class::Server), ("roaming", Class::Roaming), ("mobile", Class::Mobile)];
        value::choice(node, "class", &words, findings)
    });
    let gateway = take(&mut keys, "gateway", findings, |node, findings| value::boolean(node, "gateway", findings));
    let port_mapping =
        take(&mut keys, "portMapping", findings, |node, findings| value::boolean(node, "portMapping", findings));
    let lan = take(&mut keys, "lan", findings, |node, findings| value::boolean(node, "lan", findings));
    keys.close("the node file", findings);
    Some(NodeValues {
        interface,
        addresses,
        name,
        wg_port,
        admin_port,
        tunnel,
        state_dir,
        socket,
        api_listen,
        class,
        gateway,
        port_mapping,
        lan,
    })
}

fn take<T>(
    keys: &mut Keys,
    key: &'static str,
    findings: &mut Findings,
    read: impl FnOnce(&Node, &mut Findings) -> Option<T>,
) -> Field<T> {
    match keys.take(key, findings) {
        Some(node) => Field::written(read(&node, findings).map(|v| Located::new(v, node.origin.clone()))),
        None if keys.had(key) => Field::Bad,
        None => Field::Absent,
    }
}

/// `tunnel`, and wg_netmanager's `existingInterface: true`, which is `tunnel: existing`.
fn read_tunnel(keys: &mut Keys, findings: &mut Findings) -> Field<TunnelMode> {
    let tunnel =
        take(keys, "tunnel", findings, |node, findings| value::choice(node, "tunnel", &TunnelMode::WORDS, findings));
    let existing =
        take(keys, "existingInterface", findings, |node, findings| value::boolean(node, "existingInterface", findings));
    match (tunnel, existing) {
        (Field::Known(tunnel), Field::Known(existing)) if existing.value != (tunnel.value == TunnelMode::Existing) => {
            findings.error::<()>(
                &existing.origin,
                format!("existingInterface: {} contradicts tunnel: {}", existing.value, tunnel.value.word()),
                "remove one of the two lines",
            );
            Field::Bad
        }
        (Field::Absent, Field::Known(existing)) if existing.value => Field::Known(existing.with(TunnelMode::Existing)),
        (Field::Absent, Field::Bad) => Field::Bad,
        (tunnel, _) => tunnel,
    }
}

fn path(node: &Node, key: &str, findings: &mut Findings) -> Option<PathBuf> {
    let text = value::text(node, key, findings)?;
    if !text.starts_with('/') || text.contains('\0') {
        return findings.error(&node.origin, format!("{key} is no absolute path"), "begin it with a slash");
    }
    Some(text.into())
}

/// Names what a node needs and has not got. One line, whatever is missing.
pub(crate) fn check_complete(values: &NodeValues, findings: &mut Findings) {
    let needs = [
        (values.interface.is_absent(), "interface", "-i", "wgInterface", "WGNET_INTERFACE"),
        (values.addresses.is_absent(), "address", "-a", "wgIp", "WGNET_ADDRESS"),
        (values.name.is_absent(), "name", "-n", "name", "WGNET_NAME"),
    ];
    let missing: Vec<_> = needs.into_iter().filter(|(absent, ..)| *absent).collect();
    if missing.is_empty() {
        return;
    }
    let join = |words: Vec<&str>, last: &str| match words.split_last() {
        Some((end, [])) => (*end).to_owned(),
        Some((end, start)) => format!("{}{last}{end}", start.join(", ")),
        None => String::new(),
    };
    let what = join(missing.iter().map(|need| need.1).collect(), " and ");
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let options = join(missing.iter().map(|need| need.2).collect(), ", ");
    let keys = join(missing.iter().map(|need| need.3).collect(), ", ");
    let variables = join(missing.iter().map(|need| need.4).collect(), ", ");
    findings.error::<()>(
        &Origin::Unknown,
        format!("this node's {what} {verb} missing"),
        format!(
            "on the command line: `wgnet -c net.yaml wg0 10.1.1.1 alice` or {options}; in node.yaml: {keys}; \
             in the environment: {variables}"
        ),
    );
}
