//! The mesh as clients see it.

use wgnet_api as api;

use super::status::{id_of, round_to};
use crate::mesh::config::Class;
use crate::mesh::view;

/// Nodes and links.
pub fn mesh(mesh: view::Mesh) -> api::Mesh {
    api::Mesh { nodes: mesh.nodes.into_iter().map(node).collect(), links: mesh.links.into_iter().map(link).collect() }
}

fn node(node: view::MeshNode) -> api::MeshNode {
    api::MeshNode {
        id: id_of(node.id.as_ref(), &node.addresses, &node.name),
        address: node.addresses.first().map(ToString::to_string).unwrap_or_default(),
        name: node.name,
        gateway: node.gateway,
        state: match node.state {
            view::NodeState::Linked => api::NodeState::Linked,
            view::NodeState::Apart => api::NodeState::Apart,
            view::NodeState::Refused => api::NodeState::Refused,
            view::NodeState::Silent => api::NodeState::Silent,
        },
        class: node.class.map_or("", class).to_owned(),
    }
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Server => "server",
        Class::Roaming => "roaming",
        Class::Mobile => "mobile",
    }
}

fn link(link: view::MeshLink) -> api::MeshLink {
    api::MeshLink {
        a: link.a,
        b: link.b,
        cost: link.cost,
        cost_a: link.cost_a,
        cost_b: link.cost_b,
        rtt_ms: link.rtt_us.map(|rtt| round_to(f64::from(rtt) / 1e3, 1e3)),
        loss: link.loss_percent.map(|loss| f64::from(loss) / 1e2),
        up: link.up,
    }
}
