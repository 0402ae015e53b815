//! A recording as a source: a thread that waits, plays and answers from what was recorded.
//!
//! [`Message::Connected`] comes at the begin, after every jump and when a daemon that was gone is there again; each time
//! a snapshot follows, and all that the journal holds. [`Message::Playing`] comes after every control and about once a
//! second.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use wgnet_api::{Event, Item, Recording};

use super::Source;
use super::player::{Played, Player};
use crate::clock::Clock;
use crate::message::{Answer, Control, Message, Outcome, Refused, Request};

/// How far it is is told at least this often while it plays.
const TELL: Duration = Duration::from_secs(1);

/// Plays a recording.
#[derive(Debug)]
pub struct Replay {
    place: String,
    recording: Option<Recording>,
    orders: Option<Sender<Order>>,
}

#[derive(Debug)]
enum Order {
    Steer(Control),
    Ask(Request),
}

impl Replay {
    /// `place` says in words what is played: a file's name, `demo`.
    pub fn new(place: impl Into<String>, recording: Recording) -> Self {
        Self { place: place.into(), recording: Some(recording), orders: None }
    }

    /// The thread ends with the source; an order to one that has ended is void.
    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            orders.send(order).unwrap_or_default();
        }
    }
}

impl Source for Replay {
    fn start(&mut self, messages: Sender<Message>, clock: Clock) {
        let Some(recording) = self.recording.take() else { return };
        let (sender, orders) = mpsc::channel();
        self.orders = Some(sender);
        let player = Player::new(recording, clock.now_ms());
        let stage = Stage { player, place: self.place.clone(), messages, gone: false };
        thread::spawn(move || stage.run(&orders, clock));
    }

    fn ask(&mut self, request: Request) {
        self.order(Order::Ask(request));
    }

    fn steer(&mut self, control: Control) {
        self.order(Order::Steer(control));
    }
}

struct Stage {
    player: Player,
    place: String,
    messages: Sender<Message>,
    gone: bool,
}

/// Nobody takes messages any more.
struct Closed;

impl Stage {
    fn run(mut self, orders: &Receiver<Order>, clock: Clock) {
        while self.play(clock.now_ms()).is_ok() {
            let order = match self.player.next_due() {
                Some(due) => orders.recv_timeout(clock.until(due).min(TELL)),
                None => orders.recv().map_err(RecvTimeoutError::from),
            };
            let carried_out = match order {
                Ok(order) => self.carry_out(order, clock.now_ms()),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if carried_out.is_err() {
                return;
            }
        }
    }

    fn send(&self, message: Message) -> Result<(), Closed> {
        self.messages.send(message).map_err(|_| Closed)
    }

    fn carry_out(&mut self, order: Order, now_ms: u64) -> Result<(), Closed> {
        match order {
            Order::Steer(control) => {
                self.player.steer(now_ms, control);
                Ok(())
            }
            Order::Ask(request) => {
                let outcome = answer(&self.player, &request);
                self.send(Message::Answer(Answer { request, outcome }))
            }
        }
    }

    fn play(&mut self, now_ms: u64) -> Result<(), Closed> {
        for played in self.player.poll(now_ms) {
            match played {
                Played::Anew => self.connected()?,
                Played::Item(Item::Event(event)) => {
                    if self.gone && matches!(event, Event::Snapshot(_)) {
                        self.connected()?;
                    }
                    self.send(Message::Stream(event))?;
                }
                Played::Item(Item::Why(why)) => self.send(Message::Recorded(why))?,
                Played::Item(Item::Gone(why)) => {
                    self.gone = true;
                    self.send(Message::Disconnected { why, retry_at: None })?;
                }
            }
        }
        self.send(Message::Playing(self.player.playing(now_ms)))
    }

    fn connected(&mut self) -> Result<(), Closed> {
        self.gone = false;
        self.send(Message::Connected { place: self.place.clone() })
    }
}

/// What a recording can answer: explanations that someone asked for while it was made.
fn answer(player: &Player, request: &Request) -> Result<Outcome, Refused> {
    match request {
        Request::Why { from, to } => {
            let why = player.why(from.as_deref(), to);
            why.map(|why| Outcome::Why(Box::new(why.clone()))).ok_or_else(|| Refused {
                error: format!("the recording holds no explanation for {to} up to here"),
                remedy: "explanations are recorded when they are asked for".to_owned(),
            })
        }
        _ => Err(Refused {
            error: "this is a recording: nothing in it can be changed".to_owned(),
            remedy: "attach to a running daemon: `wgnet tui`".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use wgnet_api::{Header, Line, Why};

    use super::*;
    use crate::fixture;

    fn recording() -> Recording {
        let snapshot = fixture::snapshot(2);
        let why = Why {
            from: snapshot.status.node.name.clone(),
            to: "beta".into(),
            hops: Vec::new(),
            cost: Some(7),
            candidates: Vec::new(),
            missing: None,
            mtu: 1420,
            readers: Vec::new(),
            note: None,
        };
        let items = [
            Item::Event(Event::Snapshot(Box::new(snapshot.clone()))),
            Item::Why(Box::new(why)),
            Item::Gone("it ended".into()),
            Item::Event(Event::Snapshot(Box::new(snapshot))),
        ];
        let lines = items.into_iter().map(|item| Line { at_ms: 0, item }).collect();
        Recording { header: Header::new("0.1.0", 0), lines }
    }

    /// Messages up to the first that tells how far it is.
    fn batch(messages: &Receiver<Message>) -> Vec<Message> {
        let mut batch = Vec::new();
        loop {
            let message = messages.recv_timeout(Duration::from_secs(20)).expect("the source lives");
            let ends = matches!(message, Message::Playing(_));
            batch.push(message);
            if ends {
                return batch;
            }
        }
    }

    fn kinds(messages: &[Message]) -> Vec<&'static str> {
        let kind = |message: &Message| match message {
            Message::Connected { .. } => "connected",
            Message::Disconnected { .. } => "disconnected",
            Message::Stream(event) => event.kind(),
            Message::Recorded(_) => "why",
            Message::Answer(Answer { outcome: Ok(_), .. }) => "answer",
            Message::Answer(_) => "refused",
            Message::Playing(_) => "playing",
            _ => "another",
        };
        messages.iter().map(kind).collect()
    }

    #[test]
    fn a_replay_speaks_as_a_live_source_does() {
        let (sender, messages) = mpsc::channel();
        let mut replay = Replay::new("demo", recording());
        replay.start(sender, Clock::start());
        let first = ["connected", "snapshot", "why", "disconnected", "connected", "snapshot", "playing"];
        assert_eq!(kinds(&batch(&messages)), first);
        replay.steer(Control::Seek(0));
        assert_eq!(kinds(&batch(&messages)), ["connected", "snapshot", "playing"]);
        replay.ask(Request::Why { from: None, to: "beta".into() });
        assert_eq!(kinds(&batch(&messages)), ["answer", "playing"]);
        replay.ask(Request::Why { from: Some("beta".into()), to: "carol".into() });
        assert_eq!(kinds(&batch(&messages)), ["refused", "playing"]);
        replay.ask(Request::Drain(true));
        assert_eq!(kinds(&batch(&messages)), ["refused", "playing"]);
        drop(replay);
        assert!(messages.recv_timeout(Duration::from_secs(20)).is_err(), "the thread ends with the source");
    }
}
