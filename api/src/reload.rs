//! `POST /v1/reload` and `POST /v1/confirm`: the network file is read again.

use serde::{Deserialize, Serialize};

/// How to read the network file again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReloadRequest {
    /// Only tell what is different; change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Go back to the present file's content after so many seconds, unless `POST /v1/confirm` comes before; also when
    /// the daemon was killed and started again meanwhile. 1 to 3600.
    #[serde(default)]
    pub confirm_s: Option<u32>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reload {
    /// What is different, one entry a key of the file; empty when nothing is.
    pub differences: Vec<ConfigDifference>,
    /// Whether the differences act now. A file with a difference that needs a restart is applied not at all.
    pub applied: bool,
    /// Warnings about the file, each with its place.
    pub warnings: Vec<String>,
    /// Seconds until the daemon goes back by itself, when a confirmation was asked for.
    pub confirm_within_s: Option<u32>,
}

/// One difference between the file that acts and the file on disk. Secrets are never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfigDifference {
    /// What it is about: `network.mtu`, `peers 10.1.1.1`, `peers 10.1.1.1 endPoint` ...
    pub what: String,
    /// What acts now; empty: it is new.
    pub before: String,
    /// What the file says; empty: it is gone.
    pub after: String,
    /// Whether the daemon must be started again for it.
    pub needs_restart: bool,
}
