//! Addresses of the interface: each a /32 or /128, so that only the mesh's own routes lead into it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol};
use rustix::io::Errno;

use super::PROTOCOL;
use super::error::{errno, refused};
use crate::system::SystemError;

/// Which addresses are ours: those this process added, and those that carry our protocol number.
///
/// Kernels before 5.18 do not keep the number; there the leavings of a crashed run vanish with its interface.
#[derive(Default)]
pub(super) struct Addresses {
    added: BTreeSet<IpAddr>,
}

impl Addresses {
    pub(super) async fn add(
        &mut self,
        netlink: &Handle,
        interface: &str,
        index: u32,
        wanted: &[IpAddr],
    ) -> Result<(), SystemError> {
        let present = of_interface(netlink, interface, index).await?;
        for &address in wanted {
            if present.iter().any(|message| address_of(message) == Some(address)) {
                continue;
            }
            let mut request = netlink.address().add(index, address, if address.is_ipv4() { 32 } else { 128 });
            let message = request.message_mut();
            message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
            if address.is_ipv6() {
                // Nobody else on a tunnel could hold it: usable at once, without duplicate address detection.
                message.header.flags |= AddressHeaderFlags::Nodad;
            }
            match request.execute().await {
                Ok(()) => {
                    self.added.insert(address);
                }
                Err(e) if errno(&e) == Some(Errno::EXIST) => {}
                Err(e) => return Err(refused(format!("cannot add address {address} to {interface}"), &e)),
            }
        }
        Ok(())
    }

    pub(super) async fn remove_others(
        &mut self,
        netlink: &Handle,
        interface: &str,
        index: u32,
        wanted: &[IpAddr],
    ) -> Result<(), SystemError> {
        for message in of_interface(netlink, interface, index).await? {
            let Some(address) = address_of(&message) else { continue };
            let ours = self.added.contains(&address)
                || message.attributes.contains(&AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
            if !ours || wanted.contains(&address) {
                continue;
            }
            match netlink.address().del(message).execute().await {
                Ok(()) => {}
                Err(e) if matches!(errno(&e), Some(Errno::ADDRNOTAVAIL | Errno::NODEV)) => {}
                Err(e) => return Err(refused(format!("cannot remove address {address} from {interface}"), &e)),
            }
            self.added.remove(&address);
        }
        Ok(())
    }
}

/// The machine's own address in a message: on point-to-point interfaces `Address` is the other end.
pub(super) fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

async fn of_interface(netlink: &Handle, interface: &str, index: u32) -> Result<Vec<AddressMessage>, SystemError> {
    let mut request = netlink.address().get().set_link_index_filter(index);
    request.message_mut().header.index = index;
    let answer: Result<Vec<_>, _> = request.execute().try_collect().await;
    answer.map_err(|e| refused(format!("cannot read the addresses of {interface}"), &e))
}
