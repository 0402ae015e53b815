//! One link to one neighbour: is it alive both ways, how good is it, what cost does this node advertise for it?
//!
//! Hellos travel inside the tunnel, to the neighbour's link address, so they test exactly what data will use. A hello
//! is answered by one that carries its number back: only such an **echo** proves a link, since it went there and back.
//! In the steady state one side asks and the other, which yields, answers and gets its echo with the next question.
//! When an answer is missing, questions come every 150 ms, and after 1.8 s the link is dead.
//!
//! The **advertised** cost is sticky (hysteresis), a flapping link is **damped**: both at the origin of the advert, and
//! nowhere else, since every other node must compute the same paths from the same adverts.
//!
//! How large a packet the link carries is measured besides: see [`PathMtu`].

mod cost;
mod damping;
mod path_mtu;
mod probe;
#[cfg(test)]
mod tests;

pub use cost::{BASE_COST, Cost, cost_of};
pub use damping::Damping;
pub use path_mtu::{Passing, PathMtu, SizeProbe};
pub use probe::{ACTIVE_INTERVAL, IDLE_INTERVAL, Link, LinkChange, Probe};
