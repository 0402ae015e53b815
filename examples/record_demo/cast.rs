//! Who is there, and where.
//!
//! ```text
//!   america ---- atlantic, 36 ms ---- europe ---- east, 78 ms ---- asia
//!     nyc                         fra, ams, lon                     sgp
//!   homes                             homes                        homes
//! ```
//!
//! Three public networks, joined by plain routers. Gateways and servers stand in them, homes and offices behind routers
//! that translate addresses; some of those give each destination a port of its own, so that no direct link gets through.

use std::fmt::Write as _;

use wgnet::sim::scenario::Scenario;

/// The node whose view is recorded.
pub(crate) const SEEN_BY: &str = "laptop-anna";

/// The node that claims another one's name.
pub(crate) const IMPOSTOR: &str = "impostor";

/// Public networks: name, prefix without the last number.
const REGIONS: [(&str, &str); 3] = [("europe", "192.0.2"), ("america", "198.51.100"), ("asia", "203.0.113")];

/// Gateways: name, region, milliseconds to its region's exchange.
const GATEWAYS: [(&str, &str, u8); 5] =
    [("fra", "europe", 1), ("ams", "europe", 4), ("lon", "europe", 7), ("nyc", "america", 2), ("sgp", "asia", 2)];

/// Servers in data centres, likewise; then the only nodes that their provider lets them speak with, if it is strict.
const SERVERS: [(&str, &str, u8, &str); 16] = [
    ("web-fra", "europe", 1, ""),
    ("db-fra", "europe", 1, "fra, ams"),
    ("metrics-fra", "europe", 2, "fra, lon"),
    ("git-ams", "europe", 4, ""),
    ("mail-ams", "europe", 5, "ams, lon"),
    ("log-ams", "europe", 4, "ams, fra"),
    ("ci-lon", "europe", 8, "lon, ams"),
    ("backup-lon", "europe", 8, "lon"),
    ("web-nyc", "america", 2, ""),
    ("db-nyc", "america", 2, "nyc, lon"),
    ("cache-nyc", "america", 3, "nyc"),
    ("build-ash", "america", 6, "nyc, ams"),
    ("web-sgp", "asia", 2, ""),
    ("db-sgp", "asia", 3, "sgp"),
    ("cdn-tokyo", "asia", 31, "sgp, lon"),
    ("cdn-sydney", "asia", 44, "sgp"),
];

/// Homes and offices: name, region, milliseconds of the line, whether the router gives each destination a port of its
/// own, and what is there.
const HOMES: [(&str, &str, u8, bool, &[&str]); 17] = [
    ("anna", "europe", 9, false, &["nas-anna", "laptop-anna", "pi-anna", "tv-anna"]),
    ("ben", "europe", 12, true, &["laptop-ben", "desktop-ben"]),
    ("carla", "europe", 22, false, &["nas-carla", "phone-carla"]),
    ("erik", "europe", 18, false, &["laptop-erik", "pi-erik"]),
    ("fatima", "europe", 8, true, &["laptop-fatima", "nas-fatima"]),
    ("greta", "europe", 11, false, &["desktop-greta", "phone-greta"]),
    ("oslo", "europe", 14, false, &["router-oslo", "nas-oslo", "printer-oslo", "build-oslo"]),
    ("paris", "europe", 6, true, &["router-paris", "db-paris", "cam-paris"]),
    ("cabin", "europe", 35, true, &["cabin-norway"]),
    ("hugo", "america", 11, false, &["laptop-hugo", "nas-hugo"]),
    ("iris", "america", 14, true, &["laptop-iris", "desktop-iris"]),
    ("austin", "america", 21, false, &["router-austin", "nas-austin", "cam-austin"]),
    ("jack", "america", 25, true, &["laptop-jack", "pi-jack"]),
    ("kenji", "asia", 33, false, &["laptop-kenji", "nas-kenji"]),
    ("lin", "asia", 24, true, &["desktop-lin", "phone-lin"]),
    ("sydney", "asia", 46, false, &["router-sydney", "nas-sydney"]),
    ("mei", "asia", 5, true, &["laptop-mei", "pi-mei"]),
];

/// The whole scene; nothing happens yet.
pub(crate) fn scene() -> Result<Scenario, String> {
    let mut text =
        "name: demo\nabout: the mesh of the demo\nduration: 10m\nnetwork: { subnet: 10.7.0.0/16 }\n".to_owned();
    let mut nodes = String::new();
    let mut segments = String::new();
    let mut routers = String::new();
    for (name, prefix) in REGIONS {
        put(&mut segments, format_args!("  {name}: {{ prefix: {prefix}.0/24 }}"));
    }
    for (name, region, to, latency) in [("atlantic", "america", 253, 36), ("east", "asia", 252, 78)] {
        put(
            &mut routers,
            format_args!(
                "  {name}: {{ inside: {{ segment: {region}, address: {}.254 }}, outside: {{ segment: europe, address: \
                 192.0.2.{to} }}, mapping: none, filtering: endpoint-independent, link: {{ latency: {latency}ms, \
                 jitter: 2ms }} }}",
                public(region)
            ),
        );
    }
    let mut last = 0_u8;
    for (name, region, latency) in GATEWAYS {
        last += 1;
        let at = format!("{}.{last}", public(region));
        let line = format!("attach: {{ {region}: {{ address: {at}, {} }} }}", link(latency, 1));
        put(&mut nodes, format_args!("  {name}: {{ address: 10.7.0.{last}, {line}, static: true }}"));
    }
    last = 10;
    for (name, region, latency, reaches) in SERVERS {
        last += 1;
        let at = format!("{}.{last}", public(region));
        let line = format!("attach: {{ {region}: {{ address: {at}, {} }} }}", link(latency, 1));
        put(&mut nodes, format_args!("  {name}: {{ address: 10.7.0.{last}, {line}, reaches: [{reaches}] }}"));
    }
    last = 30;
    for (number, (home, region, latency, symmetric, devices)) in HOMES.into_iter().enumerate() {
        let (inside, outside) = (format!("192.168.{number}"), format!("{}.{}", public(region), 100 + number));
        put(&mut segments, format_args!("  {home}: {{ prefix: {inside}.0/24 }}"));
        let mapping = if symmetric { "symmetric" } else { "endpoint-independent" };
        put(
            &mut routers,
            format_args!(
                "  home-{home}: {{ inside: {{ segment: {home}, address: {inside}.254 }}, outside: {{ segment: {region}, \
                 address: {outside} }}, mapping: {mapping}, {} }}",
                link(latency, latency / 4)
            ),
        );
        for (device, name) in devices.iter().enumerate() {
            last += 1;
            let class = match name.split('-').next() {
                Some("laptop") => "roaming",
                Some("phone") => "mobile",
                _ => "server",
            };
            // Wireless ones are not as steady as those on a cable.
            let wireless = if class == "server" { 0 } else { 3 };
            let at = format!("{inside}.{}", device + 10);
            let line = format!("attach: {{ {home}: {{ address: {at}, {} }} }}", link(1, wireless));
            put(&mut nodes, format_args!("  {name}: {{ address: 10.7.0.{last}, {line}, class: {class} }}"));
        }
    }
    put(
        &mut nodes,
        format_args!(
            "  {IMPOSTOR}: {{ address: 10.7.0.99, attach: {{ europe: {{ address: 192.0.2.99, {} }} }}, start: never, \
             claims: {{ name: nas-anna }} }}",
            link(17, 2)
        ),
    );
    for (key, lines) in [("segments", segments), ("routers", routers), ("nodes", nodes)] {
        write!(text, "{key}:\n{lines}").map_err(|error| error.to_string())?;
    }
    Scenario::parse(&text).map_err(|error| error.to_string())
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes all");
}

fn public(region: &str) -> &'static str {
    REGIONS.iter().find(|(name, _)| *name == region).expect("a region of the table").1
}

fn link(latency_ms: u8, jitter_ms: u8) -> String {
    format!("link: {{ latency: {latency_ms}ms, jitter: {jitter_ms}ms }}")
}
