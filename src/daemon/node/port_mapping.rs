//! The router before this machine: whether it is asked for a port, and what it says.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Loop;
use crate::mesh::io::PortMapping;
use crate::system::System;
use crate::system::port_mapping::{PortMapper, Wanted};

/// How often to look whether the way out is another one: routes come and go without a change of addresses.
const LOOK: Duration = Duration::from_secs(60);
/// The same where a router is missing: after a cable was plugged in, the address comes first.
const LOOK_FOR: Duration = Duration::from_secs(5);
/// The longest that giving a port back may delay the end.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// Whether anyone can be asked. Where not, as in a router's own program, the compiler leaves away all that follows from it.
const IS_BUILT_IN: bool = cfg!(feature = "port-mapping");

/// Asks the router, or not: a node that shall not, or cannot, has none.
pub(in super::super) struct Mapper {
    /// Where the wishes go.
    pub(in super::super) mapper: Option<Box<dyn PortMapper>>,
    /// Where the answers come from.
    pub(in super::super) answers: mpsc::Receiver<Option<PortMapping>>,
}

impl Mapper {
    /// The next answer. Pends for ever where there is nobody to ask. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<PortMapping> {
        match self.answers.recv().await {
            Some(answer) if IS_BUILT_IN => answer,
            _ => std::future::pending().await,
        }
    }

    /// Something is different, or may be: asks now.
    pub(super) fn ask_again(&mut self) {
        if let Some(mapper) = self.mapper.as_mut().filter(|_| IS_BUILT_IN) {
            mapper.ask_again();
        }
    }

    /// Gives back what is mapped, and waits for that, if not for long.
    pub(super) async fn give_back(mut self, mapped: bool) {
        if let Some(mapper) = self.mapper.as_mut().filter(|_| IS_BUILT_IN) {
            mapper.set(None);
            let gone = async { while let Some(Some(_)) = self.answers.recv().await {} };
            if mapped && timeout(GIVE_BACK, gone).await.is_err() {
                tracing::debug!("the router does not take its port back: it is free when the lease is over");
            }
        }
    }
}

impl<S: System> Loop<S> {
    /// Looks who the router is, if one is worth asking.
    pub(super) async fn look_at_router(&mut self) {
        let Some(mapper) = self.node.mapper.mapper.as_mut().filter(|_| IS_BUILT_IN) else { return };
        let worth = self.node.engine.wants_port_mapping();
        let router = if worth { self.node.system.router().await } else { Ok(None) };
        let router = router.unwrap_or_else(|error| {
            tracing::debug!("{error}");
            None
        });
        mapper.set(router.map(|router| Wanted { router, port: self.node.config.mesh.wg_port }));
        self.next_router_look = self.now() + if worth && router.is_none() { LOOK_FOR } else { LOOK };
    }

    /// The router gave a port, or took it.
    pub(super) async fn mapped(&mut self, mapping: Option<PortMapping>) {
        if !IS_BUILT_IN {
            return;
        }
        self.mapped = mapping;
        let now = self.now();
        self.node.engine.handle_mapped(now, mapping);
        self.drain(now).await;
    }
}
