//! What can be changed, and how far a change is: chosen, filled in, weighed, asked about, done.
//!
//! ```text
//! choose --Enter--> fill --Enter--> weigh (forecast or dry run) --answer--> ask y/n --y--> do --answer--> done
//! ```

use tui_input::Input;
use wgnet_api::{Change, LogLevel, PathKind, ReloadRequest, Snapshot};

use crate::message::{Outcome, Refused, Request};
use crate::model::Forecast;

/// What can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Set the cost of a link.
    LinkCost,
    /// Measure it again.
    ClearLinkCost,
    /// Set the least cost of this gateway's links.
    GatewayCost,
    /// Measure them again.
    ClearGatewayCost,
    /// Lead the traffic of others around this gateway.
    Drain,
    /// Take it back.
    Undrain,
    /// Probe one peer or all.
    Probe,
    /// Let a name go to another identity.
    Forget,
    /// Read the network file again.
    Reload,
    /// Keep what a reload brought.
    Confirm,
    /// How much the daemon logs.
    LogLevel,
}

/// A blank of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blank {
    /// Name of a neighbour.
    Neighbour,
    /// Name of a peer; may be left empty: all.
    PeerOrAll,
    /// Name of a node.
    Node,
    /// A cost.
    Cost,
    /// Seconds; may be left empty.
    Seconds,
    /// A log level.
    Level,
}

impl Blank {
    /// What to put in.
    pub fn label(self) -> &'static str {
        match self {
            Self::Neighbour => "neighbour",
            Self::PeerOrAll => "peer (empty: all)",
            Self::Node => "name",
            Self::Cost => "cost (1 to 1000000)",
            Self::Seconds => "undo after seconds (empty: keep)",
            Self::Level => "level",
        }
    }

    /// What fits, of which Tab takes the first that begins as typed.
    pub fn choices(self, shown: Option<&Snapshot>) -> Vec<String> {
        let peers = shown.map(|shown| shown.status.peers.as_slice()).unwrap_or_default();
        let names = |only_direct: bool| {
            let fits = peers.iter().filter(|peer| !peer.foreign && (!only_direct || peer.path == PathKind::Direct));
            fits.map(|peer| peer.name.clone()).collect()
        };
        match self {
            Self::Neighbour => names(true),
            Self::PeerOrAll | Self::Node => names(false),
            Self::Level => ["error", "warn", "info", "debug", "trace"].map(str::to_owned).to_vec(),
            Self::Cost | Self::Seconds => Vec::new(),
        }
    }
}

impl Deed {
    /// Every one, in the order of the list.
    pub const ALL: [Self; 11] = [
        Self::LinkCost,
        Self::ClearLinkCost,
        Self::GatewayCost,
        Self::ClearGatewayCost,
        Self::Drain,
        Self::Undrain,
        Self::Probe,
        Self::Forget,
        Self::Reload,
        Self::Confirm,
        Self::LogLevel,
    ];

    /// What it is called in the palette.
    pub fn word(self) -> &'static str {
        match self {
            Self::LinkCost => "link-cost",
            Self::ClearLinkCost => "link-cost-clear",
            Self::GatewayCost => "gateway-cost",
            Self::ClearGatewayCost => "gateway-cost-clear",
            Self::Drain => "drain",
            Self::Undrain => "drain-undo",
            Self::Probe => "probe",
            Self::Forget => "forget",
            Self::Reload => "reload",
            Self::Confirm => "confirm",
            Self::LogLevel => "log-level",
        }
    }

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::LinkCost => "Set a link's cost",
            Self::ClearLinkCost => "Measure a link's cost again",
            Self::GatewayCost => "Set this gateway's cost",
            Self::ClearGatewayCost => "Measure this gateway's cost again",
            Self::Drain => "Drain this gateway",
            Self::Undrain => "Take traffic back",
            Self::Probe => "Probe now",
            Self::Forget => "Forget a name",
            Self::Reload => "Reload the network file",
            Self::Confirm => "Keep the reloaded file",
            Self::LogLevel => "Set the log level",
        }
    }

    /// What it does.
    pub fn help(self) -> &'static str {
        match self {
            Self::LinkCost => "The link to a neighbour costs what you say instead of what is measured.",
            Self::ClearLinkCost => "The link to a neighbour costs what is measured, as if none had been set.",
            Self::GatewayCost => "Every link of this gateway costs at least so much: others prefer another gateway.",
            Self::ClearGatewayCost => "The links of this gateway cost what is measured.",
            Self::Drain => "Traffic of others leaves this gateway where there is another way, before you stop it.",
            Self::Undrain => "Traffic of others may pass this gateway again.",
            Self::Probe => "Links are probed now instead of when they are due.",
            Self::Forget => {
                "The name and addresses of a reinstalled or lost node are free for another one. At a gateway of the file only."
            }
            Self::Reload => "The network file is read again; first you see what is different.",
            Self::Confirm => "What the last reload brought stays; without it, it goes back when its time is over.",
            Self::LogLevel => "The daemon logs more or less until it is restarted.",
        }
    }

    /// What it needs to know.
    pub fn blanks(self) -> &'static [Blank] {
        match self {
            Self::LinkCost => &[Blank::Neighbour, Blank::Cost],
            Self::ClearLinkCost => &[Blank::Neighbour],
            Self::GatewayCost => &[Blank::Cost],
            Self::Probe => &[Blank::PeerOrAll],
            Self::Forget => &[Blank::Node],
            Self::Reload => &[Blank::Seconds],
            Self::LogLevel => &[Blank::Level],
            Self::ClearGatewayCost | Self::Drain | Self::Undrain | Self::Confirm => &[],
        }
    }

    /// The request that the filled-in blanks make, or what is wrong with them.
    pub fn request(self, values: &[&str]) -> Result<Request, String> {
        let value = |index: usize| values.get(index).copied().unwrap_or_default().trim();
        let name = |index: usize| match value(index) {
            "" => Err("which one? give a name".to_owned()),
            name => Ok(name.to_owned()),
        };
        let cost = |index: usize| {
            let cost = value(index).parse().ok().filter(|cost| (1..=1_000_000).contains(cost));
            cost.ok_or_else(|| "a cost is a number from 1 to 1000000".to_owned())
        };
        Ok(match self {
            Self::LinkCost => Request::LinkCost { peer: name(0)?, cost: Some(cost(1)?) },
            Self::ClearLinkCost => Request::LinkCost { peer: name(0)?, cost: None },
            Self::GatewayCost => Request::GatewayCost(Some(cost(0)?)),
            Self::ClearGatewayCost => Request::GatewayCost(None),
            Self::Drain => Request::Drain(true),
            Self::Undrain => Request::Drain(false),
            Self::Probe => Request::Probe(Some(value(0)).filter(|name| !name.is_empty()).map(str::to_owned)),
            Self::Forget => Request::Forget(name(0)?),
            Self::Reload => {
                let seconds = |text: &str| text.parse().ok().filter(|seconds| (1..=3_600).contains(seconds));
                let confirm_s = match value(0) {
                    "" => None,
                    text => Some(seconds(text).ok_or_else(|| "seconds are a number from 1 to 3600".to_owned())?),
                };
                Request::Reload(ReloadRequest { dry_run: false, confirm_s })
            }
            Self::Confirm => Request::Confirm,
            Self::LogLevel => Request::LogLevel(match value(0) {
                "error" => LogLevel::Error,
                "warn" => LogLevel::Warn,
                "info" => LogLevel::Info,
                "debug" => LogLevel::Debug,
                "trace" => LogLevel::Trace,
                _ => return Err("a level is one of error, warn, info, debug, trace".to_owned()),
            }),
        })
    }
}

/// What to find out before a request is made.
#[derive(Clone, Debug, PartialEq)]
pub enum Weighing {
    /// Nothing: it harms nobody.
    Harmless,
    /// Ask this first.
    Ask(Request),
    /// Nothing can be found out, and why; ask the user all the same.
    Unknown(&'static str),
}

/// What to find out before a request, with the real names of the mesh as it is now.
pub fn weigh(request: &Request, now: Option<&Snapshot>) -> Weighing {
    let Some(now) = now else { return Weighing::Unknown("no daemon tells what would change") };
    let own = &now.status.node.name;
    let forecast = |change: Change| Weighing::Ask(Request::Plan(vec![change]));
    match request {
        Request::LinkCost { peer, cost: Some(cost) } => {
            forecast(Change::Cost { a: own.clone(), b: peer.clone(), cost: *cost })
        }
        Request::LinkCost { cost: None, .. } | Request::GatewayCost(None) => {
            Weighing::Unknown("what will be measured is not known before")
        }
        Request::GatewayCost(Some(cost)) => forecast(Change::GatewayCost { name: own.clone(), cost: *cost }),
        Request::Drain(true) => forecast(Change::Drain(own.clone())),
        Request::Drain(false) => Weighing::Unknown("links will cost what is measured then"),
        Request::Forget(_) => Weighing::Unknown("whoever claims the name next gets it, and its addresses"),
        Request::Reload(_) => Weighing::Ask(Request::Reload(ReloadRequest { dry_run: true, confirm_s: None })),
        Request::Probe(_) | Request::Confirm | Request::LogLevel(_) | Request::Why { .. } | Request::Plan(_) => {
            Weighing::Harmless
        }
    }
}

/// A request in words, as a question is asked about it.
pub fn words(request: &Request) -> String {
    match request {
        Request::Why { from, to } => match from {
            Some(from) => format!("why {from} {to}"),
            None => format!("why {to}"),
        },
        Request::Plan(changes) => format!("a forecast of {} changes", changes.len()),
        Request::LinkCost { peer, cost: Some(cost) } => format!("set the cost of the link to {peer} to {cost}"),
        Request::LinkCost { peer, cost: None } => format!("measure the cost of the link to {peer} again"),
        Request::GatewayCost(Some(cost)) => format!("set the least cost of this gateway's links to {cost}"),
        Request::GatewayCost(None) => "measure the cost of this gateway's links again".to_owned(),
        Request::Drain(true) => "drain this gateway".to_owned(),
        Request::Drain(false) => "take the traffic of others back".to_owned(),
        Request::Probe(Some(peer)) => format!("probe {peer}"),
        Request::Probe(None) => "probe every link".to_owned(),
        Request::Forget(name) => format!("forget {name}"),
        Request::Reload(ReloadRequest { dry_run: true, .. }) => "compare the network file".to_owned(),
        Request::Reload(_) => "reload the network file".to_owned(),
        Request::Confirm => "keep the reloaded file".to_owned(),
        Request::LogLevel(level) => format!("set the log level to {level:?}").to_lowercase(),
    }
}

/// A form that is being filled in.
#[derive(Clone, Debug)]
pub struct Form {
    /// For what.
    pub deed: Deed,
    /// What was typed, one a blank.
    pub inputs: Vec<Input>,
    /// The blank that is being typed in.
    pub focus: usize,
    /// What is wrong.
    pub mistake: Option<String>,
}

impl Form {
    /// An empty form.
    pub fn new(deed: Deed) -> Self {
        Self { deed, inputs: deed.blanks().iter().map(|_| Input::default()).collect(), focus: 0, mistake: None }
    }
}

/// How far a change is.
#[derive(Clone, Debug, Default)]
pub enum Stage {
    /// The list.
    #[default]
    Choose,
    /// A form.
    Fill(Form),
    /// Its forecast is on its way.
    Weighing(Request),
    /// The user is asked.
    Asking {
        /// What for.
        request: Request,
        /// What it would bring.
        forecast: Forecast,
    },
    /// It was told to the daemon.
    Doing(Request),
    /// The daemon answered.
    Done {
        /// What.
        request: Request,
        /// With what result.
        outcome: Result<Outcome, Refused>,
    },
}

/// The screen's state.
#[derive(Clone, Debug, Default)]
pub struct Admin {
    /// The chosen row of [`Deed::ALL`].
    pub chosen: usize,
    /// How far the change is.
    pub stage: Stage,
    /// Rows of a forecast scrolled away.
    pub scroll: usize,
}

impl Admin {
    /// Whether a question waits for yes or no.
    pub fn is_asking(&self) -> bool {
        matches!(self.stage, Stage::Asking { .. })
    }

    /// Whether letters are typed into a form.
    pub fn is_typing(&self) -> bool {
        matches!(self.stage, Stage::Fill(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn blanks_become_requests_or_say_what_is_wrong() {
        assert_eq!(
            Deed::LinkCost.request(&["beta", "70"]),
            Ok(Request::LinkCost { peer: "beta".into(), cost: Some(70) })
        );
        assert_eq!(Deed::LinkCost.request(&["", "70"]), Err("which one? give a name".into()));
        assert!(Deed::LinkCost.request(&["beta", "0"]).is_err());
        assert!(Deed::GatewayCost.request(&["1000001"]).is_err());
        assert_eq!(Deed::Probe.request(&[" "]), Ok(Request::Probe(None)));
        assert_eq!(
            Deed::Reload.request(&["120"]),
            Ok(Request::Reload(ReloadRequest { dry_run: false, confirm_s: Some(120) }))
        );
        assert!(Deed::Reload.request(&["soon"]).is_err());
        assert!(Deed::LogLevel.request(&["loud"]).is_err());
    }

    #[test]
    fn what_moves_traffic_is_weighed_first() {
        let mesh = fixture::snapshot(8);
        let cost = Request::LinkCost { peer: "beta".into(), cost: Some(70) };
        let change = Change::Cost { a: "alice".into(), b: "beta".into(), cost: 70 };
        assert_eq!(weigh(&cost, Some(&mesh)), Weighing::Ask(Request::Plan(vec![change])));
        let drain = Weighing::Ask(Request::Plan(vec![Change::Drain("alice".into())]));
        assert_eq!(weigh(&Request::Drain(true), Some(&mesh)), drain);
        let reload = Request::Reload(ReloadRequest { dry_run: false, confirm_s: Some(9) });
        let dry = Request::Reload(ReloadRequest { dry_run: true, confirm_s: None });
        assert_eq!(weigh(&reload, Some(&mesh)), Weighing::Ask(dry));
        assert_eq!(weigh(&Request::Probe(None), Some(&mesh)), Weighing::Harmless);
        assert!(matches!(weigh(&Request::Drain(true), None), Weighing::Unknown(_)));
        assert!(matches!(weigh(&Request::Forget("bob".into()), Some(&mesh)), Weighing::Unknown(_)));
    }
}
