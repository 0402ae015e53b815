//! When a router is asked: at once, again before the mapping lapses, again after a while when there was no answer.
//!
//! A router that restarts forgets its mappings, and says so to nobody who can be sure to hear it. So a mapping is renewed
//! every two minutes, which costs a few packets on the link to the router.

use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::protocols::Protocols;
use super::{PortMapper, Wanted};
use crate::mesh::io::PortMapping;

/// How long a mapping is asked for: what a killed daemon leaves behind is gone after that.
pub(super) const LEASE: Duration = Duration::from_secs(600);
/// How often a mapping is renewed: a router that forgot it is without it for that long.
const RENEW: Duration = Duration::from_secs(120);
/// The least time between two questions, whatever lease a router gives.
const SOONEST: Duration = Duration::from_secs(10);
/// How soon a router that does not renew is asked again.
const RETRY: Duration = Duration::from_secs(20);
/// How soon a router without an answer is asked again: so long, doubling ...
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// ... up to so long. Someone may switch it on.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The longest that one attempt by all protocols may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest that giving back may take.
const GIVE_BACK: Duration = Duration::from_secs(2);

/// A way to ask routers.
pub(super) trait Ask {
    /// What it takes to renew a mapping and to give it back.
    type Grant;

    /// Asks for a mapping, or for its renewal.
    ///
    /// # Errors
    /// Why there is none, for the log.
    async fn ask(&mut self, wanted: Wanted, held: Option<&mut Self::Grant>) -> Result<Granted<Self::Grant>, String>;

    /// Gives a mapping back.
    async fn give_back(&mut self, grant: Self::Grant);
}

/// What a router granted.
pub(super) struct Granted<G> {
    pub(super) mapping: PortMapping,
    /// How long it holds without being renewed, as the router says.
    pub(super) lease: Duration,
    pub(super) grant: G,
}

/// A mapping that is held.
struct Held<G> {
    wanted: Wanted,
    mapping: PortMapping,
    lapses: Instant,
    grant: G,
}

/// What the thread shall do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Order {
    wanted: Option<Wanted>,
    /// Rises when the router shall be asked now.
    serial: u64,
}

/// Asks the router in a thread, which there is from the first thing wanted on.
struct Keeper {
    orders: watch::Sender<Order>,
    idle: Option<Luggage>,
}

/// What the thread takes along.
struct Luggage {
    orders: watch::Receiver<Order>,
    achieved: mpsc::Sender<Option<PortMapping>>,
    nonce: [u8; 12],
}

/// Makes the mapper of this machine. `nonce` tells the mappings of this node from those of others behind the same router:
/// the same at each start, so that a daemon can renew what a killed one left, and nobody else's guess.
pub fn start(nonce: [u8; 12], achieved: mpsc::Sender<Option<PortMapping>>) -> Box<dyn PortMapper> {
    let (orders, receiver) = watch::channel(Order::default());
    Box::new(Keeper { orders, idle: Some(Luggage { orders: receiver, achieved, nonce }) })
}

impl PortMapper for Keeper {
    fn set(&mut self, wanted: Option<Wanted>) {
        self.orders.send_if_modified(|order| std::mem::replace(&mut order.wanted, wanted) != wanted);
        if wanted.is_none() {
            return;
        }
        if let Some(Luggage { orders, achieved, nonce }) = self.idle.take() {
            let work = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(keep(Protocols::new(nonce), orders, achieved)),
                Err(error) => tracing::debug!("no port mapping: {error}"),
            };
            // Without the thread this node is as it would be without such a router.
            if let Err(error) = thread::Builder::new().name("port-mapping".to_owned()).spawn(work) {
                tracing::debug!("no port mapping: {error}");
            }
        }
    }

    fn ask_again(&mut self) {
        self.orders.send_if_modified(|order| {
            order.serial += 1;
            order.wanted.is_some()
        });
    }
}

/// Keeps what is wanted mapped until nobody can want anything any more. What is held then stays: the next run takes it over.
async fn keep<A: Ask>(mut router: A, mut orders: watch::Receiver<Order>, achieved: mpsc::Sender<Option<PortMapping>>) {
    let mut held: Option<Held<A::Grant>> = None;
    let mut failures = 0;
    let mut last = Order::default();
    loop {
        let order = *orders.borrow_and_update();
        if order != last {
            failures = 0;
        }
        last = order;
        if let Some(before) = held.take_if(|held| Some(held.wanted) != order.wanted) {
            // Another router now: this one may be far away.
            let _ = timeout(GIVE_BACK, router.give_back(before.grant)).await;
            if achieved.send(None).await.is_err() {
                return;
            }
        }
        let Some(wanted) = order.wanted else {
            if orders.changed().await.is_err() {
                return;
            }
            continue;
        };
        let answer = timeout(PATIENCE, router.ask(wanted, held.as_mut().map(|held| &mut held.grant))).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        let before = held.as_ref().map(|held| held.mapping);
        let pause = match answer {
            Ok(Granted { mapping, lease, grant }) => {
                failures = 0;
                held = Some(Held { wanted, mapping, lapses: Instant::now() + lease, grant });
                RENEW.min(lease / 2).max(SOONEST)
            }
            Err(why) => {
                if failures == 0 {
                    tracing::debug!("the router {} maps no port: {why}", wanted.router);
                }
                failures += 1;
                held = held.filter(|held| Instant::now() < held.lapses);
                let pause = FIRST_PAUSE.saturating_mul(2_u32.pow(failures.min(7) - 1)).min(LONGEST_PAUSE);
                held.as_ref().map_or(pause, |held| RETRY.min(held.lapses - Instant::now()).max(SOONEST))
            }
        };
        let after = held.as_ref().map(|held| held.mapping);
        if after != before {
            if let Some(mapping) = after {
                tracing::debug!("the router {} maps {} ({})", wanted.router, mapping.external, mapping.protocol);
            }
            if achieved.send(after).await.is_err() {
                return;
            }
        }
        if let Ok(Err(_)) = timeout(pause, orders.changed()).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::mesh::io::MappingProtocol;

    const HOME: Wanted = Wanted { router: std::net::Ipv4Addr::new(192, 168, 1, 1), port: 50_003 };

    /// A router with answers prepared, the last of which stays; it remembers what it was asked and what it got back.
    #[derive(Clone, Default)]
    struct Fake {
        inside: Arc<Mutex<Inside>>,
    }

    #[derive(Default)]
    struct Inside {
        answers: VecDeque<Option<u64>>,
        lease: u64,
        asked: Vec<(Duration, bool)>,
        given_back: Vec<u16>,
        begun: Option<Instant>,
    }

    impl Fake {
        /// The number of the outside port at each question; `None`: no answer.
        fn new(lease: u64, answers: &[Option<u64>]) -> Self {
            let inside = Inside { answers: answers.iter().copied().collect(), lease, ..Inside::default() };
            Self { inside: Arc::new(Mutex::new(inside)) }
        }

        fn with<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
            look(&mut self.inside.lock().expect("nobody panicked"))
        }

        /// Seconds at which it was asked, and whether for a renewal.
        fn asked(&self) -> Vec<(u64, bool)> {
            self.with(|inside| inside.asked.iter().map(|(at, renewal)| (at.as_secs(), *renewal)).collect())
        }
    }

    impl Ask for Fake {
        type Grant = u16;

        async fn ask(&mut self, _: Wanted, held: Option<&mut u16>) -> Result<Granted<u16>, String> {
            self.with(|inside| {
                let begun = *inside.begun.get_or_insert_with(Instant::now);
                inside.asked.push((begun.elapsed(), held.is_some()));
                let answer = match inside.answers.len() {
                    1 => inside.answers[0],
                    _ => inside.answers.pop_front().expect("an answer"),
                };
                let port = u16::try_from(answer.ok_or("silence")?).expect("a port");
                let external = ([203, 0, 113, 9], port).into();
                let mapping = PortMapping { protocol: MappingProtocol::Pcp, external };
                Ok(Granted { mapping, lease: Duration::from_secs(inside.lease), grant: port })
            })
        }

        async fn give_back(&mut self, grant: u16) {
            self.with(|inside| inside.given_back.push(grant));
        }
    }

    struct Bench {
        orders: watch::Sender<Order>,
        achieved: mpsc::Receiver<Option<PortMapping>>,
        router: Fake,
    }

    impl Bench {
        fn new(router: &Fake) -> Self {
            let (orders, receiver) = watch::channel(Order { wanted: Some(HOME), serial: 0 });
            let (sender, achieved) = mpsc::channel(4);
            tokio::spawn(keep(router.clone(), receiver, sender));
            Self { orders, achieved, router: router.clone() }
        }

        /// The outside port of the next message.
        async fn port(&mut self) -> Option<u16> {
            let message = timeout(Duration::from_secs(100_000), self.achieved.recv()).await.expect("a message");
            message.expect("it runs").map(|mapping| mapping.external.port())
        }

        /// Lets time pass in which nothing is told.
        async fn silence(&mut self, seconds: u64) {
            let told = timeout(Duration::from_secs(seconds), self.achieved.recv()).await;
            assert!(told.is_err(), "{told:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mapping_is_renewed_before_it_lapses_and_told_of_once() {
        let mut bench = Bench::new(&Fake::new(600, &[Some(50_003)]));
        assert_eq!(bench.port().await, Some(50_003));
        bench.silence(250).await;
        assert_eq!(bench.router.asked(), [(0, false), (120, true), (240, true)]);
        let mut short = Bench::new(&Fake::new(60, &[Some(50_003)]));
        assert_eq!(short.port().await, Some(50_003));
        short.silence(70).await;
        assert_eq!(short.router.asked(), [(0, false), (30, true), (60, true)], "a router with a short lease");
        let mut mad = Bench::new(&Fake::new(0, &[Some(50_003)]));
        assert_eq!(mad.port().await, Some(50_003));
        mad.silence(25).await;
        assert_eq!(mad.router.asked().len(), 3, "not more often than each 10 s");
    }

    #[tokio::test(start_paused = true)]
    async fn another_outside_port_is_told_and_a_router_that_is_gone_loses_the_mapping_when_it_lapses() {
        let mut bench = Bench::new(&Fake::new(600, &[Some(50_003), Some(61_000), None]));
        assert_eq!([bench.port().await, bench.port().await], [Some(50_003), Some(61_000)]);
        let told = Instant::now();
        assert_eq!(bench.port().await, None);
        assert_eq!(told.elapsed().as_secs(), 600, "when the lease is over, and not before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_router_is_asked_ever_more_seldom_and_at_once_when_something_is_different() {
        let mut bench = Bench::new(&Fake::new(600, &[None]));
        bench.silence(500).await;
        assert_eq!(bench.router.asked(), [(0, false), (60, false), (180, false), (420, false)]);
        bench.orders.send_modify(|order| order.serial += 1);
        bench.silence(70).await;
        assert_eq!(bench.router.asked()[4..], [(500, false), (560, false)], "from the beginning");
        bench.silence(48 * 3600).await;
        let asked = bench.router.asked();
        assert!(asked.len() < 60 && asked.last().is_some_and(|(at, _)| *at > 47 * 3600), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_wanted_any_more_is_given_back_and_what_is_left_behind_is_not() {
        let mut bench = Bench::new(&Fake::new(600, &[Some(1), Some(2)]));
        assert_eq!(bench.port().await, Some(1));
        let other = Wanted { port: 7, ..HOME };
        bench.orders.send_modify(|order| order.wanted = Some(other));
        assert_eq!([bench.port().await, bench.port().await], [None, Some(2)]);
        assert_eq!(bench.router.with(|inside| inside.given_back.clone()), [1]);
        bench.orders.send_modify(|order| order.wanted = None);
        assert_eq!(bench.port().await, None);
        assert_eq!(bench.router.with(|inside| inside.given_back.clone()), [1, 2]);
        bench.orders.send_modify(|order| order.wanted = Some(HOME));
        assert_eq!(bench.port().await, Some(2));
        drop(bench.orders);
        assert_eq!(bench.achieved.recv().await, None, "it ends");
        assert_eq!(bench.router.with(|inside| inside.given_back.len()), 2);
    }
}
