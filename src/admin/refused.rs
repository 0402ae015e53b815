//! What is answered when a request is refused: an HTTP status, the reason, the remedy.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use wgnet_api::Refusal;

use crate::daemon::reload::ReloadRefused;
use crate::mesh::io::CommandError;

/// A refusal with its HTTP status.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    refusal: Refusal,
}

impl Refused {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, refusal: Refusal { error: error.into(), remedy: remedy.into() } }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(self.refusal)).into_response()
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        let remedy = "send a JSON object with Content-Type: application/json; the fields are in crate wgnet-api";
        Self::new(rejection.status(), rejection.body_text(), remedy)
    }
}

impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), "write /v1/why?to=NAME or /v1/why?from=NAME&to=NAME")
    }
}

impl From<ReloadRefused> for Refused {
    fn from(refused: ReloadRefused) -> Self {
        let (status, remedy) = match &refused {
            ReloadRefused::Wrong(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "nothing changed; mend the file and run `wgnet reload` again")
            }
            ReloadRefused::Awaiting => {
                (StatusCode::CONFLICT, "run `wgnet confirm` to keep it, or wait until it is taken back")
            }
            ReloadRefused::Busy => (StatusCode::CONFLICT, "try again"),
            ReloadRefused::NothingToConfirm => (StatusCode::CONFLICT, "`wgnet journal` tells what became of it"),
            ReloadRefused::Storage(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "free space in the state directory, or reload without --confirm")
            }
        };
        Self::new(status, refused.to_string(), remedy)
    }
}

impl From<CommandError> for Refused {
    fn from(error: CommandError) -> Self {
        let (status, remedy) = match &error {
            CommandError::UnknownName(_) => (StatusCode::NOT_FOUND, "`wgnet status` lists the names"),
            CommandError::NotNeighbour(_) => (StatusCode::CONFLICT, "run this at one of the two ends of the link"),
            CommandError::NotGateway => (StatusCode::CONFLICT, "run this at a gateway that the network file lists"),
            CommandError::NotAGateway(_) => (StatusCode::CONFLICT, "`wgnet status` shows which nodes are gateways"),
            CommandError::NoGateway => (StatusCode::CONFLICT, "run this at a gateway; `wgnet status` shows which are"),
            #[cfg(feature = "drill")]
            CommandError::DrillHere => (StatusCode::CONFLICT, "run this at another node that the network file lists"),
            #[cfg(feature = "drill")]
            CommandError::NotListed => {
                (StatusCode::CONFLICT, "run this at another gateway, or list this node with `gateway: false`")
            }
            #[cfg(feature = "drill")]
            CommandError::DrillGoesOn => (StatusCode::CONFLICT, "wait until it is over; `wgnet journal` tells of it"),
            #[cfg(feature = "drill")]
            CommandError::NoLinkTo(_) => (StatusCode::CONFLICT, "run this at another gateway"),
            #[cfg(feature = "drill")]
            CommandError::NoDrill => (StatusCode::CONFLICT, "`wgnet drill gateway NAME` begins one"),
            #[cfg(feature = "drill")]
            CommandError::CutsOff(_) => {
                (StatusCode::CONFLICT, "have another gateway reach them first, or drill with --force")
            }
            CommandError::Itself => (StatusCode::CONFLICT, "run this at another gateway"),
            CommandError::SameNode(_) => (StatusCode::CONFLICT, "name two nodes"),
            CommandError::NoLink(..) => (StatusCode::CONFLICT, "name the two ends of a link; `wgnet why` shows links"),
        };
        let error = match error {
            CommandError::UnknownName(name) => format!("no node named {name:?} is known"),
            CommandError::NotNeighbour(name) => {
                format!("{name:?} is no neighbour of this node: there is no link to cost")
            }
            CommandError::NotGateway => "this node is no gateway that the network file lists".to_owned(),
            CommandError::Itself => "this node cannot forget itself".to_owned(),
            #[cfg(feature = "drill")]
            CommandError::DrillHere
            | CommandError::NotListed
            | CommandError::DrillGoesOn
            | CommandError::NoDrill
            | CommandError::NoLinkTo(_)
            | CommandError::CutsOff(_) => error.to_string(),
            CommandError::NoLink(..) | CommandError::NoGateway | CommandError::NotAGateway(_) => error.to_string(),
            CommandError::SameNode(name) => format!("{name:?} is at both ends: there is no path to explain"),
        };
        Self::new(status, error, remedy)
    }
}
