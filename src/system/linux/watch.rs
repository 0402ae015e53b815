//! Notices when links or addresses of the machine change: netlink's multicast groups, or a look every 5 s where they
//! cannot be had.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// Plugging a cable in makes a burst of messages: one look at the end of it is enough.
const SETTLE: Duration = Duration::from_millis(50);
/// How often to look where nothing can be subscribed to.
const POLL: Duration = Duration::from_secs(5);

pub(super) struct Watch {
    subscription: Option<Subscription>,
    /// When to report, kept here so that a `changed` that is dropped halfway loses nothing.
    due: Option<Instant>,
}

struct Subscription {
    /// One item per message that may matter.
    changes: Pin<Box<dyn Stream<Item = ()> + Send + Sync>>,
    connection: AbortHandle,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Watch {
    pub(super) fn open() -> Self {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let subscription = match rtnetlink::new_multicast_connection(&groups) {
            Ok((connection, _, messages)) => Some(Subscription {
                connection: tokio::spawn(connection).abort_handle(),
                changes: Box::pin(
                    messages.filter_map(|(message, _)| std::future::ready(may_matter(&message.payload).then_some(()))),
                ),
            }),
            Err(e) => {
                tracing::info!("cannot subscribe to network changes ({e}): looking every {} s", POLL.as_secs());
                None
            }
        };
        Self { subscription, due: None }
    }

    pub(super) async fn changed(&mut self) {
        loop {
            let Some(subscription) = &mut self.subscription else {
                let due = *self.due.get_or_insert_with(|| Instant::now() + POLL);
                sleep_until(due).await;
                self.due = None;
                return;
            };
            let change = match self.due {
                None => subscription.changes.next().await,
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {
                        self.due = None;
                        return;
                    }
                    change = subscription.changes.next() => change,
                },
            };
            match change {
                Some(()) => {
                    self.due.get_or_insert_with(|| Instant::now() + SETTLE);
                }
                None => self.subscription = None,
            }
        }
    }
}

fn may_matter(payload: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
    match payload {
        NetlinkPayload::InnerMessage(message) => matches!(
            message,
            RouteNetlinkMessage::NewAddress(_)
                | RouteNetlinkMessage::DelAddress(_)
                | RouteNetlinkMessage::NewLink(_)
                | RouteNetlinkMessage::DelLink(_)
        ),
        // Messages were lost: whatever they said is seen by looking.
        NetlinkPayload::Overrun(_) => true,
        _ => false,
    }
}
