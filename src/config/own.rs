//! This node against the network file: the two together become a [`Config`].

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::conflict::Overlay;
use super::diagnostic::{Findings, Located, Origin};
use super::network::{DEFAULT_MTU, NetworkFile};
use super::node::NodeValues;
use super::peers::ListedPeer;
use super::source::LoadedNetwork;
use super::{Config, DEFAULT_SOCKET_DIR, DEFAULT_STATE_DIR, Given, value};
use crate::mesh::config::MeshConfig;

/// What the network file says of this node.
struct Own<'a> {
    /// The entry that describes it.
    listed: Option<&'a ListedPeer>,
    wg_port: Located<u16>,
    admin_port: Located<u16>,
}

/// Names every contradiction between the node's values and the file, as far as the values are known.
pub(crate) fn check(network: &NetworkFile, values: &NodeValues, findings: &mut Findings) {
    if let Some(addresses) = values.addresses.known() {
        for address in &addresses.value {
            value::check_inside(&network.subnets, address, "the address", findings);
        }
    }
    check_name(network, values, findings);
    if let Some(own) = own(network, values) {
        check_ports(&own, findings);
    }
}

/// Makes the configuration. `None` if a value is missing or wrong, which was named before.
pub(crate) fn build(network: &LoadedNetwork, values: &NodeValues, as_given: &Given) -> Option<Config> {
    let file = &network.file;
    let interface = values.interface.known()?.value.clone();
    let name = values.name.known()?.value.clone();
    let given = &values.addresses.known()?.value;
    let own = own(file, values)?;
    let mut addresses: Vec<IpAddr> = given.iter().map(|address| address.value).collect();
    // The file is the same on all nodes: the others expect this node under all addresses that it lists.
    for address in own.listed.iter().flat_map(|listed| &listed.peer.addresses) {
        if !addresses.iter().any(|known| known.is_ipv4() == address.is_ipv4()) {
            addresses.push(*address);
        }
    }
    let path = |field: Option<&Located<PathBuf>>, default: PathBuf| field.map_or(default, |path| path.value.clone());
    let socket = Path::new(DEFAULT_SOCKET_DIR).join(format!("{interface}.sock"));
    Some(Config {
        overlay: Overlay::new(file, Some(&interface), given),
        wg_port_given: values.wg_port.known().is_some() || own.listed.is_some(),
        mtu_given: file.mtu.is_some(),
        tunnel: values.tunnel.known().map(|tunnel| tunnel.value).unwrap_or_default(),
        state_dir: path(values.state_dir.known(), DEFAULT_STATE_DIR.into()),
        socket: path(values.socket.known(), socket),
        api_listen: values.api_listen.known().map(|address| address.value),
        port_mapping: values.port_mapping.known().is_none_or(|wanted| wanted.value),
        network_file: super::network_file(as_given).0.to_owned(),
        verbosity: as_given.verbosity,
        given: as_given.clone(),
        network_text: network.text.clone(),
        interface,
        mesh: MeshConfig {
            key: network.key.clone(),
            subnets: file.subnets.iter().map(|subnet| subnet.value).collect(),
            static_peers: file.peers.iter().map(|listed| listed.peer.clone()).collect(),
            gateways: file.gateways,
            direct: file.direct,
            mtu: file.mtu.unwrap_or(DEFAULT_MTU),
            name,
            addresses,
            class: values.class.known().map(|class| class.value).unwrap_or_default(),
            offer_gateway: values.gateway.known().is_some_and(|gateway| gateway.value),
            lan: values.lan.known().is_none_or(|lan| lan.value),
            wg_port: own.wg_port.value,
            admin_port: own.admin_port.value,
        },
    })
}

/// The entry that describes this node, and the ports that follow from it and from the node's own values.
fn own<'a>(network: &'a NetworkFile, values: &NodeValues) -> Option<Own<'a>> {
    let addresses = &values.addresses.known()?.value;
    let first = addresses.first()?;
    let listed = entries(network, addresses).next();
    let wg_port = match (values.wg_port.known(), listed) {
        (Some(given), _) => given.clone(),
        (None, Some(listed)) => Located::new(listed.peer.endpoint.port, listed.endpoint_origin.clone()),
        (None, None) => Located::new(value::default_wg_port(first.value), Origin::Unknown),
    };
    let admin_port = match (values.admin_port.known(), listed) {
        (Some(given), _) => given.clone(),
        (None, Some(listed)) => Located::new(listed.peer.admin_port, Origin::Unknown),
        (None, None) => Located::new(value::default_admin_port(first.value), Origin::Unknown),
    };
    Some(Own { listed, wg_port, admin_port })
}

/// The entries of the file that hold one of `addresses`.
fn entries<'a, 'b>(
    network: &'a NetworkFile,
    addresses: &'b [Located<IpAddr>],
) -> impl Iterator<Item = &'a ListedPeer> + use<'a, 'b> {
    network.peers.iter().filter(|listed| addresses.iter().any(|address| listed.peer.addresses.contains(&address.value)))
}

fn check_name(network: &NetworkFile, values: &NodeValues, findings: &mut Findings) {
    let addresses = values.addresses.known().map_or(&[][..], |addresses| &addresses.value);
    let mut own = entries(network, addresses);
    let (first, second) = (own.next(), own.next());
    if let (Some(_), Some(second), Some(origin)) = (first, second, addresses.last().map(|last| &last.origin)) {
        let at = second.address_origins.first().unwrap_or(origin);
        findings.error::<()>(
            origin,
            format!("the node's addresses belong to two peers of the network file, the second at {at}"),
            "give the addresses of one peer",
        );
        return;
    }
    let Some(name) = values.name.known() else { return };
    let named = first.and_then(|listed| Some((listed.peer.name.as_ref()?, listed.name_origin.as_ref()?)));
    if let Some((listed, at)) = named.filter(|(listed, _)| **listed != name.value) {
        findings.error::<()>(
            &name.origin,
            format!("the network file calls the node with this address {listed} (at {at}), not {}", name.value),
            format!("start it as {listed}, or give it an address of its own"),
        );
        return;
    }
    let namesake = network.peers.iter().find(|listed| listed.peer.name.as_ref() == Some(&name.value));
    if let Some(listed) =
        namesake.filter(|listed| !addresses.is_empty() && first.is_none_or(|own| !std::ptr::eq(own, *listed)))
        && let (Some(at), Some(address)) = (&listed.name_origin, listed.peer.addresses.first())
    {
        findings.error::<()>(
            &name.origin,
            format!("the name {} belongs to the peer with {address} (at {at})", name.value),
            "choose another name, or start this node with that address",
        );
    }
}

fn check_ports(own: &Own<'_>, findings: &mut Findings) {
    if own.wg_port.value != own.admin_port.value {
        return;
    }
    let origin = match (&own.admin_port.origin, &own.wg_port.origin) {
        (Origin::Unknown, other) => other,
        (given, _) => given,
    };
    findings.error::<()>(
        origin,
        format!("WireGuard's port and the admin port are both {}", own.wg_port.value),
        "give them two different ports (-w, -u)",
    );
}
