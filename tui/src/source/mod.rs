//! Where what is shown comes from: a running daemon, or a recording of one.

pub mod demo;
pub mod live;
pub mod player;
pub mod replay;

use std::sync::mpsc::Sender;

use crate::message::{Control, Message, Request};

/// Something that tells of a mesh. It runs on threads of its own and sends messages until nobody takes them any more.
pub trait Source: Send {
    /// Begins: connects, tells, connects again.
    fn start(&mut self, messages: Sender<Message>, clock: crate::clock::Clock);

    /// Answers a request, later and by a message.
    fn ask(&mut self, request: Request);

    /// Steers a replay; a live source has nothing to steer.
    fn steer(&mut self, control: Control);
}
