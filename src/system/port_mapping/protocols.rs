//! PCP, NAT-PMP and UPnP-IGD, asked side by side; the first of them in this order that grants the port keeps it.
//!
//! Only the router itself is believed: PCP's and NAT-PMP's sockets are connected to it, and a UPnP device elsewhere on
//! the link is not the router. Each question runs in a task of its own, so that a crate that panics over an answer is one
//! protocol less, and each has an end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::{GatewayAddress, InternetProtocol, PortMappingOptions, TimeoutConfig, natpmp, pcp};
use igd_next::aio::Gateway;
use igd_next::aio::tokio::Tokio;
use igd_next::{AddPortError, PortMappingProtocol, SearchOptions};
use tokio::net::UdpSocket;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::Wanted;
use super::keeper::{Ask, Granted, LEASE};
use crate::mesh::io::{MappingProtocol, PortMapping};

/// PCP and NAT-PMP: 1.75 s in all. The router is on this link and answers within milliseconds, or never.
const PATIENCE: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(250),
    max_retries: 2,
    max_retry_timeout: Some(Duration::from_secs(1)),
};
/// How long a UPnP router may take to be found: it waits up to 2 s by design, and describes itself by HTTP.
const SEARCH: Duration = Duration::from_secs(4);
/// How long a UPnP router may take for all that is asked of it then.
const CONTROL: Duration = Duration::from_secs(5);
/// UPnP's group and port, UPnP Device Architecture 1.1, section 1.3.2.
const SSDP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 1900);
/// The router is there, and its line is not, or leads into another private network.
const NO_OUTSIDE: &str = "the router has no public address";
/// What people see in the router's list.
const DESCRIPTION: &str = "wgnet";

/// What it takes to renew a mapping and to give it back.
#[derive(Clone)]
pub(super) enum Grant {
    /// By PCP or NAT-PMP.
    Small(crab_nat::PortMapping),
    /// By UPnP: the router and its port outside.
    Upnp(Box<Gateway<Tokio>>, u16),
    /// Nothing: the router would map if it had a public address.
    Nothing,
}

/// Asks by all three.
pub(super) struct Protocols {
    nonce: pcp::Nonce,
}

impl Protocols {
    pub(super) fn new(nonce: [u8; 12]) -> Self {
        let word = |at: usize| u32::from_be_bytes([nonce[at], nonce[at + 1], nonce[at + 2], nonce[at + 3]]);
        Self { nonce: [word(0), word(4), word(8)] }
    }
}

impl Ask for Protocols {
    type Grant = Grant;

    async fn ask(&mut self, wanted: Wanted, held: Option<&mut Grant>) -> Result<Granted<Grant>, String> {
        let local = local_address(wanted.router).await?;
        let port = NonZeroU16::new(wanted.port).ok_or("WireGuard has no port")?;
        // A router that forgot the mapping makes it anew by the same question.
        if let Some(held) = held
            && let Ok(granted) = finished(tokio::spawn(renew(held.clone(), wanted, local))).await
        {
            return Ok(granted);
        }
        let by_pcp = tokio::spawn(by_pcp(wanted.router, local, port, self.nonce));
        let by_nat_pmp = tokio::spawn(outside_by_nat_pmp(wanted.router));
        let by_upnp = Searching(tokio::spawn(search(wanted.router, local)));
        let no_pcp = match finished(by_pcp).await {
            Ok(granted) => return Ok(granted),
            Err(why) => why,
        };
        let outside = finished(by_nat_pmp).await;
        let is_private = outside == Ok(None);
        let no_nat_pmp = match outside {
            Ok(Some(outside)) => match finished(tokio::spawn(by_nat_pmp_at(wanted.router, port, outside))).await {
                Ok(granted) => return Ok(granted),
                Err(why) => why,
            },
            Ok(None) => NO_OUTSIDE.to_owned(),
            Err(why) => why,
        };
        let upnp = async {
            let gateway = by_upnp.found().await?;
            finished(tokio::spawn(map_by_upnp(gateway, local, wanted.port, wanted.port))).await
        };
        match upnp.await {
            Err(_) if is_private => {
                let external = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
                let mapping = PortMapping { protocol: MappingProtocol::NatPmp, external };
                Ok(Granted { mapping, lease: LEASE, grant: Grant::Nothing })
            }
            upnp => upnp.map_err(|no_upnp| format!("PCP: {no_pcp}; NAT-PMP: {no_nat_pmp}; UPnP: {no_upnp}")),
        }
    }

    async fn give_back(&mut self, grant: Grant) {
        let outcome = finished(tokio::spawn(async move {
            match grant {
                Grant::Small(mapping) => mapping.try_drop().await.map_err(|(e, _)| e.to_string()),
                Grant::Nothing => Ok(()),
                Grant::Upnp(gateway, port) => {
                    let removed = timeout(CONTROL, gateway.remove_port(PortMappingProtocol::UDP, port)).await;
                    removed.map_err(|_| late())?.map_err(|e| e.to_string())
                }
            }
        }));
        if let Err(why) = outcome.await {
            tracing::debug!("the router keeps the mapped port until its lease is over: {why}");
        }
    }
}

/// A search in progress, which ends with whoever wants its result.
struct Searching(JoinHandle<Result<Gateway<Tokio>, String>>);

impl Searching {
    async fn found(mut self) -> Result<Gateway<Tokio>, String> {
        (&mut self.0).await.unwrap_or_else(|_| Err(panicked()))
    }
}

impl Drop for Searching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn finished<T>(task: JoinHandle<Result<T, String>>) -> Result<T, String> {
    task.await.unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> String {
    "its answer cannot be read".to_owned()
}

fn late() -> String {
    "no answer in time".to_owned()
}

/// This machine's address on the link to the router. Connecting sends nothing.
async fn local_address(router: Ipv4Addr) -> Result<Ipv4Addr, String> {
    let look = async {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect((router, crab_nat::GATEWAY_PORT)).await?;
        socket.local_addr()
    };
    match look.await.map_err(|e| e.to_string())?.ip() {
        IpAddr::V4(local) => Ok(local),
        IpAddr::V6(_) => Err("no IPv4".to_owned()),
    }
}

fn options(port: NonZeroU16) -> PortMappingOptions {
    PortMappingOptions {
        external_port: Some(port),
        lifetime_seconds: u32::try_from(LEASE.as_secs()).ok(),
        timeout_config: Some(PATIENCE),
    }
}

async fn renew(held: Grant, wanted: Wanted, local: Ipv4Addr) -> Result<Granted<Grant>, String> {
    match held {
        Grant::Small(mapping) => {
            let port = mapping.internal_port();
            match mapping.mapping_type() {
                crab_nat::PortMappingType::NatPmp => {
                    let outside = outside_by_nat_pmp(wanted.router).await?.ok_or(NO_OUTSIDE)?;
                    let options = PortMappingOptions { external_port: Some(mapping.external_port()), ..options(port) };
                    let router = GatewayAddress::IpV4(wanted.router);
                    let mapped = natpmp::port_mapping(router, InternetProtocol::Udp, port, options).await;
                    Ok(granted_small(mapped.map_err(|e| e.to_string())?, outside.into(), MappingProtocol::NatPmp))
                }
                crab_nat::PortMappingType::Pcp { nonce, external_ip, .. } => {
                    let options = PortMappingOptions { external_port: Some(mapping.external_port()), ..options(port) };
                    map_by_pcp(wanted.router, local, port, nonce, Some(external_ip), options).await
                }
            }
        }
        Grant::Upnp(gateway, port) => map_by_upnp(*gateway, local, wanted.port, port).await,
        Grant::Nothing => Err("there is nothing to renew".to_owned()),
    }
}

async fn by_pcp(
    router: Ipv4Addr,
    local: Ipv4Addr,
    port: NonZeroU16,
    nonce: pcp::Nonce,
) -> Result<Granted<Grant>, String> {
    map_by_pcp(router, local, port, nonce, None, options(port)).await
}

async fn map_by_pcp(
    router: Ipv4Addr,
    local: Ipv4Addr,
    port: NonZeroU16,
    nonce: pcp::Nonce,
    outside: Option<IpAddr>,
    options: PortMappingOptions,
) -> Result<Granted<Grant>, String> {
    let router = GatewayAddress::IpV4(router);
    let request = pcp::BaseMapRequest::new(router, local.into(), InternetProtocol::Udp, port);
    let mapping = pcp::port_mapping(request, Some(nonce), outside, options).await.map_err(|e| e.to_string())?;
    match mapping.mapping_type() {
        crab_nat::PortMappingType::Pcp { external_ip, .. } => {
            Ok(granted_small(mapping, external_ip, MappingProtocol::Pcp))
        }
        crab_nat::PortMappingType::NatPmp => Err("the answer is of another protocol".to_owned()),
    }
}

/// The router's outside; `None` where it says that it has none. miniupnpd says so, too, when its outside is private.
async fn outside_by_nat_pmp(router: Ipv4Addr) -> Result<Option<Ipv4Addr>, String> {
    match natpmp::external_address(GatewayAddress::IpV4(router), Some(PATIENCE)).await {
        Ok(outside) => Ok(Some(outside)),
        Err(natpmp::Failure::NetworkFailure) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

async fn by_nat_pmp_at(router: Ipv4Addr, port: NonZeroU16, outside: Ipv4Addr) -> Result<Granted<Grant>, String> {
    let mapped = natpmp::port_mapping(GatewayAddress::IpV4(router), InternetProtocol::Udp, port, options(port)).await;
    Ok(granted_small(mapped.map_err(|e| e.to_string())?, outside.into(), MappingProtocol::NatPmp))
}

fn granted_small(mapping: crab_nat::PortMapping, outside: IpAddr, protocol: MappingProtocol) -> Granted<Grant> {
    let external = SocketAddr::new(outside.to_canonical(), mapping.external_port().get());
    let lease = Duration::from_secs(mapping.lifetime().into());
    Granted { mapping: PortMapping { protocol, external }, lease, grant: Grant::Small(mapping) }
}

/// Looks for the router's UPnP service: by multicast, as the rule is, and by a question to the router alone, as some
/// answer only that, and as another device may answer the first one sooner.
async fn search(router: Ipv4Addr, local: Ipv4Addr) -> Result<Gateway<Tokio>, String> {
    let mut searches = JoinSet::new();
    for to in [SSDP, SocketAddr::from((router, SSDP.port()))] {
        let mut options = SearchOptions::default();
        options.bind_addr = SocketAddr::from((local, 0));
        options.broadcast_address = to;
        options.timeout = Some(SEARCH);
        searches.spawn(igd_next::aio::tokio::search_gateway(options));
    }
    let mut why = "no answer".to_owned();
    while let Some(found) = searches.join_next().await {
        match found {
            Ok(Ok(gateway)) if gateway.addr.ip() == IpAddr::V4(router) => return Ok(gateway),
            Ok(Ok(gateway)) => why = format!("{} answered, which is not the router", gateway.addr.ip()),
            Ok(Err(igd_next::SearchError::NoResponseWithinTimeout)) => {}
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = panicked(),
        }
    }
    Err(why)
}

/// Maps this outside port of a UPnP router, or another one where that is taken.
async fn map_by_upnp(
    gateway: Gateway<Tokio>,
    local: Ipv4Addr,
    port: u16,
    outside_port: u16,
) -> Result<Granted<Grant>, String> {
    let protocol = PortMappingProtocol::UDP;
    let here = SocketAddr::from((local, port));
    let seconds = u32::try_from(LEASE.as_secs()).unwrap_or(u32::MAX);
    let asked = async {
        let outside = gateway.get_external_ip().await.map_err(|e| e.to_string())?;
        let mut mapped = gateway.add_port(protocol, outside_port, here, seconds, DESCRIPTION).await;
        let mut lease = LEASE;
        if matches!(mapped, Err(AddPortError::OnlyPermanentLeasesSupported)) {
            // It is given back at the end, and taken up again by the next start after a crash.
            mapped = gateway.add_port(protocol, outside_port, here, 0, DESCRIPTION).await;
            lease = Duration::from_secs(86_400);
        }
        let outside_port = match mapped {
            Ok(()) => outside_port,
            Err(AddPortError::PortInUse) => {
                gateway.add_any_port(protocol, here, seconds, DESCRIPTION).await.map_err(|e| e.to_string())?
            }
            Err(error) => return Err(error.to_string()),
        };
        Ok((SocketAddr::new(outside, outside_port), lease))
    };
    let (external, lease) = timeout(CONTROL, asked).await.map_err(|_| late())??;
    let mapping = PortMapping { protocol: MappingProtocol::Upnp, external };
    let port = external.port();
    Ok(Granted { mapping, lease, grant: Grant::Upnp(Box::new(gateway), port) })
}
